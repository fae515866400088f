"""A cell of the crash matrix: a call, a crash point, a fault and the result."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import attrs
import psycopg

from tools.crashes import programs
from tools.crashes.cluster import TEMPLATE
from tools.crashes.programs import CaseSite, CrashPoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from tools.crashes.cases import CrashCase
    from tools.crashes.cluster import Cluster

POINTS = (
    "before commit",
    "committed",
    "claimed",
    "sent",
    "answered",
    "settled",
    "renewed",
)
"""The crash points: before and after the host's commit, and the points of the worker."""

FAULTS = ("killed", "stopped", "database", "clock +1 h", "clock -1 h")
"""The faults: SIGKILL; SIGSTOP beyond the lease; PostgreSQL stopped at once; and SIGKILL, after
which the next process has a clock that is an hour wrong.
"""

_HOURS = {"clock +1 h": 1, "clock -1 h": -1}
IN_HOST = POINTS[:2]
BEYOND_LEASE = 1.8
AWAY = 0.5
PATIENCE = 60.0
_fork = get_context("fork")
_numbers = itertools.count()


class CellError(Exception):
    """Raised if a cell of the crash matrix could not be run and so has no result."""


@attrs.frozen
class Outcome:
    """The result of a cell of the crash matrix.

    Attributes:
        effects: the number of times that each effect happened at the vendor.
        states: the states of the entries of the outbox.
        unsettled: the next step to settle each payment with an unknown outcome.
        words: the last errors of the entries.
    """

    effects: Counter[str]
    states: list[str]
    unsettled: list[str]
    words: str

    def verdict(self, case: CrashCase) -> str:
        """The cell's verdict: `once`, `person`, `double`, `lost` or `stuck`."""
        request = any(state in {"unknown", "dead"} for state in self.states)
        request = request or "person" in self.unsettled
        if any(count > 1 for count in self.effects.values()):
            return "double"
        if any(state in {"waiting", "claimed"} for state in self.states) or not self.states:
            return "stuck"
        if request:
            return "person"
        if self.unsettled:
            return "stuck"
        return "once" if self.effects == Counter(case.expected) else "lost"

    def is_right(self, case: CrashCase) -> bool:
        """Return whether each effect happened once, or a person must decide."""
        verdict = self.verdict(case)
        nobody_tells = not case.tells or (case.lists and not self.effects)
        return verdict == "once" or (verdict == "person" and nobody_tells)


class Process:
    """A process of a crash matrix cell, with a connection to the test harness."""

    def __init__(self, program: Callable[..., None], *values: Any) -> None:
        self.connection, peer_connection = _fork.Pipe()
        self.process = _fork.Process(
            target=_start_logging, args=(program, peer_connection, values), daemon=True
        )
        self.process.start()
        peer_connection.close()

    def hear(self) -> Any:
        """Return the process's next message."""
        if not self.connection.poll(PATIENCE):
            raise CellError("a process said nothing")
        try:
            return self.connection.recv()
        except EOFError:
            raise CellError("a process ended early") from None

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def go(self) -> None:
        """Continue the process after its crash point."""
        self.connection.send(True)

    def wait_until_ended(self) -> None:
        """Wait until the process has ended."""
        self.process.join(PATIENCE)
        if self.process.is_alive():
            raise CellError("a process did not end")

    def kill(self) -> None:
        """Kill the process at once."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()


def _start_logging(
    program: Callable[..., None], connection: Connection, values: tuple[Any, ...]
) -> None:
    program(*values, connection)


def _host(site: CaseSite, point: str | None, hours: int, pipe: Connection) -> None:
    programs.host(site, CrashPoint(point, pipe), hours)


def _worker(site: CaseSite, point: str, pipe: Connection) -> None:
    programs.worker(site, CrashPoint(point, pipe))


def _migrate(url: str, _: Connection) -> None:
    programs.migrate(url)


def prepare(cluster: Cluster) -> None:
    """Create the template database that every cell of the crash matrix copies."""
    process = Process(_migrate, cluster.database(TEMPLATE))
    process.wait_until_ended()
    process.kill()


class _Cell:
    """A cell of the crash matrix, which starts its processes one after another."""

    def __init__(self, cluster: Cluster, case: CrashCase, point: str, fault: str) -> None:
        self._cluster = cluster
        self._case = case
        self._point = point
        self._fault = fault
        self._started: list[Process] = []
        self._name = f"cell_{next(_numbers)}"

    def run(self) -> Outcome:
        """Run the cell, and return its result."""
        self._url = self._cluster.database(self._name, TEMPLATE)
        try:
            return self._steps()
        finally:
            for process in reversed(self._started):
                process.kill()
            self._cluster.drop(self._name)

    def _start(self, program: Callable[..., None], *values: Any) -> Process:
        process = Process(program, *values)
        self._started.append(process)
        return process

    def _steps(self) -> Outcome:
        point = self._point
        vendor = self._start(programs.vendor, self._case, point)
        self._site = site = CaseSite(self._case, self._url, *vendor.hear())
        host = self._start(_host, site, point if point in IN_HOST else None, 0)
        if point in IN_HOST:
            self._inject(host, host)
        host.wait_until_ended()
        if not self._has_order():  # the user who ordered tries again
            self._start(_host, site, None, self._hours).wait_until_ended()
        if point not in IN_HOST:
            worker = self._start(_worker, site, point)
            self._inject(worker, vendor if point == "sent" else worker)
            worker.wait_until_ended()
        states, unsettled_payments, words = self._succeed()
        vendor.go()
        return Outcome(vendor.hear(), states, unsettled_payments, words)

    @property
    def _hours(self) -> int:
        return _HOURS.get(self._fault, 0)

    def _inject(self, process: Process, teller: Process) -> None:
        """Wait until the crash point is reached, and cause the fault."""
        if teller.hear() != self._point:
            raise CellError("the crash point was not reached")
        is_waiting = teller is process
        if self._fault == "stopped":
            process.signal(signal.SIGSTOP)
            time.sleep(BEYOND_LEASE)
            if self._point not in IN_HOST:
                self._succeed()
            process.signal(signal.SIGCONT)
        elif self._fault == "database":
            self._cluster.stop()
        else:
            process.signal(signal.SIGKILL)
            return
        if is_waiting:
            process.go()
        if self._fault == "database":
            time.sleep(AWAY if is_waiting and self._point != "renewed" else programs.SLOW)
            self._cluster.start()

    def _succeed(self) -> Any:
        """Start another worker, which runs until nothing changes, and return its report."""
        return self._start(programs.successor, self._site, self._hours).hear()

    def _has_order(self) -> bool:
        with psycopg.connect(self._url) as connection:
            return connection.execute("SELECT 1 FROM orders").fetchone() is not None


def run(cluster: Cluster, case: CrashCase, point: str, fault: str) -> Outcome:
    """Run one cell, and return its result.

    Raises:
        CellError: the crash point was not reached, or a process did not go on.
    """
    return _Cell(cluster, case, point, fault).run()
