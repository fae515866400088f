"""Substitutes for stored states that this process cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.observation.events import StateSubstituted
from moorage.domain.resilience.outage import has_substitute, substitute, with_other_keys
from moorage.domain.values.bounded import BoundedCache

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command
    from moorage.errors import StateUnavailable
    from moorage.services.core.core import Core

_KEPT_NANOSECONDS: Final = 5_000_000_000
_MOST_KEYS: Final = 1_000
_MOST_SUBSTITUTES: Final = 3
"""The maximum number of substitutes of one state; each replaces one that is unreadable too."""


def _last_substitute(key: str) -> str:
    """Return the key of the last substitute of a state."""
    for _ in range(_MOST_SUBSTITUTES):
        key = substitute(key)
    return key


class StateSubstitutes:
    """The unreadable states of one store, and the new states that replace them.

    Every few seconds a command is tried on the original state, which may be usable again.

    Args:
        core: clock and observers.
        name: name of the store in events.

    Attributes:
        until: for each unusable key, the time to try it again, in nanoseconds of the local clock.
    """

    def __init__(self, core: Core, name: str) -> None:
        self._core = core
        self._name = name
        self.until: BoundedCache[str, int] = BoundedCache(_MOST_KEYS)

    def substitute_states(self, command: Command[Any]) -> Command[Any]:
        """Return the command with substitutes for its unreadable states."""
        now = self._core.nanoseconds()
        usable_keys = {
            key: self._usable_key(key, now)
            for key in command.keys
            if self.until.get(key, 0) > now and has_substitute(command, key)
        }
        return with_other_keys(command, usable_keys) if usable_keys else command

    def _usable_key(self, key: str, now: int) -> str:
        """Return the key of the first substitute that is not known to be unreadable."""
        for _ in range(_MOST_SUBSTITUTES):
            key = substitute(key)
            if self.until.get(key, 0) <= now:
                break
        return key

    def add(
        self, command: Command[Any], sent_command: Command[Any], error: StateUnavailable
    ) -> bool:
        """Record the unreadable states of a command; return True if each has a substitute.

        `sent_command` is the command that the store received. An error that names no key may
        concern any of the keys that have no substitute. An unreadable substitute gets another
        substitute, up to a maximum number.
        """
        unreadable_keys = {
            key: sent_key
            for key, sent_key in zip(command.keys, sent_command.keys, strict=True)
            if error.key == sent_key or (error.key is None and key == sent_key)
        }
        if not unreadable_keys or not all(
            has_substitute(command, key) and sent_key != _last_substitute(key)
            for key, sent_key in unreadable_keys.items()
        ):
            return False
        core = self._core
        keys = unreadable_keys.values()
        new_keys = [key for key in keys if key not in self.until]
        for key in keys:
            self.until.add(key, core.nanoseconds() + _KEPT_NANOSECONDS)
        if new_keys and core.observers:
            for key in new_keys:
                core.notify(
                    StateSubstituted(
                        at=core.utc(), service=self._name, key=key, error=error.message
                    )
                )
        return True

    def forget(self, command: Command[Any]) -> None:
        """Forget the substitutes of a command whose stored states can be read again."""
        for key in command.keys:
            self.until.pop(key, None)
