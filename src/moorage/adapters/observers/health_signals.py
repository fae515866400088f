"""An observer that remembers current problems of stores, tokens and the integration log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.monitoring.readings import Signals, TenantRecordsReading, TokenReading
from moorage.domain.observation.events import (
    ConsentNeeded,
    LogEntriesLost,
    StorageLost,
    StorageRecovered,
    TenantRecordsNearBound,
    TokenNotRenewed,
    TokenRenewed,
)
from moorage.domain.values.bounded import BoundedCache

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.observation.events import Event

_HOUR: Final = 3_600.0
_MOST_TENANTS: Final = 64
"""The maximum number of tenants whose records are counted at each check."""


class HealthSignals:
    """Remembers the problems that events of this process report, until later events resolve them.

    A `HealthMonitor` of the same hub reads it.
    """

    event_classes = (
        ConsentNeeded,
        LogEntriesLost,
        StorageLost,
        StorageRecovered,
        TenantRecordsNearBound,
        TokenNotRenewed,
        TokenRenewed,
    )

    def __init__(self) -> None:
        self._outages: dict[str, str] = {}
        self._tokens: dict[tuple[str, str | None], TokenReading] = {}
        self._lost: tuple[datetime, int] | None = None
        self._near_bound: BoundedCache[str, TenantRecordsReading] = BoundedCache(_MOST_TENANTS)

    def __call__(self, event: Event) -> None:
        """Remember the problem that an event reports, or forget one that it resolves."""
        owner = (event.service, event.tenant)
        match event:
            case StorageLost(service=store, node=node, error=error):
                self._outages[_name(store, node)] = error
            case StorageRecovered(service=store, node=node):
                self._outages.pop(_name(store, node), None)
            case TokenNotRenewed(still_works=still_works):
                self._tokens[owner] = TokenReading(still_works=still_works)
            case ConsentNeeded():
                self._tokens[owner] = TokenReading(consent=True)
            case LogEntriesLost(at=at, total=total):
                self._lost = at, total
            case TenantRecordsNearBound(tenant=str(tenant), used=record_count, bound=bound):
                self._near_bound.add(tenant, TenantRecordsReading(used=record_count, bound=bound))
            case _:
                self._tokens.pop(owner, None)

    def read(self, now: datetime) -> Signals:
        """Return the current problems.

        Lost log entries are a problem for an hour after the last loss. A tenant that came near its
        limit is reported until the process ends, so the reader has to count the tenant's records
        again.
        """
        lost_count = 0
        if self._lost is not None and (now - self._lost[0]).total_seconds() < _HOUR:
            lost_count = self._lost[1]
        return Signals(
            outages=self._outages.copy(),
            tokens={service: token for (service, _), token in self._tokens.copy().items()},
            lost_entries=lost_count,
            near_bound=dict(self._near_bound),
        )


def _name(store: str, node: str) -> str:
    return f"{store} ({node})" if node else store
