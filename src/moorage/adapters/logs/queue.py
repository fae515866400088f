"""The queue of an integration log: entries wait in memory until a thread has written them.

`write` never waits and never raises. A thread writes the queue a moment later and ends when nothing
is left. What is queued is also written before a question is answered, by `close`, and when the
process ends. Where threads do not run, the host calls `flush`, such as at the end of each request.
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
    """Entries that are to be written, up to a bound, and the thread that writes them.

    Args:
        insert: writes several entries in one transaction. It raises InvalidData for entries that
            no database can hold, and anything else if they cannot be written now.
        where: the place of the log, for warnings.
        max_waiting: how many entries may wait; beyond that the oldest are lost.
        every: seconds, or a timedelta, after which what is queued is written.
        threads: whether a thread may write the queue; by default where threads run.
        release: called by that thread after it has written, to close what it alone has open.

    Attributes:
        lost: entries that this process could not keep.
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
        self._most = count(max_waiting, "max_waiting")
        self._threads = threads_may_run() if threads is None else threads
        self._timer = Heartbeat(
            self._flush_soon, lambda: bool(self._waiting), seconds(every, "every"), "moorage-log"
        )
        self._listed = False
        self._start_afresh()
        in_child(self, LogQueue._start_afresh)

    def _start_afresh(self) -> None:
        # What a parent has queued is the parent's to write.
        self._waiting: deque[IntegrationLog] = deque(maxlen=self._most)
        self._writing = Lock()
        self._told: set[str] = set()
        self.lost = 0

    def write(self, entry: IntegrationLog, /) -> None:
        """Queue an entry; if the queue is full, the oldest entry is lost and counted."""
        if len(self._waiting) >= self._most:
            self._lose(1, f"more than {self._most} entries wait to be written")
        self._waiting.append(entry)
        if not self._listed:
            self._listed = True
            _queues.add(self)
            _listen()
        if self._threads:
            self._timer.wake()

    def flush(self) -> None:
        """Write what is queued; what cannot be written now stays queued.

        Raises:
            ConnectorError: the database is away or not usable, as `insert` says.
        """
        with self._writing:
            size = _BATCH
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
                try:
                    self._insert(batch)
                except InvalidData:
                    if len(batch) == 1:
                        self._lose(1, "an entry has values that no database can hold")
                    else:
                        # The unfit one is found by halves, and holds up none of the others.
                        self._put_back(batch)
                        size = len(batch) // 2
                except BaseException:
                    self._put_back(batch)
                    raise

    def after_request(self) -> None:
        """Write what is queued, unless a thread does so; what cannot be written stays queued."""
        if not self._threads and self._waiting:
            self._write()

    def close(self) -> None:
        """Write what is queued, if the database takes it, and end the thread."""
        self._timer.stop()
        with suppress(Exception):
            self.flush()
        left = len(self._waiting)
        if left:
            self._waiting.clear()
            self._lose(left, "the log was closed while its database took no entries")

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
            self._tell("unusable", f"cannot be written: {error.message} {error.remedy}")
        except ConnectorError:
            return

    def _put_back(self, batch: Sequence[IntegrationLog]) -> None:
        room = self._most - len(self._waiting)
        if room < len(batch):
            self._lose(len(batch) - room, f"more than {self._most} entries wait to be written")
        self._waiting.extendleft(reversed(batch[len(batch) - room :] if room else ()))

    def _lose(self, number: int, reason: str) -> None:
        self.lost += number
        self._tell(
            "lost",
            f"loses entries: {reason}. Look at the database; `lost` of the log counts them.",
        )

    def _tell(self, kind: str, problem: str) -> None:
        """Warn, unless that was done before."""
        if kind in self._told:
            return
        self._told.add(kind)
        give_notice(f"the integration log in {self._where} {problem}", stacklevel=4)


@cache
def _listen() -> None:
    # A handler cannot be taken back, so there is one for all, and none before the first.
    atexit.register(close_all)


def close_all() -> None:
    """Close every queue that was written to, as at the end of the process."""
    for queue in list(_queues):
        queue.close()
