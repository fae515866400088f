"""Renewals that a service has not honoured yet, so that a refusal for ever costs few of them."""

from __future__ import annotations

from typing import Final

from moorage.domain.refreshes import Refreshes

_MANY: Final = 10_000
_NONE: Final = Refreshes()


class UnprovenRefreshes:
    """The renewals of each service and tenant since its credential was last accepted.

    What is forgotten costs one renewal.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Refreshes] = {}

    def allows(self, key: str, now: int) -> bool:
        """Whether the credential may be renewed at this time."""
        return now >= self._known.get(key, _NONE).due

    def renewed(self, key: str, now: int) -> None:
        """The credential was renewed."""
        before = self._known.get(key, _NONE)
        if len(self._known) >= _MANY:
            self._known.clear()
        self._known[key] = before.again(now)

    def accepted(self, key: str) -> None:
        """The service took the credential."""
        if self._known:
            self._known.pop(key, None)
