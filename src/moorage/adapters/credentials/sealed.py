"""Credentials in a table of the host's, each sealed for its service and tenant.

A host that has a database of its own gives the table (`SealedRows`); what is sealed, for whom, and
how it is renewed and sealed anew is the same as everywhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.credentials._renewing import AsyncRenewing, Renewing
from moorage.adapters.credentials._vault import SealedVault
from moorage.adapters.credentials._vaults import PlainVault, ThreadedVault
from moorage.adapters.sealed._row import Row, Swap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.credentials._renewing import AsyncRenew, Renew
    from moorage.ports.cipher import Cipher

__all__ = ["AsyncSealedCredentialProvider", "Row", "SealedCredentialProvider", "SealedRows", "Swap"]


class SealedRows(Protocol):
    """A table of sealed texts. Each verb is one transaction, durable when it is answered.

    A row is found by what its text is about, which a digest may stand for. All that the verbs raise
    is `StorageUnavailable`, or `ConfigurationError` where there is no table. They may block.
    """

    def find(self, about: bytes, /) -> bytes | None:
        """The text that is about this, if there is one."""
        ...

    def put(self, about: bytes, sealed: bytes, /) -> None:
        """Put a text in place, whether one was there or not."""
        ...

    def swap(self, swaps: Sequence[Swap], /) -> int:
        """Replace each `old` that is still there by `new`, and say how many those were."""
        ...

    def page(self, after: bytes, size: int, /) -> Sequence[Row]:
        """So many rows that stand after a place, in order; the empty place is before all."""
        ...

    def drop(self, about: bytes, /) -> bool:
        """Take away the text that is about this, and say whether there was one."""
        ...


class _Blocking:
    """Rows as flows ask for them; whoever asks is blocked."""

    def __init__(self, rows: SealedRows) -> None:
        self._rows = rows

    async def find(self, about: bytes, /) -> bytes | None:
        return self._rows.find(about)

    async def put(self, about: bytes, sealed: bytes, /) -> None:
        self._rows.put(about, sealed)

    async def swap(self, swaps: Sequence[Swap], /) -> int:
        return self._rows.swap(swaps)

    async def page(self, after: bytes, size: int, /) -> Sequence[Row]:
        return self._rows.page(after, size)

    async def drop(self, about: bytes, /) -> bool:
        return self._rows.drop(about)


class SealedCredentialProvider(Renewing):
    """Keeps credentials in rows of the host's, sealed.

    Two processes may renew the same credential at once; what came first is kept by both.

    Args:
        rows: the table.
        cipher: seals what is stored.
        renew: asked for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It is called by one thread at a time for each credential.
            Its result is dropped if the credential was replaced meanwhile.
    """

    def __init__(self, rows: SealedRows, cipher: Cipher, *, renew: Renew | None = None) -> None:
        self._sealed = SealedVault(_Blocking(rows), cipher)
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


class AsyncSealedCredentialProvider(AsyncRenewing):
    """As `SealedCredentialProvider`, awaited; threads wait for the rows, which are plain here too.

    Args:
        rows: the table.
        cipher: seals what is stored.
        renew: awaited for a new credential with the service, the tenant and the stale one; without
            it nothing can be refreshed. It runs in one task at a time for each credential. Its
            result is dropped if the credential was replaced meanwhile.
    """

    def __init__(
        self, rows: SealedRows, cipher: Cipher, *, renew: AsyncRenew | None = None
    ) -> None:
        self._sealed = SealedVault(_Blocking(rows), cipher)
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
