"""The waiting operations of synchronous stores (threads) and asynchronous stores (tasks)."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from threading import TIMEOUT_MAX, Lock, Thread, Timer, local
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.concurrency.locks_async import AsyncioLocks
from moorage.adapters.databases._sql_link import SLOWEST
from moorage.adapters.databases._sql_wait import blocking, by_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.databases._sql_engine import Signal
    from moorage.adapters.databases._sql_link import Link, SocketWait
    from moorage.adapters.databases._sql_pool import ConnectionOpening
    from moorage.adapters.databases._sql_schema import Tables
    from moorage.adapters.databases._sql_source import Source
    from moorage.errors import StorageUnavailable

_UNLIMITED_QUEUE: Final = 10**9

_SECOND_CANCEL: Final = 0.1
"""Seconds from the first cancellation of a task to the second."""


class ThreadRuntime:
    """The waiting operations of a synchronous store, which block the thread.

    Args:
        source: opens connections.
        links: creates the link of a connection.
        migrate: creates the tables.
        inside: has `now` set in each thread that works for the store.
    """

    blocks = True

    def __init__(
        self,
        source: Source,
        links: Callable[[SocketWait], Callable[[Any], Link]],
        migrate: Callable[[], None],
        inside: local | None = None,
    ) -> None:
        self._inside = inside or local()
        self._source = source
        self._link = links(blocking)
        self._open = source.opener()
        self._migrate = migrate
        self._locks = ThreadLocks()

    async def enter(self, holder: object, slots: int, timeout: float) -> bool:
        return self._locks.acquire("", holder, slots=slots, queue=_UNLIMITED_QUEUE, timeout=timeout)

    def leave(self, holder: object) -> None:
        self._locks.release("", holder)

    async def connect(self) -> Link:
        try:
            connection = self._open()
        except Exception as error:  # noqa: BLE001 - listeners of the host may raise any error
            failure = self._source.failure_of(error)
        else:
            return self._link(connection)
        # Raised outside the handler, so that it does not carry the driver's frames with the
        # password.
        raise failure

    def start(self, opening: Coroutine[Any, Any, None]) -> ConnectionOpening:
        thread = _WorkerThread(opening, self._inside)
        try:
            thread.start()
        except RuntimeError:
            # The system has no more threads, or the interpreter is ending: connect in this thread.
            thread.run()
            return _FinishedWork()
        return thread

    def start_detached(self, flow: Coroutine[Any, Any, None]) -> ConnectionOpening | None:
        thread = _WorkerThread(flow, self._inside)
        try:
            thread.start()
        except RuntimeError:
            flow.close()
            return None
        return thread

    def signal(self) -> Signal:
        return _ThreadSignal()

    def late_error(self, *, slow: bool) -> StorageUnavailable:
        return self._source.unreachable(TimeoutError(), slow=slow)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this runtime blocks

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = Timer(seconds, act)
        timer.daemon = True
        # If no other thread can be started, idle connections are closed later.
        with suppress(RuntimeError):
            timer.start()

    async def create(self) -> None:
        self._migrate()

    def scope(self) -> object:
        return None

    def gone(self, _: object, /) -> bool:  # pragma: no cover - threads have one scope
        return False


class _ThreadSignal:
    """A signal that wakes one waiting thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Wake the waiting thread."""
        self._lock.release()

    async def wait(self, seconds: float) -> None:
        """Wait for the signal, at most this number of seconds."""
        self._lock.acquire(timeout=min(max(0.0, seconds), TIMEOUT_MAX))


class _WorkerThread(Thread):
    """Runs a function in a thread, which continues if the caller stops waiting.

    No driver has a timeout for all of its steps, such as name resolution; libpq waits for at least
    two seconds.
    """

    def __init__(self, flow: Coroutine[Any, Any, None], inside: local) -> None:
        super().__init__(name="moorage-sql", daemon=True)
        self._flow = flow
        self._inside = inside

    async def wait(self, seconds: float) -> None:
        """Wait until the work has ended, at most this number of seconds."""
        self.join(min(seconds, TIMEOUT_MAX))

    def cancel(self) -> None:
        """Do nothing, because a thread cannot be cancelled."""

    def run(self) -> None:
        """Run the coroutine of this thread to its end."""
        self._inside.now = True
        run_now(self._flow)


class _FinishedWork:
    """The result of work that ended before a caller began to wait for the result."""

    async def wait(self, seconds: float) -> None:
        """Return immediately, because the work has ended."""

    def cancel(self) -> None:
        """Do nothing, because the work has ended."""


class LoopRuntime:
    """The waiting operations of an asynchronous store, which suspend the task."""

    blocks = False

    def __init__(
        self,
        source: Source,
        links: Callable[[SocketWait], Callable[[Any], Link]],
        migrate: Callable[[], Coroutine[Any, Any, None]],
        timeout: float,
    ) -> None:
        self._source = source
        self._link = links(by_loop)
        self._openers: WeakKeyDictionary[asyncio.AbstractEventLoop, Callable[[], Any]] = (
            WeakKeyDictionary()
        )
        self._migrate = migrate
        self._timeout = timeout
        self._locks = AsyncioLocks()

    async def enter(self, holder: object, slots: int, timeout: float) -> bool:
        return await self._locks.acquire(
            "", holder, slots=slots, queue=_UNLIMITED_QUEUE, timeout=timeout
        )

    def leave(self, holder: object) -> None:
        self._locks.release("", holder)

    async def connect(self) -> Link:
        from sqlalchemy.util import greenlet_spawn  # noqa: PLC0415 - wants greenlet

        loop = asyncio.get_running_loop()
        try:
            # A waiter of SQLAlchemy's pool cannot be woken from another event loop, so each loop
            # has a pool.
            opener = self._openers.get(loop) or self._openers.setdefault(
                loop, self._source.opener()
            )
            async with asyncio.timeout(max(self._timeout, SLOWEST)):
                connection = await greenlet_spawn(opener)
        except Exception as error:  # noqa: BLE001 - listeners of the host may raise any error
            failure = self._source.failure_of(error)
        else:
            return self._link(connection)
        raise failure

    def start(self, opening: Coroutine[Any, Any, None]) -> ConnectionOpening:
        return _WorkerTask(opening)

    def start_detached(self, flow: Coroutine[Any, Any, None]) -> ConnectionOpening | None:
        return _WorkerTask(flow)

    def signal(self) -> Signal:
        return _TaskSignal()

    def late_error(self, *, slow: bool) -> StorageUnavailable:
        return self._source.unreachable(TimeoutError(), slow=slow)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, act)

    async def create(self) -> None:
        await self._migrate()

    def scope(self) -> object:
        return asyncio.get_running_loop()

    def gone(self, other_scope: object, /) -> bool:
        return isinstance(other_scope, asyncio.AbstractEventLoop) and other_scope.is_closed()


class _TaskSignal:
    """A signal that wakes a waiting task."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting = self._loop.create_future()

    def open(self) -> None:
        """Wake the waiting task."""
        _end(self._waiting)

    async def wait(self, seconds: float) -> None:
        """Wait for the signal, at most this number of seconds."""
        signal_future = self._waiting = self._loop.create_future()
        deadline_timer = self._loop.call_later(max(0.0, seconds), _end, signal_future)
        try:
            await signal_future
        finally:
            deadline_timer.cancel()


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class _WorkerTask:
    """Runs a coroutine in a task, which continues if the caller stops waiting."""

    def __init__(self, flow: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(flow)

    async def wait(self, seconds: float) -> None:
        """Wait until the work has ended, at most this number of seconds."""
        await asyncio.wait((self._task,), timeout=seconds)

    def cancel(self) -> None:
        """Cancel the task.

        Before Python 3.12 `asyncio.wait_for` loses a cancellation that arrives with its result, so
        the task is cancelled twice.
        """
        if self._task.cancel():
            self._task.get_loop().call_later(_SECOND_CANCEL, self._task.cancel)


def link_maker(
    source: Source, tables: Tables, wait: SocketWait, *, is_async: bool
) -> Callable[[Any], Link]:
    """Return a function that makes a store's connection from a database driver's connection."""
    states, meta = source.quoted(tables.states), source.quoted(tables.meta)
    if source.kind == "postgresql":
        from moorage.adapters.databases._sql_postgresql import (  # noqa: PLC0415 - imports psycopg
            PooledPostgresLink,
            PostgresLink,
            Statements,
        )

        statements = Statements(states, meta)
        link_type = PooledPostgresLink if source.pools_transactions else PostgresLink
        return lambda connection: link_type(connection, statements, wait)
    from moorage.adapters.databases._sql_mysql import (  # noqa: PLC0415 - not where it is not used
        AsyncRun,
        MysqlLink,
        SyncRun,
    )

    run = AsyncRun if is_async else SyncRun
    return lambda connection: MysqlLink(connection, run(connection), states, meta)
