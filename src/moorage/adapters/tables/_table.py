"""The verbs of a store of entries over a table, written once for every database and both colours.

Each verb is one transaction, and is given a function that asks the database within it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from moorage.adapters.tables._statements import COLUMNS, EQUAL, OUTCOME, TIMES
from moorage.domain.entries.queue import (
    Entry,
    EntryPage,
    EntryState,
    arrive,
    lane_number,
    take,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.adapters.tables._statements import EntrySql
    from moorage.domain.entries.queue import EntryQuery

E = TypeVar("E", bound=Entry)

Value: TypeAlias = "int | float | str | bytes | None"
Asked: TypeAlias = "tuple[str, Sequence[Value]]"
"""A statement whose values are marked with `?`, and the values."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Told(NamedTuple):
    """The answer of a statement: the rows that it returned, and how many it changed."""

    rows: Sequence[Sequence[Any]]
    changed: int


class Ask(Protocol):
    """Runs statements in one transaction, which ends with them.

    Args:
        asked: the statements; without any the transaction just ends.
        goes_on: whether the transaction stays open for the next call.
        writes: whether anything is written; if so it is on the disk when this returns.
    """

    async def __call__(
        self, *asked: Asked, goes_on: bool = False, writes: bool = False
    ) -> Sequence[Told]: ...


Clock: TypeAlias = "Callable[[Ask], Awaitable[datetime]]"


