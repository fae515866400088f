"""GraphQL subscriptions over a WebSocket."""

from __future__ import annotations

import json
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorManager,
    GraphQL,
    GraphQLAnswer,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Secret,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.websocket.connector import WebSocketConnector
from moorage.domain.connectors.reconnecting import ReconnectPolicy
from moorage.domain.graphql.subscriptions import GraphQLMessages
from moorage.testing.fakes.websocket_server import WebSocketServer
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

SHOP = GraphQL()
CHANGED = SHOP.subscription(
    "subscription Changed($after: String) { changed(after: $after) { id } }", cursor="after"
)
CODEC = GraphQLMessages({"token": Secret("token-4711")})


def reply(message: str) -> Any:
    """Reply like a graphql-transport-ws server that sends three messages at a time."""
    body = json.loads(message)
    if body["type"] == "connection_init":
        assert {"token": "token-4711"} == body["payload"]
        return [json.dumps({"type": "connection_ack"}), json.dumps({"type": "ping"})]
    if body["type"] != "subscribe":
        return None
    begin = int(body["payload"]["variables"].get("after", 0)) + 1
    messages = [
        {"id": body["id"], "type": "next", "payload": {"data": {"changed": {"id": number}}}}
        for number in range(begin, begin + 3)
    ]
    last = [{"id": body["id"], "type": "complete"}] if begin > 3 else []
    return [json.dumps(item) for item in messages + last]


@pytest.fixture
def server() -> Generator[WebSocketServer]:
    """Yield a WebSocket server on this machine."""
    with WebSocketServer(reply, subprotocols=["graphql-transport-ws"]) as running:
        yield running


def test_subscription_continues_after_a_lost_connection(server: WebSocketServer) -> None:
    """After a lost connection, a subscription continues after the last message it received."""
    policy = ReconnectPolicy(first=0.01, longest=0.01)
    with WebSocketConnector(server.url, name="shop", codec=CODEC, reconnect=policy) as connector:
        watch = connector.subscribe(
            CHANGED, name="changed", position_of=lambda answer: str(answer.data["changed"]["id"])
        )
        manager = ConnectorManager([Service("shop")])
        with manager.perform("shop", watch) as subscription:
            first = [subscription.receive(60.0).data["changed"]["id"] for _ in range(3)]
            wait_until(lambda: '{"type": "pong"}' in server.received, "the pong")
            server.drop()
            later_ids = [answer.data["changed"]["id"] for answer in subscription]

    assert ([1, 2, 3], [4, 5, 6]) == (first, later_ids)
    assert 2 == connector.statistics().created


def test_each_message_type_is_interpreted() -> None:
    """Each message type of the GraphQL subscription protocol is interpreted correctly."""
    value = CODEC.read('{"id": "1", "type": "next", "payload": {"data": {"a": 1}}}')
    assert ("1", GraphQLAnswer({"a": 1})) == (value.id, value.value)
    denied = '{"message": "no", "extensions": {"code": "FORBIDDEN"}}'
    for message in (
        '{"id": "1", "type": "error", "payload": [%s]}',
        '{"id": "1", "type": "next", "payload": {"data": null, "errors": [%s]}}',
    ):
        assert AuthenticationFailed is type(CODEC.read(message % denied).error)
    assert VendorFailed is type(CODEC.read('{"id": "1", "type": "next", "payload": 5}').error)
    assert not CODEC.read('{"type": "pong"}').has_value
    assert {"id": "7", "type": "complete"} == json.loads(CODEC.cancellation("7"))


@pytest.mark.parametrize("message", ["[]", '{"type": "data"}', "<html>"])
def test_message_of_another_protocol_is_refused(message: str) -> None:
    """A message that is not of the graphql-transport-ws protocol is refused."""
    with pytest.raises((InvalidData, ValueError)):
        CODEC.read(message)


@pytest.mark.parametrize(
    "code, kind",
    [
        (4400, InvalidRequest),
        (4401, AuthenticationFailed),
        (4403, AuthenticationFailed),
        (4406, VendorRejected),
        (4408, ConnectionFailed),
        (4409, VendorRejected),
        (4429, RateLimitExceeded),
    ],
)
def test_each_close_code_raises_its_own_error(code: int, kind: type[Exception]) -> None:
    """Each close code has its own error, unless the outcome of a sent message is unknown."""
    assert kind is type(CODEC.closing_error(code, "", was_sent=False))
    assert CODEC.closing_error(code, "", was_sent=True) is None
    assert CODEC.closing_error(4999, "", was_sent=False) is None


def test_queries_mutations_and_other_payloads_are_refused() -> None:
    """Queries and mutations over the WebSocket, and payloads of other types, are refused."""
    with pytest.raises(InvalidData, match="cannot be sent over a WebSocket"):
        CODEC.request("1", CHANGED)
    with pytest.raises(InvalidData, match="not a GraphQL subscription"):
        CODEC.subscription("1", {}, None)
    with pytest.raises(InvalidData, match="a query instead of a subscription"):
        SHOP.subscription("{ orders }")
    unnamed = json.loads(CODEC.subscription("1", SHOP.subscription("subscription { a }"), "m"))
    assert {"query": "subscription { a }", "variables": {}} == unnamed["payload"]
    assert "4711" not in repr(CODEC)


@pytest.mark.parametrize("value", [{1}, float("nan"), "\ud800", object()])
def test_variables_that_json_cannot_represent_are_refused(value: Any) -> None:
    """Variables that JSON cannot represent are refused, and the error shows no other variable."""
    make: Any = SHOP.subscription
    subscription = make("subscription A($a: Int) { a(a: $a) }", {"a": value, "b": "token-4711"})
    with pytest.raises(InvalidData, match="The variables of a message cannot") as excinfo:
        CODEC.subscription("1", subscription, None)
    assert "4711" not in f"{excinfo.value!r} {excinfo.value.__cause__} {excinfo.value.__context__}"

    with pytest.raises(InvalidData, match="The parameters of a message cannot") as excinfo:
        GraphQLMessages({"token": Secret("token-4711"), "a": value})
    frames = [str(frame.f_locals) for frame, _ in walk_tb(excinfo.value.__traceback__)]
    assert not any("4711" in values for values in frames[1:])
