"""A tenant at its maximum number of idempotency records is refused before anything is sent."""

# ruff: noqa: SLF001 - flows, and the hook that runs after a fork

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConfigurationError,
    ConnectorError,
    ConnectorManager,
    Response,
    StorageUnavailable,
    TenantRecordsExhausted,
    TenantRecordsNearBound,
)
from moorage.domain.idempotency.claims import AllowedActions, Claim, KeyUse
from moorage.domain.idempotency.tenant_records import CountRecords, Reserve
from moorage.domain.values.durations import DAY
from moorage.services.calling.idempotency import NotSentError
from moorage.services.core import tenant_records
from tests.services.one_effect import POST, bank, charge, key_aware_bank
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager

CHARGED = Response(201, body=b"charged")


async def charges(manager: AwaitedManager, count: int, *, tenant: str | None = "acme") -> None:
    """Make the given number of charges, each with a different idempotency key."""
    for number in range(count):
        await charge(manager, key=f"{tenant}-{number}", tenant=tenant)


async def refused_charge(manager: AwaitedManager, key: str = "new", **options: Any) -> Any:
    """Make a charge that must raise TenantRecordsExhausted, and return the error."""
    with pytest.raises(TenantRecordsExhausted) as excinfo:
        await charge(manager, key=key, tenant="acme", **options)
    return excinfo.value


def records_used(harness: Harness) -> int:
    """Return the number of records that the store has reserved for the tenant."""
    return harness.store.memory.execute(CountRecords("acme"))


@sync_and_async
async def test_new_key_at_the_bound_is_not_sent(harness: Harness) -> None:
    """At its maximum, a tenant gets an error with the counts, and nothing is sent or stored."""
    harness.vendor.answers(*[CHARGED] * 3)
    manager = harness.manager(bank(), records_per_tenant=3)
    await charges(manager, 3)
    record_count = len(harness.store.memory)

    error = await refused_charge(manager)

    assert 3 == len(harness.vendor.requests)
    assert record_count == len(harness.store.memory)
    assert ("acme", 3, 3) == (error.tenant, error.used, error.bound)
    assert "the tenant acme uses 3 of 3 idempotency records" in str(error)
    assert "bank" == error.service
    assert 0 == error.attempts
    assert error.retryable


@sync_and_async
async def test_other_tenants_are_not_affected(harness: Harness) -> None:
    """If one tenant is at its maximum, other tenants and calls without a tenant continue."""
    harness.vendor.answers(*[CHARGED] * 7)
    manager = harness.manager(bank(), records_per_tenant=1)
    await charges(manager, 1)
    await refused_charge(manager)

    await charges(manager, 1, tenant="other")
    await charges(manager, 5, tenant=None)

    assert 7 == len(harness.vendor.requests)


@sync_and_async
async def test_large_answers_count_as_several_records(harness: Harness) -> None:
    """A large answer counts as several records, so its tenant reaches the maximum sooner."""
    large_answer = Response(201, body=b"x" * 3 * 4_096)
    harness.vendor.answers(CHARGED, large_answer)
    manager = harness.manager(bank(), records_per_tenant=5)
    await charges(manager, 2)

    assert 5 == records_used(harness)
    await refused_charge(manager)
    repeat = await charge(manager, key="acme-1", tenant="acme")
    assert repeat.replayed
    assert large_answer.body == repeat.body
    assert 5 == records_used(harness)


@sync_and_async
async def test_large_answers_are_stored_beyond_the_bound(harness: Harness) -> None:
    """An answer is stored even if it exceeds the space that its tenant has left."""
    harness.vendor.answers(Response(201, body=b"x" * 10 * 4_096), CHARGED)
    manager = harness.manager(bank(), records_per_tenant=2)
    await charges(manager, 1)

    assert 11 == records_used(harness)
    error = await refused_charge(manager)
    assert (11, 2) == (error.used, error.bound)
    assert (await charge(manager, key="acme-0", tenant="acme")).replayed


@sync_and_async
async def test_stored_answers_are_replayed_at_the_bound(harness: Harness) -> None:
    """At the maximum, a repeated idempotency key still returns its stored answer."""
    harness.vendor.answers(CHARGED)
    manager = harness.manager(bank(), records_per_tenant=1)
    await charges(manager, 1)
    await refused_charge(manager)

    repeat = await charge(manager, key="acme-0", tenant="acme")

    assert repeat.replayed
    assert 1 == records_used(harness)


@sync_and_async
async def test_freed_key_is_claimed_at_the_bound(harness: Harness) -> None:
    """At the maximum, a key can be used again if its first call proved to have no effect."""
    harness.vendor.answers(Response(503), CHARGED)
    manager = harness.manager(
        bank(idempotency_header="Idempotency-Key", idempotency_memory=86_400), records_per_tenant=1
    )
    with pytest.raises(Exception, match="503"):
        await charge(manager, key="k", tenant="acme")
    await refused_charge(manager)

    repeat = await charge(manager, key="k", tenant="acme")

    assert 201 == repeat.status
    assert 1 == records_used(harness)


