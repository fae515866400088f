"""The attempts of a call, repeated until one succeeds or no more can.

Every attempt is admitted first and judged afterwards. A success through a closed circuit is not
recorded; every other outcome is recorded at once. An interruption is neutral: it gives back what
the attempt took, and is never retried.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.idempotency.claims import MarkSent
from moorage.domain.observation.events import (
    AttemptFinished,
    CircuitChanged,
    RetryScheduled,
    VendorPaused,
)
from moorage.domain.resilience import retry
from moorage.domain.resilience.admission import AT_ONCE, GO, Answer, Pause, Report, Uncount
from moorage.domain.resilience.circuit import CircuitState, Outcome
from moorage.domain.resilience.health import health
from moorage.domain.resilience.retry import Again
from moorage.domain.resilience.vendor_hints import capped
from moorage.domain.service.plan import MARGIN, ONCE
from moorage.domain.values.durations import SECOND, micros
from moorage.errors import AttemptTimeout, ConnectorError, RateLimitExceeded, StorageUnavailable
from moorage.services.calling.admission import be_admitted, lease_of, refusal, withdraw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.entries.renewal import Held
    from moorage.domain.resilience.admission import Admission, Admitted
    from moorage.domain.resilience.circuit import Permit
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

Ending: TypeAlias = "tuple[Any, Exception | None]"
"""The end of a step or a call: its value, or the error it ended with."""

AttemptStep: TypeAlias = "Callable[[Call], Awaitable[Ending]]"


async def attempt(core: Core, call: Call, step: AttemptStep) -> Ending:
    """Attempt `step` according to the call's plan, and return the final ending."""
    hurried = call.hurried or call.claim is not None
    if hurried and call.remaining(core) <= 0:
        return None, call.out_of_time()
    if call.route is not None:
        value, error = await call.route.first(core, call, step, on_fast_path=not hurried)
    else:
        question = admission_question(core, call, retry=False) if hurried else call.plan.admission
        value, error = await once(core, call, question, step)
    return (value, None) if error is None else await again(core, call, step, error)


async def follow(
    core: Core, call: Call, permit: Permit | None, error: Exception, step: AttemptStep
) -> Ending:
    """Continue after a failed first attempt that the fast path made."""
    call.attempts = 1
    call.disprove(error)
    call.acted = not call.disproved
    await _record(core, call, call.plan.admission, permit, health(error))
    return await again(core, call, step, error)


async def again(core: Core, call: Call, step: AttemptStep, error: Exception) -> Ending:
    """Continue after a first attempt that failed with `error`, as long as a retry can help."""
    policy = call.plan.retry if call.replayable else ONCE
    tries = 1
    delay = pause = waited = 0.0
    leaves = call.route is not None
    while True:
        other_regions = None
        retried = not call.renewed
        if call.renewed:
            call.renewed = False
        else:
            if call.refused:
                return None, error
            requested_pause = _requested_pause(core, call, error)
            if call.route is not None and leaves:
                other_regions = call.route.away(core, call, error, requested_pause)
            decision = retry.decide(
                policy,
                error,
                attempt=tries,
                repeatable=call.repeatable or call.unsent,
                retry_after=requested_pause if other_regions is None else other_regions.retry_after,
                remaining=call.remaining(core) / 1e9,
                previous=delay,
                draw=core.fraction(),
                at_once=other_regions is not None and other_regions.at_once,
            )
            if not isinstance(decision, Again):
                return None, _final_error(
                    core, call, error, decision.retry_after or requested_pause
                )
            delay = decision.delay
            pause = max(0.0, delay - waited)
            late = await _pause_before_retry(core, call, pause, error, stays=other_regions is None)
            if late is not None:
                return None, late
        call.last = error
        if other_regions is None:
            ending = await once(core, call, admission_question(core, call, retry=retried), step)
        elif (elsewhere := await other_regions.go(core, call, step)) is None:
            # No other region admits it, so the call stays where it is.
            leaves, waited = False, pause
            continue
        else:
            ending = elsewhere
        value, failed = ending
        if failed is None:
            return value, None
        error = failed
        leaves, waited = True, 0.0
        tries += retried


def _final_error(core: Core, call: Call, error: Exception, retry_after: float | None) -> Exception:
    """The error of a call that will not be retried, with the time at which a caller may retry."""
    if retry_after is not None and isinstance(error, ConnectorError):
        error.retry_at = core.utc() + timedelta(seconds=retry_after)
    if isinstance(error, AttemptTimeout) and call.remaining(core) <= 0:
        return call.out_of_time(error)
    return error


