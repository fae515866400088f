"""NATS connections: login with a credentials file, pings, and connections that end."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from nats.errors import Error as NatsError
from nats.js.api import Placement

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    HealthState,
    Message,
    Nats,
    Secret,
    TopicNotFound,
)
from moorage.adapters.messages._nats_links import connect_nats_async
from moorage.domain.messages.broker_rules import outgoing_messages
from moorage.domain.messages.nats import RULES
from moorage.domain.messages.publish_failures import Publication, publication_of
from moorage.testing import TcpProxy
from tests.support.nats_accounts import account_with_user
from tests.support.nats_servers import PrivateNats
from tests.support.ports import free_port
from tests.support.rabbitmq_servers import LossyProxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.adapters.messages.publisher_harness import Harness


@pytest.fixture(scope="module")
def private_server() -> Generator[PrivateNats]:
    """Yield a NATS server that the tests share."""
    with PrivateNats() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Generator[list[PrivateNats]]:
    """Yield the servers of a cluster whose stream "orders" is on the last server, which is dead."""
    names = ["first", "second", "last"]
    ports = {name: free_port() for name in names}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                PrivateNats(
                    f"server_name: {name}, server_tags: [{name}], cluster {{ name: moorage, listen:"
                    f' "127.0.0.1:{ports[name]}", routes: ['
                    + ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports.values())
                    + "] }"
                )
            )
            for name in names
        ]
        placement = Placement(cluster="moorage", tags=["last"])
        wait_until(lambda: _has_stream_on(servers[0], placement), "electing the cluster's leader")
        servers[-1].kill()
        wait_until(lambda: _knows_streams(servers[0]), "electing another leader")
        yield servers


def _has_stream_on(server: PrivateNats, placement: Placement) -> bool:
    try:
        server.add_stream("orders", placement=placement)
    except (NatsError, TimeoutError):
        return False
    return True


def _knows_streams(server: PrivateNats) -> bool:
    try:
        names: list[str] = server.ask(lambda js: js.find_stream_name_by_subject("orders"))
    except (NatsError, TimeoutError):
        return False
    return bool(names)


@pytest.fixture
def harness(harnesses: Callable[..., Harness]) -> Callable[..., Harness]:
    """Return a function that makes publishers to NATS."""

    def make_harness(url: str, **settings: Any) -> Harness:
        values = Nats(url=Secret(url), **settings)
        return harnesses(
            lambda is_async: values.async_publisher() if is_async else values.publisher()
        )

    return make_harness


def test_user_logs_in_with_credentials(harness: Callable[..., Harness]) -> None:
    """A publisher logs in to NATS with a credentials file; a file of another account is refused."""
    config, credentials = account_with_user()
    _, other_user = account_with_user()
    with PrivateNats(config) as server:
        made = harness(server.url, credentials=Secret(credentials), creates_streams=True)
        assert 1 == made.publish("orders", Message(b"1")).offset
        made = harness(server.url, credentials=Secret(other_user))
        with pytest.raises(AuthenticationFailed, match="rejected the user"):
            made.publish("orders", Message(b"1"))


def test_streams_are_created_under_the_configured_api_prefix(
    harness: Callable[..., Harness],
) -> None:
    """Streams are created under the JetStream API prefix from the settings."""
    with PrivateNats(jetstream="domain: hub") as server:
        made = harness(server.url, creates_streams=True, api_prefix="$JS.hub.API")
        assert 1 == made.publish("orders", Message(b"1")).offset


def test_message_for_a_stream_without_a_leader_is_retried(
    harness: Callable[..., Harness], cluster: list[PrivateNats]
) -> None:
    """If the server of a stream is down, nothing is stored, and the message is sent again.

    A subject that belongs to no stream is still refused at once.
    """
    publisher = harness(cluster[0].url)
    with pytest.raises(ConnectionFailed, match="has no leader for the subject 'orders'") as excinfo:
        publisher.publish("orders", Message(b"1"))
    assert (3, False) == (excinfo.value.attempts, excinfo.value.may_have_been_processed)
    with pytest.raises(TopicNotFound):
        publisher.publish("nobody", Message(b"1"))


def test_user_that_may_not_create_streams(harness: Callable[..., Harness]) -> None:
    """If the user may not use the JetStream API, the error states that nothing was stored."""
    users = '{user: shop, password: pw, permissions: {publish: "orders", subscribe: "_INBOX.>"}}'
    with PrivateNats(f"authorization {{ users: [{users}] }}") as server:
        made = harness(server.url.replace("://", "://shop:pw@"), creates_streams=True)
        with pytest.raises(AuthenticationFailed) as excinfo:
            made.publish("orders", Message(b"1"))
    assert not getattr(excinfo.value, "may_have_been_processed", False)


def test_publisher_is_healthy_after_its_stream_was_deleted(
    harness: Callable[..., Harness], private_server: PrivateNats
) -> None:
    """A publisher is healthy even if a stream that it published to was deleted."""
    private_server.add_stream("gone")
    made = harness(private_server.url, duplicate_window=60.0)
    made.publish("gone", Message(b"1", id="1"))
    private_server.ask(lambda js: js.delete_stream("gone"))
    assert made.finish(made.publisher.health(5.0)).is_healthy


def test_silent_server_is_unhealthy(
    harness: Callable[..., Harness], private_server: PrivateNats
) -> None:
    """If the server stops responding on an open connection, health reports it as unavailable."""
    with LossyProxy("127.0.0.1", private_server.port) as proxy:
        made = harness(f"nats://127.0.0.1:{proxy.port}")
        made.finish(made.publisher.open(5.0))
        proxy.is_mute = True
        health = made.finish(made.publisher.health(0.3))
        assert HealthState.UNAVAILABLE is health.state


def test_connection_lost_during_a_ping_fails_at_once(private_server: PrivateNats) -> None:
    """If the connection is lost during a ping, the caller fails at once, not at the timeout."""

    async def run() -> None:
        with LossyProxy("127.0.0.1", private_server.port) as proxy:
            url = Secret(f"nats://127.0.0.1:{proxy.port}")
            link = await connect_nats_async(Nats(url=url), 5.0)
            proxy.is_mute = True
            task = asyncio.create_task(link.ping(600.0))
            await asyncio.to_thread(wait_until, lambda: proxy.received > 0, "the ping")
            proxy.hang_up()
            with pytest.raises(ConnectionFailed):
                await task
            link.close()

    asyncio.run(run())


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "timed out"])
def test_late_answer_to_a_ping_leaves_the_connection_usable(
    private_server: PrivateNats, is_cancelled: bool
) -> None:
    """A ping response that arrives after the ping's timeout does not disturb the connection."""

    async def run() -> None:
        with TcpProxy("127.0.0.1", private_server.port) as proxy:
            host, port = proxy.address
            settings = Nats(url=Secret(f"nats://{host}:{port}"), creates_streams=True)
            link = await connect_nats_async(settings, 60.0)
            proxy.withhold_responses()
            if is_cancelled:
                ping = asyncio.create_task(link.ping(600.0))
                while not link._client._pongs:  # noqa: ASYNC110, SLF001 - nothing else tells it
                    await asyncio.sleep(0)
                ping.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await ping
            else:
                with pytest.raises(TimeoutError):
                    await link.ping(0.05)
            proxy.restore()
            await link.ping(60.0)
            [item] = outgoing_messages("after-late-answers", [Message(b"1")], RULES, None)
            [result] = await link.publish_batch((item,), 60.0)
            assert "after-late-answers" == result.unwrap().topic
            await link.leave(60.0)

    asyncio.run(run())


def test_ended_connection_sends_nothing(private_server: PrivateNats) -> None:
    """Publishing on a closed connection fails; the error states that the message was not sent."""

    async def run() -> None:
        link = await connect_nats_async(Nats(url=Secret(private_server.url)), 5.0)
        await link.leave(5.0)
        (item,) = outgoing_messages("orders", [Message(b"1")], RULES, None)
        [result] = await link.publish_batch((item,), 5.0)
        assert Publication.NONE is publication_of(result)
        assert isinstance(result.error, ConnectionFailed)
        with pytest.raises(ConnectionFailed):
            await link.ping(5.0)

    asyncio.run(run())


def test_dropped_connection_counts_as_ended(private_server: PrivateNats) -> None:
    """A NATS connection counts as ended as soon as its socket is closed."""

    async def run() -> None:
        link = await connect_nats_async(Nats(url=Secret(private_server.url)), 5.0)
        assert link.is_connected()
        link.close()
        async with asyncio.timeout(60.0):
            while link.is_connected():  # noqa: ASYNC110 - nothing else tells it
                await asyncio.sleep(0)

    asyncio.run(run())
