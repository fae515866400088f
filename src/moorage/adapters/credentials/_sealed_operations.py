"""The operations of a credential provider that stores encrypted credentials in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.credentials._renewing import AsyncCredentialRenewal, CredentialRenewal
from moorage.adapters.credentials._vault import SealedVault
from moorage.adapters.credentials._vaults import PlainVault

if TYPE_CHECKING:
    from moorage.adapters.credentials._renewing import AsyncRenew, Renew
    from moorage.adapters.sealed._row import Rows
    from moorage.ports.cipher import Cipher


class SealedOperations(CredentialRenewal):
    """A synchronous provider of credentials that are stored encrypted in a table."""

    def __init__(self, rows: Rows, cipher: Cipher, renew: Renew | None) -> None:
        self._sealed = SealedVault(rows, cipher)
        super().__init__(PlainVault(self._sealed), renew)

    def reseal(self, *, batch: int = 100) -> int:
        """Re-encrypt credentials that were encrypted with an older key, and return their number.

        Other processes may read and write meanwhile. Credentials that cannot be decrypted remain
        unchanged, and the first failure is raised after all others are done.
        """
        return run_now(self._sealed.reseal(batch))

    def owners(self) -> list[tuple[str, str | None]]:
        """Return the services and tenants with stored credentials, in order, without decrypting."""
        return run_now(self._sealed.owners())

    def delete(self, service: str, tenant: str | None, /) -> bool:
        """Delete the credentials of a service and tenant, and return whether there were any."""
        return run_now(self._sealed.forget((service, tenant)))

    def clear(self) -> int:
        """Delete all credentials, and return their number."""
        return run_now(self._sealed.clear())


class AsyncSealedOperations(AsyncCredentialRenewal):
    """The asynchronous `SealedOperations`."""

    def __init__(self, rows: Rows, cipher: Cipher, renew: AsyncRenew | None) -> None:
        self._sealed = SealedVault(rows, cipher)
        super().__init__(self._sealed, renew)

    async def reseal(self, *, batch: int = 100) -> int:
        """Re-encrypt credentials that were encrypted with an older key, and return their number.

        Other processes may read and write meanwhile. Credentials that cannot be decrypted remain
        unchanged, and the first failure is raised after all others are done.
        """
        return await self._sealed.reseal(batch)

    async def owners(self) -> list[tuple[str, str | None]]:
        """Return the services and tenants with stored credentials, in order, without decrypting."""
        return await self._sealed.owners()

    async def delete(self, service: str, tenant: str | None, /) -> bool:
        """Delete the credentials of a service and tenant, and return whether there were any."""
        return await self._sealed.forget((service, tenant))

    async def clear(self) -> int:
        """Delete all credentials, and return their number."""
        return await self._sealed.clear()
