"""Waiting for database sockets, and database links with scripted servers."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._sql_engine import Engine
from moorage.adapters.databases._sql_link import FateUnknown, MissingFeature, NotExecuted, Row
from moorage.adapters.databases._sql_mysql import MysqlLink, _TimedReader
from moorage.adapters.databases._sql_schema import VERSION
from moorage.adapters.databases._sql_source import Names
from moorage.adapters.databases._sql_wait import by_loop, by_poll, by_select
from moorage.adapters.state._sql_combiner import Combiner
from moorage.errors import ConfigurationError, StorageUnavailable
from tests.adapters.sql_harness import Append, ReadCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    Wait = Callable[..., Coroutine[Any, Any, None]]

EACH_WAY = pytest.mark.parametrize("wait", [by_poll, by_select, by_loop])


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield two connected sockets."""
    local_socket, stored_socket = socket.socketpair()
    with local_socket, stored_socket:
        yield local_socket, stored_socket


@EACH_WAY
def test_arrived_bytes_end_the_wait(wait: Wait, ends: tuple[socket.socket, socket.socket]) -> None:
    """Waiting for a database socket ends when bytes arrive, even if the caller waits to write."""
    local_socket, stored_socket = ends
    stored_socket.send(b"x")

    for is_writing in (False, True):
        asyncio.run(wait(local_socket.fileno(), monotonic() + 20, writing=is_writing))


@EACH_WAY
def test_writable_socket_does_not_wait(
    wait: Wait, ends: tuple[socket.socket, socket.socket]
) -> None:
    """Waiting to write to a socket with buffer space returns at once."""
    asyncio.run(wait(ends[0].fileno(), monotonic() + 20, writing=True))


@EACH_WAY
def test_wait_ends_at_the_deadline(wait: Wait, ends: tuple[socket.socket, socket.socket]) -> None:
    """Waiting for a socket raises TimeoutError at the deadline."""
    for end_time in (monotonic() - 1, monotonic() + 0.01):
        with pytest.raises(TimeoutError):
            asyncio.run(wait(ends[0].fileno(), end_time, writing=False))


def test_coroutine_that_suspends_in_synchronous_code_raises_runtime_error() -> None:
    """A coroutine that suspends in synchronous code raises RuntimeError."""
    with pytest.raises(RuntimeError, match="adapter suspended"):
        run_now(asyncio.sleep(0))


class ServerError(Exception):
    """The exception that a database driver raises."""


class Answers:
    """A fake database server with a fixed response to each statement."""

    def __init__(self, answers: dict[str, Any], *, sends_together: bool) -> None:
        self.sends_together = sends_together
        self._answers = answers
        self.statements: list[str] = []

    async def __call__(self, statements: Sequence[str], until: float, done: list[Any]) -> None:
        """Respond to the statements in order until one fails."""
        assert until >= 0
        for statement in statements:
            self.statements.append(statement)
            answer = self._answers.get(statement.split(maxsplit=1)[0], ([], 0))
            if isinstance(answer, Exception):
                raise answer
            done.append(answer)


class NoConnection:
    """A database connection that leads to no server."""

    def close(self) -> None:
        """Record that the connection was closed."""


def _link(answers: dict[str, Any], *, sends_together: bool = True) -> MysqlLink:
    """Return a database connection to a fake server that sends these responses."""
    return MysqlLink(
        NoConnection(), Answers(answers, sends_together=sends_together), "states", "meta"
    )


def _engine(runtime: OneConnectionRuntime) -> Engine:
    """Return the engine of a store with one connection."""
    return Engine(
        cast("Any", runtime), names=Names("db", "t", ""), timeout=1, connections=1, create=False
    )


def test_server_whose_clock_stops_during_lock_waits_is_refused() -> None:
    """A MySQL server with sysdate-is-now is refused, since its clock stops during a lock wait."""
    link = _link({"SELECT": ([(1, 0, 1)], 0)})

    with pytest.raises(MissingFeature, match="sysdate-is-now"):
        run_now(link.prepare(0.5, 0))


def test_a_server_that_is_refused_is_named() -> None:
    """The error for an unsuitable database server names the server."""
    link = _link({"SELECT": ([(1, 0, 1)], 0)})
    engine = _engine(OneConnectionRuntime(link))

    with pytest.raises(ConfigurationError, match=r"db runs with --sysdate-is-now.*Start"):
        run_now(engine.housekeep(1))


def test_new_connection_without_time_is_kept() -> None:
    """If a caller's time ends while it connects, the next caller uses the connection."""
    link = _link({"SELECT": ([(VERSION, 0, VERSION + 1)], 0)})
    engine = _engine(OneConnectionRuntime(link))

    with pytest.raises(StorageUnavailable, match="late") as excinfo:
        run_now(Combiner(cast("Any", engine), _ignore_connection).execute(ReadCommand("a"), 0.0))

    assert excinfo.value.slow
    assert link is engine._pools[None].take()  # noqa: SLF001 - nobody could tell


