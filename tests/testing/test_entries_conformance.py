"""The conformance kits of entry stores (outbox and inbox) find faulty ones."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from moorage.adapters.entries.memory import AsyncMemoryInbox, MemoryInbox, MemoryOutbox
from moorage.domain.entries.queue import EntryPage
from moorage.testing import inbox_conformance, name_of, outbox_conformance


class LosesErrorStore(MemoryInbox):
    """A faulty store that loses the error of an entry."""

    def add(self, entry: Any, /) -> Any:
        """Add the entry, but lose its error."""
        return super().add(attrs.evolve(entry, error=""))


class OverwritingStore(MemoryInbox):
    """A faulty store that overwrites existing entries."""

    def add(self, entry: Any, /) -> Any:
        """Add the entry, replacing an existing one."""
        stored_entry = self._entries.pop(entry.id, None)
        return super().add(entry if stored_entry is None else attrs.evolve(entry, number=0))


class IgnoresIdCaseStore(MemoryInbox):
    """A faulty store that takes ids for the same if only the case of their letters differs."""

    def add(self, entry: Any, /) -> Any:
        """Add the entry, unless another case of its id exists."""
        names = {name.lower(): name for name in self._entries}
        name = names.get(entry.id.lower())
        return super().add(entry) if name is None else self._entries[name]


class CallersClockStore(MemoryInbox):
    """A faulty store that takes the time from its callers' clocks."""

    def add(self, entry: Any, /) -> Any:
        """Add the entry with the times of the caller's clock."""
        added_entry = super().add(entry)
        self._entries[entry.id] = attrs.evolve(entry, number=added_entry.number)
        return self._entries[entry.id]


class ForgetsDueTimeStore(MemoryInbox):
    """A faulty store that forgets the due time of a postponed entry."""

    def add(self, entry: Any, /) -> Any:
        """Add the entry without its due time."""
        return super().add(attrs.evolve(entry, due=None))


class ReturnsEarlyStore(MemoryInbox):
    """A faulty store that returns entries before they are due."""

    def due(self, limit: int, /) -> Any:
        """Return all entries that have a due time, even in the future."""
        entries = self._entries.values()
        return tuple(entry for entry in entries if entry.due is not None)[:limit]


class IgnoresLaneOrderStore(MemoryInbox):
    """A faulty store that ignores the order of lanes."""

    def due(self, limit: int, /) -> Any:
        """Return all due entries, in any order within their lanes."""
        entries = self._entries.values()
        return tuple(entry for entry in entries if entry.due and entry.due <= self.now())[:limit]


class UnfencedStore(MemoryInbox):
    """A faulty store that ignores fencing tokens, so any caller can write."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Replace the entry, whatever the fencing token."""
        stored_entry = self._entries.get(entry.id)
        return stored_entry is not None and super().swap(entry, stored_entry.fence)


class StrictTokenInbox(MemoryInbox):
    """A correct inbox store that requires a higher fencing token for each write."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Replace the entry if its fencing token is higher."""
        return entry.fence > fence and super().swap(entry, fence)


class ReportsPageAfterLastStore(MemoryInbox):
    """A faulty store that reports a next page after the last one."""

    def find(self, query: Any, /) -> Any:
        """Return a page that claims that another page follows."""
        page = super().find(query)
        return EntryPage(items=page.items, next=page.next or "0")


class RemovesOnePageStore(MemoryInbox):
    """A faulty store that removes only one page of entries."""

    def remove(self, query: Any, /) -> int:
        """Remove the first page of matching entries."""
        page = self.find(query)
        for entry in page.items:
            del self._entries[entry.id]
        return len(page.items)


class TwoStepWriteStore(MemoryInbox):
    """A faulty store that compares the fencing token and writes the entry in two steps."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Replace the entry, which another thread may have changed since the comparison."""
        if self._entries[entry.id].fence != fence:
            return False
        self._entries[entry.id] = entry
        return True


