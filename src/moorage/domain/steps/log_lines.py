"""The lines of a run's output, assembled from parts that may end anywhere; secrets are masked."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import count, repeat
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.secrets.stream_mask import StreamMask
from moorage.domain.values.named_tuples import new_tuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moorage.domain.steps.runs import LogStream

LONGEST_LINE: Final = 2 * 1024 * 1024
"""The number of bytes at which a line is passed on in pieces, so that the memory is bounded."""

TAIL: Final = 64 * 1024
"""The number of bytes of each output that are part of a result."""


class LogLine(NamedTuple):
    """A line of a run's output.

    Attributes:
        stream: the output that it belongs to.
        number: the line's number in this output, beginning with 1.
        data: the line's bytes without the line break, with secrets masked.
        is_whole: False for a piece of a very long line whose rest follows, and for a last line that
            no line break ended.
    """

    stream: LogStream
    number: int
    data: bytes
    is_whole: bool = True

    @property
    def text(self) -> str:
        """The line as text; bytes that are not UTF-8 are replaced."""
        return self.data.removesuffix(b"\r").decode("utf-8", "replace")


class LineReader:
    """Assembles lines from the bytes of one output stream of a run, such as its stdout.

    Args:
        stream: the output.
        secrets: the secrets to mask.
    """

    def __init__(self, stream: LogStream, secrets: Iterable[bytes]) -> None:
        self._stream: LogStream = stream
        self._mask = StreamMask(secrets)
        self._number = 1
        self._rest: list[bytes] = []
        self._size = 0

    @property
    def whole_lines(self) -> int:
        """The number of whole lines that were read."""
        return self._number - 1

    def feed(self, data: bytes) -> list[LogLine]:
        """Take the next bytes, and return the lines that are complete now."""
        return self._lines(self._mask.feed(data))

    def finish(self) -> list[LogLine]:
        """Return the remaining lines at the end of the output."""
        lines = self._lines(self._mask.finish())
        if self._rest:
            lines.append(LogLine(self._stream, self._number, b"".join(self._rest), is_whole=False))
            self._rest = []
        return lines

    def _lines(self, data: bytes) -> list[LogLine]:
        ended_lines = data.split(b"\n")
        partial_line = ended_lines.pop()
        if self._rest and ended_lines:
            ended_lines[0] = b"".join([*self._rest, ended_lines[0]])
            self._rest, self._size = [], 0
        # A program may write millions of short lines, so no Python code runs for each of them.
        fields = zip(repeat(self._stream), count(self._number), ended_lines, repeat(True))
        lines = list(map(partial(new_tuple, LogLine), fields))
        self._number += len(lines)
        if partial_line:
            self._rest.append(partial_line)
            self._size += len(partial_line)
        if self._size >= LONGEST_LINE:
            text = b"".join(self._rest)
            lines.append(LogLine(self._stream, self._number, text, is_whole=False))
            self._rest, self._size = [], 0
        return lines


class OutputTail:
    """The end of one output of a run, at most `TAIL` bytes.

    Attributes:
        is_cut: whether earlier bytes were dropped.
    """

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self.is_cut = False

    def add(self, lines: Sequence[LogLine]) -> None:
        """Add lines of the output."""
        parts: list[bytes] = []
        size = 0
        for line in reversed(lines):
            if size >= TAIL:
                self.is_cut = True
                break
            part = line.data + b"\n" if line.is_whole else line.data
            parts.append(part)
            size += len(part)
        if not parts:
            return
        part = b"".join(reversed(parts))[-TAIL:]
        self.is_cut = self.is_cut or size > TAIL
        self._parts.append(part)
        self._size += len(part)
        while self._size - len(self._parts[0]) >= TAIL:
            self._size -= len(self._parts.popleft())
            self.is_cut = True

    def text(self) -> str:
        """Return the last bytes as text; bytes that are not UTF-8 are replaced."""
        data = b"".join(self._parts)
        self.is_cut = self.is_cut or len(data) > TAIL
        return data[-TAIL:].decode("utf-8", "replace")
