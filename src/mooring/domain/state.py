"""The one form of shared state, and the one form of asking for a change of it.

A state is a plain tuple of plain values. Its first item, `seen`, is the store's time of the last
write; its second, `quiet`, says for how many microseconds after `seen` the state still matters:
past that a store may forget it, because a fresh state would decide alike. A missing state is
None.

A command names its keys and decides, purely, over all of them at once. It answers in durations:
no time of the store's clock leaves the store, except inside permits and tickets that callers
carry back unread.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeAlias, TypeVar

State: TypeAlias = "tuple[Any, ...]"
States: TypeAlias = "tuple[State | None, ...]"

Ticket: TypeAlias = "tuple[int, ...]"
"""`(serial, time, cost, shift)` of one grant: opaque to its holder."""

Answer_co = TypeVar("Answer_co", covariant=True)

SMALL_STEP: Final = 2_000_000
"""Up to this far back (in microseconds) a clock that steps makes time stand still; past it, the
times in a state move back with the clock."""


class Command(Protocol[Answer_co]):
    """A question to shared state: frozen, cheap to repeat, the same everywhere.

    `apply` returns the states to store, in the order of `keys`, and the answer. A state that is
    returned unchanged, by identity, need not be written. A command without `once` may be sent
    again when its reply was lost: it carries a token that its caller made, and answers alike.
    """

    @property
    def keys(self) -> tuple[str, ...]: ...

    @property
    def once(self) -> bool: ...

    def apply(self, states: States, now: int, /) -> tuple[States, Answer_co]: ...


def steady(seen: int, now: int) -> tuple[int, int]:
    """The time to go by, and how far the state's own times must move back first."""
    if now >= seen:
        return now, 0
    if seen - now <= SMALL_STEP:
        return seen, 0
    return now, seen - now
