"""What goes on while a shared store is away, and when it is looked for again."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.memory import MemoryStorage
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
from moorage.domain.outage import (
    Local,
    Outage,
    alone,
    goes_on,
    has_substitute,
    is_local,
    is_slow,
    marked,
    moved,
    noticed,
    patience,
    substitute,
)
from moorage.domain.rate_limit import RateLimitConfig
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.testing import VirtualClock

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


def lost(probes: int, draw: float) -> Outage:
    """A store that has been looked for so often, one second after another."""
    outage = noticed(None, GONE, 5 * NANOS, draw)
    for probe in range(1, probes + 1):
        outage = noticed(outage, GONE, (5 + probe) * NANOS, draw)
    return outage


@pytest.mark.parametrize("probes, pause", [(0, 0.25), (1, 0.5), (2, 1), (3, 1), (40, 1)])
def test_the_store_is_looked_for_at_growing_intervals(probes: int, pause: float) -> None:
    """From a quarter of a second on each interval is twice the one before, up to a second."""
    now = (5 + probes) * NANOS
    shortest, middle, longest = (lost(probes, draw) for draw in (0.0, 0.5, 1.0))

    assert [now + int(pause * NANOS * part / 4) for part in (2, 3, 4)] == [
        shortest.until,
        middle.until,
        longest.until,
    ]
    assert (probes, 5 * NANOS) == (longest.probes, longest.since)


def test_looking_takes_no_more_than_half_of_the_time() -> None:
    """After a probe that waited long the next one begins as much later."""
    assert 7 * NANOS == noticed(None, GONE, 5 * NANOS, 1.0, took=2 * NANOS).until


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


def test_a_limit_may_refuse_to_go_on() -> None:
    """An admission that a refusing limit guards needs the store; what gives back does not."""
    gates = Gates(
        limits=[RateLimitConfig(1).rule] * 2, limit_keys=["a", "b"], shares=[Fraction(1), None]
    )

    assert not goes_on(Admission(gates, within=0, lease=0))
    assert goes_on(GiveBack(gates, (TICKET, TICKET)))
    assert goes_on(Pause(gates, SECOND))


def granted(command: Command[Any], seconds: int, store: MemoryStorage, clock: VirtualClock) -> int:
    """How many calls memory grants in so many seconds, asked twenty times a second."""
    count = 0
    for _ in range(20 * seconds):
        count += store.execute(alone(command))[0] is Answer.GO
        clock.advance(0.05)
    return count


@pytest.mark.parametrize(
    "config, seconds, most",
    [
        (RateLimitConfig.per_second(8, burst=8), 10, 88),
        (RateLimitConfig.per_second(8, burst=8, without_store=0.25), 10, 22),
        (RateLimitConfig.per_second(8, burst=8, without_store=Fraction(1, 16)), 10, 6),
        (RateLimitConfig.per_calendar_day(40, without_store=0.25), 10, 10),
    ],
)
def test_memory_grants_a_share_of_each_limit(
    config: RateLimitConfig, seconds: int, most: int
) -> None:
    """Rate, burst and quota are scaled alike, to one call at the least."""
    clock = VirtualClock()
    gates = Gates(limits=[config.rule], limit_keys=["k"], shares=[config.share])
    asked = Admission(gates, within=0, lease=0)

    assert most - 1 <= granted(asked, seconds, MemoryStorage(clock), clock) <= most


def test_a_call_that_costs_more_than_a_share_is_granted_at_its_cost() -> None:
    """A share of the burst is not below what one call takes; the rate stays the share's."""
    config = RateLimitConfig.per_second(8, burst=8, without_store=0.125)
    clock = VirtualClock()
    gates = Gates(limits=[config.rule], limit_keys=["k"], shares=[config.share])

    count = granted(
        Admission(gates, within=0, lease=0, costs=(4,)), 16, MemoryStorage(clock), clock
    )

    assert 4 == count


