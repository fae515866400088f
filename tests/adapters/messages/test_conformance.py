"""Checks that publishers to RabbitMQ, Redis Streams and SQS pass the connector conformance kit.

Publishing to a second queue stands in for the read operation that the kit needs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
import pika
import pytest
import redis

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    Message,
    OperationAttempt,
    RedisStreams,
    Secret,
    TopicNotFound,
    VendorRejected,
)
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.sqs.amazon_sqs import AmazonSqs
from moorage.testing import TcpProxy, connector_conformance, name_of
from moorage.testing.sandboxes.sqs import AmazonSqsSandbox
from tests.support.ports import free_port
from tests.support.redis_servers import PrivateRedis
from tests.support.servers import rabbitmq_url
from tests.support.untrusted_server import UntrustedServer
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PASSWORD = "open-sesame-4711"


@attrs.frozen
class Server:
    """A broker as the conformance kit needs it: address, settings, topics and message count.

    Attributes:
        address: the broker's host and port.
        settings: a function that returns a publisher's settings for a host and port.
        count: a function that returns the number of messages with this string in the queue.
        topics: the topic of writes, and the topic that stands in for reads.
        refusals: wrong settings, each with its error and a word of its message.
        is_http: whether the broker is reached over HTTP.
        forget: a function that drops the stored messages of a broker in this process.
    """

    address: tuple[str, int]
    settings: Callable[..., Any]
    count: Callable[[str], int]
    topics: tuple[str, str]
    refusals: dict[str, tuple[Any, type[Any], str]]
    is_http: bool = False
    forget: Callable[[], object] | None = None


def rabbitmq(untrusted: tuple[str, int]) -> Generator[Server]:
    """Yield queues of the shared RabbitMQ server."""
    url = rabbitmq_url()
    parts = urlsplit(url)
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    topics = tuple(f"moorage-{uuid4().hex}" for _ in range(2))
    for topic in topics:
        channel.queue_declare(topic, durable=True)
    seen: list[bytes] = []

    def settings(host: str, port: int, **more: Any) -> RabbitMq:
        names = f"{parts.username or 'guest'}:{more.pop('password', parts.password or 'guest')}"
        scheme, path = more.pop("scheme", "amqp"), more.pop("path", parts.path)
        return RabbitMq(url=Secret(f"{scheme}://{names}@{host}:{port}{path}"), **more)

    def count(text: str) -> int:
        while True:
            answer: Any = channel.basic_get(topics[0], auto_ack=True)
            if answer[0] is None:
                return seen.count(text.encode())
            seen.append(answer[2])

    address = parts.hostname or "127.0.0.1", parts.port or 5672
    yield Server(
        address,
        settings,
        count,
        (topics[0], topics[1]),
        {
            "wrong password": (
                lambda: settings(*address, password=PASSWORD),
                AuthenticationFailed,
                "password",
            ),
            "no server": (lambda: settings("127.0.0.1", free_port()), ConnectionFailed, "accept"),
            "unknown host": (lambda: settings("broker.invalid", 5672), ConnectionFailed, "host"),
            "unknown virtual host": (
                lambda: settings(*address, path="/moorage-missing"),
                VendorRejected,
                "virtual host",
            ),
            "no TLS": (lambda: settings(*address, scheme="amqps"), ConnectionFailed, "TLS"),
            "untrusted certificate": (
                lambda: settings(*untrusted, scheme="amqps"),
                ConnectionFailed,
                "TLS",
            ),
        },
    )
    for topic in topics:
        channel.queue_delete(topic)
    connection.close()


def redis_streams(untrusted: tuple[str, int]) -> Generator[Server]:
    """Yield streams of a private Redis server."""
    with PrivateRedis() as private:
        client: Any = redis.Redis.from_url(private.url)

        def settings(host: str, port: int, **more: Any) -> RedisStreams:
            names = f"ada:{more.pop('password')}@" if "password" in more else ""
            scheme, database = more.pop("scheme", "redis"), more.pop("database", 0)
            return RedisStreams(url=Secret(f"{scheme}://{names}{host}:{port}/{database}"), **more)

        def count(text: str) -> int:
            entries: Any = client.xrange("orders")
            return sum(fields[b"payload"] == text.encode() for _, fields in entries)

        parts = urlsplit(private.url)
        address = parts.hostname or "127.0.0.1", parts.port or 0
        yield Server(
            address,
            settings,
            count,
            ("orders", "noise"),
            {
                "wrong password": (
                    lambda: settings(*address, password=PASSWORD),
                    AuthenticationFailed,
                    "",
                ),
                "no server": (lambda: settings("127.0.0.1", free_port()), ConnectionFailed, ""),
                "unknown host": (lambda: settings("redis.invalid", 6379), ConnectionFailed, "host"),
                "unknown database": (
                    lambda: settings(*address, database=4711),
                    TopicNotFound,
                    "database",
                ),
                "untrusted certificate": (
                    lambda: settings(*untrusted, scheme="rediss"),
                    ConnectionFailed,
                    "TLS",
                ),
            },
        )
        client.close()


def amazon_sqs(untrusted: tuple[str, int]) -> Generator[Server]:
    """Yield queues of a local SQS sandbox."""
    sandbox = AmazonSqsSandbox(queues=("orders", "noise"))
    with sandbox.serving() as server:
        parts = urlsplit(server.url)

        def settings(host: str, port: int, **more: Any) -> AmazonSqs:
            keys: dict[str, Any] = {
                "access_key_id": sandbox.access_key_id,
                "secret_access_key": sandbox.secret_access_key,
                **more,
            }
            scheme = keys.pop("scheme", "http")
            return AmazonSqs(
                region=sandbox.region,
                account="123456789012",
                endpoint=f"{scheme}://{host}:{port}",
                **keys,
            )

        def forget() -> None:
            server.forget_requests()
            sandbox.requests.clear()
            sandbox.messages["noise"].clear()

        def count(text: str) -> int:
            return sum(message["MessageBody"] == text for message in sandbox.messages["orders"])

        address = parts.hostname or "127.0.0.1", parts.port or 0
        yield Server(
            address,
            settings,
            count,
            ("orders", "noise"),
            {
                "wrong secret": (
                    lambda: settings(*address, secret_access_key=PASSWORD),
                    AuthenticationFailed,
                    "",
                ),
                "no server": (lambda: settings("127.0.0.1", free_port()), ConnectionFailed, ""),
                "unknown host": (
                    lambda: settings("sqs.invalid", 80),
                    ConnectionFailed,
                    "sqs.invalid:80 could not be reached",
                ),
                "untrusted certificate": (
                    lambda: settings(*untrusted, scheme="https"),
                    ConnectionFailed,
                    "certificate",
                ),
            },
            is_http=True,
            forget=forget,
        )


# HTTP servers send nothing before the request, so after a connection is accepted and cut, the
# request may or may not have arrived.
OPEN_OVER_HTTP = "refused_connection_did_nothing"
BROKERS = {"rabbitmq": rabbitmq, "redis-streams": redis_streams, "sqs": amazon_sqs}


@pytest.fixture(scope="module", params=BROKERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """Yield the brokers RabbitMQ, Redis and SQS, one after another."""
    with UntrustedServer(tmp_path_factory.mktemp("untrusted")) as untrusted:
        yield from BROKERS[request.param](("127.0.0.1", untrusted.port))


async def run_check(check: Any, server: Server, network: TcpProxy) -> None:
    """Run an asynchronous check, after a first call that opens the HTTP client's selector."""
    if server.is_http:
        publisher = server.settings(*server.address).async_publisher("connector")
        message = Message(b"first")
        await publisher.publish(server.topics[1], message).perform(OperationAttempt(1, 60.0))
        await publisher.close()
    await check(subject(server, network, is_async=True))


