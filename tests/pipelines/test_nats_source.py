"""The NATS source, against private servers."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import nats
import pytest
from nats.js.api import ConsumerConfig

from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    Message,
    Pipeline,
    PollLimits,
    RecordSink,
    Secret,
    Service,
    SinkRecord,
    TopicNotFound,
)
from moorage.adapters.messages.nats import Nats
from moorage.adapters.messages.nats_source import NatsSource
from moorage.domain.messages.nats_consumers import (
    can_pin,
    consumer_name,
)
from moorage.pipelines.publishing import DeadLetterTopic
from moorage.testing import MemoryDeadLetters, TcpProxy
from tests.pipelines.broker_harness import (
    MANY,
    Revocations,
    check_killed_workers,
    check_restarted_broker,
    check_slow_sink,
    messages,
    read_count,
)
from tests.pipelines.pipeline_waiting import until
from tests.support.nats_servers import PrivateNats
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

WRONG = "hunter2-of-nobody"


AN_HOUR = 3_600.0


"""Seconds after which a message comes back that nobody gave back: longer than any test."""


NEWER_SERVER = os.environ.get("NATS_SERVER_2_11")


"""The path of a server of version 2.11 or newer, for what older ones do not have."""


@pytest.fixture(scope="module")
def server() -> Generator[PrivateNats]:
    """Yield a NATS server for these tests only."""
    with PrivateNats() as server:
        yield server


@pytest.fixture
def stream(server: PrivateNats) -> str:
    """Return the name of a new stream, whose first subject has the same name."""
    name = f"s{uuid4().hex}"
    server.add_stream(name)
    return name


def source(server: PrivateNats, *subjects: str, **options: Any) -> NatsSource:
    """Return a source that reads subjects; messages are redelivered only after a long time."""
    options.setdefault("group", "workers")
    options.setdefault("ack_wait", AN_HOUR)
    return NatsSource(Nats(url=Secret(server.url)), subjects, **options)


async def publish(server: PrivateNats, subject: str, items: Sequence[Message]) -> None:
    """Publish messages with the NATS connector."""
    publisher = Nats(url=Secret(server.url)).async_publisher("events")
    async with AsyncConnectorManager([Service("events")]) as manager, publisher:
        for result in await manager.perform("events", publisher.publish_batch(subject, items)):
            result.unwrap()


async def consumer(server: PrivateNats, stream: str, name: str) -> Any:
    """Return the description of a consumer."""
    client = await nats.connect(server.url)
    try:
        return await client.jetstream().consumer_info(stream, name)
    finally:
        await client.close()


def texts(records: Sequence[SinkRecord]) -> list[str]:
    """Return the payloads of records as strings."""
    return [record.text for record in records]


async def test_published_message_is_read_unchanged(server: PrivateNats, stream: str) -> None:
    """A published NATS message is read unchanged, with its subject, stream and position."""
    message = Message.of_json({"a": 1}, key="customer", headers={"trace": "1"}, id="m-1")
    await publish(server, f"{stream}.eu", [message])
    reader = source(server, f"{stream}.*")
    await reader.open(Revocations())
    [record] = await read_count(reader, 1)
    assert (
        message.payload,
        b"customer",
        "m-1",
        "application/json",
        f"{stream}.eu",
        stream,
        1,
        1,
    ) == (
        record.payload,
        record.key,
        record.identity,
        record.content_type,
        record.topic,
        record.partition,
        record.offset,
        record.deliveries,
    )
    assert (("trace", "1"),) == record.attributes
    assert record.published_at is not None
    await reader.commit([record])
    await reader.commit([record])
    info = await consumer(server, stream, consumer_name("workers", f"{stream}.*"))
    assert (0, 0) == (info.num_ack_pending, info.num_pending)
    await reader.close()


async def test_message_of_another_program_is_read(server: PrivateNats, stream: str) -> None:
    """A message without headers has its stream and position as its identity."""
    client = await nats.connect(server.url)
    await client.publish(stream, b"")
    await client.flush()
    await client.close()
    reader = source(server, stream)
    await reader.open(Revocations())
    [record] = await read_count(reader, 1)
    assert (b"", None, (), f"{stream}/{stream}/1") == (
        record.payload,
        record.key,
        record.attributes,
        record.identity,
    )
    await reader.close()


async def test_messages_with_unreadable_headers_are_read(server: PrivateNats, stream: str) -> None:
    """Messages whose headers nats-py cannot parse are read once, like those after them."""
    blocks = [
        b"NATS/1.0",
        b"NATS/1.0 \xff\xff\xff\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0\r\nStatus: 503\r\n\r\n",
        b"NATS/1.0\r\nname: value\r\n\r\n",
    ]
    lines = [b'CONNECT {"verbose": false, "headers": true}']
    for number, block in enumerate(blocks):
        size = len(block)
        lines += [f"HPUB {stream} {size} {size + 1}".encode(), block + str(number).encode()]
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"\r\n".join([*lines, b"PING", b""]))
        answer = b""
        while not answer.endswith(b"PONG\r\n"):
            answer += connection.recv(65_536)
    reader = source(server, stream)
    await reader.open(Revocations())
    records = await read_count(reader, len(blocks))
    assert ["0", "1", "2", "3", "4"] == texts(records)
    assert (("name", "value"),) == records[-1].attributes
    await reader.commit(records)
    await reader.close()


async def test_released_messages_go_to_another_worker_at_once(
    server: PrivateNats, stream: str
) -> None:
    """Released messages go to a waiting worker at once, even if the first worker requested more."""
    await publish(server, stream, messages(10))
    first, second = source(server, stream), source(server, stream)
    await first.open(Revocations())
    await second.open(Revocations())
    records = await read_count(first, 10)
    await first.release([])
    await first.release(records[:5])
    repeated = await read_count(second, 5)
    assert texts(records[:5]) == texts(repeated)
    assert {2} == {record.deliveries for record in repeated}
    await first.close()
    assert texts(records[5:]) == texts(await read_count(second, 5))
    await second.close()


@pytest.mark.parametrize("is_read", [False, True], ids=["waiting", "read"])
async def test_messages_that_closed_source_had_requested_go_to_next_worker_at_once(
    server: PrivateNats, stream: str, is_read: bool
) -> None:
    """Messages that a closed source had requested go to the next worker at once, in order."""
    await publish(server, stream, messages(50))
    first, second = source(server, stream), source(server, stream)
    await first.open(Revocations())
    await read_count(first, 50 if is_read else 1)
    await first.poll(PollLimits(1, 1, 0.0))
    await first.close()
    await second.open(Revocations())
    assert [str(number) for number in range(50)] == texts(await read_count(second, 50))
    await second.close()


async def test_source_reads_several_subjects_and_streams(server: PrivateNats) -> None:
    """A source reads several subjects and streams, including a stream created later."""
    name = f"w{uuid4().hex}"
    for part in ("a", "b"):
        await asyncio.to_thread(
            server.add_stream, f"{name}-{part}", subjects=[f"{name}.{part}.*", f"{name}-{part}.x"]
        )
        await publish(server, f"{name}.{part}.1", messages(2))
    await publish(server, f"{name}-a.x", messages(4)[2:])
    reader = source(server, f"{name}.*.*", f"{name}-a.x", discover_every=0.05)
    await reader.open(Revocations())
    records = await read_count(reader, 6)
    assert {f"{name}.a.1", f"{name}.b.1", f"{name}-a.x"} == {record.topic for record in records}
    await asyncio.to_thread(server.add_stream, f"{name}-c", subjects=[f"{name}.c.*"])
    await publish(server, f"{name}.c.1", messages(1))
    assert [f"{name}-c"] == [record.partition for record in await read_count(reader, 1)]
    await reader.commit(records)
    await reader.close()


async def test_pattern_without_a_stream_waits(server: PrivateNats) -> None:
    """A subject with wildcards may have no stream yet; any other subject must have one."""
    reader = source(server, f"none-{uuid4().hex}.*")
    await reader.open(Revocations())
    assert [] == await reader.poll(MANY)
    await reader.close()
    with pytest.raises(TopicNotFound, match="no stream for the subject 'missing'"):
        await source(server, "missing").open(Revocations())
    wrong_source = NatsSource(Nats(url=Secret(server.url), stream="missing"), ["orders"], group="g")
    with pytest.raises(TopicNotFound, match="no stream 'missing'"):
        await wrong_source.open(Revocations())


async def test_only_the_named_stream_is_read(server: PrivateNats, stream: str) -> None:
    """A source with `stream` reads only this stream, and refuses subjects that the stream lacks."""
    settings = Nats(url=Secret(server.url), stream=stream)
    await publish(server, stream, messages(1))
    reader = NatsSource(settings, [stream], group="workers")
    await reader.open(Revocations())
    assert 1 == len(await read_count(reader, 1))
    await reader.close()
    with pytest.raises(ConfigurationError, match="refused the consumer"):
        await NatsSource(settings, ["elsewhere"], group="workers").open(Revocations())


async def test_stream_found_later_is_read_from_when_the_group_began(server: PrivateNats) -> None:
    """A group for new messages misses no new message of a stream that it discovers later."""
    root = f"r{uuid4().hex}"
    await asyncio.to_thread(server.add_stream, f"{root}-a", subjects=[f"{root}.a"])
    await publish(server, f"{root}.a", messages(1))
    reader = source(server, f"{root}.*", start="new", discover_every=0.05)
    await reader.open(Revocations())
    await asyncio.to_thread(server.add_stream, f"{root}-b", subjects=[f"{root}.b"])
    await publish(server, f"{root}.b", messages(2))
    records = await read_count(reader, 2)
    await reader.commit(records)
    await reader.close()
    await asyncio.to_thread(server.add_stream, f"{root}-c", subjects=[f"{root}.c"])
    await publish(server, f"{root}.c", messages(3))
    reader = source(server, f"{root}.*", start="new")
    await reader.open(Revocations())
    records += await read_count(reader, 3)
    await reader.close()

    assert [f"{root}.b"] * 2 + [f"{root}.c"] * 3 == [record.topic for record in records]


async def test_new_consumer_begins_at_the_configured_position(
    server: PrivateNats, stream: str
) -> None:
    """A new group may begin with new messages; an existing group continues at its position."""
    await publish(server, stream, messages(3))
    reader = source(server, stream, start="new")
    await reader.open(Revocations())
    await publish(server, stream, messages(4)[3:])
    records = await read_count(reader, 1)
    assert ["3"] == texts(records)
    await reader.commit(records)
    await reader.close()
    await publish(server, stream, [Message("4")])
    reader = source(server, stream, start="all")
    await reader.open(Revocations())
    assert ["4"] == texts(await read_count(reader, 1))
    await reader.close()


async def test_deliveries_are_counted_and_limited(server: PrivateNats, stream: str) -> None:
    """Each delivery is numbered, and a message is delivered no more often than the limit."""
    await publish(server, stream, messages(1))
    reader = source(server, stream, max_deliveries=3)
    await reader.open(Revocations())
    for number in (1, 2, 3):
        [record] = await read_count(reader, 1)
        assert number == record.deliveries
        await reader.release([record])
    await publish(server, stream, [Message("next")])
    assert ["next"] == texts(await read_count(reader, 1))
    await reader.close()


async def test_late_message_is_not_delivered_twice_to_a_worker(
    server: PrivateNats, stream: str
) -> None:
    """If processing takes longer than `ack_wait`, the message does not reach this worker again."""
    await publish(server, stream, messages(1))
    reader = source(server, stream, ack_wait=0.3)
    await reader.open(Revocations())
    records = await read_count(reader, 1)
    for _ in range(20):
        assert [] == await reader.poll(MANY)
    await reader.commit(records)
    name = consumer_name("workers", stream)
    assert 0 == (await consumer(server, stream, name)).num_ack_pending
    await reader.close()


async def test_unacknowledged_messages_are_bounded(server: PrivateNats, stream: str) -> None:
    """The server delivers no more messages than may be unacknowledged at once."""
    await publish(server, stream, messages(10))
    reader = source(server, stream, max_unacknowledged=3)
    await reader.open(Revocations())
    records = await read_count(reader, 3)
    assert [] == await reader.poll(MANY)
    await reader.commit(records[:1])
    assert 1 == len(await read_count(reader, 1))
    await reader.close()


async def test_records_survive_a_new_connection(server: PrivateNats, stream: str) -> None:
    """After a reconnect, records can be committed, and late messages are still remembered."""
    await publish(server, stream, messages(10))
    with TcpProxy("127.0.0.1", server.port) as proxy:
        host, port = proxy.address
        settings = Nats(url=Secret(f"nats://{host}:{port}"))
        reader, revocations = NatsSource(settings, [stream], group="workers"), Revocations()
        await reader.open(revocations)
        records = list(await reader.poll(PollLimits(4, 10_000, 60.0)))
        poll_task = asyncio.create_task(reader.poll(PollLimits(10, 10_000, 60.0)))
        proxy.cut_connections()
        while True:
            try:
                records += await poll_task
            except ConnectionFailed as error:
                assert "was lost" in error.message  # noqa: PT017 - records may come before
                break
            poll_task = asyncio.create_task(reader.poll(PollLimits(10, 10_000, 60.0)))
        for use in (reader.commit, reader.release, reader.extend):
            with pytest.raises(ConnectionFailed, match="was lost"):
                await use(records)
        proxy.restore()
        await reader.open(revocations)
        await reader.commit(records)
        assert [] == revocations
        info = await consumer(server, stream, consumer_name("workers", stream))
        assert len(records) == info.ack_floor.stream_seq
        await reader.close()


async def test_messages_of_a_recreated_stream_are_not_taken_for_earlier_ones(
    server: PrivateNats, stream: str
) -> None:
    """A new message is read, even if an open message of a deleted stream had the same position."""
    await publish(server, stream, [Message(b"old")])
    reader = source(server, stream)
    await reader.open(Revocations())
    [old_record] = await read_count(reader, 1)
    client = await nats.connect(server.url)
    try:
        await client.jetstream().delete_stream(stream)
    finally:
        await client.close()
    await asyncio.to_thread(server.add_stream, stream)
    await publish(server, stream, [Message(b"new")])
    await reader.open(Revocations())
    [new_record] = await read_count(reader, 1)
    assert (old_record.offset, "new") == (new_record.offset, new_record.text)
    await reader.commit([new_record])
    assert 0 == await reader.lag()
    await reader.close()


async def test_seeking_replaces_consumer(server: PrivateNats, stream: str) -> None:
    """Seeking replaces the NATS consumer, and records delivered earlier are forgotten."""
    await publish(server, stream, messages(5))
    reader = source(server, stream)
    await reader.open(Revocations())
    records = await read_count(reader, 5)
    await reader.seek((stream, stream), 3)
    await reader.commit(records)
    assert ["3", "4"] == texts(await read_count(reader, 2))
    await reader.seek((stream, stream), "0")
    assert 5 == len(await read_count(reader, 5))
    for place, offset in (((stream, "other"), 1), (("other", stream), 1), ((stream, stream), "x")):
        with pytest.raises(ConfigurationError, match="does not read position"):
            await reader.seek(place, offset)
    await reader.close()


async def test_deleted_consumer_is_created_again(server: PrivateNats, stream: str) -> None:
    """If the consumer is deleted, polls and commits fail temporarily; reopening recreates it."""
    await publish(server, stream, messages(1))
    reader = source(server, stream)
    await reader.open(Revocations())
    records = await read_count(reader, 1)
    name = consumer_name("workers", stream)
    poll_task = asyncio.create_task(reader.poll(PollLimits(1, 1, 60.0)))
    client = await nats.connect(server.url)
    await client.jetstream().delete_consumer(stream, name)
    with pytest.raises(ConnectionFailed, match="was deleted"):
        await poll_task
    for use in (partial(reader.commit, records), reader.lag):
        with pytest.raises(ConnectionFailed, match="was deleted"):
            await use()
    await reader.open(Revocations())
    await reader.commit(records)
    await client.jetstream().delete_consumer(stream, name)
    with pytest.raises(ConnectionFailed, match="was deleted"):
        await read_count(reader, 1)
    await client.close()
    await reader.close()


async def test_existing_consumer_is_used_or_refused(server: PrivateNats, stream: str) -> None:
    """An existing consumer gets the new limits, but another subject or kind is refused."""
    for number in (5, 7):
        reader = source(server, stream, max_unacknowledged=number)
        await reader.open(Revocations())
        await reader.close()
        info = await consumer(server, stream, consumer_name("workers", stream))
        assert number == info.config.max_ack_pending
    client = await nats.connect(server.url)
    js = client.jetstream()
    others: dict[str, dict[str, Any]] = {
        "filter_subject": {"filter_subject": f"{stream}.eu"},
        "ack_policy": {"filter_subject": stream, "ack_policy": "none"},
        "deliver_subject": {"filter_subject": stream, "deliver_subject": "elsewhere"},
    }
    for group, config in others.items():
        arguments: dict[str, Any] = {"ack_policy": "explicit", **config}
        await js.add_consumer(stream, ConsumerConfig(durable_name=f"{group}-{stream}", **arguments))
        with pytest.raises(ConfigurationError, match=f"a different {group}") as error:
            await source(server, stream, group=group).open(Revocations())
        assert "group" == error.value.path
    await client.close()


async def test_exclusive_source_needs_a_newer_server(server: PrivateNats, stream: str) -> None:
    """An exclusive source is refused by a server that delivers to all workers."""
    reader = source(server, stream, exclusive=True)
    client = await nats.connect(server.url)
    version = client.connected_server_version
    await client.close()
    if can_pin(f"NATS {version.major}.{version.minor}"):
        await reader.open(Revocations())
    else:
        with pytest.raises(ConfigurationError, match="one worker at a time"):
            await reader.open(Revocations())
    await reader.close()


@pytest.mark.skipif(NEWER_SERVER is None, reason="NATS_SERVER_2_11 names no server")
async def test_exclusive_consumer_fails_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exclusive consumer delivers to one worker, and to the next when that worker ends."""
    monkeypatch.setattr("tests.support.nats_servers.nats_server", lambda: NEWER_SERVER)
    with PrivateNats() as server:
        await asyncio.to_thread(server.add_stream, "orders")
        options: dict[str, Any] = {"exclusive": True, "ack_wait": 1.0}
        first, second = source(server, "orders", **options), source(server, "orders", **options)
        await first.open(Revocations())
        await second.open(Revocations())
        await publish(server, "orders", messages(4)[:2])
        records = await read_count(first, 2)
        assert ["0", "1"] == texts(records)
        for _ in range(30):
            await first.extend(records)
            assert [] == await second.poll(MANY)
        await publish(server, "orders", messages(4)[2:])
        records += await read_count(first, 2)
        await first.commit(records)
        await first.close()
        await publish(server, "orders", [Message("4")])
        assert ["4"] == texts(await read_count(second, 1))
        await second.close()


