"""The base class of sinks that write records to files, and rename each complete file.

Laws:

1. Records that were processed before `flush` are on disk when it returns.
2. A file has its final name only when it is complete, and never changes afterwards.
3. A batch that fails leaves the file as it was.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, Final

from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.adapters.files.whole_files import sync_folder
from moorage.domain.values.durations import count, seconds
from moorage.domain.values.result import Result
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from io import FileIO

    from moorage.domain.pipelines.records import SinkRecord

_PART: Final = ".part"
_BLOCK_SIZE: Final = 65_536


class RotatingSink(ABC):
    """A sink that appends lines to a file, and starts a new one at a certain size or age.

    A file that is not complete ends with ".part". Only one sink at a time may write files of a
    name.

    Args:
        folder: the folder, which must exist.
        name: the beginning of the names of the files.
        ending: the end of the names of complete files.
        records: the number of records at which a file is completed; None for any number.
        size: the bytes at which a file is completed.
        age: the seconds after which a file is completed, at the next batch or flush.
        clock: returns seconds of a clock that never goes back.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        name: str,
        ending: str,
        *,
        records: int | None,
        size: int,
        age: float | timedelta,
        clock: Callable[[], float],
    ) -> None:
        self._folder = Path(folder)
        self._name = name
        self._ending = ending
        self._most_records = None if records is None else count(records, "records")
        self._size = count(size, "size", most=10**15)
        self._age = seconds(age, "age")
        self._clock = clock
        self._lock = Lock()
        # Unbuffered, so that a failed write leaves no data that a later write would send.
        self._file: FileIO | None = None
        self._end = 0
        self._path = self._folder
        self._begun_at = 0.0
        self._written = 0
        self._sealed: list[Path] = []

    async def open(self) -> None:
        """Complete the files that an earlier process left unfinished.

        Raises:
            ConfigurationError: the folder does not exist.
        """
        if not self._folder.is_dir():
            raise ConfigurationError(
                f"The sink's folder {self._folder.name!r} does not exist.",
                path="folder",
                remedy="Create the folder, and let this process write to it.",
            )
        await self._in_thread(self._recover)

    async def process_batch(
        self, records: Sequence[SinkRecord], /
    ) -> Sequence[Result[object]] | None:
        """Write the records up to the first invalid one, and return its error."""
        lines: list[bytes] = []
        problem: Exception | None = None

        def write() -> None:
            nonlocal lines, problem
            lines, problem = self._lines(records)
            if lines:
                self._write(lines)

        await self._in_thread(write)
        if problem is None:
            return None
        return [*(Result[object]() for _ in lines), Result(error=problem)]

    async def flush(self) -> None:
        """Wait until all written data is on disk."""
        await self._in_thread(self._flush)

    async def close(self) -> None:
        """Complete the current file."""
        await self._in_thread(self._complete)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        def locked_work() -> None:
            with self._lock:
                work()

        try:
            await run_in_thread(locked_work)
        except OSError as error:
            raise StorageUnavailable(
                f"The files of {self._name!r} could not be written: {error.strerror}.",
                remedy="Check the disk and the folder, and that this process may write there.",
            ) from None

    @abstractmethod
    def _lines(self, records: Sequence[SinkRecord]) -> tuple[list[bytes], Exception | None]:
        """Return the lines before the first invalid record, and that record's error."""

    def _header(self) -> bytes:
        """Return the bytes at the beginning of each file."""
        return b""

    def _finish(self, part: Path) -> None:
        """Rename a completely written file to its final name."""
        part.rename(part.with_suffix(""))

    def _complete_size(self, file: BinaryIO) -> int:
        """Return the number of bytes of a file without its unfinished last line."""
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK_SIZE)
            file.seek(start)
            line_end = file.read(end - start).rfind(b"\n") + 1
            if line_end:
                return start + line_end
            end = start
        return 0

    def _write(self, lines: Sequence[bytes]) -> None:
        if self._clock() - self._begun_at >= self._age:
            self._complete()
        file = self._intact_file() or self._begin()
        try:
            _write_all(file, b"".join(lines))
        except OSError:
            with suppress(OSError):  # otherwise the next use of the file tries again
                self._intact_file()
            raise
        self._end = file.tell()
        self._written += len(lines)
        if self._end >= self._size or (
            self._most_records is not None and self._written >= self._most_records
        ):
            # The lines are written; if this step failed, the next flush may report it.
            with suppress(OSError):
                self._complete()

    def _intact_file(self) -> FileIO | None:
        """Remove the bytes of a failed write, and return the current file; None without a file."""
        file = self._file
        if file is not None and file.tell() != self._end:
            file.truncate(self._end)
            file.seek(self._end)
        return file

    def _begin(self) -> FileIO:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self._path = self._folder / f"{self._name}-{moment}.{self._ending}{_PART}"
        file = self._path.open("xb", buffering=0)
        try:
            _write_all(file, self._header())
        except OSError:
            file.close()
            self._path.unlink(missing_ok=True)
            raise
        self._file, self._end = file, file.tell()
        self._begun_at = self._clock()
        self._written = 0
        return file

    def _flush(self) -> None:
        file = self._intact_file()
        if file is not None:
            os.fsync(file.fileno())
            sync_folder(self._folder)
            if self._clock() - self._begun_at >= self._age:
                self._complete()
        self._finish_sealed()

    def _complete(self) -> None:
        file = self._intact_file()
        if file is not None:
            os.fsync(file.fileno())
            file.close()
            self._file = None
            self._sealed.append(self._path)
        self._finish_sealed()

    def _finish_sealed(self) -> None:
        """Rename all completely written files to their final names."""
        while self._sealed:
            self._finish(self._sealed[0])
            del self._sealed[0]
            sync_folder(self._folder)

    def _recover(self) -> None:
        """Complete the files of a crashed process, without their unfinished last lines."""
        current = [*self._sealed, *([] if self._file is None else [self._path])]
        for path in sorted(self._folder.glob(f"*.{self._ending}{_PART}")):
            name, _, moment = path.name.removesuffix(f".{self._ending}{_PART}").rpartition("-")
            if path in current or name != self._name or moment.strip("0123456789T"):
                continue
            with path.open("r+b") as file:
                file.truncate(self._complete_size(file))
                os.fsync(file.fileno())
            self._sealed.append(path)
        self._finish_sealed()


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all bytes to an unbuffered file, which may accept only a part in each write."""
    remaining_bytes = memoryview(data)
    while remaining_bytes:
        remaining_bytes = remaining_bytes[file.write(remaining_bytes) :]
