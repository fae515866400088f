"""The queue of an integration log: entries wait in memory until a thread has stored them.

`write` never waits and never raises. A thread stores the queue a moment later, or at once when it
is half full, and ends when it is empty. Queued entries are also stored before a query, by `close`,
when the process ends, and before SIGTERM ends it unless the host handles that signal. Without
threads, the host calls `flush`, such as at the end of each request.

The queue is bounded by the number of its entries, and by the bytes of their long strings. Only few
entries have long strings. An entry without such strings is queued without a lock.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.heartbeat import Heartbeat, threads_may_run
from moorage.adapters.concurrency.process_end import at_process_end
from moorage.adapters.concurrency.termination import before_termination
from moorage.adapters.notices import give_notice
from moorage.domain.observation.integration_log import size_of_texts
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import count, seconds
from moorage.domain.values.weak_table import WeakTable
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import timedelta

    from moorage.domain.observation.call_events import SuccessFacts
    from moorage.domain.observation.integration_log import IntegrationLog

_BATCH: Final = 2_000
"""The entries of a transaction at most; each transaction writes the pages of all indexes anew."""

MAX_BYTES: Final = 32 * 2**20
"""The bytes of long texts that wait in the queue of a log at most, by default."""

_BATCH_BYTES: Final = 4 * 2**20
"""The bytes of long texts of a batch, apart from its last entry."""

_CHECK_DATABASE: Final = "Check the database."

_LOCK_TIMEOUT: Final = 1.0
"""Seconds to wait for the lock of the queue, which is held for a moment."""


@attrs.frozen
class _LongEntry:
    """A log entry with long strings, and the size of these strings in bytes."""

    entry: IntegrationLog
    size: int


_Item: TypeAlias = "IntegrationLog | SuccessFacts | _LongEntry"
"""An entry without long texts, the facts of a success, which has none, or an entry with some."""

_queues: Final[WeakTable[LogQueue, None]] = WeakTable()


@with_careful_constructor
class LogQueue:
    """The log entries that wait to be stored, and the thread that stores them.

    Args:
        insert: stores several entries in one transaction, and the facts of successes if
            `write_success` is called. It raises InvalidData for entries that no database can store,
            and any other error if they cannot be stored now.
        where: the name of the log in warnings.
        max_waiting: the maximum number of queued entries; beyond it, the oldest are lost.
        max_bytes: the maximum number of bytes of queued requests, responses and error messages;
            beyond it, the oldest entries are lost.
        every: seconds, or a timedelta, between two writes of a queue that is less than half full.
        threads: whether a thread may write the queue; by default if threads are supported.
        release: called by that thread after a write, to close its own connections.

    Attributes:
        lost: the number of entries that this process could not store.
    """

    def __init__(
        self,
        insert: Callable[[Sequence[Any]], None],
        where: str,
        *,
        max_waiting: int = 10_000,
        max_bytes: int = MAX_BYTES,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
        release: Callable[[], object] | None = None,
    ) -> None:
        self._insert = insert
        self._release = release
        self._where = where
        self._max_waiting = count(max_waiting, "max_waiting")
        self._max_bytes = count(max_bytes, "max_bytes")
        self._half, self._half_bytes = self._max_waiting // 2, self._max_bytes // 2
        self._threads = threads_may_run() if threads is None else threads
        self._timer = Heartbeat(
            self._flush_soon, lambda: bool(self._waiting), seconds(every, "every"), "moorage-log"
        )
        before_termination(flush_all)
        self._is_closed = False
        self._restart_after_fork()
        in_child(self, LogQueue._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # The parent process stores the entries that it has queued.
        self._waiting: deque[_Item] = deque()
        self._bytes = 0
        self._hurries = False
        self._counting = Lock()
        self._writing = Lock()
        self._warnings_given: set[str] = set()
        self._listed = False
        self.lost = 0

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue a log entry; if the queue is full, drop and count the oldest entries."""
        size = size_of_texts(entry)
        self._append(_LongEntry(entry, size) if size else entry, size)

    def write_success(self, facts: SuccessFacts, /) -> int:
        """Queue a successful call's entry; return the number of entries lost so far."""
        waiting = self._waiting
        if self._listed and len(waiting) < self._half:
            waiting.append(facts)
            if self._threads:
                self._timer.wake()
        else:
            self._append(facts, 0)
        return self.lost

    def _append(self, item: _Item, size: int) -> None:
        """Queue an entry whose long strings have this total size in bytes."""
        waiting = self._waiting
        number = len(waiting)
        is_half_full = number >= self._half
        if size or number >= self._max_waiting:
            with self._locked():
                reason_of_loss = self._make_room(size)
                self._waiting.append(item)
                self._bytes += size
                is_half_full = is_half_full or self._bytes > self._half_bytes
            if reason_of_loss is not None:
                self._warn_of_loss(reason_of_loss)
        else:
            waiting.append(item)
        if self._is_closed:
            self._drop_waiting(
                "calls ended after the log was closed", "Close the log after the last call."
            )
            return
        if not self._listed:
            self._listed = True
            _queues[self] = None
            at_process_end(close_all)
        if self._threads:
            self._timer.wake()
            if is_half_full:
                self._store_soon()

    def _store_soon(self) -> None:
        """Start storing the queue now; but after a failure, new entries trigger no retry."""
        if not self._hurries:
            self._hurries = True
            self._timer.hurry()

    def flush(self) -> None:
        """Store the queued log entries; they stay queued if that fails.

        Raises:
            ConnectorError: the database is not available or not usable.
        """
        with self._writing:
            size = _BATCH
            while batch := self._take_oldest(size):
                try:
                    self._insert(
                        [item.entry if type(item) is _LongEntry else item for item in batch]
                    )
                except InvalidData:
                    if len(batch) == 1:
                        self._count_dropped(
                            batch, "an entry contains values that databases cannot store"
                        )
                    else:
                        # The invalid entry is found by bisection, and does not block the others.
                        self._put_back(batch)
                        size = len(batch) // 2
                except BaseException:
                    self._put_back(batch)
                    raise
                else:
                    with self._locked():
                        self._bytes -= _bytes_of(batch)
            self._hurries = False

    def after_request(self) -> None:
        """Store the queued entries, unless a background thread stores them."""
        if not self._threads and self._waiting:
            self._write()

    def close(self) -> None:
        """Store the queued log entries, if the database is available, and stop the thread.

        Entries that are written later are counted as lost, because nothing would store them.
        """
        self._timer.stop()
        with dropped_errors():
            self.flush()
        self._is_closed = True
        # A success takes the path of other entries then, which looks for the end of the log.
        self._listed = False
        self._drop_waiting("the log was closed while its database was unavailable")

    def _drop_waiting(self, reason: str, remedy: str = _CHECK_DATABASE) -> None:
        """Drop all queued log entries, and count them as lost."""
        with self._locked():
            unstored_items = list(self._waiting)
            self._waiting.clear()
        if unstored_items:
            self._count_dropped(unstored_items, reason, remedy)

    def _flush_soon(self) -> None:
        try:
            self._write()
        finally:
            if self._release is not None:
                self._release()

    def _write(self) -> None:
        try:
            self.flush()
        except ConfigurationError as error:
            self._warn_once("unusable", f"cannot be written: {error.message} {error.remedy}")
        except ConnectorError:
            return

    @contextmanager
    def _locked(self) -> Generator[None]:
        """A context manager that acquires the lock of the queue.

        A signal may have interrupted the thread that holds it, and end the process. In that case
        the block runs without the lock, since a wrong count of bytes no longer matters.
        """
        is_held = self._counting.acquire(timeout=_LOCK_TIMEOUT)
        try:
            yield
        finally:
            if is_held:
                self._counting.release()

    def _make_room(self, size: int) -> str | None:
        """Drop the oldest log entries until there is room for one of this size.

        Returns:
            The reason why entries were lost; None if no entry was lost.
        """
        reason = None
        while self._waiting:
            if len(self._waiting) >= self._max_waiting:
                reason = self._too_many()
            elif self._bytes + size > self._max_bytes:
                reason = (
                    f"more than {self._max_bytes} bytes of requests, responses and error"
                    " messages are waiting to be stored"
                )
            else:
                break
            self._bytes -= _bytes_of([self._waiting.popleft()])
            self.lost += 1
        return reason

    def _take_oldest(self, limit: int) -> list[_Item]:
        """Return the oldest log entries; they stay in the queue until they are stored."""
        batch: list[_Item] = []
        batch_bytes = 0
        waiting = self._waiting
        with self._locked():
            for _ in range(min(limit, len(waiting))):
                item = waiting.popleft()
                batch.append(item)
                if type(item) is _LongEntry:
                    batch_bytes += item.size
                    if batch_bytes >= _BATCH_BYTES:
                        break
        return batch

    def _put_back(self, batch: Sequence[_Item]) -> None:
        with self._locked():
            room = max(0, self._max_waiting - len(self._waiting))
            surplus = max(0, len(batch) - room)
            self._waiting.extendleft(reversed(batch[surplus:]))
        if surplus:
            self._count_dropped(batch[:surplus], self._too_many())

    def _too_many(self) -> str:
        return f"more than {self._max_waiting} entries are waiting to be stored"

    def _count_dropped(
        self, batch: Sequence[_Item], reason: str, remedy: str = _CHECK_DATABASE
    ) -> None:
        """Add to the count of dropped log entries."""
        with self._locked():
            self._bytes -= _bytes_of(batch)
            self.lost += len(batch)
        self._warn_of_loss(reason, remedy)

    def _warn_of_loss(self, reason: str, remedy: str = _CHECK_DATABASE) -> None:
        self._warn_once(
            "lost",
            f"loses entries, because {reason}. {remedy} The attribute `lost` of the log counts"
            " lost entries.",
        )

    def _warn_once(self, kind: str, problem: str) -> None:
        """Emit a warning once per kind of problem."""
        if kind in self._warnings_given:
            return
        self._warnings_given.add(kind)
        give_notice(f"The integration log in {self._where} {problem}", stacklevel=4)


def _bytes_of(batch: Sequence[_Item]) -> int:
    return sum(item.size for item in batch if type(item) is _LongEntry)


def flush_all() -> None:
    """Store the log entries of all queues whose databases are available."""
    for queue in _queues:
        with suppress(ConnectorError):
            queue.flush()


def close_all() -> None:
    """Close all queues of log entries, at the end of the process."""
    for queue in _queues:
        queue.close()
