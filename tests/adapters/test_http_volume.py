"""Memory use while a gigabyte is streamed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.http_clients import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

_MEBIBYTE: Final = 1_048_576
SIZE: Final = (1024 if os.environ.get("MOORAGE_LONG") else 96) * _MEBIBYTE
MAX_GROWTH: Final = 8 * _MEBIBYTE
_PIECE: Final = bytes(65_536)


class FloodServer(BaseHTTPRequestHandler):
    """A server that sends as many bytes as the path requests, and counts the bytes it receives."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send as many bytes as the path requests."""
        size = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for _ in range(size // len(_PIECE)):
            self.wfile.write(_PIECE)

    def do_PUT(self) -> None:
        """Count the received bytes."""
        bytes_left = count = int(self.headers["Content-Length"])
        while bytes_left:
            bytes_left -= len(self.rfile.read(min(bytes_left, len(_PIECE))))
        text = str(count).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Log nothing."""


@pytest.fixture(name="flood")
def _flood() -> Iterator[str]:
    """Start a server that sends and counts bytes, and yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FloodServer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("client", CLIENTS)
def test_streams_take_constant_memory(client: str, flood: str) -> None:
    """Streaming an upload or download takes constant memory, whatever its size."""
    output = subprocess.run(
        [sys.executable, "-m", "tests.adapters.http_volume", client, flood, str(SIZE)],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert not output.returncode, output.stderr
    fields = json.loads(output.stdout)

    assert (SIZE, SIZE) == (fields["down"], fields["up"])
    assert fields["grown"] < MAX_GROWTH
