"""Checks that the LDAP connector passes the connector conformance kit with a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AuthenticationFailed, ConnectionFailed
from moorage.adapters.ldap.connector_async import AsyncLdapConnector
from moorage.adapters.ldap.connector_sync import LdapConnector
from moorage.domain.connectors.ldap_values import entry_name, equals
from moorage.testing import TcpProxy, connector_conformance, name_of
from tests.support.ldap_servers import BASE, PASSWORD, PrivateSlapd
from tests.support.ports import free_port
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module", name="server")
def _server() -> Generator[PrivateSlapd]:
    with PrivateSlapd() as server:
        yield server


@pytest.fixture(name="proxy")
def _proxy(server: PrivateSlapd) -> Generator[TcpProxy]:
    with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy


def subject(
    kind: Any, server: PrivateSlapd, proxy: TcpProxy | None, **settings: Any
) -> connector_conformance.ConnectorSubject:
    """Return a description of the connector under test for the conformance kit."""
    port = None if proxy is None else proxy.address[1]

    def make_connector(**changed: Any) -> Any:
        options = {"service": "connector", "connect_timeout": 3.0, **settings, **changed}
        return lambda _: kind(server.settings(port, **options))

    def write(connector: Any, text: str) -> Any:
        return connector.add(entry_name("uid", text, BASE), {"objectClass": "account", "uid": text})

    def count(text: str) -> int:
        return len(server.perform(lambda ldap: ldap.search(equals("uid", text))).entries)

    refusals = {
        "wrong password": connector_conformance.Refusal(
            make=make_connector(password="guess-0815"),
            error=AuthenticationFailed,
            because="password",
        ),
        "unknown user": connector_conformance.Refusal(
            make=make_connector(user="cn=nobody,dc=example"), error=AuthenticationFailed
        ),
        "unknown host": connector_conformance.Refusal(
            make=make_connector(url="ldap://directory.invalid"),
            error=ConnectionFailed,
            because="host",
        ),
        "nobody listens": connector_conformance.Refusal(
            make=make_connector(url=f"ldap://127.0.0.1:{free_port()}"),
            error=ConnectionFailed,
            because="Nothing accepts",
        ),
        "untrusted certificate": connector_conformance.Refusal(
            make=make_connector(start_tls=True, authorities=None),
            error=ConnectionFailed,
            because="TLS",
        ),
        "untrusted certificate of LDAPS": connector_conformance.Refusal(
            make=make_connector(url=f"ldaps://127.0.0.1:{server.secure_port}", authorities=None),
            error=ConnectionFailed,
            because="TLS",
        ),
        "no TLS at the port of LDAPS": connector_conformance.Refusal(
            make=make_connector(
                url=f"ldap://127.0.0.1:{server.secure_port}", start_tls=False, authorities=None
            ),
            error=ConnectionFailed,
        ),
    }
    return connector_conformance.ConnectorSubject(
        make=make_connector(),
        read=lambda connector, text: connector.search(equals("uid", text)),
        write=write,
        count=count,
        network=proxy,
        refusals=refusals,
        secret=PASSWORD,
        operations=operations(500),
    )


@pytest.mark.parametrize(
    "check", connector_conformance.CHECKS + connector_conformance.FORK_CHECKS, ids=name_of
)
def test_synchronous_ldap_connector_passes_checks_without_network_faults(
    server: PrivateSlapd, check: connector_conformance.Check
) -> None:
    """The synchronous LDAP connector passes the checks that need no network faults."""
    check(subject(LdapConnector, server, None))


@pytest.mark.parametrize("check", connector_conformance.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_ldap_connector_passes_checks_without_network_faults(
    server: PrivateSlapd, check: connector_conformance.AsyncCheck
) -> None:
    """The asynchronous LDAP connector passes the checks that need no network faults."""
    asyncio.run(check(subject(AsyncLdapConnector, server, None)))


@pytest.mark.parametrize("check", connector_conformance.NETWORK_CHECKS, ids=name_of)
def test_synchronous_connector_conforms_under_network_faults(
    server: PrivateSlapd, proxy: TcpProxy, check: connector_conformance.Check
) -> None:
    """The synchronous LDAP connector passes the conformance checks that make the network fail."""
    check(subject(LdapConnector, server, proxy))


@pytest.mark.parametrize("check", connector_conformance.ASYNC_NETWORK_CHECKS, ids=name_of)
def test_asynchronous_connector_conforms_under_network_faults(
    server: PrivateSlapd, proxy: TcpProxy, check: connector_conformance.AsyncCheck
) -> None:
    """The asynchronous LDAP connector passes the conformance checks that make the network fail."""
    asyncio.run(check(subject(AsyncLdapConnector, server, proxy)))


@pytest.mark.parametrize("check", connector_conformance.NETWORK_CHECKS, ids=name_of)
def test_encrypted_connector_conforms_under_network_faults(
    server: PrivateSlapd, proxy: TcpProxy, check: connector_conformance.Check
) -> None:
    """With an encrypted connection, the LDAP connector passes the checks of network failures."""
    settings = {"start_tls": True, "authorities": str(server.certificate)}
    check(subject(LdapConnector, server, proxy, **settings))
