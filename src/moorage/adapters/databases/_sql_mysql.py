"""Transactions in MariaDB and MySQL, with PyMySQL or asyncmy.

The laws of this file:

1. Every value in a statement is a number, or bytes in hexadecimal.
2. Autocommit is off, so a statement begins a transaction. The statements of one round trip are sent
   as one query if the connection allows it: the server stops at the first that it refuses. Only a
   round trip that ends with `COMMIT` can have an unknown outcome.
3. The clock is read in the same statement as the locking query, after it. `SYSDATE` is the time of
   its evaluation, not the time at which its statement began.
4. A link that was interrupted in a statement is never ready again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from io import BufferedReader, RawIOBase
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from moorage.adapters.databases._sql_link import (
    MULTI_STATEMENTS,
    SLOWEST,
    STALLED,
    ConnectionDenied,
    FateUnknown,
    MissingFeature,
    MissingTable,
    NotExecuted,
    Row,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer

_SERVER_TIME_SQL: Final = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"
_STATEMENT_TIME: Final = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"
"""The time at which the statement began, with which an index can be searched."""

_MIN_TIMEOUT: Final = 0.001

_RETRYABLE: Final = {
    1213: "was rolled back because of a deadlock",
    1020: "read a row that another transaction changed",
}
_NOT_RETRYABLE: Final = {
    1205: "waited too long for rows that other transactions lock",
    1969: "took too long",
    3024: "took too long",
}
_DUPLICATE: Final = 1062
_NO_TABLE: Final = (1146, 1054, 1049)
_DENIED_CODES: Final = (1142, 1143, 1044)
_NO_REPLY_CODES: Final = (0, 1158, 1159, 1160, 1161, 1184)
_CONNECTION_UNUSABLE: Final = (1053, 1077, 1079, 1080, 1290, 1317, 1836, 1927)
"""Error codes after which the connection cannot be used any more."""

_FIRST_CLIENT_CODE: Final = 2000
_LAST_OF_CLIENT: Final = 2999

COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

_left_to_the_parent: Final[list[object]] = []

RunResult: TypeAlias = "tuple[Sequence[Sequence[Any]], int]"
"""The rows that a statement returned, and the number that it changed."""


class Run(Protocol):
    """Runs SQL statements in order until one fails, and appends their results to `done`.

    Attributes:
        sends_together: whether all of them are sent before the first reply.
    """

    sends_together: bool

    async def __call__(
        self, statements: Sequence[str], until: float, done: list[RunResult]
    ) -> None: ...


class SyncRun:
    """Runs SQL statements over PyMySQL, which blocks the thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._reader = _TimedReader(connection)
        self.sends_together = bool(connection.client_flag & MULTI_STATEMENTS)

    async def __call__(
        self, statements: Sequence[str], until: float, done: list[RunResult]
    ) -> None:
        cursor = self._cursor
        for statement in _queries(statements, sends_together=self.sends_together):
            connection, seconds_left = self._connection, max(until - monotonic(), _MIN_TIMEOUT)
            # The driver reads these attributes before it sends a packet and before it reads one.
            connection._read_timeout = connection._write_timeout = seconds_left  # noqa: SLF001 - no other timeout for one statement
            self._reader.until = monotonic() + seconds_left
            cursor.execute(statement)
            done.append((cursor.fetchall(), cursor.rowcount))
            while cursor.nextset():
                done.append((cursor.fetchall(), cursor.rowcount))


