"""A sink that writes records into files, which have their names when they are complete.

Laws:

1. What was processed before `flush` is on disk after it.
2. A file has its final name only when it is complete, and never changes afterwards.
3. A batch that fails leaves the file as it was.
"""

from __future__ import annotations

import csv
import io
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.adapters.files.record_files import checked_format
from moorage.adapters.files.whole_files import sync_folder
from moorage.domain.secrets.frames import careful
from moorage.domain.values.durations import seconds
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.result import Result
from moorage.errors import ConfigurationError, InvalidData, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from typing import BinaryIO

    from moorage.adapters.files.record_files import FileFormat
    from moorage.domain.pipelines.records import SinkRecord

_PART: Final = ".part"


@careful
class FileSink:
    """A sink that appends records to files in a folder, as JSON Lines or CSV.

    A file that is not complete ends with ".part". It is completed when it is large or old enough,
    and when the sink is closed; what a process that died left behind is completed by the next one.
    Only one sink at a time may write files of a name.

    Args:
        folder: the folder, which must exist.
        name: the beginning of the names of the files.
        file_format: "jsonl" or "csv".
        columns: the names of the columns of CSV, which are fields of the records' JSON.
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
        size: int = 100_000_000,
        age: float | timedelta = 3_600.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._folder = Path(folder)
        self._name = name
        self._format = checked_format(file_format)
        self._columns = tuple(columns)
        if (self._format == "csv") != bool(self._columns):
            raise ConfigurationError(
                "CSV needs the names of its columns, and JSON Lines has none.",
                path="columns",
                remedy="Give `columns` with the format 'csv', and leave them out otherwise.",
            )
        self._size = size
        self._age = seconds(age, "age")
        self._clock = clock
        self._lock = Lock()
        self._file: BinaryIO | None = None
        self._path = self._folder
        self._begun = 0.0

    async def open(self) -> None:
        """Complete the files that an earlier process left unfinished.

        Raises:
            ConfigurationError: the folder does not exist.
        """
        if not self._folder.is_dir():
            raise ConfigurationError(
                f"The folder {self._folder.name!r} of the sink does not exist.",
                path="folder",
                remedy="Create it, and let this process write there.",
            )
        await self._in_thread(self._recover)

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Write the records before the first that cannot become a line, and return its error."""
        lines: list[bytes] = []
        problem: Exception | None = None
        for record in records:
            try:
                lines.append(self._line(record))
            except Exception as error:  # noqa: BLE001 - the pipeline judges it
                problem = error
                break
        if lines:
            await self._in_thread(lambda: self._write(b"".join(lines)))
        if problem is None:
            return None
        return [*(Result[object]() for _ in lines), Result(error=problem)]

    async def flush(self) -> None:
        """Return when everything that was written is on disk."""
        await self._in_thread(self._flush)

    async def close(self) -> None:
        """Complete the current file."""
        await self._in_thread(self._complete)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        def alone() -> None:
            with self._lock:
                work()

        try:
            await run_in_thread(alone)
        except OSError as error:
            raise StorageUnavailable(
                f"The files of {self._name!r} cannot be written: {error.strerror}.",
                remedy="Check the disk, the folder and the rights of this process.",
            ) from None

    def _line(self, record: SinkRecord) -> bytes:
        value = record.json()
        if self._format == "jsonl":
            return encode_json(value) + b"\n"
        if not isinstance(value, dict):
            raise InvalidData(
                "The payload of a record is not a JSON object.",
                field="payload",
                remedy="Correct the producer, or change the record with a transform.",
            )
        row = cast("dict[str, Any]", value)
        missing = [column for column in self._columns if column not in row]
        if missing:
            raise InvalidData(
                f"A record has no value for the columns {', '.join(missing)}.",
                field="payload",
                remedy="Correct the producer, or change the record with a transform.",
            )
        return _csv_line([row[column] for column in self._columns])

    def _write(self, data: bytes) -> None:
        if self._clock() - self._begun >= self._age:
            self._complete()
        file = self._file or self._begin()
        end = file.tell()
        try:
            file.write(data)
            file.flush()
        except OSError:
            self._discard(file, end)
            raise
        if end + len(data) >= self._size:
            self._complete()

    def _discard(self, file: BinaryIO, end: int) -> None:
        """Remove the bytes of a failed write from the file and its buffer."""
        with suppress(OSError):
            file.close()
        os.truncate(self._path, end)
        self._file = self._path.open("ab")

    def _begin(self) -> BinaryIO:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._path = self._folder / f"{self._name}-{moment}.{self._format}{_PART}"
        self._file = file = self._path.open("xb")
        self._begun = self._clock()
        if self._columns:
            file.write(_csv_line(self._columns))
        return file

    def _flush(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            sync_folder(self._folder)
            if self._clock() - self._begun >= self._age:
                self._complete()

    def _complete(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._path.rename(self._path.with_suffix(""))
            sync_folder(self._folder)

    def _recover(self) -> None:
        """Complete the files of a process that died, without an unfinished last line."""
        for path in self._folder.glob(f"{self._name}-*.{self._format}{_PART}"):
            if self._file is not None and path == self._path:
                continue
            with path.open("r+b") as file:
                data = file.read()
                file.truncate(data.rfind(b"\n") + 1)
                os.fsync(file.fileno())
            path.rename(path.with_suffix(""))
        sync_folder(self._folder)


def _csv_line(values: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
