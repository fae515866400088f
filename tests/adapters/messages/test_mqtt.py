"""Publishing over MQTT with private Mosquitto brokers, in both modes and protocol versions."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

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
    Mqtt,
    OutcomeUnknown,
    Secret,
)
from moorage.adapters.mqtt._links import connect_async
from moorage.domain.messages.broker_rules import outgoing_messages
from moorage.domain.messages.mqtt import RULES
from moorage.domain.messages.publish_failures import Publication, publication_of
from moorage.domain.values.result import Result
from moorage.testing.fakes.http_tls import certificate_files
from tests.adapters.messages.publisher_harness import PATIENCE
from tests.support.mqtt_brokers import PrivateMosquitto, Subscriber, write_password
from tests.support.rabbitmq_servers import LossyProxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.adapters.messages.publisher_harness import Harness

WRONG = "hunter2-of-nobody"
IN_BOTH_VERSIONS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


@pytest.fixture(scope="module")
def broker() -> Generator[PrivateMosquitto]:
    """Yield a Mosquitto broker without access control."""
    with PrivateMosquitto() as private:
        yield private


@pytest.fixture
def subscriber(broker: PrivateMosquitto) -> Generator[Subscriber]:
    """Yield a subscriber to this broker."""
    with Subscriber(broker.port) as client:
        yield client


@IN_BOTH_VERSIONS
@pytest.mark.parametrize("qos", [1, 2])
def test_batch_larger_than_in_flight_limit_arrives_in_order(
    mqtt: Callable[..., Harness],
    broker: PrivateMosquitto,
    subscriber: Subscriber,
    protocol: str,
    qos: int,
) -> None:
    """A batch larger than the in-flight limit arrives in order, with a receipt for each message."""
    harness = mqtt(broker.url, protocol=protocol, qos=qos, in_flight=7)
    messages = [Message(str(number)) for number in range(300)]
    results = harness.publish_batch("orders/new", messages)
    assert [result.unwrap().topic for result in results] == ["orders/new"] * 300
    assert subscriber.payloads() == [message.payload for message in messages]
    assert {message.qos for message in subscriber.messages()} == {qos}
    assert harness.publisher.statistics().created == 1
    assert harness.finish(harness.publisher.health(PATIENCE)).is_healthy


def test_all_fields_of_a_message_arrive(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, subscriber: Subscriber
) -> None:
    """A message's headers, key and id are MQTT user properties; type and expiry are sent too."""
    harness = mqtt(broker.url, expiry=3600, retain=True)
    headers = [("trace-id", "7"), ("trace-id", "ü")]
    receipt = harness.publish("orders", Message.of_json([1], key="k", headers=headers, id="id-1"))
    assert (receipt.broker, receipt.topic, receipt.id) == ("mqtt", "orders", "id-1")
    [message] = subscriber.messages()
    assert message.payload == b"[1]"
    assert message.properties.UserProperty == [
        *headers,
        ("moorage-key", "k"),
        ("message-id", "id-1"),
    ]
    assert message.properties.ContentType == "application/json"
    assert message.properties.MessageExpiryInterval <= 3600
    with Subscriber(broker.port) as late_subscriber:
        [retained] = late_subscriber.messages()
        assert retained.retain
    harness.publish("orders", Message(b""))


def test_message_without_extras_has_no_properties(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, subscriber: Subscriber
) -> None:
    """A message with only a payload is sent without MQTT properties, and is not retained."""
    mqtt(broker.url).publish("orders", Message(b"1"))
    [message] = subscriber.messages()
    assert message.properties.isEmpty()
    with Subscriber(broker.port) as late_subscriber:
        assert late_subscriber.messages() == []


def test_message_of_the_old_version_is_topic_and_payload(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, subscriber: Subscriber
) -> None:
    """MQTT 3.1.1 omits the content type; a message with a key, an id or headers is refused."""
    harness = mqtt(broker.url, protocol="3.1.1")
    harness.publish("orders", Message.of_json([1]))
    assert subscriber.payloads() == [b"[1]"]
    refused: list[dict[str, Any]] = [{"key": "k"}, {"id": "7"}, {"headers": {"a": "b"}}]
    for fields in refused:
        with pytest.raises(InvalidData, match=r"MQTT 3\.1\.1 cannot store the"):
            harness.publisher.publish("orders", Message(b"1", **fields))


