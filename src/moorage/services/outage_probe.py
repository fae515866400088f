"""Whether a store, or a node of it, is away, and whose turn it is to look for it."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from moorage.domain.events import StorageLost, StorageRecovered
from moorage.domain.outage import Outage, is_slow, noticed

if TYPE_CHECKING:
    from moorage.errors import StorageUnavailable
    from moorage.services.core import Core


class OutageProbe:
    """What is known of a store that may be away, and what observers are told of that.

    Args:
        core: tells the time, and observers.
        name: what events call the store.
        node: the node of the store that this is about; empty if it has none that are known.

    Attributes:
        outage: what is known of its being away; None while it answers.
        answered: when it answered last, in nanoseconds of the local clock; None if it never did.
    """

    def __init__(self, core: Core, name: str, node: str = "") -> None:
        self._core = core
        self._name = name
        self._node = node
        self.outage: Outage | None = None
        self.answered: int | None = None

    def may_look(self, outage: Outage) -> bool:
        """Take the turn of looking for the store, if it is time and nobody else has it."""
        if self._core.nanoseconds() < outage.until:
            return False
        try:
            outage.turn.pop()
        except IndexError:
            return False
        return True

    def is_slow(self, began: int, bound: float | None) -> bool:
        """Whether it is slow rather than away for a caller who waited since then, up to a bound."""
        now = self._core.nanoseconds()
        silent = None if self.answered is None else now - self.answered
        return is_slow(now - began, bound, silent)

    def lost(self, before: Outage | None, error: StorageUnavailable, began: int) -> None:
        """The store did not answer whoever knew of the outage `before`, and asked at `began`."""
        core, known = self._core, self.outage
        if known is not None and known is not before:
            # Another caller was faster to notice.
            return
        now = core.nanoseconds()
        outage = noticed(before, copy(error), now, core.fraction(), took=now - began)
        self.outage = outage
        if core.observers:
            core.tell(
                StorageLost(
                    at=core.utc(),
                    service=self._name,
                    node=self._node,
                    error=error.message,
                    retry_after=(outage.until - now) / 1e9,
                )
            )

    def found(self, outage: Outage) -> None:
        """The store answered whoever knew of this outage."""
        if outage is not self.outage:
            return
        core = self._core
        self.outage = None
        if core.observers:
            away = (core.nanoseconds() - outage.since) / 1e9
            core.tell(
                StorageRecovered(at=core.utc(), service=self._name, node=self._node, duration=away)
            )
