"""Checks of a pipeline source that is the only consumer of its topic."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from moorage.domain.messages.message import Message
from moorage.domain.pipelines.batches import BatchLimits
from moorage.domain.pipelines.settings import PipelineConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.errors import ConnectorError, UnsupportedByVendor
from moorage.pipelines.pipeline import Pipeline
from moorage.ports.pipelines import PollLimits
from moorage.testing.fakes.pipelines import MemorySink
from moorage.testing.kits._source_harness import (
    KEYS,
    LIMITS,
    LONG,
    CommitWatch,
    Reader,
    numbered_messages,
    open_reader,
    payloads,
    require_order,
)
from moorage.testing.kits.checks import EventTooLate, patience, require, retrying_check, wait_soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.pipelines.records import Partition, SinkRecord
    from moorage.domain.pipelines.settings import PipelineReport
    from moorage.ports.pipelines import SourceConnector
    from moorage.testing.kits._source_harness import SourceSubject

_LARGE: Final = 10_000
_MEASURED: Final = 10
_MANY: Final = 120
_INTERRUPTIONS: Final = 3
_LOST: Final = "A pipeline does not carry every record."


async def messages_arrive_in_order(subject: SourceSubject) -> None:
    """Messages arrive with all fields, and messages with the same key arrive in order."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(30), content_type="text/plain")
        await subject.publish(messages)
        records = await reader.read(messages)
        require_order(records)
        identities = {record.identity for record in records}
        require(len(identities) == len(messages), "Two records have the same `identity`.")
        published = {message.payload: message for message in messages}
        for record in records:
            message = published[record.payload]
            for field in sorted(subject.keeps):
                expected, actual = getattr(message, field), getattr(record, field)
                require(expected == actual, f"The {field} {expected!r} arrived as {actual!r}.")


async def polls_are_bounded(subject: SourceSubject) -> None:
    """A poll returns no more records or bytes than its limits allow."""
    async with open_reader(subject) as reader:
        await subject.publish(numbered_messages(range(5)))
        total = 0
        async with asyncio.timeout(patience()):
            while total < 5:
                records = await reader.poll(PollLimits(2, 1_000_000, 0.05))
                require(len(records) <= 2, f"A poll for 2 records returned {len(records)}.")
                total += len(records)
        await reader.commit()
        await subject.publish([Message(b"x" * _LARGE)] * 10)
        bound = PollLimits(1, 1, patience())
        total = 0
        async with asyncio.timeout(patience()):
            while total < 10:
                sizes = [len(payload) for payload in payloads(await reader.poll(bound))]
                require(
                    sum(sizes[:-1]) < bound.size,
                    f"A poll for {bound.size} bytes returned {sum(sizes)}.",
                )
                total += len(sizes)
                bound = PollLimits(100, 2 * _LARGE, 0.05)


async def poll_without_records_ends(subject: SourceSubject) -> None:
    """A poll without records ends after its timeout, and the next poll works."""
    async with open_reader(subject) as reader:
        require(not await reader.poll(), "A poll of an empty topic returned records.")
        messages = numbered_messages(range(3))
        await subject.publish(messages)
        await reader.read(messages)


async def waiting_poll_returns_what_arrives(subject: SourceSubject) -> None:
    """A waiting poll returns as soon as a record arrives, without filling its limits."""
    async with open_reader(subject) as reader:
        waiting_poll = asyncio.ensure_future(reader.poll(LONG))
        await subject.publish(numbered_messages([1]))
        records = await wait_soon(
            waiting_poll, "A poll continues to wait although a message has arrived."
        )
        require(payloads(records) == [b"1"], "A waiting poll returned other records.")


