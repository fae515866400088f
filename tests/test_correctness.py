"""The comparison of moorage and similar libraries under faults, run here for moorage alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import correctness
from benchmarks.correctness import FAULTS, main, sentence
from benchmarks.faults.charges import double_submit, lost_answer
from benchmarks.faults.circuits import cancelled_calls, probe_stampede
from benchmarks.faults.clocks import skewed_clock
from benchmarks.faults.pauses import jitter_at_the_cap
from benchmarks.faults.trial import Observation

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "faults.md"
QUICK = (
    probe_stampede,
    cancelled_calls,
    jitter_at_the_cap,
    lost_answer,
    double_submit,
)
"""The faults that need neither a server nor a wait of seconds."""


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.__name__)
def test_moorage_withstands_the_fault(fault: Callable[[], dict[str, Any]]) -> None:
    """Moorage withstands each fault of the comparison."""
    trials = [trial for library, trial in fault().items() if library.startswith("moorage")]

    assert trials
    for trial in trials:
        observation = trial()
        assert observation.holds, observation.text


def test_fault_that_a_library_does_not_withstand_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program prints NO for a library that does not withstand a fault."""

    def broken_rules() -> dict[str, Any]:
        """Return a library that does not withstand the fault."""
        return {"a library": lambda: Observation("it breaks", holds=False)}

    monkeypatch.setattr(correctness, "FAULTS", (broken_rules,))

    assert 0 == main([])
    assert "NO   a library" in capsys.readouterr().out
    assert 2 == main(["nothing"])
    assert "Use: broken_rules." in capsys.readouterr().err


def test_fault_without_its_server_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault whose server is not installed is reported by name, and the other faults are run."""

    def unbroken_rules() -> dict[str, Any]:
        """The page lists each fault with its command, and says that moorage withstands it."""
        return {"a library": lambda: Observation("it works", holds=True)}

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(correctness, "FAULTS", (skewed_clock, unbroken_rules))

    assert 0 == main([])
    text = capsys.readouterr().out
    assert "not run: redis-server was not found. Install Redis.\nunbroken_rules: " in text


def test_page_has_every_fault() -> None:
    """The comparison page shows each fault with its command, and that moorage withstands it."""
    text = PAGE.read_text("utf-8")
    for fault in FAULTS:
        command = f"Run this test: `make correctness FAULTS={fault.__name__}`"
        assert f"{sentence(fault)}\n\n{command}\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| moorage")]
    assert len(rows) >= len(FAULTS)
    assert all(" | yes | " in row for row in rows)
