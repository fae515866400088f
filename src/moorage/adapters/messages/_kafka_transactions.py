"""Kafka transactions, which publish messages and move a consumer group's positions together.

Laws:

1. Messages and positions of one transaction become visible together, or not at all.
2. A transaction uses the membership with which its records were read. The cluster refuses the
   transaction if the group has rebalanced since.
3. After a commit whose answer was lost, nothing is published until the group's positions were read
   from the cluster.
4. Its methods block and belong to one thread, except `forget` and `stop`.
"""

from __future__ import annotations

from functools import partial
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Producer

from moorage.adapters.messages._kafka_cluster import (
    KNOWN_TOPIC,
    SILENT,
    STEP,
    ClusterWatch,
    options_error,
)
from moorage.adapters.messages._kafka_starts import committed_positions, position_at
from moorage.domain.messages.kafka import headers_to_send, value_to_send
from moorage.domain.messages.kafka_transactions import (
    open_messages,
    open_positions,
    transaction_error,
    unknown_outcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.domain.messages.kafka_transactions import SourcedMessage
    from moorage.domain.messages.message import OutgoingMessage
    from moorage.domain.pipelines.records import Partition
    from moorage.errors import ConnectorError

_PAUSE: Final = 0.01
"""Seconds between two calls of a step that is to be repeated."""


class _Failed(Exception):
    """Raised inside a Kafka transaction when it can no longer be committed.

    Attributes:
        name: the code of the failure.
        topic: the topic of the message that failed, if a message failed.
        is_abortable: whether the transaction is certainly not committed, and must be aborted.
    """

    def __init__(self, name: str, topic: str | None = None, *, is_abortable: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.topic = topic
        self.is_abortable = is_abortable


class KafkaTransactions:
    """The Kafka transactions of one worker; a new worker with the same id ends them.

    Args:
        options: the configuration of a producer of librdkafka, with `transactional.id`.
        reading: the configuration of a consumer, with the group whose positions move.
        patience: the seconds for which the cluster may be unreachable when the transactions begin.
        longest: the time limit of a transaction in seconds.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        reading: Mapping[str, Any],
        *,
        patience: float,
        longest: float,
    ) -> None:
        self._options = options
        self._reading = reading
        self._patience = patience
        self._longest = longest
        self._is_stopped = False
        self._producer: Any = None
        self._cluster = ClusterWatch(lambda: self._producer.poll(0), lambda: not self._is_stopped)
        self._topics: set[str] = set()
        self._committed: dict[Partition, int] = {}
        self._doubtful: set[Partition] = set()
        self._failed: list[_Failed] = []

    def begin(self) -> None:
        """Abort an earlier worker's transaction with the same id; repeated calls do nothing.

        Raises:
            ConnectorError: the cluster cannot be reached, or refuses transactions.
        """
        if self._producer is not None:
            return
        until = monotonic() + self._patience
        self._producer = self._new_producer()
        error = None
        try:
            self._cluster.metadata(self._producer, KNOWN_TOPIC, until)
            self._step(self._producer.init_transactions, until)
            if self._doubtful:
                self._committed.update(self._stored_positions(until))
                self._doubtful.clear()
        except _Failed as failure:
            self._discard()
            error = transaction_error(failure.name)
        except BaseException:
            self._discard()
            raise
        if error is not None:
            raise error

    def _new_producer(self) -> Any:
        try:
            return Producer({**self._options, "error_cb": self._cluster.note}, logger=SILENT)
        except KafkaException:
            pass
        raise options_error()

    def publish_and_commit(
        self,
        messages: Sequence[SourcedMessage[Partition]],
        positions: Mapping[Partition, int],
        membership: Any,
    ) -> None:
        """Publish messages and move positions in one transaction; skip records already committed.

        Args:
            messages: the messages.
            positions: the positions of partitions, before which all records are done.
            membership: the membership of the consumer when it read the records.

        Raises:
            ConnectorError: the transaction was aborted, or its outcome is unknown.
        """
        self.begin()
        new_positions = open_positions(positions, self._committed)
        if not new_positions:
            return
        items = open_messages(messages, self._committed)
        until = monotonic() + self._longest
        self._check_topics({item.topic for item in items}, until)
        error = None
        try:
            self._publish(items, until)
            self._step(
                partial(
                    self._producer.send_offsets_to_transaction, _offsets(new_positions), membership
                ),
                until,
            )
        except _Failed as failure:
            self._abort()
            error = self._error(failure)
        error = error or self._commit(new_positions, until)
        if error is not None:
            raise error
        self._committed.update(new_positions)

    def _check_topics(self, topics: set[str], until: float) -> None:
        """Refuse unknown topics before a transaction begins."""
        for topic in topics - self._topics:
            error = self._cluster.metadata(self._producer, topic, until).topics[topic].error
            if error is not None:
                raise transaction_error(error.name(), topic)
            self._topics.add(topic)

    def _publish(self, items: Sequence[OutgoingMessage], until: float) -> None:
        """Begin a transaction, and pass its messages to librdkafka."""
        self._failed = []
        self._step(lambda _: self._producer.begin_transaction(), until)
        for item in items:
            self._hand_over(item, until)
            self._producer.poll(0)

    def _hand_over(self, item: OutgoingMessage, until: float) -> None:
        """Pass a message to librdkafka, waiting until its queue has room."""
        message = item.message
        while True:
            try:
                self._producer.produce(
                    item.topic,
                    value=value_to_send(message),
                    key=message.key,
                    headers=headers_to_send(message),
                    on_delivery=self._report,
                )
            except BufferError:
                if self._is_over(until):
                    raise _Failed("_QUEUE_FULL") from None
                self._producer.poll(STEP)
            except KafkaException as error:
                raise _Failed(error.args[0].name(), item.topic) from None
            else:
                return

    def _report(self, error: Any, message: Any) -> None:
        """Record the failure of a message, unless an abort has caused it."""
        if error is not None and not error.name().startswith("_PURGE"):
            self._failed.append(_Failed(error.name(), message.topic()))

    def _commit(self, positions: Mapping[Partition, int], until: float) -> ConnectorError | None:
        """Commit the transaction; return the error if it must be aborted instead."""
        try:
            self._step(self._producer.commit_transaction, until)
        except _Failed as failure:
            if failure.is_abortable:
                self._abort()
                return self._error(failure)
            # A commit that was requested may have taken effect.
            self._doubtful.update(positions)
            self._discard()
            error = self._error(failure)
            return unknown_outcome() if error.retryable else error
        return None

    def _error(self, failure: _Failed) -> ConnectorError:
        """Return the error of a failed transaction; if a message failed, return its error."""
        if self._is_stopped:
            return unknown_outcome()
        cause = next(iter(self._failed), failure)
        return transaction_error(cause.name, cause.topic)

    def _abort(self) -> None:
        """Abort the transaction; if that fails, the next producer with this id aborts it."""
        try:
            self._step(self._producer.abort_transaction, monotonic() + self._patience)
        except _Failed:
            self._discard()

    def _step(self, call: Callable[[float], object], until: float) -> None:
        """Run a step of a transaction in several short calls; librdkafka can resume the step."""
        while True:
            try:
                call(STEP)
            except KafkaException as error:
                code = error.args[0]
                if not code.retriable() or self._is_over(until):
                    raise _Failed(code.name(), is_abortable=code.txn_requires_abort()) from None
                sleep(_PAUSE)
            else:
                return

    def _is_over(self, until: float) -> bool:
        return self._is_stopped or monotonic() > until

    def _stored_positions(self, until: float) -> dict[Partition, int]:
        """Read the group's positions from the cluster if the outcome of a commit is unknown."""
        consumer = Consumer(dict(self._reading), logger=SILENT)
        try:
            seconds_left = max(STEP, until - monotonic())
            stored_positions = committed_positions(consumer, self._doubtful, seconds_left)
        except KafkaException as error:
            raise _Failed(error.args[0].name()) from None
        finally:
            consumer.close()
        return dict.fromkeys(self._doubtful, 0) | stored_positions

    def forget(self, places: Iterable[Partition]) -> None:
        """Forget the committed positions of partitions that are now read from another position."""
        for place in places:
            self._committed.pop(place, None)

    def stop(self) -> None:
        """End all waits for transactions; any thread may call this."""
        self._is_stopped = True

    def close(self) -> None:
        """Give up an open transaction, and close the producer without waiting."""
        self.stop()
        self._discard()

    def _discard(self) -> None:
        """Close the producer in a separate thread, since this may take a second."""
        producer, self._producer = self._producer, None
        if producer is not None:
            last_reference = [producer]
            del producer
            thread = Thread(
                target=_end, args=(last_reference,), name="moorage-kafka-close", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                # The system has no more threads, or the interpreter is ending.
                _end(last_reference)


def _end(last_reference: list[Any]) -> None:
    """Drop the last reference to a producer, because closing it would wait for its transaction."""
    last_reference.pop().purge()


def _offsets(positions: Mapping[Partition, int]) -> list[Any]:
    return [position_at(place, position) for place, position in positions.items()]
