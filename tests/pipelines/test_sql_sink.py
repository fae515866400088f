"""The pipeline sink that writes rows into an SQL table, in real databases."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    Pipeline,
    PipelineConfig,
    PollingSource,
    RetryPolicy,
    SinkRecord,
    SourceRecord,
)
from moorage.adapters.sql.checkpoints import SqlCheckpoints
from moorage.adapters.sql.sink import SqlSink
from moorage.testing import MemoryDeadLetters, MemorySource, make_records, name_of, sink_conformance
from tests.pipelines.pipeline_databases import SYSTEMS, Database, database, finish
from tests.pipelines.pipeline_waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

each_system = pytest.mark.parametrize("system", SYSTEMS)
ORDERS = "CREATE TABLE orders (number integer NOT NULL PRIMARY KEY, note varchar(20))"
LOG = "CREATE TABLE orders (number integer NOT NULL, note varchar(20))"
COLUMNS = ("number", "note")
NUMBERS = "SELECT number FROM orders ORDER BY number"
QUICK_RETRIES = RetryPolicy(base_delay=0.0001, max_delay=0.0001)


def order(number: int, note: str | None = "tea", **fields: Any) -> SinkRecord:
    """Return a record with an order."""
    value = {"number": number, "note": note, "other": 1}
    return SinkRecord.of_json(value, topic="orders", offset=number, **fields)


@attrs.define
class SqlSubject:
    """A SQL sink with its table, for the conformance kit."""

    database: Database
    sink: SqlSink
    has_effect_once: bool = True

    def record(self, number: int, /) -> SinkRecord:
        """Return a record that contains this number."""
        return order(number)

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record whose note is too long, or in SQLite, of a wrong type."""
        note: Any = "n" * 50 if self.database.system != "sqlite" else {"no": "value"}
        return order(number, note)

    async def stored(self) -> list[int]:
        """Return the numbers in the table."""
        return await self.database.column(NUMBERS)


