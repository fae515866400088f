"""The integration log's queue: its limits, its thread, and entries that cannot be stored."""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import suppress
from functools import cache
from threading import Event
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import IntegrationLog, InvalidData, Service, StorageUnavailable
from moorage.adapters.logs.queue import LogQueue, close_all, flush_all
from moorage.domain.observation.call_identity import CallIdentity
from moorage.domain.service.plan import Plan
from moorage.testing.kits.integration_log_conformance import entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.observation.call_events import SuccessFacts

PATIENCE = 120.0


class Table:
    """A fake log table that can be unavailable or refuse an entry."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.batches: list[int] = []
        self.away = False
        self.unfit: str | None = None
        self.written = Event()

    def insert(self, entries: Sequence[IntegrationLog]) -> None:
        """Store these log entries in memory, in place of a table."""
        self.batches.append(len(entries))
        if self.away:
            raise StorageUnavailable("away", remedy="Start it.")
        if any(entry.id == self.unfit for entry in entries):
            raise InvalidData("unfit", field="entry")
        self.ids += [entry.id for entry in entries]
        self.written.set()


def ids(*numbers: int) -> list[str]:
    """Return the ids of the log entries with these numbers."""
    return [entry(number).id for number in numbers]


@cache
def success(number: int) -> SuccessFacts:
    """Return the compact record of a success that took this many nanoseconds."""
    plan = Plan(Service("erp"), None, None)
    return CallIdentity(0, 0), plan, number, None, None, None, None, None


def short_entry(number: int, **texts: str) -> IntegrationLog:
    """Return a log entry without long strings."""
    changes: dict[str, Any] = dict.fromkeys(("request", "response", "error_message"))
    return attrs.evolve(entry(number), **{**changes, **texts})


def _fill_long(queue: LogQueue, first: int, last: int) -> None:
    for number in range(first, last + 1):
        queue.write(short_entry(number, response=LONG))


def _fill(queue: LogQueue, number: int) -> None:
    for item in range(number):
        queue.write(entry(item))


def test_background_thread_writes_and_ends() -> None:
    """A background thread writes the log's queue, and ends when the queue is empty."""
    table = Table()
    queue = LogQueue(table.insert, "here", every=0.01)
    queue.write(entry(1))

    assert table.written.wait(PATIENCE)
    for thread in threading.enumerate():
        if thread.name == "moorage-log":
            thread.join(PATIENCE)
    assert ids(1) == table.ids


def test_entries_are_written_in_batches() -> None:
    """A long queue of log entries is written in few transactions."""
    table = Table()
    queue = LogQueue(table.insert, "here", threads=False)
    for number in range(4_200):
        queue.write(short_entry(number))
    queue.flush()

    assert [2_000, 2_000, 200] == table.batches
    assert ids(*range(4_200)) == table.ids


@pytest.mark.parametrize(
    "max_waiting, texts", [(8, {}), (100, {"response": "é" * 10_000})], ids=["entries", "bytes"]
)
def test_half_full_queue_is_written_at_once(max_waiting: int, texts: dict[str, str]) -> None:
    """When the log's queue is half full, it is written before the next interval."""
    table, most_bytes = Table(), 8 * LONG_SIZE
    queue = LogQueue(
        table.insert, "here", max_waiting=max_waiting, max_bytes=most_bytes, every=3_600.0
    )
    for number in range(5):
        queue.write(short_entry(number, **texts))

    assert table.written.wait(PATIENCE)
    queue.close()
    assert (ids(*range(5)), 0) == (table.ids, queue.lost)


class CountingTimer:
    """A timer that only counts how often its interval was ended early."""

    def __init__(self) -> None:
        self.hurried = 0

    def wake(self) -> None:
        """Start no thread."""

    def hurry(self) -> None:
        """Count the request to end the interval."""
        self.hurried += 1

    stop = wake


def test_unavailable_table_is_not_tried_with_every_entry() -> None:
    """A half-full log queue hurries its thread once, not again until its entries are stored."""
    table, timer = Table(), CountingTimer()
    queue = LogQueue(table.insert, "here", max_waiting=4, threads=True)
    queue._timer = timer  # type: ignore[assignment]  # noqa: SLF001 - it counts and starts no thread
    hurried: list[int] = []
    for table.away in (True, False):
        _fill(queue, 4)
        with suppress(StorageUnavailable):
            queue.flush()
        _fill(queue, 4)
        hurried.append(timer.hurried)
    queue.close()

    assert [1, 2] == hurried


def test_full_queue_drops_oldest_entries_with_a_warning() -> None:
    """If the log's queue is full, the oldest entries are lost and counted, with one warning."""
    table = Table()
    queue = LogQueue(table.insert, "here", max_waiting=3, threads=False)
    with pytest.warns(RuntimeWarning, match="here loses entries, because more than 3") as reports:
        _fill(queue, 5)
    queue.flush()

    assert (2, 1) == (queue.lost, len(reports))
    assert ids(2, 3, 4) == table.ids


