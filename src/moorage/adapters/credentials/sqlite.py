"""A separate SQLite file of credentials, each encrypted for its own service and tenant.

Each operation opens and closes a connection, so a fork shares none. Use a cache in front of it.
Written credentials are on disk before an operation returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.credentials._sealed_operations import AsyncSealedOperations, SealedOperations
from moorage.adapters.sealed._file import SealedFile
from moorage.adapters.sealed._row import BlockingRows, ThreadedRows

if TYPE_CHECKING:
    import os

    from moorage.adapters.credentials._renewing import AsyncRenew, Renew
    from moorage.ports.cipher import Cipher

_APPLICATION: Final = int.from_bytes(b"mrgc", "big")


class SqliteCredentialProvider(SealedOperations):
    """Encrypted credentials in a SQLite file, for all processes of a machine.

    Two processes may renew the same credential concurrently; both then use the first result.

    Args:
        path: the path of a separate file. The first use creates it, for its owner only.
        cipher: encrypts the stored credentials.
        renew: called with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One thread at a time calls it for a credential. Its
            result is dropped if the credential was replaced meanwhile.
        timeout: the maximum number of seconds to wait for the lock of the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cipher: Cipher,
        *,
        renew: Renew | None = None,
        timeout: float = 5.0,
    ) -> None:
        file = SealedFile(path, timeout, _APPLICATION, "credentials")
        super().__init__(BlockingRows(file), cipher, renew)


class AsyncSqliteCredentialProvider(AsyncSealedOperations):
    """The asynchronous `SqliteCredentialProvider`; threads access the disk.

    Args:
        path: the path of a separate file. The first use creates it, for its owner only.
        cipher: encrypts the stored credentials.
        renew: awaited with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One task at a time awaits it for a credential. Its
            result is dropped if the credential was replaced meanwhile.
        timeout: the maximum number of seconds to wait for the lock of the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cipher: Cipher,
        *,
        renew: AsyncRenew | None = None,
        timeout: float = 5.0,
    ) -> None:
        file = SealedFile(path, timeout, _APPLICATION, "credentials")
        super().__init__(ThreadedRows(file), cipher, renew)
