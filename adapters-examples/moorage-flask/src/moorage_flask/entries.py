"""What is written down before it is done: the inbox and the outbox, each in a table.

An entry is added through the host's session where there is one to be used, so that it comes and
goes with the host's transaction. All else is done on connections of our own.

Who adds to a lane keeps a row of the lane's to itself until its transaction ends, so that whoever
adds to it next gets a higher number and is committed later. SQLite lets one transaction write at a
time anyway.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
from sqlalchemy import and_, delete, exists, insert, or_, select, text, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from moorage.domain.entries import Entry, EntryPage, EntryState, arrive, lane_number
from moorage.domain.inbox import InboxEntry
from moorage.domain.outbox import OutboxEntry
from moorage_flask.moments import micros, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sqlalchemy import ColumnElement, Connection, Executable, RowMapping, Table
    from sqlalchemy.orm import Session

    from moorage.domain.entries import EntryQuery
    from moorage_flask.database import Database

E = TypeVar("E", bound=Entry)

_TIMES: Final = ("added_at", "due", "settled_at")
_EQUAL: Final = ("id", "target", "operation", "tenant", "subject")
_SLOTS: Final = 2**20
"""So many rows at most stay in the table of lanes where rows that come and go block each other."""

_POSTGRESQL_NOW: Final = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
_MYSQL_NOW: Final = text("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))")


class _Entries(Generic[E]):
    """Entries of one kind in a table of SQLAlchemy's.

    Args:
        database: where the table is.
        table: as `tables` declares it.
        lanes: the table of lanes.
        session: gives the session whose transaction `add` writes in; without it, `add` commits.
    """

    durable: Final = True
    _kind: type[E]

    def __init__(
        self,
        database: Database,
        table: Table,
        lanes: Table,
        session: Callable[[], Session] | None = None,
    ) -> None:
        self._database = database
        self._table = table
        self._lanes = lanes
        self._session = session
        self.reach = database.reach

    def now(self) -> datetime:
        """The database's time; a file's is that of its machine."""
        if self._database.kind == "sqlite":
            return datetime.now(UTC)
        with self._database.begin() as connection:
            return self._now(connection)

    def add(self, entry: E, /) -> E:
        """Write an entry down, or give the one of this id."""
        columns = self._table.c
        stored = select(self._table).where(columns.id == entry.id)
        with self._adding() as link:
            if entry.lane is not None:
                self._keep_order(link, entry.lane)
            link.execute(self._insertion(_row(arrive(entry, self._now(link)))))
            # A repeat may have been committed after this transaction began to look.
            found = link.execute(stored.with_for_update(read=True)).mappings().one()
        return self._entry(found)

    def due(self, limit: int, /) -> tuple[E, ...]:
        """Those that may be taken."""
        columns, earlier = self._table.c, self._table.alias("earlier")
        held = exists().where(
            and_(
                earlier.c.lane == columns.lane,
                earlier.c.number < columns.number,
                earlier.c.holds,
            )
        )
        free = select(self._table).where(or_(columns.lane.is_(None), ~held))
        wanted = free.order_by(columns.number).limit(limit)
        with self._database.begin() as connection:
            found = wanted.where(columns.due <= micros(self._now(connection)))
            return tuple(self._entry(row) for row in connection.execute(found).mappings())

    def swap(self, entry: E, fence: int, /) -> bool:
        """Write an entry over the one that has this fence."""
        columns = self._table.c
        written = (
            update(self._table)
            .where(columns.id == entry.id, columns.fence == fence)
            .values(_row(entry))
        )
        with self._database.begin() as connection:
            return connection.execute(written).rowcount == 1

    def find(self, query: EntryQuery, /) -> EntryPage[E]:
        """One page of those that match, newest first."""
        columns = self._table.c
        wanted = (
            select(self._table)
            .where(*self._matching(query))
            .order_by(columns.number.desc())
            .limit(query.limit + 1)
        )
        if query.before is not None:
            wanted = wanted.where(columns.number < query.before)
        with self._database.begin() as connection:
            found = [self._entry(row) for row in connection.execute(wanted).mappings()]
        return EntryPage.of(found, query.limit)

    def remove(self, query: EntryQuery, /) -> int:
        """Forget all that match; how many those were."""
        gone = delete(self._table).where(*self._matching(query))
        with self._database.begin() as connection:
            return connection.execute(gone).rowcount

    @contextmanager
    def _adding(self) -> Generator[Connection | Session]:
        if self._session is None:
            with self._database.begin() as connection:
                yield connection
            return
        try:
            yield self._session()
        except SQLAlchemyError as error:
            failure = self._database.unavailable(error)
        else:
            return
        raise failure

    def _now(self, link: Connection | Session) -> datetime:
        if self._database.kind == "sqlite":
            return datetime.now(UTC)
        asked = _POSTGRESQL_NOW if self._database.kind == "postgresql" else _MYSQL_NOW
        return moment(int(link.execute(asked).scalar_one()))

    def _keep_order(self, link: Connection | Session, lane: str) -> None:
        """Wait for whoever has added to this lane and not committed yet; others wait for us."""
        number, lanes = lane_number(self._table.name, lane), self._lanes
        if self._database.kind == "postgresql":
            # Gone at once, and yet nobody else may insert it before this transaction ends.
            link.execute(insert(lanes).values(number=number))
            link.execute(delete(lanes).where(lanes.c.number == number))
        elif self._database.kind != "sqlite":
            slot = {"number": number % _SLOTS}
            link.execute(mysql.insert(lanes).values(slot).on_duplicate_key_update(slot))

    def _insertion(self, row: dict[str, Any]) -> Executable:
        """Insert a row unless its id is taken."""
        ids = [self._table.c.id]
        if self._database.kind == "postgresql":
            return (
                postgresql.insert(self._table)
                .values(row)
                .on_conflict_do_nothing(index_elements=ids)
            )
        if self._database.kind == "sqlite":
            return sqlite.insert(self._table).values(row).on_conflict_do_nothing(index_elements=ids)
        return insert(self._table).values(row).prefix_with("IGNORE")

    def _matching(self, query: EntryQuery) -> list[ColumnElement[bool]]:
        columns = self._table.c
        found = [
            columns[name] == wanted
            for name in _EQUAL
            if (wanted := getattr(query, name)) is not None
        ]
        if query.states:
            found.append(columns.state.in_([state.value for state in query.states]))
        if query.since is not None:
            found.append(columns.added_at >= micros(query.since))
        if query.until is not None:
            found.append(columns.added_at < micros(query.until))
        if query.settled_before is not None:
            found.append(columns.settled_at < micros(query.settled_before))
        if query.waits_beyond is not None:
            found += [
                columns.state == EntryState.WAITING.value,
                columns.attempts > 0,
                columns.due > micros(query.waits_beyond),
            ]
        return found

    def _entry(self, row: RowMapping) -> E:
        known = dict(row)
        known["state"] = EntryState(known["state"])
        for name in _TIMES:
            if known[name] is not None:
                known[name] = moment(known[name])
        return self._kind(**known)


class SqlAlchemyInbox(_Entries[InboxEntry]):
    """An `InboxStorage` in a table of SQLAlchemy's.

    Args:
        database: where the table is.
        table: as `tables` declares it.
        lanes: the table of lanes.
        session: gives the session whose transaction `add` writes in; without it, `add` commits.
    """

    _kind = InboxEntry


class SqlAlchemyOutbox(_Entries[OutboxEntry]):
    """An `OutboxStorage` in a table of SQLAlchemy's.

    Args:
        database: where the table is.
        table: as `tables` declares it.
        lanes: the table of lanes.
        session: gives the session whose transaction `add` writes in; without it, `add` commits.
    """

    _kind = OutboxEntry


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in attrs.fields_dict(Entry) if name != "number"}
    for name in _TIMES:
        if row[name] is not None:
            row[name] = micros(row[name])
    return {**row, "state": entry.state.value}
