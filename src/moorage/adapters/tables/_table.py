"""The operations on a table of inbox or outbox entries, for every database, sync or async.

Each operation is one transaction, and receives a function that runs statements in it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import attrs

from moorage.adapters.tables._statements import COLUMNS, EQUAL, OUTCOME, TIMES
from moorage.domain.entries.queue import (
    NEVER_DUE,
    Entry,
    EntryPage,
    EntryState,
    arrive,
    entries_to_take_together,
    lane_number,
    take_entry,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.adapters.tables._statements import EntrySql
    from moorage.domain.entries.queue import EntryQuery

E = TypeVar("E", bound=Entry)

Value: TypeAlias = "int | float | str | bytes | None"
Statement: TypeAlias = "tuple[str, Sequence[Value]]"
"""A statement with the placeholder `?` for its values, and the values."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class StatementResult(NamedTuple):
    """The rows that an SQL statement returned, and the number of rows that it changed."""

    rows: Sequence[Sequence[Any]]
    changed: int


class Execute(Protocol):
    """Runs SQL statements in a transaction, and ends it unless it must stay open.

    Args:
        statements: the statements; without any, the transaction just ends.
        keep_open: whether the transaction stays open for the next call.
        writes: whether the statements write; if so, the data is on disk when the call returns.
    """

    async def __call__(
        self, *statements: Statement, keep_open: bool = False, writes: bool = False
    ) -> Sequence[StatementResult]: ...


Clock: TypeAlias = "Callable[[Execute], Awaitable[datetime]]"


class EntryTable(Generic[E]):
    """The operations on one table of inbox or outbox entries.

    Args:
        kind: `InboxEntry` or `OutboxEntry`.
        sql: the statements about the table.
        clock: returns the time for SQLite; a server has its own clock.
        skips_locked: returns whether the database can skip locked rows; by default every server
            can, and SQLite cannot.
    """

    def __init__(
        self,
        kind: type[E],
        sql: EntrySql,
        clock: Clock | None = None,
        *,
        skips_locked: Callable[[], bool] | None = None,
    ) -> None:
        self._kind = kind
        self._sql = sql
        self._clock = clock
        self._skips_locked = skips_locked or (lambda: sql.kind != "sqlite")

    @property
    def database(self) -> str:
        """The kind of the database: `sqlite`, `postgresql` or `mysql`."""
        return self._sql.kind

    async def now(self, execute: Execute) -> datetime:
        """Return the current time by the store's clock."""
        if self._clock is not None:
            return await self._clock(execute)
        (clock,) = await execute((self._sql.now, ()))
        return moment(clock.rows[0][0])

    async def add(self, execute: Execute, entry: E) -> E:
        """Store an entry; if its id exists already, return the stored entry."""
        if self._sql.kind == "postgresql":
            return await self._add_at_server_time(execute, entry)
        sql = self._sql
        if self._clock is not None:
            now = await self._clock(execute)
        else:
            statements = [*self._lane_locks(entry), (sql.visible_row_and_time, (entry.id,))]
            *_, seen_result = await execute(*statements, keep_open=True, writes=True)
            time, number, *columns = seen_result.rows[0]
            if number is not None:
                await execute()
                return self._entry([number, *columns])
            now = moment(time)
        row = _row(arrive(entry, now))
        values = [row[name] for name in COLUMNS]
        _, stored_result = await execute(
            (sql.insert, values), (sql.visible_row, (entry.id,)), writes=True
        )
        if not stored_result.rows:
            (stored_result,) = await execute((sql.committed_row, (entry.id,)))
        return self._entry(stored_result.rows[0])

    async def _add_at_server_time(self, execute: Execute, entry: E) -> E:
        """Store an entry with one statement that reads the server's clock."""
        sql = self._sql
        arrival = sql.insert_never_due if entry.state in NEVER_DUE else sql.insert_at_server_time
        row = _row(entry)
        values = [row[name] for name in COLUMNS if name != "added_at"]
        *_, insertion = await execute(*self._lane_locks(entry), (arrival, values), writes=True)
        if insertion.rows:
            number, added_at, due = insertion.rows[0][:3]
            return attrs.evolve(
                entry,
                number=number,
                added_at=moment(added_at),
                due=None if due is None else moment(due),
            )
        (stored_result,) = await execute((sql.visible_row, (entry.id,)))
        if not stored_result.rows:
            (stored_result,) = await execute((sql.committed_row, (entry.id,)))
        return self._entry(stored_result.rows[0])

    def _lane_locks(self, entry: E) -> list[Statement]:
        """Return statements that wait for transactions that add to the same ordered group."""
        if entry.lane is None:
            return []
        locks: list[Statement] = [
            *self._sql.lock_lane(lane_number(self._sql.base_name, entry.lane))
        ]
        return locks

    async def due(self, execute: Execute, limit: int) -> tuple[E, ...]:
        """Return the entries that workers may claim now."""
        values = (limit,) if self._clock is None else (micros(await self._clock(execute)), limit)
        (free_result,) = await execute((self._sql.claimable(limit, locked=False), values))
        return tuple(map(self._entry, free_result.rows))

    async def claim(self, execute: Execute, limit: int, lease: float, most: int) -> tuple[E, ...]:
        """Claim due entries for a worker, which may process them together."""
        is_locked = self._skips_locked()
        query = self._sql.claimable(limit, locked=is_locked)
        if self._clock is not None:
            now = await self._clock(execute)
            (candidates_result,) = await execute(
                (query, (micros(now), limit)), keep_open=True, writes=True
            )
        else:
            # The clock is read last, because a lease must not begin before the previous lease
            # ended.
            statements: tuple[Statement, ...] = ((query, (limit,)), (self._sql.now, ()))
            candidates_result, clock = await execute(*statements, keep_open=True, writes=True)
            now = moment(clock.rows[0][0])
        candidates = entries_to_take_together([self._entry(row) for row in candidates_result.rows])
        claimed_entries = [take_entry(entry, now, lease, most) for entry in candidates]
        if not claimed_entries:
            await execute()
            return ()
        write = self._write if is_locked else self.settle
        were_written = await write(execute, claimed_entries, [entry.fence for entry in candidates])
        return tuple(
            entry for entry, is_ours in zip(claimed_entries, were_written, strict=True) if is_ours
        )

    async def settle(
        self, execute: Execute, entries: Sequence[E], fences: Sequence[int]
    ) -> list[bool]:
        """Store the results of entries, unless another worker has claimed them meanwhile."""
        if self._sql.kind == "sqlite":
            return await self._write(execute, entries, fences)
        numbers = sorted(entry.number for entry in entries)
        (locked_result,) = await execute(
            (self._sql.lock_rows(len(numbers)), numbers), keep_open=True, writes=True
        )
        stored_fences: dict[int, int] = {number: fence for number, fence in locked_result.rows}  # noqa: C416 - as rows are
        are_ours = [
            stored_fences.get(entry.number) == fence
            for entry, fence in zip(entries, fences, strict=True)
        ]
        if any(are_ours):
            owned_entries = [
                (entry, fence)
                for entry, fence, is_ours in zip(entries, fences, are_ours, strict=True)
                if is_ours
            ]
            await self._write(
                execute,
                [entry for entry, _ in owned_entries],
                [fence for _, fence in owned_entries],
            )
        else:
            await execute()
        return are_ours

    async def swap(self, execute: Execute, entry: E, fence: int) -> bool:
        """Replace a stored entry, unless its fencing token has changed from `fence`."""
        row = _row(entry)
        values = [row[name] for name in COLUMNS if name != "id"]
        (result,) = await execute((self._sql.swap, [*values, entry.id, fence]), writes=True)
        return result.changed == 1

    async def find(self, execute: Execute, query: EntryQuery) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        locations, values = _conditions_of(query)
        if query.before is not None:
            locations.append("number < ?")
            values.append(query.before)
        (page_result,) = await execute((self._sql.find(locations), [*values, query.limit + 1]))
        return EntryPage.of(map(self._entry, page_result.rows), query.limit)

    async def remove(self, execute: Execute, query: EntryQuery) -> int:
        """Delete the matching entries, and return their number."""
        conditions, values = _conditions_of(query)
        (deletion,) = await execute((self._sql.remove(conditions), values), writes=True)
        return deletion.changed

    async def _write(
        self, execute: Execute, entries: Sequence[E], fences: Sequence[int]
    ) -> list[bool]:
        """Store the state of entries, and end the transaction."""
        rows = [_row(entry) for entry in entries]
        outcomes = [[row[name] for name in OUTCOME] for row in rows]
        changes = zip(entries, fences, outcomes, strict=True)
        if self._sql.kind == "sqlite":
            update = self._sql.outcome
            statements: list[Statement] = [
                (update, [*row, entry.number, fence]) for entry, fence, row in changes
            ]
            return [result.changed == 1 for result in await execute(*statements, writes=True)]
        values = [value for entry, fence, row in changes for value in (entry.number, fence, *row)]
        await execute((self._sql.outcomes(len(rows)), values), writes=True)
        return [True] * len(rows)

    def _entry(self, row: Sequence[Any]) -> E:
        fields: dict[str, Any] = dict(zip(("number", *COLUMNS), row, strict=True))
        fields["state"] = EntryState(fields["state"])
        fields["holds"] = bool(fields["holds"])
        fields["content"] = bytes(fields["content"])
        for name in TIMES:
            if fields[name] is not None:
                fields[name] = moment(fields[name])
        return self._kind(**fields)


