"""Outages of a shared store: the local fallback, and the probes for the store's return."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.claims import MarkSent, release_claim
from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.circuit import (
    CircuitBreakerConfig,
    CircuitRule,
    CircuitState,
    Outcome,
)
from moorage.domain.resilience.gate_commands import (
    Confirm,
    GiveBack,
    Pause,
    ReadCircuit,
    Report,
    SetCircuit,
)
from moorage.domain.resilience.outage import (
    LocalGrant,
    Outage,
    extended_outage,
    has_substitute,
    is_local,
    is_slow,
    marked_as_local,
    needs_no_store,
    patience,
    substitute,
    with_local_shares,
    with_other_keys,
)
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.values.durations import SECOND
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.testing import VirtualClock

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command

NANOS = 1_000_000_000
OUTAGE_ERROR = StorageUnavailable("gone.")
RULE = CircuitRule(CircuitBreakerConfig())
GATES = Gates(
    circuit=RULE,
    circuit_key="circuit",
    limits=[RateLimitConfig(1).rule] * 2,
    limit_keys=["one", "two"],
)
PERMIT = (1, 2, 0)
TICKET = (1, 2, 1, 0, 0, 0)


def outage_after(probes: int, draw: float) -> Outage:
    """Return the outage of a store after this number of probes, one per second."""
    outage = extended_outage(None, OUTAGE_ERROR, 5 * NANOS, draw)
    for probe in range(1, probes + 1):
        outage = extended_outage(outage, OUTAGE_ERROR, (5 + probe) * NANOS, draw)
    return outage


@pytest.mark.parametrize("probes, pause", [(0, 0.25), (1, 0.5), (2, 0.6), (3, 0.6), (40, 0.6)])
def test_probe_intervals_grow(probes: int, pause: float) -> None:
    """During a store outage, the probe interval grows from a quarter of a second to 0.6 seconds."""
    now = (5 + probes) * NANOS
    shortest, middle_outage, longest = (outage_after(probes, draw) for draw in (0.0, 0.5, 1.0))

    assert [now + int(pause * NANOS * part / 4) for part in (2, 3, 4)] == [
        shortest.until,
        middle_outage.until,
        longest.until,
    ]
    assert (probes, 5 * NANOS) == (longest.probes, longest.since)


def test_processes_come_back_spread_over_a_second() -> None:
    """200 processes that lost the store together return within a second, at different times.

    During the outage, too, their probes are spread evenly.
    """
    generator, end = Random(1), 60 * NANOS
    probes, returns = list[int](), list[int]()
    for _ in range(200):
        outage = extended_outage(None, OUTAGE_ERROR, 0, generator.random())
        while outage.until < end:
            probes.append(outage.until)
            outage = extended_outage(outage, OUTAGE_ERROR, outage.until, generator.random())
        returns.append(outage.until)

    assert max(returns) <= end + NANOS
    for times in (returns, [time for time in probes if time > 2 * NANOS]):
        highest_count = max(Counter(time * 10 // NANOS for time in times).values())
        assert highest_count <= 200 / 3, (
            "a tenth of a second has more than a third of the connections"
        )


def test_slow_probe_delays_the_next() -> None:
    """If a probe of the store is slow, the next probe is delayed by the same time."""
    outage = extended_outage(None, OUTAGE_ERROR, 5 * NANOS, 1.0, waited_nanoseconds=2 * NANOS)

    assert 7 * NANOS == outage.until


def test_new_store_outage_has_its_last_error_and_slot_for_one_probe() -> None:
    """A new store outage contains the last error, and has room for one probe at a time."""
    first = extended_outage(None, OUTAGE_ERROR, 0, 0.0)
    repeated_error = StorageUnavailable("still gone.")
    second = extended_outage(first, repeated_error, 1, 0.0)

    assert (OUTAGE_ERROR, repeated_error) == (first.error, second.error)
    first.turn.pop()
    assert [None] == second.turn


def test_permits_granted_without_the_store_are_marked_as_local() -> None:
    """Permits and tickets granted without the store are marked as local."""
    answer, wait, permit, tickets = marked_as_local((Answer.GO, 7, PERMIT, (TICKET, TICKET)))

    assert (Answer.GO, 7, PERMIT, (TICKET, TICKET)) == (answer, wait, permit, tickets)
    assert [LocalGrant] * 3 == [type(permit), *map(type, tickets)]
    assert (Answer.LIMITED, 7, None, ()) == marked_as_local((Answer.LIMITED, 7, None, ()))


def returning_commands(permit: Any, tickets: Any) -> list[Command[Any]]:
    """Return all commands that give a permit or tickets back to a store."""
    return [
        Report(GATES, permit, Outcome.FAILED, "a"),
        GiveBack(GATES, tickets),
        Confirm(GATES, tickets, permit),
    ]


def test_commands_on_local_grants_stay_local() -> None:
    """A permit or ticket granted without the store is handled in this process."""
    permit, ticket = LocalGrant(PERMIT), LocalGrant(TICKET)

    assert not any(map(is_local, returning_commands(PERMIT, (TICKET, TICKET))))
    assert all(map(is_local, returning_commands(permit, (ticket, ticket))))
    assert is_local(GiveBack(GATES, (TICKET, ticket)))
    assert is_local(Confirm(GATES, (TICKET, ticket), None))
    assert is_local(Confirm(GATES, (TICKET,), permit))
    other_commands: list[Command[Any]] = [
        Confirm(GATES, (TICKET,), None),
        Admission(GATES, within=0, lease=0),
        Pause(GATES, SECOND),
    ]
    assert [False] * 3 == list(map(is_local, other_commands))


def test_only_limits_and_circuits_have_a_local_fallback() -> None:
    """Without the store, commands that need shared or crash-safe state have no local fallback."""
    request = Admission(GATES, within=0, lease=0)
    local_commands: list[Command[Any]] = [
        request,
        *returning_commands(PERMIT, (TICKET, TICKET)),
        Pause(GATES, SECOND),
        ReadCircuit(RULE, "circuit"),
    ]
    lasting_commands: list[Command[Any]] = [
        request.evolve(claim=("key", 1, "vendor")),
        MarkSent("key", 1, "vendor"),
        release_claim("key", 1, ttl=SECOND),
        SetCircuit(RULE, "circuit", CircuitState.CLOSED),
    ]

    assert all(map(needs_no_store, local_commands))
    assert not any(map(needs_no_store, lasting_commands))


def test_limit_without_a_local_share_needs_the_store() -> None:
    """A limit without a local share needs the store to admit calls, but not to return grants."""
    gates = Gates(
        limits=[RateLimitConfig(1).rule] * 2, limit_keys=["a", "b"], shares=[Fraction(1), None]
    )

    assert not needs_no_store(Admission(gates, within=0, lease=0))
    assert needs_no_store(GiveBack(gates, (TICKET, TICKET)))
    assert needs_no_store(Pause(gates, SECOND))


def count_grants(
    command: Command[Any], seconds: int, store: MemoryStorage, clock: VirtualClock
) -> int:
    """Return the number of calls granted without the store, at twenty requests a second."""
    count = 0
    for _ in range(20 * seconds):
        count += store.execute(with_local_shares(command))[0] is Answer.GO
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
    """Without the store, a limit's rate, burst and quota are scaled by its share."""
    clock = VirtualClock()
    gates = Gates(limits=[config.rule], limit_keys=["k"], shares=[config.share])
    request = Admission(gates, within=0, lease=0)

    assert most - 1 <= count_grants(request, seconds, MemoryStorage(clock), clock) <= most


