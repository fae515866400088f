"""The progress of a reader that follows the output of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.steps.log_lines import LineReader, LogLine, OutputTail
from moorage.domain.steps.result import ExecutionResult, outcome_of
from moorage.domain.steps.runs import STREAMS, EndReason, RunPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moorage.domain.steps.runs import LogChunk, LogStream, RunStatus

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
_GROWTH: Final = 1.1
"""The growth of pauses, by which an end is noticed late by about a twentieth of the run's time."""
_GROWTH_WITH_REPORTED_END: Final = 1.5
"""The growth of pauses that end with the run."""
_SHORTEST_POLL: Final = 1.0
_LONGEST_POLL: Final = 15.0
_POLL_SHARE: Final = 0.05
_FAILURE_PAUSE: Final = 2.0


class FollowedRun:
    """The progress of one reader through the standard output and the error output of a run.

    Args:
        secrets: the secrets to mask.
        positions: the number of lines of each output that the log has already.
    """

    def __init__(self, secrets: Iterable[bytes], positions: Mapping[LogStream, int]) -> None:
        values = tuple(secrets)
        self._readers = {stream: LineReader(stream, values) for stream in STREAMS}
        self._tails = {stream: OutputTail() for stream in STREAMS}
        self._positions = positions
        self.chunk_positions: dict[LogStream, str] = dict.fromkeys(STREAMS, "")
        self.ended: set[LogStream] = set()
        self._incomplete: set[LogStream] = set()

    def take(self, stream: LogStream, chunk: LogChunk) -> list[LogLine]:
        """Add a part of an output, and return the lines that are new to the log."""
        lines = self._readers[stream].feed(chunk.data)
        self.chunk_positions[stream] = chunk.position
        if chunk.has_gap:
            self._incomplete.add(stream)
        if chunk.is_last:
            self.ended.add(stream)
            lines += self._readers[stream].finish()
        self._tails[stream].add(lines)
        position = self._positions.get(stream, 0)
        if lines and lines[0].number > position:
            return lines
        return [line for line in lines if line.number > position]

    def rest(self, result: ExecutionResult) -> list[LogLine] | None:
        """Return the lines of a stored result that are new to the log; None if a line is lost.

        Args:
            result: the result, which another follower stored before it removed the run.

        Returns:
            The lines that the log does not have; None if some of these lines are not in the result.
        """
        if result.metadata.get("cut") or result.metadata.get("incomplete"):
            return None
        texts = {"stdout": result.stdout, "stderr": result.stderr}
        lines: list[LogLine] = []
        for stream in STREAMS:
            *full_lines, partial_line = texts[stream].encode("utf-8", "replace").split(b"\n")
            lines += [LogLine(stream, number, data) for number, data in enumerate(full_lines, 1)]
            if partial_line:
                lines.append(LogLine(stream, len(full_lines) + 1, partial_line, is_whole=False))
        return [
            line
            for line in lines
            if line.number
            > max(self._readers[line.stream].whole_lines, self._positions.get(line.stream, 0))
        ]

    def result(self, status: RunStatus, files: Mapping[str, bytes]) -> ExecutionResult | None:
        """Return the result of a run that has ended; None if its end was not recorded."""
        if status.phase is not RunPhase.ENDED or status.exit_code is None:
            return None
        reason = status.reason or EndReason.EXITED
        texts = {stream: tail.text() for stream, tail in self._tails.items()}
        cut_streams = [stream for stream, tail in self._tails.items() if tail.is_cut]
        metadata: dict[str, Any] = {**status.metadata, "run": status.name, "reason": reason.value}
        if status.started_at is not None and status.ended_at is not None:
            metadata["seconds"] = (status.ended_at - status.started_at).total_seconds()
        if cut_streams:
            metadata["cut"] = cut_streams
        if self._incomplete:
            metadata["incomplete"] = sorted(self._incomplete)
        return ExecutionResult(
            exit_code=status.exit_code,
            stdout=texts["stdout"],
            stderr=texts["stderr"],
            outcome=outcome_of(status.exit_code, reason),
            metadata=metadata,
            files=files,
        )


def pause_after(rounds: Sequence[bool], *, ends_with_run: bool = False) -> float:
    """Return the seconds until the run's status is read again.

    Args:
        rounds: for each of the last readings, whether there was anything new.
        ends_with_run: whether the platform ends the pause when the run ends.
    """
    idle_rounds = 0
    for is_new in reversed(rounds):
        if is_new:
            break
        idle_rounds += 1
    growth = _GROWTH_WITH_REPORTED_END if ends_with_run else _GROWTH
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * growth**idle_rounds)


def pause_between_polls(age: float) -> float:
    """Return the seconds after which a caller that does not wait should ask for a run again.

    Args:
        age: the seconds for which the run has gone on.
    """
    return min(_LONGEST_POLL, max(_SHORTEST_POLL, age * _POLL_SHARE))


def pause_after_failures(failures: int) -> float:
    """Return the pause in seconds after this number of consecutive failures of a platform."""
    return min(_FAILURE_PAUSE, 0.05 * float(1 << min(failures, 10)))
