"""The bulkhead as a separate part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.observation.events import BulkheadShrank, CallRefused
from moorage.domain.service.settings import BulkheadConfig, Service
from moorage.domain.state.keys import checked_name, state_key
from moorage.errors import BulkheadFull
from moorage.parts.base import CENTURY
from moorage.parts.guard import Guard
from moorage.runtime.flows import run_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from moorage.domain.resilience.adaptive_limit import AdaptiveLimit
    from moorage.domain.service.plan import Plan
    from moorage.ports.clock import Clock
    from moorage.ports.locks import AsyncLocks, Locks
    from moorage.ports.observer import Observer
    from moorage.services.core.core import Core


class BulkheadSlot:
    """The slot of a call, or the place of a call that waits for one.

    Attributes:
        began: the time at which the call began, in nanoseconds; None if it is not measured.
    """

    __slots__ = ("began",)

    def __init__(self) -> None:
        self.began: int | None = None


class Bulkhead(Guard[BulkheadSlot]):
    """Limits the number of concurrent calls, so that one slow vendor cannot occupy every worker.

    Threads and tasks are counted separately: use a bulkhead either synchronously or asynchronously.

    Args:
        max_concurrent: the maximum number of concurrent calls.
        max_waiting: the maximum number of callers that wait for a slot, in order of arrival.
        max_wait: the maximum seconds that each caller waits; by default no limit.
        adaptive: the rule by which fewer calls are admitted while the called service is overloaded;
            by default the limit is always `max_concurrent`.
        name: the name in messages; bulkheads with the same name and locks share their slots.
        observers, clock, locks, async_locks: the remaining ports.
    """

    def __init__(
        self,
        max_concurrent: int,
        max_waiting: int = 0,
        *,
        max_wait: float | timedelta | None = None,
        adaptive: AdaptiveLimit | None = None,
        name: str = "bulkhead",
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        locks: Locks | None = None,
        async_locks: AsyncLocks | None = None,
    ) -> None:
        config = BulkheadConfig(max_concurrent, max_waiting, max_wait, adaptive=adaptive)
        service = Service(name, bulkhead=config, circuit=None, retry=None)
        super().__init__(
            service, observers=observers, clock=clock, locks=locks, async_locks=async_locks
        )
        self._config = config
        wait = CENTURY if config.max_wait is None else config.max_wait
        self._wait = wait if config.max_waiting else 0.0
        self._place = self._plan.bulkhead_key

    def keyed(self, key: str) -> Bulkhead:
        """Return the bulkhead of a key, such as a tenant or host; each key has its own slots.

        The keyed bulkhead shares the settings and the locks of this bulkhead and needs little
        memory, so there may be many keys. Bulkheads of the same key share their slots. Events name
        the key as their tenant.
        """
        return _KeyedBulkhead(self, checked_name(key, "key"))

    def _ticket(self) -> BulkheadSlot:
        return BulkheadSlot()

    def _enter(self, ticket: BulkheadSlot, /) -> None:
        run_now(self._acquire(self._sync_core, ticket))

    async def _enter_later(self, ticket: BulkheadSlot, /) -> None:
        await self._acquire(self._async_core, ticket)

    async def _acquire(self, core: Core, ticket: BulkheadSlot) -> None:
        """Take a slot, or raise `BulkheadFull` if none becomes free in time."""
        config, slots = self._config, self._config.max_concurrent
        if config.adaptive is not None:
            slots = core.concurrency_limits.limit(self._place, config, core.nanoseconds())
        if not await core.acquire(
            self._place, ticket, slots=slots, queue=config.max_waiting, timeout=self._wait
        ):
            raise self._full_error(core, slots)
        if config.adaptive is not None:
            # The time is noted first, so that an interruption leaves no attempt behind.
            ticket.began = core.nanoseconds()
            core.concurrency_limits.begin(self._place, ticket)

    def _leave(self, ticket: BulkheadSlot, error: BaseException | None, /) -> None:
        start_time, ticket.began = ticket.began, None
        for core in self._cores():
            core.release(self._place, ticket)
            if start_time is not None:
                self._end(core, ticket, error, start_time)

    def _end(
        self, core: Core, ticket: BulkheadSlot, error: BaseException | None, start_time: int
    ) -> None:
        """Tell the adaptive limit how a call ended."""
        limit = core.concurrency_limits.end(
            self._place, self._config, ticket, error, start_time, core.nanoseconds()
        )
        if limit is not None and core.observers:
            self._new_call(core).emit(core, BulkheadShrank, limit=limit)

    def _cores(self) -> Iterator[Core]:
        """The synchronous and the asynchronous core, if this bulkhead has used them."""
        for name in ("_sync_core", "_async_core"):
            core: Core | None = self.__dict__.get(name)
            if core is not None:
                yield core

    def _full_error(self, core: Core, slots: int) -> BulkheadFull:
        call = self._new_call(core)
        if core.observers:
            call.emit(core, CallRefused, error=BulkheadFull.__name__, retry_after=0.0)
        return BulkheadFull(
            f"{'1 call is' if slots == 1 else f'{slots} calls are'} already running.",
            service=call.plan.service.name,
        )


class _KeyedBulkhead(Bulkhead):
    """The bulkhead of one key: it has its own slots, and the settings of the whole bulkhead."""

    def __init__(self, whole: Bulkhead, key: str) -> None:
        self._whole = whole
        self._key = key
        self._config = whole._config
        self._wait = whole._wait
        self._place = state_key("bulkhead", whole._plan.service.name, key)

    def keyed(self, key: str) -> Bulkhead:
        return self._whole.keyed(key)

    @property
    def _plan(self) -> Plan:  # type: ignore[override]  # made only for an event
        return self._whole._plan.for_tenant(self._key)

    @property
    def _sync_core(self) -> Core:  # pyright: ignore[reportIncompatibleVariableOverride]  # never set
        return self._whole._sync_core

    @property
    def _async_core(self) -> Core:  # pyright: ignore[reportIncompatibleVariableOverride]  # never set
        return self._whole._async_core

    def _cores(self) -> Iterator[Core]:
        return self._whole._cores()
