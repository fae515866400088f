"""Runs on git hosts: moorage's notes about them, the ways they end, and their log lines."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import EndReason, RunPhase, RunSpec, Step
from moorage.domain.steps.hosted_runs import (
    HostedRun,
    RunNote,
    exit_code_in,
    hosted_status,
    is_late,
    log_part,
    must_be_killed,
)

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
SPEC = RunSpec(
    name="run-1", step=Step("report", ["a.yml"], timeout=60.0, grace=5.0), labels={"key": "ä <b>"}
)
NOTE = RunNote.of(SPEC, "a.yml", owner="me", now=NOW)
RUN = HostedRun(7, RunPhase.RUNNING, None, None, NOW, None, {"url": "https://x"})
STAMP = re.compile(rb"^T\d ")


def test_note_survives_a_host() -> None:
    """A run's note can be read from a longer text, and has only characters that hosts keep."""
    text = NOTE.changed(run=3, is_late=True).packed()

    assert re.fullmatch(r"[\w:=-]+", text)
    assert NOTE.changed(run=3, is_late=True) == RunNote.unpacked(f"Claim run-1\n\n{text}\n")


@pytest.mark.parametrize(
    "text", ["", "moorage-run:", "moorage-run:!!!", "moorage-run:e30=", "moorage-run:W10="]
)
def test_strings_of_other_programs_are_not_parsed_as_run_notes(text: str) -> None:
    """A string that another program wrote is not parsed as a run note."""
    assert RunNote.unpacked(text) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 5},
        {"labels": ["x"]},
        {"labels": {"key": 5}},
        {"timeout": "60"},
        {"timeout": float("inf")},
        {"grace": -1},
        {"run": "7"},
        {"run": 7.5},
        {"claimed_at": datetime(2030, 1, 2)},  # noqa: DTZ001 - without a zone
    ],
)
def test_notes_with_wrong_types_are_ignored(fields: dict[str, Any]) -> None:
    """A run note whose fields have wrong types is ignored, so reading a run cannot fail."""
    assert RunNote.unpacked(NOTE.changed(**fields).packed()) is None


@pytest.mark.parametrize(
    "texts, code",
    [
        ([], 1),
        (["Process completed with exit code 7."], 7),
        (["\x1b[31;1mERROR: Job failed: exit code 137\n\x1b[0;m"], 137),
        (["ERROR: Job failed: exit status 2"], 2),
        (["Process completed with exit code 3.", "Process completed with exit code 4."], 4),
        (["Process completed with exit code 0."], 1),
        (["the process completed"], 1),
    ],
)
def test_exit_code_is_that_of_the_host(texts: list[str], code: int) -> None:
    """A failed run has the last exit code that its host reports, and never 0."""
    assert code == exit_code_in(texts)


def test_limits_begin_with_the_run() -> None:
    """A run is overdue after its timeout, and has to be killed after its grace period."""
    second = timedelta(seconds=1)

    assert not is_late(NOTE, RUN, NOW + 59 * second)
    assert is_late(NOTE, RUN, NOW + 60 * second)
    assert not must_be_killed(NOTE, RUN, NOW + 64 * second)
    assert must_be_killed(NOTE, RUN, NOW + 65 * second)
    assert not is_late(NOTE, RUN._replace(phase=RunPhase.ENDED), NOW + 99 * second)
    assert not is_late(NOTE, RUN._replace(started_at=None), NOW + 99 * second)


def test_run_cancelled_by_moorage_at_its_limit_timed_out() -> None:
    """A run that moorage cancels at its limit timed out; any other cancelled run was stopped."""
    run = RUN._replace(phase=RunPhase.ENDED, reason=EndReason.STOPPED, exit_code=137)

    assert EndReason.STOPPED is hosted_status(NOTE, run).reason
    assert EndReason.DEADLINE is hosted_status(NOTE.changed(is_late=True), run).reason
    end_status = run._replace(reason=EndReason.EXITED, exit_code=0)
    assert EndReason.EXITED is hosted_status(NOTE.changed(is_late=True), end_status).reason
    phases = [hosted_status(NOTE, None, is_lost=is_lost).phase for is_lost in (False, True)]
    assert [RunPhase.STARTING, RunPhase.LOST] == phases
    assert {"url": "https://x", "number": 7} == dict(hosted_status(NOTE, RUN).metadata)
    assert attrs.asdict(hosted_status(NOTE, None))["labels"] == {"key": "ä <b>"}


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    has_end=st.booleans(),
    size=st.integers(1, 40),
    grown=st.integers(0, 400),
)
def test_parts_of_a_log_are_its_lines(
    lines: list[bytes], *, has_end: bool, size: int, grown: int
) -> None:
    """However a log grows and is cut, its parts are the complete lines without timestamps."""
    log = b"\n".join(b"T1 " + line for line in lines) + (b"\n" if has_end else b"")
    data, end = b"", 0
    while (part := log_part(log[:grown], end, size, STAMP, is_complete=False)).end > end:
        data, end = data + part.data, part.end
    assert not data or data.endswith(b"\n")
    while (part := log_part(log, end, size, STAMP, is_complete=True)).end > end:
        data, end = data + part.data, part.end

    assert len(log) == end
    assert b"\n".join(lines) + (b"\n" if has_end else b"") == data or not lines
