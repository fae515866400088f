"""A simulation in which steps of several processes interleave, and any step can fail.

Workers run the real code, over ports that pass each step to one scheduler. The scheduler draws
the next worker and the next fault from one seeded generator, so the same seed repeats the same run
exactly. Time is virtual, and advances only when the scheduler advances it.

A crash stops a worker for ever; not even its `finally` blocks run. A cancellation is raised at the
step for which the worker waits. The store may be down, lose its reply after it applied a command,
or get the same command twice; its clock may step. In every other simulation, workers go on without
a store that is down, each in its own memory. The vendor may be slow, process a request without
responding, or respond without processing; only the vendor knows which requests had an effect.
"""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.domain.idempotency.former_shard import ExecuteOnFormerShard
from moorage.domain.resilience.admission import Admission
from moorage.domain.state.sharding import Location, location_of
from moorage.domain.values.durations import FOREVER
from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    StateUnavailable,
    StorageUnavailable,
)
from moorage.services.core.core import Core
from moorage.services.state.refusals import Refusals
from moorage.services.state.store_fallback import StoreFallback

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator

    from moorage.domain.state.commands import Command, State

START = 1_750_000_000_000_000
SILENCE = 5_000_000
"""Microseconds without a reply after which a slow store counts as down."""


class WorkerCancelled(BaseException):
    """Raised in a simulated worker whose task was cancelled."""


@attrs.define
class SchedulerStep:
    """A step that a worker waits for, which the scheduler runs when it selects the worker."""

    what: str
    act: Callable[[], Any]

    def __await__(self) -> Generator[SchedulerStep, Any, Any]:
        return (yield self)


@attrs.frozen
class Faults:
    """The probability of each fault at each step, in thousandths."""

    crash: int = 0
    cancel: int = 0
    store_away: int = 0
    store_slow: int = 0
    answer_lost: int = 0
    asked_twice: int = 0
    step_back: int = 0
    step_forward: int = 0
    wall_step: int = 0
    freeze: int = 0
    slow: int = 0
    refuse: int = 0
    break_off: int = 0
    fail: int = 0
    busy: int = 0

    def kinds(self) -> int:
        """Return the number of kinds of fault that may happen."""
        return sum(value > 0 for value in attrs.astuple(self))


@attrs.define(eq=False)
class Worker:
    """A simulated process with one task at a time."""

    name: str
    flow: Coroutine[Any, Any, Any]
    turn: SchedulerStep | None = None
    wakes: int = 0
    reply: Any = None
    error: BaseException | None = None
    ended: bool = False
    crashed: bool = False
    frozen: bool = False
    skew: int = 0
    """Seconds by which the process's wall clock is ahead of the others'."""
    cancelled_at: str | None = None
    shards: Shards | None = None
    """The shards that the process knows; None if the store is not spread."""
    answered: dict[str, int] = attrs.field(factory=dict)
    """For each node, the time of its last answer; two shards that one key needs are a node too."""
    silenced: set[str] = attrs.field(factory=set)
    """The nodes that do not answer the process."""
    outbox: list[Command[Any]] = attrs.field(factory=list)


@attrs.frozen
class Shards:
    """The shards of a store, and former shards, some of whose keys may still be used."""

    names: tuple[str, ...]
    former: tuple[str, ...] = ()

    def location(self, command: Command[Any]) -> Location:
        """Return the shard that stores the states which a command uses."""
        return location_of(command.keys, self.names, self.former)


@attrs.define
class Store:
    """The simulated shared state store: one shard, or several with different clocks."""

    of_shard: dict[str, dict[str, State]] = attrs.field(factory=lambda: {"": {}})
    offset: int = 0
    skews: dict[str, int] = attrs.field(factory=dict)
    before: list[Callable[[Command[Any], tuple[Any, ...], tuple[Any, ...]], None]] = attrs.field(
        factory=list
    )
    watchers: list[Callable[[int, str, Command[Any], Any], None]] = attrs.field(factory=list)

    def time(self, now: int, shard: str = "") -> int:
        """Return the time that a shard's clock shows."""
        return now + self.offset + self.skews.get(shard, 0)

    def state(self, key: str) -> State:
        """Return the state of a limit or a circuit, which only one shard has."""
        (state,) = [states[key] for states in self.of_shard.values() if key in states]
        return state

    def placed(self, now: int) -> Iterator[tuple[str, State, int]]:
        """Yield each stored state with its key and the time on the clock of its shard."""
        for shard, states in self.of_shard.items():
            for key, state in states.items():
                yield key, state, self.time(now, shard)

    def apply(self, now: int, who: str, command: Command[Any], shard: str = "") -> Any:
        """Run a command atomically on a shard's state, and report it to the watchers."""
        states = self.of_shard.setdefault(shard, {})
        previous_states = tuple(states.get(key) for key in command.keys)
        next_states, answer = command.apply(previous_states, self.time(now, shard))
        for check in self.before:
            check(command, previous_states, next_states)
        for key, state in zip(command.keys, next_states, strict=True):
            if state is not None:
                states[key] = state
        for watch in self.watchers:
            watch(self.time(now, shard), who, command, answer)
        return answer


