"""The attempts of a call, repeated until one succeeds or no retry is allowed.

Every attempt must be admitted before, and its outcome is classified afterwards. A success through a
closed circuit is not recorded; every other outcome is recorded immediately. An interrupted attempt
counts as neither success nor failure: it gives back its tokens and slots, and is never retried.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.idempotency.claims import MarkSent
from moorage.domain.observation.call_events import AttemptFinished, AttemptStarted
from moorage.domain.observation.call_identity import CallOutcome
from moorage.domain.observation.events import CircuitChanged, RetryScheduled, VendorPaused
from moorage.domain.observation.late_fields import make_late
from moorage.domain.resilience import retry
from moorage.domain.resilience.admission import AT_ONCE, GO, Answer
from moorage.domain.resilience.circuit import CircuitState, Outcome
from moorage.domain.resilience.gate_commands import Pause, Report, UncountAttempt
from moorage.domain.resilience.health import health
from moorage.domain.resilience.ledger import AttemptEffect
from moorage.domain.resilience.retry import RetryAfterDelay
from moorage.domain.resilience.vendor_hints import cap_wait
from moorage.domain.service.plan import MARGIN, ONCE, circuit_name
from moorage.domain.values.durations import SECOND, micros
from moorage.errors import AttemptTimeout, ConnectorError, RateLimitExceeded, StorageUnavailable
from moorage.services.calling.admission import (
    be_admitted,
    execute_for_parts,
    lease_of,
    refusal,
    withdraw,
)
from moorage.services.calling.attempt_result import AttemptResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.entries.renewal import HeldClaim
    from moorage.domain.http.requests import HttpMethod, Request
    from moorage.domain.observation.call_events import AttemptFacts, BeginningFacts
    from moorage.domain.resilience.admission import Admission, Admitted
    from moorage.domain.resilience.circuit import Permit
    from moorage.services.calling.call import Call
    from moorage.services.calling.regions import OtherRegions
    from moorage.services.core.core import Core

Ending: TypeAlias = "tuple[Any, Exception | None]"
"""The value of a step or a call, or the error that it ended with."""

AttemptStep: TypeAlias = "Callable[[Call], Awaitable[AttemptResult]]"


async def attempt(core: Core, call: Call, step: AttemptStep) -> Ending:
    """Run `step` as often as the call's plan allows; return its value or the final error."""
    has_less_time = call.has_less_time or call.claim is not None
    if has_less_time and call.remaining(core) <= 0:
        return None, call.deadline_error()
    if call.route is not None:
        result = await call.route.first_attempt(core, call, step, on_fast_path=not has_less_time)
    else:
        admission_request = (
            admission_question(core, call, retry=False) if has_less_time else call.plan.admission
        )
        result = await make_attempt(core, call, admission_request, step)
    if result.error is None:
        return result.value, None
    return await retry_call(core, call, step, result)


async def retry_failed_attempt(  # noqa: PLR0917 - the facts of an attempt
    core: Core,
    call: Call,
    permit: Permit | None,
    error: Exception,
    step: AttemptStep,
    since: int | None = None,
) -> Ending:
    """Retry a call whose first attempt was made by the fast path and failed.

    `since` is a number that was drawn from `signatures` before the attempt, for
    `Call.weigh_effects`.
    """
    call.leave()
    call.weigh_effects(error, since)
    start_time = call.attempt_started if core.observers else None
    call.attempt_started = None
    outcome = _outcome(core, call, start_time, error)
    open_microseconds = await _record_outcome(core, call, call.plan.admission, permit, outcome)
    return await retry_call(core, call, step, AttemptResult(error=error, opened=open_microseconds))


