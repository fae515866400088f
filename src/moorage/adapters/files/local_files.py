"""A folder of files, as if it were a vendor of storage.

A file takes its name when all of it is on the disk. Beside the files, in a folder of its own, is
what is said of them; it is believed only as long as it speaks of the very file that is there. No
symbolic link is followed. Who changes something has the folder's lock, in every process.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import uuid4

from moorage.adapters.files._errors import mapped, refused
from moorage.adapters.files.whole_files import WholeFile
from moorage.domain.values.file_entry import OWN_FOLDER, FileEntry, names_of
from moorage.errors import FileNotFound, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

_UPLOAD: Final = re.compile(r"[0-9a-f]{32}")
_PART: Final = re.compile(r"([0-9]{5})\.([0-9a-f]{64})")
_PIECE: Final = 1024 * 1024
_BEHIND: Final = "\U0010ffff"

Conditions: TypeAlias = "tuple[str | None, str | None]"
"""The ETag that what is replaced must have, and "*" if there must be nothing to replace."""
Kept: TypeAlias = "Mapping[str, Any]"


class OpenFile:
    """A file that is being read; whatever takes its name meanwhile, it is the same."""

    def __init__(self, file: Any, entry: FileEntry) -> None:
        self._file = file
        self.entry = entry

    def read(self, start: int, size: int) -> bytes:
        """Some of its bytes."""
        self._file.seek(start)
        data: bytes = self._file.read(size)
        return data

    def close(self) -> None:
        """Let it go."""
        self._file.close()


class LocalFolder:
    """Files below a folder.

    Args:
        options: their `root`, which is made if it is not there.
    """

    def __init__(self, options: Any) -> None:
        self._root = Path(options.root).resolve()
        own = self._root / OWN_FOLDER
        self._said, self._coming, self._uploads = own / "said", own / "coming", own / "uploads"
        self._mutex = Lock()

    # --- files -------------------------------------------------------------

    @mapped
    def put(self, key: str, data: bytes, kept: Kept, conditions: Conditions) -> FileEntry:
        """Put a file."""
        path = self._path(key)
        with self._new() as file:
            file.write(data)
            said = {**kept, "sha256": hashlib.sha256(data).hexdigest()}
            return self._commit(file, key, path, said, conditions)

    @mapped
    def open(self, key: str) -> OpenFile:
        """Open a file."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with _no_folder():
            number = os.open(self._path(key), flags)
        try:
            entry = self._entry(key, os.fstat(number))
        except BaseException:
            os.close(number)
            raise
        return OpenFile(os.fdopen(number, "rb", buffering=0), entry)

    @mapped
    def read(self, file: OpenFile, start: int, size: int) -> bytes:
        """Some bytes of a file that is open."""
        return file.read(start, size)

    @mapped
    def head(self, key: str) -> FileEntry:
        """What is known of a file."""
        with _no_folder():
            return self._entry(key, self._path(key).lstat())

    @mapped
    def delete(self, key: str) -> None:
        """Delete a file, and the folders that are empty then."""
        path = self._path(key)
        with self._locked(), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if not path.is_dir():
                path.unlink()
                self._said_of(key).unlink(missing_ok=True)
            with suppress(OSError):
                for folder in path.parents[: len(names_of(key)) - 1]:
                    folder.rmdir()

    @mapped
    def copy(self, source: str, key: str, kept: Kept | None, conditions: Conditions) -> FileEntry:
        """Copy a file."""
        path, opened = self._path(key), self.open(source)
        digest = hashlib.sha256()
        try:
            with self._new() as file:
                at = 0
                while data := opened.read(at, _PIECE):
                    at += len(data)
                    digest.update(data)
                    file.write(data)
                said = opened.entry.kept if kept is None else kept
                said = {**said, "sha256": digest.hexdigest()}
                return self._commit(file, key, path, said, conditions)
        finally:
            opened.close()

    @mapped
    def list(
        self, prefix: str, delimiter: str | None, after: str, limit: int
    ) -> tuple[list[FileEntry], list[str], str | None]:
        """Files and folders in the order of their keys, and after what to go on."""
        found: list[FileEntry] = []
        folders: list[str] = []
        keys = self._keys(prefix, after)
        while len(found) + len(folders) < limit:
            key = next(keys, None)
            if key is None:
                return found, folders, None
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folder = prefix + rest[: rest.index(delimiter)] + delimiter
                folders.append(folder)
                after = folder + _BEHIND
                keys = self._keys(prefix, after)
            else:
                after = key
                with suppress(FileNotFoundError):
                    found.append(self._entry(key, self._path(key).lstat()))
        return found, folders, None if next(keys, None) is None else after

    # --- uploads -----------------------------------------------------------

    @mapped
    def start(self, key: str, kept: Kept) -> str:
        """Begin an upload."""
        self._path(key)
        id_ = uuid4().hex
        folder = self._uploads / id_
        folder.mkdir(parents=True)
        begun = datetime.now(UTC).isoformat()
        self._write(folder / "said.json", {"key": key, "kept": dict(kept), "begun": begun})
        return id_

    @mapped
    def put_part(self, id_: str, key: str, number: int, data: bytes) -> str:
        """Put a part, and return its SHA-256."""
        folder, _ = self._upload(id_, key)
        digest = hashlib.sha256(data).hexdigest()
        path = folder / f"{number:05}.{digest}"
        with self._new() as file:
            file.write(data)
            file.keep(path)
        for other in folder.glob(f"{number:05}.*"):
            if other != path:
                other.unlink()
        return digest

    @mapped
    def parts(self, id_: str, key: str) -> Sequence[tuple[int, int, str]]:
        """The number, size and SHA-256 of each part that is there."""
        folder, _ = self._upload(id_, key)
        named = ((path, _PART.fullmatch(path.name)) for path in folder.iterdir())
        return sorted(
            (int(name[1]), path.stat().st_size, name[2]) for path, name in named if name is not None
        )

    @mapped
    def complete(
        self, id_: str, key: str, parts: Sequence[tuple[int, str]], conditions: Conditions
    ) -> FileEntry:
        """Make a file of the parts."""
        path, (folder, said) = self._path(key), self._upload(id_, key)
        whole = hashlib.sha256()
        with self._new() as file:
            for number, wanted in parts:
                one = hashlib.sha256()
                with (folder / f"{number:05}.{wanted}").open("rb") as part:
                    while data := part.read(_PIECE):
                        one.update(data)
                        whole.update(data)
                        file.write(data)
                if one.hexdigest() != wanted:
                    raise refused("BadDigest", 400, f"Part {number} is not what was put.")
            kept = {**said["kept"], "sha256": whole.hexdigest()}
            entry = self._commit(file, key, path, kept, conditions)
        shutil.rmtree(folder, ignore_errors=True)
        return entry

    @mapped
    def abort(self, id_: str, key: str) -> None:
        """Throw an upload away."""
        with suppress(FileNotFound):
            shutil.rmtree(self._upload(id_, key)[0])

    @mapped
    def uploads(self, prefix: str) -> Sequence[tuple[str, str, datetime]]:
        """The key, the name and the beginning of each upload that is under way."""
        found: list[tuple[str, str, datetime]] = []
        with suppress(FileNotFoundError):
            for folder in self._uploads.iterdir():
                said = _read(folder / "said.json")
                if said is not None and said["key"].startswith(prefix):
                    begun = datetime.fromisoformat(said["begun"])
                    found.append((said["key"], folder.name, begun))
        return sorted(found)

    # --- the folder --------------------------------------------------------

    def _path(self, key: str) -> Path:
        """Where a file is; never outside, and never by way of a link."""
        path = self._root
        for name in names_of(key):
            path /= name
            if path.is_symlink():
                raise InvalidData(
                    "A symbolic link is on the way to this file.",
                    field="key",
                    remedy="Put files and folders there, not links.",
                )
        return path

    def _upload(self, id_: str, key: str) -> tuple[Path, dict[str, Any]]:
        folder = self._uploads / id_
        said = _read(folder / "said.json") if _UPLOAD.fullmatch(id_) else None
        if said is None or said["key"] != key:
            raise FileNotFound(
                "There is no such upload: it is complete, or was aborted.",
                status=404,
                vendor_code="NoSuchUpload",
            )
        return folder, said

    def _new(self) -> WholeFile:
        self._coming.mkdir(parents=True, exist_ok=True)
        return WholeFile(self._coming / "file")

    def _said_of(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._said / name[:2] / f"{name}.json"

    def _entry(self, key: str, found: os.stat_result) -> FileEntry:
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(key)
        etag = f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"
        said = _read(self._said_of(key)) or {}
        seconds, rest = divmod(found.st_mtime_ns, 1_000_000_000)
        return FileEntry(
            key=key,
            size=found.st_size,
            etag=etag,
            modified=datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=rest // 1000),
            kept=said["kept"] if said.get("etag") == etag else {},
        )

    def _commit(
        self, file: WholeFile, key: str, path: Path, kept: Kept, conditions: Conditions
    ) -> FileEntry:
        """Give a file its name, if the conditions hold."""
        with self._locked():
            self._check(key, path, conditions)
            path.parent.mkdir(parents=True, exist_ok=True)
            found = file.keep(path)
            entry = self._entry(key, found)
            said = self._said_of(key)
            said.parent.mkdir(parents=True, exist_ok=True)
            self._write(said, {"key": key, "etag": entry.etag, "kept": dict(kept)})
            return self._entry(key, found)

    def _check(self, key: str, path: Path, conditions: Conditions) -> None:
        if_match, if_none_match = conditions
        if if_match is None and if_none_match is None:
            return
        try:
            there = self._entry(key, path.lstat())
        except (FileNotFoundError, NotADirectoryError):
            if if_match is not None:
                raise FileNotFoundError(key) from None
            return
        if if_none_match is not None or if_match not in {"*", there.etag}:
            raise refused("PreconditionFailed", 412, "The file is not the one that was meant.")

    def _write(self, path: Path, said: Mapping[str, Any]) -> None:
        with self._new() as file:
            file.write(json.dumps(said).encode())
            file.keep(path)

    @contextmanager
    def _locked(self) -> Generator[None]:
        import fcntl  # noqa: PLC0415 - not on Windows

        self._coming.mkdir(parents=True, exist_ok=True)
        with self._mutex, (self._root / OWN_FOLDER / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _keys(self, prefix: str, after: str) -> Iterator[str]:
        """The keys behind one, in the order of their bytes."""
        return _walk(self._root, "", prefix, after)


def _walk(folder: Path, base: str, prefix: str, after: str) -> Iterator[str]:
    with suppress(FileNotFoundError):
        with os.scandir(folder) as entries:
            known = [(base + one.name, one.is_dir(follow_symlinks=False), one) for one in entries]
        named = [(f"{key}/" if is_folder else key, one) for key, is_folder, one in known]
        for key, one in sorted(named, key=lambda pair: os.fsencode(pair[0])):
            if one.is_symlink() or not _is_key(key.removesuffix("/")):
                continue
            beside = not key.startswith(prefix) and not prefix.startswith(key)
            past = os.fsencode(key) <= after.encode() and not after.startswith(key)
            if key.endswith("/") and not beside and not past:
                yield from _walk(Path(one.path), key, prefix, after)
            elif not key.endswith("/") and key.startswith(prefix) and key.encode() > after.encode():
                yield key


def _is_key(text: str) -> bool:
    """Whether a file of this name, which somebody else has put, can be asked for here."""
    try:
        names_of(text)
    except (InvalidData, UnicodeEncodeError):
        return False
    return True


@contextmanager
def _no_folder() -> Generator[None]:
    """What is below a file is not there."""
    try:
        yield
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror) from None


def _read(path: Path) -> dict[str, Any] | None:
    """What is said in a file of our own; None if there is none."""
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return said


class AsyncLocalFolder:
    """As `LocalFolder`, awaited: a thread does it.

    Args:
        options: their `root`, which is made if it is not there.
    """

    def __init__(self, options: Any) -> None:
        self._folder = LocalFolder(options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self._folder, name)

        async def later(*given: Any) -> Any:
            return await asyncio.to_thread(verb, *given)

        return later