async def test_poison_messages_become_dead_letters(server: PrivateNats, stream: str) -> None:
    """A message that the sink refuses becomes a dead letter, and all others are stored."""
    stored: list[str] = []

    async def store(record: SinkRecord) -> None:
        if record.text == "3":
            raise InvalidData("It has no total.")
        stored.append(record.text)

    await publish(server, stream, messages(10))
    letters = MemoryDeadLetters()
    pipeline = Pipeline("orders", source(server, stream), RecordSink(store), dead_letters=letters)
    run_task = asyncio.create_task(pipeline.run())
    await until(lambda: len(stored) == 9 and len(letters.letters) == 1)
    pipeline.stop()
    assert (await run_task).is_clean
    info = await consumer(server, stream, consumer_name("workers", stream))
    assert (0, 0) == (info.num_ack_pending, info.num_pending)


async def test_stopping_pipeline_ends_its_running_batch(server: PrivateNats, stream: str) -> None:
    """A stopping pipeline ends its running batch, and releases the rest at once."""
    has_begun, may_continue = asyncio.Event(), asyncio.Event()
    stored: list[str] = []

    async def store(record: SinkRecord) -> None:
        has_begun.set()
        await may_continue.wait()
        stored.append(record.text)

    await publish(server, stream, messages(50))
    pipeline = Pipeline("orders", source(server, stream), RecordSink(store))
    run_task = asyncio.create_task(pipeline.run())
    await has_begun.wait()
    pipeline.stop()
    may_continue.set()
    assert (await run_task).is_clean
    reader = source(server, stream)
    await reader.open(Revocations())
    rest = await read_count(reader, 50 - len(stored))
    assert sorted(map(str, range(50))) == sorted(stored + texts(rest))
    await reader.close()


