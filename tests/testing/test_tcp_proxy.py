"""The TCP proxy for tests, which can cut connections, and delay or hold back their data."""

from __future__ import annotations

import socket
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from moorage.testing import TcpProxy
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(name="echo")
def _echo() -> Generator[tuple[str, int]]:
    """Run a server that sends back what it receives, and yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while data := client.recv(1024):
                    client.sendall(data)

    thread = Thread(target=serve)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def test_data_is_forwarded_and_requests_are_counted(echo: tuple[str, int]) -> None:
    """The TCP proxy forwards both directions, and counts connections and requests."""
    with TcpProxy(*echo) as proxy:
        with socket.create_connection(proxy.address) as client:
            for text in (b"one", b"two"):
                client.sendall(text)
                assert text == client.recv(1024)

        assert (1, 2) == (proxy.connections, proxy.requests)


def test_delayed_response_comes_later(echo: tuple[str, int]) -> None:
    """If the proxy delays a response, the response arrives complete after the delay."""
    with TcpProxy(*echo) as proxy, socket.create_connection(proxy.address) as client:
        proxy.delay_responses(0.05)
        begin = monotonic()
        client.sendall(b"late")

        assert b"late" == client.recv(1024)
        assert monotonic() - begin >= 0.05


def test_connection_to_an_absent_server_is_closed() -> None:
    """If nothing listens at the server's address, the proxy closes the connection."""
    with (
        TcpProxy("127.0.0.1", free_port()) as proxy,
        socket.create_connection(proxy.address) as client,
    ):
        assert b"" == client.recv(1024)


def test_after_permitted_number_of_responses_proxy_closes_connection(echo: tuple[str, int]) -> None:
    """After the permitted number of responses the proxy closes the connection."""
    with TcpProxy(*echo) as proxy, socket.create_connection(proxy.address) as client:
        proxy.cut_after(1)
        client.sendall(b"one")
        assert b"one" == client.recv(1024)
        client.sendall(b"two")

        assert b"" == client.recv(1024)
