"""Private servers of databases and brokers, and the processor time that they use."""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

from tools.crashes.cluster import Cluster
from tools.supervised import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_RABBITMQ: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_RUN: Final = 'folder=$1; shift; "$@" & read -r _; kill -9 $!; wait; rm -r "$folder"'


@contextmanager
def postgresql(*, durable: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the URL of an empty database in a private server, and the server's process id.

    With `durable`, each commit waits until the disk has it.
    """
    with Cluster(durable=durable) as cluster:
        yield cluster.database("bench"), cluster.pid


@contextmanager
def redis(*, durable: bool = False, tcp: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the URL of a private Redis server, and its process id.

    With `durable`, each reply waits until the disk has the change; otherwise nothing is on disk.
    With `tcp`, the URL has a port of this machine instead of a socket's path.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server was not found. Install Redis.")
    folder = Path(mkdtemp(prefix="moorage-bench-"))
    path = folder / "redis"
    port = free_port() if tcp else 0
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    options += ["--appendonly", "yes", "--appendfsync", "always"] * durable
    with Supervisor(_RUN, str(folder), program, *options) as supervisor:
        _wait_for(path.exists, program)
        yield (
            f"redis://127.0.0.1:{port}/0" if tcp else f"redis+socket://{path}",
            supervisor.pid,
        )


@contextmanager
def rabbitmq() -> Iterator[tuple[str, int]]:
    """Yield the URL of a private RabbitMQ server, and its process id."""
    if not _RABBITMQ.exists():
        raise RuntimeError(f"{_RABBITMQ} was not found. Install RabbitMQ.")
    folder = Path(mkdtemp(prefix="moorage-bench-"))
    port, node_port = free_port(), free_port()
    (folder / "plugins").write_text("[].\n")
    settings = {
        "HOME": folder,
        "RABBITMQ_ALLOW_INPUT": "yes",  # the program then becomes the server
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": node_port,
        "RABBITMQ_MNESIA_BASE": folder / "data",
        "RABBITMQ_LOG_BASE": folder / "logs",
        "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
        "RABBITMQ_CONF_ENV_FILE": folder / "none",
        "RABBITMQ_CONFIG_FILE": folder / "none",
    }
    variables = [f"{name}={value}" for name, value in settings.items()]
    command = ("env", *variables, str(_RABBITMQ), "-noinput")
    with Supervisor(_RUN, str(folder), *command) as supervisor:
        _wait_for(lambda: _is_listening(port), "rabbitmq-server")
        yield f"amqp://guest:guest@127.0.0.1:{port}//", supervisor.pid


@contextmanager
def mosquitto() -> Iterator[int]:
    """Yield the port of a private Mosquitto broker, with unlimited queues."""
    program = shutil.which("mosquitto")
    if program is None:
        raise RuntimeError("mosquitto was not found. Install Mosquitto.")
    folder = Path(mkdtemp(prefix="moorage-bench-"))
    port = free_port()
    (folder / "settings").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        "log_type none\nuser root\n"
    )
    with Supervisor(_RUN, str(folder), program, "-c", str(folder / "settings")):
        _wait_for(lambda: _is_listening(port), program)
        yield port


def free_port() -> int:
    """Return a free local port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_listening(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _wait_for(is_ready: Callable[[], bool], program: str) -> None:
    deadline = time.monotonic() + 120
    while not is_ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{program} did not start.")
        time.sleep(0.01)  # a server sends no signal when it begins to listen


class ProcessorTime:
    """Reads the processor seconds of this process and of servers with their children.

    What the reading itself takes is left out.
    """

    def __init__(self, *servers: int) -> None:
        self._servers = set(servers)
        self._readings = 0.0

    def __call__(self) -> float:
        """Return the processor seconds used so far."""
        begin = time.process_time()
        seconds = begin - self._readings
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with suppress(OSError):  # it has ended meanwhile, and its parent counts it
                    seconds += self._process_seconds(folder)
        self._readings += time.process_time() - begin
        return seconds

    def _process_seconds(self, folder: Path) -> float:
        """Return the seconds of a process and its ended children; 0 if it is not a server's.

        The kernel counts what runs in nanoseconds, and what has ended in ticks.
        """
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        parent, cpu_times = int(fields[1]), fields[13:15]
        if not self._servers & {parent, int(folder.name)}:
            return 0.0
        return thread_seconds(int(folder.name)) + sum(map(int, cpu_times)) / _TICKS


def thread_seconds(process: int) -> float:
    """Return the processor seconds of a process's threads."""
    threads = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/schedstat")]
    return sum(int(text.split()[0]) for text in threads) / 1e9