@pytest.mark.parametrize(
    "topic", ["", "a/#", "+/b", "a+b", "$share/group/a", "a\0b", "a\nb", "a\uffff", "x" * 65_536]
)
def test_topic_that_cannot_be_published_to(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, topic: str
) -> None:
    """A topic with wildcards or control characters is refused before anything is sent."""
    harness = mqtt(broker.url)
    with pytest.raises(InvalidData) as excinfo:
        harness.publisher.publish(topic, Message(b"1"))
    assert excinfo.value.field == "topic"
    assert harness.publisher.statistics().created == 0


@pytest.mark.parametrize(
    "headers", [{"a": b"1"}, {"a": "\n"}, {"a\0": "1"}, {"message-id": "1"}, {"a": "ü" * 32_768}]
)
def test_header_that_cannot_be_sent(mqtt: Callable[..., Harness], headers: dict[str, Any]) -> None:
    """A header that MQTT cannot carry is refused before anything is sent."""
    harness = mqtt("mqtt://mqtt.example")
    with pytest.raises(InvalidData) as excinfo:
        harness.publisher.publish("orders", Message(b"1", headers=headers))
    assert excinfo.value.field == "headers"


def test_key_that_cannot_be_sent(mqtt: Callable[..., Harness]) -> None:
    """A key that is longer than an MQTT text is refused before anything is sent."""
    harness = mqtt("mqtt://mqtt.example")
    with pytest.raises(InvalidData, match="65,536 bytes, but MQTT accepts at most") as excinfo:
        harness.publisher.publish("orders", Message(b"1", key="k" * 65_536))
    assert excinfo.value.field == "key"


def test_longest_header_arrives_unchanged(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, subscriber: Subscriber
) -> None:
    """A header whose name and value have the greatest allowed length arrives unchanged."""
    harness = mqtt(broker.url)
    longest = Message(b"1", headers={"h" * 65_535: "v" * 65_535}, key="k" * 65_535)
    harness.publish("t", longest)
    [message] = subscriber.messages()
    assert [(len(name), len(value)) for name, value in message.properties.UserProperty] == [
        (65_535, 65_535),
        (len("moorage-key"), 65_535),
    ]


def test_large_messages_arrive(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, subscriber: Subscriber
) -> None:
    """Messages larger than all buffers on the way arrive unchanged."""
    harness = mqtt(broker.url)
    payloads = [bytes([number]) * 3_000_000 for number in range(5)]
    results = harness.publish_batch("big", [Message(payload) for payload in payloads])
    assert all(result.ok for result in results)
    assert subscriber.payloads() == payloads


def test_too_large_message_is_not_sent(mqtt: Callable[..., Harness]) -> None:
    """In a batch, only a message above the broker's size limit fails.

    The broker stores all other messages.
    """
    with PrivateMosquitto("max_packet_size 1000") as broker, Subscriber(broker.port) as subscriber:
        harness = mqtt(broker.url)
        messages = [Message(b"1"), Message(b"2" * 1000), Message(b"3")]
        first, second, third = harness.publish_batch("orders", messages)
        assert (first.ok, second.ok, third.ok) == (True, False, True)
        assert isinstance(second.error, InvalidRequest)
        assert publication_of(second) is Publication.NONE
        with pytest.raises(InvalidRequest, match="too large"):
            harness.publish("orders", messages[1])
        assert subscriber.payloads() == [b"1", b"3"]
        assert harness.publisher.statistics().created == 1


@pytest.fixture(scope="module")
def broker_with_users(tmp_path_factory: pytest.TempPathFactory) -> Generator[PrivateMosquitto]:
    """Yield a broker whose user "shop" may publish only to the topic "orders"."""
    folder = tmp_path_factory.mktemp("mosquitto")
    users, access = folder / "users", folder / "access"
    write_password(users, "shop", "open-sesame")
    access.write_text("user shop\ntopic write orders\n")
    users.chmod(0o644)
    lines = (f"password_file {users}", f"acl_file {access}")
    with PrivateMosquitto(*lines, anonymous=False) as private:
        yield private


