"""Test commands and values for a store, and a check of the commands' order."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from random import Random
from threading import Event
from time import sleep
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard
from uuid import uuid4

import attrs

from moorage.domain.state.commands import EXACT
from moorage.domain.values.durations import DAY
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moorage.domain.state.commands import States

KEEP: Final = object()
"""A marker in place of a value: the state is left unchanged."""

Seen: TypeAlias = "tuple[int, States]"
"""The input of a command: the store's time, and the states."""

_LETTERS: Final = "aZ09 _-.:/%\\'\"{}[]<>&;,$#@!?*~éÉßﬁŁ漢字кот🐈🏳️"
_LONG: Final = 2_000


class Write:
    """A command that writes a value under each of its keys, and returns a result.

    It takes a moment, so that other commands interleave if the store lets them.
    """

    __slots__ = ("_error", "_keep_for", "_values", "keys")
    once = False
    durable = False

    def __init__(
        self,
        values: Mapping[str, object],
        *,
        keep_for: int = DAY,
        error: Exception | None = None,
    ) -> None:
        self.keys = tuple(values)
        self._values = tuple(values.values())
        self._keep_for = keep_for
        self._error = error

    def apply(self, states: States, now: int) -> tuple[States, Seen]:
        """Write the values, or raise the command's error."""
        sleep(0)
        if self._error is not None:
            raise self._error
        written_states = tuple(
            state if value is KEEP else (now, self._keep_for, value)
            for state, value in zip(states, self._values, strict=True)
        )
        return written_states, (now, states)


def new_key() -> str:
    """Return a unique key in the form that services use."""
    return f"{{conformance:{uuid4().hex}}}"


def random_from(seed: int) -> Random:
    """Return a random generator with a fixed seed, for the same numbers in each run."""
    return Random(seed)  # noqa: S311 - which is what it is for


def read_command(*keys: str) -> Write:
    """Return a command that reads states and changes nothing."""
    return Write(dict.fromkeys(keys, KEEP))


class BlockingCommand:
    """A command that sets `held`, and then blocks a store's key until `free` is set."""

    once = False
    durable = False

    def __init__(self, key: str, seconds: float) -> None:
        self.keys = (key,)
        self.held = Event()
        self.free = Event()
        self._seconds = seconds

    def apply(self, states: States, now: int) -> tuple[States, None]:  # noqa: ARG002 - as commands have it
        """Change nothing, and wait until `free` is set or a time limit is over."""
        self.held.set()
        self.free.wait(self._seconds)
        return states, None


class Append:
    """A command that appends its number to the states of some keys, and reads those of others.

    Its result is the time, and the states before it appended to them.
    """

    __slots__ = ("_number", "_written", "keys")
    once = True
    durable = False

    def __init__(self, number: int, keys: Sequence[str], read_keys: Sequence[str] = ()) -> None:
        self.keys = (*keys, *read_keys)
        self._written = len(keys)
        self._number = number

    def apply(self, states: States, now: int) -> tuple[States, tuple[int, tuple[Any, ...]]]:
        """Append the command's number to the states of its keys."""
        logs = tuple(() if state is None else state[2] for state in states[: self._written])
        if not self._number % 8:
            sleep(0)
        appended = ((now, DAY, (*numbers, self._number)) for numbers in logs)
        return (*appended, *states[self._written :]), (now, logs)


@attrs.frozen
class AppendResult:
    """The outcome of an `Append`: its number, keys and result, and the times of start and end."""

    number: int
    keys: tuple[str, ...]
    now: int
    found: tuple[tuple[int, ...], ...]
    began: int
    ended: int


def require_one_order(history: Iterable[AppendResult], logs: Mapping[str, tuple[int, ...]]) -> None:
    """Check that commands took effect one after another."""
    commands_by_number = {command.number: command for command in history}
    previous_numbers: dict[int, set[int]] = {number: set() for number in commands_by_number}
    for key, log in logs.items():
        numbers = [number for number, command in commands_by_number.items() if key in command.keys]
        require(
            sorted(log) == sorted(numbers),
            f"Of {len(numbers)} commands {len(set(log))} left their mark, {len(log)} times in all.",
        )
        _require_prefixes(key, [commands_by_number[number] for number in log], log)
        for earlier_number, later_number in pairwise(log):
            previous_numbers[later_number].add(earlier_number)
    try:
        TopologicalSorter(previous_numbers).prepare()
    except CycleError:
        raise AssertionError(
            "Commands on several keys took effect in different orders for different keys."
        ) from None


def _require_prefixes(key: str, commands: Sequence[AppendResult], log: tuple[int, ...]) -> None:
    start_time = 0
    for place, command in enumerate(commands):
        require(
            command.found[command.keys.index(key)] == log[:place],
            "A command got a state that never existed, or that another command had changed since.",
        )
        start_time = max(start_time, command.began)
        require(
            command.ended >= start_time, "A command did not see the effect of an earlier command."
        )
    for earlier_command, later_command in pairwise(commands):
        require(
            earlier_command.now <= later_command.now,
            "A command got an earlier time than its states: the store reads its clock too early.",
        )


def are_equal_values(first: object, second: object) -> bool:
    """Return True if two plain values are equal in value and type: 1, True and "1" all differ."""
    if is_tuple(first) and is_tuple(second):
        return len(first) == len(second) and all(map(are_equal_values, first, second))
    return are_same_scalars(first, second)


def is_tuple(value: object) -> TypeGuard[tuple[object, ...]]:
    """True if a value is a tuple."""
    return isinstance(value, tuple)


def are_same_scalars(first: object, second: object) -> bool:
    """True if two scalar values have equal values and types."""
    return type(first) is type(second) and first == second


def plain_value(chance: Random, depth: int = 0) -> object:
    """Return a random value of any kind that a state can have."""
    kinds = 7 if depth < 3 else 6
    match chance.randrange(kinds):
        case 0:
            return None
        case 1:
            return chance.random() < 0.5
        case 2:
            return chance.choice((0, 1, -1, 255, 2**31, 2**32, EXACT - 1, 1 - EXACT))
        case 3:
            return chance.randrange(-EXACT + 1, EXACT)
        case 4:
            return printable(chance)
        case 5:
            return chance.randbytes(chance.choice((0, 1, 8, 100)))
        case _:
            return tuple(plain_value(chance, depth + 1) for _ in range(chance.randrange(4)))


def printable(chance: Random) -> str:
    """Return a random printable text."""
    return "".join(chance.choices(_LETTERS, k=chance.choice((0, 1, 5, 40))))


def similar_names() -> tuple[str, ...]:
    """Return different names, some of which databases may wrongly treat as equal."""
    return (
        "a", "A", "á", "a\u0301", "a ", " a", "aa", "a%", "a_", "a*", "a?", "a\\", "a'", 'a"',
        "a`", "a:", "a/", "a.", "{a}", "[a]", "ss", "ß", "K", "\u212a", "fi", "ﬁ", "1", "01",
        "1.0", "\uff11", "true", "null", "漢", "🐈", "x" * _LONG, "x" * (_LONG - 1) + "y",
    )  # fmt: skip
