"""How a state lies in a store: one layout for all states, versioned, exact to the type.

    version    1 byte
    count      1 byte: how many integers the state begins with, at most 16
    numbers    8 bytes each, little endian
    rest       the other items, packed one after another

The numbers come first and in fixed places, because they are all that changes while a service is
calm. Each state has one encoding only, so two are equal if their bytes are. Reading is total: bytes
that are not a state raise `StateUnavailable`, whatever they are.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.packing import pack_values, unpack_values
from moorage.errors import InvalidData, StateUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state import State

VERSION: Final = 1

_MOST: Final = 16
_HEADS: Final = [struct.Struct(f"<BB{count}q") for count in range(_MOST + 1)]
_SHORT: Final = 512
_REMEMBERED: Final = 1024
_RULED: Final = 6
"""States of limits, budgets and circuits begin with as many numbers, or more."""


def pack(state: State, before: State | None = None, stored: bytes = b"") -> bytes:
    """The bytes of a state; what it has in common with `before`, stored as such, is not made anew.

    Raises:
        InvalidData: it holds a value that stores do not keep.
    """
    count = 0
    for item in state:
        if type(item) is not int or count == _MOST:
            break
        count += 1
    head = _HEADS[count]
    try:
        packed = head.pack(VERSION, count, *state[:count])
    except struct.error:
        raise InvalidData(
            "A number of a state is beyond 64 bits.",
            field="state",
            remedy="Use smaller durations and costs.",
        ) from None
    rest = state[count:]
    if not rest:
        return packed
    if (
        before is not None
        and stored[:2] == packed[:2]
        and len(before) == len(state)
        and all(map(_same, rest, before[count:]))
    ):
        return packed + stored[head.size :]
    return packed + pack_values(rest)


def _same(new: object, old: object) -> bool:
    """Whether these are one object, or tuples of the same: a record is often made anew."""
    return new is old or (
        isinstance(new, tuple)
        and isinstance(old, tuple)
        and len(new) == len(old)  # pyright: ignore[reportUnknownArgumentType]
        and all(map(is_, new, old))  # pyright: ignore[reportUnknownArgumentType]
    )


def unpack(stored: bytes, key: str | None = None) -> State:
    """The state that `pack` made bytes of; `key` is what it is stored under.

    Raises:
        StateUnavailable: they are no state, or one of a version that this release does not read.
    """
    try:
        count = stored[1]
        read, head = READERS[stored[0]], _HEADS[count]
        numbers: State = head.unpack_from(stored)[2:]
        return numbers + read(stored[head.size :], count)
    except (LookupError, ValueError, struct.error):
        raise _unreadable(stored, key) from None


_remembered = lru_cache(_REMEMBERED)(unpack_values)


def _rest(packed: bytes, count: int) -> tuple[Any, ...]:
    # While a service is calm its states differ in their numbers only. An answer that a claim
    # holds may be a list, which must not be shared.
    if count >= _RULED and len(packed) <= _SHORT:
        return _remembered(packed)
    return unpack_values(packed)


READERS: Final[dict[int, Callable[[bytes, int], tuple[Any, ...]]]] = {VERSION: _rest}
"""What reads the rest of a state, by the version that wrote it: this one and the one before."""


def _unreadable(stored: bytes, key: str | None) -> StateUnavailable:
    """Says what the bytes look like, and never what they hold."""
    if stored and VERSION < stored[0] <= _MOST:
        return StateUnavailable(
            f"a stored state is of version {stored[0]}, and this release reads up to {VERSION}.",
            key=key,
            remedy="Upgrade every process that shares the store.",
        )
    return StateUnavailable(
        f"what is stored under a key of moorage's is no state ({len(stored)} bytes).",
        key=key,
        remedy="Give moorage a table, prefix or database that nothing else writes to.",
    )