LONG = "é" * 10_000
LONG_SIZE = sys.getsizeof(LONG)


def test_long_texts_beyond_the_bound_are_lost_counted_and_reported() -> None:
    """Queued log entries with large bodies never take more than `max_bytes` of memory."""
    table = Table()
    queue = LogQueue(table.insert, "here", max_bytes=3 * LONG_SIZE, threads=False)
    queue.write(short_entry(0))
    with pytest.warns(RuntimeWarning, match=f"more than {3 * LONG_SIZE} bytes") as reports:
        _fill_long(queue, 1, 5)
    queue.flush()
    assert (3, 1, ids(3, 4, 5)) == (queue.lost, len(reports), table.ids)

    for number in range(6, 9):  # stored entries free their bytes
        queue.write(short_entry(number, request=LONG))
    queue.flush()
    assert (3, ids(3, 4, 5, 6, 7, 8)) == (queue.lost, table.ids)


def waiting_ids(queue: LogQueue) -> list[str]:
    """Return the ids of the queued entries."""
    waiting: list[Any] = list(queue._waiting)  # noqa: SLF001 - what waits
    return [getattr(item, "entry", item).id for item in waiting]


def test_texts_of_a_batch_count_while_it_is_stored() -> None:
    """Log entries that are just being stored still count towards the queue's size limit."""

    def insert(_: Sequence[IntegrationLog]) -> None:
        queue.write(short_entry(9, request=LONG))
        raise StorageUnavailable("away", remedy="Start it.")

    queue = LogQueue(insert, "here", max_bytes=2 * LONG_SIZE, threads=False)
    queue.write(short_entry(1, request=LONG))
    with pytest.raises(StorageUnavailable):
        queue.flush()
    assert (0, ids(1, 9)) == (queue.lost, waiting_ids(queue))

    with pytest.warns(RuntimeWarning, match="are waiting to be stored"):
        queue.write(short_entry(2, request=LONG))
    assert (1, ids(9, 2)) == (queue.lost, waiting_ids(queue))


def test_log_entry_that_no_database_can_store_is_dropped() -> None:
    """A log entry that no database can store is dropped, and frees its bytes in the queue."""
    table = Table()
    table.unfit = entry(1).id
    queue = LogQueue(table.insert, "here", max_bytes=2 * LONG_SIZE, threads=False)
    queue.write(short_entry(1, request=LONG))
    with pytest.warns(RuntimeWarning, match="databases cannot store"):
        queue.flush()
    for number in (2, 3):
        queue.write(short_entry(number, request=LONG))
    queue.flush()
    assert (1, ids(2, 3)) == (queue.lost, table.ids)


def test_single_log_entry_larger_than_max_bytes_is_queued_alone() -> None:
    """A log entry larger than `max_bytes` is queued, but all older queued entries are dropped."""
    table = Table()
    queue = LogQueue(table.insert, "here", max_bytes=1, threads=False)
    queue.write(short_entry(1, request=LONG))
    with pytest.warns(RuntimeWarning, match="more than 1 bytes"):
        queue.write(short_entry(2, request=LONG))
    queue.flush()
    assert (1, ids(2)) == (queue.lost, table.ids)


def test_batches_of_long_texts_are_small() -> None:
    """A transaction of the log's queue writes at most a few megabytes of text."""
    table = Table()
    queue = LogQueue(table.insert, "here", threads=False)
    text = "x" * 2**20
    for number in range(10):
        queue.write(short_entry(number, request=text))
    queue.flush()
    assert [4, 4, 2] == table.batches


def test_log_entries_are_still_stored_if_thread_that_holds_queue_lock_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the thread that holds the queue's lock is interrupted, log entries are still stored."""
    monkeypatch.setattr("moorage.adapters.logs.queue._LOCK_TIMEOUT", 0.0)
    table = Table()
    queue = LogQueue(table.insert, "here", threads=False)
    queue.write(short_entry(1, request=LONG))
    with queue._counting:  # noqa: SLF001 - as the interrupted thread does
        queue.write(short_entry(2, request=LONG))
        queue.flush()
    assert (0, ids(1, 2)) == (queue.lost, table.ids)