@IN_BOTH_VERSIONS
def test_wrong_mqtt_password_is_refused(
    mqtt: Callable[..., Harness], broker_with_users: PrivateMosquitto, protocol: str
) -> None:
    """A wrong MQTT password is refused, and no error text contains it."""
    url = broker_with_users.url.replace("//", f"//shop:{WRONG}@")
    harness = mqtt(url, protocol=protocol)
    with pytest.raises(AuthenticationFailed, match="rejected the user") as excinfo:
        harness.publish("orders", Message(b"1"))
    assert WRONG not in repr(excinfo.value) + str(excinfo.value.__cause__) + repr(harness.publisher)
    health = harness.finish(harness.publisher.health(PATIENCE))
    assert health.state is HealthState.UNAVAILABLE


def test_publishing_to_a_forbidden_topic_keeps_the_connection(
    mqtt: Callable[..., Harness], broker_with_users: PrivateMosquitto
) -> None:
    """Publishing to a forbidden MQTT topic raises AuthenticationFailed and keeps the connection."""
    url = broker_with_users.url.replace("//", "//shop@")
    for qos in (1, 2):
        harness = mqtt(url, password=Secret("open-sesame"), qos=qos)
        assert harness.publish("orders", Message(b"1"))
        with pytest.raises(AuthenticationFailed, match="may not publish") as excinfo:
            harness.publish("invoices", Message(b"1"))
        assert excinfo.value.vendor_code == "0x87"
        assert publication_of(Result(error=excinfo.value)) is Publication.NONE


@pytest.mark.parametrize(
    "url, words",
    [
        ("mqtt://no-such-host.invalid", "host name of MQTT could not be resolved"),
        (f"mqtt://{'x' * 64}.example", "host name of MQTT could not be resolved"),
        ("mqtt://127.0.0.1:1", "Nothing accepts connections"),
    ],
)
def test_connection_that_cannot_be_opened(
    mqtt: Callable[..., Harness], url: str, words: str
) -> None:
    """Each reason for a failed MQTT connection has its own error class.

    Each error says that nothing was sent.
    """
    harness = mqtt(url)
    with pytest.raises(ConnectionFailed, match=words) as excinfo:
        harness.finish(harness.publisher.open(PATIENCE))
    assert not excinfo.value.may_have_been_processed


