"""Pipelines in a configuration: sources, sinks, settings, and the path of each mistake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage.config import json_schema, read_configuration
from moorage.config.pipeline_options import FunctionSinkOptions, FunctionSource, PublishSinkOptions
from moorage.config.pipeline_schemas import SchemaRegistryOptions, SchemaTransformOptions
from moorage.config.pipelines import (
    EndSettings,
    KindSourceSettings,
    LetterFile,
    LetterTopic,
)
from moorage.domain.pipelines.settings import Order
from moorage.domain.resilience.retry import Jitter
from moorage.errors import ConfigurationError
from tests.support.schema import fits

if TYPE_CHECKING:
    from pathlib import Path

REDIS = {"kind": "redis-streams", "url": "redis://localhost:6379/0"}
CONNECTORS = {
    "events": REDIS,
    "off": {**REDIS, "enabled": False},
    "rows": {"kind": "sql", "url": "sqlite:///rows.db"},
}
SOURCE = {"connector": "events", "topics": ["orders"], "group": "billing"}
SINK = {"function": "shop.orders:store"}
ROWS = {"kind": "sql", "connector": "rows", "table": "orders", "columns": ["a", "b"]}
CALL = {"kind": "call", "operation": "sms.send", "request": "shop.orders:sms"}

TOML = """
[connectors.events]
kind = "redis-streams"
url = "redis://localhost:6379/0"

[pipelines.orders]
transforms = ["shop.orders:priced", "shop.orders:checked"]
lanes = 4
order = "partition"
drain = 5
exhausted = "stop"
batch = {records = 100, wait = 0.5}
retry = {base_delay = 0.1, jitter = "none"}

[pipelines.orders.source]
connector = "events"
topics = ["orders", "returns"]
group = "billing"
claim_after = 30

[pipelines.orders.sink]
connector = "events"
topic = "paid"

[pipelines.orders.dead_letters]
connector = "events"
topic = "failed"

