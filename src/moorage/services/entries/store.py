"""The operations of an inbox's or outbox's store, for use by moorage's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from moorage.domain.entries.queue import Entry
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from moorage.domain.entries.queue import EntryPage, EntryQuery
    from moorage.services.core.core import Flow

E = TypeVar("E", bound=Entry)


@attrs.frozen(kw_only=True)
class EntryStore(Generic[E]):
    """The operations of a store of entries, as async functions.

    A store that can claim several entries together also has `claim` and `settle`. `bounded` returns
    the same operations for a caller with a deadline, if the store accepts a time limit.
    """

    now: Callable[[], Flow[datetime]]
    add: Callable[[E], Flow[E]]
    due: Callable[[int], Flow[Sequence[E]]]
    swap: Callable[[E, int], Flow[bool]]
    find: Callable[[EntryQuery], Flow[EntryPage[E]]]
    remove: Callable[[EntryQuery], Flow[int]]
    claim: Callable[[int, float, int], Flow[Sequence[E]]] | None = None
    settle: Callable[[Sequence[E], Sequence[int]], Flow[Sequence[bool]]] | None = None
    bounded: Callable[[Callable[[], float]], EntryStore[E]] | None = None

    def within(self, left: Callable[[], float]) -> EntryStore[E]:
        """Return the same operations, limited to the seconds that `left` returns at each use."""
        return self if self.bounded is None else self.bounded(left)


def lost_command_error(error: Exception) -> StorageUnavailable:
    """Return the error for an exception of a store; the command may have been carried out."""
    return StorageUnavailable(
        f"The store for inbox and outbox entries raised {type(error).__name__}.",
        remedy="Check that the store is available. Its adapter may raise only StorageUnavailable.",
    )
