"""The Redis Streams source, against a private server."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import redis

from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    BatchLimits,
    ConfigurationError,
    ConnectionFailed,
    Message,
    Pipeline,
    PipelineConfig,
    PollLimits,
    RedisStreams,
    RetryPolicy,
    Secret,
    Service,
)
from moorage.adapters.redis_streams.source import RedisStreamsSource
from moorage.domain.messages.redis_streams import record_columns
from moorage.testing import MemorySink
from tests.pipelines.pipeline_waiting import until
from tests.support.redis_servers import PrivateRedis
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.domain.pipelines.records import Partition

MANY = PollLimits(1_000, 1_000_000, 0.01)
WRONG = "hunter2-of-nobody"


@pytest.fixture(scope="module")
def private_server() -> Generator[PrivateRedis]:
    """Yield a Redis server for these tests only."""
    with PrivateRedis() as server:
        yield server


@pytest.fixture
def server(private_server: PrivateRedis) -> Generator[Any]:
    """Empty the server, and return a client of the server."""
    with redis.Redis.from_url(private_server.url) as client:
        client.flushall()
        yield client


def source(
    private_server: PrivateRedis, *streams: str, url: str | None = None, **options: Any
) -> RedisStreamsSource:
    """Return a source at the private server."""
    settings = RedisStreams(url=Secret(url or private_server.url))
    options.setdefault("group", "workers")
    return RedisStreamsSource(settings, streams or ["orders"], **options)


async def fail_on_revocation(_: Any) -> None:
    """Fail the test, because Redis revokes no entry before it is acknowledged."""
    raise AssertionError


async def publish(private_server: PrivateRedis, *messages: Message, stream: str = "orders") -> None:
    """Publish messages with the Redis Streams connector."""
    publisher = RedisStreams(url=Secret(private_server.url)).async_publisher("events")
    async with AsyncConnectorManager([Service("events")]) as manager, publisher:
        await manager.perform("events", publisher.publish_batch(stream, messages))


def pending(server: Any) -> int:
    """Return the number of delivered entries that are not acknowledged."""
    return int(server.xpending("orders", "workers")["pending"])


async def test_published_message_is_read_unchanged(
    private_server: PrivateRedis, server: Any
) -> None:
    """A published message is read unchanged, with its stream, position and time."""
    begin = datetime.now(UTC).replace(microsecond=0)
    message = Message.of_json({"a": 1}, key="customer", headers={"trace": "1"}, id="m-1")
    await publish(private_server, message)
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    [record] = await reader.poll(MANY)
    assert (message.payload, b"customer", "m-1", "application/json", "orders") == (
        record.payload,
        record.key,
        record.identity,
        record.content_type,
        record.topic,
    )
    assert (("trace", b"1"),) == record.attributes
    assert record.published_at is not None
    assert begin <= record.published_at
    await reader.commit([record])
    assert 0 == pending(server)
    assert [] == await reader.poll(MANY)
    await reader.close()


async def test_entries_with_unusual_fields_are_read_completely(
    private_server: PrivateRedis, server: Any
) -> None:
    """Entries with unusual fields, or with an id that has no time, are read completely."""
    server.xadd("orders", {b"a\xff": b"1", b"": b"2"}, id="99999999999999999-1")
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    [record] = await reader.poll(MANY)
    assert b"" == record.payload
    assert (("a\\xff", b"1"), ("(unnamed)", b"2")) == record.attributes
    assert record.published_at is None
    assert "orders/99999999999999999-1" == record.identity
    await reader.close()


async def test_poll_returns_no_more_records_and_bytes_than_its_limits(
    private_server: PrivateRedis, server: Any
) -> None:
    """A poll returns no more records than its limit, and fewer if they are large."""
    await publish(private_server, *(Message("x" * 10_000) for _ in range(30)))
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    assert 7 == len(await reader.poll(PollLimits(7, 1_000_000, 0.01)))
    assert 2 == len(await reader.poll(PollLimits(100, 25_000, 0.01)))
    await reader.close()


async def test_source_can_read_several_streams(private_server: PrivateRedis, server: Any) -> None:
    """A source can read several streams, and acknowledges each entry in the entry's stream."""
    for stream in ("orders", "returns"):
        await publish(private_server, Message(stream), stream=stream)
    reader = source(private_server, "orders", "returns")
    await reader.open(fail_on_revocation)
    records = await reader.poll(MANY)
    assert {"orders", "returns"} == {record.topic for record in records}
    await reader.commit(records)
    assert 0 == pending(server)
    await reader.close()


