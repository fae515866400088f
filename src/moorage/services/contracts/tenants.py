"""Dispatchers of tenants whose configuration is looked up, and refreshed every few seconds.

Laws:

1. A tenant's own accounts and routes precede those for everybody, as if they stood in the
   configuration.
2. A mistake in a tenant's tables is an error of that tenant alone.
3. While a tenant's tables cannot be read, the last known tables stay in use.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.secrets.frames import bare
from moorage.domain.state.keys import checked_name
from moorage.domain.values.bounded import Bounded
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.services.contracts.dispatcher import Desk
    from moorage.services.core.core import Flow

Build: TypeAlias = "Callable[[Desk, str, Mapping[str, Any]], Desk]"
"""Makes the dispatcher of a tenant from the general dispatcher and the tenant's own tables."""

_MOST: Final = 10_000


@attrs.define
class _Held:
    """A cached tenant: a version of its tables, and the dispatcher made from them."""

    version: str | int | None
    tables: Mapping[str, Any] | None = attrs.field(repr=False)
    until: int
    base: Desk | None = None
    desk: Desk | None = None
    error: ConnectorError | None = None


@attrs.frozen(kw_only=True)
class Asking:
    """The functions and times with which tenants are looked up.

    Attributes:
        version, tables: operations of the port.
        build: makes a tenant's dispatcher.
        nanoseconds: local clock.
        every: nanoseconds for which an answer is trusted.
    """

    version: Callable[[str], Flow[str | int | None]]
    tables: Callable[[str], Flow[Mapping[str, Any]]]
    build: Build
    nanoseconds: Callable[[], int]
    every: int


class TenantDesks:
    """The dispatchers of tenants that are looked up."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._known: Bounded[str, _Held] = Bounded(_MOST)

    async def of(self, base: Desk, tenant: str) -> Desk:
        """The dispatcher of a tenant.

        Args:
            base: dispatcher for everybody.
            tenant: name of the tenant.

        Raises:
            ConfigurationError: the tenant is unknown, or its tables have a mistake.
            StorageUnavailable: its tables cannot be read, and never were.
        """
        desk = await self._desk(base, tenant)
        if desk is None:
            raise _unknown(tenant)
        return desk

    async def serving(self, base: Desk, tenant: str) -> Desk | None:
        """The dispatcher of a tenant named in a webhook's URL; None if the tenant is unknown.

        Anybody can invent names at a webhook endpoint. So an unknown tenant is not cached, where
        it would evict a real one.

        Args:
            base: dispatcher for everybody.
            tenant: name of the tenant in the URL.

        Raises:
            ConfigurationError: its tables have a mistake.
            StorageUnavailable: its tables cannot be read, and never were.
        """
        if self._known.get(tenant) is None and not base.directory.knows(tenant):
            try:
                checked_name(tenant, "tenant")
            except InvalidData:
                return None
            if await self._asking.version(tenant) is None:
                return None
        return await self._desk(base, tenant)

    def held(self, tenant: str) -> Desk | None:
        """The cached dispatcher of a tenant; None if it was not looked up."""
        held = self._known.get(tenant)
        return None if held is None else held.desk

    async def _desk(self, base: Desk, tenant: str) -> Desk | None:
        now, held = self._asking.nanoseconds(), self._known.get(tenant)
        if held is None or now >= held.until:
            held = await self._looked(checked_name(tenant, "tenant"), held, now)
        if held.base is not base:
            self._build(held, base, tenant)
        if held.error is not None:
            # Each caller gets an error object of its own.
            raise copy(held.error)
        return held.desk

    async def _looked(self, tenant: str, held: _Held | None, now: int) -> _Held:
        asking = self._asking
        until = now + asking.every
        if held is not None:
            # Callers that come meanwhile continue with the known tables.
            held.until = until
        try:
            version = await asking.version(tenant)
            if held is not None and held.version == version:
                return held
            tables = None if version is None else await asking.tables(tenant)
        except ConnectorError:
            if held is None:
                raise
            return held
        # Until the new dispatcher is made, a search for an account finds the old one.
        desk = None if held is None else held.desk
        found = _Held(version, tables, until, desk=desk)
        self._known.add(tenant, found)
        return found

    def _build(self, held: _Held, base: Desk, tenant: str) -> None:
        desk, error = None, None
        try:
            if held.tables is not None:
                desk = self._asking.build(base, tenant, held.tables)
            elif base.directory.knows(tenant):
                desk = base
        except ConnectorError as wrong:
            error = bare(wrong)
        # In this order: a reader that sees the new base takes the rest as made from it.
        held.error, held.desk, held.base = error, desk, base


def _unknown(tenant: str) -> ConfigurationError:
    return ConfigurationError(
        "The tenant is unknown.",
        path=f"tenants.{tenant}",
        remedy="Correct the name, or store tables for it, which may be empty.",
    )
