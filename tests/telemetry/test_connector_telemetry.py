"""Traces, metrics and logs of database and broker connectors, with the real OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import column, select, table

from moorage import (
    AsyncConnectorManager,
    ConnectorError,
    ConnectorManager,
    RetryPolicy,
    Service,
    VendorRejected,
)
from moorage.adapters.messages.kafka import Kafka
from moorage.adapters.messages.rabbitmq import RabbitMq
from moorage.adapters.observers._conventions import of_target
from moorage.adapters.observers._description import NAMES, fields_of, level_of
from moorage.adapters.observers._pools import PoolReadings
from moorage.adapters.observers.prometheus import PrometheusObserver
from moorage.adapters.redis_streams.kind import RedisStreams
from moorage.adapters.sql.connector import SqlConnector
from moorage.adapters.sql.statements import Command, Query
from moorage.adapters.sqs.amazon_sqs import AmazonSqs
from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
from moorage.domain.connectors.pool_statistics import ConnectorPool, PoolStatistics
from moorage.domain.messages.broker_rules import BrokerRules, with_trace
from moorage.domain.messages.message import Message
from moorage.domain.monitoring.health import HealthState
from moorage.domain.observation.call_events import AttemptFinished
from moorage.domain.observation.events import ConnectorChecked
from moorage.errors import ConnectionFailed
from moorage.hub.connectors_async import AsyncConnectors
from moorage.hub.connectors_sync import Connectors
from moorage.testing.fakes.message_broker import MemoryBroker
from tests.adapters.test_opentelemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

CANARY = "canary-7d21"
CREATE = Command("CREATE TABLE customers (id integer PRIMARY KEY, name text)", name="create")
INSERT = Command("INSERT INTO customers (id, name) VALUES (:id, :name)", name="customers.add")
FIND = Query("SELECT name FROM customers WHERE id = :id", name="customers.find")
ORDERS = table("customers", column("name"))


class Harness:
    """A manager with a memory database and a memory broker, observed by OpenTelemetry."""

    def __init__(self, *, connector_names: bool = False) -> None:
        self.telemetry = Telemetry(connector_names=connector_names)
        services = [
            Service(name, retry=RetryPolicy(2, 0), circuit=None) for name in ("erp", "events")
        ]
        self.manager = ConnectorManager(services, observers=[self.telemetry.observer])
        self.connectors = Connectors(self.manager)
        self.database = SqlConnector("sqlite://", name="erp")
        self.broker = MemoryBroker()
        self.publisher = self.broker.publisher()
        self.connectors.add(self.database)
        self.connectors.add(self.publisher)

    def sql(self, operation: Any) -> Any:
        """Execute an operation on the database."""
        return self.manager.perform("erp", operation)

    def publish(self, operation: Any) -> Any:
        """Publish messages with the broker's connector."""
        return self.manager.perform("events", operation)

    def attempts(self) -> list[Any]:
        """Return the spans of attempts in the order of their ends."""
        spans = self.telemetry.spans_out.get_finished_spans()
        return [span for span in spans if span.kind is not SpanKind.INTERNAL]


@pytest.fixture
def harness() -> Generator[Harness]:
    """Yield a test environment whose telemetry uses moorage's own attribute names."""
    harness = Harness()
    yield harness
    harness.connectors.close()


@pytest.fixture
def named_harness() -> Generator[Harness]:
    """Yield a test environment whose telemetry uses the names `connector.…`."""
    harness = Harness(connector_names=True)
    yield harness
    harness.connectors.close()


