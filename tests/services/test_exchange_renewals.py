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
from tests.support.modes import World, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Iterator


@sync_and_async
async def test_refused_credential_is_renewed_once(world: World) -> None:
    """After a 401 the credential is renewed, and the same attempt is repeated."""
    provider = Provider(world)
    world.vendor.answers(401)
    manager = world.watched(vat(needs_credentials=True), credentials=world.of_mode(provider))

    assert 200 == (await manager.call("vat", GET, tenant="acme")).status

    assert ["token-0"] == provider.refreshed
    assert ["Bearer token-0", "Bearer token-1"] == [
        requests.header("authorization") for requests in world.vendor.requests
    ]
    assert 1 == world.event_names().count("CredentialRefreshed")


@sync_and_async
async def test_second_401_after_renewal_is_final_response(world: World) -> None:
    """A second 401 after a renewal is the final response."""
    provider = Provider(world)
    world.vendor.otherwise = 401
    service = vat(needs_credentials=True, retry=RetryPolicy(5, 0))

    with pytest.raises(AuthenticationFailed) as excinfo:
        await world.manager(service, credentials=world.of_mode(provider)).call("vat", GET)

    assert (["token-0"], 2) == (provider.refreshed, len(world.vendor.requests))
    assert 2 == excinfo.value.attempts


@sync_and_async
async def test_renewal_uses_no_attempt(world: World) -> None:
    """Repeating a request after a renewal does not count as another attempt of the call."""
    provider = Provider(world)
    world.vendor.answers(401)
    world.vendor.otherwise = 503
    service = vat(needs_credentials=True, retry=RetryPolicy(3, 0))

    with pytest.raises(VendorFailed):
        await world.manager(service, credentials=world.of_mode(provider)).call("vat", GET)

    assert 1 + 3 == len(world.vendor.requests)


@sync_and_async
async def test_403_renews_nothing(world: World) -> None:
    """A 403 renews no credential, because it concerns permissions."""
    provider = Provider(world)
    world.vendor.otherwise = 403
    service = vat(needs_credentials=True)

    with pytest.raises(AuthenticationFailed):
        await world.manager(service, credentials=world.of_mode(provider)).call("vat", GET)

    assert [] == provider.refreshed


@sync_and_async
async def test_concurrent_callers_renew_once(world: World) -> None:
    """Callers whose credential is refused at the same time share one renewal."""
    provider = Provider(world)

    async def by_token(sent: Any) -> int:
        return 401 if sent.header("authorization") == "Bearer token-0" else 200

    world.vendor.otherwise = by_token
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_mode(provider))
    gates = [world.gate(), world.gate()]
    world.vendor.answers(*(gate.answering(401) for gate in gates))

    async def call() -> int:
        response: Response = await manager.call("vat", GET)
        return response.status

    waiting_calls = [world.start(call) for _ in range(2)]
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.open()
    answers = [await item.result() for item in waiting_calls] + await world.run_together(
        *[call] * 8
    )

    assert [200] * 10 == answers
    assert ["token-0"] == provider.refreshed


@pytest.mark.parametrize("error", [CredentialRefreshFailed("gone"), KeyError("vault")])
@sync_and_async
async def test_failed_renewal_raises_its_own_error(world: World, error: Exception) -> None:
    """If a renewal fails, its own error is raised, with the vendor's error as the cause."""
    provider = Provider(world)
    provider.fails = error
    world.vendor.otherwise = 401
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_mode(provider))

    with pytest.raises(CredentialRefreshFailed) as excinfo:
        await manager.call("vat", GET)

    assert AuthenticationFailed is type(excinfo.value.__cause__)


@sync_and_async
async def test_renewal_time_counts_towards_the_deadline(world: World) -> None:
    """The time of a renewal counts towards the deadline, after which nothing is sent."""
    provider = Provider(world)
    provider.slow = 60
    world.vendor.otherwise = 401
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_mode(provider))

    with pytest.raises(DeadlineExceeded):
        await manager.call("vat", GET, timeout=10)

    assert 1 == len(world.vendor.requests)


