"""WebSocket subscriptions that lose their connection, fill their buffer or are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    Credentials,
    DeadlineExceeded,
    InvalidRequest,
    LocalFailure,
    VendorFailed,
)
from moorage.domain.connectors.reconnecting import ReconnectPolicy
from moorage.domain.service.json_rpc_messages import JsonRpcMessages
from tests.adapters.websocket.server_process import TOKEN
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.adapters.websocket.websocket_harness import Harness, Server


def test_messages_of_a_subscription_arrive_in_order(harness: Harness, server: Server) -> None:
    """Messages of a subscription arrive in order while the connection also serves requests."""
    connector = harness.connector(server.url)
    subscription = harness.subscribe(connector, until=100)

    assert list(range(1, 51)) == harness.receive(subscription, 50)
    assert {"n": 1} == harness.request(connector, "echo", n=1)
    assert list(range(51, 101)) == harness.receive(subscription, 50)
    assert (1, 1) == (connector.statistics().created, connector.statistics().active)
    with pytest.raises(AttemptTimeout, match="No message"):
        harness.finish(subscription.receive(0.01))
    harness.finish(subscription.close())
    assert 0 == connector.statistics().active
    assert "100" == subscription.position


def test_subscription_ends_with_its_with_block(harness: Harness, server: Server) -> None:
    """A subscription can be read in a loop, and ends with its `with` block."""
    connector = harness.connector(server.url)
    payload = {"method": "watch", "params": {"until": 3}}
    operation = connector.subscribe(payload, name="orders.watch")

    async def take_asynchronously() -> list[Any]:
        numbers: list[Any] = []
        async with await harness.manager.perform("orders", operation) as subscription:
            async for number in subscription:
                numbers.append(number)
                if number == 3:
                    await subscription.close()
        return numbers

    def take() -> list[Any]:
        numbers: list[Any] = []
        with harness.manager.perform("orders", operation) as subscription:
            for number in subscription:
                numbers.append(number)
                if number == 3:
                    subscription.close()
        return numbers

    result = take() if harness.loop is None else harness.finish(take_asynchronously())
    assert [1, 2, 3] == result


def test_subscription_continues_after_its_last_position_without_a_gap(
    harness: Harness, server: Server
) -> None:
    """A subscription that lost its connection continues after its last position."""
    connector = harness.connector(server.url)
    subscription = harness.subscribe(connector, until=30, cut_after=7)

    assert list(range(1, 31)) == harness.receive(subscription, 30)
    assert 5 == connector.statistics().created


def test_subscription_continues_after_a_server_restart(
    harness: Harness, killable_server: Server
) -> None:
    """A subscription waits for a restarted server and then continues."""
    connector = harness.connector(killable_server.url)
    subscription = harness.subscribe(connector, until=1000, cut_after=5)
    assert [1, 2, 3, 4, 5] == harness.receive(subscription, 5)
    killable_server.kill()
    wait_until(lambda: not harness.finish(connector.health(5.0)).is_healthy, "the outage")
    with pytest.raises(AttemptTimeout):
        harness.finish(subscription.receive(0.2))
    killable_server.start()

    assert list(range(6, 16)) == harness.receive(subscription, 10)


def test_subscription_ends_if_the_server_stays_away(
    harness: Harness, killable_server: Server
) -> None:
    """If the server stays away longer than `patience`, the subscription raises and ends."""
    policy = ReconnectPolicy(first=0.01, longest=0.01, patience=0.1)
    connector = harness.connector(killable_server.url, reconnect=policy)
    subscription = harness.subscribe(connector, until=1)
    assert [1] == harness.receive(subscription, 1)
    killable_server.kill()
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        harness.finish(subscription.receive(60.0))
    with pytest.raises((StopIteration, StopAsyncIteration, RuntimeError)):
        harness.finish(subscription.receive(60.0))


def test_subscription_can_begin_after_a_stored_position(harness: Harness, server: Server) -> None:
    """A subscription can begin after a position that another process stored."""
    connector = harness.connector(server.url)
    subscription = harness.subscribe(connector, {"after": "40"}, until=50)

    assert "40" == subscription.position
    assert list(range(41, 51)) == harness.receive(subscription, 10)


def test_subscription_without_positions_raises_at_a_lost_connection(
    harness: Harness, server: Server
) -> None:
    """A subscription without positions raises at a lost connection, unless `gaps` is allowed."""
    connector = harness.connector(server.url)
    strict = harness.subscribe(connector, until=9, marks=False, cut_after=2)
    lenient = harness.subscribe(connector, {"gaps": True}, until=9, marks=False, cut_after=2)
    assert [1, 2] == harness.receive(strict, 2)
    with pytest.raises(ConnectionFailed, match="without losing messages") as excinfo:
        harness.finish(strict.receive(60.0))

    assert "position_of" in (excinfo.value.remedy or "")
    assert [1, 2, 1, 2] == harness.receive(lenient, 4)


def test_program_computes_positions(harness: Harness, server: Server) -> None:
    """A `position_of` function can extract the position from each message."""
    connector = harness.connector(server.url)
    options = {"position_of": str}
    subscription = harness.subscribe(connector, options, until=9, marks=False, cut_after=4)

    assert list(range(1, 10)) == harness.receive(subscription, 9)


def test_subscription_with_full_buffer_continues_later_from_its_last_position(
    harness: Harness, server: Server
) -> None:
    """A subscription with a full buffer continues later after its last position."""
    connector = harness.connector(server.url, buffer_bytes=50_000)
    subscription = harness.subscribe(connector, until=500, padding=1000)
    wait_until(
        lambda: harness.request(connector, "echo") == {} and connector.statistics().active == 0,
        "the full buffer",
    )

    assert list(range(1, 501)) == harness.receive(subscription, 500)
    assert 1 == connector.statistics().created


def test_full_buffer_without_positions_raises_after_its_messages(
    harness: Harness, server: Server
) -> None:
    """If a subscription without positions fills its buffer, reading raises after its messages."""
    connector = harness.connector(server.url, buffer_bytes=50_000)
    subscription = harness.subscribe(connector, until=500, padding=1000, marks=False)
    wait_until(
        lambda: harness.request(connector, "echo") == {} and connector.statistics().active == 0,
        "the full buffer",
    )
    with pytest.raises(ConnectionFailed, match="read too slowly"):
        harness.receive(subscription, 500)


def test_reading_a_refused_subscription_raises_its_error(harness: Harness, server: Server) -> None:
    """If the server refuses a subscription, reading its first message raises the error."""
    connector = harness.connector(server.url)
    payload = {"method": "nothing", "params": {}}
    subscription = harness.perform(connector.subscribe(payload, name="orders.watch"))
    with pytest.raises(InvalidRequest):
        harness.finish(subscription.receive(60.0))
    harness.finish(subscription.close())


def test_closed_connector_ends_subscriptions(harness: Harness, server: Server) -> None:
    """Closing the connector makes its subscriptions raise an error and stop reconnecting."""
    connector = harness.connector(server.url)
    subscription = harness.subscribe(connector, until=1)
    assert [1] == harness.receive(subscription, 1)
    harness.finish(connector.close())
    with pytest.raises(LocalFailure, match="is closed"):
        harness.finish(subscription.receive(60.0))
    harness.finish(subscription.close())


def test_unreadable_message_ends_the_subscription(harness: Harness, server: Server) -> None:
    """A message that the codec cannot read ends the subscription with an error."""
    connector = harness.connector(server.url)
    subscription = harness.subscribe(connector, until=1)
    assert [1] == harness.receive(subscription, 1)
    with pytest.raises(VendorFailed):
        harness.change(connector, "garbage")

    with pytest.raises(VendorFailed, match="codec cannot read"):
        harness.finish(subscription.receive(60.0))
    with pytest.raises((StopIteration, StopAsyncIteration, RuntimeError)):
        harness.finish(subscription.receive(60.0))
    assert 1 == connector.statistics().created


class RevokedTokenProvider:
    """A credential provider whose token is revoked after its first use."""

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async
        self._token = TOKEN

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the token."""
        token, self._token = self._token, "revoked"
        return self._of_mode(Credentials.bearer(token))

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Return the same credential, since there is no new one."""
        return self._of_mode(stale)

    def _of_mode(self, value: Any) -> Any:
        async def later() -> Any:
            return value

        return later() if self._is_async else value


def test_revoked_token_raises_authentication_failed_at_reconnection(
    harness: Harness, server: Server
) -> None:
    """A subscription whose token is revoked raises AuthenticationFailed when it reconnects."""
    provider = RevokedTokenProvider(is_async=harness.mode == "async")
    connector = harness.connector(f"{server.url}/secret", provider=provider)
    subscription = harness.subscribe(connector, until=9, cut_after=2)
    assert [1, 2] == harness.receive(subscription, 2)

    with pytest.raises(AuthenticationFailed, match="HTTP 401"):
        harness.finish(subscription.receive(60.0))
    with pytest.raises((StopIteration, StopAsyncIteration, RuntimeError)):
        harness.finish(subscription.receive(60.0))


def test_server_that_is_busy_when_a_subscription_continues(
    harness: Harness, server: Server
) -> None:
    """A subscription tries again if the server accepts no more connections for the moment."""
    connector = harness.connector(f"{server.url}/busy")
    subscription = harness.subscribe(connector, until=3, cut_after=2)

    assert [1, 2, 3] == harness.receive(subscription, 3)
    harness.finish(subscription.close())


def test_server_learns_that_a_subscription_is_closed(
    harness: Harness, killable_server: Server
) -> None:
    """Closing a subscription sends the codec's cancel message once."""
    codec = JsonRpcMessages(subscription_field="id", cancel_method="add")
    connector = harness.connector(killable_server.url, codec=codec)
    payload = {"method": "silent"}
    subscription = harness.perform(connector.subscribe(payload, name="orders.watch"))
    harness.finish(subscription.close())
    harness.finish(subscription.close())
    harness.request(connector, "echo")

    assert ["1"] == killable_server.added()


def test_subscription_can_be_closed_if_the_server_reads_nothing(
    harness: Harness, server: Server
) -> None:
    """A subscription can be closed before its timeout even if the server reads nothing."""
    connector = harness.connector(
        server.url,
        codec=JsonRpcMessages(cancel_method="stop"),
        heartbeat=None,
        close_timeout=0.1,
        options={"compression": None},
    )
    subscription = harness.subscribe(connector, until=1)
    assert [1] == harness.receive(subscription, 1)
    session = harness.session(connector)
    for method, padding in (("freeze", 0), ("echo", 2**24)):
        with pytest.raises((AttemptTimeout, DeadlineExceeded)):
            harness.change(connector, method, options={"timeout": 2.0}, padding="x" * padding)
    watch = connector.subscribe({"method": "watch", "params": {}}, name="orders.watch")
    with pytest.raises((AttemptTimeout, DeadlineExceeded)):
        harness.perform(watch, timeout=0.5)
    harness.finish(subscription.close())
    assert 0 == session.load
    harness.finish(connector.close())

    assert session.closure is not None
