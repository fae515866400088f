"""The configurations of tenants in the memory of one process."""

from __future__ import annotations

from copy import deepcopy
from itertools import count
from typing import TYPE_CHECKING, Any

from moorage.domain.state.keys import checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping


class MemoryTenants:
    """The configurations of tenants in the memory of this process, safe for several threads.

    Args:
        tenants: the tables of tenants, by their names.
    """

    def __init__(self, tenants: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._numbers = count(1)
        self._tables_by_tenant: dict[str, tuple[int, dict[str, Any]]] = {}
        for tenant, tables in (tenants or {}).items():
            self.put(tenant, tables)

    def version(self, tenant: str, /) -> int | None:
        """Return a string that changes with the configuration; None for an unknown tenant."""
        entry = self._tables_by_tenant.get(tenant)
        return None if entry is None else entry[0]

    def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the configuration of a tenant; empty for an unknown tenant."""
        entry = self._tables_by_tenant.get(tenant)
        return {} if entry is None else deepcopy(entry[1])

    def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store a tenant's configuration, replacing an earlier one."""
        self._tables_by_tenant[checked_name(tenant, "tenant")] = (
            next(self._numbers),
            deepcopy(dict(tables)),
        )

    def remove(self, tenant: str, /) -> None:
        """Delete the configuration of a tenant."""
        self._tables_by_tenant.pop(tenant, None)

    def clear(self) -> int:
        """Delete the configurations of all tenants, and return their number."""
        count_of = len(self._tables_by_tenant)
        self._tables_by_tenant.clear()
        return count_of


class AsyncMemoryTenants:
    """The asynchronous `MemoryTenants`; its methods never suspend.

    Args:
        tenants: the tables of tenants, by their names.
    """

    def __init__(self, tenants: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._tenants = MemoryTenants(tenants)

    async def version(self, tenant: str, /) -> int | None:
        """Return a string that changes with the configuration; None for an unknown tenant."""
        return self._tenants.version(tenant)

    async def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return the configuration of a tenant; empty for an unknown tenant."""
        return self._tenants.tables(tenant)

    async def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store a tenant's configuration, replacing an earlier one."""
        self._tenants.put(tenant, tables)

    async def remove(self, tenant: str, /) -> None:
        """Delete the configuration of a tenant."""
        self._tenants.remove(tenant)

    async def clear(self) -> int:
        """Delete the configurations of all tenants, and return their number."""
        return self._tenants.clear()
