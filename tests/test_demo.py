"""The story that `make demo` tells: it runs, and its figures are what they must be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.__main__ import verdict
from demo.telling import Scene

ROOT = Path(__file__).parent.parent

# calls, answered, attempts, reached the vendor, effects
FIGURES = {
    "A calm day": (3, 3, 3, 3, 0),
    "A hiccup": (1, 1, 3, 3, 0),
    "Too fast": (4, 4, 5, 5, 0),
    "An outage": (102, 0, 4, 4, 0),
    "The way back": (4, 2, 2, 2, 0),
    "A double click": (4, 3, 1, 1, 1),
    "A lost answer": (1, 1, 2, 2, 1),
    "Lost for good": (4, 2, 2, 2, 1),
    "in all": (123, 16, 22, 22, 3),
}


@pytest.fixture(scope="module", name="told")
def _told() -> str:
    """What the demo prints when nobody sits at a terminal."""
    story = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=False,
    )
    assert (0, "") == (story.returncode, story.stderr), story.stdout + story.stderr
    return story.stdout


@pytest.mark.parametrize("title", FIGURES)
def test_figures(told: str, title: str) -> None:
    """Every scene makes as many calls and attempts as its story says, and no more arrive."""
    row = re.search(rf"^{title} +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", told, re.MULTILINE)
    assert row is not None, told
    assert FIGURES[title] == tuple(map(int, row.groups()))


def test_no_colour_without_a_terminal(told: str) -> None:
    """Output that goes into a file holds no escape sequences."""
    assert "\033" not in told


def test_arrivals_that_differ_are_wrong() -> None:
    """A scene whose attempts are not what arrived is named."""
    scenes = [Scene("fine", attempts=2, reached=2), Scene("odd", attempts=2, reached=3)]
    assert ["odd: 2 attempts, but 3 requests arrived."] == verdict(scenes, [])


def test_a_second_effect_is_wrong() -> None:
    """An effect that happened twice is named."""
    assert ["charge 1 was done 2 times."] == verdict([], ["charge 1", "charge 1", "charge 2"])
