"""The source that reads files: positions, incomplete lines, rotation, and both formats."""

from __future__ import annotations

import csv
import inspect
import os
import sys
from contextlib import suppress
from itertools import count
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConfigurationError,
    InvalidData,
    LocalFailure,
    Pipeline,
    PollingSource,
    StateCheckpoints,
    StorageUnavailable,
)
from moorage.adapters.files.file_sink import FileSink
from moorage.adapters.files.record_files import RecordFile
from moorage.testing import MemorySink, MemorySource, make_records
from moorage.wiring.store_urls import aopen_storage

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from moorage import SourceRecord


def _append(path: Path, text: str) -> None:
    with path.open("a", newline="") as file:
        file.write(text)


def _all_records(file: RecordFile, position: Any = None) -> list[SourceRecord]:
    """Return all records after a position, by fetching until there are no more."""
    records: list[SourceRecord] = []
    while new_records := file.after(position):
        records += new_records
        position = new_records[-1].offset
    return records


def _payloads(records: list[SourceRecord] | None) -> list[bytes]:
    return [record.payload for record in records or []]


def test_incomplete_last_line_is_read_once_it_is_complete(tmp_path: Path) -> None:
    """An incomplete last line is read once it is complete, and positions continue after it."""
    path = tmp_path / "orders.jsonl"
    file = RecordFile(path)
    assert [] == file.after(None)
    _append(path, '{"a": 1}\n\n{"a": 2}\r\n{"a"')
    first = file.after(None)
    assert [b'{"a": 1}', b'{"a": 2}'] == _payloads(first)
    assert first is not None
    position = first[-1].offset
    assert [] == file.after(position)
    _append(path, ": 3}\n")

    assert [b'{"a": 3}'] == _payloads(file.after(position))
    assert [b'{"a": 2}', b'{"a": 3}'] == _payloads(_all_records(file, first[0].offset))
    assert sorted(str(record.offset) for record in _all_records(file)) == [
        record.offset for record in _all_records(file)
    ]


def test_replaced_file_is_read_to_its_end(tmp_path: Path) -> None:
    """Rotated log files are read to their ends, in order, even after several rotations."""
    path = tmp_path / "orders.jsonl"
    file = RecordFile(path)
    _append(path, "1\n")
    [first] = file.after(None) or []
    _append(path, "2\n3")
    for number in (2, 1):
        path.rename(tmp_path / f"orders.jsonl.{number}")
        os.utime(tmp_path / f"orders.jsonl.{number}", ns=(0, 10 - number))
        path.touch()
        if number == 2:
            assert [b"2"] == _payloads(_all_records(file, first.offset))
            _append(path, "4\n")

    assert [b"2", b"3", b"4"] == _payloads(_all_records(file, first.offset))
    _append(path, "5\n")
    assert [b"2", b"3", b"4", b"5"] == _payloads(_all_records(file, first.offset))
    assert [b"5"] == _payloads(_all_records(file))


def _rotate(path: Path) -> None:
    """Rotate the file and its predecessors, and write a record to a new file."""
    for number in (2, 1):
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}.{number}").rename(f"{path}.{number + 1}")
    path.rename(f"{path}.1")
    _append(path, "new\n")


def _read_with_rotation(file: RecordFile, path: Path, position: Any, line: int) -> Any:
    """Read the next records, and rotate the files before the n-th line that the source runs.

    Return the records, and True if the files were rotated.
    """
    source = inspect.getfile(RecordFile)
    lines = iter(range(line))

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != source or is_rotated:
            return None
        if event == "line" and next(lines, None) is None:
            is_rotated.append(True)
            _rotate(path)
        return trace

    is_rotated: list[bool] = []
    previous_trace = sys.gettrace()
    sys.settrace(trace)
    try:
        return file.after(position), bool(is_rotated)
    finally:
        sys.settrace(previous_trace)


@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_file_that_is_rotated_while_it_is_read_loses_no_record(
    tmp_path: Path, rotations: int
) -> None:
    """If files are rotated at any moment of a read, each record is read once, in order."""
    for line in count():
        folder = tmp_path / str(line)
        folder.mkdir()
        path = folder / "orders.jsonl"
        file = RecordFile(path, size=4)
        _append(path, "1\n2\n")
        [first, *_] = file.after(None) or []
        expected = [b"2"]
        for _ in range(rotations):
            _rotate(path)
            expected.append(b"new")

        records, is_rotated = _read_with_rotation(file, path, first.offset, line)
        last = records[-1].offset if records else first.offset
        result = _payloads(records) + _payloads(_all_records(file, last))

        assert [*expected, *[b"new"] * is_rotated] == result
        if not is_rotated:
            return


def test_lost_file_is_an_error(tmp_path: Path) -> None:
    """If a position's file is gone, an error is raised, and the next file is not started."""
    path = tmp_path / "orders.jsonl"
    _append(path, "1\n")
    [record] = RecordFile(path).after(None) or []
    (tmp_path / "other").touch()
    (tmp_path / "other").replace(path)
    with pytest.raises(LocalFailure, match="the previous file was deleted"):
        RecordFile(path).after(record.offset)


