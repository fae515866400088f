"""The crash matrix for other task queues, at the crash points that they have too.

A queue has no point after its settlement or in a renewal that can be reached from outside, so
those are left out.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs
import psycopg

from tools.crashes import programs
from tools.crashes.cases import CASES
from tools.crashes.cell import AWAY, BEYOND_LEASE, IN_HOST, PATIENCE, CellError, Process

if TYPE_CHECKING:
    from typing import Self

    from tools.crashes.cluster import Cluster

QUEUES: Final = ("celery", "procrastinate", "dbos")
POINTS: Final = ("before commit", "committed", "claimed", "sent", "answered")
FAULTS: Final = ("killed", "stopped", "database")

_FOLDER: Final = Path(__file__).parents[2] / "benchmarks/crashes"
_POLLS: Final = 40
_POLL: Final = 0.25
WATCHED: Final = _POLLS * _POLL
"""Seconds for which the workers that come after are watched."""


class _Control:
    """A program of a task queue, controlled by the test harness."""

    def __init__(self, python: str, queue: str, role: str, **variables: str) -> None:
        self.channel, peer_socket = socket.socketpair()
        self.channel.settimeout(PATIENCE)
        environment = {"CRASH_CHANNEL": str(peer_socket.fileno()), **variables}
        self.process = subprocess.Popen(
            [python, str(_FOLDER / f"charges_with_{queue}.py"), role],
            env=os.environ | environment,
            pass_fds=[peer_socket.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peer_socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()

    def hear(self) -> None:
        """Wait until the program reaches its crash point."""
        with suppress(TimeoutError):
            if self.channel.recv(1):
                return
        raise CellError("the crash point was not reached")

    def go(self) -> None:
        """Continue the program after its crash point."""
        with suppress(OSError):
            self.channel.send(b"!")


@attrs.frozen
class _Cell:
    """One combination of a task queue, a crash point and a fault in the crash matrix."""

    _cluster: Cluster
    _python: str
    _queue: str
    _point: str
    _fault: str
    _vendor: Process
    _name: str = attrs.field(init=False, factory=lambda: f"queue_{uuid4().hex[:12]}")

    def run(self) -> str:
        """Run the cell, and return `once`, `double`, `lost` or `stuck`."""
        url = self._cluster.database(self._name)
        try:
            return self._steps(url, self._vendor.hear()[0])
        finally:
            self._cluster.drop(self._name)

    def _start(self, role: str, **variables: str) -> _Control:
        url = self._cluster.url(self._name)
        common_variables = {"CRASH_DATABASE": url, "CRASH_QUEUE": self._name}
        return _Control(self._python, self._queue, role, **common_variables, **variables)

    def _steps(self, url: str, vendor: str) -> str:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE orders (id text PRIMARY KEY)")
        if self._queue != "celery":
            with self._start("migrate") as control:
                control.process.wait(PATIENCE)
        reach = {"CRASH_VENDOR": vendor}
        point = reach | {"CRASH_POINT": self._point}
        in_host = self._point in IN_HOST
        with self._start("host", **(point if in_host else reach)) as host:
            if in_host:
                self._inject(host, reach)
            host.process.wait(PATIENCE)
        if not _orders(url):
            with self._start("host", **reach) as second_host:
                second_host.process.wait(PATIENCE)
        with self._start("worker", **(reach if in_host else point)) as worker:
            if not in_host:
                self._inject(worker, reach)
            with self._start("worker", **reach):
                return self._verdict(url)

    def _inject(self, control: _Control, reach: dict[str, str]) -> None:
        if self._point == "sent":
            self._vendor.hear()
        else:
            control.hear()
        if self._fault == "killed":
            control.process.kill()
        elif self._fault == "stopped":
            control.process.send_signal(signal.SIGSTOP)
            time.sleep(BEYOND_LEASE)
            if self._point not in IN_HOST:
                with self._start("worker", **reach):
                    self._count()
            control.process.send_signal(signal.SIGCONT)
            control.go()
        else:
            self._cluster.stop()
            control.go()
            time.sleep(programs.SLOW if self._point == "sent" else AWAY)
            self._cluster.start()

    def _count(self) -> int:
        """Return the number of charges at the vendor, after waiting for the workers."""
        charges = 0
        for _ in range(_POLLS):
            self._vendor.go()
            charges = self._vendor.hear().total()
            if charges > 1:
                break
            time.sleep(_POLL)
        return charges

    def _verdict(self, url: str) -> str:
        charges = self._count()
        if charges > 1:
            return "double"
        if self._is_stuck(url):
            return "stuck"
        return "once" if charges else "lost"

    def _is_stuck(self, url: str) -> bool:
        """Return whether the queue holds a task that no worker takes."""
        queries = {
            "procrastinate": "SELECT count(*) FROM procrastinate_jobs"
            " WHERE status IN ('todo', 'doing')",
            "dbos": "SELECT count(*) FROM dbos.workflow_status"
            " WHERE status IN ('PENDING', 'ENQUEUED')",
        }
        if self._queue not in queries:
            return False
        with psycopg.connect(url) as connection:
            return _first_number(connection.execute(queries[self._queue])) > 0


def _orders(url: str) -> int:
    with psycopg.connect(url) as connection:
        return _first_number(connection.execute("SELECT count(*) FROM orders"))


def _first_number(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def run(cluster: Cluster, python: str, queue: str, point: str, fault: str) -> str:
    """Run one cell of a task queue, and return its verdict.

    Args:
        cluster: the database.
        python: an interpreter that has the queue's package.
        queue: the queue.
        point: the crash point.
        fault: the fault that happens there.

    Raises:
        CellError: the crash point was not reached.
    """
    vendor = Process(programs.vendor, CASES[0], point)
    try:
        return _Cell(cluster, python, queue, point, fault, vendor).run()
    finally:
        vendor.kill()
