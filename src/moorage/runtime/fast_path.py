"""The fast path: an attempt without a coroutine, for calls that nothing delays or refuses.

Most calls are admitted at once and succeed. A manager makes the first attempt of these itself. At
the first delay or failure the flow takes over, receives the state of the attempt so far, and
continues as if it had made the attempt itself.
"""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from moorage.domain.auth.methods import authorise
from moorage.domain.auth.sent_values import Sent
from moorage.domain.http.requests import join_url
from moorage.domain.resilience.admission import NEEDS_TOKEN
from moorage.domain.service.plan import with_defaults
from moorage.domain.values.functions import not_callable
from moorage.errors import ConnectorError
from moorage.runtime.bridge import (
    as_coroutine,
    can_be_awaited,
    not_awaitable,
    refuse_awaitable,
    refuse_generator,
    rest_within,
    run_now,
    step_async,
    step_sync,
)
from moorage.services.calling.call import OutOfTimeError, cut_off, value_of
from moorage.services.core.foreign_errors import http_broke

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.service.plan import Plan
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.exchange import Arrived
    from moorage.services.calling.steps import Calling
    from moorage.services.core.core import Core

R = TypeVar("R")

_GOOD: Final = 300
_SLACK: Final = 6
"""A share of two to the power of minus six may be missing from the time of a first attempt."""
_GENERATORS: Final = frozenset({GeneratorType, AsyncGeneratorType})


def run(flows: Calling, plan: Plan, function: Callable[[], R]) -> R:
    """Call a plain function."""
    core = flows.core
    began = core.nanoseconds()
    permit = None
    if plan.admission is not None:
        admitted = _ask(flows, plan, began)
        if admitted[0] or admitted[1] or _took_long(core, plan, began):
            grants = [admitted]
            try:
                step = step_sync(function)
                return value_of(run_now(flows.go_on(plan, began, grants, step)))  # type: ignore[no-any-return]  # the function's
            except BaseException:
                flows.hand_back(plan, grants)
                raise
        permit = admitted[2]
    try:
        value = function()
        if type(value) in _GENERATORS:
            refuse_generator(function)
        return value if value is None else refuse_awaitable(value)
    except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
        step = step_sync(function)
        ending = run_now(flows.follow(plan, began, permit, _own_error(error, function), step))
    except BaseException:
        flows.give_back(plan, permit)
        raise
    try:
        return value_of(ending)  # type: ignore[no-any-return]  # the function's
    finally:
        # Else the traceback holds this frame, and the frame the error.
        del ending


async def run_async(flows: Calling, plan: Plan, function: Callable[[], Awaitable[R]]) -> R:
    """Call an asynchronous function."""
    core = flows.core
    began = core.nanoseconds()
    permit = None
    if plan.admission is not None:
        admitted = _ask(flows, plan, began)
        if admitted[0] or admitted[1] or _took_long(core, plan, began):
            grants = [admitted]
            try:
                step = step_async(function, core)
                return value_of(await flows.go_on(plan, began, grants, step))  # type: ignore[no-any-return]  # the function's
            except BaseException:
                flows.hand_back(plan, grants)
                raise
        permit = admitted[2]
    try:
        pending = function()
        if type(pending) is CoroutineType:
            steps = cast("Coroutine[Any, Any, R]", pending)
        elif can_be_awaited(pending):
            steps = as_coroutine(pending)
        else:
            refuse_generator(function)
            raise not_awaitable(function)  # noqa: TRY301 - as if it had raised it itself
        try:
            first_yield = steps.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the function's
        return await rest_within(steps, first_yield, began + plan.span, core.nanoseconds)
    except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
        ending = await flows.follow(
            plan, began, permit, _own_error(error, function), step_async(function, core)
        )
    except BaseException:
        flows.give_back(plan, permit)
        raise
    try:
        return value_of(ending)  # type: ignore[no-any-return]  # the function's
    finally:
        # Else the traceback holds this frame, and the frame the error.
        del ending


