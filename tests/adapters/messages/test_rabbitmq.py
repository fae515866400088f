"""Publishing to RabbitMQ in sync and async mode: a shared server, a private one, a lossy proxy."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

import moorage
from moorage import (
    AsyncConnectorManager,
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
    MessageUnroutable,
    OutcomeUnknown,
    PublishReceipt,
    Secret,
    Service,
    TopicNotFound,
)
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.domain.messages.message import OutgoingMessage
from moorage.domain.messages.publish_failures import Publication, publication_of
from moorage.domain.values.result import Result
from tests.adapters.messages.publisher_harness import PATIENCE
from tests.adapters.messages.rabbitmq_harness import Broker, open_connection
from tests.support.ports import free_port
from tests.support.rabbitmq_servers import LossyProxy, PrivateRabbitMq
from tests.support.servers import rabbitmq_url
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.adapters.messages.publisher_harness import Harness

WRONG = "hunter2-of-nobody"


@pytest.fixture(scope="module")
def private_server() -> Generator[PrivateRabbitMq]:
    """Yield a private RabbitMQ server that tests may block."""
    with PrivateRabbitMq() as server:
        yield server


def test_message_arrives_with_all_its_fields(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """A confirmed message is persistent in the queue, with its headers, key, id and type."""
    harness = rabbit(broker.url)
    headers = {"trace-id": "7", "raw": b"\xff"}
    message = Message.of_json({"a": 1}, key="k", headers=headers, id="id-1")
    receipt = harness.publish(broker.queue, message)
    assert (receipt.broker, receipt.topic, receipt.id) == ("rabbitmq", broker.queue, "id-1")
    item = broker.take()
    assert item is not None
    properties, payload = item
    assert payload == b'{"a":1}'
    assert properties.headers["trace-id"] == "7"
    assert bytes(properties.headers["raw"]) == b"\xff"
    assert properties.headers["moorage-key"] == "k"
    assert (properties.message_id, properties.content_type) == ("id-1", "application/json")
    assert properties.delivery_mode == 2
    assert str(harness.publisher.versions.server).startswith("RabbitMQ ")
    assert harness.publisher.statistics().created == 1


def test_exchange_routes_by_topic(rabbit: Callable[..., Harness], broker: Broker) -> None:
    """If an `exchange` is set, the topic is the routing key; the receipt contains the exchange."""
    exchange = f"{broker.queue}-exchange"
    broker.channel.exchange_declare(exchange, "topic")
    broker.channel.queue_bind(broker.queue, exchange, "orders.*")
    harness = rabbit(broker.url, exchange=exchange, persistent=False)
    assert harness.publish("orders.new", Message(b"1")).stream == exchange
    item = broker.take()
    assert item is not None
    assert (item[1], item[0].delivery_mode) == (b"1", 1)
    with pytest.raises(MessageUnroutable, match="no queue takes the routing key"):
        harness.publish("invoices.new", Message(b"2"))
    broker.channel.exchange_delete(exchange)
    with pytest.raises(TopicNotFound, match=f"no exchange '{exchange}'"):
        harness.publish("orders.new", Message(b"3"))
    with pytest.raises(TopicNotFound, match="has no exchange"):
        harness.publish("orders.new", Message(b"3"))


def test_batch_whose_exchange_was_deleted_may_be_stored(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """If RabbitMQ refuses messages of a batch, the error tells why, and that some may be stored."""
    exchange = f"{broker.queue}-exchange"
    broker.channel.exchange_declare(exchange, "fanout")
    broker.channel.queue_bind(broker.queue, exchange)
    harness = rabbit(broker.url, exchange=exchange)
    harness.publish("orders.new", Message(b"1"))
    broker.channel.exchange_delete(exchange)
    with pytest.raises(ConnectionFailed, match=r"may be stored.*has no exchange") as excinfo:
        harness.publish_batch("orders.new", [Message(b"2"), Message(b"3")])
    assert publication_of(Result(error=excinfo.value)) is Publication.POSSIBLE
    assert broker.payloads() == [b"1"]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_refused_message_of_a_batch_is_not_mistaken_for_another(
    rabbit: Callable[..., Harness], broker: Broker, position: int
) -> None:
    """If RabbitMQ refuses one message of a batch, no other message counts as refused."""
    harness = rabbit(broker.url)
    items = [OutgoingMessage(broker.queue, Message(str(number))) for number in range(3)]
    items[position] = OutgoingMessage(broker.queue, Message(b"refused", headers={"CC": "x"}))
    with open_connection(harness, broker.url) as link:
        results = harness.finish(link.publish_batch(items, PATIENCE))
    assert not any(result.ok for result in results[position:])
    others = [*results[:position], *results[position + 1 :]]
    assert Publication.NONE not in map(publication_of, others)
    for result in results[position:]:
        with pytest.raises(ConnectorError, match="its form is invalid"):
            result.unwrap()
    assert broker.payloads() == [item.message.payload for item in items[:position]]


def test_refused_message_alone_is_certainly_not_stored(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """If RabbitMQ refuses a message that is alone on its channel, the error names the reason."""
    harness = rabbit(broker.url)
    message = OutgoingMessage(broker.queue, Message(b"1", headers={"CC": "x"}))
    with open_connection(harness, broker.url) as link:
        [result] = harness.finish(link.publish_batch([message], PATIENCE))
    with pytest.raises(InvalidRequest, match="its form is invalid"):
        result.unwrap()


def test_returned_batch_whose_messages_share_an_id(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """If no queue accepts messages with the same id, none of these messages gets a receipt."""
    harness = rabbit(broker.url)
    with pytest.raises(MessageUnroutable):
        harness.publish_batch(f"{broker.queue}-missing", [Message(b"1", id="a")] * 50)


def test_batch_whose_messages_share_ids_arrives_in_order(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """Messages with repeated ids keep their positions in the batch."""
    harness = rabbit(broker.url)
    messages = [Message(str(number), id=f"id-{number // 2 % 3}") for number in range(20)]
    results = harness.publish_batch(broker.queue, messages)
    assert [result.unwrap().id for result in results] == [message.id for message in messages]
    assert broker.payloads() == [message.payload for message in messages]


def test_only_the_returned_one_of_two_messages_with_one_id_fails(broker: Broker) -> None:
    """A message that RabbitMQ returns may have the same id as a message to another queue."""

    async def run_calls() -> list[object]:
        async with RabbitMq(url=Secret(broker.url)).async_publisher("events") as publisher:
            manager = AsyncConnectorManager([Service("events", circuit=None)])
            return await asyncio.gather(
                *(
                    manager.perform("events", publisher.publish(topic, Message(topic, id="a")))
                    for topic in (f"{broker.queue}-missing", broker.queue)
                ),
                return_exceptions=True,
            )

    returned_error, receipt = asyncio.run(run_calls())

    assert isinstance(returned_error, MessageUnroutable)
    assert isinstance(receipt, PublishReceipt)
    assert broker.payloads() == [broker.queue.encode()]


def test_message_without_a_queue_is_dropped_if_mandatory_is_false(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """With `mandatory=False`, a message that no queue receives is confirmed and dropped."""
    harness = rabbit(broker.url, mandatory=False)
    assert harness.publish(f"{broker.queue}-missing", Message(b"1")).topic.endswith("missing")


def test_batch_of_many_messages_arrives_in_order(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """A batch of many messages arrives in order, with a receipt for each."""
    harness = rabbit(broker.url)
    messages = [Message(str(number), id=f"id-{number}") for number in range(1500)]
    results = harness.publish_batch(broker.queue, messages)
    assert [result.unwrap().id for result in results] == [message.id for message in messages]
    assert broker.payloads() == [message.payload for message in messages]


def test_full_queue_rejects_a_message_of_a_batch(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """A full queue rejects single messages of a batch.

    The results of these messages contain the error.
    """
    queue = f"{broker.queue}-full"
    arguments = {"x-max-length": 2, "x-overflow": "reject-publish"}
    broker.channel.queue_declare(queue, arguments=arguments)
    harness = rabbit(broker.url)
    results = harness.publish_batch(queue, [Message(b"1"), Message(b"2"), Message(b"3")])
    assert [publication_of(result) for result in results] == [
        Publication.CERTAIN,
        Publication.CERTAIN,
        Publication.NONE,
    ]
    with pytest.raises(ConnectionFailed, match="because a queue is full") as excinfo:
        harness.publish(queue, Message(b"4"))
    assert not excinfo.value.may_have_been_processed
    assert excinfo.value.attempts == 3
    broker.channel.queue_delete(queue)


@pytest.mark.parametrize(
    "change, kind, words",
    [
        ({"user": "guest", "password": WRONG}, AuthenticationFailed, "rejected the user"),
        (
            {"host": "no-such-host.invalid"},
            ConnectionFailed,
            "host name of RabbitMQ could not be resolved",
        ),
        ({"port": "1"}, ConnectionFailed, "Nothing accepts connections"),
        ({"path": "/no-such-host"}, TopicNotFound, "not have this virtual host"),
        ({"scheme": "amqps"}, ConnectionFailed, "TLS failed"),
    ],
)
def test_connection_that_cannot_be_opened(
    rabbit: Callable[..., Harness],
    change: dict[str, str],
    kind: type[ConnectorError],
    words: str,
) -> None:
    """For each cause, a failed RabbitMQ connection raises a specific error without the password."""
    parts = urlsplit(rabbitmq_url())
    place = {
        "scheme": "amqp",
        "user": parts.username or "guest",
        "password": parts.password or "guest",
        "host": parts.hostname or "",
        "port": str(parts.port or 5672),
        "path": "/",
        **change,
    }
    harness = rabbit("{scheme}://{user}:{password}@{host}:{port}{path}".format_map(place))
    with pytest.raises(kind, match=words) as excinfo:
        harness.finish(harness.publisher.open(PATIENCE))
    assert getattr(excinfo.value, "may_have_been_processed", False) is False
    assert WRONG not in repr(excinfo.value) + str(excinfo.value.__cause__) + repr(harness.publisher)
    health = harness.finish(harness.publisher.health(PATIENCE))
    assert health.state is HealthState.UNAVAILABLE
    assert words in str(health.text)


def test_silent_server_is_given_up_in_time(rabbit: Callable[..., Harness]) -> None:
    """If a RabbitMQ server never responds, the publisher stops after the connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        harness = rabbit(f"amqp://127.0.0.1:{server.getsockname()[1]}/", connect_timeout=0.1)
        with pytest.raises(ConnectionFailed, match="did not accept a connection in time"):
            harness.finish(harness.publisher.open(PATIENCE))


