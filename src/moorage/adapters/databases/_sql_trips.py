"""Short transactions that end in time, whatever the server does.

The drivers bound them themselves, all but psycopg: libpq waits for a server that fell silent as
long as the system does, and who cancels that waits as well. So its connection is broken, which ends
whatever waits for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from moorage.adapters.databases._sql_source import Source
    from moorage.errors import ConnectorError

Answer = TypeVar("Answer")

_GRACE: Final = 1.0
"""Seconds for a task to end whose connection is broken."""


class Blocking:
    """Does something in a transaction, blocking the thread.

    Args:
        source: where connections come from.
        meaning: what an error means.
        timeout: seconds for one transaction.
    """

    def __init__(
        self, source: Source, meaning: Callable[[BaseException], ConnectorError], timeout: float
    ) -> None:
        self._source = source
        self._meaning = meaning
        self._timeout = timeout

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        """What `work` makes of a connection."""
        try:
            with (
                self._source.bounded.connect() as connection,
                _Watch(connection, self._timeout),
                connection.begin(),
            ):
                return work(connection)
        except Exception as error:  # noqa: BLE001 - no foreign error passes
            failure = self._meaning(error)
        raise failure


class Awaiting:
    """Does something in a transaction, while others run in the event loop.

    Args:
        source: where connections come from.
        meaning: what an error means.
        timeout: seconds for one transaction.
    """

    def __init__(
        self, source: Source, meaning: Callable[[BaseException], ConnectorError], timeout: float
    ) -> None:
        self._source = source
        self._meaning = meaning
        self._timeout = timeout

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        """What `work` makes of a connection."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        links: list[Connection] = []

        def begun(connection: Connection) -> Answer:
            links.append(connection)
            return work(connection)

        async def trip() -> Answer:
            async with AsyncEngine(self._source.bounded).begin() as connection:
                return await connection.run_sync(begun)

        # In a task of its own, so that nobody cancels it who could break its connection.
        task = asyncio.ensure_future(trip())
        task.add_done_callback(_noticed)
        try:
            await asyncio.wait({task}, timeout=self._timeout)
        finally:
            if not task.done() and not (links and _hang_up(links[0])):
                task.cancel()
        await asyncio.wait({task}, timeout=_GRACE)
        answer, failure = self._ended(task)
        # The driver's own frames hang on these, and they know the password.
        del task
        links.clear()
        if failure is not None:
            raise failure
        return answer  # type: ignore[no-any-return]  # the work's

    def _ended(self, task: asyncio.Task[Any]) -> tuple[Any, ConnectorError | None]:
        """What a task gave, or what its failure means, if it has ended at all."""
        if not task.done() or task.cancelled():
            return None, self._meaning(TimeoutError())
        error = task.exception()
        return (task.result(), None) if error is None else (None, self._meaning(error))


class _Watch:
    """Breaks a connection on which something takes too long, while its thread is blocked."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection: Connection | None = connection
        self._lock = Lock()
        self._timer = Timer(timeout, self._break)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._connection = None

    def _break(self) -> None:
        with self._lock:
            # Whoever is done has taken it away.
            connection = self._connection
            if connection is not None:  # pragma: no branch - a timer that is stopped too late
                _hang_up(connection)


def _hang_up(connection: Connection) -> bool:
    """Break a connection of psycopg's, and tell whether it was one."""
    driver: Any = connection.connection.driver_connection
    if not hasattr(driver, "pgconn"):
        return False
    with socket.socket(fileno=os.dup(driver.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
    return True


def _noticed(task: asyncio.Task[Any]) -> None:
    """Whoever asked may have gone."""
    if not task.cancelled():
        task.exception()
