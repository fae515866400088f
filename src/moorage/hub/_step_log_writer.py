"""Writes the output of a step to a user's log, until the log fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from moorage.domain.steps.runs import STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.runs import LogStream
    from moorage.ports.step_log import StepLog


class LogWriter:
    """Writes lines to a log, or calls a function with them, until either raises.

    Args:
        log: the log or the function; None to drop the lines.

    Attributes:
        problem: what went wrong with the log; None if nothing did.
    """

    def __init__(self, log: StepLog | Callable[[LogLine], object] | None) -> None:
        is_log = hasattr(log, "position") and hasattr(log, "write")
        self._log = cast("StepLog", log) if is_log else None
        self._call = None if is_log else cast("Callable[[LogLine], object] | None", log)
        self.problem: str | None = None

    def positions(self) -> dict[LogStream, int]:
        """Return the number of lines of each output that the log has already."""
        log = self._log
        if log is None:
            return {}
        try:
            return {stream: log.position(stream) for stream in STREAMS}
        except Exception as error:  # noqa: BLE001 - a log never changes the result
            self._fail(error)
            return {}

    def write(self, lines: Sequence[LogLine]) -> None:
        """Write lines."""
        if not lines:
            return
        try:
            if self._log is not None:
                self._log.write(lines)
            elif self._call is not None:
                for line in lines:
                    self._call(line)
        except Exception as error:  # noqa: BLE001 - a log never changes the result
            self._fail(error)

    def miss(self) -> None:
        """Note that the log lacks lines which nobody can read any more."""
        if self._log is not None or self._call is not None:
            self.problem = "Another follower removed the run before its last lines were read."

    def _fail(self, error: Exception) -> None:
        self._log = self._call = None
        self.problem = f"The log raised {type(error).__name__}, and got no further lines."
