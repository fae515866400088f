"""What the two colours of a store in a database server do each in its own way."""

from __future__ import annotations

import asyncio
import time
from threading import TIMEOUT_MAX, Lock, Thread, local
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.locks import ThreadLocks
from moorage.adapters.concurrency.locks_async import AsyncioLocks
from moorage.adapters.databases._sql_link import SLOWEST
from moorage.adapters.databases._sql_wait import blocking, by_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.databases._sql_engine import Door
    from moorage.adapters.databases._sql_link import Link, Wait
    from moorage.adapters.databases._sql_pool import Running
    from moorage.adapters.databases._sql_schema import Tables
    from moorage.adapters.databases._sql_source import Source
    from moorage.errors import StorageUnavailable

_EVERYBODY: Final = 10**9

_AGAIN: Final = 0.1
"""Seconds from the first cancellation of a task to the second."""


class Threads:
    """Waiting by blocking the thread: nothing here ever suspends.

    Args:
        source: where connections come from.
        links: makes the link of a connection.
        migrate: creates the tables.
        inside: has `now` set in each thread that works for the store.
    """

    blocks = True

    def __init__(
        self,
        source: Source,
        links: Callable[[Wait], Callable[[Any], Link]],
        migrate: Callable[[], None],
        inside: local | None = None,
    ) -> None:
        self._inside = inside or local()
        self._source = source
        self._link = links(blocking)
        self._open = source.opener()
        self._migrate = migrate
        self._locks = ThreadLocks()

    async def enter(self, holder: object, places: int, timeout: float) -> bool:
        return self._locks.acquire("", holder, places=places, queue=_EVERYBODY, timeout=timeout)

    def leave(self, holder: object) -> None:
        self._locks.release("", holder)

    async def connect(self) -> Link:
        try:
            connection = self._open()
        except Exception as error:  # noqa: BLE001 - a host's listeners may raise anything
            failure = self._source.unreachable(error)
        else:
            return self._link(connection)
        # Out here, or it would carry along the frames of the driver, which hold the password.
        raise failure

    def start(self, opening: Coroutine[Any, Any, None]) -> Running:
        thread = _Working(opening, self._inside)
        try:
            thread.start()
        except RuntimeError:
            # The system has no more threads, or the interpreter is about to end: connect here.
            thread.run()
            return _Connected()
        return thread

    def apart(self, flow: Coroutine[Any, Any, None]) -> Running | None:
        thread = _Working(flow, self._inside)
        try:
            thread.start()
        except RuntimeError:
            flow.close()
            return None
        return thread

    def door(self) -> Door:
        return _ThreadDoor()

    def late(self, *, slow: bool) -> StorageUnavailable:
        return self._source.unreachable(TimeoutError(), slow=slow)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this colour does

    async def create(self) -> None:
        self._migrate()

    def here(self) -> object:
        return None

    def gone(self, _: object, /) -> bool:  # pragma: no cover - there is no other place
        return False


class _ThreadDoor:
    """A door for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let the thread go on."""
        self._lock.release()

    async def wait(self, seconds: float) -> None:
        """Wait until it is open, or for so long."""
        self._lock.acquire(timeout=min(max(0.0, seconds), TIMEOUT_MAX))


class _Working(Thread):
    """Runs a connection attempt or a transaction in a thread; its caller may stop waiting for it.

    No driver bounds all of its steps, such as looking the host up; and libpq waits for at least
    two seconds.
    """

    def __init__(self, flow: Coroutine[Any, Any, None], inside: local) -> None:
        super().__init__(name="moorage-sql", daemon=True)
        self._flow = flow
        self._inside = inside

    async def wait(self, seconds: float) -> None:
        """Wait until it has ended, or for so long."""
        self.join(min(seconds, TIMEOUT_MAX))

    def cancel(self) -> None:
        """Nothing: no thread can be ended."""

    def run(self) -> None:
        """Do it."""
        self._inside.now = True
        run_now(self._flow)


