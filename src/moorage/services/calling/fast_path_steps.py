"""The steps that start, continue and end the calls of the fast path."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from moorage.domain.http.fingerprint import fingerprint, request_fingerprint
from moorage.domain.idempotency.claims import AS_USUAL
from moorage.domain.idempotency.payload import compared_payload, payload_fingerprint
from moorage.domain.observation.call_events import CallStarted
from moorage.domain.observation.call_identity import CallIdentity, ContractCall
from moorage.domain.observation.late_fields import new_late, set_facts
from moorage.domain.observation.success_listeners import NO_LISTENERS
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.resilience.gate_commands import Report
from moorage.domain.resilience.key_admission import WithdrawUnsent
from moorage.domain.service.plan import is_repeatable
from moorage.domain.values.durations import seconds
from moorage.errors import ConnectorError
from moorage.services.calling.admission import admission_error, withdraw
from moorage.services.calling.attempts import (
    begin_attempt,
    make_attempt,
    retry_call,
    retry_failed_attempt,
    sizes_of,
)
from moorage.services.calling.call import Call, signatures
from moorage.services.calling.exchange import Exchange
from moorage.services.calling.idempotency import (
    giving_up_command,
    held_claim,
    replay_answer,
    run_with_claim,
)
from moorage.services.calling.key_protection import KeyProtection
from moorage.services.calling.lifecycle import CallLifecycle, check_labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.http.requests import Request, Response
    from moorage.domain.observation.call_events import SuccessFacts
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.service.operation import HttpOperation
    from moorage.domain.service.plan import Plan
    from moorage.domain.service.settings import Service
    from moorage.ports.operation import OperationTraits
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.calling.exchange import FirstAttempt
    from moorage.services.calling.idempotency import KeyedUse
    from moorage.services.core.core import Core

CallOptions: TypeAlias = "tuple[float | None, str | None, str | None]"
"""The timeout, the correlation id and the subject of one call, as given by its caller."""


@lru_cache(maxsize=1024)
def _contract_without_target(operation: str, system: str, service: str) -> ContractCall:
    """Return an operation's data for events; equal calls without a target share one object."""
    return ContractCall(operation, system, service)


