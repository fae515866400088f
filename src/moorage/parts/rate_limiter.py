"""The rate limiter as a separate part."""

from __future__ import annotations

import functools
import itertools
import os
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from moorage.domain.resilience.admission import Admission, Answer, Gates
from moorage.domain.resilience.gate_commands import Pause
from moorage.domain.resilience.rate_limit import common_parts, limit_names
from moorage.domain.service.settings import Service
from moorage.domain.state.keys import checked_name, own_key, part_key
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.durations import FOREVER, SECOND, count, micros, seconds
from moorage.errors import ConfigurationError
from moorage.parts.base import CENTURY
from moorage.parts.guard import Guard
from moorage.parts.leases import Leases
from moorage.runtime.flows import can_be_awaited, not_awaitable_error, run_now
from moorage.services.calling.admission import be_admitted, execute_for_parts, refusal, withdraw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.rate_limit import RateLimitConfig
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
    from moorage.services.core.core import Core

_KEYS = 10_000


class Reservation:
    """Tokens that a call may use in `delay` seconds, and may return until then."""

    __slots__ = ("_cancel", "delay")

    def __init__(self, delay: float, cancel: Callable[[], None]) -> None:
        self.delay = delay
        self._cancel = cancel

    def cancel(self) -> None:
        """Give back the reserved tokens and leave the queue; a second call does nothing."""
        cancel, self._cancel = self._cancel, _do_nothing
        cancel()


def _do_nothing() -> None:
    """Do nothing, because a reservation cannot be cancelled once its tokens may be used."""


