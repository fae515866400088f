"""Records, in the forms in which a pipeline's source reads and its sink receives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain, groupby, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, overload

import attrs

from moorage.domain.messages.message import JSON, header_pairs, key_bytes, payload_bytes
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import Self

Offset: TypeAlias = "int | str"
"""The position of a record in its partition, in the source's notation."""

Partition: TypeAlias = "tuple[str, int | str | None]"
"""A topic and one of its partitions; None for a topic that has none."""

_TOPIC_AND_PARTITION: Final = attrgetter("topic", "partition")
_MESSAGES: Final = attrgetter("messages")


@with_careful_constructor
@attrs.frozen
class SourceRecord:
    """A record that a source has read for a pipeline.

    Attributes:
        payload: the content as bytes. A string is encoded as UTF-8.
        key: records with the same key are processed in their order; None if the order is not
            important.
        attributes: pairs of names and values, which are strings or bytes, such as the headers of a
            message.
        content_type: the type of the payload, such as "application/json".
        id: identifies the record, even when it is read again; None if the source provides no id.
        offset: the position from which the source continues after this record; None if the
            source keeps its own position.
        published_at: the time at which the record was published, with a time zone.
        schema: the name of the payload's schema.
    """

    payload: bytes = attrs.field(converter=payload_bytes, repr=False)
    key: bytes | None = attrs.field(default=None, converter=key_bytes, kw_only=True, repr=False)
    attributes: tuple[tuple[str, str | bytes], ...] = attrs.field(
        default=(), converter=header_pairs, kw_only=True, repr=False
    )
    content_type: str | None = attrs.field(default=None, kw_only=True)
    id: str | None = attrs.field(default=None, kw_only=True)
    offset: Offset | None = attrs.field(default=None, kw_only=True)
    published_at: datetime | None = attrs.field(default=None, kw_only=True)
    schema: str | None = attrs.field(default=None, kw_only=True)

    @classmethod
    def of_json(cls, value: object, **fields: Any) -> Self:
        """Return a record whose payload is a value encoded as JSON.

        Args:
            value: a value made of dict, list, str, int, float, bool and None.
            fields: further fields of the record.
        """
        fields.setdefault("content_type", JSON)
        return cls(encode_json(value), **fields)

    @property
    def text(self) -> str:
        """Return the payload decoded as UTF-8 text.

        Raises:
            InvalidData: the payload is not UTF-8.
        """
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            raise InvalidData(
                "The payload of a record is not UTF-8.",
                field="payload",
                remedy="Read the bytes in `payload` instead.",
            ) from None

    def json(self) -> Any:
        """Return the payload decoded as JSON.

        Raises:
            InvalidData: the payload is not JSON.
        """
        try:
            return json.loads(self.payload)
        except (ValueError, RecursionError):
            raise InvalidData(
                "The payload of a record is not JSON.",
                field="payload",
                remedy="Correct the producer, or read the bytes in `payload` instead.",
            ) from None

    def values_of(self, name: str) -> Iterator[str | bytes]:
        """Return the values of the attributes with this name, in order."""
        return (value for attribute, value in self.attributes if attribute == name)


@with_careful_constructor
@attrs.frozen
class SinkRecord(SourceRecord):
    """A record on its way through a pipeline to a sink.

    Attributes:
        topic: the topic, stream, queue or file that it was read from.
        partition: the number or the name of the topic's partition; None if it has none.
        producer: the name of the producer, if the broker states it.
        deliveries: the number of the record's deliveries as the broker counts them, including
            this one; 1 for the first time.
    """

    topic: str = attrs.field(kw_only=True)
    partition: int | str | None = attrs.field(default=None, kw_only=True)
    producer: str | None = attrs.field(default=None, kw_only=True)
    deliveries: int = attrs.field(default=1, kw_only=True)

    @classmethod
    def from_source(cls, record: SourceRecord, topic: str) -> Self:
        """Return a sink record with the fields of a source's record and a topic."""
        fields = {field.name: getattr(record, field.name) for field in attrs.fields(SourceRecord)}
        return cls(**fields, topic=topic)

    @property
    def place(self) -> Partition:
        """The topic and the partition from which the record was read."""
        return self.topic, self.partition

    @property
    def identity(self) -> str:
        """The id of the record, or otherwise a string made of its topic, partition and offset.

        It is the same for each delivery of the record, so that a sink can recognise repeats.
        """
        if self.id is not None:
            return self.id
        return "/".join(map(str, (self.topic, *_partition_key(self.partition), self.offset)))


@with_careful_constructor
@attrs.frozen
class DecodedRecord(SinkRecord):
    """A record whose payload was decoded with a schema; the original payload is kept.

    Attributes:
        value: the value of the payload, which `json()` returns.
    """

    value: Any = attrs.field(kw_only=True, repr=False, hash=False)

    @classmethod
    def of(cls, record: SinkRecord, value: object, schema: str) -> Self:
        """Return a record with its payload's decoded value, and the name of the schema."""
        fields: dict[str, Any] = {
            field.name: getattr(record, field.name) for field in attrs.fields(SinkRecord)
        }
        fields["schema"] = schema
        return cls(**fields, value=value)

    def json(self) -> Any:
        """Return the value of the payload."""
        return self.value