def call(
    flows: Calling, send: Callable[[Request, str, Timeouts], Response], plan: Plan, request: Request
) -> Response:
    """Send a request to which nothing happens that needs a port."""
    began = flows.core.nanoseconds()
    sent, url = _outgoing(flows, plan, began, request)
    # Nothing is called before this is inside the `try`, so no interruption comes between.
    try:
        grants = [] if plan.admission is None else [_ask(flows, plan, began)]
    except BaseException:
        url = ""  # which no error is to show
        raise
    arrived: Ending | None = None
    try:
        if not grants or not (grants[0][0] or grants[0][1] or _took_long(flows.core, plan, began)):
            try:
                response = send(sent, url, plan.timeouts_at_first)
            except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
                arrived = None, _ours(error)
            else:
                if response.status < _GOOD and not _limited(plan, response):
                    return response
                arrived = response, None
        # From here on an error may show this frame.
        first_attempt = _first_attempt(plan, arrived, sent, url)
        url = ""
        del sent
        ending = run_now(flows.go_on_sending(plan, began, grants, request, first_attempt))
    except BaseException as error:
        flows.hand_back(plan, grants)
        url = ""
        error.__traceback__ = None  # the frames below hold what was sent
        raise
    try:
        return value_of(ending)  # type: ignore[no-any-return]  # a Response
    finally:
        # Else the traceback holds this frame, and the frame the error.
        del ending, arrived, first_attempt


async def call_async(
    flows: Calling,
    send: Callable[[Request, str, Timeouts], Awaitable[Response]],
    plan: Plan,
    request: Request,
) -> Response:
    """Send a request to which nothing happens that needs a port."""
    began = flows.core.nanoseconds()
    sent, url = _outgoing(flows, plan, began, request)
    # Nothing is called before this is inside the `try`, so no interruption comes between.
    try:
        grants = [] if plan.admission is None else [_ask(flows, plan, began)]
    except BaseException:
        url = ""  # which no error is to show
        raise
    arrived: Ending | None = None
    try:
        if not grants or not (grants[0][0] or grants[0][1]):
            try:
                response = await send(sent, url, plan.timeouts_at_first)
            except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
                arrived = None, _ours(error)
            else:
                if response.status < _GOOD and not _limited(plan, response):
                    return response
                arrived = response, None
        # From here on an error may show this frame.
        first_attempt = _first_attempt(plan, arrived, sent, url)
        url = ""
        del sent
        ending = await flows.go_on_sending(plan, began, grants, request, first_attempt)
    except BaseException as error:
        flows.hand_back(plan, grants)
        url = ""
        error.__traceback__ = None  # the frames below hold what was sent
        raise
    try:
        return value_of(ending)  # type: ignore[no-any-return]  # a Response
    finally:
        # Else the traceback holds this frame, and the frame the error.
        del ending, arrived, first_attempt


def _outgoing(flows: Calling, plan: Plan, began: int, request: Request) -> tuple[Request, str]:
    """What is sent of a request, and where to."""
    try:
        if plan.dresses:
            request = with_defaults(request, plan)
            if plan.credentials is not None:
                request = authorise(request, plan.credentials)
        url = join_url(plan.base_url or "", request)
    except ConnectorError as error:
        flows.sign(plan, began, error)
        raise
    if flows.core.learn is not None:
        _sent(plan, request, url).teach(flows.core.learn)
    return request, url


def _first_attempt(plan: Plan, arrived: Ending | None, sent: Request, url: str) -> Arrived | None:
    """How the first attempt ended, if it was made, and what it sent as a credential."""
    if arrived is None:
        return None
    return arrived, _sent(plan, sent, url)


def _sent(plan: Plan, request: Request, url: str) -> Sent:
    return Sent(plan.credentials, request, url, plan.service.redaction, plan.base_url)


def _ask(flows: Calling, plan: Plan, began: int) -> Admitted:
    try:
        admitted: Admitted = flows.core.ask(plan.admission, plan.seconds)  # type: ignore[misc, arg-type]  # an easy plan's has it
    except ConnectorError as error:
        flows.sign(plan, began, error)
        raise
    if admitted[0] > NEEDS_TOKEN:
        raise flows.refused(plan, began, admitted)
    return admitted


def _took_long(core: Core, plan: Plan, began: int) -> bool:
    """Tell whether asking a store took so much of the call's time that less is left to attempt."""
    return core.waits and core.nanoseconds() - began > plan.span >> _SLACK


def _limited(plan: Plan, response: Response) -> bool:
    """Tell whether the answer may say that the vendor allows no more."""
    return bool(plan.gates.limits) and response.headers.mention("limit")


def _ours(error: Exception) -> ConnectorError:
    return error if isinstance(error, ConnectorError) else http_broke(error)


def _own_error(error: Exception, function: object) -> Exception:
    if isinstance(error, OutOfTimeError):
        return cut_off()
    return error if callable(function) else not_callable(function, "function")
