"""Steps outlive the processes that start them, and are found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage import ConfigurationError, ConnectorManager, OutcomeUnknown, Secret, Service
from moorage.adapters.steps.local import LocalPlatform
from moorage.domain.steps.result import StepOutcome
from moorage.domain.steps.runs import RunPhase, RunSpec
from moorage.domain.steps.step import Step, run_name
from moorage.hub.step_connector_sync import StepConnector
from moorage.wiring.store_urls import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.steps.runs import RunStatus

WORKER = Path(__file__).with_name("step_worker.py")
ROOT = Path(__file__).parents[2]


def worker(folder: Path, script: str, timeout: float = 120.0) -> subprocess.Popen[str]:
    """Start a process that runs a step."""
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(folder), script, str(timeout)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for at most two minutes."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Return whether a process is running."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_key_finds_same_run_with_its_exit_code_and_each_line_once_after_kill(
    tmp_path: Path,
) -> None:
    """After kill -9, the key leads to the same run, with its exit code and each line once."""
    # The step waits after each thousand lines, so that it has not ended when its program is killed.
    script = (
        "i=1; while [ $i -le 3000 ]; do echo line $i; echo error $i >&2;"
        f" if [ $((i % 1000)) -eq 0 ]; then until [ -e {tmp_path}/go$i ]; do sleep 0.05; done; fi;"
        " i=$((i+1)); [ $((i % 100)) -eq 0 ] && sleep 0.05; done; exit 42"
    )
    runs = tmp_path / "runs"
    name = run_name("steps", None, "job-1")
    pids: set[str] = set()
    for last_line in (1000, 2000, 3000):
        process = worker(tmp_path, script)
        log = tmp_path / "log" / "stdout.log"
        before = log.stat().st_size if log.exists() else 0
        wait_until(lambda: log.exists() and log.stat().st_size > before)  # noqa: B023 - called at once
        process.kill()
        process.communicate()
        pids.add((runs / name / "started").read_text())
        (tmp_path / f"go{last_line}").touch()

    output, errors = worker(tmp_path, script).communicate(timeout=120)

    assert "42 failure" in output, errors
    assert 1 == len(pids)
    for stream, word in (("stdout", "line"), ("stderr", "error")):
        lines = (tmp_path / "log" / f"{stream}.log").read_text().splitlines()
        assert [f"{word} {number}" for number in range(1, 3001)] == lines


def test_many_concurrent_starts_with_one_key_start_one_step(tmp_path: Path) -> None:
    """Many concurrent starts with one idempotency key, in several processes, start one step."""
    counter = tmp_path / "counter"
    processes = [worker(tmp_path, f"echo x >> {counter}; sleep 1; exit 3") for _ in range(10)]

    outputs = {process.communicate(timeout=120)[0] for process in processes}

    assert "x\n" == counter.read_text()
    assert 1 == len(outputs)
    assert "3 failure" in outputs.pop()


def test_limit_ends_a_step_whose_starter_was_killed(tmp_path: Path) -> None:
    """The platform ends a step and its child processes at the limit if the starter was killed."""
    note = tmp_path / "pids"
    script = (
        f"trap '' TERM; setsid sleep 1000 & echo $! > {note}; echo $$ >> {note};"
        " while :; do sleep 1; done"
    )
    process = worker(tmp_path, script, timeout=3.0)
    wait_until(lambda: note.exists() and 2 == len(note.read_text().split()))
    process.kill()
    process.communicate()
    platform = LocalPlatform(tmp_path / "runs")
    pids = [int(pid) for pid in note.read_text().split()]
    wait_until(lambda: platform.runs(5.0)[0].is_over)

    output, _ = worker(tmp_path, script, timeout=3.0).communicate(timeout=120)

    assert output.startswith("137 deadline")
    assert [False, False] == [is_alive(pid) for pid in pids]


def test_killed_supervisor_is_an_unknown_outcome(tmp_path: Path) -> None:
    """If a step's supervisor is killed, the step's outcome is unknown, and it is not repeated.

    Its secrets are removed.
    """
    counter, platform = tmp_path / "counter", LocalPlatform(tmp_path / "runs")
    manager = ConnectorManager([Service("steps")])
    connector = StepConnector(platform, manager)
    step = Step("job", ["sh", "-c", f"echo $$ >> {counter}; exec sleep 1000"])
    secrets = {"TOKEN": Secret("tok_4f1c")}
    spec = RunSpec(name=run_name("steps", None, "k"), step=step, secrets=secrets)
    pid = platform.start(spec, 30.0).metadata["pid"]
    wait_until(counter.exists)
    wait_until(lambda: counter.read_text().endswith("\n"))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: RunPhase.LOST is platform.runs(5.0)[0].phase)

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            connector.execute_step(step, idempotency_key="k")

    assert [] == list((tmp_path / "runs").rglob("TOKEN"))
    wait_until(lambda: not is_alive(int(counter.read_text())))
    assert 1 == len(counter.read_text().split())


def test_stopped_step_is_cancelled(tmp_path: Path) -> None:
    """Anyone with the idempotency key can stop a step, and its followers get a stopped result."""
    process = worker(tmp_path, "echo begun; sleep 1000")
    wait_until((tmp_path / "log" / "stdout.log").exists)
    manager = ConnectorManager([Service("steps")])
    connector = StepConnector(LocalPlatform(tmp_path / "runs"), manager)

    assert connector.stop("job-1", grace=5.0)

    assert "143 cancelled" in process.communicate(timeout=120)[0]
    assert not connector.stop("job-1")


def test_janitor_stops_orphans_only(tmp_path: Path) -> None:
    """The janitor stops a run whose follower was killed, and no run that is still followed."""
    orphan = worker(tmp_path, "echo begun; sleep 1000", timeout=1000.0)
    wait_until((tmp_path / "log" / "stdout.log").exists)
    state = open_storage(f"sqlite:///{tmp_path}/state.db")
    platform = LocalPlatform(tmp_path / "runs")
    connector = StepConnector(platform, ConnectorManager([Service("steps")], state=state))

    def is_followed() -> bool:
        lease = connector._lease(run_name("steps", None, "job-1"))  # noqa: SLF001 - as a follower
        is_acquired = lease.acquire()
        lease.release()
        return not is_acquired

    wait_until(is_followed)

    assert () == connector.clean_up(after=0.0)
    assert not platform.runs(5.0)[0].is_over

    orphan.kill()
    orphan.communicate()
    stopped: list[RunStatus] = []

    def has_stopped() -> bool:
        stopped.extend(connector.clean_up(after=0.0))
        return bool(stopped)

    wait_until(has_stopped)

    assert [run_name("steps", None, "job-1")] == [status.name for status in stopped]
    wait_until(lambda: platform.runs(5.0)[0].is_over)
    assert "143 cancelled" in worker(tmp_path, "echo begun; sleep 1000", 1000.0).communicate()[0]


def test_runs_that_belong_to_another_store_are_left_alone(tmp_path: Path) -> None:
    """The janitor leaves runs that belong to another store alone."""
    platform = LocalPlatform(tmp_path / "runs")
    spec = RunSpec(name="other", step=Step("job", ["sleep", "1000"]), labels={"store": "another"})
    platform.start(spec, 30.0)
    state = open_storage(f"sqlite:///{tmp_path}/state.db")
    connector = StepConnector(platform, ConnectorManager([Service("steps")], state=state))

    assert () == connector.clean_up(after=0.0)

    platform.stop("other", 0.0, 5.0)
    wait_until(lambda: platform.runs(5.0)[0].is_over)


def test_janitor_needs_a_shared_store(tmp_path: Path) -> None:
    """The janitor refuses to work with a store that only this process can see."""
    connector = StepConnector(LocalPlatform(tmp_path), ConnectorManager([Service("steps")]))

    with pytest.raises(ConfigurationError, match="memory of this process"):
        connector.clean_up()


def test_outcomes_are_named() -> None:
    """Results are stored with fixed names for the outcomes of a step."""
    assert {"success", "failure", "cancelled", "deadline"} == {item.value for item in StepOutcome}
