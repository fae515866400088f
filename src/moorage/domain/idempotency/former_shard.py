"""Commands on the former shard of an idempotency key, while the key moves to a new shard.

Laws:

1. A key is in one place only. It stays on its former shard as long as it can affect a call there.
   When it cannot, a mark takes its place, and from then on the key is on its new shard.
2. A process that knows only the former shards cannot read the mark, so it refuses the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.idempotency.claims import CLAIMED, CLAIMS, FREE, unexpired
from moorage.domain.state.commands import refusing_unreadable_states
from moorage.domain.state.keys import class_of, tag_of
from moorage.domain.values.durations import DAY

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command, State, States, TimedRule

MARK_LASTS: Final = 7 * DAY
"""Microseconds within which all processes must know the new shards, once one process knows them."""

_REFRESH_TIME: Final = DAY
_MOVED_MARK: Final = "moved"
_PLACES: Final = 4


class ExecuteOnFormerShard:
    """A command that runs on the former shard of its states while that shard still needs them.

    Otherwise the states are marked as moved. The reply is `(True, result)`, or `(False, None)` if
    the command has to be executed on the new shard.
    """

    __slots__ = ("_command", "durable", "keys", "once")

    def __init__(self, command: Command[Any]) -> None:
        self._command = command
        self.keys = tuple(dict.fromkeys((*command.keys, *_related_keys(command.keys[0]))))
        self.once = command.once
        self.durable = command.durable

    @property
    def rules(self) -> tuple[TimedRule, ...]:
        """Return the rules by which the command reads the stored states."""
        return CLAIMS * len(self.keys)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, tuple[bool, Any]]:
        """Return the states after the command, or marks for states that have moved."""
        is_here = not any(map(_is_mark, states)) and any(
            _may_have_effect(state, now) for state in states
        )
        if is_here:
            count = len(self._command.keys)
            new_states, answer = self._command.apply(states[:count], now)
            return (*new_states, *states[count:]), (True, answer)
        return tuple(_mark_left(state, now) for state in states), (False, None)


def _related_keys(key: str) -> tuple[str, ...]:
    """Return the keys of all states that must be stored on the same shard as this one.

    One command uses the turn of a key and the account that owns it.
    """
    if class_of(key) not in {"turn", "place"}:
        return ()
    key_prefix = f"{{{tag_of(key)}}}:"
    return (f"{key_prefix}turn", *(f"{key_prefix}place:{number}" for number in range(_PLACES)))


def _is_mark(state: State | None) -> bool:
    return state is not None and len(state) == 3 and state[2] == _MOVED_MARK


def _mark_left(state: State | None, now: int) -> State:
    if state is not None and _is_mark(state) and 0 <= now - state[0] < _REFRESH_TIME:
        return state
    return (now, MARK_LASTS, _MOVED_MARK)


def _may_have_effect(state: State | None, now: int) -> bool:
    """Return whether a claim may have had an effect, or may still have one."""
    entry = unexpired(state, now)
    if entry is None:
        return False
    time, stage, lease_end, claim_end = entry[0], entry[2], entry[6], entry[7]
    is_over = stage == FREE or (stage == CLAIMED and time >= lease_end)
    return not is_over or time < claim_end
