"""Brokers of leases, simulated with every order of steps and every fault that a seed can choose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.resilience import token_leases as leases
from tests.simulation.leases import LeaseSimulation, broken_law

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.untraced

SCHEDULES = int(os.environ.get("SCHEDULES", "400")) // 10
PATIENCE = 60
"""The number of schedules within which a planted bug must break a law."""


def law_broken_by(seed: int) -> str | None:
    """Return the law that a schedule breaks."""
    simulation = LeaseSimulation(seed)
    simulation.run()
    return broken_law(simulation)


@pytest.mark.parametrize("part", range(4))
def test_no_schedule_breaks_a_law(part: int) -> None:
    """Whatever fails, no window has more calls than its limit, and each call is answered."""
    faults: set[str] = set()
    for seed in range(part, SCHEDULES, 4):
        simulation = LeaseSimulation(seed)
        simulation.run()

        assert broken_law(simulation) is None, f"seed {seed}"
        assert simulation.uses
        faults |= simulation.faults
    assert {"killed", "left", "lost", "paused"} == faults


def _tokens_that_stay(right: Callable[..., Any]) -> Callable[..., Any]:
    """Planted bug: tokens may be used for ten times the length of a lease."""

    def after_grant(lease: Any, number: int, sent: int, now: int, most: int) -> Any:
        return right(lease, number, sent + 9 * leases.LEASE, now, most)

    return after_grant


def _tokens_used_twice(right: Callable[..., Any]) -> Callable[..., Any]:
    """Planted bug: the tokens that the store grants are counted twice."""

    def after_grant(lease: Any, number: int, sent: int, now: int, most: int) -> Any:
        return right(lease, 2 * number, sent, now, most)

    return after_grant


def _waits_forgotten(_: Callable[..., Any]) -> Callable[..., Any]:
    """Planted bug: when a call gives up, the broker also forgets the calls that wait behind it."""

    def after_leaving(lease: Any, calls: frozenset[int], now: int, most: int) -> Any:
        waiting = tuple(item for item in lease.waiting if item.call < min(calls))
        return leases.next_step(lease._replace(waiting=waiting), now, most)

    return after_leaving


@pytest.mark.parametrize(
    "name, bug",
    [
        ("after_grant", _tokens_that_stay),
        ("after_grant", _tokens_used_twice),
        ("after_leaving", _waits_forgotten),
    ],
    ids=["tokens stay", "tokens used twice", "waits forgotten"],
)
def test_planted_bug_is_found(
    name: str, bug: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in the decisions of brokers breaks a law in some schedule."""
    monkeypatch.setattr(leases, name, bug(getattr(leases, name)))
    assert any(law_broken_by(seed) for seed in range(PATIENCE))
