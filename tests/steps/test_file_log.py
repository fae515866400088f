"""A step's output in files: each line once, even after an interrupted write."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.steps.file_log import FileLog
from moorage.domain.steps.following import FollowedRun
from moorage.domain.steps.log_lines import TAIL, LogLine, OutputTail
from moorage.domain.steps.runs import LogChunk

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType


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


def test_cost_of_short_lines_is_that_of_their_part(tmp_path: Path) -> None:
    """No Python function runs for each line, because a step may write a hundred million lines."""
    log, run, calls = FileLog(tmp_path), FollowedRun([b"tok-16180339"], {}), 0
    content = b"line\n" * 10_000

    def count_call(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count_call)
    try:
        log.write(run.take("stdout", LogChunk(content, "", is_last=True)))
    finally:
        sys.setprofile(None)

    assert content == log.path("stdout").read_bytes()
    assert calls < 500


@given(
    batches=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1, 100, TAIL // 2, TAIL - 1, TAIL, TAIL + 1]), st.booleans()
            ),
            max_size=4,
        ),
        max_size=5,
    )
)
def test_end_of_an_output_does_not_depend_on_its_parts(
    batches: list[list[tuple[int, bool]]],
) -> None:
    """The end of an output is that of its bytes, however many lines arrive at once."""
    lines = [
        [LogLine("stdout", number, b"%d" % number * size, is_whole) for size, is_whole in batch]
        for number, batch in enumerate(batches)
    ]
    content = b"".join(
        line.data + b"\n" * line.is_whole for batch in lines for line in batch
    ).decode()
    tail = OutputTail()
    for batch in lines:
        tail.add(batch)

    assert content[-TAIL:] == tail.text()
    assert (len(content) > TAIL) == tail.is_cut
