"""Pipelines with fakes: no record is lost, commits leave no gap, keys stay in order."""

from __future__ import annotations

import asyncio
import weakref
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import ceil, log2
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    BatchLimits,
    BatchSink,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    Jitter,
    LocalFailure,
    Pipeline,
    PipelineConfig,
    PipelineState,
    RateLimitExceeded,
    RecordSink,
    Result,
    RetryPolicy,
    SinkRecord,
    SourceRecord,
)
from moorage.testing import MemoryDeadLetters, MemorySink, MemorySource, make_records
from tests.pipelines.pipeline_waiting import until
from tests.pipelines.quick_pipelines import QUICK_RETRIES, config, run
from tests.simulation import virtual_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage import PollLimits


def is_bad(numbers: set[int]) -> Callable[[SinkRecord], Exception | None]:
    """Return a function that refuses records with these numbers."""
    return lambda record: InvalidData("bad") if record.json()["number"] in numbers else None


@pytest.mark.parametrize("commits", ["each", "prefix"])
@pytest.mark.parametrize("lanes", [1, 4])
async def test_each_record_reaches_the_sink(commits: Literal["each", "prefix"], lanes: int) -> None:
    """Every record of a source that ends reaches the sink and is committed."""
    records = make_records(1_000, keys=7, partitions=3)
    source, sink = MemorySource(records, commits=commits), MemorySink()
    settings = config(lanes=lanes, records_in_flight=100, batch=BatchLimits(records=10))
    report = await run(Pipeline("orders", source, sink, config=settings))

    assert report.is_clean
    assert set(records) == set(sink.records)
    assert 1_000 == len(sink.records) == report.statistics.processed == report.statistics.received
    assert 1_000 == report.statistics.committed
    assert 0 == report.statistics.records_in_flight == report.statistics.size_in_flight
    assert PipelineState.STOPPED is report.statistics.state
    assert max(sink.batches) <= 10
    assert not source.is_open
    assert not sink.is_open
    if commits == "each":
        assert set(records) == set(source.committed)
    else:
        last = {record.place: record.offset for record in source.committed}
        assert {("orders", 0): 333, ("orders", 1): 332, ("orders", 2): 332} == last


async def test_order_of_a_key_holds() -> None:
    """Records of one key reach the sink in order, despite retries, halved batches and lanes."""
    failed: dict[bytes, int] = defaultdict(int)

    def failure_of(record: SinkRecord) -> Exception | None:
        number = record.json()["number"]
        if number % 31 == 0:
            return InvalidData("bad")
        failed[record.payload] += 1
        return ConnectionFailed("shaky") if number % 7 == 0 and failed[record.payload] < 3 else None

    sink, letters = MemorySink(failure_of, reports_each_record=False), MemoryDeadLetters()
    source = MemorySource(make_records(600, keys=9))
    settings = config(lanes=5, batch=BatchLimits(records=16))
    await run(Pipeline("orders", source, sink, dead_letters=letters, config=settings))

    by_key = defaultdict(list)
    for record in sink.records:
        by_key[record.key].append(record.json()["number"])
    assert 9 == len(by_key)
    assert all(sorted(numbers) == numbers for numbers in by_key.values())
    assert [number for number in range(600) if number % 31] == sorted(
        chain.from_iterable(by_key.values())
    )
    assert 20 == len(letters.letters)


@pytest.mark.parametrize("reports_each_record", [True, False])
async def test_bad_records_become_dead_letters(reports_each_record: bool) -> None:
    """Exactly the bad records of a batch become dead letters; all others are written once."""
    bad = {0, 7, 8, 250, 499}
    sink, letters = (
        MemorySink(is_bad(bad), reports_each_record=reports_each_record),
        MemoryDeadLetters(),
    )
    source = MemorySource(make_records(500))
    report = await run(Pipeline("orders", source, sink, dead_letters=letters, config=config()))

    assert sorted(bad) == [letter.record.json()["number"] for letter in letters.letters]
    assert [number for number in range(500) if number not in bad] == [
        value["number"] for value in sink.values
    ]
    assert 5 == report.statistics.dead_letters
    maximum = 1 + 2 * 5 * ceil(log2(500 / 5)) + 2 * 5
    assert len(sink.batches) <= (1 if reports_each_record else maximum)
    assert 499 == source.committed[-1].offset


