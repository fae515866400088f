"""The in-memory replacement of a shared store while it, a node or a state is unavailable.

Limits and circuits continue in the memory of each process, because an outage of the program's own
store must not stop the calls to every vendor. A limit may be configured differently: its calls are
refused, or each process continues with a share of it. State that must survive a crash is not
replaced, because a key that is claimed in one process's memory has no effect on other processes.

Laws:

1. Permits granted in memory are marked, and their outcomes never reach the store.
2. While the store is away, one caller at a time probes it, at growing intervals; the others do not
   wait. Probing takes at most half of the time.
3. An outage of a node concerns only the keys of the node. A state that cannot be read concerns only
   its own key; it gets a substitute in the same store, shared by all processes that cannot read it.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.resilience.admission import Admission
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause, ReadCircuit, Report
from moorage.domain.state.codec import VERSION
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.state.commands import Command
    from moorage.errors import StorageUnavailable

_FIRST_PAUSE: Final = 250_000_000
_LONGEST_PAUSE: Final = 600_000_000
_MOST_STEPS: Final = 16
_SHARE: Final = 0.75
_MAX_SECONDS: Final = 10.0
_LONGEST_PATIENCE: Final = 60.0
_SILENCE: Final = 5_000_000_000
_SLOW_SHARE: Final = 0.9


@frozen(eq=False)
class Outage:
    """An outage of a shared store or of one of its nodes.

    Attributes:
        error: the last error of the store.
        since: the time of the first error, in nanoseconds of the local clock.
        until: the time of the next probe.
        probes: the number of probes so far.
        turn: a queue with at most one item; the caller that pops the item may probe the store.
    """

    error: StorageUnavailable
    since: int
    until: int
    probes: int = 0
    turn: list[None] = field(factory=lambda: [None])


def extended_outage(
    before: Outage | None,
    error: StorageUnavailable,
    now: int,
    draw: float,
    *,
    waited_nanoseconds: int = 0,
) -> Outage:
    """Return the outage after one more call to which the store did not respond.

    `waited_nanoseconds` is the time that the caller waited for the store. The next probe begins no
    sooner than after the same time again.
    """
    probes = 0 if before is None else before.probes + 1
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE << min(probes, _MOST_STEPS))
    # Processes that lost the store together must not all return to it together.
    end_time = now + max(int(pause * (0.5 + draw / 2)), waited_nanoseconds)
    return Outage(error, now if before is None else before.since, end_time, probes)


def patience(command: Command[Any], timeout: float | None) -> float | None:
    """Return the seconds to wait for the store; None means without a limit.

    For a command that can continue without the store, a quarter of the time is left for the call
    itself.
    """
    if timeout is None:
        return None
    return (
        min(timeout * _SHARE, _MAX_SECONDS)
        if needs_no_store(command)
        else min(timeout, _LONGEST_PATIENCE)
    )


def is_slow(waited_time: int, bound: float | None, silent: int | None) -> bool:
    """Return whether a store that did not respond before the deadline is only slow.

    A slow store has recently replied to another caller. `waited_time` is the time that this caller
    waited, and `silent` the time since the last reply, both in nanoseconds; `silent` is None if
    there was no reply yet. `bound` is the time in seconds that the caller could wait; an error
    before that time means that the store is unreachable.
    """
    if bound is None or silent is None or waited_time < bound * 1e9 * _SLOW_SHARE:
        return False
    return silent < min(3 * waited_time, max(waited_time, _SILENCE))


class LocalGrant(tuple[Any, ...]):
    """A permit or ticket that this process granted without the store."""

    __slots__ = ()


def marked_as_local(admitted: Admitted) -> Admitted:
    """Return an admission whose permit and tickets are marked as granted by this process."""
    answer, wait, permit, tickets = admitted
    return (
        answer,
        wait,
        None if permit is None else LocalGrant(permit),
        tuple(map(LocalGrant, tickets)),
    )


def is_local(command: Command[Any]) -> bool:
    """Return whether a command is about a permit or ticket that this process granted."""
    match command:
        case Admission():
            return False
        case Report():
            return type(command.permit) is LocalGrant
        case GiveBack():
            return LocalGrant in map(type, command.tickets)
        case Confirm():
            return LocalGrant in map(type, (command.permit, *command.tickets))
        case _:
            return False


_LOCAL_COMMANDS: Final = (Admission, Confirm, GiveBack, Pause, ReadCircuit, Report)


def needs_no_store(command: Command[Any]) -> bool:
    """Return whether this process can execute a command without the store."""
    if not isinstance(command, _LOCAL_COMMANDS) or command.durable:
        return False
    return not isinstance(command, Admission) or command.gates.grants_alone


def with_local_shares(command: Command[Any]) -> Command[Any]:
    """Return the command with this process's share of every limit, for use without the store."""
    match command:
        case Admission():
            gates = command.gates.alone(command.costs)
            if gates is command.gates:
                return command
            # A limit that is split into parts has two rules here: one for its part, one for the
            # whole.
            costs = command.costs * 2 if command.gates.wholes else command.costs
            return command.evolve(gates=gates, costs=costs)
        case Confirm(gates=gates) if (local_gates := gates.alone()) is not gates:
            return Confirm(local_gates, command.tickets, command.permit)
        case GiveBack(gates=gates) if (local_gates := gates.alone()) is not gates:
            return GiveBack(local_gates, command.tickets)
        case Pause(gates=gates) if (local_gates := gates.alone()) is not gates:
            return Pause(local_gates, command.pause)
        case _:
            return command


def substitute(key: str) -> str:
    """Return the key under which a replacement for an unreadable state is stored."""
    return f"{key}:instead-{VERSION}"


def has_substitute(command: Command[Any], key: str) -> bool:
    """Return whether a command can use a replacement for the unreadable state under `key`.

    A claim has no substitute: an effect that was done under one key would be done again under the
    other.
    """
    if not isinstance(command, _LOCAL_COMMANDS) or key not in command.keys:
        return False
    return not (isinstance(command, Admission) and command.claim and command.claim[0] == key)


def with_other_keys(command: Command[Any], substitutes: Mapping[str, str]) -> Command[Any]:
    """Return the same command with other keys, such as the keys of substitute states."""
    copied_command: Any = copy(command)
    copied_command.keys = tuple(substitutes.get(key, key) for key in command.keys)
    return copied_command  # type: ignore[no-any-return]  # a copy of it