@sync_and_async
async def test_retries_of_a_key_count_once(harness: Harness) -> None:
    """An idempotency key that is retried during an outage of its vendor counts as one record."""
    manager = harness.manager(key_aware_bank(), records_per_tenant=2)
    for number in range(10):
        harness.vendor.answers(Response(503))
        with pytest.raises(ConnectorError, match="503"):
            await charge(manager, key="k", tenant="acme")
        # The call's place covers some of these repeats; then it takes another place, and returns
        # the first.
        harness.clock.advance(3_600 * (number % 3))
        assert 1 == records_used(harness)

    harness.vendor.answers(CHARGED)
    await charge(manager, key="new", tenant="acme")
    assert 2 == records_used(harness)


@sync_and_async
async def test_retries_at_the_bound_count_once_in_a_while(harness: Harness) -> None:
    """At the maximum, repeats of a freed idempotency key add at most one record in each period."""
    manager = harness.manager(key_aware_bank(), records_per_tenant=1)
    # The slot beyond the limit replaces the slot within it; its own end is not known.
    for wait, count in ((0, 1), (0, 1), (7_200, 1), (0, 1), (7_200, 2), (0, 2)):
        harness.clock.advance(wait)
        harness.vendor.answers(Response(503))
        with pytest.raises(ConnectorError, match="503"):
            await charge(manager, key="k", tenant="acme")
        assert count == records_used(harness)


@sync_and_async
async def test_key_keeps_its_record_when_the_claim_gets_no_reply(harness: Harness) -> None:
    """If a claim gets no reply, repeats of its key use the record that was reserved at first."""
    manager = harness.manager(
        key_aware_bank(), state=harness.of_mode(harness.store), records_per_tenant=10
    )
    trip = 0
    for _ in range(4):
        # The first call reserves a place before its claim.
        trip = len(harness.store.commands) + (1 if trip else 2)
        harness.store.lost_at[trip] = StorageUnavailable("the store answers nothing")
        with pytest.raises(StorageUnavailable):
            await charge(manager, key="k", tenant="acme")
        assert isinstance(harness.store.commands[-1], Claim)
        harness.clock.advance(2)

    assert 1 == records_used(harness)


@sync_and_async
async def test_slow_reservation_leaves_only_remaining_time_to_claim_that_follows_it(
    harness: Harness,
) -> None:
    """If reserving a record is slow, the claim that follows gets only the remaining time."""
    manager = harness.manager(
        bank(timeout=30), state=harness.of_mode(harness.store), records_per_tenant=10
    )
    harness.vendor.answers(CHARGED)

    async def be_slow(command: object) -> None:
        if isinstance(command, Reserve):
            harness.clock.advance(20)

    harness.store.meanwhile = be_slow
    await charge(manager, key="k", tenant="acme")

    reserving, claiming, *_ = harness.store.timeouts
    assert isinstance(harness.store.commands[1], Claim)
    assert reserving - claiming == pytest.approx(20)