class _Connected:
    """What has come to its end already."""

    async def wait(self, seconds: float) -> None:
        """Return at once."""

    def cancel(self) -> None:
        """Nothing: there is nothing to end."""


class Loops:
    """Waiting in an event loop."""

    blocks = False

    def __init__(
        self,
        source: Source,
        links: Callable[[Wait], Callable[[Any], Link]],
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

    async def enter(self, holder: object, places: int, timeout: float) -> bool:
        return await self._locks.acquire(
            "", holder, places=places, queue=_EVERYBODY, timeout=timeout
        )

    def leave(self, holder: object) -> None:
        self._locks.release("", holder)

    async def connect(self) -> Link:
        from sqlalchemy.util import greenlet_spawn  # noqa: PLC0415 - wants greenlet

        loop = asyncio.get_running_loop()
        try:
            # What one loop waits for in SQLAlchemy's pool, another could not wake it for.
            opener = self._openers.get(loop) or self._openers.setdefault(
                loop, self._source.opener()
            )
            async with asyncio.timeout(max(self._timeout, SLOWEST)):
                connection = await greenlet_spawn(opener)
        except Exception as error:  # noqa: BLE001 - a host's listeners may raise anything
            failure = self._source.unreachable(error)
        else:
            return self._link(connection)
        raise failure

    def start(self, opening: Coroutine[Any, Any, None]) -> Running:
        return _WorkingTask(opening)

    def apart(self, flow: Coroutine[Any, Any, None]) -> Running | None:
        return _WorkingTask(flow)

    def door(self) -> Door:
        return _TaskDoor()

    def late(self, *, slow: bool) -> StorageUnavailable:
        return self._source.unreachable(TimeoutError(), slow=slow)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def create(self) -> None:
        await self._migrate()

    def here(self) -> object:
        return asyncio.get_running_loop()

    def gone(self, there: object, /) -> bool:
        return isinstance(there, asyncio.AbstractEventLoop) and there.is_closed()


class _TaskDoor:
    """A door for tasks of the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting = self._loop.create_future()

    def open(self) -> None:
        """Let the task go on."""
        _end(self._waiting)

    async def wait(self, seconds: float) -> None:
        """Wait until it is open, or for so long."""
        waiting = self._waiting = self._loop.create_future()
        late = self._loop.call_later(max(0.0, seconds), _end, waiting)
        try:
            await waiting
        finally:
            late.cancel()


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class _WorkingTask:
    """Opens a connection, or makes a trip, in a task that goes on without its caller."""

    def __init__(self, flow: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(flow)

    async def wait(self, seconds: float) -> None:
        """Wait until it has ended, or for so long."""
        await asyncio.wait((self._task,), timeout=seconds)

    def cancel(self) -> None:
        """End it.

        Before Python 3.12 `asyncio.wait_for` loses a cancellation that comes with its result, so
        there is a second one.
        """
        if self._task.cancel():
            self._task.get_loop().call_later(_AGAIN, self._task.cancel)


def links_to(source: Source, tables: Tables, wait: Wait, *, awaited: bool) -> Callable[[Any], Link]:
    """A function that makes the link of a connection."""
    states, meta = source.quoted(tables.states), source.quoted(tables.meta)
    if source.kind == "postgresql":
        from moorage.adapters.databases._sql_postgresql import (  # noqa: PLC0415 - imports psycopg
            PostgresLink,
            Statements,
        )

        statements = Statements(states, meta)
        return lambda connection: PostgresLink(connection, statements, wait)
    from moorage.adapters.databases._sql_mysql import (  # noqa: PLC0415 - not where it is not used
        AwaitedRun,
        MysqlLink,
        PlainRun,
    )

    run = AwaitedRun if awaited else PlainRun
    return lambda connection: MysqlLink(connection, run(connection), states, meta)