async def retry_call(core: Core, call: Call, step: AttemptStep, result: AttemptResult) -> Ending:
    """Retry a call after its first attempt, as long as a retry can help."""
    policy = call.plan.retry if call.replayable else ONCE
    tries = 1
    delay = pause = waited_seconds = 0.0
    may_change_region = call.route is not None
    while (error := result.error) is not None:
        other_regions: OtherRegions | None = None
        may_retry = not result.repeats
        if may_retry:
            if result.refused:
                return None, error
            requested_pause = _requested_pause(core, call, error, result.pause)
            if call.route is not None and may_change_region:
                other_regions = call.route.regions_after(core, call, error, requested_pause)
            decision = retry.decide(
                policy,
                error,
                attempt=tries,
                repeatable=call.repeatable or call.is_unsent,
                retry_after=requested_pause if other_regions is None else other_regions.retry_after,
                remaining=call.remaining(core) / 1e9,
                previous=delay,
                draw=core.fraction(),
                at_once=other_regions is not None and other_regions.at_once,
            )
            if not isinstance(decision, RetryAfterDelay):
                return None, _final_error(
                    core, call, error, decision.retry_after or requested_pause
                )
            delay = decision.delay
            pause = max(0.0, delay - waited_seconds)
            open_microseconds = result.opened if other_regions is None else 0
            timeout_error = await _pause_before_retry(core, call, pause, error, open_microseconds)
            if timeout_error is not None:
                return None, timeout_error
        if other_regions is None:
            result = await make_attempt(
                core, call, admission_question(core, call, retry=may_retry), step
            )
        else:
            other_region_result = await other_regions.attempt(core, call, step)
            if other_region_result is None:
                # No other region admits the attempt, so the call stays in its own region.
                may_change_region, waited_seconds = False, pause
                continue
            result = other_region_result
        if result.refused and result.error is not None:
            result.error.__cause__ = result.error.__cause__ or error
        may_change_region, waited_seconds = True, 0.0
        tries += may_retry
    return result.value, None


def _final_error(core: Core, call: Call, error: Exception, retry_after: float | None) -> Exception:
    """Return the final error of a call, with the time after which a retry may help."""
    if retry_after is not None and isinstance(error, ConnectorError):
        error.retry_at = core.utc() + timedelta(seconds=retry_after)
    if isinstance(error, AttemptTimeout) and call.remaining(core) <= 0:
        return call.deadline_error(error)
    return error


def _requested_pause(core: Core, call: Call, error: Exception, pause: float | None) -> float | None:
    """Return the seconds for which the vendor or a guard asks callers to pause."""
    if pause is not None:
        return pause
    wait = retry.wait_of(error, core.utc())
    pause = cap_wait(wait, call.plan.service.max_pause)
    if pause != wait and isinstance(error, ConnectorError):
        error.vendor_retry_after = wait
    return pause


async def _pause_before_retry(
    core: Core, call: Call, pause: float, error: Exception, opened: int
) -> ConnectorError | None:
    """Pause before the next attempt; return an error if there can be no next attempt."""
    if pause * SECOND < opened:
        # This failure opened the circuit, which now refuses attempts.
        held_back = refusal(core, call, Answer.CIRCUIT_OPEN, opened)
        held_back.__cause__ = error
        return held_back
    if core.observers:
        call.emit(
            core, RetryScheduled, attempt=call.attempts, delay=pause, error=type(error).__name__
        )
    if pause:
        await core.sleep(pause)
    return None if call.remaining(core) > 0 else call.deadline_error(error)


