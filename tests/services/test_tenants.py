"""Tenants with configurations that are looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.runtime.bridge import run_now
from moorage.services.contracts.tenants import TenantDispatchers, TenantLookup

if TYPE_CHECKING:
    from collections.abc import Mapping


class CountingTables:
    """The tables of all tenants, with the number of look-ups."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def version(self, tenant: str) -> int:
        """The version of a tenant's tables."""
        self.asked.append(tenant)
        return 1

    async def tables(self, _: str) -> Mapping[str, Any]:
        """A tenant's tables."""
        return {}


def test_full_tenant_cache_evicts_one_entry() -> None:
    """When the cache is full, each new tenant evicts exactly one entry."""
    counted_tables = CountingTables()
    base: Any = object()
    desks = TenantDispatchers(
        TenantLookup(
            version=counted_tables.version,
            tables=counted_tables.tables,
            build=lambda base, _, __: base,
            nanoseconds=lambda: 0,
            every=1,
        )
    )
    for number in range(10_001):
        run_now(desks.dispatcher_of(base, f"t{number}"))
    counted_tables.asked.clear()

    for number in range(1, 10_001):
        run_now(desks.dispatcher_of(base, f"t{number}"))
    assert [] == counted_tables.asked

    run_now(desks.dispatcher_of(base, "t0"))
    assert ["t0"] == counted_tables.asked
    assert 10_000 == sum(desks.cached(f"t{number}") is not None for number in range(10_001))
