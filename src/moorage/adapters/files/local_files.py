"""A local folder of files as a storage vendor.

A file gets its name when it is completely on disk. The metadata of a file is in a separate folder,
and is valid only for one version of the file. Symbolic links are not followed. All changes hold the
folder's lock, in every process.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import uuid4

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.files._errors import mapping_errors, refusal
from moorage.adapters.files.whole_files import WholeFile
from moorage.domain.values.file_entry import OWN_FOLDER, FileEntry, names_of
from moorage.domain.values.key_order import page_of_keys
from moorage.errors import InvalidData, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

_UPLOAD: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"([0-9]{5})\.([0-9a-f]{64})")
_PIECE_SIZE: Final = 1024 * 1024

Conditions: TypeAlias = "tuple[str | None, str | None]"
"""The required ETag of the replaced file, and "*" if the file must not exist."""
Metadata: TypeAlias = "Mapping[str, Any]"


class OpenFile:
    """A file open for reading, whose content stays the same even if the file is replaced."""

    def __init__(self, file: Any, entry: FileEntry) -> None:
        self._file = file
        self.entry = entry

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes of the file, beginning at `start`."""
        self._file.seek(start)
        data: bytes = self._file.read(size)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LocalFolder:
    """Files below a local folder.

    Args:
        options: the settings, with the folder `root`, which is created if necessary.
    """

    def __init__(self, options: Any) -> None:
        self._root = Path(options.root).resolve()
        internal_folder = self._root / OWN_FOLDER
        self._metadata_folder, self._temporary_folder, self._uploads = (
            internal_folder / "said",
            internal_folder / "coming",
            internal_folder / "uploads",
        )
        self._mutex = ForkSafeLock()

    # --- files -------------------------------------------------------------

    @mapping_errors
    def put(self, key: str, data: bytes, metadata: Metadata, conditions: Conditions) -> FileEntry:
        """Store a file under a key."""
        path = self._path(key)
        with self._new_file() as file:
            file.write(data)
            stored_metadata = {**metadata, "sha256": hashlib.sha256(data).hexdigest()}
            return self._commit(file, key, path, stored_metadata, conditions)

    @mapping_errors
    def open(self, key: str) -> OpenFile:
        """Open the file under a key."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with _file_not_found():
            number = os.open(self._path(key), flags)
        try:
            entry = self._entry(key, os.fstat(number))
        except BaseException:
            os.close(number)
            raise
        return OpenFile(os.fdopen(number, "rb", buffering=0), entry)

    @mapping_errors
    def read(self, file: OpenFile, start: int, size: int) -> bytes:
        """Return `size` bytes of an open file, beginning at `start`."""
        return file.read(start, size)

    @mapping_errors
    def head(self, key: str) -> FileEntry:
        """Return the metadata of the file under a key."""
        with _file_not_found():
            return self._entry(key, self._path(key).lstat())

    @mapping_errors
    def delete(self, key: str) -> None:
        """Delete a file, and the parent folders that are empty then."""
        path = self._path(key)
        with self._exclusive(), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if not path.is_dir():
                path.unlink()
                self._metadata_path(key).unlink(missing_ok=True)
            with suppress(OSError):
                for folder in path.parents[: len(names_of(key)) - 1]:
                    folder.rmdir()

    @mapping_errors
    def copy(
        self, source: str, key: str, metadata: Metadata | None, conditions: Conditions
    ) -> FileEntry:
        """Copy a file to another key."""
        path, opened_file = self._path(key), self.open(source)
        digest = hashlib.sha256()
        try:
            with self._new_file() as file:
                position = 0
                while data := opened_file.read(position, _PIECE_SIZE):
                    position += len(data)
                    digest.update(data)
                    file.write(data)
                stored_metadata = opened_file.entry.metadata if metadata is None else metadata
                stored_metadata = {**stored_metadata, "sha256": digest.hexdigest()}
                return self._commit(file, key, path, stored_metadata, conditions)
        finally:
            opened_file.close()

    @mapping_errors
    def list(
        self, prefix: str, delimiter: str | None, after: str, limit: int
    ) -> tuple[list[FileEntry], list[str], str | None]:
        """Return files and folders sorted by key, and the key after which the next page begins."""
        keys, folders, next_after = page_of_keys(self._children, prefix, delimiter, after, limit)
        files: list[FileEntry] = []
        for key in keys:
            with suppress(FileNotFoundError):
                files.append(self._entry(key, self._path(key).lstat()))
        return files, folders, next_after

    # --- uploads -----------------------------------------------------------

    @mapping_errors
    def start(self, key: str, metadata: Metadata) -> str:
        """Begin an upload in parts, and return its id."""
        self._path(key)
        id_ = uuid4().hex
        folder = self._uploads / id_
        folder.mkdir(parents=True)
        started_at = datetime.now(UTC).isoformat()
        self._write(folder / "said.json", {"key": key, "kept": dict(metadata), "begun": started_at})
        return id_

    @mapping_errors
    def put_part(self, id_: str, key: str, number: int, data: bytes) -> str:
        """Store a part of an upload, and return the part's SHA-256."""
        folder, _ = self._upload(id_, key)
        digest = hashlib.sha256(data).hexdigest()
        path = folder / f"{number:05}.{digest}"
        with self._new_file() as file:
            file.write(data)
            # Two uploads of one part at the same time would delete each other's file.
            with self._exclusive():
                file.keep(path)
                for other_path in folder.glob(f"{number:05}.*"):
                    if other_path != path:
                        other_path.unlink()
        return digest

    @mapping_errors
    def parts(self, id_: str, key: str) -> Sequence[tuple[int, int, str]]:
        """Return the number, size and SHA-256 of each stored part of an upload."""
        folder, _ = self._upload(id_, key)
        matches = ((path, _PART.fullmatch(path.name)) for path in folder.iterdir())
        return sorted(
            (int(match[1]), path.stat().st_size, match[2])
            for path, match in matches
            if match is not None
        )

    @mapping_errors
    def complete(
        self, id_: str, key: str, parts: Sequence[tuple[int, str]], conditions: Conditions
    ) -> FileEntry:
        """Create a file from the parts of an upload."""
        path, (folder, upload) = self._path(key), self._upload(id_, key)
        digest = hashlib.sha256()
        with self._new_file() as file:
            for number, expected_digest in parts:
                part_digest = hashlib.sha256()
                with (folder / f"{number:05}.{expected_digest}").open("rb") as part:
                    while data := part.read(_PIECE_SIZE):
                        part_digest.update(data)
                        digest.update(data)
                        file.write(data)
                if part_digest.hexdigest() != expected_digest:
                    raise refusal(
                        "BadDigest",
                        400,
                        f"The content of part {number} differs from the part that was uploaded.",
                    )
            metadata = {**upload["kept"], "sha256": digest.hexdigest()}
            entry = self._commit(file, key, path, metadata, conditions)
        shutil.rmtree(folder, ignore_errors=True)
        return entry

    @mapping_errors
    def abort(self, id_: str, key: str) -> None:
        """Delete an unfinished upload and its parts."""
        with suppress(VendorRejected):
            shutil.rmtree(self._upload(id_, key)[0])

    @mapping_errors
    def uploads(self, prefix: str) -> Sequence[tuple[str, str, datetime]]:
        """Return the key, id and start of each unfinished upload."""
        uploads: list[tuple[str, str, datetime]] = []
        with suppress(FileNotFoundError):
            for folder in self._uploads.iterdir():
                upload = _read_metadata(folder / "said.json")
                if upload is not None and upload["key"].startswith(prefix):
                    start_time = datetime.fromisoformat(upload["begun"])
                    uploads.append((upload["key"], folder.name, start_time))
        return sorted(uploads)

    # --- the folder --------------------------------------------------------

    def _path(self, key: str) -> Path:
        """Return the path of a key's file; refuse paths outside the folder and symbolic links."""
        path = self._root
        for name in names_of(key):
            path /= name
            if path.is_symlink():
                raise InvalidData(
                    "The path of the file contains a symbolic link.",
                    field="key",
                    remedy="Replace the link with a file or folder.",
                )
        return path

    def _upload(self, id_: str, key: str) -> tuple[Path, dict[str, Any]]:
        folder = self._uploads / id_
        upload = _read_metadata(folder / "said.json") if _UPLOAD.fullmatch(id_) else None
        if upload is None or upload["key"] != key:
            raise refusal(
                "NoSuchUpload",
                404,
                "The upload does not exist. It was completed or aborted before.",
            )
        return folder, upload

    def _new_file(self) -> WholeFile:
        self._temporary_folder.mkdir(parents=True, exist_ok=True)
        return WholeFile(self._temporary_folder / "file")

    def _metadata_path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._metadata_folder / name[:2] / f"{name}.json"

    def _entry(self, key: str, status: os.stat_result) -> FileEntry:
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(key)
        etag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
        metadata = _read_metadata(self._metadata_path(key)) or {}
        seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
        return FileEntry(
            key=key,
            size=status.st_size,
            etag=etag,
            modified=datetime.fromtimestamp(seconds, UTC)
            + timedelta(microseconds=nanoseconds // 1000),
            metadata=metadata["kept"] if metadata.get("etag") == etag else {},
        )

    def _commit(
        self, file: WholeFile, key: str, path: Path, metadata: Metadata, conditions: Conditions
    ) -> FileEntry:
        """Move a completely written file to its final name, if the preconditions are met."""
        with self._exclusive():
            self._check(key, path, conditions)
            path.parent.mkdir(parents=True, exist_ok=True)
            status = file.keep(path)
            entry = self._entry(key, status)
            metadata_path = self._metadata_path(key)
            metadata_path.parent.mkdir(parents=True, exist_ok=True)
            self._write(metadata_path, {"key": key, "etag": entry.etag, "kept": dict(metadata)})
            return self._entry(key, status)

    def _check(self, key: str, path: Path, conditions: Conditions) -> None:
        if_match, if_none_match = conditions
        if if_match is None and if_none_match is None:
            return
        try:
            existing_entry = self._entry(key, path.lstat())
        except (FileNotFoundError, NotADirectoryError):
            if if_match is not None:
                raise refusal("PreconditionFailed", 412, "The file does not exist.") from None
            return
        if if_none_match is not None or if_match not in {"*", existing_entry.etag}:
            raise refusal("PreconditionFailed", 412, "The file has changed.")

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        with self._new_file() as file:
            file.write(json.dumps(content).encode())
            file.keep(path)

    @contextmanager
    def _exclusive(self) -> Generator[None]:
        import fcntl  # noqa: PLC0415 - not on Windows

        self._temporary_folder.mkdir(parents=True, exist_ok=True)
        with self._mutex.current, (self._root / OWN_FOLDER / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _children(self, folder: str) -> Sequence[tuple[str, bool]]:
        """Return the files and folders in a folder, without symbolic links."""
        try:
            with os.scandir(self._root / folder) as entries:
                return [
                    (entry.name, entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if not entry.is_symlink()
                ]
        except FileNotFoundError:
            return []


@contextmanager
def _file_not_found() -> Generator[None]:
    """A context manager that reports a path inside a file as a missing file."""
    try:
        yield
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror) from None


def _read_metadata(path: Path) -> dict[str, Any] | None:
    """Return an upload's or file's metadata from its JSON file; None if there is none."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content


class AsyncLocalFolder:
    """The asynchronous `LocalFolder`; threads access the disk.

    Args:
        options: the settings, with the folder `root`, which is created if necessary.
    """

    def __init__(self, options: Any) -> None:
        self._folder = LocalFolder(options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = getattr(self._folder, name)

        async def in_thread(*arguments: Any) -> Any:
            return await to_thread(operation, *arguments)

        return in_thread