async def make_attempt(  # noqa: C901, PLR0912, PLR0915 - one attempt, to be read in one place
    core: Core,
    call: Call,
    question: Admission | None,
    step: AttemptStep,
    grants: list[Admitted] | None = None,
) -> AttemptResult:
    """Make one attempt: get it admitted, run the step, and record the outcome.

    `grants` contains the store's reply to `question` if there is one already. Then the caller of
    this function gives the granted tokens back after an interruption.
    """
    plan = call.plan
    permit: Permit | None = None
    admission: Admitted = AT_ONCE
    outcome = Outcome.NEUTRAL
    try:
        if question is not None or call.claim is not None:
            try:
                if call.claim is not None and core.renewals.renews:
                    time_limit = call.left(core)
                    if not await core.renewals.holds(call.claim, time_limit):
                        raise refusal(core, call, Answer.FENCED, 0)  # noqa: TRY301 - handled like every other refusal
                if grants:
                    admission = grants[0]
                    del grants[0]
                elif question is not None:
                    ask_gate = core.ask
                    time_left = call.left(core) if core.waits else None
                    if ask_gate is None:
                        admission = await core.execute(question, time_left)
                    else:
                        admission = ask_gate(question, time_left)
                grant = admission[2]
                # An attempt that the fast path has begun was admitted in time.
                may_be_late = core.waits and call.attempt_started is None
                if question is not None and (admission[0] or admission[1] or may_be_late):
                    grant = await _admit_in_time(core, call, question, admission)
                if call.claim is not None and (
                    core.renewals.renews or core.separate_keys or core.waits
                ):
                    await _mark_claim_sent(core, call, call.claim, grant, admission)
                permit = grant
                if admission[1]:
                    core.waiters.remove_admitted(admission[3])
            except BaseException as problem:  # noqa: BLE001 - raised again, if it is none
                return _refused_result(core, call, admission, problem)
        open_microseconds = 0
        call.begin_attempt()
        start_time = core.nanoseconds() if plan.slow is not None or core.observers else None
        if call.attempt_started is not None:
            start_time = start_time if start_time is None else call.attempt_started
            call.attempt_started = None
        elif core.observes_attempt_starts:
            begin_attempt(core, call)
        result = await step(call)
        error = result.error
        if error is None and call.keeps_permit:
            call.outcome = _outcome(core, call, start_time, None)
            call.permit, permit = permit, None
            call.token = 0
        elif error is None and start_time is None and (permit is None or not permit[2]):
            permit = None
        else:
            outcome = _outcome(core, call, start_time, error, left=call.was_sent)
            open_microseconds = await _record_outcome(core, call, question, permit, outcome)
            permit = None
            call.token = 0
    finally:
        if permit is not None or call.token:
            _give_back(core, call, permit, outcome)
    if result.pause is not None and plan.gates.limits and _pauses_all_regions(call, error):
        await _keep_pause(core, call, result.pause)
    return result._replace(opened=open_microseconds) if open_microseconds else result


def begin_attempt(core: Core, call: Call, observers: tuple[object, ...] | None = None) -> None:
    """Notify all observers, or the given ones, that an attempt begins."""
    method, bytes_out = sizes_of(call.request)
    beginning_facts: BeginningFacts = (
        call.identity or call.identify(core),
        call.plan,
        core.nanoseconds(),
        call.attempts + 1,
        call.hedge,
        method,
        bytes_out,
    )
    event = call.beginning = make_late(AttemptStarted, beginning_facts)
    if observers is None:
        core.notify(event)
    else:
        core.notify_observers(observers, event)


def sizes_of(request: Request | None) -> tuple[HttpMethod | None, int | None]:
    """Return the method of a request, and the size of its body if that is known beforehand."""
    if request is None:
        return None, None
    body = request.body
    return request.method, len(body) if isinstance(body, bytes) else body.length


def _give_back(core: Core, call: Call, permit: Permit | None, outcome: Outcome) -> None:
    """Release the permit and the grants of an interrupted attempt.

    The outcome of a probe counts only once, so it can safely be reported again. The outcome of any
    other attempt may be counted already, so it is not reported again.
    """
    if call.token:
        lease = permit or lease_of(call.token)
        core.post(Report(call.plan.gates, lease, outcome, core.reporter()))
    elif permit is not None and outcome is Outcome.NEUTRAL:
        core.post(Report(call.plan.gates, permit, outcome, core.reporter()))


async def _admit_in_time(
    core: Core, call: Call, question: Admission, first: Admitted
) -> Permit | None:
    """Wait for the permit of an attempt; raise an error if the deadline passes first."""
    permit = await be_admitted(core, call, question, first)
    if call.remaining(core) > 0:
        return permit
    if permit is not first[2]:
        withdraw(core, question.gates, (GO, 0, permit, ()))
    raise call.deadline_error()


async def _mark_claim_sent(
    core: Core, call: Call, claim: HeldClaim, permit: Permit | None, admitted: Admitted
) -> None:
    """Check that the claim still belongs to this caller, and mark its key as sent."""
    may_leave = False
    try:
        # A caller that had to wait may have been suspended, or may have lost its connection to the
        # store.
        still_held = await core.renewals.holds(claim, call.left(core))
        mark_command = MarkSent(claim.key, claim.fence, call.target or call.plan.target)
        may_leave = still_held and (
            not core.separate_keys or await core.execute(mark_command, call.left(core))
        )
    finally:
        if not may_leave and permit is not admitted[2]:
            withdraw(core, call.plan.gates, (GO, 0, permit, ()))
    if not may_leave:
        raise refusal(core, call, Answer.FENCED, 0)


