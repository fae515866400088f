"""The in-memory store of shared state."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, RLock, Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.circuit import CircuitBreakerConfig
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.service.plan import Plan
from moorage.domain.service.settings import Service
from moorage.domain.values.durations import SECOND
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.testing import state_conformance as kit
from moorage.testing.kits.checks import name_of
from tests.adapters.memory_commands import Clock, Put, ReadCommand, claim_of, values
from tests.adapters.raising_locks import Interruption, TakenLock, UncontendedLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import States

pytestmark = pytest.mark.filterwarnings("ignore:The store in memory has:RuntimeWarning")


def _timed_store(*bound: int) -> tuple[MemoryStorage, Callable[[float], None]]:
    clock = Clock()
    return MemoryStorage(clock, max_entries=bound[0] if bound else 100_000), clock.pass_by


def _timed_later(*bound: int) -> tuple[AsyncMemoryStorage, Callable[[float], None]]:
    shared_storage, pass_by = _timed_store(*bound)
    return AsyncMemoryStorage(shared_storage), pass_by


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_memory_storage_passes_conformance_kit(check: kit.Check) -> None:
    """MemoryStorage passes the conformance kit."""
    check(MemoryStorage)


@pytest.mark.parametrize("check", [*kit.TIMED_CHECKS, *kit.BOUNDED_CHECKS], ids=name_of)
def test_memory_storage_passes_checks_of_expiry_with_virtual_clock(
    check: Callable[..., None],
) -> None:
    """MemoryStorage passes the conformance checks of expiry and size with a virtual clock."""
    check(_timed_store)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_memory_storage_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """AsyncMemoryStorage passes the conformance kit."""
    asyncio.run(check(AsyncMemoryStorage))


@pytest.mark.parametrize("check", [*kit.ASYNC_TIMED_CHECKS, *kit.ASYNC_BOUNDED_CHECKS], ids=name_of)
def test_async_memory_storage_passes_checks_of_expiry_with_virtual_clock(
    check: Callable[..., Any],
) -> None:
    """AsyncMemoryStorage passes the conformance checks of expiry and size with a virtual clock."""
    asyncio.run(check(_timed_later))


def test_synchronous_and_asynchronous_callers_may_share_a_store() -> None:
    """Synchronous and asynchronous callers can share one in-memory store."""
    plain_storage = MemoryStorage()
    async_storage = AsyncMemoryStorage(plain_storage)

    asyncio.run(async_storage.execute(Put("later", "a")))
    async_storage.post(Put("posted", "b"))

    assert ["later", "posted"] == values(plain_storage, "a", "b")


def test_asynchronous_store_takes_the_same_arguments() -> None:
    """AsyncMemoryStorage accepts the same constructor arguments as MemoryStorage."""
    clock = Clock()
    store = AsyncMemoryStorage(clock=clock, max_entries=1)
    clock.pass_by(1)

    assert 1_767_225_601_000_000 == store.shared.now()
    store.post(Put(1, "a"))
    with pytest.raises(StorageUnavailable):
        asyncio.run(store.execute(Put(1, "b")))


def test_store_with_maximum_of_zero_entries_is_refused() -> None:
    """A store with a maximum of zero entries is refused."""
    with pytest.raises(ConfigurationError, match="max_entries"):
        MemoryStorage(max_entries=0)


def test_empty_store_is_truthy() -> None:
    """An empty store is truthy, so `store or default` returns the store."""
    store = MemoryStorage()

    assert (True, 0) == (bool(store), len(store))


class OvertakenPut(Put):
    """A command whose stored states another writer changes during its first attempt."""

    def __init__(self, meddle: Callable[[], object], *keys: str, write: bool = True) -> None:
        super().__init__("mine", *keys)
        self._meddle = [meddle]
        self._write = write
        self.seen_states: list[States] = []

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Record the stored states, run the other writer once, and write."""
        self.seen_states.append(states)
        if self._meddle:
            self._meddle.pop()()
        return super().apply(states, now) if self._write else (states, states)


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
@pytest.mark.parametrize("which", [0, -1])
def test_a_command_that_was_overtaken_decides_again(
    before: str | None, keys: str, which: int
) -> None:
    """A command runs again if another command changed its states in the meantime."""
    store = MemoryStorage()
    if before:
        store.execute(Put(before, *keys))
    command = OvertakenPut(lambda: store.execute(Put("theirs", keys[which])), *keys)

    answer = store.execute(command)

    assert 2 == len(command.seen_states)
    assert "theirs" == (answer[which] or "...")[2]
    assert ["mine"] * len(keys) == values(store, *keys)


