"""Database servers that never respond, or that send their response byte by byte."""

from __future__ import annotations

import gc
import socket
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from moorage import ConnectorError
from moorage.domain.resilience.health import may_have_acted
from moorage.testing.fakes._tcp_server import TcpServer
from tests.adapters.sql.database_harness import INSERT, SERVERS, SESSION, Harness, url_of

if TYPE_CHECKING:
    from collections.abc import Generator

PORTS = {"postgresql": 5432, "mariadb": 3306}


class SlowProxy(TcpServer):
    """A proxy in front of a server that can pass on the server's answers slowly.

    Attributes:
        pause: the seconds after each byte of an answer.
        most: the number of bytes passed on before the connection is cut; None for all.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self.pause = 0.0
        self.most: int | None = None
        self._target = host, port

    def _answer_requests(self, connection: socket.socket) -> None:
        """Relay bytes in both directions until one side ends."""
        with socket.create_connection(self._target) as server:
            answers = Thread(target=self._answer, args=(server, connection), daemon=True)
            answers.start()
            with suppress(OSError):
                while data := connection.recv(65_536):
                    server.sendall(data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if self.most is not None:
                    data, self.most = data[: self.most], max(0, self.most - len(data))
                for part in map(bytes, zip(data)) if self.pause else [data]:
                    client.sendall(part)
                    time.sleep(self.pause)
                if self.most == 0:
                    break
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@pytest.fixture(name="proxy", params=SERVERS)
def _proxy(request: pytest.FixtureRequest) -> Generator[tuple[str, SlowProxy]]:
    url = make_url(url_of(request.param))
    with SlowProxy(url.host or "127.0.0.1", url.port or PORTS[request.param]) as proxy:
        yield request.param, proxy


@pytest.fixture(name="harness")
def _harness(mode: str, proxy: tuple[str, SlowProxy]) -> Generator[Harness]:
    system, server = proxy
    url = make_url(url_of(system)).set(host="127.0.0.1", port=server.port)
    harness = Harness(system, mode, url=url.render_as_string(hide_password=False), check_idle=False)
    yield harness
    harness.close()


def test_answer_that_comes_byte_by_byte_ends_at_the_deadline(
    harness: Harness, proxy: tuple[str, SlowProxy]
) -> None:
    """A deadline limits the wait for the whole response, even if parts of it arrive steadily."""
    first = harness.session()
    proxy[1].pause = 0.05
    with pytest.raises(ConnectorError):  # the whole answer takes at least two seconds
        harness.perform(harness.connector.query(SESSION[harness.system]), timeout=0.5)
    proxy[1].pause = 0.0
    assert first != harness.session()


def test_statement_that_waited_for_a_connection_was_not_sent(
    harness: Harness, proxy: tuple[str, SlowProxy]
) -> None:
    """If the server does not respond by the deadline, the error says that nothing was sent."""
    proxy[1].pause = 10.0
    with pytest.raises(ConnectorError) as excinfo:
        harness.perform(harness.connector.execute(INSERT, id=1, note="a"), timeout=0.5)
    proxy[1].pause = 0.0
    assert not may_have_acted(excinfo.value)
    assert 0 == harness.connector.statistics().active


def test_lost_rows_are_not_read_when_their_result_is_collected(
    harness: Harness, proxy: tuple[str, SlowProxy]
) -> None:
    """If a connection is cut within an answer, discarding the result raises no unhandled error.

    Such an error of a finalizer would fail this test.
    """
    for most in range(10, 160, 10):
        harness.session()
        proxy[1].most = most
        with suppress(ConnectorError):  # the answer may be shorter
            harness.session()
        proxy[1].most = None
        gc.collect()
