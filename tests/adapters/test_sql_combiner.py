"""Commands of one process on the same rows are combined into shared transactions."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from moorage.adapters.databases._sql_runtimes import _ThreadSignal
from moorage.adapters.state._sql_combiner import _GRACE, _MAX_BATCH, ContendedRows
from moorage.domain.resilience.gate_commands import ReadCircuit
from moorage.errors import InvalidData, StorageUnavailable
from moorage.testing import TcpProxy
from tests.adapters.sql_harness import (
    PATIENCE,
    Append,
    Harness,
    ReadCommand,
    commit_request,
    hold_rows,
    new_key,
    values,
)
from tests.adapters.sql_harness import Proxy as Watching
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    import sqlalchemy

    from moorage.adapters.state.sql import AsyncSqlStorage, SqlStorage
    from moorage.domain.state.commands import States

SHORT = 0.3


class FailingAppend(Append):
    """A command that raises when it is applied."""

    def apply(self, states: States, now: int) -> tuple[States, Any]:
        """Raise an error."""
        raise InvalidData("this command is not valid.", field="x", remedy="Do not send it.")


class Interruption(BaseException):
    """The exception that a signal handler raises."""


class InterruptingAppend(Append):
    """A command that raises an interruption when it is applied."""

    def apply(self, states: States, now: int) -> tuple[States, Any]:
        """Raise an exception that is not an `Exception`."""
        raise Interruption


class ReadOnlyCommand(ReadCircuit):
    """A command declared as read-only, which writes if the test wants it to."""

    def __init__(self, key: str, decide: Callable[[States, int], tuple[States, Any]]) -> None:
        self.keys = (key,)
        self._decide = decide

    def apply(self, states: States, now: int) -> tuple[States, Any]:
        """Return the states, changed if the test wants that, and the result."""
        return self._decide(states, now)


@pytest.fixture
def distant_server(harness: Harness) -> Iterator[sqlalchemy.URL]:
    """Yield the URL of a database server whose responses are delayed."""
    url = harness.url
    with TcpProxy(url.host or "", urlsplit(str(url)).port or 0) as proxy:
        proxy.delay_responses(0.05)
        yield url.set(host=proxy.address[0], port=proxy.address[1])


class Caller(Thread):
    """A thread that executes one command and records the result."""

    def __init__(self, store: SqlStorage, command: Any, timeout: float = PATIENCE) -> None:
        super().__init__()
        self._store = store
        self._command = command
        self._timeout = timeout
        self.answer: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Run the command, and keep its result."""
        try:
            self.answer = self._store.execute(self._command, self._timeout)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.error = error


def _count_waiting(store: SqlStorage | AsyncSqlStorage) -> int:
    """Return the number of commands that wait to be combined."""
    batches: set[Any] = set()
    for pool in store._engine._pools.values():  # noqa: SLF001 - nobody else could tell
        for first in pool.batches.values():
            batch = first
            while batch is not None:
                batches.add(batch)
                batch = batch.following
    return sum(not pending.abandoned for batch in batches for pending in batch.pending_commands)


def _until_waiting(store: SqlStorage, number: int) -> None:
    end = time.monotonic() + PATIENCE
    while _count_waiting(store) < number:
        assert time.monotonic() < end, "they do not wait"
        time.sleep(0.005)


async def _until_all_wait(store: AsyncSqlStorage, number: int) -> None:
    end = time.monotonic() + PATIENCE
    while _count_waiting(store) < number:
        assert time.monotonic() < end, "they do not wait"
        await asyncio.sleep(0.005)


def _run_with_store(
    harness: Harness, story: Callable[[AsyncSqlStorage], Coroutine[Any, Any, None]]
) -> None:
    async def run_story() -> None:
        store = harness.async_store()
        try:
            await story(store)
        finally:
            await store.aclose()

    asyncio.run(run_story())


