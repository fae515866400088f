"""Where the tenants of a host have their accounts, so that one can change without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tenants(Protocol):
    """What each tenant has of its own.

    `version` is another number or text after every change of a tenant's tables, and the same as
    long as they stay; None is a tenant that is not known. It is asked every few seconds for each
    tenant that calls, so it should be cheap.

    `tables` are what stands below `[tenants.NAME]` in a configuration: `vendors`, and the routes of
    each contract. They are asked for after `version`, and may be newer than it was. What they say
    is checked by whoever asks. Of a tenant that is not known there are none.

    Both raise `StorageUnavailable` if it cannot be told just now, and are safe from several
    threads and after a fork.
    """

    def version(self, tenant: str, /) -> str | int | None: ...

    def tables(self, tenant: str, /) -> Mapping[str, Any]: ...


class AsyncTenants(Protocol):
    """As `Tenants`, awaited."""

    async def version(self, tenant: str, /) -> str | int | None: ...

    async def tables(self, tenant: str, /) -> Mapping[str, Any]: ...