async def test_dead_letter_has_error_and_attempts() -> None:
    """A dead letter has the original record, the error and the number of attempts."""

    def shorten(record: SinkRecord) -> SinkRecord:
        return attrs.evolve(record, payload=b"1")

    letters = MemoryDeadLetters()
    [record] = make_records(1)
    sink = MemorySink(lambda _: ConnectionFailed("away"))
    pipeline = Pipeline(
        "orders",
        MemorySource([record]),
        sink,
        transforms=[shorten],
        dead_letters=letters,
        config=config(exhausted="dead_letter"),
    )
    await run(pipeline)

    [letter] = letters.letters
    assert ("orders", record, "ConnectionFailed", "away", 3) == (
        letter.pipeline,
        letter.record,
        letter.error,
        letter.message,
        letter.attempts,
    )
    assert letter.at.tzinfo is not None
    assert [1, 1, 1] == sink.batches


@pytest.mark.parametrize("error", [InvalidData("bad"), KeyError("total"), ValueError("bad")])
async def test_first_bad_record_stops_a_pipeline_without_dead_letters(error: Exception) -> None:
    """Without a dead-letter queue, the first bad record stops the pipeline and is not committed."""
    source = MemorySource(make_records(10))
    sink = MemorySink(lambda record: error if record.json()["number"] == 4 else None)
    pipeline = Pipeline("orders", source, sink, config=config())
    with pytest.raises(type(error)):
        await run(pipeline)
    assert 3 == source.committed[-1].offset
    assert [4] == [record.json()["number"] for record in source.released][:1]
    assert PipelineState.FAILED is pipeline.statistics().state
    assert type(error).__name__ in str(pipeline.statistics().last_error)


async def test_only_the_beginning_of_a_long_message_is_kept() -> None:
    """A sink's long error message is shortened in the statistics, which workers report often."""
    sink = MemorySink(lambda _: ValueError("long " * 100_000))
    pipeline = Pipeline("orders", MemorySource(make_records(1)), sink, config=config())
    with pytest.raises(ValueError, match="long"):
        await run(pipeline)
    text = str(pipeline.statistics().last_error)
    assert text.startswith("ValueError: long ")
    assert len(text) < 1_000


async def test_final_error_stops_the_pipeline() -> None:
    """A final error such as a wrong password stops the pipeline, even during a batch."""
    source = MemorySource(make_records(10))
    sink = MemorySink(
        lambda record: AuthenticationFailed("no") if record.json()["number"] == 4 else None
    )
    letters = MemoryDeadLetters()
    with pytest.raises(AuthenticationFailed):
        await run(Pipeline("orders", source, sink, dead_letters=letters, config=config()))
    assert [] == letters.letters
    assert 3 == source.committed[-1].offset


@pytest.mark.parametrize("exhausted", ["retry", "stop"])
async def test_pipeline_waits_or_stops_at_a_lasting_outage_as_configured(exhausted: str) -> None:
    """If a temporary failure outlasts the retries, the pipeline waits or stops, as configured."""
    failures = [ConnectionFailed("away") for _ in range(10)]
    source = MemorySource(make_records(3))
    sink = MemorySink(lambda _: failures.pop() if failures else None)
    pipeline = Pipeline("orders", source, sink, config=config(exhausted=exhausted))
    if exhausted == "stop":
        with pytest.raises(ConnectionFailed):
            await run(pipeline)
        assert [] == source.committed
    else:
        report = await run(pipeline)
        assert 3 == report.statistics.processed
        assert report.statistics.retried > 3


async def test_sink_may_say_when_to_come_back() -> None:
    """If a sink requests a pause, the pipeline waits that long, up to the policy's maximum."""
    errors: list[Exception] = [RateLimitExceeded("later")]
    errors[0].retry_at = None  # type: ignore[attr-defined]  # it names no time
    sink = MemorySink(lambda _: errors.pop() if errors else None)
    report = await run(Pipeline("orders", MemorySource(make_records(1)), sink, config=config()))
    assert 1 == report.statistics.retried


async def test_records_that_the_sink_did_not_try_are_sent_again() -> None:
    """Records that the sink did not try are sent again after the failed record was settled."""
    calls: list[list[int]] = []

    async def store(record: SinkRecord) -> None:
        number = record.json()["number"]
        calls.append([number])
        if number == 2:
            raise InvalidData("bad")

    letters = MemoryDeadLetters()
    source = MemorySource(make_records(5))
    await run(Pipeline("orders", source, RecordSink(store), dead_letters=letters, config=config()))
    assert [[0], [1], [2], [3], [4]] == calls
    assert 1 == len(letters.letters)