class RateLimiter(Guard[None]):
    """Delays calls until the limits allow them, in order of arrival.

    Args:
        limits: the limits. A call takes tokens from all of them, or from none if one lacks tokens.
        name: the name of the limit; limiters with the same name and store share it.
        storage: the store of the buckets; by default the memory of this limiter alone.
        timeout: the maximum seconds that a caller waits; by default no limit.
        lease: the number of tokens to take from the store in one request, if available, so that
            most calls do not need the store. The limit is less exact then: *n* processes may grant
            up to n · (lease - 1) more tokens in any period, and notice a pause of another process
            only when their lease is used up. Leased tokens expire after the time that the limit
            needs to refill them.
        observers, clock, sleeper, async_sleeper: the remaining ports.
    """

    def __init__(
        self,
        *limits: RateLimitConfig,
        name: str = "limiter",
        storage: StateStorage | AsyncStateStorage | None = None,
        timeout: float | timedelta | None = None,
        lease: int = 1,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
        async_sleeper: AsyncSleeper | None = None,
    ) -> None:
        if not limits:
            raise ConfigurationError(
                "A rate limiter needs at least one limit.",
                path="limits",
                remedy="Pass a limit, such as RateLimitConfig.per_second(10).",
            )
        service = Service(
            name,
            limits=limits,
            circuit=None,
            retry=None,
            timeout=CENTURY if timeout is None else timeout,
        )
        super().__init__(
            service,
            storage=storage,
            observers=observers,
            clock=clock,
            sleeper=sleeper,
            async_sleeper=async_sleeper,
        )
        self._limits = service.limits
        self._leases = Leases(service.limits, lease) if count(lease, "lease") > 1 else None
        self._questions: BoundedCache[tuple[str | None, int, int], Admission] = BoundedCache(_KEYS)
        self._parts = common_parts(service.limits)
        # Processes that start at the same time begin with different parts.
        self._turns = itertools.count(os.getpid())
        admission_request = self._question_for(None, 1)
        self._question = admission_request if self._parts == 1 and self._leases is None else None

    def acquire(
        self, cost: int = 1, *, key: str | None = None, timeout: float | timedelta | None = None
    ) -> None:
        """Take `cost` tokens of `key`, and wait for them; raise at once if the wait is too long."""
        core = self._sync_core
        admission_request = self._with_wait_limit(self._question_for(key, cost), timeout)
        leases = self._leases
        if leases is not None and (
            leases.spend(key, cost, core.nanoseconds())
            or run_now(self._fetch(core, leases, key, cost, timeout))
        ):
            return
        start_time = core.nanoseconds() if core.waits else None
        ask_gate = self._ask if cost == 1 and self._parts == 1 else self._execute
        admission = ask_gate(admission_request, self._store_timeout(timeout))
        if admission[0] or admission[1]:
            try:
                run_now(
                    be_admitted(
                        core,
                        self._new_call(core, timeout, start_time),
                        admission_request,
                        admission,
                    )
                )
                core.waiters.remove_admitted(admission[3])
            except BaseException:
                withdraw(core, admission_request.gates, admission)
                raise

    async def aacquire(
        self, cost: int = 1, *, key: str | None = None, timeout: float | timedelta | None = None
    ) -> None:
        """Take `cost` tokens of `key`, and wait for them; asynchronous."""
        core = self._async_core
        ask_gate = core.ask
        admission_request = self._with_wait_limit(self._question_for(key, cost), timeout)
        leases = self._leases
        if leases is not None and (
            leases.spend(key, cost, core.nanoseconds())
            or await self._fetch(core, leases, key, cost, timeout)
        ):
            return
        time_limit = self._store_timeout(timeout)
        start_time = core.nanoseconds() if core.waits else None
        admission: Admitted = (
            await core.execute(admission_request, time_limit)
            if ask_gate is None
            else ask_gate(admission_request, time_limit)
        )
        if admission[0] or admission[1]:
            try:
                await be_admitted(
                    core, self._new_call(core, timeout, start_time), admission_request, admission
                )
                core.waiters.remove_admitted(admission[3])
            except BaseException:
                withdraw(core, admission_request.gates, admission)
                raise

    async def _call_later(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        ask_gate, admission_request = self._ask_later, self._question
        if ask_gate is None or admission_request is None:
            await self.aacquire()
        else:
            admission = ask_gate(admission_request, self._plan.seconds)
            if admission[0] or admission[1]:
                core = self._async_core
                try:
                    await be_admitted(core, self._new_call(core), admission_request, admission)
                    core.waiters.remove_admitted(admission[3])
                except BaseException:
                    withdraw(core, admission_request.gates, admission)
                    raise
        # Granted tokens are spent, so no later step has to return them.
        awaitable = function(*args, **kwargs)
        if type(awaitable) is not CoroutineType and not can_be_awaited(awaitable):
            raise not_awaitable_error(function)
        return await awaitable  # pyright: ignore[reportUnknownVariableType]  # a coroutine of any types

    def try_acquire(self, cost: int = 1, *, key: str | None = None) -> bool:
        """Take `cost` tokens of `key` if they are available now; return whether they were taken."""
        admission_request = self._question_for(key, cost).evolve(within=0)
        return not self._execute(admission_request, None)[0]

    async def atry_acquire(self, cost: int = 1, *, key: str | None = None) -> bool:
        """Take `cost` tokens of `key` if they are available now; asynchronous."""
        admission_request = self._question_for(key, cost).evolve(within=0)
        return not (await self._async_core.execute(admission_request, None))[0]

    def reserve(
        self, cost: int = 1, *, key: str | None = None, timeout: float | timedelta | None = None
    ) -> Reservation:
        """Reserve tokens without waiting for them; raise at once if the wait is too long."""
        return run_now(self._reserve(self._sync_core, cost, key, timeout))

    async def areserve(
        self, cost: int = 1, *, key: str | None = None, timeout: float | timedelta | None = None
    ) -> Reservation:
        """Reserve tokens without waiting for them; asynchronous."""
        return await self._reserve(self._async_core, cost, key, timeout)

    def pause(self, delay: float | timedelta, *, key: str | None = None) -> None:
        """Grant no tokens of `key` for `delay` seconds, as in a pause that the vendor requested."""
        run_now(self._pause(self._sync_core, delay, key))

    async def apause(self, delay: float | timedelta, *, key: str | None = None) -> None:
        """Grant no tokens of `key` for `delay` seconds; asynchronous."""
        await self._pause(self._async_core, delay, key)

    async def _fetch(
        self,
        core: Core,
        leases: Leases,
        key: str | None,
        cost: int,
        timeout: float | timedelta | None,
    ) -> bool:
        """Lease tokens and spend `cost` of them; return False if the store refuses the lease."""
        lease = leases.may_fetch(key, cost, core.nanoseconds())
        if lease is None:
            return False
        is_granted = False
        try:
            whole_admission = self._question_for(key, leases.size).evolve(within=0)
            is_granted = not (await core.execute(whole_admission, self._store_timeout(timeout)))[0]
        finally:
            leases.store_lease(lease, cost, core.nanoseconds(), granted=is_granted)
        return is_granted

    async def _reserve(
        self, core: Core, cost: int, key: str | None, timeout: float | timedelta | None
    ) -> Reservation:
        admission_request = self._with_wait_limit(self._question_for(key, cost), timeout).evolve(
            ticketed=True
        )
        admission: Admitted = await core.execute(admission_request, self._store_timeout(timeout))
        try:
            answer, wait, _, _ = admission
            if answer is Answer.GO:
                cancel = functools.partial(withdraw, core, admission_request.gates, admission)
                reservation = Reservation(wait / SECOND, cancel)
                return reservation  # noqa: RET504 - an interruption during its creation is still caught
        except BaseException:
            withdraw(core, admission_request.gates, admission)
            raise
        raise refusal(core, self._new_call(core, timeout), answer, wait)

    async def _pause(self, core: Core, delay: float | timedelta, key: str | None) -> None:
        """Pause all parts into which the limits are split, and drop leased tokens."""
        pause = micros(seconds(delay, "delay"))
        pauses = [
            Pause(self._question_for(key, 1, part).gates, pause) for part in range(self._parts)
        ]
        try:
            await execute_for_parts(core, pauses)
        finally:
            if self._leases is not None:
                self._leases.drop(key)

    def _question_for(self, key: str | None, cost: int, part: int | None = None) -> Admission:
        if part is None:
            part = 0 if self._parts == 1 else next(self._turns) % self._parts
        try:
            admission_request = self._questions.get((key, cost, part))
        except TypeError:  # an invalid key or cost, which is refused below
            admission_request = None
        if admission_request is None or type(cost) is not int:
            if key is not None:
                checked_name(key, "key")
            for limit in self._limits:
                limit.check_cost(cost)
            admission_request = self._admission(key, cost, part)
            self._questions.add((key, cost, part), admission_request)
        return admission_request

    def _admission(self, key: str | None, cost: int, part: int) -> Admission:
        gates = self._plan.parts[part].gates if part else self._plan.gates
        if key is not None:
            name = self._plan.service.name
            keys = [
                own_key("limit", name, None, key, *limit_name)
                for limit_name in limit_names(self._limits)
            ]
            gates = Gates(
                limits=gates.limits,
                limit_keys=[part_key(state, part) for state in keys],
                shares=gates.shares,
                wholes=gates.wholes,
                whole_keys=keys if gates.wholes else (),
            )
        wait_limit = min(self._plan.limit_wait, FOREVER)
        return Admission(gates, within=wait_limit, lease=0, costs=(cost,) * len(gates.limits))

    def _with_wait_limit(self, question: Admission, timeout: float | timedelta | None) -> Admission:
        if timeout is None:
            return question
        return question.evolve(within=micros(seconds(timeout, "timeout", zero=True)))

    def _ticket(self) -> None:
        return None

    def _enter(self, _: None, /) -> None:
        self.acquire()

    async def _enter_later(self, _: None, /) -> None:
        await self.aacquire()

    def _leave(self, _: None, __: BaseException | None, /) -> None:
        """Do nothing, because granted tokens are not returned."""
