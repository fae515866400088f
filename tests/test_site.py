"""The built site is complete, and its search leads from an error message to its page."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.browser import open_browser
from tests.support.servers import node
from tools import messages, site
from tools.message_sources import HOLE

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEARCH = Path(__file__).parent / "support" / "site_search.js"
_VALUES = ("'vat'", "42", "acme-fr", "/var/x.db")
_FEW_WORDS = 3
_FIRST_WORDS = 8
_SAMPLE = 40

TASKS = {
    "charge once although the worker dies": "explanation/crashes",
    "share one limit between processes": "how-to/stores",
    "swap SendGrid for SES": "how-to/email",
    "change vendor": "how-to/vendors",
    "verify Stripe webhook Flask": "how-to/webhooks",
    "rotate signing secret": "how-to/webhooks",
    "replay dead letters": "how-to/operate-pipelines",
    "own storage adapter": "how-to/own-storage",
    "trace OpenTelemetry": "how-to/observing",
    "alert circuit opens": "how-to/alerts",
    "test without network": "how-to/testing",
    "write own vendor": "how-to/write-a-vendor",
    "time limit batch": "how-to/time-limits",
    "timeout": "how-to/time-limits",
    "receive mail attachments": "how-to/email",
    "validate e-invoice": "how-to/e-invoices",
    "match bank statement": "how-to/bank-files",
    "mirror orders Shopify": "vendors/shopify",
    "add a shard": "how-to/stores",
    "refund payment": "how-to/payments",
    "retry function": "how-to/retry",
    "cache response": "how-to/caching",
    "unknown payment": "how-to/unknown-payments",
    "OAuth token refresh": "how-to/oauth",
    "rate limit per tenant": "how-to/rate-limits",
    "upload file S3": "how-to/storage",
    "track parcel": "how-to/shipping",
    "VAT number check": "how-to/tax",
    "migrate from tenacity": "coming-from",
    "region failover": "how-to/regions",
}
"""What readers look for, and the page that has it."""

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.filterwarnings("ignore:'myst_parser"),  # it uses what Sphinx 11 will remove
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, which the first process of a test run builds for all."""
    pytest.importorskip("sphinx", reason="the site is built for development only")
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent
    folder, last_file = run / "site", run / "site" / "llms.txt"
    with (run / "site.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not last_file.exists():
            site.build(folder, site.sources(), site.navigation())
    return folder


PAGE_KINDS = (
    "index",
    "tutorial",
    "coming-from",
    "troubleshooting",
    "vendor-grades",
    "versions",
    "search",
    "genindex",
    "how-to/retry",
    "how-to/storage",
    "how-to/configuration",
    "vendors/index",
    "vendors/stripe",
    "explanation/speed",
    "explanation/circuit",
    "explanation/security",
    "decisions/0001-decisions-are-recorded",
    "reference/calling",
    "reference/configuration",
    "errors/calls",
)
"""A page of each kind: prose, code, long tables, pictures, the reference and the search."""


class QuietHandler(SimpleHTTPRequestHandler):
    """An HTTP request handler that serves files and writes no log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is overridden
        """Write nothing."""


class Results(NamedTuple):
    """The search results for each query, best first.

    Attributes:
        pages: results of the whole search.
        messages: results among the messages, which stand before all others.
    """

    pages: list[list[str]]
    messages: list[list[str]]


def search_site(folder: Path, pages: Iterable[str], texts: Iterable[str] = ()) -> Results:
    """Return the results of the built site's search for the given texts."""
    queries = json.dumps({"pages": [*pages], "messages": [*texts]})
    command = [node(), str(_SEARCH), str(folder)]
    result = subprocess.run(command, input=queries, capture_output=True, text=True, check=True)
    return Results(**json.loads(result.stdout))


def _row_place(row: messages.Row) -> str:
    return f"{row.subject.path}#{row.anchor}"


def _plain_words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _differ_in_values_only(row: messages.Row, other: messages.Row) -> bool:
    """Return whether two error messages differ only in the values that they contain."""
    return _plain_words(row.text) == _plain_words(other.text)


def _first_words(row: messages.Row) -> str:
    """Return the first words of a message without values; all its text if there are too few."""
    parts = [re.findall(r"\S*\w\S*", part) for part in row.text.split(HOLE)]
    first = next((part for part in parts if len(part) >= _FEW_WORDS), None)
    return _with_values(row) if first is None else " ".join(first[:_FIRST_WORDS])


def _with_values(row: messages.Row) -> str:
    text = row.text
    for number in range(text.count(HOLE)):
        text = text.replace(HOLE, f" {_VALUES[number % len(_VALUES)]} ", 1)
    return text


def _as_raised(row: messages.Row) -> str:
    """Return a message as a traceback shows it, with values, error class and remedy."""
    text = _with_values(row)
    remedy = row.remedies[0] if row.remedies else ""
    return f"moorage.errors.{row.kinds[0]}: payments.charge: {text} {remedy}"


def test_site_builds_without_warnings_and_loads_nothing_from_elsewhere(built: Path) -> None:
    """The site builds without a warning, loads nothing from elsewhere, and has Markdown copies."""
    assert (built / "diagrams" / "circuit.svg").is_file()
    assert "Correct the configuration." in (built / "troubleshooting.html").read_text("utf-8")
    paths = re.findall(r"\]\((.+)\)", (built / "llms.txt").read_text("utf-8"))
    assert [] == [path for path in paths if not (built / path).is_file()]
    pages = {path.with_suffix(".md").relative_to(built) for path in built.rglob("*.html")}
    assert {*map(str, pages)} - {*paths} == {"genindex.md", "search.md"}
    for page in built.rglob("*.html"):
        external_links = re.findall(
            r"<(?:script|link|img)\b[^>]*=.https?:[^>]*>", page.read_text("utf-8")
        )
        assert [] == external_links


@pytest.mark.parametrize("argument", ["--help", "-h", "--strict"])
def test_options_are_not_taken_for_folders(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command-line option is explained or refused, and never taken for the site's folder."""
    with pytest.raises(SystemExit):
        site.main([argument])

    assert "usage: python -m tools.site" in "".join(capsys.readouterr())
    assert not Path(argument).exists()


def test_search_finds_every_error(built: Path) -> None:
    """A search for an error class, alone or in a traceback, finds the error's remedy first."""
    data = json.loads(messages.search_data().removeprefix("var MESSAGES = ").rstrip(";\n"))
    names = data["classes"]
    lines = [f"moorage.errors.{name}: vat: 17" for name in names]

    results = search_site(built, [*names, *lines])

    expected = [f"troubleshooting#{name.lower()}" for name in names]
    assert [*expected, *expected] == [places[0] for places in results.pages]
    text = (built / "troubleshooting.html").read_text("utf-8")
    assert [] == [name for name in names if f'id="{name.lower()}"' not in text]


def test_search_finds_every_message(built: Path) -> None:
    """A search for an error message, even in a traceback, finds its row in the table first."""
    rows = messages.rows()
    rows_by_place = {_row_place(row): row for row in rows}
    beginnings = [_first_words(row) for row in rows]
    tracebacks = [_as_raised(row) for row in rows]

    results = search_site(built, (), [*beginnings, *tracebacks])

    matches = [rows_by_place[places[0]] if places else None for places in results.messages]
    assert [] == [
        (words, row.text, first)
        for words, row, first in zip(beginnings, rows, matches[: len(rows)], strict=True)
        if first is None
        or not (
            _differ_in_values_only(row, first) or _plain_words(words) in _plain_words(first.text)
        )
    ]
    assert [] == [
        (row.text, first)
        for row, first in zip(rows, matches[len(rows) :], strict=True)
        if first is None or not _differ_in_values_only(row, first)
    ]


def test_messages_come_before_pages(built: Path) -> None:
    """The search of the site returns an error message's row first, and the page has this row."""
    rows = messages.rows()[::_SAMPLE]

    results = search_site(built, map(_as_raised, rows), map(_as_raised, rows))

    assert [places[0] for places in results.messages] == [places[0] for places in results.pages]
    texts = {
        subject.path: (built / f"{subject.path}.html").read_text("utf-8")
        for subject in messages.SUBJECTS
    }
    assert [] == [
        row for row in messages.rows() if f'id="{row.anchor}"' not in texts[row.subject.path]
    ]


def test_search_finds_tasks(built: Path) -> None:
    """A reader who searches for a task finds its page among the first two results."""
    results = search_site(built, TASKS)

    assert [] == [
        (task, page, places[:2])
        for (task, page), places in zip(TASKS.items(), results.pages, strict=True)
        if page not in [place.partition("#")[0] for place in places[:2]]
    ]


def test_pages_are_readable(built: Path) -> None:
    """No page has weak contrast, an unnamed control, an error or sideways scrolling."""
    handler = partial(QuietHandler, directory=str(built))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, open_browser() as window:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        try:
            for width, dark in ((360, False), (1280, True)):
                window.look(width=width, dark=dark)
                for page in PAGE_KINDS:
                    window.open(f"http://127.0.0.1:{server.server_port}/{page}.html")
                    assert [] == window.defects(), f"{page} at {width} pixels"
        finally:
            server.shutdown()