async def test_only_records_that_failed_temporarily_are_sent_again() -> None:
    """If some records of a batch fail temporarily, only these are sent again."""
    failures = {3: 2, 5: 1}

    def failure_of(record: SinkRecord) -> Exception | None:
        number = record.json()["number"]
        if failures.get(number):
            failures[number] -= 1
            return ConnectionFailed("shaky")
        return None

    sink = MemorySink(failure_of)
    report = await run(Pipeline("orders", MemorySource(make_records(8)), sink, config=config()))
    assert [8, 2, 1] == sink.batches
    assert [0, 1, 2, 4, 6, 7, 5, 3] == [value["number"] for value in sink.values]
    assert 8 == report.statistics.processed


@pytest.mark.parametrize("results", [[], [Result(), Result()]])
async def test_wrong_number_of_results_stops_the_pipeline(results: list[Result[object]]) -> None:
    """If a sink returns a wrong number of results, the pipeline stops with an explanation."""
    source = MemorySource(make_records(1))
    pipeline = Pipeline("orders", source, BatchSink(lambda _: results), config=config())
    with pytest.raises(LocalFailure, match=f"{len(results)} results for 1 records"):
        await run(pipeline)
    assert [] == source.committed


async def test_transforms_run_in_order_and_may_drop_records() -> None:
    """Transforms run in order, may drop records, and may be asynchronous."""

    def doubled_record(record: SinkRecord) -> SinkRecord:
        return attrs.evolve(record, payload=str(2 * record.json()["number"]))

    async def only_small(record: SinkRecord) -> SinkRecord | None:
        await asyncio.sleep(0)
        return record if record.json() < 10 else None

    sink, source = MemorySink(), MemorySource(make_records(8))
    pipeline = Pipeline(
        "orders", source, sink, transforms=[doubled_record, only_small], config=config()
    )
    report = await run(pipeline)
    assert [0, 2, 4, 6, 8] == sink.values
    assert 3 == report.statistics.dropped
    assert 7 == source.committed[-1].offset


async def test_record_that_a_transform_cannot_process_becomes_a_dead_letter() -> None:
    """A record that a transform cannot process becomes a dead letter."""

    def read(record: SinkRecord) -> SinkRecord:
        return attrs.evolve(record, payload=record.json()["total"])

    letters, source = MemoryDeadLetters(), MemorySource(make_records(2))
    pipeline = Pipeline(
        "orders", source, MemorySink(), transforms=[read], dead_letters=letters, config=config()
    )
    await run(pipeline)
    assert ["KeyError", "KeyError"] == [letter.error for letter in letters.letters]
    assert 1 == source.committed[-1].offset


async def test_many_dead_letters_in_a_row_stop_the_pipeline() -> None:
    """Many consecutive dead letters stop the pipeline, so that a bug does not empty the topic."""
    letters, source = MemoryDeadLetters(), MemorySource(make_records(10))
    pipeline = Pipeline(
        "orders",
        source,
        MemorySink(lambda _: TypeError("a mistake")),
        dead_letters=letters,
        config=config(dead_letters_in_a_row=3),
    )
    with pytest.raises(LocalFailure, match="4 records in a row"):
        await run(pipeline)
    assert 3 == len(letters.letters)
    assert 2 == source.committed[-1].offset


async def test_pipeline_commits_nothing_while_dead_letters_cannot_be_stored() -> None:
    """While dead letters cannot be stored, the pipeline waits or stops, and commits nothing."""
    letters, source = MemoryDeadLetters(), MemorySource(make_records(2))
    letters.fail(ConnectionFailed("away"), ConnectionFailed("away"))
    sink = MemorySink(is_bad({0, 1}))
    await run(Pipeline("orders", source, sink, dead_letters=letters, config=config()))
    assert 2 == len(letters.letters)

    letters, source = MemoryDeadLetters(), MemorySource(make_records(2))
    letters.fail(InvalidData("too large"))
    with pytest.raises(InvalidData, match="too large"):
        await run(Pipeline("orders", source, sink, dead_letters=letters, config=config()))
    assert [] == source.committed


