"""Ids and randomness from the operating system."""

from __future__ import annotations

import os
import time
from random import Random
from typing import Final

from moorage.adapters.concurrency.forking import in_child

_LOW_52_BITS: Final = (1 << 52) - 1


class SystemRandomness:
    """Random fractions from a generator, and tokens from the operating system.

    A token identifies the owner of a lease, so it never depends on a generator's state, which a
    fork or a snapshot of a virtual machine would duplicate. A fraction only spreads waits.
    """

    def __init__(self, generator: Random | None = None) -> None:
        self._generator = generator or Random()  # noqa: S311 - spreads waits, not for secrets
        self.fraction = self._generator.random
        in_child(self, SystemRandomness._reseed)

    def token(self) -> int:
        """Draw a number from 1 to 2^52."""
        return (int.from_bytes(os.urandom(7), "big") & _LOW_52_BITS) + 1

    def _reseed(self) -> None:
        self._generator.seed()


class UlidIds:
    """ULIDs: 48 bits of milliseconds, then 80 bits from the operating system.

    Both parts are given to python-ulid, because the default generator of its newer versions counts
    upwards within a millisecond, in a forked child from the same number as in its parent.
    """

    __slots__ = ("_encode",)

    def __init__(self) -> None:
        from ulid import ULID  # noqa: PLC0415 - costs milliseconds to load

        self._encode = ULID.from_bytes

    def new(self) -> str:
        """Make an id of 26 letters and digits."""
        now = time.time_ns() // 1_000_000
        return str(self._encode(now.to_bytes(6, "big") + os.urandom(10)))
