"""Files that are written either completely or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class WholeFile:
    """A file that has a temporary name until it is completely on disk.

    A `with` block that ends without `keep` leaves no file.

    Args:
        path: the final path; the temporary file is in the same folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        number, self._name = mkstemp(dir=self._path.parent, prefix=".coming-")
        self._file = os.fdopen(number, "wb")

    def write(self, data: bytes) -> None:
        """Append bytes to the file."""
        self._file.write(data)

    def allow(self, mode: int) -> None:
        """Set the file's access permissions; by default only its owner has access."""
        Path(self._name).chmod(mode)

    def keep(self, path: Path | None = None) -> os.stat_result:
        """Rename the file to its final name on the same disk, and return its status."""
        target = self._path if path is None else path
        self._file.flush()
        os.fsync(self._file.fileno())
        status = os.fstat(self._file.fileno())
        self._file.close()
        Path(self._name).replace(target)
        sync_folder(target.parent)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # On a full disk, closing fails again; the temporary file is removed in any case.
        with suppress(OSError):
            self._file.close()
        Path(self._name).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to disk, if the system supports that."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
