"""The fast path of asynchronous operations: a first attempt that nothing delays.

It works like the fast path of functions. Calls that have an idempotency key, or need a slot of a
bulkhead, are made by the flow instead.

`python -m tools.twins` makes the synchronous twin of this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from moorage.domain.service.operation import AnswerReader
from moorage.runtime import fast_path_async
from moorage.runtime.fast_path import admit_first_attempt, has_lost_time, request_admission
from moorage.runtime.flows import run_later, value_async
from moorage.runtime.operation_steps import first_attempt, judged_error, operation_async
from moorage.services.calling.call import signatures, value_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.domain.service.operation import HttpOperation
    from moorage.domain.service.plan import Plan
    from moorage.ports.operation import AsyncOperation
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.fast_path_steps import CallOptions
    from moorage.services.calling.steps import CallOperations

R = TypeVar("R")


async def perform(
    flows: CallOperations,
    plan: Plan,
    operation: AsyncOperation[R],
    options: CallOptions,
) -> R:
    """Perform an operation on the fast path, with only the ports that this path supports."""
    core = flows.core
    call = flows.begin_operation(plan, operation, options)
    start_time = call.started
    permit = None
    if plan.admission is not None:
        if plan.ask is None:  # only event loops await a store
            admission = await run_later(request_admission(flows, plan, start_time, call))
        else:
            admission = admit_first_attempt(flows, plan, start_time, call)
        if (
            admission[0]
            or admission[1]
            or (core.waits and has_lost_time(core, plan, start_time, call))
        ):
            grants = [admission]
            try:
                step = operation_async(operation, core)
                return value_of(await run_later(flows.continue_call(call, grants, step)))  # type: ignore[no-any-return]  # the operation's
            except BaseException as error:
                flows.return_grants(plan, grants)
                flows.notify_interruption(call, error)
                raise
        permit = admission[2]
    failure: Exception | None = None
    call_ending: Ending | None = None
    next_signature = next(signatures)
    try:
        try:
            attempt = first_attempt(flows, call)
            result = operation.perform(attempt)
            value = await value_async(result, operation.perform, plan, start_time, call, core)
        except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
            failure = judged_error(operation, error)
        if failure is None:
            if core.observers:
                flows.succeeded(call)
            return value  # pyright: ignore[reportPossiblyUnboundVariable, reportReturnType]  # set when there is no failure
    except BaseException as error:
        flows.return_permit(plan, permit)
        flows.notify_interruption(call, error)
        raise
    try:
        step = operation_async(operation, core)
        call_ending = await run_later(flows.follow(call, permit, failure, step, next_signature))
        return value_of(call_ending)  # type: ignore[no-any-return]  # the operation's
    finally:
        # Otherwise the traceback would refer to this frame, and the frame to the error.
        del call_ending, failure


async def exchange(
    flows: CallOperations,
    send: Callable[[Request, str, Timeouts], Awaitable[Response]],
    plan: Plan,
    operation: HttpOperation[R],
    options: CallOptions,
) -> R:
    """Send the request of an HTTP operation, and return the operation's result from the answer."""
    call = flows.begin_exchange(plan, operation, options)
    read_answer = call.parse = AnswerReader(operation.read)
    return read_answer(await fast_path_async.call(flows, send, plan, operation.request, call))
