"""Pipelines whose records are decoded and encoded by schemas."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    Pipeline,
    SchemaNotFound,
    SinkRecord,
    VendorRejected,
)
from moorage.adapters.schemas.memory import FolderSchemaRegistry, MemorySchemaRegistry
from moorage.domain.messages.kafka import TOMBSTONE
from moorage.domain.pipelines.records import DecodedRecord
from moorage.domain.schemas.schema import Schema, SchemaFormat
from moorage.domain.schemas.wire_format import add_frame
from moorage.pipelines._shared_fetches import SharedFetches
from moorage.pipelines.schemas import SchemaDecoder, SchemaEncoder
from moorage.testing import MemoryDeadLetters, MemorySink, MemorySource, SchemaRegistryServer
from tests.pipelines.quick_pipelines import config, run
from tests.schemas.protobuf_samples import add_field, order_file, schema_of
from tests.schemas.registry_server import confluent_client

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIELDS = [{"name": "id", "type": "long"}]
ORDER = {"type": "record", "name": "Order", "fields": FIELDS}
NOTE = {"name": "note", "type": "string", "default": "none"}
AVRO = Schema(json.dumps(ORDER), SchemaFormat.AVRO)
WIDER = Schema(json.dumps({**ORDER, "fields": [*FIELDS, NOTE]}), SchemaFormat.AVRO)
JSON = Schema('{"properties": {"id": {"type": "integer"}}, "required": ["id"]}', SchemaFormat.JSON)
PROTOBUF = schema_of(order_file(("id", 1, "int64")))


def record(payload: bytes, offset: int = 0, **fields: Any) -> SinkRecord:
    """Return a record of a topic."""
    return SinkRecord(payload, topic="orders", offset=offset, **fields)


class FailingRegistry(MemorySchemaRegistry):
    """A registry that counts requests, and raises the errors that a test sets.

    Attributes:
        questions: how often a schema was read by its id.
        errors: the errors of the next questions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0
        self.errors: list[ConnectorError] = []

    async def schema(self, id: int, /) -> Schema:
        """Return a schema after other tasks ran, or raise the next error."""
        self.questions += 1
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return await super().schema(id)


async def deliver(
    records: Sequence[SinkRecord], *transforms: Any, lanes: int = 1
) -> tuple[MemorySink, MemoryDeadLetters]:
    """Run a pipeline with these records and transforms; return its sink and dead letters."""
    sink, letters = MemorySink(), MemoryDeadLetters()
    pipeline = Pipeline(
        "orders",
        MemorySource(records),
        sink,
        transforms=transforms,
        dead_letters=letters,
        config=config(lanes=lanes),
    )
    await run(pipeline)
    return sink, letters


@pytest.mark.parametrize("schema", [AVRO, JSON, PROTOBUF])
@pytest.mark.parametrize("wire_format", ["confluent", "plain"])
async def test_records_return_through_both_wire_formats(schema: Schema, wire_format: str) -> None:
    """A value that is encoded with a schema from a registry's server is decoded unchanged."""
    with SchemaRegistryServer() as server:
        registry = confluent_client(server)
        await registry.register("orders", schema)
        subject = "orders" if wire_format == "plain" else None
        encoder = SchemaEncoder(registry, "orders", wire_format)
        decoder = SchemaDecoder(registry, wire_format, subject=subject)
        encoded = await encoder(record(b'{"id": 7}'))
        assert (b"\0\0\0\0\1" == encoded.payload[:5]) == (wire_format == "confluent")
        sink, _ = await deliver([encoded], decoder)
        [result] = sink.records
        assert ({"id": 7}, encoded.payload) == (result.json(), result.payload)
        assert "orders/1" == encoded.schema
        assert ("1" if subject is None else "orders/1") == result.schema
        is_json = schema is JSON and wire_format == "plain"
        assert is_json == (encoded.content_type == "application/json")


async def test_invalid_record_becomes_a_dead_letter_with_its_own_bytes() -> None:
    """An invalid record, or one without a known schema, becomes a dead letter with its bytes."""
    registry = MemorySchemaRegistry()
    id = await registry.register("orders", AVRO)
    payloads = [b"nonsense", add_frame(id, b""), add_frame(77, b"\2"), add_frame(id, b"\2"), b""]
    records = [record(payload, n) for n, payload in enumerate(payloads)]
    sink, letters = await deliver(records, SchemaDecoder(registry))
    assert [{"id": 1}] == sink.values
    assert [payloads[n] for n in (0, 1, 2, 4)] == [item.record.payload for item in letters.letters]
    assert {"InvalidData"} == {letter.error for letter in letters.letters}


async def test_payload_is_encoded_again_after_a_transform_changes_its_value() -> None:
    """If a transform between decoder and encoder changes the value, the payload changes too."""
    registry = MemorySchemaRegistry()
    await registry.register("old", JSON)
    await registry.register("new", WIDER)

    def price(item: SinkRecord) -> SinkRecord:
        assert isinstance(item, DecodedRecord)
        return attrs.evolve(item, value={**item.json(), "note": "tea"})

    decoder = SchemaDecoder(registry, "plain", subject="old")
    sink, _ = await deliver([record(b'{"id":1}')], decoder, price, SchemaEncoder(registry, "new"))
    assert [add_frame(2, b"\2\6tea")] == [result.payload for result in sink.records]


