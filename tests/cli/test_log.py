"""`moorage log`, run as an operator runs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import IntegrationStatus
from moorage.cli import main
from moorage.testing.kits.integration_log_conformance import entry
from moorage.wiring.store_urls import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "sqlite:///calls.db"


@pytest.fixture
def log() -> Iterator[Any]:
    """A log of two calls, one of them old, and a configuration that names it."""
    Path("moorage.toml").write_text(f'[log]\nurl = "{URL}"\n')
    with open_log(URL, create=True, threads=False) as made:
        now = datetime.now(UTC)
        for number, days in enumerate((90, 0)):
            made.write(attrs.evolve(entry(number), started_at=now - timedelta(days=days)))
        made.flush()
        yield made


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """The JSON result of a command."""
    assert main(["log", *words, "--json"]) == code
    whole = json.loads(capsys.readouterr().out)
    return whole["result"] if whole["ok"] else whole["error"]


@pytest.mark.parametrize(
    "words, expected",
    [
        ((), (1, 0)),
        (("--store", URL), (1, 0)),
        (("--days", "1"), (1,)),
        (("--service", "stripe"), (0,)),
        (("--tenant", "acme"), (1,)),
        (("--status", entry(0).status.name.lower()), (0,)),
        (("--tenant", "nobody"), ()),
    ],
)
def test_calls_are_listed(
    words: tuple[str, ...], expected: tuple[int, ...], log: Any, capsys: Any
) -> None:
    """The newest call comes first, and options choose among them."""
    logged = run(capsys, "list", *words)

    assert [entry(number).id for number in expected] == [call["id"] for call in logged["calls"]]


def test_pages_lead_to_each_other(log: Any, capsys: Any) -> None:
    """A list says how it goes on, to people and to programs."""
    logged = run(capsys, "list", "--limit", "1")
    rest = run(capsys, "list", "--after", logged["next"])
    assert [entry(0).id] == [call["id"] for call in rest["calls"]]
    assert entry(1).status is IntegrationStatus(logged["calls"][0]["status"])

    assert 0 == main(["log", "list", "--limit", "1"])
    assert f"More with --after {logged['next']}." in capsys.readouterr().out
    assert 0 == main(["log", "list", "--tenant", "nobody"])
    assert "nothing" in capsys.readouterr().out


def test_old_calls_are_removed(log: Any, capsys: Any) -> None:
    """Calls older than the given days are removed, and the others stay."""
    assert {"removed": 1} == run(capsys, "remove", "--older-than", "30")
    assert [entry(1).id] == [call["id"] for call in run(capsys, "list")["calls"]]


def test_days_that_lead_to_no_date_are_refused(log: Any, capsys: Any) -> None:
    """A mistake in the number of days removes nothing."""
    error = run(capsys, "remove", "--older-than", "1e12", code=2)
    assert "are too many for a date" in json.dumps(error)


def test_a_log_has_to_be_named(capsys: Any) -> None:
    """Without a log in the configuration the command says where to name it."""
    Path("moorage.toml").write_text("")
    error = run(capsys, "list", code=2)
    assert "under [log]" in json.dumps(error)