class EntryTable(Generic[E]):
    """The verbs over one table.

    Args:
        kind: `InboxEntry` or `OutboxEntry`.
        sql: the statements about the table.
        clock: gives the time of a file; a server has a clock of its own.
        skips_locked: whether the database can leave out rows that others have locked; by default
            every server can, and no file.
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

    async def now(self, ask: Ask) -> datetime:
        """The time of the store."""
        if self._clock is not None:
            return await self._clock(ask)
        (clock,) = await ask((self._sql.now, ()))
        return moment(clock.rows[0][0])

    async def add(self, ask: Ask, entry: E) -> E:
        """Write an entry down, or give the one of this id."""
        sql = self._sql
        if self._clock is not None:
            now = await self._clock(ask)
        else:
            asked: list[Asked] = [(sql.seen, (entry.id,)), (sql.now, ())]
            if entry.lane is not None:
                asked = [*sql.keep_order(lane_number(sql.bare, entry.lane)), *asked]
            *_, seen, clock = await ask(*asked, goes_on=True, writes=True)
            if seen.rows:
                await ask()
                return self._entry(seen.rows[0])
            now = moment(clock.rows[0][0])
        row = _row(arrive(entry, now))
        _, stored = await ask(
            (sql.insert, [row[name] for name in COLUMNS]), (sql.seen, (entry.id,)), writes=True
        )
        if not stored.rows:
            (stored,) = await ask((sql.stored, (entry.id,)))
        return self._entry(stored.rows[0])

    async def due(self, ask: Ask, limit: int) -> tuple[E, ...]:
        """The entries that may be taken."""
        values = (limit,) if self._clock is None else (micros(await self._clock(ask)), limit)
        (free,) = await ask((self._sql.free(locked=False), values))
        return tuple(map(self._entry, free.rows))

    async def claim(self, ask: Ask, limit: int, lease: float, most: int) -> tuple[E, ...]:
        """Take entries that may be taken together."""
        locked = self._skips_locked()
        wanted = self._sql.free(locked=locked)
        if self._clock is not None:
            now = await self._clock(ask)
            (free,) = await ask((wanted, (micros(now), limit)), goes_on=True, writes=True)
        else:
            asked: tuple[Asked, ...] = ((self._sql.now, ()), (wanted, (limit,)))
            clock, free = await ask(*asked, goes_on=True, writes=True)
            now = moment(clock.rows[0][0])
        offered = together([self._entry(row) for row in free.rows])
        taken = [take(entry, now, lease, most) for entry in offered]
        if not taken:
            await ask()
            return ()
        write = self._write if locked else self.settle
        wrote = await write(ask, taken, [entry.fence for entry in offered])
        return tuple(entry for entry, is_ours in zip(taken, wrote, strict=True) if is_ours)

    async def settle(self, ask: Ask, entries: Sequence[E], fences: Sequence[int]) -> list[bool]:
        """Write what became of entries over those that have these fences."""
        if self._sql.kind == "sqlite":
            return await self._write(ask, entries, fences)
        numbers = sorted(entry.number for entry in entries)
        (held,) = await ask((self._sql.hold(len(numbers)), numbers), goes_on=True, writes=True)
        found: dict[int, int] = {number: fence for number, fence in held.rows}  # noqa: C416 - as rows are
        ours = [
            found.get(entry.number) == fence for entry, fence in zip(entries, fences, strict=True)
        ]
        if any(ours):
            kept = [(e, f) for e, f, is_ours in zip(entries, fences, ours, strict=True) if is_ours]
            await self._write(ask, [entry for entry, _ in kept], [fence for _, fence in kept])
        else:
            await ask()
        return ours

    async def swap(self, ask: Ask, entry: E, fence: int) -> bool:
        """Write an entry over the one that has this fence."""
        row = _row(entry)
        values = [row[name] for name in COLUMNS if name != "id"]
        (written,) = await ask((self._sql.swap, [*values, entry.id, fence]), writes=True)
        return written.changed == 1

    async def find(self, ask: Ask, query: EntryQuery) -> EntryPage[E]:
        """Return one page of the entries that match the query, newest first."""
        where, values = _matching(query)
        if query.before is not None:
            where.append("number < ?")
            values.append(query.before)
        (found,) = await ask((self._sql.find(where), [*values, query.limit + 1]))
        return EntryPage.of(map(self._entry, found.rows), query.limit)

    async def remove(self, ask: Ask, query: EntryQuery) -> int:
        """Remove all that match, and say how many those were."""
        where, values = _matching(query)
        (gone,) = await ask((self._sql.remove(where), values), writes=True)
        return gone.changed

    async def _write(self, ask: Ask, entries: Sequence[E], fences: Sequence[int]) -> list[bool]:
        """Write outcomes and end the transaction; in a server their rows are locked already."""
        rows = [_row(entry) for entry in entries]
        outcomes = [[row[name] for name in OUTCOME] for row in rows]
        changes = zip(entries, fences, outcomes, strict=True)
        if self._sql.kind == "sqlite":
            one = self._sql.outcome
            asked: list[Asked] = [(one, [*row, e.number, fence]) for e, fence, row in changes]
            return [written.changed == 1 for written in await ask(*asked, writes=True)]
        values = [value for e, fence, row in changes for value in (e.number, fence, *row)]
        await ask((self._sql.outcomes(len(rows)), values), writes=True)
        return [True] * len(rows)

    def _entry(self, row: Sequence[Any]) -> E:
        known: dict[str, Any] = dict(zip(("number", *COLUMNS), row, strict=True))
        known["state"] = EntryState(known["state"])
        known["holds"] = bool(known["holds"])
        known["content"] = bytes(known["content"])
        for name in TIMES:
            if known[name] is not None:
                known[name] = moment(known[name])
        return self._kind(**known)


def micros(time: datetime) -> int:
    """The microseconds from 1970 to a time."""
    return (time - _EPOCH) // _MICROSECOND


def moment(number: int) -> datetime:
    """The time so many microseconds after 1970."""
    return _EPOCH + int(number) * _MICROSECOND


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in COLUMNS}
    for name in TIMES:
        if row[name] is not None:
            row[name] = micros(row[name])
    row["state"] = entry.state.value
    return row


def _matching(query: EntryQuery) -> tuple[list[str], list[Value]]:
    """The conditions of a question, and their values."""
    wanted: list[tuple[str, Value]] = [
        (f"{name} = ?", value) for name in EQUAL if (value := getattr(query, name)) is not None
    ]
    for condition, time in (
        ("added_at >= ?", query.since),
        ("added_at < ?", query.until),
        ("settled_at < ?", query.settled_before),
        ("due > ?", query.waits_beyond),
    ):
        if time is not None:
            wanted.append((condition, micros(time)))
    where = [condition for condition, _ in wanted]
    if query.states:
        # No values, so that a database sees which of its partial indexes has them.
        states = ", ".join(f"'{state.value}'" for state in sorted(query.states))
        where.append(f"state IN ({states})")
    if query.waits_beyond is not None:
        where += [f"state = '{EntryState.WAITING.value}'", "attempts > 0"]
    return where, [value for _, value in wanted]
