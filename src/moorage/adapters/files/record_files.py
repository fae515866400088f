"""Reads records from JSON Lines or CSV files, beginning at a position."""

from __future__ import annotations

import csv
import io
import os
import re
from contextlib import contextmanager, suppress
from itertools import zip_longest
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple
from zlib import crc32

from moorage.domain.pipelines.records import SourceRecord
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError, InvalidData, LocalFailure, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Literal, TypeAlias

    from moorage.domain.pipelines.records import Offset

    FileFormat: TypeAlias = Literal["jsonl", "csv"]

_FIELD: Final = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|[\r\n]*\Z)')
"""A field of a CSV row, quoted or not, and the comma or end of the row after it."""

_MOST_ATTEMPTS: Final = 10
"""The number of times that files are looked for while another program renames them."""

_LONGEST_END: Final = 4_096
"""The bytes at the end of a record that identify it in the file."""


class _Position(NamedTuple):
    """A position in a series of rotated files, each of which replaced the previous one.

    Attributes:
        generation: the number of files before this one.
        offset: the number of bytes that are done.
        file: identifies the file, also after it was renamed.
        end: identifies the last bytes before the offset; empty if there are none.
    """

    generation: int
    offset: int
    file: str
    end: str = ""

    def text(self) -> str:
        """Return the position as text; the texts of later positions sort later."""
        return f"{self.generation:010}/{self.offset:016}/{self.file}/{self.end}"

    def after(self, offset: int, record: bytes) -> _Position:
        """Return the position at the end of a record."""
        end = record[-_LONGEST_END:]
        return self._replace(offset=offset, end=f"{len(end)}-{crc32(end):08x}")

    def is_in(self, file: BinaryIO) -> bool:
        """Return whether the bytes before the position are still those that were read there."""
        size, _, checksum = self.end.partition("-")
        if file.seek(0, io.SEEK_END) < self.offset:
            return False
        file.seek(self.offset - int(size or 0))
        return not checksum or f"{crc32(file.read(int(size))):08x}" == checksum


class _ListedFile(NamedTuple):
    """A file and the facts about it when the folder was listed."""

    path: Path
    id: str
    size: int
    changed_at: int


class _RenamedFileError(Exception):
    """Raised when files are renamed while they are being found, so that they must be found anew."""