class JsonSubject(SqlSubject):
    """A SQL sink with a required column, for which a bad record has no value."""

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record without a note."""
        return SinkRecord.of_json({"number": number}, topic="orders", offset=number)


@asynccontextmanager
async def sql_subject(
    kind: Any, system: str, folder: Path, is_exact: bool
) -> AsyncGenerator[SqlSubject]:
    """Create a SQL sink; an exactly-once sink has no key, and stores positions with rows."""
    async with database(system, folder) as db:
        await db.run(LOG if is_exact else ORDERS)
        checkpoints = SqlCheckpoints(db.manager, db.connector) if is_exact else None
        if checkpoints is not None:
            await checkpoints.create_table()
            await checkpoints.begin("orders")
        sink = SqlSink(
            db.manager,
            db.connector,
            "orders",
            columns=COLUMNS,
            key=() if is_exact else ("number",),
            checkpoints=checkpoints,
        )
        yield kind(db, sink)


@each_system
@pytest.mark.parametrize("is_exact", [False, True], ids=["upsert", "exact"])
@pytest.mark.parametrize("kind", [SqlSubject, JsonSubject])
@pytest.mark.parametrize("check", sink_conformance.CHECKS, ids=name_of)
async def test_sql_sink_passes_sink_conformance_kit(
    check: sink_conformance.Check, system: str, kind: Any, is_exact: bool, tmp_path: Path
) -> None:
    """The SQL sink passes the sink conformance kit."""
    await check(partial(sql_subject, kind, system, tmp_path, is_exact))


@each_system
async def test_row_with_the_same_key_is_replaced(system: str, tmp_path: Path) -> None:
    """Of records with the same key the last is stored, within a batch and between batches."""
    async with sql_subject(SqlSubject, system, tmp_path, is_exact=False) as subject:
        await subject.sink.process_batch([order(1, "a"), order(2, "b"), order(1, "c")])
        await subject.sink.process_batch([order(2, None)])

        rows = await subject.database.run("SELECT number, note FROM orders ORDER BY number")
        assert [(1, "c"), (2, None)] == [tuple(row) for row in rows]


@each_system
async def test_key_alone_is_inserted_once(system: str, tmp_path: Path) -> None:
    """A table that has only key columns keeps one row per key."""
    async with database(system, tmp_path) as db:
        await db.run(ORDERS)
        sink = SqlSink(db.manager, db.connector, "orders", columns=["number"], key=["number"])
        await sink.open()
        await sink.process_batch([order(1), order(1), order(2)])

        assert [1, 2] == await db.column(NUMBERS)


@each_system
async def test_rows_come_from_a_function(system: str, tmp_path: Path) -> None:
    """A function can convert a record to a row, also for a table in another schema."""
    async with database(system, tmp_path) as db:
        await db.run(ORDERS)
        sink = SqlSink(
            db.manager,
            db.connector,
            "orders",
            schema="main" if system == "sqlite" else db.schema,
            columns=COLUMNS,
            key=["number"],
            row=lambda record: {"number": record.offset, "note": record.topic},
        )
        await sink.open()
        await sink.process_batch([order(7)])

        assert [(7, "orders")] == [tuple(row) for row in await db.run("SELECT * FROM orders")]


@each_system
async def test_json_column_stores_objects_lists_and_strings_as_json(
    system: str, tmp_path: Path
) -> None:
    """A JSON column takes objects, lists and strings as JSON, and None as NULL."""
    async with database(system, tmp_path) as db:
        kind = {"postgresql": "jsonb", "sqlite": "text"}.get(system, "json")
        await db.run(f"CREATE TABLE orders (number integer NOT NULL PRIMARY KEY, note {kind})")
        sink = SqlSink(
            db.manager,
            db.connector,
            "orders",
            columns=COLUMNS,
            key=["number"],
            json_columns=["note"],
        )
        notes: list[Any] = [
            {"lines": [{"article": "tea", "pieces": 2}]},
            ["tea", "rïce"],
            "x",
            None,
        ]
        await sink.open()
        await sink.process_batch([order(number, note) for number, note in enumerate(notes)])

        rows = await db.run("SELECT note FROM orders ORDER BY number")
        stored = [note for (note,) in rows]
        assert notes == [
            json.loads(note) if isinstance(note, str | bytes) and system != "postgresql" else note
            for note in stored
        ]


@each_system
async def test_error_about_json_value_names_its_column(system: str, tmp_path: Path) -> None:
    """A JSON object in a plain column makes its record invalid, and the error names the column."""
    async with database(system, tmp_path) as db:
        await db.run(ORDERS)
        sink = SqlSink(db.manager, db.connector, "orders", columns=COLUMNS, key=["number"])
        notes: list[Any] = [{"a": 1}, [{"a": 1}]]
        for note in notes:
            results = await sink.process_batch([order(1), order(2, note)])

            assert results is not None
            with pytest.raises(InvalidData, match=r"column 'note' is a .*json_columns"):
                results[1].unwrap()


async def test_json_column_outside_the_written_columns_is_refused(tmp_path: Path) -> None:
    """A JSON column that is not written is refused."""
    async with database("sqlite", tmp_path) as db:
        with pytest.raises(ConfigurationError, match="JSON columns"):
            SqlSink(db.manager, db.connector, "o", columns=COLUMNS, json_columns=["tags"])


@each_system
@pytest.mark.parametrize(
    "table, columns, key",
    [
        ("orders", ("number", "missing"), ("number",)),
        ("missing", ("number",), ("number",)),
        ("orders", COLUMNS, ("note",)),
        ("orders", COLUMNS, COLUMNS),
    ],
)
async def test_unsuitable_table_is_refused(
    table: str, columns: tuple[str, ...], key: tuple[str, ...], system: str, tmp_path: Path
) -> None:
    """A SQL sink whose table or key does not exist refuses to open."""
    async with database(system, tmp_path) as db:
        await db.run(ORDERS)
        sink = SqlSink(db.manager, db.connector, table, columns=columns, key=key)
        with pytest.raises(ConfigurationError, match=r"unique\s+index on its key"):
            await sink.open()


@each_system
@pytest.mark.parametrize(
    "change", ["ALTER TABLE orders DROP COLUMN note", "ALTER TABLE orders RENAME TO others"]
)
async def test_changed_table_stops_the_pipeline(change: str, system: str, tmp_path: Path) -> None:
    """If the table is changed while a pipeline runs, no record becomes a dead letter."""
    async with database(system, tmp_path) as db:
        await db.run(ORDERS)
        sink = SqlSink(db.manager, db.connector, "orders", columns=COLUMNS, key=["number"])
        source = MemorySource([order(1)], is_endless=True)
        letters = MemoryDeadLetters()
        settings = PipelineConfig(retry=QUICK_RETRIES)
        pipeline = Pipeline("orders", source, sink, dead_letters=letters, config=settings)
        run_task = asyncio.create_task(pipeline.run())
        await until(lambda: 1 == pipeline.statistics().committed)
        await db.run(change)
        source.add(map(order, range(2, 6)))
        with pytest.raises(ConfigurationError, match="'orders' does not have all columns"):
            await run_task
        assert [] == letters.letters
        assert [1] == [record.offset for record in source.committed]


async def test_unknown_key_column_and_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    """A key outside the columns, and checkpoints over another connector, are refused."""
    async with database("sqlite", tmp_path) as db:
        make = partial(SqlSink, db.manager, db.connector, "orders")
        with pytest.raises(ConfigurationError, match="do not contain all columns of its key"):
            make(columns=["note"], key=["number"])
        with pytest.raises(ConfigurationError, match="are empty"):
            make(columns=[])
        other = db.connect()
        checkpoints = SqlCheckpoints(db.manager, other)
        with pytest.raises(ConfigurationError, match="different connectors"):
            make(columns=["note"], checkpoints=checkpoints)
        await finish(other.close())


async def test_exactly_once_sql_sink_refuses_pipeline_with_two_lanes(tmp_path: Path) -> None:
    """An exactly-once SQL sink refuses a pipeline with two lanes."""
    async with sql_subject(SqlSubject, "sqlite", tmp_path, is_exact=True) as subject:
        assert subject.sink.needs_one_lane
        source = MemorySource(make_records(1))
        with pytest.raises(ConfigurationError, match="there are 2 lanes"):
            Pipeline("orders", source, subject.sink, config=PipelineConfig(lanes=2))


@pytest.mark.parametrize("payload", [b"[]", b"{}", b"no JSON"])
async def test_payload_without_the_columns_is_invalid_data(payload: bytes, tmp_path: Path) -> None:
    """A payload that is not an object, or lacks a column, is invalid data."""
    async with sql_subject(SqlSubject, "sqlite", tmp_path, is_exact=False) as subject:
        results = await subject.sink.process_batch([SinkRecord(payload, topic="orders")])

        assert results is not None
        assert [InvalidData] == [type(result.error) for result in results]


class _ManagerThatLosesResponses:
    """A manager that loses the database's responses to some committed transactions."""

    def __init__(self, manager: Any, losses: int) -> None:
        self._manager = manager
        self._losses = losses

    def perform(self, service: str, operation: Any, **options: Any) -> Any:
        value = self._manager.perform(service, operation, **options)
        is_lost = operation.name == "orders.write" and self._losses > 0
        self._losses -= is_lost
        if isawaitable(value):
            return self._write_async(value, is_lost)
        return self._answer(value, is_lost)

    async def _write_async(self, value: Any, is_lost: bool) -> Any:
        return self._answer(await value, is_lost)

    def _answer(self, value: Any, is_lost: bool) -> Any:
        if is_lost:
            raise ConnectionFailed("The answer was lost.", may_have_been_processed=True)
        return value


