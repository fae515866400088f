"""One OAuth token renewal: retries, lost responses, and the end of a grant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AttemptTimeout,
    AuthorizationRequired,
    Backoff,
    ClientCredentials,
    CredentialRefreshFailed,
    JwtBearer,
    JwtSigning,
    OAuthCredentials,
    RetryPolicy,
    Secret,
    TokenRenewed,
    VendorFailed,
)
from moorage.domain.idempotency.claims import Claim, MarkSent, Resolve
from moorage.domain.oauth.token_renewal import claim_key
from tests.domain.oauth.test_client import P256
from tests.oauth.refresher_harness import (
    OWNER,
    TOKENS,
    OAuthHarness,
    Vault,
    client,
    json_response,
    token,
    token_response,
)
from tests.oauth.renewal_situations import CUT_OFF, PAST, UNSENT, error_of
from tests.support.modes import ASYNC, Harness, sync_and_async

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager


# --- failures of the server ------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        json_response({}, 500),
        json_response({"error": "temporarily_unavailable"}, 400),
        json_response({}, 429, Retry_After="2"),
        UNSENT,
    ],
    ids=["500", "unavailable", "429", "unreachable"],
)
@sync_and_async
async def test_server_errors_are_retried_with_delays(harness: Harness, trouble: Any) -> None:
    """While the server has trouble, a renewal repeats the same refresh token, with delays."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vendor.answers(trouble, trouble, token_response(2))

    match = await oauth_harness.refresher().get(*OWNER)

    assert Secret("at-2") == match.access_token
    assert ["rt-1"] * 3 == oauth_harness.shown_refresh_tokens()
    (result,) = harness.events
    assert isinstance(result, TokenRenewed)
    assert (3, ["crm", "acme"]) == (result.attempts, [result.service, result.tenant])
    assert harness.clock.utc() == result.at
    expected_pauses = [2.0, 2.0] if getattr(trouble, "status", 0) == 429 else [1.0, 2.0]
    assert expected_pauses == harness.sleeper.slept
    assert sum(expected_pauses) == pytest.approx(result.duration, abs=0.01)


@sync_and_async
async def test_absurd_pause_of_an_authorisation_server_ends_after_an_hour(harness: Harness) -> None:
    """If the server's `Retry-After` is decades ahead, a renewal is possible after an hour."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vendor.answers(json_response({}, 429, Retry_After="9" * 20), token_response(2))
    refresher = oauth_harness.refresher()

    with pytest.raises(CredentialRefreshFailed) as excinfo:
        await refresher.get(*OWNER)
    harness.clock.advance(3600)
    result = await refresher.get(*OWNER)

    assert Secret("at-2") == result.access_token
    assert excinfo.value.vendor_retry_after is not None
    assert 86_400 <= excinfo.value.vendor_retry_after


@sync_and_async
async def test_delays_between_renewals_grow(harness: Harness) -> None:
    """The delay after each failed token renewal grows, even with decorrelated backoff."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vendor.answers(503, 503, token_response(2))
    policy = RetryPolicy(3, 0.5, backoff=Backoff.DECORRELATED)

    await oauth_harness.refresher(retry=policy).get(*OWNER)

    # Each draw is 0.5: half way between half a second and three times the previous delay.
    assert [1.0, 1.75] == harness.sleeper.slept


