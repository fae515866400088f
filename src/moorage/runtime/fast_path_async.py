"""The fast path of asynchronous calls: the first attempt of a call that nothing delays or refuses.

Most calls are admitted immediately and succeed. A manager makes the first attempt of these itself.
At the first delay or failure the flow takes over, receives the state of the attempt so far, and
continues as if it had made the attempt itself.

A call whose success is observed, or that has a timeout, id or subject of its own, is tracked: it
has a `Call` from its start. Any other call has one only if the flow takes over. The observed call
of a function begins with a `CallIdentity` alone, if that is enough for its observers.

`python -m tools.twins` makes the synchronous twin of this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from moorage.domain.resilience.admission import NEEDS_TOKEN
from moorage.domain.resilience.classify import is_json_as_promised
from moorage.domain.resilience.interruptions import handler_traceback, is_interruption
from moorage.domain.values.result import Result
from moorage.errors import ConnectorError
from moorage.runtime.fast_path import (
    admission_flow,
    admit_first_attempt,
    authorised_request,
    call_after_attempt,
    call_before_attempt,
    credentials_lookup,
    end_refused_call,
    first_attempt,
    function_error,
    has_lost_time,
    has_result,
    is_final_success,
    outgoing_request,
    request_admission,
    time_limits,
)
from moorage.runtime.flows import plain_async, run_later, step_async, value_async
from moorage.services.calling.call import Call, OutOfTimeError, value_of
from moorage.services.calling.exchange import Exchange, FirstAttempt, LateExchange
from moorage.services.calling.idempotency import claim_at_once, local_owners, store_at_once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.observation.call_identity import CallIdentity
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.service.plan import Plan
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.fast_path_steps import CallOptions
    from moorage.services.calling.idempotency import KeyedUse
    from moorage.services.calling.steps import CallOperations
    from moorage.services.core.core import Core

R = TypeVar("R")


async def run(  # noqa: C901, PLR0912, PLR0915 - a frame less for every call
    flows: CallOperations,
    plan: Plan,
    function: Callable[[], Awaitable[R]],
    call: Call | None = None,
    identity: CallIdentity | None = None,
) -> R:
    """Call an asynchronous function on the fast path.

    `call` is the state of the call if it is tracked; otherwise `identity` is its identity if its
    success is observed.
    """
    core = flows.core
    if call is not None:
        start_time = call.started
    else:
        start_time = core.nanoseconds() if identity is None else identity.started
    permit = None
    if plan.admission is not None:
        # The same as `admit`, without its stack frame.
        answer = plan.ask
        try:
            if answer is None:  # only event loops await a store
                admission = await run_later(admission_flow(core, plan, call))
            elif call is None or not call.has_less_time:
                admission = answer(plan.admission, plan.seconds)
            else:
                time_left = (call.deadline - start_time) / 1e9
                admission = answer(plan.admission_at_once, time_left)  # type: ignore[arg-type]  # as `admission`
        except BaseException as error:
            end_refused_call(flows, plan, start_time, call, error, None, identity)
            raise
        if (
            admission[0]
            or admission[1]
            or (core.waits and has_lost_time(core, plan, start_time, call))
        ):
            if admission[0] > NEEDS_TOKEN and call is None and not core.observers:
                raise flows.refused(plan, start_time, admission)
            grants = [admission]
            try:
                call = call or call_before_attempt(plan, start_time, None, identity)
                step = step_async(function, core)
                return value_of(await run_later(flows.continue_call(call, grants, step)))  # type: ignore[no-any-return]  # the function's
            except BaseException as error:
                flows.return_grants(plan, grants)
                flows.notify_interruption(call, error)
                raise
        permit = admission[2]
    call_ending = None
    # Without observers, no event needs a separate time.
    attempt_start = start_time
    is_reported = False
    try:
        if identity is not None:
            attempt_start = core.nanoseconds()
        elif call is not None:
            call.attempt_started = core.nanoseconds() if core.observers else start_time
            if call.listeners.attempt_starts:
                flows.notify_attempt(call)
        result = function()
        value: Any = result
        if type(result) not in plain_async:
            value = await value_async(result, function, plan, start_time, call, core)
        if identity is not None:
            is_reported = True
            flows.observed_success(identity, plan, attempt_start)
        elif call is not None and core.observers:
            flows.succeeded(call)
    except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
        call = call or call_after_attempt(plan, start_time, None, identity, attempt_start)
        step = step_async(function, core)
        call_ending = await run_later(
            flows.follow(call, permit, function_error(error, function), step),
        )
    except BaseException as error:
        flows.return_permit(plan, permit)
        if not is_reported:
            call = call or call_after_attempt(plan, start_time, None, identity, attempt_start)
            flows.notify_interruption(call, error)
        raise
    if call_ending is None:
        return value  # type: ignore[no-any-return]  # pyright: ignore[reportPossiblyUnboundVariable, reportReturnType]  # set when there is no ending
    try:
        return value_of(call_ending)  # type: ignore[no-any-return]  # the function's
    finally:
        # Otherwise the traceback would refer to this frame, and the frame to the error.
        del call_ending


async def run_in_slot(
    flows: CallOperations,
    plan: Plan,
    function: Callable[[], Awaitable[R]],
    call: Call | None = None,
) -> R:
    """Call a function in a slot of a bulkhead; `call` is the call's state, or None."""
    core, bulkhead_key = flows.core, plan.bulkhead_key
    enter, release = plan.slots  # type: ignore[misc]  # as `admit`
    if call is None and core.observers:
        call = flows.begin_plain(plan)
    holder = call or object()
    try:
        try:
            if enter(bulkhead_key, holder, plan.bulkhead.max_concurrent):  # type: ignore[union-attr]  # as `admit`
                return await run(flows, plan, function, call)
            call = call or flows.begin_plain(plan)
            step = step_async(function, core)
            return value_of(await run_later(flows.finish(call, step)))  # type: ignore[no-any-return]  # the function's
        finally:
            release(bulkhead_key, holder)
    except BaseException as error:
        # An interruption may arrive in the line above, and a slot has no lease that ends.
        release(bulkhead_key, holder)
        flows.notify_interruption(call, error)
        raise


