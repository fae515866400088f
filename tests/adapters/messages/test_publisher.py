"""Message publishers behind a manager, with an in-memory broker that injects failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import (
    AsyncMessagePublisher,
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    HealthState,
    InvalidData,
    LocalFailure,
    Message,
    MessagePublisher,
    OutcomeUnknown,
    TopicNotFound,
)
from moorage.adapters.links.shared_async import AsyncSharedLink
from moorage.adapters.links.shared_sync import SharedLink
from moorage.domain.messages.message import OutgoingMessage
from moorage.domain.messages.publish_failures import Publication, publication_of
from moorage.testing import MemoryBroker
from moorage.testing.fakes.message_broker import RULES, AsyncMemoryLink, MemoryLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage import ConnectorError, PublishReceipt
    from moorage.domain.values.result import Result
    from tests.adapters.messages.publisher_harness import Harness

LOST = ConnectionFailed("The connection was lost.")
REFUSED = AuthenticationFailed("The user is refused.")
UNSENT = ConnectionFailed("Nothing was sent.", may_have_been_processed=False)


def test_publish_returns_a_receipt(memory_harness: Callable[..., Harness]) -> None:
    """Publishing stores the message and returns a receipt with its broker, topic and offset."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    first = harness.publish("orders", Message(b"1", id="7"))
    second = harness.publish("orders", Message(b"2"))
    assert (first.broker, first.topic, first.offset, first.id) == ("memory", "orders", 0, "7")
    assert (second.offset, second.is_duplicate) == (1, False)
    assert [stored.message.payload for stored in broker.messages] == [b"1", b"2"]


def test_message_is_repeated_only_if_it_was_not_stored(
    memory_harness: Callable[..., Harness],
) -> None:
    """A message that was not sent is retried; one whose acknowledgement was lost is not."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    broker.fail(UNSENT, times=2)
    assert harness.publish("orders", Message(b"1")).offset == 0
    broker.lose_acknowledgements()
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.publish("orders", Message(b"2"))
    assert excinfo.value.may_have_been_processed
    assert [stored.message.payload for stored in broker.messages] == [b"1", b"2"]


def test_lost_acknowledgement_of_a_keyed_message_is_an_unknown_outcome(
    memory_harness: Callable[..., Harness],
) -> None:
    """If a message with an idempotency key loses its acknowledgement, OutcomeUnknown is raised."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    broker.lose_acknowledgements()
    with pytest.raises(OutcomeUnknown):
        harness.publish("orders", Message(b"1"), idempotency_key="order-1")
    assert len(broker.messages) == 1


def test_message_with_an_id_is_repeated_where_the_broker_recognises_it(
    memory_harness: Callable[..., Harness],
) -> None:
    """If the broker deduplicates, a message with an id is retried and reported as a duplicate."""
    broker = MemoryBroker(deduplicates=True)
    harness = memory_harness(broker)
    broker.lose_acknowledgements()
    receipt = harness.publish("orders", Message(b"1", id="7"))
    assert receipt.is_duplicate
    assert receipt.offset == 0
    assert len(broker.messages) == 1


def test_idempotency_key_becomes_the_id(memory_harness: Callable[..., Harness]) -> None:
    """If the service honours keys, the idempotency key becomes the message id for deduplication."""
    broker = MemoryBroker(deduplicates=True)
    harness = memory_harness(broker, honours_keys=True, idempotency_memory=120.0)
    broker.lose_acknowledgements()
    receipt = harness.publish("orders", Message(b"1"), idempotency_key="order-1")
    assert receipt.is_duplicate
    assert len(broker.messages) == 1
    repeat = harness.publish("orders", Message(b"1"), idempotency_key="order-1")
    assert repeat == receipt
    assert "order-1" not in str(broker.messages[0].id)


def test_batch_has_a_result_for_each_message(memory_harness: Callable[..., Harness]) -> None:
    """A batch returns one result per message, in order, or raises if nothing was stored."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    broker.fail(UNSENT)
    results = harness.publish_batch("orders", [Message(b"1"), Message(b"2"), Message(b"3")])
    assert [publication_of(result) for result in results] == [
        Publication.NONE,
        Publication.CERTAIN,
        Publication.CERTAIN,
    ]
    assert [result.value.offset for result in results[1:]] == [0, 1]


def test_batch_is_retried_as_whole_if_none_of_its_messages_was_stored(
    memory_harness: Callable[..., Harness],
) -> None:
    """If no message of a batch was stored, the whole batch is retried."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    broker.fail(UNSENT, times=2)
    results = harness.publish_batch("orders", [Message(b"1"), Message(b"2")])
    assert [result.ok for result in results] == [True, True]
    assert [stored.message.payload for stored in broker.messages] == [b"1", b"2"]


