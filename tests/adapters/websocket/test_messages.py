"""WebSocket servers that confirm requests, end them without a reply, or close at once."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, VendorFailed
from moorage.domain.service.json_rpc_messages import JsonRpcMessages
from moorage.domain.service.messages import Arrival
from moorage.testing.fakes.websocket_server import WebSocketServer

if TYPE_CHECKING:
    from tests.adapters.websocket.websocket_harness import Harness, Server

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The text that RFC 6455 adds to the key of a client."""


class ConfirmationMessages(JsonRpcMessages):
    """A codec for a server that confirms, answers and ends each request in separate messages."""

    def read(self, message: str | bytes, /) -> Arrival:
        """Return the meaning of a message, which its `kind` field determines."""
        body = json.loads(message)
        identity, kind = str(body["id"]), body["kind"]
        if kind == "reply":
            return Arrival(id=identity, value=body["value"])
        return Arrival(id=identity, has_value=False, is_last=kind == "end")


def confirm(message: str) -> list[str]:
    """Confirm a request, then send its reply (unless the method is `empty`) and its end."""
    request = json.loads(message)
    messages: list[dict[str, Any]] = [{"kind": "confirmation"}, {"kind": "end"}]
    if request["method"] != "empty":
        messages.insert(1, {"kind": "reply", "value": request["method"]})
    return [json.dumps({"id": request["id"], **fields}) for fields in messages]


def test_request_that_is_confirmed_before_its_reply(harness: Harness) -> None:
    """A caller whose request was confirmed waits for the reply, and ignores the end message."""
    with WebSocketServer(confirm) as server:
        connector = harness.connector(server.url, codec=ConfirmationMessages())
        replies = [harness.request(connector, method) for method in ("first", "second")]
        harness.finish(connector.close())

    assert ["first", "second"] == replies


def test_request_that_ends_without_a_reply(harness: Harness) -> None:
    """If the server ends a request without a reply, the error says so.

    The connection stays usable.
    """
    with WebSocketServer(confirm) as server:
        connector = harness.connector(server.url, codec=ConfirmationMessages())
        with pytest.raises(VendorFailed, match="without a reply") as excinfo:
            harness.change(connector, "empty")
        assert "next" == harness.request(connector, "next")
        assert 1 == connector.statistics().created
        harness.finish(connector.close())

    assert not excinfo.value.retryable


def test_reply_right_before_the_end_of_the_connection(harness: Harness, server: Server) -> None:
    """A reply is returned even if the connection ends with the next message."""
    connector = harness.connector(server.url)

    assert "last" == harness.change(connector, "last")


def accept_and_close(listener: socket.socket) -> None:
    """Accept a WebSocket connection, and close it in the same packet."""
    connection, _ = listener.accept()
    with connection:
        head = connection.recv(65_536).decode()
        key = next(
            line.partition(":")[2].strip()
            for line in head.splitlines()
            if line.lower().startswith("sec-websocket-key")
        )
        digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(digest)
        )
        connection.sendall(answer + b"\x88\x02" + (1013).to_bytes(2, "big"))
        connection.recv(65_536)


class Greeting(JsonRpcMessages):
    """A codec that sends an opening message."""

    def opening(self) -> str:
        """Return a notification, which is a message that gets no reply."""
        return '{"method": "hello"}'


def test_connection_that_is_closed_with_its_acceptance(harness: Harness) -> None:
    """If the server closes the connection at once, the call fails and may be retried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept_and_close, args=(listener,), daemon=True)
        thread.start()
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        connector = harness.connector(url, codec=Greeting())
        with pytest.raises(ConnectionFailed, match=r"lost \(code 1013\)") as excinfo:
            harness.finish(connector.open(30.0))
        thread.join()

    assert (False, True) == (excinfo.value.may_have_been_processed, excinfo.value.retryable)
