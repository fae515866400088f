"""A Kafka consumer that runs in a thread, for a source.

The methods of a librdkafka consumer block each other, even while one of them waits for a message or
a rebalance. So one thread calls all of them.

Laws:

1. A record is in the buffer of the reader only while its partition is held.
2. A partition is given back only after `revoked` returned, and its position may be stored until
   `revoked` returns. No position of a lost partition is committed.
3. Only positions that were passed to `store` are committed. librdkafka commits them immediately
   when a partition is revoked, and several times a second otherwise. The reader commits them
   earlier if many records wait for that, and before it leaves the group.
4. A read returns at most its limit minus the number of records that wait for a commit.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Message

from moorage.adapters.messages._kafka_cluster import (
    ALL_DOWN,
    KNOWN_TOPIC,
    SILENT,
    STEP,
    ClusterWatch,
    options_error,
)
from moorage.adapters.messages._kafka_records import place_of, records_of
from moorage.adapters.messages._kafka_starts import LatestStarts, position_at
from moorage.domain.messages.kafka import is_final, partition_lag, reading_error
from moorage.domain.messages.kafka_commits import UncommittedPositions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.domain.pipelines.records import Partition, RecordBatch
    from moorage.errors import ConnectorError

COOPERATIVE: Final = "cooperative-sticky"

_COMMIT_STEP: Final = 0.000_25
"""Seconds of one wait for the acknowledgement of a commit; its arrival does not end the wait."""

_UNPAUSED_STEPS: Final = 200
"""Waits for a commit before partitions are paused, which discards messages that were fetched."""

_LEAVING_SECONDS: Final = 0.25
"""Seconds in which a member that leaves its group tries to commit."""

_LEAVING_STEP: Final = 0.01
"""Seconds between two attempts of a leaving member to commit."""

_JOINING_SECONDS: Final = 1.0
"""Seconds for which a member that leaves while it joins its group waits for its member id."""

_PARTS: Final = 4
"""A commit is due when the uncommitted records are one fourth of the limit of a read."""

_ERROR: Final = Message.error

_HARMLESS_ERRORS: Final = frozenset({"_MAX_POLL_EXCEEDED", "_PARTITION_EOF"})
"""Names of errors after which a consumer continues, if necessary by joining its group again."""


class KafkaReader:
    """A Kafka consumer over librdkafka.

    Its methods block and belong to one thread, except `store` and `stop`, which do not.

    Attributes:
        is_stopped: whether its waits have been ended.
        is_cut_off: whether the last read failed only because the whole cluster was unreachable.
        lag: the number of uncommitted records in its partitions, as last measured; None if not
            known.
        known: the partitions that it has or had.
        membership: the reader's membership of the group when it last had partitions; None if it
            never had any.

    Args:
        options: the configuration of librdkafka.
        topics: names of topics, or patterns that begin with "^".
        patience: the seconds for which a cluster may be unreachable.
        revoked: is called with partitions before they are given back, or after they were lost.
        taken: is called with newly assigned partitions.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        topics: Sequence[str],
        patience: float,
        revoked: Callable[[list[Partition]], None],
        taken: Callable[[list[Partition]], None],
    ) -> None:
        self.is_stopped = self.is_cut_off = False
        self.lag: int | None = None
        self.known: frozenset[Partition] = frozenset()
        self.membership: Any = None
        self._topics = list(topics)
        self._patience = patience
        self._revoked = revoked
        self._taken = taken
        self._is_static = "group.instance.id" in options
        self._is_committing_itself = options["enable.auto.commit"]
        self._is_cooperative = options["partition.assignment.strategy"] == COOPERATIVE
        self._buffer: list[Any] = []
        self._held: set[Partition] = set()
        self._positions: dict[Partition, int] = {}
        self._done: SimpleQueue[Mapping[Partition, int]] = SimpleQueue()
        self._failure: ConnectorError | None = None
        self._uncommitted: UncommittedPositions[Partition] = UncommittedPositions()
        self._limit = self._room = 1
        self._is_down = self._is_paused = self._is_subscribed = False
        self._cluster = ClusterWatch(lambda: self._poll(0.0), lambda: not self.is_stopped)
        try:
            self._consumer: Any = Consumer(
                {
                    **options,
                    "auto.offset.reset": "earliest",
                    "error_cb": self._note_error,
                    "on_commit": self._note_commit,
                    "stats_cb": self._measure,
                },
                logger=SILENT,
            )
        except KafkaException:
            pass
        else:
            is_latest = options["auto.offset.reset"] == "latest"
            self._starts = LatestStarts(self._consumer, topics, patience) if is_latest else None
            return
        raise options_error()

    def join(self) -> None:
        """Join the consumer group, after checking that all topics exist."""
        until = monotonic() + self._patience
        self._cluster.metadata(self._consumer, KNOWN_TOPIC, until)
        for topic in self._topics:
            if not topic.startswith("^"):
                error = self._cluster.metadata(self._consumer, topic, until).topics[topic].error
                if error is not None:
                    raise reading_error(error.name(), topic)
        if self._starts is not None:
            _attempt(self._starts.find_unread_partitions)
        _attempt(
            partial(
                self._consumer.subscribe,
                self._topics,
                on_assign=self._on_assigned,
                on_revoke=self._on_revoked,
                on_lost=self._on_lost,
            )
        )
        self._is_subscribed = True

    def read(self, count: int, limit: int, wait: float) -> None:
        """Wait at most `wait` seconds for records, which `take` then returns.

        Args:
            count: the largest number of records to read.
            limit: the largest number of records read here plus records that wait for a commit.
            wait: the seconds.
        """
        self._limit = limit
        self._note_membership()
        until = monotonic() + wait
        wait_count = 0
        while not self.is_stopped:
            seconds_left = max(0.0, until - monotonic())
            self._store_done()
            self._room = room = min(count, limit - self._uncommitted.records)
            if room < 1:
                wait_count += 1
                self._wait_for_commit(wait_count)
            else:
                self._resume()
                has_some = bool(self._buffer) or self._poll(min(seconds_left, STEP))
                if has_some and room > len(self._buffer):
                    # These messages wait in memory; a rebalance in between removes the ones that it
                    # makes invalid.
                    self._add(self._consumer.consume(room - len(self._buffer), timeout=0))
            self._raise_failure()
            if not seconds_left or (self._buffer and room > 0):
                break

    def take(self) -> RecordBatch:
        """Remove and return records that were read, up to the source's limit."""
        room = max(0, self._room)
        messages, self._buffer = self._buffer[:room], self._buffer[room:]
        return records_of(messages, is_one_topic=len({topic for topic, _ in self._held}) == 1)

    def _wait_for_commit(self, waits: int) -> None:
        """Wait briefly for the response to a commit; buffer a message that arrives meanwhile."""
        if waits > _UNPAUSED_STEPS:
            self._pause()
        if self._poll(_COMMIT_STEP):
            sleep(_COMMIT_STEP)

    def serve(self) -> None:
        """Stay in the consumer group without reading, while the pipeline's buffer is full."""
        self._pause()
        self._poll(0.0)
        self._note_membership()

    def _note_membership(self) -> None:
        """Record the group's generation; it can change while the partitions stay the same."""
        if self._held and not self._is_committing_itself:
            self.membership = self._consumer.consumer_group_metadata()

    def _pause(self) -> None:
        self._consumer.pause(self._consumer.assignment())
        self._is_paused = True

    def _resume(self) -> None:
        if self._is_paused:
            self._consumer.resume(self._consumer.assignment())
            self._is_paused = False

    def _poll(self, seconds: float) -> bool:
        """Wait for a message from Kafka; return False if none arrived in time."""
        self._store_done()
        message = self._consumer.poll(seconds)
        if message is None:
            return False
        self._add((message,))
        return True

    def _add(self, messages: Sequence[Any]) -> None:
        if not any(map(_ERROR, messages)):
            self._buffer += messages
            return
        for message in messages:
            error = message.error()
            if error is None:
                self._buffer.append(message)
            elif error.name() not in _HARMLESS_ERRORS:
                self._failure = reading_error(error.name(), message.topic())

    def _note_error(self, error: Any) -> None:
        """Record an error that the consumer reports."""
        self._cluster.note(error)
        if error.name() == ALL_DOWN:
            self._is_down = True

    def _raise_failure(self) -> None:
        """Raise a recorded failure, unless earlier records are still in the buffer."""
        if self._buffer and self._room > 0:
            return
        if self._failure is not None:
            raise self._failure
        if self._is_down:
            self.reach()

    def reach(self) -> None:
        """Wait until the cluster responds, for a limited time; the consumer then goes on reading.

        Raises:
            ConnectorError: the cluster cannot be reached.
        """
        self._is_down, self.is_cut_off = False, True
        self._cluster.metadata(self._consumer, KNOWN_TOPIC, monotonic() + self._patience)
        self.is_cut_off = False

    def _on_assigned(self, consumer: Any, partitions: Sequence[Any]) -> None:
        places = [_partition_of(item) for item in partitions]
        self._held.update(places)
        self.known = self.known | self._held
        self._taken(places)
        self._note_membership()
        if self._starts is not None and not self.is_stopped:
            unread = [place for place in places if place not in self._positions]
            _attempt(partial(self._choose_starts, self._starts, unread))
        moved_partitions = [item for item in partitions if _partition_of(item) in self._positions]
        for item in moved_partitions:
            item.offset = self._positions.pop(_partition_of(item))
        # librdkafka keeps a partition paused even after another member has owned it.
        consumer.resume(partitions)
        if moved_partitions:
            assign = consumer.incremental_assign if self._is_cooperative else consumer.assign
            assign(partitions)

    def _choose_starts(self, starts: LatestStarts, places: list[Partition]) -> None:
        self._positions |= starts.first_positions(places)

    def _commit_starts(self, done: Iterable[Partition] = ()) -> None:
        """Commit the positions at which partitions start; a failed commit is tried again."""
        if self._starts is not None:
            with suppress(KafkaException):
                self._starts.commit(done)

    def _on_revoked(self, _: Any, partitions: Sequence[Any]) -> None:
        places = [_partition_of(item) for item in partitions]
        self._commit_starts()
        self._forget(places)
        self._report_revoked(places)
        if not self.is_stopped and self._is_committing_itself:
            self._store_done()
            # With no position to commit, this raises; another error only means that records repeat.
            with suppress(KafkaException):
                self._consumer.commit(asynchronous=False)
        self._held.difference_update(places)
        self._uncommitted.forget(places)

    def _on_lost(self, _: Any, partitions: Sequence[Any]) -> None:
        places = [_partition_of(item) for item in partitions]
        self._commit_starts(done=places)
        self._held.difference_update(places)
        self._uncommitted.forget(places)
        self._forget(places)
        self._report_revoked(places)

    def _report_revoked(self, places: list[Partition]) -> None:
        if not self.is_stopped:
            self._revoked(places)

    def _forget(self, places: Iterable[Partition]) -> None:
        revoked_places = frozenset(places)
        self._buffer = [
            message for message in self._buffer if place_of(message) not in revoked_places
        ]

    def store(self, positions: Mapping[Partition, int]) -> None:
        """Queue the positions of assigned partitions for the next commit, without waiting."""
        self._done.put(positions)

    def _store_done(self) -> None:
        """Pass queued positions to librdkafka; only the consumer's thread may do this."""
        positions: dict[Partition, int] = {}
        while not self._done.empty():
            positions |= self._done.get()
        done = {place: position for place, position in positions.items() if place in self._held}
        self._commit_starts(done)
        if done:
            self._uncommitted.add(done)
            # A partition that is lost at this moment accepts no position any more.
            with suppress(KafkaException):
                self._consumer.store_offsets(offsets=_positions(done))
        self._commit_due()

    def _commit_due(self) -> None:
        """If many records are uncommitted, start a commit without waiting for its response."""
        due_positions = self._uncommitted.take_due(self._limit // _PARTS)
        if due_positions:
            self._consumer.commit(offsets=_positions(due_positions), asynchronous=True)

    def _note_commit(self, error: Any, partitions: Sequence[Any]) -> None:
        """Record the committed positions, or a final failure; temporary failures are retried."""
        if error is None:
            committed_partitions = [
                item for item in partitions if item.error is None and item.offset >= 0
            ]
            self._uncommitted.acknowledge(
                {_partition_of(item): item.offset for item in committed_partitions}
            )
            return
        self._uncommitted.fail()
        if is_final(error.name()):
            self._failure = reading_error(error.name())

    def _measure(self, statistics: str) -> None:
        """Read the number of uncommitted records from librdkafka's statistics."""
        topics: dict[str, Any] = json.loads(statistics)["topics"]
        lags = [
            partition_lag(partition)
            for topic, fields in topics.items()
            for partition in fields["partitions"].values()
            if (topic, partition["partition"]) in self._held
        ]
        known_lags = [lag for lag in lags if lag is not None]
        is_known = lags and len(known_lags) == len(lags)
        self.lag = sum(known_lags) if is_known else None

    def seek(self, place: Partition, position: int) -> None:
        """Continue reading a partition at a position, now or once it is assigned."""
        self._forget([place])
        self._uncommitted.forget([place])
        if place not in self._held:
            self._positions[place] = position
            return
        _attempt(partial(self._consumer.seek, position_at(place, position)))

    def stop(self) -> None:
        """End all waits of the reader; any thread may call this."""
        self.is_stopped = True

    def close(self) -> None:
        """Commit the stored positions, and leave the consumer group."""
        self.stop()
        self._store_done()
        if self._is_subscribed and not self._is_static:
            self._wait_for_member_id()
        if self._is_committing_itself:
            self._commit_before_leaving()
        self._consumer.close()

    def _wait_for_member_id(self) -> None:
        """Wait a limited time for the response to the first request to join the group.

        Until then the member does not know its id, without which librdkafka cannot leave the group.
        The group would wait for the closed member until its session ends.
        """
        until = monotonic() + _JOINING_SECONDS
        while not (self._is_down or self._consumer.memberid()) and monotonic() < until:
            self._poll(_LEAVING_STEP)

    def _commit_before_leaving(self) -> None:
        """Retry the last commit for a limited time, since a cluster refuses commits in a rebalance.

        If the group has a new generation, a member must join it before it may commit; a leaving
        member does not join.
        """
        until = monotonic() + _LEAVING_SECONDS
        self._limit = 1
        while self._uncommitted.records and monotonic() < until:
            self._pause()
            self._poll(_LEAVING_STEP)


def _attempt(step: Callable[[], object]) -> None:
    """Run a function, and convert its librdkafka exceptions to errors of moorage."""
    try:
        step()
    except KafkaException as error:
        failure = reading_error(error.args[0].name())
    else:
        return
    raise failure


def _partition_of(item: Any) -> Partition:
    return item.topic, item.partition


def _positions(positions: Mapping[Partition, int]) -> list[Any]:
    return [position_at(place, position) for place, position in positions.items()]
