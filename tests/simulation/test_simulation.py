"""The protocol under every interleaving and fault that a seed can draw."""

from __future__ import annotations

import os

import pytest

from tests.simulation.entries import check_entries, play_entries
from tests.simulation.planted import BUGS, ENTRY_BUGS, Bug
from tests.simulation.scenario import LawBroken, check, play

pytestmark = pytest.mark.untraced

SCHEDULES = int(os.environ.get("SCHEDULES", "2000"))
PARTS = 8
PATIENCE = 4_000
"""In how many schedules a planted bug must show itself."""


@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_breaks_a_law(part: int) -> None:
    """Whatever fails and interleaves, every law holds, over four workers and two faults or more."""
    for seed in range(part, SCHEDULES, PARTS):
        schedule = play(seed)
        check(schedule)

        assert len(schedule.world.workers) >= 4
        assert schedule.kinds >= 2
        assert schedule.world.steps >= 20


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_is_found(bug: Bug) -> None:
    """The harness would notice: each planted bug breaks a law in some schedule."""
    with bug.planted():
        for seed in range(PATIENCE):
            try:
                check(play(seed))
            except AssertionError:
                # A broken law, or a world that never comes to rest.
                return
    pytest.fail(f"{bug.name} was not found in {PATIENCE} schedules")


@pytest.mark.parametrize("part", range(2))
def test_no_schedule_of_an_outbox_breaks_a_law(part: int) -> None:
    """Whatever clocks of hosts and workers say, and however transactions overlap."""
    for seed in range(part, SCHEDULES, 2):
        check_entries(play_entries(seed))


@pytest.mark.parametrize("bug", ENTRY_BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_of_an_outbox_is_found(bug: Bug) -> None:
    """Each planted bug breaks a law of the outbox in some schedule."""
    with bug.planted():
        for seed in range(PATIENCE):
            try:
                check_entries(play_entries(seed))
            except LawBroken:
                return
    pytest.fail(f"{bug.name} was not found in {PATIENCE} schedules")


def test_a_seed_is_a_run() -> None:
    """The same seed replays the same run, to the letter, and its history can be read."""
    first, second = play(7).world.history, play(7).world.history

    assert first == second
    assert any("Admission" in line for line in first)


def _check_all() -> None:
    for seed in range(PATIENCE):
        check(play(seed))


def test_a_broken_law_tells_its_story() -> None:
    """Who meets a broken law is given the seed, the law, and everything that led to it."""
    bug = next(bug for bug in BUGS if bug.name == "unknown_is_taken_again")

    with bug.planted(), pytest.raises(LawBroken) as caught:
        _check_all()

    headline, *story = str(caught.value).splitlines()
    assert headline.startswith("seed ")
    assert "one_effect_per_key" in headline
    assert any(" hears " in line for line in story)