async def test_slow_sink_keeps_the_backlog_in_the_stream(server: PrivateNats, stream: str) -> None:
    """While the sink hangs, a 40 MB backlog stays in the stream, with little memory used."""
    payload = b"x" * 20_000
    client = await nats.connect(server.url)
    for number in range(2_000):
        await client.publish(stream, payload)
        if number % 100 == 99:
            await client.flush()
    await client.close()
    held_count = await check_slow_sink(source(server, stream), 2_000)
    assert held_count < 8_000_000


def test_killed_worker_loses_no_record(server: PrivateNats, stream: str, tmp_path: Path) -> None:
    """Workers are killed with `kill -9` at random moments, and each message is processed."""
    asyncio.run(publish(server, stream, messages(600)))
    name = consumer_name("workers", stream)

    def is_done() -> bool:
        info = server.ask(lambda js: js.consumer_info(stream, name))
        return (0, 0) == (info.num_ack_pending, info.num_pending)

    check_killed_workers(("nats", server.url, stream), tmp_path / "effects", 600, is_done)


async def test_pipeline_survives_restart_of_server() -> None:
    """If the server restarts, the pipeline goes on, and pauses between its attempts to connect."""
    with PrivateNats() as server:
        await asyncio.to_thread(server.add_stream, "orders")
        await check_restarted_broker(
            source(server, "orders", ack_wait=1.0),
            partial(publish, server, "orders"),
            server.kill,
            server.start,
        )


