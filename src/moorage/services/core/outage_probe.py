"""The outage of a store, and the choice of the one caller that probes the store."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from moorage.domain.observation.events import StorageLost, StorageRecovered
from moorage.domain.resilience.outage import Outage, extended_outage, is_slow

if TYPE_CHECKING:
    from moorage.errors import StorageUnavailable
    from moorage.services.core.core import Core


class OutageProbe:
    """An outage of a store or a node; one caller at a time probes whether it is over.

    Args:
        core: clock and observers.
        name: name of the store in events.
        node: node of the store; empty if its nodes are not distinguished.

    Attributes:
        outage: current outage; None while the store responds.
        answered: time of the last reply, in nanoseconds of the local clock; None without a reply.
    """

    def __init__(self, core: Core, name: str, node: str = "") -> None:
        self._core = core
        self._name = name
        self._node = node
        self.outage: Outage | None = None
        self.answered: int | None = None

    def claim_probe(self, outage: Outage) -> bool:
        """Reserve the probe of the store for this caller; return False if another caller has it."""
        if self._core.nanoseconds() < outage.until:
            return False
        try:
            outage.turn.pop()
        except IndexError:
            return False
        return True

    def restart_after_fork(self) -> None:
        """Allow callers of a forked child to probe, because the parent's prober is not in it."""
        if self.outage is not None:
            self.outage.turn[:] = [None]

    def is_slow(self, start_time: int, bound: float | None) -> bool:
        """Return whether a store that missed the deadline may be slow, and not unreachable."""
        now = self._core.nanoseconds()
        silent_time = None if self.answered is None else now - self.answered
        return is_slow(now - start_time, bound, silent_time)

    def record_loss(
        self, before: Outage | None, error: StorageUnavailable, start_time: int
    ) -> None:
        """Record that the store did not respond, so that its outage begins or continues."""
        core, current_outage = self._core, self.outage
        if current_outage is not None and current_outage is not before:
            # Another caller has noticed the outage first.
            return
        now = core.nanoseconds()
        outage = extended_outage(
            before, copy(error), now, core.fraction(), waited_nanoseconds=now - start_time
        )
        self.outage = outage
        if core.observers:
            core.notify(
                StorageLost(
                    at=core.utc(),
                    service=self._name,
                    node=self._node,
                    error=error.message,
                    retry_after=(outage.until - now) / 1e9,
                )
            )

    def record_recovery(self, outage: Outage) -> None:
        """Record that the store responded to a probe, so that its outage is over."""
        if outage is not self.outage:
            return
        core = self._core
        self.outage = None
        if core.observers:
            outage_length = (core.nanoseconds() - outage.since) / 1e9
            core.notify(
                StorageRecovered(
                    at=core.utc(), service=self._name, node=self._node, duration=outage_length
                )
            )
