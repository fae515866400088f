"""Durable queues of work: webhooks to handle, and calls to make later.

Laws:

1. An added entry is taken again until it is done, given up, or settled by a person. A worker that
   dies loses its entry when its lease ends.
2. Each change of an entry raises its fencing number, and is written only if that number is still
   the one that was read. So a late worker changes nothing, and of several workers only one gets an
   entry. A renewal alone leaves the number, so that it never blocks its own worker's result. If
   the next worker could only put the entry in doubt, a late worker that knows the outcome reads the
   entry again and settles it.
3. An entry that is done is not taken again, unless a person replays it.
4. In a lane, an entry is taken only when no earlier one blocks it.
5. An entry whose worker dies each time is given up after the allowed number of attempts.
6. Every time of an entry is the store's time. `now` below comes from the store, never from a
   caller's clock, so that callers agree on which entries are due and which leases are over.

    waiting   take → claimed
    claimed   renew → claimed, finish → done, postpone → waiting, give up → dead, doubt → unknown,
              give back → waiting; lease over: take
    unknown   the outcome is known after all: finish → done, give up → dead
    any       replay → waiting, drop → dropped; a claimed one only when its lease is over
    paused    is the pause of other entries (see `pauses`)
    blocked, undoing, prepared    are parts of chains of entries (see `chains`)
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeGuard, TypeVar
from zlib import crc32

import attrs

from moorage.domain.resilience.retry import delay
from moorage.domain.resilience.vendor_hints import LONGEST_PAUSE
from moorage.domain.values.durations import is_count
from moorage.domain.values.text import storable_text
from moorage.domain.values.trace_context import LONGEST_STATE, TraceContext
from moorage.errors import ConnectorError, InvalidData, RateLimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moorage.domain.resilience.retry import RetryPolicy

_LONGEST_ERROR: Final = 500
_MAX_LENGTH: Final = 255
_LONGEST_NUMBER: Final = 18  # every database can store this number
_HIGHEST_NUMBER: Final = 32_767
_MONTH: Final = 31 * 86_400.0

_LARGEST_BATCH: Final = 50
_LONG_BATCH: Final = 0.1
"""The maximum seconds that the work of one batch should take."""


class EntryState(StrEnum):
    """The state of an inbox or outbox entry, from waiting to done or given up.

    The work of an `UNKNOWN` entry may have been done at a vendor and must not be repeated without a
    check. `DEAD` work failed for good. `DROPPED` work was cancelled by a person. A `PAUSED` entry
    keeps workers from taking the entries that it covers. A `BLOCKED` entry waits until the entries
    before it in its chain are done. `UNDOING` work failed for good, and the entries before it are
    still to be undone. A `PREPARED` entry undoes another entry if that becomes necessary; it is not
    needed yet.
    """

    WAITING = "waiting"
    CLAIMED = "claimed"
    DONE = "done"
    UNKNOWN = "unknown"
    DEAD = "dead"
    DROPPED = "dropped"
    PAUSED = "paused"
    BLOCKED = "blocked"
    UNDOING = "undoing"
    PREPARED = "prepared"


class ErrorConsequence(StrEnum):
    """The effect of an error on an entry: a retry, its end, or a question to an operator.

    `AGAIN`: try again later. `NEVER`: give up. `SPENT`: give up, because the vendor refused the
    idempotency key for good, so that a new attempt needs a new key. `DOUBT`: the work may have been
    done, so a person must look.
    """

    AGAIN = "again"
    NEVER = "never"
    SPENT = "spent"
    DOUBT = "doubt"


SETTLED: Final = frozenset(
    {EntryState.DONE, EntryState.DEAD, EntryState.DROPPED, EntryState.PREPARED}
)
"""The states in which an entry needs no worker and no person any more."""

OPEN: Final = frozenset(
    {
        EntryState.WAITING,
        EntryState.CLAIMED,
        EntryState.UNKNOWN,
        EntryState.BLOCKED,
        EntryState.UNDOING,
    }
)
"""The states in which an entry delays later entries of its lane."""

CHAINED: Final = frozenset({EntryState.BLOCKED, EntryState.UNDOING})
"""The states in which an entry waits for other entries of its chain."""

NEVER_DUE: Final = frozenset(
    {EntryState.PAUSED, EntryState.BLOCKED, EntryState.PREPARED, EntryState.DEAD}
)
"""The states in which an entry can be added without ever being due."""

LONGEST_PREDECESSORS: Final = 1_100
"""The maximum number of characters in the list of an entry's predecessors."""