class _TimedReader(RawIOBase):
    """Reads from a PyMySQL connection, and fails after the deadline `until`.

    The driver's own timeout applies to each read, so a server that sends single bytes could delay
    it without limit.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._socket = connection._sock  # noqa: SLF001 - PyMySQL reads from nothing public
        self._raw = connection._rfile.detach()  # noqa: SLF001 - PyMySQL reads from nothing public
        self.until = 0.0
        connection._rfile = BufferedReader(self)  # noqa: SLF001 - PyMySQL reads from nothing public

    def readable(self) -> bool:
        """Return True, because the stream can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read the bytes that arrive before the deadline."""
        seconds_left = self.until - monotonic()
        if seconds_left <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds_left)
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]  # as of every stream

    def close(self) -> None:
        """Close the streams of the connection."""
        self._raw.close()
        super().close()


class AsyncRun:
    """Runs SQL statements over asyncmy, several in one query."""

    sends_together = True

    def __init__(self, connection: Any) -> None:
        self._cursor = connection.cursor()

    async def __call__(
        self, statements: Sequence[str], until: float, done: list[RunResult]
    ) -> None:
        cursor = self._cursor
        async with asyncio.timeout(until - monotonic()):
            await cursor.execute("; ".join(statements))
            done.append((await cursor.fetchall(), cursor.rowcount))
            while await cursor.nextset():
                done.append((await cursor.fetchall(), cursor.rowcount))


def _queries(statements: Sequence[str], *, sends_together: bool) -> Sequence[str]:
    return ["; ".join(statements)] if sends_together else statements


class MysqlLink:
    """A connection of the store to MariaDB or MySQL.

    Args:
        connection: the connection of the driver, which nothing else uses.
        run: runs statements on the connection.
        states: the table of states, quoted.
        meta: the table with the version, quoted.
    """

    def __init__(
        self,
        connection: Any,
        run: Run,
        states: str,
        meta: str,
    ) -> None:
        self._connection = connection
        self._run = run
        self._states = states
        self._version = f"SELECT value FROM {meta} WHERE name = 'schema'"  # noqa: S608 - quoted names; values are numbers or hexadecimal
        self.ready = False

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Prepare the session: its timeouts and isolation level.

        Returns the version of the tables, which is queried in the same round trip.
        """
        wait = ceil(max(timeout, SLOWEST))
        idle_timeout = ceil(max(2 * timeout, STALLED))
        settings = (
            f"SET SESSION time_zone = '+00:00', autocommit = 0, innodb_lock_wait_timeout = {wait}"
            # A suspended process that holds row locks must not block all others.
            f" /*M! , max_statement_time = {wait}, idle_transaction_timeout = {idle_timeout} */"
        )
        statements = (
            ROLLBACK,
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            settings,
            "SELECT SYSDATE(6), SLEEP(0.001), SYSDATE(6)",
            self._version,
            ROLLBACK,
        )
        (
            *_,
            (((time_before_sleep, _, time_after_sleep),), _),
            (version_rows, _),
            _,
        ) = await self._run_round_trip(statements, until)
        if time_before_sleep == time_after_sleep:
            raise MissingFeature(
                "runs with --sysdate-is-now, so statements cannot read the current time",
                "Start the server without the option --sysdate-is-now.",
            )
        return version_rows[0][0] if version_rows else None

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin a transaction, lock existing rows, and return them and the server's time."""
        statement = (
            f"(SELECT id, state, expires FROM {self._states} WHERE id IN ({_hex_list(ids)})"  # noqa: S608 - quoted names; values are numbers or hexadecimal
            f" ORDER BY id FOR UPDATE) UNION ALL SELECT NULL, NULL, {_SERVER_TIME_SQL}"
        )
        ((selected_rows, _),) = await self._run_round_trip((statement,), until)
        *rows, (_, _, now) = selected_rows
        return [Row(*row) for row in rows], now

    async def read(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Return existing rows and the server's time, without locking."""
        statement = (
            f"(SELECT id, state, expires FROM {self._states} WHERE id IN ({_hex_list(ids)}))"  # noqa: S608 - quoted names; values are numbers or hexadecimal
            f" UNION ALL SELECT NULL, NULL, {_SERVER_TIME_SQL}"
        )
        (selected_rows, _), _ = await self._run_round_trip((statement, ROLLBACK), until)
        *rows, (_, _, now) = selected_rows
        return [Row(*row) for row in rows], now

    async def write(
        self,
        rows: Sequence[Row],
        until: float,
        *,
        durable: bool,  # noqa: ARG002 - the server has one setting for all
    ) -> None:
        """Write to locked rows, and commit."""
        if len(rows) == 1:
            ((id_, state, expires),) = rows
            assignments, ids = f"state = {_hex(state)}, expires = {expires}", _hex(id_)
        else:
            states = " ".join(f"WHEN {_hex(row.id)} THEN {_hex(row.state)}" for row in rows)
            times = " ".join(f"WHEN {_hex(row.id)} THEN {row.expires}" for row in rows)
            assignments = f"state = CASE id {states} END, expires = CASE id {times} END"
            ids = _hex_list([row.id for row in rows])
        update = f"UPDATE {self._states} SET {assignments} WHERE id IN ({ids})"  # noqa: S608 - quoted names; values are numbers or hexadecimal
        await self._run_round_trip((update, COMMIT), until)

    async def add(
        self,
        row: Row,
        name: str,
        until: float,
        *,
        durable: bool,  # noqa: ARG002 - the server has one setting for all
    ) -> bool:
        """Insert a row and commit; return False if another process inserted the row first."""
        try:
            await self._run_round_trip((self._insert([row], [name]), COMMIT), until)
        except _Duplicate:
            return False
        return True

    async def leave(
        self,
        until: float,
        *,
        durable: bool = False,  # noqa: ARG002 - the server has one setting for all
    ) -> None:
        """End a transaction that changed nothing."""
        await self._run_round_trip((ROLLBACK,), until)

    async def insert_missing(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert missing rows in a separate transaction."""
        duplicate_clause = " ON DUPLICATE KEY UPDATE expires = expires"
        try:
            await self._run_round_trip(
                (self._insert(rows, names) + duplicate_clause, COMMIT), until
            )
        except FateUnknown:
            # The next read shows whether the rows exist.
            raise NotExecuted("lost its connection", lost=True) from None

    async def is_crowded(self, _: float) -> bool:
        """Return False, because the store asks only PostgreSQL for its number of connections."""
        return False

    async def delete_expired(self, limit: int, until: float) -> int:
        """Delete expired rows that are not locked, and return their number."""
        expired_query = (
            f"SELECT id FROM {self._states} WHERE expires <= {_STATEMENT_TIME}"  # noqa: S608 - quoted names; values are numbers or hexadecimal
            f" ORDER BY expires LIMIT {limit} FOR UPDATE SKIP LOCKED"
        )
        ((expired_rows, _),) = await self._run_round_trip((expired_query,), until)
        ids = _hex_list([id_ for (id_,) in expired_rows])
        delete = f"DELETE FROM {self._states} WHERE id IN ({ids})"  # noqa: S608 - quoted names; values are numbers or hexadecimal
        (_, deleted_count), _ = await self._run_round_trip((delete, COMMIT), until)
        return deleted_count

    def close(self) -> None:
        """Close the connection immediately, even while a statement runs."""
        self.ready = False
        with suppress(Exception):  # the connection or its event loop has ended already
            self._connection.close()

    def abandon(self) -> None:  # pragma: no cover - runs in children, which coverage does not see
        """Drop an inherited connection without sending anything, because the parent uses it."""
        self.ready = False
        _left_to_the_parent.append(self._connection)

    def _insert(self, rows: Sequence[Row], names: Sequence[str]) -> str:
        values = ", ".join(
            f"({_hex(id_)}, {_hex(name.encode())}, {_hex(state)}, {expires})"
            for (id_, state, expires), name in zip(rows, names, strict=True)
        )
        return f"INSERT INTO {self._states} (id, name, state, expires) VALUES {values}"  # noqa: S608 - quoted names; values are numbers or hexadecimal

    async def _run_round_trip(self, statements: Sequence[str], until: float) -> list[RunResult]:
        """Run SQL statements in one round trip; roll back if the server refuses one of them."""
        self.ready = False
        results: list[RunResult] = []
        try:
            await self._run(statements, until, results)
        except Exception as error:  # noqa: BLE001 - drivers raise various errors when the connection is lost
            code = _code(error)
        else:
            self.ready = statements[-1] in (COMMIT, ROLLBACK)
            return results
        is_answered = not (code in _NO_REPLY_CODES or _FIRST_CLIENT_CODE <= code <= _LAST_OF_CLIENT)
        reached_count = (
            len(statements) if self._run.sends_together and not is_answered else len(results) + 1
        )
        if statements[-1] is COMMIT and reached_count == len(statements):
            if code in _RETRYABLE:
                raise NotExecuted(_RETRYABLE[code], slow=True)
            raise FateUnknown
        if not is_answered or code in _CONNECTION_UNUSABLE:
            is_late = monotonic() >= until
            raise NotExecuted(
                "got no response in time" if is_late else "lost its connection", lost=not is_late
            )
        await self.leave(until)
        raise _error_of(code)


class _Duplicate(Exception):
    """Raised if a row with this id already exists."""


def _code(error: BaseException) -> int:
    """Return the error number of a driver's exception; 0 if it has none."""
    code = error.args[0] if error.args and not isinstance(error, OSError) else 0
    return code if isinstance(code, int) else 0


def _error_of(code: int) -> Exception:
    """Return the exception for a server's error number; the server has rolled back already."""
    if code in _RETRYABLE:
        return NotExecuted(_RETRYABLE[code], slow=True)
    if code in _NOT_RETRYABLE:
        return NotExecuted(_NOT_RETRYABLE[code], again=False, slow=True)
    if code == _DUPLICATE:
        return _Duplicate()
    if code in _NO_TABLE:
        return MissingTable()
    if code in _DENIED_CODES:
        return ConnectionDenied()
    return NotExecuted(f"was refused with error {code}", again=False)


def _hex(value: bytes | None) -> str:
    return "NULL" if value is None else f"x'{value.hex()}'"


def _hex_list(ids: Sequence[bytes]) -> str:
    return ", ".join(map(_hex, ids)) or "NULL"