@pytest.fixture
def network(server: Server) -> Generator[TcpProxy]:
    """Yield a TCP proxy between a publisher and its broker."""
    with TcpProxy(*server.address) as proxy:
        yield proxy


def subject(
    server: Server, network: TcpProxy, *, is_async: bool
) -> connector_conformance.ConnectorSubject:
    """Return a description of the publisher under test for the conformance kit."""

    def make_publisher(settings: Any) -> Any:
        make_harness: Any = settings.async_publisher if is_async else settings.publisher
        return make_harness("connector")

    def refusal(
        settings: Callable[[], Any], error: type[Any], reason: str
    ) -> connector_conformance.Refusal:
        return connector_conformance.Refusal(
            make=lambda _: make_publisher(settings()), error=error, because=reason
        )

    writes, reads = server.topics
    return connector_conformance.ConnectorSubject(
        make=lambda _: make_publisher(server.settings(*network.address)),
        read=lambda connector, text: connector.publish(reads, Message(text)),
        write=lambda connector, text: connector.publish(writes, Message(text)),
        count=server.count,
        network=network,
        refusals={name: refusal(*parts) for name, parts in server.refusals.items()},
        secret=PASSWORD,
        operations=operations(300),
        forget=server.forget,
        timeout=2.0,
    )


def skip_silent_server_check(check: Any, server: Server) -> None:
    """Skip the check with a silent server, because connectors that use HTTP cannot pass it."""
    if server.is_http and name_of(check) == OPEN_OVER_HTTP:
        pytest.skip("a server of HTTP says nothing before the request")


@pytest.mark.untraced
@pytest.mark.parametrize(
    "check", connector_conformance.CHECKS + connector_conformance.NETWORK_CHECKS, ids=name_of
)
def test_a_synchronous_publisher_passes(check: Any, server: Server, network: TcpProxy) -> None:
    """A synchronous publisher passes each check of the conformance kit."""
    skip_silent_server_check(check, server)
    check(subject(server, network, is_async=False))


@pytest.mark.untraced
@pytest.mark.parametrize(
    "check",
    connector_conformance.ASYNC_CHECKS + connector_conformance.ASYNC_NETWORK_CHECKS,
    ids=name_of,
)
def test_an_asynchronous_publisher_passes(check: Any, server: Server, network: TcpProxy) -> None:
    """An asynchronous publisher passes each check of the conformance kit."""
    skip_silent_server_check(check, server)
    asyncio.run(run_check(check, server, network))


@pytest.mark.parametrize("check", connector_conformance.FORK_CHECKS, ids=name_of)
def test_a_forked_publisher_passes(check: Any, server: Server, network: TcpProxy) -> None:
    """A publisher in a forked child opens its own connections."""
    check(subject(server, network, is_async=False))
