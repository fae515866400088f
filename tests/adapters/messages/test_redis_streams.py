"""Publishing to Redis Streams in sync and async mode, with private servers and a lossy proxy."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import redis

import moorage
from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    HealthState,
    InvalidData,
    InvalidRequest,
    Message,
    OutcomeUnknown,
    RedisStreams,
    Secret,
    TopicNotFound,
)
from moorage.adapters.redis_streams._links import connect, connect_async
from moorage.adapters.redis_streams.kind import RULES
from moorage.domain.messages.broker_rules import outgoing_messages
from moorage.domain.messages.message import OutgoingMessage
from moorage.domain.messages.publish_failures import Publication, PublishFault, publication_of
from moorage.domain.messages.redis_streams import pack_commands, packed_list, refusal
from moorage.domain.values.result import Result
from moorage.testing.fakes.http_tls import certificate_files
from tests.support.ports import free_port
from tests.support.rabbitmq_servers import LossyProxy
from tests.support.redis_servers import PrivateRedis
from tests.support.signals_while_waiting import interrupt_while_waiting
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from tests.adapters.messages.publisher_harness import Harness

WRONG = "hunter2-of-nobody"


@pytest.fixture(scope="module")
def private_server() -> Generator[PrivateRedis]:
    """Yield a private Redis server that tests may limit and kill."""
    with PrivateRedis() as server:
        yield server


@pytest.fixture
def server(private_server: PrivateRedis) -> Generator[redis.Redis]:
    """Return a client of the emptied private server; after the test, remove its limits."""
    client: Any = redis.Redis.from_url(private_server.url)
    client.flushall()
    yield client
    client.config_set("maxmemory", "0")
    client.replicaof("NO", "ONE")
    client.close()


@pytest.fixture
def streams(harnesses: Callable[..., Harness]) -> Callable[..., Harness]:
    """Return a function that makes publishers to Redis Streams."""

    def make_harness(
        url: str, *, service: dict[str, Any] | None = None, **settings: Any
    ) -> Harness:
        values = RedisStreams(url=Secret(url), **settings)
        return harnesses(
            lambda is_async: values.async_publisher() if is_async else values.publisher(),
            **(service or {}),
        )

    return make_harness


def entries(server: Any, stream: str) -> list[Any]:
    """Return the entries of a stream."""
    return list(server.xrange(stream))


def payloads(server: Any, stream: str) -> list[bytes]:
    """Return the payloads of a stream's entries."""
    return [fields[b"payload"] for _, fields in entries(server, stream)]


