"""Tenants in the memory of one process."""

from __future__ import annotations

from copy import deepcopy
from itertools import count
from typing import TYPE_CHECKING, Any

from moorage.domain.state.keys import checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping


class MemoryTenants:
    """Knows tenants in the memory of this process, safe for several threads.

    Args:
        tenants: the tables of tenants, by their names.
    """

    def __init__(self, tenants: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._numbers = count(1)
        self._kept: dict[str, tuple[int, dict[str, Any]]] = {}
        for tenant, tables in (tenants or {}).items():
            self.put(tenant, tables)

    def version(self, tenant: str, /) -> int | None:
        """What tells the tables from those before."""
        kept = self._kept.get(tenant)
        return None if kept is None else kept[0]

    def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """What a tenant has; of one that is not known, nothing."""
        kept = self._kept.get(tenant)
        return {} if kept is None else deepcopy(kept[1])

    def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Keep what a tenant has, in place of what it had."""
        self._kept[checked_name(tenant, "tenant")] = next(self._numbers), deepcopy(dict(tables))

    def remove(self, tenant: str, /) -> None:
        """Know a tenant no more."""
        self._kept.pop(tenant, None)

    def clear(self) -> int:
        """Know nobody any more, and say how many that were."""
        count_of = len(self._kept)
        self._kept.clear()
        return count_of


class AsyncMemoryTenants:
    """As `MemoryTenants`, awaited, though nobody ever waits.

    Args:
        tenants: the tables of tenants, by their names.
    """

    def __init__(self, tenants: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._tenants = MemoryTenants(tenants)

    async def version(self, tenant: str, /) -> int | None:
        """What tells the tables from those before."""
        return self._tenants.version(tenant)

    async def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """What a tenant has; of one that is not known, nothing."""
        return self._tenants.tables(tenant)

    async def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Keep what a tenant has, in place of what it had."""
        self._tenants.put(tenant, tables)

    async def remove(self, tenant: str, /) -> None:
        """Know a tenant no more."""
        self._tenants.remove(tenant)

    async def clear(self) -> int:
        """Know nobody any more, and say how many that were."""
        return self._tenants.clear()
