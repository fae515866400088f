"""Transactions in MariaDB and MySQL, spoken through PyMySQL or asyncmy.

The laws of this file:

1. Whatever is put into a statement is a number, or bytes in hexadecimal.
2. Autocommit is off, so a statement begins a transaction. Statements of one trip are sent in one
   query, where the connection allows that: the server stops at the first that it refuses. Only a
   trip that ends with `COMMIT` has an unknown fate.
3. The clock stands in a query behind the one that locks, in one statement. `SYSDATE` is the time
   at which it is evaluated, and not that at which its statement began.
4. A link that was interrupted in a statement is not ready, and never will be.
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
    Denied,
    FateUnknown,
    Misfit,
    NoTable,
    NotDone,
    Row,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer

_NOW: Final = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"
_BEGAN: Final = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"
"""When the statement began: what an index can be searched for."""

_NOTHING: Final = 0.001

_AGAIN: Final = {1213: "was the victim of a deadlock", 1020: "met a row that had just changed"}
_NOT_AGAIN: Final = {
    1205: "waited too long for rows that others hold",
    1969: "took too long",
    3024: "took too long",
}
_DUPLICATE: Final = 1062
_NO_TABLE: Final = (1146, 1054, 1049)
_DENIED: Final = (1142, 1143, 1044)
_UNANSWERED: Final = (0, 1158, 1159, 1160, 1161, 1184)
_GONE: Final = (1053, 1077, 1079, 1080, 1290, 1317, 1836, 1927)
"""What a server answers whose connection is of no use any more."""

_FIRST_OF_CLIENT: Final = 2000
_LAST_OF_CLIENT: Final = 2999

COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

_left_to_the_parent: Final[list[object]] = []

Ran: TypeAlias = "tuple[Sequence[Sequence[Any]], int]"
"""The rows that a statement gave, and how many it changed."""


class Run(Protocol):
    """Runs statements in order until one fails, and appends what each gave to `done`.

    Attributes:
        at_once: whether all of them are sent before the first is answered.
    """

    at_once: bool

    async def __call__(self, statements: Sequence[str], until: float, done: list[Ran]) -> None: ...


class PlainRun:
    """Runs statements on a connection of PyMySQL: it blocks inside `await`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._reader = _TimedReader(connection)
        self.at_once = bool(connection.client_flag & MULTI_STATEMENTS)

    async def __call__(self, statements: Sequence[str], until: float, done: list[Ran]) -> None:
        cursor = self._cursor
        for statement in _queries(statements, at_once=self.at_once):
            connection, left = self._connection, max(until - monotonic(), _NOTHING)
            # The driver looks at these before it sends, and before it reads a packet.
            connection._read_timeout = connection._write_timeout = left  # noqa: SLF001 - nothing else bounds one statement
            self._reader.until = monotonic() + left
            cursor.execute(statement)
            done.append((cursor.fetchall(), cursor.rowcount))
            while cursor.nextset():
                done.append((cursor.fetchall(), cursor.rowcount))


class _TimedReader(RawIOBase):
    """Reads for a connection of PyMySQL, and fails after `until`, a time of `monotonic()`.

    The driver's own time-out bounds each read: a server that sends a byte now and then would
    outlast any number of them.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._socket = connection._sock  # noqa: SLF001 - PyMySQL reads from nothing public
        self._raw = connection._rfile.detach()  # noqa: SLF001 - as above
        self.until = 0.0
        connection._rfile = BufferedReader(self)  # noqa: SLF001 - as above

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read what there is, within what is left of the time."""
        left = self.until - monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]  # as of every stream

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


class AwaitedRun:
    """Runs statements on a connection of asyncmy, which always takes several in one query."""

    at_once = True

    def __init__(self, connection: Any) -> None:
        self._cursor = connection.cursor()

    async def __call__(self, statements: Sequence[str], until: float, done: list[Ran]) -> None:
        cursor = self._cursor
        async with asyncio.timeout(until - monotonic()):
            await cursor.execute("; ".join(statements))
            done.append((await cursor.fetchall(), cursor.rowcount))
            while await cursor.nextset():
                done.append((await cursor.fetchall(), cursor.rowcount))


