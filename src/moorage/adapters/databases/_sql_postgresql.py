"""Transactions in PostgreSQL, spoken through psycopg's libpq in pipelines of prepared statements.

The laws of this file:

1. A trip is sent at once and answered at once: `BEGIN` with the lock, the write with `COMMIT`.
2. A statement that the server says has failed rolls its transaction back. Where the connection is
   lost and the server has said no such thing, what was sent with a `COMMIT` has an unknown fate.
3. The clock stands in a query around the one that locks, which is materialised; so it is read for
   each row after that row is locked, and the time of the last one is the transaction's.
4. No row stays locked while the disk is waited for. A commit does not wait; what must be durable
   is followed, in the same trip, by a transaction that leaves a mark in the journal and waits until
   that is on the disk, and so is everything before it.
5. A link that was interrupted in a trip is not ready, and never will be.
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
    Denied,
    FateUnknown,
    Misfit,
    NoTable,
    NotDone,
    Row,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGconn, PGresult

    from moorage.adapters.databases._sql_link import Wait

Statement: TypeAlias = "tuple[bytes, bytes]"
"""A name and a text; without a name it is not prepared."""
Asked: TypeAlias = "tuple[Statement, Sequence[bytes | None]]"
"""A statement with its values."""

BEGIN: Final = (b"moorage_begin", b"BEGIN")
COMMIT: Final = (b"moorage_commit", b"COMMIT")
_ROLLBACK: Final = (b"moorage_rollback", b"ROLLBACK")
_MARK: Final = (
    b"SELECT set_config('synchronous_commit', $1::text, true),"
    b" pg_logical_emit_message(true, 'moorage', '')"
)
_FLUSH: Final = (b"moorage_flush", _MARK)

_LONG: Final = Struct("!q")
_SINCE_1970: Final = 946_684_800_000_000
"""PostgreSQL counts microseconds since the year 2000."""

_DONE: Final = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_SYNC: Final = pq.ExecStatus.PIPELINE_SYNC
_CODE: Final = pq.DiagnosticField.SQLSTATE
_IDLE: Final = pq.TransactionStatus.IDLE
_BINARY: Final = pq.Format.BINARY

_LEAST_LIBPQ: Final = 140_000
_SILENCE: Final = 2
"""libpq ends the results of a statement with a None, and has nothing but these when it is over."""

_LONGEST_PATIENCE: Final = 2**31 - 1

_AGAIN: Final = {
    b"40001": "could not be serialised with others",
    b"40P01": "was the victim of a deadlock",
}
_NOT_AGAIN: Final = {
    b"55P03": "waited too long for rows that others hold",
    b"57014": "took too long",
}
_READ_ONLY: Final = b"25006"
_LATE: Final = "was not answered in time"
_NO_TABLE: Final = (b"42P01", b"42703", b"3F000")
_DENIED: Final = b"42501"

_left_to_the_parent: Final[list[object]] = []


class Statements:
    """What is said to the server about two tables, whose names are quoted already."""

    def __init__(self, states: str, meta: str) -> None:
        self.lock = cache(self._lock)
        self.read = cache(self._read)
        self.write = cache(self._write)
        self.place = cache(self._place)
        self.states = states
        self.version: Statement = (
            b"",
            f"SELECT value FROM {meta} WHERE name = 'schema'".encode(),  # noqa: S608 - quoted
        )
        self.forget: Statement = (
            b"moorage_forget",
            f"DELETE FROM {states} WHERE id IN (SELECT id FROM {states}"  # noqa: S608 - quoted
            # Of `clock_timestamp()` no index knows whether it stays the same.
            " WHERE expires <= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
            " ORDER BY expires LIMIT $1::bigint FOR UPDATE SKIP LOCKED)".encode(),
        )

    def _lock(self, count: int) -> Statement:
        ids = ", ".join(f"${number}" for number in range(1, count + 1)) or "NULL"
        return (
            f"moorage_lock_{count}".encode(),
            f"WITH locked AS MATERIALIZED (SELECT id, state, expires FROM {self.states}"  # noqa: S608 - quoted
            f" WHERE id IN ({ids}) ORDER BY id FOR UPDATE)"
            " SELECT id, state, expires, clock_timestamp()"
            " FROM (SELECT) AS one LEFT JOIN locked ON true".encode(),
        )

    def _read(self, count: int) -> Statement:
        ids = ", ".join(f"${number}" for number in range(1, count + 1)) or "NULL"
        return (
            f"moorage_read_{count}".encode(),
            "SELECT id, state, expires, clock_timestamp() FROM (SELECT) AS one"  # noqa: S608 - quoted
            f" LEFT JOIN {self.states} ON id IN ({ids})".encode(),
        )

    def _write(self, count: int) -> Statement:
        rows = ", ".join(
            f"(${first}::bytea, ${first + 1}::bytea, ${first + 2}::bigint)"
            for first in range(1, 3 * count, 3)
        )
        return (
            f"moorage_write_{count}".encode(),
            f"UPDATE {self.states} AS old SET state = new.state, expires = new.expires"  # noqa: S608 - quoted
            f" FROM (VALUES {rows}) AS new (id, state, expires) WHERE old.id = new.id".encode(),
        )

    def _place(self, count: int) -> Statement:
        rows = ", ".join(
            f"(${first}::bytea, ${first + 1}::text, ${first + 2}::bytea, ${first + 3}::bigint)"
            for first in range(1, 4 * count, 4)
        )
        return (
            f"moorage_place_{count}".encode(),
            f"INSERT INTO {self.states} (id, name, state, expires) VALUES {rows}"  # noqa: S608 - quoted
            " ON CONFLICT DO NOTHING".encode(),
        )


class PostgresLink:
    """A connection to PostgreSQL that is ours alone.

    Args:
        connection: psycopg's, of either colour, which nobody else uses.
        statements: what to say.
        wait: how to wait for the socket.
    """

    def __init__(self, connection: Any, statements: Statements, wait: Wait) -> None:
        self._connection = connection
        self._pg: PGconn = connection.pgconn
        self._statements = statements
        self._wait = wait
        self._known: set[bytes] = set()
        self._full = b"on"
        self._process = os.getpid()
        self.ready = False

    async def prepare(self, timeout: float, until: float) -> int | None:
        """Set the session up: how long it may wait, and how it plans.

        Returns the version of the tables, which is asked for in the same trip.
        """
        if pq.version() < _LEAST_LIBPQ:
            raise Misfit(
                f"is spoken to through libpq {pq.version() // 10_000}, which is too old",
                "Install psycopg[binary], or libpq 14 or newer.",
            )
        pg = self._pg
        pg.nonblocking = 1
        pg.enter_pipeline_mode()
        wait = min(ceil(max(timeout, SLOWEST) * 1000), _LONGEST_PATIENCE)
        idle = min(ceil(max(2 * timeout, STALLED) * 1000), _LONGEST_PATIENCE)
        settings = {
            "synchronous_commit": "off",
            "lock_timeout": wait,
            "statement_timeout": wait,
            # A process that stands still with rows locked must not stop all the others.
            "idle_in_transaction_session_timeout": idle,
            "default_transaction_isolation": "read committed",
            "default_transaction_read_only": "off",
            "default_transaction_deferrable": "off",
            # Few rows by their keys: no statistics can make another plan a better one.
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
        }
        chosen = ", ".join(
            f"set_config('{name}', '{value}', false)" for name, value in settings.items()
        )
        usual = b"COALESCE(NULLIF(current_setting('synchronous_commit'), 'off'), 'on')"
        said = (b"", b"SELECT %b, %b" % (usual, chosen.encode()))
        if pg.transaction_status != _IDLE:
            # Whatever listens for new connections may have begun something and left it open.
            await self._trip([(COMMIT, ())], until)
        # The settings stand, whether the tables are there or not.
        version = [(self._statements.version, ())]
        answer, found = await self._trip([(said, ())], until, then=version)
        self._full = answer.get_value(0, 0) or b"on"
        return _LONG.unpack(found.get_value(0, 0) or b"")[0] if found.ntuples else None

    async def lock(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Begin, lock the rows that are there, and return them with the server's time."""
        statement = self._statements.lock(len(ids))
        _, found = await self._trip([(BEGIN, ()), (statement, ids)], until, ready=False)
        return _rows(found)

    async def read(self, ids: Sequence[bytes], until: float) -> tuple[list[Row], int]:
        """Return the rows that are there, with the server's time, locking none."""
        (found,) = await self._trip([(self._statements.read(len(ids)), ids)], until)
        return _rows(found)

    async def write(self, rows: Sequence[Row], until: float, *, durable: bool) -> None:
        """Write to rows that are locked, and commit."""
        values: list[bytes | None] = []
        for id_, state, expires in rows:
            values += (id_, state, _LONG.pack(expires))
        await self._commit((self._statements.write(len(rows)), values), until, durable=durable)

    async def add(self, row: Row, name: str, until: float, *, durable: bool) -> bool:
        """Insert a row and commit, or tell that somebody else has inserted one."""
        values = (row.id, name.encode(), row.state, _LONG.pack(row.expires))
        added = await self._commit((self._statements.place(1), values), until, durable=durable)
        return added.command_tuples == 1

    async def leave(self, until: float, *, durable: bool = False) -> None:
        """End the transaction, having written nothing."""
        await self._trip([(_ROLLBACK, ())], until, then=self._flush(durable=durable))

    async def place(self, rows: Sequence[Row], names: Sequence[str], until: float) -> None:
        """Insert the rows that are missing, in a transaction of its own."""
        values: list[bytes | None] = []
        for (id_, state, expires), name in zip(rows, names, strict=True):
            values += (id_, name.encode(), state, _LONG.pack(expires))
        await self._trip([(self._statements.place(len(rows)), values)], until)

    async def forget(self, most: int, until: float) -> int:
        """Delete rows that have expired and that nobody has locked; return how many."""
        (gone,) = await self._trip([(self._statements.forget, (_LONG.pack(most),))], until)
        return gone.command_tuples or 0

    def close(self) -> None:
        """Close it, whatever it is doing."""
        self.ready = False
        self._pg.finish()

    def abandon(self) -> None:  # pragma: no cover - runs in children, which coverage does not see
        """Let go of it in a forked child: it is the parent's.

        The child's end of the socket is closed, else the server would not notice the parent's
        death. libpq must not be told, as it would say good-bye in the parent's name.
        """
        self.ready = False
        if os.getpid() != self._process:
            os.close(self._pg.socket)
        _left_to_the_parent.append(self._connection)

    async def _commit(self, asked: Asked, until: float, *, durable: bool) -> PGresult:
        """Send a statement and commit; if it must be durable, wait for the disk afterwards."""
        then = self._flush(durable=durable)
        done, *_ = await self._trip([asked, (COMMIT, ())], until, then=then)
        return done

    def _flush(self, *, durable: bool) -> list[Asked]:
        return [(_FLUSH, (self._full,))] if durable else []

    async def _trip(
        self,
        asked: Sequence[Asked],
        until: float,
        *,
        then: Sequence[Asked] = (),
        ready: bool = True,
    ) -> list[PGresult]:
        """Send statements, and others to follow whatever comes of them; return what each gave."""
        self.ready = False
        reply = _Reply()
        try:
            await self._send([asked, then] if then else [asked], reply, until)
            lost = "" if await self._read(reply, until) else "lost its connection"
        except Error:
            lost = "lost its connection"
        except TimeoutError:
            lost = _LATE
        failure = reply.failure
        if not lost and failure is None:
            self.ready = ready
            return reply.results
        if asked[-1][0] is COMMIT and reply.may_be_committed(len(asked) - 1, lost=bool(lost)):
            raise FateUnknown
        if lost or failure is None:
            raise NotDone(lost, lost=lost != _LATE)
        if self._pg.transaction_status == _IDLE:
            self.ready = True
        else:
            await self._trip([(_ROLLBACK, ())], until)
        raise _refused(failure)

    async def _send(self, parts: Sequence[Sequence[Asked]], reply: _Reply, until: float) -> None:
        pg, expected = self._pg, reply.expected
        for part in parts:
            for (name, text), given in part:
                values = [*given]  # psycopg 3.1 takes nothing but lists
                formats = [_BINARY] * len(values)
                if not name:
                    pg.send_query_params(text, values, None, formats, _BINARY)
                else:
                    if name not in self._known and name not in expected:
                        pg.send_prepare(name, text)
                        expected.append(name)
                    pg.send_query_prepared(name, values, formats, _BINARY)
                expected.append(None)
            pg.pipeline_sync()
            reply.parts += 1
        while pg.flush():
            await self._wait(pg.socket, until, writing=True)
            pg.consume_input()

    async def _read(self, reply: _Reply, until: float) -> bool:
        """Read results up to the end of the trip, or tell that there are no more before it."""
        pg, silent = self._pg, 0
        get_result, is_busy, expected = pg.get_result, pg.is_busy, iter(reply.expected)
        while silent < _SILENCE:  # pragma: no branch - so far libpq has raised an error before
            while is_busy():
                await self._wait(pg.socket, until, writing=False)
                pg.consume_input()
            result = get_result()
            if result is None:
                silent += 1
                continue
            silent, status = 0, result.status
            if status == _SYNC:
                reply.parts -= 1
                if not reply.parts:
                    return True
                continue
            name = next(expected, None)
            if status not in _DONE:
                reply.failure = reply.failure or result
            elif name is None:
                reply.results.append(result)
            else:
                self._known.add(name)
        return False  # pragma: no cover - as above


