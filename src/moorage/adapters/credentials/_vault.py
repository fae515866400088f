"""Encrypted credentials in the rows of a table, for any table, synchronous or asynchronous.

1. A row holds who has a credential, and the credential sealed. Whoever reads rows or their backups
   learns the former only; whoever writes them cannot give one owner's to another.
2. Nothing is held while somebody renews. A credential is replaced only if its row is still the one
   that was read.
3. `reseal` puts everything under the key that seals now, a few rows at a time, while others read
   and write: a row that changed meanwhile is left as it is, for it was sealed just now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.credentials._renewing import checked, missing
from moorage.adapters.sealed._row import Rows, Swap
from moorage.domain.auth.keeping import pack_credentials, unpack_credentials
from moorage.domain.state.packing import unpack_values
from moorage.domain.state.sealing import about
from moorage.domain.values.durations import count
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from moorage.adapters.credentials._renewing import Owner
    from moorage.domain.auth.keeping import Kept
    from moorage.ports.cipher import Cipher

_NAME: Final = "credential"
_PAGE: Final = 500


class SealedVault:
    """Keeps credentials in rows, sealed for their owners."""

    def __init__(self, rows: Rows, cipher: Cipher) -> None:
        self._rows = rows
        self._cipher = cipher

    async def get(self, owner: Owner) -> Any:
        """Return the current credentials."""
        sealed = await self._rows.find(_key(owner))
        if sealed is None:
            raise missing(owner)
        return self._opened(owner, sealed)

    async def has(self, owner: Owner) -> bool:
        """Return whether there are credentials."""
        return await self._rows.find(_key(owner)) is not None

    async def put(self, owner: Owner, new: Kept) -> None:
        """Store new credentials."""
        await self._rows.put(_key(owner), self._seal(owner, checked(new)))

    async def replace(self, owner: Owner, old: Kept, new: Kept) -> None:
        """Store new credentials, unless the old ones have been replaced already."""
        key = _key(owner)
        sealed = await self._rows.find(key)
        while sealed is not None and self._opened(owner, sealed) == old:
            if await self._rows.swap([Swap(key, sealed, self._seal(owner, new))]):
                return
            sealed = await self._rows.find(key)

    async def reseal(self, batch: int) -> int:
        """Put all under the key that seals now, and say how many were not.

        Raises:
            ConnectorError: one could not be opened; all the others are sealed anew.
        """
        batch = count(batch, "batch")
        resealed, last = 0, b""
        failure: ConnectorError | None = None
        while rows := await self._rows.page(last, batch):
            last = rows[-1].place
            swaps: list[Swap] = []
            for _, key, sealed in rows:
                try:
                    if self._cipher.needs_rotation(sealed):
                        anew = self._cipher.seal(self._cipher.open(sealed, key), key)
                        swaps.append(Swap(key, sealed, anew))
                except ConnectorError as error:
                    failure = failure or error
            if swaps:
                resealed += await self._rows.swap(swaps)
        if failure is not None:
            raise failure
        return resealed

    async def owners(self) -> list[Owner]:
        """Return the owners of credentials, in order, without decrypting."""
        owners: list[Owner] = []
        last = b""
        while rows := await self._rows.page(last, _PAGE):
            last = rows[-1].place
            for row in rows:
                tenant, service, _ = unpack_values(row.about)
                owners.append((service, tenant))
        return sorted(owners, key=lambda owner: (owner[0], owner[1] or ""))

    async def forget(self, owner: Owner) -> bool:
        """Keep nothing of this owner, and say whether there was anything."""
        return await self._rows.drop(_key(owner))

    def _seal(self, owner: Owner, kept: Kept) -> bytes:
        return self._cipher.seal(pack_credentials(kept), _key(owner))

    def _opened(self, owner: Owner, sealed: bytes) -> Kept:
        return unpack_credentials(self._cipher.open(sealed, _key(owner)))


def _key(owner: Owner) -> bytes:
    service, tenant = owner
    return about(tenant, service, _NAME)
