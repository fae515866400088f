"""What the two colours of a store in a database server do each in its own way."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from moorage.adapters._sql_source import connect
from moorage.adapters._sql_wait import blocking, by_loop
from moorage.adapters.locks import ThreadLocks
from moorage.adapters.locks_async import AsyncioLocks
from moorage.domain.durations import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sqlalchemy.pool import Pool

    from moorage.adapters._sql_link import Link, Wait
    from moorage.adapters._sql_schema import Tables
    from moorage.adapters._sql_source import Source

_EVERYBODY: Final = 10**9


class Threads:
    """Waiting by blocking the thread: nothing here ever suspends."""

    def __init__(
        self, source: Source, tables: Tables, migrate: Callable[[], None], timeout: float
    ) -> None:
        self._source = source
        self._timeout = timeout
        self._link = _links(source, tables, blocking, awaited=False)
        self._pool = source.pool()
        self._migrate = migrate
        self._locks = ThreadLocks()

    async def enter(self, holder: object, places: int, timeout: float) -> bool:
        return self._locks.acquire("", holder, places=places, queue=_EVERYBODY, timeout=timeout)

    def leave(self, holder: object) -> None:
        self._locks.release("", holder)

    async def open(self, until: float) -> Link:
        connecting = _Connecting(self._pool)
        try:
            connection = connecting.within(bounded(self._timeout, until - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - a host's listeners may raise anything
            failure = self._source.unreachable(error)
        else:
            return self._link(connection)
        # Out here, or it would carry along the frames of the driver, which hold the password.
        raise failure

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - blocking is what this colour does

    async def create(self) -> None:
        self._migrate()

    def here(self) -> object:
        return None

    def gone(self, _: object, /) -> bool:  # pragma: no cover - there is no other place
        return False


class _Connecting(Thread):
    """Opens a connection in a thread of its own, which is left behind if it takes too long.

    No driver bounds all of its steps, such as looking the host up; and libpq waits for at least
    two seconds. What comes too late is closed.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__(name="moorage-connecting", daemon=True)
        self._pool = pool
        self._lock = Lock()
        self._given_up = False
        self._connection: Any = None
        self._error: BaseException | None = None

    def within(self, seconds: float) -> Any:
        """The connection, if it is open in time.

        Raises:
            TimeoutError: it was not.
            Exception: what the driver raised.
        """
        try:
            self.start()
            self.join(seconds)
        finally:
            with self._lock:
                self._given_up = True
                connection, error, self._error = self._connection, self._error, None
        if error is not None:
            raise error
        if connection is None:
            raise TimeoutError
        return connection

    def run(self) -> None:
        """Connect."""
        try:
            connection = connect(self._pool)
        except BaseException as error:  # noqa: BLE001 - raised in whoever waits for it
            with self._lock:
                self._error = error
            return
        with self._lock:
            if not self._given_up:
                self._connection = connection
                return
        with suppress(Exception):
            connection.close()


class Loops:
    """Waiting in an event loop."""

    def __init__(
        self,
        source: Source,
        tables: Tables,
        migrate: Callable[[], Coroutine[Any, Any, None]],
        timeout: float,
    ) -> None:
        self._source = source
        self._link = _links(source, tables, by_loop, awaited=True)
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()
        self._migrate = migrate
        self._timeout = timeout
        self._locks = AsyncioLocks()

    async def enter(self, holder: object, places: int, timeout: float) -> bool:
        return await self._locks.acquire(
            "", holder, places=places, queue=_EVERYBODY, timeout=timeout
        )

    def leave(self, holder: object) -> None:
        self._locks.release("", holder)

    async def open(self, until: float) -> Link:
        from sqlalchemy.util import greenlet_spawn  # noqa: PLC0415 - wants greenlet

        loop = asyncio.get_running_loop()
        try:
            # What one loop waits for in SQLAlchemy's pool, another could not wake it for.
            pool = self._pools.get(loop) or self._pools.setdefault(loop, self._source.pool())
            async with asyncio.timeout(bounded(self._timeout, until - time.monotonic())):
                connection = await greenlet_spawn(connect, pool)
        except Exception as error:  # noqa: BLE001 - a host's listeners may raise anything
            failure = self._source.unreachable(error)
        else:
            return self._link(connection)
        raise failure

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def create(self) -> None:
        await self._migrate()

    def here(self) -> object:
        return asyncio.get_running_loop()

    def gone(self, there: object, /) -> bool:
        return isinstance(there, asyncio.AbstractEventLoop) and there.is_closed()


def _links(source: Source, tables: Tables, wait: Wait, *, awaited: bool) -> Callable[[Any], Link]:
    """What makes links of connections."""
    states, meta = source.quoted(tables.states), source.quoted(tables.meta)
    if source.kind == "postgresql":
        from moorage.adapters._sql_postgresql import (  # noqa: PLC0415 - imports psycopg
            PostgresLink,
            Statements,
        )

        statements = Statements(states, meta)
        return lambda connection: PostgresLink(connection, statements, wait)
    from moorage.adapters._sql_mysql import (  # noqa: PLC0415 - not where it is not used
        MysqlLink,
        awaited_run,
        plain_run,
    )

    run = awaited_run if awaited else plain_run
    return lambda connection: MysqlLink(connection, run(connection), states, meta)
