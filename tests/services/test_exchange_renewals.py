"""Renewal of refused credentials: once per call, and within the call's deadline."""

# ruff: noqa: SLF001 - a look inside

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    BodyStream,
    CredentialRefreshFailed,
    DeadlineExceeded,
    Request,
    Response,
    RetryPolicy,
    VendorFailed,
)
from moorage.services.core.refreshes import UnprovenRefreshes
from tests.services.renewed_tokens import Provider, vat
from tests.services.vat import GET
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Iterator


@sync_and_async
async def test_refused_credential_is_renewed_once(harness: Harness) -> None:
    """After a 401 the credential is renewed, and the same attempt is repeated."""
    provider = Provider(harness)
    harness.vendor.answers(401)
    manager = harness.watched(vat(needs_credentials=True), credentials=harness.of_mode(provider))

    assert 200 == (await manager.call("vat", GET, tenant="acme")).status

    assert ["token-0"] == provider.refreshed
    assert ["Bearer token-0", "Bearer token-1"] == [
        requests.header("authorization") for requests in harness.vendor.requests
    ]
    assert 1 == harness.event_names().count("CredentialRefreshed")


@sync_and_async
async def test_second_401_after_renewal_is_final_response(harness: Harness) -> None:
    """A second 401 after a renewal is the final response."""
    provider = Provider(harness)
    harness.vendor.otherwise = 401
    service = vat(needs_credentials=True, retry=RetryPolicy(5, 0))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await harness.manager(service, credentials=harness.of_mode(provider)).call("vat", GET)

    assert (["token-0"], 2) == (provider.refreshed, len(harness.vendor.requests))
    assert 2 == excinfo.value.attempts


@sync_and_async
async def test_renewal_uses_no_attempt(harness: Harness) -> None:
    """Repeating a request after a renewal does not count as another attempt of the call."""
    provider = Provider(harness)
    harness.vendor.answers(401)
    harness.vendor.otherwise = 503
    service = vat(needs_credentials=True, retry=RetryPolicy(3, 0))

    with pytest.raises(VendorFailed):
        await harness.manager(service, credentials=harness.of_mode(provider)).call("vat", GET)

    assert 1 + 3 == len(harness.vendor.requests)


@sync_and_async
async def test_403_renews_nothing(harness: Harness) -> None:
    """A 403 renews no credential, because it concerns permissions."""
    provider = Provider(harness)
    harness.vendor.otherwise = 403
    service = vat(needs_credentials=True)

    with pytest.raises(AuthenticationFailed):
        await harness.manager(service, credentials=harness.of_mode(provider)).call("vat", GET)

    assert [] == provider.refreshed


@sync_and_async
async def test_concurrent_callers_renew_once(harness: Harness) -> None:
    """Callers whose credential is refused at the same time share one renewal."""
    provider = Provider(harness)

    async def by_token(sent: Any) -> int:
        return 401 if sent.header("authorization") == "Bearer token-0" else 200

    harness.vendor.otherwise = by_token
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))
    gates = [harness.gate(), harness.gate()]
    harness.vendor.answers(*(gate.answering(401) for gate in gates))

    async def call() -> int:
        response: Response = await manager.call("vat", GET)
        return response.status

    waiting_calls = [harness.start(call) for _ in range(2)]
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.open()
    answers = [await item.result() for item in waiting_calls] + await harness.run_together(
        *[call] * 8
    )

    assert [200] * 10 == answers
    assert ["token-0"] == provider.refreshed


@pytest.mark.parametrize("error", [CredentialRefreshFailed("gone"), KeyError("vault")])
@sync_and_async
async def test_failed_renewal_raises_its_own_error(harness: Harness, error: Exception) -> None:
    """If a renewal fails, its own error is raised, with the vendor's error as the cause."""
    provider = Provider(harness)
    provider.fails = error
    harness.vendor.otherwise = 401
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))

    with pytest.raises(CredentialRefreshFailed) as excinfo:
        await manager.call("vat", GET)

    assert AuthenticationFailed is type(excinfo.value.__cause__)


