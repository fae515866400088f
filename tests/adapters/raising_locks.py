"""Test locks that raise an exception when acquired or released, as a signal handler may."""

from __future__ import annotations

from threading import RLock


class Interruption(BaseException):
    """The exception that the test locks raise."""


class UncontendedLock:
    """A lock for a single thread, which never waits."""

    def acquire(self) -> None:
        """Do nothing, because only one thread uses the lock."""

    def release(self) -> None:
        """Do nothing, because no thread waits for the lock."""

    def _is_owned(self) -> bool:
        return False

    def __enter__(self) -> None:
        """Take the lock."""
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class FragileLock(UncontendedLock):
    """A lock for one thread; one chosen release raises an exception, as a signal handler may."""

    def __init__(self) -> None:
        self.releases: int | None = None

    def release(self) -> None:
        """Release the lock; raise an exception if this release was chosen."""
        if self.releases is not None:
            self.releases -= 1
            if not self.releases:
                self.releases = None
                raise Interruption


class TakenLock:
    """A real lock whose `acquire` raises after taking the lock, as a signal handler may."""

    def __init__(self) -> None:
        self._lock = RLock()

    def acquire(self) -> None:
        """Take the lock, and raise an exception."""
        self._lock.acquire()
        raise Interruption

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def __enter__(self) -> None:
        """Take the lock; a `with` statement cannot be interrupted here."""
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _is_owned(self) -> bool:
        return self.is_taken

    @property
    def is_taken(self) -> bool:
        """True if this thread has taken the lock and not released it yet."""
        is_owned: bool = self._lock._is_owned()  # type: ignore[attr-defined]  # noqa: SLF001 - as in `release_if_held`
        return is_owned