async def call(  # noqa: C901 - a frame less for every call
    flows: CallOperations,
    send: Callable[[Request, str, Timeouts], Awaitable[Response]],
    plan: Plan,
    request: Request,
    state: Call | None = None,
) -> Response:
    """Send a request on the fast path; `state` is the state of the call, if it is tracked."""
    core = flows.core
    start_time = core.nanoseconds() if state is None else state.started
    sent_request: Request | None
    sent_request, url = outgoing_request(flows, plan, start_time, request, state)
    # No function is called before the `try` begins, so no interruption can come in between.
    try:
        grants = (
            []
            if plan.admission is None
            else [admit_first_attempt(flows, plan, start_time, state, request)]
            if plan.ask is not None
            else [await run_later(request_admission(flows, plan, start_time, state, request))]
        )
    except BaseException:
        url = ""  # the traceback must not show it
        raise
    first_end: Ending | None = None
    leading_attempt: FirstAttempt | None = None
    try:
        if not grants or not (
            grants[0][0]
            or grants[0][1]
            or (core.waits and has_lost_time(core, plan, start_time, state))
        ):
            timeouts = plan.timeouts_at_first if state is None else time_limits(core, state)
            if state is not None and state.listeners.attempt_starts:
                sent_request = flows.sending(state, sent_request)
            if plan.provided:
                state = state or call_after_attempt(plan, start_time, request)
                sent_request, leading_attempt = await _with_credentials(
                    core,
                    state,
                    sent_request,
                    url,
                )
            if sent_request is not None:
                try:
                    response = await send(sent_request, url, timeouts)
                except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
                    first_end = None, error
                else:
                    if is_final_success(core, plan, response) and has_result(state, response):
                        if state is not None and core.observers:
                            state.status = response.status
                            flows.succeeded(state, request, response)
                        return response
                    first_end = response, None
                leading_attempt = first_attempt(plan, first_end, sent_request, url, leading_attempt)
        # From here on an error may show this frame.
        url = ""
        del sent_request
        if state is None:
            state = (
                Call(plan, start_time, plan.span)
                if leading_attempt is None
                else call_after_attempt(plan, start_time)
            )
        call_ending = await run_later(
            flows.continue_request(state, grants, request, leading_attempt),
        )
    except BaseException as error:
        flows.return_grants(plan, grants)
        flows.notify_interruption(state or call_after_attempt(plan, start_time, request), error)
        url = ""
        error.__traceback__ = handler_traceback(error)  # the inner frames contain the sent data
        raise
    try:
        return value_of(call_ending)  # type: ignore[no-any-return]  # a Response
    finally:
        # Otherwise the traceback would refer to this frame, and the frame to the error.
        del call_ending, first_end, leading_attempt


