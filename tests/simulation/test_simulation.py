"""The call protocol, simulated with every order of steps and every fault that a seed can choose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulation.entries import check_entries, play_entries
from tests.simulation.planted import BUGS, ENTRY_BUGS, SHARD_BUGS, PlantedBug
from tests.simulation.scenario import LawBroken, check, simulate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

pytestmark = pytest.mark.untraced

SCHEDULES = int(os.environ.get("SCHEDULES", "400"))
PARTS = 8
PATIENCE = 4_000
"""The number of schedules within which a planted bug must break a law."""
SHOWN: Mapping[str, int] = {
    "lease_never_expires": 508,
    "time_lost_on_cancel": 171,
    "leases_cleared_on_opening": 1089,
    "sent_is_not_marked": 324,
    "woken_without_asking": 383,
    "deadline_is_per_attempt": 202,
    "listed_entries_are_claimed_without_check": 3230,
}
"""Schedules in which bugs that most schedules hide have shown themselves: these are tried first."""


def _schedules(bug: PlantedBug) -> Iterable[int]:
    """Return the number of schedules to search for a planted bug."""
    return (SHOWN.get(bug.name, 0), *range(PATIENCE))


@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_breaks_a_law(part: int) -> None:
    """With four workers and at least two kinds of fault, every schedule keeps every law."""
    for seed in range(part, SCHEDULES, PARTS):
        schedule = simulate(seed)
        check(schedule)

        assert len(schedule.simulation.workers) >= 4
        assert schedule.kinds >= 2
        assert schedule.simulation.steps >= 20


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_is_found(bug: PlantedBug) -> None:
    """Each bug planted in the call protocol breaks a law in some schedule."""
    with bug.planted():
        for seed in _schedules(bug):
            try:
                check(simulate(seed))
            except AssertionError:
                # A law was broken, or the simulation did not end.
                return
    pytest.fail(f"{bug.name} was not found in {PATIENCE} schedules")


@pytest.mark.parametrize("part", range(2))
def test_no_schedule_of_an_outbox_breaks_a_law(part: int) -> None:
    """With different clocks and overlapping transactions, every schedule keeps every outbox law."""
    for seed in range(part, SCHEDULES, 2):
        check_entries(play_entries(seed))


@pytest.mark.parametrize("bug", ENTRY_BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_of_an_outbox_is_found(bug: PlantedBug) -> None:
    """Each bug planted in the outbox breaks a law in some schedule."""
    with bug.planted():
        for seed in _schedules(bug):
            try:
                check_entries(play_entries(seed))
            except LawBroken:
                return
    pytest.fail(f"{bug.name} was not found in {PATIENCE} schedules")


def test_planted_bugs_replace_what_exists() -> None:
    """Each planted bug patches only attributes that exist, and restores them afterwards."""
    for bug in (*BUGS, *ENTRY_BUGS, *SHARD_BUGS):
        originals: dict[tuple[Any, str], object] = {}

        def look(
            owner: Any, name: str, _: object, originals: dict[tuple[Any, str], object] = originals
        ) -> None:
            originals[owner, name] = getattr(owner, name)

        bug.plant(look)
        with bug.planted():
            changed = [getattr(*place) is not value for place, value in originals.items()]
        restored = [getattr(*place) is value for place, value in originals.items()]

        assert originals, bug.name
        assert all(changed), bug.name
        assert all(restored), bug.name


def test_seed_is_reproducible() -> None:
    """A simulation with the same seed repeats the same run exactly, with a readable history."""
    first, second = simulate(7).simulation.history, simulate(7).simulation.history

    assert first == second
    assert any("Admission" in line for line in first)


def _check_all(bug: PlantedBug) -> None:
    for seed in _schedules(bug):
        check(simulate(seed))


def test_broken_law_has_its_history() -> None:
    """The error for a broken law names the seed, the law and all earlier events."""
    bug = next(bug for bug in BUGS if bug.name == "unknown_is_taken_again")

    with bug.planted(), pytest.raises(LawBroken) as excinfo:
        _check_all(bug)

    headline, *history_lines = str(excinfo.value).splitlines()
    assert headline.startswith("seed ")
    assert "one_effect_per_key" in headline
    assert any(" hears " in line for line in history_lines)


@pytest.mark.parametrize("part", range(4))
def test_no_schedule_over_shards_breaks_a_law(part: int) -> None:
    """Although some processes do not know a new shard and limits are split, no law is broken."""
    spread_schedules = moved_keys = schedules_in_parts = 0
    for seed in range(part, SCHEDULES, 4):
        schedule = simulate(seed, is_spread=True)
        check(schedule)

        store = schedule.simulation.store
        spread_schedules += len(store.of_shard) > 2
        moved_keys += sum("moved" in state for _, state, _ in store.placed(0))
        schedules_in_parts += any(limit.parts > 1 for limit in schedule.service.limits)
    assert spread_schedules
    assert moved_keys
    assert schedules_in_parts


@pytest.mark.parametrize("bug", SHARD_BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_of_shards_is_found(bug: PlantedBug) -> None:
    """Each bug planted in shards or in the parts of a limit breaks a law in some schedule."""
    with bug.planted():
        for seed in _schedules(bug):
            try:
                check(simulate(seed, is_spread=True))
            except LawBroken:
                return
    pytest.fail(f"{bug.name} was not found in {PATIENCE} schedules")
