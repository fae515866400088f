"""The only file that knows colours: it runs a flow without an event loop.

A flow awaits only ports. Where every port is a lifted plain function, nothing ever suspends, and
the flow runs to its end at the first `send`. A flow that does suspend there has been given a port
of the wrong colour: that is a bug, and raises at once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import ContextVar
from types import CoroutineType, FunctionType, coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, cast

from moorage.adapters.notices import give_notice
from moorage.domain.secrets.frames import bare
from moorage.domain.values.names import name_of
from moorage.errors import ConfigurationError, ConnectorError
from moorage.services.calling.call import OutOfTimeError, cut_off, signatures

if TYPE_CHECKING:
    from moorage.adapters.concurrency._timers import Bound
    from moorage.domain.http.requests import Headers
    from moorage.domain.state.commands import Command
    from moorage.ports.http import AsyncIncoming, Incoming
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])

_GENERATOR: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_ENDLESS: Final = 10 * 365 * 86_400.0
"""Whoever gives so many seconds gives no bound."""

_NO_BOUND: Final = (
    "moorage cannot stop what it awaits here when its timeout is over, because no task of asyncio's"
    " runs it. Give what you call a timeout of its own."
)
NOT_PLAIN: Final = _GENERATOR | inspect.CO_COROUTINE

_allowed: Final[ContextVar[float | None]] = ContextVar("allowed", default=None)


class SuspendedError(RuntimeError):
    """A flow suspended on the synchronous face: one of its ports is not what it says it is."""


def run_now(flow: Coroutine[Any, Any, R]) -> R:
    """Run a flow whose ports never suspend, and return what it returns."""
    try:
        flow.send(None)
    except StopIteration as stop:
        # A name for the value would be held by this frame, and that by the exception, in a circle.
        return stop.value  # type: ignore[no-any-return]  # what the coroutine returned
    flow.close()
    raise SuspendedError(
        f"{flow!r} suspended on the synchronous face: a port awaited something of its own."
    )


def lift(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """A plain function as one that is awaited, and never suspends."""

    async def lifted(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return lifted


def lift_command(
    execute: Callable[[Command[Any], float | None], R],
) -> Callable[[Command[Any], float | None], Coroutine[Any, Any, R]]:
    """As `lift`, for the `execute` of a store: this is the hot path."""

    async def lifted(command: Command[Any], timeout: float | None, /) -> R:
        return execute(command, timeout)

    return lifted


def lift_one(function: Callable[[S], R]) -> Callable[[S], Coroutine[Any, Any, R]]:
    """As `lift`, for a function of one argument: this is the hot path."""

    async def lifted(argument: S, /) -> R:
        return function(argument)

    return lifted


def blocked(flow: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """A flow that never suspends, as a plain function."""

    def plain(*args: P.args, **kwargs: P.kwargs) -> R:
        return run_now(flow(*args, **kwargs))

    return plain


def guarded(
    function: Callable[P, R], convert: Callable[[Exception], ConnectorError]
) -> Callable[P, R]:
    """A plain verb of a port, of which no foreign error passes, and no frame of any."""

    def guard(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again
            failure = error
        del args, kwargs
        try:
            raise _let_through(failure, convert)
        finally:
            # Else the traceback holds this frame, and the frame the error.
            del failure

    return guard


def guarded_async(
    function: Callable[P, Awaitable[R]], convert: Callable[[Exception], ConnectorError]
) -> Callable[P, Coroutine[Any, Any, R]]:
    """As `guarded`, for a verb that is awaited."""

    async def guard(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again
            failure = error
        del args, kwargs
        try:
            raise _let_through(failure, convert)
        finally:
            # Else the traceback holds this frame, and the frame the error.
            del failure

    return guard


def _let_through(
    error: BaseException, convert: Callable[[Exception], ConnectorError]
) -> BaseException:
    """What becomes of an error, or an interruption, that leaves a port."""
    if isinstance(error, ConnectorError) or not isinstance(error, Exception):
        return bare(error)
    return convert(error)


def quiet(post: Callable[[Command[Any]], None]) -> Callable[[Command[Any]], None]:
    """The `post` of a store that is not to raise: what it cannot clean up is left to its lease."""

    def posted(command: Command[Any], /) -> None:
        with suppress(Exception):
            post(command)

    return posted


class _Arriving:
    """A plain `Incoming` as one that is awaited, and never suspends."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self.close = incoming.close

    @property
    def status(self) -> int:
        return self._incoming.status

    @property
    def headers(self) -> Headers:
        return self._incoming.headers

    async def read(self) -> bytes:
        return self._incoming.read()


