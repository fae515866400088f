"""Private PgBouncer servers, which pool connections for each transaction."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import sqlalchemy

from tests.support.ports import free_port
from tests.support.servers import pgbouncer_program, postgres_url
from tests.support.waiting import wait_until


class PrivatePgBouncer:
    """A private PgBouncer in front of the shared PostgreSQL server.

    Args:
        sessions: the number of its connections to the server.
    """

    def __init__(self, sessions: int = 20) -> None:
        self.port = free_port()
        self._folder = TemporaryDirectory(prefix="moorage-pgbouncer-")
        self._server = sqlalchemy.make_url(postgres_url())
        password = f" password={self._server.password}" if self._server.password else ""
        address = f"host={self._server.host} port={self._server.port or 5432}"
        # pgbouncer refuses to run as root.
        user = ["user = nobody"] if os.getuid() == 0 else []
        settings = [
            "[databases]",
            f"* = {address} user={self._server.username}{password}",
            "[pgbouncer]",
            *user,
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = any",
            "pool_mode = transaction",
            "max_client_conn = 500",
            # the PGOPTIONS in the tests' environment
            "ignore_startup_parameters = options",
            f"default_pool_size = {sessions}",
        ]
        config = Path(self._folder.name, "pgbouncer.ini")
        config.write_text("\n".join([*settings, ""]))
        self._process = subprocess.Popen(
            [pgbouncer_program(), "-q", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, "starting PgBouncer")

    def _listens(self) -> bool:
        assert self._process.poll() is None, "pgbouncer ended at once"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    @property
    def url(self) -> sqlalchemy.URL:
        """Return the URL of the server through the pooler."""
        return self._server.set(host="127.0.0.1", port=self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._folder.cleanup()
