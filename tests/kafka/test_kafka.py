"""The Kafka connector against the mock cluster of librdkafka."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
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
    InvalidRequest,
    LocalFailure,
    Message,
    TopicNotFound,
)
from moorage.adapters.messages._kafka_links import connect_kafka, connect_kafka_async
from moorage.adapters.messages._kafka_producer import KafkaProducer
from moorage.adapters.messages.kafka import Kafka
from moorage.domain.messages.kafka import connecting_fault, delivery_fault
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.resilience.health import may_have_acted
from tests.kafka.kafka_harness import KafkaHarness
from tests.support.kafka_cluster import KafkaCluster
from tests.support.ports import free_port
from tests.support.publisher_harness import IN_BOTH_MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC = "orders"


@pytest.fixture(name="cluster")
def _cluster() -> Iterator[KafkaCluster]:
    """Yield a mock cluster with a topic of four partitions, for one test."""
    with KafkaCluster(orders=4) as cluster:
        yield cluster


@IN_BOTH_MODES
def test_all_fields_of_a_message_arrive_in_kafka(cluster: KafkaCluster, is_async: bool) -> None:
    """Payload, key, repeated headers, content type and id of a message arrive in Kafka."""
    message = Message(
        b"\x00\xff",
        key="customer-1",
        headers=[("trace", "a"), ("trace", b"\x01")],
        content_type="application/octet-stream",
        id="order-1",
    )
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        receipt = harness.publish(TOPIC, message)
        assert harness.connector.versions.library.startswith("confluent-kafka ")
        assert harness.connector.versions.server.startswith("cluster ")
    (stored,) = cluster.messages(TOPIC, 1)
    assert (stored.value(), stored.key()) == (b"\x00\xff", b"customer-1")
    assert stored.headers() == [
        ("trace", b"a"),
        ("trace", b"\x01"),
        ("content-type", b"application/octet-stream"),
        ("message-id", b"order-1"),
    ]
    assert (receipt.partition, receipt.offset) == (stored.partition(), stored.offset())
    assert (receipt.broker, receipt.topic, receipt.id) == ("kafka", TOPIC, "order-1")


@IN_BOTH_MODES
def test_batch_keeps_the_order_of_each_key(cluster: KafkaCluster, is_async: bool) -> None:
    """Messages with one key stay in order, each has a receipt, and all use one producer."""
    messages = [Message(str(number), key=f"k{number % 3}") for number in range(300)]
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        results = harness.publish_batch(TOPIC, messages)
        harness.publish(TOPIC, Message(b"300", key="k0"))
        statistics = harness.connector.statistics()
    assert (statistics.created, statistics.idle) == (1, 1)
    places = {(result.unwrap().partition, result.unwrap().offset) for result in results}
    assert len(places) == 300
    by_key: dict[bytes, list[int]] = {}
    for stored in cluster.messages(TOPIC, 301):
        by_key.setdefault(stored.key(), []).append(int(stored.value()))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())


@IN_BOTH_MODES
def test_message_too_large_for_librdkafka_is_refused(cluster: KafkaCluster, is_async: bool) -> None:
    """A message that is too large for librdkafka is refused.

    The other messages of its batch are stored.
    """
    messages = [Message(b"1"), Message(b"x" * 1_100_000), Message(b"2")]
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        results = harness.publish_batch(TOPIC, messages)
    assert [result.ok for result in results] == [True, False, True]
    assert isinstance(results[1].error, InvalidRequest)


@IN_BOTH_MODES
@pytest.mark.parametrize(
    "code,kind",
    [(3, TopicNotFound), (29, AuthenticationFailed), (17, InvalidRequest), (5, ConnectionFailed)],
)
def test_topic_that_cannot_be_used_is_refused_before_anything_is_sent(
    cluster: KafkaCluster, code: int, kind: type[ConnectorError], is_async: bool
) -> None:
    """A missing, forbidden or leaderless topic raises a typed error at once."""
    cluster.fail_topic(TOPIC, code)
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        with pytest.raises(kind) as excinfo:
            harness.publish(TOPIC, Message(b"1"))
        assert not getattr(excinfo.value, "may_have_been_processed", False)
        cluster.fail_topic(TOPIC, 0)
        harness.publish(TOPIC, Message(b"2"))
    assert [stored.value() for stored in cluster.messages(TOPIC, 1)] == [b"2"]


@IN_BOTH_MODES
@pytest.mark.parametrize(
    "code,kind",
    [
        (29, AuthenticationFailed),
        (10, InvalidRequest),
        (87, InvalidRequest),
        (-1, ConnectionFailed),
    ],
)
def test_refusals_of_the_cluster_are_typed(
    cluster: KafkaCluster, code: int, kind: type[ConnectorError], is_async: bool
) -> None:
    """Each error code with which a cluster refuses a message raises a different error class."""
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        harness.publish(TOPIC, Message(b"1", key="k"))
        cluster.fail_next(code)
        with pytest.raises(kind):
            harness.publish(TOPIC, Message(b"2", key="k"))


@IN_BOTH_MODES
def test_lost_acknowledgements_are_repeated_without_duplicates(
    cluster: KafkaCluster, is_async: bool
) -> None:
    """The idempotent producer repeats a timed-out request without duplicates."""
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        harness.publish(TOPIC, Message(b"1", key="k"))
        cluster.fail_next(7, 7)
        harness.publish(TOPIC, Message(b"2", key="k"))
    assert [stored.value() for stored in cluster.messages(TOPIC, 2)] == [b"1", b"2"]


@IN_BOTH_MODES
def test_message_in_flight_at_the_deadline_may_be_stored(
    cluster: KafkaCluster, is_async: bool
) -> None:
    """If no acknowledgement comes in time, the outcome is unknown and the producer is replaced."""
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        harness.publish(TOPIC, Message(b"1"))
        cluster.set_delay(2_000)
        with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
            harness.publish(TOPIC, Message(b"2"), timeout=0.5)
        assert may_have_acted(excinfo.value)
        cluster.set_delay(0)
        harness.publish(TOPIC, Message(b"3"))
        assert harness.connector.statistics().created == 2
    values = sorted(stored.value() for stored in cluster.messages(TOPIC, 3))
    assert values == [b"1", b"2", b"3"]


@IN_BOTH_MODES
def test_nothing_is_sent_after_a_call_has_ended(cluster: KafkaCluster, is_async: bool) -> None:
    """A message still waiting for a broker at its deadline is not sent when the broker returns."""
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        harness.publish(TOPIC, Message(b"1"))
        cluster.set_down(is_down=True)
        with pytest.raises((ConnectionFailed, DeadlineExceeded)) as excinfo:
            harness.publish(TOPIC, Message(b"2"), timeout=0.7)
        assert may_have_acted(excinfo.value)
        cluster.set_down(is_down=False)
        harness.publish(TOPIC, Message(b"3"))
    values = sorted(stored.value() for stored in cluster.messages(TOPIC, 2))
    assert values == [b"1", b"3"]


@IN_BOTH_MODES
def test_call_that_sent_nothing_during_an_outage_can_be_repeated(
    cluster: KafkaCluster, is_async: bool
) -> None:
    """If all brokers are down, nothing is sent and the error says so; a later call succeeds."""
    cluster.set_down(is_down=True)
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish(TOPIC, Message(b"1"))
        assert not excinfo.value.may_have_been_processed
        assert excinfo.value.retryable
        assert not harness.completed(harness.connector.health(5.0)).is_healthy
        cluster.set_down(is_down=False)
        harness.publish(TOPIC, Message(b"1"))
        assert harness.completed(harness.connector.health(5.0)).is_healthy
    assert len(cluster.messages(TOPIC, 1)) == 1


@IN_BOTH_MODES
@pytest.mark.parametrize(
    "servers,settings,kind,words",
    [
        ("broker.invalid:9092", {}, ConnectionFailed, "host"),
        ("127.0.0.1:{port}", {}, ConnectionFailed, "Nothing accepts"),
        (
            "{cluster}",
            {"username": "ada", "password": "open-sesame"},
            AuthenticationFailed,
            "password",
        ),
        ("{cluster}", {"tls": True}, ConnectionFailed, "TLS"),
    ],
    ids=["host", "refused", "password", "tls"],
)
def test_clusters_that_cannot_be_reached_are_typed(
    servers: str,
    settings: dict[str, Any],
    kind: type[ConnectorError],
    words: str,
    *,
    is_async: bool,
    cluster: KafkaCluster,
) -> None:
    """Unknown host, closed port, wrong password and failed TLS have distinct errors.

    The mock cluster answers neither SASL nor TLS, so that both fail as they do at a broken server.
    """
    place = servers.format(port=free_port(), cluster=cluster.servers)
    with KafkaHarness(place, is_async=is_async, **settings) as harness:
        with pytest.raises(kind, match=words) as excinfo:
            harness.completed(harness.connector.open(30.0))
        assert "open-sesame" not in f"{excinfo.value!r} {vars(excinfo.value)} {harness.connector!r}"
        assert not getattr(excinfo.value, "may_have_been_processed", False)


def test_silent_server_is_given_up_in_time() -> None:
    """If a server never responds, connecting to it fails at the deadline."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        KafkaHarness(f"127.0.0.1:{listener.getsockname()[1]}", is_async=False) as harness,
        pytest.raises(ConnectionFailed) as excinfo,
    ):
        harness.connector.open(0.3)
    assert not excinfo.value.may_have_been_processed


