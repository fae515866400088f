"""Conversion of Kafka messages to records, and their division by partition."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, Message

from moorage import SinkRecord
from moorage.adapters.messages._kafka_records import records_of


class StoredMessage(Message):
    """A fake message of the Kafka client."""

    def __init__(
        self,
        topic: str = "orders",
        partition: int = 3,
        offset: int = 3,
        timestamp: tuple[int, int] = (TIMESTAMP_NOT_AVAILABLE, 0),
    ) -> None:
        super().__init__(
            topic=topic,
            partition=partition,
            offset=offset,
            key=b"1",
            value=b"1",
            headers=[("trace", b"7")],
            timestamp=timestamp,
        )


class UnreadableMessage(StoredMessage):
    """A fake message whose headers the Kafka client cannot decode."""

    def headers(self) -> Any:
        """Raise the error that the Kafka client raises."""
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def test_message_is_read_without_unreadable_headers() -> None:
    """A message whose headers are not text is read without them."""
    (record,) = records_of([UnreadableMessage()])
    assert ((), None, b"1", "orders/3/3") == (
        record.attributes,
        record.published_at,
        record.key,
        record.identity,
    )


def test_time_that_python_does_not_have_is_left_out() -> None:
    """A timestamp outside the range of Python's dates is left out, and its batch is still read."""
    times = [1_700_000_000_000, 1_700_000_000_000_000_000, 2**63 - 1]
    messages = [StoredMessage(timestamp=(TIMESTAMP_CREATE_TIME, time)) for time in times]
    expected = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert [expected, None, None] == [record.published_at for record in records_of(messages)]


def test_record_has_the_fields_of_its_message() -> None:
    """A record of the Kafka source equals one that a program makes from the same fields."""
    (record,) = records_of([StoredMessage()])
    assert record == SinkRecord(
        b"1", key=b"1", attributes=[("trace", b"7")], offset=3, topic="orders", partition=3
    )


@pytest.mark.parametrize("is_one_topic", [True, False])
def test_batch_is_split_where_the_partition_changes(is_one_topic: bool) -> None:
    """A batch is split where the partition changes; an empty batch has no parts."""
    messages = [StoredMessage(partition=number, offset=n) for n, number in enumerate([1, 1, 2, 1])]
    batch = records_of(messages, is_one_topic=is_one_topic)
    assert [(("orders", 1), [1, 1]), (("orders", 2), [1]), (("orders", 1), [1])] == [
        (run.place, run.sizes) for run in batch.runs
    ]
    assert [0, 1, 2, 3] == [record.offset for record in batch]
    assert [] == list(records_of([], is_one_topic=is_one_topic))


def test_partitions_of_two_topics_with_the_same_number_are_separate() -> None:
    """Partitions with the same number in two topics are handled separately."""
    batch = records_of([StoredMessage("orders"), StoredMessage("parcels")])
    assert [("orders", 3), ("parcels", 3)] == [run.place for run in batch.runs]
