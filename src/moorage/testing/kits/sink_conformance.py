"""Checks for every sink of a pipeline.

```python
import asyncio
from contextlib import asynccontextmanager

import pytest

from moorage import SinkRecord
from moorage.testing import MemorySink, name_of, sink_conformance  # your sink instead


class Subject:
    has_effect_once = False

    def __init__(self):
        self.sink = MemorySink()

    def record(self, number):
        return SinkRecord.of_json(number, topic="numbers", offset=number)

    def bad_record(self, number):
        return None

    async def stored(self):
        return self.sink.values


@asynccontextmanager
async def subject():
    yield Subject()


@pytest.mark.parametrize("check", sink_conformance.CHECKS, ids=name_of)
def test_sink(check):
    asyncio.run(check(subject))
```

Each check is awaited with a function that returns an asynchronous context manager, which yields a
`SinkSubject` whose destination is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from moorage.domain.pipelines.settings import PipelineConfig
from moorage.pipelines.pipeline import Pipeline
from moorage.testing.fakes.pipelines import MemoryDeadLetters, MemorySource
from moorage.testing.kits.checks import patience, require

if TYPE_CHECKING:
    from moorage.domain.pipelines.records import SinkRecord
    from moorage.ports.pipelines import SinkConnector

_NUMBERS: Final = tuple(range(1, 9))
_BAD_NUMBER: Final = 5


class SinkSubject(Protocol):
    """A sink to be checked, with its destination."""

    @property
    def sink(self) -> SinkConnector:
        """The sink under test, not opened yet."""
        ...

    @property
    def has_effect_once(self) -> bool:
        """True if the sink stores a redelivered record only once."""
        ...

    def record(self, number: int, /) -> SinkRecord:
        """Return a record that the sink can store; the same number gives the same record."""
        ...

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record that the sink cannot store; None if it can store all."""
        ...

    async def stored(self) -> list[int]:
        """Return the numbers of the stored records, in storing order."""
        ...


Factory: TypeAlias = Callable[[], AbstractAsyncContextManager[SinkSubject]]
Check: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]


async def flushed_records_are_stored(factory: Factory) -> None:
    """Records processed without error are stored after `flush`, in order."""
    async with factory() as subject:
        await subject.sink.open()
        await _deliver(subject.sink, _records(subject, _NUMBERS))
        await subject.sink.flush()
        await _require_stored(subject, _NUMBERS)
        await subject.sink.close()


async def each_record_has_a_result(factory: Factory) -> None:
    """For a batch of one record, a sink returns one result or None."""
    async with factory() as subject:
        await subject.sink.open()
        results = await subject.sink.process_batch(_records(subject, [1]))
        require(
            results is None or len(results) == 1,
            f"The batch has one record, and the sink returned {results!r}.",
        )
        await subject.sink.close()


async def failed_batch_has_done_nothing(factory: Factory) -> None:
    """If a batch raises an error because of a record, none of its records is stored.

    If it returns results instead, the records before the bad one are stored, and its own result has
    the error.
    """
    async with factory() as subject:
        bad = subject.bad_record(_BAD_NUMBER)
        if bad is None:
            return
        await subject.sink.open()
        batch = [*_records(subject, [1, 2]), bad, subject.record(3)]
        try:
            results = await subject.sink.process_batch(batch)
        except Exception:  # noqa: BLE001 - whichever error the sink raises
            await subject.sink.flush()
            await _require_stored(subject, [])
        else:
            are_good = [result.ok for result in results or ()]
            require(
                are_good and are_good[2:3] != [True] and all(are_good[:2]),
                f"The third record of four is bad, and the sink returned {results!r}.",
            )
            await subject.sink.flush()
            numbers = zip((1, 2, _BAD_NUMBER, 3), are_good, strict=False)
            await _require_stored(subject, [number for number, is_good in numbers if is_good])
        await subject.sink.close()


