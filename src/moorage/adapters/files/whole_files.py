"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class WholeFile:
    """A file that takes its name when all of it is on the disk; until then it has another.

    What leaves the body of a `with` without `keep` leaves nothing.

    Args:
        path: its name; until then it is beside it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        number, self._name = mkstemp(dir=self._path.parent, prefix=".coming-")
        self._file = os.fdopen(number, "wb")

    def write(self, data: bytes) -> None:
        """Add to it."""
        self._file.write(data)

    def allow(self, mode: int) -> None:
        """Let others do with it what a mode says; until then it is its owner's only."""
        Path(self._name).chmod(mode)

    def keep(self, path: Path | None = None) -> os.stat_result:
        """Give it its name, or another on the same disk, and return what the system says of it."""
        named = self._path if path is None else path
        self._file.flush()
        os.fsync(self._file.fileno())
        found = os.fstat(self._file.fileno())
        self._file.close()
        Path(self._name).replace(named)
        _sync(named.parent)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Where the disk is full, closing fails once more; what is left of it goes all the same.
        with suppress(OSError):
            self._file.close()
        Path(self._name).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
