"""Pipeline checkpoints in an SQL table, alone and together with a sink's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, LocalFailure, PollingSource, SinkRecord
from moorage.adapters.sql.checkpoints import SqlCheckpoints
from moorage.adapters.sql.sink import SqlSink
from moorage.domain.pipelines.checkpoints import is_after, partition_name
from tests.pipelines.pipeline_databases import SYSTEMS, Database, database

if TYPE_CHECKING:
    from pathlib import Path

each_system = pytest.mark.parametrize("system", SYSTEMS)


async def _checkpoints(db: Database) -> SqlCheckpoints:
    checkpoints = SqlCheckpoints(db.manager, db.connector)
    await checkpoints.create_table()
    return checkpoints


def _record(offset: Any, **fields: Any) -> SinkRecord:
    return SinkRecord.of_json({"number": 1}, **{"topic": "orders", "offset": offset, **fields})


@each_system
async def test_only_the_last_owner_stores_positions(system: str, tmp_path: Path) -> None:
    """Only the last worker that began a checkpoint can store positions in the table."""
    async with database(system, tmp_path) as db:
        first, second = await _checkpoints(db), await _checkpoints(db)
        assert (1, {}) == await first.begin("orders")
        await first.advance("orders", 1, {"0": 5, "1": "a"})
        assert (2, {"0": 5, "1": "a"}) == await second.begin("orders")
        with pytest.raises(LocalFailure, match="taken over the checkpoint 'orders'"):
            await first.advance("orders", 1, {"0": 6})
        await second.advance("orders", 2, {"0": 4})
        await second.advance("orders", 2, {"0": 4})

        assert (3, {"0": 4, "1": "a"}) == await second.begin("orders")
        with pytest.raises(LocalFailure, match="taken over"):
            await second.advance("returns", 1, {})


@each_system
async def test_earlier_owner_writes_no_rows(system: str, tmp_path: Path) -> None:
    """A SQL sink whose worker was replaced writes no more rows."""
    async with database(system, tmp_path) as db:
        await db.run("CREATE TABLE orders (number integer)")
        first = await _checkpoints(db)
        sink = SqlSink(db.manager, db.connector, "orders", columns=["number"], checkpoints=first)
        await first.begin("orders")
        await sink.process_batch([_record(1), _record(2)])
        await (await _checkpoints(db)).begin("orders")
        with pytest.raises(LocalFailure, match="taken over"):
            await sink.process_batch([_record(3)])

        assert [1, 1] == await db.column("SELECT number FROM orders")


async def test_position_that_moved_with_rows_is_not_set_back(tmp_path: Path) -> None:
    """A later commit of the source does not set back the position that the sink has stored."""
    async with database("sqlite", tmp_path) as db:
        await db.run("CREATE TABLE orders (number integer)")
        checkpoints = await _checkpoints(db)
        sink = SqlSink(
            db.manager, db.connector, "orders", columns=["number"], checkpoints=checkpoints
        )
        epoch, _ = await checkpoints.begin("orders")
        await sink.process_batch([_record(7), _record(3, partition="b")])
        await checkpoints.advance("orders", epoch, {"0": 5, "b": 4, "c": 1})

        assert {"0": 7, "b": 4, "c": 1} == (await checkpoints.begin("orders"))[1]


async def test_position_that_moved_with_rows_cannot_be_sought(tmp_path: Path) -> None:
    """Seeking after the sink stored a position is refused, with a remedy."""
    async with database("sqlite", tmp_path) as db:
        await db.run("CREATE TABLE orders (number integer)")
        checkpoints = await _checkpoints(db)
        sink = SqlSink(
            db.manager, db.connector, "orders", columns=["number"], checkpoints=checkpoints
        )
        source = PollingSource("orders", lambda _: [], checkpoints)
        await source.open(_ignore)
        await source.seek(("orders", None), 9)
        await source.seek(("orders", None), 3)
        assert {"0": 3} == (await checkpoints.begin("orders"))[1]
        await sink.process_batch([_record(7)])
        with pytest.raises(LocalFailure, match="cannot be changed while the pipeline runs"):
            await source.seek(("orders", None), 4)

        assert {"0": 7} == (await checkpoints.begin("orders"))[1]


async def _ignore(_: object) -> None:
    """Ignore lost partitions."""


@each_system
async def test_reset_sets_positions_back_and_ends_the_ownership(
    system: str, tmp_path: Path
) -> None:
    """After a reset a source begins at the new position, and the previous worker writes no more."""
    async with database(system, tmp_path) as db:
        await db.run("CREATE TABLE orders (number integer)")
        checkpoints = await _checkpoints(db)
        await checkpoints.reset("returns", {"0": 2})
        assert {"0": 2} == (await checkpoints.begin("returns"))[1]
        sink = SqlSink(
            db.manager, db.connector, "orders", columns=["number"], checkpoints=checkpoints
        )
        await checkpoints.begin("orders")
        await sink.process_batch([_record(7)])
        await (await _checkpoints(db)).reset("orders", {"0": 3})
        with pytest.raises(LocalFailure, match="taken over"):
            await sink.process_batch([_record(8)])

        later_checkpoints = await _checkpoints(db)
        assert {"0": 3} == (await later_checkpoints.begin("orders"))[1]


@each_system
async def test_missing_table_is_named(system: str, tmp_path: Path) -> None:
    """If the table of checkpoints does not exist, the error says how to create it."""
    async with database(system, tmp_path) as db:
        checkpoints = SqlCheckpoints(db.manager, db.connector)
        with pytest.raises(ConfigurationError, match="no table 'moorage_checkpoints'") as error:
            await checkpoints.begin("orders")
        assert "create_table" in str(error.value)
        await checkpoints.create_table()
        assert (1, {}) == await checkpoints.begin("orders")


async def test_records_of_another_source_are_refused(tmp_path: Path) -> None:
    """A SQL sink with checkpoints accepts records of only one source."""
    async with database("sqlite", tmp_path) as db:
        await db.run("CREATE TABLE orders (number integer)")
        checkpoints = await _checkpoints(db)
        sink = SqlSink(
            db.manager, db.connector, "orders", columns=["number"], checkpoints=checkpoints
        )
        await checkpoints.begin("orders")
        for batch in ([_record(1, topic="returns")], [_record(1), _record(1, topic="returns")]):
            with pytest.raises(LocalFailure, match="belong to a different source"):
                await sink.process_batch(batch)

        assert [] == await db.column("SELECT number FROM orders")


@pytest.mark.parametrize(
    "offset, position, expected",
    [
        (2, 1, True),
        (1, 1, False),
        (0, None, True),
        ("b", "a", True),
        ("a", "b", False),
        ("", None, True),
    ],
)
def test_offsets_of_one_type_are_compared_by_value(
    offset: Any, position: Any, expected: bool
) -> None:
    """Offsets of one type are compared by value."""
    assert expected is is_after(offset, position)


@pytest.mark.parametrize("offset, position", [(1, "1"), ("1", 1), (None, 1), (None, None)])
def test_offsets_of_two_types_are_refused(offset: Any, position: Any) -> None:
    """Comparing offsets of two types raises an error, so that no records are skipped."""
    with pytest.raises(LocalFailure, match="cannot be compared"):
        is_after(offset, position)


def test_partitions_have_names() -> None:
    """The checkpoint of a source without partitions is stored as partition "0"."""
    assert ["0", "3", "a"] == [partition_name(partition) for partition in (None, 3, "a")]


def test_other_connectors_are_refused() -> None:
    """An object that is not a SQL connector is refused at once."""
    with pytest.raises(ConfigurationError, match="not an SQL connector"):
        SqlCheckpoints(None, None)  # type: ignore[arg-type]  # the mistake
