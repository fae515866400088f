"""Tenants' configurations, encrypted in the rows of a table.

The configuration of a tenant is one string of JSON. It is encrypted anew each time it is stored, so
the encrypted string identifies the version without being decrypted.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency._plain import run_now
from moorage.domain.state.keys import checked_name
from moorage.domain.state.sealing import sealing_context
from moorage.domain.state.tenant_tables import pack_tables, unpack_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.sealed._row import Rows
    from moorage.ports.cipher import Cipher

_SERVICE: Final = "accounts"
_NAME: Final = "tables"


class SealedTenants:
    """Encrypted configurations of tenants; each can be decrypted only for its own tenant."""

    def __init__(self, rows: Rows, cipher: Cipher) -> None:
        self._rows = rows
        self._cipher = cipher

    async def version(self, tenant: str) -> str | None:
        """Return a hash of a tenant's stored configuration; None for an unknown tenant."""
        sealed_row = await self._rows.find(_binding_of(tenant))
        return None if sealed_row is None else sha256(sealed_row).hexdigest()[:32]

    async def tables(self, tenant: str) -> Mapping[str, Any]:
        """Return the configuration of a tenant; empty for an unknown tenant."""
        key = _binding_of(tenant)
        sealed_row = await self._rows.find(key)
        return {} if sealed_row is None else unpack_tables(self._cipher.open(sealed_row, key))

    async def put(self, tenant: str, tables: Mapping[str, Any]) -> None:
        """Store a tenant's configuration, replacing an earlier one."""
        key = _binding_of(tenant)
        await self._rows.put(key, self._cipher.seal(pack_tables(tables), key))

    async def remove(self, tenant: str) -> None:
        """Delete the configuration of a tenant."""
        await self._rows.drop(_binding_of(tenant))

    async def clear(self) -> int:
        """Delete the configurations of all tenants, and return their number."""
        return await self._rows.clear()


class TenantOperations:
    """The synchronous operations on tenants' configurations."""

    _sealed: SealedTenants

    def version(self, tenant: str, /) -> str | None:
        """Return a string that changes with the configuration; None for an unknown tenant."""
        return run_now(self._sealed.version(tenant))

    def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the configuration of a tenant; empty for an unknown tenant."""
        return run_now(self._sealed.tables(tenant))

    def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store a tenant's configuration, replacing an earlier one."""
        run_now(self._sealed.put(tenant, tables))

    def remove(self, tenant: str, /) -> None:
        """Delete the configuration of a tenant."""
        run_now(self._sealed.remove(tenant))

    def clear(self) -> int:
        """Delete the configurations of all tenants, and return their number."""
        return run_now(self._sealed.clear())


class AsyncTenantOperations:
    """The asynchronous `TenantOperations`."""

    _sealed: SealedTenants

    async def version(self, tenant: str, /) -> str | None:
        """Return a string that changes with the configuration; None for an unknown tenant."""
        return await self._sealed.version(tenant)

    async def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the configuration of a tenant; empty for an unknown tenant."""
        return await self._sealed.tables(tenant)

    async def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store a tenant's configuration, replacing an earlier one."""
        await self._sealed.put(tenant, tables)

    async def remove(self, tenant: str, /) -> None:
        """Delete the configuration of a tenant."""
        await self._sealed.remove(tenant)

    async def clear(self) -> int:
        """Delete the configurations of all tenants, and return their number."""
        return await self._sealed.clear()


def _binding_of(tenant: str) -> bytes:
    return sealing_context(checked_name(tenant, "tenant"), _SERVICE, _NAME)
