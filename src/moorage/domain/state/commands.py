"""The commands that read and change shared state, and the code that they share.

A state is a plain tuple of plain values. Its first item, `seen`, is the store's time of the last
write. Its second, `keep_for`, is its time to live: after so many microseconds since `seen` a store
may delete it, because a fresh state gives the same decisions. A missing state is None.

A command names its keys and decides, as a pure function, over all of them together. Its result has
durations only: no time of the store's clock leaves the store, except inside permits and tickets,
which callers return without reading them.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from moorage.errors import StateUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

State: TypeAlias = "tuple[Any, ...]"
States: TypeAlias = "tuple[State | None, ...]"

Ticket: TypeAlias = "tuple[int, ...]"
"""The data by which a limit recognises its own grant. It begins with `(number, time, cost, shift)`;
its holder does not read it.
"""

Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)

SMALL_STEP: Final = 2_000_000
"""Microseconds; if the clock is set back by at most this much, time stands still in the states. If
a clock is set back further, the times in a state move back with it.
"""

EXACT: Final = 2**53
"""The bound of all numbers in a state, which stores with floating-point numbers keep exact."""


class Command(Protocol[Answer_co]):
    """An immutable command that a store applies to stored states; it may be repeated."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the states that the command reads and writes."""
        ...

    @property
    def once(self) -> bool:
        """True if the command must not be sent again after its reply was lost.

        Any other command gives the same result when repeated: it contains a token that its caller
        drew, or names the effect that it concerns.
        """
        ...

    @property
    def durable(self) -> bool:
        """True if the store replies only when the written states would survive a crash.

        This is True for a command that guards an effect: if a claim is lost, another caller may act
        a second time. Recent counts of a limit or a circuit may be lost.
        """
        ...

    def apply(self, states: States, now: int, /) -> tuple[States, Answer_co]:
        """Return the states to store, in the order of `keys`, and the reply of the command.

        A state that is returned as the same object need not be written.
        """
        ...


class TimedRule(Protocol):
    """A rule that can move all times of a state back, because the clock was set back."""

    def present(self, state: State | None, now: int, /) -> State | None:
        """Return the state at the present time; if the clock was set back, move its times back."""
        ...


MISREAD: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that a rule may raise for a state of another layout than its own."""


def misread_state_error(
    error: Exception, keys: Sequence[str], rules: Sequence[TimedRule], states: States, now: int
) -> Exception:
    """Return the error for a command that found a state which it cannot read.

    If no state is unreadable, the given error is returned. Without `rules`, every stored state
    counts as unreadable.
    """
    if rules:
        unreadable_keys = [
            key
            for key, rule, state in zip(keys, rules, states, strict=False)
            if not _can_read(rule, state, now)
        ]
    else:
        unreadable_keys = [
            key for key, state in zip(keys, states, strict=True) if state is not None
        ]
    if not unreadable_keys:
        return error
    return StateUnavailable(
        f"A stored state has another layout than this release knows ({type(error).__name__}).",
        key=unreadable_keys[0] if rules or len(keys) == 1 else None,
        remedy="Upgrade every process that shares the store, and let only moorage write to it.",
    )


def _can_read(rule: TimedRule, state: State | None, now: int) -> bool:
    """Return whether a rule can read a state."""
    earliest = getattr(rule, "earliest", None)
    try:
        present_state = rule.present(state, now)
        if earliest is not None:
            earliest(present_state, 1, now)
    except MISREAD:
        return False
    return True


def refusing_unreadable_states(
    apply: Callable[[Any, States, int], Answer],
) -> Callable[[Any, States, int], Answer]:
    """Return a command's `apply`, changed to raise `StateUnavailable` for unreadable states.

    The command's `rules` read its states, in the order of its keys. Commands of the fast path do
    the same without another call.
    """

    @wraps(apply)
    def applied_command(command: Any, states: States, now: int) -> Answer:
        try:
            return apply(command, states, now)
        except MISREAD as error:
            rules = getattr(command, "rules", ())
            failure = misread_state_error(error, command.keys, rules, states, now)
        raise failure

    return applied_command


def with_times_moved_back(rules: Sequence[TimedRule], states: States, now: int) -> States:
    """Return states to store for a command that changes nothing but their times.

    Without an update, a state that is only read while calls are refused would not notice that the
    clock stepped back, and would count every wait from its last change. A state that has expired
    stays as it is: commands do not delete.
    """
    unchanged_flags = [
        state is None or -SMALL_STEP <= state[0] - now <= SMALL_STEP for state in states
    ]
    if all(unchanged_flags):
        return states
    return tuple(
        state if is_unread else rule.present(state, now) or state
        for rule, state, is_unread in zip(rules, states, unchanged_flags, strict=True)
    )


def reading_time(seen: int, now: int) -> tuple[int, int]:
    """Return the time at which to read a state, and the shift for its times after a clock step."""
    if now >= seen:
        return now, 0
    if seen - now <= SMALL_STEP:
        return seen, 0
    return now, seen - now