def _refused_result(
    core: Core, call: Call, admitted: Admitted, error: BaseException
) -> AttemptResult:
    """Return the result of an attempt that was not admitted; raise an interruption again."""
    withdraw(core, call.plan.gates, admitted)
    if not isinstance(error, ConnectorError):
        raise error
    call.token = 0
    return AttemptResult(error=error, refused=True)


def admission_question(core: Core, call: Call, *, retry: bool) -> Admission | None:
    """Return the command that requests admission; None if nothing limits the call."""
    plan = call.plan
    claim = None
    if call.claim is not None and not core.separate_keys:
        claim = (call.claim.key, call.claim.fence, call.target or plan.target)
    if plan.admission is None and claim is None:
        return None
    time_left = max(0, call.remaining(core) // 1000)
    lease = time_left + micros(MARGIN) if call.is_open_ended else plan.question.lease
    wait_limit = min(plan.patience, time_left)
    if claim is not None:
        return plan.question.under_claim(claim, within=wait_limit, lease=lease, retry=retry)
    return plan.question.evolve(retry=retry, within=wait_limit, lease=lease)


def _outcome(
    core: Core, call: Call, start_time: int | None, error: Exception | None, *, left: bool = True
) -> Outcome:
    """Return the outcome for the circuit breaker, and emit the event that reports the attempt.

    An attempt that was never sent, for example without credentials, does not show the state of the
    service.
    """
    outcome = Outcome.GOOD if error is None else health(error) if left else Outcome.NEUTRAL
    if start_time is None:
        return outcome
    duration = core.nanoseconds() - start_time
    slow_threshold = call.plan.slow is not None and duration > call.plan.slow
    if slow_threshold and outcome is Outcome.GOOD:
        outcome = Outcome.SLOW
    if core.observes_attempts or (error is not None and core.observers):
        attempt_facts: AttemptFacts = (
            call.identify(core),
            call.plan,
            start_time + duration,
            call.attempts,
            duration,
            None if error is None else type(error).__name__,
            call.status,
            slow_threshold,
            call.hedge,
            *sizes_of(call.request),
            call.bytes_in,
            _outcome_at_vendor(call, error),
            getattr(error, "vendor_code", None),
        )
        core.notify(make_late(AttemptFinished, attempt_facts))
    return outcome


def _outcome_at_vendor(call: Call, error: Exception | None) -> CallOutcome:
    """Return the outcome of the latest attempt at the vendor."""
    if error is None:
        return CallOutcome.DONE
    is_possible = call.ledger.current is AttemptEffect.POSSIBLE
    return CallOutcome.UNKNOWN if is_possible else CallOutcome.NOTHING


async def _record_outcome(
    core: Core, call: Call, question: Admission | None, permit: Permit | None, outcome: Outcome
) -> int:
    """Record how an attempt ended, for the circuit and the retry budget.

    Returns:
        The minimum microseconds for which this opened the circuit; 0 if it did not.
    """
    gates, is_first = call.plan.gates, question is not None and not question.retry
    if is_first and outcome is Outcome.NEUTRAL and gates.budget is not None:
        core.post(UncountAttempt(gates.budget, gates.budget_key))
    if permit is None or (outcome is Outcome.GOOD and not permit[2]):
        return 0
    report = Report(call.plan.gates, permit, outcome, core.reporter())
    try:
        new_mode = await core.execute(report, call.recording_seconds(core))
    except StorageUnavailable:
        # The call has ended, so an unreachable store must not replace its result by an error.
        return 0
    if new_mode is not None and core.observers:
        call.emit(core, CircuitChanged, state=new_mode, circuit=circuit_name(call.plan))
    rule = call.plan.gates.circuit
    return rule.open_for if new_mode is CircuitState.OPEN and rule and not rule.config.shadow else 0


def _pauses_all_regions(call: Call, error: Exception | None) -> bool:
    """Return whether a requested pause applies to all regions, not only the failing one."""
    return call.route is None or error is None or isinstance(error, RateLimitExceeded)


async def _keep_pause(core: Core, call: Call, pause: float) -> None:
    """Store a pause that the vendor requested, so that all processes wait until it ends."""
    try:
        commands = [Pause(plan.gates, micros(pause)) for plan in call.plan.parts or (call.plan,)]
        await execute_for_parts(core, commands, lambda: call.recording_seconds(core))
    except StorageUnavailable:
        return
    if core.observers:
        call.emit(core, VendorPaused, delay=pause)
