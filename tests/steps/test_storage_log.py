"""A step's output in files of a storage: written while the step runs, each byte once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConfigurationError,
    ConnectionFailed,
    FileNotFound,
    Step,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.steps.log_lines import LogLine
from moorage.domain.steps.log_parts import LogParts, StorageLog
from moorage.domain.steps.result import ExecutionResult, StepOutcome
from moorage.testing import MockPlatform
from tests.steps.step_harness import MODES, executor
from tests.steps.test_step_files import AsyncFiles
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.domain.steps.runs import RunStatus

LOG = StorageLog("logs/night", size=10, seconds=5.0)
STEP = Step("night", ["make"])


class Storage:
    """A storage in memory.

    Attributes:
        contents: the files by their keys.
        tenants: the tenants whose files were written.
        wrote: called after each write with the key.
    """

    def __init__(self, wrote: Callable[[str], object] = lambda _: None) -> None:
        self.contents: dict[str, bytes] = {}
        self.tenants: set[str | None] = set()
        self.wrote = wrote

    def read(self, key: str, limit: int, tenant: str | None, /) -> bytes:
        """Return the content of a file."""
        if key not in self.contents:
            raise FileNotFound("There is no such file.")
        return self.contents[key]

    def write(self, key: str, content: bytes, tenant: str | None, /) -> None:
        """Store a file."""
        self.contents[key] = content
        self.tenants.add(tenant)
        self.wrote(key)

    def output(self, stream: str = "stdout") -> bytes:
        """Return the content of all files of stdout or stderr."""
        keys = sorted(key for key in self.contents if f"/{stream}/" in key)
        return b"".join(self.contents[key] for key in keys)


def lines_and_pieces() -> Iterator[LogLine]:
    """Yield log lines: the second comes in pieces, and the last is incomplete."""
    yield LogLine("stdout", 1, b"one")
    for piece in (b"lo", b"ng", b""):
        yield LogLine("stdout", 2, piece, is_whole=False)
    yield LogLine("stdout", 2, b"line")
    yield LogLine("stdout", 3, b"")
    yield LogLine("stdout", 4, b"torn", is_whole=False)


@pytest.mark.parametrize("is_counted", [True, False])
def test_each_byte_is_stored_once_wherever_a_process_dies(*, is_counted: bool) -> None:
    """A follower continues after the stored position, even within a line, and repeats no byte."""
    lines = list(lines_and_pieces())
    for cut in range(len(lines) + 1):
        storage = Storage()
        for last in (cut, len(lines)):
            parts = LogParts(LOG, storage.contents.get(LOG.index))
            position = parts.positions()["stdout"]
            for line in lines[:last]:
                if line.number > position:
                    parts.add([line], 0)
                for stream in parts.due(0, is_end=True):
                    storage.write(*parts.next_file(stream), None)
                    if is_counted or line is not lines[last - 1] or last == len(lines):
                        storage.write(LOG.index, parts.note_written(stream), None)
        assert b"one\nlongline\n\ntorn" == storage.output()


def test_file_is_due_by_size_or_age() -> None:
    """Lines are stored when a file is full, its oldest line is old, or the run has ended."""
    parts = LogParts(LOG, None)
    parts.add([LogLine("stdout", 1, b"1234")], 0)
    parts.add([LogLine("stdout", 2, b"12")], 4_000_000_000)
    parts.add([LogLine("stderr", 1, b"1234567890")], 4_000_000_000)
    assert ["stderr"] == parts.due(4_999_999_999, is_end=False)
    assert ["stdout", "stderr"] == parts.due(5_000_000_000, is_end=False)
    parts.note_written("stderr")
    assert [] == parts.due(4_999_999_999, is_end=False)
    assert ["stdout"] == parts.due(4_999_999_999, is_end=True)
    assert ("logs/night/stdout/000001.log", b"1234\n12\n") == parts.next_file("stdout")
    assert {"stdout": [0, 0, 0], "stderr": [2, 1, 0]} == json.loads(parts.note_written("stderr"))


@pytest.mark.parametrize("mode", MODES)
def test_output_is_stored_while_the_step_runs(mode: str) -> None:
    """Output is stored while the step still runs, and repeating the key adds nothing."""
    result = ExecutionResult.success(stdout="one\ntwo", stderr="problem\n")
    platform = MockPlatform({"night": result}, endless=["night"])

    def end_run(key: str) -> None:
        if key == LOG.index and storage.output() and storage.output("stderr"):
            platform.stop(platform.started[0].name, 0.0, 10.0)

    storage = Storage(end_run)
    log = StorageLog("logs/night", size=1)
    execute = executor(mode, platform, files=storage if mode == "sync" else AsyncFiles(storage))

    step_result = execute(STEP, idempotency_key="k", tenant="acme", log=log)

    assert (StepOutcome.CANCELLED, None) == (
        step_result.outcome,
        step_result.metadata.get("log_error"),
    )
    assert (b"one\ntwo", b"problem\n") == (storage.output(), storage.output("stderr"))
    assert {"acme"} == storage.tenants


@pytest.mark.parametrize("mode", MODES)
def test_log_that_cannot_be_stored_changes_no_result(mode: str) -> None:
    """If the log cannot be stored, or its index is not moorage's, the step still succeeds."""

    def raise_error(key: str) -> None:
        raise VendorFailed("The storage is full.")

    for wrote, index in ((raise_error, b"{}"), (lambda _: None, b"[]")):
        storage = Storage(wrote)
        storage.contents[LOG.index] = index
        platform = MockPlatform(default=ExecutionResult.success(stdout="one\n"))
        files: Any = storage if mode == "sync" else AsyncFiles(storage)
        result = executor(mode, platform, files=files)(STEP, log=LOG)
        assert result.is_success
        assert "the further lines of the step were not written" in result.metadata["log_error"]


