"""The interface of sources of tenants' configurations, which may change at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tenants(Protocol):
    """Provides the configuration of each tenant.

    `version` is a number or text that changes with every change of a tenant's tables; None means
    that the tenant is unknown. `version` is called every few seconds for each tenant with calls, so
    it should be cheap.

    `tables` returns the content of `[tenants.NAME]` in a configuration: `vendors`, and the routes
    of each contract. `tables` is called after `version`, and its result may be newer. The caller
    validates it. For an unknown tenant it is empty.

    The methods raise `StorageUnavailable` if the source cannot be reached, and are safe from
    several threads and after a fork.
    """

    def version(self, tenant: str, /) -> str | int | None: ...

    def tables(self, tenant: str, /) -> Mapping[str, Any]: ...


class AsyncTenants(Protocol):
    """The asynchronous `Tenants`."""

    async def version(self, tenant: str, /) -> str | int | None: ...

    async def tables(self, tenant: str, /) -> Mapping[str, Any]: ...