def test_threads_that_wait_for_a_row_are_decided_together(harness: Harness) -> None:
    """While threads wait for a locked row, their commands are combined into one transaction."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(0, key))
    with hold_rows(harness, key):
        callers = [Caller(store, Append(number, key)) for number in (1, 2, 3)]
        _until_waiting(store, 3)
        harness.wait_for_blocked_connection()
    for caller in callers:
        caller.join()

    assert 1 == len({caller.answer[0] for caller in callers})
    assert [1, 2, 3] == sorted(len(caller.answer[1][0]) for caller in callers)
    assert [0, 1, 2, 3] == sorted(values(store, key)[0])


def test_a_command_that_raises_fails_alone(harness: Harness) -> None:
    """A command that raises does not affect other commands in its transaction."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(0, key))
    with hold_rows(harness, key):
        refused_caller = Caller(store, FailingAppend(9, key))
        _until_waiting(store, 1)
        right_caller = Caller(store, Append(1, key))
        _until_waiting(store, 2)
    refused_caller.join()
    right_caller.join()

    assert isinstance(refused_caller.error, InvalidData)
    assert ((0,),) == right_caller.answer[1]
    assert ((0, 1),) == values(store, key)


def test_expired_caller_is_removed_from_the_transaction(harness: Harness) -> None:
    """If a command's deadline passes before the rows are unlocked, the command changes nothing."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(0, key))
    with hold_rows(harness, key):
        patient_caller = Caller(store, Append(1, key))
        _until_waiting(store, 1)
        impatient_caller = Caller(store, Append(2, key), SHORT)
        impatient_caller.join()
        assert patient_caller.is_alive()
    patient_caller.join()

    assert isinstance(impatient_caller.error, StorageUnavailable)
    assert ((0,),) == patient_caller.answer[1]
    assert ((0, 1),) == values(store, key)


def test_caller_does_not_wait_for_a_batch_that_has_not_begun(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller whose time ends before its shared transaction begins does not wait for it."""
    store, key, waited_seconds = harness.sync_store(), new_key(), list[float]()
    wait = _ThreadSignal.wait

    async def note_call(door: _ThreadSignal, seconds: float) -> None:
        waited_seconds.append(seconds)
        await wait(door, seconds)

    store.execute(Append(0, key))
    monkeypatch.setattr(_ThreadSignal, "wait", note_call)
    with hold_rows(harness, key):
        patient_caller = Caller(store, Append(1, key))
        _until_waiting(store, 1)
        impatient_caller = Caller(store, Append(2, key, durable=True), SHORT)
        impatient_caller.join()
    patient_caller.join()

    assert isinstance(impatient_caller.error, StorageUnavailable)
    assert [] != waited_seconds
    assert _GRACE not in waited_seconds


def test_caller_with_more_time_joins_the_next_transaction(harness: Harness) -> None:
    """If a transaction fails at its first caller's deadline, the other callers try the next one."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(0, key))
    with hold_rows(harness, key):
        impatient_caller = Caller(store, Append(2, key), SHORT)
        _until_waiting(store, 1)
        patient_caller = Caller(store, Append(1, key))
        impatient_caller.join()
    patient_caller.join()

    assert isinstance(impatient_caller.error, StorageUnavailable)
    assert ((0, 1),) == values(store, key)
    assert patient_caller.error is None


def test_interruption_moves_others_to_another_transaction(harness: Harness) -> None:
    """Interrupting one thread does not fail the other commands in its transaction."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(0, key))
    with hold_rows(harness, key):
        interrupted_caller = Caller(store, InterruptingAppend(9, key))
        _until_waiting(store, 1)
        next_caller = Caller(store, Append(1, key))
        _until_waiting(store, 2)
    interrupted_caller.join()
    next_caller.join()

    assert isinstance(interrupted_caller.error, Interruption)
    assert ((0, 1),) == values(store, key)


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "no threads"])
def test_command_on_other_rows_waits_for_the_next_transaction(
    harness: Harness, *, threads: bool
) -> None:
    """A command that needs another row besides the shared ones is part of the next transaction."""
    store, key, other_key = harness.sync_store(), new_key(), new_key()
    store.execute(Append(0, key, other_key))
    with ExitStack() as refusal:
        with hold_rows(harness, key):
            callers = [Caller(store, Append(1, key))]
            _until_waiting(store, 1)
            callers.append(Caller(store, Append(2, key, other_key)))
            callers.append(Caller(store, Append(3, key, durable=True)))
            _until_waiting(store, 3)
            if not threads:
                refusal.enter_context(no_new_threads())
        for caller in callers:
            caller.join()

    assert callers[0].answer[0] < callers[1].answer[0] == callers[2].answer[0]
    assert [0, 1, 2, 3] == sorted(values(store, key)[0])
    assert ((0, 2),) == values(store, other_key)


