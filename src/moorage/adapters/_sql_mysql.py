"""Transactions in MariaDB and MySQL, spoken through PyMySQL or asyncmy.

The laws of this file:

1. Whatever is put into a statement is a number, or bytes in hexadecimal.
2. Autocommit is off, so a statement begins a transaction, and only `COMMIT` has an unknown fate.
3. The clock stands in a query behind the one that locks, in one statement. `SYSDATE` is the time
   at which it is evaluated, and not that at which its statement began.
4. A link that was interrupted in a statement is not ready, and never will be.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.adapters._sql_link import (
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
    from collections.abc import Callable, Coroutine, Sequence

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
_LOST: Final = (0, 1053, 1077, 1079, 1080, 1158, 1159, 1160, 1161, 1184, 1290, 1317, 1836, 1927)
_FIRST_OF_CLIENT: Final = 2000
_LAST_OF_CLIENT: Final = 2999

_left_to_the_parent: Final[list[object]] = []

Ran: TypeAlias = "tuple[Sequence[Sequence[Any]], int]"
"""The rows that a statement gave, and how many it changed."""
Run: TypeAlias = "Callable[[str, float], Coroutine[Any, Any, Ran]]"


def plain_run(connection: Any) -> Run:
    """How to run a statement on a connection of PyMySQL: it blocks inside `await`."""
    cursor = connection.cursor()

    async def run(statement: str, until: float) -> Ran:
        # The driver looks at this before each read.
        connection._read_timeout = max(until - monotonic(), _NOTHING)  # noqa: SLF001 - nothing else bounds one statement
        cursor.execute(statement)
        return cursor.fetchall(), cursor.rowcount

    return run


def awaited_run(connection: Any) -> Run:
    """How to run a statement on a connection of asyncmy."""
    cursor = connection.cursor()

    async def run(statement: str, until: float) -> Ran:
        async with asyncio.timeout(until - monotonic()):
            await cursor.execute(statement)
            return await cursor.fetchall(), cursor.rowcount

    return run


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
        self._meta = meta
        self.ready = False

    async def prepare(self, timeout: float, until: float) -> None:
        """Set the session up: how long it may wait, and what it sees."""
        wait = ceil(max(timeout, SLOWEST))
        idle = ceil(max(2 * timeout, STALLED))
        await self._say("ROLLBACK", until)
        await self._say("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", until)
        await self._say(
            f"SET SESSION time_zone = '+00:00', autocommit = 0, innodb_lock_wait_timeout = {wait}"
            # A process that stands still with rows locked must not stop all the others.
            f" /*M! , max_statement_time = {wait}, idle_transaction_timeout = {idle} */",
            until,
        )
        ((began, _, ended),), _ = await self._say(
            "SELECT SYSDATE(6), SLEEP(0.001), SYSDATE(6)", until
        )
        if began == ended:
            raise Misfit(
                "runs with --sysdate-is-now, so that no statement can read a clock",
                "Start the server without that option.",
            )
        await self.leave(until)

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin, lock the rows that are there, and return them with the server's time."""
        found, _ = await self._say(
            f"(SELECT id, state, expires FROM {self._states} WHERE id IN ({_listed(ids)})"  # noqa: S608 - law 1
            f" ORDER BY id FOR UPDATE) UNION ALL SELECT NULL, NULL, {_NOW}",
            until,
        )
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
        await self._say(f"UPDATE {self._states} SET {what} WHERE id IN ({ids})", until)  # noqa: S608 - law 1
        await self._commit(until)

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
            await self._say(self._insert([row], [name]), until)
        except _Duplicate:
            return False
        await self._commit(until)
        return True

    async def leave(
        self,
        until: float,
        *,
        durable: bool = False,  # noqa: ARG002 - as above
    ) -> None:
        """End the transaction, having written nothing."""
        await self._say("ROLLBACK", until)
        self.ready = True

    async def place(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert the rows that are missing, in a transaction of its own."""
        again = " ON DUPLICATE KEY UPDATE expires = expires"
        await self._say(self._insert(rows, names) + again, until)
        try:
            await self._commit(until)
        except FateUnknown:
            # Whether they are there will be seen.
            raise NotDone("lost its connection", lost=True) from None

    async def forget(self, most: int, until: float) -> int:
        """Delete rows that have expired and that nobody has locked; return how many."""
        found, _ = await self._say(
            f"SELECT id FROM {self._states} WHERE expires <= {_BEGAN}"  # noqa: S608 - law 1
            f" ORDER BY expires LIMIT {most} FOR UPDATE SKIP LOCKED",
            until,
        )
        gone = 0
        if found:
            ids = _listed([id_ for (id_,) in found])
            _, gone = await self._say(f"DELETE FROM {self._states} WHERE id IN ({ids})", until)  # noqa: S608 - law 1
        await self._commit(until)
        return gone

    async def version(self, until: float) -> int | None:
        """The version of the tables, as they say."""
        found, _ = await self._say(
            f"SELECT value FROM {self._meta} WHERE name = 'schema'",  # noqa: S608 - law 1
            until,
        )
        await self.leave(until)
        return found[0][0] if found else None

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

    async def _say(self, statement: str, until: float) -> Ran:
        """Run a statement, and roll back if the server refuses it."""
        self.ready = False
        try:
            return await self._run(statement, until)
        except Exception as error:  # noqa: BLE001 - drivers raise all sorts when they are cut off
            code = _code(error)
        if code in _LOST or _FIRST_OF_CLIENT <= code <= _LAST_OF_CLIENT:
            late = monotonic() >= until
            raise NotDone(
                "was not answered in time" if late else "lost its connection", lost=not late
            )
        await self.leave(until)
        raise _refused(code)

    async def _commit(self, until: float) -> None:
        try:
            await self._run("COMMIT", until)
        except Exception as error:  # noqa: BLE001 - as above
            code = _code(error)
        else:
            self.ready = True
            return
        if code in _AGAIN:
            raise NotDone(_AGAIN[code], slow=True)
        raise FateUnknown


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