async def test_silent_server_does_not_hold_up_closing(server: PrivateNats, stream: str) -> None:
    """If the server does not respond, a source still closes in limited time."""
    await publish(server, stream, messages(2))
    reader = source(server, stream)
    await reader.open(Revocations())
    records = await read_count(reader, 2)
    await reader.poll(PollLimits(1, 1, 0.0))
    server.suspend()
    try:
        async with asyncio.timeout(60.0):
            await reader.close()
    finally:
        server.resume()
    assert 2 == len(records)


async def test_cancelled_opening_leaves_no_connection(stream: str, server: PrivateNats) -> None:
    """If opening is cancelled while the server is silent, the source can be opened again."""
    reader = source(server, stream)
    server.suspend()
    try:
        opening = asyncio.create_task(reader.open(Revocations()))
        await asyncio.sleep(0.05)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    finally:
        server.resume()
    await reader.open(Revocations())
    await reader.close()


RIGHTS = f"""
authorization {{ users: [
  {{user: boss, password: boss}}
  {{user: info, password: "{WRONG}", permissions: {{publish: ["none"], subscribe: "_INBOX.>"}}}}
  {{user: pull, password: "{WRONG}", permissions: {{
    publish: ["$JS.API.STREAM.NAMES", "$JS.API.CONSUMER.INFO.>"], subscribe: "_INBOX.>"}}}}
  {{user: ack, password: "{WRONG}", permissions: {{publish: "$JS.API.>", subscribe: "_INBOX.>"}}}}
] }}
"""


