"""One attempt after another, until there is an answer or no sense in going on.

Every attempt is admitted first and judged afterwards. A success through a closed circuit leaves
no trace; whatever else happened is recorded at once. An interruption is neutral: it gives back
what was taken, and is never tried again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain import retry
from moorage.domain.admission import AT_ONCE, GO, Answer, Pause, Report
from moorage.domain.circuit import CircuitState, Outcome
from moorage.domain.durations import SECOND, micros
from moorage.domain.events import AttemptFinished, CircuitChanged, RetryScheduled, VendorPaused
from moorage.domain.health import health
from moorage.domain.idempotency import MarkSent
from moorage.domain.plan import MARGIN, ONCE
from moorage.domain.retry import Again
from moorage.domain.retry_after import capped
from moorage.errors import AttemptTimeout, ConnectorError, RateLimitExceeded, StorageUnavailable
from moorage.services.admission import be_admitted, lease_of, refusal, withdraw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.admission import Admission, Admitted
    from moorage.domain.circuit import Permit
    from moorage.domain.renewal import Held
    from moorage.services.call import Call
    from moorage.services.core import Core

Ending: TypeAlias = "tuple[Any, Exception | None]"
"""How a step or a call ended, as a value: what it gave, or the error it ended with."""

AttemptStep: TypeAlias = "Callable[[Call], Awaitable[Ending]]"


async def attempt(core: Core, call: Call, step: AttemptStep) -> Ending:
    """Try `step` as the call's plan says, and return how it ended at last."""
    hurried = call.hurried or call.claim is not None
    if hurried and call.remaining(core) <= 0:
        return None, call.out_of_time()
    if call.route is not None:
        value, error = await call.route.first(core, call, step, calm=not hurried)
    else:
        question = asked(core, call, retry=False) if hurried else call.plan.admission
        value, error = await once(core, call, question, step)
    return (value, None) if error is None else await again(core, call, step, error)


async def follow(
    core: Core, call: Call, permit: Permit | None, error: Exception, step: AttemptStep
) -> Ending:
    """Go on after a first attempt that failed, made by a face itself because all was calm."""
    call.attempts = 1
    call.disprove(error)
    call.acted = not call.disproved
    await _record(core, call, permit, health(error))
    return await again(core, call, step, error)


async def again(core: Core, call: Call, step: AttemptStep, error: Exception) -> Ending:
    """Go on after a first attempt that ended with `error`, as long as there is sense in it."""
    policy = call.plan.retry if call.replayable else ONCE
    tries = 1
    delay = pause = waited = 0.0
    leaves = call.route is not None
    while True:
        away = None
        retried = not call.renewed
        if call.renewed:
            call.renewed = False
        else:
            if call.refused:
                return None, error
            wished = _asked_for(core, call, error)
            if call.route is not None and leaves:
                away = call.route.away(core, call, error, wished)
            decision = retry.decide(
                policy,
                error,
                attempt=tries,
                repeatable=call.repeatable or call.unsent,
                retry_after=wished if away is None else away.retry_after,
                remaining=call.remaining(core) / 1e9,
                previous=delay,
                draw=core.fraction(),
                at_once=away is not None and away.at_once,
            )
            if not isinstance(decision, Again):
                return None, _over(core, call, error, decision.retry_after or wished)
            delay = decision.delay
            pause = max(0.0, delay - waited)
            late = await _rest(core, call, pause, error, stays=away is None)
            if late is not None:
                return None, late
        call.last = error
        if away is None:
            ending = await once(core, call, asked(core, call, retry=retried), step)
        elif (elsewhere := await away.go(core, call, step)) is None:
            # Nobody else lets it in, so it waits for where it is.
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


def _over(core: Core, call: Call, error: Exception, retry_after: float | None) -> Exception:
    """The error of a call that will not try again, and when somebody else may."""
    if retry_after is not None and isinstance(error, ConnectorError):
        error.retry_at = core.utc() + timedelta(seconds=retry_after)
    if isinstance(error, AttemptTimeout) and call.remaining(core) <= 0:
        return call.out_of_time(error)
    return error


def _asked_for(core: Core, call: Call, error: Exception) -> float | None:
    """Seconds that the vendor, or whatever else refused, asked to stay away."""
    if call.pause is not None:
        return call.pause
    wait = retry.wait_of(error, core.utc())
    kept = capped(wait, call.plan.service.max_pause)
    if kept != wait and isinstance(error, ConnectorError):
        error.vendor_retry_after = wait
    return kept


async def _rest(
    core: Core, call: Call, pause: float, error: Exception, *, stays: bool
) -> ConnectorError | None:
    """Pause before the next attempt; what to end with if there can be none after all."""
    if stays and call.opened and pause * SECOND < call.opened:
        # The circuit opened on this failure, and will refuse whoever comes so soon.
        held_back = refusal(core, call, Answer.CIRCUIT_OPEN, call.opened)
        held_back.__cause__ = error
        return held_back
    if core.observers:
        core.tell(
            RetryScheduled(
                **call.told(core),
                attempt=call.attempts,
                delay=pause,
                error=type(error).__name__,
            )
        )
    if pause:
        await core.sleep(pause)
    return None if call.remaining(core) > 0 else call.out_of_time(error)


