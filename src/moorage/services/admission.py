"""Waiting to be let in: everything about an admission that is not the calm case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.admission import Answer, Confirm, GiveBack, Report
from moorage.domain.circuit import Outcome
from moorage.domain.durations import FOREVER, SECOND
from moorage.domain.events import CallRefused, RateLimitWaited
from moorage.errors import (
    CircuitBreakerOpen,
    ConnectorError,
    IdempotencyInProgress,
    RateLimitExceeded,
    RetryBudgetExhausted,
)

if TYPE_CHECKING:
    from moorage.domain.admission import Admission, Admitted, Gates
    from moorage.domain.circuit import Permit
    from moorage.domain.plan import Plan
    from moorage.services.call import Call
    from moorage.services.core import Core

_MOMENT: Final = 0.05
"""Seconds for a store to confirm a turn that came at the last moment."""

_NEVER: Final = (ConnectorError, "this is no refusal.")
_REFUSALS: Final[tuple[tuple[type[ConnectorError], str], ...]] = (
    _NEVER,
    _NEVER,
    (CircuitBreakerOpen, "the circuit is open: the service has been failing."),
    (RateLimitExceeded, "the rate limit is reached, and waiting takes too long."),
    (RetryBudgetExhausted, "the retry budget is used up."),
    (IdempotencyInProgress, "this caller's claim ended, and another may have begun."),
)
"""What to raise, by `Answer`."""


async def be_admitted(
    core: Core, call: Call, question: Admission, first: Admitted
) -> Permit | None:
    """Go on from the first answer to `question` until the attempt may leave, or raise why not.

    Whoever has `first` gives it back if this raises: an interruption may come before the first
    line here.
    """
    if first[0] is not Answer.NEEDS_TOKEN:
        return await _turn(core, call, question.gates, first)
    token = call.token = core.token()
    # The probe's lease may exist although its answer never arrives.
    second: Admitted = (Answer.GO, 0, lease_of(token), ())
    try:
        second = await core.execute(question.evolve(token=token), call.left(core))
        return await _turn(core, call, question.gates, second)
    except BaseException:
        withdraw(core, question.gates, second)
        raise


async def _turn(core: Core, call: Call, gates: Gates, admitted: Admitted) -> Permit | None:
    """Wait for the turn of what was admitted."""
    answer, wait, permit, tickets = admitted
    if answer is not Answer.GO:
        raise refusal(core, call, answer, wait)
    while wait:
        if wait * 1000 > call.remaining(core):
            raise refusal(core, call, Answer.LIMITED, wait)
        if core.observers:
            core.tell(RateLimitWaited(**call.told(core), delay=wait / SECOND))
        await core.sleep(wait / SECOND)
        # A wait may end with the deadline itself, and its turn has come all the same.
        left = max(_MOMENT, call.remaining(core) / 1e9)
        answer, wait = await core.execute(Confirm(gates, tickets, permit), left)
        if answer is not Answer.GO:
            raise refusal(core, call, answer, wait)
    return permit


def lease_of(token: int) -> Permit:
    """The permit of a probe of which nothing is known but its token."""
    return (0, 0, token)


def withdraw(core: Core, gates: Gates, admitted: Admitted) -> None:
    """Give back what an admission has taken and nobody will use. Never waits."""
    _, _, permit, tickets = admitted
    if permit is not None:
        core.post(Report(gates, permit, Outcome.NEUTRAL, core.reporter()))
    if tickets:
        core.post(GiveBack(gates, tickets))


def refusal(core: Core, call: Call, answer: Answer, wait: int) -> ConnectorError:
    """Why an attempt may not leave, and when to come back; observers are told."""
    error = why_not(core, call.plan, answer, wait)
    if core.observers and not (call.undecided and answer is Answer.CIRCUIT_OPEN):
        core.tell(
            CallRefused(**call.told(core), error=type(error).__name__, retry_after=wait / SECOND)
        )
    return error


def why_not(core: Core, plan: Plan, answer: Answer, wait: int) -> ConnectorError:
    """Why an attempt may not leave, and when to come back."""
    kind, message = _REFUSALS[answer]
    if answer is Answer.CIRCUIT_OPEN and wait >= FOREVER:
        return CircuitBreakerOpen(
            "the circuit was opened by hand.",
            service=plan.service.name,
            operation=plan.operation,
            retryable=False,
            remedy="Close it by hand when the service may be called again.",
        )
    # An open circuit refuses many calls a second, and its error has nothing to construct.
    error = kind.__new__(kind, message) if kind is CircuitBreakerOpen else kind(message)
    error.service = plan.service.name
    if plan.operation is not None:
        error.operation = plan.operation
    if wait:
        error.due = core.moment, core.nanoseconds() + wait * 1000
    return error
