"""Requests over a WebSocket connection to a server in another process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    BulkheadFull,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    HealthState,
    InvalidData,
    InvalidRequest,
    LocalFailure,
    OutcomeUnknown,
    VendorFailed,
)
from moorage.domain.connectors.reconnecting import ReconnectPolicy
from moorage.domain.resilience.health import may_have_acted
from moorage.domain.service.json_rpc_messages import JsonRpcMessages
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.adapters.websocket.websocket_harness import Harness, Server


def test_replies_belong_to_their_requests(harness: Harness, server: Server) -> None:
    """All requests share one WebSocket connection, and each request gets its own reply."""
    connector = harness.connector(server.url)
    harness.finish(connector.open(30.0))
    results = [harness.request(connector, "echo", number=number) for number in range(20)]

    assert [{"number": number} for number in range(20)] == results
    statistics = connector.statistics()
    assert (1, 1, 0, 1) == (
        statistics.created,
        statistics.idle,
        statistics.active,
        statistics.maximum,
    )
    assert 20 <= statistics.reused
    assert "websockets" in (connector.versions.library or "")
    assert "websockets" in (connector.versions.server or "")


def test_json_rpc_error_fails_only_its_request(harness: Harness, server: Server) -> None:
    """A JSON-RPC error fails its request only; the connection stays usable."""
    connector = harness.connector(server.url)
    with pytest.raises(InvalidRequest) as excinfo:
        harness.request(connector, "unknown")

    assert ("-32601", "Method not found") == (
        excinfo.value.vendor_code,
        excinfo.value.vendor_message,
    )
    assert {} == harness.request(connector, "echo")
    assert 1 == connector.statistics().created


class NumberMessages(JsonRpcMessages):
    """A codec whose requests are numbers, which cannot be sent over a WebSocket."""

    def request(self, identity: str, payload: Any) -> Any:
        """Return a number."""
        return 1.5


def test_message_that_cannot_be_sent_fails_at_once(harness: Harness, server: Server) -> None:
    """If a codec returns a message of a wrong type, the request fails long before its timeout."""
    connector = harness.connector(server.url, codec=NumberMessages())
    harness.finish(connector.open(30.0))
    with pytest.raises(TypeError):
        harness.request(connector, "echo")

    assert 0 == connector.statistics().active


@pytest.mark.parametrize(
    "method, parameters, expected",
    [
        ("garbage", {}, (VendorFailed, "codec cannot read")),
        ("frame", {}, (VendorFailed, "violates the protocol")),
        ("huge", {}, (VendorFailed, "larger than `max_message_bytes`")),
        ("close", {"code": 1008, "reason": "policy"}, (VendorFailed, "the code 1008")),
        ("close", {"code": 4321}, (VendorFailed, "the code 4321")),
        ("close", {"code": 1001}, (ConnectionFailed, r"lost \(code 1001\)")),
        ("abort", {}, (ConnectionFailed, r"lost \(code 1006\)")),
    ],
)
def test_request_whose_connection_ends_before_reply_may_have_been_processed(
    harness: Harness,
    server: Server,
    method: str,
    parameters: Any,
    expected: tuple[type[Exception], str],
) -> None:
    """If a connection ends before a reply, the server may have processed the request."""
    kind, message = expected
    connector = harness.connector(server.url)
    with pytest.raises(kind, match=message) as excinfo:
        harness.change(connector, method, **parameters)
    with pytest.raises(OutcomeUnknown):
        harness.change(connector, method, options={"idempotency_key": f"{method}-1"}, **parameters)

    assert getattr(excinfo.value, "may_have_been_processed", True)
    assert {"a": 1} == harness.request(connector, "echo", a=1)


def test_requests_of_a_connection_that_ends(harness: Harness, server: Server) -> None:
    """A safe request whose connection is lost is retried on a new connection."""
    connector = harness.connector(server.url)
    with pytest.raises(ConnectionFailed):
        harness.request(connector, "abort")

    assert 3 == connector.statistics().created


def test_change_at_killed_server_has_an_unknown_outcome_and_no_retry(
    harness: Harness, killable_server: Server
) -> None:
    """If the server is killed during a change, OutcomeUnknown is raised and no retry is made."""
    connector = harness.connector(killable_server.url)
    harness.finish(connector.open(30.0))

    def kill() -> None:
        wait_until(lambda: killable_server.added() == ["7"], "the effect")
        killable_server.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(OutcomeUnknown):
        harness.change(connector, "add", options={"idempotency_key": "add-7"}, id=7)
    killer.join()

    with pytest.raises(ConnectionFailed, match="cannot be reached") as excinfo:
        harness.change(connector, "add", id=8)
    assert not excinfo.value.may_have_been_processed
    killable_server.start()
    assert {"back": True} == harness.request(connector, "echo", back=True)
    assert ["7"] == killable_server.added()


def test_request_without_reply_ends_at_its_deadline(harness: Harness, server: Server) -> None:
    """A request without a reply ends at its deadline, and the connection stays usable."""
    connector = harness.connector(server.url)
    harness.finish(connector.open(30.0))
    with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
        harness.change(connector, "silent", options={"timeout": 0.3})

    assert may_have_acted(excinfo.value)
    with pytest.raises((AttemptTimeout, DeadlineExceeded)):
        harness.change(connector, "late", options={"timeout": 0.2}, seconds=0.4)
    assert "late" == harness.request(connector, "late", seconds=0.5)
    assert 1 == connector.statistics().created
    assert 0 == connector.statistics().active


def test_heartbeats_notice_a_dead_server(harness: Harness, server: Server) -> None:
    """If a server answers no pings, the request fails long before its deadline."""
    connector = harness.connector(server.url, heartbeat=0.2, close_timeout=0.2)
    with pytest.raises(ConnectionFailed, match=r"lost \(code 1011\)") as excinfo:
        harness.change(connector, "freeze")

    assert excinfo.value.may_have_been_processed
    assert {} == harness.request(connector, "echo")


@pytest.mark.untraced
@pytest.mark.untraced
def test_ten_thousand_requests_use_one_connection_and_leave_no_memory_in_use(
    harness: Harness, killable_server: Server
) -> None:
    """Ten thousand requests use one connection and leave no memory in use."""
    connector = harness.connector(killable_server.url)
    for number in range(10_000):
        payload = {"method": "echo", "params": [number]}
        assert [number] == harness.perform(connector.request(payload, name="echo", safe=True))

    assert 1 == harness.request(connector, "count")
    assert (1, 0) == (connector.statistics().created, connector.statistics().active)


def test_number_of_requests_is_bounded(harness: Harness, server: Server) -> None:
    """A request beyond `max_pending` raises BulkheadFull, and is not sent."""
    connector = harness.connector(server.url, max_pending=1)
    subscription = harness.subscribe(connector, until=0)
    with pytest.raises(BulkheadFull, match="already use the WebSocket connection"):
        harness.request(connector, "echo")
    harness.finish(subscription.close())

    assert {} == harness.request(connector, "echo")


def test_payload_that_cannot_be_written(harness: Harness, server: Server) -> None:
    """The error for an invalid request payload does not show the payload."""
    connector = harness.connector(server.url)
    payloads: list[Any] = [{"params": []}, "echo", {"method": "echo", "params": {"a": {1}}}]
    for payload in payloads:
        with pytest.raises(InvalidData):
            connector.request(payload, name="orders.echo")
    with pytest.raises(InvalidData, match="not an object"):
        connector.subscribe({"method": "watch", "params": [1]}, name="orders.watch")


def test_health_is_healthy_with_ping_duration(harness: Harness, killable_server: Server) -> None:
    """A health check reports the ping's duration, or a remedy if the server is down."""
    connector = harness.connector(killable_server.url)
    healthy = harness.finish(connector.health(30.0))
    assert (HealthState.HEALTHY, True) == (healthy.state, healthy.seconds is not None)
    killable_server.kill()
    wait_until(lambda: not harness.finish(connector.health(5.0)).is_healthy, "the outage")
    health = harness.finish(connector.health(5.0))

    assert (HealthState.UNAVAILABLE, None) == (health.state, health.seconds)
    assert "Start the server" in (health.remedy or "")


