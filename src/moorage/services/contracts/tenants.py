"""Dispatchers of tenants whose configuration the host application provides.

Laws:

1. A tenant's own accounts and routes take precedence over the general ones, as in a configuration
   file.
2. A mistake in a tenant's tables is an error for that tenant alone. The tables are read again after
   each interval, even if they have not changed: a secret that they refer to may be readable then.
3. While a tenant's tables cannot be read, the last known tables stay in use.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.secrets.frames import without_frames
from moorage.domain.state.keys import checked_name
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.frozen_values import frozen
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.core.core import Flow

Build: TypeAlias = "Callable[[Dispatcher, str, Mapping[str, Any]], Dispatcher]"
"""A function that makes a tenant's dispatcher from the general one and the tenant's tables."""

_MOST_TENANTS: Final = 10_000


class _Built(NamedTuple):
    """A tenant's dispatcher, or the error of its tables, for one general dispatcher."""

    base: Dispatcher | None = None
    dispatcher: Dispatcher | None = None
    error: ConnectorError | None = None


class _CachedTenant:
    """A tenant in the cache: the version of its configuration, and its dispatcher.

    Threads replace `built` as a whole, so its parts always belong together.
    """

    __slots__ = ("built", "tables", "until", "version")

    def __init__(
        self,
        version: str | int | None,
        tables: Mapping[str, Any] | None,
        until: int,
        built_dispatcher: _Built,
    ) -> None:
        self.version = version
        self.tables = tables
        self.until = until
        self.built = built_dispatcher


@frozen(kw_only=True)
class TenantLookup:
    """The functions that look up and build tenants, and the times for which they are cached.

    Attributes:
        version, tables: the operations of the tenants' port.
        build: makes a tenant's dispatcher.
        nanoseconds: local clock.
        every: nanoseconds for which a tenant's tables are used before they are looked up again.
    """

    version: Callable[[str], Flow[str | int | None]]
    tables: Callable[[str], Flow[Mapping[str, Any]]]
    build: Build
    nanoseconds: Callable[[], int]
    every: int


class TenantDispatchers:
    """The dispatchers of tenants. A tenant's configuration is looked up when first needed."""

    def __init__(self, lookup: TenantLookup) -> None:
        self._lookup = lookup
        self._cached: BoundedCache[str, _CachedTenant] = BoundedCache(_MOST_TENANTS)

    async def dispatcher_of(self, base: Dispatcher, tenant: str) -> Dispatcher:
        """Return the dispatcher of a tenant, looking the tenant up if necessary.

        Args:
            base: dispatcher of the general configuration.
            tenant: name of the tenant.

        Raises:
            ConfigurationError: the tenant is unknown, or its tables have a mistake.
            StorageUnavailable: its tables cannot be read, and were never read before.
        """
        dispatcher = await self._current(base, tenant)
        if dispatcher is None:
            raise _unknown_tenant_error(tenant)
        return dispatcher

    async def dispatcher_for(self, base: Dispatcher, tenant: str) -> Dispatcher | None:
        """Return the dispatcher for a tenant named in a webhook's URL; None if it is unknown.

        Anybody can invent names at a webhook endpoint. So an unknown tenant is not cached, because
        it could replace a real tenant in the cache.

        Args:
            base: dispatcher of the general configuration.
            tenant: name of the tenant in the URL.

        Raises:
            ConfigurationError: its tables have a mistake.
            StorageUnavailable: its tables cannot be read, and were never read before.
        """
        if self._cached.get(tenant) is None and not base.directory.knows(tenant):
            try:
                checked_name(tenant, "tenant")
            except InvalidData:
                return None
            if await self._lookup.version(tenant) is None:
                return None
        return await self._current(base, tenant)

    def cached_dispatcher(self, tenant: str) -> Dispatcher | None:
        """Return the cached dispatcher of a tenant; None if the tenant has not been looked up."""
        cached_tenant = self._cached.get(tenant)
        return None if cached_tenant is None else cached_tenant.built.dispatcher

    async def _current(self, base: Dispatcher, tenant: str) -> Dispatcher | None:
        now, cached_tenant = self._lookup.nanoseconds(), self._cached.get(tenant)
        if cached_tenant is None or now >= cached_tenant.until:
            cached_tenant = await self._look_up_tenant(
                checked_name(tenant, "tenant"), cached_tenant, now
            )
        built_dispatcher = cached_tenant.built
        if built_dispatcher.base is not base:
            built_dispatcher = cached_tenant.built = self._build(cached_tenant.tables, base, tenant)
        if built_dispatcher.error is not None:
            # Each caller gets its own error object.
            raise copy(built_dispatcher.error)
        return built_dispatcher.dispatcher

    async def _look_up_tenant(
        self, tenant: str, cached_tenant: _CachedTenant | None, now: int
    ) -> _CachedTenant:
        lookup = self._lookup
        end_time = now + lookup.every
        if cached_tenant is not None:
            # Callers that arrive during the look-up use the existing tables.
            cached_tenant.until = end_time
        try:
            version = await lookup.version(tenant)
            if cached_tenant is not None and cached_tenant.version == version:
                if cached_tenant.built.error is not None:
                    cached_tenant.built = _Built()
                return cached_tenant
            tables = None if version is None else await lookup.tables(tenant)
        except ConnectorError:
            if cached_tenant is None:
                raise
            return cached_tenant
        # Until the new dispatcher exists, looking up an account returns the old one.
        earlier_dispatcher = None if cached_tenant is None else cached_tenant.built.dispatcher
        built_dispatcher = _Built(dispatcher=earlier_dispatcher)
        tenant_entry = _CachedTenant(version, tables, end_time, built_dispatcher)
        self._cached.add(tenant, tenant_entry)
        return tenant_entry

    def _build(self, tables: Mapping[str, Any] | None, base: Dispatcher, tenant: str) -> _Built:
        try:
            if tables is not None:
                return _Built(base, self._lookup.build(base, tenant, tables))
        except ConnectorError as wrong_value:
            return _Built(base, error=without_frames(wrong_value))
        return _Built(base, base if base.directory.knows(tenant) else None)


def _unknown_tenant_error(tenant: str) -> ConfigurationError:
    return ConfigurationError(
        "The tenant is not configured.",
        path=f"tenants.{tenant}",
        remedy="Correct the tenant's name, or store a configuration for the tenant, which may"
        " be empty.",
    )
