"""`moorage metrics`, run as an operator runs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moorage.cli import main
from moorage.wiring.store_urls import open_metrics
from tests.adapters.metrics_process import finished_call

URL = "sqlite:///metrics.db"


@pytest.fixture
def _stored_metrics() -> None:
    """Write metrics of calls from an hour and a week ago, and a configuration of their store."""
    Path("moorage.toml").write_text(f'[metrics]\nurl = "{URL}"\n')
    now = datetime.now(UTC)
    with open_metrics(URL, create=True, threads=False) as metrics:
        metrics(finished_call(now - timedelta(days=7), service="old", operation=None))
        metrics.flush()
        for number in range(4):
            metrics(
                finished_call(now - timedelta(hours=1), error="VendorFailed" if number else None)
            )
        metrics(finished_call(now - timedelta(hours=1), tenant=None, service="vat", attempts=0))
        metrics(finished_call(now - timedelta(hours=1), service="vat", cancelled=True, attempts=0))


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """Run a command, check its exit code, and return its JSON result."""
    assert main(["metrics", *words, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    return document["result"]["windows"] if document["ok"] else document["error"]


@pytest.mark.usefixtures("_stored_metrics")
@pytest.mark.parametrize(
    "words, expected",
    [
        ((), [("stripe", 4), ("vat", 2)]),
        (("--since", "30d"), [("old", 1), ("stripe", 4), ("vat", 2)]),
        (("--since", "10m"), []),
        (("--service", "vat"), [("vat", 2)]),
        (("--tenant", "acme"), [("stripe", 4), ("vat", 1)]),
        (("--operation", "payments.refund"), []),
        (("--by", ""), [(None, 6)]),
        (("--by", "service,tenant"), [("stripe", 4), ("vat", 1), ("vat", 1)]),
        (("--store", URL, "--by", "tenant"), [(None, 1), (None, 5)]),
    ],
)
def test_options_filter_and_group_the_metrics(
    words: tuple[str, ...], expected: Any, capsys: Any
) -> None:
    """The options of `moorage metrics` filter and group the metrics."""
    windows = run(capsys, *words)

    assert expected == [(window["service"], window["calls"]) for window in windows]


@pytest.mark.usefixtures("_stored_metrics")
def test_json_output_has_outcomes_rates_and_percentiles(capsys: Any) -> None:
    """With --json, each time window has outcomes, rates and percentiles."""
    (window,) = run(capsys, "--service", "stripe", "--window", "1h")

    assert 3_600 == window["seconds"]
    assert (1, 3, 0.25, 4) == (
        window["success"],
        window["failed"],
        window["success_rate"],
        window["attempts"],
    )
    assert pytest.approx(0.5, rel=0.0101) == window["p95"]


@pytest.mark.usefixtures("_stored_metrics")
def test_printed_table_has_a_row_for_each_series_and_window(capsys: Any) -> None:
    """The printed table of metrics has a row for each series and window."""
    assert 0 == main(["metrics"])
    table = capsys.readouterr().out
    assert 0 == main(["metrics", "--window", "1d", "--service", "vat", "--since", "2d"])
    windows = capsys.readouterr().out
    assert 0 == main(["metrics", "--service", "none"])

    assert "stripe   payments.charge  4" in table
    assert "25.00%" in table
    assert windows.startswith("start")
    assert "-" in windows
    assert "nothing\n" == capsys.readouterr().out


@pytest.mark.usefixtures("_stored_metrics")
@pytest.mark.parametrize(
    "words, message",
    [
        (("--since", "yesterday"), "'yesterday' is not a duration"),
        (("--window", "999999d"), "is not a duration"),
        (("--by", "month"), "cannot be grouped by 'month'"),
    ],
)
def test_wrong_options_are_refused(words: tuple[str, ...], message: str, capsys: Any) -> None:
    """The error for a wrong option lists the allowed values."""
    assert main(["metrics", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", '[metrics]\nurl = "memory:"\n'])
def test_shared_metrics_are_needed(text: str, capsys: Any) -> None:
    """Metrics in another process's memory cannot be shown, and the error explains this."""
    Path("moorage.toml").write_text(text)
    assert "--store" == run(capsys, code=2)["path"]
