"""A tenant at the bound of its records is refused alone, before anything is sent."""

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
from tests.support.modes import World, sync_and_async

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager

CHARGED = Response(201, body=b"charged")


async def charges(manager: AwaitedManager, count: int, *, tenant: str | None = "acme") -> None:
    """Make charges with different keys."""
    for number in range(count):
        await charge(manager, key=f"{tenant}-{number}", tenant=tenant)


async def refused_charge(manager: AwaitedManager, key: str = "new", **options: Any) -> Any:
    """Make a charge that is refused by the bound, and return the refusal."""
    with pytest.raises(TenantRecordsExhausted) as caught:
        await charge(manager, key=key, tenant="acme", **options)
    return caught.value


def used(world: World) -> int:
    """Return the number of the tenant's records, by its reservations."""
    return world.store.memory.execute(CountRecords("acme"))


@sync_and_async
async def test_new_key_at_the_bound_is_not_sent(world: World) -> None:
    """A tenant at its bound gets an error with the numbers, and nothing is sent or stored."""
    world.vendor.answers(*[CHARGED] * 3)
    manager = world.manager(bank(), records_per_tenant=3)
    await charges(manager, 3)
    stored = len(world.store.memory)

    error = await refused_charge(manager)

    assert 3 == len(world.vendor.requests)
    assert stored == len(world.store.memory)
    assert ("acme", 3, 3) == (error.tenant, error.used, error.bound)
    assert "The tenant acme uses 3 of 3 idempotency records" in str(error)
    assert "bank" == error.service
    assert 0 == error.attempts
    assert error.retryable


@sync_and_async
async def test_other_tenants_are_not_affected(world: World) -> None:
    """Other tenants, and calls without a tenant, go on while one is at its bound."""
    world.vendor.answers(*[CHARGED] * 7)
    manager = world.manager(bank(), records_per_tenant=1)
    await charges(manager, 1)
    await refused_charge(manager)

    await charges(manager, 1, tenant="other")
    await charges(manager, 5, tenant=None)

    assert 7 == len(world.vendor.requests)


@sync_and_async
async def test_stored_answers_are_replayed_at_the_bound(world: World) -> None:
    """A repeated key gets its answer at the bound."""
    world.vendor.answers(CHARGED)
    manager = world.manager(bank(), records_per_tenant=1)
    await charges(manager, 1)
    await refused_charge(manager)

    repeat = await charge(manager, key="acme-0", tenant="acme")

    assert repeat.replayed
    assert 1 == used(world)


@sync_and_async
async def test_freed_key_is_claimed_at_the_bound(world: World) -> None:
    """A key whose first call certainly did nothing can be called again at the bound."""
    world.vendor.answers(Response(503), CHARGED)
    manager = world.manager(
        bank(idempotency_header="Idempotency-Key", idempotency_memory=86_400), records_per_tenant=1
    )
    with pytest.raises(Exception, match="503"):
        await charge(manager, key="k", tenant="acme")
    await refused_charge(manager)

    repeat = await charge(manager, key="k", tenant="acme")

    assert 201 == repeat.status
    assert 1 == used(world)


@sync_and_async
async def test_retries_of_a_key_count_once(world: World) -> None:
    """A key that is called again and again during an outage of its vendor is counted once."""
    manager = world.manager(key_aware_bank(), records_per_tenant=2)
    for number in range(10):
        world.vendor.answers(Response(503))
        with pytest.raises(ConnectorError, match="503"):
            await charge(manager, key="k", tenant="acme")
        # Its place covers some of these repeats; then it takes another, and returns the first.
        world.clock.advance(3_600 * (number % 3))
        assert 1 == used(world)

    world.vendor.answers(CHARGED)
    await charge(manager, key="new", tenant="acme")
    assert 2 == used(world)


@sync_and_async
async def test_retries_at_the_bound_count_once_in_a_while(world: World) -> None:
    """A freed key that is called anew at the bound is counted beyond it at most once a step."""
    manager = world.manager(key_aware_bank(), records_per_tenant=1)
    # The place beyond the bound replaces the one within it; its own end is not known.
    for wait, count in ((0, 1), (0, 1), (7_200, 1), (0, 1), (7_200, 2), (0, 2)):
        world.clock.advance(wait)
        world.vendor.answers(Response(503))
        with pytest.raises(ConnectorError, match="503"):
            await charge(manager, key="k", tenant="acme")
        assert count == used(world)


