"""The fake directory for users' tests answers like a real one."""

from __future__ import annotations

import socket

from moorage import (
    ConnectionFailed,
    VendorRejected,
)
from moorage.adapters.ldap.settings import Ldap
from moorage.testing import LdapServer
from tests.adapters.ldap.directory_harness import Directory
from tests.support.ldap_servers import (
    BASE,
)


def test_fake_server_answers_with_result_codes_that_test_asks_for() -> None:
    """The fake LDAP server responds with the result codes that a test sets."""
    with (
        LdapServer({BASE: {"o": "Example"}}) as server,
        Directory(Ldap(url=server.url, start_tls=False, base=BASE)) as directory,
    ):
        connector = directory.connector
        server.failures.extend([51, 53])
        busy = directory.error(connector.search(), ConnectionFailed)
        refused = directory.error(connector.delete(BASE), VendorRejected)
        server.drop()

        assert 1 == len(directory.perform(connector.search()).entries)

    assert ((False, True), "53") == (
        (busy.may_have_been_processed, busy.retryable),
        refused.vendor_code,
    )


def test_fake_server_closes_a_connection_with_invalid_ldap() -> None:
    """The fake server closes a connection on which it receives anything but valid LDAP."""
    with LdapServer() as server:
        host, port = server.url.removeprefix("ldap://").split(":")
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"" == connection.recv(100)
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(b"\x30\x05\x02\x01\x01\x42\x00")
            assert b"" == connection.recv(100)