class FastPathSteps(CallLifecycle):
    """Starts, continues and ends calls whose first attempt runs on the fast path.

    Attributes:
        observes_without_state: True if an observed call needs no state until its first attempt
            ends, only an identity.
    """

    def __init__(self, core: Core, services: Iterable[Service]) -> None:
        super().__init__(core, services)
        self._keys = KeyProtection(core)
        # An asynchronous store may delay the attempt, and tracing observers need the call's state.
        self.observes_without_state = (
            core.late_id is not None and not core.waits and not core.observes_attempt_starts
        )

    def begin(self, plan: Plan, options: CallOptions, key: object = None) -> Call:
        """Return the state of a new call of the fast path."""
        timeout, request_id, subject = options
        has_labels = request_id is not None or subject is not None
        if timeout is None and not has_labels:
            return self.begin_plain(plan, key)
        core, span = self.core, plan.span
        try:
            if has_labels:
                check_labels(request_id, subject)
            if timeout is not None:
                span = int(seconds(timeout, "timeout") * 1e9)
        except ConnectorError as error:
            self.plans.name(error, plan.service.name, plan.operation, request_id)
            raise
        call = Call(plan, core.nanoseconds(), span)
        call.has_less_time = timeout is not None
        if has_labels or core.observers:
            self._start(call, None, request_id, subject, key)
        return call

    def begin_plain(self, plan: Plan, key: object = None) -> Call:
        """Return the state of a new call of the fast path that has no options."""
        core = self.core
        if not core.observers:
            return Call(plan, core.nanoseconds(), plan.span)
        if key is None and core.late_id is not None:
            identity = self.begin_observed(plan)
            call = Call(plan, identity.started, plan.span)
            call.identity, call.listeners = identity, identity.listeners
            return call
        call = Call(plan, core.nanoseconds(), plan.span)
        call.listeners = core.listeners()
        self._name(call, None, None, key)
        return call

    def begin_observed(self, plan: Plan) -> CallIdentity:
        """Return the identity of a new call of the fast path that has no options and no key."""
        # The same as `_name`, without its stack frame.
        core = self.core
        start_time = core.nanoseconds()
        identity = CallIdentity(start_time, core.wall(), core.late_id)
        listeners = identity.listeners = core.listeners()
        if listeners.starts:
            event = new_late(CallStarted)
            set_facts(event, (identity, plan, start_time))
            core.notify_observers(listeners.starts, event)
        return identity

    def begin_operation(self, plan: Plan, operation: OperationTraits, options: CallOptions) -> Call:
        """Return the state of a new operation's call on the fast path."""
        core, span = self.core, plan.span
        timeout, request_id, subject = options
        has_options = timeout is not None or request_id is not None or subject is not None
        if has_options:
            try:
                check_labels(request_id, subject)
                if timeout is not None:
                    span = int(seconds(timeout, "timeout") * 1e9)
            except ConnectorError as error:
                self.plans.name(error, plan.service.name, plan.operation, request_id)
                raise
        call = Call(plan, core.nanoseconds(), span)
        name, system, service = operation.name, operation.system, plan.service.name
        target = getattr(operation, "target", None) if core.observers else None
        call.contract = (
            _contract_without_target(name, system, service)
            if target is None
            else ContractCall(name, system, service, None, target)
        )
        call.repeatable = operation.repeatable
        if has_options:
            call.has_less_time = timeout is not None
            self._start(call, None, request_id, subject)
        elif core.observers:
            listeners = call.listeners = core.listeners()
            if listeners is not NO_LISTENERS or core.late_id is None:
                self._name(call, None, None, None)
        return call

    def begin_exchange(
        self, plan: Plan, operation: HttpOperation[Any], options: CallOptions
    ) -> Call:
        """Return the state of an HTTP operation's call on the fast path."""
        call = self.begin_operation(plan, operation, options)
        call.request, call.http_operation = operation.request, operation
        return call

    def begin_request(
        self, plan: Plan, request: Request, key: str, options: CallOptions
    ) -> tuple[Call, KeyedUse]:
        """Return a request's call state, and the object that guards it with an idempotency key."""
        call = self.begin(plan, options, key)
        call.request = request
        call.repeatable = is_repeatable(plan, request)
        try:
            compare = request_fingerprint if self.core.compares_bytes else fingerprint
            protection = self._keys.protect(
                call,
                key,
                compare(request),
                AS_USUAL,
                response=True,
                repeatable=call.repeatable,
            )
        except ConnectorError as error:
            self.end(call, error)
            raise
        return call, protection

    def begin_function(
        self, plan: Plan, payload: object, key: str, options: CallOptions
    ) -> tuple[Call, KeyedUse]:
        """Return a function's call state, and the object that guards it with an idempotency key."""
        call = self.begin(plan, options, key)
        try:
            compare = compared_payload if self.core.compares_bytes else payload_fingerprint
            return call, self._keys.protect(call, key, compare(payload), AS_USUAL)
        except ConnectorError as error:
            self.end(call, error)
            raise

    async def continue_call(self, call: Call, grants: list[Admitted], step: AttemptStep) -> Ending:
        """Continue a call whose first attempt was refused or must wait for a limit."""
        core = self.core
        if call.has_less_time and grants and (grants[0][0] or grants[0][1]):
            # The admission was requested without waiting, so there is no turn to give back.
            return await self.finish(call, step)
        try:
            try:
                result = await make_attempt(core, call, call.plan.admission, step, grants)
                value, error = result.value, result.error
                if error is not None:
                    value, error = await retry_call(core, call, step, result)
            except ConnectorError as raised:
                value, error = None, raised
            return self._end_of_call(call, value, error)
        except BaseException as error:
            self.notify_interruption(call, error)
            raise

    async def continue_request(
        self, call: Call, grants: list[Admitted], request: Request, first: FirstAttempt | None
    ) -> Ending:
        """Continue a request's call after `first`, the finished part of its first attempt."""
        call.repeatable = is_repeatable(call.plan, request)
        return await self.continue_call(call, grants, Exchange(self.core, call, request, first))

    async def follow(
        self,
        call: Call,
        permit: Permit | None,
        error: Exception,
        step: AttemptStep,
        since: int | None = None,
    ) -> Ending:
        """Continue a call whose first attempt was made by the fast path and failed.

        `since` is a number that was drawn from `signatures` before the attempt, for
        `Call.weigh_effects`.
        """
        try:
            try:
                value, final_error = await retry_failed_attempt(
                    self.core, call, permit, error, step, since
                )
            except ConnectorError as raised:
                value, final_error = None, raised
            return self._end_of_call(call, value, final_error)
        except BaseException as stop:
            self.notify_interruption(call, stop)
            raise

    async def finish(self, call: Call, step: AttemptStep) -> Ending:
        """Make all attempts of a call that the fast path has started but cannot finish."""
        return await self._finish(call, None, step)

    async def finish_under_key(self, call: Call, protection: KeyedUse, step: AttemptStep) -> Ending:
        """Claim a call's idempotency key, then make all attempts."""
        return await self._finish(call, protection, step)

    async def continue_claimed(
        self,
        call: Call,
        protection: KeyedUse,
        fence: int,
        grants: list[Admitted],
        step: AttemptStep,
    ) -> Ending:
        """Continue a call after one command claimed its key and admitted its first attempt."""
        core, claim = self.core, held_claim(call, protection, fence)

        async def attempts() -> Ending:
            result = await make_attempt(core, call, call.plan.admission, step, grants)
            if result.error is None:
                return result.value, None
            return await retry_call(core, call, step, result)

        try:
            try:
                value, error = await run_with_claim(core, call, protection, claim, attempts)
            except Exception as failure:  # noqa: BLE001 - returned as a value, and raised by the caller
                core.post(giving_up_command(call, claim))
                value, error = None, failure
            return self._end_of_call(call, value, error)
        except BaseException as stop:
            self.notify_interruption(call, stop)
            raise

    def replay(self, call: Call, protection: KeyedUse, stored: Any) -> Ending:
        """Return the response that an earlier call with the same idempotency key stored."""
        return self._end_of_call(call, *replay_answer(self.core, call, protection, stored))

    def release_key(self, call: Call, protection: KeyedUse, owner: int, fence: int) -> None:
        """Release the idempotency key of a fast-path call that was interrupted.

        `fence` is the fencing number of its claim; 0 if the store's reply was lost.
        """
        if not fence:
            # The store may have claimed the key although its reply was lost.
            self.core.post(WithdrawUnsent(protection.at, owner, ttl=protection.rules.ttl))
        else:
            self.core.post(giving_up_command(call, held_claim(call, protection, fence)))

    async def finish_sending(self, call: Call, request: Request) -> Ending:
        """Make all attempts to send a request that the fast path has started but cannot finish."""
        call.repeatable = is_repeatable(call.plan, request)
        return await self._finish(call, None, Exchange(self.core, call, request))

    def notify_attempt(self, call: Call) -> None:
        """Notify the observers that the fast path begins the first attempt of a call."""
        begin_attempt(self.core, call, call.listeners.attempt_starts)

    def sending(self, call: Call, outgoing: Request) -> Request:
        """Notify the observers of an attempt, and add their tracing headers to the request."""
        begin_attempt(self.core, call, call.listeners.attempt_starts)
        add_trace_headers = self.core.traced
        if add_trace_headers is None or call.beginning is None:
            return outgoing
        return add_trace_headers(outgoing, call.beginning)

    def observed_success(self, identity: CallIdentity, plan: Plan, attempt_start: int) -> None:
        """Notify the observers that the first attempt of a call without a state succeeded."""
        core, listeners = self.core, identity.listeners
        if listeners is NO_LISTENERS:
            return
        attempt_facts = (attempt_start, None, None) if listeners.attempt_ends else None
        call_facts = (identity, plan, core.nanoseconds(), None, None, None, None, attempt_facts)
        core.notify_success(listeners, call_facts)

    def succeeded(
        self, call: Call, request: Request | None = None, response: Response | None = None
    ) -> None:
        """Notify the observers that the first attempt succeeded on the fast path."""
        core, listeners = self.core, call.listeners
        call.ended = True
        if listeners is NO_LISTENERS:
            return
        method = traceparent = None
        attempt_facts: tuple[int, int | None, int | None] | None = None
        if request is not None:
            method, traceparent = request.method, request.headers.get("traceparent")
        if listeners.attempt_ends:
            start_time = call.attempt_started or call.started
            if request is None or response is None:
                attempt_facts = start_time, None, None
            else:
                attempt_facts = start_time, sizes_of(request)[1], len(response.body)
        success_facts: SuccessFacts = (
            call.identity or call.identify(core),
            call.plan,
            core.nanoseconds(),
            call.status,
            call.subject,
            method,
            traceparent,
            attempt_facts,
        )
        core.notify_success(listeners, success_facts)

    def return_grants(self, plan: Plan, grants: list[Admitted]) -> None:
        """Give back the rate-limit grants of a fast-path call that ended before sending."""
        for grant in grants:
            withdraw(self.core, plan.gates, grant)

    def return_permit(self, plan: Plan, permit: Permit | None) -> None:
        """Give back the circuit breaker's permit of a fast-path call that was interrupted."""
        if permit is not None:
            core = self.core
            core.post(Report(plan.gates, permit, Outcome.NEUTRAL, core.reporter()))

    def end(self, call: Call, error: Exception) -> None:
        """Complete the error of a fast-path call, and notify the observers that the call ended."""
        self._end_of_call(call, None, error)

    def refused(self, plan: Plan, start_time: int, admitted: Admitted) -> ConnectorError:
        """Return the error of a fast-path call that a limit or the circuit refused."""
        core = self.core
        error = admission_error(core, plan, admitted[0], admitted[1])
        if core.late_id is None:
            Call(plan, start_time, plan.span).sign(core, error)
        else:
            # The same as `Call.sign`, for an error that already names its service.
            vars(error).update(
                _signature=next(signatures), _acted=False, _request_id=(core.id_of, start_time)
            )
        return error
