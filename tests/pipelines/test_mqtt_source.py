"""The MQTT source, against private brokers."""

from __future__ import annotations

import asyncio
from itertools import product
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    Message,
    Pipeline,
    PollLimits,
    RecordSink,
    Secret,
    Service,
    SinkRecord,
    UnsupportedByVendor,
)
from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.adapters.mqtt._links import AsyncMqttLink
from moorage.adapters.mqtt._reader import MqttReader
from moorage.adapters.mqtt._session import MqttSession
from moorage.adapters.mqtt.kind import Mqtt
from moorage.adapters.mqtt.source import MqttSource
from moorage.domain.messages.mqtt_subscriptions import (
    NEVER,
    MqttSubscription,
    end_error,
    filters_overlap,
    record_fields,
    topic_filters,
)
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
from tests.support.mqtt_brokers import (
    PrivateMosquitto,
    ScriptedBroker,
    connack,
    end_client,
    write_password,
)
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

WRONG_PASSWORD = "hunter2-of-nobody"


@pytest.fixture(scope="module")
def broker() -> Generator[PrivateMosquitto]:
    """Yield an MQTT broker for these tests only."""
    with PrivateMosquitto() as broker:
        yield broker


@pytest.fixture
def topic() -> str:
    """Return a topic that no other test uses."""
    return uuid4().hex


def source(broker: PrivateMosquitto, *topics: str, **options: Any) -> MqttSource:
    """Return a source that reads topics in an MQTT session of its own."""
    options.setdefault("client_id", f"c-{'-'.join(topics)}"[:60].replace("/", "-"))
    protocol = options.pop("protocol", "5")
    return MqttSource(Mqtt(url=Secret(broker.url), protocol=protocol), topics, **options)


async def open_source(broker: PrivateMosquitto, *topics: str, **options: Any) -> MqttSource:
    """Return an open source."""
    reader = source(broker, *topics, **options)
    await reader.open(Revocations())
    return reader


async def publish(
    broker: PrivateMosquitto, topic: str, items: Sequence[Message], **options: Any
) -> None:
    """Publish messages with the MQTT connector."""
    publisher = Mqtt(url=Secret(broker.url), **options).async_publisher("events")
    async with AsyncConnectorManager([Service("events")]) as manager, publisher:
        for result in await manager.perform("events", publisher.publish_batch(topic, items)):
            result.unwrap()


def publish_plainly(broker: PrivateMosquitto, topic: str, count: int, size: int, qos: int) -> None:
    """Publish messages without moorage, as another program would."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for published in [client.publish(topic, b"x" * size, qos=qos) for _ in range(count)]:
        published.wait_for_publish(60)
    end_client(client)


def texts(records: Sequence[SinkRecord]) -> list[str]:
    """Return the payloads of records as strings."""
    return [record.text for record in records]


async def test_published_message_is_read_unchanged(broker: PrivateMosquitto, topic: str) -> None:
    """A published MQTT message is read unchanged, with its topic and headers."""
    reader = await open_source(broker, f"{topic}/+")
    message = Message.of_json({"a": 1}, key="customer", headers={"trace": "1"}, id="m-1")
    await publish(broker, f"{topic}/eu", [message])
    [record] = await read_count(reader, 1)
    assert (message.payload, b"customer", "m-1", "application/json", f"{topic}/eu", 1) == (
        record.payload,
        record.key,
        record.identity,
        record.content_type,
        record.topic,
        record.deliveries,
    )
    assert (("trace", "1"),) == record.attributes
    await reader.commit([record])
    await reader.commit([record])
    await reader.close()


async def test_older_protocol_has_payloads_only(broker: PrivateMosquitto, topic: str) -> None:
    """With MQTT 3.1.1 a session is also kept, but messages have no headers or ids."""
    await (await open_source(broker, topic, protocol="3.1.1")).close()
    await publish(broker, topic, [Message("1", id="m-1")])
    reader = await open_source(broker, topic, protocol="3.1.1")
    [record] = await read_count(reader, 1)
    assert ("1", None, None, ()) == (record.text, record.id, record.key, record.attributes)
    await reader.close()
    with pytest.raises(ConfigurationError, match="MQTT 5"):
        source(broker, topic, protocol="3.1.1", group="workers")


@pytest.mark.parametrize("qos", [1, 2])
async def test_messages_wait_for_a_worker_that_is_away(
    broker: PrivateMosquitto, topic: str, qos: int
) -> None:
    """The broker stores an absent worker's messages, including those it did not commit."""
    await (await open_source(broker, topic, qos=qos)).close()
    await publish(broker, topic, messages(4), qos=qos)
    reader = await open_source(broker, topic, qos=qos)
    records = await read_count(reader, 4)
    await reader.commit(records[:2])
    await reader.release(records[2:])
    await reader.extend(records[2:])
    await reader.close()
    reader = await open_source(broker, topic, qos=qos)
    repeated = await read_count(reader, 2)
    assert ["2", "3"] == texts(repeated)
    assert {2} == {record.deliveries for record in repeated}
    await reader.close()