def test_what_memory_granted_of_a_share_comes_back_to_it() -> None:
    """Confirming, giving back and pausing are about the same share; a whole limit is its own."""
    config = RateLimitConfig.per_second(8, burst=8, without_store=0.125)
    gates = Gates(limits=[config.rule], limit_keys=["k"], shares=[config.share])
    share = gates.alone()

    limited: list[Command[Any]] = [
        GiveBack(gates, (TICKET,)),
        Confirm(gates, (TICKET,), None),
        Pause(gates, 1),
    ]
    for command in limited:
        other: Any = alone(command)
        assert (type(command), share) == (type(other), other.gates)
        assert (share.limit_keys, getattr(command, "tickets", None)) == (
            other.keys,
            getattr(other, "tickets", None),
        )
    for whole in (*about(PERMIT, (TICKET, TICKET)), Pause(GATES, 1)):
        assert whole is alone(whole)


@pytest.mark.parametrize("value", ["refuse", 1, 1.0, 0.5, Fraction(1, 3)])
def test_a_limit_says_how_it_goes_on(value: Any) -> None:
    """A number is a share, and a refusal is none."""
    share = RateLimitConfig(1, without_store=value).share

    assert (None if value == "refuse" else Fraction(value)) == share


@pytest.mark.parametrize("value", ["", "go on", 0, -1, 1.5, True, None, math.nan, []])
def test_no_other_way_to_go_on_is_taken(value: Any) -> None:
    """What is neither "refuse" nor a share is refused, with what to give."""
    with pytest.raises(ConfigurationError, match=r'Give "refuse", or the share') as caught:
        RateLimitConfig(1, without_store=value)

    assert "without_store" == caught.value.path


def test_claims_have_no_substitute() -> None:
    """An effect that is done under one key would be done again under another."""
    asked = Admission(GATES, within=0, lease=0)
    marking = asked.evolve(claim=("claim", 1, "vendor"))

    assert has_substitute(asked, "one")
    assert has_substitute(marking, "circuit")
    assert not has_substitute(asked, "another")
    assert not has_substitute(marking, "claim")
    assert not has_substitute(release("key", 1, ttl=SECOND), "key")


def test_a_command_is_moved_to_other_keys() -> None:
    """All but the keys stay, and the command itself is as it was."""
    asked = Admission(GATES, within=3, lease=4)
    other: Any = moved(asked, {"one": substitute("one")})

    assert ("circuit", substitute("one"), "two") == other.keys
    assert ("circuit", "one", "two") == asked.keys
    assert (GATES, 3, 4, type(asked)) == (other.gates, other.within, other.lease, type(other))


def test_who_can_go_on_keeps_time_for_its_call() -> None:
    """Three quarters of what is left are for the store, and ten seconds at most."""
    asked = Admission(GATES, within=0, lease=0)

    assert [0.75, 10.0, None] == [patience(asked, left) for left in (1.0, 60.0, None)]


def test_who_cannot_go_on_has_all_its_time_for_the_store() -> None:
    """A minute at most."""
    claim = release("key", 1, ttl=SECOND)

    assert [1.0, 60.0, None] == [patience(claim, left) for left in (1.0, 600.0, None)]


@pytest.mark.parametrize(
    "waited, bound, silent, slow",
    [
        (1, 1, 2, True),
        (1, 1, 3, False),
        (4, 4, 4.9, True),
        (4, 4, 5, False),
        (8, 8, 7.9, True),
        (8, 8, 8, False),
        (0.9, 1, 1, True),
        (0.89, 1, 1, False),
        (1, 1, None, False),
        (1, None, 1, False),
    ],
)
def test_slow_is_not_away(
    waited: float, bound: float | None, silent: float | None, slow: bool
) -> None:
    """A store is slow while it answers others, unless its caller was told sooner."""
    nanos = None if silent is None else int(silent * NANOS)

    assert slow is is_slow(int(waited * NANOS), bound, nanos)