def test_message_arrives_with_all_its_fields(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """A message's payload, headers, key, id and content type are fields of the stream entry."""
    harness = streams(private_server.url)
    headers = {"trace-id": "7", "raw": b"\xff"}
    receipt = harness.publish("orders", Message.of_json([1], key="k", headers=headers, id="id-1"))
    assert (receipt.broker, receipt.topic, receipt.id) == ("redis-streams", "orders", "id-1")
    assert entries(server, "orders")[0][1] == {
        b"payload": b"[1]",
        b"content-type": b"application/json",
        b"message-id": b"id-1",
        b"trace-id": b"7",
        b"raw": b"\xff",
        b"moorage-key": b"k",
    }
    assert harness.publish("orders", Message(b"2")).id == entries(server, "orders")[1][0].decode()
    assert str(harness.publisher.versions.server).startswith("Redis ")
    assert harness.publisher.statistics().created == 1
    assert harness.finish(harness.publisher.health(5.0)).is_healthy
    with pytest.raises(InvalidData, match="does not accept a header named 'payload'"):
        harness.publisher.publish("orders", Message(b"3", headers={"payload": "x"}))


def test_batch_of_many_messages_arrives_in_order(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """A batch of many messages arrives in order, with a receipt for each."""
    harness = streams(private_server.url)
    messages = [Message(str(number), id=f"id-{number}") for number in range(2500)]
    results = harness.publish_batch("orders", messages)
    assert [result.unwrap().id for result in results] == [message.id for message in messages]
    assert payloads(server, "orders") == [message.payload for message in messages]


def test_stream_is_trimmed(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """A stream is trimmed to about as many messages as `longest_stream` allows."""
    harness = streams(private_server.url, longest_stream=100)
    harness.publish_batch("orders", [Message(str(number)) for number in range(1000)])
    assert 100 <= len(payloads(server, "orders")) < 300


def test_missing_stream_is_refused_if_that_is_wanted(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """With `creates_streams=False`, publishing to a missing stream raises TopicNotFound."""
    harness = streams(private_server.url, creates_streams=False)
    with pytest.raises(TopicNotFound, match="no stream 'ordres'"):
        harness.publish("ordres", Message(b"1"))
    server.xadd("orders", {"payload": "1"})
    harness.publish("orders", Message(b"2"))
    assert payloads(server, "orders") == [b"1", b"2"]


def test_key_of_another_type_is_no_stream(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """Publishing to a Redis key whose type is not a stream is refused."""
    server.set("orders", "1")
    harness = streams(private_server.url)
    with pytest.raises(InvalidRequest, match="Nothing was stored"):
        harness.publish("orders", Message(b"1"))
    assert harness.publish("invoices", Message(b"2"))
    assert harness.publisher.statistics().created == 1


def test_full_server_refuses_messages(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """If Redis is out of memory, the message is retried.

    The error states that the message is not stored.
    """
    harness = streams(private_server.url)
    server.config_set("maxmemory", "1")
    with pytest.raises(ConnectionFailed, match="because a limit is reached") as excinfo:
        harness.publish("orders", Message(b"1"))
    assert excinfo.value.attempts == 3
    assert not excinfo.value.may_have_been_processed


def test_replica_refuses_messages(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """Publishing to a read-only replica raises an error which states that it is a replica."""
    harness = streams(private_server.url)
    client: Any = server
    client.replicaof("127.0.0.1", "1")
    with pytest.raises(ConnectionFailed, match="read-only replica") as excinfo:
        harness.publish("orders", Message(b"1"))
    assert not excinfo.value.may_have_been_processed


def test_user_without_permission_cannot_publish(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """A user without permission for XADD cannot publish; one without permission for INFO can."""
    client: Any = server
    client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+ping")
    client.execute_command("ACL", "SETUSER", "writer", "on", ">pw", "~*", "+xadd", "+select")
    place = private_server.url.removeprefix("redis://")
    harness = streams(f"redis://reader@{place}", password=Secret("pw"))
    with pytest.raises(AuthenticationFailed, match="may not publish to the stream"):
        harness.publish("orders", Message(b"1"))
    harness = streams(f"redis://writer:pw@{place}")
    assert harness.publish("orders", Message(b"1"))
    assert harness.publisher.versions.server is None


@pytest.mark.parametrize(
    "place, kind, words",
    [
        (f"redis://nobody:{WRONG}@{{place}}/0", AuthenticationFailed, "rejected the user"),
        (
            "redis://no-such-host.invalid/0",
            ConnectionFailed,
            "host name of Redis could not be resolved",
        ),
        ("redis://127.0.0.1:1/0", ConnectionFailed, "Nothing accepts connections"),
        ("redis://{place}/999", TopicNotFound, "account or database"),
    ],
)
def test_connection_that_cannot_be_opened(
    streams: Callable[..., Harness],
    private_server: PrivateRedis,
    place: str,
    kind: type[ConnectorError],
    words: str,
) -> None:
    """For each cause, a failed Redis connection raises a specific error without the password."""
    address = private_server.url.removeprefix("redis://").partition("/")[0]
    harness = streams(place.format(place=address))
    with pytest.raises(kind, match=words) as excinfo:
        harness.finish(harness.publisher.open(5.0))
    assert getattr(excinfo.value, "may_have_been_processed", False) is False
    assert WRONG not in repr(excinfo.value) + str(excinfo.value.__cause__) + repr(harness.publisher)
    health = harness.finish(harness.publisher.health(5.0))
    assert health.state is HealthState.UNAVAILABLE
    assert words in str(health.text)


def test_silent_server_is_given_up_in_time(streams: Callable[..., Harness]) -> None:
    """If a Redis server never responds, the publisher stops waiting after the connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        harness = streams(f"redis://127.0.0.1:{listener.getsockname()[1]}/", connect_timeout=0.1)
        with pytest.raises(ConnectionFailed, match="did not accept a connection in time"):
            harness.finish(harness.publisher.open(5.0))


def test_server_that_hangs_up_is_reported(streams: Callable[..., Harness]) -> None:
    """If the server closes each new connection, the error states that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        harness = streams(f"redis://127.0.0.1:{listener.getsockname()[1]}/")
        pool.submit(_hang_up_at_once, listener)
        with pytest.raises(ConnectionFailed, match="before the message was sent"):
            harness.finish(harness.publisher.open(5.0))


def _hang_up_at_once(listener: socket.socket) -> None:
    listener.accept()[0].close()


def test_member_of_a_cluster_is_refused(streams: Callable[..., Harness]) -> None:
    """A Redis Cluster node is refused, because a node stores only some of the streams."""
    with PrivateRedis("--cluster-enabled", "yes") as member:
        harness = streams(member.url)
        with pytest.raises(ConfigurationError, match="belongs to a Redis Cluster"):
            harness.publish("orders", Message(b"1"))


def _proxied_url(proxy: LossyProxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


def test_lost_acknowledgement_leaves_the_outcome_open(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """If the connection is lost before the reply, a message is not sent again."""
    with LossyProxy("127.0.0.1", _port(private_server)) as proxy:
        harness = streams(_proxied_url(proxy))
        for options, kind in (({}, ConnectionFailed), ({"idempotency_key": "k"}, OutcomeUnknown)):
            harness.publish("orders", Message(b"1"))
            with ThreadPoolExecutor(1) as pool:
                proxy.received, proxy.is_mute = 0, True
                pool.submit(_hang_up_later, proxy)
                with pytest.raises(kind) as excinfo:
                    harness.publish("orders", Message(b"2"), **options)
            assert publication_of(Result(error=excinfo.value)) is Publication.POSSIBLE
            proxy.is_mute = False
        harness.publish("orders", Message(b"3"))
    assert payloads(server, "orders") == [b"1", b"2", b"1", b"2", b"3"]


def _port(private_server: PrivateRedis) -> int:
    return int(private_server.url.rpartition(":")[2].partition("/")[0])


def _hang_up_later(proxy: LossyProxy) -> None:
    wait_until(lambda: proxy.received > 0, "sending the message")
    proxy.hang_up()


def test_silence_after_the_message_ends_with_the_attempt(
    streams: Callable[..., Harness], private_server: PrivateRedis, server: redis.Redis
) -> None:
    """If Redis does not reply in time, the message may be stored; the connection is closed."""
    with LossyProxy("127.0.0.1", _port(private_server)) as proxy:
        harness = streams(_proxied_url(proxy))
        harness.publish("orders", Message(b"1"))
        proxy.is_mute = True
        with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
            harness.publish("orders", Message(b"2"), timeout=0.2)
        assert publication_of(Result(error=excinfo.value)) is Publication.POSSIBLE
        proxy.is_mute = False
        assert harness.publish("orders", Message(b"3"))
        assert harness.publisher.statistics().created == 2
    assert payloads(server, "orders")[0] == b"1"


def test_restarted_server_is_used_again(streams: Callable[..., Harness]) -> None:
    """An idle connection that Redis closed is replaced before the next message is sent."""
    with PrivateRedis() as private_server:
        harness = streams(private_server.url)
        harness.publish("orders", Message(b"1"))
        private_server.kill()
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish("orders", Message(b"2"))
        assert not excinfo.value.may_have_been_processed
        private_server.start()
        assert harness.publish("orders", Message(b"3"))


def test_cancelled_message_closes_its_connection(
    private_server: PrivateRedis, server: redis.Redis
) -> None:
    """Cancelling a task that waits for a reply closes its Redis connection."""

    async def run() -> None:
        with LossyProxy("127.0.0.1", _port(private_server)) as proxy:
            link = await connect_async(RedisStreams(url=Secret(_proxied_url(proxy))), 5.0)
            assert link.is_connected()
            proxy.received, proxy.is_mute = 0, True
            [item] = outgoing_messages("orders", [Message(b"1")], RULES, None)
            task = asyncio.create_task(link.publish(item, 5.0))
            await asyncio.to_thread(wait_until, lambda: proxy.received > 0, "sending")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not link.is_connected()

    asyncio.run(run())


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_cancelled_opening_leaves_no_connection() -> None:
    """Cancelling a task that is connecting raises only CancelledError and leaves no connection."""

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            settings = RedisStreams(url=Secret(f"redis://127.0.0.1:{port}/0"))
            task = asyncio.create_task(connect_async(settings, 5.0))
            accepted = await asyncio.to_thread(listener.accept)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            accepted[0].close()

    asyncio.run(run())
    # If the cancellation comes just as asyncio has connected a socket, asyncio leaks that socket.
    gc.collect()


def test_interrupted_opening_leaves_no_connection(private_server: PrivateRedis) -> None:
    """If Ctrl-C comes while the client reads the Redis version, the connection is closed."""
    with LossyProxy("127.0.0.1", private_server.port, mute_at=b"INFO") as proxy:
        url = Secret(f"redis://127.0.0.1:{proxy.port}/0")
        settings = RedisStreams(url=url, connect_timeout=60.0)
        interrupt_while_waiting(lambda: connect(settings, 60.0), once=lambda: proxy.is_mute)
        wait_until(lambda: proxy.ended == 1, "closing the connection")


def test_configured_redis_connector_publishes_messages(
    private_server: PrivateRedis, server: redis.Redis
) -> None:
    """A Redis Streams connector from a configuration publishes, in sync and async mode."""
    settings = {"connectors": {"events": {"kind": "redis-streams", "url": private_server.url}}}
    arguments = {"topic": "orders", "payload": "1"}
    with moorage.open(settings) as hub:
        receipt = hub.connectors.run("events", "publish", arguments)
        assert receipt["broker"] == "redis-streams"

    async def run() -> None:
        async with moorage.aopen(settings) as hub:
            await hub.connectors.run("events", "publish", arguments)

    asyncio.run(run())
    assert payloads(server, "orders") == [b"1", b"1"]


def test_interrupted_message_closes_its_connection(
    private_server: PrivateRedis, server: redis.Redis
) -> None:
    """If Ctrl-C comes during a batch, the connection is closed, because replies are unread."""
    link = connect(RedisStreams(url=Secret(private_server.url)), 5.0)
    items = outgoing_messages("orders", [Message(b"1"), Message(b"2")], RULES, None)
    with pytest.raises(KeyboardInterrupt):
        link.publish_batch(_InterruptingSequence(items), 5.0)
    assert not link.is_connected()
    link.close()


class _InterruptingSequence(Sequence[OutgoingMessage]):
    """A sequence of messages that raises KeyboardInterrupt at the second reading."""

    def __init__(self, items: Sequence[OutgoingMessage]) -> None:
        self._items = items
        self._readings = 0

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: Any) -> Any:
        return self._items[place]

    def __iter__(self) -> Iterator[OutgoingMessage]:
        self._readings += 1
        if self._readings > 1:
            raise KeyboardInterrupt
        return iter(self._items)


def test_tls_is_verified(streams: Callable[..., Harness], tmp_path: Path) -> None:
    """Redis over TLS accepts only a server certificate that the configured authority signed."""
    certificate, key = (str(file) for file in certificate_files(tmp_path))
    port = free_port()
    options = ("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no")
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file")
    with PrivateRedis(*options, *files, certificate):
        harness = streams(f"rediss://127.0.0.1:{port}/0", authorities=certificate)
        assert harness.publish("orders", Message(b"1"))
        assert harness.finish(harness.publisher.health(5.0)).is_healthy
        harness = streams(f"rediss://127.0.0.1:{port}/0")
        with pytest.raises(ConnectionFailed, match="TLS failed") as excinfo:
            harness.finish(harness.publisher.open(5.0))
        assert not excinfo.value.retryable
        harness = streams(f"rediss://127.0.0.1:{port}/0", authorities=str(tmp_path / "none.pem"))
        with pytest.raises(ConfigurationError, match="cannot be read"):
            harness.finish(harness.publisher.open(5.0))


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"url": "http://redis.example"}, "url"),
        ({"url": "redis://"}, "url"),
        ({"url": "redis://redis.example:x"}, "url"),
        ({"url": "redis://redis.example/shop"}, "url"),
        ({"url": "redis://redis.example?ssl_cert_reqs=none"}, "url"),
        ({"url": "redis://redis.example", "authorities": "ca.pem"}, "url"),
    ],
)
def test_invalid_redis_settings_are_refused(settings: dict[str, Any], path: str) -> None:
    """An invalid Redis URL or other setting is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        RedisStreams(**settings)
    assert excinfo.value.path == path


def test_redis_url_may_contain_all_parts() -> None:
    """A Redis URL contains host, port, database, user and password.

    The password may instead be a separate setting.
    """
    address = RedisStreams(url=Secret("rediss://shop:p%40ss@redis.example:7000/3")).address()
    assert (address.host, address.port, address.path) == ("redis.example", 7000, "3")
    assert (address.user, address.tls is not None) == ("shop", True)
    assert address.password == Secret("p@ss")
    address = RedisStreams(url=Secret("redis://redis.example"), password=Secret("pw")).address()
    assert (address.port, address.user, address.password) == (6379, "", Secret("pw"))


@pytest.mark.parametrize(
    "classes, text, fault",
    [
        (["ResponseError"], "MISCONF no space", PublishFault.BLOCKED),
        (["ResponseError"], "NOREPLICAS Not enough", PublishFault.REJECTED),
        (["ResponseError"], "BUSY Redis is busy running a script", PublishFault.REJECTED),
        (["ResponseError"], "UNBLOCKED the stream key no longer exists", PublishFault.STARTING),
        (["ResponseError"], "something else", PublishFault.BROKEN),
        (["BusyLoadingError", "ConnectionError"], "Redis is loading", PublishFault.STARTING),
    ],
)
def test_class_or_first_word_of_redis_error_decides_the_fault(
    classes: list[str], text: str, fault: PublishFault
) -> None:
    """A Redis error's class, or otherwise the first word of its text, decides which fault it is."""
    assert refusal(classes, text) is fault


def test_commands_are_encoded_as_length_prefixed_words() -> None:
    """Commands are encoded as length-prefixed arguments.

    A large argument is sent without a copy.
    """
    large = b"x" * 10_000
    assert [b"*2\r\n$4\r\nXACK\r\n$2\r\n\xc3\xa9\r\n*1\r\n$4\r\nPING\r\n"] == pack_commands(
        [["XACK", "\u00e9"], [b"PING"]]
    )
    pieces = pack_commands([["XADD", large, b"end"]])
    assert pieces[1] is large
    assert b"*3\r\n$4\r\nXADD\r\n$10000\r\n" + large + b"\r\n$3\r\nend\r\n" == b"".join(pieces)


def test_commands_with_many_ids_are_packed_like_others() -> None:
    """A command for many ids encoded piece by piece has the same bytes as if encoded at once."""
    words = ["XACK", "strömung", "billing"]
    for texts in ([], ["1-1"], ["1-1", "1-2", "1-10", "1-11", "2-1"], ["2-1", "0", "JUSTID"]):
        assert pack_commands([[*words, *texts]]) == [packed_list(words, texts)]