LONG: Final = b"2" * 1000
"""A payload that is longer than what pika sends before it."""


def test_lost_confirmation_leaves_the_outcome_open(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """If the connection is lost before a message's confirmation, the message is not sent again."""
    place = urlsplit(broker.url)
    with LossyProxy(place.hostname or "", place.port or 5672) as proxy:
        harness = rabbit(f"amqp://guest:guest@127.0.0.1:{proxy.port}/")
        for options, kind in (({}, ConnectionFailed), ({"idempotency_key": "k"}, OutcomeUnknown)):
            harness.publish(broker.queue, Message(b"1"))
            with ThreadPoolExecutor(1) as pool:
                proxy.received, proxy.is_mute = 0, True
                pool.submit(_hang_up_later, proxy)
                with pytest.raises(kind) as excinfo:
                    harness.publish(broker.queue, Message(LONG), **options)
            assert publication_of(Result(error=excinfo.value)) is Publication.POSSIBLE
            proxy.is_mute = False
        harness.publish(broker.queue, Message(b"3"))
    assert broker.payloads() == [b"1", LONG, b"1", LONG, b"3"]


def _hang_up_later(proxy: LossyProxy) -> None:
    wait_until(lambda: proxy.received > len(LONG), "sending the message")
    proxy.hang_up()


def test_silence_after_the_message_ends_with_the_attempt(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """If a message is not confirmed before its timeout, it may be stored.

    Later messages can be published.
    """
    place = urlsplit(broker.url)
    with LossyProxy(place.hostname or "", place.port or 5672) as proxy:
        harness = rabbit(f"amqp://guest:guest@127.0.0.1:{proxy.port}/")
        harness.publish(broker.queue, Message(b"1"))
        proxy.is_mute = True
        with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
            harness.publish(broker.queue, Message(b"2"), timeout=0.2)
        assert publication_of(Result(error=excinfo.value)) is Publication.POSSIBLE
        proxy.is_mute = False
        proxy.hang_up()
        harness.finish(harness.publisher.health(2.0))  # an event loop notices the loss here
        assert harness.publish(broker.queue, Message(b"4"))
    assert broker.payloads()[0] == b"1"


def test_closed_connection_is_replaced(rabbit: Callable[..., Harness], broker: Broker) -> None:
    """An idle connection that was lost is replaced before the next message is sent."""
    place = urlsplit(broker.url)
    with LossyProxy(place.hostname or "", place.port or 5672) as proxy:
        harness = rabbit(f"amqp://guest:guest@127.0.0.1:{proxy.port}/")
        harness.publish(broker.queue, Message(b"1"))
        proxy.hang_up()
        harness.finish(harness.publisher.health(2.0))
        assert harness.publish(broker.queue, Message(b"2"))
    assert broker.payloads() == [b"1", b"2"]


def test_topic_or_header_name_that_amqp_cannot_encode_is_refused(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """A topic or header name that AMQP cannot encode is refused, and the connection stays open."""
    harness = rabbit(broker.url)
    with pytest.raises(InvalidData, match="400 bytes"):
        harness.publisher.publish("é" * 200, Message(b"1"))
    for name in ("é", "CC", "BCC"):
        with pytest.raises(InvalidData, match="does not accept a header"):
            harness.publisher.publish(broker.queue, Message(b"1", headers={name: "1"}))
    assert harness.publish(broker.queue, Message(b"2", id="i" * 255, headers={"cc": "1"}))
    assert broker.payloads() == [b"2"]


def test_headers_that_do_not_fit_into_a_frame_are_refused(
    rabbit: Callable[..., Harness], broker: Broker
) -> None:
    """Headers above the limit of the connection are refused, and the connection stays open."""
    harness = rabbit(broker.url)
    largest = Message(b"1", headers={"h": "v" * 131_000})
    for message in (
        Message(b"2", headers={"h": b"v" * 131_072}),
        Message(b"2", headers={f"h{number}": "v" for number in range(20_000)}),
        Message(b"2", key="k" * 131_072),
    ):
        with pytest.raises(InvalidData, match="bytes, but RabbitMQ accepts at most 131,072") as one:
            harness.publish(broker.queue, message)
        with pytest.raises(InvalidData, match="131,072") as several:
            harness.publish_batch(broker.queue, [largest, message])
        assert ["headers"] * 2 == [excinfo.value.field for excinfo in (one, several)]
    assert harness.publish(broker.queue, largest)
    assert harness.publisher.statistics().created == 1
    assert broker.payloads() == [b"1"]


def test_tls_is_verified(rabbit: Callable[..., Harness], private_server: PrivateRabbitMq) -> None:
    """AMQP over TLS accepts only a server certificate that the configured authority signed."""
    harness = rabbit(private_server.tls_url, authorities=private_server.authorities)
    assert harness.finish(harness.publisher.health(PATIENCE)).is_healthy
    harness = rabbit(private_server.tls_url)
    with pytest.raises(ConnectionFailed, match="TLS failed") as excinfo:
        harness.finish(harness.publisher.open(PATIENCE))
    assert not excinfo.value.retryable


@pytest.mark.parametrize("password", [None, "open sesame"])
def test_client_shows_its_certificate(
    rabbit: Callable[..., Harness],
    private_server: PrivateRabbitMq,
    tmp_path: Path,
    password: str | None,
) -> None:
    """The publisher presents its client certificate; the certificate's key may be encrypted."""
    key = load_pem_private_key(private_server.client_key.read_bytes(), None)
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    )
    harness = rabbit(
        private_server.tls_url,
        authorities=Path(private_server.authorities).read_text(),
        certificate=str(private_server.client_certificate),
        key=str(tmp_path / "key.pem"),
        key_password=password,
    )
    harness.finish(harness.publisher.open(PATIENCE))
    assert "moorage test server" in private_server.control("list_connections", "peer_cert_subject")


def test_alarm_of_the_broker_is_reported(
    rabbit: Callable[..., Harness], private_server: PrivateRabbitMq
) -> None:
    """While RabbitMQ blocks publishers for lack of memory, messages are refused and not sent."""
    blocked = Broker(private_server.url)
    harness = rabbit(private_server.url, connections=1)
    harness.publish(blocked.queue, Message(b"1"))
    private_server.set_memory_watermark(1e-7)
    try:
        with pytest.raises((AttemptTimeout, DeadlineExceeded)):
            harness.publish(blocked.queue, Message(b"2"), timeout=1.0)
        if harness.loop is None:
            # RabbitMQ confirms an empty message, and blocks the connection after it.
            assert harness.publish(blocked.queue, Message(b""))
        for _ in range(2):
            health = harness.finish(harness.publisher.health(PATIENCE))
            assert health.state is HealthState.DEGRADED
            assert "memory or its disk" in str(health.text)
        with pytest.raises(ConnectionFailed, match="memory or its disk") as excinfo:
            harness.publish(blocked.queue, Message(b"3"))
        assert not excinfo.value.may_have_been_processed
        private_server.set_memory_watermark(0.4)
        wait_until(
            lambda: harness.finish(harness.publisher.health(PATIENCE)).is_healthy,
            "the end of the alarm",
        )
        assert harness.publish(blocked.queue, Message(b"4"))
    finally:
        private_server.set_memory_watermark(0.4)
        blocked.close()


def test_connections_end_with_the_publisher(rabbit: Callable[..., Harness], broker: Broker) -> None:
    """Closing a publisher leaves no connection to RabbitMQ open."""
    harness = rabbit(broker.url)
    harness.publish(broker.queue, Message(b"1"))
    harness.finish(harness.publisher.close())
    gc.collect()
    with pytest.raises(ConnectorError, match="closed"):
        harness.publish(broker.queue, Message(b"2"))


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"url": "http://host"}, "url"),
        ({"url": "amqp://"}, "url"),
        ({"url": "amqp://host:port"}, "url"),
        ({"url": "amqp://host", "authorities": "ca.pem"}, "url"),
        ({"url": "amqps://host", "key": "key.pem"}, "certificate"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, str], path: str) -> None:
    """Invalid RabbitMQ settings are refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        RabbitMq(**settings)  # type: ignore[arg-type]  # the converter makes secrets
    assert excinfo.value.path == path


def test_address_has_the_defaults_of_the_protocol() -> None:
    """An AMQP URL without port, user or virtual host uses the defaults of the protocol."""
    address = RabbitMq(url=Secret("amqps://host")).address()
    assert (address.host, address.port, address.user) == ("host", 5671, "guest")
    assert (address.path, address.password_text()) == ("/", "guest")
    assert address.tls is not None
    other = RabbitMq(url=Secret("amqp://me@host:1/a%2Fb"), password=Secret("hunter2")).address()
    assert (other.port, other.user, other.path) == (1, "me", "a/b")
    assert other.password_text() == "hunter2"
    assert "hunter2" not in repr(other)


def test_unreadable_authorities_are_a_configuration_error(rabbit: Callable[..., Harness]) -> None:
    """If the file of CA certificates is missing, opening a connection raises ConfigurationError."""
    harness = rabbit(f"amqps://127.0.0.1:{free_port()}/", authorities="missing.pem")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        harness.finish(harness.publisher.open(1.0))


def test_missing_library_is_named(mode: str) -> None:
    """If pika or aio-pika is not installed, the error names the pip extra to install."""
    settings = RabbitMq(url=Secret("amqp://host"))
    search_path, sys.path = sys.path, []
    try:
        with pytest.raises(ConfigurationError, match="pika, which is not installed") as excinfo:
            settings.publisher() if mode == "sync" else settings.async_publisher()
    finally:
        sys.path = search_path
    assert "[rabbitmq]" in str(excinfo.value.remedy)


def test_configured_rabbitmq_connector_runs_operations_by_name(broker: Broker) -> None:
    """A RabbitMQ connector opened from a configuration runs its operations by name."""
    url = broker.url
    with moorage.open({"connectors": {"events": {"kind": "rabbitmq", "url": url}}}) as hub:
        arguments = {"topic": broker.queue, "payload": "1"}
        receipt = hub.connectors.run("events", "publish", arguments)
        assert receipt["broker"] == "rabbitmq"
    assert broker.payloads() == [b"1"]
