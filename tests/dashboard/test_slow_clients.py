"""Clients of the operations page that are slow, never end their request, or are too many."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from moorage.dashboard.request_stream import CLIENT_TIMEOUT, RequestStream
from moorage.dashboard.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Clock:
    """A clock that advances by a second each time it is read."""

    seconds = 0.0

    def __call__(self) -> float:
        """Return the time in seconds, and advance the clock."""
        self.seconds += 1.0
        return self.seconds


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each request more time than any of these tests takes."""
    monkeypatch.setattr("moorage.dashboard.request_stream.CLIENT_TIMEOUT", 3_600.0)


@contextmanager
def run_server(app: Any, most: int) -> Generator[Callable[[], socket.socket]]:
    """Run a server, and yield a function that opens a connection to the server."""
    server = Server("127.0.0.1", 0, app, most=most)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with ExitStack() as stack:
        try:
            yield lambda: stack.enter_context(
                socket.create_connection(("127.0.0.1", server.server_port), 30)
            )
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def answer_ok(_: Any, start_response: Any) -> list[bytes]:
    """Answer a request with status 200."""
    start_response("200 OK", [])
    return []


def read_all(connection: socket.socket) -> bytes:
    """Return everything that a server sends until it closes the connection."""
    return b"".join(iter(lambda: connection.recv(1_000), b""))


def test_byte_a_second_ends_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte each second is cut off at the end of the time for a request."""
    monkeypatch.setattr("moorage.dashboard.request_stream.CLIENT_TIMEOUT", CLIENT_TIMEOUT)
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x" * 100)
        stream = RequestStream(right, 1_000, Clock())
        pieces = [stream.read(1) for _ in range(int(CLIENT_TIMEOUT) - 1)]
        with pytest.raises(TimeoutError):
            stream.read(1)

    assert [b"x"] * 9 == pieces


def test_request_ends_after_its_largest_size() -> None:
    """An endless request is read only up to the size limit."""
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x" * 100)

        assert b"x" * 30 == RequestStream(right, 30).buffered().read()


def test_new_clients_replace_those_that_send_no_request() -> None:
    """If idle clients hold all connections, the oldest is dropped, and a new one is answered."""
    with run_server(answer_ok, most=2) as connect:
        oldest, other, newest = connect(), connect(), connect()
        newest.sendall(REQUEST)

        assert b"200" in read_all(newest)[:15]
        assert b"" == read_all(oldest)
        other.sendall(REQUEST)
        assert b"200" in read_all(other)[:15]


def test_answers_in_progress_are_not_dropped() -> None:
    """If every connection is being answered, a new one is refused with 503."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def answer_later(environ: Any, start_response: Any) -> list[bytes]:
        begun.release()
        go_on.wait(30)
        return answer_ok(environ, start_response)

    with run_server(answer_later, most=2) as connect:
        connections = [connect(), connect()]
        for connection in connections:
            connection.sendall(REQUEST)
        for _ in connections:
            begun.acquire()

        assert b"503" in read_all(connect())[:15]
        go_on.set()
        assert [True] * 2 == [b"200" in read_all(item)[:15] for item in connections]
