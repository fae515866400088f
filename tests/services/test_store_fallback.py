"""Calls while the shared store is down, and the end of its outage."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    IdempotencyInProgress,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    Service,
    StorageLost,
    StorageRecovered,
    StorageUnavailable,
    VendorFailed,
)
from moorage.adapters.concurrency.forking import restart_in_child
from moorage.domain.idempotency.claims import MarkSent, Settle
from moorage.domain.resilience.admission import Admission
from moorage.domain.resilience.gate_commands import GiveBack, Report
from tests.support.modes import sync_and_async
from tests.support.virtual_ports import START
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from tests.support.modes import AwaitedManager, Harness

GET = Request.get("/rates")
POST = Request.post("/charges", json={"amount": 1})
STORE_AWAY = StorageUnavailable("redis://cache:6379 does not answer.", remedy="Start it.")


def vat(**options: object) -> Service:
    """Return a service with only a circuit, unless a test passes other settings."""
    value = {
        "base_url": "https://vat.example",
        "circuit": CircuitBreakerConfig(failures=2, open_for=600),
        "retry": None,
    } | options
    return Service("vat", **value)  # type: ignore[arg-type]  # as each test says


def sharing_manager(harness: Harness, *services: Service, **ports: Any) -> AwaitedManager:
    """Return a manager, synchronous or asynchronous, over a store that can fail."""
    return harness.watched(*services, state=harness.of_mode(harness.store), **ports)


def events_of(harness: Harness, kind: type) -> list[Any]:
    """Return the recorded events of one class."""
    return [event for event in harness.events if isinstance(event, kind)]


# --- what goes on ----------------------------------------------------------------


@sync_and_async
async def test_calls_go_on_without_their_store(harness: Harness) -> None:
    """If the store cannot read the limits and the circuit, the call is still made."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat(limits=RateLimitConfig(1)))

    assert (await manager.call("vat", GET)).status == 200


@sync_and_async
async def test_local_limits_apply(harness: Harness) -> None:
    """While the store is down, each process applies its limits in memory."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat(limits=RateLimitConfig(1, burst=2), max_limit_wait=0))

    for _ in range(2):
        await manager.call("vat", GET)
    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)

    assert len(harness.vendor.requests) == 2


@sync_and_async
async def test_local_waits_are_confirmed_locally(harness: Harness) -> None:
    """While the store is down, calls wait for the rate limit in memory, in order of arrival."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat(limits=RateLimitConfig(1)))

    await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert [requests.at for requests in harness.vendor.requests] == [0.0, 1.0]


@sync_and_async
async def test_local_circuit_opens(harness: Harness) -> None:
    """While the store is down, a circuit in memory counts failures and refuses calls."""
    harness.store.is_away = STORE_AWAY
    harness.vendor.otherwise = 503
    manager = sharing_manager(harness, vat())

    for _ in range(2):
        with pytest.raises(VendorFailed):
            await manager.call("vat", GET)
    with pytest.raises(CircuitBreakerOpen):
        await manager.call("vat", GET)

    assert (await manager.circuit_state("vat")).state is CircuitState.OPEN
    assert len(harness.vendor.requests) == 2


@sync_and_async
async def test_vendor_pause_is_kept_locally(harness: Harness) -> None:
    """While the store is down, all callers of a process respect a vendor's pause."""
    harness.store.is_away = STORE_AWAY
    harness.vendor.answers(Response(429, {"Retry-After": "5"}))
    manager = sharing_manager(harness, vat(limits=RateLimitConfig(100), circuit=None))

    with pytest.raises(RateLimitExceeded):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert harness.vendor.requests[1].at >= 5.0


@sync_and_async
async def test_grant_survives_an_outage(harness: Harness) -> None:
    """A call that the store has admitted continues even if the store is down by then."""
    manager = sharing_manager(harness, vat(limits=RateLimitConfig(1)))
    await manager.call("vat", GET)

    async def lose_store() -> None:
        harness.store.is_away = STORE_AWAY

    harness.sleeper.meanwhile.append(lose_store)
    await manager.call("vat", GET)

    assert [requests.at for requests in harness.vendor.requests] == [0.0, 1.0]


@sync_and_async
async def test_outcomes_of_local_grants_are_not_posted(harness: Harness) -> None:
    """If limits in memory admitted a call, its outcome is never posted to the store."""
    harness.store.is_away = STORE_AWAY

    async def end_outage(_: object) -> int:
        harness.store.is_away = None
        harness.clock.advance(60)
        return 503

    harness.vendor.answers(end_outage)
    manager = sharing_manager(harness, vat())
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert {
        type(command) for command in harness.store.commands if isinstance(command, Report)
    } == set()
    assert (await manager.circuit_state("vat")).failures == 0


