"""A folder on a filesystem of fsspec as a storage vendor.

A file gets its name when it is complete, under a temporary name. The metadata of a file is in a
separate folder, and is valid only for one version of the file.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import uuid4

import attrs

from moorage.adapters.files._errors import file_type_conflict_error, refusal
from moorage.adapters.files.fsspec_errors import ignoring_errors
from moorage.domain.connectors.foreign_files import HTTP, path_of, read_description
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.values.file_entry import OWN_FOLDER, FileEntry, names_of
from moorage.domain.values.key_order import page_of_keys
from moorage.errors import VendorFailed, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moorage.adapters.files.fsspec_connections import Connection
    from moorage.domain.connectors.foreign_files import ForeignFile

_UPLOAD: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"([0-9]{5})\.([0-9a-f]{64})")
_PIECE_SIZE: Final = 4 * 1024 * 1024

Conditions: TypeAlias = "tuple[str | None, str | None]"
"""The conditions of a write, which no vendor of this transport accepts."""
Metadata: TypeAlias = "Mapping[str, Any]"


@attrs.frozen
class FsspecFile:
    """A file of a filesystem of fsspec, which is read in pieces.

    Attributes:
        entry: the file's metadata.
    """

    entry: FileEntry

    def close(self) -> None:
        """Do nothing, because each piece is read by a separate operation."""


class FsspecFolder:
    """The files below a folder of a filesystem of fsspec, for one operation.

    Args:
        connection: the connection.
        begin_change: is called before the operation changes something visible; it raises an error
            if nobody waits for the operation any more.
    """

    def __init__(self, connection: Connection, begin_change: Callable[[], None]) -> None:
        self._connection = connection
        self._filesystem = connection.filesystem
        self._begin_change = begin_change

    # --- files -------------------------------------------------------------

    def put(self, key: str, data: bytes, metadata: Metadata, _: Conditions) -> FileEntry:
        """Store a file under a key."""
        return self._store(key, [data], metadata)

    def open(self, key: str) -> FsspecFile:
        """Find the file under a key, for reading."""
        return FsspecFile(self.head(key))

    def read(self, file: FsspecFile, start: int, size: int) -> bytes:
        """Return `size` bytes of a file, beginning at `start`; refuse a file that has changed."""
        entry = file.entry
        path = self._path(entry.key)
        data: bytes = self._filesystem.cat_file(path, start, start + size)
        if len(data) == entry.size > size:
            data = data[start : start + size]  # a web server that ignores ranges
        if len(data) != size or self._existing_file(entry.key).stamp != entry.etag:
            raise refusal("PreconditionFailed", 412, "The file changed while it was being read.")
        return data

    def head(self, key: str) -> FileEntry:
        """Return the metadata of the file under a key."""
        file = self._existing_file(key)
        metadata = self._read_json(self._metadata_path(key)) or {}
        return _entry(key, file, metadata["kept"] if metadata.get("etag") == file.stamp else {})

    def delete(self, key: str) -> None:
        """Delete a file and its metadata."""
        file = self._look_up(self._path(key))
        if file is not None and file.is_file:
            self._begin_change()
            self._remove(self._path(key))
            self._remove(self._metadata_path(key))

    def copy(self, source: str, key: str, metadata: Metadata | None, _: Conditions) -> FileEntry:
        """Copy a file to another key."""
        file = self.open(source)
        stored_metadata = file.entry.metadata if metadata is None else metadata
        return self._store(key, self._pieces(file), stored_metadata)

    def list(
        self, prefix: str, delimiter: str | None, after: str, limit: int
    ) -> tuple[list[FileEntry], list[str], str | None]:
        """Return files and folders sorted by key, and the key after which the next page begins."""
        files: dict[str, ForeignFile] = {}

        def children(folder: str) -> Iterator[tuple[str, bool]]:
            for file in self._files_in(self._path(folder.removesuffix("/"))):
                files[folder + file.name] = file
                if file.is_file or file.is_folder:
                    yield file.name, file.is_folder

        keys, folders, next_after = page_of_keys(children, prefix, delimiter, after, limit)
        return [_entry(key, files[key], {}) for key in keys], folders, next_after

    # --- uploads -----------------------------------------------------------

    def start(self, key: str, metadata: Metadata) -> str:
        """Begin an upload in parts, and return its id."""
        names_of(key)
        id_ = uuid4().hex
        folder = self._own_path("uploads", id_)
        self._make_folder(folder)
        started_at = datetime.now(UTC).isoformat()
        upload = {"key": key, "kept": dict(metadata), "begun": started_at}
        self._write(f"{folder}/said.json", [json.dumps(upload).encode()])
        return id_

    def put_part(self, id_: str, key: str, number: int, data: bytes) -> str:
        """Store a part of an upload, and return the part's SHA-256."""
        folder, _ = self._upload(id_, key)
        digest = hashlib.sha256(data).hexdigest()
        name = f"{number:05}.{digest}"
        temporary_path = f"{folder}/{uuid4().hex}"
        self._write(temporary_path, [data])
        self._rename(temporary_path, f"{folder}/{name}")
        for file in self._files_in(folder):
            if file.name.startswith(f"{number:05}.") and file.name != name:
                self._remove(f"{folder}/{file.name}")
        return digest

    def parts(self, id_: str, key: str) -> Sequence[tuple[int, int, str]]:
        """Return the number, size and SHA-256 of each stored part of an upload."""
        folder, _ = self._upload(id_, key)
        matches = ((file, _PART.fullmatch(file.name)) for file in self._files_in(folder))
        return sorted(
            (int(match[1]), file.size, match[2]) for file, match in matches if match is not None
        )

    def complete(
        self, id_: str, key: str, parts: Sequence[tuple[int, str]], _: Conditions
    ) -> FileEntry:
        """Create a file from the parts of an upload."""
        folder, upload = self._upload(id_, key)
        sizes = {(number, digest): size for number, size, digest in self.parts(id_, key)}
        entry = self._store(key, self._pieces_of_parts(folder, parts, sizes), upload["kept"])
        with dropped_errors():  # the file is complete; the remaining parts are a stale upload
            self._remove_upload(folder)
        return entry

    def abort(self, id_: str, key: str) -> None:
        """Delete an unfinished upload and its parts."""
        with suppress(VendorRejected):
            self._remove_upload(self._upload(id_, key)[0])

    def uploads(self, prefix: str) -> Sequence[tuple[str, str, datetime]]:
        """Return the key, id and start of each unfinished upload."""
        uploads: list[tuple[str, str, datetime]] = []
        for folder in self._files_in(self._own_path("uploads")):
            upload = self._read_json(self._own_path("uploads", folder.name, "said.json"))
            if upload is not None and upload["key"].startswith(prefix):
                started_at = datetime.fromisoformat(upload["begun"])
                uploads.append((upload["key"], folder.name, started_at))
        return sorted(uploads)

    # --- writing -----------------------------------------------------------

    def _store(self, key: str, pieces: Iterable[bytes], metadata: Metadata) -> FileEntry:
        """Write a file under a temporary name, and rename it when complete."""
        path = self._path(key)
        target = self._look_up(path)
        if target is not None and not target.is_file:
            raise file_type_conflict_error("EISDIR")
        self._make_folder(self._own_path("coming"))
        temporary_path = self._own_path("coming", uuid4().hex)
        digest = hashlib.sha256()
        try:
            self._write(temporary_path, _digest(pieces, digest))
            self._make_folder(self._path(key.rpartition("/")[0]))
            self._begin_change()
            self._rename(temporary_path, path)
        except BaseException:
            with dropped_errors():
                self._remove(temporary_path)
            raise
        file = self._look_up(path)
        if file is None or not file.is_file:
            raise VendorFailed(
                "The server stored the file under a different name.",
                retryable=False,
                remedy="Use a key without '?', '#', ';' and '%'.",
            )
        stored_metadata = {**metadata, "sha256": digest.hexdigest()}
        metadata_path = self._metadata_path(key)
        self._make_folder(metadata_path.rpartition("/")[0])
        file_record = {"key": key, "etag": file.stamp, "kept": stored_metadata}
        self._write(metadata_path, [json.dumps(file_record).encode()])
        return _entry(key, file, stored_metadata)

    def _write(self, path: str, pieces: Iterable[bytes]) -> None:
        with self._filesystem.open(path, "wb", block_size=_PIECE_SIZE) as file:
            for piece in pieces:
                file.write(piece)

    def _rename(self, path: str, target: str) -> None:
        """Rename a file, atomically if the filesystem supports that."""
        fsspec: Any = import_module("fsspec")  # an optional dependency without types
        move = getattr(getattr(self._filesystem, "client", None), "move", None)
        if move is not None:  # WebDAV's own method, because fsspec's `mv` copies the file
            move(path, target, overwrite=True)
        elif self._filesystem.mv.__func__ is fsspec.AbstractFileSystem.mv:
            self._filesystem.cp_file(path, target)
            self._filesystem.rm_file(path)
        else:
            with ignoring_errors(FileExistsError):
                self._filesystem.mv(path, target)
                return
            self._filesystem.rm_file(target)
            self._filesystem.mv(path, target)

    def _make_folder(self, path: str) -> None:
        """Create a missing folder and its missing parents.

        Raise an error if a file is in the way.
        """
        if self._connection.protocol in HTTP or path in {"", "/"}:
            return
        folder = self._look_up(path)
        if folder is not None and not folder.is_folder:
            raise file_type_conflict_error("ENOTDIR")
        if folder is None:
            self._make_folder(path.rpartition("/")[0])
            try:
                self._filesystem.mkdir(path, create_parents=False)
            except Exception:
                # Another process may have created it in the meantime.
                if self._look_up(path) is None:
                    raise

    def _remove(self, path: str) -> None:
        with ignoring_errors(FileNotFoundError):
            self._filesystem.rm_file(path)

    def _remove_upload(self, folder: str) -> None:
        for file in self._files_in(folder):
            self._remove(f"{folder}/{file.name}")
        with dropped_errors():  # a filesystem may have no folders
            self._filesystem.rmdir(folder)

    # --- reading -----------------------------------------------------------

    def _existing_file(self, key: str) -> ForeignFile:
        file = self._look_up(self._path(key))
        if file is None or not file.is_file:
            raise FileNotFoundError
        return file

    def _look_up(self, path: str) -> ForeignFile | None:
        with ignoring_errors(FileNotFoundError, NotADirectoryError):
            return read_description(self._filesystem.info(path))
        return None

    def _files_in(self, folder: str) -> Sequence[ForeignFile]:
        quoted = self._connection.protocol in HTTP
        with ignoring_errors(FileNotFoundError):
            descriptions = self._filesystem.ls(folder, detail=True)
            return [read_description(description, quoted=quoted) for description in descriptions]
        return []

    def _pieces(self, file: FsspecFile) -> Iterator[bytes]:
        for start in range(0, file.entry.size, _PIECE_SIZE):
            yield self.read(file, start, min(_PIECE_SIZE, file.entry.size - start))

    def _pieces_of_parts(
        self,
        folder: str,
        parts: Sequence[tuple[int, str]],
        sizes: Mapping[tuple[int, str], int],
    ) -> Iterator[bytes]:
        for number, expected_digest in parts:
            digest = hashlib.sha256()
            size = sizes.get((number, expected_digest), 0)
            path = f"{folder}/{number:05}.{expected_digest}"
            for start in range(0, size, _PIECE_SIZE):
                piece: bytes = self._filesystem.cat_file(
                    path, start, min(start + _PIECE_SIZE, size)
                )
                digest.update(piece)
                yield piece
            if digest.hexdigest() != expected_digest:
                raise refusal(
                    "BadDigest",
                    400,
                    f"The content of part {number} differs from the part that was uploaded.",
                )

    def _read_json(self, path: str) -> dict[str, Any] | None:
        """Return the content of a JSON file; None if it is missing or incomplete."""
        with suppress(ValueError), ignoring_errors(FileNotFoundError, NotADirectoryError):
            content: dict[str, Any] = json.loads(self._filesystem.cat_file(path))
            return content
        return None

    def _upload(self, id_: str, key: str) -> tuple[str, dict[str, Any]]:
        folder = self._own_path("uploads", id_)
        is_id = _UPLOAD.fullmatch(id_) is not None
        upload = self._read_json(f"{folder}/said.json") if is_id else None
        if upload is None or upload["key"] != key:
            raise refusal(
                "NoSuchUpload",
                404,
                "The upload does not exist. It was completed or aborted before.",
            )
        return folder, upload

    # --- paths -------------------------------------------------------------

    def _path(self, key: str) -> str:
        """Return the path of the file or folder for a key; an empty key is the root folder."""
        root = self._connection.root
        if not key:
            return root
        names_of(key)
        return path_of(self._connection.protocol, root, key)

    def _own_path(self, *names: str) -> str:
        return path_of(
            self._connection.protocol, self._connection.root, "/".join((OWN_FOLDER, *names))
        )

    def _metadata_path(self, key: str) -> str:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._own_path("said", name[:2], f"{name}.json")


def _digest(pieces: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _entry(key: str, file: ForeignFile, metadata: Metadata) -> FileEntry:
    return FileEntry(
        key=key, size=file.size, etag=file.stamp, modified=file.modified, metadata=metadata
    )
