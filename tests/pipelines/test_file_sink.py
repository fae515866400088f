"""The pipeline sink that writes records into files."""

from __future__ import annotations

import json
import resource
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import ConfigurationError, InvalidData, SinkRecord, StorageUnavailable
from moorage.adapters.files.file_sink import FileSink
from moorage.testing import name_of, sink_conformance

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

CSV: dict[str, Any] = {"file_format": "csv", "columns": ["number", "note"]}


def _record(number: int, note: Any = 'a,\n"b"') -> SinkRecord:
    value = {"number": number, "note": note}
    return SinkRecord.of_json(value, topic="orders", offset=number)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _bad_record(payload: bytes = b"{}") -> SinkRecord:
    return SinkRecord(payload, topic="orders", offset=0)


@attrs.define
class Subject:
    """A file sink with its folder, for the conformance kit."""

    sink: FileSink
    folder: Path
    has_effect_once: bool = False

    def record(self, number: int, /) -> SinkRecord:
        """Return a record that contains this number."""
        return _record(number, "a")

    def bad_record(self, number: int, /) -> SinkRecord | None:
        """Return a record that is not JSON."""
        return _bad_record(b"no JSON")

    async def stored(self) -> list[int]:
        """Return the numbers that are in the sink's files."""
        lines = [line for path in _files(self.folder) for line in path.read_text().splitlines()]
        return [
            json.loads(line)["number"] if line.startswith("{") else int(line.partition(",")[0])
            for line in lines
            if line != "number,note"
        ]


@asynccontextmanager
async def subject(folder: Path, settings: dict[str, Any]) -> AsyncGenerator[Subject]:
    """Create a file sink for the conformance kit."""
    yield Subject(FileSink(folder, "orders", **settings), folder)


@pytest.mark.parametrize("settings", [{}, CSV, {"size": 1}], ids=["jsonl", "csv", "rotated"])
@pytest.mark.parametrize("check", sink_conformance.CHECKS, ids=name_of)
async def test_file_sink_passes_sink_conformance_kit(
    check: sink_conformance.Check, settings: dict[str, Any], tmp_path: Path
) -> None:
    """The file sink passes the sink conformance kit."""
    await check(partial(subject, tmp_path, settings))


async def test_file_has_part_name_until_sink_completes_it(tmp_path: Path) -> None:
    """A file's name ends in `.part` until the sink completes the file, at the latest on close."""
    sink = FileSink(tmp_path, "orders")
    await sink.open()
    await sink.process_batch([_record(1), _record(2)])
    await sink.open()
    await sink.flush()
    [part] = _files(tmp_path)
    assert part.name.endswith(".jsonl.part")
    await sink.close()
    [path] = _files(tmp_path)

    assert part.name.removesuffix(".part") == path.name
    assert [1, 2] == [json.loads(line)["number"] for line in path.read_text().splitlines()]


async def test_csv_has_a_header_and_quotes(tmp_path: Path) -> None:
    """Each CSV file begins with the column names, and values are quoted where needed."""
    sink = FileSink(tmp_path, "orders", **CSV)
    await sink.process_batch([_record(1), _record(2, None)])
    await sink.close()
    [path] = _files(tmp_path)

    assert 'number,note\n1,"a,\n""b"""\n2,\n' == path.read_text()


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"no JSON"])
async def test_record_without_the_columns_is_at_fault(payload: bytes, tmp_path: Path) -> None:
    """A record that cannot be a CSV row is invalid data; the records before it are written."""
    sink = FileSink(tmp_path, "orders", **CSV)
    results = await sink.process_batch([_record(1), _bad_record(payload), _record(2)])

    await sink.close()
    assert results is not None
    assert [True, False] == [result.ok for result in results]
    assert isinstance(results[1].error, InvalidData)


async def test_files_are_completed_by_size_and_age(tmp_path: Path) -> None:
    """A file that is large or old enough is completed, and the next batch begins a new one."""
    now = [0.0]
    sink = FileSink(tmp_path, "orders", size=100, age=60, clock=lambda: now[0])
    await sink.process_batch([_record(1, "n" * 100)])
    assert [".jsonl"] == [path.suffix for path in _files(tmp_path)]
    await sink.process_batch([_record(2)])
    now[0] = 60.0
    await sink.process_batch([_record(3)])
    assert [".jsonl", ".jsonl", ".part"] == [path.suffix for path in _files(tmp_path)]
    now[0] = 120.0
    await sink.flush()

    assert [".jsonl"] * 3 == [path.suffix for path in _files(tmp_path)]


async def test_files_are_completed_by_number(tmp_path: Path) -> None:
    """A file with enough records is completed."""
    sink = FileSink(tmp_path, "orders", records=2)
    for number in range(3):
        await sink.process_batch([_record(number)])
    assert [".jsonl", ".part"] == [path.suffix for path in _files(tmp_path)]
    await sink.close()