async def test_consumer_with_the_name_of_a_dead_one_gets_its_unacknowledged_entries(
    private_server: PrivateRedis, server: Any
) -> None:
    """A consumer that takes over a dead one's name first gets its unacknowledged entries."""
    await publish(private_server, *(Message(str(number)) for number in range(5)))
    first = source(private_server, consumer="worker")
    await first.open(fail_on_revocation)
    records = await first.poll(PollLimits(3, 1_000_000, 0.01))
    await first.commit(records[:1])
    await first.close()

    second = source(private_server, consumer="worker")
    await second.open(fail_on_revocation)
    repeated = [*await second.poll(PollLimits(1, 1, 0.01)), *await second.poll(MANY)]
    assert [b"1", b"2"] == [record.payload for record in repeated]
    assert [2, 2] == [record.deliveries for record in repeated]
    assert [b"3", b"4"] == [record.payload for record in await second.poll(MANY)]
    await second.open(fail_on_revocation)
    assert [] == await second.poll(MANY)
    await second.close()


async def test_abandoned_and_released_entries_go_to_other_consumers(
    private_server: PrivateRedis, server: Any
) -> None:
    """Entries that a consumer does not extend can be claimed by others; released ones at once."""
    await publish(private_server, Message("0"), Message("1"))
    first, second = (
        source(private_server, claim_after=3600.0),
        source(private_server, claim_after=3600.0),
    )
    await first.open(fail_on_revocation)
    await second.open(fail_on_revocation)
    records = await first.poll(MANY)
    assert [] == await second.poll(MANY)
    await first.release(records[1:])
    await second.open(fail_on_revocation)
    assert [b"1"] == [record.payload for record in await second.poll(MANY)]
    await first.extend(records[:1])
    await second.open(fail_on_revocation)
    assert [] == await second.poll(MANY)
    await first.close()
    await second.close()


async def test_entries_of_another_consumer_are_neither_extended_nor_released(
    private_server: PrivateRedis, server: Any
) -> None:
    """A consumer that was paused for too long does not touch entries that another one has taken."""
    await publish(private_server, *(Message(str(number)) for number in range(3)))
    paused, other = source(private_server, consumer="paused"), source(private_server)
    await paused.open(fail_on_revocation)
    records = await paused.poll(MANY)
    taken = [record.offset for record in records[:2]]
    server.xclaim("orders", "workers", other.consumer, 0, taken, idle=1_000_000)

    await paused.extend(records)
    await paused.release(records[1:])

    entries = server.xpending_range("orders", "workers", "-", "+", 10)
    owners = [entry["consumer"].decode() for entry in entries]
    assert [other.consumer, other.consumer, "paused"] == owners
    assert [True, True, True] == [entry["time_since_delivered"] >= 60_000 for entry in entries]
    assert entries[2]["time_since_delivered"] < 1_000_000
    await paused.close()


async def test_abandoned_entry_after_many_open_entries_goes_to_another_consumer(
    private_server: PrivateRedis, server: Any
) -> None:
    """An abandoned entry goes to another member, however many open entries come before it."""
    await publish(private_server, *(Message(b"1") for _ in range(50)))
    worker = source(private_server, consumer="busy")
    await worker.open(fail_on_revocation)
    *_, last = await worker.poll(MANY)
    server.xclaim("orders", "workers", "busy", 0, [last.offset], idle=3_600_000)
    other_worker = source(private_server, consumer="other")
    await other_worker.open(fail_on_revocation)
    records = await other_worker.poll(PollLimits(1, 1_000_000, 0.01))
    assert [last.offset] == [record.offset for record in records]
    await worker.close()
    await other_worker.close()


