"""Runs flows (moorage's coroutines) with or without an event loop.

A flow awaits only ports. If every port is a synchronous function wrapped as an async one, nothing
ever suspends, and the flow runs to its end at the first `send`. If a flow does suspend there, one
of its ports is asynchronous: this is a bug, and an error is raised immediately.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, cast

from moorage.adapters.concurrency.allowance import allowed_time
from moorage.adapters.notices import give_notice
from moorage.domain.resilience.interruptions import (
    interruption_behind,
    is_interruption,
    without_interrupted_frames,
)
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.names import name_of
from moorage.errors import ConfigurationError, ConnectorError
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.call import OutOfTimeError, attempt_timeout_error, signatures

if TYPE_CHECKING:
    from moorage.adapters.concurrency._timers import TaskTimeout
    from moorage.domain.http.requests import Headers
    from moorage.domain.service.plan import Plan
    from moorage.domain.state.commands import Command
    from moorage.ports.http import AsyncIncoming, Incoming
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])

_GENERATOR: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_ENDLESS_SECONDS: Final = 10 * 365 * 86_400.0
"""A time limit of so many seconds counts as no time limit."""

_NO_BOUND: Final = (
    "moorage cannot cancel this awaitable at its timeout, because no asyncio task runs it."
    " Set a timeout in the code that you call."
)
_GENERATORS: Final = frozenset({GeneratorType, AsyncGeneratorType})
plain_sync: Final = frozenset({type(None), bool, bytes, dict, float, int, list, str, tuple})
"""Types of results that a synchronous function may return, and nothing can await."""

plain_async: Final[frozenset[type]] = frozenset()
"""Types of results that need not be awaited in asynchronous code; this set is empty."""

_FUNCTION_ATTRIBUTE: Final = "lifted_function"
_NEEDS_NO_FLOW: Final = "needs_no_flow"
NOT_PLAIN: Final = _GENERATOR | inspect.CO_COROUTINE


class SuspendedError(RuntimeError):
    """Raised if a coroutine of synchronous code waits, because one of its ports is asynchronous."""


def run_now(flow: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that never waits, without an event loop, and return its result."""
    try:
        flow.send(None)
    except StopIteration as stop:
        # With a local name for the value, this frame and the exception would form a reference
        # cycle.
        return stop.value  # type: ignore[no-any-return]  # what the coroutine returned
    flow.close()
    raise SuspendedError(
        f"The synchronous flow {flow!r} was suspended, because one of its ports is asynchronous."
    )


def run_later(flow: Coroutine[Any, Any, R]) -> Coroutine[Any, Any, R]:
    """Return the coroutine unchanged, to be awaited; the async counterpart of `run_now`."""
    return flow


