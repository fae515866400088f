"""Waiting until rate limits and the circuit breaker admit an attempt of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from moorage.domain.observation.events import CallRefused, CircuitChanged, RateLimitWaited
from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.circuit import CircuitState
from moorage.domain.resilience.gate_commands import Confirm, return_unused
from moorage.domain.service.plan import circuit_name
from moorage.domain.values.durations import FOREVER, SECOND
from moorage.errors import (
    CircuitBreakerOpen,
    ConnectorError,
    IdempotencyInProgress,
    RateLimitExceeded,
    RetryBudgetExhausted,
    StorageUnavailable,
)
from moorage.services.core.waiting import wait_for_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.domain.resilience.admission import Admission, Admitted, Gates
    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.service.plan import Plan
    from moorage.domain.state.commands import Command
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

Result = TypeVar("Result")

_MIN_SECONDS: Final = 0.05
"""The seconds that the store gets to confirm a caller's turn shortly before the deadline."""

_UNEXPECTED_REFUSAL: Final = (ConnectorError, "The call was not refused.")
_REFUSALS: Final[tuple[tuple[type[ConnectorError], str], ...]] = (
    _UNEXPECTED_REFUSAL,
    _UNEXPECTED_REFUSAL,
    (CircuitBreakerOpen, "The circuit breaker is open because calls to the service failed."),
    (RateLimitExceeded, "The rate limit is reached, and the wait would be too long."),
    (RetryBudgetExhausted, "The retry budget is used up."),
    (
        IdempotencyInProgress,
        "This call lost its claim on the idempotency key, and another call may be using the key.",
    ),
    (
        CircuitBreakerOpen,
        "The circuit breaker is half-open, and other calls are already probing the service.",
    ),
)
"""The error class and the message for each refusing `Answer`, in the order of its values."""

_CIRCUIT_ANSWERS: Final = (Answer.CIRCUIT_OPEN, Answer.PROBES_TAKEN)


async def be_admitted(
    core: Core, call: Call, question: Admission, first: Admitted
) -> Permit | None:
    """Wait until an attempt may be sent, and return its permit; raise an error if refused.

    `first` is the store's reply to the first request for admission. If this function raises, its
    caller gives the granted tokens back, because an interruption may come before the function's
    first line.
    """
    if first[0] is not Answer.NEEDS_TOKEN:
        return await _wait_for_turn(core, call, question, first)
    token = call.token = core.token()
    # The store may have granted the lease of the probe although its reply was lost.
    later_admission: Admitted = (Answer.GO, 0, lease_of(token), ())
    try:
        later_admission = await core.execute(question.evolve(token=token), call.left(core))
        if (
            core.observers
            and later_admission[0] is Answer.GO
            and later_admission[2]
            and later_admission[2][2]
        ):
            circuit = circuit_name(call.plan)
            call.emit(core, CircuitChanged, state=CircuitState.HALF_OPEN, circuit=circuit)
        permit = await _wait_for_turn(core, call, question, later_admission)
        core.waiters.remove_admitted(later_admission[3])
    except BaseException:
        withdraw(core, question.gates, later_admission)
        raise
    return permit


async def _wait_for_turn(
    core: Core, call: Call, question: Admission, admitted: Admitted
) -> Permit | None:
    """Wait for the time at which an admitted attempt may be sent.

    Afterwards, the function that passed `admitted` removes the waiting caller from the queue.
    """
    answer, wait, permit, tickets = admitted
    if answer is not Answer.GO:
        raise refusal(core, call, answer, wait)
    waiter = None
    while wait:
        if wait * 1000 > call.remaining(core):
            raise refusal(core, call, Answer.LIMITED, wait)
        if core.observers:
            call.emit(core, RateLimitWaited, delay=wait / SECOND)
        due_at = core.nanoseconds() + wait * 1000
        if waiter is None:
            waiter = core.waiters.add_caller(question, tickets, due_at)
        else:
            core.waiters.join_again(waiter, due_at)
        tickets = await wait_for_turn(core, waiter)
        # The wait may end exactly at the deadline, but the caller's turn has come.
        seconds_left = max(_MIN_SECONDS, call.remaining(core) / 1e9)
        answer, wait = await core.execute(Confirm(question.gates, tickets, permit), seconds_left)
        if answer is not Answer.GO:
            raise refusal(core, call, answer, wait)
    return permit


def lease_of(token: int) -> Permit:
    """Return the circuit breaker's permit for a probe call with this token."""
    return (0, 0, token)


def withdraw(core: Core, gates: Gates, admitted: Admitted) -> None:
    """Give back the rate-limit grants of an attempt that will not be sent; never wait."""
    answer, wait, permit, tickets = admitted
    if tickets:
        admitted = (answer, wait, permit, core.waiters.remove_caller(tickets))
    for command in return_unused(gates, admitted, core.reporter()):
        core.post(command)


def refusal(core: Core, call: Call, answer: Answer, wait: int) -> ConnectorError:
    """Return the error of a refused attempt, and emit the attempt's event."""
    error = admission_error(core, call.plan, answer, wait)
    if core.observers and not (call.undecided and answer in _CIRCUIT_ANSWERS):
        call.emit(core, CallRefused, error=type(error).__name__, retry_after=wait / SECOND)
    return error


def admission_error(core: Core, plan: Plan, answer: Answer, wait: int) -> ConnectorError:
    """Return the error of an attempt that a limit or the circuit breaker refused."""
    kind, message = _REFUSALS[answer]
    if answer is Answer.CIRCUIT_OPEN and wait >= FOREVER:
        return CircuitBreakerOpen(
            "The circuit breaker was opened by hand.",
            service=plan.service.name,
            operation=plan.operation,
            retryable=False,
            remedy="Close the circuit breaker by hand when the service may be called again.",
        )
    # An open circuit refuses many calls a second, so its error is made without its constructor.
    error = kind.__new__(kind, message) if kind is CircuitBreakerOpen else kind(message)
    error.service = plan.service.name
    if plan.operation is not None:
        error.operation = plan.operation
    if wait:
        error.due = core.moment, core.nanoseconds() + wait * 1000
    return error


async def execute_for_parts(
    core: Core,
    commands: Iterable[Command[Result]],
    time_left: Callable[[], float | None] = lambda: None,
) -> list[Result]:
    """Execute one command for each part of a split limit; return the results.

    If the store of one part is unreachable, the other parts are asked nevertheless, and then the
    first error is raised.

    Args:
        core: the ports.
        commands: the commands of the parts.
        time_left: returns the time limit of the next command in seconds; None if there is no limit.
    """
    answers: list[Result] = []
    failure: StorageUnavailable | None = None
    for command in commands:
        try:
            answers.append(await core.execute(command, time_left()))
        except StorageUnavailable as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return answers
