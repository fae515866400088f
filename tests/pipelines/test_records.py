"""Records of pipelines: payload, identity and representation."""

import copy
import pickle
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice

import attrs
import pytest

from moorage import InvalidData, SinkRecord, SourceRecord
from moorage.domain.pipelines.records import (
    LazyRecords,
    RecordBatch,
    RecordRun,
    checked_records,
    joined_records,
)


def test_record_made_from_a_value_has_its_json_as_payload() -> None:
    """A record made from a value has the value's JSON as its payload, and gives the value back."""
    record = SourceRecord.of_json({"order": 7}, key="customer", attributes={"trace": "1"})
    assert b'{"order":7}' == record.payload
    assert {"order": 7} == record.json()
    assert '{"order":7}' == record.text
    assert b"customer" == record.key
    assert "application/json" == record.content_type
    assert ["1"] == list(record.values_of("trace"))
    assert [] == list(record.values_of("other"))


def test_payload_that_is_not_text_or_not_json_is_refused() -> None:
    """A payload that is not text or not JSON is refused; the error contains the field's name."""
    record = SourceRecord(b"\xff{")
    with pytest.raises(InvalidData, match="not UTF-8") as error:
        _ = record.text
    assert "payload" == error.value.field
    with pytest.raises(InvalidData, match="not JSON"):
        record.json()
    with pytest.raises(InvalidData, match="not JSON"):
        SourceRecord("[" * 100_000).json()


def test_identity_of_record_is_its_id() -> None:
    """The identity of a record is its id, or else its topic, partition and offset."""
    record = SinkRecord(b"1", topic="orders", partition=3, offset=17)
    assert "orders/3/17" == record.identity
    assert ("orders", 3) == record.place
    assert "orders/17" == SinkRecord(b"1", topic="orders", offset=17).identity
    assert "abc" == SinkRecord(b"1", topic="orders", offset=17, id="abc").identity


def test_record_sent_to_another_topic_keeps_all_fields() -> None:
    """A record that is sent to another topic keeps all fields that the source has read."""
    time = datetime(2026, 1, 2, tzinfo=UTC)
    source = SourceRecord(
        b"1",
        key="k",
        attributes={"a": b"b"},
        content_type="text/plain",
        id="7",
        offset=9,
        published_at=time,
        schema="order",
    )
    record = SinkRecord.from_source(source, "orders")
    expected = SinkRecord(
        b"1",
        key="k",
        attributes={"a": b"b"},
        content_type="text/plain",
        id="7",
        offset=9,
        published_at=time,
        schema="order",
        topic="orders",
    )
    assert expected == record


def test_payload_is_not_shown() -> None:
    """The repr of a record omits payload, key and attributes, which may be secret."""
    record = SinkRecord(b"hidden", key="hidden", attributes={"a": "hidden"}, topic="orders")
    assert "hidden" not in repr(record)
    assert "orders" in repr(record)


def test_records_built_in_bulk_from_columns_equal_constructed_records() -> None:
    """Records built in bulk from columns equal constructed records, and are immutable too."""
    now = datetime.now(UTC)
    built = checked_records(
        [b"1", b"2"],
        topic=["orders", "bills"],
        key=[b"a", None],
        offset=[7, 8],
        published_at=[now] * 2,
    )
    expected = [
        SinkRecord(b"1", topic="orders", key=b"a", offset=7, published_at=now),
        SinkRecord(b"2", topic="bills", offset=8, published_at=now),
    ]
    assert expected == built
    assert list(map(repr, expected)) == list(map(repr, built))
    assert list(map(hash, expected)) == list(map(hash, built))
    assert built == pickle.loads(pickle.dumps(built)) == copy.deepcopy(built)  # noqa: S301 - its own
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(built[0], "payload", b"3")  # noqa: B010 - type checkers refuse an assignment


def test_empty_columns_contain_no_records() -> None:
    """Empty columns contain no records."""
    assert [] == checked_records([], topic=[], offset=[])


def made_of(texts: Sequence[bytes]) -> list[SinkRecord]:
    """Return lazy records with these payloads, built as a source builds them."""
    return checked_records(texts, topic=["orders"] * len(texts))


def payloads(records: Iterable[SinkRecord]) -> list[bytes]:
    """Return the payloads of records."""
    return [record.payload for record in records]


def test_lazy_records_are_built_once() -> None:
    """Lazily built records are built on first access, and stay the same objects."""
    records = LazyRecords([b"1", b"2", b"3"], made_of)
    assert (3, False) == (len(records), records.is_made)
    assert records[1] is next(islice(records, 1, None))
    assert records.is_made
    assert [records[2]] == records[-1:]


def test_slice_of_lazy_records_builds_only_its_own_records() -> None:
    """A slice of lazy records builds only its own records."""
    records = LazyRecords([b"1", b"2", b"3"], made_of)
    assert [b"3"] == payloads(records[-1:])
    assert not records.is_made


def test_lazy_records_are_pickled_as_a_list() -> None:
    """Lazy records are pickled as plain records, without the messages behind them."""
    records = LazyRecords([b"1", b"2"], made_of)
    assert list(records) == pickle.loads(pickle.dumps(records))  # noqa: S301 - its own


def test_joining_lazy_records_builds_none() -> None:
    """Joining lazy sequences builds no records; joining other sequences returns a list."""
    first, second = (LazyRecords([text], made_of) for text in (b"1", b"2"))
    joined_sequence = joined_records([first, second])
    assert (2, False, False) == (len(joined_sequence), first.is_made, second.is_made)
    assert [b"1", b"2"] == payloads(joined_sequence)
    assert joined_records([first, list(second)]) == [*first, *second]
    assert joined_records([first]) is first
    assert not joined_records([])


def test_batch_is_a_sequence_of_the_records_of_its_runs() -> None:
    """A batch behaves as a sequence of its runs' records."""
    records = made_of([b"1", b"2", b"3"])
    place = "orders", None
    batch = RecordBatch([RecordRun(place, records[:2], [1, 1]), RecordRun(place, records[2:], [1])])
    assert (3, records) == (len(batch), list(batch))
    assert (records[2], records[1:]) == (batch[2], batch[1:])
    assert not RecordBatch([])