def test_messages_of_cancelled_call_are_not_sent_later(cluster: KafkaCluster) -> None:
    """Messages of a cancelled call are not sent later, and the next call uses a new producer."""
    with KafkaHarness(cluster.servers, is_async=True) as harness:
        harness.publish(TOPIC, Message(b"1"))
        cluster.set_delay(60_000)

        async def cancel_publishing() -> None:
            operation = harness.connector.publish(TOPIC, Message(b"2"))
            await asyncio.wait_for(harness.manager.perform("events", operation), 0.3)

        with pytest.raises(TimeoutError):
            harness.runner.run(cancel_publishing())
        cluster.set_delay(0)
        harness.publish(TOPIC, Message(b"3"))
        assert harness.connector.statistics().created == 2


@IN_BOTH_MODES
def test_closed_connector_sends_nothing(cluster: KafkaCluster, is_async: bool) -> None:
    """A closed Kafka connector refuses messages, and can be closed again."""
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        harness.publish(TOPIC, Message(b"1"))
        harness.completed(harness.connector.close())
        with pytest.raises(LocalFailure):
            harness.publish(TOPIC, Message(b"2"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_publishes_over_its_own_connection(cluster: KafkaCluster) -> None:
    """A forked child publishes over its own connection, and the parent keeps its old connection."""
    with KafkaHarness(cluster.servers, is_async=False) as harness:
        harness.publish(TOPIC, Message(b"parent"))
        child = os.fork()
        if not child:
            signal.alarm(60)
            try:
                harness.publish(TOPIC, Message(b"child"))
            except BaseException:  # noqa: BLE001 - the parent sees the status
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        harness.publish(TOPIC, Message(b"parent again"))
        assert harness.connector.statistics().created == 1
    values = {stored.value() for stored in cluster.messages(TOPIC, 3)}
    assert values == {b"parent", b"child", b"parent again"}


@pytest.mark.parametrize(
    "settings,path",
    [
        ({"servers": " "}, "servers"),
        ({"username": "ada"}, "username"),
        ({"username": "ada", "password": "p", "mechanism": "PLAIN"}, "tls"),
        ({"certificate": "client.pem"}, "tls"),
        ({"options": {"acks": "0"}}, "options"),
        ({"options": {"enable.ssl.certificate.verification": False}}, "options"),
        ({"options": {"sasl.password": "p"}}, "options"),
    ],
)
def test_contradictory_or_weakening_settings_are_refused(
    settings: dict[str, Any], path: str
) -> None:
    """Contradictory settings, and those that weaken delivery or TLS, are refused."""
    make: Any = Kafka
    with pytest.raises(ConfigurationError) as excinfo:
        make(**{"servers": "127.0.0.1:9092", **settings})
    assert excinfo.value.path == path


def test_settings_become_options_of_the_client() -> None:
    """SASL, TLS and further options reach librdkafka, and the password is not shown."""
    cluster = Kafka(
        servers="one:9092",
        username="ada",
        password="open-sesame",
        tls=True,
        authorities="ca.pem",
        key_password="key-sesame",
        options={"compression.type": "lz4"},
    )
    options = cluster.producer_options()
    assert options["security.protocol"] == "SASL_SSL"
    assert options["sasl.mechanism"] == "SCRAM-SHA-512"
    assert options["sasl.password"] == "open-sesame"
    assert options["ssl.key.password"] == "key-sesame"
    assert options["ssl.ca.location"] == "ca.pem"
    assert options["compression.type"] == "lz4"
    assert "sesame" not in repr(cluster)


@IN_BOTH_MODES
def test_options_that_librdkafka_refuses_are_a_configuration_error(is_async: bool) -> None:
    """An unknown librdkafka option or a missing TLS file raises a configuration error."""
    wrong_settings: tuple[dict[str, Any], ...] = (
        {"options": {"no.such.option": "1"}},
        {"tls": True, "authorities": "/none"},
    )
    for settings in wrong_settings:
        harness = KafkaHarness("127.0.0.1:9", is_async=is_async, **settings)
        with harness, pytest.raises(ConfigurationError):
            harness.completed(harness.connector.open(5.0))


def test_unknown_error_code_leaves_the_outcome_unknown() -> None:
    """Unknown librdkafka codes are treated as connection faults; TLS errors are recognised."""
    assert delivery_fault("SOMETHING_NEW") is PublishFault.LOST
    assert delivery_fault("_PURGE_QUEUE") is PublishFault.TIMEOUT
    assert connecting_fault([]) is PublishFault.SLOW_CONNECT
    assert connecting_fault([("_TRANSPORT", "Certificate verify failed")]) is PublishFault.TLS
    assert connecting_fault([("_TIMED_OUT", "x"), ("_SSL", "y")]) is PublishFault.TLS


@IN_BOTH_MODES
def test_fatal_error_replaces_the_producer(cluster: KafkaCluster, is_async: bool) -> None:
    """After a fatal sequence error the producer is replaced; the message may have been stored."""
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        harness.publish(TOPIC, Message(b"1", key="k"))
        cluster.fail_next(45)
        with pytest.raises(ConnectionFailed) as excinfo:
            harness.publish(TOPIC, Message(b"2", key="k"))
        assert excinfo.value.may_have_been_processed
        harness.publish(TOPIC, Message(b"3", key="k"))
        assert harness.connector.statistics().created == 2


@IN_BOTH_MODES
def test_kafka_link_that_has_left_its_cluster_refuses_messages(
    cluster: KafkaCluster, is_async: bool
) -> None:
    """A Kafka link that has left its cluster refuses messages, and can be closed again."""
    options = Kafka(servers=cluster.servers).producer_options()
    with KafkaHarness(cluster.servers, is_async=is_async) as harness:
        connect: Any = connect_kafka_async if is_async else connect_kafka
        link = harness.completed(connect(options, 30.0))
        harness.completed(link.leave(1.0))
        link.close()
        assert not link.is_connected()
    producer = KafkaProducer(options)
    producer.close()
    with pytest.raises(LocalFailure):
        producer.ping(1.0)


def test_producer_that_is_closed_stops_waiting_for_the_cluster() -> None:
    """Closing a producer also ends the producer's wait for a silent cluster."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        producer = KafkaProducer(Kafka(servers=place).producer_options())
        closing = threading.Timer(0.2, producer.close)
        closing.start()
        with pytest.raises(ConnectionFailed):
            producer.ping(600.0)
        closing.join()


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without confluent-kafka, the error states which extra to install."""
    monkeypatch.setattr(sys, "path", [])
    for make in (Kafka(servers="one:9092").publisher, Kafka(servers="one:9092").async_publisher):
        with pytest.raises(ConfigurationError, match="kafka"):
            make()


def test_configured_kafka_connector_publishes_by_name(cluster: KafkaCluster) -> None:
    """`kind = "kafka"` in a configuration makes a publisher that runs by name with plain JSON."""
    source = {"connectors": {"events": {"kind": "kafka", "servers": cluster.servers}}}
    with moorage.open(source) as hub:
        result = hub.connectors.run("events", "publish", {"topic": TOPIC, "payload": "1"})
        assert result["topic"] == TOPIC
        assert hub.connectors.health("events", 30.0).is_healthy
    assert len(cluster.messages(TOPIC, 1)) == 1
