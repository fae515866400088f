"""SOAP services as connectors in a configuration."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import moorage
from moorage import ConfigurationError, InvalidData, LocalFailure, VendorRejected
from moorage.adapters.http_operations.soap.connector_async import AsyncSoapConnector
from moorage.adapters.http_operations.soap.connector_sync import SoapConnector
from moorage.testing import SoapServer, TcpProxy, connector_conformance, name_of
from tests.soap.soap_harness import ORDER, PASSWORD, WSDL, new_server
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

from moorage.adapters.http_operations.soap.settings import SoapSettings
from tests.support.refusing_services import RefusingServices, refusing_services
from tests.support.volumes import operations


@pytest.fixture
def server() -> Generator[SoapServer]:
    """Yield a server of SOAP 1.1."""
    with new_server() as running:
        yield running


def configuration(url: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with one SOAP connector and its service."""
    table = {"kind": "soap", "wsdl": "/soap?wsdl", **settings}
    return {"connectors": {"quotes": table}, "services": {"quotes": {"base_url": url}}}


FILE = {"wsdl_file": str(WSDL), "location": "/soap"}


def test_operations_can_be_run_by_name(server: SoapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation of the WSDL can be run by name with plain JSON."""
    monkeypatch.setenv("QUOTES_PASSWORD", PASSWORD)
    token = {"username": "ada", "password": "secret://env/QUOTES_PASSWORD", "digest": True}
    settings = configuration(server.url, **token, valid_for=300, safe=["GetQuote"])
    with moorage.open(settings) as hub:

        def run(operation: str, **arguments: Any) -> Any:
            result = hub.connectors.run("quotes", operation, arguments)
            return json.loads(json.dumps(result))

        quote = {"price": "149.90", "at": "2026-01-31T12:00:00+00:00", "tag": ["a", "b"]}
        assert quote == run("GetQuote", symbol="ABC")
        assert 3 == run("PlaceOrder", order={**ORDER, "limit": "1.5", "scan": "/w=="})
        assert "hello" == run("Hello")
        assert run("Notify", Upper="a") is None
        for wrong_value in ({}, {"symbol": "abc"}, {"symbol": "ABC", "x": 1}):
            with pytest.raises(InvalidData):
                run("GetQuote", **wrong_value)
        with pytest.raises(VendorRejected) as excinfo:
            run("PlaceOrder", order=ORDER, code=f"Client:{PASSWORD}")
        with pytest.raises(ConfigurationError, match="GetQuote, Hello, Notify, PlaceOrder"):
            run("Delete")
        connector = hub.connectors.get("quotes", SoapConnector)
        assert connector.operations["GetQuote"].operation({"symbol": "A"}).safe
        assert "Symbol." == connector.operations["GetQuote"].arguments["symbol"]
        assert hub.connectors.health("quotes").is_healthy
        shown_text = f"{excinfo.value!r} {vars(excinfo.value)} {connector!r} {hub!r}"
    assert PASSWORD not in shown_text


@pytest.mark.parametrize("settings", [{}, FILE, {**FILE, "ping": "Hello"}])
def test_soap_connectors_of_both_modes_load_wsdl_from_service_or_file(
    server: SoapServer, settings: dict[str, Any]
) -> None:
    """Sync and async SOAP connectors load the WSDL from service or file, and report health."""
    table = configuration(server.url, **settings)

    async def use_connector() -> Any:
        async with moorage.aopen(table) as hub:
            connector = hub.connectors.get("quotes", AsyncSoapConnector)
            assert {} == connector.operations
            assert "hello" == await hub.connectors.run("quotes", "Hello", timeout=20.0)
            assert (await hub.connectors.health("quotes")).is_healthy
            await hub.connectors.open()
            client = await connector.soap()
            assert client is await connector.soap()
            operation = client.operation("GetQuote", symbol="ABC")
            return await hub.manager.perform("quotes", operation)

    assert ["a", "b"] == asyncio.run(use_connector())["tag"]
    with moorage.open(table) as hub:
        assert hub.connectors.health("quotes").is_healthy
        connector = hub.connectors.get("quotes", SoapConnector)
        operation = connector.soap().operation("GetQuote", symbol="ABC")
        assert ["a", "b"] == hub.manager.perform("quotes", operation)["tag"]
        connector.close()
        with pytest.raises(LocalFailure):
            connector.open()


def test_moorage_run_performs_operation_of_configured_soap_connector(
    server: SoapServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage run` performs an operation of a configured SOAP connector."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text(
        f'[connectors.q]\nkind = "soap"\nwsdl = "/soap?wsdl"\nservice = "erp"\n'
        f'[services.erp]\nbase_url = "{server.url}"\n',
        encoding="utf-8",
    )
    finished = command("run", "q", "Hello")
    assert (0, "hello\n") == (finished.code, finished.out)


@pytest.mark.parametrize(
    "settings",
    [{"username": "a"}, {"digest": True}, {"valid_for": 0}, {"pasword": "x"}],
)
def test_wrong_setting_of_soap_connector_is_refused_with_its_path(settings: dict[str, Any]) -> None:
    """A wrong setting of a SOAP connector is refused with its path, before anything is sent."""
    with pytest.raises(ConfigurationError, match=r"connectors\.quotes"):
        moorage.open(configuration("https://quotes.example", **settings))


@pytest.mark.parametrize("settings", [{}, FILE])
def test_unreachable_soap_service_is_reported_as_unavailable(settings: dict[str, Any]) -> None:
    """An unreachable SOAP service is reported as unavailable, with a remedy."""
    with moorage.open(configuration("http://127.0.0.1:1", **settings)) as hub:
        health = hub.connectors.health("quotes")
    assert not health.is_healthy
    assert health.remedy


@pytest.fixture(scope="module", name="refusing")
def _refusing_services(tmp_path_factory: pytest.TempPathFactory) -> Generator[RefusingServices]:
    """Yield services that refuse every client."""
    with refusing_services(tmp_path_factory.mktemp("refusing")) as refusing:
        yield refusing


def subject(
    server: SoapServer,
    network: TcpProxy,
    refusing: RefusingServices,
    kind: Any,
    managers: list[Any],
) -> connector_conformance.ConnectorSubject:
    """Describe a SOAP connector for the conformance kit, and collect the managers that it opens."""
    settings = SoapSettings(wsdl_file=str(WSDL), location="/soap", ping="Hello")

    def make_connector(manager: Any) -> Any:
        managers.append(manager)
        return kind("connector", manager, settings)

    def read(connector: Any, text: str) -> Any:
        return CLIENT.operation("Hello")

    def write(connector: Any, text: str) -> Any:
        return CLIENT.operation("Notify", Upper=text)

    def forget() -> None:
        server.forget_requests()
        server.calls.clear()

    return connector_conformance.ConnectorSubject(
        make=make_connector,
        read=read,
        write=write,
        count=lambda text: sum(text.encode() in item.body for item in server.requests),
        network=network,
        refusals=refusing.refusals(make_connector),
        base_url="http://{}:{}".format(*network.address),
        timeout=1.0,
        operations=operations(150),
        forget=forget,
    )


CLIENT = SoapSettings(wsdl_file=str(WSDL), location="/soap").client(moorage.Wsdl.from_file(WSDL))


OF_CONNECTIONS = frozenset({
    "closing_ends_the_connector", "closing_ends_operations", "refused_connection_did_nothing",
})  # fmt: skip
"""The checks of connectors that have connections; those of this one are the manager's.

A server of HTTP says nothing before the request, so a cut connection leaves the request open.
"""


@pytest.fixture(name="network")
def _network(server: SoapServer) -> Generator[TcpProxy]:
    """Yield a TCP proxy between the manager and the service."""
    parts = urlsplit(server.url)
    with TcpProxy(parts.hostname or "", parts.port or 0) as proxy:
        yield proxy


def applicable(checks: Iterable[Any]) -> list[Any]:
    """Return the conformance checks that do not concern a connector's connections."""
    return [check for check in checks if name_of(check) not in OF_CONNECTIONS]


@pytest.mark.parametrize(
    "check",
    applicable(connector_conformance.CHECKS + connector_conformance.NETWORK_CHECKS),
    ids=name_of,
)
def test_synchronous_soap_connector_passes_connector_conformance_kit(
    server: SoapServer,
    network: TcpProxy,
    refusing: RefusingServices,
    check: connector_conformance.Check,
) -> None:
    """The synchronous SOAP connector passes the connector conformance kit."""
    managers: list[Any] = []
    try:
        check(subject(server, network, refusing, SoapConnector, managers))
    finally:
        for manager in managers:
            manager.close()


@pytest.mark.parametrize(
    "check",
    applicable(connector_conformance.ASYNC_CHECKS + connector_conformance.ASYNC_NETWORK_CHECKS),
    ids=name_of,
)
def test_asynchronous_soap_connector_passes_connector_conformance_kit(
    server: SoapServer,
    network: TcpProxy,
    refusing: RefusingServices,
    check: connector_conformance.AsyncCheck,
) -> None:
    """The asynchronous SOAP connector passes the connector conformance kit."""
    managers: list[Any] = []

    async def run() -> None:
        try:
            await check(subject(server, network, refusing, AsyncSoapConnector, managers))
        finally:
            for manager in managers:
                await manager.close()

    asyncio.run(run())
