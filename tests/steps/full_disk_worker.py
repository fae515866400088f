"""A program that runs local steps on a small disk that is full, and prints what happens.

It runs in a mount namespace of its own, in which it mounts the disk. Arguments: the situation, and
an empty folder for the disk.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from moorage import ConnectionFailed, ConnectorManager, Secret, Service, StorageUnavailable
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.adapters.steps.local import LocalPlatform
from moorage.domain.steps.result import ExecutionResult
from moorage.domain.steps.runs import RunSpec
from moorage.domain.steps.step import Step
from moorage.hub.step_connector_sync import StepConnector

SITUATION, DISK = sys.argv[1], Path(sys.argv[2])
PAGE = 4096
MOUNT = ("mount", "-t", "tmpfs", "-o", "size=400k", "steps")
FILL = f"head -c 9000000 /dev/zero > {DISK}/filling"


def execute(script: str, state: Path) -> ExecutionResult:
    """Run a step with one key."""
    manager = ConnectorManager([Service("steps")], state=SqliteStorage(state))
    connector = StepConnector(LocalPlatform(DISK / "runs"), manager)
    return connector.execute_step(Step("job", ["sh", "-c", script]), idempotency_key="job-1")


def show(*values: object) -> None:
    """Print values in a line."""
    sys.stdout.write(" ".join(map(str, values)) + "\n")


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for at most a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.02)


def run_step_that_fills_disk() -> None:
    """Print the exit code of a step that fills the disk with the runs."""
    show(execute(f"{FILL}; exit 5", DISK.parent / "state.db").exit_code)


def stop_step_that_fills_disk() -> None:
    """Stop a step that fills the disk with the runs, and print the reason of its end."""
    platform = LocalPlatform(DISK / "runs")
    step = Step("job", ["sh", "-c", f"{FILL}; touch {DISK}/full; sleep 1000"])
    platform.start(RunSpec(name="run", step=step), 30.0)
    wait_until((DISK / "full").exists)
    platform.stop("run", 5.0, 5.0)

    def is_over() -> bool:
        status = platform.status("run", 5.0)
        return status is not None and status.is_over

    wait_until(is_over)
    status = platform.status("run", 5.0)
    assert status is not None
    show(status.reason, status.exit_code)


def start_with_little_space() -> None:
    """Start steps with a secret while a few pages are free, and print where the secret stays."""
    platform, file = LocalPlatform(DISK / "runs"), DISK / "filling"
    for free in range(12):
        with suppress(OSError), file.open("wb", buffering=0) as filling:
            while True:
                filling.write(bytes(PAGE))
        os.truncate(file, file.stat().st_size - free * PAGE)
        step = Step("job", ["sh", "-c", f"echo 1 >> {DISK.parent}/runs-{free}"])
        spec = RunSpec(name=f"run-{free}", step=step, secrets={"TOKEN": Secret("tok_4f1c")})
        try:
            platform.start(spec, 30.0)
        except ConnectionFailed:
            secrets = [path for path in DISK.rglob("*/secrets/*") if path.stat().st_size]
            show("refused", len(secrets))
            file.unlink()
            platform.start(spec, 30.0)
        wait_until((DISK.parent / f"runs-{free}").exists)
        file.unlink(missing_ok=True)
    show("begun", sum(len(path.read_text().split()) for path in DISK.parent.glob("runs-*")))


def store_result_without_space() -> None:
    """Print the error of a step whose result cannot be stored, and the result of the next call."""
    effects = DISK.parent / "effects"
    script = f"echo 1 >> {effects}; {FILL}; head -c 60000 /dev/zero | tr '\\0' x; exit 4"
    state = DISK / "state.db"
    try:
        execute(script, state)
    except StorageUnavailable as error:
        show(error.may_have_been_processed)
    (DISK / "filling").unlink()
    show(execute(script, state).exit_code, effects.read_text().split())


SITUATIONS: dict[str, Callable[[], None]] = {
    "exit": run_step_that_fills_disk,
    "stop": stop_step_that_fills_disk,
    "start": start_with_little_space,
    "store": store_result_without_space,
}

if __name__ == "__main__":
    subprocess.run([*MOUNT, str(DISK)], check=True)
    SITUATIONS[SITUATION]()
