"""Sinks made from functions, and the threads that run synchronous functions."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from moorage import (
    BatchSink,
    ConfigurationError,
    InvalidData,
    Pipeline,
    RecordSink,
    Result,
    SinkRecord,
)
from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.testing import MemorySource, make_records

TENANT: ContextVar[str] = ContextVar("TENANT", default="nobody")


async def test_synchronous_function_runs_in_a_thread() -> None:
    """A synchronous sink function runs in a thread, with the caller's context variables."""
    threads: set[threading.Thread] = set()
    tenants: set[str] = set()

    def store(record: SinkRecord) -> None:
        threads.add(threading.current_thread())
        tenants.add(TENANT.get())

    TENANT.set("acme")
    report = await Pipeline("orders", MemorySource(make_records(3)), RecordSink(store)).run()
    assert 3 == report.statistics.processed
    assert threading.main_thread() not in threads
    assert {"acme"} == tenants


async def test_result_of_a_batch_function_applies_to_all_records() -> None:
    """A batch function gets a list of records, and its result or error applies to all of them."""
    batches: list[list[SinkRecord]] = []

    def store(records: list[SinkRecord]) -> list[Result[object]]:
        batches.append(records)
        return [Result() for _ in records]

    records = make_records(3)
    await Pipeline("orders", MemorySource(records), BatchSink(store)).run()
    assert [records] == batches

    def raise_error(records: list[SinkRecord]) -> None:
        raise InvalidData("bad")

    with pytest.raises(InvalidData, match="bad"):
        await Pipeline("orders", MemorySource(records), BatchSink(raise_error)).run()


async def test_object_with_a_coroutine_call_is_awaited() -> None:
    """If an object's `__call__` is a coroutine function, it is awaited in the event loop."""

    class Store:
        thread: threading.Thread | None = None

        async def __call__(self, record: SinkRecord) -> None:
            self.thread = threading.current_thread()

    store = Store()
    await Pipeline("orders", MemorySource(make_records(1)), RecordSink(store)).run()
    assert threading.main_thread() is store.thread


def test_sink_that_is_not_made_from_a_function_is_refused() -> None:
    """A sink that is not made from a function is refused."""
    with pytest.raises(ConfigurationError, match="is not a function"):
        RecordSink("store")  # type: ignore[arg-type]  # that is the test


async def test_thread_is_not_waited_for_if_its_caller_is_cancelled() -> None:
    """If the caller of a thread is cancelled, nothing waits for the thread."""
    has_begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def wait_for_release() -> None:
        has_begun.set()
        may_end.wait(60)
        ended.set()

    task = asyncio.create_task(run_in_thread(wait_for_release))
    await asyncio.sleep(0)
    assert has_begun.wait(60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()
    assert ended.wait(60)
    await asyncio.sleep(0)


def test_result_of_a_thread_that_outlives_its_event_loop_is_dropped() -> None:
    """If a thread outlives its event loop, the function's result is dropped."""
    may_end, ended = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def wait_for_release() -> None:
        threads.append(threading.current_thread())
        may_end.wait(60)
        ended.set()

    async def start() -> None:
        asyncio.create_task(run_in_thread(wait_for_release))  # noqa: RUF006 - it ends with the loop
        await asyncio.sleep(0)

    asyncio.run(start())
    may_end.set()
    assert ended.wait(60)
    threads[0].join(60)
    assert not threads[0].is_alive()
