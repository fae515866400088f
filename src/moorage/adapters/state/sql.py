"""Shared state in PostgreSQL, MariaDB or MySQL, through SQLAlchemy and its drivers.

The tables are made once, with `migrate()` or by the host's own migrations (`tables`, `ddl`). From
then on a command is one short transaction on a connection that the store has for itself alone.
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
from moorage.adapters.databases._sql_colours import Loops, Threads, links_to
from moorage.adapters.databases._sql_engine import Engine
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
_PLAIN: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_AWAITED: Final = {"postgresql": "psycopg", "mysql": "asyncmy", "mariadb": "asyncmy"}


def _left(until: float | None) -> float | None:
    """Seconds until a time of `monotonic()`; None if there is none."""
    return None if until is None else until - monotonic()


class _Common(ABC):
    """What both colours of the store have in common."""

    durable: Final = True
    """What a claim wrote survives a crash of the server once it is answered."""

    reach: Final = "network"
    mixes_tags: Final = True

    _source: Source
    _tables: Tables

    def _give_back(self, command: Command[Any], answer: Any) -> None:
        """Give back what was granted to a caller who has left."""
        for undone in unclaimed(command, answer):
            self.post(undone)

    @abstractmethod
    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for, soon or with the next one."""

    @staticmethod
    def tables(
        metadata: sqlalchemy.MetaData | None = None,
        *,
        prefix: str = _PREFIX,
        schema: str | None = None,
    ) -> tuple[sqlalchemy.Table, sqlalchemy.Table]:
        """Declare the store's two tables in `metadata`, for a host that makes its own migrations.

        The second must have the row that `ddl` inserts. Where `metadata` creates it, it does.
        """
        made = declared(metadata, prefix, schema)
        return made.states, made.meta

    @staticmethod
    def ddl(dialect: str, *, prefix: str = _PREFIX, schema: str | None = None) -> str:
        """The statements that make the tables: of `postgresql`, `mysql` or `mariadb`."""
        return declared(None, prefix, schema).ddl(dialect_of(dialect))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._source.where}>"


class SqlStorage(_Common):
    """A `StateStorage` in PostgreSQL, MariaDB or MySQL, for all processes that share the database.

    It has connections of its own, also where it is given an engine: it never takes part in a
    transaction of its host, so a roll-back of the host's takes no claim along. It connects when it
    is first used; threads share it, and a forked child has connections of its own.

    A command takes at most twice `timeout`: one to have a connection, and one to be answered; and
    no longer than what is left of its caller's deadline.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an engine of SQLAlchemy with the
            driver psycopg or pymysql, whose way of connecting is used, and nothing else.
        timeout: seconds, or a timedelta: how long to wait for a connection, for rows that others
            have locked, and for a reply.
        connections: how many at once.
        prefix: what the names of the tables begin with.
        schema: the schema of the tables, where it is not the connection's own.
        create: make the tables when they are missing. Left out, `migrate()` makes them.
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
        self._source = Source(url, _PLAIN, awaited=False, timeout=bound)
        self._tables = declared(None, prefix, schema)
        links = partial(links_to, self._source, self._tables, awaited=False)
        self._inside = local()
        colour = Threads(self._source, links, self.migrate, self._inside)
        self._engine = Engine(
            colour,
            names=self._source.names(self._tables),
            timeout=bound,
            connections=count(connections, "connections"),
            create=create,
        )
        self._combiner = Combiner(self._engine, self._give_back)
        self._start_afresh()
        in_child(self, SqlStorage._start_afresh)

    def _start_afresh(self) -> None:
        # What a parent has posted is the parent's to execute.
        self._kept: deque[Command[Any]] = deque(maxlen=MOST)
        self._away = False

    def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
        """Run one command."""
        inside = self._inside
        until = None if timeout is None else monotonic() + timeout
        if self._kept:
            away = self._send(until)
            if away is not None:
                # It would wait in vain as well, and as long.
                raise away
        before, inside.now = getattr(inside, "now", False), True
        try:
            answer = run_now(self._combiner.execute(command, _left(until)))
        except StorageUnavailable:
            self._away = True
            raise
        finally:
            inside.now = before
        self._away = False
        return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for, soon or with the next one."""
        self._kept.append(command)
        if not self._away:
            self._send()

    def housekeep(self, *, limit: int = 10_000) -> int:
        """Forget states that cannot matter any more, at most so many; return how many."""
        return run_now(self._engine.housekeep(count(limit, "limit")))

    def migrate(self) -> None:
        """Make the tables where they are missing, and bring older ones up to date."""
        try:
            with self._source.engine.begin() as connection:
                self._tables.create(connection)
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            failure = self._source.unmade(error)
        else:
            return
        # Out here, or it would carry along the frames of the driver, which hold the password.
        raise failure

    def close(self) -> None:
        """Close every connection that is idle, and each other one when its command ends."""
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
        """Run what was posted, unless this thread is in the middle of a command."""
        # A finaliser or a signal handler may post while rows are locked, and would wait for them.
        kept, inside = self._kept, self._inside
        if getattr(inside, "now", False):
            return None
        inside.now = True
        try:
            while kept:
                command = kept.popleft()
                try:
                    run_now(self._combiner.execute(command, _left(until)))
                except StorageUnavailable as error:
                    # The others would wait in vain, each as long: the next command tries again.
                    if not command.once:
                        kept.appendleft(command)
                    self._away = True
                    return error
                except Exception:  # noqa: BLE001, S112 - nobody is there to be told
                    continue
                self._away = False
        finally:
            inside.now = False
        return None


