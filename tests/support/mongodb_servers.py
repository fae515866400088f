"""Private servers with MongoDB's protocol, each in its own process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any, Self

from pymongo import MongoClient

from tests.support.ports import free_port
from tests.support.waiting import wait_until

USER, PASSWORD = "erp", "correct-horse-4711"


class PrivateMongo:
    """A private SecantusDB server, which speaks the protocol of MongoDB 8.

    Args:
        options: further options of its command.
        has_user: whether clients have to be the user `USER` with the password `PASSWORD`.
    """

    def __init__(self, *options: str, has_user: bool = False) -> None:
        self.port = free_port()
        self._place = TemporaryDirectory(prefix="moorage-mongodb-")
        self._options = options
        self.process = self._start_process()
        if has_user:
            with self.client() as client:
                client.admin.command("createUser", USER, pwd=PASSWORD, roles=["root"])
            self.process.terminate()
            self.process.wait()
            self._options = (*options, "--auth")
            self.process = self._start_process()

    def url(self, port: int | None = None, database: str = "erp") -> str:
        """Return the URL of a database on the server, or through a proxy."""
        return f"mongodb://127.0.0.1:{port or self.port}/{database}?directConnection=true"

    def client(self, **settings: Any) -> MongoClient[dict[str, Any]]:
        """Return a pymongo client of the server."""
        return MongoClient(self.url(), **settings)

    def _start_process(self) -> subprocess.Popen[bytes]:
        port = str(self.port)
        place = ["--port", port, "--storage-path", self._place.name, "--enable-test-commands"]
        process = subprocess.Popen(
            [sys.executable, "-m", "secantus", *place, "--cache-size", "128M", *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._place.name,
            env={**os.environ, "HOME": self._place.name},
        )

        def is_listening() -> bool:
            assert process.poll() is None, "the server ended at once"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return False
            return True

        wait_until(is_listening, "starting the server")
        return process

    def kill(self) -> None:
        """Kill the server without a clean shutdown."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        """Start the server again."""
        self.process = self._start_process()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._place.cleanup()