async def test_refused_settings_are_reported_without_secrets() -> None:
    """A wrong password, a missing permission and a missing server raise different errors."""
    with PrivateNats(RIGHTS, user="boss", password="boss") as server:
        await asyncio.to_thread(server.add_stream, "orders")
        administrator_url = server.url.replace("://", "://boss:boss@")
        reader = NatsSource(Nats(url=Secret(administrator_url)), ["orders"], group="workers")
        await reader.open(Revocations())
        await reader.close()
        cases: list[tuple[str, type[ConnectorError], str]] = [
            (server.url.replace("://", f"://boss:{WRONG}@"), AuthenticationFailed, "password"),
            (server.url.replace("://", f"://info:{WRONG}@"), AuthenticationFailed, "may not read"),
            (f"nats://boss:{WRONG}@127.0.0.1:{free_port()}", ConnectionFailed, "accepts"),
        ]
        for url, kind, words in cases:
            reader = NatsSource(Nats(url=Secret(url)), ["orders"], group="workers")
            with pytest.raises(kind, match=words) as error:
                await reader.open(Revocations())
            assert WRONG not in str(error.value)
        for user in ("pull", "ack"):
            url = server.url.replace("://", f"://{user}:{WRONG}@")
            await publish_at(administrator_url, "orders", messages(1))
            reader = NatsSource(Nats(url=Secret(url)), ["orders"], group="workers")
            await reader.open(Revocations())
            with pytest.raises(AuthenticationFailed, match="may not read"):
                await reader.commit(await read_count(reader, 1))
            await reader.close()


