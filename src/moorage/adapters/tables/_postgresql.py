"""Entries in PostgreSQL: statements go in pipelines, and a transaction in two trips at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import Error

from moorage.adapters.databases._sql_link import NotDone
from moorage.adapters.databases._sql_postgresql import BEGIN, COMMIT, PostgresLink, Statements
from moorage.adapters.databases._sql_schema import VERSION
from moorage.adapters.tables._links import DOUBLE, LONG, encoded, numbered, version_of
from moorage.adapters.tables._table import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGresult

    from moorage.adapters.databases._sql_link import Wait
    from moorage.adapters.tables._table import Asked

_BIGINT, _BOOLEAN, _BYTEA, _DOUBLE = 20, 16, 17, 701
_TRUE: Final = b"\1"


class PostgresEntryLink(PostgresLink):
    """A connection of our own to PostgreSQL, for entries."""

    _began = False

    def __init__(self, connection: Any, tables: Sequence[str], wait: Wait) -> None:
        statements = Statements(tables[0], tables[0])
        text = version_of(tables).replace(f"SELECT {VERSION}", f"SELECT {VERSION}::bigint", 1)
        statements.version = (b"", text.encode())
        super().__init__(connection, statements, wait)
        self._heard: set[str] = set()

    async def ask(
        self, asked: Sequence[Asked], until: float, *, goes_on: bool, writes: bool
    ) -> list[Told]:
        """Run statements in the open transaction, or in a new one, and end it."""
        said = [(numbered(text), [encoded(value) for value in values]) for text, values in asked]
        if not (self._began or goes_on or writes):
            return [_told(result) for result in await self._trip(said, until)]
        before = [] if self._began else [(BEGIN, ())]
        after = [] if goes_on else [(COMMIT, ())]
        self._began = False
        then = self._flush(durable=writes and not goes_on)
        results = await self._trip([*before, *said, *after], until, then=then, ready=not goes_on)
        self._began = goes_on
        return [_told(result) for result in results[len(before) : len(before) + len(said)]]

    async def listen(self, channel: str, until: float) -> bool:
        """Wait for a notification, and tell whether something may have been added.

        The first time it may have been, as nobody listened before.
        """
        if channel not in self._heard:
            await self._trip([((b"", f'LISTEN "{channel}"'.encode()), ())], until)
            self._heard.add(channel)
            return True
        self.ready = False
        try:
            woken = await self._notified(until)
        except Error:
            raise NotDone("lost its connection", lost=True) from None
        self.ready = True
        return woken

    async def _notified(self, until: float) -> bool:
        pg, woken = self._pg, False
        while not woken:
            try:
                await self._wait(pg.socket, until, writing=False)
            except TimeoutError:
                return False
            pg.consume_input()
            while pg.notifies() is not None:
                woken = True
        return True


def _told(result: PGresult) -> Told:
    kinds = [result.ftype(column) for column in range(result.nfields)]
    rows = [
        [_decoded(result.get_value(row, column), kind) for column, kind in enumerate(kinds)]
        for row in range(result.ntuples)
    ]
    return Told(rows, result.command_tuples or 0)


def _decoded(value: bytes | None, kind: int) -> Any:
    if value is None or kind == _BYTEA:
        return value
    if kind == _BIGINT:
        return LONG.unpack(value)[0]
    if kind == _DOUBLE:
        return DOUBLE.unpack(value)[0]
    return value == _TRUE if kind == _BOOLEAN else value.decode()