def _requested_pause(core: Core, call: Call, error: Exception) -> float | None:
    """Seconds to wait that the vendor, or whatever refused the attempt, asked for."""
    if call.pause is not None:
        return call.pause
    wait = retry.wait_of(error, core.utc())
    pause = capped(wait, call.plan.service.max_pause)
    if pause != wait and isinstance(error, ConnectorError):
        error.vendor_retry_after = wait
    return pause


async def _pause_before_retry(
    core: Core, call: Call, pause: float, error: Exception, *, stays: bool
) -> ConnectorError | None:
    """Pause before the next attempt; return an error if there can be no next attempt."""
    if stays and call.opened and pause * SECOND < call.opened:
        # The circuit opened on this failure, and refuses attempts for now.
        held_back = refusal(core, call, Answer.CIRCUIT_OPEN, call.opened)
        held_back.__cause__ = error
        return held_back
    if core.observers:
        core.tell(
            RetryScheduled(
                **call.event_fields(core),
                attempt=call.attempts,
                delay=pause,
                error=type(error).__name__,
            )
        )
    if pause:
        await core.sleep(pause)
    return None if call.remaining(core) > 0 else call.out_of_time(error)


async def once(  # noqa: C901, PLR0912, PLR0915 - one attempt, to be read in one place
    core: Core,
    call: Call,
    question: Admission | None,
    step: AttemptStep,
    grants: list[Admitted] | None = None,
) -> Ending:
    """Make one attempt: admission, the step itself, and the record of its outcome.

    `grants` contains the answer to `question` if it was asked already. While it does, whoever asked
    gives the answer back after an interruption.
    """
    plan = call.plan
    permit: Permit | None = None
    admitted: Admitted = AT_ONCE
    outcome = Outcome.NEUTRAL
    try:
        if question is not None or call.claim is not None:
            try:
                if call.claim is not None and not await core.renewals.holds(
                    call.claim, call.left(core)
                ):
                    raise refusal(core, call, Answer.FENCED, 0)  # noqa: TRY301 - as whatever refuses
                if grants:
                    admitted = grants[0]
                    del grants[0]
                elif question is not None:
                    ask = core.ask
                    left = call.left(core) if core.waits else None
                    if ask is None:
                        admitted = await core.execute(question, left)
                    else:
                        admitted = ask(question, left)
                granted = admitted[2]
                if question is not None and (admitted[0] or admitted[1] or core.waits):
                    granted = await _admit_in_time(core, call, question, admitted)
                if call.claim is not None:
                    await _under_claim(core, call, call.claim, granted, admitted)
                permit = granted
                if admitted[1]:
                    core.waiters.go(admitted[3])
            except BaseException as refused:  # noqa: BLE001 - raised again, if it is none
                return _refused(core, call, admitted, refused)
        acted, attempts, call.pause, call.opened = call.acted, call.attempts, None, 0
        call.disproved = call.unsent = False
        began = core.nanoseconds() if plan.slow is not None or core.observers else None
        value, error = await step(call)
        if error is None and call.keeps_permit:
            call.outcome = _outcome(core, call, began, None)
            call.permit, permit = permit, None
            call.token = 0
        elif error is None and began is None and (permit is None or not permit[2]):
            permit = None
        else:
            outcome = _outcome(core, call, began, error, left=call.attempts > attempts)
            await _record(core, call, question, permit, outcome)
            permit = None
            call.token = 0
    finally:
        if permit is not None or call.token:
            _give_back(core, call, permit, outcome)
    if error is not None:
        call.fail(left=call.attempts > attempts, before=acted)
    if call.pause is not None and plan.gates.limits and _is_for_all(call, error):
        await _keep_pause(core, call, call.pause)
    return value, error


def _give_back(core: Core, call: Call, permit: Permit | None, outcome: Outcome) -> None:
    """Give back everything an interrupted attempt still holds, wherever it was interrupted.

    The outcome of a probe counts once, however often it is reported, so a known outcome is reported
    again. The outcome of another attempt may be counted already, and is not reported again.
    """
    if call.token:
        lease = permit or lease_of(call.token)
        core.post(Report(call.plan.gates, lease, outcome, core.reporter()))
    elif permit is not None and outcome is Outcome.NEUTRAL:
        core.post(Report(call.plan.gates, permit, outcome, core.reporter()))


