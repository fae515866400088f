"""Tests of `moorage demo` as a newcomer runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moorage.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.untraced
def test_demo_prints_and_writes_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage demo` prints each step, and writes its report to the named file."""
    monkeypatch.setenv("BROWSER", "true")
    page = tmp_path / "day.html"
    assert 0 == main(["demo", "--report", str(page), "--open"])
    assert "1. An order" in capsys.readouterr().out
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_json_output_contains_no_narration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json, standard output is one JSON document; the narration goes to standard error."""
    page = tmp_path / "day.html"
    assert 0 == main(["demo", "--json", "--report", str(page)])
    captured = capsys.readouterr()
    result = json.loads(captured.out)["result"]
    assert [] == result["wrong"]
    assert str(page) == result["report"]
    assert 20 == result["scenes"]["Mail is down"]["effects"]
    assert "1. An order" in captured.err


@pytest.mark.parametrize("page", ["file/day.html", "."])
def test_unwritable_demo_report_is_an_error_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    """If the demo's report cannot be written, the demo does not start."""
    (tmp_path / "file").write_text("in the way")
    assert 2 == main(["demo", "--report", str(tmp_path / page)])
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err
    assert "1. An order" not in captured.out
