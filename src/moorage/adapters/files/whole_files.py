"""Files that are written either completely or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class WholeFile:
    """A file that has a temporary name until it is completely on disk.

    A `with` block that ends without `keep` leaves no file. A file that is replaced keeps its owner
    and its permissions, so that the processes that used it still can.

    Args:
        path: the final path; the temporary file is in the same folder.
    """

    _file: IO[bytes]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._temporary_path = self._path.with_name(f".coming-{token_hex(8)}")

    def write(self, data: bytes) -> None:
        """Append bytes to the file."""
        self._file.write(data)

    def allow(self, mode: int) -> None:
        """Set the file's access permissions; by default only the owner of a new file has access."""
        self._temporary_path.chmod(mode)

    def keep(self, path: Path | None = None) -> os.stat_result:
        """Rename the file to its final name on the same disk, and return its status."""
        target = self._path if path is None else path
        self._file.flush()
        os.fsync(self._file.fileno())
        status = os.fstat(self._file.fileno())
        self._file.close()
        self._temporary_path.replace(target)
        sync_folder(target.parent)
        return status

    def __enter__(self) -> Self:
        try:
            self._file = open(self._temporary_path, "xb", opener=_open_private)
            copy_access(self._file.fileno(), self._path)
        except BaseException:
            # Any interruption, such as Ctrl-C, because `__exit__` is not called after it.
            self._temporary_path.unlink(missing_ok=True)
            raise
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
        self._temporary_path.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may use."""
    return os.open(path, flags, 0o600)


def copy_access(number: int, path: Path) -> None:
    """Give an open file the owner, the group and the permissions of the file at a path, if any."""
    if not hasattr(os, "fchown"):  # pragma: no cover - only on Windows
        return
    try:
        existing_file = path.stat()
    except OSError:
        return
    for owner in (existing_file.st_uid, -1):  # only root may give a file to another owner
        with suppress(OSError):
            os.fchown(number, owner, existing_file.st_gid)
            break
    mode = existing_file.st_mode & 0o777
    is_same_group = os.fstat(number).st_gid == existing_file.st_gid
    with suppress(OSError):
        os.fchmod(number, mode if is_same_group else mode & 0o707)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to disk, if the system supports that."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
