"""A store in memory that remembers how long its callers could wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.adapters.state.memory import MemoryStorage

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command


class TimedStorage(MemoryStorage):
    """A store in memory.

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
        """Remember the time, let some pass, and run the command."""
        self.timeouts.append((type(command).__name__, timeout))
        if self.slow:
            self.clock.advance(self.slow)
        return super().execute(command, timeout)
