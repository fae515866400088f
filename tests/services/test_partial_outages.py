"""Partial store outages: a node is down, a limit's state is unusable, or replies are slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Service,
    StateSubstituted,
    StateUnavailable,
    StorageLost,
    StorageRecovered,
    StorageUnavailable,
    VendorFailed,
)
from moorage.domain.resilience.gate_commands import Report
from moorage.domain.resilience.outage import substitute
from tests.support.modes import sync_and_async
from tests.support.virtual_tasks import Interruption

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command
    from tests.support.modes import AwaitedManager, Harness

GET = Request.get("/rates")
POST = Request.post("/charges", json={"amount": 1})
NODE_AWAY = StorageUnavailable("the node does not answer.")
NEWER = "A stored state has version 2."


def vat(**options: object) -> Service:
    """Return a service with only a rate limit, unless a test passes other settings."""
    value = {
        "base_url": "https://vat.example",
        "circuit": None,
        "limits": RateLimitConfig(1, burst=2),
        "max_limit_wait": 0,
        "retry": None,
    } | options
    return Service("vat", **value)  # type: ignore[arg-type]  # as each test says


def sharing_manager(harness: Harness, *services: Service) -> AwaitedManager:
    """Return a manager, synchronous or asynchronous, over a store that can fail."""
    return harness.watched(*services, state=harness.of_mode(harness.store))


def events_of(harness: Harness, kind: type) -> list[Any]:
    """Return the recorded events of one class."""
    return [event for event in harness.events if isinstance(event, kind)]


async def count_admitted_calls(manager: AwaitedManager, tenant: str, times: int = 5) -> int:
    """Make this many calls; return how many of them the tenant's rate limit admits."""
    count = 0
    for _ in range(times):
        try:
            await manager.call("vat", GET, tenant=tenant)
        except RateLimitExceeded:
            continue
        count += 1
    return count


class Cluster:
    """Turns the store into a cluster of two nodes, chosen by tenant, that can fail separately."""

    def __init__(self, harness: Harness) -> None:
        self.away: set[str] = set()
        self.known = True
        harness.store.node_of = self.node_of  # type: ignore[attr-defined]  # as an adapter may have it
        harness.store.meanwhile = self.answer

    def node_of(self, command: Command[Any]) -> str:
        """Return the node that stores the idempotency keys of a command."""
        return ("a:1" if "@a:" in command.keys[0] else "b:2") if self.known else ""

    async def answer(self, command: Command[Any]) -> None:
        """Raise an error if the node is down."""
        if {self.node_of(command), "all"} & self.away:
            raise NODE_AWAY


class StateCorruption:
    """A store in which all states are unusable whose keys contain one of these strings."""

    def __init__(self, harness: Harness, *parts: str, tells_key: bool = True) -> None:
        self.parts = parts
        self.tells_key = tells_key
        self.met: list[str] = []
        harness.store.meanwhile = self.answer

    async def answer(self, command: Command[Any]) -> None:
        """Raise an error if a state that the command needs is unusable."""
        for key in command.keys:
            if any(part in key for part in self.parts) and "instead" not in key:
                self.met.append(key)
                raise StateUnavailable(NEWER, key=key if self.tells_key else None)


# --- a node ----------------------------------------------------------------------


@sync_and_async
async def test_dead_node_affects_only_its_keys(harness: Harness) -> None:
    """While one node is down, tenants on other nodes keep their shared limit."""
    cluster = Cluster(harness)
    workers = [sharing_manager(harness, vat()) for _ in range(3)]
    cluster.away.add("a:1")

    assert [2, 2, 2] == [await count_admitted_calls(worker, "a") for worker in workers]
    assert 2 == sum([await count_admitted_calls(worker, "b") for worker in workers])
    assert [("state", "a:1")] * 3 == [
        (lost_event.service, lost_event.node) for lost_event in events_of(harness, StorageLost)
    ]


@sync_and_async
async def test_nodes_recover_separately(harness: Harness) -> None:
    """A reply from one node does not end the outage of another; events name the affected node."""
    cluster = Cluster(harness)
    worker = sharing_manager(harness, vat())
    cluster.away |= {"a:1", "b:2"}
    for tenant in "ab":
        await count_admitted_calls(worker, tenant, 1)
    cluster.away.remove("b:2")
    harness.clock.advance(1)
    for tenant in "ab":
        await count_admitted_calls(worker, tenant, 1)

    assert ["b:2"] == [result.node for result in events_of(harness, StorageRecovered)]
    assert ["a:1", "b:2", "a:1"] == [
        lost_event.node for lost_event in events_of(harness, StorageLost)
    ]


