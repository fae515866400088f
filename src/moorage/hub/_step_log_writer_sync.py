"""Writes a step's output to a user's log in a synchronous program, until a write fails.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.steps.log_parts import LARGEST_INDEX, LogParts, StorageLog
from moorage.domain.steps.runs import STREAMS
from moorage.errors import FileNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.runs import LogStream
    from moorage.ports.step_files import StepFiles
    from moorage.ports.step_log import StepLog

    Log: TypeAlias = StepLog | StorageLog | Callable[[LogLine], object]


class LogWriter:
    """Writes lines to a log, or passes them to a function, until the first failure.

    Args:
        log: the log or the function; None to drop the lines.
        files: the storage of a `StorageLog`.
        tenant: the tenant whose storage is used.
        nanoseconds: returns the time, which decides when a file of a `StorageLog` is written.

    Attributes:
        problem: the reason that the log failed; None if it did not fail.
    """

    def __init__(
        self,
        log: Log | None,
        files: StepFiles | None,
        tenant: str | None,
        nanoseconds: Callable[[], int],
    ) -> None:
        self._stored = log if isinstance(log, StorageLog) and files is not None else None
        is_log = hasattr(log, "position") and hasattr(log, "write")
        self._log = cast("StepLog", log) if is_log else None
        is_function = not is_log and self._stored is None
        self._call = cast("Callable[[LogLine], object] | None", log) if is_function else None
        self._files = cast("StepFiles", files)
        self._tenant = tenant
        self._nanoseconds = nanoseconds
        self._parts: LogParts | None = None
        self.problem: str | None = None

    def positions(self) -> dict[LogStream, int]:
        """Return the number of lines of each output stream that the log already contains."""
        log = self._log
        try:
            if self._stored is not None:
                self._parts = LogParts(self._stored, self._index(self._stored.index))
                return self._parts.positions()
            return {} if log is None else {stream: log.position(stream) for stream in STREAMS}
        except Exception as error:
            # A log never changes the result.
            if is_interruption(error):
                raise
            self._fail(error)
            return {}

    def write(self, lines: Sequence[LogLine], *, is_end: bool = False) -> None:
        """Write lines of output; after the run's end, also write the last, partly filled file."""
        try:
            if self._log is not None and lines:
                self._log.write(lines)
            elif self._call is not None:
                for line in lines:
                    self._call(line)
            elif self._parts is not None:
                self._store(self._parts, lines, is_end=is_end)
        except Exception as error:
            # A log never changes the result.
            if is_interruption(error):
                raise
            self._fail(error)

    def record_missing_lines(self) -> None:
        """Record in the log that lines are missing, because the platform no longer has them."""
        if self._log is not None or self._call is not None or self._parts is not None:
            self.problem = (
                "Another process that followed the run removed it before its last lines were read."
            )

    def _index(self, key: str) -> bytes | None:
        try:
            return self._files.read(key, LARGEST_INDEX, self._tenant)
        except FileNotFound:
            return None

    def _store(self, parts: LogParts, lines: Sequence[LogLine], *, is_end: bool) -> None:
        now = self._nanoseconds()
        parts.add(lines, now)
        for stream in parts.due(now, is_end=is_end):
            self._files.write(*parts.next_file(stream), self._tenant)
            self._files.write(parts.index, parts.note_written(stream), self._tenant)

    def _fail(self, error: Exception) -> None:
        self._log = self._call = self._parts = None
        self.problem = (
            f"The log raised {type(error).__name__}, so the further lines of the step"
            " were not written."
        )
