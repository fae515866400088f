"""The queue of an integration log: entries wait in memory until a thread has stored them.

`write` never waits and never raises. A thread stores the queue a moment later and ends when it is
empty. Queued entries are also stored before a query, by `close`, when the process ends, and before
SIGTERM ends it unless the host handles that signal. Without threads, the host calls `flush`, such
as at the end of each request.
"""

from __future__ import annotations

import atexit
from collections import deque
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.heartbeat import Heartbeat, threads_may_run
from moorage.adapters.concurrency.termination import before_termination
from moorage.adapters.notices import give_notice
from moorage.domain.secrets.frames import careful
from moorage.domain.values.durations import count, seconds
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from moorage.domain.observation.integration_log import IntegrationLog

_BATCH: Final = 500

_queues: Final[WeakSet[LogQueue]] = WeakSet()


@careful
class LogQueue:
    """Entries to be stored, up to a maximum, and the thread that stores them.

    Args:
        insert: stores several entries in one transaction. It raises InvalidData for entries that
            no database can store, and any other error if they cannot be stored now.
        where: the name of the log in warnings.
        max_waiting: the maximum number of queued entries; beyond it, the oldest are lost.
        every: seconds, or a timedelta, between two writes of the queue.
        threads: whether a thread may write the queue; by default if threads are supported.
        release: called by that thread after a write, to close its own connections.

    Attributes:
        lost: the number of entries that this process could not store.
    """

    def __init__(
        self,
        insert: Callable[[Sequence[IntegrationLog]], None],
        where: str,
        *,
        max_waiting: int = 10_000,
        every: float | timedelta = 0.5,
        threads: bool | None = None,
        release: Callable[[], object] | None = None,
    ) -> None:
        self._insert = insert
        self._release = release
        self._where = where
        self._max_waiting = count(max_waiting, "max_waiting")
        self._threads = threads_may_run() if threads is None else threads
        self._timer = Heartbeat(
            self._flush_soon, lambda: bool(self._waiting), seconds(every, "every"), "moorage-log"
        )
        self._listed = False
        before_termination(flush_all)
        self._start_afresh()
        in_child(self, LogQueue._start_afresh)

    def _start_afresh(self) -> None:
        # Entries that the parent has queued are stored by the parent.
        self._waiting: deque[IntegrationLog] = deque(maxlen=self._max_waiting)
        self._writing = Lock()
        self._warnings_given: set[str] = set()
        self.lost = 0

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue an entry; if the queue is full, the oldest entry is lost and counted."""
        if len(self._waiting) >= self._max_waiting:
            self._lose(1, f"more than {self._max_waiting} entries wait to be stored")
        self._waiting.append(entry)
        if not self._listed:
            self._listed = True
            _queues.add(self)
            _listen()
        if self._threads:
            self._timer.wake()

    def flush(self) -> None:
        """Store the queued entries; they remain queued after a failure.

        Raises:
            ConnectorError: the database is not available or not usable.
        """
        with self._writing:
            size = _BATCH
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
                try:
                    self._insert(batch)
                except InvalidData:
                    if len(batch) == 1:
                        self._lose(1, "an entry has values that no database can store")
                    else:
                        # The invalid entry is found by bisection, and does not block the others.
                        self._put_back(batch)
                        size = len(batch) // 2
                except BaseException:
                    self._put_back(batch)
                    raise

    def after_request(self) -> None:
        """Store the queued entries, unless a thread does so; they remain queued after a failure."""
        if not self._threads and self._waiting:
            self._write()

    def close(self) -> None:
        """Store the queued entries, if the database is available, and stop the thread."""
        self._timer.stop()
        with suppress(Exception):
            self.flush()
        unstored_count = len(self._waiting)
        if unstored_count:
            self._waiting.clear()
            self._lose(unstored_count, "the log was closed while its database was not available")

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

    def _put_back(self, batch: Sequence[IntegrationLog]) -> None:
        room = self._max_waiting - len(self._waiting)
        if room < len(batch):
            self._lose(
                len(batch) - room, f"more than {self._max_waiting} entries wait to be stored"
            )
        self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))

    def _lose(self, number: int, reason: str) -> None:
        self.lost += number
        self._warn_once(
            "lost",
            f"loses entries: {reason}. Check the database; `lost` of the log counts them.",
        )

    def _warn_once(self, kind: str, problem: str) -> None:
        """Emit a warning once for each kind of problem."""
        if kind in self._warnings_given:
            return
        self._warnings_given.add(kind)
        give_notice(f"The integration log in {self._where} {problem}", stacklevel=4)


@cache
def _listen() -> None:
    # A handler cannot be removed, so there is one for all, registered with the first.
    atexit.register(close_all)


def flush_all() -> None:
    """Store the entries of every queue in use, as far as the databases are available."""
    for queue in list(_queues):
        with suppress(ConnectorError):
            queue.flush()


def close_all() -> None:
    """Close every queue in use, as at the end of the process."""
    for queue in list(_queues):
        queue.close()
