"""Checks that the IMAP connector passes the connector conformance kit, on real and fake servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from moorage import AuthenticationFailed, ConnectionFailed
from moorage.adapters.imap.connector_async import AsyncImapConnector
from moorage.adapters.imap.connector_sync import ImapConnector
from moorage.domain.connectors.imap_values import subject_contains
from moorage.testing import TcpProxy, connector_conformance, name_of
from tests.support.imap_servers import PASSWORD, FakeMailboxes, PrivateDovecot
from tests.support.ports import free_port
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module", name="server")
def _server() -> Generator[PrivateDovecot]:
    with PrivateDovecot() as server:
        yield server


@pytest.fixture(name="proxy")
def _proxy(server: PrivateDovecot) -> Generator[TcpProxy]:
    with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy


def subject(
    kind: Any, server: PrivateDovecot | FakeMailboxes, proxy: TcpProxy | None, **settings: Any
) -> connector_conformance.ConnectorSubject:
    """Return a description of the connector under test for the conformance kit."""
    port = None if proxy is None else proxy.address[1]
    user = f"user-{uuid4().hex[:8]}"
    server.add(user, b"Subject: first\r\n\r\nfirst")

    def make_connector(**changed: Any) -> Any:
        options = {"service": "connector", "connect_timeout": 3.0, **settings, **changed}
        return lambda _: kind(server.settings(user, port, **options))

    def write(connector: Any, text: str) -> Any:
        return connector.flag([1], add=[text])

    refusals = {
        "wrong password": connector_conformance.Refusal(
            make=make_connector(password="guess-0815"),
            error=AuthenticationFailed,
            because="password",
        ),
        "wrong token": connector_conformance.Refusal(
            make=make_connector(password=None, token="guess-0815"), error=AuthenticationFailed
        ),
        "unknown host": connector_conformance.Refusal(
            make=make_connector(url="imap://mail.invalid"), error=ConnectionFailed, because="host"
        ),
        "nobody listens": connector_conformance.Refusal(
            make=make_connector(url=f"imap://127.0.0.1:{free_port()}"),
            error=ConnectionFailed,
            because="Nothing accepts",
        ),
        "untrusted certificate": connector_conformance.Refusal(
            make=make_connector(start_tls=True, authorities=None),
            error=ConnectionFailed,
            because="TLS",
        ),
        "untrusted certificate of IMAPS": connector_conformance.Refusal(
            make=make_connector(url=f"imaps://127.0.0.1:{server.secure_port}", authorities=None),
            error=ConnectionFailed,
            because="TLS",
        ),
    }
    return connector_conformance.ConnectorSubject(
        make=make_connector(),
        read=lambda connector, text: connector.search(subject_contains(text)),
        write=write,
        count=lambda text: server.count(user, text),
        network=proxy,
        refusals=refusals,
        secret=PASSWORD,
        operations=operations(500),
    )


@pytest.mark.parametrize(
    "check", connector_conformance.CHECKS + connector_conformance.FORK_CHECKS, ids=name_of
)
def test_synchronous_imap_connector_passes_checks_without_network_faults(
    server: PrivateDovecot, check: connector_conformance.Check
) -> None:
    """The synchronous IMAP connector passes the checks that need no network faults."""
    check(subject(ImapConnector, server, None))


@pytest.mark.parametrize("check", connector_conformance.CHECKS, ids=name_of)
def test_connector_passes_conformance_checks_with_fake_imap_server(
    check: connector_conformance.Check,
) -> None:
    """The connector passes the conformance checks with the package's fake IMAP server."""
    with FakeMailboxes() as server:
        check(subject(ImapConnector, server, None))


@pytest.mark.parametrize("check", connector_conformance.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_imap_connector_passes_checks_without_network_faults(
    server: PrivateDovecot, check: connector_conformance.AsyncCheck
) -> None:
    """The asynchronous IMAP connector passes the checks that need no network faults."""
    asyncio.run(check(subject(AsyncImapConnector, server, None)))


@pytest.mark.parametrize("check", connector_conformance.NETWORK_CHECKS, ids=name_of)
def test_synchronous_connector_conforms_under_network_faults(
    server: PrivateDovecot, proxy: TcpProxy, check: connector_conformance.Check
) -> None:
    """The synchronous IMAP connector passes the conformance checks that make the network fail."""
    check(subject(ImapConnector, server, proxy))


@pytest.mark.parametrize("check", connector_conformance.ASYNC_NETWORK_CHECKS, ids=name_of)
def test_asynchronous_connector_conforms_under_network_faults(
    server: PrivateDovecot, proxy: TcpProxy, check: connector_conformance.AsyncCheck
) -> None:
    """The asynchronous IMAP connector passes the conformance checks that make the network fail."""
    asyncio.run(check(subject(AsyncImapConnector, server, proxy)))


@pytest.mark.parametrize("check", connector_conformance.NETWORK_CHECKS, ids=name_of)
def test_encrypted_connector_conforms_under_network_faults(
    server: PrivateDovecot, proxy: TcpProxy, check: connector_conformance.Check
) -> None:
    """With an encrypted connection, the IMAP connector passes the checks of network failures."""
    settings = {"start_tls": True, "authorities": str(server.certificate)}
    check(subject(ImapConnector, server, proxy, **settings))
