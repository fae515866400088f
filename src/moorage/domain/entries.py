"""Work that is written down before it is done: webhooks that came, calls that are to be made.

Laws:

1. What was added is taken until it is done, is given up, or a person settles it. A worker that dies
   is forgotten when its lease ends.
2. Each change of an entry raises its fence, and is written only over the fence that was read. So a
   worker that comes late changes nothing, and of several that want an entry one has it. A renewal
   alone keeps the fence, so that it never stands in the way of its own worker's result.
3. What is done is not taken again, unless somebody asks for just that.
4. Of one lane the next is taken only when no earlier one holds it back.
5. Whoever has an entry dies with it as often as it may be tried: then it is given up.
6. Every time of an entry is the store's time. `now` below is what the store said, never a caller's
   clock, so that callers whose clocks differ agree on what is due and on whose lease is over.

    waiting   take → claimed
    claimed   renew → claimed, finish → done, postpone → waiting, give up → dead, doubt → unknown;
              lease over: take
    any       replay → waiting, drop → dropped; a claimed one only when its lease is over
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeGuard, TypeVar
from zlib import crc32

import attrs

from moorage.domain.durations import is_count
from moorage.domain.retry import delay
from moorage.domain.retry_after import LONGEST_PAUSE
from moorage.domain.text import storable
from moorage.errors import ConnectorError, InvalidData, RateLimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.retry import RetryPolicy

_LONGEST_ERROR: Final = 500
_LONGEST: Final = 255
_LONGEST_NUMBER: Final = 18  # which every database has room for
_MONTH: Final = 31 * 86_400.0


class EntryState(StrEnum):
    """How far the work of an entry has come.

    Unknown is what may have been done at a vendor and must not be repeated blindly; dead is what
    was tried in vain; dropped is what a person has called off.
    """

    WAITING = "waiting"
    CLAIMED = "claimed"
    DONE = "done"
    UNKNOWN = "unknown"
    DEAD = "dead"
    DROPPED = "dropped"


class Fate(StrEnum):
    """What is to become of an entry whose work raised an error.

    Spent is what was refused for good under its key, so that another try takes another.
    """

    AGAIN = "again"
    NEVER = "never"
    SPENT = "spent"
    DOUBT = "doubt"


SETTLED: Final = frozenset({EntryState.DONE, EntryState.DEAD, EntryState.DROPPED})
"""Where nothing happens any more by itself, and nobody needs to look a thing up."""

STUCK: Final = frozenset({EntryState.UNKNOWN, EntryState.DEAD})
"""Where nothing happens until a person decides."""


def _aware(_: object, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise InvalidData(
            f"{attribute.name} must be an aware datetime.",
            field=attribute.name,
            remedy="Give it a time zone, such as datetime.now(UTC).",
        )


def is_short(value: object) -> TypeGuard[str]:
    """Whether a value is a text that an entry has room for."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST


def _short(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not is_short(value):
        raise InvalidData(
            f"The {attribute.name} is no text of 1 to {_LONGEST} characters.",
            field=attribute.name,
            remedy=f"Give a text of at most {_LONGEST} characters, such as an id of yours.",
        )


@attrs.frozen(kw_only=True)
class Entry:
    """One piece of work, with what a store keeps of it: each attribute is a plain value.

    Attributes:
        id: names it, and no other entry of the store: at most 64 characters of ASCII.
        target: what it is about: an account, a contract or a service.
        operation: what is to be done there, or what has happened.
        tenant, subject: whose it is, and whose data it holds.
        lane: entries of one lane are taken one after another, in the order of their numbers.
        added_at: when it was written down.
        content: what it is made of, sealed if there is a cipher; not shown.
        number: where it stands among all; the store gives it.
        state: how far it has come.
        due: when it is to be taken: for the first time, again, or because its lease is over.
            None where only a person can have it taken.
        holds: whether it keeps later entries of its lane back.
        fence: how often it was changed.
        attempts: how often it was taken since it was added or replayed.
        turn: how many keys it has used up at vendors.
        error: what the last try ended with; empty if it was good or there was none.
        settled_at: when it came to its end.
    """

    dead_holds: ClassVar[bool] = False
    """Whether one that was given up keeps later ones of its lane back."""

    id: str = attrs.field(validator=_short)
    target: str = attrs.field(validator=_short)
    operation: str = attrs.field(validator=_short)
    tenant: str | None = attrs.field(default=None, validator=_short)
    subject: str | None = attrs.field(default=None, validator=_short)
    lane: str | None = attrs.field(default=None, validator=_short)
    added_at: datetime = attrs.field(validator=_aware)
    content: bytes = attrs.field(default=b"", repr=False)
    number: int = 0
    state: EntryState = attrs.field(default=EntryState.WAITING, converter=EntryState)
    due: datetime | None = attrs.field(default=None, validator=_aware)
    holds: bool = True
    fence: int = 0
    attempts: int = 0
    turn: int = 0
    error: str = ""
    settled_at: datetime | None = attrs.field(default=None, validator=_aware)


E = TypeVar("E", bound=Entry)
F = TypeVar("F", bound=Entry)


def _states(value: Iterable[EntryState | str]) -> frozenset[EntryState]:
    return frozenset(map(EntryState, value))


@attrs.frozen(kw_only=True)
class EntryQuery:
    """Which entries: all that match everything given.

    Attributes:
        id, target, operation, tenant, subject: as they are.
        states: any of these; none named is all.
        since, until: when it was added; `until` itself is not.
        settled_before: those that had come to their end by then.
        waits_beyond: those that were tried, wait for another try, and are not due at this time.
        limit: how many are on one page.
        after: a page's `next`.
    """

    id: str | None = None
    target: str | None = None
    operation: str | None = None
    tenant: str | None = None
    subject: str | None = None
    states: frozenset[EntryState] = attrs.field(default=frozenset(), converter=_states)
    since: datetime | None = attrs.field(default=None, validator=_aware)
    until: datetime | None = attrs.field(default=None, validator=_aware)
    settled_before: datetime | None = attrs.field(default=None, validator=_aware)
    waits_beyond: datetime | None = attrs.field(default=None, validator=_aware)
    limit: int = attrs.field(default=100, validator=is_count)
    after: str | None = None

    def matches(self, entry: Entry) -> bool:
        """Whether an entry is one of those asked for, whatever page it would be on."""
        return (
            all(
                wanted is None or wanted == getattr(entry, name)
                for name, wanted in (
                    ("id", self.id),
                    ("target", self.target),
                    ("operation", self.operation),
                    ("tenant", self.tenant),
                    ("subject", self.subject),
                )
            )
            and (not self.states or entry.state in self.states)
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
        """The number that `after` stands for: entries with lower ones are on the page.

        Raises:
            InvalidData: it is no page's `next`.
        """
        if self.after is None:
            return None
        if self.after.isascii() and self.after.isdigit() and len(self.after) <= _LONGEST_NUMBER:
            return int(self.after)
        raise InvalidData(
            f"{self.after[:80]!r} leads to no page.",
            field="after",
            remedy="Give what a page said in `next`, unchanged.",
        )


@attrs.frozen(kw_only=True)
class EntryPage(Generic[E]):
    """Entries, newest first; `next` leads to the following page, and is None on the last."""

    items: tuple[E, ...]
    next: str | None = None

    @staticmethod
    def of(found: Iterable[F], limit: int) -> EntryPage[F]:
        """The page that begins with these, of which there is one more than `limit` if it goes on.

        Args:
            found: the first of what matches, newest first; what is beyond the next is not needed.
            limit: how many are on one page.
        """
        items = tuple(found)[: limit + 1]
        following = str(items[limit - 1].number) if len(items) > limit else None
        return EntryPage(items=items[:limit], next=following)


# --- what becomes of an entry -----------------------------------------------------------


def arrive(entry: E, now: datetime) -> E:
    """An entry as a store writes it down: it came now, and is due now unless it is for later."""
    due = now if entry.due is None else max(now, entry.due)
    return attrs.evolve(entry, added_at=now, due=due)


def take(entry: E, now: datetime, lease: float, most: int) -> E:
    """An entry as whoever takes it now has it: claimed, or given up if it killed too many."""
    if entry.attempts >= most:
        return give_up(entry, now, entry.error or "Each worker that took it died.")
    return attrs.evolve(
        entry,
        state=EntryState.CLAIMED,
        due=now + timedelta(seconds=lease),
        fence=entry.fence + 1,
        attempts=entry.attempts + 1,
    )


def renew(entry: E, now: datetime, lease: float) -> E:
    """An entry that its worker keeps for another lease."""
    return attrs.evolve(entry, due=now + timedelta(seconds=lease))


def finish(entry: E, now: datetime) -> E:
    """An entry whose work is done."""
    return _settled(entry, EntryState.DONE, now, holds=False, error="")


def postpone(entry: E, due: datetime, error: str) -> E:
    """An entry that is to be tried again."""
    return attrs.evolve(
        entry, state=EntryState.WAITING, due=due, fence=entry.fence + 1, error=error
    )


def doubt(entry: E, now: datetime, error: str) -> E:
    """An entry whose work may have been done: a person looks it up."""
    return _settled(entry, EntryState.UNKNOWN, now, holds=True, error=error)


def give_up(entry: E, now: datetime, error: str, *, spent: bool = False) -> E:
    """An entry that is not tried any more; `spent` says that its key is answered for good."""
    turn = entry.turn + spent
    dead = _settled(entry, EntryState.DEAD, now, holds=entry.dead_holds, error=error)
    return attrs.evolve(dead, turn=turn)


def drop(entry: E, now: datetime) -> E:
    """An entry that a person has called off."""
    return _settled(entry, EntryState.DROPPED, now, holds=False, error=entry.error)


def replay(entry: E, now: datetime) -> E:
    """An entry that is to be done again, from the first try on."""
    return attrs.evolve(
        entry,
        state=EntryState.WAITING,
        due=now,
        holds=True,
        fence=entry.fence + 1,
        attempts=0,
        settled_at=None,
    )


def lease_left(entry: Entry, now: datetime) -> timedelta:
    """How long the worker that has an entry still has it; zero if nobody has it."""
    if entry.state is not EntryState.CLAIMED or entry.due is None:
        return timedelta()
    return max(timedelta(), entry.due - now)


def longest_pause(policy: RetryPolicy, error: Exception) -> float:
    """The seconds that an error can have an entry wait at most.

    It is an hour, or the policy's `max_retry_after` if that is longer: whoever says a moment where
    a span is meant would keep the entry for decades. A limit of our own is believed for a month,
    which is when the longest quota begins anew: an hour before that it would refuse again.
    """
    is_ours = isinstance(error, RateLimitExceeded) and not error.by_vendor
    return max(LONGEST_PAUSE, policy.max_retry_after, _MONTH if is_ours else 0.0)


def pause(policy: RetryPolicy, attempts: int, wish: float | None, draw: float) -> timedelta:
    """How long an entry waits for its next try.

    Args:
        policy: the pace of tries.
        attempts: how often it was tried.
        wish: seconds to stay away at least, if the last try's error said so.
        draw: a random number from 0 to 1, which spreads the policy's own delays.
    """
    own = delay(policy, attempts, previous=0.0, draw=draw)
    return timedelta(seconds=max(own, wish or 0.0))


def usual_wait(policy: RetryPolicy) -> timedelta:
    """The longest wait for another try that needs nobody's attention."""
    return timedelta(seconds=max(LONGEST_PAUSE, policy.max_delay))


def told(error: Exception) -> str:
    """What is kept of an error: its name, and its words if they are ours and so hold no secret."""
    name = type(error).__name__
    if not isinstance(error, ConnectorError):
        return name
    return storable(f"{name}: {error}"[:_LONGEST_ERROR])


def lane_of(*parts: str | None, digest: Callable[[bytes], str]) -> str:
    """The lane that these parts name; one that a store may not take by its digest."""
    name = "/".join(part or "" for part in parts)
    if len(name) <= _LONGEST and storable(name) == name:
        return name
    return digest(name.encode("utf-8", "surrogatepass"))


def lane_number(store: str, lane: str) -> int:
    """A number of 32 bits for a lane of a store, for databases that lock rows by their number.

    Two lanes may have one number: then one waits for the other in vain, and nothing else.
    """
    return crc32(f"{store}/{lane}".encode("utf-8", "surrogatepass"))


def _settled(entry: E, state: EntryState, now: datetime, *, holds: bool, error: str) -> E:
    return attrs.evolve(
        entry,
        state=state,
        due=None,
        holds=holds,
        fence=entry.fence + 1,
        error=error,
        settled_at=now,
    )