def test_spans_of_statements_follow_the_conventions(harness: Harness) -> None:
    """A statement's span is named by the statement's summary, and has its text without values."""
    harness.sql(harness.database.execute(CREATE))
    harness.sql(harness.database.execute(INSERT, id=1, name=CANARY))
    harness.sql(harness.database.query(FIND, id=1))
    harness.sql(harness.database.query(Query(select(ORDERS.c.name), name="names")))

    create, insert, find, names = harness.attempts()
    assert ("CREATE customers", "INSERT customers", "SELECT customers", "SELECT customers") == (
        create.name,
        insert.name,
        find.name,
        names.name,
    )
    assert SpanKind.CLIENT is find.kind
    assert {
        "db.system.name": "sqlite",
        "db.operation.name": "SELECT",
        "db.collection.name": "customers",
        "db.query.summary": "SELECT customers",
        "db.query.text": "SELECT name FROM customers WHERE id = :id",
    } == {name: value for name, value in find.attributes.items() if name.startswith("db.")}
    assert "SELECT customers.name" in names.attributes["db.query.text"]
    assert CANARY not in harness.telemetry.text()


def test_batch_and_transaction_have_no_text(harness: Harness) -> None:
    """A batch's span has the batch's size; a transaction's is named by the database only."""
    harness.sql(harness.database.execute(CREATE))
    rows = [(INSERT, {"id": number, "name": CANARY}) for number in range(3)]
    harness.sql(harness.database.batch(*rows, name="customers.load"))
    harness.sql(harness.database.batch((FIND, {"id": 1}), name="customers.one"))
    harness.sql(harness.database.transaction(lambda _: None, name="nothing"))

    _, batch, single, transaction = harness.attempts()
    assert ("BATCH", 3) == (
        batch.attributes["db.operation.name"],
        batch.attributes["db.operation.batch.size"],
    )
    assert ("BATCH", "SELECT customers", "sqlite") == (batch.name, single.name, transaction.name)
    assert "db.operation.name" not in transaction.attributes
    assert not any("db.query.text" in span.attributes for span in (batch, transaction))


def test_failed_statement_has_the_code_of_the_database(harness: Harness) -> None:
    """The span and the metric of a failed statement have the database's error code."""
    harness.sql(harness.database.execute(CREATE))
    harness.sql(harness.database.execute(INSERT, id=1, name="a"))
    with pytest.raises(VendorRejected) as excinfo:
        harness.sql(harness.database.execute(INSERT, id=1, name="b"))

    failed = harness.attempts()[-1]
    assert excinfo.value.vendor_code
    assert excinfo.value.vendor_code == failed.attributes["db.response.status_code"]
    assert excinfo.value.vendor_code == failed.attributes["error.type"]
    points = harness.telemetry.metrics()["db.client.operation.duration"].data.data_points
    assert [excinfo.value.vendor_code] == [
        point.attributes["error.type"] for point in points if "error.type" in point.attributes
    ]
    assert all("db.query.text" not in point.attributes for point in points)


def test_publications_follow_the_conventions(harness: Harness) -> None:
    """The span of a published message names broker and destination, but has no message content."""
    harness.publish(harness.publisher.publish("orders", Message(CANARY, key=CANARY, id="m-1")))
    harness.publish(harness.publisher.publish_batch("orders", [Message("a"), Message("b")]))

    single, batch = harness.attempts()
    assert ("publish orders", SpanKind.PRODUCER) == (single.name, single.kind)
    assert {
        "messaging.system": "memory",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.message.id": "m-1",
        "messaging.message.body.size": len(CANARY),
    } == {key: value for key, value in single.attributes.items() if key.startswith("messaging.")}
    assert 2 == batch.attributes["messaging.batch.message_count"]
    assert CANARY not in harness.telemetry.text()
    metrics = harness.telemetry.metrics()
    points = metrics["messaging.client.sent.messages"].data.data_points
    assert 3 == sum(point.value for point in points)
    assert 2 == sum(
        point.count for point in metrics["messaging.client.operation.duration"].data.data_points
    )
    assert all("messaging.destination.name" not in point.attributes for point in points)


