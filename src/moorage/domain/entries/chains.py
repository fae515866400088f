"""Chains of entries: each waits for its predecessors, which are undone if it fails for good.

1. A blocked entry waits for all of its predecessors. When they are done, it can be taken.
2. If a predecessor failed for good, was cancelled, undone or is missing, the entry is given up, and
   its error names that predecessor. So no entry waits for an event that cannot happen.
3. A predecessor of unknown outcome keeps its successors waiting until a person decides, and nothing
   is undone meanwhile.
4. When an entry with an undo is done, the entry that would undo it is stored in the state
   `PREPARED`. So a prepared entry exists exactly if there is something to undo.
5. When an entry of a chain fails for good, its own prepared entry and those of all entries before
   it are released once all of these entries have ended. The newest comes first, and each waits for
   the one before it.
6. If a person cancelled an entry of the chain, nothing is undone automatically.
7. Each change is written under its entry's fencing number, and may be repeated. So a worker that
   dies leaves nothing undecided: the next one continues.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from moorage.domain.entries.queue import OPEN, Entry, EntryState, give_up
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

E = TypeVar("E", bound=Entry)

MOST_PREDECESSORS: Final = 16
LONGEST_ID: Final = 64

_GRACE: Final = timedelta(hours=1)
"""The time for which a missing predecessor may still be committed by its own transaction."""

_SUFFIX: Final = "-undo"
_UNUSED_STATES: Final = frozenset({EntryState.PREPARED, EntryState.DROPPED})
_FAILED_STATES: Final = frozenset({EntryState.DEAD, EntryState.UNDOING})

_REMEDY: Final = "Pass the values that `put` returned, or the ids of stored calls."


def undo_id(id: str) -> str:
    """Return the id of the entry that undoes another one."""
    return f"{id}{_SUFFIX}"


def joined_ids(ids: Iterable[str | Entry]) -> str | None:
    """Return the ids of predecessors as one string for the store; None without predecessors.

    Raises:
        InvalidData: there are too many ids, or one is not the id of an entry.
    """
    if isinstance(ids, (str, Entry)):
        raise InvalidData(
            "The calls to wait for are a single value, not a list.",
            field="after",
            remedy="Pass a list: after=[call].",
        )
    names: dict[str, None] = {}
    for item in ids:
        name = item.id if isinstance(item, Entry) else item
        if not _is_id(name):
            raise InvalidData(
                f"The value {item!r:.80} is not the id of a stored call.",
                field="after",
                remedy=_REMEDY,
            )
        names[name] = None
    if len(names) > MOST_PREDECESSORS:
        raise InvalidData(
            f"A call can wait for at most {MOST_PREDECESSORS} others.",
            field="after",
            remedy="Add intermediate calls that each wait for some of them.",
        )
    return ",".join(names) or None


def predecessor_ids(entry: Entry) -> tuple[str, ...]:
    """Return the ids of the entries that must be done before this one."""
    return () if entry.predecessors is None else tuple(entry.predecessors.split(","))


def unblocked_entry(entry: E, chain: Mapping[str, E], now: datetime) -> E | None:
    """Return a blocked entry, changed to due or given up; None while it must wait.

    Args:
        entry: the entry.
        chain: the entry's predecessors and the entries that undo them, by id.
        now: the store's time.
    """
    is_missing_yet = entry.added_at + _GRACE > now
    waits = False
    for id in predecessor_ids(entry):
        predecessor = chain.get(id)
        undo = chain.get(undo_id(id))
        if predecessor is None:
            if not is_missing_yet:
                return give_up(entry, now, f"The store does not have the earlier call {id}.")
            waits = True
        elif predecessor.state in _FAILED_STATES:
            return give_up(entry, now, f"The earlier call {id} failed permanently.")
        elif predecessor.state is EntryState.DROPPED:
            return give_up(entry, now, f"The earlier call {id} was cancelled.")
        elif predecessor.state is not EntryState.DONE:
            waits = True
        elif undo is not None and undo.state not in _UNUSED_STATES:
            return give_up(
                entry, now, f"The earlier call {id} is being undone, or cannot be undone."
            )
    return None if waits else released_entry(entry, now, None)


def released_entry(entry: E, now: datetime, predecessor: str | None) -> E:
    """Return an entry made due now, or blocked until the given predecessor is done."""
    is_free = predecessor is None
    return attrs.evolve(
        entry,
        state=EntryState.WAITING if is_free else EntryState.BLOCKED,
        due=now if is_free else None,
        fence=entry.fence + 1,
        holds=True,
        settled_at=None,
        predecessors=entry.predecessors if is_free else predecessor,
    )


def undo_changes(entry: E, chain: Mapping[str, E], now: datetime) -> tuple[E, ...] | None:
    """Return the changes that undo a failed entry's predecessors; None while any is unfinished.

    The last change is the change of the entry itself, and must be written after the others.

    Args:
        entry: the entry that failed for good.
        chain: all entries before it in its chain, and the entries that undo them, by id.
        now: the store's time.
    """
    members = [entry, *(member for id in ancestor_ids(entry, chain) if (member := chain.get(id)))]
    if any(member.state in OPEN for member in members[1:]):
        return None
    error = entry.error
    changes: list[E] = []
    if any(member.state is EntryState.DROPPED for member in members):
        error = f"{error} Nothing was undone, because a person cancelled an earlier call."[:500]
    else:
        undos = [undo for member in members if (undo := chain.get(undo_id(member.id)))]
        previous: str | None = None
        for undo in sorted(undos, key=lambda undo: undo.number, reverse=True):
            if undo.state is EntryState.PREPARED:
                changes.append(released_entry(undo, now, previous))
            if undo.state is not EntryState.DROPPED:
                previous = undo.id
    ended_entry = attrs.evolve(entry, state=EntryState.DEAD, fence=entry.fence + 1, error=error)
    return (*changes, ended_entry)


def ancestor_ids(entry: Entry, chain: Mapping[str, Entry]) -> tuple[str, ...]:
    """Return the ids of those direct and indirect predecessors of an entry that are loaded."""
    ids: dict[str, None] = {}
    pending_ids = [*predecessor_ids(entry)]
    while pending_ids:
        id = pending_ids.pop()
        if id not in ids and id != entry.id:
            ids[id] = None
            predecessor = chain.get(id)
            pending_ids += () if predecessor is None else predecessor_ids(predecessor)
    return tuple(ids)


def _is_id(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_ID
        and value.isascii()
        and value.isprintable()
        and "," not in value
    )
