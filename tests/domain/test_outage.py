"""What goes on while a shared store is away, and when it is looked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.admission import (
    Admission,
    Answer,
    Confirm,
    Gates,
    GiveBack,
    Pause,
    ReadCircuit,
    Report,
    SetCircuit,
)
from moorage.domain.circuit import CircuitBreakerConfig, CircuitRule, CircuitState, Outcome
from moorage.domain.durations import SECOND
from moorage.domain.idempotency import MarkSent, release
from moorage.domain.outage import Local, Outage, goes_on, is_local, marked, noticed
from moorage.domain.rate_limit import RateLimitConfig
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.state import Command

NANOS = 1_000_000_000
GONE = StorageUnavailable("gone.")
RULE = CircuitRule(CircuitBreakerConfig())
GATES = Gates(
    circuit=RULE,
    circuit_key="circuit",
    limits=[RateLimitConfig(1).rule] * 2,
    limit_keys=["one", "two"],
)
PERMIT = (1, 2, 0)
TICKET = (1, 2, 1, 0, 0, 0)


def lost(looks: int, draw: float) -> Outage:
    """A store that has been looked for so often, one second after another."""
    outage = noticed(None, GONE, 5 * NANOS, draw)
    for look in range(1, looks + 1):
        outage = noticed(outage, GONE, (5 + look) * NANOS, draw)
    return outage


@pytest.mark.parametrize(
    "looks, pause", [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (6, 30), (40, 30)]
)
def test_the_store_is_looked_for_at_growing_intervals(looks: int, pause: int) -> None:
    """From a second on each interval is twice the one before, up to half a minute."""
    now = (5 + looks) * NANOS
    shortest, middle, longest = (lost(looks, draw) for draw in (0.0, 0.5, 1.0))

    assert [now + pause * NANOS * part // 4 for part in (2, 3, 4)] == [
        shortest.until,
        middle.until,
        longest.until,
    ]
    assert (looks, 5 * NANOS) == (longest.looks, longest.since)


def test_an_outage_knows_its_last_error_and_has_one_turn() -> None:
    """Whoever looks takes the turn, and the next outage has one of its own."""
    first = noticed(None, GONE, 0, 0.0)
    again = StorageUnavailable("still gone.")
    second = noticed(first, again, 1, 0.0)

    assert (GONE, again) == (first.error, second.error)
    first.turn.pop()
    assert [None] == second.turn


def test_what_was_granted_in_memory_is_marked() -> None:
    """Permit and tickets are what they were, and known for what they are."""
    answer, wait, permit, tickets = marked((Answer.GO, 7, PERMIT, (TICKET, TICKET)))

    assert (Answer.GO, 7, PERMIT, (TICKET, TICKET)) == (answer, wait, permit, tickets)
    assert [Local] * 3 == [type(permit), *map(type, tickets)]
    assert (Answer.LIMITED, 7, None, ()) == marked((Answer.LIMITED, 7, None, ()))


def about(permit: Any, tickets: Any) -> list[Command[Any]]:
    """Every command that a permit or tickets are brought back with."""
    return [
        Report(GATES, permit, Outcome.FAILED, "a"),
        GiveBack(GATES, tickets),
        Confirm(GATES, tickets, permit),
    ]


def test_what_becomes_of_it_stays_in_memory() -> None:
    """A command is of this process if a permit or a ticket in it is."""
    permit, ticket = Local(PERMIT), Local(TICKET)

    assert not any(map(is_local, about(PERMIT, (TICKET, TICKET))))
    assert all(map(is_local, about(permit, (ticket, ticket))))
    assert is_local(GiveBack(GATES, (TICKET, ticket)))
    assert is_local(Confirm(GATES, (TICKET, ticket), None))
    assert is_local(Confirm(GATES, (TICKET,), permit))
    others: list[Command[Any]] = [
        Confirm(GATES, (TICKET,), None),
        Admission(GATES, within=0, lease=0),
        Pause(GATES, SECOND),
    ]
    assert [False] * 3 == list(map(is_local, others))


def test_limits_and_circuits_go_on_and_keys_do_not() -> None:
    """What must outlive a crash, or is meant for all processes, needs the store."""
    asked = Admission(GATES, within=0, lease=0)
    goes: list[Command[Any]] = [
        asked,
        *about(PERMIT, (TICKET, TICKET)),
        Pause(GATES, SECOND),
        ReadCircuit(RULE, "circuit"),
    ]
    stays: list[Command[Any]] = [
        asked.evolve(claim=("key", 1, "vendor")),
        MarkSent("key", 1, "vendor"),
        release("key", 1, ttl=SECOND),
        SetCircuit(RULE, "circuit", CircuitState.CLOSED),
    ]

    assert all(map(goes_on, goes))
    assert not any(map(goes_on, stays))