def test_messages_carry_the_context_of_their_span(harness: Harness) -> None:
    """A published message gets the `traceparent` of its attempt, unless the caller sets one."""
    harness.publish(harness.publisher.publish("orders", Message("a")))
    harness.publish(
        harness.publisher.publish("orders", Message("b", headers={"traceparent": "of-mine"}))
    )

    first, second = (dict(message.message.headers) for message in harness.broker.messages)
    span = harness.attempts()[0].context
    assert f"00-{span.trace_id:032x}-{span.span_id:016x}" == first["traceparent"][:-3]
    assert {"traceparent": "of-mine"} == second


def test_each_repeat_of_a_publication_is_a_span(harness: Harness) -> None:
    """Each attempt to publish is its own span, and the message has the last attempt's context."""
    harness.broker.fail(ConnectionFailed("refused", may_have_been_processed=False))
    harness.publish(harness.publisher.publish("orders", Message("a")))

    first, second = harness.attempts()
    assert ("ConnectionFailed", None) == tuple(
        span.attributes.get("error.type") for span in (first, second)
    )
    (message,) = harness.broker.messages
    assert f"{second.context.span_id:016x}" in str(dict(message.message.headers)["traceparent"])


@pytest.mark.parametrize(
    "rules",
    [
        BrokerRules(system="x", title="X", most_headers=0),
        BrokerRules(system="x", title="X", largest=3),
        BrokerRules(system="x", title="X", reserved=frozenset({"traceparent"})),
    ],
)
def test_message_that_has_no_room_goes_without_context(rules: BrokerRules) -> None:
    """If a broker has no space for trace headers, the message is published without them."""
    message = Message("abc")

    assert message is with_trace(message, rules, [("traceparent", "00-…")])


def test_connector_names_of_spans_pools_and_health(named_harness: Harness) -> None:
    """With `connector_names`, operations, pools and checks are named `connector.…`."""
    harness = named_harness
    harness.sql(harness.database.execute(CREATE))
    harness.publish(harness.publisher.publish("orders", Message("a")))
    harness.broker.is_down = True
    harness.connectors.health_of_all()

    assert ["connector.database.query", "connector.message_queue.publish"] == [
        span.name for span in harness.attempts()
    ]
    metrics = harness.telemetry.metrics()
    for name in ("size", "idle", "active"):
        points = metrics[f"connector.pool.{name}"].data.data_points
        assert {"erp", "events"} == {point.attributes["moorage.connector"] for point in points}
    logs = [log.log_record for log in harness.telemetry.logs_out.get_finished_logs()]
    assert {"connector.health_check"} == {record.event_name for record in logs}
    states = {
        record.attributes["moorage.connector"]: (
            record.attributes["moorage.state"],
            record.severity_number.name,
        )
        for record in logs
    }
    assert ("healthy", "INFO") == states["erp"]
    assert {"erp", "events"} == set(states)


def test_names_of_connectors_are_registered(harness: Harness) -> None:
    """Every telemetry name that a run with connectors emits is in the registry of names."""
    harness.sql(harness.database.execute(CREATE))
    harness.sql(harness.database.batch(*[(FIND, {"id": 1})] * 2, name="twice"))
    with pytest.raises(ConnectorError):
        harness.sql(harness.database.execute(CREATE))
    harness.publish(harness.publisher.publish("orders", Message("a", id="1")))
    harness.publish(harness.publisher.publish_batch("orders", [Message("a")]))
    harness.connectors.health("erp")

    attributes = {name for span in harness.telemetry.spans() for name in span.attributes}
    metrics = harness.telemetry.metrics()
    for metric in metrics.values():
        attributes |= {name for point in metric.data.data_points for name in point.attributes}
    assert attributes <= set(NAMES["attributes"])
    assert set(metrics) <= set(NAMES["metrics"])
    assert all(NAMES["metrics"][name]["unit"] == metric.unit for name, metric in metrics.items())
    events = {event.name: event for span in harness.telemetry.spans() for event in span.events}
    (checked,) = events.values()
    assert "moorage.ConnectorChecked" == checked.name
    assert set(checked.attributes) <= {
        *NAMES["events"][checked.name]["attributes"],
        *NAMES["attributes"],
        "moorage.at",
    }


