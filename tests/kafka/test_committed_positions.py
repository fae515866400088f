"""The committed positions of a Kafka consumer group."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

pytest.importorskip("confluent_kafka")
from confluent_kafka import KafkaError, KafkaException

from moorage.adapters.messages._kafka_starts import LatestStarts, committed_positions


@attrs.frozen
class Answer:
    """The cluster's answer about one partition; a test cannot create librdkafka's own class."""

    topic: str
    partition: int
    offset: int
    error: KafkaError | None = None


@attrs.frozen
class Group:
    """A consumer whose cluster returns the given answers about its group's positions."""

    answers: list[Answer]

    def committed(self, places: list[Any], timeout: float) -> list[Answer]:
        """Return the answers about the partitions of the request."""
        assert timeout == 5
        requested = {(place.topic, place.partition) for place in places}
        return [answer for answer in self.answers if (answer.topic, answer.partition) in requested]

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return the partitions of the topic."""
        assert (topic, timeout) == ("orders", 5)
        numbers = {answer.partition: None for answer in self.answers}
        return Topics({"orders": Topic(numbers)})


@attrs.frozen
class Topic:
    """The description of a topic."""

    partitions: dict[int, None]


@attrs.frozen
class Topics:
    """The descriptions of topics."""

    topics: dict[str, Topic]


def test_partitions_without_a_position_are_left_out() -> None:
    """Partitions for which the group has committed no position are left out."""
    group = Group([Answer("orders", 0, 7), Answer("orders", 1, -1001)])
    assert {("orders", 0): 7} == committed_positions(group, [("orders", 0), ("orders", 1)], 5)


def test_unknown_position_is_not_the_beginning() -> None:
    """If the cluster reports an error for one partition, no position is assumed for it.

    A position that counts as missing would publish its records again, or skip them.
    """
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    group = Group([Answer("orders", 0, 7), Answer("orders", 1, -1001, error)])
    with pytest.raises(KafkaException) as excinfo:
        committed_positions(group, [("orders", 0), ("orders", 1)], 5)
    assert excinfo.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(KafkaException):
        LatestStarts(group, ["orders"], 5).find_unread_partitions()