def test_unrepeatable_operation_with_an_unknown_outcome_is_reported() -> None:
    """An operation that must not run twice is not repeated if its commit had no reply."""
    link = _link({"SELECT": ([(VERSION, 0, VERSION + 1)], 0)})
    attempts: list[MysqlLink] = []

    async def lose_the_reply(link: MysqlLink) -> None:
        attempts.append(link)
        raise FateUnknown

    with pytest.raises(StorageUnavailable, match="unknown outcome"):
        run_now(
            _engine(OneConnectionRuntime(link)).attempt(lose_the_reply, monotonic() + 20, once=True)
        )

    assert [link] == attempts


def test_answer_committed_for_an_interrupted_caller_is_returned() -> None:
    """A token that was granted to an interrupted caller after its wait is given back."""
    link = _link({"SELECT": ([(VERSION, 0, VERSION + 1)], 0), "(SELECT": ([(None, None, 7)], 0)})
    returned_grants: list[Any] = []
    combiner = Combiner(
        _engine(InterruptingRuntime(link)), lambda *grant: returned_grants.append(grant)
    )
    command = ReadCommand("a")

    with pytest.raises(KeyboardInterrupt):
        run_now(combiner.execute(command, 20.0))

    assert [(command, (7, (None,)))] == returned_grants


def test_command_that_is_refused_at_its_commit_fails_without_an_unknown_outcome() -> None:
    """If an insert waits too long for a lock, it fails, and no row was inserted."""
    link = _link(
        {
            "SELECT": ([(VERSION, 0, VERSION + 1)], 0),
            "(SELECT": ([(None, None, 7)], 0),
            "INSERT": ServerError(1205, "Lock wait timeout"),
        }
    )

    with pytest.raises(StorageUnavailable, match="too long"):
        run_now(
            Combiner(_engine(OneConnectionRuntime(link)), _ignore_connection).execute(
                Append(1, "a"), 20.0
            )
        )


@pytest.mark.parametrize("lookup", [1, 2], ids=["before the lookup", "after the lookup"])
def test_signal_handler_may_use_a_store_that_closes_a_batch(lookup: int) -> None:
    """A signal handler's command does not join a batch that takes no more commands."""
    link = _link({"SELECT": ([(VERSION, 0, VERSION + 1)], 0), "(SELECT": ([(None, None, 7)], 0)})
    engine = _engine(OneConnectionRuntime(link))
    combiner = Combiner(engine, _ignore_connection)
    answers: list[Any] = []

    def handle() -> None:
        answers.append(run_now(combiner.execute(Append(1, "a"), 20.0)))

    engine.pool().batches = SignalledBatches(handle, lookup)
    answers.append(run_now(combiner.execute(Append(2, "a"), 20.0)))

    assert [(7, ((),))] * 2 == answers


def _ignore_connection(*_: object) -> None:
    """Do nothing with a connection for which no caller waits."""


class OneConnectionRuntime:
    """A runtime that always returns the same connection."""

    blocks = True

    def __init__(self, link: MysqlLink) -> None:
        self._link = link

    async def enter(self, *_: object) -> bool:
        """Admit the caller at once."""
        return True

    def leave(self, *_: object) -> None:
        """Do nothing when the caller leaves."""

    async def connect(self) -> MysqlLink:
        """Return the only connection."""
        return self._link

    def start(self, opening: Coroutine[Any, Any, None]) -> OneConnectionRuntime:
        """Open the connection now."""
        run_now(opening)
        return self

    async def wait(self, _: float) -> None:
        """Return at once."""

    def later(self, *_: object) -> None:
        """Never close the connection."""

    def late_error(self, *, slow: bool) -> StorageUnavailable:
        """Return the error for a call that takes too long."""
        return StorageUnavailable("late.", slow=slow)

    def scope(self) -> None:
        """Return None, which means one scope for all callers."""


class InterruptingRuntime(OneConnectionRuntime):
    """A runtime whose waiting caller is interrupted just before it is woken."""

    blocks = False

    def start_detached(self, flow: Coroutine[Any, Any, None]) -> InterruptingRuntime:
        """Keep the batch, so that the test can run it later."""
        self._flow = flow
        return self

    def signal(self) -> Interruption:
        """Return a signal that interrupts its waiting caller."""
        return Interruption(lambda: run_now(self._flow))


class SignalledBatches(dict[bytes, Any]):
    """A dictionary of batches that raises an operating system signal before or after one lookup."""

    def __init__(self, handle: Callable[[], None], lookup: int) -> None:
        super().__init__()
        self._handle = handle
        self._lookup = lookup

    def get(self, key: bytes, default: Any = None) -> Any:
        """Return a batch, and raise the signal just before or after."""
        batch = super().get(key, default)
        if self._lookup and batch is not None and batch.closed:
            first_lookup, self._lookup = self._lookup == 1, 0
            self._handle()
            return super().get(key, default) if first_lookup else batch
        return batch