def _queries(statements: Sequence[str], *, at_once: bool) -> Sequence[str]:
    return ["; ".join(statements)] if at_once else statements


class MysqlLink:
    """A connection to MariaDB or MySQL that is ours alone.

    Args:
        connection: the driver's, which nobody else uses.
        run: how to run a statement on it.
        states: the table of states, quoted.
        meta: the table that knows the version, quoted.
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
        self._version = f"SELECT value FROM {meta} WHERE name = 'schema'"  # noqa: S608 - law 1
        self.ready = False

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Set the session up: how long it may wait, and what it sees.

        Returns the version of the tables, which is asked for in the same trip.
        """
        wait = ceil(max(timeout, SLOWEST))
        idle = ceil(max(2 * timeout, STALLED))
        settings = (
            f"SET SESSION time_zone = '+00:00', autocommit = 0, innodb_lock_wait_timeout = {wait}"
            # A process that stands still with rows locked must not stop all the others.
            f" /*M! , max_statement_time = {wait}, idle_transaction_timeout = {idle} */"
        )
        statements = (
            ROLLBACK,
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            settings,
            "SELECT SYSDATE(6), SLEEP(0.001), SYSDATE(6)",
            self._version,
            ROLLBACK,
        )
        *_, (((began, _, ended),), _), (found, _), _ = await self._say(statements, until)
        if began == ended:
            raise Misfit(
                "runs with --sysdate-is-now, so that no statement can read a clock",
                "Start the server without that option.",
            )
        return found[0][0] if found else None

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin, lock the rows that are there, and return them with the server's time."""
        statement = (
            f"(SELECT id, state, expires FROM {self._states} WHERE id IN ({_listed(ids)})"  # noqa: S608 - law 1
            f" ORDER BY id FOR UPDATE) UNION ALL SELECT NULL, NULL, {_NOW}"
        )
        ((found, _),) = await self._say((statement,), until)
        *rows, (_, _, now) = found
        return [Row(*row) for row in rows], now

    async def read(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Return the rows that are there, with the server's time, locking none."""
        statement = (
            f"(SELECT id, state, expires FROM {self._states} WHERE id IN ({_listed(ids)}))"  # noqa: S608 - law 1
            f" UNION ALL SELECT NULL, NULL, {_NOW}"
        )
        (found, _), _ = await self._say((statement, ROLLBACK), until)
        *rows, (_, _, now) = found
        return [Row(*row) for row in rows], now

    async def write(
        self,
        rows: Sequence[Row],
        until: float,
        *,
        durable: bool,  # noqa: ARG002 - the server knows one durability for all
    ) -> None:
        """Write to rows that are locked, and commit."""
        if len(rows) == 1:
            ((id_, state, expires),) = rows
            what, ids = f"state = {_hex(state)}, expires = {expires}", _hex(id_)
        else:
            states = " ".join(f"WHEN {_hex(row.id)} THEN {_hex(row.state)}" for row in rows)
            times = " ".join(f"WHEN {_hex(row.id)} THEN {row.expires}" for row in rows)
            what = f"state = CASE id {states} END, expires = CASE id {times} END"
            ids = _listed([row.id for row in rows])
        update = f"UPDATE {self._states} SET {what} WHERE id IN ({ids})"  # noqa: S608 - law 1
        await self._say((update, COMMIT), until)

    async def add(
        self,
        row: Row,
        name: str,
        until: float,
        *,
        durable: bool,  # noqa: ARG002 - as above
    ) -> bool:
        """Insert a row and commit, or tell that somebody else has inserted one."""
        try:
            await self._say((self._insert([row], [name]), COMMIT), until)
        except _Duplicate:
            return False
        return True

    async def leave(
        self,
        until: float,
        *,
        durable: bool = False,  # noqa: ARG002 - as above
    ) -> None:
        """End the transaction, having written nothing."""
        await self._say((ROLLBACK,), until)

    async def place(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert the rows that are missing, in a transaction of its own."""
        again = " ON DUPLICATE KEY UPDATE expires = expires"
        try:
            await self._say((self._insert(rows, names) + again, COMMIT), until)
        except FateUnknown:
            # Whether they are there will be seen.
            raise NotDone("lost its connection", lost=True) from None

    async def forget(self, most: int, until: float) -> int:
        """Delete rows that have expired and that nobody has locked; return how many."""
        expired = (
            f"SELECT id FROM {self._states} WHERE expires <= {_BEGAN}"  # noqa: S608 - law 1
            f" ORDER BY expires LIMIT {most} FOR UPDATE SKIP LOCKED"
        )
        ((found, _),) = await self._say((expired,), until)
        ids = _listed([id_ for (id_,) in found])
        delete = f"DELETE FROM {self._states} WHERE id IN ({ids})"  # noqa: S608 - law 1
        (_, gone), _ = await self._say((delete, COMMIT), until)
        return gone

    def close(self) -> None:
        """Close it, whatever it is doing."""
        self.ready = False
        with suppress(Exception):  # it is gone already, or its event loop is
            self._connection.close()

    def abandon(self) -> None:  # pragma: no cover - runs in children, which coverage does not see
        """Let go of it in a forked child: it is the parent's, and nothing must be said on it."""
        self.ready = False
        _left_to_the_parent.append(self._connection)

    def _insert(self, rows: Sequence[Row], names: Sequence[str]) -> str:
        values = ", ".join(
            f"({_hex(id_)}, {_hex(name.encode())}, {_hex(state)}, {expires})"
            for (id_, state, expires), name in zip(rows, names, strict=True)
        )
        return f"INSERT INTO {self._states} (id, name, state, expires) VALUES {values}"  # noqa: S608 - law 1

    async def _say(self, statements: Sequence[str], until: float) -> list[Ran]:
        """Run statements in one trip, and roll back if the server refuses one of them."""
        self.ready = False
        done: list[Ran] = []
        try:
            await self._run(statements, until, done)
        except Exception as error:  # noqa: BLE001 - drivers raise all sorts when they are cut off
            code = _code(error)
        else:
            self.ready = statements[-1] in (COMMIT, ROLLBACK)
            return done
        answered = not (code in _UNANSWERED or _FIRST_OF_CLIENT <= code <= _LAST_OF_CLIENT)
        reached = len(statements) if self._run.at_once and not answered else len(done) + 1
        if statements[-1] is COMMIT and reached == len(statements):
            if code in _AGAIN:
                raise NotDone(_AGAIN[code], slow=True)
            raise FateUnknown
        if not answered or code in _GONE:
            late = monotonic() >= until
            raise NotDone(
                "was not answered in time" if late else "lost its connection", lost=not late
            )
        await self.leave(until)
        raise _refused(code)


class _Duplicate(Exception):
    """A row with this id is there already."""


def _code(error: BaseException) -> int:
    """The number of a driver's error; 0 if it has none, as where the connection is gone."""
    code = error.args[0] if error.args and not isinstance(error, OSError) else 0
    return code if isinstance(code, int) else 0


def _refused(code: int) -> Exception:
    """What an error of the server means; its transaction is rolled back."""
    if code in _AGAIN:
        return NotDone(_AGAIN[code], slow=True)
    if code in _NOT_AGAIN:
        return NotDone(_NOT_AGAIN[code], again=False, slow=True)
    if code == _DUPLICATE:
        return _Duplicate()
    if code in _NO_TABLE:
        return NoTable()
    if code in _DENIED:
        return Denied()
    return NotDone(f"was refused with error {code}", again=False)


def _hex(value: bytes | None) -> str:
    return "NULL" if value is None else f"x'{value.hex()}'"


def _listed(ids: Sequence[bytes]) -> str:
    return ", ".join(map(_hex, ids)) or "NULL"
