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
    """Finds the partitions of a group that start at their end.

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

    def look(self) -> None:
        """Find the partitions that exist before this member joins, and have never been read."""
        topics: dict[str, Any] = {}
        for name in (None,) if self._has_patterns else sorted(self._names):
            arguments = () if name is None else (name,)
            topics |= self._consumer.list_topics(*arguments, timeout=self._patience).topics
        places = [
            (topic, number) for topic, metadata in topics.items() for number in metadata.partitions
        ]
        begun_topics = {topic for topic, _ in self._committed(places)}
        self._at_end = {
            (topic, number)
            for topic, number in places
            if topic not in begun_topics and (topic in self._names or not begun_topics)
        }

    def ends(self, places: Iterable[Partition]) -> dict[Partition, int]:
        """Return the positions of those assigned partitions that start at their end."""
        candidates = [place for place in places if place in self._at_end]
        committed_places = self._committed(candidates)
        ends = {
            place: self._consumer.get_watermark_offsets(
                position_at(place), timeout=self._patience, cached=False
            )[1]
            for place in candidates
            if place not in committed_places
        }
        self._uncommitted |= ends
        return ends

    def commit(self, done: Iterable[Partition] = ()) -> None:
        """Commit the first positions of partitions, except of those with a later committed one.

        Args:
            done: partitions of which records are processed, or which the member does not have.
        """
        for place in done:
            self._uncommitted.pop(place, None)
        if not self._uncommitted:
            return
        # A transaction may have committed a later position.
        committed_places = self._committed([*self._uncommitted])
        positions = [
            position_at(place, end)
            for place, end in self._uncommitted.items()
            if place not in committed_places
        ]
        if positions:
            self._consumer.commit(offsets=positions, asynchronous=False)
        self._uncommitted.clear()

    def _committed(self, places: Sequence[Partition]) -> set[Partition]:
        """Return the partitions for which the group has committed a position."""
        return {*committed_positions(self._consumer, places, self._patience)} if places else set()


def committed_positions(
    consumer: Any, places: Iterable[Partition], timeout: float
) -> dict[Partition, int]:
    """Return the positions that a consumer group has committed, by partition.

    A partition of which it has committed none is left out.

    Raises:
        KafkaException: the cluster does not state the position of one of the partitions.
    """
    items = consumer.committed([*map(position_at, places)], timeout=timeout)
    for item in items:
        if item.error is not None:
            raise KafkaException(item.error)
    return {(item.topic, item.partition): item.offset for item in items if item.offset >= 0}


def position_at(place: Partition, offset: int = OFFSET_INVALID) -> Any:
    """Return a partition with an offset, as librdkafka takes it."""
    topic, number = place
    return TopicPartition(topic, int(number or 0), offset)
