"""Which connections are there, and who waits for one.

A caller first has a place, then puts a connection on it: an idle one or a new one. So nobody holds
a lock while connecting, and there are never more connections to an origin than places. A place
goes by its holder, any object, so that whoever is interrupted while taking one, or giving it back,
can give it back again without knowing how far that got.
"""

from __future__ import annotations

import contextlib
from collections import deque
from math import inf
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Network, Origin, Turn, Wire


class _Site:
    """The connections to one origin, idle ones with the time up to which they are good."""

    __slots__ = ("holders", "idle", "queue")

    def __init__(self) -> None:
        self.holders: set[object] = set()
        self.idle: list[tuple[Wire, float]] = []
        self.queue: dict[object, Turn] = {}

    def pass_on(self, holder: object) -> Turn | None:
        """Give the holder's place to whoever waits longest, or take the holder out of the queue."""
        if holder not in self.holders:
            self.queue.pop(holder, None)
            return None
        self.holders.remove(holder)
        for successor in self.queue:
            self.holders.add(successor)
            return self.queue.pop(successor)
        return None


class Pool:
    """Places for connections: so many for each origin, given in order of arrival."""

    def __init__(self, network: Network, places: int, keep_alive: float) -> None:
        self._network = network
        self._places = places
        self._keep_alive = keep_alive
        self._sites: dict[Origin, _Site] = {}
        self._spare: _Site | None = None  # an empty one, since most are made again soon
        self._lost: deque[tuple[Origin, object]] = deque()
        self._lock = Lock()
        self._closed = False

    async def take(self, origin: Origin, holder: object, until: float) -> None:
        """Wait for a place, which the holder gives back even if it was never given one.

        Raises:
            TimeIsUp: none became free in time.
        """
        self._find_lost()
        with self._lock:
            site = self._sites.get(origin)
            if site is None:
                site = self._sites[origin] = _Site()
            if len(site.holders) < self._places:
                site.holders.add(holder)
                return
            turn = site.queue[holder] = self._network.turn()
        await turn.wait(until)

    def claim(self, origin: Origin, holder: object) -> bool:
        """Take a place if one is free just now; places that were lost are looked for by `take`."""
        with self._lock:
            site = self._sites.get(origin)
            if site is None:
                site, self._spare = self._spare or _Site(), None
                self._sites[origin] = site
            if len(site.holders) >= self._places:
                return False
            site.holders.add(holder)
            return True

    def reuse(self, origin: Origin) -> Wire | None:
        """Return an idle connection that still stands, the one used last."""
        while True:
            with self._lock:
                idle = self._sites[origin].idle
                if not idle:
                    return None
                wire, good_until = idle.pop()
            if monotonic() < good_until and not wire.stale():
                return wire
            wire.close()

    def give(
        self, origin: Origin, holder: object, wire: Wire | None = None, idle: float | None = None
    ) -> None:
        """Give the place back, and with it the connection if another can use it.

        `idle` is for how long the vendor says it keeps it.
        """
        # One second less than the vendor: it must not close just as we send.
        keep = self._keep_alive if idle is None else min(self._keep_alive, idle - 1)
        turn = None
        with self._lock:
            site = self._sites.get(origin)
            if site is not None:  # else not even the queue was reached
                turn = site.pass_on(holder)
                if wire is not None and keep > 0 and not self._closed:
                    site.idle.append((wire, monotonic() + keep))
                    wire = None
                self._forget(origin, site)
        if wire is not None:
            wire.close()
        if turn is not None:
            turn.call()

    def lose(self, origin: Origin, holder: object) -> None:
        """Give the place back from a finalizer, which may run in a thread that holds our lock.

        In that case it is given back when another is next taken.
        """
        self._lost.append((origin, holder))
        if self._lock.acquire(blocking=False):
            self._lock.release()
            self._find_lost()

    def counts(self) -> tuple[int, int, int]:
        """How many places are taken, connections idle, and callers waiting."""
        self._find_lost()
        now = monotonic()
        with self._lock:
            sites = list(self._sites.values())
            return (
                sum(len(site.holders) for site in sites),
                sum(good_until > now for site in sites for _, good_until in site.idle),
                sum(len(site.queue) for site in sites),
            )

    def sweep(self) -> None:
        """Close what has been idle for too long, wherever it leads."""
        with self._lock:
            over = self._drain(monotonic())
        for wire in over:
            wire.close()

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        with self._lock:
            self._closed = True
            over = self._drain(inf)
        for wire in over:
            wire.close()

    def abandon(self) -> None:
        """Close it where nobody else is left, such as in a forked child.

        A thread that is no more may have held the lock, and others may still use the connections.
        """
        self._lock = Lock()
        self.close()

    def _find_lost(self) -> None:
        while self._lost:
            with contextlib.suppress(IndexError):  # another thread was faster
                self.give(*self._lost.popleft())

    def _drain(self, now: float) -> list[Wire]:
        over: list[Wire] = []
        for origin, site in list(self._sites.items()):
            over += [wire for wire, good_until in site.idle if good_until <= now]
            site.idle = [entry for entry in site.idle if entry[1] > now]
            self._forget(origin, site)
        return over

    def _forget(self, origin: Origin, site: _Site) -> None:
        if not (site.holders or site.queue or site.idle):
            self._spare = self._sites.pop(origin)
