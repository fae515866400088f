"""The sink that writes Parquet files: columns, rotation, bad records, and dead processes."""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pyarrow.parquet
import pytest

from moorage import ConfigurationError, InvalidData, LocalFailure, SinkRecord, StorageUnavailable
from moorage.adapters.files.parquet_sink import ParquetSink
from moorage.domain.pipelines.records import DecodedRecord
from moorage.testing import name_of, sink_conformance
from tests.pipelines import parquet_worker
from tests.pipelines.pipeline_waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

TYPED: dict[str, Any] = {"columns": {"number": "int64", "note": "string"}}
LINE = b'{"number":1,"note":"a"}\n'


def _record(number: Any, **fields: Any) -> SinkRecord:
    return SinkRecord.of_json({"number": number, "note": "a", **fields}, topic="t", offset=1)


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all complete files, in the order of their names."""
    return [
        row for path in _complete(folder) for row in pyarrow.parquet.read_table(path).to_pylist()
    ]


def _complete(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@attrs.define
class Subject:
    """A Parquet sink with its folder, for the conformance kit."""

    sink: ParquetSink
    folder: Path
    has_effect_once: bool = False

    def record(self, number: int, /) -> SinkRecord:
        """Return a record that contains this number."""
        return _record(number)

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record whose number is a string."""
        return _record(str(number))

    async def stored(self) -> list[int]:
        """Return the numbers in the sink's complete files and in its flushed `.part` file."""
        copy = self.folder / "copy"
        copy.mkdir()
        for path in self.folder.iterdir():
            if path.is_file():
                (copy / path.name).write_bytes(path.read_bytes())
        reader = ParquetSink(copy, "orders")
        await reader.open()
        numbers = [row["number"] for row in _rows(copy)]
        for path in copy.iterdir():
            path.unlink()
        copy.rmdir()
        return numbers


@asynccontextmanager
async def subject(folder: Path, settings: dict[str, Any]) -> AsyncGenerator[Subject]:
    """Create a Parquet sink for the conformance kit."""
    yield Subject(ParquetSink(folder, "orders", **settings), folder)


@pytest.mark.parametrize("settings", [{}, TYPED, {"records": 1}], ids=["any", "typed", "rotated"])
@pytest.mark.parametrize("check", sink_conformance.CHECKS, ids=name_of)
async def test_parquet_sink_passes_sink_conformance_kit(
    check: sink_conformance.Check, settings: dict[str, Any], tmp_path: Path
) -> None:
    """The Parquet sink passes the sink conformance kit."""
    await check(partial(subject, tmp_path, settings))


async def test_values_get_the_types_of_their_columns(tmp_path: Path) -> None:
    """Values get their column's type, missing values become null, other fields are dropped."""
    columns = {
        "s": "string",
        "i": "int32",
        "f": "float64",
        "b": "bool",
        "t": "timestamp",
        "d": "decimal(10, 2)",
    }
    row = {"s": "é", "i": 5, "f": 1, "b": True, "t": "2026-03-01T10:00:00+02:00", "d": "1.25"}
    sink = ParquetSink(tmp_path, "orders", columns=columns, compression="gzip")
    await sink.process_batch([SinkRecord.of_json(value, topic="t") for value in (row, {"x": 1})])
    await sink.close()
    typed = {
        **row,
        "f": 1.0,
        "t": datetime(2026, 3, 1, 8, tzinfo=UTC),
        "d": Decimal("1.25"),
    }
    assert [typed, dict.fromkeys(columns)] == _rows(tmp_path)
    [path] = _complete(tmp_path)
    assert "GZIP" == pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(0).compression


@pytest.mark.parametrize(
    "text, number",
    [
        ("123456789012345678.91", "123456789012345678.91"),
        ('"123456789012345678.91"', "123456789012345678.91"),
        ("12345678901234567890", "12345678901234567890.00"),
        ("1.25e3", "1250.00"),
        ("-0.5", "-0.50"),
    ],
)
async def test_decimal_column_keeps_all_digits_of_a_json_number(
    tmp_path: Path, text: str, number: str
) -> None:
    """A number of JSON with more digits than a float has is stored exactly."""
    sink = ParquetSink(tmp_path, "orders", columns={"number": "decimal(38,2)"})
    await sink.process_batch([SinkRecord(f'{{"number":{text}}}', topic="t")])
    await sink.close()
    assert _rows(tmp_path) == [{"number": Decimal(number)}]