@pytest.mark.parametrize("commits", ["each", "prefix"])
async def test_source_that_fails_is_opened_again(commits: Literal["each", "prefix"]) -> None:
    """After a lost connection the source is reopened, and only uncommitted records come again."""
    records = make_records(200, keys=5)
    source, sink = MemorySource(records, commits=commits), MemorySink()
    source.fail(ConnectionFailed("away"), method="open")
    source.fail(ConnectionFailed("lost"), ConnectionFailed("lost"))
    settings = config(records_in_flight=20, batch=BatchLimits(records=3), lanes=2)
    pipeline = Pipeline("orders", source, sink, config=settings)
    source.fail(ConnectionFailed("shaky"), method="commit")
    report = await run(pipeline)

    assert set(records) == set(sink.records)
    assert 2 == report.statistics.reconnects
    assert 0 == report.statistics.retried
    assert 199 == source.committed[-1].offset or commits == "each"
    assert commits == "prefix" or set(records) == set(source.committed)


@pytest.mark.parametrize(
    "error, is_early",
    [
        (ConnectionFailed("lost"), True),
        (RateLimitExceeded("busy", retry_at=datetime.now(UTC) + timedelta(hours=1)), False),
    ],
)
def test_failed_commit_is_repeated_as_soon_as_the_source_is_open_again(
    error: Exception, is_early: bool
) -> None:
    """A reopened source ends the pause after a failed commit, unless the source requested it."""

    async def measure() -> float:
        source = MemorySource(make_records(1), is_endless=True)
        source.fail(error, method="commit")
        pause = RetryPolicy(base_delay=60.0, max_delay=60.0, jitter=Jitter.NONE)
        pipeline = Pipeline("orders", source, MemorySink(), config=config(retry=pause))
        run_task = asyncio.create_task(pipeline.run())
        await until(lambda: 1 <= pipeline.statistics().failed)
        source.fail(ConnectionFailed("lost"))
        source.add(make_records(2)[1:])
        await until(lambda: 1 <= pipeline.statistics().committed)
        pipeline.stop()
        await run_task
        return asyncio.get_running_loop().time()

    assert is_early == (virtual_loop.run(measure()) < 30.0)


@pytest.mark.parametrize("method", ["open", "poll", "commit"])
async def test_permanent_source_error_stops_the_pipeline(
    method: Literal["open", "poll", "commit"],
) -> None:
    """A permanent source error stops the pipeline."""
    source = MemorySource(make_records(3), is_endless=True)
    source.fail(AuthenticationFailed("no"), method=method)
    with pytest.raises(AuthenticationFailed):
        await run(Pipeline("orders", source, MemorySink(), config=config()))
    assert not source.is_open


async def test_wrong_sink_configuration_stops_the_pipeline_before_it_reads() -> None:
    """If the sink's configuration is wrong, the pipeline stops before it reads anything."""

    class FailingSink(MemorySink):
        async def open(self) -> None:
            raise ConfigurationError("There is no table.", path="table")

    source = MemorySource(make_records(3))
    with pytest.raises(ConfigurationError):
        await run(Pipeline("orders", source, FailingSink(), config=config()))
    assert 0 == source.polls


