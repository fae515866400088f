"""A pool of connections by origin, and the queue of callers that wait for one.

A caller first takes a slot, then uses an idle connection or a new one. So no lock is held while
connecting, and there are never more connections to an origin than slots. A slot is identified by
its holder, any object: a caller that is interrupted while taking or returning a slot can return it
again, whatever was done before.
"""

from __future__ import annotations

import contextlib
from collections import deque
from math import inf
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Network, Origin, Waiter, Wire


class _OriginPool:
    """The slots of one origin, and its idle connections with their expiry times."""

    __slots__ = ("holders", "idle", "queue")

    def __init__(self) -> None:
        self.holders: set[object] = set()
        self.idle: list[tuple[Wire, float]] = []
        self.queue: dict[object, Waiter] = {}

    def pass_on(self, holder: object) -> Waiter | None:
        """Pass the holder's slot to the next caller, or remove a waiting holder from the queue."""
        if holder not in self.holders:
            self.queue.pop(holder, None)
            return None
        self.holders.remove(holder)
        for next_holder in self.queue:
            self.holders.add(next_holder)
            return self.queue.pop(next_holder)
        return None


class Pool:
    """Slots for connections: a fixed number per origin, granted in order of arrival."""

    def __init__(self, network: Network, slots: int, keep_alive: float) -> None:
        self._network = network
        self._slots = slots
        self._keep_alive = keep_alive
        self._origin_pools: dict[Origin, _OriginPool] = {}
        self._spare_pool: _OriginPool | None = (
            None  # an empty pool for reuse, because an origin often returns soon
        )
        self._lost: deque[tuple[Origin, object]] = deque()
        self._lock = Lock()
        self._closed = False

    async def take(self, origin: Origin, holder: object, until: float) -> None:
        """Wait for a slot of an origin; the caller must release the slot.

        Raises:
            TimeIsUp: no slot became free in time.
        """
        self._return_lost()
        with self._lock:
            origin_pool = self._origin_pools.get(origin)
            if origin_pool is None:
                origin_pool = self._origin_pools[origin] = _OriginPool()
            if len(origin_pool.holders) < self._slots:
                origin_pool.holders.add(holder)
                return
            waiter = origin_pool.queue[holder] = self._network.waiter()
        await waiter.wait(until)

    def claim(self, origin: Origin, holder: object) -> bool:
        """Take a slot of an origin if one is free now."""
        with self._lock:
            origin_pool = self._origin_pools.get(origin)
            if origin_pool is None:
                origin_pool, self._spare_pool = self._spare_pool or _OriginPool(), None
                self._origin_pools[origin] = origin_pool
            if len(origin_pool.holders) >= self._slots:
                return False
            origin_pool.holders.add(holder)
            return True

    def reuse(self, origin: Origin) -> Wire | None:
        """Return the most recently used idle connection that is still open."""
        while True:
            with self._lock:
                idle_wires = self._origin_pools[origin].idle
                if not idle_wires:
                    return None
                wire, good_until = idle_wires.pop()
            if monotonic() < good_until and not wire.stale():
                return wire
            wire.close()

    def give(
        self, origin: Origin, holder: object, wire: Wire | None = None, idle: float | None = None
    ) -> None:
        """Give back a slot, and also the connection if it can be reused.

        `idle` is the number of seconds for which the vendor keeps the connection open.
        """
        waiter = None
        with self._lock:
            origin_pool = self._origin_pools.get(origin)
            if origin_pool is not None:  # otherwise the holder never reached the queue
                if origin_pool.queue or holder not in origin_pool.holders:
                    waiter = origin_pool.pass_on(holder)
                else:
                    origin_pool.holders.remove(holder)
                if wire is not None and not self._closed:
                    # One second less than the vendor's limit, so that the vendor does not close it
                    # as we send.
                    keep_seconds = (
                        self._keep_alive if idle is None else min(self._keep_alive, idle - 1)
                    )
                    if keep_seconds > 0:
                        origin_pool.idle.append((wire, monotonic() + keep_seconds))
                        wire = None
                if not (origin_pool.holders or origin_pool.idle or origin_pool.queue):
                    self._spare_pool = self._origin_pools.pop(origin)
        if wire is not None:
            wire.close()
        if waiter is not None:
            waiter.call()

    def lose(self, origin: Origin, holder: object) -> None:
        """Give back a slot from a finalizer, without waiting for the pool's lock.

        If the lock is taken, the slot is given back when the next slot is taken.
        """
        self._lost.append((origin, holder))
        if self._lock.acquire(blocking=False):
            self._lock.release()
            self._return_lost()

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of slots in use, of idle connections and of waiting callers."""
        self._return_lost()
        now = monotonic()
        with self._lock:
            origin_pools = list(self._origin_pools.values())
            return (
                sum(len(origin_pool.holders) for origin_pool in origin_pools),
                sum(
                    good_until > now
                    for origin_pool in origin_pools
                    for _, good_until in origin_pool.idle
                ),
                sum(len(origin_pool.queue) for origin_pool in origin_pools),
            )

    def sweep(self) -> None:
        """Close the connections to all origins that have been idle for too long."""
        with self._lock:
            expired_wires = self._drain(monotonic())
        for wire in expired_wires:
            wire.close()

    def close(self) -> None:
        """Close idle connections now, and the others when they are given back."""
        with self._lock:
            self._closed = True
            idle_wires = self._drain(inf)
        for wire in idle_wires:
            wire.close()

    def abandon(self) -> None:
        """Close the pool in a forked child, in which the pool's threads do not exist.

        A thread of the parent may have held the lock, and the parent may still use the connections.
        """
        self._lock = Lock()
        self.close()

    def _return_lost(self) -> None:
        while self._lost:
            with contextlib.suppress(IndexError):  # another thread has taken it first
                self.give(*self._lost.popleft())

    def _drain(self, now: float) -> list[Wire]:
        expired_wires: list[Wire] = []
        for origin, origin_pool in list(self._origin_pools.items()):
            expired_wires += [wire for wire, good_until in origin_pool.idle if good_until <= now]
            origin_pool.idle = [entry for entry in origin_pool.idle if entry[1] > now]
            self._forget(origin, origin_pool)
        return expired_wires

    def _forget(self, origin: Origin, origin_pool: _OriginPool) -> None:
        if not (origin_pool.holders or origin_pool.queue or origin_pool.idle):
            self._spare_pool = self._origin_pools.pop(origin)