def micros(time: datetime) -> int:
    """Convert a time to microseconds since the Unix epoch."""
    return (time - EPOCH) // _MICROSECOND


def moment(number: int) -> datetime:
    """Convert microseconds since the Unix epoch to a time."""
    return EPOCH + int(number) * _MICROSECOND


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in COLUMNS}
    for name in TIMES:
        if row[name] is not None:
            row[name] = micros(row[name])
    row["state"] = entry.state.value
    return row


def _conditions_of(query: EntryQuery) -> tuple[list[str], list[Value]]:
    """Return the conditions of a query as SQL, and the values for their placeholders."""
    conditions: list[tuple[str, Value]] = [
        (f"{name} = ?", value) for name in EQUAL if (value := getattr(query, name)) is not None
    ]
    for condition, time in (
        ("added_at >= ?", query.since),
        ("added_at < ?", query.until),
        ("settled_at < ?", query.settled_before),
        ("due > ?", query.waits_beyond),
    ):
        if time is not None:
            conditions.append((condition, micros(time)))
    locations = [condition for condition, _ in conditions]
    ids = sorted(query.ids or ())
    if query.ids is not None:
        locations.append(f"id IN ({', '.join('?' * len(ids))})" if ids else "1 = 0")
    if query.states is not None:
        # Literals instead of parameters, so that the database recognises the partial index.
        states = ", ".join(f"'{state.value}'" for state in sorted(query.states))
        locations.append(f"state IN ({states})" if states else "1 = 0")
    if query.waits_beyond is not None:
        locations += [f"state = '{EntryState.WAITING.value}'", "attempts > 0"]
    return locations, [*(value for _, value in conditions), *ids]