def test_task_cancelled_before_its_command_runs_changes_nothing(harness: Harness) -> None:
    """A task cancelled before its command runs changes nothing."""
    key = new_key()

    async def run_scenario(store: AsyncSqlStorage) -> None:
        await store.execute(Append(0, key))
        with hold_rows(harness, key):
            tasks = [asyncio.create_task(store.execute(Append(n, key))) for n in (1, 2)]
            await _until_all_wait(store, 2)
            tasks[0].cancel()
            await asyncio.wait(tasks[:1])
        await tasks[1]
        assert ((0, 2),) == (await store.execute(ReadCommand(key)))[1]

    _run_with_store(harness, run_scenario)


def test_transaction_without_callers_writes_nothing(harness: Harness) -> None:
    """A transaction writes nothing if all its callers have stopped waiting."""
    key, other_key = new_key(), new_key()

    async def run_scenario(store: AsyncSqlStorage) -> None:
        await store.execute(Append(0, key, other_key))
        with hold_rows(harness, key):
            commands = (Append(1, key), Append(2, key, other_key))
            tasks = []
            for number, command in enumerate(commands, 1):
                tasks.append(asyncio.create_task(store.execute(command)))
                await _until_all_wait(store, number)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert ((0,), (0,)) == (await store.execute(ReadCommand(key, other_key)))[1]

    _run_with_store(harness, run_scenario)


def test_transaction_takes_a_limited_number_of_commands(harness: Harness) -> None:
    """A transaction takes a limited number of commands; more commands go into the next one."""
    key, command_count = new_key(), 2 * _MAX_BATCH + 3

    async def run_scenario(store: AsyncSqlStorage) -> None:
        await store.execute(Append(-1, key))
        with hold_rows(harness, key):
            tasks = [
                asyncio.create_task(store.execute(Append(n, key))) for n in range(command_count)
            ]
            await _until_all_wait(store, command_count)
        times = {now for now, _ in await asyncio.gather(*tasks)}
        assert 3 == len(times)
        assert (tuple(range(-1, command_count)),) == (await store.execute(ReadCommand(key)))[1]

    _run_with_store(harness, run_scenario)


def test_lost_commit_fails_only_unrepeatable_commands(harness: Harness) -> None:
    """If the reply to a commit is lost, only those commands fail that must not be repeated."""
    key = new_key()

    async def run_scenario(url: sqlalchemy.URL, word: list[bytes]) -> None:
        store = harness.async_store(url)
        await store.execute(Append(0, key))
        with hold_rows(harness, key):
            tasks = [
                asyncio.create_task(store.execute(Append(1, key))),
                asyncio.create_task(store.execute(Append(2, key, once=False))),
            ]
            await _until_all_wait(store, 2)
            word[0] = commit_request(harness.kind)
        with pytest.raises(StorageUnavailable, match="unknown outcome"):
            await tasks[0]
        assert ((0,),) == (await tasks[1])[1]
        await store.aclose()

    word = [b"never said"]
    pending_cuts: list[str] = ["before"]

    def next_cut(chunk: bytes) -> str | None:
        return pending_cuts.pop() if pending_cuts and word[0] in chunk else None

    with Watching(harness.url, next_cut) as proxy:
        asyncio.run(run_scenario(proxy.url, word))