async def test_entry_deleted_before_its_second_delivery_is_skipped(
    private_server: PrivateRedis, server: Any
) -> None:
    """An entry that was deleted before its second delivery is skipped."""
    await publish(private_server, Message("0"), Message("1"))
    first = source(private_server, consumer="worker")
    await first.open(fail_on_revocation)
    records = await first.poll(MANY)
    server.xdel("orders", records[0].offset)
    second = source(private_server, consumer="worker")
    await second.open(fail_on_revocation)
    assert [b"1"] == [record.payload for record in await second.poll(MANY)]
    await first.close()
    await second.close()


async def test_unfinished_entries_after_deleted_entries_are_delivered_again(
    private_server: PrivateRedis, server: Any
) -> None:
    """A consumer gets its unfinished entries again, even if its first ones were deleted."""
    await publish(private_server, *(Message(str(number)) for number in range(5)))
    first = source(private_server, consumer="worker")
    await first.open(fail_on_revocation)
    records = await first.poll(MANY)
    server.xdel("orders", *(record.offset for record in records[:3]))
    await first.close()
    second = source(private_server, consumer="worker", claim_after=3600.0)
    await second.open(fail_on_revocation)
    small_limits = PollLimits(2, 1_000_000, 0.01)
    repeated = [*await second.poll(small_limits), *await second.poll(small_limits)]
    await second.close()

    assert [b"3", b"4"] == [record.payload for record in repeated]


async def test_lag_counts_all_streams(private_server: PrivateRedis, server: Any) -> None:
    """The lag covers all streams and unacknowledged entries, and is None if Redis cannot count."""
    await publish(private_server, *(Message(str(number)) for number in range(3)))
    server.xadd("returns", {"payload": "9"})
    reader = source(private_server, "orders", "returns")
    await reader.open(fail_on_revocation)
    records = await reader.poll(PollLimits(2, 10_000, 1.0))
    assert 4 == await reader.lag()
    await reader.commit(records)
    assert 4 - len(records) == await reader.lag()
    server.xdel("orders", server.xrange("orders")[1][0])
    server.xgroup_setid("orders", "workers", server.xrange("orders")[0][0])
    assert await reader.lag() is None
    await reader.close()


async def test_position_can_be_moved(private_server: PrivateRedis, server: Any) -> None:
    """After seeking, a consumer group continues after the given entry."""
    await publish(private_server, *(Message(str(number)) for number in range(3)))
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    records = await reader.poll(MANY)
    await reader.commit(records)
    place: Partition = ("orders", None)
    await reader.seek(place, str(records[0].offset))
    assert [b"1", b"2"] == [record.payload for record in await reader.poll(MANY)]
    with pytest.raises(ConfigurationError, match="refused a command"):
        await reader.seek(place, "yesterday")
    await reader.close()


async def test_group_that_begins_at_the_end_gets_only_new_entries(
    private_server: PrivateRedis, server: Any
) -> None:
    """A consumer group that begins at "$" gets only entries published after its creation."""
    await publish(private_server, Message("old"))
    reader = source(private_server, start="$")
    await reader.open(fail_on_revocation)
    await publish(private_server, Message("new"))
    assert [b"new"] == [record.payload for record in await reader.poll(MANY)]
    await reader.close()


async def test_deleted_group_is_created_again(private_server: PrivateRedis, server: Any) -> None:
    """If the consumer group is deleted, the error is temporary, and the next opening creates it."""
    await publish(private_server, Message("0"))
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    server.xgroup_destroy("orders", "workers")
    with pytest.raises(ConnectionFailed, match="is not available"):
        await reader.poll(MANY)
    await reader.open(fail_on_revocation)
    assert [b"0"] == [record.payload for record in await reader.poll(MANY)]
    await reader.close()


async def test_source_that_waits_during_a_failover_continues_afterwards(
    private_server: PrivateRedis, server: Any
) -> None:
    """If the server becomes a replica while the source waits for entries, the error is temporary.

    Once the server is a primary again, the source continues.
    """
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    polling = asyncio.create_task(reader.poll(PollLimits(10, 1_000_000, 60)))
    await until(lambda: server.info("clients")["blocked_clients"] == 1)
    try:
        server.replicaof("127.0.0.1", "1")
        with pytest.raises(ConnectionFailed) as excinfo:
            await polling
    finally:
        server.replicaof("NO", "ONE")
    assert excinfo.value.retryable
    await publish(private_server, Message(b"1"))
    await reader.open(fail_on_revocation)
    [record] = await reader.poll(MANY)
    assert b"1" == record.payload
    await reader.close()