@pytest.mark.parametrize("size", [0, -1, 1.5, None])
def test_wrong_sizes_of_log_files_are_refused(size: Any) -> None:
    """The size of a log file must be a positive whole number."""
    with pytest.raises(ConfigurationError):
        StorageLog("logs", size=size)


@pytest.mark.parametrize("mode", MODES)
def test_stored_log_needs_a_storage(mode: str) -> None:
    """Without a storage, a connector refuses to store a log before it starts anything."""
    platform = MockPlatform()
    with pytest.raises(ConfigurationError, match="its connector has none"):
        executor(mode, platform)(STEP, log=LOG)
    assert [] == platform.started


class SilentPlatform(MockPlatform):
    """A platform whose run never ends, and whose status requests fail after a while.

    Attributes:
        looks_left: the number of looks that it still answers.
        failure: raised by the others.
        ends_silence: called with each of these; the platform answers again if it returns True.
    """

    def __init__(self, failure: Exception, ends_silence: Callable[[], bool]) -> None:
        output = ExecutionResult.success(stdout="one\n")
        super().__init__({"night": output}, endless=["night"])
        self.looks_left = 1
        self._failure = failure
        self._ends_silence = ends_silence

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return a run's status; later raise an error, or stop the run once lines are stored."""
        if self.looks_left < 1:
            if not self._ends_silence():
                raise self._failure
            self.stop(name, 0.0, timeout)
            self.looks_left = 100
        self.looks_left -= 1
        return super().status(name, timeout)


@pytest.mark.parametrize("mode", MODES)
def test_lines_are_stored_although_the_platform_is_silent(mode: str) -> None:
    """Lines are stored once they are old, even while the platform fails."""
    storage = Storage()
    silence = ConnectionFailed("It does not answer.")
    platform = SilentPlatform(silence, lambda: storage.output() == b"one\n")
    files: Any = storage if mode == "sync" else AsyncFiles(storage)

    result = executor(mode, platform, files=files)(STEP, log=StorageLog("logs/night", seconds=0.2))

    assert StepOutcome.CANCELLED is result.outcome
    assert b"one\n" == storage.output()


@pytest.mark.parametrize("mode", MODES)
def test_lines_that_were_read_are_stored_before_platform_failure_reaches_caller(mode: str) -> None:
    """Lines that were read are stored before the platform's failure reaches the caller."""
    storage = Storage()
    platform = SilentPlatform(VendorRejected("You may not."), lambda: False)
    files: Any = storage if mode == "sync" else AsyncFiles(storage)

    with pytest.raises(VendorRejected):
        executor(mode, platform, files=files)(STEP, log=StorageLog("logs/night"))

    assert b"one\n" == storage.output()


def test_killed_program_stores_each_line_once(tmp_path: Path) -> None:
    """After each kill -9, the next follower continues after the last stored byte."""
    last = 3000
    # The step waits after each thousand lines, so that it has not ended when its program is killed.
    script = (
        f"i=1; while [ $i -le {last} ]; do echo line $i; echo error $i >&2;"
        f" if [ $((i % 1000)) -eq 0 ]; then until [ -e {tmp_path}/go$i ]; do sleep 0.05; done; fi;"
        " i=$((i+1)); done; exit 42"
    )
    root, program = Path(__file__).parents[2], Path(__file__).with_name("stored_log_worker.py")

    def worker() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(program), str(tmp_path), script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        )

    def stored_log(stream: str) -> bytes:
        paths = sorted((tmp_path / "kept" / "log" / stream).glob("*.log"))
        return b"".join(path.read_bytes() for path in paths)

    for number in range(1000, last + 1, 1000):
        process = worker()
        end = b"line %d\n" % number
        wait_until(lambda: stored_log("stdout").endswith(end), "Its output")  # noqa: B023 - called at once
        process.kill()
        assert -signal.SIGKILL == process.wait(120)
        process.communicate()
        (tmp_path / f"go{number}").touch()

    output, errors = worker().communicate(timeout=120)

    assert "42 None\n" == output, errors
    for stream, word in (("stdout", "line"), ("stderr", "error")):
        lines = [f"{word} {number}\n" for number in range(1, last + 1)]
        assert "".join(lines).encode() == stored_log(stream)
