"""One token renewal in several processes: one renews, others wait, and some crash."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage import (
    ConnectionFailed,
    Credentials,
    Secret,
    StorageUnavailable,
)
from moorage.adapters.state.memory import AsyncMemoryStorage
from moorage.domain.idempotency.claims import LEASE, Claim
from tests.oauth.refresher_harness import OWNER, OAuthHarness, Vault, token, token_response
from tests.oauth.renewal_situations import PAST, OtherProcess, error_of
from tests.support.modes import ASYNC, Harness, sync_and_async
from tests.support.timed_store import TimedStorage


@sync_and_async
async def test_another_process_is_waited_for(harness: Harness) -> None:
    """A caller waits for another process's token renewal, and uses the stored token."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness).asks()

    async def stores() -> None:
        oauth_harness.vault.kept[OWNER] = token(2)

    async def do_nothing() -> None:
        """Do nothing, until the test replaces this step."""

    harness.sleeper.meanwhile.extend([do_nothing, do_nothing, stores])
    assert token(2) == await oauth_harness.refresher().get(*OWNER)
    assert [] == oauth_harness.token_requests()
    assert [0.02, 0.04, 0.08] == harness.sleeper.slept


@sync_and_async
async def test_credential_of_another_kind_ends_the_wait_for_a_renewal(harness: Harness) -> None:
    """If an operator stores an API token during a renewal, a caller that waits for it uses that."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness)
    api_token = Credentials.bearer("plain")

    async def stores() -> None:
        oauth_harness.vault.kept[OWNER] = api_token

    harness.sleeper.meanwhile.append(stores)
    assert api_token == await oauth_harness.refresher().get(*OWNER)
    assert [] == oauth_harness.token_requests()
    assert api_token == oauth_harness.vault.kept[OWNER]


@sync_and_async
async def test_two_processes_renew_a_token_once(harness: Harness) -> None:
    """Two token refreshers that share credentials and state together renew a token once."""
    oauth_harness = OAuthHarness(harness, PAST)
    gate = harness.gate()
    oauth_harness.vendor.answers(gate.answering(token_response(2)))
    first = oauth_harness.refresher()
    second = oauth_harness.refresher(locks=harness.of_mode(type(harness.locks)(harness)))

    get_task = harness.start(lambda: first.get(*OWNER))
    await gate.reached()

    async def opens() -> None:
        gate.open()
        await get_task.wait_until_over()

    harness.sleeper.meanwhile.append(opens)
    result = await second.get(*OWNER)

    assert result == await get_task.result() == oauth_harness.kept
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_due_token_is_used_while_another_process_renews(harness: Harness) -> None:
    """A token that is still valid is used while another process renews it."""
    stored_credentials = token(1, ago=3560)
    oauth_harness = OAuthHarness(harness, stored_credentials)
    OtherProcess(harness, stored_credentials).asks()

    assert stored_credentials == await oauth_harness.refresher().get(*OWNER)
    assert [] == oauth_harness.token_requests()
    assert [] == harness.sleeper.slept


@sync_and_async
async def test_another_process_renews_after_a_crash_before_the_request(harness: Harness) -> None:
    """If a process crashes before its token request, another sends the request later."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness)
    oauth_harness.vendor.answers(token_response(2))

    result = await oauth_harness.refresher().get(*OWNER)

    assert Secret("at-2") == result.access_token
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()
    assert 21 <= sum(harness.sleeper.slept) < 21.001
    assert pytest.approx([0.25, 0.2]) == harness.sleeper.slept[-2:]