async def done_records_do_not_come_back(subject: SourceSubject) -> None:
    """Committed records are not delivered again to the next consumer."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(10))
        await subject.publish(messages)
        await reader.read(messages, commit=True)
    await _require_nothing_but_new(subject)


async def _require_nothing_but_new(subject: SourceSubject) -> None:
    """Check that a new consumer receives only newly published messages."""
    async with open_reader(subject) as reader:
        marks = numbered_messages(range(1_000, 1_000 + 10))
        await subject.publish(marks)
        repeated_records = set(payloads(await reader.read(marks, commit=True))).difference(
            payloads(marks)
        )
    require(
        not repeated_records,
        f"Records were delivered again although they were committed: {sorted(repeated_records)}.",
    )


async def other_records_come_back(subject: SourceSubject) -> None:
    """Uncommitted records are delivered to the next consumer, and keep their ids."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(10))
        await subject.publish(messages)
        first = {record.payload: record.identity for record in await reader.read(messages)}
    async with open_reader(subject) as reader:
        repeated_records = {
            record.payload: record.identity for record in await reader.read(messages)
        }
    require(
        repeated_records == first, "A record has another `identity` when it is delivered again."
    )


async def a_commit_covers_only_its_records(subject: SourceSubject) -> None:
    """Records that were delivered before a commit, but are not part of it, are delivered again."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(10))
        await subject.publish(messages)
        await reader.read(messages)
        is_prefix = reader.source.commits == "prefix"
        groups: dict[Partition, list[SinkRecord]] = defaultdict(list)
        for record in reader.held:
            groups[record.place].append(record)
        parts = [
            records[: len(records) // 2] if is_prefix else records[1::2]
            for records in groups.values()
        ]
        committed_records = [part[-1:] if is_prefix else part for part in parts]
        await wait_soon(
            reader.source.commit([record for part in committed_records for record in part]),
            "A commit does not end.",
        )
    done = {record.payload for part in parts for record in part}
    other_messages = [message for message in messages if message.payload not in done]
    async with open_reader(subject) as reader:
        marks = numbered_messages(range(1_000, 1_000 + 10))
        await subject.publish(marks)
        records = await reader.read([*other_messages, *marks], commit=True)
    repeated_records = sorted(done.intersection(payloads(records)))
    require(
        not repeated_records,
        f"Records were delivered again although they were committed: {repeated_records}.",
    )


async def opening_again_loses_nothing(subject: SourceSubject) -> None:
    """When a source is reopened, revoked records arrive again; the others can be committed."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(10))
        await subject.publish(messages)
        await reader.read(messages)
        await reader.open()
        held_records = payloads(reader.held)
        await reader.commit()
        new_messages = numbered_messages(range(10, 12))
        await subject.publish(new_messages)
        missing_messages = [message for message in messages if message.payload not in held_records]
        await reader.read([*missing_messages, *new_messages], commit=True)
    await _require_nothing_but_new(subject)


async def cancelled_polls_lose_nothing(subject: SourceSubject) -> None:
    """Records that a cancelled poll has read are delivered by a later poll."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(20))
        for number, message in enumerate(messages):
            waiting_poll = asyncio.ensure_future(reader.poll(LONG))
            await subject.publish([message])
            for _ in range(number):
                await asyncio.sleep(0)
            waiting_poll.cancel()
            with suppress(asyncio.CancelledError, ConnectorError):
                await waiting_poll
        held_records = payloads(reader.held)
        await reader.read([message for message in messages if message.payload not in held_records])


async def commit_does_not_wait_for_a_poll(subject: SourceSubject) -> None:
    """Records can be committed, extended and released while a poll waits."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(3))
        await subject.publish(messages)
        await reader.read(messages)
        waiting_poll = asyncio.ensure_future(reader.source.poll(LONG))
        for _ in range(10):
            await asyncio.sleep(0)
        await wait_soon(reader.source.extend(reader.held), "`extend` waits for a poll.")
        await reader.commit()
        await wait_soon(reader.source.release([]), "`release` waits for a poll.")
        require(not waiting_poll.done(), "A poll ended though nothing has arrived.")
        await subject.publish(numbered_messages([3]))
        records = await wait_soon(
            waiting_poll, "A poll continues to wait although a message has arrived."
        )
        require(payloads(records or ()) == [b"3"], "A waiting poll returned other records.")


