"""Kept answers in a store of shared state: what lies there, and the commands that change it.

Laws:

1. What was looked up before something changed is not kept after it: neither an answer that was
   under way while a write went through, nor an older one that arrives late.
2. What was forgotten leaves a trace, for longer than an answer may be under way and still be kept.
3. How long something has rested is measured by the store's clock, from its last write.

A state is `(seen, quiet, mark, content)`. No two marks of a state are the same; no content is the
trace of what was forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.domain.caching import CacheEntry
from moorage.domain.durations import SECOND
from moorage.domain.packing import pack_values, unpack_values
from moorage.domain.response import Response
from moorage.domain.state import steady
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.caching import Entries
    from moorage.domain.state import State, States

LONGEST_FLIGHT: Final = 120.0
"""Seconds for which an answer may be under way and still be kept."""

_TRACE: Final = round(LONGEST_FLIGHT * SECOND)
_FORMAT: Final = 1


class Looked(NamedTuple):
    """What lies under a key; `rested` is since when, in microseconds."""

    mark: int
    rested: int = 0
    content: bytes | None = None


class Look:
    """Ask what lies under a key."""

    __slots__ = ("keys",)
    once = False
    durable = False

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    def apply(self, states: States, now: int) -> tuple[States, Looked]:
        """Tell, and change nothing."""
        found = _present(states[0], now)
        if found is None:
            return states, Looked(0)
        rested, _, mark, content = found
        return states, Looked(mark, rested, content)


class Keep:
    """Put something under a key for `quiet` microseconds, if what is there has this mark."""

    __slots__ = ("content", "keys", "mark", "quiet")
    once = False
    durable = False

    def __init__(self, key: str, mark: int, content: bytes, quiet: int) -> None:
        self.keys = (key,)
        self.mark = mark
        self.content = content
        self.quiet = quiet

    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Whether it is there now."""
        found = _present(states[0], now)
        if self.mark != (0 if found is None else found[2]):
            # Sent twice because its reply was lost, it has done this itself.
            return states, found is not None and found[3] == self.content
        return ((now, self.quiet, _next_mark(states[0], now), self.content),), True


class Forget:
    """Leave no more than a trace of what lies under a key."""

    __slots__ = ("keys",)
    once = False
    durable = False

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Forget, whatever is there."""
        return ((now, _TRACE, _next_mark(states[0], now), None),), None


def _present(state: State | None, now: int) -> tuple[int, int, int, bytes | None] | None:
    """For how long a state has rested, and the rest of it; None once it is past its time."""
    if state is None:
        return None
    seen, quiet, mark, content = state
    rested = steady(seen, now)[0] - seen
    # A clock that stepped back far does not tell for how long: as good as nothing is there.
    return None if not 0 <= rested < quiet else (rested, quiet, mark, content)


def _next_mark(state: State | None, now: int) -> int:
    return now if state is None else max(now, state[2] + 1)


def pack_entries(entries: Entries) -> bytes:
    """Answers as bytes that show them. Seal these at once."""
    return pack_values((_FORMAT, *(attrs.astuple(entry, recurse=False) for entry in entries)))


def unpack_entries(packed: bytes) -> Entries:
    """The answers that `pack_entries` made bytes of.

    Raises:
        InvalidData: they are none.
    """
    try:
        kind, *entries = unpack_values(packed)
        if kind == _FORMAT:
            return tuple(map(_entry, entries))
    except (TypeError, ValueError):
        pass
    raise InvalidData(
        "What is kept here is no answer, or one of another release.",
        field="cache",
        remedy="Do nothing: it will be asked for again.",
    )


def _entry(fields: Any) -> CacheEntry:
    response, lifetime, age, varies_by, selected_by = fields
    entry = CacheEntry(response, float(lifetime), float(age), tuple(varies_by), bytes(selected_by))
    if not isinstance(response, Response) or not all(isinstance(n, str) for n in entry.varies_by):
        raise TypeError
    return entry
