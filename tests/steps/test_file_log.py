"""A step's output in files: each line once, even after an interrupted write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.steps.file_log import FileLog
from moorage.domain.steps.log_lines import LogLine

if TYPE_CHECKING:
    from pathlib import Path


def test_outputs_have_a_file_each(tmp_path: Path) -> None:
    """Each output has its own file; a long line that comes in pieces gets no added line breaks."""
    log = FileLog(tmp_path / "log")

    log.write([LogLine("stdout", 1, b"one"), LogLine("stderr", 1, b"problem")])
    log.write([LogLine("stdout", 2, b"tw", is_whole=False), LogLine("stdout", 3, b"o")])

    assert b"one\ntwo\n" == log.path("stdout").read_bytes()
    assert b"problem\n" == log.path("stderr").read_bytes()
    assert (2, 1) == (log.position("stdout"), log.position("stderr"))


def test_torn_line_is_removed(tmp_path: Path) -> None:
    """A later process continues after the last complete line, however long the broken one is."""
    log = FileLog(tmp_path)
    log.path("stdout").write_bytes(b"one\ntwo\n" + b"x" * 3_000_000)

    assert 2 == FileLog(tmp_path).position("stdout")
    assert b"one\ntwo\n" == log.path("stdout").read_bytes()
    assert 0 == log.position("stderr")
