"""The WebSocket connector passes the connectors' conformance kit, with a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AuthenticationFailed, ConnectionFailed, Credentials
from moorage.adapters.websocket.connector import AsyncWebSocketConnector, WebSocketConnector
from moorage.testing import TcpProxy, connector_conformance, name_of
from tests.adapters.websocket.server_process import TOKEN
from tests.adapters.websocket.websocket_harness import AT_ONCE
from tests.support.ports import free_port
from tests.support.untrusted_server import UntrustedServer
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.adapters.websocket.websocket_harness import Server

CHECKS = connector_conformance.CHECKS + connector_conformance.NETWORK_CHECKS
ASYNC_CHECKS = connector_conformance.ASYNC_CHECKS + connector_conformance.ASYNC_NETWORK_CHECKS


@pytest.fixture(scope="module", autouse=True)
def _first_use(server: Server) -> None:
    """Connect once beforehand, because the background event loop opens files for the process."""
    with WebSocketConnector(server.url) as connector:
        connector.open(30.0)


@pytest.fixture(scope="module", name="untrusted")
def _untrusted_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[UntrustedServer]:
    """Yield a TLS server whose certificate comes from an unknown authority."""
    with UntrustedServer(tmp_path_factory.mktemp("untrusted")) as untrusted:
        yield untrusted


@pytest.fixture
def proxy(server: Server) -> Generator[TcpProxy]:
    """Yield a TCP proxy between the connector and the server."""
    with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy


def subject(
    kind: Any, server: Server, untrusted: UntrustedServer, network: TcpProxy | None
) -> connector_conformance.ConnectorSubject:
    """Return a description of the connector under test for the conformance kit."""
    port = server.port if network is None else network.address[1]

    def make_connector(address: str = f"ws://127.0.0.1:{port}", token: str = TOKEN) -> Any:
        return kind(
            f"{address}/secret",
            service="connector",
            credentials=Credentials.bearer(token),
            reconnect=AT_ONCE,
        )

    def write(connector: Any, text: str) -> Any:
        return connector.request({"method": "record", "params": {"id": text}}, name="record")

    def read(connector: Any, text: str) -> Any:
        return connector.request({"method": "echo", "params": [text]}, name="echo", safe=True)

    return connector_conformance.ConnectorSubject(
        make=lambda _: make_connector(),
        read=read,
        echoes=True,
        write=write,
        count=lambda name: server.added().count(name),
        network=network,
        refusals={
            "wrong token": connector_conformance.Refusal(
                make=lambda _: make_connector(token="wrong-token-4711"),
                error=AuthenticationFailed,
                because="credential",
            ),
            "nobody listens": connector_conformance.Refusal(
                make=lambda _: make_connector(f"ws://127.0.0.1:{free_port()}"),
                error=ConnectionFailed,
                because="reached",
            ),
            "unknown host": connector_conformance.Refusal(
                make=lambda _: make_connector("ws://socket.invalid"),
                error=ConnectionFailed,
                because="host",
            ),
            "untrusted certificate": connector_conformance.Refusal(
                make=lambda _: make_connector(f"wss://127.0.0.1:{untrusted.port}"),
                error=ConnectionFailed,
                because="TLS",
            ),
        },
        secret=TOKEN,
        operations=operations(1000),
    )


@pytest.mark.untraced
@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_synchronous_connector_passes(
    check: Any, server: Server, untrusted: UntrustedServer, proxy: TcpProxy
) -> None:
    """The synchronous WebSocket connector passes each check of the conformance kit."""
    check(subject(WebSocketConnector, server, untrusted, proxy))


@pytest.mark.parametrize("check", connector_conformance.FORK_CHECKS, ids=name_of)
def test_forked_connector_passes(check: Any, server: Server, untrusted: UntrustedServer) -> None:
    """The synchronous WebSocket connector works in a forked child."""
    check(subject(WebSocketConnector, server, untrusted, None))


@pytest.mark.parametrize("check", ASYNC_CHECKS, ids=name_of)
def test_asynchronous_connector_passes(
    check: Any, server: Server, untrusted: UntrustedServer, proxy: TcpProxy
) -> None:
    """The asynchronous WebSocket connector passes each check of the conformance kit."""
    asyncio.run(check(subject(AsyncWebSocketConnector, server, untrusted, proxy)))
