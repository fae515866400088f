"""Checkpoints of pipelines, and sources that continue after them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    ConnectionFailed,
    InvalidData,
    LocalFailure,
    Pipeline,
    PipelineConfig,
    PollLimits,
    RetryPolicy,
    SourceRecord,
    StateCheckpoints,
)
from moorage.domain.pipelines.checkpoints import (
    AdvanceCheckpoint,
    BeginCheckpoint,
    checkpoint_key,
)
from moorage.pipelines.checkpoints import PollingSource
from moorage.testing import MemorySink
from moorage.wiring.store_urls import aopen_storage
from tests.pipelines.pipeline_waiting import until
from tests.support.servers import mariadb_url, postgres_url, redis_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.domain.pipelines.records import Offset
    from moorage.domain.state.commands import States

STORES: dict[str, Callable[[Path], str]] = {
    "memory": lambda _: "memory:",
    "sqlite": lambda folder: f"sqlite:///{folder}/state.db",
    "redis": lambda _: redis_url(),
    "postgresql": lambda _: postgres_url(),
    "mariadb": lambda _: mariadb_url(),
}
QUICK_RETRIES = RetryPolicy(base_delay=0.0001, max_delay=0.0001)
KEY = checkpoint_key("orders")
MANY = PollLimits(1_000, 1_000_000, 0.001)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 9))))
def test_only_the_last_owner_stores_positions(actions: list[tuple[str, int, int]]) -> None:
    """Only the worker that began last can store positions; the next worker resumes there."""
    states: States = (None,)
    epochs: dict[str, int] = {}
    stored: dict[str, Offset] = {}
    last = ""
    for owner, kind, offset in actions:
        if kind == 0:
            states, ownership = BeginCheckpoint(KEY, owner).apply(states, 1)
            epochs[owner] = ownership.epoch
            last = owner
            assert max(epochs.values()) == ownership.epoch
            assert stored == ownership.positions
        else:
            command = AdvanceCheckpoint(KEY, epochs.get(owner, 99), {str(kind): offset})
            states, is_stored = command.apply(states, 1)
            assert is_stored == (bool(last) and owner == last)
            if is_stored:
                stored[str(kind)] = offset


@pytest.mark.parametrize("store", STORES)
async def test_positions_outlive_the_worker_and_only_the_last_can_move_them(
    store: str, tmp_path: Path
) -> None:
    """In every store, positions outlive the worker, and only the last worker can move them."""
    name = f"orders-{tmp_path.name}-{id(tmp_path)}"
    async with opened(STORES[store](tmp_path)) as storage:
        checkpoints = StateCheckpoints(storage)
        first, positions = await checkpoints.begin(name)
        assert {} == positions
        await checkpoints.advance(name, first, {"0": 17, "late": "a-1"})
        second, positions = await checkpoints.begin(name)
        assert {"0": 17, "late": "a-1"} == positions
        assert second > first
        with pytest.raises(LocalFailure, match="taken over the checkpoint"):
            await checkpoints.advance(name, first, {"0": 18})
        await checkpoints.advance(name, second, {"0": 19})
        assert {"0": 19, "late": "a-1"} == (await checkpoints.begin(name))[1]


class opened:  # noqa: N801 - it is used as a function
    """Opens the store of a URL, with its tables, for the duration of a block."""

    def __init__(self, url: str) -> None:
        self._storage = aopen_storage(url)

    async def __aenter__(self) -> Any:
        migrate = getattr(self._storage, "migrate", None)
        if migrate is not None:
            await migrate()
        return self._storage

    async def __aexit__(self, *_: object) -> None:
        close = getattr(self._storage, "aclose", None) or getattr(self._storage, "close", None)
        if close is not None:
            outcome = close()
            if asyncio.iscoroutine(outcome):
                await outcome


def numbers_after(
    count: int, size: int = 3
) -> Callable[[Offset | None], list[SourceRecord] | None]:
    """Return a fetch function that yields the numbers after a position in small groups."""

    def fetch(position: Offset | None) -> list[SourceRecord] | None:
        first = 0 if position is None else int(position) + 1
        if first >= count:
            return None
        last = min(first + size, count)
        return [SourceRecord.of_json(n, offset=n) for n in range(first, last)]

    return fetch


async def test_source_continues_after_its_position() -> None:
    """After a stop in the middle, a pipeline continues after its position and repeats nothing."""
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    seen = MemorySink(lambda record: None if record.json() < 5 else LocalFailure("stop here"))
    settings = PipelineConfig(retry=QUICK_RETRIES)
    with pytest.raises(LocalFailure, match="stop here"):
        await Pipeline(
            "numbers",
            PollingSource("numbers", numbers_after(10), checkpoints),
            seen,
            config=settings,
        ).run()
    rest = MemorySink()
    source = PollingSource("numbers", numbers_after(10), checkpoints)
    await Pipeline("numbers", source, rest, config=settings).run()
    assert [0, 1, 2, 3, 4] == seen.values
    assert [5, 6, 7, 8, 9] == rest.values
    assert "numbers/9" == rest.records[-1].identity


async def test_async_fetch_function_is_called_again_after_a_temporary_failure() -> None:
    """After a temporary failure an async fetch function is called again with its position."""
    failures = [ConnectionFailed("away"), ConnectionFailed("away")]
    positions: list[Offset | None] = []
    numbers = numbers_after(7)

    async def fetch(position: Offset | None) -> list[SourceRecord] | None:
        positions.append(position)
        if position == 2 and failures:
            raise failures.pop()
        return numbers(position)

    sink = MemorySink()
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    settings = PipelineConfig(reconnect=QUICK_RETRIES)
    source = PollingSource("numbers", fetch, checkpoints)
    report = await Pipeline("numbers", source, sink, config=settings).run()
    assert set(range(7)) == {*sink.values}
    assert 2 == report.statistics.reconnects
    assert None is positions[0]


async def test_source_waits_for_records() -> None:
    """If a polling source finds no records, it queries again after its interval."""
    answers = [[], [SourceRecord.of_json(1, offset=1)], None]

    async def fetch(_: Offset | None) -> Any:
        return answers.pop(0)

    sink = MemorySink()
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    source = PollingSource("numbers", fetch, checkpoints, interval=0.001)
    await Pipeline("numbers", source, sink).run()
    assert [1] == sink.values


async def test_polls_of_fetched_records_are_bounded() -> None:
    """Fetched records beyond the limits of a poll are returned by the next poll."""
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    source = PollingSource("numbers", numbers_after(9, size=9), checkpoints)
    await source.open(ignore_records)
    counts = [
        len(await source.poll(limits) or [])
        for limits in (PollLimits(4, 1_000, 1.0), PollLimits(9, 2, 1.0), PollLimits(9, 0, 1.0))
    ]
    assert [4, 2, 1] == counts
    await source.extend([])
    await source.release([])
    await source.close()


async def test_position_can_be_moved() -> None:
    """After seeking, a source continues after the new position, also when it is opened again."""
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    source = PollingSource("numbers", numbers_after(9), checkpoints)
    await source.open(ignore_records)
    await source.seek(("numbers", None), 6)
    assert [7, 8] == [record.json() for record in await source.poll(MANY) or []]
    await source.open(ignore_records)
    assert [7, 8] == [record.json() for record in await source.poll(MANY) or []]


async def test_record_without_an_offset_is_refused() -> None:
    """A polled record without an offset stops the pipeline, which could not store its position."""
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    source = PollingSource("numbers", lambda _: [SourceRecord(b"1")], checkpoints)
    with pytest.raises(InvalidData, match="has no offset"):
        await Pipeline("numbers", source, MemorySink()).run()


async def test_second_worker_stops_the_first() -> None:
    """Of two workers for one pipeline the earlier stops, and does not move the position back."""
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    may_go = asyncio.Event()

    class SlowSink(MemorySink):
        async def process_batch(self, records: Any, /) -> Any:
            await may_go.wait()
            return await super().process_batch(records)

    first = Pipeline("numbers", PollingSource("numbers", numbers_after(3), checkpoints), SlowSink())
    run_task = asyncio.create_task(first.run())
    await until(lambda: first.statistics().received > 0)
    await Pipeline(
        "numbers", PollingSource("numbers", numbers_after(3), checkpoints), MemorySink()
    ).run()
    may_go.set()
    with pytest.raises(LocalFailure, match="taken over"):
        await run_task


async def ignore_records(_: Any) -> None:
    """Ignore the records."""


async def test_fetch_function_is_called_at_its_interval() -> None:
    """After an empty answer, the fetch function is not called again before the interval is over."""
    calls: list[Offset | None] = []

    async def fetch(position: Offset | None) -> list[SourceRecord]:
        calls.append(position)
        return []

    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    source = PollingSource("orders", fetch, checkpoints, interval=86_400)
    await source.open(_ignore_revocation)
    for _ in range(3):
        assert [] == await source.poll(MANY)
    assert [None] == calls
    await source.seek(("orders", None), 5)
    assert [] == await source.poll(MANY)
    assert [None, 5] == calls
    await source.open(_ignore_revocation)
    assert [] == await source.poll(MANY)
    assert [None, 5, 5] == calls


async def _ignore_revocation(_: object) -> None:
    """Do nothing when partitions are revoked."""


@pytest.mark.parametrize(
    "outcome", [5, SourceRecord.of_json(1, offset=1), {"a": 1}, "abc", [None], [{"offset": 1}]]
)
async def test_function_that_returns_no_records_stops_the_pipeline(outcome: Any) -> None:
    """If the function of a source returns something else than records, the error says so."""
    source = PollingSource("shop", lambda _: outcome, StateCheckpoints(aopen_storage("memory:")))
    with pytest.raises(LocalFailure, match=r"function of the source 'shop' returned an? "):
        await Pipeline("orders", source, MemorySink()).run()


async def test_function_may_return_a_generator() -> None:
    """A generator of records is used like a list, even if it is empty."""
    outcomes: list[Any] = [
        (SourceRecord.of_json(number, offset=number) for number in range(2)),
        iter(()),
        None,
    ]
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    source = PollingSource("shop", lambda _: outcomes.pop(0), checkpoints, interval=0.001)
    sink = MemorySink()
    await Pipeline("orders", source, sink).run()
    assert [0, 1] == sink.values