@sync_and_async
async def test_other_callers_wait_for_one_lease_after_crash_before_token_request(
    harness: Harness,
) -> None:
    """After a crash before the token request, other callers wait for one lease."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness, lease=LEASE)
    oauth_harness.vendor.answers(token_response(2))
    assert Secret("at-2") == (await oauth_harness.refresher().get(*OWNER)).access_token
    assert LEASE / 10**6 <= sum(harness.sleeper.slept) < LEASE / 10**6 + 0.001


@sync_and_async
async def test_token_is_not_sent_twice_at_once(
    harness: Harness,
) -> None:
    """A refresh token is not sent while an earlier request with it may be running.

    It is unknown whether the token's holder is dead or only slow to renew.
    """
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness, lease=LEASE).asks()
    oauth_harness.vendor.answers(token_response(2))
    assert Secret("at-2") == (await oauth_harness.refresher().get(*OWNER)).access_token
    assert 21 <= sum(harness.sleeper.slept) < 21.001
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_crash_after_the_request_is_repeated_once(harness: Harness) -> None:
    """A refresh token that one crashed process may have sent is sent once more."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness).asks()
    oauth_harness.vendor.answers(token_response(2))

    assert Secret("at-2") == (await oauth_harness.refresher().get(*OWNER)).access_token
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_token_of_two_crashed_processes_is_sent_again(harness: Harness) -> None:
    """After the claims of two crashed processes end, their refresh token is sent once more."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness).asks()
    OtherProcess(harness, again=True).asks()
    harness.clock.advance(30)
    oauth_harness.vendor.answers(token_response(2))

    assert Secret("at-2") == (await oauth_harness.refresher().get(*OWNER)).access_token
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_crash_after_storing_is_no_loss(harness: Harness) -> None:
    """A token stored just before a crash is used, even if the claim on its renewal remains."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    await oauth_harness.refresher({}).get(*OWNER)
    OtherProcess(harness).asks()

    async def store_token() -> None:
        oauth_harness.vault.kept[OWNER] = token(2)

    harness.sleeper.meanwhile.append(store_token)
    assert token(2) == await refresher.get(*OWNER)
    assert [] == oauth_harness.token_requests()


@sync_and_async
async def test_timeout_while_another_process_renews_is_retryable(harness: Harness) -> None:
    """A caller that times out while another process renews the token gets a retryable error."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness).asks()

    error = await error_of(oauth_harness.refresher(patience=5).get(*OWNER))

    assert "longer than this call can wait" in str(error)
    assert error.retryable
    assert "crm" == error.service
    assert 4.7 < sum(harness.sleeper.slept) <= 5
    assert [] == oauth_harness.token_requests()


@sync_and_async
async def test_wait_uses_the_whole_timeout(harness: Harness) -> None:
    """While another process renews a token, a caller waits until its own timeout at most."""
    oauth_harness = OAuthHarness(harness, PAST)
    OtherProcess(harness).asks()

    await error_of(oauth_harness.refresher(patience=0.3).get(*OWNER))

    assert [0.02, 0.04, 0.08, 0.16] == harness.sleeper.slept


@sync_and_async
async def test_late_claim_uses_the_stored_token(harness: Harness) -> None:
    """If another process stores a token before a caller gets the claim, the caller uses it."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    OtherProcess(harness)

    async def stores_late(command: object) -> None:
        if isinstance(command, Claim) and harness.clock.now > 20.99:
            oauth_harness.vault.kept[OWNER] = token(2)

    harness.store.meanwhile = stores_late
    if harness.mode == ASYNC:  # no other request runs on the way to the store
        oauth_harness.vendor.answers(token_response(2))
    result = await refresher.get(*OWNER)

    assert Secret("at-2") == result.access_token


class FailingVault(Vault):
    """A credential store that is unavailable at every second read."""

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the stored credential, or raise an error at every second read."""
        result = await super().get(service, tenant)
        if self.reads % 2 == 0:
            raise StorageUnavailable("It is away.")
        return result


@sync_and_async
async def test_failure_before_the_request_releases_the_claim(harness: Harness) -> None:
    """If a renewal fails before its request, its claim is released, so that nobody waits."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vault = FailingVault(harness)
    oauth_harness.vault.kept[OWNER] = PAST
    await error_of(oauth_harness.refresher().get(*OWNER), StorageUnavailable)
    oauth_harness.vault = Vault(harness)
    oauth_harness.vault.kept[OWNER] = PAST
    oauth_harness.vendor.answers(token_response(2))

    assert Secret("at-2") == (await oauth_harness.refresher().get(*OWNER)).access_token
    assert [] == harness.sleeper.slept


class OvertakenVault(Vault):
    """A credential store in which another process stores a new token after each read."""

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the stored credential, and store the other process's new token."""
        result = await super().get(service, tenant)
        self.kept[OWNER] = token(2)
        return result


