"""The output of a step in two files, without repeated lines."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.runs import LogStream

_PART: Final = 1024 * 1024
_STREAM: Final = itemgetter(0)
_DATA: Final = itemgetter(2)
_IS_WHOLE: Final = itemgetter(3)


class FileLog:
    """Keeps a step's output in a folder, in the files stdout.log and stderr.log.

    If the program was killed, the next one continues after the last complete line. For that it
    counts the lines in the files, so nothing may rotate or shorten them before the step has ended.
    One process may write at a time.

    Args:
        folder: the folder; it is created if it does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, stream: LogStream) -> Path:
        """Return the path of an output's file."""
        return self._folder / f"{stream}.log"

    def position(self, stream: LogStream, /) -> int:
        """Return the number of lines in a file, after removing an incomplete last line."""
        lines = end = at = 0
        with self.path(stream).open("a+b") as file:
            file.seek(0)
            while part := file.read(_PART):
                count = part.count(b"\n")
                if count:
                    lines, end = lines + count, at + part.rindex(b"\n") + 1
                at += len(part)
            file.truncate(end)
        return lines

    def write(self, lines: Sequence[LogLine], /) -> None:
        """Append lines to the files."""
        streams = {*map(_STREAM, lines)}
        for stream in streams:
            own_lines = lines
            if len(streams) > 1:
                own_lines = [line for line in lines if line.stream == stream]
            with self.path(stream).open("ab") as file:
                file.write(_bytes_of(own_lines))


def _bytes_of(lines: Sequence[LogLine]) -> bytes:
    """Return the bytes of lines with their line breaks."""
    # Almost always all lines are whole, and there may be millions of them.
    if all(map(_IS_WHOLE, lines)):
        return b"\n".join(map(_DATA, lines)) + b"\n"
    return b"".join([line.data + b"\n" if line.is_whole else line.data for line in lines])