def test_interrupted_commit_is_not_repeated(harness: Harness) -> None:
    """A transaction interrupted during its commit is not repeated, since its outcome is unknown."""
    key = new_key()

    async def run_scenario(url: sqlalchemy.URL, seen: threading.Event) -> None:
        store = harness.async_store(url)
        first = asyncio.create_task(store.execute(Append(0, key)))
        await asyncio.to_thread(seen.wait, PATIENCE)
        (trip,) = asyncio.all_tasks() - {first, asyncio.current_task()}
        trip.cancel()
        with pytest.raises(StorageUnavailable, match="unknown outcome"):
            await first
        await store.aclose()

    seen_event = threading.Event()

    def silence_commit(chunk: bytes) -> str | None:
        if not seen_event.is_set() and commit_request(harness.kind) in chunk:
            seen_event.set()
            return "never"
        return None

    with Watching(harness.url, silence_commit) as proxy:
        asyncio.run(run_scenario(proxy.url, seen_event))


def _share_row(harness: Harness, store: SqlStorage, key: str) -> None:
    """Make two callers need a row at once, so that the store treats the row as contended."""
    with hold_rows(harness, key):
        callers = [Caller(store, Append(number, key)) for number in (1, 2)]
        _until_waiting(store, 2)
    for caller in callers:
        caller.join()


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "no threads"])
def test_transaction_on_a_slow_network_may_outlast_its_first_caller(
    harness: Harness, distant_server: sqlalchemy.URL, *, threads: bool
) -> None:
    """On a slow network, a transaction may outlast its first caller if a thread can be started."""
    store, key = harness.sync_store(distant_server), new_key()
    store.execute(Append(0, key))
    _share_row(harness, store, key)
    if not threads:
        with no_new_threads():
            store.execute(Append(3, key))
    else:
        with hold_rows(harness, key):
            impatient_caller = Caller(store, Append(9, key), SHORT)
            _until_waiting(store, 1)
            patient_caller = Caller(store, Append(3, key))
            impatient_caller.join()
            assert isinstance(impatient_caller.error, StorageUnavailable)
        patient_caller.join()

    assert [0, 1, 2, 3] == sorted(values(store, key)[0])


def test_too_many_shared_rows_are_forgotten() -> None:
    """The store remembers only a limited number of rows as contended."""
    rows = ContendedRows(1)
    for id_ in (b"a", b"b", b"c"):
        rows.add(frozenset({id_}))

    assert not rows.has_any([b"a", b"b"])
    assert rows.has_any([b"b", b"c"])


def test_reads_wait_for_no_lock(harness: Harness) -> None:
    """A command that changes no state does not wait for a locked row."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(7, key))

    with hold_rows(harness, key):
        answer = store.execute(ReadOnlyCommand(key, lambda states, _: (states, states[0])))

    assert (7,) == answer[2]
    assert store.execute(ReadOnlyCommand(new_key(), lambda states, _: (states, states))) == (None,)


def test_read_only_command_that_changes_a_state_runs_again_with_a_lock(harness: Harness) -> None:
    """If a command that is declared as read-only changes a state, it runs again with a lock."""
    store, key = harness.sync_store(), new_key()
    store.execute(Append(7, key))

    store.execute(ReadOnlyCommand(key, Append(8, key).apply))

    assert ((7, 8),) == values(store, key)


def test_error_of_a_read_only_command_reaches_the_caller(harness: Harness) -> None:
    """An exception raised by a read-only command reaches the caller unchanged."""
    with pytest.raises(InvalidData, match="not valid"):
        harness.sync_store().execute(ReadOnlyCommand(new_key(), FailingAppend(1, "a").apply))