async def test_file_of_a_process_that_died_is_completed(tmp_path: Path) -> None:
    """The next sink completes a dead process's file, and drops a last line that was cut off."""
    (tmp_path / "orders-1.jsonl.part").write_bytes(b'{"number": 1}\n{"num')
    (tmp_path / "returns-1.jsonl.part").write_bytes(b"{")
    (tmp_path / "orders-eu-1.jsonl.part").write_bytes(b"{")
    await FileSink(tmp_path, "orders").open()

    assert b'{"number": 1}\n' == (tmp_path / "orders-1.jsonl").read_bytes()
    assert ["orders-1.jsonl", "orders-eu-1.jsonl.part", "returns-1.jsonl.part"] == [
        path.name for path in _files(tmp_path)
    ]


async def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    """Formats that do not fit their columns, and a missing folder, are refused."""
    with pytest.raises(ConfigurationError, match="not support the format 'xml'"):
        FileSink(tmp_path, "orders", "xml")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigurationError, match="'csv' needs `columns`"):
        FileSink(tmp_path, "orders", "csv")
    with pytest.raises(ConfigurationError, match="'jsonl' must not have them"):
        FileSink(tmp_path, "orders", columns=["number"])
    with pytest.raises(ConfigurationError, match="folder 'missing' does not exist"):
        await FileSink(tmp_path / "missing", "orders").open()


async def test_failing_disk_is_temporary(tmp_path: Path) -> None:
    """If the folder disappears, the sink raises a temporary error, so the pipeline retries."""
    folder = tmp_path / "files"
    folder.mkdir()
    sink = FileSink(folder, "orders")
    await sink.open()
    folder.rmdir()
    with pytest.raises(
        StorageUnavailable, match="files of 'orders' could not be written"
    ) as excinfo:
        await sink.process_batch([_record(1)])

    assert excinfo.value.retryable
    assert str(tmp_path) not in str(excinfo.value)


async def test_file_is_restored_and_takes_later_batches_if_only_part_of_batch_fits_on_disk(
    tmp_path: Path,
) -> None:
    """If a batch does not fit on the disk, the file is restored, and can take later batches."""
    sink = FileSink(tmp_path, "orders")
    await sink.process_batch([_record(1, "a")])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageUnavailable):
            await sink.process_batch([_record(2, "b" * 50_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await sink.process_batch([_record(3, "c")])
    await sink.close()
    [path] = _files(tmp_path)

    assert [1, 3] == [json.loads(line)["number"] for line in path.read_text().splitlines()]


async def test_file_begins_with_its_header_after_a_disk_without_space(tmp_path: Path) -> None:
    """If the header of a file does not fit on the disk, the next batch rewrites the file."""
    sink = FileSink(tmp_path, "orders", **CSV)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        with pytest.raises(StorageUnavailable):
            await sink.process_batch([_record(1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await sink.process_batch([_record(2, "b")])
    await sink.close()
    [path] = _files(tmp_path)

    assert b"number,note\n2,b\n" == path.read_bytes()


async def test_cut_off_csv_row_is_dropped_with_the_lines_of_its_values(tmp_path: Path) -> None:
    """A row that a process could not finish is dropped, even if a quoted value has line ends."""
    (tmp_path / "orders-1.csv.part").write_bytes(b'number,note\n1,"a\nb"\n2,"c\nd')
    await FileSink(tmp_path, "orders", **CSV).open()

    assert b'number,note\n1,"a\nb"\n' == (tmp_path / "orders-1.csv").read_bytes()


async def test_long_cut_off_line_is_dropped(tmp_path: Path) -> None:
    """A cut-off line of any length is dropped."""
    line = b'{"number": 1}\n'
    (tmp_path / "orders-1.jsonl.part").write_bytes(line + b"x" * 150_000)
    (tmp_path / "orders-2.jsonl.part").write_bytes(b"x" * 150_000)
    await FileSink(tmp_path, "orders").open()

    assert [line, b""] == [path.read_bytes() for path in _files(tmp_path)]


async def test_csv_values_with_carriage_returns_are_quoted(tmp_path: Path) -> None:
    """A carriage return in a value does not end the row, whatever the version of Python."""
    sink = FileSink(tmp_path, "orders", **CSV)
    await sink.process_batch([_record(1, "a\rb")])
    await sink.close()
    [path] = _files(tmp_path)

    assert b'number,note\n1,"a\rb"\n' == path.read_bytes()


async def test_nothing_is_written_if_first_record_of_batch_is_bad(tmp_path: Path) -> None:
    """If the first record of a batch is bad, nothing is written, not even an empty file."""
    results = await FileSink(tmp_path, "orders").process_batch(
        [_bad_record(b"no JSON"), _record(1)]
    )

    assert results is not None
    assert [False] == [result.ok for result in results]
    assert [] == _files(tmp_path)