def test_silent_server_is_given_up_in_time(mqtt: Callable[..., Harness]) -> None:
    """If an MQTT broker never responds, the publisher stops waiting after the connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        harness = mqtt(f"mqtt://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=0.1)
        with pytest.raises(ConnectionFailed, match="did not accept a connection in time"):
            harness.finish(harness.publisher.open(PATIENCE))


@IN_BOTH_VERSIONS
def test_lost_acknowledgement_leaves_the_outcome_open(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, subscriber: Subscriber, protocol: str
) -> None:
    """If the connection is lost before a message is acknowledged, it is not sent again."""
    with LossyProxy("127.0.0.1", broker.port) as proxy:
        harness = mqtt(f"mqtt://127.0.0.1:{proxy.port}", protocol=protocol)
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
    assert subscriber.payloads() == [b"1", b"2", b"1", b"2", b"3"]


def _hang_up_later(proxy: LossyProxy) -> None:
    wait_until(lambda: proxy.received > 0, "sending the message")
    proxy.hang_up()


@IN_BOTH_VERSIONS
def test_silence_after_the_message_ends_with_the_attempt(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto, subscriber: Subscriber, protocol: str
) -> None:
    """If a message is not acknowledged in time, it may be stored.

    The next message uses a new connection.
    """
    with LossyProxy("127.0.0.1", broker.port) as proxy:
        harness = mqtt(f"mqtt://127.0.0.1:{proxy.port}", protocol=protocol)
        harness.publish("orders", Message(b"1"))
        proxy.is_mute = True
        with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
            harness.publish("orders", Message(b"2"), timeout=0.2)
        assert publication_of(Result(error=excinfo.value)) is Publication.POSSIBLE
        proxy.is_mute = False
        assert harness.publish("orders", Message(b"3"))
        assert harness.publisher.statistics().created == 2
    assert subscriber.payloads() == [b"1", b"2", b"3"]


@IN_BOTH_VERSIONS
def test_restarted_broker_is_used_again(mqtt: Callable[..., Harness], protocol: str) -> None:
    """An idle connection that the broker closed is replaced before the next message is sent."""
    with PrivateMosquitto() as broker:
        harness = mqtt(broker.url, protocol=protocol)
        harness.publish("orders", Message(b"1"))
        broker.kill()
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish("orders", Message(b"2"))
        assert not excinfo.value.may_have_been_processed
        broker.start()
        with Subscriber(broker.port) as subscriber:
            assert harness.publish("orders", Message(b"3"))
            assert subscriber.payloads() == [b"3"]


def test_messages_may_be_stored_if_the_broker_is_killed_during_a_batch(
    mqtt: Callable[..., Harness],
) -> None:
    """If the broker is killed during a batch, the error states that messages may be stored."""
    with PrivateMosquitto() as broker, LossyProxy("127.0.0.1", broker.port) as proxy:
        harness = mqtt(f"mqtt://127.0.0.1:{proxy.port}", in_flight=10)
        harness.publish("orders", Message(b"0"))
        with ThreadPoolExecutor(1) as pool:
            proxy.received, proxy.is_mute = 0, True
            pool.submit(_kill_later, proxy, broker)
            with pytest.raises(ConnectionFailed) as excinfo:
                harness.publish_batch("orders", [Message(b"1")] * 50)
        assert excinfo.value.may_have_been_processed


def _kill_later(proxy: LossyProxy, broker: PrivateMosquitto) -> None:
    wait_until(lambda: proxy.received > 0, "sending the messages")
    broker.kill()


def test_client_id_is_random_unless_it_must_be_exact(
    mqtt: Callable[..., Harness], broker: PrivateMosquitto
) -> None:
    """Programs with the same MQTT client id differ by a random suffix, unless it must be exact."""
    one, two = mqtt(broker.url, client_id="shop"), mqtt(broker.url, client_id="shop")
    for harness in (one, two, one, two):
        harness.publish("orders", Message(b"1"))
    assert one.publisher.statistics().created == 1
    exact: dict[str, Any] = {"client_id": "shop", "exact_client_id": True, "connections": 1}
    one, two = mqtt(broker.url, **exact), mqtt(broker.url, **exact)
    for harness in (one, two, one):
        harness.publish("orders", Message(b"1"))
    assert one.publisher.statistics().created == 2


def test_configured_mqtt_connector_publishes_messages(
    broker: PrivateMosquitto, subscriber: Subscriber
) -> None:
    """An MQTT connector opened from a configuration publishes messages, in sync and async mode."""
    settings = {"connectors": {"events": {"kind": "mqtt", "url": broker.url, "qos": 2}}}
    arguments = {"topic": "orders", "payload": "1"}
    with moorage.open(settings) as hub:
        receipt = hub.connectors.run("events", "publish", arguments)
        assert receipt["broker"] == "mqtt"

    async def run() -> None:
        async with moorage.aopen(settings) as hub:
            await hub.connectors.run("events", "publish", arguments)

    asyncio.run(run())
    assert subscriber.payloads() == [b"1", b"1"]


def test_cancelled_message_closes_its_connection(
    broker: PrivateMosquitto, subscriber: Subscriber
) -> None:
    """Cancelling a task that waits for an acknowledgement closes the MQTT connection."""

    async def run() -> None:
        with LossyProxy("127.0.0.1", broker.port) as proxy:
            link = await connect_async(Mqtt(url=f"mqtt://127.0.0.1:{proxy.port}"), 5.0)
            assert link.is_connected()
            proxy.received, proxy.is_mute = 0, True
            [item] = outgoing_messages("orders", [Message(b"1")], RULES, None)
            task = asyncio.create_task(link.publish(item, 5.0))
            await asyncio.to_thread(wait_until, lambda: proxy.received > 0, "sending")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not link.is_connected()
            link.close()

    asyncio.run(run())
    assert subscriber.payloads() == [b"1"]


def test_cancelled_opening_leaves_no_connection() -> None:
    """Cancelling a task that is connecting raises only CancelledError and leaves no connection."""

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            task = asyncio.create_task(connect_async(Mqtt(url=f"mqtt://127.0.0.1:{port}"), 5.0))
            accepted, _ = await asyncio.to_thread(listener.accept)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with accepted:
                while await asyncio.to_thread(accepted.recv, 4096):
                    pass

    asyncio.run(run())


@IN_BOTH_VERSIONS
def test_mqtt_over_tls_trusts_only_the_given_authority(
    mqtt: Callable[..., Harness], tmp_path: Path, protocol: str
) -> None:
    """MQTT over TLS trusts only the given authority, and presents the client's certificate."""
    certificate, key = (str(file) for file in certificate_files(tmp_path))
    (tmp_path / "client").mkdir()
    client, client_key = (str(file) for file in certificate_files(tmp_path / "client"))
    lines = (f"certfile {certificate}", f"keyfile {key}", f"cafile {client}")
    with PrivateMosquitto(*lines, "require_certificate true") as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        common: dict[str, Any] = {"protocol": protocol, "authorities": certificate}
        harness = mqtt(url, certificate=client, key=client_key, **common)
        assert harness.publish("orders", Message(b"1"))
        assert harness.finish(harness.publisher.health(PATIENCE)).is_healthy
        assert harness.publish_batch("orders", [Message(b"2" * 100_000)] * 3)[2].ok
        for settings in (common, {"certificate": client, "key": client_key}):
            harness = mqtt(url, **settings)
            with pytest.raises(ConnectionFailed) as excinfo:
                harness.finish(harness.publisher.open(PATIENCE))
            assert not excinfo.value.may_have_been_processed
        harness = mqtt(url, authorities=str(tmp_path / "none.pem"))
        with pytest.raises(ConfigurationError, match="cannot be read"):
            harness.finish(harness.publisher.open(PATIENCE))


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"url": "http://mqtt.example"}, "url"),
        ({"url": "mqtt://"}, "url"),
        ({"url": "mqtt://mqtt.example:x"}, "url"),
        ({"url": "mqtt://mqtt.example/path"}, "url"),
        ({"url": "mqtt://mqtt.example", "authorities": "ca.pem"}, "url"),
        ({"url": "mqtt://mqtt.example", "password": "p"}, "url"),
        ({"url": "mqtt://mqtt.example", "qos": 0}, "qos"),
        ({"url": "mqtt://mqtt.example", "qos": True}, "qos"),
        ({"url": "mqtt://mqtt.example", "expiry": 2**32}, "expiry"),
        ({"url": "mqtt://mqtt.example", "expiry": 5, "protocol": "3.1.1"}, "expiry"),
        ({"url": "mqtt://mqtt.example", "keepalive": 65_536}, "keepalive"),
        ({"url": "mqtt://mqtt.example", "exact_client_id": True}, "exact_client_id"),
    ],
)
def test_invalid_mqtt_settings_are_refused(settings: dict[str, Any], path: str) -> None:
    """Invalid MQTT settings are refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        Mqtt(**settings)
    assert excinfo.value.path == path


def test_mqtt_url_may_contain_host_port_user_and_password() -> None:
    """An MQTT URL may contain host, port, user and password.

    The password may instead be a separate setting.
    """
    address = Mqtt(url=Secret("mqtts://shop:p%40ss@mqtt.example")).address()
    assert (address.host, address.port, address.user) == ("mqtt.example", 8883, "shop")
    assert address.password == Secret("p@ss")
    address = Mqtt(url=Secret("mqtt://shop@mqtt.example"), password=Secret("pw")).address()
    assert (address.port, address.tls, address.password) == (1883, None, Secret("pw"))


def test_moorage_errors_are_not_converted_by_mqtt() -> None:
    """An exception that already is a moorage error is not converted to another MQTT error."""
    assert Mqtt(url=Secret("mqtt://mqtt.example")).translate_error(ConnectorError("x")) is None
