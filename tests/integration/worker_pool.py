"""A pool of worker processes that run jobs; their reports form a test's history."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Final

import attrs

from tests.integration.store_locations import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.workers import Job

_ROOT: Final = Path(__file__).parents[2]

Report = dict[str, Any]


class WorkerProcess:
    """One worker process, and its reports since its last job began."""

    def __init__(self) -> None:
        self._changed = Condition()
        self.reports: list[Report] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            start_new_session=True,
        )
        self._listening = Thread(target=self._listen, daemon=True)
        self._listening.start()

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def give(self, job: Job) -> None:
        """Send a job to the process, which prepares the job but does not start it."""
        self.reports = []
        self._say(base64.b64encode(pickle.dumps(job)))

    def go(self) -> None:
        """Start the prepared job."""
        self._say(b"go")

    def wait_for(self, what: str, count: int = 1) -> Report:
        """Wait until the process has sent this many reports of a kind; return the last report."""
        return self._wait(lambda: self.reports_of(what)[count - 1 :], what)[0]

    def reports_of(self, what: str) -> list[Report]:
        """Return the reports of one kind."""
        return [report for report in self.reports if report["what"] == what]

    def kill(self) -> None:
        """Kill the process and its children, as `kill -9` does, and read their last reports."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """Wait until the process has ended."""
        self._process.wait(PATIENCE)
        self._listening.join(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]  # as it was started

    def _say(self, line: bytes) -> None:
        pipe = self._process.stdin
        pipe.write(line + b"\n")  # type: ignore[union-attr]  # as it was started
        pipe.flush()  # type: ignore[union-attr]  # as it was started

    def _listen(self) -> None:
        for line in self._process.stdout:  # type: ignore[union-attr]  # as it was started
            with self._changed:
                self.reports.append(json.loads(line))
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._changed.notify_all()

    def _wait(self, reports: Callable[[], list[Report]], what: str) -> list[Report]:
        with self._changed:
            end = time.monotonic() + PATIENCE
            while True:
                for failure in self.reports_of("broke"):
                    raise AssertionError(failure["trace"])
                finished_reports = reports()
                if finished_reports:
                    return finished_reports
                if self._process.poll() is not None:
                    raise AssertionError(f"the process ended before it reported {what!r}.")
                if not self._changed.wait(end - time.monotonic()):
                    raise AssertionError(
                        f"the process did not report {what!r} within {PATIENCE:g} s."
                    )


class WorkerPool:
    """A pool of worker processes that tests reuse, because starting a process is slow."""

    def __init__(self) -> None:
        self._idle: list[WorkerProcess] = []
        self._all: list[WorkerProcess] = []

    def take_idle(self, count: int) -> list[WorkerProcess]:
        """Return this many idle processes, starting new processes if necessary."""
        idle_processes = [self._idle.pop() for _ in range(min(count, len(self._idle)))]
        new_processes = [WorkerProcess() for _ in range(count - len(idle_processes))]
        self._all += new_processes
        return idle_processes + new_processes

    def prepare_workers(self, jobs: list[Job]) -> list[WorkerProcess]:
        """Prepare a worker process for each job, and return them."""
        workers = self.take_idle(len(jobs))
        for number, (worker, job) in enumerate(zip(workers, jobs, strict=True)):
            worker.give(attrs.evolve(job, number=number))
        for worker in workers:
            worker.wait_for("ready")
        return workers

    def work(self, *jobs: Job) -> list[Report]:
        """Run all jobs at the same time.

        Return all reports, with the calls ordered by their start.
        """
        workers = self.prepare_workers(list(jobs))
        for worker in workers:
            worker.go()
        for worker in workers:
            worker.wait_for("done")
        history = [result for worker in workers for result in worker.reports]
        self.give_back(workers)
        return sorted(history, key=lambda result: result.get("asked", 0))

    def give_back(self, workers: list[WorkerProcess]) -> None:
        """Take back processes that have finished."""
        self._idle += workers

    def dismiss(self) -> None:
        """End every process, including those that a failed test left running."""
        for worker in self._all:
            worker.kill()


def calls(history: list[Report]) -> list[Report]:
    """Return only the call reports of a history."""
    return [result for result in history if result["what"] == "call"]