async def test_value_that_does_not_fit_becomes_a_dead_letter() -> None:
    """A value that the encoder's schema refuses becomes a dead letter with the original bytes."""
    registry = MemorySchemaRegistry()
    await registry.register("orders", AVRO)
    _, letters = await deliver([record(b'{"id":"x"}')], SchemaEncoder(registry, "orders"))
    assert [b'{"id":"x"}'] == [letter.record.payload for letter in letters.letters]


async def test_values_follow_the_named_avro_schema() -> None:
    """If the settings name a subject, each record is read with the fields of that schema."""
    registry = MemorySchemaRegistry()
    id = await registry.register("orders", AVRO)
    await registry.register("orders", WIDER)
    result = await SchemaDecoder(registry, subject="orders")(record(add_frame(id, b"\2")))
    assert {"id": 1, "note": "none"} == result.json()
    other = await registry.register("json", JSON)
    with pytest.raises(ConfigurationError, match="Only Avro"):
        await SchemaDecoder(registry, subject="orders")(record(add_frame(other, b"{}")))
    first = await SchemaDecoder(registry, subject="orders", version=1)(record(add_frame(id, b"\2")))
    assert {"id": 1} == first.json()


async def test_all_records_are_converted_to_the_version_that_was_latest_at_first() -> None:
    """A version that is registered later does not change the values of later records."""
    registry = MemorySchemaRegistry()
    first_id = await registry.register("orders", AVRO)
    decoder = SchemaDecoder(registry, subject="orders")
    assert {"id": 1} == (await decoder(record(add_frame(first_id, b"\2")))).json()
    other_id = await registry.register("orders", WIDER)
    assert {"id": 1} == (await decoder(record(add_frame(other_id, b"\2\6tea")))).json()


async def test_protobuf_message_is_chosen() -> None:
    """If a schema has several message types, the settings can name one other than the first."""
    file = order_file(("id", 1, "int64"))
    add_field(file.message_type.add(name="Line"), "a", 1, "int32")
    registry = MemorySchemaRegistry()
    await registry.register("lines", schema_of(file))
    encoded = await SchemaEncoder(registry, "lines", message="shop.Line")(record(b'{"a": 7}'))
    assert b"\2\2\x08\7" == encoded.payload[5:]
    assert {"a": 7} == (await SchemaDecoder(registry)(encoded)).json()
    plain_decoder = SchemaDecoder(registry, "plain", subject="lines", message="shop.Line")
    assert {"a": 7} == (await plain_decoder(record(b"\x08\7"))).json()
    with pytest.raises(ConfigurationError, match="no message"):
        await SchemaEncoder(registry, "lines", message="shop.Other")(record(b"{}"))


async def test_tombstone_has_no_value() -> None:
    """A Kafka message without a value passes the decoder and the encoder unchanged."""
    registry = MemorySchemaRegistry()
    deleted = record(b"", attributes=[(TOMBSTONE, "1")])
    result = await SchemaDecoder(registry)(deleted)
    assert (None, b"") == (result.json(), result.payload)
    assert result is await SchemaEncoder(registry, "orders")(result)
    assert deleted is await SchemaEncoder(registry, "orders")(deleted)


async def test_registry_that_is_away_makes_no_dead_letters() -> None:
    """While the registry cannot be reached, the record is retried."""
    registry = FailingRegistry()
    id = await registry.register("orders", AVRO)
    registry.errors = [ConnectionFailed("The registry is away.") for _ in range(2)]
    sink, letters = await deliver([record(add_frame(id, b"\2"))], SchemaDecoder(registry))
    assert ([{"id": 1}], [], 3) == (sink.values, letters.letters, registry.questions)


async def test_refusal_of_the_registry_stops_the_pipeline() -> None:
    """If the registry refuses to return a schema, the pipeline stops with ConfigurationError."""
    registry = FailingRegistry()
    registry.errors = [VendorRejected("The registry refuses.")]
    with pytest.raises(ConfigurationError, match="refused to return a schema"):
        await deliver([record(add_frame(1, b"\2"))], SchemaDecoder(registry))


@pytest.mark.parametrize("make", [SchemaEncoder, SchemaDecoder])
async def test_missing_subject_stops_the_pipeline(make: Any) -> None:
    """If a subject or version in the settings does not exist, the pipeline stops."""
    for version, problem in ((None, "the latest version"), (7, "version 7")):
        transform = make(MemorySchemaRegistry(), wire_format="plain", subject="x", version=version)
        with pytest.raises(
            ConfigurationError, match=f"did not return {problem} of the subject 'x'"
        ):
            await deliver([record(b"{}")], transform)


