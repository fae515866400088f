"""Common parts of the fake GitHub and GitLab: an HTTPS server and a job runner."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path


class Reply(NamedTuple):
    """A response of a fake git host: status, body and further headers."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class ConnectionCut(Exception):
    """Raised to close the connection without a response."""


class Message(NamedTuple):
    """A request to a fake git host."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


class Server(ThreadingHTTPServer):
    """An HTTPS server that serves many clients concurrently."""

    request_queue_size = 256
    daemon_threads = True


@contextmanager
def https_server(
    certificate: Path, key: Path, answer: Callable[[Message], Reply]
) -> Generator[str]:
    """Yield the URL of an HTTPS server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            # The thread that accepts connections must not do the handshake.
            self.request.settimeout(60)
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def handle_all(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            url = urlsplit(self.path)
            message = Message(
                self.command,
                url.path,
                dict(parse_qsl(url.query, keep_blank_values=True)),
                dict(self.headers.items()),
                self.rfile.read(size),
            )
            try:
                reply = answer(message)
            except ConnectionCut:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_all  # noqa: N815 - their names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Print nothing."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def sending_server(certificate: Path, key: Path, parts: Iterator[bytes]) -> Generator[str]:
    """Yield the URL of an HTTPS server that sends a response in parts until the client leaves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve() -> None:
        plain_socket, _ = listener.accept()
        with context.wrap_socket(plain_socket, server_side=True) as channel:
            channel.recv(65536)
            channel.settimeout(0.05)
            try:
                for part in parts:
                    channel.sendall(part)
                    with suppress(TimeoutError):
                        channel.recv(1)
                        return
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def instant() -> str:
    """Return the current time in the format of GitHub and GitLab."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ScriptJob:
    """A runner's job: a shell script in its own process group.

    Both outputs are one. A job that is cancelled gets the signals INT, TERM and KILL, with pauses
    that are a tenth of a real runner's; whatever it left behind is killed at its end.

    Args:
        script: the script.
        environment: its variables.
        folder: its working directory.
        add: takes each line of its output, without the line break.
    """

    def __init__(
        self,
        script: str,
        environment: Mapping[str, str],
        folder: Path,
        add: Callable[[bytes], object],
        *,
        pauses: tuple[float, float] = (0.75, 0.25),
    ) -> None:
        folder.mkdir(parents=True)
        self.exit_code: int | None = None
        self.is_cancelled = False
        self._pauses = pauses
        self._ended = Event()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "CI": "true", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._add = add

    def run(self) -> int:
        """Read the output until the script ends, and return its exit code."""
        reader = Thread(target=self._read)
        reader.start()
        code = self._process.wait()
        self._signal(signal.SIGKILL)
        reader.join()
        self._ended.set()
        self.exit_code = code if code >= 0 else 128 - code
        return self.exit_code

    def cancel(self, *, is_forced: bool = False) -> None:
        """Ask the script to end, and kill it if it does not."""
        self.is_cancelled = True
        if is_forced:
            self._signal(signal.SIGKILL)
        else:
            Thread(target=self._end_slowly, daemon=True).start()

    def _end_slowly(self) -> None:
        for number, pause in zip((signal.SIGINT, signal.SIGTERM), self._pauses, strict=True):
            self._signal(number)
            if self._ended.wait(pause):
                return
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _read(self) -> None:
        stream: Any = self._process.stdout
        with stream:
            for line in stream:
                self._add(line.removesuffix(b"\n"))
