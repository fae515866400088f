"""Sealed credentials in rows of some table, written once for every table and both colours.

1. A row holds who has a credential, and the credential sealed. Whoever reads rows or their backups
   learns the former only; whoever writes them cannot give one owner's to another.
2. Nothing is held while somebody renews. A credential is replaced only if its row is still the one
   that was read.
3. `reseal` puts everything under the key that seals now, a few rows at a time, while others read
   and write: a row that changed meanwhile is left as it is, for it was sealed just now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from moorage.adapters._renewing import checked, missing
from moorage.domain.durations import count
from moorage.domain.keeping import pack_credentials, unpack_credentials
from moorage.domain.packing import unpack_values
from moorage.domain.sealing import about
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters._renewing import Owner
    from moorage.domain.keeping import Kept
    from moorage.ports.cipher import Cipher

_NAME: Final = "credential"
_PAGE: Final = 500


class Row(NamedTuple):
    """What is stored: where that stands in the order of rows, what it is about, and the text."""

    place: bytes
    about: bytes
    sealed: bytes


class Swap(NamedTuple):
    """A text to be put in place of another, if that is still there."""

    about: bytes
    old: bytes
    new: bytes


class Rows(Protocol):
    """A table. What each verb does is one transaction, and durable when it is answered.

    `swap` says how many it put in place, `drop` whether it took anything away. `page` gives so many
    rows that stand after a place, in order; the empty place is before all.
    """

    async def find(self, about: bytes, /) -> bytes | None: ...

    async def put(self, about: bytes, sealed: bytes, /) -> None: ...

    async def swap(self, swaps: Sequence[Swap], /) -> int: ...

    async def page(self, after: bytes, size: int, /) -> Sequence[Row]: ...

    async def drop(self, about: bytes, /) -> bool: ...


class SealedVault:
    """Keeps credentials in rows, sealed for their owners."""

    def __init__(self, rows: Rows, cipher: Cipher) -> None:
        self._rows = rows
        self._cipher = cipher

    async def get(self, owner: Owner) -> Any:
        """What is current."""
        sealed = await self._rows.find(_key(owner))
        if sealed is None:
            raise missing(owner)
        return self._opened(owner, sealed)

    async def has(self, owner: Owner) -> bool:
        """Whether there is one."""
        return await self._rows.find(_key(owner)) is not None

    async def put(self, owner: Owner, new: Kept) -> None:
        """Keep a new one."""
        await self._rows.put(_key(owner), self._seal(owner, checked(new)))

    async def replace(self, owner: Owner, old: Kept, new: Kept) -> None:
        """Keep a new one, unless the old one has been replaced already."""
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
        """Whose credentials there are, in order; nothing is opened."""
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
