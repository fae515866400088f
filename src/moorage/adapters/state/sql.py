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

from moorage.adapters.concurrency._closing import AsyncContextClosable, ContextClosable
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.databases._sql_engine import Engine
from moorage.adapters.databases._sql_runtimes import LoopRuntime, ThreadRuntime, link_maker
from moorage.adapters.databases._sql_schema import declare_tables, dialect_of
from moorage.adapters.databases._sql_source import Source
from moorage.adapters.state._posted_commands import MAX_POSTED, PostedCommands, seconds_until
from moorage.adapters.state._sql_combiner import Combiner
from moorage.domain.resilience.gate_commands import return_unclaimed
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.values.durations import count, seconds
from moorage.errors import StateUnavailable, StorageUnavailable

if TYPE_CHECKING:
    from datetime import timedelta

    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

    from moorage.adapters.databases._sql_engine import Runtime
    from moorage.adapters.databases._sql_schema import Tables
    from moorage.domain.state.commands import Command

Answer = TypeVar("Answer")

_PREFIX: Final = "moorage_"


class _SqlStorageCore(ABC):
    """The common code of the synchronous and asynchronous stores."""

    durable: Final = True
    """An answered claim survives a crash of the server."""

    reach: Final = "network"
    mixes_tags: Final = True

    _source: Source
    _tables: Tables

    def _set_up(
        self,
        url: object,
        timeout: float | timedelta,
        prefix: str,
        schema: str | None,
        *,
        is_async: bool,
    ) -> float:
        """Set the database and tables, and return the timeout in seconds."""
        timeout_seconds = seconds(timeout, "timeout")
        self._source = Source(url, is_async=is_async, timeout=timeout_seconds)
        self._tables = declare_tables(None, prefix, schema)
        return timeout_seconds

    def _connect(self, runtime: Runtime, timeout: float, connections: int, *, create: bool) -> None:
        self._engine = Engine(
            runtime,
            names=self._source.names(self._tables),
            timeout=timeout,
            connections=count(connections, "connections"),
            create=create,
        )
        self._combiner = Combiner(self._engine, self._return_grants)

    def _return_grants(self, command: Command[Any], answer: Any) -> None:
        """Give back the tokens and slots of a command whose caller has stopped waiting."""
        for return_command in return_unclaimed(command, answer):
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
        """Declare the store's two tables in `metadata`, for an application's own migrations.

        The second needs the row that `ddl` inserts; `metadata` also inserts it in a new table.
        """
        tables = declare_tables(metadata, prefix, schema)
        return tables.states, tables.meta

    @staticmethod
    def ddl(dialect: str, *, prefix: str = _PREFIX, schema: str | None = None) -> str:
        """Return the statements that create the tables in `postgresql`, `mysql` or `mariadb`."""
        return declare_tables(None, prefix, schema).ddl(dialect_of(dialect))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"


class SqlStorage(_SqlStorageCore, ContextClosable):
    """A `StateStorage` in PostgreSQL, MariaDB or MySQL, for all processes that share the database.

    The store has its own connections, also with an engine: it never joins a transaction of the
    host, so a rollback of the host does not undo a claim. The store connects at the first use;
    threads share it, and a forked child has its own connections.

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

    @without_arguments_in_errors
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
        timeout_seconds = self._set_up(url, timeout, prefix, schema, is_async=False)
        links = partial(link_maker, self._source, self._tables, is_async=False)
        self._inside = local()
        runtime = ThreadRuntime(self._source, links, self.migrate, self._inside)
        self._connect(runtime, timeout_seconds, connections, create=create)
        self._restart_after_fork()
        in_child(self, SqlStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent process executes the commands that it has posted.
        self._posted: deque[Command[Any]] = deque(maxlen=MAX_POSTED)
        self._unavailable = False

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command on its states, and return the reply."""
        thread_state = self._inside
        end_time = None if timeout is None else monotonic() + timeout
        if self._posted:
            outage = self._send(end_time)
            if outage is not None:
                # The new command would wait as long, with the same failure.
                raise outage
        was_inside, thread_state.now = getattr(thread_state, "now", False), True
        try:
            answer = run_now(self._combiner.execute(command, seconds_until(end_time)))
        except StateUnavailable:
            raise
        except StorageUnavailable:
            self._unavailable = True
            raise
        finally:
            thread_state.now = was_inside
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
        self._source.create_tables(self._tables.create)

    def close(self) -> None:
        """Close idle connections now, and busy ones when their commands end."""
        self._engine.close()

    def _send(self, until: float | None = None) -> StorageUnavailable | None:
        """Run the queued commands, unless this thread is running another command."""
        # A finaliser or signal handler may post a command while this thread holds row locks; it
        # would deadlock.
        posted_commands, thread_state = self._posted, self._inside
        if getattr(thread_state, "now", False):
            return None
        thread_state.now = True
        try:
            while posted_commands:
                command = posted_commands.popleft()
                try:
                    run_now(self._combiner.execute(command, seconds_until(until)))
                except StateUnavailable:
                    # The other keys have separate states.
                    continue
                except StorageUnavailable as error:
                    # The other commands would fail as well; the next command tries again.
                    if not command.once:
                        posted_commands.appendleft(command)
                    self._unavailable = True
                    return error
                except Exception as error:
                    # No caller waits for the answer.
                    if is_interruption(error):
                        raise
                    continue
                self._unavailable = False
        finally:
            thread_state.now = False
        return None


class AsyncSqlStorage(_SqlStorageCore, AsyncContextClosable):
    """A `StateStorage` in PostgreSQL, MariaDB or MySQL, for all processes that share the database.

    The store has its own connections, also with an engine: it never joins a transaction of the
    host, so a rollback of the host does not undo a claim. The store connects at the first use in
    each event loop, and a forked child has its own connections.

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

    @without_arguments_in_errors
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
        timeout_seconds = self._set_up(url, timeout, prefix, schema, is_async=True)
        links = partial(link_maker, self._source, self._tables, is_async=True)
        runtime = LoopRuntime(self._source, links, self.migrate, timeout_seconds)
        self._connect(runtime, timeout_seconds, connections, create=create)
        self._posts = PostedCommands(self._combiner.execute, timeout_seconds)

    async def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,
    ) -> Answer:
        """Run one command on its states, and return the reply."""
        posts = self._posts
        end_time = None if timeout is None else monotonic() + timeout
        if posts.queue or posts.task:
            await posts.settle(timeout)
        return await self._combiner.execute(command, seconds_until(end_time))

    def post(self, command: Command[Any], /) -> None:
        """Run a command without waiting for its answer, soon or with the next command."""
        self._posts.post(command)

    async def housekeep(self, *, limit: int = 10_000) -> int:
        """Delete expired states, at most `limit`, and return their number."""
        return await self._engine.housekeep(count(limit, "limit"))

    async def migrate(self) -> None:
        """Create missing tables, and update older ones."""
        await self._source.acreate_tables(self._tables.create)

    async def aclose(self) -> None:
        """Close idle connections now, and busy ones when their commands end."""
        if self._posts.queue or self._posts.task:
            await self._posts.settle()
        self._engine.close()
        await asyncio.sleep(0)  # a transport closes in the next iteration of the loop
