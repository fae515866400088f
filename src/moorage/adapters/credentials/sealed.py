"""Encrypted credentials in a table of the application.

A host with its own database provides the table (`SealedRows`). Encryption, renewal and the change
of keys work as in every other provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.credentials._sealed_operations import AsyncSealedOperations, SealedOperations
from moorage.adapters.sealed._row import (
    BlockingRows,
    Row,
    SealedRows,
    TextReplacement,
    ThreadedRows,
)

if TYPE_CHECKING:
    from moorage.adapters.credentials._renewing import AsyncRenew, Renew
    from moorage.ports.cipher import Cipher

__all__ = [
    "AsyncSealedCredentialProvider",
    "Row",
    "SealedCredentialProvider",
    "SealedRows",
    "TextReplacement",
]


class SealedCredentialProvider(SealedOperations):
    """A credential provider that stores encrypted credentials in a table of the application.

    Two processes may renew the same credential concurrently; both then use the first result.

    Args:
        rows: the table.
        cipher: encrypts the stored credentials.
        renew: called with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One thread at a time calls it for a credential. Its
            result is dropped if the credential was replaced meanwhile.
    """

    def __init__(self, rows: SealedRows, cipher: Cipher, *, renew: Renew | None = None) -> None:
        super().__init__(BlockingRows(rows), cipher, renew)


class AsyncSealedCredentialProvider(AsyncSealedOperations):
    """The asynchronous `SealedCredentialProvider`; threads access the table.

    Args:
        rows: the table.
        cipher: encrypts the stored credentials.
        renew: awaited with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One task at a time awaits it for a credential. Its
            result is dropped if the credential was replaced meanwhile.
    """

    def __init__(
        self, rows: SealedRows, cipher: Cipher, *, renew: AsyncRenew | None = None
    ) -> None:
        super().__init__(ThreadedRows(rows), cipher, renew)
