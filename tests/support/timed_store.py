"""A memory store that records the timeouts of its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.adapters.state.memory import MemoryStorage

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command


class TimedStorage(MemoryStorage):
    """A memory store that records how long each caller would wait.

    Attributes:
        timeouts: for each command its class, and how many seconds the caller gave it.
        slow: seconds that each command takes.
    """

    def __init__(self, clock: Any = None) -> None:
        super().__init__(clock)
        self.clock: Any = clock
        self.timeouts: list[tuple[str, float | None]] = []
        self.slow = 0.0

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Record the timeout, advance the clock by the store's delay, and run the command."""
        self.timeouts.append((type(command).__name__, timeout))
        if self.slow:
            self.clock.advance(self.slow)
        return super().execute(command, timeout)