async def _with_credentials(
    core: Core, state: Call, request: Request, url: str
) -> tuple[Request | None, FirstAttempt]:
    """Return the request with the provider's credentials; None if the fast path cannot get them."""
    try:
        value = await run_later(credentials_lookup(core, state))
        outcome = authorised_request(core, state, request, url, value)
    except OutOfTimeError:  # only event loops end a lookup
        outcome = None, FirstAttempt((None, state.deadline_error()), None, None)
    except ConnectorError as error:
        outcome = None, FirstAttempt((None, error), None, None)
    except BaseException:
        state.attempt_started = None  # nothing was sent
        raise
    return outcome


async def call_tracked(
    flows: CallOperations,
    send: Callable[[Request, str, Timeouts], Awaitable[Response]],
    plan: Plan,
    request: Request,
    options: CallOptions,
) -> Response:
    """Send a request whose call is observed, has options, or needs a slot of a bulkhead."""
    state = flows.begin(plan, options)
    state.request = request
    bulkhead = plan.bulkhead
    if bulkhead is None:
        return await call(flows, send, plan, request, state)
    enter, release = plan.slots  # type: ignore[misc]  # as `admit`
    try:
        try:
            if enter(plan.bulkhead_key, state, bulkhead.max_concurrent):
                return await call(flows, send, plan, request, state)
            return value_of(await run_later(flows.finish_sending(state, request)))  # type: ignore[no-any-return]  # a Response
        finally:
            release(plan.bulkhead_key, state)
    except BaseException as error:
        # An interruption may arrive in the line above, and a slot has no lease that ends.
        release(plan.bulkhead_key, state)
        flows.notify_interruption(state, error)
        raise


async def call_keyed(  # noqa: PLR0917 - those of `call`, and its key
    flows: CallOperations,
    send: Callable[[Request, str, Timeouts], Awaitable[Response]],
    plan: Plan,
    request: Request,
    key: str,
    options: CallOptions,
) -> Response:
    """Send a request with an idempotency key if the store need not be awaited."""
    owner = next(local_owners)
    state, protection = flows.begin_request(plan, request, key, options)
    fence = 0
    grants: list[Admitted] = []
    try:
        answer = claim_at_once(flows.core, state, protection, owner)
        if answer is None:
            late_exchange = LateExchange(flows.core, request)
            call_ending = await run_later(flows.finish_under_key(state, protection, late_exchange))
        elif not answer[0]:
            call_ending = flows.replay(state, protection, answer[2])
        else:
            grants.append(answer[1])
            fence = answer[0]
            call_ending = await _send_with_claim(
                flows,
                send,
                request,
                state,
                protection,
                fence,
                grants,
            )
    except BaseException as error:
        flows.release_key(state, protection, owner, fence)
        flows.return_grants(plan, grants)
        flows.notify_interruption(state, error)
        error.__traceback__ = handler_traceback(error)  # the inner frames contain the sent data
        raise
    try:
        return value_of(call_ending)  # type: ignore[no-any-return]  # a Response
    finally:
        # Otherwise the traceback would refer to this frame, and the frame to the error.
        del call_ending