async def test_entries_of_a_recreated_stream_are_not_skipped(
    private_server: PrivateRedis, server: Any
) -> None:
    """A group for new entries reads all of a stream that was deleted meanwhile."""
    reader = source(private_server, start="$")
    await reader.open(fail_on_revocation)
    server.delete("orders")
    await publish(private_server, Message("new"))
    with pytest.raises(ConnectionFailed, match="is not available"):
        await reader.poll(MANY)
    await reader.open(fail_on_revocation)
    assert [b"new"] == [record.payload for record in await reader.poll(MANY)]
    await reader.close()


async def test_redis_key_that_is_not_stream_stops_source_before_anything_is_read(
    private_server: PrivateRedis, server: Any
) -> None:
    """A Redis key that is not a stream stops the source before anything is read."""
    server.set("orders", "1")
    with pytest.raises(ConfigurationError, match="refused a command"):
        await source(private_server).open(fail_on_revocation)


@pytest.mark.parametrize("streams", ["orders", []])
def test_streams_that_are_not_a_list_are_refused(
    private_server: PrivateRedis, streams: Any
) -> None:
    """A single name instead of a list is refused."""
    with pytest.raises(ConfigurationError) as error:
        RedisStreamsSource(RedisStreams(url=Secret(private_server.url)), streams, group="workers")
    assert "streams" == error.value.path


async def test_wrong_password_and_missing_right_are_final_errors(
    private_server: PrivateRedis, server: Any
) -> None:
    """A wrong password or missing right is a final error that does not show the password."""
    server.acl_setuser("reader", enabled=True, passwords=["+right"], keys=["*"], commands=["+ping"])
    for password in (WRONG, "right"):
        url = private_server.url.replace("//", f"//reader:{password}@")
        with pytest.raises(AuthenticationFailed) as error:
            await source(private_server, url=url).open(fail_on_revocation)
        assert password not in str(error.value)
    server.acl_deluser("reader")


async def test_use_of_closed_source_raises_connection_failed(private_server: PrivateRedis) -> None:
    """Using a closed Redis source raises the same error as a lost connection."""
    reader = source(private_server)
    with pytest.raises(ConnectionFailed, match="closed"):
        await reader.poll(MANY)
    await reader.close()


async def test_each_record_reaches_the_sink_although_redis_is_killed_and_restarted(
    tmp_path: Any,
) -> None:
    """After its Redis server has restarted, a pipeline delivers each record to the sink."""
    options = ("--appendonly", "yes", "--appendfsync", "always")
    sink = MemorySink()
    with PrivateRedis(*options) as server:
        await publish(server, *(Message.of_json({"number": n}) for n in range(200)))
        policy = RetryPolicy(base_delay=0.01, max_delay=0.05)
        settings = PipelineConfig(
            batch=BatchLimits(records=10), records_in_flight=40, reconnect=policy, retry=policy
        )
        pipeline = Pipeline("orders", source(server, claim_after=0.05), sink, config=settings)
        run_task = asyncio.create_task(pipeline.run())
        await until(lambda: bool(sink.records))
        server.kill()
        server.start()
        await until(lambda: 200 == len({record.offset for record in sink.records}))
        pipeline.stop()
        await run_task
    assert set(range(200)) == {value["number"] for value in sink.values}


def has_effects(server: Any, count: int) -> bool:
    """Return whether the sink has written at least this many records."""
    return bool(server.hlen("effects") >= count)


