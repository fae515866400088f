"""Encrypted configurations of tenants in a SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.sealed._file import SealedFile
from moorage.adapters.sealed._row import BlockingRows, ThreadedRows
from moorage.adapters.tenants._sealed import (
    AsyncTenantOperations,
    SealedTenants,
    TenantOperations,
)

if TYPE_CHECKING:
    import os

    from moorage.ports.cipher import Cipher

_APPLICATION: Final = int.from_bytes(b"mrgt", "big")


class SqliteTenants(TenantOperations):
    """Encrypted configurations of tenants in a SQLite file, for all processes of a machine.

    Args:
        path: the path of a separate file. The first use creates it, for its owner only.
        cipher: encrypts the stored tables.
        timeout: the maximum number of seconds to wait for the lock of the file.
    """

    def __init__(
        self, path: str | os.PathLike[str], cipher: Cipher, *, timeout: float = 5.0
    ) -> None:
        file = SealedFile(path, timeout, _APPLICATION, "tenants")
        self._sealed = SealedTenants(BlockingRows(file), cipher)


class AsyncSqliteTenants(AsyncTenantOperations):
    """The asynchronous `SqliteTenants`; threads access the disk.

    Args:
        path: the path of a separate file. The first use creates it, for its owner only.
        cipher: encrypts the stored tables.
        timeout: the maximum number of seconds to wait for the lock of the file.
    """

    def __init__(
        self, path: str | os.PathLike[str], cipher: Cipher, *, timeout: float = 5.0
    ) -> None:
        file = SealedFile(path, timeout, _APPLICATION, "tenants")
        self._sealed = SealedTenants(ThreadedRows(file), cipher)
