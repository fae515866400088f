"""Answers that Mosquitto never gives, but a scripted MQTT broker does."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    InvalidRequest,
    Message,
    Mqtt,
    Secret,
)
from moorage.adapters.mqtt._links import connect
from moorage.adapters.mqtt._session import MqttSession
from moorage.domain.messages.broker_rules import outgoing_messages
from moorage.domain.messages.mqtt import RULES
from moorage.domain.messages.publish_failures import Publication, publication_of
from moorage.domain.values.result import Result
from tests.support.mqtt_brokers import ScriptedBroker, acknowledgement, connack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.messages.publisher_harness import Harness

PUBLISH, RELEASE, PING = 0x30, 0x60, 0xC0


def answering(*codes: int | None) -> Callable[[int, int], bytes]:
    """Return a function that acknowledges QoS 1 messages with these reason codes in turn."""
    rest = list(codes)
    return lambda kind, number: (
        acknowledgement(0x40, number, rest.pop(0)) if kind == PUBLISH else b""
    )


def failure_of(harness: Harness, **options: Any) -> ConnectorError:
    """Return the error that publishing one message raises."""
    with pytest.raises(ConnectorError) as excinfo:
        harness.publish("orders", Message(b"1"), **options)
    return excinfo.value


@pytest.mark.parametrize("code", [None, 0x00, 0x10])
def test_success_code_returns_a_receipt(mqtt: Callable[..., Harness], code: int | None) -> None:
    """If a reason code means success, even "no matching subscribers", the caller gets a receipt."""
    with ScriptedBroker(answer=answering(code)) as broker:
        assert mqtt(broker.url).publish("orders", Message(b"1")).topic == "orders"


@pytest.mark.parametrize(
    "code, kind, words",
    [
        (0x80, ConnectionFailed, "because a queue is full"),
        (0x87, AuthenticationFailed, "may not publish to the topic 'orders'"),
        (0x90, InvalidRequest, "refused the message because its form is invalid"),
        (0x97, ConnectionFailed, "because a limit is reached"),
        (0x99, InvalidRequest, "refused the message because its form is invalid"),
        (0xEE, ConnectionFailed, "because a queue is full"),
    ],
)
@pytest.mark.parametrize("qos", [1, 2])
def test_each_failure_code_has_its_own_error(
    mqtt: Callable[..., Harness], qos: int, code: int, kind: type[ConnectorError], words: str
) -> None:
    """Each MQTT failure code has its own error.

    The message is not stored, and the connection stays open.
    """
    first = 0x40 if qos == 1 else 0x50

    def answer(_: int, number: int) -> bytes:
        return acknowledgement(first, number, code)

    with ScriptedBroker(answer=answer) as broker:
        harness = mqtt(broker.url, qos=qos)
        results = [failure_of(harness), failure_of(harness)]
        for error in results:
            assert isinstance(error, kind)
            assert words in error.message
            assert publication_of(Result(error=error)) is Publication.NONE
        assert harness.publisher.statistics().created == 1


def test_batch_reports_each_code(mqtt: Callable[..., Harness]) -> None:
    """Each message of a batch gets the result of its own acknowledgement."""
    with ScriptedBroker(answer=answering(None, 0x97, 0x10)) as broker:
        results = mqtt(broker.url).publish_batch("orders", [Message(b"1")] * 3)
    assert [publication_of(result) for result in results] == [
        Publication.CERTAIN,
        Publication.NONE,
        Publication.CERTAIN,
    ]


def test_release_that_fails_leaves_the_outcome_open(mqtt: Callable[..., Harness]) -> None:
    """If the broker refuses to release a QoS 2 message, that message may have been stored."""

    def answer(kind: int, number: int) -> bytes:
        return acknowledgement(0x50 if kind == PUBLISH else 0x70, number, 0x92 * (kind == RELEASE))

    with ScriptedBroker(answer=answer) as broker:
        error = failure_of(mqtt(broker.url, qos=2))
    assert publication_of(Result(error=error)) is Publication.POSSIBLE


@pytest.mark.parametrize("qos", [1, 2])
def test_receive_maximum_is_respected(mqtt: Callable[..., Harness], qos: int) -> None:
    """The publisher never has more unacknowledged messages than the broker's Receive Maximum."""
    greeting = connack(properties=b"\x21\x00\x02")
    with ScriptedBroker(greeting, answer=answering(None, *[None] * 9)) as broker:
        silent = ScriptedBroker(greeting)
        with silent:
            harness = mqtt(silent.url, qos=qos)
            with pytest.raises((AttemptTimeout, DeadlineExceeded)) as excinfo:
                harness.publish_batch("orders", [Message(b"1")] * 5, timeout=0.3)
            error = excinfo.value
            assert publication_of(Result(error=error)) is Publication.POSSIBLE
            assert len(silent.published) == 2
        if qos == 1:
            assert all(mqtt(broker.url).publish_batch("orders", [Message(b"1")] * 5))


