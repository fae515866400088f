"""The open circuits of a shared store, which a process remembers to refuse calls by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.resilience.admission import CIRCUIT_OPEN, Admission
from moorage.domain.values.bounded import Bounded
from moorage.domain.values.durations import FOREVER, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import Command
    from moorage.services.core.core import Flow

_LONGEST: Final = SECOND
_MOST: Final = 10_000


class OpenCircuits:
    """Runs commands in a store, and refuses attempts by itself while a circuit is open.

    An open circuit stays open until its time unless a person closes it. A process remembers it for
    at most a second, so it obeys a person at another process within a second, and one at its own
    process at once. A half-open circuit may close at any moment, and is not remembered.

    Args:
        execute: runs a command in the store, or in its fallback.
        nanoseconds: the local clock.
    """

    def __init__(
        self,
        execute: Callable[[Command[Any], float | None], Flow[Any]],
        nanoseconds: Callable[[], int],
    ) -> None:
        self._execute = execute
        self._nanoseconds = nanoseconds
        self._open: Bounded[str, tuple[int, int | None]] = Bounded(_MOST)
        """For each circuit's key, when to ask again and when it half-opens, by the local clock; the
        latter is None if only a person closes it."""

    async def execute(self, command: Command[Any], timeout: float | None) -> Any:
        """Run a command, or refuse an attempt whose circuit is known to be open."""
        if not isinstance(command, Admission):
            if self._open:
                for key in command.keys:
                    self._open.pop(key, None)
            return await self._execute(command, timeout)
        key = command.gates.circuit_key
        if self._open and (entry := self._open.get(key)) is not None:
            now = self._nanoseconds()
            ask_again, end = entry
            if now < ask_again:
                wait = FOREVER if end is None else -((now - end) // 1000)
                return CIRCUIT_OPEN, wait, None, ()
            self._open.pop(key, None)
        admitted = await self._execute(command, timeout)
        if admitted[0] is CIRCUIT_OPEN:
            now, wait = self._nanoseconds(), admitted[1]
            end = None if wait >= FOREVER else now + wait * 1000
            self._open.add(key, (now + min(wait, _LONGEST) * 1000, end))
        return admitted