class _Reply:
    """What came of a trip so far.

    Attributes:
        expected: for each result the name of the statement that it prepares, None for an answer.
        results: the answers.
        failure: the first result that is an error.
        parts: how many parts of the trip have not come to their end.
    """

    __slots__ = ("expected", "failure", "parts", "results")

    def __init__(self) -> None:
        self.expected: list[bytes | None] = []
        self.results: list[PGresult] = []
        self.failure: PGresult | None = None
        self.parts = 0

    def may_be_committed(self, commit: int, *, lost: bool) -> bool:
        """Whether the statement with this number, which commits, may have been executed."""
        failure, done = self.failure, len(self.results)
        if failure is None or not failure.error_field(_CODE):
            return True
        # Past it, only the wait for the disk has failed.
        return done > commit or (lost and done == commit)


def _rows(found: PGresult) -> tuple[list[Row], int]:
    """The rows of an answer, and the server's time in the last of them."""
    value, last = found.get_value, found.ntuples - 1
    (now,) = _LONG.unpack(value(last, 3) or b"")
    if value(last, 0) is None:
        return [], now + _SINCE_1970
    rows = [
        Row(value(number, 0) or b"", value(number, 1), _LONG.unpack(value(number, 2) or b"")[0])
        for number in range(last + 1)
    ]
    return rows, now + _SINCE_1970


def _refused(failure: PGresult) -> NotDone | NoTable | Denied:
    """What an error of the server means; its transaction is rolled back."""
    code = failure.error_field(_CODE) or b""
    if code in _AGAIN:
        return NotDone(_AGAIN[code], slow=True)
    if code in _NOT_AGAIN:
        return NotDone(_NOT_AGAIN[code], again=False, slow=True)
    if code in _NO_TABLE:
        return NoTable()
    if code == _DENIED:
        return Denied()
    if code == _READ_ONLY:
        return NotDone("met a server that takes no writes", lost=True)
    return NotDone(f"was refused with SQLSTATE {code.decode()}", again=False)
