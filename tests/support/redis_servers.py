"""Private Redis servers that tests may stop and kill, without affecting the shared one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from tests.support.ports import free_port
from tests.support.servers import redis_server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


class PrivateRedis:
    """A private `redis-server` for one test, without files on disk."""

    def __init__(self, *options: str, config: Path | None = None) -> None:
        self.port = free_port()
        self._options = options
        self._config = () if config is None else (str(config),)
        self._folder = TemporaryDirectory(prefix="moorage-redis-")
        self.process = self._start_process()

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def folder(self) -> str:
        """Return the working folder of the server."""
        return self._folder.name

    def _start_process(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                redis_server(),
                *self._config,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder.name),
                *(() if self._config else ("--save", "", "--appendonly", "no")),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: self._listens(process), "starting redis-server")
        return process

    def _listens(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, "redis-server ended at once"
        port = self._listening_port()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def _listening_port(self) -> int:
        options = list(self._options)
        return (
            int(options[options.index("--tls-port") + 1]) if "--tls-port" in options else self.port
        )

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start the server again with an empty database."""
        self.process = self._start_process()

    def suspend(self) -> None:
        """Suspend the server's process, so that it does not reply."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the server's process."""
        os.kill(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.resume()
        self.kill()
        self._folder.cleanup()


class Proxy:
    """A proxy between a store and its server that can cut connections.

    Attributes:
        cuts: how many of the next replies are lost: the request arrives, the connection ends,
        keep: after so many bytes of the reply.
        calls: how often the script was called.
        trickles: whether replies begin, go on byte by byte, and never end.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.cuts = 0
        self.keep = 0
        self.calls = 0
        self.trickles = False
        self._never = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Return the URL of the proxy."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        self._open.append(server)
        called_event = threading.Event()
        answering = threading.Thread(
            target=self._answer, args=(client, server, called_event), daemon=True
        )
        answering.start()
        with contextlib.suppress(OSError):
            while request := client.recv(1 << 20):
                if b"\r\nEVAL" in request[:40]:
                    self.calls += 1
                    called_event.set()
                server.sendall(request)
            _hang_up(server)

    def _answer(
        self, client: socket.socket, server: socket.socket, called: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while reply := server.recv(1 << 20):
                if self.trickles:
                    self._trickle(client)
                if self.cuts and called.is_set():
                    self.cuts -= 1
                    client.sendall(reply[: self.keep])
                    break
                client.sendall(reply)
            _hang_up(client)

    def _trickle(self, client: socket.socket) -> None:
        """Send an endless list of numbers slowly, one by one, until the client disconnects."""
        client.sendall(b"*1000000\r\n")
        while True:
            client.sendall(b":1\r\n")
            self._never.wait(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        for item in self._open:
            item.close()


def _hang_up(one: socket.socket) -> None:
    one.shutdown(socket.SHUT_RDWR)