async def a_bad_record_affects_no_other(factory: Factory) -> None:
    """A pipeline stores each good record once and in order, and the bad one as a dead letter."""
    async with factory() as subject:
        bad = subject.bad_record(_BAD_NUMBER)
        records = [
            bad if number == _BAD_NUMBER and bad is not None else subject.record(number)
            for number in _NUMBERS
        ]
        dead_letters = MemoryDeadLetters()
        pipeline = Pipeline(
            "conformance",
            MemorySource(records),
            subject.sink,
            dead_letters=dead_letters,
            config=PipelineConfig(poll_wait=0.01),
        )
        async with asyncio.timeout(patience()):
            await pipeline.run()
        good_numbers = [number for number in _NUMBERS if number != _BAD_NUMBER or bad is None]
        await _require_stored(subject, good_numbers)
        require(
            [letter.record for letter in dead_letters.letters] == ([] if bad is None else [bad]),
            "The dead letters contain more than the bad record.",
        )


async def repeated_record_has_its_effect_once(factory: Factory) -> None:
    """A redelivered record is not stored twice, if the sink guarantees that."""
    async with factory() as subject:
        if not subject.has_effect_once:
            return
        await subject.sink.open()
        for numbers in ([1, 2], [1, 2, 3], [3]):
            await _deliver(subject.sink, _records(subject, numbers))
        await subject.sink.flush()
        await _require_stored(subject, [1, 2, 3])
        await subject.sink.close()


async def cancelled_batch_can_be_delivered_again(factory: Factory) -> None:
    """After a cancelled batch, a sink still works, and stores the batch when redelivered."""
    async with factory() as subject:
        await subject.sink.open()
        for turns in range(4):
            batch = asyncio.ensure_future(_deliver(subject.sink, _records(subject, [1, 2])))
            for _ in range(turns):
                await asyncio.sleep(0)
            batch.cancel()
            with suppress(asyncio.CancelledError):
                await batch
        await _deliver(subject.sink, _records(subject, [1, 2]))
        await subject.sink.flush()
        records = await subject.stored()
        require(
            set(records) == {1, 2}, f"The records 1 and 2 were delivered, and {records} stored."
        )
        await subject.sink.close()


async def flush_may_run_beside_a_batch(factory: Factory) -> None:
    """`flush` returns while a batch is being processed, and loses none of its records."""
    async with factory() as subject:
        await subject.sink.open()
        await subject.sink.flush()
        async with asyncio.timeout(patience()):
            await asyncio.gather(
                _deliver(subject.sink, _records(subject, _NUMBERS)),
                subject.sink.flush(),
                subject.sink.flush(),
            )
        await subject.sink.flush()
        await _require_stored(subject, _NUMBERS)
        await subject.sink.close()


async def a_sink_can_be_closed_repeatedly(factory: Factory) -> None:
    """A sink can be closed repeatedly or unopened, and keeps its stored records."""
    async with factory() as subject:
        await subject.sink.close()
        await subject.sink.open()
        await _deliver(subject.sink, _records(subject, [1]))
        await subject.sink.flush()
        await subject.sink.close()
        await subject.sink.close()
        await _require_stored(subject, [1])


def _records(subject: SinkSubject, numbers: Sequence[int]) -> list[SinkRecord]:
    return [subject.record(number) for number in numbers]


async def _deliver(sink: SinkConnector, records: Sequence[SinkRecord]) -> None:
    """Deliver records like a pipeline, until the sink has tried all of them."""
    remaining_records = list(records)
    while remaining_records:
        results = await sink.process_batch(remaining_records)
        if results is None:
            return
        require(
            0 < len(results) <= len(remaining_records),
            f"The sink returned {len(results)} results for {len(remaining_records)} records.",
        )
        for result in results:
            result.unwrap()
        remaining_records = remaining_records[len(results) :]


async def _require_stored(subject: SinkSubject, numbers: Sequence[int]) -> None:
    records = await subject.stored()
    require(records == list(numbers), f"Of {list(numbers)} the sink stored {records}.")


CHECKS: Final[tuple[Check, ...]] = (
    flushed_records_are_stored,
    each_record_has_a_result,
    failed_batch_has_done_nothing,
    a_bad_record_affects_no_other,
    repeated_record_has_its_effect_once,
    cancelled_batch_can_be_delivered_again,
    flush_may_run_beside_a_batch,
    a_sink_can_be_closed_repeatedly,
)