async def publish_at(url: str, subject: str, items: Sequence[Message]) -> None:
    """Publish messages at a server that needs a password."""
    client = await nats.connect(url)
    for item in items:
        await client.jetstream().publish(subject, item.payload)
    await client.close()


async def test_dead_letter_is_stored_in_the_stream_of_its_message(
    server: PrivateNats, stream: str
) -> None:
    """A stream stores a dead letter of one of its messages, although both have the same id."""

    def refuse(_: SinkRecord) -> None:
        raise InvalidData("It has no total.")

    await publish(server, stream, [Message(str(number), id=f"m{number}") for number in range(3)])
    publisher = Nats(url=Secret(server.url)).async_publisher("events")
    async with AsyncConnectorManager([Service("events")]) as manager, publisher:
        letters = DeadLetterTopic(manager, publisher, f"{stream}.dead")
        reader = source(server, stream)
        pipeline = Pipeline("orders", reader, RecordSink(refuse), dead_letters=letters)
        run_task = asyncio.create_task(pipeline.run())
        await until(lambda: pipeline.statistics().committed == 3)
        pipeline.stop()
        await run_task
        repeat = publisher.publish(f"{stream}.dead", Message("0", id="m0"))
        receipt = await manager.perform("events", repeat)

    messages_of_stream = await asyncio.to_thread(server.messages, stream)
    stored = [message.subject for message in messages_of_stream]
    assert [stream] * 3 + [f"{stream}.dead"] * 3 == stored
    assert receipt.is_duplicate


