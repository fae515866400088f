"""A pool of links for an asynchronous program.

`python -m tools.twins` makes `pool_sync.py` of this file.

The decisions of the pool are made in `domain/connectors/link_pool.py`. Its laws:

1. A decision is made outside the lock, from the current state. Inside the lock the new state
   replaces the old one, unless another caller has changed it meanwhile; then the decision is made
   again. So no other code runs inside the lock, neither a signal handler nor a finalizer, and no
   decision is lost.
2. A lease is ended by its holder, even if the holder is interrupted, and ending it twice changes
   nothing.
3. Nothing is awaited while the state changes, and no link is opened, tested or closed in the lock.
4. A forked child begins with an empty pool, and never touches the links of its parent.
"""

from __future__ import annotations

from random import random
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.links._turns_async import Scope, Turn
from moorage.domain.connectors import link_pool
from moorage.domain.connectors.link_pool import LinkPoolState, PoolConfig
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import AttemptTimeout
from moorage.ports.link import AsyncLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from moorage.domain.connectors.link_pool import Lease, PoolDecision
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.errors import PoolHolder

L = TypeVar("L", bound=AsyncLink)


class AsyncLinkPool(Uncopyable, Generic[L]):
    """A pool of links to one foreign system, for an asynchronous program.

    Callers that find no idle link wait in order of arrival, at most until their own time limit. The
    pool has no thread and no task of its own: links that have ended are closed when others are
    used, or by `open`.

    Args:
        connect: opens a link within a number of seconds.
        config: the size of the pool, and the lifetimes of its links.
        now: the time in seconds, of a clock that never steps back.
        draw: a random number from 0 to 1.
    """

    def __init__(
        self,
        connect: Callable[[float], Awaitable[L]],
        config: PoolConfig | None = None,
        *,
        now: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random,
    ) -> None:
        self._connect = connect
        self._config = config or PoolConfig()
        self._now = now
        self._draw = draw
        self._state = LinkPoolState()
        self._section = Lock()
        self._scope = Scope()
        self._inherited: list[LinkPoolState] = []
        in_child(self, lambda pool: pool.restart_after_fork())

    def link(self, operation: str, timeout: float) -> AsyncLinkLoan[L]:
        """Return a context manager that lends a link during its block.

        A link is closed if the block was cancelled or interrupted, or if it is no longer connected.

        Args:
            operation: the name of the operation that needs the link; the error of an exhausted pool
                shows it to other callers.
            timeout: the seconds in which a link must be found or opened.

        Raises:
            PoolExhausted: no link became free in time, or the queue of waiting callers is full.
            LocalFailure: the pool is closed.
            ConnectorError: a link could not be opened.
        """
        return AsyncLinkLoan(self, operation, timeout)

    async def open(self, timeout: float) -> None:
        """Open links up to the minimum, but at least one; close links that are too old.

        It may be called again, for example every minute: then it replaces links that have ended.
        """
        until = self._now() + timeout
        self._update_state(link_pool.retire_links)
        async with self.link("pool.open", timeout):
            pass
        while await self._open_missing(until):
            pass

    def statistics(self) -> PoolStatistics:
        """Return the current statistics of the pool, without waiting."""
        return link_pool.statistics(self._state, self._config)

    def holders(self) -> tuple[PoolHolder, ...]:
        """Return the operations that use a link, the longest-used link first, without waiting."""
        return link_pool.holders(self._state, self._now())

    def discard_links(self) -> None:
        """Close all links: idle ones now, and busy ones when they are returned."""
        self._update_state(link_pool.discard_links)

    async def close(self) -> None:
        """Stop lending links; close idle ones now, and busy ones when they are returned."""
        self._update_state(link_pool.close)

    async def _lend(self, loan: AsyncLinkLoan[L]) -> L:
        """Return a link for a loan; the caller must call `_end`, even after an error."""
        self._scope.enter(self._forget)
        until = self._now() + loan.timeout
        lease = self._update_state(link_pool.request_lease, loan, loan.operation).lease
        if lease is None:
            lease = await self._wait(loan, until)
        while lease.record is not None:
            link: L = lease.record.link
            if link.is_connected():
                if not link_pool.needs_test(self._state, self._config, self._now(), lease.record):
                    return link
                loan.is_touched = True
                if await self._is_alive(link, until):
                    return link
            replacement = self._update_state(link_pool.replace_broken_link, loan).lease
            if replacement is None:  # the process was forked meanwhile
                raise link_pool.closed_error()
            lease = replacement
        return await self._open_link(loan, until)

    def _end(self, loan: AsyncLinkLoan[L], *, reusable: bool) -> None:
        """Take a link back, or end the wait for one; a working link serves the next caller."""
        self._update_state(link_pool.give_back, loan, reusable)

    async def _wait(self, loan: AsyncLinkLoan[L], until: float) -> Lease:
        """Wait until the pool grants a slot for a link to this loan."""
        seconds = until - self._now()
        if self._config.max_wait is not None:
            seconds = min(seconds, self._config.max_wait)
        await loan.turn.wait(seconds)
        state = self._state
        lease = state.leases.get(loan)
        if lease is not None:
            return lease
        if state.closed:
            raise link_pool.closed_error()
        raise link_pool.exhaustion_error(state, self._config, self._now())

    async def _is_alive(self, link: L, until: float) -> bool:
        """Return whether the server answers over an idle link."""
        seconds = min(until - self._now(), self._config.validation_timeout)
        try:
            await link.ping(max(0.0, seconds))
        except Exception:  # noqa: BLE001 - whatever it is, the link is replaced
            return False
        return True

    async def _open_link(self, loan: AsyncLinkLoan[L], until: float) -> L:
        """Open a link for a loan that has reserved a slot for it."""
        seconds = until - self._now()
        if seconds <= 0:
            raise AttemptTimeout(
                "Waiting for a free slot in the connection pool left no time to open a connection.",
                may_have_been_processed=False,
            )
        link = await self._connect(seconds)
        is_kept = False
        try:
            record = link_pool.new_link(self._config, self._now(), link, self._draw())
            self._update_state(link_pool.fill_slot, loan, record)
            is_kept = True
        finally:
            if not is_kept:
                link.close()
        return link

    async def _open_missing(self, until: float) -> bool:
        """Open one link if the pool has fewer than the minimum; return whether it did."""
        loan = AsyncLinkLoan(self, "pool.open", 0.0)
        if self._update_state(link_pool.reserve, loan, loan.operation).lease is None:
            return False
        try:
            await self._open_link(loan, until)
        finally:
            self._end(loan, reusable=True)
        return True

    def _update_state(
        self, decide: Callable[..., tuple[LinkPoolState, PoolDecision]], *arguments: Any
    ) -> PoolDecision:
        """Make a decision with `decide` from the state of the pool, and carry it out."""
        while True:
            state = self._state
            new_state, decision = decide(state, self._config, self._now(), *arguments)
            is_made = False
            try:
                with self._section:
                    if self._state is state:
                        self._state = new_state
                        is_made = True
            finally:
                if is_made:
                    for loan in decision.woken:
                        loan.turn.call()
            if is_made:
                break
        for link in decision.retired:
            with dropped_errors():  # the connection is lost in any case
                link.close()
        return decision

    def _forget(self) -> None:  # only event loops end
        """Discard the connections of a closed event loop, and start with an empty pool."""
        state, self._state = self._state, LinkPoolState(closed=self._state.closed)
        leased_links = [lease.record for lease in state.leases.values() if lease.record is not None]
        for record in (*state.idle, *leased_links):
            with dropped_errors():  # its event loop is closed
                record.link.close()

    def restart_after_fork(self) -> None:
        """Start with an empty pool in a forked child."""
        # Closing a link, or its garbage collection, could end the parent's connection.
        self._inherited.append(self._state)
        self._section = Lock()
        self._state = LinkPoolState(closed=self._state.closed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncLinkLoan(Generic[L]):
    """A context manager that lends a link of the pool.

    Attributes:
        operation: the name of the operation that uses the link.
        timeout: the seconds in which a link must be found or opened.
        turn: the caller's place in the queue.
        is_touched: whether the link was used, so that an interruption may leave it in disorder.
    """

    __slots__ = ("_link", "_pool", "is_touched", "operation", "timeout", "turn")

    def __init__(self, pool: AsyncLinkPool[L], operation: str, timeout: float) -> None:
        self._pool = pool
        self._link: L | None = None
        self.operation = operation
        self.timeout = timeout
        self.turn = Turn()
        self.is_touched = False

    async def __aenter__(self) -> L:
        try:
            self._link = link = await self._pool._lend(self)  # noqa: SLF001 - a loan belongs to its pool
        except BaseException:
            self._pool._end(self, reusable=not self.is_touched)  # noqa: SLF001 - a loan belongs to its pool
            raise
        return link

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_in_order = kind is None or issubclass(kind, Exception)
        link = self._link
        reusable = is_in_order and link is not None and link.is_connected()
        self._pool._end(self, reusable=reusable)  # noqa: SLF001 - a loan belongs to its pool
