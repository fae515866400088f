"""The SQLite store of shared state in an event loop."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.state import _sqlite_engine as engine
from moorage.adapters.state import _sqlite_flush
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.values.durations import HOUR, SECOND
from moorage.errors import InvalidData, StorageUnavailable
from moorage.testing import VirtualClock
from tests.adapters.forked import run_in_forked_child
from tests.adapters.in_flight import LIMIT, waits_of_the_next
from tests.adapters.memory_commands import Put, ReadCommand
from tests.adapters.sqlite_harness import DurablePut, OtherProgram, claim, values
from tests.simulation import virtual_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from moorage.domain.state.commands import States


@pytest.fixture(autouse=True)
def _no_random_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off the housekeeping that the store starts at random."""
    monkeypatch.setattr(engine, "randrange", lambda _: 0)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    """Return a path for a new file."""
    return tmp_path / "state.db"


class ThreadRecorder(Put):
    """A command that records the thread in which it runs."""

    def __init__(self, value: object, *keys: str) -> None:
        super().__init__(value, *keys)
        self.threads: list[str] = []

    def apply(self, states: States, now: int) -> tuple[States, States]:
        """Record the thread and write."""
        self.threads.append(threading.current_thread().name.partition("_")[0])
        return super().apply(states, now)


class ThreadRecordingPut(ThreadRecorder, DurablePut):
    """A durable command that records the thread in which it runs."""