async def released_records_come_back(subject: SourceSubject) -> None:
    """Only released records are delivered again."""
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(10))
        await subject.publish(messages)
        await reader.read(messages)
        released = [record for record in reader.held if int(record.payload) % 2 == 0]
        await wait_soon(reader.source.release(released), "`release` does not end.")
        if not subject.releases:
            return
        reader.held = [record for record in reader.held if record not in released]
        await reader.commit()
        expected = [message for message in messages if message.payload in payloads(released)]
        repeated_records = await reader.read(expected, commit=True)
        unreleased_payloads = set(payloads(repeated_records)).difference(payloads(released))
        require(
            not unreleased_payloads,
            f"Records were delivered again that were not released: {sorted(unreleased_payloads)}.",
        )
    await _require_nothing_but_new(subject)


async def extended_records_stay(subject: SourceSubject) -> None:
    """A record is not redelivered if its lease is extended in time."""
    async with open_reader(subject) as reader:
        period = reader.source.extend_every
        await subject.publish(numbered_messages([0]))
        await reader.read(numbered_messages([0]))
        held_records = list(reader.held)
        if period is not None:
            for _ in range(10):
                await asyncio.sleep(period)
                await wait_soon(reader.source.extend(held_records), "`extend` does not end.")
        marks = numbered_messages([1])
        await subject.publish(marks)
        repeated_records = payloads(await reader.read(marks))
        await reader.commit()
        if repeated_records != [b"1"]:
            raise EventTooLate(
                "A record was delivered again although its holder extended it in time."
            )


async def closed_source_refuses(subject: SourceSubject) -> None:
    """A closed source raises only errors of moorage, and can be closed repeatedly."""
    reader = Reader(subject)
    for _ in range(2):
        try:
            await wait_soon(reader.source.poll(LIMITS), "A poll does not end.")
        except ConnectorError as error:
            require(error.retryable, "The error of a source that is not open is not retryable.")
        except Exception as error:
            kind = type(error).__name__
            raise AssertionError(f"A source that is not open raises {kind}.") from error
        await reader.source.close()
        await reader.open()
        await reader.source.close()
        await reader.source.close()


async def positions_are_kept_or_moved(subject: SourceSubject) -> None:
    """`seek` makes a source continue after another position, or raises `UnsupportedByVendor`."""
    async with open_reader(subject) as reader:
        messages = numbered_messages([0, KEYS])
        await subject.publish(messages)
        records = await reader.read(messages, commit=True)
        first, last = records[0], records[-1]
        if first.place != last.place or first.offset is None:
            return
        try:
            await wait_soon(reader.source.seek(first.place, first.offset), "`seek` does not end.")
        except UnsupportedByVendor:
            return
        await reader.read(messages[1:])


async def lost_connection_loses_nothing(subject: SourceSubject) -> None:
    """After a lost connection, all uncommitted records arrive, and the source works again."""
    if subject.interrupt is None:
        return
    async with open_reader(subject) as reader:
        messages = numbered_messages(range(10))
        await subject.publish(messages)
        await reader.read(messages)
        subject.interrupt()
        new_messages = numbered_messages(range(10, 20))
        await subject.publish(new_messages)
        await reader.read(new_messages)
        held_records = payloads(reader.held)
        missing_messages = [message for message in messages if message.payload not in held_records]
        await reader.read(missing_messages, commit=True)


async def pipeline_keeps_the_order_of_keys(subject: SourceSubject) -> None:
    """A pipeline with several lanes processes each record once, in order per key."""
    sink = await _run_pipeline(subject, interrupt=None)
    require_order(sink.records)
    await _require_nothing_but_new(subject)


async def pipeline_outlives_interruptions(subject: SourceSubject) -> None:
    """A pipeline processes every record, even if its source repeatedly loses its connection."""
    await _run_pipeline(subject, interrupt=subject.interrupt)