@sync_and_async
async def test_first_answering_node_ends_outage_that_began_before_nodes_were_known(
    harness: Harness,
) -> None:
    """If an outage began before the nodes were known, the first reply from any node ends it."""
    cluster = Cluster(harness)
    worker = sharing_manager(harness, vat())
    cluster.known, cluster.away = False, {"all"}
    await count_admitted_calls(worker, "a", 1)
    cluster.known, cluster.away = True, set()
    await count_admitted_calls(worker, "b", 1)

    assert [""] == [lost_event.node for lost_event in events_of(harness, StorageLost)]
    assert [""] == [result.node for result in events_of(harness, StorageRecovered)]


@sync_and_async
async def test_nothing_is_posted_to_a_dead_node(harness: Harness) -> None:
    """Nothing is posted to a node that is down; other nodes still receive commands."""
    cluster = Cluster(harness)
    worker = sharing_manager(harness, vat(circuit=CircuitBreakerConfig(), limits=()))

    for tenant in "ab":

        async def lose_store(_: object) -> Any:
            cluster.away.add("a:1")
            await worker.call("vat", GET, tenant="a")
            raise Interruption

        harness.vendor.answers(lose_store)
        with pytest.raises(Interruption):
            await worker.call("vat", GET, tenant=tenant)
        cluster.away.clear()
        harness.clock.advance(9)
        await worker.call("vat", GET, tenant="a")

    assert ["@b" in command.keys[0] for command in harness.store.posted] == [True]


# --- a state ---------------------------------------------------------------------


@sync_and_async
async def test_unusable_state_affects_nothing_else(harness: Harness) -> None:
    """A tenant whose circuit state is unusable keeps its shared limit, and so do other tenants."""
    StateCorruption(harness, "{@a:vat}:circuit")
    workers = [sharing_manager(harness, vat(circuit=CircuitBreakerConfig())) for _ in range(3)]

    assert 2 == sum([await count_admitted_calls(worker, "a") for worker in workers])
    assert 2 == sum([await count_admitted_calls(worker, "b") for worker in workers])
    assert [] == events_of(harness, StorageLost)


@sync_and_async
async def test_substitute_state_is_shared(harness: Harness) -> None:
    """Processes that cannot use a limit's or circuit's state share a substitute in the store."""
    StateCorruption(harness, "@a:")
    circuit = CircuitBreakerConfig(failures=2)
    value, second_worker = (
        sharing_manager(harness, vat(circuit=circuit, limits=RateLimitConfig(9))) for _ in "ab"
    )
    harness.vendor.otherwise = 503
    for worker in (value, second_worker):
        with pytest.raises(VendorFailed):
            await worker.call("vat", GET, tenant="a")
    with pytest.raises(CircuitBreakerOpen):
        await value.call("vat", GET, tenant="a")

    assert CircuitState.OPEN is (await second_worker.circuit_state("vat", tenant="a")).state
    assert CircuitState.CLOSED is (await second_worker.circuit_state("vat", tenant="b")).state


@sync_and_async
async def test_unusable_state_is_reported_once(harness: Harness) -> None:
    """Observers get one event for each unusable state, with its key and the reason."""
    unusable_store = StateCorruption(harness, "@a:")
    worker = sharing_manager(harness, vat(limits=(RateLimitConfig(9), RateLimitConfig(8))))
    for _ in range(8):
        await worker.call("vat", GET, tenant="a")
        harness.clock.advance(1)

    events = events_of(harness, StateSubstituted)
    assert 2 == len(events)
    assert 2 < len(unusable_store.met)
    assert {("state", NEWER)} == {(event.service, event.error) for event in events}
    assert set(unusable_store.met) == {event.key for event in events}


@sync_and_async
async def test_unusable_state_is_tried_again(harness: Harness) -> None:
    """After a few seconds an unusable state is tried again, and reported again if it fails."""
    unusable_store = StateCorruption(harness, "@a:")
    worker = sharing_manager(harness, vat())
    assert 2 == await count_admitted_calls(worker, "a")
    parts, unusable_store.parts = unusable_store.parts, ()
    assert 0 == await count_admitted_calls(worker, "a")
    harness.clock.advance(5)
    keys = harness.store.commands
    assert 2 == await count_admitted_calls(worker, "a")
    assert "instead" not in keys[-1].keys[0]
    unusable_store.parts = parts
    harness.clock.advance(1)
    await count_admitted_calls(worker, "a")

    assert 2 == len(events_of(harness, StateSubstituted))