async def once(  # noqa: C901, PLR0912 - one attempt, to be read in one place
    core: Core,
    call: Call,
    question: Admission | None,
    step: AttemptStep,
    asked: list[Admitted] | None = None,
) -> Ending:
    """One attempt: admission, the step itself, and what is recorded of it.

    `asked` has the answer to `question` where it has been asked already. While it is in there, an
    interruption leaves giving it back to whoever asked.
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
                if asked:
                    admitted = asked[0]
                    del asked[0]
                elif question is not None:
                    ask = core.ask
                    left = call.left(core) if core.waits else None
                    if ask is None:
                        admitted = await core.execute(question, left)
                    else:
                        admitted = ask(question, left)
                granted = admitted[2]
                if question is not None and (admitted[0] or admitted[1] or core.waits):
                    granted = await _let_out(core, call, question, admitted)
                if call.claim is not None:
                    await _under_claim(core, call, call.claim, granted, admitted)
                permit = granted
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
            await _record(core, call, permit, outcome)
            permit = None
            call.token = 0
    finally:
        if permit is not None or call.token:
            _let_go(core, call, permit, outcome)
    if error is not None:
        call.fail(left=call.attempts > attempts, before=acted)
    if call.pause is not None and plan.gates.limits and _is_for_all(call, error):
        await _keep_pause(core, call, call.pause)
    return value, error


def _let_go(core: Core, call: Call, permit: Permit | None, outcome: Outcome) -> None:
    """Give back what an interrupted attempt still had, wherever it was interrupted.

    A probe's outcome counts once, however often it is told, so what is known of it is told again.
    Any other's may have been counted by now, and is left at that.
    """
    if call.token:
        held = permit or lease_of(call.token)
        core.post(Report(call.plan.gates, held, outcome, core.reporter()))
    elif permit is not None and outcome is Outcome.NEUTRAL:
        core.post(Report(call.plan.gates, permit, outcome, core.reporter()))


async def _let_out(core: Core, call: Call, question: Admission, first: Admitted) -> Permit | None:
    """Be admitted in time: who waits may oversleep, and no attempt begins after the deadline."""
    permit = await be_admitted(core, call, question, first)
    if call.remaining(core) > 0:
        return permit
    if permit is not first[2]:
        withdraw(core, question.gates, (GO, 0, permit, ()))
    raise call.out_of_time()


async def _under_claim(
    core: Core, call: Call, claim: Held, permit: Permit | None, admitted: Admitted
) -> None:
    """Leave only under a claim that is held still, and is marked as sent where it lives."""
    goes = False
    try:
        # Who had to wait for its turn may have been paused, or cut off from the store.
        held = await core.renewals.holds(claim, call.left(core))
        mark = MarkSent(claim.key, claim.fence, call.target or call.plan.target)
        goes = held and (not core.apart or await core.execute(mark, call.left(core)))
    finally:
        if not goes and permit is not admitted[2]:
            withdraw(core, call.plan.gates, (GO, 0, permit, ()))
    if not goes:
        raise refusal(core, call, Answer.FENCED, 0)


def _refused(core: Core, call: Call, admitted: Admitted, error: BaseException) -> Ending:
    """The end of an attempt that was not let out; an interruption goes on."""
    withdraw(core, call.plan.gates, admitted)
    if not isinstance(error, ConnectorError):
        raise error
    call.token = 0
    error.__cause__ = error.__cause__ or call.last
    call.refused = True
    return None, error


def asked(core: Core, call: Call, *, retry: bool) -> Admission | None:
    """The question of an attempt that differs from the plan's, if there is anything to ask."""
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
    """How the circuit counts what just ended, with the event that tells of it.

    What did not leave says nothing of the service, such as a refusal of who keeps its credentials.
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
                **call.told(core),
                attempt=call.attempts,
                duration=took / 1e9,
                error=None if error is None else type(error).__name__,
                status=call.status,
                slow=slow,
            )
        )
    return outcome


async def _record(core: Core, call: Call, permit: Permit | None, outcome: Outcome) -> None:
    if permit is None or (outcome is Outcome.GOOD and not permit[2]):
        return
    report = Report(call.plan.gates, permit, outcome, core.reporter())
    try:
        changed = await core.execute(report, call.afterwards(core))
    except StorageUnavailable:
        # The call itself has ended; a store that is away must not take its answer with it.
        return
    rule = call.plan.gates.circuit
    if changed is CircuitState.OPEN and rule and not rule.config.shadow:
        call.opened = rule.open_for
    if changed is not None and core.observers:
        core.tell(CircuitChanged(**call.told(core), state=changed))


def _is_for_all(call: Call, error: Exception | None) -> bool:
    """Whether a pause is for all regions: limits are, but one that breaks speaks for itself."""
    return call.route is None or error is None or isinstance(error, RateLimitExceeded)


async def _keep_pause(core: Core, call: Call, pause: float) -> None:
    """Make every caller keep the pause that the vendor asked for."""
    try:
        await core.execute(Pause(call.plan.gates, micros(pause)), call.afterwards(core))
    except StorageUnavailable:
        return
    if core.observers:
        core.tell(VendorPaused(**call.told(core), delay=pause))
