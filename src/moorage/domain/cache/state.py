"""The stored form of cached responses, and the commands that read and change it.

Laws:

1. A response is stored only if nothing changed under its key since it was looked up. So a response
   that was under way during a write is not stored, and neither is an older response that arrives
   late.
2. A deleted entry leaves a tombstone, for longer than a response can be under way.
3. The age of an entry is measured by the store's clock, from its last write.

A state is `(seen, keep_for, version, content)`. Each write has a new version; empty content is a
tombstone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.domain.cache.rules import CacheEntry
from moorage.domain.http.response import Response
from moorage.domain.state.commands import reading_time, refusing_unreadable_states
from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.values.durations import SECOND
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.cache.rules import Entries
    from moorage.domain.state.commands import State, States

LONGEST_FLIGHT: Final = 120.0
"""Seconds; a response that took longer to arrive is not cached."""

_TRACE: Final = round(LONGEST_FLIGHT * SECOND)
_FORMAT: Final = 1


class CachedAnswers(NamedTuple):
    """The reply to `ReadCachedAnswers`: cached responses, their version and age (µs)."""

    version: int
    rested: int = 0
    content: bytes | None = None


class ReadCachedAnswers:
    """The command that reads the cached responses under a key."""

    __slots__ = ("keys",)
    once = False
    durable = False

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, CachedAnswers]:
        """Return the cached responses under a key, without changing them."""
        entry = _present_values(states[0], now)
        if entry is None:
            return states, CachedAnswers(0)
        age, _, version, content = entry
        return states, CachedAnswers(version, age, content)


class StoreCachedAnswers:
    """The command that stores cached responses if the stored version is unchanged."""

    __slots__ = ("content", "keep_for", "keys", "version")
    once = False
    durable = False

    def __init__(self, key: str, version: int, content: bytes, keep_for: int) -> None:
        self.keys = (key,)
        self.version = version
        self.content = content
        self.keep_for = keep_for

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Return the new state, and True if the responses were stored."""
        entry = _present_values(states[0], now)
        if self.version != (0 if entry is None else entry[2]):
            # The command was sent twice after a lost reply: this content is from its first
            # execution.
            return states, entry is not None and entry[3] == self.content
        return ((now, self.keep_for, _next_mark(states[0], now), self.content),), True


class RemoveCachedAnswers:
    """The command that removes cached responses, and makes older writes under their key fail."""

    __slots__ = ("keys",)
    once = False
    durable = False

    def __init__(self, key: str) -> None:
        self.keys = (key,)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, None]:
        """Return the marker that replaces cached responses, even if there were none."""
        return ((now, _TRACE, _next_mark(states[0], now), None),), None


def _present_values(state: State | None, now: int) -> tuple[int, int, int, bytes | None] | None:
    """Return the age and the fields of stored responses; None if they have expired."""
    if state is None:
        return None
    state_time, keep_for, version, content = state
    age = reading_time(state_time, now)[0] - state_time
    # If the clock was set back far, the age is unknown, so the state counts as expired.
    return None if not 0 <= age < keep_for else (age, keep_for, version, content)


def _next_mark(state: State | None, now: int) -> int:
    return now if state is None else max(now, state[2] + 1)


def pack_entries(entries: Entries) -> bytes:
    """Return cached responses as bytes, which the caller must encrypt before storing them."""
    return pack_values((_FORMAT, *(attrs.astuple(entry, recurse=False) for entry in entries)))


def unpack_entries(packed: bytes) -> Entries:
    """Return the cached responses in bytes that `pack_entries` returned.

    Raises:
        InvalidData: the bytes are not packed responses.
    """
    try:
        kind, *entries = unpack_values(packed)
        if kind == _FORMAT:
            return tuple(map(_entry, entries))
    except (TypeError, ValueError):
        pass
    raise InvalidData(
        "The cached response cannot be read. Another release of moorage may have written it.",
        field="cache",
        remedy="No action is needed: moorage calls the service again.",
    )


def _entry(fields: Any) -> CacheEntry:
    response, lifetime, age, varies_by, selected_by = fields
    entry = CacheEntry(response, float(lifetime), float(age), tuple(varies_by), bytes(selected_by))
    if not isinstance(response, Response) or not all(isinstance(n, str) for n in entry.varies_by):
        raise TypeError
    return entry
