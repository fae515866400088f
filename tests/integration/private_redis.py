"""A Redis server that a test may kill."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import redis

from tests.integration.store_locations import PATIENCE, wait_until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from typing import Self


class PrivateRedis:
    """A private Redis server; after a restart it has the same port but no data."""

    def __init__(self, program: str) -> None:
        self._program = program
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it responds."""
        self._process = subprocess.Popen(
            [
                self._program,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no"),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, "a Redis that answers")

    def kill(self) -> None:
        """Kill the server, as with `kill -9`."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def ask(self, *command: str) -> Any:
        """Send a command to the server on a connection of the test."""
        with redis.Redis(port=self.port) as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.ConnectionError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
