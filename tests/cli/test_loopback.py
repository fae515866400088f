"""The local web page for the redirect after OAuth consent serves exactly one request."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

import pytest

from moorage import DeadlineExceeded
from moorage.cli.loopback import LoopbackListener
from moorage.errors import ConfigurationError


def accepted_request(listener: LoopbackListener, *heads: bytes) -> tuple[str, list[bytes]]:
    """Send requests to the listener; return the one that it accepted, and its responses."""
    answers: list[bytes] = []
    host, port = urlsplit(listener.url).hostname or "", urlsplit(listener.url).port or 0

    def connect_visitor() -> None:
        for head in heads:
            with (
                contextlib.suppress(ConnectionError),  # a request that is not read to its end
                socket.create_connection((host, port), timeout=10) as link,
            ):
                link.sendall(head.replace(b"HERE", f"{host}:{port}".encode()))
                link.shutdown(socket.SHUT_WR)
                answers.append(link.recv(65_536))

    thread = threading.Thread(target=connect_visitor)
    thread.start()
    target = listener.wait(20)
    thread.join(20)
    return target, answers


GOOD = b"GET /callback?code=c&state=%3Cs%3E HTTP/1.1\r\nHost: HERE\r\n\r\n"


def test_page_accepts_one_request_and_does_not_show_it() -> None:
    """The page accepts one request, does not show the request's content, and forbids caching."""
    with LoopbackListener(0) as listener:
        assert listener.url.startswith("http://127.0.0.1:")
        target, (answer,) = accepted_request(listener, GOOD)

    assert "/callback?code=c&state=%3Cs%3E" == target
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"state" not in answer
    for header in (b"no-store", b"default-src 'none'", b"no-referrer", b"nosniff"):
        assert header in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET /favicon.ico HTTP/1.1\r\nHost: HERE\r\n\r\n",
        b"POST /callback?code=c HTTP/1.1\r\nHost: HERE\r\n\r\n",
        b"GET /callback?code=c HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /callback?code=c HTTP/1.1\r\n\r\n",
        b"GET /callback?code=c\r\nHost: HERE\r\n\r\n",
        b"\xff\r\n\r\n",
        b"GET /callback?code=" + b"c" * 20_000,
        b"GET /callback?code=c HTTP/1.1\r\n",
        b"",
    ],
)
def test_other_requests_are_refused(head: bytes) -> None:
    """The listener refuses wrong requests, and continues to wait for the right request."""
    with LoopbackListener(0) as listener:
        target, answers = accepted_request(listener, head, GOOD)

    *other_chunks, last_bytes = answers
    assert "/callback?code=c&state=%3Cs%3E" == target
    assert b" 200 " in last_bytes
    assert all(other_bytes == b"" or b" 404 " in other_bytes for other_bytes in other_chunks)


def test_silent_connection_does_not_extend_the_wait() -> None:
    """A silent connection does not keep the listener past its timeout."""
    with LoopbackListener(0) as listener:
        parts = urlsplit(listener.url)
        place = parts.hostname or "", parts.port or 0
        with (
            socket.create_connection(place, timeout=10),
            pytest.raises(DeadlineExceeded, match="did not return in time"),
        ):
            listener.wait(0.2)


def test_error_names_a_port_in_use() -> None:
    """The error for a port in use names the port."""
    with LoopbackListener(0) as listener:
        port = urlsplit(listener.url).port or 0
        with pytest.raises(ConfigurationError, match=str(port)):
            LoopbackListener(port)
