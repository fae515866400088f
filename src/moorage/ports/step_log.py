"""The port of logs that store the output of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.runs import LogStream


class StepLog(Protocol):
    """A log that keeps the output of one step, line by line.

    `position` returns the number of complete lines of an output stream that the log already has, so
    that the next process that copies the output continues after them. `write` adds lines in their
    order; pieces of a long line have the same number, and only the last of them is whole. Neither
    waits for long. An error of the log ends the logging, and never changes the step's result.
    """

    def position(self, stream: LogStream, /) -> int:
        """Return the number of complete lines of an output stream that the log already has."""
        ...

    def write(self, lines: Sequence[LogLine], /) -> None:
        """Add lines to the log."""
        ...
