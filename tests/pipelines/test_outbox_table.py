"""The source for an outbox table: no row is lost, and each key's rows stay in order."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from psycopg.types.json import Jsonb

import moorage
from moorage import ConfigurationError, InvalidData, Pipeline, PollingSource
from moorage.adapters.sql.checkpoints import SqlCheckpoints
from moorage.adapters.sql.outbox_table import OutboxTable
from moorage.adapters.state.memory import AsyncMemoryStorage
from moorage.config import read_configuration
from moorage.config.pipeline_building import build_pipeline
from moorage.testing import MemorySink
from tests.pipelines.pipeline_databases import Database, database, finish
from tests.support.servers import needs_postgres_programs
from tools.crashes.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage import SinkRecord

TABLES: Final = {
    "postgresql": "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " key text, payload jsonb NOT NULL,"
    " transaction xid8 NOT NULL DEFAULT pg_current_xact_id())",
    "sqlite": "CREATE TABLE outbox (id integer PRIMARY KEY AUTOINCREMENT, key text,"
    " payload text NOT NULL)",
}
PUBLISHED: Final = (
    "CREATE TABLE published (id text, name integer, number integer,"
    " at bigint GENERATED ALWAYS AS IDENTITY)"
)
INSERT: Final = "INSERT INTO outbox (key, payload) VALUES (%s, %s)"
each_system = pytest.mark.parametrize("system", TABLES)


async def _put(db: Database, *values: str, key: str | None = None) -> None:
    payload = "CAST(:value AS jsonb)" if db.system == "postgresql" else ":value"
    for value in values:
        text = f"INSERT INTO outbox (key, payload) VALUES (:key, {payload})"
        await db.run(text, key=key, value=value)


@each_system
async def test_rows_arrive_in_their_order(system: str, tmp_path: Path) -> None:
    """All rows of the outbox arrive with keys and ids, page by page; new rows follow later."""
    async with database(system, tmp_path) as db:
        await db.run(TABLES[system])
        outbox = OutboxTable(db.manager, db.connector, "outbox", limit=2)
        assert [] == await outbox.after(None)
        await _put(db, "1", "2", "3", key="a")
        first = await outbox.after(None)
        second = await outbox.after(first[-1].offset)
        await _put(db, "4")
        third = await outbox.after(second[-1].offset)
        records = [*first, *second, *third]

        assert [1, 2, 3, 4] == [record.json() for record in records]
        assert [b"a", b"a", b"a", None] == [record.key for record in records]
        assert [f"outbox/{number}" for number in range(1, 5)] == [record.id for record in records]
        assert [] == await outbox.after(third[-1].offset)
        assert sorted(str(record.offset) for record in records) == [
            str(record.offset) for record in records
        ]


async def test_row_of_an_earlier_id_that_commits_later_is_not_lost(tmp_path: Path) -> None:
    """A row that commits after rows with greater ids is not lost, but arrives after them."""
    async with database("postgresql", tmp_path) as db:
        await db.run(TABLES["postgresql"])
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        async with await _open_connection(db) as slow:
            await slow.execute(INSERT, ("a", "1"))
            await _put(db, "2", key="b")
            first = await outbox.after(None)
            await _put(db, "3", key="b")
            second = await outbox.after(first[-1].offset)
            await slow.commit()
        third = await outbox.after(second[-1].offset)

        assert [2, 3, 1] == [record.json() for record in [*first, *second, *third]]


async def test_rows_of_one_key_arrive_in_the_order_of_their_commits(tmp_path: Path) -> None:
    """Rows with one key are read in the order of their commits, even if their ids are not."""
    async with database("postgresql", tmp_path) as db:
        await db.run(TABLES["postgresql"])
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        async with (
            await _open_connection(db) as early_connection,
            await _open_connection(db) as other,
        ):
            await early_connection.execute("SELECT pg_current_xact_id()")
            await other.execute("SELECT pg_current_xact_id()")
            await _put(db, "1", key="a")
            await early_connection.execute(INSERT, ("a", "2"))
            await early_connection.commit()
            records = await outbox.after(None)

        assert [1, 2] == [record.json() for record in records]


async def test_row_of_a_rolled_back_transaction_does_not_arrive(tmp_path: Path) -> None:
    """A row of a rolled-back transaction never arrives."""
    async with database("postgresql", tmp_path) as db:
        await db.run(TABLES["postgresql"])
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        async with await _open_connection(db) as rolled_back_connection:
            await rolled_back_connection.execute(INSERT, ("a", "1"))
            await rolled_back_connection.rollback()
        await _put(db, "2")

        assert [2] == [record.json() for record in await outbox.after(None)]


async def test_outbox_table_may_have_other_columns_payloads_and_keys(tmp_path: Path) -> None:
    """The outbox table may have other column names, byte payloads and numeric keys."""
    async with database("sqlite", tmp_path) as db:
        await db.run(
            "CREATE TABLE events (seq integer PRIMARY KEY AUTOINCREMENT, order_id integer,"
            " body blob NOT NULL)"
        )
        text = "INSERT INTO events (order_id, body) VALUES (:order, :body)"
        await db.run(text, order=7, body=b"\xff")
        names: dict[str, Any] = {"id": "seq", "payload": "body", "schema": "main"}
        keyed = OutboxTable(db.manager, db.connector, "events", key="order_id", **names)
        unkeyed = OutboxTable(db.manager, db.connector, "events", key=None, **names)

        assert [(b"7", b"\xff")] == [(row.key, row.payload) for row in await keyed.after(None)]
        assert [None] == [row.key for row in await unkeyed.after(None)]


@each_system
async def test_row_with_an_empty_key_has_no_key(system: str, tmp_path: Path) -> None:
    """A row with an empty key arrives like one without a key, and does not stop the source."""
    async with database(system, tmp_path) as db:
        await db.run(TABLES[system])
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        await _put(db, "1", key="")

        assert [(None, 1)] == [(row.key, row.json()) for row in await outbox.after(None)]


@each_system
async def test_pipeline_continues_after_its_position(system: str, tmp_path: Path) -> None:
    """A pipeline over an outbox table continues after its stored position."""
    async with database(system, tmp_path) as db:
        await db.run(TABLES[system])
        checkpoints = SqlCheckpoints(db.manager, db.connector)
        await checkpoints.create_table()
        outbox = OutboxTable(db.manager, db.connector, "outbox")

        async def after_or_end(position: Any) -> Any:
            return await outbox.after(position) or None

        for values in (["1", "2"], ["3"]):
            await _put(db, *values)
            sink = MemorySink()
            await Pipeline("relay", PollingSource("o", after_or_end, checkpoints), sink).run()
            assert [int(value) for value in values] == sink.values


@each_system
@pytest.mark.parametrize("position", ["x", "1/2/3", "a/b/c/d", "1/2/3/4", "1/2/a:b/c:d"])
async def test_position_of_another_source_is_refused(
    position: str, system: str, tmp_path: Path
) -> None:
    """A stored position in another format raises an error, instead of starting over."""
    async with database(system, tmp_path) as db:
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        with pytest.raises(InvalidData, match="does not belong to the outbox table 'outbox'"):
            await outbox.after(position)


@pytest.mark.parametrize("has_position", [True, False])
async def test_restore_with_lower_transaction_numbers_raises_error(
    *, has_position: bool, tmp_path: Path
) -> None:
    """After a restore on another server, the source raises an error instead of skipping rows."""
    async with database("postgresql", tmp_path) as db:
        await db.run(TABLES["postgresql"])
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        await _put(db, "1")
        [record] = await outbox.after(None)
        later_position = None
        if has_position:
            number, id, before, _ = str(record.offset).split("/")
            later_position = f"{number}/{id}/{before}/9000000000000000:9000000000000000:"
        else:
            update = "UPDATE outbox SET transaction = CAST(:number AS xid8)"
            await db.run(update, number="9000000000000000")

        with pytest.raises(InvalidData, match="a replica took over") as excinfo:
            await outbox.after(later_position)

        assert "pg_current_xact_id" in excinfo.value.remedy


async def test_restore_of_an_older_sqlite_file_raises_error(tmp_path: Path) -> None:
    """After an older copy is restored, the source raises an error instead of skipping rows."""
    async with database("sqlite", tmp_path) as db:
        await db.run(TABLES["sqlite"])
        await _put(db, "1", "2")
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        assert [] == await outbox.after(2)
        with pytest.raises(InvalidData, match="An older copy of the database was restored"):
            await outbox.after(3)


async def test_row_after_deletion_of_all_rows_arrives_with_a_new_id(tmp_path: Path) -> None:
    """After all published rows were deleted, the next row still has a new id, and arrives."""
    async with database("sqlite", tmp_path) as db:
        await db.run(TABLES["sqlite"])
        await _put(db, "1", "2")
        outbox = OutboxTable(db.manager, db.connector, "OUTBOX")
        await db.run("DELETE FROM outbox")
        assert [] == await outbox.after(2)
        await _put(db, "3")
        assert [3] == [record.json() for record in await outbox.after(2)]


async def test_sqlite_table_without_autoincrement_is_refused(tmp_path: Path) -> None:
    """A table without AUTOINCREMENT is refused: a new row may get the id of a published one."""
    async with database("sqlite", tmp_path) as db:
        await db.run(TABLES["sqlite"].replace(" AUTOINCREMENT", ""))
        outbox = OutboxTable(db.manager, db.connector, "outbox")
        with pytest.raises(ConfigurationError, match="gives the ids of deleted rows to new rows"):
            await outbox.after(None)


async def test_mariadb_is_refused(tmp_path: Path) -> None:
    """MariaDB is refused, because it does not report which transactions have ended."""
    async with database("mariadb", tmp_path) as db:
        with pytest.raises(ConfigurationError, match="do not show which transactions have ended"):
            OutboxTable(db.manager, db.connector, "outbox")


async def _open_connection(db: Database) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(db.url, options=db.options["options"])


WRITERS: Final = 50
TRANSACTIONS: Final = 9
NAMES: Final = 15


async def _write(db: Database, seed: int) -> int:
    """Insert numbered rows in transactions of different lengths, and return their number."""
    random, count = Random(seed), 0
    async with await _open_connection(db) as connection:
        for _ in range(TRANSACTIONS):
            names = sorted(random.sample(range(NAMES), random.randint(1, 3)))
            if random.random() < 0.5:
                await connection.execute("SELECT pg_current_xact_id()")
            written = 0
            for name in names:
                cursor = await connection.execute(
                    "UPDATE counters SET number = number + 1 WHERE name = %s RETURNING number",
                    (name,),
                )
                [number] = await cursor.fetchone() or [0]
                for _ in range(random.randint(0, 3)):
                    await asyncio.sleep(0)
                payload = Jsonb({"name": name, "number": number})
                await connection.execute(INSERT, (str(name), payload))
                written += 1
            if random.random() < 0.1:
                await connection.rollback()
            else:
                await connection.commit()
                count += written
    return count


@pytest.mark.untraced
async def test_killed_relay_publishes_every_row_once_and_in_order(tmp_path: Path) -> None:
    """With 50 writers and repeatedly killed relays, each row is published once, in key order.

    The numbers of a name are given out under a lock, so their order is that of the commits.
    """
    needs_postgres_programs()
    with Cluster(connections=WRITERS + 20) as cluster:
        db = Database("postgresql", tmp_path, cluster.url("postgres"))
        for text in (
            f"CREATE SCHEMA {db.schema}",
            TABLES["postgresql"],
            "CREATE TABLE counters (name integer PRIMARY KEY, number integer NOT NULL)",
            PUBLISHED,
        ):
            await db.run(text)
        for name in range(NAMES):
            await db.run("INSERT INTO counters VALUES (:name, :number)", name=name, number=0)
        writers = asyncio.gather(*(_write(db, seed) for seed in range(WRITERS)))
        kills = await _relay_until_all_is_published(db, writers)
        rows = await db.run("SELECT name, number FROM published ORDER BY at")
        await finish(db.connector.close())

    assert writers.result()
    assert sum(writers.result()) == len(rows)
    assert kills > 3
    for name in range(NAMES):
        numbers = [row.number for row in rows if row.name == name]
        assert list(range(1, len(numbers) + 1)) == numbers


async def _relay_until_all_is_published(db: Database, writers: asyncio.Future[list[int]]) -> int:
    """Run relays and kill each after some rows; return the number of killed relays."""
    random, kills, published = Random(1), 0, 0

    def is_complete() -> bool:
        return writers.done() and published >= sum(writers.result())

    while not is_complete():
        relay = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.pipelines.outbox_relay", db.url, db.schema
        )
        goal = published + random.randint(30, 200)
        while published < goal and not is_complete():
            [published] = await db.column("SELECT count(*) FROM published")
        relay.kill()
        await relay.wait()
        kills += 1
        [published] = await db.column("SELECT count(*) FROM published")
    return kills


class ClosingSink:
    """A sink that stops its pipeline after a batch, and whose close fails."""

    stop: Callable[[], None]

    async def open(self) -> None:
        """Do nothing."""

    async def process_batch(self, _records: Sequence[SinkRecord], /) -> None:
        """Stop the pipeline."""
        self.stop()

    async def flush(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Raise an error."""
        raise InvalidData("The sink cannot be closed.")


