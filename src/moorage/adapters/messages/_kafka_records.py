"""Records of Kafka messages, whose fields are read when the first of them is needed.

Each field of a librdkafka message costs a call. A record that is only counted and committed, as by
a transform that leaves it out or a sink that passes it on, needs none of them but its position.

Laws:

1. Nobody can tell such a record from another `SinkRecord`, except by its type before the first use.
2. Its position is read without its other fields.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from moorage.domain.messages.kafka import record_fields
from moorage.domain.pipelines.records import RecordBatch, RecordRun, SinkRecord, SourceRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.pipelines.records import Partition

_READING: Final = Lock()
"""Held while the fields of a record are set, so that no other thread sees some of them only."""

_message_of: Final[Callable[[SinkRecord], Any]] = SourceRecord.__dict__["payload"].__get__
"""Return the message of an unread record, which is kept in the place of the payload."""

_POSITION: Final[dict[str, Callable[[Any], object]]] = {
    "offset": lambda message: message.offset(),
    "partition": lambda message: message.partition(),
    "place": lambda message: place_of(message),  # noqa: PLW0108 - it is defined below
    "topic": lambda message: message.topic(),
}


class UnreadRecord(SinkRecord):
    """A record that has its message instead of its fields; it becomes a `SinkRecord` when used."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        """Read the fields of the record, unless only its position is wanted."""
        position = _POSITION.get(name)
        if position is not None:
            with _READING:
                if type(self) is UnreadRecord:
                    return position(_message_of(self))
        return getattr(_read(self), name)

    def __eq__(self, other: object) -> bool:
        return _read(self) == other

    def __hash__(self) -> int:
        return hash(_read(self))

    def __repr__(self) -> str:
        return repr(_read(self))

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        return _read(self).__reduce_ex__(protocol)


class _OpenRecord(UnreadRecord):
    """A record whose fields are being set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def _read(record: SinkRecord) -> SinkRecord:
    """Set the fields of an unread record, which becomes a `SinkRecord`, and return it."""
    with _READING:
        if type(record) is UnreadRecord:
            object.__setattr__(record, "__class__", _OpenRecord)
            _fill(record)
    return record


def _fill(record: Any) -> None:
    message = _message_of(record)
    value = message.value()
    fields = record_fields(value, _headers(message))
    record.payload = value or b""
    record.key = message.key() or None
    record.attributes = fields.get("attributes", ())
    record.content_type = fields.get("content_type")
    record.id = fields.get("id")
    record.offset = message.offset()
    record.published_at = _time(*message.timestamp())
    record.schema = None
    record.topic = message.topic()
    record.partition = message.partition()
    record.producer = None
    record.deliveries = 1
    record.__class__ = SinkRecord


def _headers(message: Any) -> Sequence[tuple[str, bytes | None]]:
    """Return the headers of a message; none if the name of one is not UTF-8."""
    try:
        return message.headers() or ()
    except UnicodeDecodeError:
        return ()


def _time(kind: int, milliseconds: int) -> datetime | None:
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def place_of(message: Any) -> Partition:
    """Return the topic and the partition of a message."""
    return message.topic(), message.partition()


def records_of(messages: Sequence[Any], *, is_one_topic: bool = False) -> RecordBatch:
    """Return the unread records of messages.

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


def _run(messages: Sequence[Any]) -> RecordRun:
    """Return the unread records of messages of one partition."""
    records: list[SinkRecord] = []
    new = object.__new__
    for message in messages:
        record: Any = new(_OpenRecord)
        record.payload = message
        record.__class__ = UnreadRecord
        records.append(record)
    return RecordRun(place_of(messages[0]), records, list(map(len, messages)))
