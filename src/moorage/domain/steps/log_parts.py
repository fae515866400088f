"""The output of a step as numbered files in a storage, which are written while it runs.

Laws:

1. A file is written before the index that counts it, so a file that is not counted is written
   again, under the same number.
2. The index contains, for each output, the number of files and the amount in them: the number of
   whole lines, and the bytes of the line after these. So a later follower can continue even in the
   middle of a line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from moorage.domain.steps.runs import STREAMS
from moorage.domain.steps.step import checked_path
from moorage.domain.values.durations import is_count, is_seconds
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.runs import LogStream

LARGEST_INDEX: Final = 10_000
"""The number of bytes that an index has at most."""


def _folder(value: str) -> str:
    return checked_path(value, "folder")


@frozen
class StorageLog:
    """A log that keeps a step's output in the file storage, and writes the files as the step runs.

    The files are `FOLDER/stdout/000001.log` and so on, and `FOLDER/stderr/…`; `FOLDER/index.json`
    counts them. If a process dies, the next follower of the run continues where the index ends. One
    process may write at a time.

    Attributes:
        folder: the first part of all keys.
        size: the bytes after which a file is written.
        seconds: the seconds after which a file is written although it has fewer bytes.
    """

    folder: str = field(converter=_folder)
    size: int = field(kw_only=True, default=1024 * 1024, validator=is_count)
    seconds: float = field(kw_only=True, default=10.0, validator=is_seconds)

    @property
    def index(self) -> str:
        """The storage key of the file that lists the log's files."""
        return f"{self.folder}/index.json"


class _Output:
    """The progress of writing one output stream of a step to files.

    Attributes:
        counts: the number of files, of whole lines in them, and of bytes of the line after these.
        lines: the number of whole lines so far.
        parts: the bytes that are not in a file yet.
        size: their number.
        since: the time of the first of these lines, in nanoseconds.
    """

    def __init__(self, files: int = 0, lines: int = 0, begun: int = 0) -> None:
        self.counts = [files, lines, begun]
        self.lines = lines
        self._begun = 0
        self._stored = begun
        self.parts: list[bytes] = []
        self.size = 0
        self.since = 0

    def add(self, line: LogLine, now: int) -> None:
        """Add a line or a part of one, without the bytes that the files already contain."""
        if line.number <= self.lines:
            return
        data = line.data + b"\n" if line.is_whole else line.data
        overlap_size = min(len(data), self._stored)
        self._stored -= overlap_size
        if len(data) > overlap_size:
            self.since = self.since if self.parts else now
            self.parts.append(data[overlap_size:])
            self.size += len(data) - overlap_size
        self._begun = 0 if line.is_whole else self._begun + len(line.data)
        self.lines += line.is_whole

    def note_written(self) -> None:
        """Count the added bytes as written in one more file."""
        self.counts = [self.counts[0] + 1, self.lines, self._begun]
        self.parts, self.size = [], 0


class LogParts:
    """The files of a log that is kept in a storage.

    Args:
        log: the log.
        index: the content of its index; None if there is none.

    Attributes:
        index: the key of the index.

    Raises:
        InvalidData: the content is not the index of such a log.
    """

    def __init__(self, log: StorageLog, index: bytes | None) -> None:
        self._log = log
        self.index = log.index
        try:
            counts: dict[str, list[int]] = json.loads(index or b"{}")
            self._outputs: dict[LogStream, _Output] = {
                stream: _Output(*counts.get(stream, ())) for stream in STREAMS
            }
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise InvalidData(
                f"The file {log.index!r} in the storage is not the index of a step's log.",
                field="folder",
                remedy="Use a different folder for each step.",
            ) from None

    def positions(self) -> dict[LogStream, int]:
        """Return the number of whole lines of each output stream in the files."""
        return {stream: output.lines for stream, output in self._outputs.items()}

    def add(self, lines: Sequence[LogLine], now: int) -> None:
        """Add lines of output; `now` is the time in nanoseconds."""
        for line in lines:
            self._outputs[line.stream].add(line, now)

    def due(self, now: int, *, is_end: bool) -> list[LogStream]:
        """Return the output streams whose next file must be written now."""
        log, latest_start = self._log, now - self._log.seconds * 1e9
        return [
            stream
            for stream, output in self._outputs.items()
            if output.parts and (is_end or output.size >= log.size or output.since <= latest_start)
        ]

    def next_file(self, stream: LogStream) -> tuple[str, bytes]:
        """Return the key and the content of the next file of an output stream."""
        output = self._outputs[stream]
        return f"{self._log.folder}/{stream}/{output.counts[0] + 1:06}.log", b"".join(output.parts)

    def note_written(self, stream: LogStream) -> bytes:
        """Record that this file was written, and return the index file to write now."""
        self._outputs[stream].note_written()
        counts = {name: output.counts for name, output in self._outputs.items()}
        return json.dumps(counts).encode()
