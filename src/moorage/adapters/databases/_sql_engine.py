"""Transactions in a database server, written once for both colours: what it awaits may block.

The laws of this file:

1. A transaction has a place first, then a link on it. A place is given back by its holder, and a
   link is used again only if it is between two transactions. So whoever is interrupted, anywhere,
   leaves no place taken and no transaction open.
2. What was certainly not executed is tried again while there is time; what may have been, only if
   it may be done twice.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.databases._sql_link import (
    SLOWEST,
    Denied,
    FateUnknown,
    Misfit,
    NoTable,
    NotDone,
)
from moorage.adapters.databases._sql_pool import LinkPool, Opening
from moorage.adapters.databases._sql_schema import VERSION
from moorage.domain.values.durations import bounded
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.databases._sql_link import Link
    from moorage.adapters.databases._sql_pool import Running
    from moorage.adapters.databases._sql_source import Names

Answer = TypeVar("Answer")

_BATCH: Final = 500
_TRIPS: Final = 2
"""How many round trips a transaction takes at least."""

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


class Door(Protocol):
    """What one caller waits for, and another opens, once."""

    def open(self) -> None:
        """Let the caller go on."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait until it is open, or for so long."""
        ...


class Colour(Protocol):
    """What one colour does in its own way.

    Attributes:
        blocks: whether waiting blocks the thread, so that a caller can do its work itself.
    """

    blocks: bool

    def door(self) -> Door:
        """A door that is closed."""
        ...

    async def enter(self, holder: object, places: int, timeout: float) -> bool:
        """Take a place, or tell that none came free in time."""
        ...

    def leave(self, holder: object) -> None:
        """Give the place back, if the holder has one."""
        ...

    async def connect(self) -> Link:
        """Open a connection of our own."""
        ...

    def start(self, opening: Coroutine[Any, Any, None]) -> Running:
        """Have a connection opened while others run, and go on without who began it."""
        ...

    def apart(self, flow: Coroutine[Any, Any, None]) -> Running | None:
        """Have something done while others run; None if the system does not allow that."""
        ...

    def late(self, *, slow: bool) -> StorageUnavailable:
        """What it means that a connection was not open in time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ...

    async def create(self) -> None:
        """Create the tables."""
        ...

    def here(self) -> object:
        """Where connections that are opened now can be used."""
        ...

    def gone(self, there: object, /) -> bool:
        """Whether that is no more."""
        ...


class Engine:
    """Does things in transactions, and keeps the connections for it.

    Args:
        colour: how to wait, and how to open a connection.
        names: what messages call things.
        timeout: seconds for a connection or a reply; a command takes twice as many at most.
        connections: how many at once.
        create: whether to create the tables where they are missing.
        path: what the user called the place of the store.

    Attributes:
        colour: as it was given.
        heard: when the server was heard of last, by `monotonic()`; None if it never was.
    """

    def __init__(
        self,
        colour: Colour,
        *,
        names: Names,
        timeout: float,
        connections: int,
        create: bool,
        path: str = "state",
    ) -> None:
        self.colour = colour
        self._where, self._table, self._stamping = names
        self._timeout = timeout
        self._connections = connections
        self._create_missing = create
        self._path = path
        self._checked = False
        self._worked = False
        self.heard: float | None = None
        self._closed = False
        self._pools: dict[object, LinkPool] = {}
        in_child(self, Engine._start_afresh)

    def _start_afresh(self) -> None:  # pragma: no cover - runs in children only
        # The connections are the parent's.
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for link in pool.links:
                link.abandon()

    async def housekeep(self, limit: int) -> int:
        """Delete rows that cannot matter any more, at most so many; return how many."""
        gone = 0
        while gone < limit:
            most = min(_BATCH, limit - gone)
            until = self.until(None)

            async def forget(link: Link, most: int = most, until: float = until) -> int:
                return await link.forget(most, until)

            batch = await self.attempt(forget, until, once=False)
            gone += batch
            if batch < most:
                break
        return gone

    def close(self) -> None:
        """Close what is idle now, and what is in use when its command ends."""
        self._closed = True
        here = self.colour.here()
        for there, pool in list(self._pools.items()):
            pool.clear()
            if there is here:
                pool.cancel()

    async def pause(self, seconds: float) -> None:
        """Wait for so long."""
        await self.colour.sleep(seconds)

    def until(self, timeout: float | None) -> float:
        """The time of `monotonic()` by which something has to be done."""
        return monotonic() + bounded(2 * self._timeout, timeout)

    async def attempt(
        self,
        work: Callable[[Any], Coroutine[Any, Any, Answer]],
        until: float,
        *,
        once: bool,
    ) -> Answer:
        """Do something on a connection; again, if it was certainly not done.

        Args:
            work: is given a connection, as the colour opens it.
            until: when it has to be done.
            once: whether it must not be done twice, as if nobody knows whether it was done.
        """
        holder, pause = object(), _FIRST_PAUSE
        try:
            patience = bounded(self._timeout, until - monotonic())
            if not await self.colour.enter(holder, self._connections, patience):
                raise self.unavailable(
                    f"had no connection free in {patience:.3g} s",
                    "Give the store more `connections`, or more `timeout`.",
                    slow=True,
                )
            while True:
                try:
                    answer = await self._on_a_link(work, until)
                except NotDone as failure:
                    if not failure.again or monotonic() >= until:
                        raise self.unavailable(failure.reason, slow=failure.slow) from None
                except FateUnknown as failure:
                    if once or monotonic() >= until:
                        raise self.unavailable(
                            "had no answer to its commit, so that nobody knows its fate",
                            slow=failure.slow,
                        ) from None
                except (NoTable, Denied, Misfit, ConfigurationError) as failure:
                    await self._mend(failure, until)
                else:
                    self._worked = True
                    self.heard = monotonic()
                    return answer
                await self.colour.sleep(pause * random())  # noqa: S311 - so that no two meet again
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            self.colour.leave(holder)

    async def _mend(
        self, failure: NoTable | Denied | Misfit | ConfigurationError, until: float
    ) -> None:
        """Make tables again that were dropped in use, or raise what a failure means.

        That of a store which worked before is an outage.
        """
        error = failure if isinstance(failure, ConfigurationError) else self._misconfigured(failure)
        if not self._worked:
            raise error from None
        if self._create_missing and isinstance(failure, NoTable) and monotonic() < until:
            await self.colour.create()
            return
        raise StorageUnavailable(error.message, remedy=error.remedy) from None

    async def _on_a_link(
        self, work: Callable[[Link], Coroutine[Any, Any, Answer]], until: float
    ) -> Answer:
        pool = self.pool()
        link = pool.take() or await self._open(pool, until)
        try:
            return await work(link)
        except (NotDone, FateUnknown) as failure:
            if failure.lost:
                # The server was restarted or cut off: the others are likely to be dead too.
                pool.clear()
            raise
        finally:
            self._put(pool, link)

    def pool(self) -> LinkPool:
        """The connections that can be used here."""
        if self._closed:
            raise StorageUnavailable(
                "the SQL store is closed.",
                retryable=False,
                remedy="Make a new store, or close this one later.",
            )
        here = self.colour.here()
        pool = self._pools.get(here)
        if pool is None:
            for there, left in list(self._pools.items()):
                if self.colour.gone(there):
                    del self._pools[there]
                    left.clear()
            pool = self._pools.setdefault(here, LinkPool())
        return pool

    def _put(self, pool: LinkPool, link: Link) -> None:
        if link.ready and not self._closed:
            pool.idle.append(link)
        else:
            pool.drop(link)

    async def _open(self, pool: LinkPool, until: float) -> Link:
        """A new connection, if it is open in time; if not, it is kept for the next caller."""
        opening = pool.begun(self._connections)
        if opening is None:
            opening = Opening(partial(self._keep, pool))
            opening.running = self.colour.start(opening.run(partial(self._connected, pool)))
        link = await opening.within(max(0.0, until - monotonic()), pool.late)
        if link is None:
            raise self.colour.late(slow=opening.reached)
        pool.trip = opening.trip
        if until - monotonic() < _TRIPS * opening.trip:
            # It would be interrupted in its transaction, and the connection lost.
            self._put(pool, link)
            raise self.colour.late(slow=True)
        return link

    def _keep(self, pool: LinkPool, opening: Opening, link: Link | None) -> None:
        """Put a connection that came too late for who began it where the next caller finds it."""
        with suppress(ValueError):  # it came to nobody who waited, and was interrupted
            pool.late.remove(opening)
        if link is not None:
            self._put(pool, link)

    async def _connected(self, pool: LinkPool, opening: Opening) -> Link:
        """Open a connection, however long a slow server takes."""
        link = await self.colour.connect()
        opening.reached = True
        try:
            pool.links.add(link)
            self.heard = began = monotonic()
            await self._prepare(link)
            self.heard = monotonic()
            opening.trip = self.heard - began
        except BaseException as failure:
            pool.drop(link)
            if isinstance(failure, NotDone):
                failure.slow = failure.slow or not failure.lost
            raise
        return link

    async def _prepare(self, link: Link) -> None:
        """Set a connection up, and see that the tables are there and of the version known here."""
        patience = max(self._timeout, SLOWEST)
        version = None
        try:
            version = await link.prepare(self._timeout, monotonic() + patience)
        except NoTable:
            if not self._create_missing:
                raise
        if self._checked:
            return
        if version is None and self._create_missing:
            # They are not there, or somebody is in the middle of making them: then this waits.
            await self.colour.create()
            version = await link.prepare(self._timeout, monotonic() + patience)
        if version is None:
            raise ConfigurationError(
                f"the tables of {self._table} in {self._where} do not say their version.",
                path=self._path,
                remedy=f"Run `migrate()` of the store, or: {self._stamping};",
            )
        if version != VERSION:
            raise ConfigurationError(
                f"the tables of {self._table} in {self._where} are of version {version}, "
                f"and this release knows version {VERSION}.",
                path=self._path,
                remedy="Upgrade every process that shares the store.",
            )
        self._checked = True

    def _misconfigured(self, failure: NoTable | Denied | Misfit) -> ConfigurationError:
        if isinstance(failure, Misfit):
            message, remedy = f"{self._where} {failure.reason}.", failure.remedy
        elif isinstance(failure, Denied):
            message = f"{self._where} does not allow us to use {self._table}."
            remedy = "Grant SELECT, INSERT, UPDATE and DELETE on both tables."
        else:
            message = f"there is no usable table {self._table} in {self._where}."
            remedy = (
                "Run `migrate()` of the store once, or what its `ddl()` prints, or give it"
                " create=True."
            )
        return ConfigurationError(message, path=self._path, remedy=remedy)

    def unavailable(
        self, reason: str, remedy: str | None = None, *, slow: bool = False
    ) -> StorageUnavailable:
        """What it means that a command failed: why, as the end of a sentence, and what to do."""
        message = f"a command to {self._where} {reason}."
        return StorageUnavailable(message, remedy=remedy, slow=slow)
