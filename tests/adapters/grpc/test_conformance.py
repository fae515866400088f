"""Checks that the gRPC connector passes the connector conformance kit with a real server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from moorage import AuthenticationFailed, ConnectionFailed, Credentials, Tls
from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.testing import TcpProxy, connector_conformance, name_of
from tests.adapters.grpc.grpc_harness import ECHO, READ, Harness, HarnessServer
from tests.support.ports import free_port
from tests.support.untrusted_server import UntrustedServer
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Generator

SECRET = "token-4711-very-secret"
WRONG = f"{SECRET}-no-more"
"""A wrong token; an error that shows it would show the secret in it too."""


@pytest.fixture(scope="module", autouse=True)
def _first_use(server: HarnessServer) -> None:
    """Call a server in both modes once, because grpcio's first use opens process-wide files."""
    for mode in ("sync", "async"):
        harness = Harness(mode, server.address)
        harness.call()
        harness.close()


@pytest.fixture(scope="module", name="untrusted")
def _untrusted_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[UntrustedServer]:
    """Yield a TLS server whose certificate comes from an unknown authority."""
    with UntrustedServer(tmp_path_factory.mktemp("untrusted")) as untrusted:
        yield untrusted


@pytest.fixture(scope="module", name="guarded")
def _guarded_server() -> Generator[HarnessServer]:
    """Yield a server that refuses calls without the right token."""
    server = HarnessServer(MOORAGE_HARNESS_TOKEN=SECRET)
    yield server
    server.kill()


@pytest.fixture
def proxy(server: HarnessServer) -> Generator[TcpProxy]:
    """Yield a TCP proxy between the connector and the server."""
    with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy


def subject(
    kind: Any,
    server: HarnessServer,
    untrusted: UntrustedServer,
    network: TcpProxy | None,
    guarded: HarnessServer,
) -> connector_conformance.ConnectorSubject:
    """Return a description of the connector under test for the conformance kit."""
    port = server.port if network is None else network.address[1]

    def make_connector(port: int = port, host: str = "127.0.0.1", **settings: Any) -> Any:
        settings = {"plaintext": True, "credentials": Credentials.bearer(SECRET), **settings}
        return kind(f"{host}:{port}", service="connector", **settings)

    def count(name: str) -> int:
        question = json.dumps({"do": "count", "of": name, "name": "count"}).encode()
        channel: Any = grpc.insecure_channel(server.address)
        with channel:
            answer = channel.unary_unary("/harness.Harness/Echo")(question)
        number: int = json.loads(answer)["count"]
        return number

    return connector_conformance.ConnectorSubject(
        make=lambda _: make_connector(),
        read=lambda connector, text: connector.call(READ, {"name": text}),
        echoes=True,
        write=lambda connector, text: connector.call(ECHO, {"name": text}),
        count=count,
        network=network,
        refusals={
            "nobody listens": connector_conformance.Refusal(
                make=lambda _: make_connector(free_port()),
                error=ConnectionFailed,
                because="accepts",
            ),
            "wrong token": connector_conformance.Refusal(
                make=lambda _: make_connector(guarded.port, credentials=Credentials.bearer(WRONG)),
                error=AuthenticationFailed,
            ),
            "unknown host": connector_conformance.Refusal(
                make=lambda _: make_connector(host="grpc.invalid", plaintext=False),
                error=ConnectionFailed,
                because="host",
            ),
            "untrusted certificate": connector_conformance.Refusal(
                make=lambda _: make_connector(untrusted.port, plaintext=False, tls=Tls()),
                error=ConnectionFailed,
                because="TLS",
            ),
            "no TLS": connector_conformance.Refusal(
                make=lambda _: make_connector(plaintext=False, tls=Tls()),
                error=ConnectionFailed,
                because="TLS",
            ),
        },
        secret=SECRET,
        operations=operations(1000),
    )


@pytest.mark.parametrize(
    "check", connector_conformance.CHECKS + connector_conformance.NETWORK_CHECKS, ids=name_of
)
def test_a_synchronous_connector_passes(
    check: Any,
    server: HarnessServer,
    untrusted: UntrustedServer,
    proxy: TcpProxy,
    guarded: HarnessServer,
) -> None:
    """The synchronous gRPC connector passes each check of the conformance kit."""
    check(subject(GrpcConnector, server, untrusted, proxy, guarded))


@pytest.mark.parametrize(
    "check",
    connector_conformance.ASYNC_CHECKS + connector_conformance.ASYNC_NETWORK_CHECKS,
    ids=name_of,
)
def test_an_asynchronous_connector_passes(
    check: Any,
    server: HarnessServer,
    untrusted: UntrustedServer,
    proxy: TcpProxy,
    guarded: HarnessServer,
) -> None:
    """The asynchronous gRPC connector passes each check of the conformance kit."""
    asyncio.run(check(subject(AsyncGrpcConnector, server, untrusted, proxy, guarded)))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_server_that_refuses_wrong_token_accepts_right_one(
    guarded: HarnessServer, mode: str
) -> None:
    """The server that refuses a wrong token accepts the right one."""
    harness = Harness(mode, guarded.address, credentials=Credentials.bearer(SECRET))
    try:
        assert "x" == harness.call(READ, name="x")["name"]
    finally:
        harness.close()
