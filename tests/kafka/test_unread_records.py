"""Records of Kafka messages whose fields are read when they are needed."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import SinkRecord
from moorage.adapters.messages._kafka_records import records_of

if TYPE_CHECKING:
    from collections.abc import Callable


class StoredMessage:
    """A message of the Kafka client, which counts how often its content is read."""

    def __init__(self, topic: str = "orders", partition: int = 3, offset: int = 3) -> None:
        self._position = topic, partition, offset
        self.reads = 0

    def topic(self) -> str:
        """Return the topic."""
        return self._position[0]

    def partition(self) -> int:
        """Return the partition."""
        return self._position[1]

    def offset(self) -> int:
        """Return the offset."""
        return self._position[2]

    def headers(self) -> Any:
        """Return the headers."""
        return [("trace", b"7")]

    def timestamp(self) -> tuple[int, int]:
        """Return that there is no time."""
        return 0, 0

    def value(self) -> bytes:
        """Return the content of the message."""
        self.reads += 1
        return b"1"

    def key(self) -> bytes:
        """Return the key."""
        return b"1"

    def __len__(self) -> int:
        return 1


class UnreadableMessage(StoredMessage):
    """A message whose headers the Kafka client cannot decode."""

    def headers(self) -> None:
        """Fail as the Kafka client does."""
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def test_message_with_unreadable_headers() -> None:
    """A message whose headers are not text is read without them."""
    (record,) = records_of([UnreadableMessage()])
    assert ((), None, b"1", "orders/3/3") == (
        record.attributes,
        record.published_at,
        record.key,
        record.identity,
    )


USES: list[Callable[[SinkRecord], object]] = [
    repr,
    hash,
    copy.copy,
    attrs.asdict,
    lambda record: record == SinkRecord(b"1", topic="orders"),
    lambda record: record.key,
    lambda record: record.text,
]


@pytest.mark.parametrize("use", USES)
def test_record_is_read_when_it_is_used(use: Callable[[SinkRecord], object]) -> None:
    """A record of Kafka reads its message once, and is like any other record from then on."""
    message = StoredMessage()
    (record,) = records_of([message])
    expected = SinkRecord(
        b"1", key=b"1", attributes=[("trace", b"7")], offset=3, topic="orders", partition=3
    )
    assert use(expected) == use(record)
    assert 1 == message.reads
    assert type(record) is SinkRecord
    assert expected == record
    assert 1 == message.reads


def test_position_is_read_without_the_record() -> None:
    """The position of a record is known without reading the record, and is the same afterwards."""
    message = StoredMessage()
    (record,) = records_of([message])

    def position() -> tuple[object, ...]:
        return record.topic, record.partition, record.offset, record.place

    before = position()
    assert ("orders", 3, 3, ("orders", 3)) == before
    assert 0 == message.reads
    assert b"1" == record.payload
    assert before == position()


def test_record_cannot_be_changed_before_it_is_read() -> None:
    """A record that was not read yet is as immutable as any other."""
    (record,) = records_of([StoredMessage()])
    with pytest.raises(AttributeError):
        record.payload = b"2"  # type: ignore[misc]  # this is what must fail
    assert b"1" == record.payload


def test_threads_read_a_record_once() -> None:
    """If several threads use a record at the same time, each sees all its fields."""
    messages = [StoredMessage(offset=number) for number in range(500)]
    records = records_of(messages)
    everybody = threading.Barrier(4)

    def read() -> list[tuple[object, ...]]:
        everybody.wait()
        return [(record.payload, record.offset, record.deliveries) for record in records]

    with ThreadPoolExecutor(4) as threads:
        seen = [threads.submit(read) for _ in range(4)]
    assert all([(b"1", n, 1) for n in range(500)] == future.result() for future in seen)
    assert {1} == {message.reads for message in messages}


@pytest.mark.parametrize("is_one_topic", [True, False])
def test_runs_of_partitions(is_one_topic: bool) -> None:
    """A batch has a run for each change of the partition; without messages it has none."""
    messages = [StoredMessage(partition=number, offset=n) for n, number in enumerate([1, 1, 2, 1])]
    batch = records_of(messages, is_one_topic=is_one_topic)
    assert [(("orders", 1), [1, 1]), (("orders", 2), [1]), (("orders", 1), [1])] == [
        (run.place, run.sizes) for run in batch.runs
    ]
    assert [0, 1, 2, 3] == [record.offset for record in batch]
    assert () == records_of([], is_one_topic=is_one_topic)


def test_runs_of_topics() -> None:
    """Partitions of two topics with the same number are two runs."""
    batch = records_of([StoredMessage("orders"), StoredMessage("parcels")])
    assert [("orders", 3), ("parcels", 3)] == [run.place for run in batch.runs]
