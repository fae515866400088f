"""The HTTP proxy that tests use."""

from __future__ import annotations

import socket

import pytest

from moorage.testing import ProxyServer


def test_connection_without_a_request_is_ignored() -> None:
    """A connection to the proxy without a request is not counted as a request."""
    with ProxyServer(target=("127.0.0.1", 9)) as proxy:
        with socket.create_connection(proxy.address):
            pass
        proxy.wait_for_closed()

        assert [] == proxy.requests


def test_waits_are_bounded() -> None:
    """If connections do not end in time, waiting for their end raises an error with their count."""
    with ProxyServer(target=("127.0.0.1", 9)) as proxy:
        proxy.patience = 0.01
        with pytest.raises(AssertionError, match="2 connections did not end"):
            proxy.wait_for_closed(2)


def test_proxy_opens_no_tunnel_if_destination_is_unreachable() -> None:
    """If the destination is unreachable, the proxy opens no tunnel."""
    with (
        ProxyServer(target=("127.0.0.1", 9)) as proxy,
        socket.create_connection(proxy.address) as sock,
    ):
        sock.sendall(b"CONNECT vendor.example:443 HTTP/1.1\r\n\r\n")

        assert b"" == sock.recv(99)


def test_started_proxy_listens_until_it_is_closed() -> None:
    """Without a `with` block the proxy listens from `start()` until `close()`."""
    proxy = ProxyServer(target=("127.0.0.1", 9)).start()
    with socket.create_connection(proxy.address):
        pass

    proxy.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(proxy.address)