@sync_and_async
async def test_all_states_of_a_command_are_replaced_if_none_is_named(harness: Harness) -> None:
    """If the store does not say which state is unusable, all states of the command are replaced."""
    StateCorruption(harness, ":circuit", tells_key=False)
    workers = [sharing_manager(harness, vat(circuit=CircuitBreakerConfig())) for _ in range(2)]

    assert 2 == sum([await count_admitted_calls(worker, "a") for worker in workers])
    assert 2 == len({event.key for event in events_of(harness, StateSubstituted)})


@sync_and_async
async def test_substitutes_share_the_callers_time(harness: Harness) -> None:
    """A command with a substitute waits only for the rest of its caller's time."""

    async def refuse(command: Command[Any]) -> None:
        if "instead" not in command.keys[0]:
            harness.clock.advance(1)
            raise StateUnavailable(NEWER, key=command.keys[0])

    harness.store.meanwhile = refuse
    worker = sharing_manager(harness, vat())
    await worker.call("vat", GET, timeout=4)

    first, second = harness.store.timeouts[:2]
    assert first is not None
    assert second is not None
    assert first > second


@sync_and_async
async def test_memory_replaces_unusable_substitutes(harness: Harness) -> None:
    """If the replacement states are unusable too, the process counts in memory."""

    async def refuse(command: Command[Any]) -> None:
        raise StateUnavailable(NEWER, key=command.keys[0])

    harness.store.meanwhile = refuse
    worker = sharing_manager(harness, vat(circuit=CircuitBreakerConfig()))

    assert 2 == await count_admitted_calls(worker, "a")
    assert [] == events_of(harness, StorageLost)


@sync_and_async
async def test_unusable_claim_is_refused(harness: Harness) -> None:
    """If the state of an idempotency key is unusable, only calls with that key are refused."""
    StateCorruption(harness, "}:key")
    worker = sharing_manager(harness, vat(circuit=CircuitBreakerConfig()))

    with pytest.raises(StateUnavailable, match="version 2") as excinfo:
        await worker.call("vat", POST, idempotency_key="k")
    with pytest.raises(StorageUnavailable):
        await worker.call("vat", POST, idempotency_key="k")

    assert "vat" == excinfo.value.service
    assert [] == harness.vendor.requests
    assert [] == events_of(harness, StorageLost) + events_of(harness, StateSubstituted)
    assert 200 == (await worker.call("vat", GET)).status


@sync_and_async
async def test_key_is_claimed_despite_an_unusable_circuit(harness: Harness) -> None:
    """A key can be claimed even if the state of the call's circuit is unusable."""
    StateCorruption(harness, ":circuit")
    worker = sharing_manager(harness, vat(circuit=CircuitBreakerConfig()))

    assert not (await worker.call("vat", POST, idempotency_key="k")).replayed
    assert (await worker.call("vat", POST, idempotency_key="k")).replayed


@sync_and_async
async def test_unusable_circuit_cannot_be_set_by_hand(harness: Harness) -> None:
    """Setting a circuit manually raises an error if its shared state is unusable."""
    StateCorruption(harness, ":circuit")
    worker = sharing_manager(harness, vat(circuit=CircuitBreakerConfig()))

    with pytest.raises(StateUnavailable):
        await worker.set_circuit("vat", CircuitState.FORCED_OPEN)


@sync_and_async
async def test_unusable_state_proves_that_the_store_works(harness: Harness) -> None:
    """A store that reports an unusable state counts as available again."""
    worker = sharing_manager(harness, vat())
    harness.store.is_away = NODE_AWAY
    await count_admitted_calls(worker, "b", 1)
    harness.store.is_away = None
    StateCorruption(harness, "@a:")
    harness.clock.advance(1)
    await count_admitted_calls(worker, "a", 1)

    assert [StorageLost, StorageRecovered, StateSubstituted] == [
        type(event)
        for event in harness.events
        if isinstance(event, (StorageLost, StorageRecovered, StateSubstituted))
    ]


@pytest.mark.untraced
@sync_and_async
async def test_remembered_unusable_states_are_bounded(harness: Harness) -> None:
    """The number of remembered unusable states is limited."""
    StateCorruption(harness, ":limit")
    worker = sharing_manager(harness, vat())
    for number in range(1_005):
        await worker.call("vat", GET, tenant=f"t{number}")
    commands_before = len(harness.store.commands)
    for number in (1_004, 0):
        await worker.call("vat", GET, tenant=f"t{number}")

    assert 3 == len(harness.store.commands) - commands_before