@with_careful_constructor
class RecordFile:
    """The records of a JSON Lines or CSV file to which another program appends.

    `after` is a function for a `PollingSource`. A last line that is not complete yet waits. A file
    that is renamed and replaced, as by logrotate, is read to its end first: its new name must begin
    with the old one, such as orders.jsonl.1. A file that was emptied or overwritten is read from
    its beginning: one that is shorter than the position, or has another record before it.

    Args:
        path: the path of the file, which need not exist yet.
        file_format: "jsonl" for a JSON value in each line, or "csv" for a table whose first line
            has the names of the columns. A record of CSV is a JSON object of texts.
        is_complete: whether nothing is appended any more. If so, the source ends at the end of the
            file.
        size: the number of bytes that are read together.
        longest: the largest number of bytes of a record.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        file_format: FileFormat = "jsonl",
        *,
        is_complete: bool = False,
        size: int = 1_000_000,
        longest: int = 64_000_000,
    ) -> None:
        self._path = Path(path)
        self._is_csv = checked_format(file_format) == "csv"
        self._is_complete = is_complete
        self._size = size
        self._longest = longest

    def after(self, position: Offset | None, /) -> list[SourceRecord] | None:
        """Return the next records after a position; None at the end of a finished file.

        Raises:
            StorageUnavailable: the file cannot be read.
            LocalFailure: the file of the position is gone.
        """
        try:
            return self._records_after(position)
        except OSError as error:
            raise StorageUnavailable(
                f"The file {self._path.name} cannot be read: {error.strerror}.",
                remedy="Check the file, and that this process may read it.",
            ) from None

    def _records_after(self, position: Offset | None) -> list[SourceRecord] | None:
        for _ in range(_MOST_ATTEMPTS):
            with suppress(_RenamedFileError):
                return self._next_records(position)
        raise StorageUnavailable(
            f"The file {self._path.name} was replaced again and again while it was read.",
            remedy="Check the program that rotates the file.",
        )

    def _next_records(self, position: Offset | None) -> list[SourceRecord] | None:
        end: list[SourceRecord] | None = None if self._is_complete else []
        try:
            current = self._path.open("rb")
        except FileNotFoundError:
            if self._is_complete or position is not None:
                raise
            return []
        # From here on, a file is known by what is open, because its path may lead to another one.
        with current:
            current_id = _file_id(os.fstat(current.fileno()))
            place = _Position(0, 0, current_id) if position is None else _read_position(position)
            if place.file == current_id:
                place = _checked_position(place, current)
                return self._read(current, place, is_ended=self._is_complete) or end
        files = self._files()
        ids = [file.id for file in files]
        if place.file not in ids:
            raise LocalFailure(
                f"The file {self._path.name} was replaced, and the previous file was deleted or"
                " renamed.",
                remedy=f"Rename the previous file so that its name begins with {self._path.name},"
                " or set a new name for the source to begin with the current file.",
            )
        unread_files = files[ids.index(place.file) :]
        for listed, successor in zip_longest(unread_files, unread_files[1:]):
            if listed.id != place.file:
                place = _Position(place.generation + 1, 0, listed.id)
            is_ended = self._is_complete if successor is None else successor.size > 0
            with _opened(listed) as file:
                place = _checked_position(place, file)
                records = self._read(file, place, is_ended=is_ended)
            if records or not is_ended:
                return records or end
        return end

    def _files(self) -> list[_ListedFile]:
        """Return the file and its rotated predecessors, oldest first.

        Raises:
            _RenamedFileError: a file was renamed meanwhile.
        """
        files = self._listed_files()
        # A listing in which a file is renamed may lack it, so that its records would be lost.
        if [file[:2] for file in files] != [file[:2] for file in self._listed_files()]:
            raise _RenamedFileError
        return files

    def _listed_files(self) -> list[_ListedFile]:
        other_paths = [
            path
            for path in self._path.parent.iterdir()
            if path.name.startswith(self._path.name) and path != self._path
        ]
        try:
            *other_files, current = [_listed(path) for path in (*other_paths, self._path)]
        except FileNotFoundError:
            raise _RenamedFileError from None
        return [*sorted(other_files, key=attrgetter("changed_at")), current]

    def _read(self, file: BinaryIO, place: _Position, *, is_ended: bool) -> list[SourceRecord]:
        columns: list[str] = []
        if self._is_csv:
            header = self._complete_part(file, 0, is_ended=is_ended)
            first = next(self._record_lines(header), b"")
            if not first:
                return []
            columns = self._columns(first)
            place = place._replace(offset=max(place.offset, len(first)))
        while data := self._complete_part(file, place.offset, is_ended=is_ended):
            records = self._records(data, columns, place)
            if records:
                return records
            place = place._replace(offset=place.offset + len(data))
        return []

    def _records(self, data: bytes, columns: list[str], place: _Position) -> list[SourceRecord]:
        """Parse the records in a block of bytes; return none if all lines are blank."""
        # In a table with one column, a line of spaces is a value.
        blank_characters = b"\r\n" if len(columns) == 1 else None
        records: list[SourceRecord] = []
        offset = place.offset
        for line in self._record_lines(data):
            offset += len(line)
            if line.strip(blank_characters):
                text = place.after(offset, line).text()
                records.append(_record(line, columns, text))
        remainder = data[offset - place.offset :]
        if remainder:  # a quoted value without an end, in a file that no longer grows
            text = place.after(offset + len(remainder), remainder).text()
            records.append(SourceRecord(remainder, content_type="text/csv", offset=text))
        return records

    def _columns(self, header: bytes) -> list[str]:
        rows = _rows(header)
        columns = rows[0] if rows else []
        if not columns:
            problem = "contains no names of columns in UTF-8"
        elif len(set(columns)) < len(columns):
            problem = "contains a name of a column twice"
        else:
            return columns
        raise InvalidData(
            f"The first line of {self._path.name} {problem}.",
            remedy="Check the format of the file.",
        )

    def _complete_part(self, file: Any, offset: int, *, is_ended: bool) -> bytes:
        """Read bytes from an offset up to the end of a record."""
        size = self._size
        while True:
            file.seek(offset)
            data: bytes = file.read(size)
            is_all = len(data) < size
            end = self._end(data)
            if is_all and is_ended:
                return data
            if end or is_all:
                return data[:end]
            if size > self._longest:
                raise InvalidData(
                    f"A record of {self._path.name} is longer than {self._longest:,} bytes.",
                    remedy="Check the format of the file.",
                )
            size *= 2

    def _end(self, data: bytes) -> int:
        """Return the offset after the last complete record in a byte string."""
        if not self._is_csv:
            return data.rfind(b"\n") + 1
        end = offset = 0
        for line in self._record_lines(data):
            offset += len(line)
            if line.endswith(b"\n"):
                end = offset
        return end

    def _record_lines(self, data: bytes) -> Any:
        """Yield each record's text with its line end; quoted CSV values may contain line breaks."""
        pieces: list[bytes] = []
        is_quoted = False
        for piece in data.splitlines(keepends=True) if self._is_csv else _lines(data):
            pieces.append(piece)
            is_quoted ^= self._is_csv and piece.count(b'"') % 2 == 1
            if not is_quoted:
                yield b"".join(pieces)
                pieces.clear()