def test_a_warning_that_is_an_error_breaks_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """If warnings are errors, `write` still returns, and a log record reports the lost entries."""
    queue = LogQueue(Table().insert, "here", max_waiting=1, threads=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        queue.write(entry(1))
        queue.write(entry(2))
    assert 1 == queue.lost
    assert ["loses entries" in message for message in caplog.messages] == [True]


def test_entries_wait_while_the_table_is_away() -> None:
    """Log entries queued while the table is unavailable are stored in order afterwards."""
    table = Table()
    table.away = True
    queue = LogQueue(table.insert, "here", threads=False)
    queue.write(entry(1))
    queue.write(entry(2))
    with pytest.raises(StorageUnavailable):
        queue.flush()
    table.away = False
    queue.write(entry(3))
    queue.flush()

    assert (ids(1, 2, 3), 0) == (table.ids, queue.lost)


@pytest.mark.parametrize("number", range(1, 10))
def test_refused_batch_waits_as_a_whole(number: int) -> None:
    """A batch of log entries that the table refuses goes back into the queue as a whole."""
    table = Table()
    table.away = True
    queue = LogQueue(table.insert, "here", max_waiting=9, threads=False)
    _fill(queue, number)
    with pytest.raises(StorageUnavailable):
        queue.flush()
    table.away = False
    queue.flush()

    assert (ids(*range(number)), 0) == (table.ids, queue.lost)


@pytest.mark.parametrize("newer_count, expected", [(1, (2, 3, 9)), (3, (9, 9, 9))])
def test_newer_entries_take_the_room_of_a_batch(
    newer_count: int, expected: tuple[int, ...]
) -> None:
    """Entries that arrive in a full queue while a batch fails replace the oldest of the batch."""

    def insert(_: Sequence[IntegrationLog]) -> None:
        for _number in range(newer_count):
            queue.write(entry(9))
        raise StorageUnavailable("away", remedy="Start it.")

    queue = LogQueue(insert, "here", max_waiting=3, threads=False)
    for number in (1, 2, 3):
        queue.write(entry(number))
    with pytest.warns(RuntimeWarning, match="more than 3"), pytest.raises(StorageUnavailable):
        queue.flush()

    assert ids(*expected) == waiting_ids(queue)
    assert newer_count == queue.lost


def test_unstorable_entry_delays_no_other() -> None:
    """A failing batch is halved until the entry that cannot be stored is found and reported."""
    table = Table()
    table.unfit = entry(4).id
    queue = LogQueue(table.insert, "here", threads=False)
    for number in range(9):
        queue.write(entry(number))
    with pytest.warns(RuntimeWarning, match="databases cannot store"):
        queue.flush()

    assert ids(0, 1, 2, 3, 5, 6, 7, 8) == table.ids
    assert 1 == queue.lost


def test_successes_are_queued_like_entries() -> None:
    """Compact records of successes are limited, dropped, counted and stored like log entries."""
    table: list[object] = []
    queue = LogQueue(table.extend, "here", max_waiting=4, threads=False)

    lost_records = [queue.write_success(success(number)) for number in range(3)]
    queue.write(entry(3))
    assert [0, 0, 0] == lost_records
    with pytest.warns(RuntimeWarning, match="more than 4"):
        assert 1 == queue.write_success(success(4))
    queue.flush()

    assert [success(1), success(2), entry(3), success(4)] == table


def test_success_wakes_the_thread() -> None:
    """A success that is queued just as the log's thread ends is still stored."""
    stored_event = Event()
    queue = LogQueue(lambda _: stored_event.set(), "here", every=0.01)
    for number in range(3):
        stored_event.clear()
        queue.write_success(success(number))
        assert stored_event.wait(PATIENCE)


def test_close_writes_what_is_queued() -> None:
    """Closing a log queue, or ending the process, writes all queued entries."""
    table = Table()
    first = LogQueue(table.insert, "here", every=3_600.0)
    second = LogQueue(table.insert, "there", threads=False)
    first.write(entry(1))
    second.write(entry(2))
    first.close()
    assert ids(1) == table.ids

    close_all()
    assert ids(1, 2) == table.ids


def test_termination_flushes_every_queue_it_can() -> None:
    """At exit each log queue is flushed, even if another queue's database is unreachable."""
    tables = [Table(), Table(), Table()]
    tables[1].away = True
    queues = [LogQueue(table.insert, "here", threads=False) for table in tables]
    for number, queue in enumerate(queues):
        queue.write(entry(number))
    flush_all()
    assert [ids(0), [], ids(2)] == [table.ids for table in tables]

    tables[1].away = False
    flush_all()
    assert ids(1) == tables[1].ids
    assert [0, 0, 0] == [queue.lost for queue in queues]


def test_close_reports_lost_entries() -> None:
    """Closing a log queue whose table is unreachable warns of the lost entries."""
    table = Table()
    table.away = True
    queue = LogQueue(table.insert, "here", threads=False)
    queue.write(entry(1))
    with pytest.warns(RuntimeWarning, match="closed while its database was unavailable"):
        queue.close()
    assert 1 == queue.lost


@pytest.mark.parametrize("threads", [True, False])
def test_entries_of_calls_that_end_after_close_are_counted_as_lost(threads: bool) -> None:
    """A call that ends after its log was closed warns once, and its entry is counted as lost."""
    table = Table()
    queue = LogQueue(table.insert, "here", threads=threads)
    queue.write(entry(1))
    queue.close()
    with pytest.warns(RuntimeWarning, match="calls ended after the log was closed"):
        queue.write(entry(2))
    queue.write_success(success(3))
    lost = queue.write_success(success(4))
    queue.close()
    assert (3, 3, ids(1)) == (lost, queue.lost, table.ids)
