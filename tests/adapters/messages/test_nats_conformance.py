"""Checks that the NATS connector passes the conformance kit of connectors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AuthenticationFailed, ConnectionFailed, Message, Nats
from moorage.testing import TcpProxy, connector_conformance, name_of
from tests.support.nats_servers import PrivateNats
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PASSWORD = "open-sesame"
CHECKS = connector_conformance.CHECKS + connector_conformance.NETWORK_CHECKS
ASYNC_CHECKS = connector_conformance.ASYNC_CHECKS + connector_conformance.ASYNC_NETWORK_CHECKS


@pytest.fixture(scope="module", name="server")
def _server() -> Generator[PrivateNats]:
    """Yield a NATS server with users, used only by these checks."""
    users = "authorization { users: [{user: shop, password: pw}] }"
    with PrivateNats(users, user="shop", password="pw") as server:
        server.add_stream("orders")
        server.add_stream("noise")
        yield server


@pytest.fixture(name="proxy")
def _proxy(server: PrivateNats) -> Generator[TcpProxy]:
    with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy


def subject(
    server: PrivateNats, proxy: TcpProxy, *, is_async: bool
) -> connector_conformance.ConnectorSubject:
    """Return the connector under test; instead of a read, it publishes to a second stream."""

    def make_subject_of(url: str) -> Callable[[Any], Any]:
        settings: Any = Nats(url=url)
        make_harness: Any = settings.async_publisher if is_async else settings.publisher
        return lambda _: make_harness("connector")

    def refusal(error: type[Any], reason: str, url: str) -> connector_conformance.Refusal:
        return connector_conformance.Refusal(make=make_subject_of(url), error=error, because=reason)

    def count(text: str) -> int:
        return server.payloads("orders").count(text.encode())

    host, port = proxy.address
    return connector_conformance.ConnectorSubject(
        make=make_subject_of(f"nats://shop:pw@{host}:{port}"),
        read=lambda connector, text: connector.publish("noise", Message(text)),
        write=lambda connector, text: connector.publish("orders", Message(text)),
        count=count,
        network=proxy,
        refusals={
            "unknown host": refusal(ConnectionFailed, "host", "nats://nats.invalid"),
            "no server": refusal(ConnectionFailed, "accepts", "nats://127.0.0.1:9"),
            "no TLS": refusal(
                ConnectionFailed, "TLS", f"tls://shop:{PASSWORD}@127.0.0.1:{server.port}"
            ),
            "wrong password": refusal(
                AuthenticationFailed, "password", f"nats://shop:{PASSWORD}@127.0.0.1:{server.port}"
            ),
        },
        secret=PASSWORD,
        operations=operations(300),
    )


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_synchronous_nats_connector_passes_each_check_of_conformance_kit(
    check: connector_conformance.Check, server: PrivateNats, proxy: TcpProxy
) -> None:
    """The synchronous NATS connector passes each check of the conformance kit."""
    check(subject(server, proxy, is_async=False))


@pytest.mark.parametrize("check", ASYNC_CHECKS, ids=name_of)
def test_asynchronous_nats_connector_passes_each_check_of_conformance_kit(
    check: connector_conformance.AsyncCheck, server: PrivateNats, proxy: TcpProxy
) -> None:
    """The asynchronous NATS connector passes each check of the conformance kit."""
    asyncio.run(check(subject(server, proxy, is_async=True)))


@pytest.mark.parametrize("check", connector_conformance.FORK_CHECKS, ids=name_of)
def test_forked_child_process_opens_its_own_nats_connection(
    check: connector_conformance.Check, server: PrivateNats, proxy: TcpProxy
) -> None:
    """A forked child process opens its own NATS connection."""
    check(subject(server, proxy, is_async=False))
