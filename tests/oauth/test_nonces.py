"""DPoP nonces that an authorisation server demands, and DPoP keys of refresh tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import ClientCredentials, CredentialRefreshFailed, Response
from tests.oauth.refresher_harness import (
    OWNER,
    OAuthHarness,
    client,
    json_response,
    token,
    token_response,
)
from tests.support.modes import Harness, sync_and_async
from tests.support.proofs import new_key, proof_key, verified_claims

if TYPE_CHECKING:
    from moorage import OAuthCredentials

BOUND = {"crm": client(grant=ClientCredentials(), dpop_key=proof_key())}


def nonce_demand(nonce: str) -> Response:
    """Return an authorisation server's demand for this DPoP nonce."""
    return json_response({"error": "use_dpop_nonce"}, 400, DPoP_Nonce=nonce)


def sent_nonces(stage: OAuthHarness) -> list[str | None]:
    """Return the DPoP proofs' nonces in order; fail if a proof was sent twice."""
    messages = [verified_claims(request.header("DPoP")) for request in stage.vendor.requests]
    assert len(messages) == len({claims["jti"] for claims in messages})
    return [claims.get("nonce") for claims in messages]


@sync_and_async
async def test_nonce_is_remembered_for_the_next_renewal(harness: Harness) -> None:
    """Even much later, the next token renewal sends the server's latest DPoP nonce."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.answers(
        nonce_demand("n-1"),
        token_response(1),
        token_response(2, token_type="DPoP"),
        token_response(3),
    )
    refresher = oauth_harness.refresher(BOUND)

    held_token = await refresher.get(*OWNER)
    for _ in range(2):
        held_token = await refresher.refresh(*OWNER, held_token)

    assert [None, "n-1", "n-1", "n-1"] == sent_nonces(oauth_harness)
    assert [] == harness.sleeper.slept


@sync_and_async
async def test_each_token_response_may_replace_the_nonce(harness: Harness) -> None:
    """Every token response, success or failure, may replace the DPoP nonce."""
    oauth_harness = OAuthHarness(harness)
    first, second = token_response(1), json_response({}, 503, DPoP_Nonce="n-2")
    oauth_harness.vendor.answers(
        first.evolve(headers=first.headers.with_header("DPoP-Nonce", "n-1")),
        second,
        token_response(2),
    )
    refresher = oauth_harness.refresher(BOUND)

    held_token = await refresher.get(*OWNER)
    await refresher.refresh(*OWNER, held_token)

    assert [None, "n-1", "n-2"] == sent_nonces(oauth_harness)


@sync_and_async
async def test_server_demand_for_dpop_nonce_does_not_count_as_one_of_retry_policy_attempts(
    harness: Harness,
) -> None:
    """A server's demand for a DPoP nonce does not count as one of the retry policy's attempts."""
    oauth_harness = OAuthHarness(harness)
    broken_response = json_response({}, 503)
    oauth_harness.vendor.answers(
        nonce_demand("n-1"),
        broken_response,
        nonce_demand("n-2"),
        broken_response,
        nonce_demand("n-3"),
        token_response(1),
    )

    await oauth_harness.refresher(BOUND).get(*OWNER)

    assert [None, "n-1", "n-1", "n-2", "n-2", "n-3"] == sent_nonces(oauth_harness)


@sync_and_async
async def test_repeated_nonce_requests_end(harness: Harness) -> None:
    """After two consecutive demands for a DPoP nonce there is no third attempt."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.otherwise = nonce_demand("n-1")

    with pytest.raises(CredentialRefreshFailed, match="use_dpop_nonce") as excinfo:
        await oauth_harness.refresher(BOUND).get(*OWNER)

    assert ([None, "n-1"], False) == (sent_nonces(oauth_harness), excinfo.value.retryable)


@pytest.mark.parametrize("nonce", ["n" * 1_000_000, "a b", 'a"b', ""])
@sync_and_async
async def test_invalid_nonce_is_not_sent(harness: Harness, nonce: str) -> None:
    """A malformed DPoP nonce is not sent back, and the token renewal fails."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.answers(nonce_demand(nonce))
    refresher = oauth_harness.refresher(BOUND)

    with pytest.raises(CredentialRefreshFailed, match="use_dpop_nonce"):
        await refresher.get(*OWNER)

    assert [None] == sent_nonces(oauth_harness)


@sync_and_async
async def test_client_without_key_ignores_nonces(harness: Harness) -> None:
    """A client without a DPoP key ignores nonces, and sends no proof."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.answers(nonce_demand("n-1"))
    refresher = oauth_harness.refresher({"crm": client(grant=ClientCredentials())})

    with pytest.raises(CredentialRefreshFailed):
        await refresher.get(*OWNER)

    assert [None] * len(oauth_harness.vendor.requests) == [
        request.header("DPoP") for request in oauth_harness.vendor.requests
    ]
    assert refresher.manager._flows._core.nonces.nonce_for("https://login.example/") is None  # noqa: SLF001 - a look inside


def bound_to(key: str) -> OAuthCredentials:
    """Return an expired token whose refresh token is bound to a DPoP key."""
    return attrs.evolve(token(1, ago=7200), token_type="DPoP", dpop_key=key)


@sync_and_async
async def test_public_client_renews_with_its_refresh_token_dpop_key(harness: Harness) -> None:
    """A public client renews with the DPoP key of its refresh token, even if another is set."""
    old_text, new_text = new_key(), new_key()
    oauth_harness = OAuthHarness(harness, bound_to(old_text))
    oauth_harness.vendor.answers(token_response(2, token_type="DPoP"))
    public = client(secret=None, authentication="none", dpop_key=new_text)

    held_token = await oauth_harness.refresher({"crm": public}).get(*OWNER)

    verified_claims(oauth_harness.vendor.requests[0].header("DPoP"), old_text)
    assert bound_to(old_text).dpop_key == held_token.dpop_key


@sync_and_async
async def test_a_client_with_a_secret_may_change_its_key(harness: Harness) -> None:
    """After a key change, a client with a secret gets a token bound to its newest DPoP key."""
    old_text, new_text = new_key(), new_key()
    oauth_harness = OAuthHarness(harness, bound_to(old_text))
    oauth_harness.vendor.answers(token_response(2, token_type="DPoP"))

    held_token = await oauth_harness.refresher({"crm": client(dpop_key=new_text)}).get(*OWNER)

    verified_claims(oauth_harness.vendor.requests[0].header("DPoP"), new_text)
    assert bound_to(new_text).dpop_key == held_token.dpop_key
