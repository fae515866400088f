"""Retries as a separate part."""

from __future__ import annotations

import functools
from datetime import timedelta
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

import attrs

from moorage.domain.observation.events import RetryScheduled
from moorage.domain.resilience.retry import RetryAfterDelay, RetryPolicy, decide, wait_of
from moorage.domain.service.settings import Service
from moorage.domain.values.functions import not_callable_error
from moorage.errors import ConnectorError
from moorage.parts.base import CENTURY, Part, decorate_function
from moorage.parts.failed_results import FailedResultError, result_check
from moorage.runtime.flows import (
    can_be_awaited,
    is_async,
    not_awaitable_error,
    refuse_awaitable,
    run_now,
    step_async,
    step_sync,
    within_async,
)
from moorage.services.calling.attempts import attempt, retry_failed_attempt
from moorage.services.calling.call import (
    Call,
    OutOfTimeError,
    attempt_timeout_error,
    signatures,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

    from moorage.ports.chance import Randomness
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.observer import Observer
    from moorage.services.calling.attempts import Ending
    from moorage.services.core.core import Core

P = ParamSpec("P")
R = TypeVar("R")


class RetryHandler(Part):
    """Repeats calls that failed with an error that may be temporary.

    Use it as a call, as a decorator, or as a loop: `for attempt in retry:` with `with attempt:` as
    its body, or `async for` with the same body. Any number of callers may share a handler; their
    attempts are counted separately.

    Args:
        policy: the number of attempts and the delays between them.
        name: the name in messages and events.
        timeout: the seconds for all attempts and pauses together; by default no limit.
        failed_result: a function that returns whether a result counts as a failure; by default no
            result does. After the last attempt such a result is returned. It does not apply to
            loops.
        observers, clock, sleeper, async_sleeper, randomness: the remaining ports.
    """

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        name: str = "retry",
        timeout: float | timedelta | None = None,
        failed_result: Callable[[Any], object] | None = None,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
        async_sleeper: AsyncSleeper | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        service = Service(
            name,
            retry=_policy(policy or RetryPolicy.default(), failed_result),
            circuit=None,
            timeout=CENTURY if timeout is None else timeout,
        )
        super().__init__(
            service,
            observers=observers,
            clock=clock,
            sleeper=sleeper,
            async_sleeper=async_sleeper,
            randomness=randomness,
        )
        self._check = result_check(failed_result)

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` until it succeeds or the policy allows no further attempt."""
        if not callable(function):
            raise not_callable_error(function, "function")
        if is_async(function):
            return self._call_later(function, *args, **kwargs)  # type: ignore[return-value]  # R is the coroutine
        if self._check is not None:
            try:
                return self._call_now(  # type: ignore[no-any-return]  # the function's result
                    functools.partial(self._check.call, function, *args, **kwargs)
                )
            except FailedResultError as failed:
                return failed.value  # type: ignore[no-any-return]  # the function's result
        core = self._sync_core
        if core.observers:
            return self._call_now(functools.partial(function, *args, **kwargs))
        # The first attempt needs no decision; the flow takes over after a failure.
        start_time = core.nanoseconds()
        try:
            value = function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the flow decides about the error
            call = Call(self._plan, start_time, self._plan.span)
            step = step_sync(functools.partial(function, *args, **kwargs))
            call_ending = run_now(retry_failed_attempt(core, call, None, error, step))
        else:
            return value if value is None else refuse_awaitable(value)
        try:
            return value_of(_signed_ending(core, call, call_ending))  # type: ignore[no-any-return]  # the function's result
        finally:
            # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
            del call, call_ending

    def _call_now(self, function: Callable[[], R]) -> R:
        core = self._sync_core
        call = self._new_call(core)
        call_ending = run_now(attempt(core, call, step_sync(function)))
        return value_of(_signed_ending(core, call, call_ending))  # type: ignore[no-any-return]  # the function's result

    async def _call_later(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        core, plan = self._async_core, self._plan
        if self._check is not None:
            step = step_async(
                functools.partial(self._check.call_later, function, *args, **kwargs), core
            )
            call = self._new_call(core)
            try:
                return value_of(_signed_ending(core, call, await attempt(core, call, step)))
            except FailedResultError as failed:
                return failed.value
        if core.observers:
            call = self._new_call(core)
            step = step_async(functools.partial(function, *args, **kwargs), core)
            return value_of(_signed_ending(core, call, await attempt(core, call, step)))
        # The first attempt needs no decision, as in `call`.
        start_time = core.nanoseconds()
        try:
            awaitable: Any = function(*args, **kwargs)
            if type(awaitable) is not CoroutineType and not can_be_awaited(awaitable):
                raise not_awaitable_error(function)  # noqa: TRY301 - handled like an error of the function
            steps = cast("Awaitable[Any]", awaitable)
            if plan.seconds == CENTURY:
                return await steps
            return await within_async(steps, start_time + plan.span, core.nanoseconds)
        except Exception as error:  # noqa: BLE001 - the flow decides about the error
            failure = attempt_timeout_error() if isinstance(error, OutOfTimeError) else error
            call = Call(plan, start_time, plan.span)
            step = step_async(functools.partial(function, *args, **kwargs), core)
            call_ending = await retry_failed_attempt(core, call, None, failure, step)
        try:
            return value_of(_signed_ending(core, call, call_ending))
        finally:
            # Otherwise the traceback refers to this frame and the frame to the error: a cycle.
            del call, call_ending, failure

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Decorate `function` so that every call of it is retried."""
        return decorate_function(function, self.call, self._call_later)

    def __iter__(self) -> Attempts:
        return Attempts(self._sync_core, self._new_call(self._sync_core))

    def __aiter__(self) -> AsyncAttempts:
        return AsyncAttempts(self._async_core, self._new_call(self._async_core))


def _policy(policy: RetryPolicy, failed_result: object) -> RetryPolicy:
    """Return a policy that also retries results that count as failures."""
    if failed_result is None or policy.retry_on is None:
        return policy

    def retries(error: Exception) -> bool:
        return isinstance(error, FailedResultError) or policy.retries(error)

    return attrs.evolve(policy, retry_on=retries)


def _signed_ending(core: Core, call: Call, ending: Ending) -> Ending:
    if isinstance(ending[1], ConnectorError):
        call.sign(core, ending[1])
    return ending


class _RetryLoop:
    """The state of one retry loop: its attempts, and the outcome of the latest one."""

    def __init__(self, core: Core, call: Call) -> None:
        self._core = core
        self._call = call
        self._again = True
        self._pause = 0.0
        self._begun = 0
        self._last: Exception | None = None

    def _next_attempt(self) -> Attempt:
        call = self._call
        if call.attempts and call.remaining(self._core) <= 0:
            late_error = call.deadline_error(self._last)
            call.sign(self._core, late_error)
            raise late_error
        self._again = False
        call.begin_attempt()
        call.leave()
        self._begun = next(signatures)
        return Attempt(self, call.attempts)

    def should_retry(self, error: Exception) -> bool:
        """Return whether the loop makes another attempt after `error`."""
        call, core = self._call, self._core
        call.weigh_effects(error, self._begun)
        decision = decide(
            call.plan.retry,
            error,
            attempt=call.attempts,
            repeatable=True,
            retry_after=wait_of(error, core.utc()),
            remaining=call.remaining(core) / 1e9,
            previous=self._pause,
            draw=core.fraction(),
        )
        if isinstance(decision, RetryAfterDelay):
            self._again = True
            self._pause = decision.delay
            self._last = error
            if core.observers:
                call.emit(
                    core,
                    RetryScheduled,
                    attempt=call.attempts,
                    delay=decision.delay,
                    error=type(error).__name__,
                )
        elif isinstance(error, ConnectorError):
            if decision.retry_after is not None:
                error.retry_at = core.utc() + timedelta(seconds=decision.retry_after)
            call.sign(core, error)
        return self._again


class Attempts(_RetryLoop):
    """The iterator of a `for` loop that retries: each item is one attempt."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if not self._again:
            raise StopIteration
        if self._pause:
            run_now(self._core.sleep(self._pause))
        return self._next_attempt()


class AsyncAttempts(_RetryLoop):
    """The iterator of an `async for` loop that retries: each item is one attempt."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if not self._again:
            raise StopAsyncIteration
        if self._pause:
            await self._core.sleep(self._pause)
        return self._next_attempt()


class Attempt:
    """One attempt of a retry loop; the code to retry is in its `with attempt:` block.

    An error that is worth another attempt is suppressed; any other leaves the loop.
    """

    __slots__ = ("_loop", "number")

    def __init__(self, loop: _RetryLoop, number: int) -> None:
        self._loop = loop
        self.number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return isinstance(error, Exception) and self._loop.should_retry(error)
