"""Ids and random numbers from the operating system."""

from __future__ import annotations

import os
import time
from random import Random
from typing import Final

from moorage.adapters.concurrency.forking import in_child

_LOW_52_BITS: Final = (1 << 52) - 1


class SystemRandomness:
    """Random numbers between 0 and 1, and random tokens from the operating system.

    A token identifies the owner of a lease, so it never depends on a generator's state, which a
    fork or a snapshot of a virtual machine would duplicate. A fraction only spreads waits.
    """

    def __init__(self, generator: Random | None = None) -> None:
        self._generator = generator or Random()  # noqa: S311 - spreads waits, not for secrets
        self.fraction = self._generator.random
        in_child(self, SystemRandomness._reseed)

    def token(self) -> int:
        """Return a random number from 1 to 2^52."""
        return (int.from_bytes(os.urandom(7), "big") & _LOW_52_BITS) + 1

    def _reseed(self) -> None:
        self._generator.seed()


class UlidIds:
    """ULIDs: 48 bits of time in milliseconds, and 80 random bits.

    The time is encoded by python-ulid, once per millisecond. The random bits do not come from
    python-ulid: its newer versions count upwards within a millisecond, and a forked child would
    count from the same number as its parent.
    """

    __slots__ = ("__weakref__", "_encode", "_ready", "_time")

    def __init__(self) -> None:
        from ulid import ULID  # noqa: PLC0415 - costs milliseconds to load

        self._encode = ULID.from_bytes
        self._time = (-1, "")
        self._ready: list[str] = []
        in_child(self, UlidIds._forget)

    def new(self) -> str:
        """Return a new id; it sorts among the ids of the current millisecond."""
        return self.at(time.time_ns() // 1_000_000)

    def at(self, milliseconds: int) -> str:
        """Return an id for a past moment; it sorts among the ids of that moment.

        Args:
            milliseconds: the moment, in milliseconds since the Unix epoch; moments before it count
                as 0.
        """
        # Many ids share a millisecond; another thread replaces this pair only as a whole.
        known_milliseconds, letters = self._time
        if known_milliseconds != milliseconds:
            letters = str(self._encode(max(0, milliseconds).to_bytes(6, "big") + bytes(10)))[:10]
            self._time = (milliseconds, letters)
        try:
            return letters + self._ready.pop()
        except IndexError:
            # Each letter encodes five bits; the other three bits of its byte are dropped.
            ready_ids = os.urandom(16 * _IDS).translate(_LETTER_OF_BYTE).decode("ascii")
            self._ready += [ready_ids[start : start + 16] for start in range(16, 16 * _IDS, 16)]
            return letters + ready_ids[:16]

    def _forget(self) -> None:
        self._ready = []


_IDS: Final = 64
"""The number of ids whose random letters are read from the operating system together."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""The letters of Crockford's Base32."""

_LETTER_OF_BYTE: Final = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