@sync_and_async
async def test_renewal_time_counts_towards_the_deadline(harness: Harness) -> None:
    """The time of a renewal counts towards the deadline, after which nothing is sent."""
    provider = Provider(harness)
    provider.slow = 60
    harness.vendor.otherwise = 401
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))

    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET, timeout=10)

    assert 1 == len(harness.vendor.requests)


@pytest.mark.parametrize("timeout", [0.5, 10])
@pytest.mark.parametrize("before", [[], [503]])
@sync_and_async
async def test_waiting_for_a_renewal_ends_with_the_deadline(
    harness: Harness, before: list[int], timeout: float
) -> None:
    """A call that waits for another caller's renewal stops at its own deadline.

    The refused request had no effect, but an attempt before it may have.
    """
    provider = Provider(harness)
    harness.vendor.answers(*before)
    harness.vendor.otherwise = 401
    service = vat(needs_credentials=True, retry=RetryPolicy(2, 0))
    manager = harness.manager(service, credentials=harness.of_mode(provider))
    key = manager.manager._flows.plans.find("vat", None, None).refresh_key
    await harness.locks.acquire(key, object(), slots=1, queue=0, timeout=0)
    harness.impatient = True

    with pytest.raises(DeadlineExceeded) as excinfo:
        await manager.call("vat", GET, timeout=timeout)

    assert (timeout, []) == (harness.clock.now, provider.refreshed)
    assert bool(before) == excinfo.value.may_have_been_processed


def single_use_chunks() -> Iterator[bytes]:
    """Yield one chunk, as a request body that can be read only once."""
    yield b"all of it"


@sync_and_async
async def test_single_use_body_is_not_resent_after_a_renewal(harness: Harness) -> None:
    """After a 401, a single-use body is not sent again, but the renewed credential is kept."""
    provider = Provider(harness)
    harness.vendor.answers(401)
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))

    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", Request.post("/files", body=BodyStream.of(single_use_chunks())))

    assert (["token-0"], 1) == (provider.refreshed, len(harness.vendor.requests))


@sync_and_async
async def test_useless_renewals_become_rare(harness: Harness) -> None:
    """If a service also refuses renewed credentials, the pauses between renewals get longer."""
    provider = Provider(harness)
    harness.vendor.otherwise = 401
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))
    renewal_counts = []
    remedies = []
    for _ in range(60):
        with pytest.raises(AuthenticationFailed) as excinfo:
            await manager.call("vat", GET)
        remedies.append(excinfo.value.remedy)
        renewal_counts.append(len(provider.refreshed))
        harness.clock.advance(1)

    assert [1] * 5 + [2] * 10 + [3] * 20 + [4] * 25 == renewal_counts
    assert "The vendor refused the credentials, and then" in remedies[-1]


@sync_and_async
async def test_accepted_credential_resets_the_renewal_delay(harness: Harness) -> None:
    """Once a credential was accepted, the next 401 causes a renewal without a pause."""
    provider = Provider(harness)
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))
    for _ in range(3):
        harness.vendor.answers(401)
        assert 200 == (await manager.call("vat", GET)).status

    assert ["token-0", "token-1", "token-2"] == provider.refreshed


@sync_and_async
async def test_new_credential_is_used_during_the_renewal_delay(harness: Harness) -> None:
    """While renewals are paused, a new credential from the provider is used at once."""
    provider = Provider(harness)
    manager = harness.manager(vat(needs_credentials=True), credentials=harness.of_mode(provider))
    harness.vendor.answers(401, 401)
    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", GET)

    async def change_credential(_: Any) -> int:
        provider.number = 7
        return 401

    harness.vendor.answers(change_credential)

    assert 200 == (await manager.call("vat", GET)).status
    assert ["token-0"] == provider.refreshed
    assert "Bearer token-7" == harness.vendor.requests[-1].header("authorization")


def test_remembered_renewals_are_bounded() -> None:
    """The list of credentials that were refused has a limited length."""
    refreshes = UnprovenRefreshes()
    for number in range(10_001):
        refreshes.record_renewal(f"{number}", 0)

    assert [True, False] == [refreshes.may_renew(key, 0) for key in ("0", "10000")]
