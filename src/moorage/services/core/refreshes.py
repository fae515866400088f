"""A limit on renewals of a credential that the service keeps refusing."""

from __future__ import annotations

from typing import Final

from moorage.domain.resilience.refreshes import Refreshes

_MAX_ENTRIES: Final = 10_000
_NO_REFRESHES: Final = Refreshes()


class UnprovenRefreshes:
    """The renewals of each service's credential since the service last accepted it.

    If an entry is dropped, the credential may be renewed once too often.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Refreshes] = {}

    def may_renew(self, key: str, now: int) -> bool:
        """Return whether the credential may be renewed at this time."""
        return now >= self._known.get(key, _NO_REFRESHES).due

    def record_renewal(self, key: str, now: int) -> None:
        """Record that the credential was renewed."""
        previous_numbers = self._known.get(key, _NO_REFRESHES)
        if len(self._known) >= _MAX_ENTRIES:
            self._known.clear()
        self._known[key] = previous_numbers.count_renewal(now)

    def record_acceptance(self, key: str) -> None:
        """Record that the service accepted the credential."""
        if self._known:
            self._known.pop(key, None)