@sync_and_async
async def test_interrupted_call_releases_in_the_substitute(harness: Harness) -> None:
    """An interrupted call frees its slot in the state, original or substitute, that counted it."""
    StateCorruption(harness, ":circuit")
    harness.vendor.answers(Interruption())
    worker = sharing_manager(harness, vat(circuit=CircuitBreakerConfig()))

    with pytest.raises(Interruption):
        await worker.call("vat", GET)

    (report,) = harness.store.posted
    assert isinstance(report, Report)
    assert report.keys[0].endswith(substitute(""))
    assert 0 == (await worker.circuit_state("vat")).calls


class UnreadableSubstitutes:
    """Makes a limit's state and some of its substitutes unreadable."""

    def __init__(self, harness: Harness, substitutes: int) -> None:
        self.substitutes = substitutes
        harness.store.meanwhile = self.answer

    async def answer(self, command: Command[Any]) -> None:
        """Raise an error if a state that the command needs is unreadable."""
        for key in command.keys:
            if ":limit" in key and key.count(substitute("")) <= self.substitutes:
                raise StateUnavailable(NEWER, key=key)


@pytest.mark.parametrize("key", [None, "order"])
@sync_and_async
async def test_unreadable_substitute_has_a_substitute(harness: Harness, key: str | None) -> None:
    """Calls continue, with or without a key, if a limit's replacement state is unreadable too."""
    UnreadableSubstitutes(harness, 1)
    workers = [sharing_manager(harness, vat()) for _ in range(2)]
    ends: list[Any] = []
    for number in range(4):
        try:
            options = {} if key is None else {"idempotency_key": f"{key}-{number}"}
            ends.append((await workers[number % 2].call("vat", POST, **options)).status)
        except RateLimitExceeded as error:
            ends.append(type(error))

    assert [200, 200, RateLimitExceeded, RateLimitExceeded] == ends


@sync_and_async
async def test_calls_with_key_are_refused_if_all_substitutes_are_unreadable(
    harness: Harness,
) -> None:
    """If all replacements are unreadable, only calls without an idempotency key continue."""
    UnreadableSubstitutes(harness, 99)
    worker = sharing_manager(harness, vat())

    with pytest.raises(StateUnavailable):
        await worker.call("vat", POST, idempotency_key="order")

    assert [] == harness.vendor.requests
    assert 200 == (await worker.call("vat", GET)).status


# --- limits that do not go on ----------------------------------------------------


@sync_and_async
async def test_refusing_limit_admits_nothing_without_its_store(harness: Harness) -> None:
    """With `without_store="refuse"` a rate limit refuses all calls while its store is down."""
    manager = sharing_manager(
        harness, vat(limits=RateLimitConfig(1, burst=9, without_store="refuse"))
    )
    await manager.call("vat", GET)
    harness.store.is_away = NODE_AWAY
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="does not answer") as excinfo:
            await manager.call("vat", GET)
        assert ("vat", True) == (excinfo.value.service, excinfo.value.retryable)
    harness.store.is_away = None

    assert 200 == (await manager.call("vat", GET)).status
    assert 2 == len(harness.vendor.requests)
    assert 1 == len(events_of(harness, StorageRecovered))


@sync_and_async
async def test_limit_continues_with_its_share(harness: Harness) -> None:
    """With `without_store=0.5` a process applies half of the limit while the store is down."""
    harness.store.is_away = NODE_AWAY
    limit = RateLimitConfig(4, burst=4, without_store=0.5)
    manager = sharing_manager(harness, vat(limits=limit, max_limit_wait=None))

    for _ in range(4):
        await manager.call("vat", GET)

    assert [0.0, 0.0, 0.5, 1.0] == [requests.at for requests in harness.vendor.requests]


# --- a store that is slow --------------------------------------------------------


class SlowStore:
    """Makes the store slow; a command fails if its caller's time ends first."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.delay = 0.0
        self.slow = False
        harness.store.meanwhile = self.answer

    async def answer(self, command: Command[Any]) -> None:
        """Wait for the configured delay; raise an error if the caller's deadline passes first."""
        time_bound = self.harness.store.timeouts[-1]
        self.harness.clock.advance(min(self.delay, time_bound))
        if self.delay > time_bound:
            raise StorageUnavailable("the store did not answer in time.", slow=self.slow)


@sync_and_async
async def test_slow_store_is_awaited(harness: Harness) -> None:
    """Limits stay shared while a slow store answers within the deadline."""
    slow_store = SlowStore(harness)
    workers = [
        sharing_manager(harness, vat(timeout=8, limits=RateLimitConfig(0.01))) for _ in range(3)
    ]
    slow_store.delay = 5

    assert 1 == sum([await count_admitted_calls(worker, "a", 2) for worker in workers])
    assert [] == events_of(harness, StorageLost)
    assert {6.0} == set(harness.store.timeouts)