CLOSING_SINK = ClosingSink()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the open files from /proc")
async def test_connectors_of_a_pipeline_are_closed_if_the_close_of_its_sink_fails(
    tmp_path: Path,
) -> None:
    """A configured pipeline closes its own SQLite connectors even if the sink's close fails."""
    async with database("sqlite", tmp_path) as db:
        await db.run(TABLES["sqlite"])
        await _put(db, "{}")
    tree = {
        "connectors": {"rows": {"kind": "sql", "url": f"sqlite:///{tmp_path}/ends.db"}},
        "pipelines": {
            "orders": {
                "source": {"kind": "outbox-table", "connector": "rows", "table": "outbox"},
                "sink": {"function": f"{__name__}:CLOSING_SINK"},
            }
        },
    }
    async with moorage.aopen(tree) as hub:
        [settings] = read_configuration(tree).pipelines
        pipeline = build_pipeline(settings, hub, AsyncMemoryStorage())
        CLOSING_SINK.stop = pipeline.stop
        await pipeline.run()
    assert [] == open_files_below(tmp_path)


def open_files_below(folder: Path) -> list[Path]:
    """Return the open files of this process that are in a folder."""
    open_files = [file.resolve() for file in Path("/proc/self/fd").iterdir()]
    return [file for file in open_files if file.is_relative_to(folder)]
