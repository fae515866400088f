"""Writes the SQLite journal to disk; callers share such flushes.

A commit that waits for the disk would block all other writers. So a commit only writes to the
journal, and a durable command then flushes the journal: one flush serves all callers that have
committed before it began.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.databases._open_files import EXHAUSTED_REMEDY
from moorage.domain.resilience.health import is_exhaustion
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

flush_data: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)

_BROKEN_DISK: Final = "Check the disk that stores the file."


class Flush:
    """Flushes the journal of a SQLite file to disk.

    After a durable commit, a caller sets `is_pending`, takes a `ticket`, and calls this object
    with it.

    Attributes:
        is_pending: whether a durable commit was not flushed yet.
        ticket: returns increasing numbers, by which callers and flushes are ordered.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._journal: tuple[int, int] | None = None
        self.is_pending = False
        self.ticket = count(1).__next__
        self._flushed = 0
        self._restart_after_fork()
        in_child(self, Flush._restart_after_fork)

    def _restart_after_fork(self) -> None:
        self._lock = Lock()

    @property
    def is_needed(self) -> bool:
        """Return whether a durable commit may not be on disk yet."""
        # Read twice, because a flush that fails in between sets the value again.
        return self.is_pending or self._lock.locked() or self.is_pending

    def __call__(self, ticket: int) -> None:
        """Wait until every commit with an earlier ticket is on disk."""
        with self._lock:
            if self._flushed > ticket:
                return
            flush_ticket = self.ticket()
            self.is_pending = False
            try:
                self._flush()
            except OSError as error:
                self.is_pending = True
                raise StorageUnavailable(
                    f"{self._path} could not be written to the disk ({error.strerror}).",
                    remedy=EXHAUSTED_REMEDY if is_exhaustion(error) else _BROKEN_DISK,
                ) from None
            self._flushed = flush_ticket

    def _flush(self) -> None:
        try:
            journal = os.open(f"{Path(self._path).resolve()}-wal", os.O_RDWR)
        except FileNotFoundError:
            return  # SQLite copied it into the file before it deleted it
        try:
            flush_data(journal)
            status = os.fstat(journal)
        finally:
            os.close(journal)
        if (status.st_dev, status.st_ino) != self._journal:
            self._flush_directory()
            self._journal = status.st_dev, status.st_ino

    def _flush_directory(self) -> None:
        """Flush the folder to disk, so that it lists the journal even after a crash."""
        if hasattr(os, "O_DIRECTORY"):  # pragma: no branch - Windows does not need it
            directory = os.open(Path(self._path).resolve().parent, os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
