"""What is written down before it is done: the inbox and the outbox, each in a table.

An entry is added through the host's session where there is one to be used, so that it comes and
goes with the host's transaction. All else is done on connections of our own.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
from sqlalchemy import and_, delete, exists, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from moorage.domain.entries import Entry, EntryPage, EntryState
from moorage.domain.inbox import InboxEntry
from moorage.domain.outbox import OutboxEntry
from moorage_flask.moments import micros, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Executable, RowMapping, Table
    from sqlalchemy.orm import Session

    from moorage.domain.entries import EntryQuery
    from moorage_flask.database import Database

E = TypeVar("E", bound=Entry)

_TIMES: Final = ("added_at", "due", "settled_at")
_EQUAL: Final = ("id", "target", "operation", "tenant", "subject")


class _Entries(Generic[E]):
    """Entries of one kind in a table of SQLAlchemy's.

    Args:
        database: where the table is.
        table: as `tables` declares it.
        session: gives the session whose transaction `add` writes in; without it, `add` commits.
    """

    durable: Final = True
    _kind: type[E]

    def __init__(
        self,
        database: Database,
        table: Table,
        session: Callable[[], Session] | None = None,
    ) -> None:
        self._database = database
        self._table = table
        self._session = session
        self.reach = database.reach

    def add(self, entry: E, /) -> E:
        """Write an entry down, or give the one of this id."""
        row = _row(entry)
        columns = self._table.c
        stored = select(self._table).where(columns.id == entry.id)
        with self._adding() as link:
            link.execute(self._insertion(row))
            # A repeat may have been committed after this transaction began to look.
            found = link.execute(stored.with_for_update(read=True)).mappings().one()
        return self._entry(found)

    def due(self, now: datetime, limit: int, /) -> tuple[E, ...]:
        """Those that may be taken."""
        columns, earlier = self._table.c, self._table.alias("earlier")
        held = exists().where(
            and_(
                earlier.c.lane == columns.lane,
                earlier.c.number < columns.number,
                earlier.c.holds,
            )
        )
        wanted = (
            select(self._table)
            .where(columns.due <= micros(now), or_(columns.lane.is_(None), ~held))
            .order_by(columns.number)
            .limit(limit)
        )
        with self._database.begin() as connection:
            return tuple(self._entry(row) for row in connection.execute(wanted).mappings())

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
        session: gives the session whose transaction `add` writes in; without it, `add` commits.
    """

    _kind = InboxEntry


class SqlAlchemyOutbox(_Entries[OutboxEntry]):
    """An `OutboxStorage` in a table of SQLAlchemy's.

    Args:
        database: where the table is.
        table: as `tables` declares it.
        session: gives the session whose transaction `add` writes in; without it, `add` commits.
    """

    _kind = OutboxEntry


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in attrs.fields_dict(Entry) if name != "number"}
    for name in _TIMES:
        if row[name] is not None:
            row[name] = micros(row[name])
    return {**row, "state": entry.state.value}
