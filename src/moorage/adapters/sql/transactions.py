"""Transactions and streams of rows for applications."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.values.installation import missing_package_error

try:
    from sqlalchemy.util import greenlet_spawn
except ImportError as error:
    raise missing_package_error(error, "sql") from error

from moorage.domain.connectors.sql_failures import timeout_error
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Generator,
        Iterator,
        Mapping,
        Sequence,
    )

    from sqlalchemy import Row

    from moorage.adapters.sql._database import Session
    from moorage.adapters.sql.statements import Statement

R = TypeVar("R")

_CLOSING_SECONDS: Final = 1.0
"""Seconds that the server may take to close a stream, before the connection is closed."""

_savepoint_numbers: Final = count(1)


class Transaction:
    """An open SQL transaction, which executes statements one after another.

    It ends when the function that received it returns.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def query(self, statement: Statement, /, **parameters: Any) -> tuple[Row[Any], ...]:
        """Return the rows of a SQL query."""
        rows: tuple[Row[Any], ...] = _run(self._session, statement, parameters, rows=True)
        return rows

    def execute(self, statement: Statement, /, **parameters: Any) -> int:
        """Execute a statement, and return the number of changed rows."""
        row_count: int = _run(self._session, statement, parameters).rowcount
        return row_count

    def execute_each(self, statement: Statement, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Execute a statement once per row of parameters, in order.

        The driver sends them together, which is much faster than a call for each row.
        """
        _run_each(self._session, statement, rows)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """A savepoint: an error in the block rolls back only the block's changes."""
        name, session = _savepoint_name(), self._session
        session.check_transaction()
        session.control(f"SAVEPOINT {name}")
        try:
            yield
            session.check_transaction()
        except Exception:
            session.roll_back_to(name)
            raise
        session.control(f"RELEASE SAVEPOINT {name}")


class AsyncTransaction:
    """The asynchronous `Transaction`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def query(self, statement: Statement, /, **parameters: Any) -> tuple[Row[Any], ...]:
        """Return the rows of a SQL query."""
        rows: tuple[Row[Any], ...] = await greenlet_spawn(
            _run, self._session, statement, parameters, rows=True
        )
        return rows

    async def execute(self, statement: Statement, /, **parameters: Any) -> int:
        """Execute a statement, and return the number of changed rows."""
        result = await greenlet_spawn(_run, self._session, statement, parameters)
        row_count: int = result.rowcount
        return row_count

    async def execute_each(
        self, statement: Statement, rows: Sequence[Mapping[str, Any]], /
    ) -> None:
        """Execute a statement once per row of parameters, in order.

        The driver sends them together, which is much faster than a call for each row.
        """
        await greenlet_spawn(_run_each, self._session, statement, rows)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """A savepoint: an error in the block rolls back only the block's changes."""
        name, session = _savepoint_name(), self._session
        session.check_transaction()
        await greenlet_spawn(session.control, f"SAVEPOINT {name}")
        try:
            yield
            session.check_transaction()
        except Exception:
            await greenlet_spawn(session.roll_back_to, name)
            raise
        await greenlet_spawn(session.control, f"RELEASE SAVEPOINT {name}")


def _savepoint_name() -> str:
    return f"moorage_{next(_savepoint_numbers)}"


def _run(
    session: Session, statement: Statement, parameters: dict[str, Any], *, rows: bool = False
) -> Any:
    def run_steps() -> Any:
        checked = session.database.checked_parameters(statement, parameters)
        return (session.rows if rows else session.run)(statement, checked)

    return _run_judged(session, run_steps)


def _run_each(session: Session, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
    def run_steps() -> None:
        checked = [session.database.checked_parameters(statement, row) for row in rows]
        if checked:
            session.run_each(statement, checked)

    _run_judged(session, run_steps)


def _run_judged(session: Session, work: Callable[[], Any]) -> Any:
    """Run a step of an open transaction; convert the driver's exceptions to moorage's errors."""
    if not session.is_open:
        raise InvalidData(
            "The transaction has ended.",
            field="transaction",
            remedy="Perform the statements inside the function that receives the transaction.",
        )
    session.check_transaction()
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = session.failure(error)
    session.note_failure(failure)
    # The driver's stack frames contain the values.
    raise failure


class _Rows:
    """The common code of synchronous and asynchronous streams of rows."""

    def __init__(
        self, session: Session, result: Any, batch: int, timeout: float, done: Callable[[], None]
    ) -> None:
        self._session = session
        self._result = result
        self._batch = batch
        self._timeout = timeout
        self._done = done
        self._ended = False

    def _fetch(self) -> list[Any]:
        """Return the next rows of the stream; if there are none, release the connection."""
        if self._ended:
            return []
        session = self._session
        session.end_waits_at(monotonic() + self._timeout)
        try:
            rows: list[Any] = self._result.fetchmany(self._batch)
            if not rows:
                self._finish()
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = session.failure(error)
            self._stop()
        except BaseException:
            self._abandon()
            raise
        else:
            return rows
        raise failure

    def _finish(self) -> None:
        self._result.close()
        self._session.roll_back()
        self._stop()

    def _stop(self) -> None:
        """Release the connection, even if some rows are left unread."""
        if self._ended:
            return
        self._ended = True
        session = self._session
        try:
            if session.is_open and session.database.system == "mysql":
                # The driver's protocol cannot skip the remaining rows.
                session.forget_unread_rows()
            elif session.is_open:
                try:
                    session.end_waits_at(monotonic() + _CLOSING_SECONDS)
                    session.roll_back()
                finally:
                    # The end of the transaction or session has already closed the server's cursor.
                    self._result.close()
        except Exception:  # noqa: BLE001 - then the connection is closed, which frees it too
            session.close(broken=True)
        except BaseException:
            session.close(broken=True)
            raise
        else:
            session.close()
        finally:
            self._done()

    def _abandon(self) -> None:
        """Close the connection without waiting for the server."""
        if self._ended:
            return
        self._ended = True
        try:
            self._session.close(broken=True)
            with dropped_errors():
                self._result.close()
        finally:
            self._done()


class RowStream(_Rows):
    """Rows that arrive in batches; leaving the `with` block releases the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def __iter__(self) -> Iterator[Row[Any]]:
        while rows := self._fetch():
            yield from rows


class AsyncRowStream(_Rows):
    """The asynchronous `RowStream`, for an `async with` block."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # If closing takes too long, the connection is closed, which also frees the cursor.
        with suppress(_TimeIsOverError):
            await _in_time(_CLOSING_SECONDS, self._stop)

    async def __aiter__(self) -> AsyncIterator[Row[Any]]:
        while rows := await self._fetch_in_time():
            for row in rows:
                yield row

    async def _fetch_in_time(self) -> list[Any]:
        with suppress(_TimeIsOverError):
            return await _in_time(self._timeout, self._fetch)
        raise timeout_error(self._session.phase)


class _TimeIsOverError(Exception):
    """Raised if an asynchronous step was ended because its time was over."""


async def _in_time(seconds: float, step: Callable[[], R]) -> R:
    """Perform a step in a greenlet; end it after `seconds`, because the server may be silent.

    Raises:
        _TimeIsOverError: the time was over.
    """
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            return await greenlet_spawn(step)
    except TimeoutError:
        if not bound.expired():
            raise
    raise _TimeIsOverError
