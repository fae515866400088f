"""Private servers of PostgreSQL and Redis, and the processor time of them and this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from tools.crashes.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def postgresql() -> Iterator[tuple[str, int]]:
    """The address of an empty database in a server of its own, and the server's process id."""
    with Cluster() as cluster:
        yield cluster.database("bench"), cluster.pid


@contextmanager
def redis() -> Iterator[tuple[str, int]]:
    """The address of a Redis that keeps nothing on disk, and its process id."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server was not found. Install Redis.")
    with TemporaryDirectory(prefix="moorage-bench-") as folder:
        path = Path(folder) / "redis"
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while not path.exists():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("redis-server did not start.")
                time.sleep(0.01)  # a server sends no signal when it begins to listen
            yield f"redis+socket://{path}", process.pid
        finally:
            process.terminate()
            process.wait()


class ProcessorTime:
    """Reads the seconds of this process and of servers, with all processes that these started.

    What the reading itself takes is left out.
    """

    def __init__(self, *servers: int) -> None:
        self._servers = set(servers)
        self._readings = 0.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        begin = time.process_time()
        seconds = begin - self._readings
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with suppress(OSError):  # it has ended meanwhile, and its parent counts it
                    seconds += self._of(folder)
        self._readings += time.process_time() - begin
        return seconds

    def _of(self, folder: Path) -> float:
        """Seconds of a process and its ended children; zero if it belongs to no server.

        The kernel counts what runs in nanoseconds, and what has ended in ticks.
        """
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        parent, ended = int(fields[1]), fields[13:15]
        if not self._servers & {parent, int(folder.name)}:
            return 0.0
        threads = [thread.read_text() for thread in folder.glob("task/*/schedstat")]
        nanoseconds = sum(int(text.split()[0]) for text in threads)
        return nanoseconds / 1e9 + sum(map(int, ended)) / _TICKS