class FragileLink(MemoryLink):
    """A broker connection that raises an exception when pinged, or for one chosen message."""

    def __init__(self, broker: MemoryBroker, content: bytes, error: Exception) -> None:
        super().__init__(broker)
        self._content = content
        self._error = error

    def ping(self, _: float, /) -> None:
        """Raise the exception."""
        raise self._error

    def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt:
        """Raise the exception if this is the failing message."""
        if item.message.payload == self._content:
            raise self._error
        return super().publish(item, timeout)

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> list[Result[PublishReceipt]]:
        """Raise the exception if the failing message is in the batch."""
        if any(item.message.payload == self._content for item in items):
            raise self._error
        return super().publish_batch(items, timeout)


def fragile_publishers(
    broker: MemoryBroker, content: bytes, error: Exception
) -> Callable[[bool], MessagePublisher | AsyncMessagePublisher]:
    """Return a function that makes publishers whose connections fail with one message."""

    async def connect(_: float) -> AsyncMemoryLink:
        return AsyncMemoryLink(FragileLink(broker, content, error))

    def translate_error(exception: Exception) -> ConnectorError | None:
        return REFUSED if isinstance(exception, KeyError) else None

    def make_harness(is_async: bool) -> MessagePublisher | AsyncMessagePublisher:
        if is_async:
            return AsyncMessagePublisher(
                "events", broker.rules, AsyncSharedLink(connect), translate_error=translate_error
            )
        links = SharedLink(lambda _: FragileLink(broker, content, error))
        return MessagePublisher("events", broker.rules, links, translate_error=translate_error)

    return make_harness


def test_lost_connection_in_the_middle_of_a_batch(harnesses: Callable[..., Harness]) -> None:
    """If the connection is lost during a batch, earlier groups are stored, and later ones not."""
    broker = MemoryBroker(rules=attrs.evolve(RULES, most_in_batch=1))
    harness = harnesses(fragile_publishers(broker, b"2", LOST))
    results = harness.publish_batch("orders", [Message(b"1"), Message(b"2"), Message(b"3")])
    assert [publication_of(result) for result in results] == [
        Publication.CERTAIN,
        Publication.POSSIBLE,
        Publication.NONE,
    ]


def test_message_or_topic_that_breaks_broker_rules_is_refused_before_anything_is_sent(
    memory_harness: Callable[..., Harness],
) -> None:
    """A message or topic that breaks the broker's rules is refused before anything is sent."""
    broker = MemoryBroker({"orders"}, rules=attrs.evolve(RULES, largest=3))
    harness = memory_harness(broker)
    for topic, message in (("", Message(b"")), ("orders", Message(b"1234"))):
        with pytest.raises(InvalidData):
            harness.publisher.publish(topic, message)
    with pytest.raises(InvalidData, match="at least one message"):
        harness.publisher.publish_batch("orders", [])
    with pytest.raises(TopicNotFound, match="no topic 'other'"):
        harness.publish("other", Message(b"1"))
    assert broker.messages == ()


def test_publishing_fails_while_the_broker_is_down(memory_harness: Callable[..., Harness]) -> None:
    """While the broker is down, publishing and health checks fail; later both work again."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    assert harness.finish(harness.publisher.open(1.0)) is None
    broker.is_down = True
    with pytest.raises(ConnectionFailed) as excinfo:
        harness.publish("orders", Message(b"1"))
    assert not excinfo.value.may_have_been_processed
    assert excinfo.value.attempts == 3
    with pytest.raises(ConnectionFailed, match="Nothing accepts connections"):
        harness.finish(harness.publisher.open(1.0))
    health = harness.finish(harness.publisher.health(1.0))
    assert health.state is HealthState.UNAVAILABLE
    assert health.text == "Nothing accepts connections at the address of MemoryBroker."
    broker.is_down = False
    assert harness.publish("orders", Message(b"1")).offset == 0
    assert harness.publisher.statistics().created == 2


def test_broker_that_goes_down_loses_open_connections() -> None:
    """If the broker goes down, a message on an open connection is not stored, and a ping fails."""
    broker = MemoryBroker()
    link = MemoryLink(broker)
    broker.is_down = True
    with pytest.raises(ConnectionFailed, match="before the message was sent") as excinfo:
        link.publish(OutgoingMessage("orders", Message(b"1")), 1.0)
    assert not excinfo.value.may_have_been_processed
    with pytest.raises(ConnectionFailed, match="Nothing accepts connections"):
        link.ping(1.0)
    assert (broker.messages, broker.arrivals) == ((), 0)
    broker.is_down = False
    assert not link.is_connected()
    with pytest.raises(ConnectionFailed, match="before the message was sent"):
        link.publish(OutgoingMessage("orders", Message(b"1")), 1.0)
    assert MemoryLink(broker).publish(OutgoingMessage("orders", Message(b"1")), 1.0).offset == 0


def test_health_reports_a_problem(memory_harness: Callable[..., Harness]) -> None:
    """A broker that responds is healthy, or degraded if it also reports a problem."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    health = harness.finish(harness.publisher.health(1.0))
    assert (health.state, health.text) == (HealthState.HEALTHY, None)
    assert harness.publisher.versions.server == "memory"
    broker.problem = "The disk is full.", "Buy another one."
    health = harness.finish(harness.publisher.health(1.0))
    assert (health.state, health.text, health.remedy) == (HealthState.DEGRADED, *broker.problem)


