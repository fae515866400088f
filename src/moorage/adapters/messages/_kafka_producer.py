"""A librdkafka producer, used by one caller at a time.

Its laws:

1. A message is handed to librdkafka only if the cluster answered and knows its topic.
2. After a caller's deadline, all its messages are purged, and the producer is not used again: a
   purged message that was in flight leaves a gap in the sequence of the partition.
3. Only `close` ends the threads of librdkafka, and it never waits for them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import filterfalse
from operator import itemgetter
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from confluent_kafka import KafkaException, Message, Producer

from moorage.adapters.messages._kafka_cluster import KNOWN_TOPIC, SILENT, STEP, ClusterWatch
from moorage.domain.messages.kafka import RULES, delivery_fault, headers_to_send, value_to_send
from moorage.domain.messages.message import messages_of, receipts_of
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.values.result import Result, Results
from moorage.errors import ConnectorError, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from moorage.domain.messages.message import OutgoingMessage, PublishReceipt

    _Report: TypeAlias = "dict[Any, Any]"

R = TypeVar("R")

_ANY_PARTITION: Final = -1
_NO_WAIT: Final = 0
_ACKNOWLEDGED: Final = itemgetter(None)
_PARTITION: Final = Message.partition
_OFFSET: Final = Message.offset


class KafkaProducer:
    """The Kafka producer of synchronous and asynchronous links.

    Args:
        settings: the configuration of librdkafka.

    Attributes:
        version: the id of the cluster, once it answered.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.version: str | None = None
        self._cluster = ClusterWatch(lambda: self._poll(0), self.is_connected)
        self._topics: set[str] = set()
        self._is_open = True
        self._is_used = False
        self._is_ended = False
        self._section = Lock()
        self._producer = Producer({**settings, "error_cb": self._cluster.note}, logger=SILENT)

    def is_connected(self) -> bool:
        """Return False if the producer is closed, or has dropped messages."""
        return self._is_open

    def ping(self, timeout: float) -> None:
        """Ask the cluster for the metadata of one topic."""
        self._run_step(partial(self._topic_metadata, KNOWN_TOPIC), monotonic() + timeout)

    def publish(self, items: Sequence[OutgoingMessage], timeout: float) -> Results[PublishReceipt]:
        """Publish messages to one topic, and return a result for each message."""
        return self._run_step(partial(self._publish, items), monotonic() + timeout)

    def close(self) -> None:
        """Drop unacknowledged messages, and close the producer without waiting."""
        with self._section:
            self._is_open = False
            is_used = self._is_used
        if is_used:
            # The thread that uses the producer gets the reports of the purged messages, and then
            # ends it.
            self._producer.purge(blocking=False)
        else:
            self._end()

    def _run_step(self, step: Callable[[float], R], until: float) -> R:
        with self._section:
            if not self._is_open:
                raise LocalFailure(
                    "The connection to Kafka was closed.",
                    remedy="Use the connector before you close it.",
                )
            self._is_used = True
        try:
            return step(until)
        finally:
            with self._section:
                self._is_used = False
                is_over = not self._is_open
            if is_over:
                self._end()

    def _end(self) -> None:
        with self._section:
            if self._is_ended:
                return
            self._is_ended = True
        producer = self._producer

        def end() -> None:
            producer.purge()
            producer.close()

        # librdkafka may take a second to end its threads, while they look up a host.
        try:
            Thread(target=end, name="moorage-kafka-close", daemon=True).start()
        except RuntimeError:
            # The system has no more threads, or the interpreter is ending.
            end()

    def _topic_metadata(self, topic: str, until: float) -> Any:
        """Return the metadata of a topic, waiting until the cluster answers."""
        metadata = self._cluster.metadata(self._producer, topic, until)
        self.version = f"cluster {metadata.cluster_id}"
        return metadata.topics[topic]

    def _check_topic(self, topic: str, until: float) -> None:
        """Refuse an unknown topic before anything is sent."""
        if topic in self._topics:
            return
        error = self._topic_metadata(topic, until).error
        if error is not None:
            fault = delivery_fault(error.name())
            # Nothing was sent, so nothing can be lost.
            fault = PublishFault.STARTING if fault is PublishFault.LOST else fault
            raise publish_error(fault, RULES, topic, code=error.name())
        self._topics.add(topic)

    def _publish(self, items: Sequence[OutgoingMessage], until: float) -> Results[PublishReceipt]:
        topic = items[0].topic
        self._check_topic(topic, until)
        reports = self._hand_over(items)
        for report in filterfalse(None, reports):
            while not report and self._is_open and (seconds_left := until - monotonic()) > 0:
                self._poll(min(seconds_left, STEP))
            if not report:
                fault = PublishFault.TIMEOUT if self._is_open else PublishFault.LOST
                self._give_up(reports, publish_error(fault, RULES, topic))
                break
        return _results(items, reports)

    def _hand_over(self, items: Sequence[OutgoingMessage]) -> list[_Report]:
        """Pass messages to librdkafka, and return delivery reports, which `_poll` fills in.

        librdkafka calls a report's `setdefault` with its error, or None, and the message. This
        method costs a message less than a function written in Python, and the arguments of
        `produce` less than the dictionaries of `produce_batch`. The client's queue has room for
        every batch, because a batch has the producer for itself.
        """
        topic = items[0].topic
        produce = self._producer.produce
        reports: list[_Report] = []
        for message in messages_of(items):
            headers = (
                headers_to_send(message)
                if message.headers or message.content_type is not None or message.id is not None
                else None
            )
            report: _Report = {}
            reports.append(report)
            try:
                produce(
                    topic,
                    message.payload or value_to_send(message),
                    message.key,
                    _ANY_PARTITION,
                    report.setdefault,
                    None,
                    _NO_WAIT,
                    headers,
                )
            except BufferError:
                report[_refusal("_QUEUE_FULL", topic)] = None
            except KafkaException as error:
                report[_refusal(error.args[0].name(), topic)] = None
        return reports

    def _give_up(self, reports: Sequence[_Report], error: ConnectorError) -> None:
        """Purge all unacknowledged messages with this error, and stop using the producer."""
        with self._section:
            self._is_open = False
        self._producer.purge()
        until = monotonic() + STEP
        while not all(reports) and monotonic() < until:
            self._poll(STEP)
        for report in reports:
            if not report:
                report[error] = None

    def _poll(self, seconds: float) -> None:
        """Wait for delivery reports; after a fatal error, stop using the producer."""
        try:
            self._producer.poll(seconds)
        except (KafkaException, SystemError):
            # librdkafka raises a fatal error here, and then cannot call the delivery callbacks.
            with self._section:
                self._is_open = False