@sync_and_async
async def test_key_keeps_its_place_when_the_claim_gets_no_answer(world: World) -> None:
    """Repeats of a call whose claim got no answer share one place, whether it was made or not."""
    manager = world.manager(
        key_aware_bank(), state=world.of_mode(world.store), records_per_tenant=10
    )
    trip = 0
    for _ in range(4):
        # The first call reserves a place before its claim.
        trip = len(world.store.commands) + (1 if trip else 2)
        world.store.lost_at[trip] = StorageUnavailable("the store answers nothing")
        with pytest.raises(StorageUnavailable):
            await charge(manager, key="k", tenant="acme")
        assert isinstance(world.store.commands[-1], Claim)
        world.clock.advance(2)

    assert 1 == used(world)


@sync_and_async
async def test_reservation_and_claim_share_one_deadline(world: World) -> None:
    """The claim after a slow reservation gets only the time that is left until the deadline."""
    manager = world.manager(
        bank(timeout=30), state=world.of_mode(world.store), records_per_tenant=10
    )
    world.vendor.answers(CHARGED)

    async def be_slow(command: object) -> None:
        if isinstance(command, Reserve):
            world.clock.advance(20)

    world.store.meanwhile = be_slow
    await charge(manager, key="k", tenant="acme")

    reserving, claiming, *_ = world.store.timeouts
    assert isinstance(world.store.commands[1], Claim)
    assert reserving - claiming == pytest.approx(20)