def test_batch_that_is_interrupted_tells_what_was_sent() -> None:
    """After an interruption, each message's result is stored, may be stored, or not stored."""

    def answer(_: int, number: int) -> bytes | None:
        if number == 1:
            return acknowledgement(0x40, number)
        return b"" if number < 3 else None

    with ScriptedBroker(connack(properties=b"\x21\x00\x02"), answer=answer) as broker:
        link = connect(Mqtt(url=Secret(broker.url)), 5.0)
        items = outgoing_messages("orders", [Message(b"1")] * 5, RULES, None)
        results = link.publish_batch(items, 5.0)
    assert [publication_of(result) for result in results] == [
        Publication.CERTAIN,
        Publication.POSSIBLE,
        Publication.POSSIBLE,
        Publication.NONE,
        Publication.NONE,
    ]
    assert not link.is_connected()
    assert link.problem() is None
    results = link.publish_batch(items, 5.0)
    assert {publication_of(result) for result in results} == {Publication.NONE}


@pytest.mark.parametrize(
    "code, number, publication",
    [
        (0x95, 1, Publication.NONE),
        (0x90, 1, Publication.NONE),
        (0x95, 2, Publication.POSSIBLE),
        (0x8B, 1, Publication.POSSIBLE),
        (None, 1, Publication.POSSIBLE),
    ],
)
def test_disconnect_reason_and_messages_in_flight_decide_the_results(
    code: int | None, number: int, publication: Publication
) -> None:
    """A disconnect reason proves that a message was not stored only if no other was in flight."""
    end = b"\xe0\x00" if code is None else bytes([0xE0, 2, code, 0])
    with ScriptedBroker(answer=lambda *_: end) as broker:
        link = connect(Mqtt(url=Secret(broker.url)), 5.0)
        items = outgoing_messages("orders", [Message(b"1")] * number, RULES, None)
        results = link.publish_batch(items, 5.0)
    assert [publication_of(result) for result in results] == [publication] * number


@pytest.mark.parametrize(
    "greeting, protocol, kind, words",
    [
        (connack(1, None), "5", ConfigurationError, "does not support MQTT 5"),
        (connack(0x84), "5", ConfigurationError, "does not support MQTT 5"),
        (connack(1, None), "3.1.1", ConfigurationError, r"does not support MQTT 3\.1\.1"),
        (connack(2, None), "3.1.1", ConfigurationError, "refused the client id"),
        (connack(0x85), "5", ConfigurationError, "refused the client id"),
        (connack(0x9D), "5", ConfigurationError, "another server"),
        (connack(3, None), "3.1.1", ConnectionFailed, "is starting"),
        (connack(0x89), "5", ConnectionFailed, "is starting"),
        (connack(0x97), "5", ConnectionFailed, "a limit is reached"),
        (connack(0x8A), "5", AuthenticationFailed, "rejected the user"),
        (connack(0xEE), "5", ConnectionFailed, "internal error"),
        (
            connack(properties=b"\x24\x01"),
            "5",
            ConfigurationError,
            "does not support a QoS above 1",
        ),
        (
            connack(properties=b"\x25\x00"),
            "5",
            ConfigurationError,
            "does not support retained messages",
        ),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, "5", ConnectionFailed, "before the message"),
        (b"\x30\xff\xff\xff\x7f", "5", ConnectionFailed, "before the message"),
        (b"\x20\x00", "5", ConnectionFailed, "before the message"),
        (b"\xe0\x02\x8b\x00", "5", ConnectionFailed, "before the message"),
    ],
)
def test_session_that_is_not_accepted(
    mqtt: Callable[..., Harness], greeting: bytes, protocol: str, kind: type[Exception], words: str
) -> None:
    """Each reason for which a broker refuses an MQTT connection raises its own error.

    Nothing was processed.
    """
    with ScriptedBroker(greeting) as broker:
        harness = mqtt(broker.url, protocol=protocol, qos=2, retain=True)
        with pytest.raises(kind, match=words):
            harness.finish(harness.publisher.open(5.0))
        assert broker.published == []


def test_garbage_after_a_message_leaves_the_outcome_open(mqtt: Callable[..., Harness]) -> None:
    """If a broker sends bytes that are not MQTT, the connection is closed.

    The message may be stored.
    """
    for garbage in (b"\x20\x01\x00", b"\x40\x01\x00", b"\x00\x00", b"\x40\xff\xff\xff\xff\xff"):
        with ScriptedBroker(answer=lambda *_, reply=garbage: reply) as broker:
            error = failure_of(mqtt(broker.url), timeout=0.5)
            assert publication_of(Result(error=error)) is Publication.POSSIBLE


def test_acknowledgement_of_another_message_is_ignored(mqtt: Callable[..., Harness]) -> None:
    """An acknowledgement for a message that was never sent is ignored."""

    def answer(_: int, number: int) -> bytes:
        return acknowledgement(0x40, number + 1) + acknowledgement(0x40, number)

    with ScriptedBroker(answer=answer) as broker:
        harness = mqtt(broker.url)
        assert harness.publish("orders", Message(b"1"))
        assert harness.publish("orders", Message(b"2"))
        assert len(broker.published) == 2