def test_silent_server_is_unhealthy(harness: Harness, server: Server) -> None:
    """A health check reports a server as unavailable if it does not answer a ping in time."""
    connector = harness.connector(server.url, heartbeat=None, close_timeout=0.1)
    with pytest.raises((AttemptTimeout, DeadlineExceeded)):
        harness.change(connector, "freeze", options={"timeout": 0.2})
    health = harness.finish(connector.health(0.2))

    assert "did not reply in time" in (health.text or "")


def test_websocket_request_can_be_run_by_name(harness: Harness, server: Server) -> None:
    """A WebSocket request can be run by name, with plain JSON."""
    connector = harness.connector(server.url)
    operation = connector.operations["request"].operation(
        {"payload": {"method": "echo", "params": [1]}, "safe": True}
    )

    assert (True, True, "websocket") == (operation.safe, operation.repeatable, operation.system)
    assert [1] == harness.perform(operation)
    assert "request" in repr(operation)


def test_closed_websocket_connector_refuses_requests(harness: Harness, server: Server) -> None:
    """A closed WebSocket connector refuses requests, and may be closed again."""
    connector = harness.connector(server.url)
    harness.request(connector, "echo")
    harness.finish(connector.close())
    harness.finish(connector.close())
    with pytest.raises(LocalFailure, match="is closed"):
        harness.request(connector, "echo")


def test_lost_connection_is_opened_after_a_pause(harness: Harness, killable_server: Server) -> None:
    """During a long pause before reconnecting, a request fails at once with the time to retry."""
    policy = ReconnectPolicy(first=1000.0, longest=1000.0)
    connector = harness.connector(killable_server.url, reconnect=policy)
    killable_server.kill()
    errors: list[ConnectorError] = []
    for _ in range(2):
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.change(connector, "echo")
        errors.append(excinfo.value)

    assert 500.0 <= (errors[-1].vendor_retry_after or 0.0) <= 1000.0
    assert "after a pause" in errors[-1].message
