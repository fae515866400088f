"""Checks for every store of tenants' configurations.

```python
import pytest

from moorage.adapters.tenants.memory import MemoryTenants  # yours
from moorage.testing import name_of, tenants_conformance


def make():
    tenants = MemoryTenants()
    return tenants, tenants.put


@pytest.mark.parametrize("check", tenants_conformance.CHECKS, ids=name_of)
def test_tenants(check):
    check(make)
```

`CHECKS` are for `Tenants`. `ASYNC_CHECKS` are for `AsyncTenants`, and awaited. Each takes a
function that returns a source without tenants, and a synchronous function that stores the tables of
a tenant, or removes the tenant if they are None.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias, cast

from moorage.ports.tenants import AsyncTenants, Tenants
from moorage.testing.kits.checks import AsyncView, require, sync_check, wait_soon

Put: TypeAlias = Callable[[str, Mapping[str, Any] | None], None]
Factory: TypeAlias = Callable[[], tuple[Tenants, Put]]
AsyncFactory: TypeAlias = Callable[[], tuple[AsyncTenants, Put]]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]

_HANGS: Final = "Looking up a tenant does not return."
_FIRST_TABLES: Final[Mapping[str, Any]] = {
    "vendors": {"twilio": {"account_sid": "AC1", "credentials": "tökén", "timeout": 2.5}},
    "sms": [{"vendor": ["twilio"], "countries": ["DE"]}],
}
_SECOND_TABLES: Final[Mapping[str, Any]] = {"sms": {"vendor": "vonage"}}
_NAMES: Final = ("acme", "ACME", "acme ", "acme-fr", "açmé", "'; --", "a" * 200)


def _threaded_tenants(factory: Factory) -> tuple[AsyncTenants, Put]:
    tenants, set_tables = factory()
    return cast("AsyncTenants", AsyncView(tenants, threads=True)), set_tables


async def _version(tenants: AsyncTenants, name: str) -> str | int | None:
    return await wait_soon(tenants.version(name), _HANGS)


async def _tables(tenants: AsyncTenants, name: str) -> Mapping[str, Any]:
    return await wait_soon(tenants.tables(name), _HANGS)


async def a_new_source_has_no_tenants(factory: AsyncFactory) -> None:
    """An unknown tenant has no version and no configuration tables."""
    tenants, _ = factory()
    require(await _version(tenants, "acme") is None, "An unknown tenant has a version.")
    require(not await _tables(tenants, "acme"), "An unknown tenant has tables.")


async def stored_tables_are_returned(factory: AsyncFactory) -> None:
    """A tenant's tables are returned unchanged at every look-up, with the same version."""
    tenants, set_tables = factory()
    set_tables("acme", _FIRST_TABLES)
    versions = {await _version(tenants, "acme") for _ in range(3)}
    require(len(versions) == 1, "The version changes while the tables stay.")
    require(None not in versions, "An existing tenant has no version.")
    for _ in range(2):
        require(
            await _tables(tenants, "acme") == _FIRST_TABLES,
            "The returned tables differ from the stored tables.",
        )


async def every_change_is_another_version(factory: AsyncFactory) -> None:
    """When a tenant's tables change, their version changes."""
    tenants, set_tables = factory()
    previous_versions: list[str | int | None] = [None]
    for tables in (_FIRST_TABLES, _SECOND_TABLES, {}, _FIRST_TABLES):
        set_tables("acme", tables)
        version = await _version(tenants, "acme")
        require(
            version not in {previous_versions[-1], None},
            "After a change the version is the same as before.",
        )
        require(await _tables(tenants, "acme") == tables, "A change is not seen.")
        previous_versions.append(version)


async def tenants_are_separate(factory: AsyncFactory) -> None:
    """No tenant gets another tenant's tables, however similar their names are."""
    tenants, set_tables = factory()
    for number, name in enumerate(_NAMES):
        set_tables(name, {"sms": {"vendor": f"v{number}"}})
    for number, name in enumerate(_NAMES):
        tables = await _tables(tenants, name)
        require(tables == {"sms": {"vendor": f"v{number}"}}, f"{name!r} has another's tables.")


async def a_removed_tenant_is_unknown(factory: AsyncFactory) -> None:
    """A removed tenant is unknown, and can be added again."""
    tenants, set_tables = factory()
    set_tables("acme", _FIRST_TABLES)
    set_tables("acme", None)
    require(await _version(tenants, "acme") is None, "A removed tenant still has a version.")
    require(not await _tables(tenants, "acme"), "A removed tenant still has settings.")
    set_tables("acme", _SECOND_TABLES)
    require(
        await _tables(tenants, "acme") == _SECOND_TABLES, "A removed tenant cannot be added again."
    )


ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    a_new_source_has_no_tenants,
    stored_tables_are_returned,
    every_change_is_another_version,
    tenants_are_separate,
    a_removed_tenant_is_unknown,
)
CHECKS: Final[tuple[Check, ...]] = tuple(
    sync_check(check, _threaded_tenants) for check in ASYNC_CHECKS
)
