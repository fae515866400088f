"""One attempt after another, until there is an answer or no sense in going on.

Every attempt is admitted first and judged afterwards. A success through a closed circuit leaves
no trace; whatever else happened is recorded at once. An interruption is neutral: it gives back
what was taken, and is never tried again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mooring.domain import retry
from mooring.domain.admission import GO, Answer, Pause, Report
from mooring.domain.circuit import CircuitState, Outcome
from mooring.domain.durations import SECOND, micros
from mooring.domain.events import AttemptFinished, CircuitChanged, RetryScheduled, VendorPaused
from mooring.domain.health import health
from mooring.domain.plan import MARGIN, ONCE
from mooring.domain.retry import Again
from mooring.errors import AttemptTimeout, ConnectorError, StorageUnavailable
from mooring.services.admission import be_admitted, lease_of, refusal, withdraw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mooring.domain.admission import Admission, Admitted
    from mooring.domain.circuit import Permit
    from mooring.services.call import Call
    from mooring.services.core import Core

Ending: TypeAlias = "tuple[Any, Exception | None]"
"""How a step or a call ended, as a value: what it gave, or the error it ended with."""

NOTHING_TAKEN: Final[Admitted] = (GO, 0, None, ())

AttemptStep: TypeAlias = "Callable[[Call], Awaitable[Ending]]"


async def attempt(core: Core, call: Call, step: AttemptStep) -> Ending:
    """Try `step` as the call's plan says, and return how it ended at last."""
    hurried = call.hurried or call.claim is not None
    question = _asked(core, call, retry=False) if hurried else call.plan.admission
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
    pause = 0.0
    while True:
        retried = not call.renewed
        if call.renewed:
            call.renewed = False
        else:
            if call.refused:
                return None, error
            decision = retry.decide(
                policy,
                error,
                attempt=tries,
                repeatable=call.repeatable or call.unsent,
                retry_after=_asked_for(core, call, error),
                remaining=call.remaining(core) / 1e9,
                previous=pause,
                draw=core.fraction(),
            )
            if not isinstance(decision, Again):
                if decision.retry_after is not None and isinstance(error, ConnectorError):
                    error.retry_at = core.utc() + timedelta(seconds=decision.retry_after)
                if isinstance(error, AttemptTimeout) and call.remaining(core) <= 0:
                    return None, call.out_of_time(error)
                return None, error
            tries += 1
            pause = decision.delay
            if call.opened and pause * SECOND < call.opened:
                # The circuit opened on this failure, and will refuse whoever comes so soon.
                held_back = refusal(core, call, Answer.CIRCUIT_OPEN, call.opened)
                held_back.__cause__ = error
                return None, held_back
            await _rest(core, call, pause, error)
            if call.remaining(core) <= 0:
                return None, call.out_of_time(error)
        call.last = error
        value, failed = await once(core, call, _asked(core, call, retry=retried), step)
        if failed is None:
            return value, None
        error = failed


def _asked_for(core: Core, call: Call, error: Exception) -> float | None:
    """Seconds that the vendor, or whatever else refused, asked to stay away."""
    if call.pause is not None or not isinstance(error, ConnectorError) or error.retry_at is None:
        return call.pause
    return max(0.0, (error.retry_at - core.utc()).total_seconds())


async def _rest(core: Core, call: Call, pause: float, error: Exception) -> None:
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


async def once(  # noqa: PLR0912 - one attempt, to be read in one place
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
    admitted: Admitted = NOTHING_TAKEN
    outcome = Outcome.NEUTRAL
    try:
        if question is not None:
            try:
                if asked is None:
                    ask = core.ask
                    admitted = await core.execute(question) if ask is None else ask(question)
                else:
                    admitted = asked[0]
                    del asked[0]
                if admitted[0] or admitted[1]:
                    permit = await _let_out(core, call, question, admitted)
                else:
                    permit = admitted[2]
            except BaseException as refusal:  # noqa: BLE001 - raised again, if it is none
                return _refused(core, call, admitted, refusal)
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
            outcome = _outcome(core, call, began, error)
            await _record(core, call, permit, outcome)
            permit = None
            call.token = 0
    finally:
        if permit is not None or call.token:
            _let_go(core, call, permit, outcome)
    if error is not None:
        call.fail(left=call.attempts > attempts, before=acted)
    if call.pause is not None and plan.gates.limits:
        await _keep_pause(core, call, call.pause)
    return value, error


def _let_go(core: Core, call: Call, permit: Permit | None, outcome: Outcome) -> None:
    """Give back what an interrupted attempt still had, wherever it was interrupted.

    A probe's outcome counts once, however often it is told, so what is known of it is told again.
    Any other's may have been counted by now, and is left at that.
    """
    if call.token:
        held = permit or lease_of(call.token)
        core.post(Report(call.plan.gates, held, outcome, core.reporter))
        call.token = 0
    elif permit is not None and outcome is Outcome.NEUTRAL:
        core.post(Report(call.plan.gates, permit, outcome, core.reporter))


async def _let_out(core: Core, call: Call, question: Admission, first: Admitted) -> Permit | None:
    """Be admitted in time: who waits may oversleep, and no attempt begins after the deadline."""
    permit = await be_admitted(core, call, question, first)
    if call.remaining(core) > 0:
        return permit
    if permit is not first[2]:
        withdraw(core, question.gates, (GO, 0, permit, ()))
    raise call.out_of_time()


def _refused(core: Core, call: Call, admitted: Admitted, error: BaseException) -> Ending:
    """The end of an attempt that was not let out; an interruption goes on."""
    withdraw(core, call.plan.gates, admitted)
    if not isinstance(error, ConnectorError):
        raise error
    call.token = 0
    error.__cause__ = error.__cause__ or call.last
    call.refused = True
    return None, error


def _asked(core: Core, call: Call, *, retry: bool) -> Admission | None:
    """The question of an attempt that differs from the plan's, if there is anything to ask."""
    plan = call.plan
    if plan.admission is None and call.claim is None:
        return None
    left = max(0, call.remaining(core) // 1000)
    lease = left + micros(MARGIN) if call.open_ended else plan.question.lease
    return plan.question.evolve(
        retry=retry, within=min(plan.patience, left), lease=lease, claim=call.claim
    )


def _outcome(core: Core, call: Call, began: int | None, error: Exception | None) -> Outcome:
    """How the circuit counts what just ended, with the event that tells of it."""
    outcome = Outcome.GOOD if error is None else health(error)
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
    report = Report(call.plan.gates, permit, outcome, core.reporter)
    try:
        changed = await core.execute(report)
    except StorageUnavailable:
        # The call itself has ended; a store that is away must not take its answer with it.
        return
    rule = call.plan.gates.circuit
    if changed is CircuitState.OPEN and rule and not rule.config.shadow:
        call.opened = rule.open_for
    if changed is not None and core.observers:
        core.tell(CircuitChanged(**call.told(core), state=changed))


async def _keep_pause(core: Core, call: Call, pause: float) -> None:
    """Make every caller keep the pause that the vendor asked for."""
    try:
        await core.execute(Pause(call.plan.gates, micros(pause)))
    except StorageUnavailable:
        return
    if core.observers:
        core.tell(VendorPaused(**call.told(core), delay=pause))
