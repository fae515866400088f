"""Operations as steps of a call; a step returns its result or its error as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from moorage.domain.service.operation import HttpOperation, OperationAttempt
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError
from moorage.runtime.bridge import can_be_awaited, not_awaitable, refuse_awaitable, within_async
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.calling.call import OutOfTimeError, cut_off, signatures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.service.plan import Plan
    from moorage.ports.operation import AsyncOperation, DescribedOperation, Operation
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

_MEMBERS: Final = ("name", "system", "safe", "repeatable", "perform", "judge")
_checked_kinds: Final[WeakSet[type]] = WeakSet()
"""Classes whose instances have all members of an operation."""


def operation_sync(operation: Operation[Any], core: Core) -> AttemptStep:
    """Return the step that performs an operation without an event loop."""
    check_operation(operation)

    async def step(call: Call) -> AttemptResult:
        attempt = _attempt_of(call, core)
        begun = next(signatures)
        call.leave()
        try:
            value = operation.perform(attempt)
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            return _failed(operation, call, error, begun)
        return AttemptResult(value if value is None else refuse_awaitable(value))

    return step


def operation_async(operation: AsyncOperation[Any], core: Core) -> AttemptStep:
    """Return the step that performs an operation in an event loop.

    At the end of the attempt's time it is cancelled.
    """
    check_operation(operation)

    async def step(call: Call) -> AttemptResult:
        attempt = _attempt_of(call, core)
        begun = next(signatures)
        call.leave()
        try:
            awaitable = operation.perform(attempt)
            if can_be_awaited(awaitable):
                end_time = core.nanoseconds() + attempt.timeout * 1e9
                return AttemptResult(await within_async(awaitable, end_time, core.nanoseconds))
        except OutOfTimeError:
            return AttemptResult(error=cut_off())
        except Exception as error:  # noqa: BLE001 - carried, not swallowed
            return _failed(operation, call, error, begun)
        # It has been performed, so this is no refusal: its effect has happened.
        raise not_awaitable(operation.perform)

    return step


def check_operation(operation: object) -> None:
    """Refuse an object without an operation's methods, before the call begins."""
    kind = type(operation)
    if kind in _checked_kinds:
        return
    missing = [name for name in _MEMBERS if not hasattr(operation, name)]
    if missing:
        raise ConfigurationError(
            f"{with_article(kind.__name__)} is not an operation: it has no {', '.join(missing)}.",
            path="operation",
            remedy="Give an object with the members of moorage.ports.operation.Operation, or call"
            " `run` with a function.",
        )
    if all(hasattr(kind, name) for name in _MEMBERS):
        _checked_kinds.add(kind)


def fast_plan(
    plans: Mapping[tuple[str, str | None, str | None], Plan],
    service: str,
    tenant: str | None,
    endpoint: str | None,
    operation: DescribedOperation | HttpOperation[Any],
) -> Plan | None:
    """Return the plan of an operation that the fast path may perform.

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
    except TypeError:  # a name that is none, which the flow refuses
        return None
    return None if plan is None or plan.bulkhead is not None else plan


def judged(operation: DescribedOperation, error: Exception) -> Exception:
    """Return the error of an attempt as the operation judges it."""
    if isinstance(error, OutOfTimeError):
        return cut_off()
    judgement = None if isinstance(error, ConnectorError) else operation.judge(error)
    return error if judgement is None else judgement


def _attempt_of(call: Call, core: Core) -> OperationAttempt:
    key = call.key if call.plan.service.recognises_keys else None
    headers: tuple[tuple[str, str], ...] = ()
    if core.trace_headers is not None and call.beginning is not None:
        headers = core.trace_headers(call.beginning)
    return OperationAttempt(call.attempts + 1, call.bound(core), key, call.plan.tenant, headers)


def _failed(
    operation: DescribedOperation, call: Call, error: Exception, begun: int
) -> AttemptResult:
    """Return the result of an attempt that raised, as the operation judges its exception."""
    failure = judged(operation, error)
    call.weigh(failure, begun)
    return AttemptResult(error=failure)
