"""The desks of tenants whose accounts are looked up, and looked at again every few seconds.

Laws:

1. A tenant's desk is of its own accounts and routes before those of everybody, as if they stood in
   the configuration.
2. What is wrong with one tenant's tables is that tenant's error, and nobody else's.
3. While it cannot be told what a tenant has, it has what it had.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.bounded import Bounded
from moorage.domain.frames import bare
from moorage.domain.keys import checked_name
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.services.core import Flow
    from moorage.services.desk import Desk

Build: TypeAlias = "Callable[[Desk, str, Mapping[str, Any]], Desk]"
"""Makes the desk of a tenant from everybody's and its own tables."""

_MOST: Final = 10_000


@attrs.define
class _Held:
    """What is known of a tenant: its tables of a version, and the desk that they make."""

    version: str | int | None
    tables: Mapping[str, Any] | None = attrs.field(repr=False)
    until: int
    base: Desk | None = None
    desk: Desk | None = None
    error: ConnectorError | None = None


@attrs.frozen(kw_only=True)
class Asking:
    """What is asked for tenants.

    Attributes:
        version, tables: the verbs of the port.
        build: makes a tenant's desk.
        nanoseconds: tells the local time.
        every: nanoseconds for which an answer is believed.
    """

    version: Callable[[str], Flow[str | int | None]]
    tables: Callable[[str], Flow[Mapping[str, Any]]]
    build: Build
    nanoseconds: Callable[[], int]
    every: int


class TenantDesks:
    """The desks of tenants that are looked up."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._known: Bounded[str, _Held] = Bounded(_MOST)

    async def of(self, base: Desk, tenant: str) -> Desk:
        """The desk of a tenant.

        Args:
            base: everybody's desk.
            tenant: its name.

        Raises:
            ConfigurationError: nobody knows it, or its tables are wrong.
            StorageUnavailable: it cannot be told what it has, and never was.
        """
        now, held = self._asking.nanoseconds(), self._known.get(tenant)
        if held is None or now >= held.until:
            held = await self._looked(checked_name(tenant, "tenant"), held, now)
        if held.base is not base:
            self._build(held, base, tenant)
        if held.desk is None:
            # Each caller has an error of its own.
            raise copy(held.error) if held.error else _unknown(tenant)
        return held.desk

    def held(self) -> tuple[Desk, ...]:
        """The desks that were asked for."""
        return tuple(one.desk for one in list(self._known.values()) if one.desk is not None)

    async def _looked(self, tenant: str, held: _Held | None, now: int) -> _Held:
        asking = self._asking
        until = now + asking.every
        if held is not None:
            # Whoever comes meanwhile goes on with what is known.
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
        # Until the desk of these is made, whoever looks for an account finds the one before.
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
        # In this order: whoever sees the base takes the rest for what was made with it.
        held.error, held.desk, held.base = error, desk, base


def _unknown(tenant: str) -> ConfigurationError:
    return ConfigurationError(
        "nobody knows this tenant.",
        path=f"tenants.{tenant}",
        remedy="Correct the name, or keep tables for it; they may be empty.",
    )
