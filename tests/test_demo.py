"""The story that `make demo` tells: it runs, and its figures are what they must be."""

from __future__ import annotations

import importlib
import io
import re
import subprocess
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from moorage import CircuitState, Request, Timeouts
from moorage.demo import tell
from moorage.demo.report import page, write_report
from moorage.demo.story import verdict
from moorage.demo.street import Street, Vendors
from moorage.demo.telling import Narrator, Scene
from moorage.domain.events import AttemptFinished, CircuitChanged
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

# calls, answered, attempts, arrived, effects
FIGURES = {
    "An order": (6, 6, 6, 6, 3),
    "A declined card": (2, 1, 2, 2, 1),
    "A double click": (3, 3, 1, 1, 1),
    "A lost answer": (1, 1, 2, 2, 1),
    "Mail is down": (40, 20, 23, 20, 20),
    "Mail is back": (2, 2, 2, 2, 2),
    "Too fast": (16, 15, 9, 9, 8),
    "A token expires": (5, 5, 8, 8, 5),
    "News": (0, 0, 0, 0, 0),
    "Another vendor": (5, 5, 5, 5, 1),
    "in all": (80, 58, 58, 55, 42),
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Told:
    """What was printed, and the page that was left."""

    def __init__(self, folder: Path) -> None:
        self.report = folder / "reports" / "demo.html"
        self.shown: list[str] = []
        kept = io.BytesIO()
        with redirect_stdout(io.TextIOWrapper(kept, "utf-8", write_through=True)):
            self.wrong = tell(self.report, show=self.shown.append).wrong
            self.text = kept.getvalue().decode()


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("demo"))


@pytest.fixture(name="told")
def _told(whole: Told) -> str:
    """What the demo prints when nobody sits at a terminal."""
    assert () == whole.wrong
    return whole.text


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
    assert "20 mails by postmark" in told
    assert "thank you for your 149.90 EUR" in told
    assert "paid: 4 more orders" in told
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


def test_a_page_is_left(whole: Told, told: str) -> None:
    """The page with charts needs nothing else, has a dot for each attempt, and keeps no secret."""
    assert str(whole.report) in told
    assert [whole.report.as_uri()] == whole.shown
    text = whole.report.read_text("utf-8")
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


def test_it_is_a_module(whole: Told, tmp_path: Path) -> None:
    """`python -m moorage.demo` tells the same, but for the seconds that it took."""
    importlib.import_module("moorage.demo.__main__")
    story = subprocess.run(
        [sys.executable, "-m", "moorage.demo"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (0, "") == (story.returncode, story.stderr), story.stdout + story.stderr
    assert whole.text.partition("\nTold in")[0] == story.stdout.partition("\nTold in")[0]
    assert (tmp_path / "build" / "demo.html").is_file()


def test_a_terminal_has_bold_titles(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal titles stand out, unless its owner wants no colours."""
    narrator = narrating()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    with narrator.scene("Bold", ""):
        pass
    monkeypatch.setenv("NO_COLOR", "1")
    with narrator.scene("Plain", ""):
        pass
    printed = capsys.readouterr().out
    assert "\033[1m1. Bold\033[0m" in printed
    assert "\n2. Plain" in printed


def test_a_row_that_does_not_add_up_is_marked() -> None:
    """Whoever reads the table sees which scene is wrong."""
    narrator = narrating(Scene("fine"), Scene("odd", attempts=2, arrived=3))
    marked = [line for line in narrator.table().splitlines() if "differ" in line]
    assert 1 == len(marked)
    assert marked[0].startswith("odd")


def narrating(*scenes: Scene) -> Narrator:
    """A narrator who has told these scenes."""
    vendors = Vendors()
    return Narrator(vendors, Street(vendors), list(scenes))


def at(seconds: float) -> dict[str, Any]:
    """When and where it happened."""
    return {"service": "post", "operation": "GET", "at": NOON + timedelta(seconds=seconds)}


def test_a_circuit_that_stays_open_is_drawn_to_the_end() -> None:
    """The bar of a circuit that nobody closes reaches to the last attempt."""
    events = [
        CircuitChanged(**at(0), state=CircuitState.CLOSED),
        AttemptFinished(**at(0), attempt=1, duration=0.1, status=500, error="VendorFailed"),
        CircuitChanged(**at(1), state=CircuitState.OPEN),
        CircuitChanged(**at(2), state=CircuitState.HALF_OPEN),
        CircuitChanged(**at(3), state=CircuitState.OPEN),
        AttemptFinished(**at(4), attempt=1, duration=0.1, status=200),
    ]
    narrator = narrating(Scene("An outage", events=list(events)))
    drawn = page(narrator, ["It was done 2 times."])
    bars = re.findall(r"<rect class=open x=([\d.]+) y=\S+ height=18 width=([\d.]+)", drawn)
    assert 2 == len(bars)
    left, wide = map(float, bars[1])
    assert pytest.approx(920, abs=1) == left + wide
    assert "class='verdict wrong'" in drawn


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Whoever names a place where no file can be is told so in a sentence."""
    (tmp_path / "file").write_text("in the way")
    narrator = narrating(Scene("nothing", events=[AttemptFinished(**at(0), attempt=1, duration=0)]))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_report(tmp_path / "file" / "demo.html", narrator, [])


def test_a_file_of_text_will_do(tmp_path: Path) -> None:
    """Output goes wherever it is led, and no browser is opened unasked."""
    kept = io.StringIO()
    with redirect_stdout(kept):
        assert () == tell(tmp_path / "demo.html").wrong
    assert "Told in" in kept.getvalue()


def test_a_street_leads_streams_too() -> None:
    """What is read piece by piece finds its vendor as everything else does."""
    vendors = Vendors()
    with Street(vendors) as street:
        request = Request.get("/v1/charges/ch_1")
        incoming = street.open(request, "https://api.stripe.com/v1/charges/ch_1", Timeouts())
        assert 404 == incoming.status
        incoming.close()
        street.close()
