"""The first positions of a consumer group that reads only records published after it began.

Laws:

1. A partition that existed when the group began starts at its end. That position is committed, so
   records that arrive while all members are away are read when one of them returns.
2. A partition that was made later starts at its beginning. So does every partition of a topic that
   a pattern finds later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_INVALID, KafkaException, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moorage.domain.pipelines.records import Partition


class LatestStarts:
    """Finds the partitions that a group reads from their end, without earlier records.

    Its methods raise librdkafka's exceptions.

    Args:
        consumer: librdkafka's consumer.
        topics: names of topics, or patterns that begin with "^".
        patience: the seconds for which the cluster may be silent.
    """

    def __init__(self, consumer: Any, topics: Sequence[str], patience: float) -> None:
        self._consumer = consumer
        self._names = {topic for topic in topics if not topic.startswith("^")}
        self._has_patterns = len(self._names) < len(topics)
        self._patience = patience
        self._at_end: set[Partition] = set()
        self._uncommitted: dict[Partition, int] = {}

    def find_unread_partitions(self) -> None:
        """Find the existing partitions of topics from which the group has never read."""
        topics: dict[str, Any] = {}
        for name in (None,) if self._has_patterns else sorted(self._names):
            arguments = () if name is None else (name,)
            topics |= self._consumer.list_topics(*arguments, timeout=self._patience).topics
        partitions = [
            (topic, number) for topic, metadata in topics.items() for number in metadata.partitions
        ]
        begun_topics = {topic for topic, _ in self._committed(partitions)}
        self._at_end = {
            (topic, number)
            for topic, number in partitions
            if topic not in begun_topics and (topic in self._names or not begun_topics)
        }

    def first_positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first positions of the assigned partitions that are read from their end."""
        candidates = [partition for partition in partitions if partition in self._at_end]
        committed_partitions = self._committed(candidates)
        first_positions = {
            partition: self._consumer.get_watermark_offsets(
                position_at(partition), timeout=self._patience, cached=False
            )[1]
            for partition in candidates
            if partition not in committed_partitions
        }
        self._uncommitted |= first_positions
        return first_positions

    def commit(self, done: Iterable[Partition] = ()) -> None:
        """Commit the first positions of partitions, unless a later position is already committed.

        Args:
            done: partitions of which records are processed, or which the member does not have.
        """
        for partition in done:
            self._uncommitted.pop(partition, None)
        if not self._uncommitted:
            return
        # A transaction may have committed a later position.
        committed_partitions = self._committed([*self._uncommitted])
        positions = [
            position_at(partition, end)
            for partition, end in self._uncommitted.items()
            if partition not in committed_partitions
        ]
        if positions:
            self._consumer.commit(offsets=positions, asynchronous=False)
        self._uncommitted.clear()

    def _committed(self, partitions: Sequence[Partition]) -> set[Partition]:
        """Return the partitions for which the group has committed a position."""
        return (
            {*committed_positions(self._consumer, partitions, self._patience)}
            if partitions
            else set()
        )


def committed_positions(
    consumer: Any, partitions: Iterable[Partition], timeout: float
) -> dict[Partition, int]:
    """Return the positions that a consumer group has committed, by partition.

    A partition of which it has committed none is left out.

    Raises:
        KafkaException: the cluster does not state the position of one of the partitions.
    """
    items = consumer.committed([*map(position_at, partitions)], timeout=timeout)
    for item in items:
        if item.error is not None:
            raise KafkaException(item.error)
    return {(item.topic, item.partition): item.offset for item in items if item.offset >= 0}


def position_at(partition: Partition, offset: int = OFFSET_INVALID) -> Any:
    """Return a partition with an offset as an object of librdkafka."""
    topic, number = partition
    return TopicPartition(topic, int(number or 0), offset)
