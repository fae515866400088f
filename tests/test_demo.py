"""The demo runs, and prints the expected numbers of calls and effects."""

from __future__ import annotations

import importlib
import io
import re
import sqlite3
import subprocess
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from html import escape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from moorage import CircuitState, ConnectionFailed, HealthState, Request, Timeouts
from moorage.demo import run_demo
from moorage.demo.local_vendors import LocalNetwork, Vendors
from moorage.demo.narration import DemoScene, Narrator
from moorage.demo.report import page, write_report
from moorage.demo.story import verdict
from moorage.demo.warehouse import StockConnector, StockLink, TakePiece, Warehouse
from moorage.domain.observation.call_events import AttemptFinished
from moorage.domain.observation.events import CircuitChanged
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

# the columns: calls, answered, attempts, arrived, effects
FIGURES = {
    "An order": (6, 6, 6, 6, 3),
    "A declined card": (2, 1, 2, 2, 1),
    "A double click": (3, 3, 1, 1, 1),
    "A lost answer": (1, 1, 2, 2, 1),
    "Mail is down": (40, 20, 23, 20, 20),
    "Mail is back": (2, 2, 2, 2, 2),
    "An alert in a chat": (5, 4, 6, 4, 1),
    "Too fast": (16, 15, 9, 9, 8),
    "A token expires": (5, 5, 8, 8, 5),
    "News": (0, 0, 0, 0, 0),
    "An invoice abroad": (5, 5, 5, 5, 2),
    "A shop's order": (6, 6, 7, 7, 1),
    "An e-invoice": (2, 0, 1, 1, 1),
    "The books": (3, 3, 4, 4, 1),
    "A bank statement": (9, 8, 9, 9, 1),
    "A contract": (5, 5, 5, 5, 2),
    "A removed app": (3, 2, 4, 4, 2),
    "Somebody leaves": (6, 5, 8, 8, 2),
    "A visit": (5, 4, 6, 6, 1),
    "Letters": (5, 4, 4, 4, 0),
    "A database and a queue": (3, 3, 4, 3, 2),
    "A killed program": (1, 1, 0, 0, 1),
    "Another vendor": (5, 5, 5, 5, 1),
    "in all": (138, 108, 121, 115, 59),
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Output:
    """The printed output and the HTML report of one demo run."""

    def __init__(self, folder: Path) -> None:
        self.report = folder / "reports" / "demo.html"
        self.shown: list[str] = []
        buffer = io.BytesIO()
        with redirect_stdout(io.TextIOWrapper(buffer, "utf-8", write_through=True)):
            self.wrong = run_demo(self.report, show=self.shown.append).wrong
            self.text = buffer.getvalue().decode()


@pytest.fixture(scope="module", name="demo_output")
def _full_output(tmp_path_factory: pytest.TempPathFactory) -> Output:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MOORAGE_STATE__URL", f"sqlite:///{folder}/own.db")
        return Output(folder)


@pytest.fixture(name="output")
def _demo_text(demo_output: Output) -> str:
    """Return the text that the demo prints when its output is not a terminal."""
    assert () == demo_output.wrong
    return demo_output.text


def test_demo_ignores_the_store_in_the_environment_variable(demo_output: Output) -> None:
    """The demo leaves the store alone that an environment variable names for moorage."""
    assert not (demo_output.report.parent.parent / "own.db").exists()


@pytest.mark.parametrize("title", FIGURES)
def test_scene_makes_the_expected_attempts(output: str, title: str) -> None:
    """Each scene of the demo has the expected number of calls, attempts, requests and effects."""
    row = re.search(rf"^{title} +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", output, re.MULTILINE)
    assert row is not None, output
    assert FIGURES[title] == tuple(map(int, row.groups()))


def test_output_is_the_same_on_every_run(output: str) -> None:
    """The demo prints the same lines for each scene on every run."""
    assert "three clicks, charges made: 1" in output
    assert "postmark takes over" in output
    assert "the circuit of sendgrid is now open" in output
    assert "20 mails by postmark" in output
    assert "thank you for your 149.90 EUR" in output
    assert "paid: 4 more orders" in output
    assert "mailed as sendgrid" in output.partition("6. Mail is back")[2]
    assert "texts that Twilio accepted: 8" in output
    assert "forged: refused (signature)" in output
    assert "repeated: refused (replayed)" in output
    assert "VAT number valid, 1061.46 EUR by the ECB's rate" in output
    assert "told to the team: 2041" in output
    assert "orders that were imported: 1, over 44.30 EUR" in output
    assert "a webhook reports: delivered" in output
    assert "invoices in the books: 1" in output
    assert "-3.00 EUR: “Fee” is left to a person" in output
    assert "the contract is declined: “The notice period is too long.”" in output
    assert "“Stocktaking at six”: accepted, gone" in output
    assert "still open: entra" in output
    assert "still open after the next run: nothing" in output
    assert "moved to 2031-04-29 09:00:00+02:00" in output
    assert "visits in the calendar: 1" in output
    assert "the next label: shippo" in output


def test_file_output_has_no_escape_sequences(output: str) -> None:
    """The demo's output to a file contains no escape sequences."""
    assert "\033" not in output


class LinkParser(HTMLParser):
    """A parser that collects a page's external links and counts its dots."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.dots = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the links of one element."""
        self.dots += tag == "circle"
        self.links += [str(value) for name, value in attrs if name in {"src", "href"}]


def test_report_is_self_contained_and_holds_no_secret(demo_output: Output, output: str) -> None:
    """The demo's report loads no other file, has a dot for each attempt, and shows no secret."""
    assert str(demo_output.report) in output
    assert [demo_output.report.as_uri()] == demo_output.shown
    text = demo_output.report.read_text("utf-8")
    page = LinkParser()
    page.feed(text)

    assert [] == page.links
    assert FIGURES["in all"][2] - output.count("a new token for") <= page.dots
    assert all(escape(title) in text for title in FIGURES)
    assert [] == re.findall(
        r"SG\.sandbox|sk_test_\w+|whsec_\w+|paypal-sandbox-secret|for-the-\w+-?sandbox|sandbox-only"
        r"|xero-sandbox|docusign-sandbox|berlin-group-sandbox|PRIVATE KEY|APA91b",
        text + output,
    )


def test_verdict_names_scene_whose_attempts_and_requests_differ() -> None:
    """The demo reports a scene in which the numbers of attempts and received requests differ."""
    scenes = [DemoScene("fine", attempts=2, arrived=2), DemoScene("odd", attempts=2, arrived=3)]
    assert ["odd: 2 attempts, but 3 requests arrived."] == verdict(scenes, [])


def test_verdict_names_repeated_effects() -> None:
    """The demo's verdict names an effect that happened twice."""
    assert ["charge 1 happened 2 times."] == verdict([], ["charge 1", "charge 1", "charge 2"])


def test_demo_runs_as_a_module(demo_output: Output, tmp_path: Path) -> None:
    """`python -m moorage.demo` prints the same output, except for its duration."""
    importlib.import_module("moorage.demo.__main__")
    demo = subprocess.run(
        [sys.executable, "-m", "moorage.demo"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=150,
        check=False,
    )
    assert (0, "") == (demo.returncode, demo.stderr), demo.stdout + demo.stderr
    # Two phones get messages at the same time, so the lines about them come in any order.
    expected, actual = (
        sorted(text.partition("\nFinished in")[0].splitlines())
        for text in (demo_output.text, demo.stdout)
    )
    assert expected == actual
    assert (tmp_path / "build" / "demo.html").is_file()


def test_terminal_titles_are_bold_unless_no_color(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The demo prints titles in bold on a terminal, unless NO_COLOR is set."""
    narrator = new_narrator(tmp_path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    with narrator.scene("Bold", ""):
        pass
    monkeypatch.setenv("NO_COLOR", "1")
    with narrator.scene("Plain", ""):
        pass
    printed_text = capsys.readouterr().out
    assert "\033[1m1. Bold\033[0m" in printed_text
    assert "\n2. Plain" in printed_text


def test_table_marks_rows_that_differ(tmp_path: Path) -> None:
    """The demo's table marks a scene in which attempts and received requests differ."""
    narrator = new_narrator(tmp_path, DemoScene("fine"), DemoScene("odd", attempts=2, arrived=3))
    marked_rows = [line for line in narrator.table().splitlines() if "differ" in line]
    assert 1 == len(marked_rows)
    assert marked_rows[0].startswith("odd")


def new_narrator(folder: Path, *scenes: DemoScene) -> Narrator:
    """Return a demo narrator, which prints the given scenes."""
    vendors = Vendors(str(folder))
    return Narrator(vendors, LocalNetwork(vendors), list(scenes))


def event_fields(seconds: float) -> dict[str, Any]:
    """Return the fields that all events have."""
    return {"service": "post", "operation": "GET", "at": NOON + timedelta(seconds=seconds)}


def test_open_circuit_bar_reaches_the_last_attempt(tmp_path: Path) -> None:
    """In the demo's report, the bar of an open circuit ends at the last attempt."""
    events = [
        CircuitChanged(**event_fields(0), state=CircuitState.CLOSED),
        AttemptFinished(
            **event_fields(0), attempt=1, duration=0.1, status=500, error="VendorFailed"
        ),
        CircuitChanged(**event_fields(1), state=CircuitState.OPEN),
        CircuitChanged(**event_fields(2), state=CircuitState.HALF_OPEN),
        CircuitChanged(**event_fields(3), state=CircuitState.OPEN),
        AttemptFinished(**event_fields(4), attempt=1, duration=0.1, status=200),
    ]
    narrator = new_narrator(tmp_path, DemoScene("An outage", events=list(events)))
    drawn_page = page(narrator, ["It was done 2 times."])
    bars = re.findall(r"<rect class=open x=([\d.]+) y=\S+ height=18 width=([\d.]+)", drawn_page)
    assert 2 == len(bars)
    bar_start, width = map(float, bars[1])
    assert pytest.approx(920, abs=1) == bar_start + width
    assert "class='verdict wrong'" in drawn_page


def test_unwritable_report_is_an_error(tmp_path: Path) -> None:
    """A report path that is no longer writable at the end raises a ConfigurationError."""
    (tmp_path / "file").write_text("in the way")
    narrator = new_narrator(
        tmp_path,
        DemoScene("nothing", events=[AttemptFinished(**event_fields(0), attempt=1, duration=0)]),
    )
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_report(tmp_path / "file" / "demo.html", narrator, [])


def test_output_goes_to_any_text_file(tmp_path: Path) -> None:
    """The demo's output follows a redirected standard output, and opens no browser."""
    output = io.StringIO()
    with redirect_stdout(output):
        assert () == run_demo(tmp_path / "demo.html").wrong
    assert "Finished in" in output.getvalue()


def test_streamed_request_reaches_its_local_vendor(tmp_path: Path) -> None:
    """In the demo, a streamed request reaches its local vendor."""
    vendors = Vendors(str(tmp_path))
    with LocalNetwork(vendors) as network:
        request = Request.get("/v1/charges/ch_1")
        incoming = network.open(request, "https://api.stripe.com/v1/charges/ch_1", Timeouts())
        assert 404 == incoming.status
        incoming.close()
        network.close()


def test_locked_warehouse_is_a_connection_failure(tmp_path: Path) -> None:
    """The demo's warehouse is a healthy connector; a locked database is a connection failure."""
    warehouse = Warehouse(str(tmp_path))
    connector = StockConnector(warehouse)
    connector.open(1.0)

    assert HealthState.HEALTHY is connector.health(1.0).state
    assert (1, 1) == (connector.statistics().created, connector.statistics().idle)
    take = TakePiece(warehouse, "lamp")
    assert take.translate_error(sqlite3.OperationalError("no such table: stock")) is None
    holder = StockLink(warehouse.path)
    holder.database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked") as excinfo:
        warehouse.take("lamp", 1.0)
    failure = take.translate_error(excinfo.value)
    assert isinstance(failure, ConnectionFailed)
    assert not failure.may_have_been_processed
    holder.close()
    connector.close()
    assert not holder.is_connected()