def test_share_of_burst_is_never_below_one_call_cost_without_store() -> None:
    """A process's share of a burst is never below the cost of one call."""
    config = RateLimitConfig.per_second(8, burst=8, without_store=0.125)
    clock = VirtualClock()
    gates = Gates(limits=[config.rule], limit_keys=["k"], shares=[config.share])

    count = count_grants(
        Admission(gates, within=0, lease=0, costs=(4,)), 16, MemoryStorage(clock), clock
    )

    assert 4 == count


def test_share_commands_use_the_same_share() -> None:
    """Confirming, returning and pausing act on the local share that issued the ticket."""
    config = RateLimitConfig.per_second(8, burst=8, without_store=0.125)
    gates = Gates(limits=[config.rule], limit_keys=["k"], shares=[config.share])
    share = gates.alone()

    limited_commands: list[Command[Any]] = [
        GiveBack(gates, (TICKET,)),
        Confirm(gates, (TICKET,), None),
        Pause(gates, 1),
    ]
    for command in limited_commands:
        other_command: Any = with_local_shares(command)
        assert (type(command), share) == (type(other_command), other_command.gates)
        assert (share.limit_keys, getattr(command, "tickets", None)) == (
            other_command.keys,
            getattr(other_command, "tickets", None),
        )
    for whole_command in (*returning_commands(PERMIT, (TICKET, TICKET)), Pause(GATES, 1)):
        assert whole_command is with_local_shares(whole_command)


