"""A sink that writes records into files as JSON Lines or CSV."""

from __future__ import annotations

import csv
import io
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from moorage.adapters.files.record_files import checked_format
from moorage.adapters.files.rotating_sink import RotatingSink
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.json_text import encode_json
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from typing import BinaryIO

    from moorage.adapters.files.record_files import FileFormat
    from moorage.domain.pipelines.records import SinkRecord


@with_careful_constructor
class FileSink(RotatingSink):
    """A sink that appends records to files in a folder, as JSON Lines or CSV.

    A file that is not complete ends with ".part". It is completed when it is large or old enough,
    and when the sink is closed; the next process completes files that a process left behind when it
    died. Only one sink at a time may write files of a name.

    Args:
        folder: the folder, which must exist.
        name: the beginning of the names of the files.
        file_format: "jsonl" or "csv".
        columns: the names of the columns of CSV, which are fields of the records' JSON.
        records: the number of records at which a file is completed; by default any number.
        size: the bytes at which a file is completed.
        age: the seconds after which a file is completed, at the next batch or flush.
        clock: returns seconds of a clock that never goes back.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        name: str,
        file_format: FileFormat = "jsonl",
        *,
        columns: Iterable[str] = (),
        records: int | None = None,
        size: int = 100_000_000,
        age: float | timedelta = 3_600.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(
            folder,
            name,
            checked_format(file_format),
            records=records,
            size=size,
            age=age,
            clock=clock,
        )
        self._columns = tuple(columns)
        if (file_format == "csv") != bool(self._columns):
            raise ConfigurationError(
                "The format 'csv' needs `columns`, and the format 'jsonl' must not have them.",
                path="columns",
                remedy="Pass `columns` if the format is 'csv', and leave them out otherwise.",
            )

    def _lines(self, records: Sequence[SinkRecord]) -> tuple[list[bytes], Exception | None]:
        lines: list[bytes] = []
        for record in records:
            try:
                lines.append(self._line(record))
            except Exception as error:  # noqa: BLE001 - the pipeline judges it
                return lines, error
        return lines, None

    def _header(self) -> bytes:
        return _csv_line(self._columns) if self._columns else b""

    def _complete_size(self, file: BinaryIO) -> int:
        if not self._columns:
            return super()._complete_size(file)
        size, offset, is_quoted = 0, 0, False
        for line in file:
            offset += len(line)
            is_quoted ^= line.count(b'"') % 2 == 1
            if line.endswith(b"\n") and not is_quoted:
                size = offset
        return size

    def _line(self, record: SinkRecord) -> bytes:
        value = record.json()
        if not self._columns:
            return encode_json(value) + b"\n"
        if not isinstance(value, dict):
            raise InvalidData(
                "The payload of a record is not a JSON object.",
                field="payload",
                remedy="Correct the producer, or change the record with a transform.",
            )
        row = cast("dict[str, Any]", value)
        missing_columns = [column for column in self._columns if column not in row]
        if missing_columns:
            raise InvalidData(
                f"A record has no value for the columns {', '.join(missing_columns)}.",
                field="payload",
                remedy="Correct the producer, or change the record with a transform.",
            )
        return _csv_line([row[column] for column in self._columns])


def _csv_line(values: Sequence[object]) -> bytes:
    text = io.StringIO()
    # With this line terminator, every version of Python quotes values that contain "\r" or "\n".
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"