async def test_revoked_partition_is_not_committed() -> None:
    """If a partition is revoked, its running batch is committed; no other record begins."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()
    seen: list[object] = []

    async def store(records: Sequence[SinkRecord]) -> None:
        seen.extend(record.offset for record in records)
        has_begun.set()
        await may_end.wait()

    source = MemorySource(make_records(6), is_endless=True)
    pipeline = Pipeline(
        "orders", source, BatchSink(store), config=config(batch=BatchLimits(records=2))
    )
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    revoking = asyncio.create_task(source.revoke([("orders", 0)]))
    await asyncio.sleep(0)
    may_end.set()
    await revoking
    assert [1] == [record.offset for record in source.committed]
    await until(lambda: 5 == source.committed[-1].offset)
    pipeline.stop()
    await run_task
    assert [0, 1, 2, 3, 4, 5] == seen


async def test_revocation_does_not_wait_for_ever() -> None:
    """A batch that does not end before its partition is lost is not committed later."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()
    calls = 0

    async def store(records: Sequence[SinkRecord]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            has_begun.set()
            await may_end.wait()

    source = MemorySource(make_records(2, partitions=2), is_endless=True, commits="each")
    settings = config(drain=0.001, lanes=2, order="partition")
    pipeline = Pipeline("orders", source, BatchSink(store), config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    await source.revoke([("orders", 0), ("orders", 1)])
    first = list(source.committed)
    may_end.set()
    await until(lambda: 2 == len(source.committed))
    pipeline.stop()
    await run_task
    assert len(first) < 2
    assert {0, 1} == {record.partition for record in source.committed}


async def test_revoked_batch_is_not_tried_again() -> None:
    """A batch that fails while its partition is revoked is not retried."""
    has_begun, may_fail = asyncio.Event(), asyncio.Event()
    calls: list[list[object]] = []

    async def store(records: Sequence[SinkRecord]) -> None:
        calls.append([record.partition for record in records])
        if len(calls) == 1:
            has_begun.set()
            await may_fail.wait()
            raise ConnectionFailed("The sink is away.")

    source = MemorySource(make_records(4, partitions=2), is_endless=True)
    pipeline = Pipeline("orders", source, BatchSink(store), config=config(drain=0.001))
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    await pipeline._on_revoked([("orders", 0)])  # noqa: SLF001 - the source does not deliver it again
    may_fail.set()
    await until(lambda: len(calls) == 2)
    pipeline.stop()
    await run_task
    assert [[0, 1, 0, 1], [1, 1]] == calls


async def test_void_deliveries_are_forgotten_at_once() -> None:
    """After a lost connection, records delivered before it are not acknowledged."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def store(records: Sequence[SinkRecord]) -> None:
        has_begun.set()
        await may_end.wait()

    source = MemorySource(make_records(4), is_endless=True, commits="each")
    pipeline = Pipeline(
        "orders", source, BatchSink(store), config=config(batch=BatchLimits(records=2))
    )
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    await source.revoke()
    assert 0 == pipeline.statistics().records_in_flight
    may_end.set()
    await until(lambda: 4 == len(source.committed))
    pipeline.stop()
    report = await run_task
    assert 6 == report.statistics.processed
    assert 8 == report.statistics.received


async def test_memory_is_bounded() -> None:
    """With a slow sink, the source is read only up to the limits of records and bytes."""
    may_go = asyncio.Event()

    async def store(records: Sequence[SinkRecord]) -> None:
        await may_go.wait()

    source = MemorySource(make_records(1_000, payload=lambda _: "x" * 98))
    settings = config(records_in_flight=50, size_in_flight=2_000, batch=BatchLimits(records=5))
    pipeline = Pipeline("orders", source, BatchSink(store), config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: pipeline.statistics().size_in_flight > 1_000)
    for _ in range(100):
        await asyncio.sleep(0)
    statistics = pipeline.statistics()
    assert statistics.size_in_flight <= 2_000
    assert statistics.records_in_flight <= 20
    may_go.set()
    report = await run_task
    assert 1_000 == report.statistics.processed


async def test_large_record_passes_alone() -> None:
    """A record larger than every byte limit is processed in its own batch."""
    records = make_records(3, payload=lambda number: "x" * (5_000 if number == 1 else 1))
    settings = config(size_in_flight=1_000, batch=BatchLimits(size=1_000))
    sink = MemorySink()
    await run(Pipeline("orders", MemorySource(records), sink, config=settings))
    assert records == sink.records
    assert 3 == sum(sink.batches)


async def test_batches_wait_for_more_records() -> None:
    """An incomplete batch waits a little for further records, and is processed once it is full."""
    source, sink = MemorySource(make_records(2), is_endless=True), MemorySink()
    settings = config(batch=BatchLimits(records=4, wait=3600.0))
    pipeline = Pipeline("orders", source, sink, config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: 2 == pipeline.statistics().received)
    assert [] == sink.batches
    source.add(make_records(6)[2:])
    await until(lambda: bool(sink.batches))
    assert [4] == sink.batches
    pipeline.stop()
    report = await run_task
    assert 2 == report.statistics.released


@pytest.mark.parametrize("is_endless, wait", [(True, 0.001), (False, 3600.0)])
async def test_batch_does_not_wait_for_ever(is_endless: bool, wait: float) -> None:
    """An incomplete batch is processed after its waiting time, or when the source has ended."""
    source, sink = MemorySource(make_records(2), is_endless=is_endless), MemorySink()
    settings = config(batch=BatchLimits(wait=wait))
    pipeline = Pipeline("orders", source, sink, config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: 2 == len(sink.records))
    pipeline.stop()
    await run_task


async def test_lanes_run_at_the_same_time() -> None:
    """Batches of different lanes run at once; records without a key are spread over the lanes."""
    at_once = highest = 0

    async def store(records: Sequence[SinkRecord]) -> None:
        nonlocal at_once, highest
        at_once += 1
        highest = max(highest, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1

    for keys in (0, 50):
        highest = 0
        settings = config(lanes=8, batch=BatchLimits(records=1))
        source = MemorySource(make_records(64, keys=keys))
        await run(Pipeline("orders", source, BatchSink(store), config=settings))
        assert 8 == highest


@pytest.mark.parametrize("order", ["key", "partition"])
def test_keys_and_partitions_are_spread_evenly_over_the_lanes(order: str) -> None:
    """If there are at least as many keys or partitions as lanes, no lane has much more to do."""
    lanes, total, seconds = 32, 3_200, 0.01

    async def store(_: SinkRecord) -> None:
        await asyncio.sleep(seconds)

    records = [
        SinkRecord(b"1", key=str(number % 320).encode(), topic="orders", partition=number % 64)
        for number in range(total)
    ]
    source = MemorySource([attrs.evolve(record, offset=n) for n, record in enumerate(records)])
    settings = config(lanes=lanes, order=order, batch=BatchLimits(records=1))

    async def measure() -> float:
        time = asyncio.get_running_loop().time
        begin = time()
        await run(Pipeline("orders", source, RecordSink(store), config=settings))
        return time() - begin

    assert 0.9 < total * seconds / lanes / virtual_loop.run(measure())


async def test_returned_record_waits_for_its_key_although_other_lanes_are_free() -> None:
    """A record that is delivered again waits until its first, interrupted delivery has ended."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()
    under_way: list[bytes | None] = []

    async def store(records: Sequence[SinkRecord]) -> None:
        [record] = records
        assert record.key not in under_way
        under_way.append(record.key)
        has_begun.set()
        await may_end.wait()
        under_way.remove(record.key)

    source = MemorySource(make_records(1, keys=1), is_endless=True)
    settings = config(lanes=8, drain=0.001, batch=BatchLimits(records=1))
    pipeline = Pipeline("orders", source, BatchSink(store), config=settings)
    run_task = asyncio.create_task(run(pipeline))
    await has_begun.wait()
    await source.revoke([("orders", 0)])
    await until(lambda: 2 <= pipeline.statistics().received)
    may_end.set()
    await until(lambda: 1 <= pipeline.statistics().committed)
    pipeline.stop()
    assert (await run_task).is_clean


@pytest.mark.parametrize("outcome", [["x"], "x", True, SourceRecord.of_json(1)])
async def test_transform_that_returns_no_record_stops_the_pipeline(outcome: Any) -> None:
    """If a transform returns something else than a record, the pipeline's error names it."""
    sink = MemorySink()

    def double(_: SinkRecord) -> Any:
        return outcome

    source = MemorySource(make_records(3))
    pipeline = Pipeline(
        "orders", source, sink, transforms=[double], dead_letters=MemoryDeadLetters()
    )
    kind = type(outcome).__name__
    with pytest.raises(LocalFailure, match=f"double returned an? {kind}, which is not a record"):
        await run(pipeline)
    assert not sink.records
    assert not source.committed


@pytest.mark.parametrize("change", [{"offset": 9}, {"partition": 1}, {"topic": "others"}])
async def test_transform_may_not_change_a_position_that_the_sink_stores(
    change: dict[str, Any],
) -> None:
    """A sink that stores positions gets no record with another position than the source's."""

    class StoringSink(MemorySink):
        needs_one_lane = True

    def changed(record: SinkRecord) -> SinkRecord:
        return attrs.evolve(record, **change)

    for sink in (MemorySink(), StoringSink()):
        pipeline = Pipeline("orders", MemorySource(make_records(3)), sink, transforms=[changed])
        if isinstance(sink, StoringSink):
            with pytest.raises(LocalFailure, match="stores as the position of the source"):
                await run(pipeline)
            assert not sink.records
        else:
            await run(pipeline)
            assert 3 == len(sink.records)


@pytest.mark.parametrize("outcome", [True, 3, "ok", {"a": 1}, [True] * 3, [None] * 3])
async def test_sink_that_returns_no_results_stops_the_pipeline(outcome: Any) -> None:
    """If a sink returns something else than results, no record is repeated or set aside."""
    calls: list[int] = []
    letters = MemoryDeadLetters()

    async def store(records: Sequence[SinkRecord]) -> Any:
        calls.append(len(records))
        return outcome

    source = MemorySource(make_records(3))
    pipeline = Pipeline("orders", source, BatchSink(store), dead_letters=letters, config=config())
    kind = type(outcome).__name__
    with pytest.raises(LocalFailure, match=rf"returned an? {kind} that is not a list of results"):
        await run(pipeline)
    assert [3] == calls
    assert not letters.letters


async def test_sink_with_a_synchronous_method_stops_the_pipeline() -> None:
    """If `process_batch` is synchronous, an error is raised, and no dead letter is stored."""
    calls: list[int] = []

    class SyncSink(MemorySink):
        def process_batch(self, records: Sequence[SinkRecord], /) -> Any:
            calls.append(len(records))

    letters = MemoryDeadLetters()
    source = MemorySource(make_records(3))
    pipeline = Pipeline("orders", source, SyncSink(), dead_letters=letters)
    with pytest.raises(LocalFailure, match="sink SyncSink is not asynchronous"):
        await run(pipeline)
    assert [3] == calls
    assert not letters.letters


@pytest.mark.parametrize(
    "path, parts",
    [
        ("source", {"source": len}),
        ("sink", {"sink": len}),
        ("transforms", {"transforms": len}),
        ("transforms", {"transforms": "shop:priced"}),
        ("transforms", {"transforms": ["shop:priced"]}),
    ],
)
def test_wrong_parts_are_refused(path: str, parts: dict[str, Any]) -> None:
    """A function in place of a source, a sink or a list of transforms is refused by its name."""
    all_parts: dict[str, Any] = {"source": MemorySource([]), "sink": MemorySink()} | parts
    with pytest.raises(ConfigurationError) as error:
        Pipeline("orders", **all_parts)
    assert path == error.value.path


@pytest.mark.parametrize("lanes", [1, 3])
async def test_cancellation_that_nobody_asked_for_stops_the_pipeline(lanes: int) -> None:
    """If a sink waits for a task that is cancelled, the pipeline fails and commits nothing."""

    async def store(_: SinkRecord) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    source = MemorySource(make_records(9, keys=9), is_endless=True)
    pipeline = Pipeline("orders", source, RecordSink(store), config=config(lanes=lanes))
    with pytest.raises(LocalFailure, match="nobody had cancelled the pipeline"):
        await run(pipeline)
    assert not source.committed


@pytest.mark.parametrize("error", [OSError("away"), TimeoutError(), RuntimeError("busy")])
async def test_temporary_error_of_a_foreign_library_is_retried_in_a_source(
    error: Exception,
) -> None:
    """If a poll raises an error that is not a mistake of the program, the pipeline polls again."""
    source = MemorySource(make_records(3))
    source.fail(error)
    sink = MemorySink()
    pipeline = Pipeline("orders", source, sink, config=config())
    report = await run(pipeline)
    assert report.is_clean
    assert 3 == len(sink.records)
    assert 1 == report.statistics.reconnects


@pytest.mark.parametrize("error", [TypeError("not a str"), ValueError("wrong"), KeyError("id")])
async def test_mistake_in_a_source_stops_the_pipeline(error: Exception) -> None:
    """If a poll raises an error that every repetition would raise too, the pipeline fails."""
    source = MemorySource(make_records(3))
    source.fail(error)
    with pytest.raises(type(error)):
        await run(Pipeline("orders", source, MemorySink(), config=config()))


async def test_source_learns_which_records_are_in_progress() -> None:
    """A source whose deliveries expire is told which records are still being processed."""
    may_end = asyncio.Event()

    async def store(records: Sequence[SinkRecord]) -> None:
        await may_end.wait()

    source = MemorySource(make_records(3), extend_every=0.001)
    run_task = asyncio.create_task(run(Pipeline("orders", source, BatchSink(store))))
    await until(lambda: 3 == len(source.extended))
    may_end.set()
    await run_task


async def test_lag_is_measured_while_a_pipeline_runs() -> None:
    """The statistics show the source's lag only while the source is open.

    A measurement that fails has no other consequence.
    """
    source = MemorySource(make_records(3), is_endless=True)
    source.fail(ConnectionFailed("The broker does not answer."), method="open")
    failures = (ConnectionFailed("The broker does not answer."), KeyError("lag"))
    source.fail(*failures, method="lag")
    pipeline = Pipeline(
        "orders", source, MemorySink(), config=config(measure_every=0.001, reconnect=QUICK_RETRIES)
    )
    assert pipeline.statistics().lag is None
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: 0 == pipeline.statistics().lag)
    pipeline.stop()
    report = await run_task

    assert report.is_clean
    assert (3, None) == (report.statistics.processed, report.statistics.lag)


async def test_sink_is_flushed_before_each_commit() -> None:
    """The sink is flushed before each commit of the source."""
    order: list[str] = []

    class BufferingSink(MemorySink):
        async def flush(self) -> None:
            order.append("flush")

    class CommitRecordingSource(MemorySource):
        async def commit(self, records: Sequence[SinkRecord], /) -> None:
            order.append("commit")
            await super().commit(records)

    await run(
        Pipeline("orders", CommitRecordingSource(make_records(3)), BufferingSink(), config=config())
    )
    assert ["flush", "commit"] == order[:2]
    assert order.count("commit") <= order.count("flush")


class ForgetfulSource(MemorySource):
    """A source that keeps only weak references to delivered records, and then waits."""

    def __init__(self, commits: Literal["each", "prefix"]) -> None:
        super().__init__([], commits=commits)
        self.delivered: list[weakref.ref[SinkRecord]] = []

    async def poll(self, _: PollLimits, /) -> list[SinkRecord]:
        """Deliver ten records once; then wait for ever."""
        if self.delivered:
            await asyncio.Event().wait()
        records = make_records(10)
        self.delivered += map(weakref.ref, records)
        return records

    async def commit(self, _: Sequence[SinkRecord], /) -> None:
        """Do nothing, so that nothing keeps a reference to a record."""


class ForgetfulSink(MemorySink):
    """A sink that keeps no records."""

    async def process_batch(self, records: Sequence[SinkRecord], /) -> Sequence[Result[object]]:
        """Do nothing, so that nothing keeps a reference to a record."""
        return [Result(None)] * len(records)


@pytest.mark.parametrize("commits", ["each", "prefix"])
async def test_waiting_pipeline_keeps_no_committed_records(
    commits: Literal["each", "prefix"],
) -> None:
    """A pipeline that waits for further records has no committed records in memory."""
    source = ForgetfulSource(commits)
    pipeline = Pipeline("orders", source, ForgetfulSink(), config=config())
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: pipeline.statistics().committed == 10)
    kept_records = [record for reference in source.delivered if (record := reference()) is not None]
    pipeline.stop()
    await run_task
    assert 10 == len(source.delivered)
    assert [] == kept_records


