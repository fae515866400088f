"""A PostgreSQL connection for inbox and outbox: at most two round trips per transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import Error

from moorage.adapters.databases._sql_link import NotExecuted
from moorage.adapters.databases._sql_postgresql import (
    BEGIN,
    COMMIT,
    PooledPostgresLink,
    PostgresLink,
    Statements,
)
from moorage.adapters.databases._sql_schema import VERSION
from moorage.adapters.databases._table_definition import version_query
from moorage.adapters.tables._links import DOUBLE, LONG, encode_value, prepared_statement
from moorage.adapters.tables._table import StatementResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGresult

    from moorage.adapters.databases._sql_link import SocketWait
    from moorage.adapters.databases._table_definition import TableDefinition
    from moorage.adapters.tables._table import Statement

_BIGINT, _BOOLEAN, _BYTEA, _DOUBLE = 20, 16, 17, 701
_TRUE: Final = b"\1"


class PostgresEntryLink(PostgresLink):
    """A PostgreSQL connection that runs the statements of inbox and outbox stores."""

    _in_transaction = False

    def __init__(
        self, connection: Any, definitions: Sequence[TableDefinition], wait: SocketWait
    ) -> None:
        table = definitions[0].table
        statements = Statements(table, table)
        text = version_query(VERSION, definitions)
        text = text.replace(f"SELECT {VERSION}", f"SELECT {VERSION}::bigint", 1)
        statements.version = (b"", text.encode())
        super().__init__(connection, statements, wait)
        self._channels: set[str] = set()

    async def execute(
        self, statements: Sequence[Statement], until: float, *, keep_open: bool, writes: bool
    ) -> list[StatementResult]:
        """Run SQL statements in the open transaction, or else in a new transaction."""
        prepared_statements = [
            (prepared_statement(text), [encode_value(value) for value in values])
            for text, values in statements
        ]
        if not (self._in_transaction or keep_open or writes):
            return [
                _statement_result(result)
                for result in await self._round_trip(prepared_statements, until)
            ]
        begin_statements = [] if self._in_transaction else [(BEGIN, ())]
        commit_statements = [] if keep_open else [(COMMIT, ())]
        self._in_transaction = False
        flush = self._flush(durable=writes and not keep_open)
        results = await self._round_trip(
            [*begin_statements, *prepared_statements, *commit_statements],
            until,
            final_statements=flush,
            ready=not keep_open,
        )
        self._in_transaction = keep_open
        return [
            _statement_result(result)
            for result in results[
                len(begin_statements) : len(begin_statements) + len(prepared_statements)
            ]
        ]

    async def listen(self, channel: str, end: float, until: float) -> bool:
        """Wait for a database notification; return whether entries may have been added.

        The first call returns True immediately, because nothing listened before.

        Args:
            channel: the channel of the notifications.
            end: the end of the wait, as a time of `monotonic()`.
            until: the deadline of the server's reply to the first call.
        """
        if channel not in self._channels:
            await self._round_trip([((b"", f'LISTEN "{channel}"'.encode()), ())], until)
            self._channels.add(channel)
            return True
        self.ready = False
        try:
            is_notified = await self._wait_for_notification(end)
        except Error:
            raise NotExecuted("lost its connection", lost=True) from None
        self.ready = True
        return is_notified

    async def _wait_for_notification(self, until: float) -> bool:
        pg, is_notified = self._pg, False
        while not is_notified:
            try:
                await self._wait(pg.socket, until, writing=False)
            except TimeoutError:
                return False
            pg.consume_input()
            while pg.notifies() is not None:
                is_notified = True
        return True


class PooledPostgresEntryLink(PostgresEntryLink, PooledPostgresLink):
    """A PostgreSQL connection through a transaction pooler; it cannot listen for notifications."""


def _statement_result(result: PGresult) -> StatementResult:
    kinds = [result.ftype(column) for column in range(result.nfields)]
    rows = [
        [_decode_value(result.get_value(row, column), kind) for column, kind in enumerate(kinds)]
        for row in range(result.ntuples)
    ]
    return StatementResult(rows, result.command_tuples or 0)


def _decode_value(value: bytes | None, kind: int) -> Any:
    if value is None or kind == _BYTEA:
        return value
    if kind == _BIGINT:
        return LONG.unpack(value)[0]
    if kind == _DOUBLE:
        return DOUBLE.unpack(value)[0]
    return value == _TRUE if kind == _BOOLEAN else value.decode()