@sync_and_async
async def test_process_remembers_reservations_of_limited_number_of_keys(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a limited number of keys with reserved records is remembered; the rest count again."""
    monkeypatch.setattr(tenant_records, "_MAX_TAKEN", 1)
    manager = harness.manager(key_aware_bank(), records_per_tenant=10)
    for key in ("a", "b", "a"):
        harness.vendor.answers(Response(503))
        with pytest.raises(ConnectorError, match="503"):
            await charge(manager, key=key, tenant="acme")

    assert 3 == records_used(harness)


@sync_and_async
async def test_claim_under_way_settles_at_the_bound(harness: Harness) -> None:
    """A running call stores its answer even if its tenant has reached the maximum by then."""
    manager = harness.manager(bank(), records_per_tenant=2)

    async def answer(_: object) -> Response:
        await charge(manager, key="meanwhile", tenant="acme")
        await refused_charge(manager)
        return CHARGED

    harness.vendor.answers(answer, CHARGED)
    await charge(manager, key="k", tenant="acme")

    assert (await charge(manager, key="k", tenant="acme")).replayed
    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_records_that_expire_make_room(harness: Harness) -> None:
    """When records expire, a tenant can use new keys again, at the time that the error gives."""
    harness.vendor.answers(*[CHARGED] * 2)
    manager = harness.manager(bank(idempotency_ttl=100), records_per_tenant=1)
    await charges(manager, 1)
    error = await refused_charge(manager)
    assert error.retry_at is not None
    wait = error.retry_at - harness.clock.utc()
    assert timedelta(seconds=100) < wait < timedelta(seconds=150)

    harness.clock.advance(wait.total_seconds())
    await charge(manager, key="new", tenant="acme")

    assert 2 == len(harness.vendor.requests)


@sync_and_async
async def test_tenant_count_is_requested_only_once_second_however_many_calls_are_refused(
    harness: Harness,
) -> None:
    """However many calls are refused, the tenant's count is requested only once a second."""
    manager = harness.manager(bank(), state=harness.of_mode(harness.store), records_per_tenant=1)
    harness.vendor.answers(CHARGED)
    await charges(manager, 1)

    def questions() -> int:
        return sum(isinstance(command, Reserve) for command in harness.store.commands)

    first = questions()
    for number in range(20):
        await refused_charge(manager, key=f"new-{number}")
    assert first + 1 == questions()
    harness.clock.advance(1.001)
    await refused_charge(manager)
    assert first + 2 == questions()


@sync_and_async
async def test_records_are_reserved_in_growing_numbers(harness: Harness) -> None:
    """A busy tenant's reservations of records double in size; unused ones are returned."""
    manager = harness.manager(
        bank(), state=harness.of_mode(harness.store), records_per_tenant=10**6
    )
    harness.vendor.answers(*[CHARGED] * 101)
    await charges(manager, 100)
    reserved = [command for command in harness.store.commands if isinstance(command, Reserve)]
    assert [1, 2, 4, 8, 16, 32, 64] == [command.number for command in reserved]
    assert 127 == records_used(harness)

    harness.clock.advance(DAY / 10**6 / 16)
    await charge(manager, key="later", tenant="acme")

    assert 101 == records_used(harness)


@sync_and_async
async def test_observers_get_one_event_when_tenant_reaches_80_percent(harness: Harness) -> None:
    """A tenant that passes 80 % of its maximum causes one event, until it falls below 80 %."""
    harness.vendor.answers(*[CHARGED] * 20)
    manager = harness.watched(bank(idempotency_ttl=100), records_per_tenant=10)

    def warnings() -> list[tuple[str, str | None, int, int]]:
        return [
            (event.service, event.tenant, event.used, event.bound)
            for event in harness.events
            if isinstance(event, TenantRecordsNearBound)
        ]

    await charges(manager, 6)
    assert [] == warnings()
    await charges(manager, 10)
    assert 1 == len(warnings())
    ((service, tenant, number, bound),) = warnings()
    assert ("bank", "acme", 10) == (service, tenant, bound)
    assert 8 <= number <= 10

    harness.clock.advance(300)
    for number in range(10):
        await charge(manager, key=f"later-{number}", tenant="acme")
    assert 2 == len(warnings())


@sync_and_async
async def test_unused_reservations_of_many_tenants_are_returned(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If too many tenants have reservations in advance, a process returns unused reservations."""
    monkeypatch.setattr(tenant_records, "_MAX_STOCKS", 2)
    harness.vendor.answers(*[CHARGED] * 9)
    manager = harness.manager(bank(), records_per_tenant=10**6)
    await charges(manager, 5)
    assert 7 == records_used(harness)

    for tenant in ("b", "c"):
        await charges(manager, 1, tenant=tenant)

    assert 5 == records_used(harness)


@sync_and_async
async def test_unused_reservations_of_tenant_that_was_idle_for_longest_are_returned_first(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unused reservations of the tenant that was idle for longest are returned first."""
    monkeypatch.setattr(tenant_records, "_MAX_STOCKS", 2)
    harness.vendor.answers(*[CHARGED] * 9)
    manager = harness.manager(bank(), records_per_tenant=10**6)
    await charges(manager, 5)
    await charges(manager, 1, tenant="b")
    await charge(manager, key="again", tenant="acme")
    await charges(manager, 1, tenant="c")

    assert 7 == records_used(harness)


@sync_and_async
async def test_looking_up_a_new_key_makes_no_record(harness: Harness) -> None:
    """Looking up a new idempotency key stores nothing and reserves no record."""
    manager = harness.manager(bank(), records_per_tenant=1)
    record_count = len(harness.store.memory)

    flows = manager.manager._flows.reading(None, None, KeyUse(reach=AllowedActions.AGAIN))
    with pytest.raises(NotSentError):
        await flows.call("bank", POST, tenant="acme", idempotency_key="k")

    assert [] == harness.vendor.requests
    assert record_count == len(harness.store.memory)
    assert 0 == records_used(harness)


@sync_and_async
async def test_forked_child_does_not_use_its_parent_reservations(harness: Harness) -> None:
    """A forked child does not use its parent's reservations."""
    harness.vendor.answers(*[CHARGED] * 5)
    manager = harness.manager(bank(), records_per_tenant=10**6)
    await charges(manager, 4)
    assert 7 == records_used(harness)

    manager.manager._wired.core.tenant_records.restart_after_fork()
    await charge(manager, key="of the child", tenant="acme")

    assert 8 == records_used(harness)


@pytest.mark.parametrize("bound", [0, -1, 1.5, True, "100"])
def test_bound_must_be_a_positive_integer(bound: Any) -> None:
    """If `records_per_tenant` is not a positive integer, the error contains that name."""
    with pytest.raises(ConfigurationError) as excinfo:
        ConnectorManager([bank()], records_per_tenant=bound)

    assert "records_per_tenant" == excinfo.value.path
