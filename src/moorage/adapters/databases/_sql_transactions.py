"""Short transactions that end at their deadline, even if the server stops responding.

All drivers except psycopg have timeouts for this. psycopg's library libpq waits for a silent server
as long as the system does, even when it is cancelled; so its socket is shut down, which ends the
wait.
"""

from __future__ import annotations

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from moorage.adapters.databases._sql_source import Source
    from moorage.errors import ConnectorError

Answer = TypeVar("Answer")

_GRACE: Final = 1.0
"""Seconds for a task to end after its connection was shut down."""


class Transactions(ABC):
    """Runs transactions with a timeout.

    Args:
        source: opens connections.
        error_of: returns the error to raise for an error of the database.
        timeout: seconds for one transaction.
    """

    def __init__(
        self, source: Source, error_of: Callable[[BaseException], ConnectorError], timeout: float
    ) -> None:
        self._source = source
        self._error_of = error_of
        self._timeout = timeout

    @abstractmethod
    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        """Run a function with a connection in a transaction, and return its result."""


class BlockingTransactions(Transactions):
    """Runs transactions that block the thread."""

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        """Run a function with a connection in a transaction, and return its result."""
        try:
            with (
                self._source.bounded.connect() as connection,
                _Watchdog(connection, self._timeout),
                connection.begin(),
            ):
                return work(connection)
        except Exception as error:  # noqa: BLE001 - replaces every foreign error
            failure = self._error_of(error)
        raise failure


class AsyncTransactions(Transactions):
    """Runs transactions in the event loop."""

    async def run(self, work: Callable[[Connection], Answer]) -> Answer:
        """Run a function with a connection in a transaction, and return its result."""
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - wants greenlet

        links: list[Connection] = []

        def begin_and_run(connection: Connection) -> Answer:
            links.append(connection)
            return work(connection)

        async def trip() -> Answer:
            async with AsyncEngine(self._source.bounded).begin() as connection:
                return await connection.run_sync(begin_and_run)

        # Runs in a separate task, so that only code that can shut its connection down cancels it.
        task = asyncio.ensure_future(trip())
        task.add_done_callback(_retrieve_exception)
        try:
            await asyncio.wait({task}, timeout=self._timeout)
        finally:
            if not task.done() and not (links and _hang_up(links[0])):
                task.cancel()
        await asyncio.wait({task}, timeout=_GRACE)
        answer, failure = self._outcome(task)
        # The task and the connection refer to the driver's frames, which contain the password.
        del task
        links.clear()
        if failure is not None:
            raise failure
        return answer  # type: ignore[no-any-return]  # the result of the function

    def _outcome(self, task: asyncio.Task[Any]) -> tuple[Any, ConnectorError | None]:
        """Return a task's result and error; an unfinished task has a timeout error."""
        if not task.done() or task.cancelled():
            return None, self._error_of(TimeoutError())
        error = task.exception()
        return (task.result(), None) if error is None else (None, self._error_of(error))


class _Watchdog:
    """Closes a connection after a time limit, to wake the thread that it blocks."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection: Connection | None = connection
        self._lock = Lock()
        self._timer = Timer(timeout, self._interrupt)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._connection = None

    def _interrupt(self) -> None:
        with self._lock:
            # The attribute is None if the block has already ended.
            connection = self._connection
            if connection is not None:  # pragma: no branch - a timer that is stopped too late
                _hang_up(connection)


def _hang_up(connection: Connection) -> bool:
    """Close the socket of a psycopg connection; return False for other drivers."""
    driver: Any = connection.connection.driver_connection
    if not hasattr(driver, "pgconn"):
        return False
    with socket.socket(fileno=os.dup(driver.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
    return True


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Retrieve an abandoned task's exception, so that asyncio does not log the exception."""
    if not task.cancelled():
        task.exception()
