"""The conformance kits of entry stores notice wrong ones."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from moorage.adapters.entries.memory import AsyncMemoryInbox, MemoryInbox, MemoryOutbox
from moorage.domain.entries.queue import EntryPage
from moorage.testing import inbox_conformance, name_of, outbox_conformance


class Forgetful(MemoryInbox):
    """Keeps no error."""

    def add(self, entry: Any, /) -> Any:
        """Add."""
        return super().add(attrs.evolve(entry, error=""))


class Overwriting(MemoryInbox):
    """Overwrites existing entries."""

    def add(self, entry: Any, /) -> Any:
        """Add."""
        stored_entry = self._entries.pop(entry.id, None)
        return super().add(entry if stored_entry is None else attrs.evolve(entry, number=0))


class Trusting(MemoryInbox):
    """Uses its callers' clocks."""

    def add(self, entry: Any, /) -> Any:
        """Add."""
        added_entry = super().add(entry)
        self._entries[entry.id] = attrs.evolve(entry, number=added_entry.number)
        return self._entries[entry.id]


class Hasty(MemoryInbox):
    """Forgets the due time of a postponed entry."""

    def add(self, entry: Any, /) -> Any:
        """Add."""
        return super().add(attrs.evolve(entry, due=None))


class Early(MemoryInbox):
    """Returns entries that are not due."""

    def due(self, limit: int, /) -> Any:
        """Offer."""
        entries = self._entries.values()
        return tuple(entry for entry in entries if entry.due is not None)[:limit]


class Disorderly(MemoryInbox):
    """Knows no lanes."""

    def due(self, limit: int, /) -> Any:
        """Offer."""
        entries = self._entries.values()
        return tuple(entry for entry in entries if entry.due and entry.due <= self.now())[:limit]


class Unfenced(MemoryInbox):
    """Lets everybody write."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Write."""
        stored_entry = self._entries.get(entry.id)
        return stored_entry is not None and super().swap(entry, stored_entry.fence)


class Rising(MemoryInbox):
    """A store that accepts only a higher fencing token."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Write."""
        return entry.fence > fence and super().swap(entry, fence)


class Endless(MemoryInbox):
    """Leads on after the last page."""

    def find(self, query: Any, /) -> Any:
        """Find."""
        page = super().find(query)
        return EntryPage(items=page.items, next=page.next or "0")


class Sparing(MemoryInbox):
    """Removes one page only."""

    def remove(self, query: Any, /) -> int:
        """Remove."""
        page = self.find(query)
        for entry in page.items:
            del self._entries[entry.id]
        return len(page.items)


class SingleThreadOutbox(MemoryOutbox):
    """A store for one thread only."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Write without checking for other writers."""
        self._entries[entry.id] = entry
        return True


@pytest.mark.parametrize(
    "broken, check",
    [
        (Forgetful, "entries_are_kept_as_they_are"),
        (Trusting, "times_are_the_stores"),
        (Hasty, "times_are_the_stores"),
        (Overwriting, "an_id_is_added_once"),
        (Overwriting, "many_threads_add_one"),
        (Overwriting, "a_walk_ends_as_in_memory"),
        (Early, "what_is_due_is_offered"),
        (Disorderly, "a_lane_goes_in_order"),
        (Disorderly, "a_walk_ends_as_in_memory"),
        (Unfenced, "a_fence_keeps_late_writers_out"),
        (Unfenced, "many_threads_write_over_one"),
        (Rising, "a_lease_is_renewed_under_its_fence"),
        (Unfenced, "a_lease_is_renewed_under_its_fence"),
        (Endless, "what_matches_is_found"),
        (Sparing, "what_matches_is_removed"),
    ],
)
def test_a_broken_store_is_found_out(broken: Any, check: str) -> None:
    """Each mistake is found by the check that is there for it."""
    (the_check,) = [item for item in inbox_conformance.CHECKS if name_of(item) == check]
    with pytest.raises(AssertionError):
        the_check(broken)


def test_calls_are_checked_alike() -> None:
    """The kit for calls finds mistakes as that for webhooks does."""
    names = [name_of(check) for check in inbox_conformance.CHECKS]
    assert names == [name_of(check) for check in outbox_conformance.CHECKS]
    late_check = outbox_conformance.CHECKS[names.index("many_threads_write_over_one")]
    with pytest.raises(AssertionError):
        late_check(SingleThreadOutbox)


def test_tasks_are_checked_too() -> None:
    """A store that is awaited is checked with tasks at once."""
    names = {name_of(check) for check in inbox_conformance.ASYNC_CHECKS}
    assert {"many_tasks_add_one", "many_tasks_write_over_one"} <= names
    for check in inbox_conformance.ASYNC_CHECKS:
        if name_of(check) == "many_tasks_write_over_one":
            with pytest.raises(AssertionError):
                asyncio.run(check(lambda: AsyncMemoryInbox(Unfenced())))