def test_exceptions_of_the_library_become_moorage_errors(harnesses: Callable[..., Harness]) -> None:
    """Exceptions of a client library become moorage errors without the original text."""
    harness = harnesses(fragile_publishers(MemoryBroker(), b"1", KeyError("hunter2")))
    with pytest.raises(AuthenticationFailed) as excinfo:
        harness.publish("orders", Message(b"1"))
    assert excinfo.value.__cause__ is excinfo.value.__context__ is None
    assert harness.finish(harness.publisher.health(1.0)).text == "The user is refused."
    assert harness.publisher.publish("orders", Message(b"1")).translate_error(KeyError()) is REFUSED


def test_exceeded_time_leaves_the_outcome_open(harnesses: Callable[..., Harness]) -> None:
    """If a connection raises TimeoutError, the error states that the message may have been sent."""
    harness = harnesses(fragile_publishers(MemoryBroker(), b"1", TimeoutError()))
    with pytest.raises(AttemptTimeout, match="did not acknowledge the message in time") as excinfo:
        harness.publish("orders", Message(b"1"))
    assert excinfo.value.may_have_been_processed


def test_unknown_exceptions_are_raised_unchanged(harnesses: Callable[..., Harness]) -> None:
    """An unknown exception is raised unchanged, and the health report does not quote it."""
    harness = harnesses(fragile_publishers(MemoryBroker(), b"1", ZeroDivisionError("hunter2")))
    with pytest.raises(ZeroDivisionError):
        harness.publish("orders", Message(b"1"))
    health = harness.finish(harness.publisher.health(1.0))
    assert health.text == "The health of MemoryBroker cannot be read."


def test_operations_can_be_run_by_name(memory_harness: Callable[..., Harness]) -> None:
    """A publisher's operations can be run by name, with plain JSON arguments and results."""
    broker = MemoryBroker()
    harness = memory_harness(broker)
    publish = harness.publisher.operations["publish"]
    arguments = {"topic": "orders", "payload": "x", "headers": {"a": "1"}}
    receipt = publish.render(harness.perform(publish.operation(arguments)))
    assert (receipt["topic"], receipt["offset"]) == ("orders", 0)
    batch = harness.publisher.operations["publish_batch"]
    messages = {"topic": "orders", "messages": [{"json": 1}, {"payload": "y"}]}
    results = batch.render(harness.perform(batch.operation(messages)))
    assert [result["offset"] for result in results] == [1, 2]
    assert [stored.message.payload for stored in broker.messages] == [b"x", b"1", b"y"]


def test_closed_publisher_publishes_nothing(memory_harness: Callable[..., Harness]) -> None:
    """A closed publisher refuses to publish; closing it again has no effect."""
    broker = MemoryBroker()
    harness = memory_harness(broker)

    async def use_publisher() -> None:
        async with harness.publisher as publisher:
            assert publisher is harness.publisher

    if harness.loop is None:
        with harness.publisher as publisher:
            assert publisher is harness.publisher
    else:
        harness.finish(use_publisher())
    with pytest.raises(LocalFailure, match="closed"):
        harness.publish("orders", Message(b"1"))
    assert broker.messages == ()


def test_message_telemetry_target_has_its_id_and_size(rabbit: Callable[..., Harness]) -> None:
    """Telemetry shows a message's id and size, and the number of messages of a batch."""
    harness = rabbit("amqp://mq.example:5673/", exchange="shop")
    single = harness.publisher.publish("orders", Message(b"12", id="7")).target
    batch = harness.publisher.publish_batch("orders", [Message(b"1"), Message(b"2")]).target
    assert ("shop:orders", "publish", "mq.example", 5673) == (
        single.destination,
        single.operation,
        single.host,
        single.port,
    )
    assert [("7", None, 2), (None, 2, None)] == [
        (target.message_id, target.count, target.size) for target in (single, batch)
    ]


def test_reprs_show_no_content(memory_harness: Callable[..., Harness]) -> None:
    """The repr of a publisher or operation shows its name and broker, not the message."""
    harness = memory_harness(MemoryBroker())
    prefix = "" if harness.loop is None else "Async"
    assert repr(harness.publisher) == f"<{prefix}MessagePublisher events (memory)>"
    operation = harness.publisher.publish("orders", Message(b"hunter2"), name="orders.publish")
    assert repr(operation) == f"<{prefix}PublishOperation orders.publish (memory)>"
    assert (operation.safe, operation.repeatable, operation.system) == (False, False, "memory")
