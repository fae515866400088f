"""The stored form of states: a versioned byte format that preserves the types of all values.

    version    1 byte
    count      1 byte: how many integers the state begins with, at most 16
    numbers    8 bytes each, little endian
    rest       the other items, packed one after another

The numbers come first and in fixed places, because nothing else changes while a service is healthy.
Each state has one encoding only, so two states are equal if their bytes are. Reading is total:
bytes that are not a state always raise `StateUnavailable`.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.state.packing import pack_values, unpack_values
from moorage.errors import InvalidData, StateUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import State

VERSION: Final = 1

_MOST_INTEGERS: Final = 16
_INTEGER_FORMATS: Final = [struct.Struct(f"<BB{count}q") for count in range(_MOST_INTEGERS + 1)]
_SHORT: Final = 512
_REMEMBERED: Final = 1024
_LEAST_INTEGERS: Final = 6
"""The minimum number of integers with which states of limits, budgets and circuits begin."""


def pack(state: State, before: State | None = None, stored: bytes = b"") -> bytes:
    """Encode a state as bytes.

    Parts that equal those of `before`, which is stored as `stored`, are reused.

    Raises:
        InvalidData: the state contains a value of a type that cannot be stored.
    """
    count = 0
    for item in state:
        if type(item) is not int or count == _MOST_INTEGERS:
            break
        count += 1
    head = _INTEGER_FORMATS[count]
    try:
        packed_bytes = head.pack(VERSION, count, *state[:count])
    except struct.error:
        raise InvalidData(
            "A number in a state exceeds 64 bits.",
            field="state",
            remedy="Use smaller durations and costs.",
        ) from None
    field_values = state[count:]
    if not field_values:
        return packed_bytes
    if (
        before is not None
        and stored[:2] == packed_bytes[:2]
        and len(before) == len(state)
        and all(map(_is_identical, field_values, before[count:]))
    ):
        return packed_bytes + stored[head.size :]
    return packed_bytes + pack_values(field_values)


def _is_identical(new: object, old: object) -> bool:
    """Return whether two values are the same object, or tuples of the same objects."""
    return new is old or (
        isinstance(new, tuple)
        and isinstance(old, tuple)
        and len(new) == len(old)  # pyright: ignore[reportUnknownArgumentType]  # a tuple of anything
        and all(map(is_, new, old))  # pyright: ignore[reportUnknownArgumentType]  # a tuple of anything
    )


def unpack(stored: bytes, key: str | None = None) -> State:
    """Decode the state in bytes that were stored under `key`.

    Raises:
        StateUnavailable: the bytes are not a state, or have a version that is unknown to this
            release.
    """
    try:
        count = stored[1]
        read_state, head = READERS[stored[0]], _INTEGER_FORMATS[count]
        numbers: State = head.unpack_from(stored)[2:]
        return numbers + read_state(stored[head.size :], count)
    except (LookupError, ValueError, struct.error):
        raise _unreadable_error(stored, key) from None


_remembered = lru_cache(_REMEMBERED)(unpack_values)


def _remaining_values(packed: bytes, count: int) -> tuple[Any, ...]:
    # While a service works, its states differ only in their integers. The answer in a claim may be
    # a list, which two states must not share.
    if count >= _LEAST_INTEGERS and len(packed) <= _SHORT:
        return _remembered(packed)
    return unpack_values(packed)


READERS: Final[dict[int, Callable[[bytes, int], tuple[Any, ...]]]] = {VERSION: _remaining_values}
"""The functions that read a stored state, by the version that wrote it."""


def _unreadable_error(stored: bytes, key: str | None) -> StateUnavailable:
    """Return the error for bytes that are not a state, without showing their content."""
    if stored and VERSION < stored[0] <= _MOST_INTEGERS:
        return StateUnavailable(
            f"A stored state has version {stored[0]}, but this release of moorage only reads"
            f" versions up to {VERSION}.",
            key=key,
            remedy="Upgrade every process that shares the store.",
        )
    return StateUnavailable(
        f"The state under one of moorage's keys cannot be read ({len(stored)} bytes).",
        key=key,
        remedy="Use a table, prefix or database that only moorage writes to.",
    )