def _partition_key(partition: int | str | None) -> tuple[int | str, ...]:
    return () if partition is None else (partition,)


class _NewRecord(SinkRecord):
    """A mutable record, which becomes a `SinkRecord` once all of its fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_DEFAULTS: Final[dict[str, Any]] = {
    "key": None,
    "attributes": (),
    "content_type": None,
    "id": None,
    "offset": None,
    "published_at": None,
    "schema": None,
    "topic": None,
    "partition": None,
    "producer": None,
    "deliveries": 1,
}
"""The defaults of all fields but the payload."""


def checked_records(payloads: Sequence[bytes], **columns: Iterable[Any]) -> list[SinkRecord]:
    """Return records for a sink, made of field values that already have their final types.

    A source that has decoded a broker's reply builds its records with this function: it takes a
    fifth of the time of the constructor, which converts and checks its arguments.

    Args:
        payloads: the payloads, one for each record.
        columns: the values of other fields, by the field's name: one for each record, in order. A
            field without a column has its default. `attributes` are tuples of pairs, and `topic` is
            required.
    """
    values = [columns.get(name) or repeat(default) for name, default in _DEFAULTS.items()]
    records: list[SinkRecord] = []
    new_object = object.__new__
    for (
        payload,
        key,
        attributes,
        content_type,
        id,
        offset,
        published_at,
        schema,
        topic,
        partition,
        producer,
        deliveries,
    ) in zip(payloads, *values, strict=False):
        record: Any = new_object(_NewRecord)
        record.payload = payload
        record.key = key
        record.attributes = attributes
        record.content_type = content_type
        record.id = id
        record.offset = offset
        record.published_at = published_at
        record.schema = schema
        record.topic = topic
        record.partition = partition
        record.producer = producer
        record.deliveries = deliveries
        record.__class__ = SinkRecord
        records.append(record)
    return records


class LazyRecords(Sequence[SinkRecord]):
    """Records that are made from a broker's messages when one of them is first accessed.

    All records are then made together, which is faster than making them one by one. A slice makes
    only its own records, unless the records of the whole sequence exist already.

    Attributes:
        messages: the messages.
        make: returns the records of messages, one for each.
    """

    __slots__ = "_records", "make", "messages"

    def __init__(
        self, messages: Sequence[Any], make: Callable[[Sequence[Any]], list[SinkRecord]]
    ) -> None:
        self.messages = messages
        self.make = make
        self._records: list[SinkRecord] | None = None

    @property
    def is_made(self) -> bool:
        """True if the records were made, because one of them was accessed."""
        return self._records is not None

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[SinkRecord]:
        return iter(self._made_records())

    @overload
    def __getitem__(self, at: int) -> SinkRecord: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[SinkRecord]: ...

    def __getitem__(self, at: int | slice) -> SinkRecord | Sequence[SinkRecord]:
        if isinstance(at, slice) and self._records is None:
            return LazyRecords(self.messages[at], self.make)
        return self._made_records()[at]

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._made_records(),)

    def _made_records(self) -> list[SinkRecord]:
        records = self._records
        if records is None:
            records = self._records = self.make(self.messages)
        return records


def joined_records(parts: Sequence[Sequence[SinkRecord]]) -> Sequence[SinkRecord]:
    """Return the records of several sequences in order, and leave lazy records unmade."""
    if len(parts) == 1:
        return parts[0]
    lazy_parts = [part for part in parts if isinstance(part, LazyRecords) and not part.is_made]
    if parts and len(lazy_parts) == len(parts) and len({part.make for part in lazy_parts}) == 1:
        return LazyRecords([*chain.from_iterable(map(_MESSAGES, lazy_parts))], lazy_parts[0].make)
    return list(chain.from_iterable(parts))


class RecordRun(NamedTuple):
    """Successive records of one partition.

    Attributes:
        place: the topic and the partition.
        records: the records.
        sizes: the sizes of their payloads in bytes.
    """

    place: Partition
    records: Sequence[SinkRecord]
    sizes: Sequence[int]


class RecordBatch(Sequence[SinkRecord]):
    """The records that one poll of a source returned, with partitions and sizes if known.

    A pipeline need not look at each of these records.

    Args:
        runs: the records, in batches of one partition each.

    Attributes:
        runs: the records, as passed.
    """

    __slots__ = ("runs",)

    def __init__(self, runs: Sequence[RecordRun]) -> None:
        self.runs = runs

    def __len__(self) -> int:
        return sum([len(run.sizes) for run in self.runs])

    def __iter__(self) -> Iterator[SinkRecord]:
        return chain.from_iterable(run.records for run in self.runs)

    @overload
    def __getitem__(self, at: int) -> SinkRecord: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[SinkRecord]: ...

    def __getitem__(self, at: int | slice) -> SinkRecord | Sequence[SinkRecord]:
        return list(self)[at]


def runs_of(records: Sequence[SinkRecord]) -> Sequence[RecordRun]:
    """Split records into batches of consecutive records from the same partition."""
    if isinstance(records, RecordBatch):
        return records.runs
    runs = ((place, list(run)) for place, run in groupby(records, _TOPIC_AND_PARTITION))
    return [RecordRun(place, run, [len(record.payload) for record in run]) for place, run in runs]
