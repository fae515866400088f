"""Tenants that are looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.runtime.bridge import run_now
from moorage.services.contracts.tenants import TenantDispatchers, TenantLookup

if TYPE_CHECKING:
    from collections.abc import Mapping


class Counted:
    """Everybody's tables, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def version(self, tenant: str) -> int:
        """The version of a tenant's tables."""
        self.asked.append(tenant)
        return 1

    async def tables(self, _: str) -> Mapping[str, Any]:
        """A tenant's tables."""
        return {}


def test_one_tenant_too_many_is_one_tenant_looked_up_again() -> None:
    """When the cache is full, each new tenant evicts exactly one entry."""
    counted = Counted()
    base: Any = object()
    desks = TenantDispatchers(
        TenantLookup(
            version=counted.version,
            tables=counted.tables,
            build=lambda base, _, __: base,
            nanoseconds=lambda: 0,
            every=1,
        )
    )
    for number in range(10_001):
        run_now(desks.dispatcher_of(base, f"t{number}"))
    counted.asked.clear()

    for number in range(1, 10_001):
        run_now(desks.dispatcher_of(base, f"t{number}"))
    assert [] == counted.asked

    run_now(desks.dispatcher_of(base, "t0"))
    assert ["t0"] == counted.asked
    assert 10_000 == sum(desks.cached(f"t{number}") is not None for number in range(10_001))
