"""Records of Kafka messages, grouped in runs of one partition."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from moorage.domain.messages.kafka import record_columns
from moorage.domain.pipelines.records import LazyRecords, RecordBatch, RecordRun, checked_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moorage.domain.pipelines.records import Partition, SinkRecord

_PARTITION: Final = Message.partition


def records_of(messages: Sequence[Any], *, is_one_topic: bool = False) -> RecordBatch:
    """Return the records of messages; they are created at the first access.

    Args:
        messages: messages of the Kafka client without an error.
        is_one_topic: whether all messages are known to be of one topic.
    """
    partitions: Iterable[object] = map(_PARTITION if is_one_topic else place_of, messages)
    sizes = list(map(len, messages))
    runs: list[RecordRun] = []
    start = 0
    for _, run in groupby(partitions):
        end = start + len(list(run))
        records = LazyRecords(messages[start:end], _records)
        runs.append(RecordRun(place_of(messages[start]), records, sizes[start:end]))
        start = end
    return RecordBatch(runs)


def place_of(message: Any) -> Partition:
    """Return the topic and partition of a message."""
    return message.topic(), message.partition()


def _records(messages: Sequence[Any]) -> list[SinkRecord]:
    """Return the records of messages; reads a field of all messages before the next field."""
    return checked_records(
        **record_columns(
            [message.value() for message in messages],
            [message.key() for message in messages],
            [_headers(message) for message in messages],
        ),
        topic=[message.topic() for message in messages],
        partition=[message.partition() for message in messages],
        offset=[message.offset() for message in messages],
        published_at=[_time(*message.timestamp()) for message in messages],
    )


def _headers(message: Any) -> Sequence[tuple[str, bytes | None]]:
    """Return the headers of a message; empty if the name of one is not UTF-8."""
    try:
        return message.headers() or ()
    except UnicodeDecodeError:
        return ()


# Messages that were published together share a millisecond.
@lru_cache(maxsize=256)
def _time(kind: int, milliseconds: int) -> datetime | None:
    """Return the time of a message; None if it has none, or none that Python can represent."""
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
