"""Shared state in PostgreSQL, MariaDB or MySQL, through SQLAlchemy and its drivers.

The tables are created once, with `migrate()` or by the host's own migrations (`tables`, `ddl`).
Each command is a short transaction on a connection that only the store uses.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from functools import partial
from threading import local
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.databases._sql_engine import Engine
from moorage.adapters.databases._sql_runtimes import LoopRuntime, ThreadRuntime, link_maker
from moorage.adapters.databases._sql_schema import declared, dialect_of
from moorage.adapters.databases._sql_source import Source
from moorage.adapters.state._posts import MOST, Posts
from moorage.adapters.state._sql_combiner import Combiner
from moorage.domain.resilience.admission import unclaimed
from moorage.domain.secrets.frames import refusing
from moorage.domain.values.durations import count, seconds
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.adapters.databases._sql_schema import Tables
    from moorage.domain.state.commands import Command

Answer = TypeVar("Answer")

_PREFIX: Final = "moorage_"
_SYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_ASYNC_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}


def _seconds_until(until: float | None) -> float | None:
    """Return the seconds until a time of `monotonic()`; None if there is none."""
    return None if until is None else until - monotonic()


class _Common(ABC):
    """The common part of the synchronous and the asynchronous store."""

    durable: Final = True
    """An answered claim survives a crash of the server."""

    reach: Final = "network"
    mixes_tags: Final = True

    _source: Source
    _tables: Tables

    def _return_grants(self, command: Command[Any], answer: Any) -> None:
        """Return the grants of a caller that has left."""
        for return_command in unclaimed(command, answer):
            self.post(return_command)

    @abstractmethod
    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its answer, soon or with the next command."""

    @staticmethod
    def tables(
        metadata: sqlalchemy.MetaData | None = None,
        *,
        prefix: str = _PREFIX,
        schema: str | None = None,
    ) -> tuple[sqlalchemy.Table, sqlalchemy.Table]:
        """Declare the store's two tables in `metadata`, for a host that makes its own migrations.

        The second needs the row that `ddl` inserts; `metadata` also inserts it in a new table.
        """
        tables = declared(metadata, prefix, schema)
        return tables.states, tables.meta

    @staticmethod
    def ddl(dialect: str, *, prefix: str = _PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the tables in `postgresql`, `mysql` or `mariadb`."""
        return declared(None, prefix, schema).ddl(dialect_of(dialect))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"


class SqlStorage(_Common):
    """A `StateStorage` in PostgreSQL, MariaDB or MySQL, for all processes that share the database.

    It has its own connections, also with an engine: it never joins a transaction of the host, so a
    rollback of the host does not undo a claim. It connects at the first use; threads share it, and
    a forked child has its own connections.

    A command takes at most twice the `timeout`, once for a connection and once for the answer, and
    never longer than the caller's deadline.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, which is only used to open connections.
        timeout: seconds, or a timedelta, to wait for a connection, for locked rows and for a
            reply.
        connections: the maximum number of connections.
        prefix: the beginning of the tables' names.
        schema: the schema of the tables, if it is not the connection's default.
        create: whether to create missing tables; otherwise run `migrate()`.
    """

    @refusing
    def __init__(
        self,
        url: str | sqlalchemy.URL | sqlalchemy.Engine,
        *,
        timeout: float | timedelta = 0.5,
        connections: int = 5,
        prefix: str = _PREFIX,
        schema: str | None = None,
        create: bool = False,
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._source = Source(url, _SYNC_DRIVERS, awaited=False, timeout=bound)
        self._tables = declared(None, prefix, schema)
        links = partial(link_maker, self._source, self._tables, awaited=False)
        self._inside = local()
        runtime = ThreadRuntime(self._source, links, self.migrate, self._inside)
        self._engine = Engine(
            runtime,
            names=self._source.names(self._tables),
            timeout=bound,
            connections=count(connections, "connections"),
            create=create,
        )
        self._combiner = Combiner(self._engine, self._return_grants)
        self._start_afresh()
        in_child(self, SqlStorage._start_afresh)

    def _start_afresh(self) -> None:
        # A command that the parent has posted is executed by the parent.
        self._posted: deque[Command[Any]] = deque(maxlen=MOST)
        self._unavailable = False

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command."""
        inside = self._inside
        until = None if timeout is None else monotonic() + timeout
        if self._posted:
            outage = self._send(until)
            if outage is not None:
                # The new command would wait just as long without success.
                raise outage
        was_inside, inside.now = getattr(inside, "now", False), True
        try:
            answer = run_now(self._combiner.execute(command, _seconds_until(until)))
        except StorageUnavailable:
            self._unavailable = True
            raise
        finally:
            inside.now = was_inside
        self._unavailable = False
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its answer, soon or with the next command."""
        self._posted.append(command)
        if not self._unavailable:
            self._send()

    def housekeep(self, *, limit: int = 10_000) -> int:
        """Delete expired states, at most `limit`, and return their number."""
        return run_now(self._engine.housekeep(count(limit, "limit")))

    def migrate(self) -> None:
        """Create missing tables, and update older ones."""
        try:
            with self._source.engine.begin() as connection:
                self._tables.create(connection)
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._source.unmade(error)
        else:
            return
        # Raised outside the handler, so that it does not carry the driver's frames with the
        # password.
        raise failure

    def close(self) -> None:
        """Close idle connections now, and the others when their commands end."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, until: float | None = None) -> StorageUnavailable | None:
        """Run the posted commands, unless this thread is executing a command."""
        # A finaliser or signal handler may post while this thread holds row locks, and would
        # deadlock.
        posted, inside = self._posted, self._inside
        if getattr(inside, "now", False):
            return None
        inside.now = True
        try:
            while posted:
                command = posted.popleft()
                try:
                    run_now(self._combiner.execute(command, _seconds_until(until)))
                except StorageUnavailable as error:
                    # The other commands would wait without success too; the next command tries
                    # again.
                    if not command.once:
                        posted.appendleft(command)
                    self._unavailable = True
                    return error
                except Exception:  # noqa: BLE001, S112 - no caller waits for it
                    continue
                self._unavailable = False
        finally:
            inside.now = False
        return None


class AsyncSqlStorage(_Common):
    """A `StateStorage` in PostgreSQL, MariaDB or MySQL, for all processes that share the database.

    It has its own connections, also with an engine: it never joins a transaction of the host, so a
    rollback of the host does not undo a claim. It connects at the first use in each event loop, and
    a forked child has its own connections.

    A command takes at most twice the `timeout`, once for a connection and once for the answer, and
    never longer than the caller's deadline.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy with
            the driver psycopg or asyncmy, which is only used to open connections.
        timeout: seconds, or a timedelta, to wait for a connection, for locked rows and for a
            reply.
        connections: the maximum number of connections.
        prefix: the beginning of the tables' names.
        schema: the schema of the tables, if it is not the connection's default.
        create: whether to create missing tables; otherwise run `migrate()`.
    """

    @refusing
    def __init__(
        self,
        url: str | sqlalchemy.URL | AsyncEngine,
        *,
        timeout: float | timedelta = 0.5,
        connections: int = 5,
        prefix: str = _PREFIX,
        schema: str | None = None,
        create: bool = False,
    ) -> None:
        bound = seconds(timeout, "timeout")
        self._source = Source(url, _ASYNC_DRIVERS, awaited=True, timeout=bound)
        self._tables = declared(None, prefix, schema)
        links = partial(link_maker, self._source, self._tables, awaited=True)
        runtime = LoopRuntime(self._source, links, self.migrate, bound)
        self._engine = Engine(
            runtime,
            names=self._source.names(self._tables),
            timeout=bound,
            connections=count(connections, "connections"),
            create=create,
        )
        self._combiner = Combiner(self._engine, self._return_grants)
        self._posts = Posts(self._combiner.execute, bound)

    async def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,
    ) -> Answer:
        """Run one command."""
        posts = self._posts
        until = None if timeout is None else monotonic() + timeout
        if posts.kept or posts.sending:
            await posts.settle(timeout)
        return await self._combiner.execute(command, _seconds_until(until))

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its answer, soon or with the next command."""
        self._posts.post(command)

    async def housekeep(self, *, limit: int = 10_000) -> int:
        """Delete expired states, at most `limit`, and return their number."""
        return await self._engine.housekeep(count(limit, "limit"))

    async def migrate(self) -> None:
        """Create missing tables, and update older ones."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        try:
            async with AsyncEngine(self._source.engine).begin() as connection:
                await connection.run_sync(self._tables.create)
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._source.unmade(error)
        else:
            return
        raise failure

    async def aclose(self) -> None:
        """Close idle connections now, and the others when their commands end."""
        if self._posts.kept or self._posts.sending:
            await self._posts.settle()
        self._engine.close()
        await asyncio.sleep(0)  # a transport closes in the next iteration of the loop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
