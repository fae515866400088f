"""The output of a step in two files, without repeated lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from moorage.domain.steps.runs import STREAMS

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.runs import LogStream

_PART: Final = 1024 * 1024


class FileLog:
    """Keeps a step's output in a folder, in the files stdout.log and stderr.log.

    If the program was killed, the next one continues after the last complete line. One process may
    write at a time.

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
        for stream in STREAMS:
            parts = [
                line.data + b"\n" if line.is_whole else line.data
                for line in lines
                if line.stream == stream
            ]
            if parts:
                with self.path(stream).open("ab") as file:
                    file.write(b"".join(parts))
