"""IMAP failures before a change is sent: in the greeting, the login or the folder selection."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import ConnectionFailed, ConnectorError, ConnectorManager, DeadlineExceeded, Service
from moorage.adapters.imap.connector_sync import ImapConnector
from moorage.domain.resilience.health import may_have_acted
from tests.support.imap_servers import ScriptedImap

GARBAGE = b"HTTP/1.1 400 Bad Request\r\n"
FLOOD = b"* OK x\r\n" * 2_000_000
"""More replies than a command may have, and more than can be read within the deadline."""


def error_of_a_change(server: ScriptedImap, **options: Any) -> ConnectorError:
    """Perform a change that fails, and return its error."""
    manager = ConnectorManager([Service("imap", retry=None)])
    with ImapConnector(server.settings()) as connector, pytest.raises(ConnectorError) as excinfo:
        manager.perform("imap", connector.flag([1], add=["x"]), **options)
    return excinfo.value


@pytest.mark.parametrize("command", ["CAPABILITY", "AUTHENTICATE", "LOGIN", "SELECT"])
def test_unreadable_reply_before_a_change_means_nothing_was_changed(command: str) -> None:
    """If a reply before the change is unreadable, the error states that nothing was changed."""
    capabilities = "" if command == "LOGIN" else "AUTH=PLAIN"
    with ScriptedImap(
        lambda line: GARBAGE if line.startswith(command) else None, capabilities=capabilities
    ) as server:
        error = error_of_a_change(server)

    assert isinstance(error, ConnectionFailed)
    assert not may_have_acted(error)
    assert not [line for line in server.lines if "STORE" in line]


def test_unreadable_greeting_means_nothing_was_changed() -> None:
    """If the greeting is not IMAP, the error states that nothing was changed."""
    with ScriptedImap(lambda _: None, greeting=b"\xff(\r\n") as server:
        error = error_of_a_change(server)

    assert isinstance(error, ConnectionFailed)
    assert not may_have_acted(error)


def test_flood_of_replies_ends_at_the_deadline() -> None:
    """A server that floods the client with replies cannot delay an operation past its deadline."""
    with ScriptedImap(lambda line: FLOOD if line.startswith("SELECT") else None) as server:
        error = error_of_a_change(server, timeout=0.5)

    assert isinstance(error, (ConnectionFailed, DeadlineExceeded))
    assert "longer than the timeout of the attempt" in f"{error.message} {error.__cause__}"
    assert not may_have_acted(error)
