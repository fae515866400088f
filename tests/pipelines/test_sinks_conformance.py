"""Sinks from functions, publishing sinks and the memory sink pass the sink conformance kit."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    BatchSink,
    InvalidData,
    RecordSink,
    Service,
    SinkRecord,
)
from moorage.pipelines.publishing import PublishSink
from moorage.testing import MemoryBroker, MemorySink, name_of, sink_conformance

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from moorage import SinkConnector


def _number(record: SinkRecord) -> int:
    number: int = record.json()
    if number < 0:
        raise InvalidData("A number is negative.")
    return number


def record_sink(stored: list[int]) -> SinkConnector:
    """Return a sink made from a synchronous function for single records."""
    return RecordSink(lambda record: stored.append(_number(record)))


def async_sink(stored: list[int]) -> SinkConnector:
    """Return a sink made from an asynchronous function for single records."""

    async def store(record: SinkRecord) -> None:
        await asyncio.sleep(0)
        stored.append(_number(record))

    return RecordSink(store)


def batch_sink(stored: list[int]) -> SinkConnector:
    """Return a sink made from a function that stores either a whole batch or nothing."""

    def store(records: list[SinkRecord]) -> None:
        stored.extend([_number(record) for record in records])

    return BatchSink(store)


def memory_sink(stored: list[int], *, reports_each_record: bool) -> SinkConnector:
    """Return the memory sink, which refuses negative numbers."""

    def judge(record: SinkRecord) -> Exception | None:
        return InvalidData("A number is negative.") if record.json() < 0 else None

    class CountingSink(MemorySink):
        async def flush(self) -> None:
            stored[:] = self.values
            await super().flush()

    return CountingSink(judge, reports_each_record=reports_each_record)


@attrs.define
class Subject:
    """A sink for the conformance kit, with the numbers that it stored."""

    sink: SinkConnector
    numbers: list[int]
    has_effect_once: bool = False

    def record(self, number: int, /) -> SinkRecord:
        """Return a record that contains this number."""
        return SinkRecord.of_json(number, topic="numbers", offset=number)

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record that contains a negative number, which the sink refuses."""
        return self.record(-number)

    async def stored(self) -> list[int]:
        """Return the stored numbers."""
        return self.numbers


@asynccontextmanager
async def subject(
    make: Callable[[list[int]], SinkConnector],
) -> AsyncGenerator[sink_conformance.SinkSubject]:
    """Create a sink for the conformance kit."""
    stored: list[int] = []
    yield Subject(make(stored), stored)


@pytest.mark.parametrize(
    "make",
    [
        record_sink,
        async_sink,
        batch_sink,
        partial(memory_sink, reports_each_record=True),
        partial(memory_sink, reports_each_record=False),
    ],
    ids=["record", "async record", "batch", "memory", "memory of batches"],
)
@pytest.mark.parametrize("check", sink_conformance.CHECKS, ids=name_of)
async def test_sink_passes_sink_conformance_kit(
    check: sink_conformance.Check, make: Callable[[list[int]], SinkConnector]
) -> None:
    """The sink passes the sink conformance kit."""
    await check(partial(subject, make))


class PublishSubject(Subject):
    """A publishing sink for the conformance kit, with its broker."""

    def __init__(self, sink: SinkConnector, broker: MemoryBroker) -> None:
        super().__init__(sink, [])
        self.broker = broker

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record for a topic that does not exist."""
        return attrs.evolve(self.record(number), topic="nowhere")

    async def stored(self) -> list[int]:
        """Return the numbers of the published messages."""
        return [int(stored.message.payload) for stored in self.broker.messages]


@asynccontextmanager
async def publish_subject() -> AsyncGenerator[sink_conformance.SinkSubject]:
    """Create a publishing sink for the conformance kit."""
    broker = MemoryBroker(["numbers"])
    async with AsyncConnectorManager([Service("events")]) as manager:
        yield PublishSubject(PublishSink(manager, broker.async_publisher("events")), broker)


@pytest.mark.parametrize("check", sink_conformance.CHECKS, ids=name_of)
async def test_publishing_sink_passes_sink_conformance_kit(check: sink_conformance.Check) -> None:
    """The publishing sink passes the sink conformance kit."""
    await check(publish_subject)
