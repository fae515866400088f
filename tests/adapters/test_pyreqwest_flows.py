"""Large bodies and HTTP/2 through pyreqwest."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.http.requests import BodyStream, Request, Timeouts
from moorage.domain.http.transport import Tls
from moorage.testing.fakes.http_tls import tls_pem
from tests.adapters.http_modes import GET, LONG, Make
from tests.adapters.pyreqwest_modes import with_both_clients

if TYPE_CHECKING:
    from collections.abc import Iterator

MEBIBYTE = 1_048_576
MEBIBYTES = int(os.environ.get("MOORAGE_TEST_MEBIBYTES", "256"))
PATIENT = Timeouts(total=600)


def resident_memory() -> int:
    """Return the memory that this process uses, in MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file of ours
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE


class Sink:
    """A vendor in its own process that receives and sends as many bytes as requested."""

    def __enter__(self) -> str:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._child = os.fork()
        if not self._child:  # pragma: no cover - runs in the child, which coverage does not see
            try:
                while True:
                    self._serve(self._door.accept()[0])
            finally:
                os._exit(0)
        return f"http://127.0.0.1:{self._door.getsockname()[1]}/"

    def __exit__(self, *_: object) -> None:
        os.kill(self._child, 9)
        os.waitpid(self._child, 0)
        self._door.close()

    def _serve(
        self, sock: socket.socket
    ) -> None:  # pragma: no cover - runs in the child, which coverage does not see
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65_536)
        head, _, start_bytes = head.partition(b"\r\n\r\n")
        if head.startswith(b"PUT"):
            bytes_left = MEBIBYTES * MEBIBYTE - len(start_bytes)
            while bytes_left:
                bytes_left -= len(sock.recv(min(bytes_left, MEBIBYTE)))
            sock.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        else:
            sock.sendall(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                % (MEBIBYTES * MEBIBYTE)
            )
            for _ in range(MEBIBYTES):
                sock.sendall(bytes(MEBIBYTE))
        sock.close()


def pieces() -> Iterator[bytes]:
    """Yield the upload's body in chunks."""
    for _ in range(MEBIBYTES * 16):
        yield bytes(65_536)


@pytest.mark.untraced
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux to be measured")  # noqa: PTH110 - one file, without a Path
@with_both_clients
async def test_streams_take_little_memory(make: Make) -> None:
    """Streaming a large upload or download through pyreqwest takes little memory."""
    with Sink() as url:
        client = make()
        memory_before = resident_memory()
        body = BodyStream.of(pieces, length=MEBIBYTES * MEBIBYTE)
        answer = await client.send(Request.put("/", body=body), url, PATIENT)
        assert 204 == answer.status
        assert resident_memory() - memory_before < 64
        incoming = await client.open(GET, url, PATIENT)
        received_bytes, most_memory = 0, 0
        while piece := await incoming.read():
            received_bytes += len(piece)
            most_memory = max(most_memory, resident_memory())
        await client.close()

    assert MEBIBYTES * MEBIBYTE == received_bytes
    assert most_memory - memory_before < 64


# --- HTTP/2 ------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
STATUS_200 = b"\x88"


class Http2Server:
    """A minimal HTTP/2 server."""

    def __init__(self) -> None:
        self.spoken: list[str | None] = []
        self._tls, self.authority = tls_pem()
        self._tls.set_alpn_protocols(["h2", "http/1.1"])

    def __enter__(self) -> str:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()
        return f"https://127.0.0.1:{self._door.getsockname()[1]}/"

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._door.close()

    def _serve(self) -> None:
        with self._tls.wrap_socket(self._door.accept()[0], server_side=True) as sock:
            self.spoken.append(sock.selected_alpn_protocol())
            file = sock.makefile("rb")
            assert PREFACE == file.read(len(PREFACE))
            sock.sendall(frame(SETTINGS, 0, 0, b""))
            for number in (1, 2):
                # All requests arrive before the first response, so they share the connection.
                requests: list[int] = []
                while len(requests) < number:
                    kind, stream = read_frame(file)
                    requests += [stream] * (kind == HEADERS)
                for stream in reversed(requests):
                    sock.sendall(frame(HEADERS, END_HEADERS, stream, STATUS_200))
                    sock.sendall(frame(DATA, END_STREAM, stream, b"two"))
            while file.read(1):
                pass


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return an encoded HTTP/2 frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def read_frame(file: Any) -> tuple[int, int]:
    """Read an HTTP/2 frame, and return its type and stream id."""
    length = int.from_bytes(file.read(3), "big")
    kind, _, stream = struct.unpack(">BBI", file.read(6))
    file.read(length)
    return kind, stream


@with_both_clients
async def test_http2_exchanges_share_a_connection(make: Make) -> None:
    """With `http2=True`, concurrent requests to a vendor share one connection."""
    server = Http2Server()
    with server as url:
        client = make(http2=True, tls=Tls(authorities=server.authority))
        answers = [await client.send(GET, url, LONG)]
        answers += await asyncio.gather(*(client.send(GET, url, LONG) for _ in range(2)))
        await client.close()

    assert [(200, b"two")] * 3 == [(answer.status, answer.body) for answer in answers]
    assert ["h2"] == server.spoken