@pytest.mark.parametrize("group", [None, "billing"])
@pytest.mark.parametrize("removed", ["old", "old/+", "old/#", "+/old/eu"])
async def test_subscription_to_a_removed_topic_ends(
    broker: PrivateMosquitto, topic: str, removed: str, group: str | None
) -> None:
    """The first message of a topic that the source does not have any more ends its subscription."""
    kept_topic = f"{topic}/kept/+"
    name = {"old": "old", "+/old/eu": "any/old/eu"}.get(removed, "old/eu")
    options = {"client_id": topic, "group": group}
    reader = await open_source(broker, kept_topic, f"{topic}/{removed}", **options)
    await reader.close()
    reader = await open_source(broker, kept_topic, **options)
    await publish(broker, f"{topic}/{name}", [Message(b"1")])
    records = await read_count(reader, 1)
    await reader.commit(records)
    # The broker has processed the requests of a connection when it answers a ping.
    await reader.close()
    await publish(broker, f"{topic}/{name}", [Message(b"2")])
    await publish(broker, f"{topic}/kept/eu", [Message(b"3")])
    reader = await open_source(broker, kept_topic, **options)
    assert ["1", "3"] == texts([*records, *await read_count(reader, 1)])
    await reader.close()


async def test_message_of_a_renamed_topic_ends_no_subscription() -> None:
    """A broker may rename topics, so a message that names the current subscription ends none."""
    settings, subscription = (
        Mqtt(url=Secret("mqtt://127.0.0.1")),
        MqttSubscription(filters=("a/#",), qos=1, prefetch=5, expiry=NEVER),
    )
    session = MqttSession(settings, "client", subscription)
    session.receive(connack())
    session.memory.outgoing.clear()
    properties: Any = Properties
    current, foreign = properties(PacketTypes.PUBLISH), properties(PacketTypes.PUBLISH)
    current.SubscriptionIdentifier = subscription.identifier
    foreign.SubscriptionIdentifier = subscription.identifier % 1000 + 1
    session.end_removed_subscriptions(
        [("b/x", SimpleNamespace(properties=current)), ("a/x", SimpleNamespace(properties=foreign))]
    )
    assert not session.memory.outgoing
    session.end_removed_subscriptions([("c/x", SimpleNamespace(properties=foreign))])
    assert b"c/+" in session.memory.outgoing


@given(
    levels=st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=4),
    is_system=st.booleans(),
)
def test_possible_filters_are_those_that_match(levels: list[str], *, is_system: bool) -> None:
    """The filters returned for a topic are exactly those that match the topic."""
    topic = "/".join(["$SYS", *levels] if is_system else levels)
    subscription = MqttSubscription(filters=("kept",), qos=1, prefetch=1, expiry=NEVER)
    names = subscription.possible_filters(topic)
    parts = sorted({*topic.split("/"), "+"})
    every_filter = [
        "/".join(choice[:-1] if choice[-1] == "-" else choice)
        for size in range(len(topic.split("/")) + 1)
        for choice in product(*[parts] * size, ["#", "-"])
        if choice != ("-",)
    ]
    expected = {name for name in every_filter if name and topic_matches_sub(name, topic)}
    assert expected == {*names}
    assert len(names) == len(expected)


