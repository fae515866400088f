"""What goes on while a shared store, a node of it or one stored state is away.

Limits and circuits go on in the memory of each process, because refusing every call would make an
outage of our own store one of every vendor. A limit may say otherwise: that its calls are refused,
or that each process goes on with a share of it. What must outlive a crash does not go on: a key
that is claimed in one process's memory protects nobody.

Laws:

1. What was granted in memory is marked, and what becomes of it never reaches the store.
2. While the store is away, one caller at a time looks for it, at growing intervals; the others do
   not wait. Looking takes no more than half of the time.
3. A node that is away is away for its own keys, and a state that cannot be used for its own key.
   Such a state has a substitute in the same store, which all processes share that cannot use it.
"""

from __future__ import annotations

from copy import copy
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
from moorage.domain.codec import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.admission import Admitted
    from moorage.domain.state import Command
    from moorage.errors import StorageUnavailable

_FIRST: Final = 250_000_000
_LONGEST: Final = 1_000_000_000
_MOST_STEPS: Final = 16
_SHARE: Final = 0.75
_PATIENCE: Final = 10.0
_LONGEST_PATIENCE: Final = 60.0
_SILENCE: Final = 5_000_000_000
_NEARLY: Final = 0.9


@attrs.define(eq=False)
class Outage:
    """A store, or a node of it, that is away.

    Attributes:
        error: how that was noticed last.
        since: when it was first, in nanoseconds of the local clock.
        until: when to look for it again.
        probes: how often somebody has looked for it.
        turn: a queue of one item; whoever pops it may look for the store.
    """

    error: StorageUnavailable
    since: int
    until: int
    probes: int = 0
    turn: list[None] = attrs.field(factory=lambda: [None])


def noticed(
    before: Outage | None, error: StorageUnavailable, now: int, draw: float, *, took: int = 0
) -> Outage:
    """The outage after the store has not answered, for the first time or again.

    `took` is how long the caller waited for that, in nanoseconds: the next one begins to look no
    sooner than after as long again.
    """
    probes = 0 if before is None else before.probes + 1
    pause = min(_LONGEST, _FIRST << min(probes, _MOST_STEPS))
    # Processes that lost the store together do not all come back together.
    until = now + max(int(pause * (0.5 + draw / 2)), took)
    return Outage(error, now if before is None else before.since, until, probes)


def patience(command: Command[Any], timeout: float | None) -> float | None:
    """Seconds to wait for the store, of those that the caller has left; None if it has no deadline.

    Who can go on without the store keeps a quarter of its time for the call itself.
    """
    if timeout is None:
        return None
    return min(timeout * _SHARE, _PATIENCE) if goes_on(command) else min(timeout, _LONGEST_PATIENCE)


def is_slow(waited: int, bound: float | None, silent: int | None) -> bool:
    """Whether a store that did not answer in time is slow rather than away.

    It has answered others not long ago. `waited` and `silent` are how long this caller waited, and
    how long ago the last answer came, in nanoseconds; None if none ever did. `bound` is how many
    seconds the caller could wait: who was told sooner that the store is away believes it.
    """
    if bound is None or silent is None or waited < bound * 1e9 * _NEARLY:
        return False
    return silent < min(3 * waited, max(waited, _SILENCE))


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
    if not isinstance(command, _GOING_ON) or command.durable:
        return False
    return not isinstance(command, Admission) or None not in command.gates.shares


def alone(command: Command[Any]) -> Command[Any]:
    """A command as this process's memory decides it: over its share of every limit."""
    match command:
        case Admission():
            gates = command.gates.alone(command.costs)
            return command if gates is command.gates else command.evolve(gates=gates)
        case Confirm(gates=gates) if (own := gates.alone()) is not gates:
            return Confirm(own, command.tickets, command.permit)
        case GiveBack(gates=gates) if (own := gates.alone()) is not gates:
            return GiveBack(own, command.tickets)
        case Pause(gates=gates) if (own := gates.alone()) is not gates:
            return Pause(own, command.pause)
        case _:
            return command


def substitute(key: str) -> str:
    """The key of the state that stands in for one that this release cannot use."""
    return f"{key}:instead-{VERSION}"


def has_substitute(command: Command[Any], key: str) -> bool:
    """Whether a command may use another state in place of the one under `key`.

    Not of a claim: an effect that is done under one key would be done again under the other.
    """
    if not isinstance(command, _GOING_ON) or key not in command.keys:
        return False
    return not (isinstance(command, Admission) and command.claim and command.claim[0] == key)


def moved(command: Command[Any], substitutes: Mapping[str, str]) -> Command[Any]:
    """The same command over other keys."""
    other: Any = copy(command)
    other.keys = tuple(substitutes.get(key, key) for key in command.keys)
    return other  # type: ignore[no-any-return]  # a copy of it