def run(
    path: Path, body: Callable[[AsyncSqliteStorage], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    """Run a test body in an event loop, with a store that has been used before."""

    async def run_in_store() -> Any:
        async with AsyncSqliteStorage(path, **options) as store:
            await store.execute(Put("old", "a"))
            return await body(store)

    return asyncio.run(run_in_store())


def values_left(path: Path, *keys: str) -> list[object]:
    """Return the values in the file."""
    with SqliteStorage(path) as store:
        return values(store, *keys)


def test_slow_work_is_done_in_a_thread(path: Path) -> None:
    """Opening the file and writing large values happen in a thread, other commands in the loop."""
    first, short_command, small_command = (
        ThreadRecorder(1, "a"),
        ThreadRecorder(2, "a"),
        ThreadRecordingPut(3, "a"),
    )
    large_command = ThreadRecordingPut(b"x" * 100_000, "a")

    async def use_store() -> None:
        async with AsyncSqliteStorage(path) as store:
            for command in (first, short_command, small_command, large_command):
                await store.execute(command)

    asyncio.run(use_store())

    assert ["moorage-sqlite"] == first.threads
    assert (["MainThread"], ["MainThread"]) == (short_command.threads, small_command.threads)
    assert ["MainThread", "moorage-sqlite"] == large_command.threads
    assert [b"x" * 100_000] == values_left(path, "a")


def test_event_loop_runs_during_a_flush(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing to disk happens in a thread, so the event loop continues."""
    may, flushing_threads = threading.Event(), []

    def flush_slowly(file: int) -> None:
        flushing_threads.append(threading.current_thread().name.partition("_")[0])
        assert may.wait(20)

    async def use_store(store: AsyncSqliteStorage) -> list[bool]:
        monkeypatch.setattr(_sqlite_flush, "flush_data", flush_slowly)
        tasks = [asyncio.create_task(store.execute(claim("one")))]
        while not flushing_threads:  # noqa: ASYNC110 - a thread tells
            await asyncio.sleep(0)
        tasks += [asyncio.create_task(store.execute(claim(f"{n}"))) for n in range(20)]
        for _ in range(50):
            await store.execute(Put("meanwhile", "a"))
            await asyncio.sleep(0)
        done_flags = [task.done() for task in tasks]
        may.set()
        await asyncio.gather(*tasks)
        return done_flags

    waiting_tasks = run(path, use_store)

    assert not any(waiting_tasks)
    assert (2, {"moorage-sqlite"}) == (len(flushing_threads), set(flushing_threads))


def test_loop_continues_while_the_lock_is_held(path: Path) -> None:
    """While another program locks the file, other tasks of the event loop continue."""

    async def use_store(store: AsyncSqliteStorage) -> int:
        with OtherProgram(path) as other_program:
            task = asyncio.create_task(store.execute(Put("new", "a")))
            turns = 0
            while turns < 200:
                turns += 1
                await asyncio.sleep(0)
            other_program.connection.rollback()
            await task
        return turns

    assert 200 == run(path, use_store, timeout=20)
    assert ["new"] == values_left(path, "a")


def test_a_lock_that_is_kept_is_not_waited_for_for_ever(path: Path) -> None:
    """Waiting for a locked file ends at the timeout with an error that contains a remedy."""

    async def use_store(store: AsyncSqliteStorage) -> None:
        with OtherProgram(path), pytest.raises(StorageUnavailable, match="held the lock"):
            await store.execute(Put("new", "a"))
        with OtherProgram(path), pytest.raises(StorageUnavailable, match="held the lock"):
            await store.execute(DurablePut(b"x" * 100_000, "a"))
        await store.execute(Put("new", "a"))

    run(path, use_store, timeout=0.02)

    assert ["new"] == values_left(path, "a")


def test_a_large_answer_waits_for_the_lock_too(path: Path) -> None:
    """A command that runs in a thread also waits for a locked file in that thread."""
    other_programs: list[OtherProgram] = []

    class RacingCommand(ThreadRecordingPut):
        """A command that runs after another writer has locked the file."""

        def apply(self, states: States, now: int) -> tuple[States, States]:
            if not self.threads:
                loop, (other_program,) = asyncio.get_running_loop(), other_programs
                loop.call_soon(other_program.connection.execute, "BEGIN IMMEDIATE")
                loop.call_later(0.02, other_program.connection.rollback)
            return super().apply(states, now)

    async def use_store(store: AsyncSqliteStorage) -> None:
        other_programs.append(OtherProgram(path))
        await store.execute(RacingCommand(b"x" * 100_000, "a"))
        other_programs[0].connection.close()

    run(path, use_store, timeout=20)

    assert [b"x" * 100_000] == values_left(path, "a")


def test_posts_are_executed_at_once_if_possible(path: Path) -> None:
    """A posted command runs at once if the file is not locked."""

    async def use_store(store: AsyncSqliteStorage) -> list[object]:
        store.post(Put("posted", "a"))
        return values_left(path, "a")

    assert ["posted"] == run(path, use_store)


def test_posts_under_a_held_lock_are_executed_later(path: Path) -> None:
    """Commands posted while the file is locked run in order, before the next command."""

    class Add(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            (state,) = states
            self._value = (*state[2], self._value) if state else (self._value,)
            return super().apply(states, now)

    async def use_store(store: AsyncSqliteStorage) -> None:
        with OtherProgram(path):
            for number in range(4):
                store.post(Add(number, "log"))
        store.post(Add(4, "log"))
        await store.execute(Add(5, "log"))

    run(path, use_store, timeout=20)

    assert [(0, 1, 2, 3, 4, 5)] == values_left(path, "log")


def test_locked_file_delays_command_for_its_timeout_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked file delays a command by its timeout once, even if posted commands wait too."""

    async def use_store() -> float:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=loop.time))
        store = AsyncSqliteStorage(path, timeout=10)
        await store.execute(Put("old", "a"))
        with OtherProgram(path):
            store.post(Put("posted", "a"))
            start_time = loop.time()
            with pytest.raises(StorageUnavailable, match="held the lock"):
                await store.execute(Put("new", "b"))
            waiting_time = loop.time() - start_time
        monkeypatch.undo()
        await store.aclose()
        return waiting_time

    assert 10 <= virtual_loop.run(use_store()) < 11


def test_close_executes_posts(path: Path) -> None:
    """Closing a store runs the posted commands that still wait."""

    async def use_store(store: AsyncSqliteStorage) -> None:
        with OtherProgram(path):
            store.post(Put("posted", "a"))

    run(path, use_store, timeout=20)

    assert ["posted"] == values_left(path, "a")


def test_early_posts_wait_for_the_first_command(path: Path) -> None:
    """Commands posted before the first use of a store run with its first command."""
    store = AsyncSqliteStorage(path)
    store.post(Put("posted", "a"))

    async def use_store() -> None:
        await store.execute(Put("first", "b"))
        await store.aclose()

    asyncio.run(use_store())

    assert ["posted", "first"] == values_left(path, "a", "b")


def test_failing_post_is_dropped(path: Path) -> None:
    """If a posted command raises an exception, the exception is discarded."""

    class FailingPut(Put):
        def apply(self, states: States, now: int) -> tuple[States, States]:
            raise InvalidData("no")

    async def use_store(store: AsyncSqliteStorage) -> None:
        store.post(FailingPut("never", "a"))

    run(path, use_store)

    assert ["old"] == values_left(path, "a")


def test_asynchronous_sqlite_store_can_be_used_in_one_event_loop_after_another(path: Path) -> None:
    """An asynchronous SQLite store can be used in one event loop after another."""
    store = AsyncSqliteStorage(path)
    for number in range(3):
        asyncio.run(store.execute(Put(number, "a")))
        asyncio.run(store.execute(claim(str(number))))

    assert [2] == values_left(path, "a")
    asyncio.run(store.aclose())


def test_closed_asynchronous_store_refuses_commands(path: Path) -> None:
    """A closed asynchronous store refuses commands."""

    async def use_store(store: AsyncSqliteStorage) -> None:
        await store.aclose()
        with pytest.raises(StorageUnavailable, match="closed"):
            await store.execute(ReadCommand("a"))

    run(path, use_store)


def test_forked_child_has_its_own_threads_for_flushing(path: Path) -> None:
    """A forked child has its own threads for flushing."""
    store = AsyncSqliteStorage(path)
    asyncio.run(store.execute(claim("parent")))

    def child() -> str:
        answer = asyncio.run(store.execute(claim("child")))
        return str(answer.verdict)

    assert "Verdict.RUN" == run_in_forked_child(child)
    assert "Verdict.RUN" == str(asyncio.run(store.execute(claim("again"))).verdict)
    asyncio.run(store.aclose())


def test_asynchronous_store_housekeeping_removes_expired_states_up_to_given_limit(
    path: Path,
) -> None:
    """An asynchronous store's housekeeping removes expired states up to the given limit."""
    clock = VirtualClock()

    async def use_store(store: AsyncSqliteStorage) -> list[int]:
        await store.migrate()
        for number in range(30):
            await store.execute(Put("dust", f"dust-{number}", keep_for=SECOND))
        clock.advance(2 * HOUR / SECOND)
        return [await store.housekeep(limit=10), await store.housekeep()]

    assert [10, 20] == run(path, use_store, clock=clock)


def test_a_file_does_not_grow_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From time to time, a command starts the removal of expired states in a thread."""
    monkeypatch.setattr(engine, "MAINTENANCE_INTERVAL", 50)
    clock = VirtualClock()

    async def use_store(store: AsyncSqliteStorage) -> None:
        for number in range(500):
            await store.execute(Put("dust", f"dust-{number}", keep_for=SECOND))
            clock.advance(120)
        await store.aclose()

    run(path, use_store, clock=clock)
    with SqliteStorage(path, clock=clock) as store:
        present_count = sum(
            value is not None for value in values(store, *(f"dust-{n}" for n in range(500)))
        )

    assert present_count < 300


def test_grant_of_a_cancelled_task_is_given_back(path: Path) -> None:
    """A token granted to a task that was cancelled is given back."""
    wait_counts = run(path, lambda store: waits_of_the_next(store, range(4)))
    assert [] != wait_counts
    assert max(wait_counts) <= SECOND


def limited_command(key: str, claimed: tuple[str, int, str] | None = None) -> Admission:
    """Return a command that requests a token of a limit of one call a second."""
    gates = Gates(limits=[LIMIT.rule], limit_keys=[key])
    return Admission(gates, within=10 * SECOND, lease=1, claim=claimed)


def test_grant_of_a_task_cancelled_while_a_thread_decides_is_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a thread grants a token to a task that was just cancelled, the token is given back."""
    with SqliteStorage(path) as previous_storage:
        previous_storage.execute(limited_command("limit"))
    start_event, retry = threading.Event(), engine.Engine.retry

    def note_call(self: engine.Engine, command: Any, until: float) -> Any:
        start_event.set()
        return retry(self, command, until)

    monkeypatch.setattr(engine.Engine, "retry", note_call)

    async def use_store() -> int:
        async with AsyncSqliteStorage(path, timeout=20) as store:
            with OtherProgram(path):
                task = asyncio.create_task(store.execute(limited_command("limit")))
                while not start_event.is_set():  # noqa: ASYNC110 - a thread tells
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            await asyncio.to_thread(store._pool().shutdown)  # noqa: SLF001 - the thread has ended
            store._restart_after_fork()  # noqa: SLF001 - and others may begin
            return (await store.execute(limited_command("limit")))[1]

    assert asyncio.run(use_store()) <= SECOND


def test_command_of_a_cancelled_task_that_no_thread_began_is_not_run(path: Path) -> None:
    """If all threads are busy, a cancelled task's command never runs."""
    may = threading.Event()

    async def use_store() -> bool:
        async with AsyncSqliteStorage(path, timeout=20) as store:
            busy_futures = [store._pool().submit(may.wait) for _ in range(4)]  # noqa: SLF001 - as large answers keep them
            task = asyncio.create_task(store.execute(Put("new", "a")))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            may.set()
            await asyncio.gather(*map(asyncio.wrap_future, busy_futures))
            return task.cancelled()

    assert asyncio.run(use_store())
    assert [None] == values_left(path, "a")


def test_grant_of_a_task_cancelled_while_its_claim_goes_to_the_disk_is_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a task is cancelled while its claim is flushed to disk, its token is given back."""
    may, start_event = threading.Event(), threading.Event()

    def flush_slowly(_: int) -> None:
        start_event.set()
        assert may.wait(20)

    async def use_store(store: AsyncSqliteStorage) -> int:
        fencing_token = (await store.execute(claim("key"))).fence
        await store.execute(limited_command("limit"))
        monkeypatch.setattr(_sqlite_flush, "flush_data", flush_slowly)
        task = asyncio.create_task(
            store.execute(limited_command("limit", ("key", fencing_token, "vendor")))
        )
        while not start_event.is_set():  # noqa: ASYNC110 - a thread tells
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        wait: int = (await store.execute(limited_command("limit")))[1]
        may.set()
        return wait

    assert run(path, use_store) <= SECOND