@sync_and_async
async def test_local_grants_are_given_back_locally(harness: Harness) -> None:
    """If a call admitted by an in-memory limit is interrupted, only memory is updated."""
    harness.store.is_away = STORE_AWAY
    harness.vendor.answers(Interruption())
    manager = sharing_manager(harness, vat())

    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert harness.store.posted == []
    assert (await manager.circuit_state("vat")).calls == 0


@sync_and_async
async def test_interrupted_local_wait_frees_its_slot(harness: Harness) -> None:
    """If a caller leaves the in-memory queue of a limit, the next caller gets its slot."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat(limits=RateLimitConfig(1), circuit=None))
    await manager.call("vat", GET)

    async def interrupt() -> None:
        raise Interruption

    harness.sleeper.meanwhile.append(interrupt)
    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert [requests.at for requests in harness.vendor.requests] == [0.0, 1.0]
    assert not any(isinstance(command, GiveBack) for command in harness.store.posted)


@sync_and_async
async def test_expiring_states_are_not_posted_while_the_store_is_down(harness: Harness) -> None:
    """While the store is down, outcomes that would expire before its return are not sent to it."""
    manager = sharing_manager(harness, vat(limits=RateLimitConfig(1)))
    await manager.call("vat", GET)

    async def lose_store() -> None:
        harness.store.is_away = STORE_AWAY
        await manager.call("vat", GET, tenant="other")
        raise Interruption

    harness.sleeper.meanwhile.append(lose_store)
    with pytest.raises(Interruption):
        await manager.call("vat", GET)

    assert harness.store.posted == []


@sync_and_async
async def test_probe_outcome_is_posted_during_an_outage(harness: Harness) -> None:
    """A probe's outcome is posted even while the store is down, so that its slot is freed."""
    harness.vendor.answers(503)
    manager = sharing_manager(harness, vat(circuit=CircuitBreakerConfig(failures=1, open_for=1)))
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    harness.clock.advance(1)

    async def lose_store(_: object) -> int:
        harness.store.is_away = STORE_AWAY
        return 200

    harness.vendor.answers(lose_store)
    await manager.call("vat", GET)

    (result,) = (command for command in harness.store.posted if isinstance(command, Report))
    assert result.permit[2]
    harness.store.is_away = None
    harness.clock.advance(1)
    assert (await manager.circuit_state("vat")).state is CircuitState.CLOSED


# --- what does not ---------------------------------------------------------------


@sync_and_async
async def test_keyed_calls_are_refused(harness: Harness) -> None:
    """While the store is down, each call with a key tries the store, and is refused."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat())

    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="does not answer") as excinfo:
            await manager.call("vat", POST, idempotency_key="k")
        assert (excinfo.value.service, excinfo.value.remedy) == ("vat", "Start it.")

    assert harness.vendor.requests == []
    assert len(harness.store.commands) == 3


@sync_and_async
async def test_sent_mark_must_be_written(harness: Harness) -> None:
    """If the store fails between claiming a key and marking it as sent, nothing is sent."""
    manager = sharing_manager(harness, vat())
    harness.store.fails_at[2] = STORE_AWAY

    with pytest.raises(StorageUnavailable):
        await manager.call("vat", POST, idempotency_key="k")

    assert harness.vendor.requests == []
    assert not (await manager.call("vat", POST, idempotency_key="k")).replayed


@sync_and_async
async def test_key_outcome_is_posted_during_an_outage(harness: Harness) -> None:
    """The outcome of a keyed call is posted even while the store seems to be down."""
    manager = sharing_manager(harness, vat())
    harness.store.fails_at[3] = STORE_AWAY

    await manager.call("vat", POST, idempotency_key="k")

    assert any(isinstance(command, Settle) for command in harness.store.posted)
    assert (await manager.call("vat", POST, idempotency_key="k")).replayed


@sync_and_async
async def test_circuit_is_not_set_in_memory(harness: Harness) -> None:
    """A circuit cannot be set manually while the store is down; this raises an error."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat())

    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="does not answer") as excinfo:
            await manager.set_circuit("vat", CircuitState.FORCED_OPEN)
        assert excinfo.value.remedy == "Start it."

    assert len(harness.store.commands) == 2
    assert (await manager.call("vat", GET)).status == 200


# --- how it is found -------------------------------------------------------------


