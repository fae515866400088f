"""Credentials in a SQLite file of their own, each sealed for its service and tenant.

A connection is opened for each use and closed after it, so nothing of it crosses a fork. Put a
cache in front. What is written is on the disk before it is answered.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mooring.adapters._plain import PlainVault, ThreadedVault, run_now
from mooring.adapters._renewing import AsyncRenewing, Renewing
from mooring.adapters._sealed_vault import Row, SealedVault
from mooring.domain.durations import seconds
from mooring.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from mooring.adapters._renewing import AsyncRenew, Renew
    from mooring.adapters._sealed_vault import Swap
    from mooring.ports.cipher import Cipher

_APPLICATION: Final = int.from_bytes(b"mrgc", "big")
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS credential (about BLOB PRIMARY KEY, sealed BLOB NOT NULL)"
    " WITHOUT ROWID"
)
_GET: Final = "SELECT sealed FROM credential WHERE about = ?"
_PUT: Final = "INSERT OR REPLACE INTO credential (about, sealed) VALUES (?, ?)"
_SWAP: Final = "UPDATE credential SET sealed = ? WHERE about = ? AND sealed = ?"
_PAGE: Final = "SELECT about, sealed FROM credential WHERE about > ? ORDER BY about LIMIT ?"


class _Table:
    """The rows in the file; whoever asks for them is blocked."""

    def __init__(self, path: str | os.PathLike[str], timeout: float) -> None:
        self.path = Path(path).absolute()
        self._timeout = seconds(timeout, "timeout")

    async def find(self, about: bytes, /) -> bytes | None:
        """What is sealed about this."""
        with self._linked() as link:
            row = link.execute(_GET, (about,)).fetchone()
        return None if row is None else row[0]

    async def put(self, about: bytes, sealed: bytes, /) -> None:
        """Put a text in place."""
        with self._linked() as link:
            link.execute(_PUT, (about, sealed))

    async def swap(self, swaps: Sequence[Swap], /) -> int:
        """Put texts in place of others that are still there."""
        with self._linked() as link:
            given = [(swap.new, swap.about, swap.old) for swap in swaps]
            return link.executemany(_SWAP, given).rowcount

    async def page(self, after: bytes, size: int, /) -> list[Row]:
        """So many rows, in the order of what they are about."""
        with self._linked() as link:
            found = link.execute(_PAGE, (after, size)).fetchall()
        return [Row(about, about, sealed) for about, sealed in found]

    @contextmanager
    def _linked(self) -> Generator[sqlite3.Connection]:
        """A connection, what is done with which is one transaction."""
        try:
            # Made by us, so that nobody else may read it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            uri = f"{self.path.as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=self._timeout)) as link, link:
                self._prepare(link)
                yield link
        except (OSError, sqlite3.Error) as error:
            raise StorageUnavailable(
                f"{self.path}: the credentials cannot be reached ({error}).",
                remedy="Let this process read and write the file and its directory; if the file is"
                " locked, see who holds it.",
            ) from None

    def _prepare(self, link: sqlite3.Connection) -> None:
        if _application(link) == _APPLICATION:
            return
        link.execute("BEGIN IMMEDIATE")
        found = _application(link)
        empty = not link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if found != _APPLICATION:
            if found or not empty:
                raise ConfigurationError(
                    f"{self.path} is another database, and not one of credentials.",
                    path="path",
                    remedy="Give the credentials a file of their own, which need not be there yet.",
                )
            link.execute(_TABLE)
            link.execute(f"PRAGMA application_id = {_APPLICATION}")
        link.execute("COMMIT")


class SqliteCredentialProvider(Renewing):
    """Keeps credentials in a SQLite file, sealed; several processes of a machine may share it.

    Two processes may renew the same credential at once; what came first is kept by both.

    Args:
        path: of a file of its own, which is made for its owner only when it is first used.
        cipher: seals what is stored.
        renew: asked for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It is called by one thread at a time for each credential.
            Its result is dropped if the credential was replaced meanwhile.
        timeout: for how many seconds to wait while others hold the file's lock.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cipher: Cipher,
        *,
        renew: Renew | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._sealed = SealedVault(_Table(path, timeout), cipher)
        super().__init__(PlainVault(self._sealed), renew)

    def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return run_now(self._sealed.reseal(batch))


class AsyncSqliteCredentialProvider(AsyncRenewing):
    """As `SqliteCredentialProvider`, awaited; threads wait for the disk.

    Args:
        path: of a file of its own, which is made for its owner only when it is first used.
        cipher: seals what is stored.
        renew: awaited for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It runs in one task at a time for each credential. Its
            result is dropped if the credential was replaced meanwhile.
        timeout: for how many seconds to wait while others hold the file's lock.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cipher: Cipher,
        *,
        renew: AsyncRenew | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._sealed = SealedVault(_Table(path, timeout), cipher)
        super().__init__(ThreadedVault(self._sealed), renew)

    async def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return await asyncio.to_thread(run_now, self._sealed.reseal(batch))


def _application(link: sqlite3.Connection) -> int:
    found: int = link.execute("PRAGMA application_id").fetchone()[0]
    return found
