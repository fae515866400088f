"""Running pipelines until their sources end, or until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import attrs
import pytest

from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    InvalidData,
    Pipeline,
    PipelineState,
    Service,
    SinkRecord,
    TopicNotFound,
    run_pipelines,
)
from moorage.pipelines.publishing import DeadLetterTopic, PublishSink
from moorage.pipelines.running import run_in_limited_loop
from moorage.testing import MemoryBroker, MemorySink, MemorySource, make_records


def test_run_returns_reports_in_the_order_of_the_pipelines() -> None:
    """`run` returns the reports of pipelines whose sources end, in the pipelines' order."""
    reports = run_pipelines(
        lambda: [
            Pipeline("orders", MemorySource(make_records(count)), MemorySink()) for count in (3, 2)
        ]
    )
    assert [3, 2] == [report.statistics.processed for report in reports]
    assert [] == run_pipelines(list)


def _earlier(number: int, frame: object) -> None:
    """Do nothing: a signal handler that must be restored later."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, _earlier])
def test_signal_ends_pipelines(number: signal.Signals, handler: Any) -> None:
    """A signal stops all pipelines cleanly; afterwards the previous handler is restored."""

    def make_pipelines() -> list[Pipeline]:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        return [
            Pipeline(name, MemorySource([], is_endless=True), MemorySink()) for name in ("a", "b")
        ]

    before = signal.signal(number, handler)
    try:
        reports = run_pipelines(make_pipelines)
        assert handler == signal.getsignal(number)
    finally:
        signal.signal(number, before)
    assert [True, True] == [report.is_clean for report in reports]


def test_pipelines_run_outside_the_main_thread() -> None:
    """Pipelines also run outside the main thread, where signals cannot be handled."""
    states: list[PipelineState] = []

    def run() -> None:
        [report] = run_pipelines(lambda: [Pipeline("a", MemorySource([]), MemorySink())])
        states.append(report.statistics.state)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert [PipelineState.STOPPED] == states


def test_run_waits_for_no_thread_and_no_task() -> None:
    """`run` returns even if a thread hangs and a task ignores its cancellation."""
    may_end = threading.Event()

    async def ignore_cancellation() -> None:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    async def main() -> tuple[asyncio.Task[None], asyncio.AbstractEventLoop]:
        hanging = asyncio.get_running_loop().run_in_executor(None, may_end.wait)
        del hanging
        task = asyncio.create_task(ignore_cancellation())
        await asyncio.sleep(0)
        return task, asyncio.get_running_loop()

    task, loop = run_in_limited_loop(main())
    assert (False, True) == (task.done(), loop.is_closed())
    may_end.set()
    # Otherwise asyncio would log that the task was destroyed, in whichever test runs then.
    loop.set_exception_handler(lambda *_: None)


HANGING = """
import asyncio, os, signal, sys, time
from moorage import Pipeline, PipelineConfig, RecordSink, run_pipelines
from moorage.testing import MemorySource, make_records

def hang():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(3_600)

async def sink(record):
    await asyncio.to_thread(hang)

config = PipelineConfig(drain=0.01)
[report] = run_pipelines(
    lambda: [Pipeline("a", MemorySource(make_records(1)), RecordSink(sink), config=config)]
)
sys.exit(0 if report.is_clean else 5)
"""


def test_process_of_a_program_ends_although_a_thread_hangs() -> None:
    """A program that runs pipelines exits by itself, even if a thread of its sink hangs."""
    assert 5 == subprocess.run([sys.executable, "-c", HANGING], timeout=120, check=False).returncode


def test_failure_of_one_pipeline_ends_the_others() -> None:
    """If one pipeline fails, the others stop cleanly before its error is raised."""
    other_pipelines: list[Pipeline] = []

    def make_pipelines() -> list[Pipeline]:
        failing = MemorySource([])
        failing.fail(AuthenticationFailed("no"), method="open")
        other_pipelines.append(Pipeline("b", MemorySource([], is_endless=True), MemorySink()))
        return [Pipeline("a", failing, MemorySink()), *other_pipelines]

    with pytest.raises(AuthenticationFailed):
        run_pipelines(make_pipelines)
    assert PipelineState.STOPPED is other_pipelines[0].statistics().state


async def test_records_are_published() -> None:
    """A publishing sink keeps key, attributes, type, id and order of records."""
    broker = MemoryBroker(["orders", "small"])
    records = make_records(4, keys=2)

    def topic(record: SinkRecord) -> str:
        return "small" if record.json()["number"] < 2 else "orders"

    async with AsyncConnectorManager([Service("events")]) as manager:
        publisher = broker.async_publisher("events")
        sink = PublishSink(manager, publisher, topic)
        report = await Pipeline("copy", MemorySource(records), sink).run()
        await Pipeline("copy", MemorySource(records), PublishSink(manager, publisher)).run()
        await Pipeline(
            "copy", MemorySource(records), PublishSink(manager, publisher, "small")
        ).run()
    assert 4 == report.statistics.processed
    topics = [stored.topic for stored in broker.messages]
    assert ["small"] * 2 + ["orders"] * 6 + ["small"] * 4 == topics
    message = broker.messages[0].message
    assert (records[0].payload, b"key-0", "application/json") == (
        message.payload,
        message.key,
        message.content_type,
    )


async def test_dead_letters_are_published() -> None:
    """A published dead letter has the original payload and key, and its latest error in headers."""
    broker = MemoryBroker(["failed"])
    async with AsyncConnectorManager([Service("events")]) as manager:
        letters = DeadLetterTopic(manager, broker.async_publisher("events"), "failed")
        sink = MemorySink(lambda _: InvalidData("no total\nat all"))
        [record] = make_records(1, keys=1)
        source = MemorySource([record])
        await Pipeline("orders", source, sink, dead_letters=letters).run()
        [stored] = broker.messages
        assert (record.payload, record.key) == (stored.message.payload, stored.message.key)
        headers = dict(stored.message.headers)
        assert "no total at all" == headers["dead-letter-message"]
        assert "InvalidData" == headers["dead-letter-error"]
        assert "0" == headers["dead-letter-offset"]
        assert "1" == headers["dead-letter-attempts"]
        assert "orders" == headers["dead-letter-topic"] == headers["dead-letter-pipeline"]

        copied_record = attrs.evolve(record, attributes=(("trace", "1"), *stored.message.headers))
        sink = MemorySink(lambda _: InvalidData("still no total"))
        await Pipeline("retry", MemorySource([copied_record]), sink, dead_letters=letters).run()
        names = [name for name, _ in broker.messages[1].message.headers]
        headers = dict(broker.messages[1].message.headers)
        assert len(names) == len(headers)
        assert ("1", "retry") == (headers["trace"], headers["dead-letter-pipeline"])
        assert "still no total" == headers["dead-letter-message"]

        lost = DeadLetterTopic(manager, broker.async_publisher("events"), "nowhere")
        source = MemorySource([record])
        with pytest.raises(TopicNotFound):
            await Pipeline("orders", source, sink, dead_letters=lost).run()
        assert [] == source.committed
