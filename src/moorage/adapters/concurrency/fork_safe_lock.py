"""A lock that a forked child can take, whoever held it in the parent."""

from __future__ import annotations

from threading import Lock

from moorage.adapters.concurrency.forking import in_child


class ForkSafeLock:
    """A lock of the current process; a forked child has a new one.

    If another thread holds an ordinary lock during a fork, the child waits for it forever, because
    that thread does not exist in the child.

    Use it as `with self._lock.current:`. `ForkSafeLock` is no context manager itself: Python code
    in its `__enter__` could be interrupted after it took the lock, and nobody would give it back.

    Attributes:
        current: the lock of the current process.
    """

    __slots__ = ("__weakref__", "current")

    def __init__(self) -> None:
        self._renew()
        in_child(self, ForkSafeLock._renew)

    def _renew(self) -> None:
        self.current = Lock()
