"""A private PostgreSQL server that tests can stop abruptly."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.support.ports import free_port
from tools.supervised import Supervisor

if TYPE_CHECKING:
    from typing import Self

TEMPLATE = "prepared"
_USER = "postgres"
_DEBIAN = "/usr/lib/postgresql"
_END = 'read -r _; "$1" stop -m immediate -w -D "$2/data"; rm -r "$2"'


def programs() -> Path | None:
    """Return the folder of PostgreSQL's server programs; None if not installed."""
    result = shutil.which("initdb")
    if result is not None:
        return Path(result).parent
    folders = Path(_DEBIAN).glob("*/bin/initdb")
    return next((folder.parent for folder in sorted(folders, reverse=True)), None)


class Cluster:
    """A PostgreSQL server on a free port; its files are removed at the end.

    The server ends when this process ends, even if the process is killed.

    Root may not run a server, so root runs it as the user `postgres`.

    Args:
        durable: whether each commit waits until the disk has it. A process that is killed loses
            nothing without: only a machine that fails would.
        connections: the largest number of connections.
    """

    def __init__(self, *, durable: bool = False, connections: int = 40) -> None:
        self._fsync = "on" if durable else "off"
        self._connections = connections
        result = programs()
        if result is None:
            raise RuntimeError("PostgreSQL's initdb was not found. Install its server.")
        self._programs = result
        self._user = _USER if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="moorage-crashes-"))
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        # No outgoing connection may get this port while the server is stopped.
        self._port = free_port()

    def __enter__(self) -> Self:
        self._supervisor = Supervisor(
            _END, str(self._programs / "pg_ctl"), str(self._folder), user=self._user
        )
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", _USER, "-A", "trust", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.__exit__()

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://{_USER}@127.0.0.1:{self._port}/{database}"

    @property
    def pid(self) -> int:
        """Return the process id of the server's main process."""
        lines = (self._folder / "data" / "postmaster.pid").read_text().splitlines()
        return int(lines[0])

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        options = f"-p {self._port} -c fsync={self._fsync} -c listen_addresses=127.0.0.1"
        options += f" -c unix_socket_directories={self._folder}"
        options += f" -c max_connections={self._connections}"
        self._control("start", "-l", str(self._folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stop the server abruptly, without a clean shutdown."""
        self._control("stop", "-m", "immediate")

    def database(self, name: str, template: str = "template1") -> str:
        """Create a database as a copy of another, and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Drop a database, even with connected clients."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _control(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "-w", "-D", str(self._folder / "data"), *options)

    def _run(self, program: str, *options: str) -> None:
        subprocess.run(
            [str(self._programs / program), *options],
            user=self._user,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
