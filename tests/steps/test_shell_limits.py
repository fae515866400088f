"""A shell in a container enforces a step's time limit in clouds without time limits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import EndReason, RunPhase, RunSpec, RunStatus, Step
from moorage.domain.steps.cloud_runs import CloudRun, CloudRunNote
from moorage.domain.steps.shell_limits import LIMIT_CODE, limited_command, with_shell_limit
from tests.steps.azure_containers_harness import FakeAzure
from tests.steps.ecs_harness import FakeEcs

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = [["sh"], ["busybox", "sh"], ["bash"]]
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def process(
    shell: list[str], script: str, timeout: float = 3000.0, grace: float = 1.0
) -> subprocess.Popen[str]:
    """Start a script in a shell that enforces its limit, in its own process group."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    command = limited_command(Step("x", ["sh", "-c", script], timeout=timeout, grace=grace))
    return subprocess.Popen(
        [*shell, *command[1:]], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def end_processes(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Kill the remaining processes; return the exit code and the rest of the output.

    A container kills what its first process leaves.
    """
    code = process.wait(120)
    os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    return code, output


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("code", [0, 3, 124, 127])
def test_exit_code_is_that_of_the_command(shell: list[str], code: int) -> None:
    """Within the limit, the shell returns the command's exit code and output."""
    running = process(shell, f"echo rows; exit {code}")

    assert (code, "rows\n") == end_processes(running)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_stop_reaches_the_command(shell: list[str]) -> None:
    """SIGTERM is forwarded, and the command can clean up, however often SIGTERM is sent."""
    running = process(
        shell, "trap 'n=1$n; [ $n = 11 ] && exit 9' TERM; while :; do echo; sleep 0.01; done"
    )
    assert running.stdout is not None
    running.stdout.readline()
    while running.poll() is None:
        running.send_signal(signal.SIGTERM)
        running.stdout.read(1)

    code, _ = end_processes(running)
    assert 9 == code


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_limit_kills_the_command(shell: list[str]) -> None:
    """At the limit a command that ignores SIGTERM is killed, and the shell reports it."""
    running = process(shell, "trap '' TERM; while :; do sleep 0.1; done", timeout=0.1)

    assert (LIMIT_CODE, "") == end_processes(running)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_limit_lets_the_command_clean_up(shell: list[str]) -> None:
    """At the limit, a command gets its grace period to clean up, and still counts as timed out."""
    running = process(
        shell, "trap 'echo cleaned; exit 0' TERM; sleep 600 & wait", timeout=0.1, grace=600.0
    )

    assert (LIMIT_CODE, "cleaned\n") == end_processes(running)


@pytest.mark.untraced
@pytest.mark.parametrize("make", [FakeEcs, FakeAzure])
def test_step_whose_starter_is_dead_ends_at_its_limit(make: Any, tmp_path: Path) -> None:
    """A step whose starter is dead ends at its limit, as a timeout."""
    cloud = make(tmp_path)
    step = Step("x", ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], timeout=1, grace=1)
    if make is FakeAzure:
        step = attrs.evolve(step, image="erp:1")
    cloud.platform(shell_limit=True).start(RunSpec(name="run-1", step=step), 30.0)
    while not cloud.host.status("run-1").is_over:
        pass

    status = cloud.platform(shell_limit=True).status("run-1", 30.0)

    assert (RunPhase.ENDED, 137, EndReason.DEADLINE) == (
        status.phase,
        status.exit_code,
        status.reason,
    )
    assert LIMIT_CODE == cloud.platform().status("run-1", 30.0).exit_code


@pytest.mark.parametrize(
    "code, seconds, reason",
    [
        (LIMIT_CODE, 300.0, EndReason.DEADLINE),
        (LIMIT_CODE, 297.0, EndReason.DEADLINE),
        (LIMIT_CODE, None, EndReason.DEADLINE),
        (LIMIT_CODE, 20.0, EndReason.EXITED),
        (1, 400.0, EndReason.EXITED),
    ],
)
def test_early_end_is_no_deadline(code: int, seconds: float | None, reason: EndReason) -> None:
    """If a command itself returns the shell's timeout code early, it did not time out."""
    status = RunStatus(
        name="x",
        phase=RunPhase.ENDED,
        exit_code=code,
        reason=EndReason.EXITED,
        started_at=None if seconds is None else NOW,
        ended_at=NOW + timedelta(seconds=seconds or 0.0),
    )
    note = CloudRunNote.of(RunSpec(name="x", step=Step("x", ["true"], timeout=300.0)))

    run = with_shell_limit(CloudRun(note, status, "place", NOW))

    assert reason is run.status.reason
    assert (137 if reason is EndReason.DEADLINE else code) == run.status.exit_code
