"""The story that `make demo` tells: it runs, and its figures are what they must be."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from demo.__main__ import REPORT, verdict
from demo.telling import Scene

ROOT = Path(__file__).parent.parent

# calls, answered, attempts, arrived, effects
FIGURES = {
    "An order": (6, 6, 6, 6, 3),
    "A declined card": (1, 0, 1, 1, 0),
    "A double click": (3, 3, 1, 1, 1),
    "A lost answer": (1, 1, 2, 2, 1),
    "Mail is down": (40, 20, 23, 20, 20),
    "Mail is back": (2, 2, 2, 2, 2),
    "Too fast": (16, 15, 9, 9, 8),
    "A token expires": (5, 5, 8, 8, 5),
    "News": (0, 0, 0, 0, 0),
    "Another vendor": (5, 5, 5, 5, 1),
    "in all": (79, 57, 57, 54, 41),
}


@pytest.fixture(scope="module", name="told")
def _told() -> str:
    """What the demo prints when nobody sits at a terminal."""
    (ROOT / REPORT).unlink(missing_ok=True)
    story = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
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


def test_it_is_told_alike(told: str) -> None:
    """What is said of each scene is the same whenever it is told."""
    assert "three clicks, charges made: 1" in told
    assert "postmark does it instead" in told
    assert "the circuit of sendgrid is now open" in told
    assert "mailed as sendgrid" in told.partition("6. Mail is back")[2]
    assert "texts that Twilio took: 8" in told
    assert "forged: refused (signature)" in told
    assert "told again: refused (replayed)" in told
    assert "the next label: shippo" in told


def test_no_colour_without_a_terminal(told: str) -> None:
    """Output that goes into a file holds no escape sequences."""
    assert "\033" not in told


class Outside(HTMLParser):
    """Finds what a page would fetch from elsewhere, and counts its dots."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.dots = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        self.dots += tag == "circle"
        self.links += [str(value) for name, value in attrs if name in {"src", "href"}]


def test_a_page_is_left(told: str) -> None:
    """The page with charts needs nothing else, has a dot for each attempt, and keeps no secret."""
    assert str(REPORT) in told
    text = (ROOT / REPORT).read_text("utf-8")
    page = Outside()
    page.feed(text)

    assert [] == page.links
    assert FIGURES["in all"][2] - 3 <= page.dots
    assert all(title in text for title in FIGURES)
    assert [] == re.findall(r"SG\.sandbox|sk_test_\w+|whsec_\w+|paypal-sandbox-secret", text + told)


def test_arrivals_that_differ_are_wrong() -> None:
    """A scene whose attempts are not what arrived is named."""
    scenes = [Scene("fine", attempts=2, arrived=2), Scene("odd", attempts=2, arrived=3)]
    assert ["odd: 2 attempts, but 3 requests arrived."] == verdict(scenes, [])


def test_a_second_effect_is_wrong() -> None:
    """An effect that happened twice is named."""
    assert ["charge 1 was done 2 times."] == verdict([], ["charge 1", "charge 1", "charge 2"])
