"""Transactions in PostgreSQL, sent as pipelines of prepared statements through libpq.

The laws of this file:

1. A round trip sends several statements together: `BEGIN` with the lock, the write with `COMMIT`.
2. A statement that the server reports as failed rolls its transaction back. If the connection is
   lost without such a report, a transaction that was sent with a `COMMIT` has an unknown outcome.
3. The clock is read in a query around the materialised locking query, so it is read for each row
   after that row is locked, and the time of the last row is the time of the transaction.
4. No row stays locked while the server waits for the disk. A commit does not wait; data that must
   be durable is followed, in the same round trip, by a transaction that writes a mark to the
   journal and waits until it, and everything before it, is on disk.
5. A link that was interrupted in a round trip is never ready again.
"""

from __future__ import annotations

import os
from functools import cache
from math import ceil
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from psycopg import Error, pq

from moorage.adapters.databases._sql_link import (
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

    from psycopg.pq.abc import PGconn, PGresult

    from moorage.adapters.databases._sql_link import SocketWait

Statement: TypeAlias = "tuple[bytes, bytes]"
"""The name and text of a statement; without a name it is not prepared."""
StatementWithValues: TypeAlias = "tuple[Statement, Sequence[bytes | None]]"
"""A statement with its values."""

BEGIN: Final = (b"moorage_begin", b"BEGIN")
COMMIT: Final = (b"moorage_commit", b"COMMIT")
_BEGIN_POOLED: Final = (b"", b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
_SETTINGS: Final = b"moorage_settings"
"""The name of the statement that makes a transaction's settings; its result is discarded."""
_ROLLBACK: Final = (b"moorage_rollback", b"ROLLBACK")
_MARK: Final = (
    b"SELECT set_config('synchronous_commit', $1::text, true),"
    b" pg_logical_emit_message(true, 'moorage', '')"
)
_FLUSH: Final = (b"moorage_flush", _MARK)
_COUNT_OF_CONNECTIONS: Final = (
    # All users may read these numbers, but only few columns of other users' rows in
    # pg_stat_activity. A view such as pg_stat_database would scan a table. With sequential scans
    # disabled, the planner rates such a scan as most expensive, and PostgreSQL compiles the query:
    # 80 ms of a core instead of 0.2 ms.
    b"SELECT connections + greatest(3, most / 20) >= most"
    b" FROM (SELECT current_setting('max_connections')::int"
    b" - current_setting('superuser_reserved_connections')::int AS most) AS limits,"
    b" (SELECT count(*) AS connections FROM pg_stat_get_backend_idset() AS id"
    b" WHERE pg_stat_get_backend_dbid(id) <> 0) AS backends"
)
_COUNT_CONNECTIONS: Final = (b"moorage_crowded", _COUNT_OF_CONNECTIONS)

_INT64: Final = Struct("!q")
_SINCE_1970: Final = 946_684_800_000_000
"""PostgreSQL counts microseconds since the year 2000."""

_DONE_STATUSES: Final = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_SYNC: Final = pq.ExecStatus.PIPELINE_SYNC
_CODE: Final = pq.DiagnosticField.SQLSTATE
_IDLE: Final = pq.TransactionStatus.IDLE
_BINARY: Final = pq.Format.BINARY

_LEAST_LIBPQ: Final = 140_000
_END_OF_RESULTS: Final = 2
"""The number of None results after which libpq has no more: one ends each statement."""

_MAX_MILLISECONDS: Final = 2**31 - 1

_RETRYABLE: Final = {
    b"40001": "conflicted with concurrent transactions",
    b"40P01": "was rolled back because of a deadlock",
}
_NOT_RETRYABLE: Final = {
    b"55P03": "waited too long for rows that other transactions lock",
    b"57014": "took too long",
}
_READ_ONLY: Final = b"25006"
_TIMED_OUT: Final = "got no response in time"
_NO_TABLE: Final = (b"42P01", b"42703", b"3F000")
_OTHER_TYPES: Final = (b"22P03", b"42804", b"42883")
_DENIED_CODE: Final = b"42501"

_left_to_the_parent: Final[list[object]] = []


class Statements:
    """The SQL statements for the store's two tables, with the tables' names in quotation marks."""

    def __init__(self, states: str, meta: str) -> None:
        self.lock = cache(self._lock)
        self.read = cache(self._read)
        self.write = cache(self._write)
        self.place = cache(self._insert_statement)
        self.states = states
        self.version: Statement = (
            b"",
            f"SELECT value FROM {meta} WHERE name = 'schema'".encode(),  # noqa: S608 - quoted names; values are parameters
        )
        self.forget: Statement = (
            b"moorage_forget",
            f"DELETE FROM {states} WHERE id IN (SELECT id FROM {states}"  # noqa: S608 - quoted names; values are parameters
            # An index cannot be used with `clock_timestamp()`, whose value changes within a
            # statement.
            " WHERE expires <= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
            " ORDER BY expires LIMIT $1::bigint FOR UPDATE SKIP LOCKED)".encode(),
        )

    def _lock(self, count: int) -> Statement:
        ids = ", ".join(f"${number}" for number in range(1, count + 1)) or "NULL"
        return (
            f"moorage_lock_{count}".encode(),
            f"WITH locked AS MATERIALIZED (SELECT id, state, expires FROM {self.states}"  # noqa: S608 - quoted names; values are parameters
            f" WHERE id IN ({ids}) ORDER BY id FOR UPDATE)"
            " SELECT id, state, expires, clock_timestamp()"
            " FROM (SELECT) AS one LEFT JOIN locked ON true".encode(),
        )

    def _read(self, count: int) -> Statement:
        ids = ", ".join(f"${number}" for number in range(1, count + 1)) or "NULL"
        return (
            f"moorage_read_{count}".encode(),
            "SELECT id, state, expires, clock_timestamp() FROM (SELECT) AS one"  # noqa: S608 - quoted names; values are parameters
            f" LEFT JOIN {self.states} ON id IN ({ids})".encode(),
        )

    def _write(self, count: int) -> Statement:
        rows = ", ".join(
            f"(${start}::bytea, ${start + 1}::bytea, ${start + 2}::bigint)"
            for start in range(1, 3 * count, 3)
        )
        return (
            f"moorage_write_{count}".encode(),
            f"UPDATE {self.states} AS old SET state = new.state, expires = new.expires"  # noqa: S608 - quoted names; values are parameters
            f" FROM (VALUES {rows}) AS new (id, state, expires) WHERE old.id = new.id".encode(),
        )

    def _insert_statement(self, count: int) -> Statement:
        rows = ", ".join(
            f"(${start}::bytea, ${start + 1}::text, ${start + 2}::bytea, ${start + 3}::bigint)"
            for start in range(1, 4 * count, 4)
        )
        return (
            f"moorage_place_{count}".encode(),
            f"INSERT INTO {self.states} (id, name, state, expires) VALUES {rows}"  # noqa: S608 - quoted names; values are parameters
            " ON CONFLICT DO NOTHING".encode(),
        )


class PostgresLink:
    """A connection of the store to PostgreSQL.

    Args:
        connection: the connection of psycopg, synchronous or asynchronous, which nothing else uses.
        statements: the statements for the tables.
        wait: waits for the socket.
    """

    def __init__(self, connection: Any, statements: Statements, wait: SocketWait) -> None:
        self._connection = connection
        self._pg: PGconn = connection.pgconn
        self._statements = statements
        self._wait = wait
        self._prepared: set[bytes] = set()
        self._durability = b"on"
        self._process = os.getpid()
        self.ready = False

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Prepare the session: its timeouts and its planner settings.

        Returns the version of the tables, which is queried in the same round trip.
        """
        self._enter_pipeline_mode()
        wait = _milliseconds(timeout, SLOWEST)
        idle_timeout = _milliseconds(2 * timeout, STALLED)
        settings = {
            "synchronous_commit": "off",
            "lock_timeout": wait,
            "statement_timeout": wait,
            # A suspended process that holds row locks must not block all others.
            "idle_in_transaction_session_timeout": idle_timeout,
            "default_transaction_isolation": "read committed",
            "default_transaction_read_only": "off",
            "default_transaction_deferrable": "off",
            # Few rows are selected by their keys, so statistics cannot improve the plan.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            # Compiling a statement takes longer than executing any statement of the store.
            "jit": "off",
        }
        assignments = ", ".join(
            f"set_config('{name}', '{value}', false)" for name, value in settings.items()
        )
        configured_setting = b"COALESCE(NULLIF(current_setting('synchronous_commit'), 'off'), 'on')"
        setup = (b"", b"SELECT %b, %b" % (configured_setting, assignments.encode()))
        if self._pg.transaction_status != _IDLE:
            # The listener for new connections of the pool may have left a transaction open.
            await self._round_trip([(COMMIT, ())], until)
        # The settings of the session remain, even if creating the tables fails.
        version = [(self._statements.version, ())]
        setup_result, version_result = await self._round_trip(
            [(setup, ())], until, final_statements=version
        )
        self._durability = setup_result.get_value(0, 0) or b"on"
        return _version_of(version_result)

    def _enter_pipeline_mode(self) -> None:
        """Switch the connection to pipeline mode; raise an error if libpq is too old."""
        if pq.version() < _LEAST_LIBPQ:
            raise MissingFeature(
                f"is used through libpq {pq.version() // 10000}, which is too old",
                "Install psycopg[binary], or libpq 14 or newer.",
            )
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin a transaction, lock existing rows, and return them and the server's time."""
        statement = self._statements.lock(len(ids))
        _, result = await self._round_trip([(BEGIN, ()), (statement, ids)], until, ready=False)
        return _rows(result)

    async def read(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Return existing rows and the server's time, without locking."""
        (result,) = await self._round_trip([(self._statements.read(len(ids)), ids)], until)
        return _rows(result)

    async def write(self, rows: Sequence[Row], until: float, *, durable: bool) -> None:
        """Write to locked rows, and commit."""
        values: list[bytes | None] = []
        for id_, state, expires in rows:
            values += (id_, state, _INT64.pack(expires))
        await self._commit((self._statements.write(len(rows)), values), until, durable=durable)

    async def add(self, row: Row, name: str, until: float, *, durable: bool) -> bool:
        """Insert a row and commit; return False if another process inserted the row first."""
        values = (row.id, name.encode(), row.state, _INT64.pack(row.expires))
        result = await self._commit((self._statements.place(1), values), until, durable=durable)
        return result.command_tuples == 1

    async def leave(self, until: float, *, durable: bool = False) -> None:
        """End a transaction that changed nothing."""
        await self._round_trip(
            [(_ROLLBACK, ())], until, final_statements=self._flush(durable=durable)
        )

    async def insert_missing(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert missing rows in a separate transaction."""
        values: list[bytes | None] = []
        for (id_, state, expires), name in zip(rows, names, strict=True):
            values += (id_, name.encode(), state, _INT64.pack(expires))
        await self._round_trip([(self._statements.place(len(rows)), values)], until)

    async def is_crowded(self, until: float) -> bool:
        """Return whether the server has almost no connections left."""
        (result,) = await self._round_trip([(_COUNT_CONNECTIONS, ())], until)
        return result.get_value(0, 0) == b"\1"

    async def delete_expired(self, limit: int, until: float) -> int:
        """Delete expired rows that are not locked, and return their number."""
        (result,) = await self._round_trip(
            [(self._statements.forget, (_INT64.pack(limit),))], until
        )
        return result.command_tuples or 0

    def close(self) -> None:
        """Close the connection immediately, even while a statement runs."""
        self.ready = False
        self._pg.finish()

    def abandon(self) -> None:  # pragma: no cover - runs in children, which coverage does not see
        """Drop an inherited connection after a fork, because the parent process uses it.

        The child's end of the socket is closed, so that the server notices the parent's death.
        libpq is not used, because it would end the parent's session.
        """
        self.ready = False
        if os.getpid() != self._process:
            os.close(self._pg.socket)
        _left_to_the_parent.append(self._connection)

    async def _commit(
        self, statements: StatementWithValues, until: float, *, durable: bool
    ) -> PGresult:
        """Send a statement and commit; with `durable`, wait until the commit is on disk."""
        flush_statements = self._flush(durable=durable)
        result, *_ = await self._round_trip(
            [statements, (COMMIT, ())], until, final_statements=flush_statements
        )
        return result

    def _flush(self, *, durable: bool) -> list[StatementWithValues]:
        return [(_FLUSH, (self._durability,))] if durable else []

    async def _round_trip(
        self,
        statements: Sequence[StatementWithValues],
        until: float,
        *,
        final_statements: Sequence[StatementWithValues] = (),
        ready: bool = True,
    ) -> list[PGresult]:
        """Send SQL statements and return their results; the final statements always run."""
        self.ready = False
        reply = _Reply()
        try:
            await self._send(
                [statements, final_statements] if final_statements else [statements], reply, until
            )
            problem = "" if await self._read(reply, until) else "lost its connection"
        except Error:
            problem = "lost its connection"
        except TimeoutError:
            problem = _TIMED_OUT
        failure = reply.failure
        if not problem and failure is None:
            self.ready = ready
            return reply.results
        if statements[-1][0] is COMMIT and reply.may_be_committed(
            len(statements) - 1, lost=bool(problem)
        ):
            raise FateUnknown
        if problem or failure is None:
            raise NotExecuted(problem, lost=problem != _TIMED_OUT)
        if self._pg.transaction_status == _IDLE:
            self.ready = True
        else:
            await self._round_trip([(_ROLLBACK, ())], until)
        raise _error_of(failure)

    async def _send(
        self, parts: Sequence[Sequence[StatementWithValues]], reply: _Reply, until: float
    ) -> None:
        pg = self._pg
        for part in parts:
            for statement, values in part:
                self._queue(statement, values, reply)
            pg.pipeline_sync()
            reply.parts += 1
        while pg.flush():
            await self._wait(pg.socket, until, writing=True)
            pg.consume_input()

    def _queue(
        self, statement: Statement, parameters: Sequence[bytes | None], reply: _Reply
    ) -> None:
        """Add a statement to the pipeline; a named statement is prepared first."""
        pg, expected_names, (name, text) = self._pg, reply.expected, statement
        values = [*parameters]  # psycopg 3.1 accepts only lists
        formats = [_BINARY] * len(values)
        if not name:
            pg.send_query_params(text, values, None, formats, _BINARY)
        else:
            if name not in self._prepared and name not in expected_names:
                pg.send_prepare(name, text)
                expected_names.append(name)
            pg.send_query_prepared(name, values, formats, _BINARY)
        expected_names.append(None)

    async def _read(self, reply: _Reply, until: float) -> bool:
        """Receive results until the round trip is complete; return False if it broke off."""
        pg, empty_results = self._pg, 0
        get_result, is_busy, expected_names = pg.get_result, pg.is_busy, iter(reply.expected)
        while empty_results < _END_OF_RESULTS:  # pragma: no branch - libpq raises an error before
            while is_busy():
                await self._wait(pg.socket, until, writing=False)
                pg.consume_input()
            result = get_result()
            if result is None:
                empty_results += 1
                continue
            empty_results, status = 0, result.status
            if status == _SYNC:
                reply.parts -= 1
                if not reply.parts:
                    return True
                continue
            name = next(expected_names, None)
            if status not in _DONE_STATUSES:
                reply.failure = reply.failure or result
            elif name is None:
                reply.results.append(result)
            else:
                self._prepared.add(name)
        return False  # pragma: no cover - runs in children, which coverage does not see


class PooledPostgresLink(PostgresLink):
    """A PostgreSQL connection through a pooler, in which the server session may change.

    It leaves nothing behind in a session, because other clients use it next: statements have no
    names, and settings end with their transaction.
    """

    _settings = b""

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Prepare the connection, and return the version of the store's tables."""
        self._enter_pipeline_mode()
        configured_setting = (
            b"SELECT COALESCE(NULLIF(current_setting('synchronous_commit'), 'off'), 'on')"
        )
        version = [(self._statements.version, ())]
        setting_result, version_result = await self._round_trip(
            [((b"", configured_setting), ())], until, final_statements=version
        )
        self._durability = setting_result.get_value(0, 0) or b"on"
        wait = _milliseconds(timeout, SLOWEST)
        settings = {
            "synchronous_commit": "off",
            "lock_timeout": wait,
            "statement_timeout": wait,
            "idle_in_transaction_session_timeout": _milliseconds(2 * timeout, STALLED),
            "enable_seqscan": "off",
            "jit": "off",
        }
        assignments = ", ".join(
            f"set_config('{name}', '{value}', true)" for name, value in settings.items()
        )
        self._settings = f"SELECT {assignments}".encode()
        return _version_of(version_result)

    async def _send(
        self, parts: Sequence[Sequence[StatementWithValues]], reply: _Reply, until: float
    ) -> None:
        first, *other_parts = parts
        if first[0][0] is BEGIN:
            first = [(_BEGIN_POOLED, ()), (self._settings_statement, ()), *first[1:]]
        elif self._settings and self._pg.transaction_status == _IDLE:
            # Statements that are sent without BEGIN form one transaction until the synchronisation
            # point.
            first = [(self._settings_statement, ()), *first]
        await super()._send([first, *other_parts], reply, until)

    @property
    def _settings_statement(self) -> Statement:
        return _SETTINGS, self._settings

    def _queue(
        self, statement: Statement, parameters: Sequence[bytes | None], reply: _Reply
    ) -> None:
        name, text = statement
        formats = [_BINARY] * len(parameters)
        self._pg.send_query_params(text, [*parameters], None, formats, _BINARY)
        reply.expected.append(_SETTINGS if name == _SETTINGS else None)


class _Reply:
    """The results received so far in a round trip.

    Attributes:
        expected: for each result, the name of the statement that it prepares, or None.
        results: the results of the statements.
        failure: the first result that is an error.
        parts: the number of parts of the round trip that have not ended.
    """

    __slots__ = ("expected", "failure", "parts", "results")

    def __init__(self) -> None:
        self.expected: list[bytes | None] = []
        self.results: list[PGresult] = []
        self.failure: PGresult | None = None
        self.parts = 0

    def may_be_committed(self, commit: int, *, lost: bool) -> bool:
        """Return whether the commit with this index may have been executed."""
        failure, result_count = self.failure, len(self.results)
        if failure is None or not failure.error_field(_CODE):
            return True
        # After the commit, the only step that can fail is the wait for the disk.
        return result_count > commit or (lost and result_count == commit)


def _milliseconds(timeout: float, least: float) -> int:
    """Return a timeout in milliseconds, but at least `least` seconds."""
    return min(ceil(max(timeout, least) * 1000), _MAX_MILLISECONDS)


def _version_of(result: PGresult) -> int | None:
    """Return the version of the tables; None if no version is stored."""
    return _INT64.unpack(result.get_value(0, 0) or b"")[0] if result.ntuples else None


def _rows(result: PGresult) -> tuple[list[Row], int]:
    """Return the rows of a result, and the server's time from the last row."""
    value, last_row = result.get_value, result.ntuples - 1
    (now,) = _INT64.unpack(value(last_row, 3) or b"")
    if value(last_row, 0) is None:
        return [], now + _SINCE_1970
    rows = [
        Row(value(number, 0) or b"", value(number, 1), _INT64.unpack(value(number, 2) or b"")[0])
        for number in range(last_row + 1)
    ]
    return rows, now + _SINCE_1970


def _error_of(failure: PGresult) -> NotExecuted | MissingTable | ConnectionDenied | MissingFeature:
    """Return the error for a failed result; PostgreSQL has rolled back already."""
    code = failure.error_field(_CODE) or b""
    if code in _RETRYABLE:
        return NotExecuted(_RETRYABLE[code], slow=True)
    if code in _NOT_RETRYABLE:
        return NotExecuted(_NOT_RETRYABLE[code], again=False, slow=True)
    if code in _NO_TABLE:
        return MissingTable()
    if code in _OTHER_TYPES:
        return MissingFeature(
            f"has a table of this name with other column types (SQLSTATE {code.decode()})",
            "Another program created the table, such as moorage-flask. Use that program's"
            " store, or set another `prefix`.",
        )
    if code == _DENIED_CODE:
        return ConnectionDenied()
    if code == _READ_ONLY:
        return NotExecuted("reached a read-only server", lost=True)
    return NotExecuted(f"was refused with SQLSTATE {code.decode()}", again=False)
