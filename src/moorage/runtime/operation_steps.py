"""Operations as steps of a call; a step returns its result or its error as a value."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Request
from moorage.domain.service.operation import HttpOperation, OperationAttempt
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError
from moorage.runtime.flows import (
    can_be_awaited,
    not_awaitable_error,
    refuse_awaitable,
    within_async,
)
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.call import OutOfTimeError, attempt_timeout_error, signatures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.service.plan import Plan
    from moorage.ports.operation import AsyncOperation, DescribedOperation, Operation
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.call import Call
    from moorage.services.calling.steps import CallOperations
    from moorage.services.core.core import Core

_MEMBERS: Final = ("name", "system", "safe", "repeatable", "perform", "translate_error")


def operation_sync(operation: Operation[Any], core: Core) -> AttemptStep:
    """Return the step that performs an operation without an event loop."""
    check_operation(operation)

    async def step(call: Call) -> AttemptResult:
        attempt = _attempt_of(call, core)
        signature = next(signatures)
        call.leave()
        try:
            value = operation.perform(attempt)
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            return _failed_attempt(operation, call, error, signature)
        return AttemptResult(value if value is None else refuse_awaitable(value))

    return step


def operation_async(operation: AsyncOperation[Any], core: Core) -> AttemptStep:
    """Return the step that performs an operation in an event loop.

    At the end of the attempt's time it is cancelled.
    """
    check_operation(operation)

    async def step(call: Call) -> AttemptResult:
        attempt = _attempt_of(call, core)
        signature = next(signatures)
        call.leave()
        try:
            awaitable = operation.perform(attempt)
            if can_be_awaited(awaitable):
                end_time = core.nanoseconds() + attempt.timeout * 1e9
                return AttemptResult(await within_async(awaitable, end_time, core.nanoseconds))
        except OutOfTimeError:
            return AttemptResult(error=attempt_timeout_error())
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            return _failed_attempt(operation, call, error, signature)
        # The operation has been performed, so the error must not claim that nothing was done.
        raise not_awaitable_error(operation.perform)

    return step


def check_operation(operation: object) -> None:
    """Refuse an object without an operation's methods, before the call begins."""
    kind: Any = type(operation)
    if _has_all_members(kind):
        return
    members = [name for name in _MEMBERS if not hasattr(operation, name)]
    if members:
        raise ConfigurationError(
            f"{with_article(kind.__name__)} is not an operation: it has no {', '.join(members)}.",
            path="operation",
            remedy="Pass an object with the members of moorage.ports.operation.Operation, or"
            " call `run` with a function.",
        )


@lru_cache(maxsize=256)
def _has_all_members(kind: type) -> bool:
    """Return whether all instances of a class have the attributes and methods of an operation."""
    return all(hasattr(kind, name) for name in _MEMBERS)


def fast_plan(
    plans: Mapping[tuple[str, str | None, str | None], Plan],
    service: str,
    tenant: str | None,
    endpoint: str | None,
    operation: DescribedOperation | HttpOperation[Any],
) -> Plan | None:
    """Return an operation's plan for the fast path; None if the operation cannot use that path.

    Return None if the flow must decide.
    """
    if isinstance(operation, HttpOperation):
        return None
    check_operation(operation)
    try:
        plan = plans.get((service, tenant, operation.name if endpoint is None else endpoint))
        if plan is None and endpoint is None:
            plan = plans.get((service, tenant, None))
            if plan is not None and plan.service.has_endpoint(operation.name):
                return None
    except TypeError:  # not a valid name; the flow refuses it
        return None
    return None if plan is None or plan.bulkhead is not None else plan


def fast_exchange_plan(
    plans: Mapping[tuple[str, str | None, str | None], Plan],
    service: str,
    tenant: str | None,
    endpoint: str | None,
    operation: HttpOperation[Any],
) -> Plan | None:
    """Return an HTTP operation's plan for the fast path; None if it cannot use that path.

    A request with secrets, or with a new body for each attempt, is prepared by the flow.
    """
    request = operation.request
    if type(request) is not Request or type(request.body) is not bytes:
        return None
    if operation.secrets or operation.attempt_body is not None:
        return None
    try:
        plan = plans.get((service, tenant, operation.name if endpoint is None else endpoint))
        if plan is None and endpoint is None:
            plan = plans.get((service, tenant, None))  # exists only if the service has no endpoints
    except TypeError:  # not a valid name; the flow refuses it
        return None
    return None if plan is None or plan.bulkhead is not None else plan


def first_attempt(flows: CallOperations, call: Call) -> OperationAttempt:
    """Begin the first attempt of a call on the fast path, and return its data.

    Like the first attempt of a request, it begins with its call, and may use the call's whole time
    unless the caller set a timeout.
    """
    core, plan = flows.core, call.plan
    headers: tuple[tuple[str, str], ...] = ()
    if core.observers:
        call.attempt_started = core.nanoseconds()
        if call.listeners.attempt_starts:
            flows.notify_attempt(call)
        headers = _headers_of(call, core)
    else:
        call.attempt_started = call.started
    if call.has_less_time or headers:
        return OperationAttempt(1, call.bound(core), None, plan.tenant, headers)
    return _attempt_that_starts_with_call(plan.seconds, plan.attempt_timeout, plan.tenant)


@lru_cache(maxsize=1024)
def _attempt_that_starts_with_call(
    timeout: float, attempt_timeout: float | None, tenant: str | None
) -> OperationAttempt:
    """Return the data of an attempt that begins at the same time as its call."""
    seconds = timeout if attempt_timeout is None else min(attempt_timeout, timeout)
    return OperationAttempt(1, seconds, None, tenant)


def judged_error(operation: DescribedOperation, error: Exception) -> Exception:
    """Return the error of an attempt as the operation classifies it."""
    if isinstance(error, OutOfTimeError):
        return attempt_timeout_error()
    judgement = None if isinstance(error, ConnectorError) else operation.translate_error(error)
    return error if judgement is None else judgement


def _attempt_of(call: Call, core: Core) -> OperationAttempt:
    key = call.key if call.plan.service.recognises_keys else None
    headers = _headers_of(call, core)
    return OperationAttempt(call.attempts + 1, call.bound(core), key, call.plan.tenant, headers)


def _headers_of(call: Call, core: Core) -> tuple[tuple[str, str], ...]:
    """Return the tracing headers that observers add to a call's latest attempt."""
    if core.trace_headers is None or call.beginning is None:
        return ()
    return core.trace_headers(call.beginning)


def _failed_attempt(
    operation: DescribedOperation, call: Call, error: Exception, start_time: int
) -> AttemptResult:
    """Return the result of an attempt that raised an exception."""
    failure = judged_error(operation, error)
    call.weigh_effects(failure, start_time)
    return AttemptResult(error=failure)
