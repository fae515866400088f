"""A heartbeat that beats when a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class ManualHeartbeat:
    """A heartbeat that beats only when a test calls it.

    Args:
        work: what to do at each beat.
        wanted: whether there is anything to do.
    """

    def __init__(self, work: Callable[[], Any], target: Callable[[], bool]) -> None:
        self.beat = work
        self.wanted = target
        self.woken = 0

    def is_available(self) -> bool:
        """Return True, because this heartbeat always works."""
        return True

    def wake(self) -> None:
        """Count how often this method is called."""
        self.woken += 1
