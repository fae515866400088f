"""A test lock that raises an exception when it is released."""

from __future__ import annotations


class Interruption(BaseException):
    """The exception that the test lock raises when it is released."""


class FragileLock:
    """A lock whose release raises an exception, as a signal handler can, after some releases."""

    def __init__(self) -> None:
        self.releases: int | None = None

    def __enter__(self) -> None:
        """Do nothing, because the lock is always free."""

    def __exit__(self, *_: object) -> None:
        if self.releases is not None:
            self.releases -= 1
            if not self.releases:
                self.releases = None
                raise Interruption