@pytest.mark.parametrize("timeout", [0.5, 10])
@pytest.mark.parametrize("before", [[], [503]])
@sync_and_async
async def test_waiting_for_a_renewal_ends_with_the_deadline(
    world: World, before: list[int], timeout: float
) -> None:
    """A call that waits for another caller's renewal stops at its own deadline.

    The refused request had no effect, but an attempt before it may have.
    """
    provider = Provider(world)
    world.vendor.answers(*before)
    world.vendor.otherwise = 401
    service = vat(needs_credentials=True, retry=RetryPolicy(2, 0))
    manager = world.manager(service, credentials=world.of_mode(provider))
    key = manager.manager._flows.plans.find("vat", None, None).refresh_key
    await world.locks.acquire(key, object(), slots=1, queue=0, timeout=0)
    world.impatient = True

    with pytest.raises(DeadlineExceeded) as excinfo:
        await manager.call("vat", GET, timeout=timeout)

    assert (timeout, []) == (world.clock.now, provider.refreshed)
    assert bool(before) == excinfo.value.may_have_been_processed


def single_use_chunks() -> Iterator[bytes]:
    """Yield one chunk, as a request body that can be read only once."""
    yield b"all of it"


@sync_and_async
async def test_single_use_body_is_not_resent_after_a_renewal(world: World) -> None:
    """After a 401, a single-use body is not sent again, but the renewed credential is kept."""
    provider = Provider(world)
    world.vendor.answers(401)
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_mode(provider))

    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", Request.post("/files", body=BodyStream.of(single_use_chunks())))

    assert (["token-0"], 1) == (provider.refreshed, len(world.vendor.requests))


@sync_and_async
async def test_useless_renewals_become_rare(world: World) -> None:
    """If a service also refuses renewed credentials, the pauses between renewals get longer."""
    provider = Provider(world)
    world.vendor.otherwise = 401
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_mode(provider))
    renewal_counts = []
    remedies = []
    for _ in range(60):
        with pytest.raises(AuthenticationFailed) as excinfo:
            await manager.call("vat", GET)
        remedies.append(excinfo.value.remedy)
        renewal_counts.append(len(provider.refreshed))
        world.clock.advance(1)

    assert [1] * 5 + [2] * 10 + [3] * 20 + [4] * 25 == renewal_counts
    assert "The vendor refused the credentials, and then" in remedies[-1]


@sync_and_async
async def test_accepted_credential_resets_the_renewal_delay(world: World) -> None:
    """Once a credential was accepted, the next 401 causes a renewal without a pause."""
    provider = Provider(world)
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_mode(provider))
    for _ in range(3):
        world.vendor.answers(401)
        assert 200 == (await manager.call("vat", GET)).status

    assert ["token-0", "token-1", "token-2"] == provider.refreshed


@sync_and_async
async def test_new_credential_is_used_during_the_renewal_delay(world: World) -> None:
    """While renewals are paused, a new credential from the provider is used at once."""
    provider = Provider(world)
    manager = world.manager(vat(needs_credentials=True), credentials=world.of_mode(provider))
    world.vendor.answers(401, 401)
    with pytest.raises(AuthenticationFailed):
        await manager.call("vat", GET)

    async def change_credential(_: Any) -> int:
        provider.number = 7
        return 401

    world.vendor.answers(change_credential)

    assert 200 == (await manager.call("vat", GET)).status
    assert ["token-0"] == provider.refreshed
    assert "Bearer token-7" == world.vendor.requests[-1].header("authorization")


def test_remembered_renewals_are_bounded() -> None:
    """The list of credentials that were refused has a limited length."""
    refreshes = UnprovenRefreshes()
    for number in range(10_001):
        refreshes.record_renewal(f"{number}", 0)

    assert [True, False] == [refreshes.may_renew(key, 0) for key in ("0", "10000")]