def _lines(data: bytes) -> Sequence[bytes]:
    return io.BytesIO(data).readlines()


def _rows(data: bytes) -> list[list[str]]:
    """Return the rows of a text; no row if it is not UTF-8 or not CSV."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    try:
        return list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error:
        # The field is longer than `csv.field_size_limit`, a limit for the whole process.
        return _large_rows(text)


def _large_rows(text: str) -> list[list[str]]:
    """Return the only row of a CSV text of any size; no row if the text is invalid."""
    fields: list[str] = []
    position = 0
    while match := _FIELD.match(text, position):
        quoted_value, plain_value, separator = match.groups()
        fields.append(plain_value if quoted_value is None else quoted_value.replace('""', '"'))
        position = match.end()
        if separator != ",":
            return [fields]
    return []


def _record(line: bytes, columns: list[str], offset: str) -> SourceRecord:
    """Convert a line to a record; an invalid CSV row becomes a record with the raw text."""
    if not columns:
        return SourceRecord(line.rstrip(b"\r\n"), content_type="application/json", offset=offset)
    rows = _rows(line)
    if len(rows) != 1 or len(rows[0]) != len(columns):
        return SourceRecord(line, content_type="text/csv", offset=offset)
    return SourceRecord.of_json(dict(zip(columns, rows[0], strict=True)), offset=offset)


def _file_id(status: os.stat_result) -> str:
    # Only the inode number: all files are in one folder, and its device number may change at a
    # reboot.
    return str(status.st_ino)


def _listed(path: Path) -> _ListedFile:
    status = path.stat()
    return _ListedFile(path, _file_id(status), status.st_size, status.st_mtime_ns)


@contextmanager
def _opened(listed: _ListedFile) -> Generator[BinaryIO]:
    """Open a listed file.

    Raises:
        _RenamedFileError: its path leads to another file, or to none.
    """
    try:
        file = listed.path.open("rb")
    except FileNotFoundError:
        raise _RenamedFileError from None
    with file:
        if _file_id(os.fstat(file.fileno())) != listed.id:
            raise _RenamedFileError
        yield file


def _checked_position(place: _Position, file: BinaryIO) -> _Position:
    """Return a position, or the beginning of its file if the file was emptied or overwritten."""
    return place if place.is_in(file) else _Position(place.generation + 1, 0, place.file)


def _read_position(position: Offset) -> _Position:
    try:
        generation, offset, file, end = str(position).split("/")
        return _Position(int(generation), int(offset), file, end)
    except ValueError:
        raise InvalidData(
            "The stored position does not belong to a file source.",
            field="position",
            remedy="Set a name for the source that no other source has used.",
        ) from None


def checked_format(file_format: str) -> str:
    """Return a supported file format; raise an error for any other format.

    Raises:
        ConfigurationError: there is no such format.
    """
    if file_format not in {"jsonl", "csv"}:
        raise ConfigurationError(
            f"Files of records do not support the format {file_format!r}.",
            path="file_format",
            remedy="Pass 'jsonl' or 'csv'.",
        )
    return file_format