async def test_decimal_column_accepts_decimals_of_a_schema(tmp_path: Path) -> None:
    """A decimal that a schema has decoded is stored exactly."""
    sink = ParquetSink(tmp_path, "orders", columns={"number": "decimal(38,2)"})
    value = {"number": Decimal("123456789012345678.91")}
    await sink.process_batch([DecodedRecord.of(SinkRecord(b"x", topic="t"), value, "orders")])
    await sink.close()
    assert _rows(tmp_path) == [value]


@pytest.mark.parametrize("text", ["1e999999999", '"1e999999999"', "1.005", "1e40"])
async def test_number_that_does_not_fit_a_decimal_column_is_refused(
    tmp_path: Path, text: str
) -> None:
    """A number that a column of decimals cannot hold is refused, and the error omits it."""
    sink = ParquetSink(tmp_path, "orders", columns={"number": "decimal(10,2)"})
    results = await sink.process_batch([SinkRecord(f'{{"number":{text}}}', topic="t")])
    await sink.close()
    assert results is not None
    assert isinstance(results[0].error, InvalidData)
    assert "99" not in str(results[0].error)
    assert _rows(tmp_path) == []


async def test_first_batch_determines_the_columns(tmp_path: Path) -> None:
    """By default the first batch determines the columns; time-like strings stay strings."""
    sink = ParquetSink(tmp_path, "orders")
    value = {"at": "2026-03-01T10:00:00", "l": [{"at": "2026-03-01"}], "n": 1}
    await sink.process_batch([SinkRecord.of_json(value, topic="t")])
    other = SinkRecord.of_json({"n": 2, "new": 3}, topic="t")
    results = await sink.process_batch([SinkRecord.of_json({"n": 2}, topic="t"), other])
    assert results is not None
    assert [True, False] == [result.ok for result in results]
    assert isinstance(results[1].error, InvalidData)
    assert "unexpected field" in str(results[1].error)
    await sink.close()
    assert [value, {"at": None, "l": None, "n": 2}] == _rows(tmp_path)


@pytest.mark.parametrize(
    "payload, problem",
    [
        (b"no JSON", "not JSON"),
        (b"[1]", "changed from object to array"),
        (b'{"number": "secret"}', "changed from number to string"),
        (b'{"number": 1.5}', "Failed to convert JSON to int64"),
        (b'{"number": 9223372036854775808}', "Failed to convert JSON to int64"),
    ],
)
async def test_record_that_does_not_fit_the_columns_is_refused(
    payload: bytes, problem: str, tmp_path: Path
) -> None:
    """Records before a bad record are written; the error names the column, not the value."""
    sink = ParquetSink(tmp_path, "orders", **TYPED)
    wrong_record = SinkRecord(payload, topic="t")
    results = await sink.process_batch([_record(1), wrong_record, _record(2)])
    assert results is not None
    assert [True, False] == [result.ok for result in results]
    assert problem in str(results[1].error)
    assert "secret" not in str(results[1].error)
    await sink.close()
    assert [1] == [row["number"] for row in _rows(tmp_path)]


@pytest.mark.parametrize("payload, problem", [(b"{}", "has no fields"), (b"a", "not JSON")])
async def test_first_record_without_fields_is_refused(
    payload: bytes, problem: str, tmp_path: Path
) -> None:
    """If the first record has no fields, it defines no columns and nothing is written."""
    results = await ParquetSink(tmp_path, "orders").process_batch([SinkRecord(payload, topic="t")])
    assert results is not None
    assert problem in str(results[0].error)
    assert [] == _names(tmp_path)


async def test_files_are_completed_by_number_size_and_age(tmp_path: Path) -> None:
    """A file is completed when it has enough records, enough bytes, or is old enough."""
    now = [0.0]
    sink = ParquetSink(tmp_path, "orders", records=3, size=400, age=60, clock=lambda: now[0])
    await sink.process_batch([_record(number) for number in range(3)])
    assert 1 == len(_complete(tmp_path))
    await sink.process_batch([_record(3, note="n" * 400)])
    assert 2 == len(_complete(tmp_path))
    await sink.process_batch([_record(4)])
    assert 2 == len(_complete(tmp_path))
    now[0] = 60.0
    await sink.flush()
    assert 3 == len(_complete(tmp_path)) == len(_names(tmp_path))
    assert [0, 1, 2, 3, 4] == [row["number"] for row in _rows(tmp_path)]


