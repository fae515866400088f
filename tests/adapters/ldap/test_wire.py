"""LDAP servers that send malformed or unexpected responses, and failures to connect."""

from __future__ import annotations

import asyncio

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    VendorFailed,
)
from moorage.adapters.ldap.connector_async import AsyncLdapConnector
from moorage.adapters.ldap.settings import Ldap
from moorage.testing import LdapServer
from tests.adapters.ldap.directory_harness import DONE, Directory, ScriptedServer, message
from tests.support.ldap_servers import (
    BASE,
    PASSWORD,
    USER,
)

GARBAGE: dict[str, tuple[bytes, type[ConnectorError]]] = {
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", VendorFailed),
    "huge": (b"\x30\x84\x7f\xff\xff\xff", VendorFailed),
    "endless length": (b"\x30\x80\x02\x01\x01", VendorFailed),
    "nine bytes of length": (b"\x30\x89" + b"\x01" * 9, VendorFailed),
    "another number": (message(0x65, DONE, number=9), VendorFailed),
    "another kind": (message(0x61, DONE), VendorFailed),
    "empty": (b"\x30\x00", VendorFailed),
    "cut inside": (b"\x30\x05\x02\x01\x01\x65\x09", VendorFailed),
    "no entry": (message(0x64, b"\x04\x01a\x31\x00"), VendorFailed),
    "long number": (b"\x30\x0a\x02\x08" + b"\x01" * 8, VendorFailed),
    "notice of the end": (message(0x78, DONE, number=0), ConnectionFailed),
    "nothing": (b"", ConnectionFailed),
    "a part": (b"\x30\x40\x02\x01", ConnectionFailed),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_malformed_response_raises_error(name: str) -> None:
    """A malformed response raises an error, and its connection is not used again."""
    response, kind = GARBAGE[name]
    with ScriptedServer(response) as server:
        settings = Ldap(url=server.url, start_tls=False)
        with Directory(settings) as directory:
            directory.error(directory.connector.search(), kind)

            assert 0 == directory.connector.statistics().idle


@pytest.mark.parametrize("response", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_change_without_a_response_may_have_happened(response: bytes, *, is_async: bool) -> None:
    """If a change's response is missing or malformed, the error says it may have happened."""
    with ScriptedServer(response) as server:
        settings = Ldap(url=server.url, start_tls=False)
        with Directory(settings, is_async=is_async) as directory:
            error = directory.error(directory.connector.delete(BASE), ConnectionFailed)

    assert error.may_have_been_processed


def test_malformed_response_to_a_login() -> None:
    """If the response to the login is unreadable, the error says that nothing was changed."""
    with ScriptedServer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        settings = Ldap(url=server.url, user=USER, password=PASSWORD, start_tls=False)
        with Directory(settings) as directory:
            error = directory.error(directory.connector.delete(BASE), ConnectionFailed)

    assert not error.may_have_been_processed


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_malformed_response_in_a_stream(*, is_async: bool) -> None:
    """A malformed response to the first page of a stream leaves no connection in use."""
    with ScriptedServer(b"HTTP/1.1") as server:
        settings = Ldap(url=server.url, start_tls=False)
        with Directory(settings, is_async=is_async) as directory:
            directory.error(directory.connector.stream(), VendorFailed)

            assert (0, 0) == (
                directory.connector.statistics().active,
                directory.connector.statistics().idle,
            )


def test_references_are_not_followed() -> None:
    """URLs that refer to other servers are returned in the result, but never followed."""
    reference = message(0x73, b"\x04\x08ldap://b")
    with (
        ScriptedServer(reference + message(0x65, DONE)) as server,
        Directory(Ldap(url=server.url, start_tls=False)) as directory,
    ):
        result = directory.perform(directory.connector.search())

    assert ((), ("ldap://b",)) == (result.entries, result.references)


def test_more_entries_than_a_page() -> None:
    """If a server sends more entries than a page may have, the connection is closed."""
    entry = message(0x64, b"\x04\x01a\x30\x00")
    with (
        ScriptedServer(entry * 1000) as server,
        Directory(Ldap(url=server.url, start_tls=False, page=10)) as directory,
    ):
        error = directory.error(directory.connector.search(), VendorFailed)

    assert "exceeds the maximum size" in error.message


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_result_larger_than_allowed(*, is_async: bool) -> None:
    """A search is refused if its entries are larger in total than allowed."""
    entries = {f"cn={number},{BASE}": {"cn": str(number) * 900} for number in range(9)}
    with LdapServer({BASE: {"o": "Example"}, **entries}) as server:
        settings = Ldap(url=server.url, start_tls=False, page=2, largest=4000, base=BASE)
        with Directory(settings, is_async=is_async) as directory:
            error = directory.error(directory.connector.search(), InvalidData)

    assert "limit" == error.field


def test_bytes_before_encryption_are_refused() -> None:
    """If bytes arrive together with the StartTLS response, the connection is closed."""
    response = message(0x78, DONE) + message(0x61, DONE, number=2)
    with ScriptedServer(response) as server:
        settings = Ldap(url=server.url, user=USER, password=PASSWORD)
        with Directory(settings) as directory:
            error = directory.error(directory.connector.search(), ConnectionFailed)

    assert "TLS" in error.message


def test_no_password_is_sent_if_the_server_refuses_start_tls() -> None:
    """If the server refuses StartTLS, no password is sent."""
    with LdapServer() as server:
        settings = Ldap(url=server.url, user=USER, password=PASSWORD)
        with Directory(settings) as directory:
            error = directory.error(directory.connector.search(), ConnectionFailed)

    assert ("TLS" in error.message, False) == (True, error.retryable)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_server_that_is_down_fails_opening_and_health(*, is_async: bool) -> None:
    """If the server is down, `open` raises an error, and `health` returns the problem."""
    with LdapServer(
        {BASE: {"o": "Example", "vendorName": "Acme"}, "": {"vendorName": "Acme"}}
    ) as server:
        settings = Ldap(url=server.url, start_tls=False)
        with Directory(settings, is_async=is_async) as directory:
            ldap = directory.connector
            directory.run(lambda: ldap.open(60.0))
            assert directory.run(lambda: ldap.health(60.0)).is_healthy
            assert "Acme" == ldap.versions.server
            assert "<" in repr(ldap)
            assert "search" in repr(ldap.search())
            server.stop()

            assert not directory.run(lambda: ldap.health(60.0)).is_healthy
        with (
            Directory(settings, is_async=is_async) as directory,
            pytest.raises(ConnectionFailed, match="Nothing accepts"),
        ):
            directory.run(lambda: directory.connector.open(60.0))


def test_missing_file_of_authorities_names_the_setting() -> None:
    """If the file of TLS authorities is missing, the error names the setting."""
    with (
        LdapServer() as server,
        Directory(Ldap(url=server.url, authorities="missing.pem")) as directory,
    ):
        error = directory.error(directory.connector.search(), ConfigurationError)

    assert "authorities" == error.path


def test_invalid_host_name_raises_error_of_unknown_host() -> None:
    """A host name that is invalid in DNS raises the same error as an unknown host."""
    with Directory(Ldap(url=f"ldap://{'x' * 80}.example")) as directory:
        error = directory.error(directory.connector.search(), ConnectionFailed)

    assert "host" in error.message


@pytest.mark.parametrize("name", ["bind", "StartTLS", "LDAPS"])
def test_cancelled_opening_leaves_no_connection(name: str) -> None:
    """If `open` is cancelled, the connector leaves no connection open."""

    async def cancel() -> bool:
        closed = asyncio.Event()
        has_request = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            has_request.set()
            await reader.read()
            writer.close()
            closed.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            settings = Ldap(
                url=f"{'ldaps' if name == 'LDAPS' else 'ldap'}://127.0.0.1:{port}",
                user=USER,
                password=PASSWORD,
                start_tls=name == "StartTLS",
            )
            async with AsyncLdapConnector(settings) as connector:
                opening = asyncio.ensure_future(connector.open(60.0))
                await has_request.wait()
                opening.cancel()
                await asyncio.wait([opening])
                async with asyncio.timeout(120):
                    await closed.wait()
                return opening.cancelled() and connector.statistics().size == 0

    assert asyncio.run(cancel()) is True


def test_check_of_a_password_that_the_server_cannot_make() -> None:
    """A check of a password raises an error for result codes other than "wrong password"."""
    with (
        LdapServer({BASE: {"userPassword": "x"}}) as server,
        Directory(Ldap(url=server.url, start_tls=False)) as directory,
    ):
        server.failures.append(51)
        operation = directory.connector.check_password(BASE, "x")
        error = directory.error(operation, ConnectionFailed)

    assert "busy" in error.message


def test_code_of_failure_while_authenticating() -> None:
    """If the server demands stronger authentication, the error has that result code."""
    with LdapServer({BASE: {"userPassword": "x"}}) as server:
        settings = Ldap(url=server.url, user=BASE, password="x", start_tls=False)
        with Directory(settings) as directory:
            server.failures.extend([8])
            error = directory.error(directory.connector.search(), AuthenticationFailed)

    assert "8" == error.vendor_code
