"""`moorage sla`, run as an operator runs it."""

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
OBJECTIVES = """
[[objectives]]
name = "payments"
service = "stripe"
availability = 0.9
latency = 0.8
within = 0.99

[[objectives]]
name = "tenants"
by = ["tenant"]
availability = 0.5
"""


@pytest.fixture
def _stored_metrics() -> None:
    """Write metrics of this month and an earlier one, and a configuration with objectives."""
    Path("moorage.toml").write_text(f'[metrics]\nurl = "{URL}"\n{OBJECTIVES}')
    now = datetime.now(UTC)
    with open_metrics(URL, create=True, threads=False) as metrics:
        metrics(finished_call(now - timedelta(days=70)))
        metrics.flush()
        for number in range(4):
            metrics(finished_call(now, error="VendorFailed" if number == 3 else None))


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """Run a command, check its exit code, and return its JSON result."""
    assert main(["sla", *words, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    return document["result"]["months"] if document["ok"] else document["error"]


@pytest.mark.usefixtures("_stored_metrics")
def test_objectives_are_reported(capsys: Any) -> None:
    """`moorage sla` reports each objective's compliance in each month."""
    this_month = f"{datetime.now(UTC):%Y-%m}"
    payments, tenants = run(capsys, "--months", "1")

    assert (this_month, "payments", "stripe", False) == (
        payments["month"],
        payments["objective"],
        payments["service"],
        payments["met"],
    )
    assert (4, 1, 0.75, False) == tuple(
        payments["availability"][name] for name in ("calls", "bad", "share", "met")
    )
    assert pytest.approx(-1.5) == payments["availability"]["budget_left"]
    assert payments["latency"]["met"]
    assert ("acme", True, None) == (tenants["tenant"], tenants["met"], tenants["latency"])
    assert 4 == len(run(capsys, "--months", "4"))
    assert 4 == len(run(capsys, "--months", "1000"))


@pytest.mark.usefixtures("_stored_metrics")
def test_reports_are_written(capsys: Any) -> None:
    """`moorage sla` prints a table, and writes reports into files."""
    words = ["sla", "--months", "1", "--csv", "sla.csv", "--html", "sla.html"]
    assert 0 == main(words)
    output = capsys.readouterr().out

    assert "payments stripe 4 90 % available 75 % no -150 % 2.50" in " ".join(output.split())
    assert "sla.csv written\nsla.html written\n" in output
    assert "payments,stripe,4,90 % available,75 %,no,-150 %" in Path("sla.csv").read_text()
    assert "<td>-150 %</td>" in Path("sla.html").read_text()
    assert 0o644 == Path("sla.html").stat().st_mode & 0o777


@pytest.mark.usefixtures("_stored_metrics")
def test_a_file_that_cannot_be_written_is_reported(capsys: Any) -> None:
    """If the report cannot be written, the error names the file."""
    assert "none/sla.csv" == run(capsys, "--csv", "none/sla.csv", code=2)["path"]


@pytest.mark.usefixtures("_stored_metrics")
def test_moorage_sla_says_that_no_objective_was_measured_without_recorded_calls(
    capsys: Any,
) -> None:
    """Without recorded calls, `moorage sla` prints that no objective was measured."""
    with open_metrics("sqlite:///empty.db", create=True) as metrics:
        metrics.flush()
        metrics.migrate()
    assert 0 == main(["sla", "--store", "sqlite:///empty.db"])
    assert "nothing\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    "text, path",
    [
        ("", "objectives"),
        ('[[objectives]]\nname = "x"\n', "objectives[0].availability"),
        ('[[objectives]]\nname = "x"\navailability = 1.5\n', "objectives[0].availability"),
        ('[[objectives]]\nname = "x"\nlatency = 1\nby = ["month"]\n', "objectives[0].by"),
        (OBJECTIVES, "--store"),
    ],
)
def test_a_configuration_that_has_no_report(text: str, path: str, capsys: Any) -> None:
    """If no objectives are configured, the error names the configuration section to add."""
    Path("moorage.toml").write_text(text)
    assert run(capsys, code=2)["path"].startswith(path)
