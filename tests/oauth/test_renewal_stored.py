"""OAuth token renewals whose new token could not be stored at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ClientCredentials,
    RefreshToken,
    Secret,
    StorageUnavailable,
)
from tests.oauth.refresher_harness import OWNER, OAuthHarness, Vault, client, token, token_response
from tests.oauth.renewal_situations import PAST, error_of
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.oauth.grants import Grant


@sync_and_async
async def test_storing_is_tried_again(harness: Harness) -> None:
    """If the credential store is unavailable, a renewal retries storing with growing delays."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vault.failures.extend([StorageUnavailable("It is away.")] * 6)
    oauth_harness.vendor.answers(token_response(2))

    result = await oauth_harness.refresher().get(*OWNER)

    assert result == oauth_harness.kept
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()
    assert [0.02, 0.04, 0.08, 0.16, 0.25, 0.25] == harness.sleeper.slept


@sync_and_async
async def test_unstored_token_is_not_used(harness: Harness) -> None:
    """A renewed token is used only once it is stored; storing it later needs no new request."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2))
    oauth_harness.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)

    error = await error_of(refresher.get(*OWNER))

    assert "could not be stored" in str(error)
    assert error.remedy.startswith("Check the credential store. moorage stores the")
    assert ("crm", True) == (error.service, error.retryable)
    assert isinstance(error.__cause__, StorageUnavailable)
    assert PAST == oauth_harness.kept
    oauth_harness.vault.failures.clear()
    reads = oauth_harness.vault.reads
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert reads + 1 == oauth_harness.vault.reads
    assert Secret("at-2") == oauth_harness.kept.access_token
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_storing_is_tried_while_the_claim_lasts(harness: Harness) -> None:
    """Storing a renewed token is retried until the renewal's claim expires, and no longer."""
    oauth_harness = OAuthHarness(harness, PAST)
    oauth_harness.vendor.answers(harness.answer_after(0.2, token_response(2)))
    oauth_harness.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)

    await error_of(oauth_harness.refresher(request_timeout=10).get(*OWNER))

    assert 20.0 == harness.clock.now


@sync_and_async
async def test_unstored_token_is_stored_once(harness: Harness) -> None:
    """A renewed token that could not be stored at once never replaces newer credentials."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2))
    oauth_harness.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await error_of(refresher.get(*OWNER))
    oauth_harness.vault.failures.clear()
    await refresher.get(*OWNER)
    oauth_harness.vault.kept[OWNER] = PAST
    harness.clock.advance(100)
    oauth_harness.vendor.answers(token_response(3))

    assert Secret("at-3") == (await refresher.get(*OWNER)).access_token


class ContestedVault(Vault):
    """A credential store in which another process writes just before each write."""

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness)
        self.meanwhile: list[Callable[[], Awaitable[object]]] = []

    async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Store the credentials after another process has written."""
        if self.meanwhile:
            await self.meanwhile.pop()()
        await super().rotate(service, tenant, new)


@sync_and_async
async def test_two_callers_may_store_a_waiting_token(harness: Harness) -> None:
    """Two callers can store the same pending token at once, and both can use it."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vault = vault = ContestedVault(harness)
    vault.kept[OWNER] = PAST
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2))
    vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await error_of(refresher.get(*OWNER))
    vault.failures.clear()
    vault.meanwhile.append(lambda: refresher.get(*OWNER))

    assert (
        Secret("at-2")
        == (await refresher.get(*OWNER)).access_token
        == oauth_harness.kept.access_token
    )
    assert [] == vault.meanwhile
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@pytest.mark.parametrize("by_consent", [False, True])
@sync_and_async
async def test_newer_token_replaces_an_unstored_one(harness: Harness, by_consent: bool) -> None:
    """A newer token, in the store or from a new consent, replaces one that could not be stored."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2))
    oauth_harness.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await error_of(refresher.get(*OWNER))
    oauth_harness.vault.failures.clear()
    newer_credentials = token(7)
    if by_consent:
        await refresher.rotate(*OWNER, newer_credentials)
        # If the unstored token were still kept, it would replace this one.
        oauth_harness.vault.kept[OWNER] = PAST
        harness.clock.advance(100)
        oauth_harness.vendor.answers(token_response(7))
        assert Secret("at-7") == (await refresher.get(*OWNER)).access_token
        return
    oauth_harness.vault.kept[OWNER] = newer_credentials

    assert newer_credentials == await refresher.get(*OWNER) == oauth_harness.kept
    harness.clock.advance(100)
    assert newer_credentials == await refresher.get(*OWNER)


@pytest.mark.parametrize(
    "grant", [ClientCredentials(), RefreshToken("rt-0")], ids=["client", "refresh token"]
)
@sync_and_async
async def test_a_first_token_that_cannot_be_stored_waits_in_memory(
    harness: Harness, grant: Grant
) -> None:
    """If a client's first token cannot be stored, the next call stores it without a new request."""
    oauth_harness = OAuthHarness(harness)
    refresher = oauth_harness.refresher({"crm": client(grant=grant)})
    oauth_harness.vendor.answers(token_response(1))
    oauth_harness.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await error_of(refresher.get(*OWNER))
    oauth_harness.vault.failures.clear()
    harness.clock.advance(30)

    result = await refresher.get(*OWNER)

    assert Secret("at-1") == result.access_token
    assert result == oauth_harness.kept
    assert 1 == len(oauth_harness.token_requests())
