"""A Docker Engine for tests, which are skipped where no Engine can run."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_UNIX
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage.adapters.steps._docker_wire import Engine
from tools.docker_engine import IMAGE, NoEngineError, docker_engine

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ("IMAGE", "engine", "is_podman", "scripted_engine")


@contextmanager
def engine() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    try:
        with docker_engine() as socket:
            yield socket
    except NoEngineError as error:
        pytest.skip(str(error))


def is_podman(socket: str) -> bool:
    """Return whether the server at a socket is Podman, which differs from Docker in messages."""
    _, content = Engine(socket).ask("GET", "/version", 30.0)
    return any("Podman" in part["Name"] for part in json.loads(content)["Components"])


class _UnixServer(ThreadingHTTPServer):
    """A fake Docker Engine on a Unix socket, with scripted responses."""

    address_family = AF_UNIX

    def server_bind(self) -> None:
        """Bind the Unix socket, whose address has no port number."""
        self.socket.bind(str(self.server_address))


@contextmanager
def scripted_engine(
    folder: Path, *answers: tuple[int, object], requests: list[str] | None = None
) -> Generator[str]:
    """Yield the socket of an Engine that gives these responses in turn, then repeats the last.

    The folder of the socket is removed at the end, so that no watchdog waits for the Engine.

    Args:
        folder: where the folder of the socket is.
        answers: the statuses and the values.
        requests: gets the method and the path of each request.
    """
    remaining = list(answers)
    listed_requests = [] if requests is None else requests

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_POST()

        def do_DELETE(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            listed_requests.append(f"{self.command} {self.path}")
            status, value = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            # The Engine writes JSON without white space.
            content = json.dumps(value, separators=(",", ":")).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - a name of its base
            """Print nothing."""

    folder_of_socket = tempfile.mkdtemp(prefix="e", dir=folder)
    path = f"{folder_of_socket}/s"
    server: Any = _UnixServer(cast("Any", path), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        shutil.rmtree(folder_of_socket)