class AsyncSqlStorage(_Common):
    """A `StateStorage` in PostgreSQL, MariaDB or MySQL, for all processes that share the database.

    It has connections of its own, also where it is given an engine: it never takes part in a
    transaction of its host, so a roll-back of the host's takes no claim along. It connects when it
    is first used, in each event loop anew, and a forked child has connections of its own.

    A command takes at most twice `timeout`: one to have a connection, and one to be answered; and
    no longer than what is left of its caller's deadline.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`, or an `AsyncEngine` of SQLAlchemy with
            the driver psycopg or asyncmy, whose way of connecting is used, and nothing else.
        timeout: seconds, or a timedelta: how long to wait for a connection, for rows that others
            have locked, and for a reply.
        connections: how many at once.
        prefix: what the names of the tables begin with.
        schema: the schema of the tables, where it is not the connection's own.
        create: make the tables when they are missing. Left out, `migrate()` makes them.
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
        self._source = Source(url, _AWAITED, awaited=True, timeout=bound)
        self._tables = declared(None, prefix, schema)
        links = partial(links_to, self._source, self._tables, awaited=True)
        colour = Loops(self._source, links, self.migrate, bound)
        self._engine = Engine(
            colour,
            names=self._source.names(self._tables),
            timeout=bound,
            connections=count(connections, "connections"),
            create=create,
        )
        self._combiner = Combiner(self._engine, self._give_back)
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
        return await self._combiner.execute(command, _left(until))

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for, soon or with the next one."""
        self._posts.post(command)

    async def housekeep(self, *, limit: int = 10_000) -> int:
        """Forget states that cannot matter any more, at most so many; return how many."""
        return await self._engine.housekeep(count(limit, "limit"))

    async def migrate(self) -> None:
        """Make the tables where they are missing, and bring older ones up to date."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        try:
            async with AsyncEngine(self._source.engine).begin() as connection:
                await connection.run_sync(self._tables.create)
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            failure = self._source.unmade(error)
        else:
            return
        raise failure

    async def aclose(self) -> None:
        """Close every connection that is idle, and each other one when its command ends."""
        if self._posts.kept or self._posts.sending:
            await self._posts.settle()
        self._engine.close()
        await asyncio.sleep(0)  # a transport closes with the next turn of the loop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
