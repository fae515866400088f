"""Renewals by a client that was configured with a refresh token, which servers replace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import OAuthCredentials, RefreshToken, Secret, TokenExchange
from moorage.domain.oauth.token_renewal import TokenQuestion
from tests.oauth.refresher_harness import (
    OWNER,
    OAuthHarness,
    client,
    json_response,
    token,
    token_response,
)
from tests.oauth.renewal_situations import CUT_OFF, OtherProcess, error_of
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from moorage.domain.oauth.grants import Grant

CONFIGURED = {"crm": client(grant=RefreshToken("rt-0"))}
INVALID_GRANT = json_response({"error": "invalid_grant"}, 400)
HOUR = 3600


@sync_and_async
async def test_replaced_refresh_token_is_sent(harness: Harness) -> None:
    """Each renewal sends the refresh token that the server granted last, whichever process asks."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.answers(token_response(1), token_response(2), token_response(3))

    for number in (1, 2, 3):
        result = await oauth_harness.refresher(CONFIGURED).get(*OWNER)
        assert Secret(f"at-{number}") == result.access_token
        assert result == oauth_harness.kept
        harness.clock.advance(HOUR)

    assert ["rt-0", "rt-1", "rt-2"] == oauth_harness.shown_refresh_tokens()


@pytest.mark.parametrize("refresh_token", [None, "rt-0"], ids=["none", "the same"])
@sync_and_async
async def test_kept_refresh_token_is_sent_however_often_answers_are_lost(
    harness: Harness, refresh_token: str | None
) -> None:
    """A configured refresh token that the server does not replace is never used up."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.otherwise = token_response(1, refresh_token=refresh_token)
    for _ in range(3):
        await oauth_harness.refresher(CONFIGURED).get(*OWNER)
        harness.clock.advance(HOUR)
        oauth_harness.vendor.answers(*[CUT_OFF] * 3)
        assert (await error_of(oauth_harness.refresher(CONFIGURED).get(*OWNER))).retryable

    assert {"rt-0"} == set(oauth_harness.shown_refresh_tokens())


@sync_and_async
async def test_scope_is_requested_with_every_refresh_token(harness: Harness) -> None:
    """The configured scope is requested with the configured and with later refresh tokens."""
    oauth_harness = OAuthHarness(harness)
    scoped = {"crm": client(grant=RefreshToken("rt-0"), scope="read")}
    oauth_harness.vendor.answers(token_response(1), token_response(2))

    for _ in range(2):
        await oauth_harness.refresher(scoped).get(*OWNER)
        harness.clock.advance(HOUR)

    assert ["read", "read"] == [form["scope"] for form in oauth_harness.token_requests()]


@sync_and_async
async def test_configured_refresh_token_is_used_when_its_replacement_has_ended(
    harness: Harness,
) -> None:
    """If the stored refresh token no longer works, the configured one, maybe newer, is sent."""
    oauth_harness = OAuthHarness(harness, token(1, ago=2 * HOUR))
    renewed = {"crm": client(grant=RefreshToken("rt-7"))}
    oauth_harness.vendor.answers(INVALID_GRANT, token_response(8))

    result = await oauth_harness.refresher(renewed).get(*OWNER)

    assert Secret("at-8") == result.access_token
    assert result == oauth_harness.kept
    assert ["rt-1", "rt-7"] == oauth_harness.shown_refresh_tokens()
    assert ["TokenRenewed"] == harness.event_names()


@pytest.mark.parametrize("number, ending", [(2, []), (8, [INVALID_GRANT])], ids=["valid", "ended"])
@sync_and_async
async def test_replacement_with_lost_answers_is_sent_before_the_configured_refresh_token(
    harness: Harness, number: int, ending: list[Any]
) -> None:
    """After lost responses, the configured token is sent only if the replacement is refused."""
    oauth_harness = OAuthHarness(harness, token(1, ago=2 * HOUR))
    refresher = oauth_harness.refresher({"crm": client(grant=RefreshToken("rt-7"))})
    oauth_harness.vendor.answers(CUT_OFF, CUT_OFF, *ending, token_response(number))
    await error_of(refresher.get(*OWNER))
    harness.clock.advance(22)

    result = await refresher.get(*OWNER)

    assert Secret(f"at-{number}") == result.access_token
    assert ["rt-1"] * 3 + ["rt-7"] * len(ending) == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_ended_replacement_is_not_sent_again(harness: Harness) -> None:
    """After the server refuses a stored refresh token, the configured one is sent instead."""
    oauth_harness = OAuthHarness(harness, token(1, ago=2 * HOUR))
    oauth_harness.vendor.answers(INVALID_GRANT, INVALID_GRANT)
    error = await error_of(oauth_harness.refresher(CONFIGURED).get(*OWNER))
    assert "invalid_grant" in str(error)
    oauth_harness.vendor.answers(token_response(2, refresh_token=None))

    assert Secret("at-2") == (await oauth_harness.refresher(CONFIGURED).get(*OWNER)).access_token
    assert ["rt-1", "rt-0", "rt-0"] == oauth_harness.shown_refresh_tokens()
    assert oauth_harness.kept.refresh_token is None


@sync_and_async
async def test_replacement_is_not_sent_while_a_request_with_it_may_run(harness: Harness) -> None:
    """A refresh token that a dead process may have sent is reused only after that request's end."""
    stored = token(1, ago=2 * HOUR)
    oauth_harness = OAuthHarness(harness, stored)
    OtherProcess(harness, stored).asks()
    oauth_harness.vendor.answers(token_response(2))

    assert Secret("at-2") == (await oauth_harness.refresher(CONFIGURED).get(*OWNER)).access_token
    assert 21 <= sum(harness.sleeper.slept) < 21.001
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@pytest.mark.parametrize(
    "grant, canary",
    [
        (RefreshToken("canary-r"), "canary-r"),
        (TokenExchange(subject=Secret("canary-s")), "canary-s"),
        (TokenExchange(subject=Secret("s"), actor=Secret("canary-a")), "canary-a"),
    ],
    ids=["refresh token", "subject", "actor"],
)
@sync_and_async
async def test_error_does_not_repeat_the_secret_of_a_grant(
    harness: Harness, grant: Grant, canary: str
) -> None:
    """If a server's error response repeats the grant's secret, the raised error masks it."""
    oauth_harness = OAuthHarness(harness)
    description = f"The token {canary} is not known."
    oauth_harness.vendor.answers(
        json_response({"error": "invalid_client", "error_description": description}, 400)
    )

    error = await error_of(oauth_harness.refresher({"crm": client(grant=grant)}).get(*OWNER))

    assert "is not known" in str(error)
    assert canary not in str(error)


def test_request_hides_every_refresh_token() -> None:
    """A token request's secrets include the stored and the configured refresh token."""
    question = TokenQuestion(
        CONFIGURED["crm"], OAuthCredentials(access_token="a", refresh_token="b")
    )

    assert {"hush", "b", "rt-0"} == {secret.reveal() for secret in question.hidden()}