async def _run_pipeline(subject: SourceSubject, interrupt: Callable[[], None] | None) -> MemorySink:
    """Run a pipeline until every message is in its sink."""
    sink, source = MemorySink(), CommitWatch(subject.make())
    soon_again = RetryPolicy(base_delay=0.01, max_delay=0.05)
    config = PipelineConfig(
        lanes=3,
        batch=BatchLimits(records=5),
        records_in_flight=20,
        reconnect=soon_again,
        retry=soon_again,
        poll_wait=0.05,
    )
    pipeline = Pipeline("conformance", cast("SourceConnector", source), sink, config=config)
    pipeline_task = asyncio.ensure_future(pipeline.run())
    messages = numbered_messages(range(_MANY))
    part = _MANY // _INTERRUPTIONS
    try:
        for number in range(_INTERRUPTIONS):
            await subject.publish(messages[number * part : (number + 1) * part])
            await _wait_until(
                pipeline_task, partial(_has_messages, sink, number * part + part // 2), _LOST
            )
            if interrupt is not None:
                interrupt()
        await _wait_until(pipeline_task, partial(_has_messages, sink, _MANY), _LOST)
        if interrupt is None:
            await _wait_until(
                pipeline_task,
                lambda: not source.uncommitted,
                "A pipeline cannot commit everything.",
            )
    finally:
        pipeline.stop()
        await wait_soon(pipeline_task, "A pipeline does not stop.")
    missing_payloads = set(payloads(messages)).difference(payloads(sink.records))
    require(not missing_payloads, f"A pipeline lost the messages {sorted(missing_payloads)}.")
    return sink


def _has_messages(sink: MemorySink, count: int) -> bool:
    """Return whether a sink has this many different messages."""
    return len(set(payloads(sink.records))) >= count


async def lag_counts_what_is_not_committed(subject: SourceSubject) -> None:
    """A source's lag grows with new messages, and falls with commits."""
    async with open_reader(subject) as reader:
        lag: Callable[[], Awaitable[int | None]] | None = getattr(reader.source, "lag", None)
        if lag is None:
            return
        messages = numbered_messages(range(_MEASURED))
        await subject.publish(messages)
        await reader.read(messages)
        await _lag_becomes(reader, lag, _MEASURED)
        await reader.commit()
        await _lag_becomes(reader, lag, 0)


async def _lag_becomes(
    reader: Reader, lag: Callable[[], Awaitable[int | None]], expected: int
) -> None:
    """Poll until a source reports this lag, since some sources measure it in polls only."""
    measured: int | None = None
    try:
        async with asyncio.timeout(patience()):
            while measured != expected:
                await reader.poll()
                measured = await wait_soon(lag(), "The lag is not measured.")
    except TimeoutError:
        raise AssertionError(
            f"The lag is {measured}, though {expected} messages are not committed."
        ) from None


async def _wait_until(
    running: asyncio.Future[PipelineReport], holds: Callable[[], bool], sentence: str
) -> None:
    """Wait a limited time until a condition holds or the pipeline ends."""
    try:
        async with asyncio.timeout(patience()):
            while not holds() and not running.done():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(sentence) from None


CHECKS: Final = (
    messages_arrive_in_order,
    polls_are_bounded,
    poll_without_records_ends,
    waiting_poll_returns_what_arrives,
    done_records_do_not_come_back,
    other_records_come_back,
    a_commit_covers_only_its_records,
    opening_again_loses_nothing,
    cancelled_polls_lose_nothing,
    commit_does_not_wait_for_a_poll,
    released_records_come_back,
    retrying_check(extended_records_stay),
    closed_source_refuses,
    positions_are_kept_or_moved,
    lag_counts_what_is_not_committed,
    lost_connection_loses_nothing,
    pipeline_keeps_the_order_of_keys,
    pipeline_outlives_interruptions,
)
