"""The integration log in a table.

An entry is queued in memory and written soon after, by a thread that is there only while something
is to be written; whoever calls a vendor never waits for the log's database. What cannot be written
stays queued, within a bound, and goes with the next entry, the next question, or `close`.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import DataError

from moorage import (
    IntegrationLog,
    IntegrationStatus,
    InvalidData,
    LogPage,
    LogQuery,
    LogSummary,
    StorageUnavailable,
)
from moorage_flask.moments import micros, moment

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, RowMapping, Table

    from moorage_flask.database import Database

_BATCH: Final = 500
_EQUAL: Final = ("service", "operation", "tenant", "region", "id", "subject")


class _Unfit(Exception):
    """A database cannot hold this, whenever it is asked to."""


class _Queue:
    """What one process has still to write."""

    def __init__(self, most: int) -> None:
        self.entries: deque[IntegrationLog] = deque(maxlen=most)
        self.writing = Lock()


class SqlAlchemyLog:
    """An `IntegrationLogger` in a table of SQLAlchemy's.

    Args:
        database: where the table is.
        table: as `tables` declares it.
        max_waiting: how many entries may wait to be written; older ones are dropped beyond that.
    """

    durable: Final = False  # what is queued is lost in a crash

    def __init__(self, database: Database, table: Table, *, max_waiting: int = 10_000) -> None:
        self._database = database
        self._table = table
        self._most = max_waiting
        self.reach = database.reach
        self._queues: dict[int, _Queue] = {}

    def write(self, entry: IntegrationLog, /) -> None:
        """Keep an entry, soon."""
        queue = self._queue()
        queue.entries.append(entry)
        if not queue.writing.locked():
            with suppress(RuntimeError):  # no thread starts any more at exit: `close` writes it
                Thread(target=self._write_out, args=(queue,), daemon=True).start()

    def find(self, query: LogQuery, /) -> LogPage:
        """One page of the entries that match, newest first."""
        self._flush()
        columns = self._table.c
        wanted = (
            select(self._table)
            .where(*self._matching(query))
            .order_by(columns.number.desc())
            .limit(query.limit + 1)
        )
        if query.after is not None:
            wanted = wanted.where(columns.number < _position(query.after))
        with self._database.begin() as connection:
            rows = connection.execute(wanted).mappings().fetchall()
        shown = rows[: query.limit]
        more = len(rows) > query.limit
        return LogPage(
            items=tuple(_entry(row) for row in shown),
            next=str(shown[-1]["number"]) if more else None,
        )

    def summarise(self, query: LogQuery, /) -> LogSummary:
        """What all entries that match come to, counted and measured by the database."""
        self._flush()
        columns, matching = self._table.c, self._matching(query)
        counting = select(columns.status, func.count()).where(*matching).group_by(columns.status)
        with self._database.begin() as connection:
            by_status = {
                IntegrationStatus(status): int(count)
                for status, count in connection.execute(counting)
            }
            count = sum(by_status.values())
            percentiles = [
                self._percentile(connection, matching, count, percent) for percent in (50, 95, 99)
            ]
        return LogSummary(
            count=count,
            by_status=by_status,
            p50=percentiles[0],
            p95=percentiles[1],
            p99=percentiles[2],
        )

    def remove(self, query: LogQuery, /) -> int:
        """Remove all entries that match; how many those were."""
        self._flush()
        gone = delete(self._table).where(*self._matching(query))
        with self._database.begin() as connection:
            return connection.execute(gone).rowcount

    def close(self) -> None:
        """Write what is queued, if the database lets it."""
        with suppress(StorageUnavailable):
            self._flush()

    def _queue(self) -> _Queue:
        # What a parent has queued is the parent's to write.
        pid = os.getpid()
        return self._queues.get(pid) or self._queues.setdefault(pid, _Queue(self._most))

    def _write_out(self, queue: _Queue) -> None:
        """Write until nothing is left, unless somebody else does."""
        while queue.entries and queue.writing.acquire(blocking=False):
            try:
                self._drain(queue)
            except StorageUnavailable:
                return
            finally:
                queue.writing.release()

    def _flush(self) -> None:
        queue = self._queue()
        with queue.writing:
            self._drain(queue)

    def _drain(self, queue: _Queue) -> None:
        entries, size = queue.entries, _BATCH
        while entries:
            batch = [entries.popleft() for _ in range(min(size, len(entries)))]
            try:
                fits = self._written(batch)
            except StorageUnavailable:
                _put_back(entries, batch)
                raise
            if not fits and len(batch) > 1:
                # One that no database takes is left out, and holds up none of the others.
                _put_back(entries, batch)
                size = len(batch) // 2

    def _written(self, batch: list[IntegrationLog]) -> bool:
        """Write all of these or none, and tell whether they are such as can be written."""
        try:
            with self._database.begin() as connection:
                try:
                    connection.execute(insert(self._table), [_row(entry) for entry in batch])
                except (DataError, ValueError, OverflowError):
                    raise _Unfit from None
        except _Unfit:
            return False
        return True

    def _matching(self, query: LogQuery) -> list[ColumnElement[bool]]:
        columns = self._table.c
        found = [
            columns[name] == wanted
            for name in _EQUAL
            if (wanted := getattr(query, name)) is not None
        ]
        if query.status is not None:
            found.append(columns.status == query.status.value)
        if query.since is not None:
            found.append(columns.started_at >= micros(query.since))
        if query.until is not None:
            found.append(columns.started_at < micros(query.until))
        return found

    def _percentile(
        self,
        connection: Connection,
        matching: list[ColumnElement[bool]],
        count: int,
        percent: int,
    ) -> float | None:
        """The smallest duration that `percent` of all are no greater than."""
        duration = self._table.c.duration
        place = max(0, -(-count * percent // 100) - 1)
        wanted = select(duration).where(*matching).order_by(duration).offset(place).limit(1)
        return connection.execute(wanted).scalar()


def _put_back(entries: deque[IntegrationLog], batch: list[IntegrationLog]) -> None:
    room = (entries.maxlen or 0) - len(entries)
    entries.extendleft(reversed(batch[-room:] if room else []))


def _row(entry: IntegrationLog) -> dict[str, Any]:
    fields = attrs.asdict(entry, recurse=False)
    return {**fields, "status": entry.status.value, "started_at": micros(entry.started_at)}


def _entry(row: RowMapping) -> IntegrationLog:
    known = dict(row)
    del known["number"]
    known["status"] = IntegrationStatus(known["status"])
    known["started_at"] = moment(known["started_at"])
    return IntegrationLog(**known)


def _position(cursor: str) -> int:
    try:
        return int(cursor)
    except ValueError:
        raise InvalidData(
            "This leads to no page.",
            field="after",
            remedy="Give what a page of this log said in `next`, unchanged.",
        ) from None
