"""Having what was committed on the disk, together with whoever else wants that.

A commit that waited for the disk would keep everybody from writing meanwhile. So commits only
reach the journal, and who needs one on the disk has the journal flushed afterwards: one flush
serves all who committed before it began.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

flush_data: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


class Flush:
    """Flushes the journal of one file.

    Whoever commits what must be on the disk sets `wanted`, takes a `ticket`, and calls with it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: tuple[int, int] | None = None
        self.wanted = False
        self.ticket = count(1).__next__
        self._flushed = 0
        self._start_afresh()
        in_child(self, Flush._start_afresh)

    def _start_afresh(self) -> None:
        self._lock = Lock()

    @property
    def needed(self) -> bool:
        """Return whether data that was to be flushed is not on disk yet."""
        # Looked at twice: a flush that fails between wants all of it again.
        return self.wanted or self._lock.locked() or self.wanted

    def __call__(self, ticket: int) -> None:
        """Return when everything that was wanted before the ticket was taken is on the disk."""
        with self._lock:
            if self._flushed > ticket:
                return
            begun = self.ticket()
            self.wanted = False
            try:
                self._flush()
            except OSError as error:
                self.wanted = True
                raise StorageUnavailable(
                    f"{self._path}: what was written may not be on the disk ({error.strerror}).",
                    remedy="Check the disk that it is on.",
                ) from None
            self._flushed = begun

    def _flush(self) -> None:
        try:
            journal = os.open(f"{Path(self._path).resolve()}-wal", os.O_RDWR)
        except FileNotFoundError:
            return  # whoever took it away has moved all of it into the file
        try:
            flush_data(journal)
            found = os.fstat(journal)
        finally:
            os.close(journal)
        if (found.st_dev, found.st_ino) != self._known:
            self._flush_directory()
            self._known = found.st_dev, found.st_ino

    def _flush_directory(self) -> None:
        """Have it on the disk that there is a journal at all."""
        if hasattr(os, "O_DIRECTORY"):  # pragma: no branch - only Windows cannot, and need not
            directory = os.open(Path(self._path).resolve().parent, os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
