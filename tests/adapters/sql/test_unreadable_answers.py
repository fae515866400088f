"""Database servers whose responses the driver cannot read, in sync and async mode."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from moorage import ConnectionFailed, ConnectorError
from moorage.domain.resilience.health import may_have_acted
from moorage.testing.fakes._tcp_server import TcpServer
from tests.adapters.sql.database_harness import INSERT, SESSION, Harness, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class GarblingProxy(TcpServer):
    """A proxy that can replace the bytes which the server sends.

    Attributes:
        garbage: the bytes sent in place of the server's answer; None to pass the answer on.
        traps: the bytes sent in place of the answer to a request that contains the key.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self.garbage: bytes | None = None
        self.traps: dict[bytes, bytes] = {}
        self._target = host, port

    def _answer_requests(self, connection: socket.socket) -> None:
        """Relay bytes in both directions until one side ends."""
        with socket.create_connection(self._target) as server:
            answers = Thread(target=self._answer, args=(server, connection), daemon=True)
            answers.start()
            _pass_on(connection, server, self._request)
            answers.join()

    def _request(self, data: bytes) -> bytes:
        for part, garbage in self.traps.items():
            if part in data:
                self.garbage = garbage
        return data

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        _pass_on(server, client, lambda data: data if self.garbage is None else self.garbage)


def _pass_on(
    source: socket.socket, target: socket.socket, changed: Callable[[bytes], bytes]
) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(changed(data))
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture(name="proxy", params=["mariadb", "postgresql"])
def _proxy(request: pytest.FixtureRequest) -> Generator[tuple[str, GarblingProxy]]:
    url = make_url(url_of(request.param))
    port = url.port or {"postgresql": 5432, "mariadb": 3306}[request.param]
    with GarblingProxy(url.host or "127.0.0.1", port) as proxy:
        yield request.param, proxy


@pytest.fixture(name="harness")
def _harness(mode: str, proxy: tuple[str, GarblingProxy]) -> Generator[Harness]:
    system, server = proxy
    url = make_url(url_of(system)).set(host="127.0.0.1", port=server.port)
    harness = Harness(
        system, mode, url=url.render_as_string(hide_password=False), connections=1, check_idle=False
    )
    yield harness
    harness.close()


def error_of(act: Callable[[], Any]) -> ConnectorError:
    """Return the error of an operation, after checking that it is a moorage error."""
    with pytest.raises(ConnectorError) as excinfo:
        act()
    return excinfo.value


def test_garbage_while_connecting(harness: Harness, proxy: tuple[str, GarblingProxy]) -> None:
    """If the server speaks another protocol, the error states that nothing was executed."""
    proxy[1].garbage = bytes(100)
    error = error_of(
        lambda: harness.perform(harness.connector.execute(INSERT, id=1, note="a"), timeout=5)
    )

    assert isinstance(error, ConnectionFailed)
    assert not may_have_acted(error)


@pytest.mark.parametrize("proxy", ["mariadb"], indirect=True)
def test_statement_with_unreadable_answer_may_have_been_executed(
    harness: Harness, proxy: tuple[str, GarblingProxy]
) -> None:
    """If a response is unreadable, the statement may have been executed.

    The connection is closed.
    """
    server = proxy[1]
    ((first,),) = harness.perform(harness.connector.query(SESSION[harness.system]))
    # An empty packet, which arrives when a packet with this number is expected.
    server.traps = {b"INSERT INTO moorage_orders": b"\0\0\0\1"}
    # The asynchronous driver waits for the rest of the packet.
    error = error_of(
        lambda: harness.perform(harness.connector.execute(INSERT, id=-1, note="a"), timeout=1)
    )
    server.traps, server.garbage = {}, None
    ((second,),) = harness.perform(harness.connector.query(SESSION[harness.system]))

    assert may_have_acted(error)
    assert first != second
    assert 1 == harness.connector.statistics().idle