class OneThreadStore(MemoryInbox):
    """A faulty store that raises an error for all writers but one."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Raise an error in most threads."""
        if entry.error != "3":
            raise LookupError("another thread")
        return super().swap(entry, fence)


class SingleThreadOutboxStore(MemoryOutbox):
    """A faulty store that loses writes if several threads use it."""

    def swap(self, entry: Any, fence: int, /) -> bool:
        """Replace the entry without checking for other writers."""
        self._entries[entry.id] = entry
        return True


@pytest.mark.parametrize(
    "broken, check",
    [
        (LosesErrorStore, "entries_are_kept_as_they_are"),
        (CallersClockStore, "times_come_from_the_store"),
        (ForgetsDueTimeStore, "times_come_from_the_store"),
        (OverwritingStore, "an_id_is_added_once"),
        (IgnoresIdCaseStore, "similar_entries_are_separate"),
        (OverwritingStore, "random_operations_match_the_memory_store"),
        (ReturnsEarlyStore, "due_entries_come_in_order"),
        (IgnoresLaneOrderStore, "a_lane_goes_in_order"),
        (IgnoresLaneOrderStore, "random_operations_match_the_memory_store"),
        (UnfencedStore, "late_writers_change_nothing"),
        (UnfencedStore, "concurrent_threads_replace_an_entry_once"),
        (StrictTokenInbox, "a_lease_is_renewed_by_its_holder"),
        (UnfencedStore, "a_lease_is_renewed_by_its_holder"),
        (ReportsPageAfterLastStore, "queries_find_all_matching_entries"),
        (RemovesOnePageStore, "removal_deletes_matching_entries"),
    ],
)
def test_check_fails_for_a_faulty_entry_store(broken: Any, check: str) -> None:
    """An entry store with one fault fails the check that looks for this fault."""
    (the_check,) = [item for item in inbox_conformance.CHECKS if name_of(item) == check]
    with pytest.raises(AssertionError):
        the_check(broken)


@pytest.mark.untraced
@pytest.mark.parametrize(
    "broken, check, kind, sentence",
    [
        (
            TwoStepWriteStore,
            "concurrent_threads_replace_an_entry_once",
            AssertionError,
            "reported success, but",
        ),
        (OneThreadStore, "concurrent_threads_replace_an_entry_once", LookupError, "another thread"),
        (
            OverwritingStore,
            "concurrent_threads_add_an_entry_once",
            Exception,
            "A concurrent `add` returned|entry-",
        ),
    ],
)
def test_notices_entry_stores_that_fail_in_threads(
    broken: Any, check: str, kind: type[Exception], sentence: str
) -> None:
    """A store that is not atomic or raises errors in threads fails the checks with threads."""
    (the_check,) = [item for item in inbox_conformance.CHECKS if name_of(item) == check]
    with pytest.raises(kind, match=sentence):
        the_check(broken)


def test_outbox_kit_finds_the_same_faults() -> None:
    """The kit for outbox stores finds the faults that the kit for inbox stores finds."""
    names = [name_of(check) for check in inbox_conformance.CHECKS]
    assert names == [name_of(check) for check in outbox_conformance.CHECKS]
    late_check = outbox_conformance.CHECKS[names.index("concurrent_threads_replace_an_entry_once")]
    with pytest.raises(AssertionError):
        late_check(SingleThreadOutboxStore)


def test_asynchronous_stores_are_checked_with_tasks() -> None:
    """An asynchronous entry store is checked with several tasks at the same time."""
    names = {name_of(check) for check in inbox_conformance.ASYNC_CHECKS}
    assert {"concurrent_tasks_add_an_entry_once", "concurrent_tasks_replace_an_entry_once"} <= names
    for check in inbox_conformance.ASYNC_CHECKS:
        if name_of(check) == "concurrent_tasks_replace_an_entry_once":
            with pytest.raises(AssertionError):
                asyncio.run(check(lambda: AsyncMemoryInbox(UnfencedStore())))