async def test_acknowledgements_are_in_order(broker: PrivateMosquitto, topic: str) -> None:
    """A message finished out of order frees its slot only once all earlier ones are finished."""
    reader = await open_source(broker, topic, prefetch=3)
    await publish(broker, topic, messages(5))
    records = await read_count(reader, 3)
    assert [] == await reader.poll(MANY)
    await reader.commit(records[1:])
    assert [] == await reader.poll(MANY)
    await reader.commit(records[:1])
    records = await read_count(reader, 2)
    assert ["3", "4"] == texts(records)
    await reader.commit(records[1:])
    await reader.close()
    reader = await open_source(broker, topic, prefetch=3)
    await publish(broker, topic, [Message("5")])
    assert ["3", "5"] == texts(await read_count(reader, 2))
    await reader.close()


async def test_group_shares_messages(broker: PrivateMosquitto, topic: str) -> None:
    """Workers of a group get each message once; another subscriber gets all messages."""
    workers = [
        await open_source(broker, f"{topic}/#", group="workers", client_id=f"{topic}-{number}")
        for number in range(2)
    ]
    other = await open_source(broker, f"{topic}/#", client_id=f"{topic}-other")
    await publish(broker, f"{topic}/a/b", messages(20))
    shares: list[list[str]] = [[], []]
    async with asyncio.timeout(60.0):
        while sum(map(len, shares)) < 20:
            for worker, share in zip(workers, shares, strict=True):
                records = await worker.poll(MANY)
                share.extend(texts(records))
                await worker.commit(records)
    assert all(shares)
    assert {str(number) for number in range(20)} == {*shares[0], *shares[1]}
    assert [str(number) for number in range(20)] == texts(await read_count(other, 20))
    for reader in (*workers, other):
        await reader.close()


async def test_retained_message_comes_once(broker: PrivateMosquitto, topic: str) -> None:
    """A retained message is delivered once per subscription, and not at each new connection."""
    await publish(broker, topic, [Message("kept")], retain=True)
    reader = await open_source(broker, topic)
    await reader.commit(await read_count(reader, 1))
    await reader.open(Revocations())
    await publish(broker, topic, [Message("next")])
    assert ["next"] == texts(await read_count(reader, 1))
    await reader.close()


async def test_reopening_the_source_invalidates_all_deliveries(
    broker: PrivateMosquitto, topic: str
) -> None:
    """Opening the source again invalidates all deliveries; late acknowledgements are ignored."""
    reader, revocations = source(broker, topic), Revocations()
    await reader.open(revocations)
    await reader.open(revocations)
    assert [] == revocations
    await publish(broker, topic, messages(2))
    records = await read_count(reader, 2)
    await reader.open(revocations)
    assert [None] == revocations
    await reader.commit(records)
    assert 2 == len(await read_count(reader, 2))
    await reader.close()


async def test_worker_stops_if_broker_says_that_another_client_has_begun_with_its_id() -> None:
    """If the broker reports that another client uses the worker's id, the worker stops."""
    accepted, taken_over = bytes([0x90, 4, 0, 1, 0, 1]), bytes([0xE0, 1, 0x8E])

    def answer(packet: int, _: int) -> bytes | None:
        return accepted + taken_over if packet == 0x80 else b""

    with ScriptedBroker(connack(), answer) as broker:
        reader = MqttSource(Mqtt(url=Secret(broker.url)), ["orders"], client_id="billing")

        async def use_reader() -> None:
            await reader.open(Revocations())
            await reader.poll(PollLimits(1, 1, 60.0))

        with pytest.raises(ConfigurationError, match="same client id") as error:
            await use_reader()
        assert "client_id" == error.value.path
        await reader.close()


async def test_topic_that_is_not_utf8_ends_the_connection() -> None:
    """If a message's topic is not UTF-8, the connection counts as lost and no reader hangs."""
    accepted = bytes([0x90, 4, 0, 1, 0, 1])
    message = bytes([0x32, 7, 0, 1, 0xFF, 0, 1, 0]) + b"x"

    def answer(packet: int, _: int) -> bytes | None:
        return accepted + message if packet == 0x80 else b""

    with ScriptedBroker(connack(), answer) as broker:
        reader = MqttSource(Mqtt(url=Secret(broker.url)), ["orders"], client_id="billing")

        async def use_reader() -> None:
            await reader.open(Revocations())
            await reader.poll(PollLimits(1, 1, 60.0))

        with pytest.raises(ConnectionFailed):
            await use_reader()
        await reader.close()