@sync_and_async
async def test_new_token_is_used_without_a_refresh_token(harness: Harness) -> None:
    """An expired token raises no error if another process has already stored a new token."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vault = OvertakenVault(harness)
    oauth_harness.vault.kept[OWNER] = attrs.evolve(PAST, refresh_token=None)

    assert token(2) == await oauth_harness.refresher().get(*OWNER)
    assert [] == oauth_harness.token_requests()


@sync_and_async
async def test_new_token_releases_the_claim(harness: Harness) -> None:
    """A caller that finds a newly stored token releases its claim, so that nobody waits."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vault = OvertakenVault(harness)
    oauth_harness.vault.kept[OWNER] = PAST
    assert token(2) == await oauth_harness.refresher().get(*OWNER)
    oauth_harness.vault = Vault(harness)
    oauth_harness.vault.kept[OWNER] = PAST
    oauth_harness.vendor.answers(token_response(3))

    assert Secret("at-3") == (await oauth_harness.refresher().get(*OWNER)).access_token
    assert [] == harness.sleeper.slept


@sync_and_async
async def test_a_claim_that_was_lost_is_not_used(harness: Harness) -> None:
    """A caller whose claim on the renewal has expired sends no token request."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()

    class SlowVault:
        """A credential store whose reads take longer than a claim lasts."""

        def __getattr__(self, name: str) -> Any:
            return getattr(oauth_harness.vault, name)

        async def get(self, service: str, tenant: str | None, /) -> Any:
            harness.clock.advance(22)
            return await oauth_harness.vault.get(service, tenant)

        async def has(self, service: str, tenant: str | None, /) -> bool:
            return await oauth_harness.vault.has(service, tenant)

        async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
            return await oauth_harness.vault.refresh(service, tenant, stale)

        async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
            await oauth_harness.vault.rotate(service, tenant, new)

    refresher = oauth_harness.refresher(vault=harness.of_mode(SlowVault()))
    error = await error_of(refresher.get(*OWNER))
    assert "crm" == error.service
    assert [] == oauth_harness.token_requests()


@sync_and_async
async def test_store_commands_of_a_renewal_have_timeouts(harness: Harness) -> None:
    """Until the token request, store commands have the caller's timeout, and then the claim's."""
    oauth_harness = OAuthHarness(harness, PAST)
    storage = TimedStorage(harness.clock)
    oauth_harness.vendor.answers(token_response(2))
    shared_storage = AsyncMemoryStorage(storage) if harness.is_awaited else storage
    storage.slow = 1.0
    await oauth_harness.refresher(storage=shared_storage, patience=7, request_timeout=4).get(*OWNER)
    assert [("Claim", 7.0), ("MarkSent", 7.0), ("Settle", 6.0)] == storage.timeouts

    storage.timeouts.clear()
    oauth_harness.vault.kept[OWNER] = token(1, ago=3560)
    oauth_harness.vendor.answers(token_response(3))
    await oauth_harness.refresher(storage=shared_storage, patience=7, request_timeout=0.3).get(
        *OWNER
    )
    assert [("Claim", 0.6), ("MarkSent", 0.5), ("Settle", 0.5)] == storage.timeouts


@sync_and_async
async def test_claim_on_non_rotating_refresh_token_is_not_marked_as_sent(harness: Harness) -> None:
    """The claim on a refresh token that does not rotate blocks others for only one lease.

    A rotating refresh token is marked each time.
    """
    storage = TimedStorage(harness.clock)
    shared_storage = AsyncMemoryStorage(storage) if harness.is_awaited else storage
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher(storage=shared_storage)
    marked_renewals = []
    for refresh_token in ("rt-1", "rt-1", "rt-2", "rt-3"):
        oauth_harness.vendor.answers(token_response(2, refresh_token=refresh_token))
        await refresher.get(*OWNER)
        marked_renewals.append("MarkSent" in [name for name, _ in storage.timeouts])
        storage.timeouts.clear()
        harness.clock.advance(3600)
    assert [True, False, False, True] == marked_renewals
    assert ["rt-1", "rt-1", "rt-1", "rt-2"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_unrotated_token_is_sent_again_after_a_lost_answer(harness: Harness) -> None:
    """A refresh token that does not rotate stays valid after a lost response."""
    oauth_harness = OAuthHarness(harness, PAST)
    refresher = oauth_harness.refresher()
    lost_error = ConnectionFailed("reset", may_have_been_processed=True)
    oauth_harness.vendor.answers(
        token_response(2, refresh_token="rt-1"), *[lost_error] * 3, token_response(3)
    )
    await refresher.get(*OWNER)
    harness.clock.advance(3600)
    await error_of(refresher.get(*OWNER))
    harness.clock.advance(3600)
    assert Secret("at-3") == (await refresher.get(*OWNER)).access_token
    assert ["rt-1"] * 5 == oauth_harness.shown_refresh_tokens()