def test_database_pools_have_the_names_of_the_conventions(harness: Harness) -> None:
    """Only database pools are reported under the names `db.client.connection.…`."""
    harness.sql(harness.database.execute(CREATE))
    harness.publish(harness.publisher.publish("orders", Message("a")))

    metrics = harness.telemetry.metrics()
    counts = metrics["db.client.connection.count"].data.data_points
    assert {"idle", "used"} == {point.attributes["db.client.connection.state"] for point in counts}
    for name in ("count", "max", "pending_requests"):
        points = metrics[f"db.client.connection.{name}"].data.data_points
        assert {"erp"} == {point.attributes["db.client.connection.pool.name"] for point in points}


def test_targets_name_the_server() -> None:
    """A span contains the server's host, and the port unless it is the default port."""
    publishers: list[Any] = [
        RabbitMq(url="amqp://mq.example/", exchange="shop").publisher(),
        RabbitMq(url="amqp://mq.example:5673/").publisher(),
        RedisStreams(url="redis://redis.example:6380/0").publisher(),
        Kafka(servers="one.example:9092").publisher(),
        Kafka(servers="one.example:9092,two.example:9092").publisher(),
        AmazonSqs(region="eu-central-1", account="123456789012").publisher(),
    ]

    targets = [
        of_target(publisher.publish("orders", Message("a")).target) for publisher in publishers
    ]
    assert [
        ("rabbitmq", "publish", "shop:orders", "mq.example", None),
        ("rabbitmq", "publish", "orders", "mq.example", 5673),
        ("redis", "xadd", "orders", "redis.example", 6380),
        ("kafka", "send", "orders", "one.example", None),
        ("kafka", "send", "orders", None, None),
        ("aws_sqs", "send", "orders", "sqs.eu-central-1.amazonaws.com", None),
    ] == [
        (
            target["messaging.system"],
            target["messaging.operation.name"],
            target["messaging.destination.name"],
            target.get("server.address"),
            target.get("server.port"),
        )
        for target in targets
    ]
    database = SqlConnector(f"postgresql://user:{CANARY}@db.example:5433/shop")
    attributes = of_target(database.query(FIND, id=1).target)
    assert ("postgresql", "shop", "db.example", 5433) == tuple(
        attributes[name]
        for name in ("db.system.name", "db.namespace", "server.address", "server.port")
    )
    assert CANARY not in str(attributes)
    with pytest.raises(TypeError, match="not a supported kind of target"):
        of_target(object())  # type: ignore[arg-type]  # on purpose