STUCK: Final = frozenset({EntryState.UNKNOWN, EntryState.DEAD})
"""The states in which an entry waits for a person's decision."""


def _check_aware(_: object, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise InvalidData(
            f"{attribute.name} must be an aware datetime.",
            field=attribute.name,
            remedy="Add a time zone, such as datetime.now(UTC).",
        )


def is_short(value: object) -> TypeGuard[str]:
    """Return whether a value is a string short enough for a column of the entries' table."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_LENGTH


def _check_length(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not is_short(value):
        raise InvalidData(
            f"{attribute.name} must be a string of 1 to {_MAX_LENGTH} characters.",
            field=attribute.name,
            remedy=f"Pass a string of at most {_MAX_LENGTH} characters, such as an id of your"
            " application.",
        )


def _is_state(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= LONGEST_STATE):
        raise InvalidData(
            f"{attribute.name} must be a string of 1 to {LONGEST_STATE} characters.",
            field=attribute.name,
            remedy="Omit the state if it is longer.",
        )


def _check_predecessors(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (
        isinstance(value, str) and 0 < len(value) <= LONGEST_PREDECESSORS
    ):
        raise InvalidData(
            f"{attribute.name} must be a string of 1 to {LONGEST_PREDECESSORS} characters.",
            field=attribute.name,
            remedy="Pass the ids of fewer entries, separated by commas.",
        )


def _check_number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _HIGHEST_NUMBER:
        raise InvalidData(
            f"{attribute.name} must be an integer from -{_HIGHEST_NUMBER} to {_HIGHEST_NUMBER}.",
            field=attribute.name,
            remedy="Pass 0 for the usual priority, and a higher number for entries that"
            " workers take first.",
        )


@attrs.frozen(kw_only=True)
class Entry:
    """A stored unit of work: a webhook to handle or a call to make, in plain values.

    Attributes:
        id: the unique name of the entry in its store: at most 64 characters of ASCII.
        target: the account, contract or service that it is for.
        operation: the operation to call, or the kind of event that arrived.
        tenant, subject: the tenant, and the person whose data the entry holds.
        lane: entries with the same lane are processed one after another, in the order of their
            numbers.
        added_at: the time at which it was added.
        content: the packed payload, encrypted if there is a cipher; the `repr` does not show it.
        number: the entry's position among all entries; the store assigns it.
        state: the entry's progress.
        due: the time from which it may be taken: for the first time, again, or because its lease is
            over. None if only a person can make it due again.
        holds: whether it blocks later entries of its lane.
        priority: entries with a higher priority are taken first; within a lane the order of numbers
            stays.
        fence: the fencing number: it grows with each change, so that a late worker is refused.
        attempts: the number of times a worker has taken it since it was added or replayed.
        turn: the number of idempotency keys that it has used up at vendors.
        error: the error of the last attempt; empty if there was none.
        settled_at: the time at which it was done, given up, dropped or found unknown.
        traceparent, tracestate: the span in which it was added, as W3C Trace Context writes it.
        predecessors: the ids of the entries that must be done before it, separated by commas; None
            if it waits for none.
    """

    dead_holds: ClassVar[bool] = False
    """True if an entry that was given up delays later entries of its lane."""

    id: str = attrs.field(validator=_check_length)
    target: str = attrs.field(validator=_check_length)
    operation: str = attrs.field(validator=_check_length)
    tenant: str | None = attrs.field(default=None, validator=_check_length)
    subject: str | None = attrs.field(default=None, validator=_check_length)
    lane: str | None = attrs.field(default=None, validator=_check_length)
    added_at: datetime = attrs.field(validator=_check_aware)
    content: bytes = attrs.field(default=b"", repr=False)
    number: int = 0
    state: EntryState = attrs.field(default=EntryState.WAITING, converter=EntryState)
    due: datetime | None = attrs.field(default=None, validator=_check_aware)
    holds: bool = True
    priority: int = attrs.field(default=0, validator=_check_number)
    fence: int = 0
    attempts: int = 0
    turn: int = 0
    error: str = ""
    settled_at: datetime | None = attrs.field(default=None, validator=_check_aware)
    traceparent: str | None = attrs.field(default=None, validator=_check_length)
    tracestate: str | None = attrs.field(default=None, validator=_is_state)
    predecessors: str | None = attrs.field(default=None, validator=_check_predecessors)

    @property
    def trace(self) -> TraceContext | None:
        """The trace context in which the entry was added; None if there was none."""
        if self.traceparent is None:
            return None
        return TraceContext(self.traceparent, self.tracestate)


E = TypeVar("E", bound=Entry)
F = TypeVar("F", bound=Entry)


def _ids(value: Iterable[str] | None) -> frozenset[str] | None:
    if value is None:
        return None
    return frozenset((value,) if isinstance(value, str) else value)


def _states(value: Iterable[EntryState | str] | None) -> frozenset[EntryState] | None:
    names = _ids(value)
    return None if names is None else frozenset(map(EntryState, names))


@attrs.frozen(kw_only=True)
class EntryQuery:
    """A filter for entries: an entry matches if it meets all given conditions.

    Attributes:
        id, target, operation, tenant, subject, lane: the exact value.
        ids: any of these ids; by default all. If it is empty, no entry matches.
        states: any of these states; by default all. If it is empty, no entry matches.
        since, until: the time at which it was added, `until` excluded.
        settled_before: the time before which it was settled.
        waits_beyond: a time; matches entries that wait for another attempt and are due after it.
        limit: the number of entries on a page.
        after: the `next` of the page before.
    """

    id: str | None = None
    target: str | None = None
    operation: str | None = None
    tenant: str | None = None
    subject: str | None = None
    lane: str | None = None
    ids: frozenset[str] | None = attrs.field(default=None, converter=_ids)
    states: frozenset[EntryState] | None = attrs.field(default=None, converter=_states)
    since: datetime | None = attrs.field(default=None, validator=_check_aware)
    until: datetime | None = attrs.field(default=None, validator=_check_aware)
    settled_before: datetime | None = attrs.field(default=None, validator=_check_aware)
    waits_beyond: datetime | None = attrs.field(default=None, validator=_check_aware)
    limit: int = attrs.field(default=100, validator=is_count)
    after: str | None = None

    def matches(self, entry: Entry) -> bool:
        """Return whether an entry meets the query's conditions, regardless of its page."""
        return (
            all(
                value is None or value == getattr(entry, name)
                for name, value in (
                    ("id", self.id),
                    ("target", self.target),
                    ("operation", self.operation),
                    ("tenant", self.tenant),
                    ("subject", self.subject),
                    ("lane", self.lane),
                )
            )
            and (self.ids is None or entry.id in self.ids)
            and (self.states is None or entry.state in self.states)
            and (self.since is None or entry.added_at >= self.since)
            and (self.until is None or entry.added_at < self.until)
            and (
                self.settled_before is None
                or (entry.settled_at is not None and entry.settled_at < self.settled_before)
            )
            and (
                self.waits_beyond is None
                or (
                    entry.state is EntryState.WAITING
                    and entry.attempts > 0
                    and entry.due is not None
                    and entry.due > self.waits_beyond
                )
            )
        )

    @property
    def before(self) -> int | None:
        """The number that exceeds the numbers of all entries on the page; None for the first page.

        The number comes from `after`.

        Raises:
            InvalidData: `after` is not the `next` of a page.
        """
        if self.after is None:
            return None
        if self.after.isascii() and self.after.isdigit() and len(self.after) <= _LONGEST_NUMBER:
            return int(self.after)
        raise InvalidData(
            f"{self.after[:80]!r} is not the `next` of a page.",
            field="after",
            remedy="Pass the `next` value of a page unchanged.",
        )


@attrs.frozen(kw_only=True)
class EntryPage(Generic[E]):
    """A page of entries, newest first.

    `next` leads to the following page, and is None on the last.
    """

    items: tuple[E, ...]
    next: str | None = None

    @staticmethod
    def of(entries: Iterable[F], limit: int) -> EntryPage[F]:
        """Return a page with the first `limit` of these entries.

        If there are more than `limit`, there is another page.

        Args:
            entries: the first matching entries, newest first: at least `limit` + 1 if there are so
                many.
            limit: the number of entries on a page.
        """
        items = tuple(entries)[: limit + 1]
        next_page = str(items[limit - 1].number) if len(items) > limit else None
        return EntryPage(items=items[:limit], next=next_page)


# --- what becomes of an entry -----------------------------------------------------------


def with_trace(entry: E, trace: TraceContext | None) -> E:
    """Return the entry with the trace context in which it is added."""
    if trace is None:
        return entry
    return attrs.evolve(entry, traceparent=trace.traceparent, tracestate=trace.tracestate)


def arrive(entry: E, now: datetime) -> E:
    """Return a new entry as the store adds it: due now, or at the later time that the entry states.

    A pause is never due, and neither is an entry that waits for others.
    """
    if entry.state in NEVER_DUE:
        return attrs.evolve(entry, added_at=now)
    due_time = now if entry.due is None else max(now, entry.due)
    return attrs.evolve(entry, added_at=now, due=due_time)


def entries_to_take_together(due_entries: Sequence[E]) -> Sequence[E]:
    """Return the due entries that one worker may take together.

    An entry whose last worker died is taken alone: if it kills this worker too, no other entry
    loses an attempt.
    """
    for place, entry in enumerate(due_entries):
        if entry.state is EntryState.CLAIMED:
            return due_entries[: place or 1]
    return due_entries


def take_entry(entry: E, now: datetime, lease: float, most: int) -> E:
    """Return the entry that a worker took: claimed, or given up if it has no attempts left."""
    if entry.attempts >= most:
        return give_up(entry, now, entry.error or "Every worker that took the entry died.")
    return attrs.evolve(
        entry,
        state=EntryState.CLAIMED,
        due=now + timedelta(seconds=lease),
        fence=entry.fence + 1,
        attempts=entry.attempts + 1,
    )


def next_batch(size: int, count: int, seconds: float) -> int:
    """Return how many entries a worker should take next, from the duration of its last entries.

    The number grows only while the work is quick. So a slow call makes few others wait, and few
    results are lost if a process dies.

    Args:
        size: the number that was requested this time.
        count: the number that was taken.
        seconds: the time that their work took.
    """
    if seconds > _LONG_BATCH:
        return max(1, int(count * _LONG_BATCH / seconds))
    return min(2 * size, _LARGEST_BATCH) if count == size else size


def give_back(entry: E, now: datetime) -> E:
    """Return the entry after a worker has released it without processing it."""
    return attrs.evolve(
        entry,
        state=EntryState.WAITING,
        due=now,
        fence=entry.fence + 1,
        attempts=entry.attempts - 1,
    )


def extend_lease(entry: E, now: datetime, lease: float) -> E:
    """Return the entry with its lease extended."""
    return attrs.evolve(entry, due=now + timedelta(seconds=lease))


def finish_entry(entry: E, now: datetime) -> E:
    """Return the entry marked as done."""
    return _settled_entry(entry, EntryState.DONE, now, holds=False, error="")


def postpone_entry(entry: E, due: datetime, error: str) -> E:
    """Return the entry waiting for its next attempt, which is due at a given time."""
    return attrs.evolve(
        entry, state=EntryState.WAITING, due=due, fence=entry.fence + 1, error=error
    )


def mark_unknown(entry: E, now: datetime, error: str) -> E:
    """Return the entry marked with an unknown outcome, which a person must determine."""
    return _settled_entry(entry, EntryState.UNKNOWN, now, holds=True, error=error)


def give_up(entry: E, now: datetime, error: str, *, spent: bool = False) -> E:
    """Return the entry as given up, so that no further attempt follows.

    Pass `spent` if the vendor refused its idempotency key for good. If other entries of its chain
    came before it, these are undone next.
    """
    turn_number = entry.turn + spent
    state = EntryState.DEAD if entry.predecessors is None else EntryState.UNDOING
    dead_entry = _settled_entry(entry, state, now, holds=entry.dead_holds, error=error)
    return attrs.evolve(dead_entry, turn=turn_number)


def cancel_entry(entry: E, now: datetime) -> E:
    """Return the entry as cancelled by a person."""
    return _settled_entry(entry, EntryState.DROPPED, now, holds=False, error=entry.error)


def replay_entry(entry: E, now: datetime) -> E:
    """Return the entry ready to be processed again, with its attempts counted from zero.

    It waits again for the entries before it in its chain.
    """
    is_chained = entry.predecessors is not None
    return attrs.evolve(
        entry,
        state=EntryState.BLOCKED if is_chained else EntryState.WAITING,
        due=None if is_chained else now,
        holds=True,
        fence=entry.fence + 1,
        attempts=0,
        settled_at=None,
    )


def lease_left(entry: Entry, now: datetime) -> timedelta:
    """Return the time until the current worker's lease on an entry ends; zero without a worker."""
    if entry.state is not EntryState.CLAIMED or entry.due is None:
        return timedelta()
    return max(timedelta(), entry.due - now)


def longest_pause(policy: RetryPolicy, error: Exception) -> float:
    """Return the longest time in seconds that an entry can wait after this error.

    It is an hour, or the policy's `max_retry_after` if that is longer; otherwise a vendor that
    sends a timestamp instead of a number of seconds would delay the entry by decades. An error of
    moorage's own limits may wait for a month, because the longest quota lasts a month.
    """
    is_ours = isinstance(error, RateLimitExceeded) and not error.by_vendor
    return max(LONGEST_PAUSE, policy.max_retry_after, _MONTH if is_ours else 0.0)


def pause_entry(
    policy: RetryPolicy, attempts: int, requested_pause: float | None, draw: float
) -> timedelta:
    """Return the pause until the next attempt to process an entry.

    Args:
        policy: the retry policy.
        attempts: the number of attempts so far.
        requested_pause: the shortest wait in seconds that the last error named, if any.
        draw: a random number from 0 to 1, which spreads the policy's own delays.
    """
    backoff = delay(policy, attempts, previous=0.0, draw=draw)
    return timedelta(seconds=max(backoff, requested_pause or 0.0))


def usual_wait(policy: RetryPolicy) -> timedelta:
    """Return the longest normal wait between attempts; a longer wait needs a person's attention."""
    return timedelta(seconds=max(LONGEST_PAUSE, policy.max_delay))


def stored_error_text(error: Exception) -> str:
    """Return the text to store for an error: its class, and the message of moorage's own errors.

    The message of any other exception is left out, because it may contain a secret.
    """
    name = type(error).__name__
    if not isinstance(error, ConnectorError):
        return name
    return storable_text(f"{name}: {error}"[:_LONGEST_ERROR])


def lane_of(*parts: str | None, digest: Callable[[bytes], str]) -> str:
    """Return the name of a lane, whose entries keep their order; a long name becomes a digest."""
    name = "/".join(part or "" for part in parts)
    if len(name) <= _MAX_LENGTH and storable_text(name) == name:
        return name
    return digest(name.encode("utf-8", "surrogatepass"))


def lane_number(store: str, lane: str) -> int:
    """Return a 32-bit number for a lane (entries that keep their order), for database locks.

    If two lanes have the same number, an entry of one lane may wait for an entry of the other lane;
    nothing worse can happen.
    """
    return crc32(f"{store}/{lane}".encode("utf-8", "surrogatepass"))


def _settled_entry(entry: E, state: EntryState, now: datetime, *, holds: bool, error: str) -> E:
    return attrs.evolve(
        entry,
        state=state,
        due=None,
        holds=holds,
        fence=entry.fence + 1,
        error=error,
        settled_at=now,
    )
