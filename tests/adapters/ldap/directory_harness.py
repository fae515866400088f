"""Test helpers for LDAP: a sync or async connector with its manager, and scripted servers."""

from __future__ import annotations

import socket
from threading import Thread
from typing import TYPE_CHECKING, Self

from moorage.adapters.ldap.connector_async import AsyncLdapConnector
from moorage.adapters.ldap.connector_sync import LdapConnector
from moorage.domain.connectors.ldap_values import (
    entry_name,
)
from tests.support.connector_modes import ConnectorInMode
from tests.support.ldap_servers import (
    BASE,
)

if TYPE_CHECKING:
    from moorage.adapters.ldap.settings import Ldap

PEOPLE = f"ou=people,{BASE}"


class Directory(ConnectorInMode):
    """An LDAP connector and the manager that performs its operations, both sync or both async."""

    def __init__(self, settings: Ldap, *, is_async: bool = False) -> None:
        super().__init__((AsyncLdapConnector if is_async else LdapConnector)(settings), "ldap")

    def add_people(self, *names: str) -> None:
        """Add entries of people to the directory."""
        ldap = self.connector
        self.perform(ldap.add(PEOPLE, {"objectClass": "organizationalUnit", "ou": "people"}))
        for number, name in enumerate(names):
            person = {"objectClass": "inetOrgPerson", "uid": name, "cn": f"{name} {number}"}
            person |= {"sn": name, "mail": f"{name}@example.org"}
            self.perform(ldap.add(entry_name("uid", name, PEOPLE), person))


class ScriptedServer:
    """A server that sends prepared bytes after each request, and then closes the connection.

    Args:
        responses: the bytes to send after each request.
    """

    def __init__(self, *responses: bytes) -> None:
        self._responses = responses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"ldap://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            for response in self._responses:
                if not connection.recv(65_536):
                    return
                connection.sendall(response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        self._listener.close()


DONE = bytes([0x0A, 1, 0, 4, 0, 4, 0])


def message(kind: int, content: bytes, number: int = 1) -> bytes:
    """Return an encoded LDAP message such as a server sends."""
    operation = bytes([kind, len(content)]) + content
    body = bytes([2, 1, number]) + operation
    return bytes([0x30, len(body)]) + body
