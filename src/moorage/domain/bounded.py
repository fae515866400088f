"""A cache of a bounded number of entries that drops one of them for each that is added."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(OrderedDict[K, V]):
    """A dictionary for values that can be made again, of at most `most` entries.

    Look entries up as in any dictionary, which notes nothing down, and add them with `add`. When
    it is full, a new entry takes the place of the one that was added first and, every other time,
    of the one that was added last. So users who come and go push each other out, while users who
    come round after round, only a few more of them than there is room for, mostly stay: where the
    oldest always went, each of them would be dropped just before it comes back.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._newest = False

    def add(self, key: K, value: V) -> K | None:
        """Add or replace an entry; return the key that was dropped for it, if any."""
        dropped = None
        if len(self) >= self._most and key not in self:
            dropped, _ = self.popitem(last=self._newest)
            self._newest = not self._newest
        self[key] = value
        return dropped
