"""Records of Kafka messages, in runs of one partition each."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from moorage.domain.messages.kafka import record_columns
from moorage.domain.pipelines.records import RecordBatch, RecordRun, checked_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.pipelines.records import Partition


def records_of(messages: Sequence[Any], *, is_one_topic: bool = False) -> RecordBatch:
    """Return the records of messages.

    Args:
        messages: messages of the Kafka client without an error.
        is_one_topic: whether all messages are known to be of one topic.
    """
    places: list[object] = [
        message.partition() if is_one_topic else place_of(message) for message in messages
    ]
    cuts = [n for n, (before, place) in enumerate(pairwise(places), 1) if before != place]
    bounds = [0, *cuts, len(messages)] if messages else []
    return RecordBatch([_run(messages[begin:end]) for begin, end in pairwise(bounds)])


def place_of(message: Any) -> Partition:
    """Return the topic and the partition of a message."""
    return message.topic(), message.partition()


def _run(messages: Sequence[Any]) -> RecordRun:
    """Return the records of messages of one partition."""
    place = topic, partition = place_of(messages[0])
    count = len(messages)
    records = checked_records(
        **record_columns(
            [message.value() for message in messages],
            [message.key() for message in messages],
            [_headers(message) for message in messages],
        ),
        topic=[topic] * count,
        partition=[partition] * count,
        offset=[message.offset() for message in messages],
        published_at=[_time(*message.timestamp()) for message in messages],
    )
    return RecordRun(place, records, [len(record.payload) for record in records])


def _headers(message: Any) -> Sequence[tuple[str, bytes | None]]:
    """Return the headers of a message; none if the name of one is not UTF-8."""
    try:
        return message.headers() or ()
    except UnicodeDecodeError:
        return ()


# Messages that were published together share a millisecond.
@lru_cache(maxsize=256)
def _time(kind: int, milliseconds: int) -> datetime | None:
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
