"""A dictionary of limited size, which drops an entry for each new one when it is full."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(OrderedDict[K, V]):
    """A dictionary of at most `most` entries, for values that can be computed again.

    Look entries up as in any dictionary, and add them with `add`. When the dictionary is full, a
    new entry replaces alternately the oldest entry and the newest entry. Replacing only the oldest
    would drop every entry just before its next use, where slightly more keys than fit are used in
    turn.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._newest = False

    def add(self, key: K, value: V) -> K | None:
        """Add or replace an entry; return the key that was dropped for it, if any."""
        dropped_key = None
        if len(self) >= self._most and key not in self:
            dropped_key, _ = self.popitem(last=self._newest)
            self._newest = not self._newest
        self[key] = value
        return dropped_key
