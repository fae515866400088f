"""Private servers that benchmarks and the crash matrix start end with their process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import needs_postgres_programs, redis_server
from tests.support.waiting import wait_until

_ROOT = Path(__file__).parents[1]
_POSTGRESQL = """
import signal
from tools.crashes.cluster import Cluster

with Cluster() as cluster:
    print(cluster.pid, flush=True)
    signal.pause()
"""
_REDIS = """
import signal
from pathlib import Path
from benchmarks.servers import redis

with redis() as (_, pid):
    print(Path(f"/proc/{pid}/task/{pid}/children").read_text(), flush=True)
    signal.pause()
"""


def _is_running(pid: int) -> bool:
    """Return whether a process exists and has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the processes of Linux")
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("program", ["postgresql", "redis"])
def test_private_server_ends_with_its_process(program: str, stop: signal.Signals) -> None:
    """If a process is killed, its private server ends, and the server's files are removed."""
    if program == "redis":
        redis_server()
    else:
        needs_postgres_programs()
    script = _REDIS if program == "redis" else _POSTGRESQL
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        folder = Path(f"/proc/{server}/cwd").resolve()
        assert _is_running(server)
        process.send_signal(stop)
    wait_until(lambda: not _is_running(server), f"the end of {program}")
    wait_until(lambda: not folder.exists(), f"the removal of {folder}")
