"""A file of SQLite's: made safely, opened alike by everybody, its schema brought up to date.

1. The file is made by us and not by SQLite: readable by its owner only, in a directory that is
   there, and never beside the journal of a file that was deleted. One process makes it, under
   another name, so that nobody sees it unfinished and nobody else waits for the disk.
2. What is not ours is not touched: neither another program's database nor a newer schema.
3. A connection waits for no lock (`Busy`), never moves the journal into the file on its own, and
   has the disk wait for nothing but that: who needs a commit on the disk asks for it.
4. Every failure of SQLite's is `StorageUnavailable`, and says what to do.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final

from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.adapters.databases._sqlite_time import Run

APPLICATION: Final = int.from_bytes(b"moor", "big")

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # With row numbers, so that a state which keeps its size is overwritten in its place.
        "CREATE TABLE state (key TEXT UNIQUE, value BLOB NOT NULL, until INTEGER NOT NULL)",
        "CREATE INDEX state_until ON state (until)",
        "CREATE TABLE clock (boot TEXT, origin INTEGER NOT NULL, latest INTEGER NOT NULL)",
    ),
)
"""What makes a file of each version one of the next; an empty file is of version 0."""

PAGE: Final = 2048

_JOURNALS: Final = ("-wal", "-shm", "-journal")
_NEW: Final = "-new"
_LONGEST_JOURNAL: Final = 64 << 20

_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_WORDS: Final = {
    sqlite3.SQLITE_FULL: ("its disk is full", "Make room on the disk; nothing was written."),
    sqlite3.SQLITE_READONLY: (
        "it may not be written",
        "Let this process write the file and the directory it is in.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "Let this process read and write the file and the directory it is in.",
    ),
    **dict.fromkeys(
        (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR),
        (
            "it is damaged, or is no file of moorage's",
            "Give moorage a file of its own; if this was one, move it away with its -wal and -shm.",
        ),
    ),
}
_OTHER: Final = ("it could not be read or written", "Check the disk that it is on.")


class Busy(Exception):
    """Somebody else has the lock just now."""


class Link:
    """A connection to the file; `run` runs a statement, and gives a cursor.

    It is used by one caller at a time. `stale` is set when it must not be used again. `identity`
    tells the file from another that has taken its place.
    """

    __slots__ = ("__weakref__", "connection", "identity", "open", "run", "stale")

    def __init__(self, connection: sqlite3.Connection, identity: object) -> None:
        self.connection = connection
        self.identity = identity
        self.run: Run = connection.cursor().execute
        self.stale = False
        self.open = True

    def undo(self) -> None:
        """Take back what was not committed; if that fails, never use it again."""
        try:
            if self.connection.in_transaction:
                self.connection.rollback()
        except sqlite3.Error:
            self.stale = True

    def close(self) -> None:
        """Close it, which takes back what was not committed."""
        self.stale = True
        self.connection.close()
        self.open = False

    __del__ = close


class StateFile:
    """Where the file is, and how to get at it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            text = os.fsdecode(path)
        except TypeError:
            text = ""
        if text in {"", ":memory:"} or "\0" in text:
            raise ConfigurationError(
                f"{path!r} is not the path of a file.",
                path="path",
                remedy="Give the path of a file of moorage's own, or use MemoryStorage.",
            )
        self.path = str(Path(text).absolute())

    def identity(self) -> tuple[int, int] | None:
        """Return the identity of the file that exists now; None if there is none."""
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
                remedy="Give the path of a file, which need not be there yet.",
            )
        return status.st_dev, status.st_ino

    def connect(self) -> Link:
        """A connection to the file as it should be; makes it and brings it up to date first."""
        identity = self.identity()
        if identity is None:
            self._make()
            identity = self.identity()
        with self._link(self.path, identity) as link:
            run = link.run
            if self._version(run) < len(MIGRATIONS):
                self._migrate(run)
            if run("PRAGMA journal_mode").fetchone()[0] != "wal":
                self._share(run)
            run("PRAGMA synchronous = NORMAL")
            run("PRAGMA wal_autocheckpoint = 0")
            run(f"PRAGMA journal_size_limit = {_LONGEST_JOURNAL}")
        return link

    @contextmanager
    def _link(self, path: str, identity: object = None) -> Generator[Link]:
        """A connection that stays open, unless something goes wrong."""
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

    def failure(self, error: Exception) -> Busy | StorageUnavailable:
        """Return our error for an error of SQLite."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF
        if code in _LOCKED:
            return Busy()
        what, remedy = _WORDS.get(code, _OTHER)
        return StorageUnavailable(f"{self.path}: {what} ({error}).", remedy=remedy)

    def locked(self) -> StorageUnavailable:
        """Return the error for a lock that another process has held for too long."""
        return StorageUnavailable(
            f"{self.path}: another process has held the lock on it for too long.",
            remedy="See who has it open (`fuser FILE`): a backup, a shell, a stopped process."
            " Nothing but moorage should write to it.",
        )

    def _make(self) -> None:
        """Make the file, unless somebody has done so meanwhile."""
        try:
            with self._alone():
                if os.path.lexists(self.path):
                    return
                for name in (*_JOURNALS, _NEW):
                    Path(self.path + name).unlink(missing_ok=True)
                os.close(os.open(new := self.path + _NEW, os.O_CREAT | os.O_EXCL, 0o600))
                with self._link(new) as link:
                    link.run("PRAGMA synchronous = OFF")
                    self._migrate(link.run)
                    self._share(link.run)
                link.close()
                _flush(new)
                Path(new).rename(self.path)
        except BlockingIOError:
            raise Busy from None
        except OSError as error:
            raise self._unreachable(error) from None

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Keep other processes from making the file; where files can be deleted while open."""
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
                f"{self.path}: there is no such directory.",
                path="path",
                remedy="Make the directory; moorage makes the file in it.",
            )
        return StorageUnavailable(
            f"{self.path}: it cannot be reached ({error.strerror}).",
            remedy="Let this process read and write the file and the directory it is in.",
        )

    def _version(self, run: Run) -> int:
        application = run("PRAGMA application_id").fetchone()[0]
        version: int = run("PRAGMA user_version").fetchone()[0]
        empty = not run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION and not (application == version == 0 and empty):
            raise ConfigurationError(
                f"{self.path} is another program's database.",
                path="path",
                remedy="Give moorage a file of its own, which need not be there yet.",
            )
        if version > len(MIGRATIONS):
            raise ConfigurationError(
                f"{self.path} is of version {version}, and this release of moorage knows versions"
                f" up to {len(MIGRATIONS)}.",
                path="path",
                remedy="Upgrade moorage here too; or give it another file.",
            )
        return version

    def _migrate(self, run: Run) -> None:
        """Bring the file up to date, unless somebody has done so meanwhile."""
        run(f"PRAGMA page_size = {PAGE}")
        run("BEGIN IMMEDIATE")
        for step in MIGRATIONS[self._version(run) :]:
            for statement in step:
                run(statement)
        run(f"PRAGMA application_id = {APPLICATION}")
        run(f"PRAGMA user_version = {len(MIGRATIONS)}")
        run("COMMIT")

    def _share(self, run: Run) -> None:
        """Give the file the journal that lets many use it."""
        if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise ConfigurationError(
                f"{self.path}: its file system cannot be shared between processes.",
                path="path",
                remedy="Put the file on a disk of this machine.",
            )


def _flush(path: str) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)
