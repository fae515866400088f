"""The conformance kit of sinks finds faulty ones."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import InvalidData, Result, SinkRecord
from moorage.testing import sink_conformance as kit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from moorage import SinkConnector


class _Sink:
    """A correct sink that stores each number once in a list."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.is_busy = False

    async def open(self) -> None:
        """Prepare nothing."""

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Store the numbers of a batch that are not stored yet."""
        numbers = [_number(record) for record in records]
        await asyncio.sleep(0)
        self.stored += [number for number in numbers if number not in self.stored]
        return None

    async def flush(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


def _number(record: SinkRecord) -> int:
    number: int = record.json()
    if number < 0:
        raise InvalidData("A number is negative.")
    return number


class _FakeStoreSink(_Sink):
    """A faulty sink that reports success without storing a batch."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Check the batch, and report success, but store nothing."""
        [_number(record) for record in records]


class _OneResultTooManySink(_Sink):
    """A faulty sink that returns one result too many."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> list[Result[object]]:
        """Store the batch, and return too many results."""
        await super().process_batch(records)
        return [Result()] * (len(records) + 1)


class _PartialSink(_Sink):
    """A faulty sink that keeps some records of a batch that fails."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store the records before the bad one, and raise an error."""
        for record in records:
            self.stored.append(_number(record))


class _BadRecordIsSuccessSink(_Sink):
    """A faulty sink that reports success for a bad record."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> list[Result[object]]:
        """Store the good records, and report success for all."""
        self.stored += [record.json() for record in records if record.json() > 0]
        return [Result()] * len(records)


class _StoresAgainSink(_Sink):
    """A faulty sink that stores a record again at each delivery."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store all numbers of the batch."""
        self.stored += [_number(record) for record in records]


class _InterruptibleSink(_Sink):
    """A faulty sink that stores nothing more after a batch was interrupted."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store the batch, unless an earlier one was interrupted."""
        if self.is_busy:
            return
        self.is_busy = True
        await super().process_batch(records)
        self.is_busy = False


class _EmptiedSink(_Sink):
    """A faulty sink that loses its records if it is flushed during a batch."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store the batch, and lose everything if it was flushed during the storing."""
        self.is_busy = True
        await super().process_batch(records)
        if not self.is_busy:
            self.stored = []
        self.is_busy = False

    async def flush(self) -> None:
        """Mark the running batch as flushed."""
        self.is_busy = False


class _ClosedOnceSink(_Sink):
    """A faulty sink that loses its records when it is closed."""

    async def close(self) -> None:
        """Remove all records."""
        self.stored = []


@attrs.define
class _Subject:
    """A test subject: a sink with its list of stored numbers."""

    sink: SinkConnector
    numbers: Callable[[], list[int]]
    has_effect_once: bool = True
    has_bad_records: bool = True

    def record(self, number: int, /) -> SinkRecord:
        """Return a record with the given number."""
        return SinkRecord.of_json(number, topic="numbers", offset=number)

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record that this kind of sink refuses, if there is one."""
        return self.record(-number) if self.has_bad_records else None

    async def stored(self) -> list[int]:
        """Return the stored numbers."""
        return self.numbers()


def _factory(kind: type[_Sink], **settings: bool) -> kit.Factory:
    @asynccontextmanager
    async def make_subject() -> AsyncGenerator[kit.SinkSubject]:
        sink = kind()
        yield _Subject(sink, lambda: sink.stored, **settings)

    return make_subject


@pytest.mark.parametrize("check", kit.CHECKS)
def test_good_sink_passes(check: kit.Check) -> None:
    """A correct sink passes all checks."""
    asyncio.run(check(_factory(_Sink)))


@pytest.mark.parametrize("check", kit.CHECKS)
def test_sink_with_fewer_promises_passes(check: kit.Check) -> None:
    """A sink that stores a record again at each delivery passes if it declares this."""
    asyncio.run(check(_factory(_StoresAgainSink, has_effect_once=False, has_bad_records=False)))


@pytest.mark.parametrize(
    "check, kind",
    [
        (kit.flushed_records_are_stored, _FakeStoreSink),
        (kit.flushed_records_are_stored, _OneResultTooManySink),
        (kit.each_record_has_a_result, _OneResultTooManySink),
        (kit.failed_batch_has_done_nothing, _PartialSink),
        (kit.failed_batch_has_done_nothing, _BadRecordIsSuccessSink),
        (kit.a_bad_record_affects_no_other, _PartialSink),
        (kit.a_bad_record_affects_no_other, _BadRecordIsSuccessSink),
        (kit.repeated_record_has_its_effect_once, _StoresAgainSink),
        (kit.cancelled_batch_can_be_delivered_again, _InterruptibleSink),
        (kit.flush_may_run_beside_a_batch, _EmptiedSink),
        (kit.a_sink_can_be_closed_repeatedly, _ClosedOnceSink),
    ],
)
def test_wrong_sink_is_noticed(check: kit.Check, kind: type[_Sink]) -> None:
    """A sink with one fault fails the check for that fault."""
    with pytest.raises(AssertionError):
        asyncio.run(check(_factory(kind)))