[pipelines.shop]
source = {function = "shop.orders:after", interval = 5}
sink = {function = "shop.orders:store"}
dead_letters = {file = "dead.jsonl"}
"""
YAML = """
connectors:
  events: {kind: redis-streams, url: redis://localhost:6379/0}
pipelines:
  orders:
    source: {connector: events, topics: [orders], group: billing}
    sink: {function: "shop.orders:store"}
"""


def read_text(folder: Path, text: str, suffix: str) -> Any:
    """Read a configuration from text in the format of this file suffix."""
    path = folder / f"moorage.{suffix}"
    path.write_text(text, encoding="utf-8")
    return read_configuration(path)


def test_pipeline_settings_are_read_from_toml_with_defaults(tmp_path: Path) -> None:
    """Pipeline settings in TOML are read, and omitted settings have their defaults."""
    orders, shop = read_text(tmp_path, TOML, "toml").pipelines
    assert ("orders", "shop") == (orders.name, shop.name)
    assert ("shop.orders:priced", "shop.orders:checked") == orders.transforms
    config = orders.config
    assert (4, Order.PARTITION, 5.0, "stop") == (
        config.lanes,
        config.order,
        config.drain,
        config.exhausted.value,
    )
    assert (100, 0.5, 1_000_000) == (config.batch.records, config.batch.wait, config.batch.size)
    assert (5, 0.1, Jitter.NONE) == (
        config.retry.max_attempts,
        config.retry.base_delay,
        config.retry.jitter,
    )
    assert 1.5 == config.reconnect.max_delay
    assert "events" == orders.source.connector.description.name
    options = orders.source.options
    assert (("orders", "returns"), "billing", 30.0, "0") == (
        options.topics,
        options.group,
        options.claim_after,
        options.start,
    )
    assert (
        EndSettings(kind="publish", options=PublishSinkOptions(connector="events", topic="paid"))
        == orders.sink
    )
    assert LetterTopic(connector="events", topic="failed") == orders.dead_letters
    assert (
        EndSettings(
            kind="function", options=FunctionSource(function="shop.orders:after", interval=5)
        )
        == shop.source
    )
    assert (
        EndSettings(kind="function", options=FunctionSinkOptions(function="shop.orders:store"))
        == shop.sink
    )
    assert LetterFile(file="dead.jsonl") == shop.dead_letters


@pytest.mark.parametrize(
    "kind, server, options, module, attributes",
    [
        (
            "redis-streams",
            {"url": "redis://localhost"},
            {"topics": ["orders"], "group": "billing"},
            "moorage.adapters.redis_streams.source",
            {},
        ),
        (
            "rabbitmq",
            {"url": "amqp://localhost"},
            {"queues": ["orders"], "prefetch": 50, "exclusive": True},
            "moorage.adapters.messages.rabbitmq_source",
            {"queues": ("orders",)},
        ),
        (
            "kafka",
            {"servers": "kafka.example:9092"},
            {"topics": ["^orders.*"], "group": "billing", "instance": "one"},
            "moorage.adapters.messages.kafka_source",
            {"topics": ("^orders.*",), "group": "billing", "instance": "one"},
        ),
        (
            "nats",
            {"url": "nats://nats.example"},
            {"subjects": ["orders.*"], "group": "billing", "ack_wait": 9},
            "moorage.adapters.messages.nats_source",
            {"subjects": ("orders.*",), "group": "billing", "extend_every": 3.0},
        ),
        (
            "imap",
            {"url": "imaps://mail.example", "user": "ada", "password": "x"},
            {"folder": "Bills", "mark": "\\Seen", "move_to": "Done"},
            "moorage.adapters.imap.source",
            {"folder": "Bills"},
        ),
        (
            "mqtt",
            {"url": "mqtt://mqtt.example"},
            {"topics": ["orders/#"], "client_id": "billing-1", "group": "billing", "qos": 2},
            "moorage.adapters.mqtt.source",
            {"topics": ("orders/#",), "client_id": "billing-1"},
        ),
    ],
)
def test_kinds_of_connectors_make_sources(
    kind: str,
    server: dict[str, str],
    options: dict[str, Any],
    module: str,
    attributes: dict[str, Any],
) -> None:
    """A pipeline's source is built by its connector's kind from the options in its table."""
    source = {"connector": "broker", **options}
    configuration = read_configuration(
        {
            "connectors": {"broker": {"kind": kind, **server}},
            "pipelines": {"orders": {"source": source, "sink": SINK}},
        }
    )
    settings = configuration.pipelines[0].source
    assert isinstance(settings, KindSourceSettings)
    kind_source = settings.connector.kind.source
    assert kind_source is not None
    built_source = kind_source.build(settings.connector.settings, settings.options)
    assert module == type(built_source).__module__
    assert attributes == {name: getattr(built_source, name) for name in attributes}


def test_pipelines_in_yaml_and_json(tmp_path: Path) -> None:
    """Pipelines in YAML and JSON are read like those in TOML."""
    pipeline = {"source": SOURCE, "sink": SINK}
    tree = {"connectors": {"events": REDIS}, "pipelines": {"orders": pipeline}}
    by_yaml = read_text(tmp_path, YAML, "yaml").pipelines
    assert by_yaml == read_text(tmp_path, json.dumps(tree), "json").pipelines
    assert by_yaml == read_configuration(tree).pipelines


def test_environment_variables_override_pipeline_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment variables override pipeline settings, including those of connectors."""
    monkeypatch.setenv("MOORAGE_PIPELINES__ORDERS__LANES", "8")
    monkeypatch.setenv("MOORAGE_PIPELINES__ORDERS__SOURCE__GROUP", "7")
    monkeypatch.setenv("MOORAGE_PIPELINES__ORDERS__SOURCE__CLAIM_AFTER", "9.5")
    monkeypatch.setenv("MOORAGE_PIPELINES__ORDERS__SOURCE__TOPICS", '["a", "b"]')
    [orders] = read_text(tmp_path, YAML, "yaml").pipelines
    options = orders.source.options
    assert 8 == orders.config.lanes
    assert ("7", 9.5, ("a", "b")) == (options.group, options.claim_after, options.topics)


def problems(pipeline: Any, name: str = "orders", **connectors: Any) -> list[tuple[str, str]]:
    """Return the problems of a configuration with one pipeline."""
    source = {"connectors": {**CONNECTORS, **connectors}, "pipelines": {name: pipeline}}
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(source)
    return [(problem.path, problem.found) for problem in excinfo.value.problems]


@pytest.mark.parametrize(
    "changes, path, message",
    [
        ({"source": {}}, "source", "The table needs connector or function."),
        ({"source": {"conector": "a"}}, "source", "needs connector or function"),
        ({"source": 3}, "source", "The value is a whole number, not a table."),
        ({"source": {"connector": 3}}, "source.connector", "a string"),
        ({"source": {"connector": "event"}}, "source.connector", "no connector named 'event'"),
        ({"source": {"connector": "off"}}, "source.connector", "'off' is disabled"),
        ({"source": {"connector": "rows"}}, "source.connector", "A pipeline cannot read"),
        ({"source": {**SOURCE, "topics": []}}, "source.topics", "is empty"),
        ({"source": {**SOURCE, "gruop": "a"}}, "source.gruop", "gruop is unknown"),
        ({"source": {"connector": "events", "topics": "a"}}, "source.group", "is missing"),
        ({"source": {**SOURCE, "claim_after": -1}}, "source.claim_after", "-1"),
        (
            {"source": {"function": "shop"}},
            "source.function",
            "the name of a module and of a function",
        ),
        ({"source": {"function": "a:b", "interval": 0}}, "source.interval", "0"),
        ({"sink": {"connector": "rows"}}, "sink.connector", "cannot publish messages"),
        ({"sink": {"function": "a:b", "topic": "c"}}, "sink.topic", "topic is unknown"),
        ({"sink": {"topic": "c"}}, "sink", "needs connector or function"),
        ({"source": {"kind": "table"}}, "source.kind", "no kind of source named 'table'"),
        ({"source": {"kind": "file"}}, "source.path", "is missing"),
        (
            {"source": {"kind": "file", "path": "a", "format": "xml"}},
            "source.format",
            "not an allowed value",
        ),
        (
            {"source": {"kind": "outbox-table", "connector": "events", "table": "a"}},
            "source.connector",
            "does not work with connectors of the kind redis-streams",
        ),
        (
            {"source": {"kind": "outbox-table", "connector": "rows", "table": "a", "limit": 0}},
            "source.limit",
            "0",
        ),
        (
            {"source": {"kind": "webhooks", "inbox": "a"}},
            "source.inbox",
            "the name of a module and of a function",
        ),
        ({"source": {"kind": "http", "service": "rows"}}, "source.path", "is missing"),
        (
            {"source": {"kind": "http", "service": "erp", "path": "/"}},
            "source.service",
            "no service named",
        ),
        (
            {"source": {"kind": "http", "service": "rows", "path": "/", "since": "from"}},
            "source.since",
            "Only one of since and time",
        ),
        ({"sink": {"kind": "sqk"}}, "sink.kind", "no kind of sink named 'sqk'"),
        ({"sink": {**ROWS, "connector": "nobody"}}, "sink.connector", "'nobody'"),
        ({"sink": {**ROWS, "connector": "off"}}, "sink.connector", "'off' is disabled"),
        ({"sink": {**ROWS, "connector": "events"}}, "sink.connector", "does not work with"),
        ({"sink": {**ROWS, "columns": []}}, "sink.columns", "is empty"),
        ({"sink": {**ROWS, "key": "c"}}, "sink.key", "key column 'c' is missing"),
        (
            {"sink": {**ROWS, "json_columns": "c"}},
            "sink.json_columns",
            "JSON column 'c' is missing",
        ),
        ({"sink": {**ROWS, "row": "c"}}, "sink.row", "the name of a module and of a function"),
        ({"sink": {**ROWS, "colums": "c"}}, "sink.colums", "colums is unknown"),
        ({"sink": {**ROWS, "checkpoints": True}}, "sink.checkpoints", "keeps its position itself"),
        (
            {"source": {"function": "a:b"}, "sink": {**ROWS, "checkpoints": True}, "lanes": 2},
            "lanes",
            "needs its records in order",
        ),
        (
            {"sink": {"kind": "files", "folder": "a", "format": "csv"}},
            "sink.columns",
            "set for CSV",
        ),
        (
            {"sink": {"kind": "parquet", "folder": "a", "columns": {"a": "text"}}},
            "sink.columns",
            "'a' has no known type",
        ),
        ({"sink": {"kind": "parquet", "folder": "a", "compression": "b"}}, "sink.compression", ""),
        ({"sink": {"kind": "http", "service": "erp", "path": "/"}}, "sink.service", "'erp'"),
        (
            {"sink": {"kind": "http", "service": "rows"}},
            "sink.path",
            "a path or a request function",
        ),
        (
            {"sink": {"kind": "http", "service": "rows", "path": "/", "method": "GET"}},
            "sink.method",
            "not an allowed value",
        ),
        ({"sink": {**CALL, "operation": "sms.receive"}}, "sink.operation", "The operation"),
        ({"sink": {**CALL, "operation": "smoke.send"}}, "sink.operation", "The operation"),
        ({"sink": {**CALL, "operation": "storage.list"}}, "sink.operation", "idempotency key"),
        ({"sink": {**CALL, "operation": "sms._flows"}}, "sink.operation", "The operation"),
        ({"sink": {"kind": "publish", "connector": "rows"}}, "sink.connector", "cannot publish"),
        ({"sink": {"kind": "function"}}, "sink.function", "is missing"),
        ({"dead_letters": {"connector": "events"}}, "dead_letters.topic", "is missing"),
        (
            {"dead_letters": {"connector": "nobody", "topic": "a"}},
            "dead_letters.connector",
            "'nobody'",
        ),
        ({"dead_letters": {}}, "dead_letters", "needs connector or file"),
        ({"transforms": ["a:b", "c"]}, "transforms[1]", "the name of a module and of a function"),
        ({"transforms": [{"decode": "confluent"}]}, "transforms[0]", "needs a schema registry"),
        ({"transforms": [{}]}, "transforms[0].decode", "decode or encode"),
        ({"transforms": [{"decode": "other"}]}, "transforms[0].decode", "not an allowed value"),
        ({"transforms": [{"encode": "plain"}]}, "transforms[0].subject", "needs the subject"),
        ({"transforms": [{"decode": "plain"}]}, "transforms[0].subject", "no subject was passed"),
        (
            {"transforms": [{"decode": "confluent", "subject": "a", "version": 0}]},
            "transforms[0].version",
            "not an integer from 1",
        ),
        ({"schemas": {}}, "schemas.service", "either a service or a folder"),
        ({"schemas": {"service": "nobody"}}, "schemas.service", "no service named 'nobody'"),
        ({"lanes": 0}, "lanes", "0"),
        ({"order": "name"}, "order", "not an allowed value"),
        ({"batch": {"records": 0}}, "batch.records", "0"),
        ({"retry": {"max_attempts": 0}}, "retry.max_attempts", "0"),
        ({"lane": 1}, "lane", "lane is unknown"),
    ],
)
def test_each_mistake_of_a_pipeline_is_reported_with_its_path(
    changes: dict[str, Any], path: str, message: str
) -> None:
    """Each mistake in a pipeline's settings is reported once, with its path."""
    [(found_path, text)] = problems({"source": SOURCE, "sink": SINK, **changes})
    assert f"pipelines.orders.{path}" == found_path
    assert message in text


def test_transforms_by_schema_are_read() -> None:
    """Transforms may be functions or tables, and a separate table sets the schema registry."""
    transforms = ["shop.orders:priced", {"decode": "confluent"}]
    pipeline = {"source": SOURCE, "sink": SINK, "transforms": transforms}
    tree = {"pipelines": {"orders": {**pipeline, "schemas": {"folder": "schemas"}}}}
    [orders] = read_configuration({**tree, "connectors": CONNECTORS}).pipelines
    assert ("shop.orders:priced", SchemaTransformOptions(decode="confluent")) == orders.transforms
    assert SchemaRegistryOptions(folder="schemas") == orders.schemas
    schema = json_schema()
    assert fits(schema, schema, tree)


def test_missing_ends_and_wrong_names_are_reported() -> None:
    """A pipeline without a source or sink, or with an invalid name, is refused."""
    assert ["pipelines.orders.source", "pipelines.orders.sink"] == [
        path for path, _ in problems({})
    ]
    assert ['pipelines.""'] == [
        path for path, _ in problems({"source": SOURCE, "sink": SINK}, name="")
    ]
    assert ["pipelines.orders"] == [path for path, _ in problems(3)]


@pytest.mark.parametrize(
    "end, table",
    [
        ("source", SOURCE),
        ("sink", {"connector": "events", "topic": "paid"}),
        ("sink", {"kind": "publish", "connector": "events", "topic": "paid"}),
        ("dead_letters", {"connector": "events", "topic": "failed"}),
    ],
)
def test_invalid_connector_is_the_only_problem(end: str, table: dict[str, Any]) -> None:
    """If a pipeline uses a connector with a mistake, only that mistake is reported."""
    pipeline = {"source": {"function": "shop.orders:after"}, "sink": SINK, end: table}

    assert ["connectors.events.url"] == [
        path for path, _ in problems(pipeline, events={"kind": "redis-streams", "url": 5})
    ]


def test_mistake_of_a_connector_is_reported_once() -> None:
    """If a pipeline's connector is invalid, only the connector's mistake is reported."""
    wrong_options = {"kind": "redis-streams", "url": "http://x"}
    text = problems(
        {"source": {**SOURCE, "connector": "wrong"}, "sink": {"connector": "wrong"}},
        wrong=wrong_options,
    )
    assert ["connectors.wrong.url"] == [path for path, _ in text]


@pytest.mark.parametrize(
    "sink, fits_schema",
    [
        (SINK, True),
        ({"connector": "events", "topic": "a"}, True),
        (ROWS, True),
        (CALL, True),
        ({**ROWS, "colums": "c"}, False),
        ({"kind": "sqk"}, False),
    ],
)
def test_json_schema_contains_options_of_each_kind_of_sink(
    sink: dict[str, Any], fits_schema: bool
) -> None:
    """The JSON Schema contains the options of each kind of sink."""
    schema = json_schema()
    tree = {"pipelines": {"orders": {"source": SOURCE, "sink": sink}}}
    assert fits_schema is fits(schema, schema, tree)


def test_pipeline_settings_contain_settings_of_connectors_that_it_uses() -> None:
    """A pipeline's settings contain the settings of the connectors that it uses."""
    letters = {"connector": "events", "topic": "failed"}
    pipeline = {"source": {"function": "a:b"}, "sink": ROWS, "dead_letters": letters}
    tree = {"connectors": CONNECTORS, "pipelines": {"orders": pipeline}}
    [orders] = read_configuration(tree).pipelines
    assert {"rows", "events"} == set(orders.connectors)
    assert (True, None) == (orders.has_checkpoints, orders.row_checkpoints)
