"""A lock that a forked child can take, whoever held it in the parent."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from moorage.adapters.concurrency.forking import in_child

if TYPE_CHECKING:
    from types import TracebackType


class ForkSafeLock:
    """A lock for `with` blocks, which is free in a forked child.

    If another thread holds an ordinary lock during a fork, the child waits for it forever, because
    that thread does not exist in the child.
    """

    def __init__(self) -> None:
        self._free()
        in_child(self, ForkSafeLock._free)

    def _free(self) -> None:
        self._lock = Lock()

    def locked(self) -> bool:
        """Return whether a thread holds the lock."""
        return self._lock.locked()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(RuntimeError):  # the block forked, and this is the child
            self._lock.release()
