"""The connectors of HTTP services pass the conformance kit of connectors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from moorage import GraphQL, JsonRpc, OData, XmlRpc
from moorage.adapters.graphql.kind import GRAPHQL
from moorage.adapters.http_operations.json_rpc import JSON_RPC
from moorage.adapters.http_operations.odata import ODATA
from moorage.adapters.http_operations.xml_rpc import XML_RPC
from moorage.testing import TcpProxy, connector_conformance, name_of
from tests.connectors.http_services import GraphQLServer, JsonRpcServer
from tests.support.odata_server import ROOT, ODataServer
from tests.support.refusing_services import RefusingServices, refusing_services
from tests.support.volumes import operations
from tests.support.xml_rpc_server import XmlRpcServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from moorage.ports.connector import ConnectorKind

MANAGERS_CONNECTIONS = frozenset({
    "closing_ends_the_connector", "closing_ends_operations",
})  # fmt: skip
"""The checks of closed connections, which belong to the manager here."""
OPEN_OVER_HTTP = "refused_connection_did_nothing"
"""A server of HTTP says nothing before the request, so a cut connection leaves the request open."""


@attrs.frozen
class Service:
    """A running service, and the operations of its connector.

    Attributes:
        kind: the kind of the connector.
        url: the address of the service.
        settings: the settings of the connector.
        read: makes an operation that returns a text.
        write: makes an operation with one effect.
        count: returns the number of effects with this name.
        forget: drops the requests that the service has recorded.
    """

    kind: ConnectorKind
    url: str
    settings: dict[str, Any]
    read: Callable[[str], Any]
    write: Callable[[str], Any]
    count: Callable[[str], int]
    forget: Callable[[], object]


def graphql() -> Generator[Service]:
    """Yield a GraphQL service."""
    server, client = GraphQLServer(), GraphQL()
    query = "query Echo($text: String!) { echo(text: $text) }"
    mutation = "mutation Add($id: ID!) { add(id: $id) { id } }"
    with server.server:
        yield Service(
            GRAPHQL,
            server.server.url,
            {},
            lambda text: client.query(query, {"text": text}),
            lambda text: client.mutation(mutation, {"id": text}),
            server.added.count,
            server.server.forget_requests,
        )


def json_rpc() -> Generator[Service]:
    """Yield a JSON-RPC service."""
    server, client = JsonRpcServer(), JsonRpc()

    def forget() -> None:
        server.server.forget_requests()
        server.methods.clear()

    with server.server:
        yield Service(
            JSON_RPC,
            server.server.url,
            {},
            lambda text: client.call("echo", [text], safe=True),
            lambda text: client.call("add", [text]),
            server.added.count,
            forget,
        )


def xml_rpc() -> Generator[Service]:
    """Yield an XML-RPC service."""
    client = XmlRpc("/RPC2")
    with XmlRpcServer() as server:
        yield Service(
            XML_RPC,
            server.url,
            {"path": "/RPC2"},
            lambda text: client.call("echo", [text], safe=True),
            lambda text: client.call("echo", [text]),
            lambda text: server.calls.count((text,)),
            server.calls.clear,
        )


def odata() -> Generator[Service]:
    """Yield an OData service with one order."""
    server, client = ODataServer().start(), OData(ROOT)
    server.service.add(Name="bolt", Pieces=3)

    def forget() -> None:
        server.forget_requests()
        server.service.seen.clear()

    yield Service(
        ODATA,
        server.url,
        {"path": ROOT},
        lambda text: client.get("Orders", 1),
        lambda text: client.create("Orders", {"Name": text, "Pieces": 1}),
        lambda text: sum(order["Name"] == text for order in server.service.orders.values()),
        forget,
    )
    server.close()


SERVICES = {"graphql": graphql, "json-rpc": json_rpc, "xml-rpc": xml_rpc, "odata": odata}


@pytest.fixture(scope="module", params=SERVICES, name="service")
def _service(request: pytest.FixtureRequest) -> Generator[Service]:
    """Yield each of the services, one at a time."""
    yield from SERVICES[request.param]()


@pytest.fixture(scope="module", name="refusing")
def _refusing(tmp_path_factory: pytest.TempPathFactory) -> Generator[RefusingServices]:
    """Yield services that refuse every client."""
    with refusing_services(tmp_path_factory.mktemp("refusing")) as refusing:
        yield refusing


@pytest.fixture(name="network")
def _network(service: Service) -> Generator[TcpProxy]:
    """Yield a TCP proxy between a manager and the service."""
    parts = urlsplit(service.url)
    with TcpProxy(parts.hostname or "", parts.port or 0) as proxy:
        yield proxy


def subject(
    service: Service,
    network: TcpProxy,
    refusing: RefusingServices,
    managers: list[Any],
    *,
    is_async: bool,
) -> connector_conformance.ConnectorSubject:
    """Return the connector under test, and add its manager to the list of those to close."""
    settings = service.kind.settings(**service.settings)
    build: Any = service.kind.build_async if is_async else service.kind.build
    host, port = network.address

    def make_connector(manager: Any) -> Any:
        managers.append(manager)
        return build("connector", settings, manager)

    return connector_conformance.ConnectorSubject(
        make=make_connector,
        read=lambda _, text: service.read(text),
        # The repr of a GraphQL result does not show its data.
        echoes=service.kind in {JSON_RPC, XML_RPC},
        write=lambda _, text: service.write(text),
        count=service.count,
        forget=service.forget,
        network=network,
        refusals=refusing.refusals(make_connector),
        base_url=f"http://{host}:{port}",
        operations=operations(150),
        timeout=1.0,
    )


def applicable(checks: Iterable[Any]) -> list[Any]:
    """Return the checks that apply to a connector without its own connections."""
    left_out = {*MANAGERS_CONNECTIONS, OPEN_OVER_HTTP}
    return [check for check in checks if name_of(check) not in left_out]


@pytest.mark.untraced
@pytest.mark.parametrize(
    "check",
    applicable(connector_conformance.CHECKS + connector_conformance.NETWORK_CHECKS),
    ids=name_of,
)
def test_synchronous_connector_passes_each_check_of_conformance_kit(
    check: Any, service: Service, network: TcpProxy, refusing: RefusingServices
) -> None:
    """The synchronous connector passes each check of the conformance kit."""
    managers: list[Any] = []
    try:
        check(subject(service, network, refusing, managers, is_async=False))
    finally:
        for manager in managers:
            manager.close()


@pytest.mark.untraced
@pytest.mark.parametrize(
    "check",
    applicable(connector_conformance.ASYNC_CHECKS + connector_conformance.ASYNC_NETWORK_CHECKS),
    ids=name_of,
)
def test_asynchronous_connector_passes_each_check_of_conformance_kit(
    check: Any, service: Service, network: TcpProxy, refusing: RefusingServices
) -> None:
    """The asynchronous connector passes each check of the conformance kit."""

    async def run() -> None:
        managers: list[Any] = []
        try:
            await check(subject(service, network, refusing, managers, is_async=True))
        finally:
            for manager in managers:
                await manager.close()

    asyncio.run(run())


@pytest.mark.parametrize("check", connector_conformance.FORK_CHECKS, ids=name_of)
def test_forked_connector_uses_the_childs_connections(
    check: Any, service: Service, network: TcpProxy, refusing: RefusingServices
) -> None:
    """In a forked child, a connector uses the connections of the child's own manager."""
    managers: list[Any] = []
    try:
        check(subject(service, network, refusing, managers, is_async=False))
    finally:
        for manager in managers:
            manager.close()