async def test_part_file_of_a_dead_process_is_completed(tmp_path: Path) -> None:
    """A dead process's part file is completed, even if a half-written final file exists."""
    other_folder = tmp_path / "elsewhere"
    other_folder.mkdir()
    abandoned_sink = ParquetSink(other_folder, "orders")
    await abandoned_sink.process_batch([_record(1), _record(2)])
    await abandoned_sink.flush()
    [name] = _names(other_folder)
    (tmp_path / name).write_bytes((other_folder / name).read_bytes() + b'{"num')
    await abandoned_sink.close()
    (tmp_path / name.replace(".parquet.part", ".coming")).write_bytes(b"PAR1 half")
    (tmp_path / "orders-20260301T0.parquet.part").touch()
    other = ParquetSink(tmp_path, "orders-eu")
    await other.process_batch([_record(3)])
    # Columns of the new sink do not matter for the old part.
    await ParquetSink(tmp_path, "orders", columns={"x": "bool"}).open()
    assert [1, 2] == [row["number"] for row in _rows(tmp_path)]
    endings = [name.partition(".")[2] for name in _names(tmp_path)]
    assert ["", "parquet", "parquet.part"] == endings
    await other.close()


async def test_part_file_of_another_program_raises_error(tmp_path: Path) -> None:
    """A part file that no sink wrote is not overwritten; the error contains a remedy."""
    (tmp_path / "orders-20260301T0.parquet.part").write_bytes(b"something\n")
    with pytest.raises(LocalFailure, match=r"orders-20260301T0\.parquet cannot be read"):
        await ParquetSink(tmp_path, "orders").open()
    assert ["orders-20260301T0.parquet.part"] == _names(tmp_path)


async def test_rows_are_neither_lost_nor_repeated_if_disk_is_full(tmp_path: Path) -> None:
    """If a file cannot be completed, its rows stay in the part file until a later flush."""
    sink = ParquetSink(tmp_path, "orders", records=1_000, compression="none")
    records = [_record(number, note=f"{number:050}") for number in range(999)]
    await sink.process_batch(records)
    [name] = _names(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        # The file is larger than the limit, so it cannot be written as Parquet either.
        assert (tmp_path / name).stat().st_size > 20_000
        with pytest.raises(StorageUnavailable):
            await sink.close()
        with pytest.raises(StorageUnavailable):
            await sink.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [] == _complete(tmp_path)
    await sink.flush()
    assert list(range(999)) == [row["number"] for row in _rows(tmp_path)]
    await sink.process_batch(records[:1])
    await sink.close()
    assert 2 == len(_complete(tmp_path)) == len(_names(tmp_path))


@pytest.mark.parametrize(
    "options, path",
    [
        ({"columns": {}}, "columns"),
        ({"columns": {"a": "text"}}, "columns"),
        ({"columns": {"": "string"}}, "columns"),
        ({"columns": {"a": 5}}, "columns"),
        ({"columns": {"a": "decimal(39,2)"}}, "columns"),
        ({"columns": {"a": "decimal(2,3)"}}, "columns"),
        ({"compression": "zip"}, "compression"),
        ({"records": 0}, "records"),
        ({"size": 0}, "size"),
        ({"age": 0}, "age"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], path: str, tmp_path: Path) -> None:
    """A wrong option is refused, and the error names it."""
    with pytest.raises(ConfigurationError) as excinfo:
        ParquetSink(tmp_path, "orders", **options)
    assert path == excinfo.value.path


async def test_error_names_the_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, the sink's error states which extra to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"\[parquet\]"):
        ParquetSink(tmp_path, "orders")


async def test_killed_process_leaves_only_complete_files(tmp_path: Path) -> None:
    """After `kill -9` at any moment, all final files are complete, and no flushed row is lost."""
    folder, position = tmp_path / "out", tmp_path / "position"
    folder.mkdir()
    position.touch()
    for enough in (100, 300, 700):
        program = [sys.executable, str(Path(parquet_worker.__file__)), str(folder), str(position)]
        worker = await asyncio.create_subprocess_exec(*program)
        try:
            await until(partial(_has_reached, position, enough))
        finally:
            worker.kill()
            await asyncio.wait_for(worker.wait(), PATIENCE)
    await ParquetSink(folder, "orders").open()
    numbers = [row["n"] for row in _rows(folder)]
    flushed = int(position.read_text())
    assert set(range(flushed)) <= set(numbers)
    # A batch that was written but not flushed may occur twice, once for each kill.
    assert len(numbers) <= flushed + 30
    assert {".parquet"} == {path.suffix for path in folder.iterdir()}


def _has_reached(position: Path, count: int) -> bool:
    return int(position.read_text() or 0) >= count
