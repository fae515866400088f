"""Encrypted strings in a separate SQLite file.

Each operation opens and closes a connection, so a fork shares none. Written data is on disk before
an operation returns.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.databases._table_definition import TableDefinition
from moorage.adapters.sealed._row import Row
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from moorage.adapters.sealed._row import TextReplacement

_TABLE: Final = TableDefinition(
    "sqlite",
    "credential",
    "credential",
    {"about": "BLOB PRIMARY KEY", "sealed": "BLOB NOT NULL"},
    options=" WITHOUT ROWID",
)
_VERSION: Final = 1
"""The version of the table in new files, to be increased with each new column."""

_GET: Final = "SELECT sealed FROM credential WHERE about = ?"
_PUT: Final = "INSERT OR REPLACE INTO credential (about, sealed) VALUES (?, ?)"
_DELETE_ONE: Final = "DELETE FROM credential WHERE about = ?"
_DELETE_ALL: Final = "DELETE FROM credential"
_SWAP: Final = "UPDATE credential SET sealed = ? WHERE about = ? AND sealed = ?"
_PAGE: Final = "SELECT about, sealed FROM credential WHERE about > ? ORDER BY about LIMIT ?"


class SealedFile:
    """A SQLite file with encrypted strings in its rows.

    Args:
        path: the path of the file.
        timeout: the seconds to wait for the file's lock.
        application: the SQLite application id that identifies such files.
        what: the kind of content, for messages.
    """

    def __init__(
        self, path: str | os.PathLike[str], timeout: float, application: int, what: str
    ) -> None:
        self.path = Path(path).absolute()
        self._timeout = seconds(timeout, "timeout")
        self._application = application
        self._what = what

    def find(self, about: bytes, /) -> bytes | None:
        """Return the encrypted string with this id; None if there is none."""
        with self._transaction() as link:
            row = link.execute(_GET, (about,)).fetchone()
        return None if row is None else row[0]

    def put(self, about: bytes, sealed: bytes, /) -> None:
        """Store an encrypted string."""
        with self._transaction() as link:
            link.execute(_PUT, (about, sealed))

    def swap(self, swaps: Sequence[TextReplacement], /) -> int:
        """Replace each string that still has its old value; return the number of replacements."""
        with self._transaction() as link:
            parameters = [(swap.new, swap.about, swap.old) for swap in swaps]
            return link.executemany(_SWAP, parameters).rowcount

    def drop(self, about: bytes, /) -> bool:
        """Delete the encrypted string with this id; return whether it existed."""
        with self._transaction() as link:
            return bool(link.execute(_DELETE_ONE, (about,)).rowcount)

    def clear(self) -> int:
        """Delete all rows, and return their number."""
        with self._transaction() as link:
            return link.execute(_DELETE_ALL).rowcount

    def page(self, after: bytes, size: int, /) -> list[Row]:
        """Return at most `size` rows that follow this id in the table's order."""
        with self._transaction() as link:
            selected_rows = link.execute(_PAGE, (after, size)).fetchall()
        return [Row(subject, subject, sealed_text) for subject, sealed_text in selected_rows]

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Yield a connection for one transaction."""
        try:
            self._create_file()
            uri = f"{self.path.as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=self._timeout)) as link, link:
                self._prepare(link)
                yield link
        except (OSError, sqlite3.Error) as error:
            # The message of an OSError would name a temporary file.
            reason = error.strerror if isinstance(error, OSError) else error
            raise StorageUnavailable(
                f"The {self._what} in {self.path} cannot be reached ({reason}).",
                remedy="Let this process read and write the file and its folder. If the file"
                " is locked, check which process holds the lock.",
            ) from None

    def _create_file(self) -> None:
        """Create the file if it is missing, accessible to its owner only.

        An existing file is not opened, because closing it would release the locks of all threads of
        this process. So a new file gets its name after it was closed.
        """
        if self.path.exists():
            return
        place = self.path.resolve()
        number, name = mkstemp(dir=place.parent, prefix=f".{place.name}-")
        os.close(number)
        try:
            with suppress(FileExistsError):  # another process created it first
                os.link(name, place)
        finally:
            Path(name).unlink()

    def _prepare(self, link: sqlite3.Connection) -> None:
        application, version = _file_identity(link)
        if application == self._application and version >= _VERSION:
            return
        link.execute("BEGIN IMMEDIATE")
        application, version = _file_identity(link)
        is_empty = not link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != self._application or version < _VERSION:
            if application != self._application and (application or not is_empty):
                raise ConfigurationError(
                    f"The file {self.path} is a database with other content, and cannot store"
                    f" {self._what}.",
                    path="path",
                    remedy=f"Use a separate file for the {self._what}. The file need not exist"
                    " yet.",
                )

            async def run(statement: str) -> list[Any]:
                return link.execute(statement).fetchall()

            run_now(_TABLE.create(run))
            link.execute(f"PRAGMA application_id = {self._application}")
            link.execute(f"PRAGMA user_version = {_VERSION}")
        link.execute("COMMIT")


def _file_identity(link: sqlite3.Connection) -> tuple[int, int]:
    """Return the application id and version in the header of a file."""
    query = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"
    application, version = link.execute(query).fetchone()
    return application, version