@sync_and_async
async def test_one_event_reports_outage_and_its_next_probe(harness: Harness) -> None:
    """One event reports an outage and its next probe; another event its end and duration."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat())
    for _ in range(3):
        await manager.call("vat", GET)
    harness.store.is_away = None
    harness.clock.advance(0.1875)
    for _ in range(3):
        await manager.call("vat", GET)

    (lost_event,) = events_of(harness, StorageLost)
    assert (lost_event.service, lost_event.error, lost_event.retry_after) == (
        "state",
        STORE_AWAY.message,
        0.1875,
    )
    assert lost_event.at == START
    (result,) = events_of(harness, StorageRecovered)
    assert (result.service, result.duration) == ("state", 0.1875)
    assert result.at == START + timedelta(seconds=0.1875)


@sync_and_async
async def test_probe_interval_doubles(harness: Harness) -> None:
    """After each failed probe of the store, the interval to the next doubles, up to 0.6 seconds."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat())
    look_times = []
    for _ in range(400):
        commands_before = len(harness.store.commands)
        await manager.call("vat", GET)
        if len(harness.store.commands) > commands_before:
            look_times.append(harness.clock.now)
        harness.clock.advance(0.0625)

    pauses = [later_look - earlier for earlier, later_look in pairwise(look_times)]
    assert pauses[:2] == [0.1875, 0.375]
    assert set(pauses[2:]) == {0.5}


@sync_and_async
async def test_probe_interval_has_jitter(harness: Harness) -> None:
    """Each interval between probes is shortened at random, but at most by half."""
    harness.store.is_away = STORE_AWAY
    for draw in (0.0, 0.999):
        harness.chance.draw = draw
        await sharing_manager(harness, vat()).call("vat", GET)

    assert [lost_event.retry_after for lost_event in events_of(harness, StorageLost)] == [
        0.125,
        0.249875,
    ]


@sync_and_async
async def test_other_callers_do_not_wait_while_one_probes_the_store(harness: Harness) -> None:
    """While one caller probes the store, other callers do not wait for it."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat(circuit=None, limits=RateLimitConfig(1_000)))
    await manager.call("vat", GET)
    harness.clock.advance(1)
    gate = harness.gate()

    async def slowly_answering(_: object) -> None:
        await gate.wait()

    harness.store.meanwhile = slowly_answering
    slow_call = harness.start(lambda: manager.call("vat", GET))
    await gate.reached()
    await manager.call("vat", GET)
    count = len(harness.store.commands)
    gate.open()
    await slow_call.wait_until_over()

    assert (count, len(harness.store.commands)) == (2, 2)
    assert len(harness.vendor.requests) == 3


@sync_and_async
async def test_next_caller_probes_the_store_after_an_interrupted_probe(harness: Harness) -> None:
    """If a caller is interrupted while probing the store, the next caller probes it."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat())
    await manager.call("vat", GET)
    harness.store.is_away = None
    harness.clock.advance(1)
    harness.store.fails_at[2] = Interruption()

    with pytest.raises(Interruption):
        await manager.call("vat", GET)
    await manager.call("vat", GET)

    assert isinstance(harness.store.commands[2], Admission)
    assert len(events_of(harness, StorageRecovered)) == 1


@sync_and_async
async def test_callers_that_lose_store_at_same_time_count_as_one_outage(harness: Harness) -> None:
    """Callers that lose the store at the same time count as one outage."""
    gate = harness.gate()

    async def fail_together(_: object) -> None:
        await gate.wait()
        raise STORE_AWAY

    harness.store.meanwhile = fail_together
    manager = sharing_manager(harness, vat())
    calls = [harness.start(lambda: manager.call("vat", GET)) for _ in range(4)]
    await gate.reached()
    gate.open()
    for call in calls:
        await call.wait_until_over()

    assert [lost_event.retry_after for lost_event in events_of(harness, StorageLost)] == [0.1875]


