"""Transactions in a database server, for synchronous and asynchronous stores.

The laws of this file:

1. A transaction first takes a slot, then a connection. The holder returns its slot, and a
   connection is reused only if no transaction is open on it. So an interrupted caller leaves no
   slot taken and no transaction open.
2. A transaction that was certainly not executed is retried while there is time. A transaction that
   may have been executed is retried only if its work may be repeated.
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
    ConnectionDenied,
    FateUnknown,
    MissingFeature,
    MissingTable,
    NotExecuted,
    ServerFull,
)
from moorage.adapters.databases._sql_pool import LinkPool, PendingConnection
from moorage.adapters.databases._sql_schema import VERSION
from moorage.domain.values.durations import bounded_seconds
from moorage.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moorage.adapters.databases._sql_link import Link
    from moorage.adapters.databases._sql_pool import ConnectionOpening
    from moorage.adapters.databases._sql_source import Names

Answer = TypeVar("Answer")

_BATCH: Final = 500
_MIN_ROUND_TRIPS: Final = 2
"""The minimum number of round trips of a transaction."""

_IDLE_SECONDS: Final = 30.0
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
_PAUSE_OF_A_FULL_SERVER: Final = 0.25


class Signal(Protocol):
    """An object on which one caller waits, and which another caller signals once."""

    def open(self) -> None:
        """Wake the waiting caller."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait for the signal, at most this number of seconds."""
        ...


