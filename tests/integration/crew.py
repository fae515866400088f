"""Processes that work together: they are given jobs, and what they tell is the history."""

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

from tests.integration.places import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.workers import Job

_ROOT: Final = Path(__file__).parents[2]

Told = dict[str, Any]


class Hand:
    """One process, and what it has told since its job began."""

    def __init__(self) -> None:
        self._news = Condition()
        self.told: list[Told] = []
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
        """The number of the process."""
        return self._process.pid

    def give(self, job: Job) -> None:
        """Give it a job, at which it will be ready."""
        self.told = []
        self._say(base64.b64encode(pickle.dumps(job)))

    def go(self) -> None:
        """Have it begin."""
        self._say(b"go")

    def wait_for(self, what: str, count: int = 1) -> Told:
        """Wait until it has told that so often; what it told the last time."""
        return self._wait(lambda: self.of(what)[count - 1 :], what)[0]

    def of(self, what: str) -> list[Told]:
        """All that it told of one kind."""
        return [report for report in self.told if report["what"] == what]

    def kill(self) -> None:
        """Kill it and what it has forked, as `kill -9` does, and hear the last of what it told."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """Wait until it has ended, by whomever."""
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
            with self._news:
                self.told.append(json.loads(line))
                self._news.notify_all()
        self._process.wait()
        with self._news:
            self._news.notify_all()

    def _wait(self, found: Callable[[], list[Told]], what: str) -> list[Told]:
        with self._news:
            end = time.monotonic() + PATIENCE
            while True:
                for broken in self.of("broke"):
                    raise AssertionError(broken["trace"])
                done = found()
                if done:
                    return done
                if self._process.poll() is not None:
                    raise AssertionError(f"the process ended without a word of {what!r}.")
                if not self._news.wait(end - time.monotonic()):
                    raise AssertionError(f"no word of {what!r} within {PATIENCE:g} s.")


class Crew:
    """Processes that are kept from one test to the next, because starting one takes long."""

    def __init__(self) -> None:
        self._idle: list[Hand] = []
        self._all: list[Hand] = []

    def hire(self, count: int) -> list[Hand]:
        """So many processes that have nothing to do."""
        hired = [self._idle.pop() for _ in range(min(count, len(self._idle)))]
        new = [Hand() for _ in range(count - len(hired))]
        self._all += new
        return hired + new

    def ready(self, jobs: list[Job]) -> list[Hand]:
        """A process for each job, all of them ready to begin."""
        hands = self.hire(len(jobs))
        for number, (hand, job) in enumerate(zip(hands, jobs, strict=True)):
            hand.give(attrs.evolve(job, number=number))
        for hand in hands:
            hand.wait_for("ready")
        return hands

    def work(self, *jobs: Job) -> list[Told]:
        """Have all jobs done at once; all that was told, calls in the order in which they began."""
        hands = self.ready(list(jobs))
        for hand in hands:
            hand.go()
        for hand in hands:
            hand.wait_for("done")
        history = [result for hand in hands for result in hand.told]
        self.rest(hands)
        return sorted(history, key=lambda result: result.get("asked", 0))

    def rest(self, hands: list[Hand]) -> None:
        """Take back processes that are done."""
        self._idle += hands

    def dismiss(self) -> None:
        """End every process, those included that a test which failed has left at work."""
        for hand in self._all:
            hand.kill()


def calls(history: list[Told]) -> list[Told]:
    """Only the calls of a history."""
    return [result for result in history if result["what"] == "call"]