def test_slow_broker_is_pinged(mqtt: Callable[..., Harness]) -> None:
    """While the client waits for longer than the keepalive, it pings the broker."""
    waiting: list[int] = []

    def answer(kind: int, number: int) -> bytes:
        if kind == PUBLISH:
            waiting.append(number)
            return b""
        return b"\xd0\x00" + acknowledgement(0x40, waiting.pop())

    # The broker demands a keepalive of one second.
    with ScriptedBroker(connack(properties=b"\x13\x00\x01"), answer=answer) as broker:
        assert mqtt(broker.url).publish("orders", Message(b"1"))


def test_broker_that_is_silent_for_twice_the_keepalive_ends_the_attempt(
    mqtt: Callable[..., Harness],
) -> None:
    """If a broker is silent for twice the keepalive, the attempt ends before its timeout."""
    with ScriptedBroker() as broker:
        harness = mqtt(broker.url, keepalive=1)
        error = failure_of(harness, timeout=60.0)
        assert isinstance(error, ConnectionFailed)
        assert publication_of(Result(error=error)) is Publication.POSSIBLE


def test_connection_that_was_idle_too_long_is_replaced() -> None:
    """A connection that was idle longer than the broker's keepalive allows is replaced."""
    with ScriptedBroker(answer=answering(None)) as broker:
        link = connect(Mqtt(url=Secret(broker.url), keepalive=1), 5.0)
        assert link.is_connected()
        inner: Any = vars(link)["_link"]
        vars(inner)["_last_sent"] -= 1.0
        assert not link.is_connected()
        link.close()


@pytest.mark.parametrize("reply", [b"", None])
def test_broker_without_ping_response_is_unhealthy(
    mqtt: Callable[..., Harness], reply: bytes | None
) -> None:
    """A broker that ignores a ping, or closes the connection, is reported as unhealthy."""
    with ScriptedBroker(answer=lambda *_: reply) as broker:
        harness = mqtt(broker.url)
        harness.finish(harness.publisher.open(5.0))
        assert not harness.finish(harness.publisher.health(0.2)).is_healthy
        assert harness.publisher.statistics().idle == 0


def test_interrupted_ping_closes_the_connection() -> None:
    """If Ctrl-C comes during a ping, the MQTT connection is closed."""
    with ScriptedBroker() as broker:
        link = connect(Mqtt(url=Secret(broker.url)), 5.0)

        def interrupt() -> None:
            raise KeyboardInterrupt

        vars(vars(vars(link)["_link"])["session"])["ping"] = interrupt
        with pytest.raises(KeyboardInterrupt):
            link.ping(5.0)
        assert not link.is_connected()


@pytest.mark.parametrize("user, flags", [("", 0x02), ("shop@", 0x82), ("shop:open-sesame@", 0xC2)])
def test_session_starts_clean_and_sends_only_configured_user_and_password(
    user: str, flags: int
) -> None:
    """An MQTT session starts clean, and sends a user name or password only if one is set."""
    for protocol, properties in (("5", b""), ("3.1.1", None)):
        with ScriptedBroker(connack(properties=properties)) as broker:
            url = broker.url.replace("//", f"//{user}")
            connect(Mqtt(url=Secret(url), protocol=protocol), 5.0).close()
            assert [packet[7] for packet in broker.opened] == [flags]


def test_message_of_which_no_byte_was_sent_is_not_stored() -> None:
    """If no byte of a message was sent, the error states that the message is not stored."""
    with ScriptedBroker() as broker:
        link = connect(Mqtt(url=Secret(broker.url)), 5.0)
        vars(vars(link)["_link"])["_wire"].hang_up()
        items = outgoing_messages("orders", [Message(b"1")] * 2, RULES, None)
        results = link.publish_batch(items, 5.0)
        assert {publication_of(result) for result in results} == {Publication.NONE}
        assert broker.published == []


def test_exception_of_the_library_ends_the_session() -> None:
    """If an older paho raises an exception for invalid MQTT bytes, the session ends."""
    session = MqttSession(Mqtt(url=Secret("mqtt://mqtt.example")), "client")

    def raise_error() -> None:
        raise IndexError

    vars(vars(session)["_client"])["loop_read"] = raise_error
    session.receive(b"garbage")
    assert session.is_ended


def test_partly_sent_message_may_be_stored() -> None:
    """If a message was partly sent before the timeout, the error states that it may be stored."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(_accept_and_fall_silent, listener)
        link = connect(Mqtt(url=Secret(f"mqtt://127.0.0.1:{listener.getsockname()[1]}")), 5.0)
        items = outgoing_messages(
            "orders", [Message(bytes(30_000_000)), Message(b"1")], RULES, None
        )
        results = link.publish_batch(items, 0.3)
        accepted.result().close()
    assert [publication_of(result) for result in results] == [
        Publication.POSSIBLE,
        Publication.NONE,
    ]


def _accept_and_fall_silent(listener: socket.socket) -> socket.socket:
    """Accept an MQTT session, then read nothing more."""
    client, _ = listener.accept()
    client.sendall(connack())
    return client