def as_async(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return an async function that calls a synchronous one, and never suspends."""

    async def run_lifted(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    setattr(run_lifted, _FUNCTION_ATTRIBUTE, function)
    return run_lifted


def as_step(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Mark a synchronous function, so that `gathered_sync` calls its partials directly.

    Its type is that of the asynchronous function that it replaces.
    """
    setattr(function, _NEEDS_NO_FLOW, True)
    return cast("Callable[P, Coroutine[Any, Any, R]]", function)


def command_as_async(
    execute: Callable[[Command[Any], float | None], R],
) -> Callable[[Command[Any], float | None], Coroutine[Any, Any, R]]:
    """Do the same as `as_async`, but faster, for the `execute` method of a store."""

    async def lifted_call(command: Command[Any], timeout: float | None, /) -> R:
        return execute(command, timeout)

    return lifted_call


def one_argument_as_async(function: Callable[[S], R]) -> Callable[[S], Coroutine[Any, Any, R]]:
    """Do the same as `as_async`, but faster, for a function of one argument."""

    async def lifted_call(argument: S, /) -> R:
        return function(argument)

    return lifted_call


def blocking_function(flow: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Return a synchronous function that runs an async function which never waits."""

    def run_plain(*args: P.args, **kwargs: P.kwargs) -> R:
        return run_now(flow(*args, **kwargs))

    return run_plain


def guarded_port(
    function: Callable[P, R], convert: Callable[[Exception], ConnectorError]
) -> Callable[P, R]:
    """Wrap a function of a synchronous port so that it raises only moorage's errors."""

    def guarded_call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again
            failure = error
        del args, kwargs
        try:
            raise _public_error(failure, convert, is_async=False)
        finally:
            # Otherwise the traceback would refer to this frame, and the frame to the error.
            del failure

    return guarded_call


def guarded_async(
    function: Callable[P, Awaitable[R]], convert: Callable[[Exception], ConnectorError]
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Wrap a function of an asynchronous port so that it raises only moorage's errors."""

    async def guarded_call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again
            failure = error
        del args, kwargs
        try:
            raise _public_error(failure, convert, is_async=True)
        finally:
            # Otherwise the traceback would refer to this frame, and the frame to the error.
            del failure

    return guarded_call


def _public_error(
    error: BaseException, convert: Callable[[Exception], ConnectorError], *, is_async: bool
) -> BaseException:
    """Return the error to raise in place of an adapter's exception."""
    interruption = interruption_behind(error)
    if interruption is not None:
        return without_interrupted_frames(interruption)
    if isinstance(error, ConnectorError) or not isinstance(error, Exception):
        return without_frames(error)
    return (is_async and _no_event_loop(error)) or convert(error)


def _no_event_loop(error: Exception) -> ConnectorError | None:
    """Return an error if an adapter found no running event loop; otherwise None."""
    if not isinstance(error, RuntimeError) or "event loop" not in str(error):
        return None
    from moorage.adapters.clocks.event_loop import running_loop  # noqa: PLC0415 - costs milliseconds to load

    try:
        running_loop()
    except ConnectorError as missing_loop:
        return without_frames(missing_loop)
    return None


def without_errors(post: Callable[[Command[Any]], None]) -> Callable[[Command[Any]], None]:
    """Wrap a store's `post` so that it never raises; claims that it cannot release expire."""

    def post_result(command: Command[Any], /) -> None:
        try:
            post(command)
        except Exception as error:
            if is_interruption(error):
                raise

    return post_result


class _AsyncIncoming:
    """An asynchronous response body that reads a synchronous one and never suspends."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    @property
    def status(self) -> int:
        return self._incoming.status

    @property
    def headers(self) -> Headers:
        return self._incoming.headers

    async def read(self) -> bytes:
        return self._incoming.read()

    def close(self) -> None:
        self._incoming.close()


def incoming_as_async(
    verb: Callable[P, Incoming],
) -> Callable[P, Coroutine[Any, Any, AsyncIncoming]]:
    """Return an async version of an HTTP client's `open`, with an async response body."""

    async def lifted_call(*args: P.args, **kwargs: P.kwargs) -> AsyncIncoming:
        incoming: Any = verb(*args, **kwargs)
        # The flow refuses a value that is not awaitable, and names its type.
        return _AsyncIncoming(incoming) if hasattr(incoming, "read") else incoming

    return lifted_call


def blocking_method(
    flow: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """Make a synchronous method from the async method of the same name of the class's `_flows`.

    Names, parameters, defaults and docstring are the flow's.
    """

    @functools.wraps(flow)
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return run_now(flow(self._flows, *args, **kwargs))

    return with_signature_of(flow, method)


def async_method(
    flow: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """Make an asynchronous method from the method of the same name of the class's `_flows`."""

    @functools.wraps(flow)
    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await flow(self._flows, *args, **kwargs)

    return with_signature_of(flow, method)


def documented_by(flow: Callable[..., Any]) -> Callable[[F], F]:
    """Give a method the docstring of the async function that it runs."""

    def add_docstring(method: F) -> F:
        method.__doc__ = flow.__doc__
        return method

    return add_docstring


def with_signature_of(flow: Callable[..., Any], method: F, *, returns: str | None = None) -> F:
    """Give `method` the signature of `flow`, with another result type if one is passed."""
    method.__dict__.pop("__wrapped__", None)
    signature = inspect.signature(flow)
    if returns is not None:
        signature = signature.replace(return_annotation=returns)
    method.__dict__["__signature__"] = signature
    return method


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call of `function` returns an awaitable; refuse generator functions."""
    if type(function) is FunctionType:
        flags = function.__code__.co_flags & NOT_PLAIN
        if not flags or flags == inspect.CO_COROUTINE:
            return bool(flags)
    refuse_generator(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose call is asynchronous
    )


def refuse_generator(function: Callable[..., Any]) -> None:
    """Refuse a generator function, because its body would run after the protection has ended."""
    if type(function) is FunctionType and not function.__code__.co_flags & _GENERATOR:
        return
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{name_of(function)} is a generator function: retries and time limits would not"
            " cover its body.",
            path="function",
            remedy="Protect the functions that the generator calls.",
        )


def can_be_awaited(value: object) -> bool:
    """True if `await` accepts the value; not for objects that merely accept any attribute."""
    return hasattr(type(value), "__await__")


def refuse_awaitable(value: R) -> R:
    """Refuse an awaitable in synchronous code, which cannot await it."""
    if can_be_awaited(value):
        if isinstance(value, Coroutine):
            value.close()
        raise ConfigurationError(
            "A function in synchronous code returned an awaitable, which would never run.",
            path="function",
            remedy="Use the asynchronous classes, or pass a synchronous function.",
        )
    return value


async def settle_sync(value: R) -> R:
    """Return the value that a user's function returned in synchronous code; refuse awaitables."""
    return refuse_awaitable(value)


async def settle_async(value: Any) -> Any:
    """Return the value of a user's function in asynchronous code, awaiting it if necessary."""
    return await value if can_be_awaited(value) else value


async def within_sync(pending: Awaitable[R], seconds: float) -> R:
    """Return a synchronous port's result; the port may read its time limit from `allowance`."""
    token = allowed_time.set(seconds)
    try:
        return await pending
    finally:
        allowed_time.reset(token)


@functools.cache
def _timers() -> tuple[Callable[[float], TaskTimeout | None], type[BaseException]]:
    """Import asyncio's time limit and cancellation error at the first use, and return them."""
    from asyncio import CancelledError  # noqa: PLC0415 - costs milliseconds to load

    from moorage.adapters.concurrency._timers import start_task_timeout  # noqa: PLC0415 - needs asyncio

    return start_task_timeout, CancelledError


async def within_async(pending: Awaitable[R], until: float, nanoseconds: Callable[[], int]) -> R:
    """Await a value and return it; cancel the awaitable when its time is over.

    It is started here, and bounded only when it suspends, because nothing can cancel it before.
    Only a task of asyncio's can be cancelled. Outside of asyncio this function warns, and waits
    without a limit.

    Args:
        pending: a coroutine, or another awaitable.
        until: the end of its time, in nanoseconds of the local clock.
        nanoseconds: reads that clock.

    Raises:
        OutOfTimeError: it did not end in time.
    """
    is_coroutine = type(pending) is CoroutineType
    steps = cast("Coroutine[Any, Any, R]", pending) if is_coroutine else as_coroutine(pending)
    try:
        first_yield = steps.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # what the coroutine returned
    return await rest_within(steps, first_yield, until, nanoseconds)


@coroutine
def rest_within(
    steps: Coroutine[Any, Any, R], first_yield: Any, until: float, nanoseconds: Callable[[], int]
) -> Generator[Any, Any, R]:
    """Limit the time of a coroutine like `within_async`, after it has yielded `first_yield`."""
    start_task_timeout, cancelled_class = _timers()
    seconds = (until - nanoseconds()) / 1e9
    time_bound = start_task_timeout(seconds) if seconds < _ENDLESS_SECONDS else None
    if time_bound is None and seconds < _ENDLESS_SECONDS:
        give_notice(_NO_BOUND, stacklevel=2)
    end = _is_no_timeout if time_bound is None else time_bound.end
    item = first_yield
    try:
        while True:
            thrown_error = answer = None
            try:
                answer = yield item
            except BaseException as error:  # noqa: BLE001 - thrown into the coroutine
                thrown_error = error
            else:
                if answer is None:  # asyncio sends no other value
                    return (yield from steps)  # type: ignore[no-any-return]  # what it returned
            try:
                item = steps.send(answer) if thrown_error is None else steps.throw(thrown_error)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # what the coroutine returned
            finally:
                # Otherwise the traceback would refer to this frame, and the frame to the error.
                del thrown_error
    except cancelled_class:
        if not end():
            raise
    finally:
        end()
    raise OutOfTimeError


def _is_no_timeout() -> bool:
    """Return False, because without a time limit a cancellation must have another cause."""
    return False


async def in_thread(work: Callable[[], R]) -> R:
    """Run a long computation in a thread if an event loop runs here, otherwise directly."""
    from asyncio import get_running_loop  # noqa: PLC0415 - costs milliseconds to load

    from moorage.adapters.concurrency.pooled_threads import to_thread  # noqa: PLC0415 - only event loops need it

    try:
        get_running_loop()
    except RuntimeError:
        return work()
    return await to_thread(work)


async def as_coroutine(pending: Awaitable[R]) -> R:
    """Convert any awaitable to a coroutine."""
    return await pending


def limited_by(
    nanoseconds: Callable[[], int],
) -> Callable[[Awaitable[R], float], Coroutine[Any, Any, R]]:
    """Return a version of `within_async` that takes a limit in seconds from now."""

    def within_deadline(pending: Awaitable[R], seconds: float) -> Coroutine[Any, Any, R]:
        return within_async(pending, nanoseconds() + seconds * 1e9, nanoseconds)

    return within_deadline


def step_sync(function: Callable[[], Any], _core: Core | None = None) -> AttemptStep:
    """Return a step that calls a synchronous function and returns its result or error as a value.

    It needs no core; its asynchronous twin does.
    """

    async def step(call: Call) -> AttemptResult:
        call.leave()
        signature = next(signatures)
        try:
            value = function()
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            call.weigh_effects(error, signature)
            return AttemptResult(error=error)
        return AttemptResult(value if value is None else refuse_awaitable(value))

    return step


def step_async(function: Callable[[], Any], core: Core) -> AttemptStep:
    """Return a step that awaits an async function and returns its result or error as a value.

    It is cut off at the end of the attempt's time.
    """

    async def step(call: Call) -> AttemptResult:
        call.leave()
        signature = next(signatures)
        try:
            awaitable = function()
            if can_be_awaited(awaitable):
                end_time = core.nanoseconds() + call.bound(core) * 1e9
                return AttemptResult(await within_async(awaitable, end_time, core.nanoseconds))
        except OutOfTimeError:
            return AttemptResult(error=attempt_timeout_error())
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            call.weigh_effects(error, signature)
            return AttemptResult(error=error)
        # The function has run, so the error must not claim that nothing was done.
        raise not_awaitable_error(function)

    return step


def value_sync(
    result: R, function: object, _plan: Plan, _began: int, _call: Call | None, _core: Core, /
) -> R:
    """Return the result of a function that was called as a first attempt; refuse an awaitable."""
    if result is not None:
        if type(result) in _GENERATORS:
            refuse_generator(function)  # type: ignore[arg-type]  # it was called
        if hasattr(type(result), "__await__"):
            refuse_awaitable(result)
    return result


@coroutine
def value_async(  # noqa: PLR0917 - a tuple of them would cost more
    result: Awaitable[R],
    function: object,
    plan: Plan,
    start_time: int,
    call: Call | None,
    core: Core,
    /,
) -> Generator[Any, Any, R]:
    """Await an asynchronous function as the first attempt of a call, within the time limit.

    It is cut off at the end of the attempt's time, as `within_async` does.
    """
    steps: Coroutine[Any, Any, R]
    kind: type[Any] = type(result)
    if kind is CoroutineType:
        steps = result  # type: ignore[assignment]  # it is one
    elif can_be_awaited(result):
        steps = as_coroutine(result)
    else:
        refuse_generator(function)  # type: ignore[arg-type]  # it was called
        raise not_awaitable_error(function)
    try:
        first_yield = steps.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # what the coroutine returned
    end_time = _end_of_attempt(plan, start_time, call)
    attempt_steps: Any = rest_within(steps, first_yield, end_time, core.nanoseconds)
    return (yield from attempt_steps)  # type: ignore[no-any-return]  # what the coroutine returned


def _end_of_attempt(plan: Plan, start_time: int, call: Call | None) -> float:
    """Return the time at which a first attempt's limit ends, in nanoseconds of the local clock."""
    end, start = start_time + plan.span, start_time
    if call is not None:
        end, start = call.deadline, call.attempt_started or start_time
    attempt_timeout = plan.attempt_timeout
    return end if attempt_timeout is None else min(end, start + attempt_timeout * 1e9)


def not_awaitable_error(function: object) -> ConfigurationError:
    """Return the error for a synchronous function that was passed to an asynchronous call."""
    return ConfigurationError(
        f"{name_of(function)} did not return an awaitable, but it was called asynchronously.",
        path="function",
        remedy="Pass an `async def` function, or use the synchronous class for synchronous"
        " functions.",
    )


def gathered_sync(verb: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Adapt a synchronous `Gather` to async functions; each step runs in a thread."""

    async def gather(steps: Any, /, **options: Any) -> Any:
        return verb([_function_of_step(step) for step in steps], **options)

    return gather


def _function_of_step(step: Callable[[], Coroutine[Any, Any, R]]) -> Callable[[], R]:
    """Return a plain function that runs a step; a synchronous step needs no coroutine."""
    function = getattr(step, "func", None)
    if hasattr(function, _NEEDS_NO_FLOW):
        return cast("Callable[[], R]", step)
    lifted_function = getattr(function, _FUNCTION_ATTRIBUTE, None)
    if lifted_function is None:
        return functools.partial(_run_step, step)
    call: Any = step
    return functools.partial(lifted_function, *call.args, **call.keywords)


def _run_step(step: Callable[[], Coroutine[Any, Any, R]]) -> R:
    return run_now(step())