def orders_of(numbers: int) -> Any:
    """Return a function that fetches a few orders after a position."""

    def fetch(position: Any) -> list[SourceRecord] | None:
        first = (position or 0) + 1
        records = [
            SourceRecord.of_json({"number": number, "note": "tea"}, offset=number)
            for number in range(first, min(first + 7, numbers + 1))
        ]
        return records or None

    return fetch


@each_system
async def test_each_record_is_written_exactly_once(system: str, tmp_path: Path) -> None:
    """Despite lost commit responses and a killed process, each record is written exactly once."""
    async with database(system, tmp_path) as db:
        await db.run(LOG)
        dead_letters = MemoryDeadLetters()

        async def run(*, losses: int = 0, crash_at: int | None = None) -> None:
            checkpoints = SqlCheckpoints(db.manager, db.connector)
            await checkpoints.create_table()
            manager: Any = _ManagerThatLosesResponses(db.manager, losses)
            source: Any = PollingSource("orders", orders_of(40), checkpoints)
            if crash_at is not None:
                source.commit = _commit_nothing
            sink = SqlSink(
                manager, db.connector, "orders", columns=COLUMNS, checkpoints=checkpoints
            )
            await Pipeline(
                "orders",
                source,
                sink,
                transforms=[partial(_ending_at, crash_at), _without_tens],
                dead_letters=dead_letters,
                config=PipelineConfig(retry=QUICK_RETRIES, records_in_flight=10),
            ).run()

        with pytest.raises(_Crash):
            await run(losses=2, crash_at=17)
        with pytest.raises(_Crash):
            await run(crash_at=29)
        await run(losses=1)

        assert [number for number in range(1, 41) if number % 10] == await db.column(NUMBERS)
        [positions] = await db.column("SELECT positions FROM moorage_checkpoints")
        assert '{"0": 40}' == positions


async def _commit_nothing(*_: object) -> None:
    """Do nothing, as if the process had died before the commit."""


class _Crash(ConfigurationError):
    """The exception that a test raises in place of killing the process."""


def _ending_at(crash_at: int | None, record: SinkRecord) -> SinkRecord:
    if record.offset == crash_at:
        raise _Crash("The process ends.")
    return record


def _without_tens(record: SinkRecord) -> SinkRecord | None:
    return None if isinstance(record.offset, int) and record.offset % 10 == 0 else record
