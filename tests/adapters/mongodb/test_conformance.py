"""Checks that the MongoDB connector passes the connector conformance kit with a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AuthenticationFailed, ConnectionFailed, Secret, Tls
from moorage.adapters.mongodb.connector_async import AsyncMongoConnector
from moorage.adapters.mongodb.connector_sync import MongoConnector
from moorage.testing import TcpProxy, connector_conformance, name_of
from tests.support.mongodb_servers import PASSWORD, USER, PrivateMongo
from tests.support.ports import free_port
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module", name="server")
def _server() -> Generator[PrivateMongo]:
    with PrivateMongo(has_user=True) as server:
        with server.client(username=USER, password=PASSWORD, authSource="admin") as client:
            client.erp.notes.insert_one({"text": "first"})
        yield server


@pytest.fixture(name="proxy")
def _proxy(server: PrivateMongo) -> Generator[TcpProxy]:
    with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy


def subject(
    kind: Any, server: PrivateMongo, proxy: TcpProxy | None
) -> connector_conformance.ConnectorSubject:
    """Return a description of the connector under test for the conformance kit."""
    port = server.port if proxy is None else proxy.address[1]

    def make_connector(url: str = server.url(port), **settings: Any) -> Any:
        settings = {"user": USER, "password": Secret(PASSWORD), "auth_source": "admin", **settings}
        settings = {"service": "connector", "connect_timeout": 3.0, **settings}
        return lambda _: kind(url, **settings)

    def count(text: str) -> int:
        with server.client(username=USER, password=PASSWORD, authSource="admin") as client:
            return client.erp.notes.count_documents({"text": text})

    refusals = {
        "wrong password": connector_conformance.Refusal(
            make=make_connector(password=Secret("guess-0815")), error=AuthenticationFailed
        ),
        "unknown host": connector_conformance.Refusal(
            make=make_connector("mongodb://database.invalid/erp"),
            error=ConnectionFailed,
            because="host",
        ),
        "nobody listens": connector_conformance.Refusal(
            make=make_connector(server.url(free_port())),
            error=ConnectionFailed,
            because="Nothing accepts",
        ),
        "no TLS": connector_conformance.Refusal(
            make=make_connector(tls=Tls()), error=ConnectionFailed
        ),
    }
    return connector_conformance.ConnectorSubject(
        make=make_connector(),
        read=lambda connector, text: connector.find_one("notes", {"text": {"_": text}}),
        write=lambda connector, text: connector.insert_one("notes", {"text": text}),
        count=count,
        network=proxy,
        refusals=refusals,
        secret=PASSWORD,
        operations=operations(1_000),
    )


@pytest.mark.untraced
@pytest.mark.parametrize(
    "check", connector_conformance.CHECKS + connector_conformance.FORK_CHECKS, ids=name_of
)
def test_synchronous_mongodb_connector_passes_checks_without_network_faults(
    server: PrivateMongo, check: connector_conformance.Check
) -> None:
    """The synchronous MongoDB connector passes the checks that need no network faults."""
    check(subject(MongoConnector, server, None))


@pytest.mark.untraced
@pytest.mark.parametrize("check", connector_conformance.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_mongodb_connector_passes_checks_without_network_faults(
    server: PrivateMongo, check: connector_conformance.AsyncCheck
) -> None:
    """The asynchronous MongoDB connector passes the checks that need no network faults."""
    asyncio.run(check(subject(AsyncMongoConnector, server, None)))


@pytest.mark.parametrize("check", connector_conformance.NETWORK_CHECKS, ids=name_of)
def test_synchronous_connector_on_a_faulty_network(
    server: PrivateMongo, proxy: TcpProxy, check: connector_conformance.Check
) -> None:
    """The synchronous MongoDB connector passes checks with lost or silent connections."""
    check(subject(MongoConnector, server, proxy))


@pytest.mark.untraced
@pytest.mark.parametrize("check", connector_conformance.ASYNC_NETWORK_CHECKS, ids=name_of)
def test_asynchronous_connector_on_a_faulty_network(
    server: PrivateMongo, proxy: TcpProxy, check: connector_conformance.AsyncCheck
) -> None:
    """The asynchronous MongoDB connector passes checks with lost or silent connections."""
    asyncio.run(check(subject(AsyncMongoConnector, server, proxy)))