def start_worker(private_server: PrivateRedis, kind: str = "store") -> subprocess.Popen[bytes]:
    """Start a worker process, and wait for its first effects."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.pipelines.pipeline_worker", private_server.url, "3", kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_worker_loses_no_record(private_server: PrivateRedis, server: Any) -> None:
    """After kill -9 at random moments each record is processed, and few are repeated."""
    messages = 600
    for number in range(messages):
        server.xadd("orders", {"payload": str(number), "moorage-key": f"k{number % 7}"})
    generator = random.Random(20261124)
    for _ in range(3):
        worker = start_worker(private_server)
        goal = min(messages - 1, server.hlen("effects") + generator.randrange(1, 150))
        wait_until(partial(has_effects, server, goal), "the worker's effects")
        worker.kill()
        worker.communicate()
    worker = start_worker(private_server)
    wait_until(lambda: server.hlen("effects") == messages, "the last effects")
    wait_until(lambda: 0 == pending(server), "the last acknowledgement")
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=60)
    assert (0, b"") == (worker.returncode, errors)
    attempts = [int(server.get(key)) for key in server.scan_iter("attempts/*")]
    assert messages == len(attempts)
    # Each of three deaths repeats at most the batches of three lanes, and the records that awaited
    # their commit.
    assert sum(attempts) - messages <= 3 * 200
    assert max(attempts) <= 4


def test_worker_with_a_hanging_sink_ends_in_time(private_server: PrivateRedis, server: Any) -> None:
    """SIGTERM ends a worker whose sink hangs, with an exit code for interrupted records."""
    server.xadd("orders", {"payload": "1"})
    worker = start_worker(private_server, "hang")
    wait_until(lambda: server.hlen("effects") == 1, "the worker's effect")
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert 3 == worker.returncode
    assert 1 == pending(server)


async def test_lost_connection_is_temporary(private_server: PrivateRedis, server: Any) -> None:
    """If the server closes the connection, the error is temporary; the next opening reconnects."""
    await publish(private_server, Message("0"))
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    poll_task = asyncio.create_task(reader.poll(PollLimits(1, 1, 3_600.0)))
    [record] = await poll_task
    poll_task = asyncio.create_task(reader.poll(PollLimits(1, 1, 3_600.0)))
    await until(lambda: any(client["flags"] == "b" for client in server.client_list()))
    server.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(ConnectionFailed, match="was lost"):
        await poll_task
    with pytest.raises(ConnectionFailed, match="closed"):
        await reader.commit([record])
    await reader.open(fail_on_revocation)
    await reader.commit([record])
    assert 0 == pending(server)
    await reader.close()


async def test_lost_connection_for_acknowledgements_is_reopened(
    private_server: PrivateRedis, server: Any
) -> None:
    """If only the connection that acknowledges entries is lost, the next poll reports it."""
    await publish(private_server, Message("0"))
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    [record] = await reader.poll(MANY)
    assert await reader.lag() == 1
    for client in server.client_list():
        if client["cmd"].startswith("xinfo"):
            server.client_kill_filter(_id=client["id"])
    with pytest.raises(ConnectionFailed, match="closed"):
        await reader.commit([record])
    with pytest.raises(ConnectionFailed, match="closed"):
        await reader.poll(MANY)
    await reader.open(fail_on_revocation)
    await reader.commit([record])
    assert pending(server) == 0
    assert await reader.poll(MANY) == []
    await reader.close()


async def test_lease_can_be_extended_while_the_source_opens_again(
    private_server: PrivateRedis, server: Any
) -> None:
    """An extension that begins while the source reconnects succeeds, or fails temporarily."""
    await publish(private_server, Message("0"))
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    records = await reader.poll(MANY)
    opening = asyncio.create_task(reader.open(fail_on_revocation))
    while not opening.done():
        with suppress(ConnectionFailed):
            await reader.extend(records)
        await asyncio.sleep(0)
    await opening
    await reader.commit(records)
    assert 0 == pending(server)
    await reader.close()


async def test_invalid_utf8_in_content_type_is_escaped(
    private_server: PrivateRedis, server: Any
) -> None:
    """A content type or message id that is not UTF-8 is read with the invalid bytes escaped."""
    server.xadd("orders", {"payload": "1", "content-type": b"\xff", "message-id": b"\xfe"})
    reader = source(private_server)
    await reader.open(fail_on_revocation)
    [record] = await reader.poll(MANY)
    assert ("\\xff", "\\xfe") == (record.content_type, record.id)
    await reader.close()


def test_empty_key_and_id_of_an_entry_are_read_as_none() -> None:
    """An entry with an empty key or id becomes a record without a key or id."""
    fields = record_columns([[b"payload", b"1", b"moorage-key", b"", b"message-id", b""]])

    assert ([None], [None]) == (fields["key"], fields["id"])