async def _send_with_claim(  # noqa: PLR0917 - all that `call_keyed` has
    flows: CallOperations,
    send: Callable[[Request, str, Timeouts], Awaitable[Response]],
    request: Request,
    call: Call,
    protection: KeyedUse,
    fence: int,
    grants: list[Admitted],
) -> Ending:
    """Send the first attempt of a request with a claimed idempotency key; settle the claim."""
    core, plan = flows.core, call.plan
    sent_request: Request | None
    sent_request, url = outgoing_request(flows, plan, call.started, request, call)
    timeouts = time_limits(core, call)
    leading_attempt: FirstAttempt | None = None
    will_be_sent = not plan.provided
    try:
        if call.listeners.attempt_starts:
            sent_request = flows.sending(call, sent_request)
        if plan.provided:
            sent_request, leading_attempt = await _with_credentials(core, call, sent_request, url)
        if sent_request is not None:
            will_be_sent = True
            try:
                response = await send(sent_request, url, timeouts)
            except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
                first_end: Ending = None, error
            else:
                if (
                    is_final_success(core, plan, response)
                    and is_json_as_promised(sent_request, response)
                    and store_at_once(core, protection, fence, response)
                ):
                    if core.observers:
                        call.status = response.status
                        flows.succeeded(call, request, response)
                    return response, None
                first_end = response, None
            leading_attempt = first_attempt(plan, first_end, sent_request, url, leading_attempt)
        step = Exchange(core, call, request, leading_attempt)
        return await run_later(flows.continue_claimed(call, protection, fence, grants, step))
    except BaseException:
        # The request may have been sent before the interruption.
        if will_be_sent and not call.attempts:
            call.leave()
        raise


async def run_keyed(  # noqa: PLR0917 - those of `run`, and its key
    flows: CallOperations,
    plan: Plan,
    function: Callable[[], Awaitable[R]],
    key: str,
    payload: object,
    options: CallOptions,
) -> R:
    """Call a function with an idempotency key if the store need not be awaited."""
    owner = next(local_owners)
    call, protection = flows.begin_function(plan, payload, key, options)
    fence = 0
    grants: list[Admitted] = []
    step = step_async(function, flows.core)
    try:
        answer = claim_at_once(flows.core, call, protection, owner)
        if answer is None:
            call_ending = await run_later(flows.finish_under_key(call, protection, step))
        elif not answer[0]:
            call_ending = flows.replay(call, protection, answer[2])
        else:
            grants.append(answer[1])
            fence = answer[0]
            call_ending = await run_later(
                flows.continue_claimed(call, protection, fence, grants, step),
            )
    except BaseException as error:
        flows.release_key(call, protection, owner, fence)
        flows.return_grants(plan, grants)
        flows.notify_interruption(call, error)
        raise
    try:
        return value_of(call_ending)  # type: ignore[no-any-return]  # the function's
    finally:
        # Otherwise the traceback would refer to this frame, and the frame to the error.
        del call_ending


async def send_one(  # noqa: PLR0917 - those of `Single`
    flows: CallOperations,
    send: Callable[[Request, str, Timeouts], Awaitable[Response]],
    service: str,
    request: Request,
    tenant: str | None,
    endpoint: str | None,
) -> Response | Result[Response]:
    """Make a call by the fast path if possible, otherwise by `CallOperations.call`.

    An error is returned as a `Result`, because each item of a batch has its own.
    """
    try:
        plan = flows.plans.fast_path_plan(service, tenant, endpoint, request)
        if plan is None:
            flow = flows.call(service, request, tenant=tenant, endpoint=endpoint)
            return await run_later(flow)
        if plan.parts:
            plan = plan.part_at(flows.core.fraction())
        if plan.bulkhead is None and not flows.core.observers:
            return await call(flows, send, plan, request)
        return await call_tracked(flows, send, plan, request, (None, None, None))
    except Exception as error:
        if is_interruption(error):
            raise
        return Result(error=error)
