"""Stored states that cannot be used, and the substitutes that commands use in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.bounded import Bounded
from moorage.domain.events import StateSubstituted
from moorage.domain.outage import has_substitute, moved, substitute

if TYPE_CHECKING:
    from moorage.domain.state import Command
    from moorage.errors import StateUnavailable
    from moorage.services.core import Core

_AGAIN: Final = 5_000_000_000
_MOST: Final = 1_000


class Substitutes:
    """The states of one store that cannot be used, such as those of a newer release.

    Every few seconds a command is tried on the state itself; if that can be used again, it is.

    Args:
        core: tells the time, and observers.
        name: what events call the store.

    Attributes:
        until: for each key whose state cannot be used, when to try it again, in nanoseconds of the
            local clock.
    """

    def __init__(self, core: Core, name: str) -> None:
        self._core = core
        self._name = name
        self.until: Bounded[str, int] = Bounded(_MOST)

    def applied(self, command: Command[Any]) -> Command[Any]:
        """The command, over substitutes for the states that cannot be used."""
        now = self._core.nanoseconds()
        keys = {key: substitute(key) for key in command.keys if self.until.get(key, 0) > now}
        usable = {key: other for key, other in keys.items() if has_substitute(command, key)}
        return moved(command, usable) if usable else command

    def add(self, command: Command[Any], asked: Command[Any], error: StateUnavailable) -> bool:
        """Note which states of a command cannot be used; tell whether it has substitutes for them.

        `asked` is the command as the store was asked it. An error that names no key may be about
        any of those that had no substitute yet.
        """
        keys = [key for key in command.keys if key in asked.keys and error.key in (None, key)]
        if not keys or not all(has_substitute(command, key) for key in keys):
            return False
        core = self._core
        new = [key for key in keys if key not in self.until]
        for key in keys:
            self.until.add(key, core.nanoseconds() + _AGAIN)
        if new and core.observers:
            for key in new:
                core.tell(
                    StateSubstituted(
                        at=core.utc(), service=self._name, key=key, error=error.message
                    )
                )
        return True

    def used(self, command: Command[Any]) -> None:
        """Note that the states of a command could be used."""
        for key in command.keys:
            self.until.pop(key, None)
