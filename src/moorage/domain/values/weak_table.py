"""A table of objects that does not keep them alive, for use by several threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

K = TypeVar("K")
V = TypeVar("V")


class WeakTable(Generic[K, V]):
    """A table of values by object; an entry lasts as long as its object exists.

    A thread may add or remove objects while another one iterates. A `WeakKeyDictionary` or
    `WeakSet` would raise a `RuntimeError` in the thread that iterates.
    """

    def __init__(self) -> None:
        self._values: dict[ref[K], V] = {}
        self._forget = _removal_callback(ref(self))

    def __setitem__(self, key: K, value: V) -> None:
        self._values[ref(key, self._forget)] = value

    def __contains__(self, key: K) -> bool:
        return ref(key) in self._values

    def __len__(self) -> int:
        return len(self.items())

    def discard(self, key: K) -> None:
        """Remove an object, if it is in the table."""
        self._values.pop(ref(key), None)

    def __iter__(self) -> Iterator[K]:
        """Return an iterator of the objects that are in the table now."""
        return iter([key for key, _ in self.items()])

    def items(self) -> list[tuple[K, V]]:
        """Return the objects that are in the table now, with their values."""
        # The copy is made in one step, during which no other thread runs.
        entries = self._values.copy().items()
        return [(key, value) for reference, value in entries if (key := reference()) is not None]


def _removal_callback(table: ref[WeakTable[K, V]]) -> Callable[[ref[K]], None]:
    """Return a function that removes an object from a table, without a reference to the table."""

    def forget(reference: ref[K]) -> None:
        owner = table()
        if owner is not None:
            owner._values.pop(reference, None)  # noqa: SLF001 - of this module

    return forget