class Simulation:
    """A simulation: its scheduler, its random numbers, and the history of events."""

    def __init__(self, seed: int, faults: Faults, vendor: Any) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.faults = faults
        self.now = START
        self.store = Store()
        self.vendor = vendor
        self.workers: list[Worker] = []
        self.history: list[str] = []
        self.steps = 0
        self.wall = 0
        self.struck: set[str] = set()
        self._tokens = 0
        self.alone: list[str] = []
        self.falls_back = bool(seed % 2)
        self.remembers = False

    def tell(self, actor: str, event: str) -> None:
        """Append a line to the history."""
        self.history.append(f"{(self.now - START) / 1e6:12.6f}  {actor:<9} {event}")

    def strikes(self, fault: str) -> bool:
        """Decide at random whether this fault occurs now, and record it if so."""
        likely: int = getattr(self.faults, fault)
        if likely and self.dice.randrange(1000) < likely:
            self.struck.add(fault)
            return True
        return False

    def start(
        self,
        name: str,
        flow: Callable[[Core], Coroutine[Any, Any, Any]],
        shards: Shards | None = None,
    ) -> Worker:
        """Start a simulated process that runs the given coroutine."""
        worker = self.bystander()
        worker.name, worker.shards = name, shards
        worker.flow = flow(self.core(worker))
        worker.turn = SchedulerStep("begins", lambda: None)
        worker.wakes = self.now
        self.workers.append(worker)
        return worker

    def bystander(self) -> Worker:
        """Return a process that does nothing."""
        worker = Worker("bystander", _missing_flow())
        worker.flow.close()
        return worker

    def run(self, most: int = 4_000) -> None:
        """Run all simulated workers until they have ended."""
        for _ in range(most):
            waiting_workers = [worker for worker in self.workers if not worker.ended]
            if not waiting_workers:
                self.flush()
                return
            self.steps += 1
            self._disturb(waiting_workers)
            ready_workers = [
                worker
                for worker in waiting_workers
                if not worker.ended and worker.wakes <= self.now
            ]
            if ready_workers and self.dice.randrange(20):
                self._move(self.dice.choice(ready_workers))
                continue
            wake_times = [worker.wakes for worker in waiting_workers if not worker.ended]
            if wake_times:
                self.now = max(self.now, min(wake_times)) + self.dice.choice(
                    (0, 0, 1, 1_000, 50_000)
                )
        raise AssertionError("the simulation still has pending events at its end")

    def flush(self) -> None:
        """Deliver the background writes that living processes have not yet sent."""
        for worker in self.workers:
            if not worker.crashed:
                self._deliver(worker)

    def _disturb(self, waiting_workers: list[Worker]) -> None:
        if self.strikes("crash"):
            victim = self.dice.choice(waiting_workers)
            victim.crashed = victim.ended = True
            if victim.turn is not None and victim.turn.what == "begins":
                victim.flow.close()
            victim.outbox.clear()
            self.tell(victim.name, "crashes")
        if self.strikes("freeze"):
            victim = self.dice.choice(waiting_workers)
            span = self.dice.choice((3, 40, 90))
            victim.wakes = max(victim.wakes, self.now) + span * 1_000_000
            victim.frozen = True
            self.tell(victim.name, f"freezes for {span} s")
        if self.strikes("step_back"):
            step = self.dice.choice((1_000, 1_500_000, 3_600_000_000))
            self.store.offset -= step
            self.tell("store", f"clock steps back {step / 1e6} s")
        if self.strikes("step_forward"):
            step = self.dice.choice((1_000, 1_500_000, 30_000_000))
            self.store.offset += step
            self.tell("store", f"clock steps forward {step / 1e6} s")
        if self.strikes("wall_step"):
            self.wall += self.dice.choice((-3_600, 3_600))
            self.tell("everybody", "wall clocks step by an hour")

    def _move(self, worker: Worker) -> None:
        self._deliver(worker)
        turn = worker.turn
        error: BaseException | None = None
        value: Any = None
        if turn is not None and turn.what != "begins" and self.strikes("cancel"):
            if self.dice.randrange(2):
                # The cancelled step takes effect all the same; only its result is lost.
                with suppress(ConnectorError):
                    turn.act()
            worker.cancelled_at = turn.what
            self.tell(worker.name, f"is cancelled at: {turn.what}")
            error = WorkerCancelled()
        elif turn is not None:
            try:
                value = turn.act()
            except ConnectorError as failed_value:
                error = failed_value
            self.tell(
                worker.name,
                f"{turn.what}{'' if value is None else f' -> {value}'}"
                f"{'' if error is None else f' -> {type(error).__name__}'}",
            )
        try:
            worker.turn = (
                worker.flow.throw(error)
                if error
                else worker.flow.send(None if turn is not None and turn.what == "begins" else value)
            )
            worker.wakes = max(worker.wakes, self.now)
        except StopIteration as stop:
            worker.ended, worker.reply = True, stop.value
        except BaseException as failed_value:  # noqa: BLE001 - a worker's end is data here
            worker.ended, worker.error = True, failed_value
        if worker.ended:
            self._deliver(worker)
            message = worker.reply if worker.error is None else repr(worker.error)
            self.tell(worker.name, f"ends: {message}")

    def _deliver(self, worker: Worker) -> None:
        for command in worker.outbox:
            with suppress(StateUnavailable):  # a key that has moved is unreadable for old workers
                self._post(worker, command)
            self.tell(worker.name, f"posts {type(command).__name__}")
        worker.outbox.clear()

    def _post(self, worker: Worker, command: Command[Any]) -> None:
        shard, former_shard = self._location(worker, command)
        if former_shard is not None:
            is_here, _ = self.store.apply(
                self.now, worker.name, ExecuteOnFormerShard(command), former_shard
            )
            if is_here:
                return
        self.store.apply(self.now, worker.name, command, shard)

    def core(self, worker: Worker) -> Core:
        """Return the simulated ports of one process: its store, clock, sleep and vendor."""

        async def sleep(seconds: float) -> None:
            worker.wakes = self.now + -(-int(seconds * 1e9) // 1000)
            await SchedulerStep(f"slept {seconds:.6f}", lambda: None)

        async def send(request: Request, url: str, timeouts: Timeouts) -> Response:
            return await self.vendor.send(self, worker, request, url, timeouts)  # type: ignore[no-any-return]  # a Response

        def token() -> int:
            self._tokens += 1
            return self._tokens

        async def raise_unexpected(*_: Any, **__: Any) -> Any:
            raise AssertionError("not part of this simulation")

        async def settle(value: Any) -> Any:
            return value

        async def wait_without_limit(pending: Any, seconds: float) -> Any:
            return await pending

        core = Core(
            execute=partial(self._execute, worker),
            waits=True,
            post=worker.outbox.append,
            send=send,
            open=raise_unexpected,
            sleep=sleep,
            acquire=raise_unexpected,
            release=lambda *_: None,
            run_all=raise_unexpected,
            first=raise_unexpected,
            get_credentials=raise_unexpected,
            refresh_credentials=raise_unexpected,
            negotiate=raise_unexpected,
            settle=settle,
            within=wait_without_limit,
            copy=lambda value: value,
            nanoseconds=lambda: self.now * 1000,
            utc=lambda: self.date(self.now, self.wall + worker.skew),
            new_id=lambda: "id",
            fraction=self.dice.random,
            token=token,
            reporter=lambda: worker.name,
            separate_keys=worker.shards is not None,
        )
        if self.falls_back:
            core = self._with_fallback(core, worker)
        elif self.remembers:
            core = _with_memory(core, lambda _: None)
        return core

    async def _execute(self, worker: Worker, command: Command[Any], timeout: float | None) -> Any:
        """Run a command on the shard that has its states, after trying the former shard, if any."""
        shard, former_shard = self._location(worker, command)
        if former_shard is None:
            return await self._execute_on(worker, shard, shard, command, timeout)
        start_time, node = self.now, f"{former_shard}, {shard}"
        is_here, answer = await self._execute_on(
            worker, node, former_shard, ExecuteOnFormerShard(command), timeout
        )
        if is_here:
            return answer
        if timeout is not None:
            timeout = max(0.0, timeout - (self.now - start_time) / 1e6)
        return await self._execute_on(worker, node, shard, command, timeout)

    async def _execute_on(
        self, worker: Worker, node: str, shard: str, command: Command[Any], timeout: float | None
    ) -> Any:
        """Run a command on a shard; its reply shows that this node of the store is up."""
        name = f"{type(command).__name__} {shard}".rstrip()
        await self._hinder(worker, node, name, timeout)
        answer = await SchedulerStep(name, lambda: self._ask(worker, command, shard))
        worker.answered[node] = self.now
        worker.silenced.discard(node)
        if self.strikes("answer_lost"):
            worker.silenced.add(node)
            await SchedulerStep(f"{name}: answer lost", _raise_unavailable)
        return answer

    def _location(self, worker: Worker, command: Command[Any]) -> Location:
        """Return the shard to which a worker sends a command."""
        return Location("") if worker.shards is None else worker.shards.location(command)

    def date(self, now: int, ahead: int = 0) -> datetime:
        """Return a simulated time as a date, on a clock that is fast by the given seconds."""
        return datetime.fromtimestamp(now / 1e6, UTC) + timedelta(seconds=ahead)

    async def _hinder(self, worker: Worker, node: str, name: str, timeout: float | None) -> None:
        """Make a node fail or reply late to a worker's command, as the random faults decide."""
        if self.strikes("store_away"):
            worker.silenced.add(node)
            await SchedulerStep(f"{name}: store away", _raise_unavailable)
        if not self.strikes("store_slow"):
            return
        delay = self.dice.choice((100_000, 2_500_000, 12_000_000))
        bound = delay if timeout is None else int(timeout * 1e6)
        start_time, worker.wakes = self.now, self.now + min(delay, bound)
        if delay <= bound:
            await SchedulerStep(f"{name}: store slow", lambda: None)
            return

        def fail_late() -> None:
            waited_time = self.now - start_time
            answered = worker.answered.get(node)
            silence = FOREVER if answered is None else self.now - answered
            worker.silenced.discard(node)
            if silence >= min(3 * waited_time, max(waited_time, SILENCE)):
                worker.silenced.add(node)
            _raise_unavailable()

        await SchedulerStep(f"{name}: store too slow", fail_late)

    def _with_fallback(self, core: Core, worker: Worker) -> Core:
        memory = MemoryStorage(SimulatedClock(self))

        def decide_alone(command: Command[Any]) -> Any:
            answer = memory.execute(command)
            shard = self._location(worker, command).shard
            if isinstance(command, Admission) and shard not in worker.silenced:
                self.alone.append(f"{worker.name} at {self.now}: {answer}")
            return answer

        def node_of(command: Command[Any]) -> str:
            return ", ".join(filter(None, self._location(worker, command)))

        fallback = StoreFallback(core, "state", decide_alone, node_of)
        core = attrs.evolve(core, execute=fallback.execute, post=fallback.post)
        return _with_memory(core, fallback.next_probe) if self.remembers else core

    def _ask(self, worker: Worker, command: Command[Any], shard: str) -> Any:
        answer = self.store.apply(self.now, worker.name, command, shard)
        if not command.once and self.strikes("asked_twice"):
            second_answer = self.store.apply(self.now, worker.name, command, shard)
            self.tell(worker.name, f"{type(command).__name__} asked twice -> {second_answer}")
            return second_answer
        return answer


@attrs.frozen
class SimulatedClock:
    """A worker's local clock, which shows the time of the simulation."""

    simulation: Simulation

    def nanoseconds(self) -> int:
        """Return the simulated time in nanoseconds."""
        return self.simulation.now * 1000

    def utc(self) -> datetime:
        """Return the simulated time as a date."""
        return datetime.fromtimestamp(self.simulation.now / 1e6, UTC)


def _with_memory(core: Core, next_probe: Callable[[Command[Any]], int | None]) -> Core:
    """Return the core with a memory of rejections, so that it asks the store less often."""
    refusals = Refusals(core.execute, core.post, next_probe, core.nanoseconds)
    return attrs.evolve(core, execute=refusals.execute, post=refusals.post)


def _raise_unavailable() -> None:
    raise StorageUnavailable("the store cannot be reached.")


async def _missing_flow() -> None:
    """Stand in for a worker's coroutine until the worker gets its real one."""


@attrs.define
class Vendor:
    """The simulated vendor, the only place where the effects of calls are recorded.

    `remembers` is for how many seconds it honours keys; 0 if it does not. Each region remembers
    keys by itself, unless keys count `everywhere`. The region that is `away` cannot be relied upon
    until `back_at`.
    """

    remembers: float = 0.0
    everywhere: bool = False
    effects: list[tuple[int, str | None, int]] = attrs.field(factory=list)
    seen: dict[tuple[str, str], tuple[int, int]] = attrs.field(factory=dict)
    arrivals: list[tuple[int, str]] = attrs.field(factory=list)
    heard: dict[str, set[str]] = attrs.field(factory=dict)
    away: str | None = None
    back_at: int = 0
    down: bool = False

    async def send(
        self, simulation: Simulation, worker: Worker, request: Request, url: str, timeouts: Timeouts
    ) -> Response:
        """Send a request to the vendor, in steps that other workers may interleave with."""
        limit = simulation.now + int((timeouts.total or 30.0) * 1e6)
        region = urlsplit(url).hostname or ""
        trouble = 0
        if region == self.away and simulation.now < self.back_at:
            trouble = simulation.dice.randrange(4)
        if trouble == 1 or simulation.strikes("refuse"):
            await SchedulerStep(f"{region} refuses the connection", _raise_refused)
        await SchedulerStep("request leaves", lambda: None)
        # The body of an order contains its name, so that effects can be distinguished even if the
        # vendor supports no keys.
        body = json.loads(request.body) if isinstance(request.body, bytes) else {}
        request_key = request.headers.get("Idempotency-Key")
        duration = simulation.dice.choice((1_000, 20_000, 200_000))
        if simulation.strikes("slow"):
            duration = simulation.dice.choice((3_000_000, 40_000_000))
        if trouble == 2:
            duration = 40_000_000
        arrives = min(limit, simulation.now + duration // 2)
        worker.wakes = arrives
        await SchedulerStep("request travels", lambda: None)
        answer = await SchedulerStep(
            f"{region} hears {_name(body)}",
            lambda: self._process(simulation, worker, region, body, request_key),
        )
        if simulation.now + duration // 2 >= limit:
            worker.wakes = limit
            await SchedulerStep("times out", _timed_out)
        worker.wakes = simulation.now + duration // 2
        if trouble == 3 or simulation.strikes("break_off"):
            await SchedulerStep("connection breaks off", _raise_broken_off)
        return await SchedulerStep("answer arrives", lambda: answer)  # type: ignore[no-any-return]  # a Response

    def _process(
        self,
        simulation: Simulation,
        worker: Worker,
        region: str,
        body: dict[str, Any],
        shown: str | None,
    ) -> Response:
        now, order = simulation.now, body["key"]
        self.arrivals.append((now, worker.name))
        if simulation.strikes("busy"):
            return Response(429, {"Retry-After": "2"})
        self.heard.setdefault(_name(body), set()).add(region)
        place = "" if self.everywhere else region
        if self.down or simulation.strikes("fail"):
            if simulation.dice.randrange(2):
                self._act(now, place, order, shown)
            return Response(503)
        number = self._act(now, place, order, shown)
        return Response(200, body=str(number).encode())

    def _act(self, now: int, place: str, order: str | None, shown: str | None) -> int:
        if shown is not None and self.remembers:
            existing_numbers = self.seen.get((place, shown))
            if existing_numbers is not None and now < existing_numbers[0] + int(
                self.remembers * 1e6
            ):
                return existing_numbers[1]
        number = len(self.effects) + 1
        self.effects.append((now, order, number))
        if shown is not None:
            self.seen[place, shown] = (now, number)
        return number


def _name(body: dict[str, Any]) -> str:
    """Return the name of an effect: its idempotency key or, without a key, its call."""
    return str(body["key"] or body["call"])


def _raise_refused() -> None:
    raise ConnectionFailed("refused.", may_have_been_processed=False)


def _raise_broken_off() -> None:
    raise ConnectionFailed("broken off.", may_have_been_processed=True)


def _timed_out() -> None:
    raise AttemptTimeout("no answer in time.", may_have_been_processed=True)
