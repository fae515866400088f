"""The one form of shared state, and the one form of asking for a change of it.

A state is a plain tuple of plain values. Its first item, `seen`, is the store's time of the last
write; its second, `quiet`, says for how many microseconds after `seen` the state still matters:
past that a store may forget it, because a fresh state decides alike. A missing state is None.

A command names its keys and decides, purely, over all of them at once. It answers in durations:
no time of the store's clock leaves the store, except inside permits and tickets that callers
carry back unread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

State: TypeAlias = "tuple[Any, ...]"
States: TypeAlias = "tuple[State | None, ...]"

Ticket: TypeAlias = "tuple[int, ...]"
"""What a limit needs to know again of one grant: opaque to its holder. It begins with
`(number, time, cost, shift)`."""

Answer_co = TypeVar("Answer_co", covariant=True)

SMALL_STEP: Final = 2_000_000
"""Up to this far back (in microseconds) a clock that steps makes time stand still; past it, the
times in a state move back with the clock."""

EXACT: Final = 2**53
"""Every number of a state is smaller, so that stores whose numbers are doubles keep it exact."""


class Command(Protocol[Answer_co]):
    """A question to shared state: frozen, cheap to repeat, the same everywhere."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the states that the command is about."""
        ...

    @property
    def once(self) -> bool:
        """Whether it must not be sent again when its reply was lost.

        A command without `once` answers alike when repeated: it carries a token that its caller
        made, or names what it is about.
        """
        ...

    @property
    def durable(self) -> bool:
        """Whether what it wrote must outlive a crash of the machine once it is answered.

        True of what an effect hangs on: a claim that is forgotten lets somebody act twice. What a
        limit or a circuit counted in the last moment may be lost with the moment.
        """
        ...

    def apply(self, states: States, now: int, /) -> tuple[States, Answer_co]:
        """The states to store, in the order of `keys`, and the answer.

        A state that is returned unchanged, by identity, need not be written.
        """
        ...


class Moves(Protocol):
    """Whatever knows how the times in a state move."""

    def present(self, state: State | None, now: int, /) -> State | None:
        """The state as of now, moved back with a clock that stepped."""
        ...


def unchanged(rules: Sequence[Moves], states: States, now: int) -> States:
    """What a command stores that changes nothing: the same states, and now and then the time.

    A state that never heard of the time which passes while calls are refused, or of a clock that
    stepped back meanwhile, would count what remains of every wait from its last change on. What
    is past its time stays as it is: commands do not delete.
    """
    as_is = [state is None or -SMALL_STEP <= state[0] - now <= SMALL_STEP for state in states]
    if all(as_is):
        return states
    return tuple(
        state if kept else rule.present(state, now) or state
        for rule, state, kept in zip(rules, states, as_is, strict=True)
    )


def steady(seen: int, now: int) -> tuple[int, int]:
    """The time to go by, and how far the state's own times must move back first."""
    if now >= seen:
        return now, 0
    if seen - now <= SMALL_STEP:
        return seen, 0
    return now, seen - now
