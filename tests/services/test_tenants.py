"""Tenants whose configurations are looked up in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.runtime.flows import run_now
from moorage.services.contracts.tenants import TenantDispatchers, TenantLookup

if TYPE_CHECKING:
    from collections.abc import Mapping


class CountingTables:
    """A store with an empty configuration for every tenant, which records look-ups."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def version(self, tenant: str) -> int:
        """Return the version of a tenant's configuration, and record the look-up."""
        self.asked.append(tenant)
        return 1

    async def tables(self, _: str) -> Mapping[str, Any]:
        """Return a tenant's empty configuration."""
        return {}


def test_each_new_tenant_evicts_exactly_one_entry_when_cache_of_tenants_is_full() -> None:
    """When the cache of tenants is full, each new tenant evicts exactly one entry."""
    counted_tables = CountingTables()
    base: Any = object()
    dispatchers = TenantDispatchers(
        TenantLookup(
            version=counted_tables.version,
            tables=counted_tables.tables,
            build=lambda base, _, __: base,
            nanoseconds=lambda: 0,
            every=1,
        )
    )
    for number in range(10_001):
        run_now(dispatchers.dispatcher_of(base, f"t{number}"))
    counted_tables.asked.clear()

    for number in range(1, 10_001):
        run_now(dispatchers.dispatcher_of(base, f"t{number}"))
    assert [] == counted_tables.asked

    run_now(dispatchers.dispatcher_of(base, "t0"))
    assert ["t0"] == counted_tables.asked
    assert 10_000 == sum(
        dispatchers.cached_dispatcher(f"t{number}") is not None for number in range(10_001)
    )
