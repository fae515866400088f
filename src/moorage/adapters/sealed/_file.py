"""Sealed texts in a SQLite file of their own.

A connection is opened for each use and closed after it, so nothing of it crosses a fork. What is
written is on the disk before it is answered.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Final

from moorage.adapters.sealed._row import Row
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from moorage.adapters.sealed._row import Swap

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS credential (about BLOB PRIMARY KEY, sealed BLOB NOT NULL)"
    " WITHOUT ROWID"
)
_GET: Final = "SELECT sealed FROM credential WHERE about = ?"
_PUT: Final = "INSERT OR REPLACE INTO credential (about, sealed) VALUES (?, ?)"
_DROP: Final = "DELETE FROM credential WHERE about = ?"
_CLEAR: Final = "DELETE FROM credential"
_SWAP: Final = "UPDATE credential SET sealed = ? WHERE about = ? AND sealed = ?"
_PAGE: Final = "SELECT about, sealed FROM credential WHERE about > ? ORDER BY about LIMIT ?"


class SealedFile:
    """The rows in a file; whoever asks for them is blocked.

    Args:
        path: where it is.
        timeout: for how many seconds to wait while others hold its lock.
        application: what tells such files from others.
        what: what is sealed in it.
    """

    def __init__(
        self, path: str | os.PathLike[str], timeout: float, application: int, what: str
    ) -> None:
        self.path = Path(path).absolute()
        self._timeout = seconds(timeout, "timeout")
        self._application = application
        self._what = what

    async def find(self, about: bytes, /) -> bytes | None:
        """Return the sealed text of this id; None if there is none."""
        with self._linked() as link:
            row = link.execute(_GET, (about,)).fetchone()
        return None if row is None else row[0]

    async def put(self, about: bytes, sealed: bytes, /) -> None:
        """Store a sealed text."""
        with self._linked() as link:
            link.execute(_PUT, (about, sealed))

    async def swap(self, swaps: Sequence[Swap], /) -> int:
        """Replace texts that have not changed, and return their number."""
        with self._linked() as link:
            given = [(swap.new, swap.about, swap.old) for swap in swaps]
            return link.executemany(_SWAP, given).rowcount

    async def drop(self, about: bytes, /) -> bool:
        """Delete the sealed text of this id, and return whether there was one."""
        with self._linked() as link:
            return bool(link.execute(_DROP, (about,)).rowcount)

    async def clear(self) -> int:
        """Delete all rows, and return their number."""
        with self._linked() as link:
            return link.execute(_CLEAR).rowcount

    async def page(self, after: bytes, size: int, /) -> list[Row]:
        """Return up to `size` rows after an id, in order."""
        with self._linked() as link:
            found = link.execute(_PAGE, (after, size)).fetchall()
        return [Row(about, about, sealed) for about, sealed in found]

    @contextmanager
    def _linked(self) -> Generator[sqlite3.Connection]:
        """Yield a connection; the block is one transaction."""
        try:
            self._make()
            uri = f"{self.path.as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=self._timeout)) as link, link:
                self._prepare(link)
                yield link
        except (OSError, sqlite3.Error) as error:
            raise StorageUnavailable(
                f"{self.path}: the {self._what} cannot be reached ({error}).",
                remedy="Let this process read and write the file and its directory; if the file is"
                " locked, see who holds it.",
            ) from None

    def _make(self) -> None:
        """Make the file if it is not there: empty, and its owner's only.

        One that is there is not even opened, for closing it would end each lock that any thread of
        this process has on it. So it takes its name when it is closed already.
        """
        if self.path.exists():
            return
        place = self.path.resolve()
        number, name = mkstemp(dir=place.parent, prefix=f".{place.name}-")
        os.close(number)
        try:
            with suppress(FileExistsError):  # somebody was quicker
                os.link(name, place)
        finally:
            Path(name).unlink()

    def _prepare(self, link: sqlite3.Connection) -> None:
        if _application(link) == self._application:
            return
        link.execute("BEGIN IMMEDIATE")
        found = _application(link)
        empty = not link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if found != self._application:
            if found or not empty:
                raise ConfigurationError(
                    f"{self.path} is another database, and not one of {self._what}.",
                    path="path",
                    remedy=f"Give the {self._what} a file of their own, which need not be there"
                    " yet.",
                )
            link.execute(_TABLE)
            link.execute(f"PRAGMA application_id = {self._application}")
        link.execute("COMMIT")


def _application(link: sqlite3.Connection) -> int:
    found: int = link.execute("PRAGMA application_id").fetchone()[0]
    return found
