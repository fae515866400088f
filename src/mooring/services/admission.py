"""Waiting to be let in: everything about an admission that is not the calm case."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mooring.domain.admission import Answer, Confirm, GiveBack, Report
from mooring.domain.circuit import Outcome
from mooring.domain.durations import FOREVER, SECOND
from mooring.domain.events import CallRefused, RateLimitWaited
from mooring.errors import (
    CircuitBreakerOpen,
    ConnectorError,
    IdempotencyInProgress,
    RateLimitExceeded,
    RetryBudgetExhausted,
)

if TYPE_CHECKING:
    from mooring.domain.admission import Admission, Admitted
    from mooring.domain.circuit import Permit
    from mooring.services.call import Call
    from mooring.services.core import Core


async def be_admitted(
    core: Core, call: Call, question: Admission, first: Admitted
) -> Permit | None:
    """Go on from the first answer to `question` until the attempt may leave, or raise why not."""
    answer, wait, permit, tickets = first
    gates = question.gates
    try:
        if answer is Answer.NEEDS_TOKEN:
            call.token = core.token()
            question = question.evolve(token=call.token)
            answer, wait, permit, tickets = await core.execute(question)
        if answer is not Answer.GO:
            raise refusal(core, call, answer, wait)
        while wait:
            if core.observers:
                core.tell(RateLimitWaited(**call.told(core), delay=wait / SECOND))
            await core.sleep(wait / SECOND)
            answer, wait = await core.execute(Confirm(gates, tickets, permit))
            if answer is not Answer.GO:
                raise refusal(core, call, answer, wait)
            if wait * 1000 > call.remaining(core):
                raise refusal(core, call, Answer.LIMITED, wait)
    except BaseException:
        if permit is None and call.token:
            # The probe's lease may exist although its answer never arrived.
            permit = (0, 0, call.token, 0)
        if permit is not None and gates.circuit:
            core.post(Report(gates, permit, Outcome.NEUTRAL, core.reporter))
        if tickets:
            core.post(GiveBack(gates, tickets))
        raise
    return permit


def refusal(core: Core, call: Call, answer: Answer, wait: int) -> ConnectorError:
    """Why an attempt may not leave, and when to come back."""
    error: ConnectorError
    match answer:
        case Answer.CIRCUIT_OPEN if wait >= FOREVER:
            error = CircuitBreakerOpen(
                "the circuit was opened by hand.",
                retryable=False,
                remedy="Close it by hand when the service may be called again.",
            )
        case Answer.CIRCUIT_OPEN:
            error = CircuitBreakerOpen("the circuit is open: the service has been failing.")
        case Answer.LIMITED:
            error = RateLimitExceeded("the rate limit is reached, and waiting takes too long.")
        case Answer.NO_BUDGET:
            error = RetryBudgetExhausted("the retry budget is used up.")
        case _:
            error = IdempotencyInProgress("this caller's claim ended, and another may have begun.")
    if 0 < wait < FOREVER:
        error.retry_at = core.utc() + timedelta(microseconds=wait)
    if core.observers:
        core.tell(
            CallRefused(**call.told(core), error=type(error).__name__, retry_after=wait / SECOND)
        )
    return error
