"""A lock for a short section of code that runs several times in each call.

`acquire` and `release` take a third of the time of a `with` statement. Unlike there, other code can
run between `acquire` and the section: a signal handler or a finaliser. It may enter the same
section, so the lock is re-entrant; and it may raise, so the lock may have to be released:

    try:
        lock.acquire()
    except BaseException:
        release_if_held(lock)
        raise
    try:
        ...  # the section
    finally:
        lock.release()

If `acquire` fails and the thread holds the lock, this `acquire` took it: a thread that had the lock
before does not wait for it, and only a wait fails before the lock is taken.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class SectionLock(Protocol):
    """A re-entrant lock, such as `threading.RLock` creates."""

    def acquire(self) -> Any:
        """Wait for the lock, and take it."""
        ...

    def release(self) -> None:
        """Give the lock back, once for each `acquire`."""
        ...

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: object) -> None: ...

    def _is_owned(self) -> bool: ...


new_section_lock: Callable[[], SectionLock] = RLock  # type: ignore[assignment]  # every RLock has it, as `Condition` relies on
"""Make the lock of a section."""


def release_if_held(lock: SectionLock) -> None:
    """Release a lock after its `acquire` was interrupted, if the thread has taken it."""
    if lock._is_owned():  # noqa: SLF001 - `Condition` of the standard library uses it too
        lock.release()
