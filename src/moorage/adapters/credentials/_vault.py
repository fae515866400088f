"""Encrypted credentials in the rows of a table.

1. A row contains the owner of a credential and the encrypted credential. A reader of rows or of
   their backups learns only the owners; a writer cannot assign a credential to another owner.
2. No lock is held during a renewal. A credential is replaced only if its row has not changed since
   it was read.
3. `reseal` re-encrypts all rows with the current key, a few at a time, while others read and write:
   a row that changed meanwhile is skipped, because it was just encrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.credentials._renewing import check_credential, missing_credential_error
from moorage.adapters.sealed._row import Rows, TextReplacement
from moorage.domain.auth.credential_codec import pack_credentials, unpack_credentials
from moorage.domain.state.packing import unpack_values
from moorage.domain.state.sealing import sealing_context
from moorage.domain.values.durations import count
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from moorage.adapters.credentials._renewing import Owner
    from moorage.domain.auth.credential_codec import AnyCredentials
    from moorage.ports.cipher import Cipher

_NAME: Final = "credential"
_PAGE: Final = 500


class SealedVault:
    """Encrypted credentials in table rows; a row can be decrypted only for its owner."""

    def __init__(self, rows: Rows, cipher: Cipher) -> None:
        self._rows = rows
        self._cipher = cipher

    async def get(self, owner: Owner) -> Any:
        """Return the current credentials of a service and tenant."""
        sealed_credentials = await self._rows.find(_key(owner))
        if sealed_credentials is None:
            raise missing_credential_error(owner)
        return self._unsealed(owner, sealed_credentials)

    async def has(self, owner: Owner) -> bool:
        """Return whether credentials of this service and tenant are stored."""
        return await self._rows.find(_key(owner)) is not None

    async def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials of a service and tenant."""
        await self._rows.put(_key(owner), self._seal(owner, check_credential(new)))

    async def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace stale credentials, unless another caller has already replaced them."""
        key = _key(owner)
        sealed_credentials = await self._rows.find(key)
        while sealed_credentials is not None and self._unsealed(owner, sealed_credentials) == old:
            if await self._rows.swap(
                [TextReplacement(key, sealed_credentials, self._seal(owner, new))]
            ):
                return
            sealed_credentials = await self._rows.find(key)

    async def reseal(self, batch: int) -> int:
        """Re-encrypt all credentials with the current key, and return the number of changed ones.

        Raises:
            ConnectorError: a credential could not be decrypted; all others are re-encrypted.
        """
        batch = count(batch, "batch")
        resealed_count, last_place = 0, b""
        failure: ConnectorError | None = None
        while rows := await self._rows.page(last_place, batch):
            last_place = rows[-1].place
            swaps: list[TextReplacement] = []
            for _, key, sealed_credentials in rows:
                try:
                    if self._cipher.needs_rotation(sealed_credentials):
                        resealed_credentials = self._cipher.seal(
                            self._cipher.open(sealed_credentials, key), key
                        )
                        swaps.append(TextReplacement(key, sealed_credentials, resealed_credentials))
                except ConnectorError as error:
                    failure = failure or error
            if swaps:
                resealed_count += await self._rows.swap(swaps)
        if failure is not None:
            raise failure
        return resealed_count

    async def owners(self) -> list[Owner]:
        """Return the services and tenants with credentials, in order, without decrypting."""
        owners: list[Owner] = []
        last_place = b""
        while rows := await self._rows.page(last_place, _PAGE):
            last_place = rows[-1].place
            for row in rows:
                tenant, service, _ = unpack_values(row.about)
                owners.append((service, tenant))
        return sorted(owners, key=lambda owner: (owner[0], owner[1] or ""))

    async def forget(self, owner: Owner) -> bool:
        """Delete the credentials of a service and tenant; return whether there were any."""
        return await self._rows.drop(_key(owner))

    async def clear(self) -> int:
        """Delete all credentials, and return their number."""
        return await self._rows.clear()

    def _seal(self, owner: Owner, credentials: AnyCredentials) -> bytes:
        return self._cipher.seal(pack_credentials(credentials), _key(owner))

    def _unsealed(self, owner: Owner, sealed: bytes) -> AnyCredentials:
        return unpack_credentials(self._cipher.open(sealed, _key(owner)))


def _key(owner: Owner) -> bytes:
    service, tenant = owner
    return sealing_context(tenant, service, _NAME)