@pytest.mark.parametrize("keys", ["ab", "abc"])
@pytest.mark.parametrize("which", [0, -1])
def test_command_on_existing_and_new_states_runs_again_if_one_was_changed_in_meantime(
    keys: str, which: int
) -> None:
    """A command on existing and new states runs again if one was changed in the meantime."""
    store = MemoryStorage()
    store.execute(Put("old", *keys[:-1]))
    command = OvertakenPut(lambda: store.execute(Put("theirs", keys[which])), *keys)

    answer = store.execute(command)

    assert 2 == len(command.seen_states)
    assert "theirs" == (answer[which] or "...")[2]
    assert ["mine"] * len(keys) == values(store, *keys)
    assert len(keys) == len(store)


@pytest.mark.parametrize("keys", ["ab", "abc"])
def test_command_that_only_reads_leaves_missing_states_missing(keys: str) -> None:
    """A command that only reads leaves missing states missing."""
    store = MemoryStorage()
    store.execute(Put("old", *keys[:-1]))

    assert [*["old"] * (len(keys) - 1), None] == values(store, *keys)
    assert len(keys) - 1 == len(store)


@pytest.mark.parametrize("keys", ["ab", "abc", "abcd"])
def test_read_only_command_sees_a_consistent_snapshot(keys: str) -> None:
    """A read-only command sees all its states as of one moment."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))
    command = OvertakenPut(lambda: store.execute(Put("new", *keys)), *keys, write=False)

    answer = store.execute(command)

    assert 1 == len({state and state[2] for state in answer})


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_command_runs_again_if_sweep_of_expired_states_removed_one_of_its_states(keys: str) -> None:
    """A command runs again if a sweep of expired states removed one of its states."""
    clock = Clock()
    store = MemoryStorage(clock)
    store.execute(Put("old", *keys, keep_for=SECOND))

    def sweep() -> None:
        clock.pass_by(31)
        store.execute(ReadCommand("z"))

    answer = store.execute(OvertakenPut(sweep, *keys))

    assert (None,) * len(keys) == answer
    assert ["mine"] * len(keys) == values(store, *keys)


def test_commands_decide_at_the_same_time() -> None:
    """Eight threads can execute commands of the store at the same time."""
    store, inner_barrier = MemoryStorage(), Barrier(8)

    class MeetingCommand(ReadCommand):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            inner_barrier.wait(20)
            return super().apply(states, now)

    threads = [Thread(target=store.execute, args=(MeetingCommand("a"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert not inner_barrier.broken
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_unchanged_states_are_not_written(keys: str) -> None:
    """A command that changes no state does not make other commands run again."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))
    command = OvertakenPut(lambda: store.execute(ReadCommand(*keys)), *keys)

    store.execute(command)

    assert 1 == len(command.seen_states)


@pytest.mark.untraced
@pytest.mark.parametrize("kind", ["signals", "handlers", "finalisers", "threads"])
def test_interrupted_command_takes_effect_completely_or_not_at_all(kind: str) -> None:
    """An interrupted command takes effect completely or not at all, and blocks no other command."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.adapters.memory_storm", kind],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        timeout=150,
    )
    strikes, partial_effects, miscounted = map(int, program.stdout.split())

    assert strikes > 50
    assert (0, 0) == (partial_effects, miscounted)


class HookedLock(UncontendedLock):
    """A lock that runs a function and raises when it is released."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        self._happens = [*happens]

    def release(self) -> None:
        """Run the next function, and raise an exception; do nothing if no function is left."""
        if self._happens:
            self._happens.pop()()
            raise Interruption


class HandledLock(UncontendedLock):
    """A re-entrant lock that runs a signal handler once, after the first `acquire`."""

    def __init__(self, handler: Callable[[], object]) -> None:
        self._handlers = [handler]
        self._lock = RLock()

    def acquire(self) -> None:
        """Take the lock, and run the handler if it has not run yet."""
        self._lock.acquire()
        if self._handlers:
            self._handlers.pop()()

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