@sync_and_async
async def test_keyed_call_ends_the_outage(harness: Harness) -> None:
    """A call with a key always tries the store; if it succeeds, the outage is over for all."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat())
    await manager.call("vat", GET)
    harness.store.is_away = None

    await manager.call("vat", POST, idempotency_key="k")

    assert len(events_of(harness, StorageRecovered)) == 1


# --- keys in a store of their own ------------------------------------------------


def with_separate_keys(harness: Harness, *services: Service) -> tuple[AwaitedManager, Any]:
    """Return a manager with a separate store for idempotency keys, and that store."""
    claims = type(harness.store)(harness)
    return sharing_manager(harness, *services, claims=harness.of_mode(claims)), claims


@sync_and_async
async def test_keys_live_in_their_own_store(harness: Harness) -> None:
    """With a separate store for keys, a call with a key needs four commands."""
    manager, claims = with_separate_keys(harness, vat(limits=RateLimitConfig(9)))

    await manager.call("vat", POST, idempotency_key="k")

    names = [type(command).__name__ for command in claims.commands]
    assert names == ["Claim", "MarkSent", "Settle"]
    assert len(harness.store.commands) == 1
    assert (await manager.call("vat", POST, idempotency_key="k")).replayed


@sync_and_async
async def test_claim_is_marked_without_protections(harness: Harness) -> None:
    """A service without limits and circuit marks its idempotency keys as sent, too."""
    manager, claims = with_separate_keys(harness, vat(circuit=None))

    await manager.call("vat", POST, idempotency_key="k")

    assert [type(command).__name__ for command in claims.commands] == [
        "Claim",
        "MarkSent",
        "Settle",
    ]
    assert harness.store.commands == []


@sync_and_async
async def test_failed_mark_releases_the_grant(harness: Harness) -> None:
    """If a key cannot be marked as sent, nothing is sent, and the rate-limit token is returned."""
    manager, claims = with_separate_keys(harness, vat())
    claims.fails_at[2] = STORE_AWAY

    with pytest.raises(StorageUnavailable):
        await manager.call("vat", POST, idempotency_key="k")

    assert harness.vendor.requests == []
    assert [type(command).__name__ for command in harness.store.posted] == ["Report"]
    assert (await manager.circuit_state("vat")).calls == 0


@sync_and_async
async def test_probe_that_cannot_be_marked_frees_its_slot(harness: Harness) -> None:
    """If a probe could not be sent, its slot is free for another probe."""
    harness.vendor.otherwise = 503
    manager, claims = with_separate_keys(
        harness, vat(circuit=CircuitBreakerConfig(failures=1, open_for=1))
    )
    with pytest.raises(VendorFailed):
        await manager.call("vat", GET)
    harness.vendor.otherwise = 200
    harness.clock.advance(1)
    claims.fails_at[2] = STORE_AWAY

    with pytest.raises(StorageUnavailable):
        await manager.call("vat", POST, idempotency_key="k")

    assert (await manager.circuit_state("vat")).probes_under_way == 0
    assert (await manager.call("vat", GET)).status == 200


@sync_and_async
async def test_caller_that_waits_longer_than_its_claim_lasts_sends_nothing(
    harness: Harness,
) -> None:
    """A caller that waits longer than its claim lasts sends nothing."""
    manager, claims = with_separate_keys(harness, vat(limits=RateLimitConfig(9), circuit=None))

    async def advance_clock(command: object) -> None:
        if isinstance(command, MarkSent):
            harness.clock.advance(3_600)

    claims.meanwhile = advance_clock
    with pytest.raises(IdempotencyInProgress) as excinfo:
        await manager.call("vat", POST, idempotency_key="k")

    assert excinfo.value.retry_at is None
    assert harness.vendor.requests == []


@sync_and_async
async def test_stores_fail_separately(harness: Harness) -> None:
    """If one of two stores is down, only calls with keys, or only calls without, are affected."""
    manager, claims = with_separate_keys(harness, vat())
    harness.store.is_away = STORE_AWAY
    assert (await manager.call("vat", POST, idempotency_key="a")).status == 200
    harness.store.is_away, claims.is_away = None, STORE_AWAY
    harness.clock.advance(1)
    assert (await manager.call("vat", GET)).status == 200
    with pytest.raises(StorageUnavailable):
        await manager.call("vat", POST, idempotency_key="b")

    assert [lost_event.service for lost_event in events_of(harness, StorageLost)] == [
        "state",
        "claims",
    ]


@sync_and_async
async def test_interrupted_key_is_released_in_its_store(harness: Harness) -> None:
    """The outcome of an interrupted call with an idempotency key is posted to the store of keys."""
    manager, claims = with_separate_keys(harness, vat())
    harness.vendor.answers(Interruption())

    with pytest.raises(Interruption):
        await manager.call("vat", POST, idempotency_key="k")

    assert [type(command).__name__ for command in claims.posted] == ["Settle"]
    assert [type(command).__name__ for command in harness.store.posted] == ["Report"]


@sync_and_async
async def test_keyed_call_with_one_store_needs_three_commands(harness: Harness) -> None:
    """With one store for everything, a call with a key needs three commands."""
    store = harness.of_mode(harness.store)
    manager = harness.watched(vat(), state=store, claims=store)

    await manager.call("vat", POST, idempotency_key="k")

    assert len(harness.store.commands) == 3


@sync_and_async
async def test_forked_child_probes_the_store_that_its_parent_was_probing(harness: Harness) -> None:
    """If a process forks while one of its callers probes the store, the child probes it too."""
    harness.store.is_away = STORE_AWAY
    manager = sharing_manager(harness, vat())
    await manager.call("vat", GET)
    harness.clock.advance(1)
    commands_of_child: list[object] = []

    async def fork(command: object) -> None:
        harness.store.meanwhile = None
        restart_in_child()
        await manager.call("vat", GET)
        commands_of_child.extend(harness.store.commands[2:])

    harness.store.meanwhile = fork
    await manager.call("vat", GET)

    assert ["_CircuitAdmission"] == [type(command).__name__ for command in commands_of_child]