class Interruption:
    """A signal that interrupts its waiting caller after the batch has ended."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run

    def open(self) -> None:
        """Return at once, because the caller no longer waits."""

    async def wait(self, _: float) -> None:
        """Raise an interruption."""
        self._run()
        raise KeyboardInterrupt


def test_the_victim_of_a_deadlock_may_try_again() -> None:
    """A deadlock rolls back everything, so the operation may be retried."""
    link = _link({"DELETE": ServerError(1213, "Deadlock"), "SELECT": ([(b"",)], 1)})

    with pytest.raises(NotExecuted, match="deadlock") as excinfo:
        run_now(link.delete_expired(1, 0))

    assert (True, False, True) == (excinfo.value.again, excinfo.value.lost, link.ready)


def test_lock_wait_timeout_is_not_retried() -> None:
    """A MySQL lock wait timeout is not retried after the deadline."""
    link = _link({"DELETE": ServerError(1205, "Lock wait timeout"), "SELECT": ([(b"",)], 1)})

    with pytest.raises(NotExecuted, match="too long") as excinfo:
        run_now(link.delete_expired(1, 0))

    assert (False, False, True) == (excinfo.value.again, excinfo.value.lost, link.ready)


def test_a_cluster_that_refuses_a_commit_has_not_executed_it() -> None:
    """A Galera conflict at the commit rolls back everything, so the operation may be retried."""
    link = _link({"COMMIT": ServerError(1213, "Deadlock")})

    with pytest.raises(NotExecuted, match="deadlock"):
        run_now(link.write([Row(b"", b"", 0)], 0, durable=True))


@pytest.mark.parametrize("error", [ServerError(), ServerError("odd"), OSError("gone")], ids=repr)
def test_commit_without_a_reported_result_has_an_unknown_outcome(error: Exception) -> None:
    """If the server does not report the result of a commit, its outcome is unknown."""
    link = _link({"COMMIT": error})

    with pytest.raises(FateUnknown):
        run_now(link.write([Row(b"", b"", 0)], 0, durable=True))


@pytest.mark.parametrize("sends_together", [True, False])
def test_lost_update_before_its_commit_was_not_executed(*, sends_together: bool) -> None:
    """An update without a reply was not executed, unless its commit was sent with it."""
    link = _link({"UPDATE": ServerError(2013, "Lost connection")}, sends_together=sends_together)

    with pytest.raises(FateUnknown if sends_together else NotExecuted):
        run_now(link.write([Row(b"", b"", 0)], monotonic() + 20, durable=True))


@pytest.mark.parametrize("sends_together", [True, False])
def test_an_update_that_is_refused_was_not_executed(*, sends_together: bool) -> None:
    """If the server refuses an update, nothing was committed."""
    link = _link({"UPDATE": ServerError(1290, "read-only")}, sends_together=sends_together)

    with pytest.raises(NotExecuted, match="lost"):
        run_now(link.write([Row(b"", b"", 0)], monotonic() + 20, durable=True))


def test_empty_rows_may_be_inserted_again() -> None:
    """A commit that only inserts empty rows and gets no reply is treated as not executed."""
    link = _link({"COMMIT": ServerError(2013, "Lost connection")})

    with pytest.raises(NotExecuted):
        run_now(link.insert_missing([Row(b"", None, 0)], [""], 0))


def test_a_reply_is_not_read_after_its_time(ends: tuple[socket.socket, socket.socket]) -> None:
    """If a reply arrives after the reader's deadline, the reader does not read it."""
    local_socket, stored_socket = ends
    stored_socket.send(b"x")

    class Connection:
        _sock = local_socket
        _rfile = local_socket.makefile("rb")

    connection = Connection()  # closing it closes the reader too
    reader = _TimedReader(connection)
    with pytest.raises(TimeoutError):
        reader.readinto(bytearray(1))
    reader.until = monotonic() + 20

    assert 1 == reader.readinto(bytearray(1))
    reader.close()


class EndedLoops:
    """A runtime in which one event loop has ended while others begin to use the engine."""

    def __init__(self) -> None:
        self.loop = "ended"
        self.engine: Engine | None = None

    def scope(self) -> str:
        """Return the current event loop."""
        return self.loop

    def gone(self, loop: str, /) -> bool:
        """Return whether an event loop has ended, after another one has begun to use the engine."""
        if self.loop == "first":
            self.loop = "second"
            assert self.engine is not None
            self.engine.pool()
            self.loop = "first"
        return loop == "ended"


def test_event_loops_that_begin_at_once_forget_an_ended_one() -> None:
    """If two event loops begin at the same time, both discard the connections of an ended loop."""
    runtime = EndedLoops()
    engine = runtime.engine = _engine(cast("Any", runtime))
    ended_pool = engine.pool()
    runtime.loop = "first"
    pool = engine.pool()
    assert ended_pool is not pool
    assert ["second", "first"] == list(engine._pools)  # noqa: SLF001 - nobody else can tell
