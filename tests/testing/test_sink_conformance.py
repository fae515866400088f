"""The conformance kit of sinks notices wrong implementations."""

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
    """A sink that stores numbers in a list, and each only once."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.is_busy = False

    async def open(self) -> None:
        """Prepare nothing."""

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Store a batch, or nothing of it."""
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


class _Forgetful(_Sink):
    """Returns before a batch is stored, and never stores it."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store nothing."""
        [_number(record) for record in records]


class _Talkative(_Sink):
    """Returns one result too many."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> list[Result[object]]:
        """Store a batch."""
        await super().process_batch(records)
        return [Result()] * (len(records) + 1)


class _Partial(_Sink):
    """Fails as a whole, and has stored the first records."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store the records before the bad one."""
        for record in records:
            self.stored.append(_number(record))


class _Unaware(_Sink):
    """Says that a bad record succeeded."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> list[Result[object]]:
        """Store the good records."""
        self.stored += [record.json() for record in records if record.json() > 0]
        return [Result()] * len(records)


class _Repeating(_Sink):
    """Stores a record each time when it is delivered."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store a batch."""
        self.stored += [_number(record) for record in records]


class _Interruptible(_Sink):
    """Stores nothing more after a batch was cut off."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store a batch unless another was cut off."""
        if self.is_busy:
            return
        self.is_busy = True
        await super().process_batch(records)
        self.is_busy = False


class _Emptied(_Sink):
    """Loses a batch if it is flushed at the same time."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> None:
        """Store a batch unless it is flushed."""
        self.is_busy = True
        await super().process_batch(records)
        if not self.is_busy:
            self.stored = []
        self.is_busy = False

    async def flush(self) -> None:
        """Forget the batch under way."""
        self.is_busy = False


class _ClosedOnce(_Sink):
    """Loses everything when it is closed."""

    async def close(self) -> None:
        """Forget everything."""
        self.stored = []


@attrs.define
class _Subject:
    """A sink with its list."""

    sink: SinkConnector
    numbers: Callable[[], list[int]]
    has_effect_once: bool = True
    has_bad_records: bool = True

    def record(self, number: int, /) -> SinkRecord:
        """Return a record."""
        return SinkRecord.of_json(number, topic="numbers", offset=number)

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record that the sinks refuse."""
        return self.record(-number) if self.has_bad_records else None

    async def stored(self) -> list[int]:
        """Return what is stored."""
        return self.numbers()


def _factory(kind: type[_Sink], **settings: bool) -> kit.Factory:
    @asynccontextmanager
    async def make() -> AsyncGenerator[kit.SinkSubject]:
        sink = kind()
        yield _Subject(sink, lambda: sink.stored, **settings)

    return make


@pytest.mark.parametrize("check", kit.CHECKS)
def test_good_sink_passes(check: kit.Check) -> None:
    """A sink that keeps its promises passes every check."""
    asyncio.run(check(_factory(_Sink)))


@pytest.mark.parametrize("check", kit.CHECKS)
def test_sink_with_fewer_promises_passes(check: kit.Check) -> None:
    """A sink that stores every record, and each time, passes if it says so."""
    asyncio.run(check(_factory(_Repeating, has_effect_once=False, has_bad_records=False)))


@pytest.mark.parametrize(
    "check, kind",
    [
        (kit.flushed_records_are_stored, _Forgetful),
        (kit.flushed_records_are_stored, _Talkative),
        (kit.each_record_has_a_result, _Talkative),
        (kit.failed_batch_has_done_nothing, _Partial),
        (kit.failed_batch_has_done_nothing, _Unaware),
        (kit.bad_record_costs_no_other, _Partial),
        (kit.bad_record_costs_no_other, _Unaware),
        (kit.repeated_record_has_its_effect_once, _Repeating),
        (kit.cancelled_batch_can_be_delivered_again, _Interruptible),
        (kit.flush_may_run_beside_a_batch, _Emptied),
        (kit.closing_repeats, _ClosedOnce),
    ],
)
def test_wrong_sink_is_noticed(check: kit.Check, kind: type[_Sink]) -> None:
    """Each promise that a sink breaks is noticed by the check for it."""
    with pytest.raises(AssertionError):
        asyncio.run(check(_factory(kind)))