async def test_schema_without_an_id_cannot_write_a_header(tmp_path: Path) -> None:
    """A schema file without an id can encode only records without a schema header."""
    file = tmp_path / "orders" / "1.json"
    file.parent.mkdir()
    file.write_text("{}")
    registry = FolderSchemaRegistry(tmp_path)
    assert b"{}" == (await SchemaEncoder(registry, "orders", "plain")(record(b"{}"))).payload
    with pytest.raises(ConfigurationError, match="has no id"):
        await SchemaEncoder(registry, "orders")(record(b"{}"))


def test_wrong_settings_are_refused() -> None:
    """Settings that contradict each other, or are of a wrong type, raise ConfigurationError."""
    registry = MemorySchemaRegistry()
    wrong_schemas: list[dict[str, Any]] = [
        {"wire_format": "plain"},
        {"wire_format": "other"},
        {"version": 1},
        {"subject": 5},
        {"subject": "a", "version": 0},
        {"schemas": 0},
    ]
    for settings in wrong_schemas:
        with pytest.raises(ConfigurationError):
            SchemaDecoder(registry, **settings)
    with pytest.raises(ConfigurationError):
        SchemaEncoder(registry, "")


async def test_unknown_schema_is_fetched_once_by_a_thousand_tasks() -> None:
    """A thousand records that arrive together with one new schema cause one request."""
    registry = FailingRegistry()
    id = await registry.register("orders", AVRO)
    decoder = SchemaDecoder(registry)
    item = record(add_frame(id, b"\2"))
    result = await asyncio.gather(*(decoder(item) for _ in range(1_000)))
    assert ({1}, 1) == ({item.json()["id"] for item in result}, registry.questions)


async def test_missing_schema_is_remembered_for_a_while() -> None:
    """A schema that does not exist is requested again only after a while."""
    registry = FailingRegistry()
    now = 0.0
    decoder = SchemaDecoder(registry, now=lambda: now)
    for time, expected in ((0.0, 1), (9.9, 1), (10.0, 2)):
        now = time
        with pytest.raises(InvalidData, match="schema 77"):
            await decoder(record(add_frame(77, b"")))
        assert expected == registry.questions


async def test_failure_that_may_pass_is_not_kept() -> None:
    """If a fetch fails, all waiting tasks get its error, and the next task fetches again."""
    calls = 0
    fetches: SharedFetches[int] = SharedFetches(10, 10.0, lambda: 0.0)

    async def fetch() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls == 1:
            raise ConnectionFailed("away")
        return 7

    failed = await asyncio.gather(
        *(fetches.get("a", fetch) for _ in range(3)), return_exceptions=True
    )
    assert [ConnectionFailed] * 3 == list(map(type, failed))
    assert 3 == len({id(error) for error in failed})
    assert (7, 2) == (await fetches.get("a", fetch), calls)


async def test_fetch_continues_for_other_tasks_if_task_that_began_fetch_is_cancelled() -> None:
    """If the task that began a fetch is cancelled, the fetch continues for the other tasks."""
    fetches: SharedFetches[int] = SharedFetches(10, 10.0, lambda: 0.0)
    gate = asyncio.Event()

    async def fetch() -> int:
        await gate.wait()
        return 7

    first = asyncio.create_task(fetches.get("a", fetch))
    second = asyncio.create_task(fetches.get("a", fetch))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert 7 == await second
    assert first.cancelled() or isinstance(first.exception(), asyncio.CancelledError)


async def test_least_used_schema_is_forgotten() -> None:
    """The cache keeps the most recently used schemas, up to its limit."""
    fetches: SharedFetches[str] = SharedFetches(2, 10.0, lambda: 0.0)
    fetched: list[str] = []

    async def get(key: str) -> None:
        async def fetch() -> str:
            fetched.append(key)
            return key

        assert key == await fetches.get(key, fetch)

    for key in "abacab":
        await get(key)
    assert (["a", "b", "c", "b"], 2) == (fetched, len(fetches))


async def test_evicted_failed_fetch_does_not_remove_the_newer_fetch() -> None:
    """A fetch that fails after its eviction does not remove the newer fetch from the cache."""
    fetches: SharedFetches[str] = SharedFetches(1, 10.0, lambda: 0.0)
    gate = asyncio.Event()

    async def raise_error() -> str:
        await gate.wait()
        raise ConnectionFailed("away")

    async def succeed() -> str:
        return "b"

    first = asyncio.create_task(fetches.get("a", raise_error))
    await asyncio.sleep(0)
    assert "b" == await fetches.get("b", succeed)
    gate.set()
    with pytest.raises(ConnectionFailed):
        await first
    assert 1 == len(fetches)


def test_decoding_keeps_record_fields() -> None:
    """Decoding keeps a record's fields; the decoded record's repr omits the value."""
    result = DecodedRecord.of(record(b"x", 3, key="k"), {"secret": 1}, "7")
    assert (3, b"k", "7", "orders/3") == (result.offset, result.key, result.schema, result.identity)
    assert "secret" not in repr(result)
    assert hash(result) == hash(attrs.evolve(result))


def test_missing_schema_is_a_refusal() -> None:
    """The error for a schema that does not exist contains a remedy."""
    assert "Register the schema" in SchemaNotFound("The registry has no schema.").remedy
