"""A minimal in-memory state store whose clock a test can set."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import strategies as st

from moorage.domain.state.commands import EXACT

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command, State
    from moorage.errors import ConnectorError

Answer = TypeVar("Answer")
Item = TypeVar("Item")

NOON = 1_772_366_400_000_000
"""1 March 2026, 12:00 UTC, as a store counts time."""


class StateStore:
    """A state store: `now` is its time in microseconds."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now
        self.cells: dict[str, State] = {}

    def execute(self, command: Command[Answer]) -> Answer:
        """Run a command; raise an error if a number in its states is too large for a double."""
        previous_states = tuple(map(self.cells.get, command.keys))
        next_states, answer = command.apply(previous_states, self.now)
        assert len(command.keys) == len(next_states)
        for key, state in zip(command.keys, next_states, strict=True):
            assert state is not None or key not in self.cells, "commands do not delete"
            if state is not None:
                assert all(-EXACT < number < EXACT for number in numbers(state))
                self.cells[key] = state
        return answer

    def forget(self) -> None:
        """Drop every state that has expired."""
        self.cells = {
            key: state for key, state in self.cells.items() if state[0] + state[1] > self.now
        }


def has_remedy(error: ConnectorError) -> bool:
    """Return whether an error has a message and a remedy."""
    return bool(error.message) and error.remedy not in (None, "", type(error).remedy)


def numbers(value: object) -> list[int]:
    """Return every integer in a state, at any depth."""
    if isinstance(value, int):
        return [value]
    if not isinstance(value, tuple):
        return []
    return [number for item in value for number in numbers(item)]


def long_lists(
    choices: list[st.SearchStrategy[Item]], most: int = 80
) -> st.SearchStrategy[list[Item]]:
    """Return a strategy that draws lists, with all lengths equally likely.

    By default, Hypothesis prefers short lists, and draws each kind of item equally often.
    """
    items = st.sampled_from(choices).flatmap(lambda choice: choice)
    return st.integers(0, most).flatmap(lambda size: st.lists(items, min_size=size, max_size=size))
