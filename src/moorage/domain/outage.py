"""While a shared store is away: what goes on without it, and when to look for it again.

Limits and circuits go on in the memory of each process, because refusing every call would make an
outage of our own store one of every vendor. What must outlive a crash does not go on: a key that is
claimed in one process's memory protects nobody.

Laws:

1. What was granted in memory is marked, and what becomes of it never reaches the store.
2. While the store is away, one caller at a time looks for it, at growing intervals; the others do
   not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.admission import (
    Admission,
    Confirm,
    GiveBack,
    Pause,
    ReadCircuit,
    Report,
)

if TYPE_CHECKING:
    from moorage.domain.admission import Admitted
    from moorage.domain.state import Command
    from moorage.errors import StorageUnavailable

_FIRST: Final = 1_000_000_000
_LONGEST: Final = 30_000_000_000
_MOST_STEPS: Final = 16


@attrs.define(eq=False)
class Outage:
    """A store that is away.

    Attributes:
        error: how that was noticed last.
        since: when it was first, in nanoseconds of the local clock.
        until: when to look for it again.
        looks: how often somebody has.
        turn: has one item, which whoever looks takes.
    """

    error: StorageUnavailable
    since: int
    until: int
    looks: int = 0
    turn: list[None] = attrs.field(factory=lambda: [None])


def noticed(before: Outage | None, error: StorageUnavailable, now: int, draw: float) -> Outage:
    """The store has not answered, for the first time or again."""
    looks = 0 if before is None else before.looks + 1
    pause = min(_LONGEST, _FIRST << min(looks, _MOST_STEPS))
    # Processes that lost the store together do not all come back together.
    until = now + int(pause * (0.5 + draw / 2))
    return Outage(error, now if before is None else before.since, until, looks)


class Local(tuple[Any, ...]):
    """A permit or a ticket of the memory of this process."""

    __slots__ = ()


def marked(admitted: Admitted) -> Admitted:
    """What was granted in memory, so that it is known again."""
    answer, wait, permit, tickets = admitted
    return answer, wait, None if permit is None else Local(permit), tuple(map(Local, tickets))


def is_local(command: Command[Any]) -> bool:
    """Whether a command is about what was granted in memory."""
    match command:
        case Report():
            return type(command.permit) is Local
        case GiveBack():
            return Local in map(type, command.tickets)
        case Confirm():
            return Local in map(type, (command.permit, *command.tickets))
        case _:
            return False


_GOING_ON: Final = (Admission, Confirm, GiveBack, Pause, ReadCircuit, Report)


def goes_on(command: Command[Any]) -> bool:
    """Whether what a command asks for can be had without the store."""
    return isinstance(command, _GOING_ON) and not command.durable