async def _admit_in_time(
    core: Core, call: Call, question: Admission, first: Admitted
) -> Permit | None:
    """Admit an attempt in time: a caller may oversleep, but no attempt begins past the deadline."""
    permit = await be_admitted(core, call, question, first)
    if call.remaining(core) > 0:
        return permit
    if permit is not first[2]:
        withdraw(core, question.gates, (GO, 0, permit, ()))
    raise call.out_of_time()


async def _under_claim(
    core: Core, call: Call, claim: Held, permit: Permit | None, admitted: Admitted
) -> None:
    """Check before leaving that the claim is still held, and mark it as sent in the store."""
    may_leave = False
    try:
        # A caller that had to wait may have been paused, or cut off from the store.
        still_held = await core.renewals.holds(claim, call.left(core))
        mark = MarkSent(claim.key, claim.fence, call.target or call.plan.target)
        may_leave = still_held and (not core.apart or await core.execute(mark, call.left(core)))
    finally:
        if not may_leave and permit is not admitted[2]:
            withdraw(core, call.plan.gates, (GO, 0, permit, ()))
    if not may_leave:
        raise refusal(core, call, Answer.FENCED, 0)


def _refused(core: Core, call: Call, admitted: Admitted, error: BaseException) -> Ending:
    """The ending of an attempt that was not admitted; an interruption is raised again."""
    withdraw(core, call.plan.gates, admitted)
    if not isinstance(error, ConnectorError):
        raise error
    call.token = 0
    error.__cause__ = error.__cause__ or call.last
    call.refused = True
    return None, error


def admission_question(core: Core, call: Call, *, retry: bool) -> Admission | None:
    """The admission question of an attempt that differs from its plan; None if unlimited."""
    plan = call.plan
    claim = None
    if call.claim is not None and not core.apart:
        claim = (call.claim.key, call.claim.fence, call.target or plan.target)
    if plan.admission is None and claim is None:
        return None
    left = max(0, call.remaining(core) // 1000)
    lease = left + micros(MARGIN) if call.open_ended else plan.question.lease
    return plan.question.evolve(
        retry=retry, within=min(plan.patience, left), lease=lease, claim=claim
    )


def _outcome(
    core: Core, call: Call, began: int | None, error: Exception | None, *, left: bool = True
) -> Outcome:
    """The outcome that the circuit counts, with the event that reports it.

    An attempt that never left, for example without credentials, says nothing about the service.
    """
    outcome = Outcome.GOOD if error is None else health(error) if left else Outcome.NEUTRAL
    if began is None:
        return outcome
    took = core.nanoseconds() - began
    slow = call.plan.slow is not None and took > call.plan.slow
    if slow and outcome is Outcome.GOOD:
        outcome = Outcome.SLOW
    if core.observers:
        core.tell(
            AttemptFinished(
                **call.event_fields(core),
                attempt=call.attempts,
                duration=took / 1e9,
                error=None if error is None else type(error).__name__,
                status=call.status,
                slow=slow,
            )
        )
    return outcome


async def _record(
    core: Core, call: Call, question: Admission | None, permit: Permit | None, outcome: Outcome
) -> None:
    """Record the outcome of an attempt; skip a first attempt that says nothing of the service."""
    gates, first = call.plan.gates, question is not None and not question.retry
    if first and outcome is Outcome.NEUTRAL and gates.budget is not None:
        core.post(Uncount(gates.budget, gates.budget_key))
    if permit is None or (outcome is Outcome.GOOD and not permit[2]):
        return
    report = Report(call.plan.gates, permit, outcome, core.reporter())
    try:
        changed = await core.execute(report, call.afterwards(core))
    except StorageUnavailable:
        # The call has ended; an unreachable store must not take its answer away.
        return
    rule = call.plan.gates.circuit
    if changed is CircuitState.OPEN and rule and not rule.config.shadow:
        call.opened = rule.open_for
    if changed is not None and core.observers:
        core.tell(CircuitChanged(**call.event_fields(core), state=changed))


def _is_for_all(call: Call, error: Exception | None) -> bool:
    """True if a pause holds for all regions, as limits do; a failing region pauses only itself."""
    return call.route is None or error is None or isinstance(error, RateLimitExceeded)


async def _keep_pause(core: Core, call: Call, pause: float) -> None:
    """Make all callers observe the pause that the vendor asked for."""
    try:
        await core.execute(Pause(call.plan.gates, micros(pause)), call.afterwards(core))
    except StorageUnavailable:
        return
    if core.observers:
        core.tell(VendorPaused(**call.event_fields(core), delay=pause))
