"""A pool of numbered connections for tests, with invariants checked after each decision."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from moorage.domain.connectors import link_pool
from moorage.domain.connectors.link_pool import LinkPoolState, PoolConfig, PoolDecision

if TYPE_CHECKING:
    from collections.abc import Callable


class PoolHarness:
    """A connection pool whose callers open numbered connections; the test sets the pool's clock.

    Attributes:
        arrivals: the callers that wait, in the order in which they came.
        retired: the connections that the pool closed.
    """

    def __init__(self, **settings: Any) -> None:
        self.config = PoolConfig(**settings)
        self.state = LinkPoolState()
        self.now = 0.0
        self.arrivals: list[object] = []
        self.retired: list[int] = []
        self._ends: dict[int, float] = {}
        self._numbers = itertools.count(1)

    def ask(self, holder: object, operation: str = "orders.read") -> int | None:
        """Request a connection; return its number, or None if the caller must wait or open one."""
        self._decide(link_pool.request_lease, holder, operation)
        return self.link_of(holder)

    def open(self, holder: object, draw: float = 0.0) -> int:
        """Open a connection for a caller that holds a lease."""
        number = next(self._numbers)
        record = link_pool.new_link(self.config, self.now, number, draw)
        self._ends[number] = record.ends
        self._decide(link_pool.fill_slot, holder, record)
        return number

    def take(self, holder: object, operation: str = "orders.read") -> int:
        """Take a connection from the pool, or open one if the pool has none."""
        return self.ask(holder, operation) or self.open(holder)

    def give(self, holder: object, *, reusable: bool = True) -> tuple[object, ...]:
        """End a caller's lease, or its wait; return the callers that then got a connection."""
        if holder in self.arrivals:
            self.arrivals.remove(holder)
        return self._decide(link_pool.give_back, holder, reusable).woken

    def lose(self, holder: object) -> int | None:
        """Replace the holder's broken connection."""
        self._decide(link_pool.replace_broken_link, holder)
        return self.link_of(holder)

    def reserve(self, holder: object) -> bool:
        """Reserve a slot to open a connection in advance, up to the pool's minimum size."""
        return self._decide(link_pool.reserve, holder, "pool.fill").lease is not None

    def sweep(self) -> None:
        """Close the idle connections that have reached their maximum age or idle time."""
        self._decide(link_pool.retire_links)

    def discard(self) -> None:
        """Discard all connections of the pool."""
        self._decide(link_pool.discard_links)

    def close(self) -> None:
        """Close the pool."""
        self.arrivals.clear()
        self._decide(link_pool.close)

    def link_of(self, holder: object) -> int | None:
        """Return the number of the connection that the holder has leased."""
        lease = self.state.leases.get(holder)
        return None if lease is None or lease.record is None else lease.record.link

    def tested(self, holder: object) -> bool:
        """Return whether the caller's connection is tested before it is used."""
        record = self.state.leases[holder].record
        assert record is not None
        return link_pool.needs_test(self.state, self.config, self.now, record)

    def idle(self) -> list[int]:
        """Return the numbers of the idle connections, in their order."""
        return [record.link for record in self.state.idle]

    def _decide(self, decide: Callable[..., Any], *arguments: Any) -> PoolDecision:
        decision: PoolDecision
        before = self.state
        self.state, decision = decide(before, self.config, self.now, *arguments)
        self.retired += decision.retired
        self.arrivals += [holder for holder, _ in self.state.waiting if holder not in self.arrivals]
        for holder in decision.woken:
            if not self.state.closed:
                assert holder is self.arrivals.pop(0), "somebody overtook another"
        self._check(before)
        return decision

    def _check(self, before: LinkPoolState) -> None:
        leases = self.state.leases
        in_use = [lease.record.link for lease in leases.values() if lease.record is not None]
        links = in_use + self.idle()
        assert len(leases) + len(self.idle()) <= self.config.maximum
        assert len(set(links)) == len(links), "one link is in two places"
        assert not set(links) & set(self.retired), "a retired link came back"
        assert len(set(self.retired)) == len(self.retired), "a link was retired twice"
        assert set(self._ends) == {*links, *self.retired}, "a link was forgotten"
        assert [holder for holder, _ in self.state.waiting] == self.arrivals
        if self.arrivals:
            assert not self.idle()
            assert len(leases) == self.config.maximum
        for holder, lease in leases.items():
            if lease.record is not None and before.leases.get(holder) is not lease:
                assert self.now < self._ends[lease.record.link], "a link outlived itself"