def _delivery_error(error: Any, topic: str) -> ConnectorError:
    """Convert librdkafka's error about one message to an error of moorage."""
    name = error.name()
    return publish_error(delivery_fault(name), RULES, topic, code=name)


def _results(items: Sequence[OutgoingMessage], reports: list[_Report]) -> Results[PublishReceipt]:
    """Return the results of messages from their delivery reports."""
    topic, now = items[0].topic, datetime.now(UTC)
    messages = messages_of(items)
    try:
        acknowledgements = list(map(_ACKNOWLEDGED, reports))
    except KeyError:
        pass
    else:
        return Results.of_successes(
            len(items), _late_receipts(topic, now, acknowledgements, [item.id for item in messages])
        )
    stored_numbers = [n for n, report in enumerate(reports) if None in report]
    receipts = _late_receipts(
        topic,
        now,
        [reports[n][None] for n in stored_numbers],
        [messages[n].id for n in stored_numbers],
    )
    receipts_in_order = iter(receipts())
    return Results(
        Result(next(receipts_in_order))
        if None in report
        else Result(error=_error_of(report, topic))
        for report in reports
    )


def _late_receipts(
    topic: str, at: datetime, acknowledgements: Sequence[Any], ids: Sequence[str | None]
) -> Callable[[], list[PublishReceipt]]:
    """Return a function that creates the receipts of acknowledged messages when called.

    It keeps the positions of the messages, and not their contents.
    """
    partitions, offsets = (
        list(map(_PARTITION, acknowledgements)),
        list(map(_OFFSET, acknowledgements)),
    )
    return lambda: receipts_of(RULES.system, topic, at, zip(partitions, offsets, ids, strict=True))


def _error_of(report: _Report, topic: str) -> ConnectorError:
    """Return the error of a message that was not acknowledged."""
    error = next(iter(report))
    return error if isinstance(error, ConnectorError) else _delivery_error(error, topic)


def _refusal(name: str, topic: str) -> ConnectorError:
    """Return the error for a message that librdkafka did not queue, by the error's name."""
    fault = delivery_fault(name)
    # The message was not sent, whatever the reason.
    fault = PublishFault.INVALID if fault in _FAULTS_AFTER_SENDING else fault
    return publish_error(fault, RULES, topic, code=name)


_FAULTS_AFTER_SENDING: Final = frozenset({PublishFault.LOST, PublishFault.TIMEOUT})