async def test_messages_without_acknowledgement_are_bounded(
    broker: PrivateMosquitto, topic: str
) -> None:
    """If too many QoS 0 messages arrive, they are not read from the network until there is room."""
    reader = await open_source(broker, topic, prefetch=1)
    await asyncio.to_thread(publish_plainly, broker, topic, 3_000, 10, 0)
    inner: Any = reader
    await until(lambda: len(inner._reader._buffer) > 1_000)  # noqa: SLF001 - nothing public tells
    waited = asyncio.create_task(asyncio.sleep(1.5))
    await waited
    held_count = len(inner._reader._buffer)  # noqa: SLF001 - nothing public tells
    records = await read_count(reader, held_count + 1)
    assert held_count < 3_000
    await reader.commit(records)
    await reader.close()


async def test_slow_sink_keeps_the_backlog_at_the_broker(
    broker: PrivateMosquitto, topic: str
) -> None:
    """While the sink hangs, a 20 MB backlog stays at the broker, with little memory used."""
    reader = source(broker, topic)
    await reader.open(Revocations())
    await reader.close()
    await asyncio.to_thread(publish_plainly, broker, topic, 1_000, 20_000, 1)
    held_count = await check_slow_sink(reader, 1_000)
    assert held_count < 8_000_000


async def test_stopping_pipeline_commits_its_running_batch(
    broker: PrivateMosquitto, topic: str
) -> None:
    """A stopping pipeline commits its running batch; the broker keeps the rest for its id."""
    has_begun, may_continue = asyncio.Event(), asyncio.Event()
    stored: list[str] = []

    async def store(record: SinkRecord) -> None:
        has_begun.set()
        await may_continue.wait()
        stored.append(record.text)

    await (await open_source(broker, topic)).close()
    await publish(broker, topic, messages(50))
    pipeline = Pipeline("orders", source(broker, topic), RecordSink(store))
    run_task = asyncio.create_task(pipeline.run())
    await has_begun.wait()
    pipeline.stop()
    may_continue.set()
    assert (await run_task).is_clean
    reader = await open_source(broker, topic)
    rest = await read_count(reader, 50 - len(stored))
    assert sorted(map(str, range(50))) == sorted(stored + texts(rest))
    await reader.close()


async def test_prefetch_holds_whatever_the_broker_sends(
    broker: PrivateMosquitto, topic: str
) -> None:
    """Never more than `prefetch` messages are unacknowledged, whatever the broker sends."""
    reader = await open_source(broker, topic, prefetch=10)
    await publish(broker, topic, messages(50))
    records = await read_count(reader, 10)
    assert [] == await reader.poll(MANY)
    await reader.commit(records[1:5])
    assert [] == await reader.poll(MANY)
    await reader.commit(records[:1])
    records += await read_count(reader, 5)
    assert [] == await reader.poll(MANY)
    assert [*range(15)] == [record.json() for record in records]
    await reader.close()


def test_killed_worker_loses_no_record(
    broker: PrivateMosquitto, topic: str, tmp_path: Path
) -> None:
    """Workers are killed with `kill -9` at random moments, and each message is processed."""

    async def prepare() -> None:
        await (await open_source(broker, topic, client_id=f"worker-of-{topic}")).close()
        await publish(broker, topic, messages(600))

    asyncio.run(prepare())
    arguments = ("mqtt", broker.url, topic)
    check_killed_workers(arguments, tmp_path / "effects", 600, lambda: True)


async def test_pipeline_survives_restart_of_broker(topic: str) -> None:
    """If the broker restarts, the pipeline goes on, and pauses between its attempts to connect."""
    with PrivateMosquitto(is_persistent=True) as broker:
        await (await open_source(broker, topic)).close()
        reader = source(broker, topic)

        async def publish_to_it(items: Sequence[Message]) -> None:
            await publish(broker, topic, items)

        await check_restarted_broker(reader, publish_to_it, broker.stop, broker.start)


