"""Credentials in a SQLite file of their own, each sealed for its service and tenant.

A connection is opened for each use and closed after it, so nothing of it crosses a fork. Put a
cache in front. What is written is on the disk before it is answered.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.credentials._renewing import AsyncRenewing, Renewing
from moorage.adapters.credentials._vault import SealedVault
from moorage.adapters.credentials._vaults import PlainVault, ThreadedVault
from moorage.adapters.sealed._file import SealedFile

if TYPE_CHECKING:
    import os

    from moorage.adapters.credentials._renewing import AsyncRenew, Renew
    from moorage.ports.cipher import Cipher

_APPLICATION: Final = int.from_bytes(b"mrgc", "big")


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
        self._rows = SealedFile(path, timeout, _APPLICATION, "credentials")
        self._sealed = SealedVault(self._rows, cipher)
        super().__init__(PlainVault(self._sealed), renew)

    def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return run_now(self._sealed.reseal(batch))

    def owners(self) -> list[tuple[str, str | None]]:
        """The services and tenants whose credentials are stored, in order; nothing is opened."""
        return run_now(self._sealed.owners())

    def delete(self, service: str, tenant: str | None, /) -> bool:
        """Forget what is stored for this service and tenant, and say whether there was anything."""
        return run_now(self._sealed.forget((service, tenant)))

    def clear(self) -> int:
        """Take every credential away, and say how many that were."""
        return run_now(self._rows.clear())


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
        self._rows = SealedFile(path, timeout, _APPLICATION, "credentials")
        self._sealed = SealedVault(self._rows, cipher)
        super().__init__(ThreadedVault(self._sealed), renew)

    async def reseal(self, *, batch: int = 100) -> int:
        """Seal anew what another key has sealed than seals now, and say how many that were.

        Others may read and write meanwhile. Credentials that cannot be opened are left as they
        are, and when all others are done, the first failure is raised.
        """
        return await asyncio.to_thread(run_now, self._sealed.reseal(batch))

    async def owners(self) -> list[tuple[str, str | None]]:
        """The services and tenants whose credentials are stored, in order; nothing is opened."""
        return await asyncio.to_thread(run_now, self._sealed.owners())

    async def delete(self, service: str, tenant: str | None, /) -> bool:
        """Forget what is stored for this service and tenant, and say whether there was anything."""
        return await asyncio.to_thread(run_now, self._sealed.forget((service, tenant)))

    async def clear(self) -> int:
        """Take every credential away, and say how many that were."""
        return await asyncio.to_thread(run_now, self._rows.clear())