async def test_pipeline_runs_once() -> None:
    """Running a pipeline a second time is refused, with a remedy."""
    pipeline = Pipeline("orders", MemorySource([]), MemorySink())
    assert PipelineState.READY is pipeline.statistics().state
    await run(pipeline)
    with pytest.raises(LocalFailure, match="Create a new pipeline"):
        await pipeline.run()


@pytest.mark.parametrize("field, value", [("order", "none"), ("exhausted", "skip")])
def test_settings_are_checked(field: str, value: str) -> None:
    """A wrong value in the settings is refused; the error lists the possible values."""
    with pytest.raises(ConfigurationError, match="Use one of") as error:
        PipelineConfig(**{field: value})  # type: ignore[arg-type]  # that is the test
    assert field == error.value.path


async def test_poll_of_large_records_ends_at_its_byte_limit() -> None:
    """A poll of large records ends at its limit of bytes, so that it uses little memory."""
    source = MemorySource(make_records(3, payload=lambda _: "x" * 600))
    settings = config(size_in_flight=1_000)
    report = await run(Pipeline("orders", source, MemorySink(), config=settings))
    assert 3 == report.statistics.processed
    assert source.polls >= 4


async def test_extend_is_not_called_while_no_record_is_being_processed() -> None:
    """`extend` is not called while no record is being processed."""
    source = MemorySource([], is_endless=True, extend_every=0.0001)
    pipeline = Pipeline("orders", source, MemorySink(), config=config(poll_wait=0.001))
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: source.polls > 3)
    pipeline.stop()
    await run_task
    assert [] == source.extended


async def test_partition_without_records_is_revoked() -> None:
    """A partition that delivered no records can be revoked without an error."""
    source = MemorySource([], is_endless=True)
    pipeline = Pipeline("orders", source, MemorySink(), config=config())
    run_task = asyncio.create_task(run(pipeline))
    await until(lambda: source.polls > 0)
    await source.revoke([("orders", 7)])
    pipeline.stop()
    assert (await run_task).is_clean


async def test_memory_source_records_the_positions_that_seek_sets() -> None:
    """The memory source records the positions that `seek` sets."""
    source = MemorySource([])
    await source.seek(("orders", 0), 7)
    assert {("orders", 0): 7} == source.sought
