"""Records of pipelines: payload, identity and representation."""

import copy
import pickle
from datetime import UTC, datetime

import attrs
import pytest

from moorage import InvalidData, SinkRecord, SourceRecord
from moorage.domain.pipelines.records import checked_records


def test_record_of_json() -> None:
    """A record made from a value has its JSON as payload, and returns the value."""
    record = SourceRecord.of_json({"order": 7}, key="customer", attributes={"trace": "1"})
    assert b'{"order":7}' == record.payload
    assert {"order": 7} == record.json()
    assert '{"order":7}' == record.text
    assert b"customer" == record.key
    assert "application/json" == record.content_type
    assert ["1"] == list(record.values_of("trace"))
    assert [] == list(record.values_of("other"))


def test_unreadable_payloads() -> None:
    """A payload that is not text or not JSON is refused, and the error names the field."""
    record = SourceRecord(b"\xff{")
    with pytest.raises(InvalidData, match="not UTF-8") as error:
        _ = record.text
    assert "payload" == error.value.field
    with pytest.raises(InvalidData, match="not JSON"):
        record.json()
    with pytest.raises(InvalidData, match="not JSON"):
        SourceRecord("[" * 100_000).json()


def test_identity() -> None:
    """The identity of a record is its id, or else its topic, partition and offset."""
    record = SinkRecord(b"1", topic="orders", partition=3, offset=17)
    assert "orders/3/17" == record.identity
    assert ("orders", 3) == record.place
    assert "orders/17" == SinkRecord(b"1", topic="orders", offset=17).identity
    assert "abc" == SinkRecord(b"1", topic="orders", offset=17, id="abc").identity


def test_sink_record_of_a_source_record() -> None:
    """A record that is sent to a topic keeps all fields that the source has read."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    source = SourceRecord(
        b"1",
        key="k",
        attributes={"a": b"b"},
        content_type="text/plain",
        id="7",
        offset=9,
        published_at=at,
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
        published_at=at,
        schema="order",
        topic="orders",
    )
    assert expected == record


def test_payload_is_not_shown() -> None:
    """The representation of a record omits payload, key and attributes, which may be secret."""
    record = SinkRecord(b"hidden", key="hidden", attributes={"a": "hidden"}, topic="orders")
    assert "hidden" not in repr(record)
    assert "orders" in repr(record)


def test_records_of_columns_are_like_constructed_ones() -> None:
    """Records built in bulk are equal to constructed ones, and as immutable."""
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


def test_no_records_of_columns() -> None:
    """Empty columns make no records."""
    assert [] == checked_records([], topic=[], offset=[])