def _values_after_interruption(
    store: MemoryStorage, keys: str, happens: Callable[[], object]
) -> list[object]:
    """Return the stored values after a writing command was interrupted just before it returned."""
    store._lock = HookedLock(happens)  # noqa: SLF001 - nobody else can tell when
    with pytest.raises(Interruption):
        store.execute(Put("mine", *keys))
    return values(store, *keys)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_write_with_a_lost_answer_is_undone(keys: str) -> None:
    """A write whose command is interrupted before returning is undone."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))

    assert ["old"] * len(keys) == _values_after_interruption(store, keys, list)


@pytest.mark.parametrize("keys, new", [("a", ""), ("ab", ""), ("abc", ""), ("ab", "n")])
def test_interruption_before_a_write_frees_the_lock(keys: str, new: str) -> None:
    """A command interrupted directly after it acquired the lock writes nothing and releases it."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))
    lock = TakenLock()
    store._lock = lock  # noqa: SLF001 - nobody else can tell when

    with pytest.raises(Interruption):
        store.execute(Put("mine", *keys, *new))

    assert not lock.is_taken
    assert ["old"] * len(keys) == values(store, *keys)


@pytest.mark.parametrize("keys", ["a", "ab", "abc"])
def test_signal_handler_may_use_the_store_at_any_moment(keys: str) -> None:
    """A signal handler's command does not wait, even if the interrupted command has the lock."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))
    store._lock = HandledLock(lambda: store.execute(Put("theirs", *keys)))  # noqa: SLF001 - nobody else can tell when

    store.execute(Put("mine", *keys))

    assert ["mine"] * len(keys) == values(store, *keys)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_new_state_with_a_lost_answer_stays(keys: str) -> None:
    """If a command is interrupted before it returns, the new state that it wrote stays stored."""
    assert ["mine"] * len(keys) == _values_after_interruption(MemoryStorage(), keys, list)


@pytest.mark.parametrize("keys", ["a", "ab", "abc", "abcd"])
def test_overwritten_state_is_not_undone(keys: str) -> None:
    """If a state has changed since an interrupted command wrote it, the write is not undone."""
    store = MemoryStorage()
    store.execute(Put("old", *keys))

    remaining_states = _values_after_interruption(
        store, keys, lambda: store.execute(Put("theirs", keys[0]))
    )

    assert ["theirs", *["mine"] * (len(keys) - 1)] == remaining_states


def test_forked_child_does_not_wait_for_locks() -> None:
    """A forked child does not wait for a store lock that a thread of the parent held."""
    store = MemoryStorage()
    store._lock.acquire()  # noqa: SLF001 - no thread can be stopped inside a section

    restart_in_child()

    store.execute(Put(1, "a"))
    assert [1] == values(store, "a")


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_steps_of_the_wall_clock_change_nothing(step: timedelta) -> None:
    """If the wall clock moves by an hour, no circuit, rate limit or idempotency claim changes."""
    outcomes: list[object] = []
    for stepped_duration in (timedelta(0), step):
        clock = Clock()
        store = MemoryStorage(clock)
        service = Service(
            "vat",
            limits=(RateLimitConfig.per_hour(1, burst=2),),
            circuit=CircuitBreakerConfig(failures=1),
        )
        plan = Plan(service, None, None)
        messages = [store.execute(claim_of("one")).verdict, store.execute(plan.question)[0]]
        clock.watch += stepped_duration
        clock.pass_by(60)
        messages += [
            store.execute(plan.question)[0],
            store.execute(plan.question.evolve(within=0))[0],
        ]
        messages += [store.execute(claim_of("two")).verdict]
        outcomes.append((messages, store.now()))

    assert outcomes[0] == outcomes[1]
    assert [Answer.GO, Answer.LIMITED] == outcomes[0][0][2:4]  # type: ignore[index]  # the first of a pair is a list


def test_time_begins_with_the_wall_clock() -> None:
    """By default the store's time starts at the wall-clock time."""
    difference = MemoryStorage().now() - datetime.now(UTC).timestamp() * 1e6

    assert abs(difference) < SECOND
