"""Tenants in a SQLite file of their own, what each has sealed for it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.sealed._file import SealedFile
from moorage.adapters.tenants._sealed import SealedTenants

if TYPE_CHECKING:
    import os
    from collections.abc import Coroutine, Mapping

    from moorage.ports.cipher import Cipher

R = TypeVar("R")

_APPLICATION: Final = int.from_bytes(b"mrgt", "big")


class SqliteTenants:
    """Knows tenants from a SQLite file, sealed; several processes of a machine may share it.

    Args:
        path: of a file of its own, which is made for its owner only when it is first used.
        cipher: seals what is stored.
        timeout: for how many seconds to wait while others hold the file's lock.
    """

    def __init__(
        self, path: str | os.PathLike[str], cipher: Cipher, *, timeout: float = 5.0
    ) -> None:
        self._sealed = SealedTenants(SealedFile(path, timeout, _APPLICATION, "tenants"), cipher)

    def version(self, tenant: str, /) -> str | None:
        """Return a version that changes with the tables; None for an unknown tenant."""
        return run_now(self._sealed.version(tenant))

    def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the tables of a tenant; empty for an unknown tenant."""
        return run_now(self._sealed.tables(tenant))

    def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store the tables of a tenant in place of the earlier ones."""
        run_now(self._sealed.put(tenant, tables))

    def remove(self, tenant: str, /) -> None:
        """Delete a tenant."""
        run_now(self._sealed.remove(tenant))

    def clear(self) -> int:
        """Delete all tenants, and return their number."""
        return run_now(self._sealed.clear())


class AsyncSqliteTenants:
    """As `SqliteTenants`, awaited; threads wait for the disk.

    Args:
        path: of a file of its own, which is made for its owner only when it is first used.
        cipher: seals what is stored.
        timeout: for how many seconds to wait while others hold the file's lock.
    """

    def __init__(
        self, path: str | os.PathLike[str], cipher: Cipher, *, timeout: float = 5.0
    ) -> None:
        self._sealed = SealedTenants(SealedFile(path, timeout, _APPLICATION, "tenants"), cipher)

    async def version(self, tenant: str, /) -> str | None:
        """Return a version that changes with the tables; None for an unknown tenant."""
        return await _in_thread(self._sealed.version(tenant))

    async def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the tables of a tenant; empty for an unknown tenant."""
        return await _in_thread(self._sealed.tables(tenant))

    async def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store the tables of a tenant in place of the earlier ones."""
        await _in_thread(self._sealed.put(tenant, tables))

    async def remove(self, tenant: str, /) -> None:
        """Delete a tenant."""
        await _in_thread(self._sealed.remove(tenant))

    async def clear(self) -> int:
        """Delete all tenants, and return their number."""
        return await _in_thread(self._sealed.clear())


async def _in_thread(flow: Coroutine[Any, Any, R]) -> R:
    return await asyncio.to_thread(partial(run_now, flow))