@pytest.mark.parametrize("value", ["refuse", 1, 1.0, 0.5, Fraction(1, 3)])
def test_without_store_is_a_fraction_or_refuse(value: Any) -> None:
    """The setting `without_store` is a fraction of the limit, or "refuse" for none."""
    share = RateLimitConfig(1, without_store=value).share

    assert (None if value == "refuse" else Fraction(value)) == share


@pytest.mark.parametrize("value", ["", "go on", 0, -1, 1.5, True, None, math.nan, []])
def test_invalid_without_store_is_refused(value: Any) -> None:
    """`without_store` must be "refuse" or a share."""
    with pytest.raises(ConfigurationError, match=r'Set "refuse", or the share') as excinfo:
        RateLimitConfig(1, without_store=value)

    assert "without_store" == excinfo.value.path


def test_idempotency_claim_has_no_local_fallback() -> None:
    """An idempotency claim has no local fallback, since its effect could happen twice."""
    request = Admission(GATES, within=0, lease=0)
    marking = request.evolve(claim=("claim", 1, "vendor"))

    assert has_substitute(request, "one")
    assert has_substitute(marking, "circuit")
    assert not has_substitute(request, "another")
    assert not has_substitute(marking, "claim")
    assert not has_substitute(release_claim("key", 1, ttl=SECOND), "key")


def test_a_command_is_moved_to_other_keys() -> None:
    """Moving a store command to other keys copies it, and changes only the keys."""
    request = Admission(GATES, within=3, lease=4)
    moved_command: Any = with_other_keys(request, {"one": substitute("one")})

    assert ("circuit", substitute("one"), "two") == moved_command.keys
    assert ("circuit", "one", "two") == request.keys
    assert (GATES, 3, 4, type(request)) == (
        moved_command.gates,
        moved_command.within,
        moved_command.lease,
        type(moved_command),
    )


def test_command_with_a_fallback_waits_three_quarters_of_the_time() -> None:
    """A store command with a fallback waits three quarters of the remaining time, at most 10 s."""
    request = Admission(GATES, within=0, lease=0)

    assert [0.75, 10.0, None] == [
        patience(request, seconds_left) for seconds_left in (1.0, 60.0, None)
    ]


def test_command_without_a_fallback_waits_all_the_time() -> None:
    """A store command without a fallback waits for all the remaining time, at most a minute."""
    claim = release_claim("key", 1, ttl=SECOND)

    assert [1.0, 60.0, None] == [
        patience(claim, seconds_left) for seconds_left in (1.0, 600.0, None)
    ]


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
def test_slow_store_is_not_down(
    waited: float, bound: float | None, silent: float | None, slow: bool
) -> None:
    """A store that still responds to other calls is treated as slow, not as down."""
    nanos = None if silent is None else int(silent * NANOS)

    assert slow is is_slow(int(waited * NANOS), bound, nanos)
