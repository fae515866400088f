"""The page of each protection shows its defaults, its recorded runs, and the harm without it."""

from __future__ import annotations

import re

import pytest

from tools.protections import FOLDER, PROTECTIONS, Protection, section
from tools.recorded_runs import CODE, LOGIN, MOORAGE, RUNS, VENDOR, Run, recorded_rows

HARM = "## What goes wrong without it\n"


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda protection: protection.page)
def test_page_ends_with_code_defaults_and_runs(protection: Protection) -> None:
    """A page ends with the code's defaults, which `python -m tools.protections` writes."""
    text = (FOLDER / f"{protection.page}.md").read_text("utf-8")

    assert text.endswith(section(protection))


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda protection: protection.page)
def test_harm_and_cure_are_shown(protection: Protection) -> None:
    """A page runs its program with and without the protection, with different results."""
    text = (FOLDER / f"{protection.page}.md").read_text("utf-8").partition(HARM)[2]
    results = re.findall(r"# → (.+)", text)

    assert len(results) > 1
    assert results[0] != results[-1]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_run_ends_with_the_programs_result(run: Run) -> None:
    """A recorded run lists calls or deliveries, and ends with the result that the program gets."""
    rows = recorded_rows(run)

    assert {CODE, MOORAGE, VENDOR} <= {name for row in rows for name in (row.state, row.then)}
    assert {row.state for row in rows} <= {CODE, MOORAGE, VENDOR, LOGIN}
    assert CODE in (rows[-1].state, rows[-1].then)


def test_each_run_of_protection_has_happy_and_unhappy_recording() -> None:
    """Each run of a protection has a recording of success and one of failure, on one page."""
    names = [name for protection in PROTECTIONS for name in protection.runs]

    assert sorted(run.name for run in RUNS) == sorted(
        f"{name}-{kind}" for name in names for kind in ("happy", "unhappy")
    )