def test_prometheus_reads_pools_when_asked() -> None:
    """At each scrape, Prometheus reads how many connections the pools have at that moment."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    manager = ConnectorManager([Service("erp", circuit=None)], observers=[observer])
    connectors = Connectors(manager)
    with SqlConnector("sqlite://", name="erp") as database:
        connectors.add(database)
        busy: list[str] = []

        def observe(_: object) -> None:
            busy.append(generate_latest(registry).decode())

        manager.perform("erp", database.transaction(observe, name="look"))
        connectors.health("erp")
        later_metrics = generate_latest(registry).decode()

    active = 'moorage_pool_connections{connector="erp",state="active"}'
    assert f"{active} 1.0" in busy[0]
    assert f"{active} 0.0" in later_metrics
    assert 'moorage_pool_maximum{connector="erp"} 1.0' in later_metrics
    assert 'moorage_connector_up{connector="erp"} 1.0' in later_metrics


def test_multiprocess_mode_sums_pools(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In multiprocess mode, the pools' metrics are written at attempts and health checks."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    source = FixedPools(ConnectorPool("erp", "sql", PoolStatistics(idle=2, active=1, waiting=4)))
    observer.watch_pools(source)
    waiting = {"connector": "erp"}

    attempt_end = AttemptFinished(at=datetime.now(UTC), service="erp", attempt=1, duration=0.1)
    observer(attempt_end)
    assert 4 == registry.get_sample_value("moorage_pool_waiting", waiting)
    source.pool = ConnectorPool("erp", "sql", PoolStatistics(waiting=5, maximum=9))
    observer(check_event("unavailable"))

    assert 5 == registry.get_sample_value("moorage_pool_waiting", waiting)
    assert 9 == registry.get_sample_value("moorage_pool_maximum", waiting)
    assert 0 == registry.get_sample_value("moorage_connector_up", waiting)


class FixedPools:
    """A connector registry with one fixed pool."""

    def __init__(self, pool: ConnectorPool) -> None:
        self.pool = pool

    def pools(self) -> tuple[ConnectorPool, ...]:
        """Return the pool."""
        return (self.pool,)


class BrokenPools:
    """A connector registry whose pools cannot be read."""

    def pools(self) -> tuple[ConnectorPool, ...]:
        """Raise an error, because the pools cannot be read."""
        raise RuntimeError(CANARY)


def check_event(state: str, text: str | None = None) -> ConnectorChecked:
    """Return the event of a health check of the connector `erp`."""
    now = datetime.now(UTC)
    return ConnectorChecked(at=now, service="erp", connector="erp", state=state, text=text)


def test_pools_with_one_name_are_added_up() -> None:
    """Pools with the same name are added up; registries that fail or are gone are left out."""
    readings = PoolReadings()
    one = FixedPools(ConnectorPool("erp", "sql", PoolStatistics(idle=1, active=2, maximum=3)))
    two = FixedPools(ConnectorPool("erp", "sql", PoolStatistics(idle=4, waiting=1, maximum=5)))
    endless = FixedPools(ConnectorPool("erp", "sql", PoolStatistics()))
    broken = BrokenPools()
    for source in (one, two, broken):
        readings.watch(source)

    (pool,) = readings.read()
    assert PoolStatistics(idle=5, active=2, waiting=1, maximum=8) == pool.statistics
    readings.watch(endless)
    assert readings.read()[0].statistics.maximum is None
    del one, two, endless, source
    assert () == readings.read()


class SilentConnector:
    """An asynchronous connector that was never healthy and has no pool."""

    name = "silent"
    kind = "diary"
    service = "erp"
    versions = ConnectorVersions()
    operations: Mapping[str, Any] = MappingProxyType({})

    def statistics(self) -> None:
        """Return None, because there is no pool."""

    async def open(self, timeout: float, /) -> None:
        """Do nothing, because there is nothing to open."""

    async def health(self, timeout: float, /) -> ConnectorHealth:
        """Return that the server does not respond."""
        moment = datetime.now(UTC)
        return ConnectorHealth(
            connector=self.name, at=moment, state=HealthState.UNAVAILABLE, text="Nobody answers."
        )

    async def close(self) -> None:
        """Do nothing, because there is nothing to close."""


def test_checks_are_events_in_asynchronous_programs() -> None:
    """An asynchronous health check emits an event with the connector's state."""
    events: list[Any] = []

    async def run() -> None:
        manager = AsyncConnectorManager([Service("erp")], observers=[events.append])
        connectors = AsyncConnectors(manager)
        connectors.add(SilentConnector())
        await connectors.health("silent")
        assert () == connectors.pools()

    asyncio.run(run())

    (event,) = events
    assert ("erp", "silent", "unavailable", "Nobody answers.") == (
        event.service,
        event.connector,
        event.state,
        event.text,
    )
    assert (40, 20) == (level_of(event), level_of(check_event("healthy")))
    assert "Nobody answers." == fields_of(event)["text"]