def lift_incoming(
    verb: Callable[P, Incoming],
) -> Callable[P, Coroutine[Any, Any, AsyncIncoming]]:
    """A plain `open` as one that is awaited, with a body that is awaited too."""

    async def lifted(*args: P.args, **kwargs: P.kwargs) -> AsyncIncoming:
        return _Arriving(verb(*args, **kwargs))

    return lifted


def blocking(
    flow: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """A flow as a plain method of a face whose `_flows` has it.

    Names, parameters, defaults and docstring are the flow's.
    """

    @functools.wraps(flow)
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return run_now(flow(self._flows, *args, **kwargs))

    return with_signature_of(flow, method)


def awaited(
    flow: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """A flow as a method of an asynchronous face whose `_flows` has it."""

    @functools.wraps(flow)
    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await flow(self._flows, *args, **kwargs)

    return with_signature_of(flow, method)


def documented_by(flow: Callable[..., Any]) -> Callable[[F], F]:
    """Give a face the docstring of its flow."""

    def documented(method: F) -> F:
        method.__doc__ = flow.__doc__
        return method

    return documented


def with_signature_of(flow: Callable[..., Any], method: F) -> F:
    """Make `method` look like `flow` to whoever asks."""
    method.__dict__.pop("__wrapped__", None)
    method.__dict__["__signature__"] = inspect.signature(flow)
    return method


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling `function` gives something to await; a generator function is refused."""
    if type(function) is FunctionType and not function.__code__.co_flags & NOT_PLAIN:
        return False
    refuse_generator(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose call is asynchronous
    )


def refuse_generator(function: Callable[..., Any]) -> None:
    """A generator's body runs after its protection has left, so it is refused."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{name_of(function)} is a generator function: its body would run unprotected.",
            path="function",
            remedy="Protect what happens inside it instead.",
        )


def can_be_awaited(value: object) -> bool:
    """Whether `await` takes it; an object that has every attribute it is asked for does not."""
    return hasattr(type(value), "__await__")


def refuse_awaitable(value: R) -> R:
    """A value on the synchronous face, which cannot await what it was given."""
    if can_be_awaited(value):
        if isinstance(value, Coroutine):
            value.close()
        raise ConfigurationError(
            "a function on the synchronous face returned an awaitable, which would never run.",
            path="function",
            remedy="Use the asynchronous face, or give a plain function.",
        )
    return value


async def settle_sync(value: R) -> R:
    """What a user's function returned, on the synchronous face."""
    return refuse_awaitable(value)


async def settle_async(value: Any) -> Any:
    """What a user's function returned, on the asynchronous face: awaited if it can be."""
    return await value if can_be_awaited(value) else value


async def within_sync(pending: Awaitable[R], seconds: float) -> R:
    """What a port gives on the synchronous face, where nothing can be cut off; it may ask."""
    token = _allowed.set(seconds)
    try:
        return await pending
    finally:
        _allowed.reset(token)


def allowance() -> float | None:
    """Seconds that whoever asks a port of us just now can wait, or None if nobody said."""
    return _allowed.get()


@functools.cache
def _timers() -> tuple[Callable[[float], Bound | None], type[BaseException]]:
    """What bounds a task, and what cancels it; the synchronous face never needs asyncio."""
    from asyncio import CancelledError  # noqa: PLC0415 - costs milliseconds to load

    from moorage.adapters.concurrency._timers import bound_here  # noqa: PLC0415 - needs asyncio

    return bound_here, CancelledError


async def within_async(pending: Awaitable[R], until: float, nanoseconds: Callable[[], int]) -> R:
    """The value of an awaitable, which is cancelled if it still waits when its time is over.

    It is started here, and bounded only when it suspends, because nothing can cancel it before.
    Only a task of asyncio's can be cancelled. Anywhere else this warns, and waits for as long as
    it takes.

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
    """As `within_async`, for a coroutine that was started, and suspended with `first_yield`."""
    bound_here, cancelled = _timers()
    seconds = (until - nanoseconds()) / 1e9
    bound = bound_here(seconds) if seconds < _ENDLESS else None
    if bound is None and seconds < _ENDLESS:
        give_notice(_NO_BOUND, stacklevel=2)
    end = _never_ours if bound is None else bound.end
    item = first_yield
    try:
        while True:
            thrown = answer = None
            try:
                answer = yield item
            except BaseException as error:  # noqa: BLE001 - thrown into the coroutine
                thrown = error
            else:
                if answer is None:  # all that asyncio ever answers
                    return (yield from steps)  # type: ignore[no-any-return]  # what it returned
            try:
                item = steps.send(answer) if thrown is None else steps.throw(thrown)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # what the coroutine returned
            finally:
                # Else the traceback holds this frame, and the frame the error.
                del thrown
    except cancelled:
        if not end():
            raise
    finally:
        end()
    raise OutOfTimeError


def _never_ours() -> bool:
    """Return that no bound has cancelled the task, because it has none."""
    return False


async def as_coroutine(pending: Awaitable[R]) -> R:
    """An awaitable of any kind as a coroutine."""
    return await pending


def bounding(
    nanoseconds: Callable[[], int],
) -> Callable[[Awaitable[R], float], Coroutine[Any, Any, R]]:
    """`within_async` for a bound in seconds from now."""

    def within(pending: Awaitable[R], seconds: float) -> Coroutine[Any, Any, R]:
        return within_async(pending, nanoseconds() + seconds * 1e9, nanoseconds)

    return within


def step_sync(function: Callable[[], Any]) -> AttemptStep:
    """A plain function as a step, which carries its outcome as a value."""

    async def step(call: Call) -> Ending:
        call.leave()
        begun = next(signatures)
        try:
            value = function()
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            call.disprove(error, begun)
            return None, error
        return value if value is None else refuse_awaitable(value), None

    return step


def step_async(function: Callable[[], Any], core: Core) -> AttemptStep:
    """A function that returns an awaitable as a step, which carries its outcome as a value.

    It is cut off at the end of the attempt's time.
    """

    async def step(call: Call) -> Ending:
        call.leave()
        begun = next(signatures)
        try:
            pending = function()
            if can_be_awaited(pending):
                until = core.nanoseconds() + call.bound(core) * 1e9
                return await within_async(pending, until, core.nanoseconds), None
        except OutOfTimeError:
            return None, cut_off()
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            call.disprove(error, begun)
            return None, error
        # It has run, so this is no refusal: what it did is done.
        raise not_awaitable(function)

    return step


def not_awaitable(function: object) -> ConfigurationError:
    """A plain function was given to the asynchronous face."""
    return ConfigurationError(
        f"{name_of(function)} on the asynchronous face returned nothing to await.",
        path="function",
        remedy="Give an `async def`, or use the synchronous face for plain functions.",
    )


def gathered_sync(verb: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A verb of the Gather port on the synchronous face: its steps are flows, run in threads."""

    async def gather(steps: Any, /, **options: Any) -> Any:
        return verb([functools.partial(_run_step, step) for step in steps], **options)

    return gather


def _run_step(step: Callable[[], Coroutine[Any, Any, R]]) -> R:
    return run_now(step())