async def test_refused_settings_are_reported_without_secrets(tmp_path: Path) -> None:
    """A wrong password, a missing permission and a missing broker raise different errors."""
    passwords, rights = tmp_path / "passwords", tmp_path / "rights"
    write_password(passwords, "shop", WRONG_PASSWORD)
    rights.write_text("user shop\ntopic read orders\n")
    lines = (f"password_file {passwords}", f"acl_file {rights}")
    with PrivateMosquitto(*lines, anonymous=False) as broker:
        cases: list[tuple[str, type[ConnectorError], str]] = [
            (
                broker.url.replace("//", f"//shop:{WRONG_PASSWORD}x@"),
                AuthenticationFailed,
                "password",
            ),
            (f"mqtt://shop:{WRONG_PASSWORD}@127.0.0.1:{free_port()}", ConnectionFailed, "accepts"),
        ]
        for url, kind, words in cases:
            reader = MqttSource(Mqtt(url=Secret(url)), ["orders"], client_id="billing")
            with pytest.raises(kind, match=words) as error:
                await reader.open(Revocations())
            assert WRONG_PASSWORD not in str(error.value)


@pytest.mark.parametrize(
    "code, kind",
    [(0x87, AuthenticationFailed), (0x9E, ConfigurationError), (0, ConfigurationError)],
)
async def test_subscription_that_the_broker_refuses_is_an_error(
    code: int, kind: type[ConnectorError]
) -> None:
    """A subscription that the broker refuses, or grants with a lower QoS, is an error."""

    def answer(packet: int, _: int) -> bytes | None:
        # The number of the first request of a client is 1.
        return bytes([0x90, 4, 0, 1, 0, code]) if packet == 0x80 else b""

    with ScriptedBroker(connack(), answer) as broker:
        reader = MqttSource(Mqtt(url=Secret(broker.url)), ["orders"], client_id="billing")
        with pytest.raises(kind):
            await reader.open(Revocations())


async def test_lost_connection_is_temporary(broker: PrivateMosquitto, topic: str) -> None:
    """If the broker dies, polls and commits fail temporarily, and the source can be closed."""
    with PrivateMosquitto() as private_broker:
        reader = await open_source(private_broker, topic)
        await publish(private_broker, topic, messages(1))
        records = await read_count(reader, 1)
        poll_task = asyncio.create_task(reader.poll(PollLimits(1, 1, 60.0)))
        private_broker.kill()
        with pytest.raises(ConnectionFailed, match="was lost"):
            await poll_task
        with pytest.raises(ConnectionFailed, match="was lost"):
            await reader.commit(records)
        await reader.close()
    with pytest.raises(ConnectionFailed, match="was lost"):
        await source(broker, topic).poll(MANY)
    with pytest.raises(UnsupportedByVendor, match="no position"):
        await source(broker, topic).seek((topic, None), 1)


