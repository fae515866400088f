"""The WebSocket server that moorage offers to its users' tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, ConnectorManager, Service
from moorage.adapters.websocket.connector import WebSocketConnector
from moorage.domain.connectors.reconnecting import ReconnectPolicy
from moorage.testing.fakes.websocket_server import WebSocketServer
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

AT_ONCE = ReconnectPolicy(first=0.01, longest=0.05, patience=60.0)


def echo(message: str) -> str | None:
    """Return the `params` of a request, or nothing for a notification."""
    request = json.loads(message)
    if "id" not in request:
        return None
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": request.get("params")})


def notification(subscription: str, number: int) -> str:
    """Return a numbered message of a subscription."""
    fields = {"subscription": subscription, "result": number, "mark": str(number)}
    return json.dumps({"jsonrpc": "2.0", "method": "number", "params": fields})


@pytest.fixture
def server() -> Generator[WebSocketServer]:
    """Run a server that responds to each request with the request's `params`."""
    with WebSocketServer(echo) as running:
        yield running


def request(connector: WebSocketConnector, parameters: Any) -> Any:
    """Perform a request through a manager, and return its result."""
    payload = {"method": "echo", "params": parameters}
    operation = connector.request(payload, name="echo", safe=True)
    return ConnectorManager([Service("orders")]).perform("orders", operation)


def test_answers_and_received_messages(server: WebSocketServer) -> None:
    """The WebSocket server responds with its function's result, and records messages in order."""
    with WebSocketConnector(server.url) as connector:
        assert [[1], [2]] == [request(connector, [number]) for number in (1, 2)]

    assert [[1], [2]] == [json.loads(message)["params"] for message in server.received]


def test_subscription_after_a_restart() -> None:
    """A subscription gets pushed messages even after the server was restarted."""

    def watch(message: str) -> list[str]:
        fields = json.loads(message)["params"]
        return [notification(fields["subscription"], int(fields.get("mark", 0)) + 1)]

    with (
        WebSocketServer(watch) as server,
        WebSocketConnector(server.url, reconnect=AT_ONCE) as connector,
    ):
        url = server.url
        operation = connector.subscribe({"method": "watch"}, name="watch")
        subscription = ConnectorManager([Service("orders")]).perform("orders", operation)
        first = subscription.receive(60.0)
        server.push(notification("1", 2))
        second = subscription.receive(60.0)
        server.stop()
        server.start()
        third = subscription.receive(60.0)

    assert ([1, 2, 3], url) == ([first, second, third], server.url)


def test_pushing_to_a_connection_that_is_closed() -> None:
    """If a client has disconnected, the other clients still receive a pushed message."""
    servers: list[WebSocketServer] = []
    pushes: list[str] = []

    def close_and_push(_: str) -> None:
        (server,) = servers
        server.drop()
        server.push("late")
        pushes.append("late")

    with (
        WebSocketServer(close_and_push) as running,
        WebSocketConnector(running.url, reconnect=AT_ONCE) as connector,
    ):
        servers.append(running)
        with pytest.raises(ConnectionFailed):
            request(connector, [])
        wait_until(lambda: pushes, "the push")


def test_stopping_a_server_that_never_started() -> None:
    """A WebSocket server that was not started can be stopped."""
    server = WebSocketServer(echo)
    server.stop()

    assert [] == server.received