def test_shorter_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    """A file that was emptied and rewritten is read from its beginning."""
    path = tmp_path / "orders.jsonl"
    _append(path, "1\n2\n")
    records = RecordFile(path).after(None) or []
    path.write_text("3\n")

    assert [b"3"] == _payloads(_all_records(RecordFile(path), records[-1].offset))


def test_overwritten_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    """A file that has grown beyond the position again since it was emptied is read completely."""
    path = tmp_path / "orders.jsonl"
    _append(path, "1\n2\n3\n")
    records = RecordFile(path).after(None) or []
    path.write_text("4\n5\n6\n7\n")

    assert [b"4", b"5", b"6", b"7"] == _payloads(_all_records(RecordFile(path), records[-1].offset))


def test_position_does_not_depend_on_the_number_of_the_device(tmp_path: Path) -> None:
    """A position names a file without its device, whose number may change with a restart."""
    path = tmp_path / "orders.jsonl"
    _append(path, "1\n")
    [record] = RecordFile(path).after(None) or []

    _, _, file, _ = str(record.offset).split("/")

    assert str(path.stat().st_ino) == file


def test_csv_rows_are_objects(tmp_path: Path) -> None:
    """CSV rows become objects with the header's names; quoted line breaks belong to a value."""
    path = tmp_path / "orders.csv"
    file = RecordFile(path, "csv")
    path.touch()
    assert [] == file.after(None)
    _append(path, "number,no")
    assert [] == file.after(None)
    _append(path, 'te\n1,tea\n2,"a,\n""b"""\n3\n4,"torn\n')
    records = file.after(None)
    assert records is not None
    values = [record.json() for record in records[:2]]
    assert [{"number": "1", "note": "tea"}, {"number": "2", "note": 'a,\n"b"'}] == values
    assert [b"3\n"] == _payloads(records[2:])
    assert "text/csv" == records[2].content_type
    _append(path, '"\n')

    assert [{"number": "4", "note": "torn\n"}] == [
        record.json() for record in _all_records(file, records[2].offset)
    ]


def test_rows_of_csv_may_end_with_carriage_return(tmp_path: Path) -> None:
    """A row that ends with a carriage return does not shift later rows."""
    path = tmp_path / "orders.csv"
    _append(path, "number,note\n1,green tea\r2,b\n3,c\n")
    values = [record.json() for record in _all_records(RecordFile(path, "csv"))]

    assert [("1", "green tea"), ("2", "b"), ("3", "c")] == [tuple(row.values()) for row in values]


def test_csv_values_may_be_longer_than_limit_of_csv_module(tmp_path: Path) -> None:
    """Long values of CSV are read, and an invalid long row is a record with the raw text."""
    path = tmp_path / "orders.csv"
    text = "x" * csv.field_size_limit()
    _append(path, f'number,note\n1,"{text},""\n"\n2,{text}y\n"3"z,{text}y\n')
    records = _all_records(RecordFile(path, "csv"))
    notes = [record.json()["note"] for record in records[:2]]

    assert [f'{text},"\n', f"{text}y"] == notes
    assert [f'"3"z,{text}y\n'.encode()] == _payloads(records[2:])


def test_stray_quote_of_csv_costs_no_more_than_other_text(tmp_path: Path) -> None:
    """A file whose first row has an unbalanced quote is read once, not once for each row."""
    path = tmp_path / "orders.csv"
    rows = "x,yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n" * 60_000
    _append(path, f'number,note\n5" pipe,3\n{rows}')
    started_at = process_time()
    assert [] == RecordFile(path, "csv", size=4_000_000).after(None)
    seconds = process_time() - started_at

    assert seconds < 10  # the import would take minutes


def test_unterminated_quote_of_finished_csv_is_not_dropped(tmp_path: Path) -> None:
    """The rows after an unclosed quote become one record that contains their raw text."""
    path = tmp_path / "orders.csv"
    _append(path, 'number,note\n1,a\n2,"b\n3,c\n')
    file = RecordFile(path, "csv", is_complete=True)
    records = file.after(None)
    assert records is not None
    assert [b'{"number":"1","note":"a"}', b'2,"b\n3,c\n'] == _payloads(records)
    assert file.after(records[-1].offset) is None


def test_csv_without_names_of_columns_is_refused(tmp_path: Path) -> None:
    """A CSV file whose first line is empty, instead of column names, is refused."""
    path = tmp_path / "orders.csv"
    _append(path, "\n1,a\n")
    with pytest.raises(InvalidData, match=r"first line of orders\.csv"):
        RecordFile(path, "csv").after(None)


