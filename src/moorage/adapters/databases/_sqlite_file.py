"""A store's SQLite file: its creation, its connections and its schema version.

1. moorage itself creates the file, not SQLite: readable only for its owner, in an existing
   directory, and never beside the journal of a deleted file. The file is created under another
   name, so that no process sees it unfinished.
2. Files of other programs and files with a newer schema are not changed.
3. A connection never waits for a lock (`DatabaseBusy`), never copies the journal into the file by
   itself, and never waits for the disk at a commit.
4. Every error of SQLite is raised as `StorageUnavailable` with a remedy.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final

from moorage.adapters.databases._open_files import EXHAUSTED_REMEDY, missing_resources_error
from moorage.domain.resilience.health import is_exhaustion
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.adapters.databases._sqlite_time import Run

APPLICATION: Final = int.from_bytes(b"moor", "big")

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # The table has row numbers, so a state that keeps its size is overwritten in place.
        "CREATE TABLE state (key TEXT UNIQUE, value BLOB NOT NULL, until INTEGER NOT NULL)",
        "CREATE INDEX state_until ON state (until)",
        "CREATE TABLE clock (boot TEXT, origin INTEGER NOT NULL, latest INTEGER NOT NULL)",
    ),
)
"""The statements that update a file of each version to the next; an empty file has version 0."""

PAGE: Final = 2048

_JOURNALS: Final = ("-wal", "-shm", "-journal")
_NEW_FILE_SUFFIX: Final = "-new"
_LONGEST_JOURNAL: Final = 64 << 20

_LOCKED_CODES: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
)
_ERRORS: Final = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free space on the disk; nothing was written."),
    sqlite3.SQLITE_READONLY: (
        "this process has no permission to write the file",
        "Allow this process to write the file and its directory.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the file cannot be opened",
        "Allow this process to read and write the file and its directory.",
    ),
    **dict.fromkeys(
        (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR),
        (
            "the file is damaged, or moorage did not write it",
            "Use a separate file. If moorage wrote this one, move it away with its -wal and -shm.",
        ),
    ),
}
_OTHER_ERROR: Final = (
    "the file could not be read or written",
    "Check the disk that stores the file.",
)


class DatabaseBusy(Exception):
    """Raised if the database is busy, because another connection has locked it."""


class Link:
    """A connection to the SQLite file, for one caller at a time.

    Attributes:
        run: runs a statement, and returns a cursor.
        stale: whether the connection must not be used again.
        identity: identifies the file, which may be replaced by another one.
        open: whether the connection is open.
    """

    __slots__ = ("__weakref__", "connection", "identity", "open", "run", "stale")

    def __init__(self, connection: sqlite3.Connection, identity: object) -> None:
        self.connection = connection
        self.identity = identity
        self.run: Run = connection.cursor().execute
        self.stale = False
        self.open = True

    def undo(self) -> None:
        """Roll back an open transaction; if that fails, mark the connection as unusable."""
        try:
            if self.connection.in_transaction:
                self.connection.rollback()
        except sqlite3.Error:
            self.stale = True

    def close(self) -> None:
        """Close the connection, which rolls back an open transaction."""
        self.stale = True
        self.connection.close()
        self.open = False

    __del__ = close


class StateFile:
    """The path of a store's SQLite file; opens connections to the file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            text = os.fsdecode(path)
        except TypeError:
            text = ""
        if text in {"", ":memory:"} or "\0" in text:
            raise ConfigurationError(
                f"{path!r} is not the path of a file.",
                path="path",
                remedy="Pass the path of a separate file, or use MemoryStorage.",
            )
        self.path = str(Path(text).absolute())

    def identity(self) -> tuple[int, int] | None:
        """Return the identity of the existing file; None if there is no file."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - at every claim
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreachable(error) from None
        if S_ISDIR(status.st_mode):
            raise ConfigurationError(
                f"{self.path} is a directory.",
                path="path",
                remedy="Pass the path of a file. The file need not exist yet.",
            )
        return status.st_dev, status.st_ino

    def connect(self) -> Link:
        """Return a connection to the file, creating or updating the file if necessary."""
        identity = self.identity()
        if identity is None:
            self.create()
            identity = self.identity()
        with self._link(self.path, identity) as link:
            run = link.run
            if self._version(run) < len(MIGRATIONS):
                self._migrate(run)
            if run("PRAGMA journal_mode").fetchone()[0] != "wal":
                self._enable_wal(run)
            run("PRAGMA synchronous = NORMAL")
            run("PRAGMA wal_autocheckpoint = 0")
            run(f"PRAGMA journal_size_limit = {_LONGEST_JOURNAL}")
        return link

    @contextmanager
    def _link(self, path: str, identity: object = None) -> Generator[Link]:
        """Yield a connection to the file; close it if the block fails."""
        try:
            connection = sqlite3.connect(
                f"{Path(path).as_uri()}?mode=rw",
                uri=True,
                timeout=0,
                isolation_level=None,
                check_same_thread=False,
            )
            link = Link(connection, identity)
            try:
                yield link
            except BaseException:
                link.close()
                raise
        except sqlite3.Error as error:
            raise self.failure(error) from None

    def failure(self, error: Exception) -> DatabaseBusy | StorageUnavailable:
        """Convert an error of SQLite to an error of moorage."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF
        if code in _LOCKED_CODES:
            return DatabaseBusy()
        if code == sqlite3.SQLITE_CANTOPEN and (exhaustion := missing_resources_error()):
            return self._exhausted(exhaustion)
        description, remedy = _ERRORS.get(code, _OTHER_ERROR)
        return StorageUnavailable(f"{self.path}: {description} ({error}).", remedy=remedy)

    def locked(self) -> StorageUnavailable:
        """Return the error for a database file that another process has locked for too long."""
        return StorageUnavailable(
            f"{self.path}: another process held the lock on the file for too long.",
            remedy="Find the process that has the file open (`fuser FILE`), such as a backup,"
            " a shell or a stopped process. Only moorage should write to the file.",
        )

    def create(self) -> None:
        """Create the file, unless another process creates it first."""
        try:
            with self._exclusive_creation():
                if os.path.lexists(self.path):
                    return
                for name in (*_JOURNALS, _NEW_FILE_SUFFIX):
                    Path(self.path + name).unlink(missing_ok=True)
                os.close(
                    os.open(new_path := self.path + _NEW_FILE_SUFFIX, os.O_CREAT | os.O_EXCL, 0o600)
                )
                with self._link(new_path) as link:
                    link.run("PRAGMA synchronous = OFF")
                    self._migrate(link.run)
                    self._enable_wal(link.run)
                link.close()
                _flush(new_path)
                Path(new_path).rename(self.path)
        except BlockingIOError:
            raise DatabaseBusy from None
        except OSError as error:
            raise self._unreachable(error) from None

    @contextmanager
    def _exclusive_creation(self) -> Generator[None]:
        """Keep other processes from creating the file during the block, except on Windows."""
        if sys.platform == "win32":  # pragma: no cover - only on Windows
            yield
            return
        import fcntl  # noqa: PLC0415 - not on Windows

        directory = os.open(Path(self.path).parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(directory)

    def _unreachable(self, error: OSError) -> StorageUnavailable | ConfigurationError:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return ConfigurationError(
                f"{self.path}: the directory does not exist.",
                path="path",
                remedy="Create the directory; moorage creates the file in it.",
            )
        if is_exhaustion(error):
            return self._exhausted(error)
        return StorageUnavailable(
            f"{self.path}: the file cannot be reached ({error.strerror}).",
            remedy="Allow this process to read and write the file and its directory.",
        )

    def _exhausted(self, error: OSError) -> StorageUnavailable:
        return StorageUnavailable(
            f"{self.path}: the file cannot be reached ({error.strerror}).",
            remedy=EXHAUSTED_REMEDY,
        )

    def _version(self, run: Run) -> int:
        application = run("PRAGMA application_id").fetchone()[0]
        version: int = run("PRAGMA user_version").fetchone()[0]
        is_empty = not run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION and not (application == version == 0 and is_empty):
            raise ConfigurationError(
                f"{self.path} is a database of another program.",
                path="path",
                remedy="Use a separate file. The file need not exist yet.",
            )
        if version > len(MIGRATIONS):
            raise ConfigurationError(
                f"{self.path} has version {version}, but this release of moorage supports"
                f" versions up to {len(MIGRATIONS)}.",
                path="path",
                remedy="Upgrade moorage in this process too, or use another file.",
            )
        return version

    def _migrate(self, run: Run) -> None:
        """Update the schema of the file, unless another process updates it first."""
        run(f"PRAGMA page_size = {PAGE}")
        run("BEGIN IMMEDIATE")
        for step in MIGRATIONS[self._version(run) :]:
            for statement in step:
                run(statement)
        run(f"PRAGMA application_id = {APPLICATION}")
        run(f"PRAGMA user_version = {len(MIGRATIONS)}")
        run("COMMIT")

    def _enable_wal(self, run: Run) -> None:
        """Enable write-ahead logging, so that others can read while one connection writes."""
        if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise ConfigurationError(
                f"{self.path}: processes cannot share files on this file system.",
                path="path",
                remedy="Use a file on a local disk of this machine.",
            )


def _flush(path: str) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)