@sync_and_async
async def test_many_keys_forget_their_places(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process remembers the places of its last keys; a key that it forgot is counted anew."""
    monkeypatch.setattr(tenant_records, "_MAX_TAKEN", 1)
    manager = world.manager(key_aware_bank(), records_per_tenant=10)
    for key in ("a", "b", "a"):
        world.vendor.answers(Response(503))
        with pytest.raises(ConnectorError, match="503"):
            await charge(manager, key=key, tenant="acme")

    assert 3 == used(world)


@sync_and_async
async def test_claim_under_way_settles_at_the_bound(world: World) -> None:
    """A call that is under way stores its answer, although its tenant reached the bound since."""
    manager = world.manager(bank(), records_per_tenant=2)

    async def answer(_: object) -> Response:
        await charge(manager, key="meanwhile", tenant="acme")
        await refused_charge(manager)
        return CHARGED

    world.vendor.answers(answer, CHARGED)
    await charge(manager, key="k", tenant="acme")

    assert (await charge(manager, key="k", tenant="acme")).replayed
    assert 2 == len(world.vendor.requests)


@sync_and_async
async def test_records_that_expire_make_room(world: World) -> None:
    """When records expire, the tenant's new keys are accepted again, as the error says."""
    world.vendor.answers(*[CHARGED] * 2)
    manager = world.manager(bank(idempotency_ttl=100), records_per_tenant=1)
    await charges(manager, 1)
    error = await refused_charge(manager)
    assert error.retry_at is not None
    wait = error.retry_at - world.clock.utc()
    assert timedelta(seconds=100) < wait < timedelta(seconds=150)

    world.clock.advance(wait.total_seconds())
    await charge(manager, key="new", tenant="acme")

    assert 2 == len(world.vendor.requests)


@sync_and_async
async def test_refused_calls_ask_for_the_count_once_a_second(world: World) -> None:
    """A storm of refused calls reads its keys, and asks for the tenant's count once a second."""
    manager = world.manager(bank(), state=world.of_mode(world.store), records_per_tenant=1)
    world.vendor.answers(CHARGED)
    await charges(manager, 1)

    def questions() -> int:
        return sum(isinstance(command, Reserve) for command in world.store.commands)

    first = questions()
    for number in range(20):
        await refused_charge(manager, key=f"new-{number}")
    assert first + 1 == questions()
    world.clock.advance(1.001)
    await refused_charge(manager)
    assert first + 2 == questions()


@sync_and_async
async def test_places_are_reserved_in_growing_numbers(world: World) -> None:
    """A busy tenant's claims change the count rarely, and unused places are returned in time."""
    manager = world.manager(bank(), state=world.of_mode(world.store), records_per_tenant=10**6)
    world.vendor.answers(*[CHARGED] * 101)
    await charges(manager, 100)
    reserved = [command for command in world.store.commands if isinstance(command, Reserve)]
    assert [1, 2, 4, 8, 16, 32, 64] == [command.number for command in reserved]
    assert 127 == used(world)

    world.clock.advance(DAY / 10**6 / 16)
    await charge(manager, key="later", tenant="acme")

    assert 101 == used(world)


@sync_and_async
async def test_near_bound_event_is_told_once(world: World) -> None:
    """Observers hear once that a tenant uses 80 %, and again after there was room."""
    world.vendor.answers(*[CHARGED] * 20)
    manager = world.watched(bank(idempotency_ttl=100), records_per_tenant=10)

    def warnings() -> list[tuple[str, str | None, int, int]]:
        return [
            (event.service, event.tenant, event.used, event.bound)
            for event in world.events
            if isinstance(event, TenantRecordsNearBound)
        ]

    await charges(manager, 6)
    assert [] == warnings()
    await charges(manager, 10)
    assert 1 == len(warnings())
    ((service, tenant, number, bound),) = warnings()
    assert ("bank", "acme", 10) == (service, tenant, bound)
    assert 8 <= number <= 10

    world.clock.advance(300)
    for number in range(10):
        await charge(manager, key=f"later-{number}", tenant="acme")
    assert 2 == len(warnings())


@sync_and_async
async def test_many_tenants_keep_no_places_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The places that a process has in advance are returned when too many tenants have some."""
    monkeypatch.setattr(tenant_records, "_MAX_STOCKS", 2)
    world.vendor.answers(*[CHARGED] * 9)
    manager = world.manager(bank(), records_per_tenant=10**6)
    await charges(manager, 5)
    assert 7 == used(world)

    for tenant in ("b", "c"):
        await charges(manager, 1, tenant=tenant)

    assert 5 == used(world)


@sync_and_async
async def test_busy_tenants_keep_their_places(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many tenants cost the places of the tenant that has made no call for the longest time."""
    monkeypatch.setattr(tenant_records, "_MAX_STOCKS", 2)
    world.vendor.answers(*[CHARGED] * 9)
    manager = world.manager(bank(), records_per_tenant=10**6)
    await charges(manager, 5)
    await charges(manager, 1, tenant="b")
    await charge(manager, key="again", tenant="acme")
    await charges(manager, 1, tenant="c")

    assert 7 == used(world)


@sync_and_async
async def test_looking_up_a_new_key_makes_no_record(world: World) -> None:
    """A call that may only repeat an earlier request stores nothing for a new key."""
    manager = world.manager(bank(), records_per_tenant=1)
    stored = len(world.store.memory)

    flows = manager.manager._flows.reading(None, None, KeyUse(reach=AllowedActions.AGAIN))
    with pytest.raises(NotSentError):
        await flows.call("bank", POST, tenant="acme", idempotency_key="k")

    assert [] == world.vendor.requests
    assert stored == len(world.store.memory)
    assert 0 == used(world)


@sync_and_async
async def test_forked_child_reserves_its_own_places(world: World) -> None:
    """A forked child uses no place that its parent has reserved."""
    world.vendor.answers(*[CHARGED] * 5)
    manager = world.manager(bank(), records_per_tenant=10**6)
    await charges(manager, 4)
    assert 7 == used(world)

    manager.manager._wired.core.tenant_records.start_afresh()
    await charge(manager, key="of the child", tenant="acme")

    assert 8 == used(world)


@pytest.mark.parametrize("bound", [0, -1, 1.5, True, "100"])
def test_bound_must_be_a_positive_integer(bound: Any) -> None:
    """A bound that is not a positive integer is refused with the setting's name."""
    with pytest.raises(ConfigurationError) as caught:
        ConnectorManager([bank()], records_per_tenant=bound)

    assert "records_per_tenant" == caught.value.path