@sync_and_async
async def test_silent_store_leaves_time_for_the_call(harness: Harness) -> None:
    """If a store does not reply, a call waits for a part of its own time, ten seconds at most."""
    slow_store = SlowStore(harness)
    slow_store.delay = 1_000
    for timeout, longest_wait in ((0.2, 0.15), (8, 6.0), (600, 10.0)):
        start_time = harness.clock.now
        assert 200 == (await sharing_manager(harness, vat(timeout=timeout)).call("vat", GET)).status
        assert longest_wait == pytest.approx(harness.clock.now - start_time)


@sync_and_async
async def test_calls_that_need_the_store_wait_until_the_deadline(harness: Harness) -> None:
    """Calls with a key, or with a limit that requires the store, wait up to a minute for it."""
    slow_store = SlowStore(harness)
    slow_store.delay = 1_000
    refusing_config = RateLimitConfig(1, without_store="refuse")
    for service, options in ((vat(limits=refusing_config), {}), (vat(), {"idempotency_key": "k"})):
        for timeout, time_bound in ((8.0, 8.0), (600.0, 60.0)):
            with pytest.raises(StorageUnavailable):
                await sharing_manager(harness, service).call(
                    "vat", POST, timeout=timeout, **options
                )
            assert time_bound == harness.store.timeouts[-1]


@sync_and_async
async def test_store_that_answers_others_is_not_down(harness: Harness) -> None:
    """A store that has just replied to another call counts as slow, not as down."""
    slow_store = SlowStore(harness)
    worker = sharing_manager(harness, vat(timeout=4, limits=RateLimitConfig(9)))
    await worker.call("vat", GET)
    slow_store.delay = 100
    with pytest.raises(StorageUnavailable, match="in time"):
        await worker.call("vat", GET)
    assert [] == events_of(harness, StorageLost)
    harness.clock.advance(5)

    assert 200 == (await worker.call("vat", GET)).status
    assert 1 == len(events_of(harness, StorageLost))


@sync_and_async
async def test_store_that_reports_being_slow_is_not_down(harness: Harness) -> None:
    """A store that reports that it is busy counts as slow, even if it has never replied."""
    slow_store = SlowStore(harness)
    slow_store.delay, slow_store.slow = 100, True
    worker = sharing_manager(harness, vat(timeout=4))
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="in time"):
            await worker.call("vat", GET)

    assert [] == events_of(harness, StorageLost)


@sync_and_async
async def test_next_caller_probes_again_if_probe_finds_store_slow(harness: Harness) -> None:
    """If a probe finds the store slow, the next caller probes again."""
    worker = sharing_manager(harness, vat(timeout=4, limits=RateLimitConfig(9)))
    harness.store.is_away = NODE_AWAY
    await worker.call("vat", GET)
    harness.store.is_away = None
    slow_store = SlowStore(harness)
    slow_store.delay, slow_store.slow = 100, True
    harness.clock.advance(1)
    with pytest.raises(StorageUnavailable):
        await worker.call("vat", GET)
    slow_store.delay = 0
    await worker.call("vat", GET)

    assert 1 == len(events_of(harness, StorageRecovered))


@sync_and_async
async def test_refused_connection_is_an_outage(harness: Harness) -> None:
    """A store that refuses connections counts as down, even if it has just replied."""
    worker = sharing_manager(harness, vat())
    await worker.call("vat", GET)
    harness.store.is_away = NODE_AWAY

    assert 200 == (await worker.call("vat", GET)).status
    assert 1 == len(events_of(harness, StorageLost))


@sync_and_async
async def test_waiting_repeat_survives_an_outage(harness: Harness) -> None:
    """A caller that waits for another's response keeps waiting through an outage of the store."""
    gate = harness.gate()
    worker = sharing_manager(harness, vat())
    harness.vendor.answers(gate.answering(200))
    holder = harness.start(lambda: worker.call("vat", POST, idempotency_key="k"))
    await gate.reached()

    async def lose_store() -> None:
        harness.store.is_away = NODE_AWAY

    async def find() -> None:
        harness.store.is_away = None
        gate.open()
        await holder.wait_until_over()

    async def do_nothing() -> None:
        return

    harness.sleeper.meanwhile.extend([lose_store, do_nothing, do_nothing, find])

    assert (await worker.call("vat", POST, idempotency_key="k")).replayed