class Runtime(Protocol):
    """The operations of a store that differ between threads and event loops.

    Attributes:
        blocks: whether waiting blocks the thread; if so, a caller runs its batch itself.
    """

    blocks: bool

    def signal(self) -> Signal:
        """Return a new signal."""
        ...

    async def enter(self, holder: object, slots: int, timeout: float) -> bool:
        """Take a slot for a connection; return False if no slot became free before the deadline."""
        ...

    def leave(self, holder: object) -> None:
        """Return the caller's connection slot, if it has one."""
        ...

    async def connect(self) -> Link:
        """Open a connection to the database."""
        ...

    def start(self, opening: Coroutine[Any, Any, None]) -> ConnectionOpening:
        """Open a connection in the background; it continues if the caller stops waiting."""
        ...

    def start_detached(self, flow: Coroutine[Any, Any, None]) -> ConnectionOpening | None:
        """Run a coroutine in the background; return None if the system cannot start a thread."""
        ...

    def late_error(self, *, slow: bool) -> StorageUnavailable:
        """Return the error for a connection that did not open before its deadline."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for this number of seconds."""
        ...

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Call a function after this number of seconds, unless the process or loop ends first."""
        ...

    async def create(self) -> None:
        """Create the tables."""
        ...

    def scope(self) -> object:
        """Return the running event loop, which owns new connections; None if threads are used."""
        ...

    def gone(self, other_scope: object, /) -> bool:
        """Return whether an event loop or other owner of connections has ended."""
        ...


class Engine:
    """Runs transactions on a database server, and reuses connections for later transactions.

    Args:
        runtime: waits and opens connections, blocking or in an event loop.
        names: the names in messages.
        timeout: seconds for a connection or a reply; a command takes at most twice as long.
        connections: the maximum number of connections.
        create: whether to create missing tables.
        path: the path of the store's setting, for errors.

    Attributes:
        runtime: the runtime, as passed.
        last_reply: the `monotonic()` time of the server's last reply; None if there was none.
        idle_seconds: seconds after which an unused connection is closed.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        names: Names,
        timeout: float,
        connections: int,
        create: bool,
        path: str = "state",
    ) -> None:
        self.runtime = runtime
        self._where, self._table, self._stamping = names
        self._timeout = timeout
        self._connections = connections
        self._create_missing = create
        self._path = path
        self._checked = False
        self._worked = False
        self.last_reply: float | None = None
        self.idle_seconds = _IDLE_SECONDS
        self._closed = False
        self._pools: dict[object, LinkPool] = {}
        in_child(self, Engine._restart_after_fork)

    def _restart_after_fork(self) -> None:  # pragma: no cover - runs in children only
        # The connections belong to the parent process.
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for link in pool.links:
                link.abandon()

    async def housekeep(self, limit: int) -> int:
        """Delete expired rows, at most `limit`, and return their number."""
        deleted_count = 0
        while deleted_count < limit:
            batch_size = min(_BATCH, limit - deleted_count)
            end_time = self.until(None)

            async def delete_batch(
                link: Link, batch_size: int = batch_size, until: float = end_time
            ) -> int:
                return await link.delete_expired(batch_size, until)

            batch = await self.attempt(delete_batch, end_time, once=False)
            deleted_count += batch
            if batch < batch_size:
                break
        return deleted_count

    def close(self) -> None:
        """Close idle connections now, and busy ones when their commands end."""
        self._closed = True
        scope = self.runtime.scope()
        for other_scope, pool in list(self._pools.items()):
            pool.clear()
            if other_scope is scope:
                pool.cancel()

    async def pause(self, seconds: float) -> None:
        """Wait for this number of seconds."""
        await self.runtime.sleep(seconds)

    def until(self, timeout: float | None) -> float:
        """Return the deadline of a command, as a time of `monotonic()`."""
        return monotonic() + bounded_seconds(2 * self._timeout, timeout)

    async def attempt(
        self,
        work: Callable[[Any], Coroutine[Any, Any, Answer]],
        until: float,
        *,
        once: bool,
    ) -> Answer:
        """Run an operation on a connection; repeat the operation only if it certainly did not run.

        Args:
            work: the operation, called with a link.
            until: the attempt's deadline.
            once: whether it must not be repeated if its outcome is unknown.
        """
        holder, pause = object(), _FIRST_PAUSE
        try:
            patience = bounded_seconds(self._timeout, until - monotonic())
            if not await self.runtime.enter(holder, self._connections, patience):
                raise self.unavailable(
                    f"had no free connection within {patience:.3g} s",
                    "Increase the `connections` or the `timeout` of the store.",
                    slow=True,
                )
            while True:
                try:
                    answer = await self._with_link(work, until)
                except NotExecuted as failure:
                    if not failure.again or monotonic() >= until:
                        raise self.unavailable(
                            failure.reason, failure.remedy, slow=failure.slow
                        ) from None
                except FateUnknown as failure:
                    if once or monotonic() >= until:
                        raise self.unavailable(
                            "has an unknown outcome, because the server did not reply to the"
                            " commit",
                            slow=failure.slow,
                        ) from None
                except (
                    MissingTable,
                    ConnectionDenied,
                    MissingFeature,
                    ConfigurationError,
                ) as failure:
                    await self._recover(failure, until)
                else:
                    self._worked = True
                    self.last_reply = monotonic()
                    return answer
                await self.runtime.sleep(pause * random())  # noqa: S311 - random, so that retries do not collide
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            self.runtime.leave(holder)

    async def _recover(
        self,
        failure: MissingTable | ConnectionDenied | MissingFeature | ConfigurationError,
        until: float,
    ) -> None:
        """Recreate tables deleted meanwhile, or else raise moorage's error for the failure.

        The failure of a store that worked before counts as an outage.
        """
        error = (
            failure
            if isinstance(failure, ConfigurationError)
            else self._configuration_error(failure)
        )
        if not self._worked:
            raise error from None
        if self._create_missing and isinstance(failure, MissingTable) and monotonic() < until:
            await self.runtime.create()
            return
        raise StorageUnavailable(error.message, remedy=error.remedy) from None

    async def _with_link(
        self, work: Callable[[Link], Coroutine[Any, Any, Answer]], until: float
    ) -> Answer:
        pool = self.pool()
        link = pool.take() or await self._open_when_accepted(pool, until)
        try:
            if pool.may_check_capacity():
                pool.note_capacity(is_crowded=await link.is_crowded(until))
            return await work(link)
        except (NotExecuted, FateUnknown) as failure:
            if failure.lost:
                # The server was restarted or is unreachable, so the other connections are probably
                # lost too.
                pool.clear()
            raise
        finally:
            self._return_link(pool, link)

    def pool(self) -> LinkPool:
        """Return the connection pool of this thread or event loop."""
        if self._closed:
            raise StorageUnavailable(
                "The SQL store is closed.",
                retryable=False,
                remedy="Create a new store, or close this store later.",
            )
        scope = self.runtime.scope()
        pool = self._pools.get(scope)
        if pool is None:
            for other_scope, abandoned_pool in list(self._pools.items()):
                if self.runtime.gone(other_scope):
                    self._pools.pop(other_scope, None)  # another loop may remove it too
                    abandoned_pool.clear()
            pool = self._pools.setdefault(scope, LinkPool())
        return pool

    def _return_link(self, pool: LinkPool, link: Link) -> None:
        if not link.ready or self._closed or pool.gives_back_now():
            pool.drop(link)
            return
        pool.idle.append((monotonic(), link))
        if self._closed:
            # The store was closed while this connection was being returned to the pool.
            pool.clear()
            return
        if not pool.expires:
            pool.expires = True
            self.runtime.later(self.idle_seconds, partial(self._expire, pool))

    def _expire(self, pool: LinkPool) -> None:
        """Close connections that have been idle for too long, and schedule the next check."""
        seconds_left = pool.expire(self.idle_seconds)
        pool.expires = seconds_left is not None
        if seconds_left is not None:
            self.runtime.later(seconds_left, partial(self._expire, pool))

    async def _open_when_accepted(self, pool: LinkPool, until: float) -> Link:
        """Open a connection; if the server allows no more, wait until a caller returns one."""
        refusal: ServerFull | None = None
        while True:
            try:
                return await self._open(pool, until)
            except ServerFull as failure:
                refusal = failure
            except StorageUnavailable:
                if refusal is None:
                    raise
            time_left = until - monotonic()
            if time_left <= 0:
                raise refusal
            # Each connection attempt costs the server a process, even if it is refused.
            await self.runtime.sleep(min(time_left, _PAUSE_OF_A_FULL_SERVER * random()))  # noqa: S311 - random, so that retries do not collide

    async def _open(self, pool: LinkPool, until: float) -> Link:
        """Return a new connection if it opens in time; otherwise the next caller gets it."""
        opening = pool.joinable(self._connections)
        if opening is None:
            opening = PendingConnection(partial(self._keep_late, pool))
            opening.running = self.runtime.start(opening.run(partial(self._connect, pool)))
        try:
            link = await opening.within(max(0.0, until - monotonic()), pool.late_openings)
        finally:
            if self._closed:
                # Nobody will use a connection that is still being opened.
                opening.running.cancel()
        if link is None:
            raise self.runtime.late_error(slow=opening.reached)
        pool.round_trip = opening.round_trip
        if until - monotonic() < _MIN_ROUND_TRIPS * opening.round_trip:
            # Otherwise the transaction would be interrupted, and the connection lost.
            self._return_link(pool, link)
            raise self.runtime.late_error(slow=True)
        return link

    def _keep_late(self, pool: LinkPool, opening: PendingConnection, link: Link | None) -> None:
        """Keep a connection that opened after its caller's deadline, for the next caller."""
        with suppress(ValueError):  # its caller was interrupted
            pool.late_openings.remove(opening)
        if link is not None:
            self._return_link(pool, link)

    async def _connect(self, pool: LinkPool, opening: PendingConnection) -> Link:
        """Open a connection without a deadline, because a slow server may take long."""
        link = await self.runtime.connect()
        opening.reached = True
        try:
            pool.links.add(link)
            self.last_reply = start_time = monotonic()
            await self._prepare(link)
            self.last_reply = monotonic()
            opening.round_trip = self.last_reply - start_time
        except BaseException as failure:
            pool.drop(link)
            if isinstance(failure, NotExecuted):
                failure.slow = failure.slow or not failure.lost
            raise
        return link

    async def _prepare(self, link: Link) -> None:
        """Prepare a connection for use, and check that the tables have a supported version."""
        patience = max(self._timeout, SLOWEST)
        version = None
        try:
            version = await link.prepare(self._timeout, monotonic() + patience)
        except MissingTable:
            if not self._create_missing:
                raise
        if self._checked:
            return
        if version is None and self._create_missing:
            # The tables are missing, or another process is creating them; the next step waits for
            # that.
            await self.runtime.create()
            version = await link.prepare(self._timeout, monotonic() + patience)
        if version is None:
            raise ConfigurationError(
                f"The version of the tables of {self._table} in {self._where} is not stored.",
                path=self._path,
                remedy=f"Call `migrate()` of the store, or run this statement: {self._stamping};",
            )
        if version != VERSION:
            raise ConfigurationError(
                f"The tables of {self._table} in {self._where} have version {version}, "
                f"but this release needs version {VERSION}.",
                path=self._path,
                remedy="Upgrade moorage in every process that shares the store.",
            )
        self._checked = True

    def _configuration_error(
        self, failure: MissingTable | ConnectionDenied | MissingFeature
    ) -> ConfigurationError:
        if isinstance(failure, MissingFeature):
            message, remedy = f"{self._where} {failure.reason}.", failure.remedy
        elif isinstance(failure, ConnectionDenied):
            message = f"The database user of {self._where} has no access to {self._table}."
            remedy = "Grant the user SELECT, INSERT, UPDATE and DELETE on both tables."
        else:
            message = f"{self._where} has no usable table {self._table}."
            remedy = (
                "If a configuration names the store, run `moorage housekeep --migrate` once."
                " Otherwise call `migrate()` of the store, run the statements that `ddl()` returns,"
                " or pass create=True."
            )
        return ConfigurationError(message, path=self._path, remedy=remedy)

    def unavailable(
        self, reason: str, remedy: str | None = None, *, slow: bool = False
    ) -> StorageUnavailable:
        """Return the error for a failed command, whose message ends with `reason`."""
        message = f"A command to {self._where} {reason}."
        return StorageUnavailable(message, remedy=remedy, slow=slow)
