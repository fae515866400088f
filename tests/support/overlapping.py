"""Checks for outbox stores that write inside overlapping host transactions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any, TypeAlias
from uuid import uuid4

import attrs
import pytest

from moorage.domain.entries.outbox import OutboxEntry
from moorage.domain.entries.queue import EntryQuery, finish_entry

Begin: TypeAlias = Callable[[], AbstractContextManager[Any]]
"""A transaction of its own, and a store whose `add` writes in it; an error rolls it back."""

_A_WHILE = 0.5
"""Seconds for which a transaction is watched that should wait; what is told does not hang on it."""


class RolledBackError(Exception):
    """Raised by a test to make the host's transaction roll back."""


def entry(name: str, lane: str | None) -> OutboxEntry:
    """Return an outbox entry that is due immediately."""
    time = datetime(2026, 3, 1, tzinfo=UTC)
    return OutboxEntry(id=name, target="shop", operation="call", lane=lane, added_at=time)


def fresh_entry(name: str, lane: str | None) -> OutboxEntry:
    """Return a due outbox entry for this subject, with an id that was never used.

    MariaDB keeps a removed row for a while, and locks the ids beside it when its id comes again.
    """
    return attrs.evolve(entry(uuid4().hex, lane), subject=name)


def add_in_thread(begin: Begin, *names: str, lane: str | None) -> Thread:
    """Start a thread that adds entries, each in its own transaction."""

    def run() -> None:
        for name in names:
            with begin() as store:
                store.add(fresh_entry(name, lane))

    thread = Thread(target=run)
    thread.start()
    return thread


def offered_entries(store: Any) -> list[str]:
    """Return, by a second connection, the subjects of the entries that a worker could claim now."""
    with ThreadPoolExecutor(1) as worker:
        return worker.submit(lambda: [entry.subject for entry in store.due(9)]).result()


def check_that_later_ones_wait(begin: Begin, store: Any) -> None:
    """Check that while an entry's transaction is open, later entries of its lane wait."""
    with begin() as first:
        first.add(fresh_entry("first", "INV-1"))
        second = add_in_thread(begin, "second", lane="INV-1")
        second.join(_A_WHILE)
        assert [] == offered_entries(store)
    second.join()
    assert ["first"] == offered_entries(store)
    (done_entry,) = store.find(EntryQuery(subject="first")).items
    store.swap(finish_entry(done_entry, store.now()), done_entry.fence)
    assert ["second"] == offered_entries(store)


def check_that_a_rollback_holds_up_nobody(begin: Begin, store: Any) -> None:
    """Check that after a rollback, the lane's next entry can be claimed."""
    threads: list[Thread] = []

    def give_up() -> None:
        with begin() as first:
            first.add(fresh_entry("first", "INV-1"))
            threads.append(add_in_thread(begin, "second", lane="INV-1"))
            threads[0].join(_A_WHILE)
            raise RolledBackError

    with pytest.raises(RolledBackError):
        give_up()
    threads[0].join()
    assert ["second"] == offered_entries(store)


def check_that_others_do_not_wait(begin: Begin, store: Any) -> None:
    """Check that an open transaction does not block entries of other lanes or of no lane."""
    with begin() as first:
        first.add(fresh_entry("first", "INV-1"))
        add_in_thread(begin, "other", lane="INV-2").join()
        add_in_thread(begin, "free", lane=None).join()
        assert ["other", "free"] == offered_entries(store)


def check_that_nobody_waits_for_a_repeat(begin: Begin, store: Any) -> None:
    """Check that adding an existing entry again in a transaction does not block other callers."""
    existing_entry = fresh_entry("known", None)
    store.add(existing_entry)
    with begin() as first:
        first.add(existing_entry)
        add_in_thread(begin, "other", lane="INV-2").join()
        add_in_thread(begin, "free", lane=None).join()
        assert ["known", "other", "free"] == offered_entries(store)


def check_that_many_come_in_order(begin: Begin, store: Any) -> None:
    """Check that, with many writers, a lane's entries become visible in the lane's order."""
    threads = [
        add_in_thread(begin, *(f"{thread}-{number}" for number in range(8)), lane="INV-1")
        for thread in range(6)
    ]
    seen_entries: list[int] = []
    end_event = Event()

    def observe() -> None:
        while not end_event.is_set():
            result = store.find(EntryQuery()).items
            seen_entries.extend(
                item.number for item in reversed(result) if item.number not in seen_entries
            )

    watcher = Thread(target=observe)
    watcher.start()
    for thread in threads:
        thread.join()
    end_event.set()
    watcher.join()
    assert 48 == len(store.find(EntryQuery()).items)
    assert sorted(seen_entries) == seen_entries


CHECKS = (
    check_that_later_ones_wait,
    check_that_a_rollback_holds_up_nobody,
    check_that_others_do_not_wait,
    check_that_nobody_waits_for_a_repeat,
    check_that_many_come_in_order,
)