async def test_use_of_closed_source_raises_connection_failed(server: PrivateNats) -> None:
    """Using a NATS source that is not open raises a temporary error."""
    with pytest.raises(ConnectionFailed, match="was lost"):
        await source(server, "orders").poll(MANY)


@pytest.mark.parametrize(
    "options, path",
    [
        ({"subjects": "orders"}, "subjects"),
        ({"subjects": []}, "subjects"),
        ({"subjects": ["orders..new"]}, "subjects"),
        ({"subjects": ["orders.>.new"]}, "subjects"),
        ({"subjects": ["$JS.API.>"]}, "subjects"),
        ({"subjects": [1]}, "subjects"),
        ({"subjects": ["orders.*", "orders.eu"]}, "subjects"),
        ({"group": "a.b"}, "group"),
        ({"group": ""}, "group"),
        ({"start": "latest"}, "start"),
        ({"ack_wait": 0}, "ack_wait"),
        ({"max_deliveries": 0}, "max_deliveries"),
        ({"max_unacknowledged": 0}, "max_unacknowledged"),
        ({"discover_every": -1}, "discover_every"),
    ],
)
def test_wrong_arguments_of_nats_source_are_refused_before_anything_is_connected(
    options: dict[str, Any], path: str
) -> None:
    """Wrong arguments of the NATS source are refused before anything is connected."""
    arguments: dict[str, Any] = {"subjects": ["orders"], "group": "workers", **options}
    with pytest.raises(ConfigurationError) as error:
        NatsSource(Nats(url=Secret("nats://host")), **arguments)
    assert path == error.value.path