@pytest.mark.parametrize("trouble", [json_response({}, 500), UNSENT], ids=["500", "unreachable"])
@sync_and_async
async def test_failed_renewal_keeps_the_refresh_token(harness: Harness, trouble: Any) -> None:
    """If all attempts of a renewal fail, the refresh token is kept and works later."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(*[trouble] * 3)

    error = await error_of(refresher.get(*OWNER))

    assert error.retryable
    assert "crm" == error.service
    assert PAST == oauth_harness.kept
    oauth_harness.vendor.answers(token_response(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert ["rt-1"] * 4 == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_client_errors_are_not_retried(harness: Harness) -> None:
    """An `invalid_client` response is raised without a retry, and the refresh token is kept."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(json_response({"error": "invalid_client"}, 401))

    error = await error_of(refresher.get(*OWNER))

    assert not error.retryable
    assert "Correct the client's id" in error.remedy
    assert 1 == len(oauth_harness.token_requests())
    oauth_harness.vendor.answers(token_response(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_no_request_outlasts_the_claim(harness: Harness) -> None:
    """A token request starts only if its timeout ends before the claim on the renewal does."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher(request_timeout=9)
    oauth_harness.vendor.otherwise = harness.answer_after(7, json_response({}, 500))

    await error_of(refresher.get(*OWNER))

    assert [9.0, 9.0] == [
        sent_request.timeouts.total for sent_request in oauth_harness.vendor.requests
    ]


@sync_and_async
async def test_nonce_that_comes_too_late_is_not_used(harness: Harness) -> None:
    """If a nonce leaves no time for another request within the claim, it is not used."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher(request_timeout=30)
    target = json_response({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="n")
    oauth_harness.vendor.answers(
        harness.answer_after(28, json_response({}, 500)), harness.answer_after(9, target)
    )

    error = await error_of(refresher.get(*OWNER))

    assert "use_dpop_nonce" in str(error)
    assert 2 == len(oauth_harness.token_requests())


@sync_and_async
async def test_half_of_claim_time_is_enough_for_second_request_after_nonce_demand(
    harness: Harness,
) -> None:
    """After a nonce demand, half of the claim's time is enough for the second request."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher(request_timeout=9)
    target = json_response({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="n")
    oauth_harness.vendor.answers(harness.answer_after(9, target), token_response(2))

    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_claim_names_the_server(harness: Harness) -> None:
    """The stored claim on a token renewal has the authorisation server's token endpoint."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vendor.answers(token_response(2))

    await oauth_harness.refresher().get(*OWNER)

    is_seen = harness.mode != ASYNC  # no other request runs on the way to the store
    requests = harness.store.commands
    assert [TOKENS] * is_seen == [
        request.target for request in requests if isinstance(request, MarkSent)
    ]
    assert [(TOKENS, 0)] * is_seen == [
        (request.target, request.remembered) for request in requests if isinstance(request, Claim)
    ]


# --- lost responses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        CUT_OFF,
        AttemptTimeout("It took too long.", may_have_been_processed=True),
        VendorFailed("The answer is too long."),
        json_response({"odd": 1}),
        json_response("text"),
    ],
    ids=["cut off", "too late", "too long", "no token", "text"],
)
@sync_and_async
async def test_lost_answer_is_repeated_once(harness: Harness, lost: Any) -> None:
    """If a token response is lost, the same refresh token is sent once more."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vendor.answers(lost, token_response(2))

    result = await oauth_harness.refresher().get(*OWNER)

    assert result == oauth_harness.kept
    assert ["rt-1", "rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_a_new_refresh_token_alone_is_kept(harness: Harness) -> None:
    """A token response with only a new refresh token, and no access token, keeps the grant."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher, other_refresher = oauth_harness.refresher(), oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2, access_token=None))

    error = await error_of(refresher.get(*OWNER))

    assert error.retryable
    assert "unreadable answer" in error.message
    assert attrs.evolve(PAST, refresh_token="rt-2") == oauth_harness.kept
    oauth_harness.vendor.answers(token_response(3))
    assert Secret("at-3") == (await other_refresher.get(*OWNER)).access_token
    assert ["rt-1", "rt-2"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_replaced_refresh_token_is_not_sent(harness: Harness) -> None:
    """If the refresh token was replaced while a caller waited, the stored token is used."""
    oauth_harness = OAuthHarness(harness, PAST)
    rotated_credentials = attrs.evolve(PAST, refresh_token="rt-2")

    class RacingVault(Vault):
        """A credential store in which another process stores a token after the first read."""

        async def get(self, service: str, tenant: str | None, /) -> Any:
            """Return the credential as it was before the other process stored its token."""
            result = await super().get(service, tenant)
            self.kept[OWNER] = rotated_credentials
            return result

    oauth_harness.vault = RacingVault(harness)
    oauth_harness.vault.kept[OWNER] = PAST

    assert rotated_credentials == await oauth_harness.refresher().get(*OWNER)
    assert [] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_unrotated_refresh_token_is_repeated_after_a_lost_answer(harness: Harness) -> None:
    """A refresh token that does not rotate is sent once more after a lost response."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vendor.answers(token_response(1, access_token=None), token_response(2))

    assert Secret("at-2") == (await oauth_harness.refresher().get(*OWNER)).access_token
    assert ["rt-1", "rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_two_lost_answers_postpone_the_next_request(harness: Harness) -> None:
    """After two lost token responses, calls fail until the refresh token may be sent again."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher, other_refresher = oauth_harness.refresher(), oauth_harness.refresher()
    oauth_harness.vendor.answers(CUT_OFF, CUT_OFF)

    for item in (refresher, refresher, other_refresher):
        error = await error_of(item.get(*OWNER))
        assert "lost" in str(error)
        assert "crm" == error.service
        assert error.retryable
        assert 20 < (error.retry_at - harness.clock.utc()).total_seconds() < 22

    assert ["rt-1", "rt-1"] == oauth_harness.shown_refresh_tokens()
    assert "ConsentNeeded" not in harness.event_names()


@sync_and_async
async def test_lost_answers_of_an_outage_do_not_end_the_grant(harness: Harness) -> None:
    """After an outage that loses many token responses, the same refresh token is renewed."""
    oauth_harness = OAuthHarness(harness, PAST)
    refreshers = oauth_harness.refresher(), oauth_harness.refresher()
    oauth_harness.vendor.answers(*[CUT_OFF] * 5, token_response(2))

    for refresher in refreshers * 2:
        await error_of(refresher.get(*OWNER))
        await error_of(refresher.get(*OWNER))
        harness.clock.advance(22)

    assert Secret("at-2") == (await refreshers[0].get(*OWNER)).access_token
    assert ["rt-1"] * 6 == oauth_harness.shown_refresh_tokens()
    harness.clock.advance(3600)
    oauth_harness.vendor.answers(token_response(3))
    assert Secret("at-3") == (await refreshers[1].get(*OWNER)).access_token


@sync_and_async
async def test_outage_without_rotation_leaves_no_claim(harness: Harness) -> None:
    """If the refresh token stays after an outage, the next renewal is sent at once."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher, other_refresher = oauth_harness.refresher(), oauth_harness.refresher()
    oauth_harness.vendor.answers(CUT_OFF, CUT_OFF, token_response(2, refresh_token=None))
    await error_of(refresher.get(*OWNER))
    harness.clock.advance(22)
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token

    harness.clock.advance(7200)
    oauth_harness.vendor.answers(CUT_OFF, token_response(3))
    assert Secret("at-3") == (await other_refresher.get(*OWNER)).access_token
    assert ["rt-1"] * 5 == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_outage_after_a_rotation_needs_consent(harness: Harness) -> None:
    """If the server ends the grant at a later use, no process sends the refresh token again."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher, other_refresher = oauth_harness.refresher(), oauth_harness.refresher()
    oauth_harness.vendor.answers(CUT_OFF, CUT_OFF, json_response({"error": "invalid_grant"}, 400))
    await error_of(refresher.get(*OWNER))
    harness.clock.advance(22)

    for item in (refresher, other_refresher):
        await error_of(item.get(*OWNER), AuthorizationRequired)

    assert ["rt-1"] * 3 == oauth_harness.shown_refresh_tokens()
    assert "ConsentNeeded" in harness.event_names()


@sync_and_async
async def test_token_treated_as_stolen_ends_the_grant(harness: Harness) -> None:
    """If the server refuses a repeated refresh token as stolen, no further request is sent."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(CUT_OFF, json_response({"error": "invalid_grant"}, 400))

    for _ in range(2):
        await error_of(refresher.get(*OWNER), AuthorizationRequired)

    assert ["rt-1", "rt-1"] == oauth_harness.shown_refresh_tokens()


@pytest.mark.parametrize("life", [60, 3600], ids=["a minute", "an hour"])
@sync_and_async
async def test_lost_answers_without_rotation_do_not_add_up(harness: Harness, life: int) -> None:
    """If refresh tokens do not rotate, earlier lost responses do not invalidate the token."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    for number in (2, 3):
        oauth_harness.vendor.answers(
            CUT_OFF, token_response(number, refresh_token=None, expires_in=life)
        )
        assert Secret(f"at-{number}") == (await refresher.get(*OWNER)).access_token
        harness.clock.advance(2 * life)

    assert ["rt-1"] * 4 == oauth_harness.shown_refresh_tokens()


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost once"])
@pytest.mark.parametrize("stays", [False, True], ids=["rotates", "stays"])
@sync_and_async
async def test_first_claim_is_settled_if_the_token_stays(
    harness: Harness, stays: bool, lost: bool
) -> None:
    """If the refresh token did not change, the claim of a lost renewal is resolved."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresh_token = None if stays else "rt-2"
    oauth_harness.vendor.answers(*[CUT_OFF] * lost, token_response(2, refresh_token=refresh_token))

    assert Secret("at-2") == (await oauth_harness.refresher().get(*OWNER)).access_token

    first = claim_key(OWNER, client(), PAST, use="first")
    is_seen = harness.mode != ASYNC  # no other request runs on the way to the store
    assert (is_seen and stays and lost) == any(
        isinstance(command, Resolve) and command.keys == (first,)
        for command in harness.store.commands
    )


@sync_and_async
async def test_repeatable_grant_is_never_lost(harness: Harness) -> None:
    """A client-credentials token is requested again, however often responses are lost."""
    oauth_harness = OAuthHarness(harness)
    refresher = oauth_harness.refresher({"crm": client(grant=ClientCredentials())})
    oauth_harness.vendor.answers(CUT_OFF, json_response({"odd": 1}), token_response(1))

    assert Secret("at-1") == (await refresher.get(*OWNER)).access_token
    harness.clock.advance(7200)
    oauth_harness.vendor.answers(*[CUT_OFF] * 3)
    error = await error_of(refresher.get(*OWNER))
    assert error.retryable
    oauth_harness.vendor.answers(json_response({"error": "invalid_grant"}, 400))
    error = await error_of(refresher.get(*OWNER))
    assert "invalid_grant" in str(error)
    oauth_harness.vendor.answers(token_response(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


# --- the end of a grant ----------------------------------------------------------------------


@sync_and_async
async def test_ended_grant_is_not_requested_again(harness: Harness) -> None:
    """After `invalid_grant`, no process sends the refresh token again until it is replaced."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher, other_refresher = oauth_harness.refresher(), oauth_harness.refresher()
    oauth_harness.vendor.answers(
        json_response({"error": "invalid_grant", "error_description": "spent"}, 400)
    )

    first = await error_of(refresher.get(*OWNER), AuthorizationRequired)
    await error_of(refresher.get(*OWNER), AuthorizationRequired)
    await error_of(other_refresher.get(*OWNER), AuthorizationRequired)
    harness.clock.advance(20 * 86_400)
    await error_of(oauth_harness.refresher().get(*OWNER), AuthorizationRequired)

    assert "invalid_grant: spent" in str(first)
    assert not first.retryable
    assert 1 == len(oauth_harness.token_requests())
    oauth_harness.vault.kept[OWNER] = token(5, ago=7200)
    oauth_harness.vendor.answers(token_response(6))
    assert Secret("at-6") == (await other_refresher.get(*OWNER)).access_token


@sync_and_async
async def test_expired_token_without_refresh_token_needs_consent(harness: Harness) -> None:
    """An expired access token without a refresh token needs the user's consent again."""
    oauth_harness = OAuthHarness(
        harness, OAuthCredentials(access_token="at-1", expires_at=PAST.expires_at)
    )

    error = await error_of(oauth_harness.refresher().get(*OWNER), AuthorizationRequired)

    assert "no refresh token" in str(error)
    assert [] == oauth_harness.token_requests()
    assert ["ConsentNeeded", "TokenNotRenewed"] == harness.event_names()


# --- the content of requests -------------------------------------------------------------------


@sync_and_async
async def test_each_token_request_has_new_assertions(harness: Harness) -> None:
    """Each token request, even a retry, has new assertions by the client and for the grant."""
    oauth_harness = OAuthHarness(harness)
    grant = JwtBearer(JwtSigning(algorithm="HS256", issuer="erp"), "k" * 32)
    own_client = client(secret="s" * 32, authentication="client_secret_jwt", grant=grant)
    oauth_harness.vendor.answers(500, 500, token_response(1))

    await oauth_harness.refresher({"crm": own_client}).get(*OWNER)

    for name in ("assertion", "client_assertion"):
        assert 3 == len({result[name] for result in oauth_harness.token_requests()})


@sync_and_async
async def test_demanded_nonce_is_sent_once(harness: Harness) -> None:
    """A demanded DPoP nonce is sent at once; if the demand is repeated, the renewal fails."""
    oauth_harness = OAuthHarness(harness, PAST)
    bound: AwaitedManager = oauth_harness.refresher({"crm": client(dpop_key=P256)})
    nonce = json_response({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="n-1")
    oauth_harness.vendor.answers(nonce, token_response(2, token_type="DPoP"))

    result = await bound.get(*OWNER)
    assert Secret(P256) == result.dpop_key
    assert [] == harness.sleeper.slept
    harness.clock.advance(7200)
    oauth_harness.vendor.otherwise = nonce
    error = await error_of(bound.get(*OWNER))
    assert "use_dpop_nonce" in str(error)
    assert 4 == len(oauth_harness.token_requests())
    proofs = {sent_request.header("DPoP") for sent_request in oauth_harness.vendor.requests}
    assert 4 == len(proofs)
