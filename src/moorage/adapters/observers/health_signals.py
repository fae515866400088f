"""An observer that remembers events about the health of stores, tokens and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.monitoring.readings import TokenReading
from moorage.domain.observation.events import (
    ConsentNeeded,
    LogEntriesLost,
    StorageLost,
    StorageRecovered,
    TokenNotRenewed,
    TokenRenewed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.domain.observation.events import Event

_HOUR: Final = 3_600.0


class HealthSignals:
    """Remembers problems that events of this process report, until other events end them.

    A `HealthMonitor` of the same hub reads it.
    """

    hears = (
        ConsentNeeded,
        LogEntriesLost,
        StorageLost,
        StorageRecovered,
        TokenNotRenewed,
        TokenRenewed,
    )

    def __init__(self) -> None:
        self._outages: dict[str, str] = {}
        self._tokens: dict[tuple[str, str | None], TokenReading] = {}
        self._lost: tuple[datetime, int] | None = None

    def __call__(self, event: Event) -> None:
        """Remember the problem that an event reports, or forget one that it ends."""
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
            case _:
                self._tokens.pop(owner, None)

    def read(self, now: datetime) -> tuple[Mapping[str, str], Mapping[str, TokenReading], int]:
        """Return the current outages, the tokens that failed, and the number of lost entries.

        Lost entries count for an hour after the last loss.
        """
        lost_count = 0
        if self._lost is not None and (now - self._lost[0]).total_seconds() < _HOUR:
            lost_count = self._lost[1]
        tokens = {service: token for (service, _), token in self._tokens.copy().items()}
        return self._outages.copy(), tokens, lost_count


def _name(store: str, node: str) -> str:
    return f"{store} ({node})" if node else store