def test_large_file_is_read_in_parts(tmp_path: Path) -> None:
    """One fetch reads a part of a large file, or more if a single record is larger."""
    path = tmp_path / "orders.jsonl"
    lines = ["1", "22", "3" * 60, "4"]
    _append(path, "".join(f"{line}\n" for line in lines))
    file = RecordFile(path, size=10, longest=100)
    assert [b"1", b"22"] == _payloads(file.after(None))
    assert [line.encode() for line in lines] == _payloads(_all_records(file))
    position = _all_records(file)[-1].offset
    _append(path, "5" * 300)
    with pytest.raises(InvalidData, match="longer than 100 bytes"):
        file.after(position)


@pytest.mark.parametrize("is_complete", [False, True])
def test_records_after_many_blank_lines_are_read(tmp_path: Path, *, is_complete: bool) -> None:
    """Blank lines that fill a whole part of the file do not hide the records after them."""
    path = tmp_path / "orders.jsonl"
    _append(path, "1\n" + " \r\n" * 20 + "2\n")

    file = RecordFile(path, is_complete=is_complete, size=8)
    assert [b"1", b"2"] == _payloads(_all_records(file))


def test_row_of_spaces_is_value_of_only_column(tmp_path: Path) -> None:
    """In a table with one column, a row of spaces is a record, but an empty row is not."""
    path = tmp_path / "notes.csv"
    path.write_bytes(b"note\n \n\n\t\r\na\n")

    records = _all_records(RecordFile(path, "csv"))
    assert [b'{"note":" "}', b'{"note":"\\t"}', b'{"note":"a"}'] == _payloads(records)


@pytest.mark.parametrize(
    "header, problem",
    [
        ("number,number", "a name of a column twice"),
        ("number,,", "a name of a column twice"),
        ("number,größe", "no names of columns in UTF-8"),
    ],
)
def test_indistinguishable_columns_are_refused(header: str, problem: str, tmp_path: Path) -> None:
    """A header with a repeated name, or in another encoding than UTF-8, is refused."""
    path = tmp_path / "orders.csv"
    path.write_bytes(f"{header}\n1,2\n".encode("latin-1"))
    with pytest.raises(InvalidData, match=problem):
        RecordFile(path, "csv").after(None)


def test_csv_row_in_another_encoding_keeps_its_bytes(tmp_path: Path) -> None:
    """A row that is not UTF-8 is a record with the raw text, not with replaced characters."""
    path = tmp_path / "orders.csv"
    path.write_bytes(b"number,note\n1,\xe4\n2,b\n")
    records = _all_records(RecordFile(path, "csv"))
    assert [b"1,\xe4\n", b'{"number":"2","note":"b"}'] == _payloads(records)
    assert "text/csv" == records[0].content_type


def test_finished_csv_may_have_carriage_returns_only(tmp_path: Path) -> None:
    """A complete file whose rows end with carriage returns is read, its header too."""
    path = tmp_path / "orders.csv"
    path.write_bytes(b"number,note\r1,a\r2,b\r")
    records = RecordFile(path, "csv", is_complete=True).after(None) or []
    assert [b'{"number":"1","note":"a"}', b'{"number":"2","note":"b"}'] == _payloads(records)


@pytest.mark.parametrize("position", ["x", "a/b/c/d", "1/1/1-1"])
def test_position_of_another_source_is_refused(position: str, tmp_path: Path) -> None:
    """A stored position in another format raises an error, instead of starting over."""
    path = tmp_path / "orders.jsonl"
    path.touch()
    with pytest.raises(InvalidData, match="not belong to a file source"):
        RecordFile(path).after(position)


def test_missing_file_and_wrong_format_are_errors(tmp_path: Path) -> None:
    """A missing complete file is a final error; a file that may yet appear is a temporary one."""
    with pytest.raises(StorageUnavailable, match=r"orders\.jsonl cannot be read") as excinfo:
        RecordFile(tmp_path / "orders.jsonl", is_complete=True).after(None)
    assert str(tmp_path) not in str(excinfo.value)
    with pytest.raises(StorageUnavailable):
        RecordFile(tmp_path / "orders.jsonl").after("0/0/1-1/")
    with pytest.raises(ConfigurationError, match="not support the format 'xml'"):
        RecordFile(tmp_path, "xml")  # type: ignore[arg-type]  # the mistake


async def test_files_of_a_sink_are_read_by_a_source(tmp_path: Path) -> None:
    """The file source reads the complete files that a file sink wrote."""
    folder = tmp_path / "out"
    folder.mkdir()
    sink = FileSink(folder, "orders", "csv", columns=["number"])
    await Pipeline("write", MemorySource(make_records(5)), sink).run()
    [path] = sorted(folder.iterdir())
    checkpoints = StateCheckpoints(aopen_storage("memory:"))
    source = PollingSource("read", RecordFile(path, "csv", is_complete=True).after, checkpoints)
    stored = MemorySink()
    await Pipeline("read", source, stored).run()

    assert [{"number": str(number)} for number in range(5)] == stored.values