class StallingWire:
    """A connection to a broker that sends one message and then no longer reads.

    Attributes:
        sends: set when a packet cannot be sent.
        failure: the error of a packet that cannot be sent; None if sending it never ends.
    """

    written = 0

    def __init__(self, failure: Exception | None) -> None:
        self.sends = asyncio.Event()
        self.failure = failure
        message = bytes([0x32, 7, 0, 1, ord("a"), 0, 1, 0]) + b"x"
        self._packets = [connack(), bytes([0x90, 4, 0, 1, 0, 1]) + message]
        self._sent = 0

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send the opening and the subscription, but nothing more."""
        del data, until
        self._sent += 1
        if self._sent <= 2:
            return
        self.sends.set()
        if self.failure is not None:
            raise self.failure
        await asyncio.Event().wait()

    async def receive(self, until: float) -> bytes:
        """Return the next packets of the broker, or wait."""
        del until
        if not self._packets:
            await asyncio.Event().wait()
        return self._packets.pop(0)

    def read_available(self) -> None:
        """Return None, because no bytes have arrived."""

    def stale(self) -> bool:
        """Return False, because the connection is open."""
        return False

    def hang_up(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("failure", [None, DeadlinePassed(), ConnectionResetError()])
async def test_acknowledgement_that_was_not_sent_ends_the_connection(
    failure: Exception | None,
) -> None:
    """If an acknowledgement is cancelled or fails, later polls and commits fail temporarily."""
    wire = StallingWire(failure)
    settings = Mqtt(url=Secret("mqtt://127.0.0.1"), keepalive=0)
    subscription = MqttSubscription(filters=("a",), qos=1, prefetch=10, expiry=NEVER)
    link = AsyncMqttLink(settings, wire, MqttSession(settings, "billing", subscription))
    await link.greet(inf)
    await link.subscribe(subscription, inf)
    reader = MqttReader(link, 10)
    records = await reader.take(PollLimits(1, 1, 60.0))
    commit_task = asyncio.create_task(reader.acknowledge(records))
    await wire.sends.wait()
    commit_task.cancel()
    with pytest.raises((asyncio.CancelledError, ConnectionFailed)):
        await commit_task
    with pytest.raises(ConnectionFailed, match="was lost"):
        await reader.acknowledge(records)
    with pytest.raises(ConnectionFailed, match="was lost"):
        await reader.take(PollLimits(1, 1, 60.0))
    await reader.close()


@pytest.mark.parametrize(
    "options, path",
    [
        ({"topics": "orders"}, "topics"),
        ({"topics": []}, "topics"),
        ({"topics": [""]}, "topics"),
        ({"topics": ["a/#/b"]}, "topics"),
        ({"topics": ["a+"]}, "topics"),
        ({"topics": ["$share/group/a"]}, "topics"),
        ({"topics": ["x" * 70_000]}, "topics"),
        ({"topics": [1]}, "topics"),
        ({"topics": ["orders/#", "orders/eu"]}, "topics"),
        ({"client_id": ""}, "client_id"),
        ({"group": "a/b"}, "group"),
        ({"qos": 0}, "qos"),
        ({"prefetch": 0}, "prefetch"),
        ({"prefetch": 65_536}, "prefetch"),
        ({"session_expiry": 0}, "session_expiry"),
    ],
)
def test_wrong_arguments_of_mqtt_source_are_refused_before_anything_is_connected(
    options: dict[str, Any], path: str
) -> None:
    """Wrong arguments of the MQTT source are refused before anything is connected."""
    arguments: dict[str, Any] = {"topics": ["orders"], "client_id": "billing", **options}
    with pytest.raises(ConfigurationError) as error:
        MqttSource(Mqtt(url=Secret("mqtt://host")), **arguments)
    assert path == error.value.path


def test_topic_filter_of_a_group_contains_its_name() -> None:
    """A group's topic filters contain its name; a wildcard matches only whole levels."""
    for topic in ("a/+/b", "#", "/", "+", "$SYS/x"):
        assert (topic,) == topic_filters([topic], None)
    assert ("#", "$SYS/x") == topic_filters(["#", "$SYS/x"], None)
    assert ("$share/g/a/#",) == topic_filters(["a/#"], "g")


def test_filters_that_overlap_are_those_that_match_one_topic() -> None:
    """Two filters overlap if paho-mqtt finds a topic that both of them match."""
    topics = ["/".join(levels) for n in (1, 2, 3) for levels in product(("a", "b", "$s"), repeat=n)]
    words = [levels for n in (1, 2) for levels in product(("a", "b", "+", "$s"), repeat=n)]
    filters = ["#", *("/".join(levels) for levels in words), *(f"{'/'.join(w)}/#" for w in words)]
    matches = {
        name: {topic for topic in topics if topic_matches_sub(name, topic)} for name in filters
    }

    for first, second in product(filters, repeat=2):
        assert bool(matches[first] & matches[second]) is filters_overlap(first, second)


def test_first_of_repeated_properties_is_used() -> None:
    """If an MQTT property is repeated, the first is used; one with an empty name is kept."""
    fields = record_fields(None, [("", "1"), ("message-id", "a"), ("message-id", "b")])
    assert (None, "a", [("(unnamed)", "1")]) == (fields["key"], fields["id"], fields["attributes"])


def test_lost_permission_and_used_client_id_stop_the_source() -> None:
    """A lost permission or a client id in use stops a source; other codes are temporary errors."""
    codes = (None, 0x8B, 0x87, 0x8E)
    assert [True, True, False, False] == [end_error(code).retryable for code in codes]
    subscription = MqttSubscription(filters=("a",), qos=1, prefetch=1, expiry=NEVER)
    assert subscription.refusal([1]) is None
