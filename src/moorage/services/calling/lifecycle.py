"""The start and the end of every call: its plan, key, bulkhead slot, fallback and events."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Request
from moorage.domain.observation.call_events import CallStarted
from moorage.domain.observation.call_identity import CallIdentity, ContractCall
from moorage.domain.observation.late_fields import new_late, set_facts
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.service.settings import by_name
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import seconds
from moorage.domain.values.text import with_article
from moorage.errors import (
    ConfigurationError,
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
)
from moorage.services.calling.attempts import attempt
from moorage.services.calling.call import Call
from moorage.services.calling.idempotency import run_once_for_key
from moorage.services.calling.manual_operations import ManualOperations
from moorage.services.calling.slots import in_slot

if TYPE_CHECKING:
    from moorage.domain.service.settings import Fallback
    from moorage.ports.operation import OperationTraits
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.calling.idempotency import KeyedUse
    from moorage.services.core.core import Flow
    from moorage.services.environment_guard import EnvironmentGuard

_NO_REQUEST: Final[Any] = object()

_ERRORS_WITHOUT_FALLBACK: Final = (
    ConfigurationError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
)
"""Errors that no fallback replaces: wrong use, and effects that may have happened."""


class CallLifecycle(ManualOperations):
    """Begins calls, runs their attempts, and notifies the observers when they end."""

    _contract: ContractCall | None = None

    async def _check_environment(  # noqa: PLR0917 - the guard and the options of a call
        self,
        guard: EnvironmentGuard,
        service: str,
        tenant: str | None,
        endpoint: str | None,
        timeout: float | None,
        request: Any = None,
    ) -> int | None:
        """Check before the first call that the shared store belongs to this environment.

        The store may use half of the call's time for this check. The other half is for the call
        itself, which continues even if the store does not respond.
        """
        if guard.passed:
            return None
        start_time = self.core.nanoseconds()
        with self.plans.named(service, endpoint):
            time_limit = by_name(self.plans.services, service).timeout
            if timeout is not None:
                time_limit = seconds(timeout, "timeout")
            elif request is None or isinstance(request, Request):
                # A copied database is refused before mistakes in the call itself are reported.
                with suppress(InvalidData):
                    time_limit = self.plans.find(service, tenant, endpoint, request).seconds
            await guard.check(time_limit / 2)
        return start_time

    def _begin(
        self,
        service: str,
        tenant: str | None,
        endpoint: str | None,
        *,
        timeout: float | None,
        request_id: str | None,
        subject: str | None,
        request: Any = _NO_REQUEST,
        start_time: int | None = None,
        idempotency_key: str | None = None,
        operation: OperationTraits | None = None,
    ) -> Call:
        """Return the state of a new call, with its plan, and start its deadline."""
        core = self.core
        matched_request = None if request is _NO_REQUEST else request
        try:
            if request is not _NO_REQUEST and not isinstance(request, Request):
                raise InvalidData(
                    f"The request must be a Request, not {with_article(type(request).__name__)}.",
                    field="request",
                    remedy="Pass a moorage.Request, such as Request.get('/path').",
                )
            if endpoint is None and operation is not None:
                endpoint = self.plans.endpoint_named(service, operation.name)
            plan = self.plans.find(service, tenant, endpoint, matched_request)
            if plan.parts:
                plan = plan.part_at(core.fraction())
            if request_id is not None or subject is not None:
                check_labels(request_id, subject)
            span = plan.span if timeout is None else int(seconds(timeout, "timeout") * 1e9)
        except ConnectorError as error:
            self.plans.name(error, service, endpoint, request_id)
            raise
        call = Call(plan, core.nanoseconds() if start_time is None else start_time, span)
        call.has_less_time = timeout is not None or start_time is not None
        call.contract = self._contract
        if operation is not None and call.contract is None:
            target = getattr(operation, "target", None) if core.observers else None
            call.contract = ContractCall(operation.name, operation.system, service, target=target)
        call.request = matched_request
        if core.observers or request_id is not None or subject is not None:
            self._start(call, start_time, request_id, subject, idempotency_key)
        return call

    def _start(
        self,
        call: Call,
        start_time: int | None,
        request_id: str | None,
        subject: str | None,
        key: object = None,
    ) -> None:
        """Set the id of a call, and notify the observers of its start."""
        if subject is not None:
            call.subject = subject
        if self.core.observers:
            call.listeners = self.core.listeners()
        if self.core.observers or request_id is not None:
            self._name(call, start_time, request_id, key)

    def _name(
        self, call: Call, start_time: int | None, request_id: str | None, key: object
    ) -> None:
        """Set the id of a call, and notify those observers that need its start."""
        core = self.core
        wall_time = core.wall() if start_time is None else core.wall_at(start_time)
        if request_id is None and core.late_id is not None:
            identity = CallIdentity(call.started, wall_time, core.late_id)
        else:
            identity = core.identity(call.started, wall_time, request_id)
        call.identity = identity
        if key is not None or call.contract is not None:
            call.describe(identity, key)
        start_listeners = call.listeners.starts
        if start_listeners:
            event = new_late(CallStarted)
            set_facts(event, (identity, call.plan, call.started))
            core.notify_observers(start_listeners, event)

    async def _finish(self, call: Call, once: KeyedUse | None, step: AttemptStep) -> Ending:
        """Run the attempts of a call under its idempotency key, and notify observers of its end."""
        core, plan = self.core, call.plan
        try:
            try:
                if once is None:
                    value, error = await self._attempts(call, step)
                else:
                    value, error = await run_once_for_key(
                        core, call, once, lambda: self._attempts(call, step)
                    )
            except Exception as failure:
                if is_interruption(failure):
                    raise
                value, error = None, failure
            fallback = None if call.keeps_permit or error is None else plan.fallback
            if fallback is None or not isinstance(error, ConnectorError):
                return self._end_of_call(call, value, error)
            if isinstance(error, _ERRORS_WITHOUT_FALLBACK):
                return self._end_of_call(call, None, error)
            return await self._run_fallback(call, fallback, error)
        except BaseException as error:
            self.notify_interruption(call, error)
            raise

    async def _run_fallback(self, call: Call, fallback: Fallback, error: ConnectorError) -> Ending:
        """Run the service's fallback in place of a failed call, and return its value.

        If the fallback fails too, the first error becomes the context of its error.
        """
        core = self.core
        call.sign(core, error)
        try:
            value = await core.settle(fallback(error))
        except Exception as broken:  # noqa: BLE001 - returned as a value, and raised by the caller
            broken.__context__ = broken.__context__ or error
            return self._end_of_call(call, None, broken)
        if core.observers:
            call.ended = True
            core.notify(call.finished_event(core, error, fallback=True))
        return value, None

    def _end_of_call(self, call: Call, value: Any, error: Exception | None) -> Ending:
        """Complete the call's error, if any, and report the end of the call to the observers."""
        core = self.core
        if isinstance(error, ConnectorError):
            call.sign(core, error)
        if not core.observers or (error is None and (call.keeps_permit or not core.observes_ends)):
            return value, error
        call.ended = True
        core.notify(call.finished_event(core, error))
        return value, error

    def notify_interruption(self, call: Call | None, error: BaseException) -> None:
        """Notify the observers that a call was interrupted, unless its end was reported already."""
        if call is None or call.ended or not self.core.observers:
            return
        call.ended = True
        if not call.attempts and call.attempt_started is not None:
            call.leave()
        failure = error if isinstance(error, Exception) and not is_interruption(error) else None
        self.core.notify(call.finished_event(self.core, failure, cancelled=failure is None))

    def _attempts(self, call: Call, step: AttemptStep) -> Flow[Ending]:
        """Run the attempts, unless the service has a cache policy and the cache has a response."""
        if call.cache is None:
            return self._run_in_bulkhead(call, step)
        return call.cache.run_attempts(call, lambda: self._run_in_bulkhead(call, step))

    def _run_in_bulkhead(self, call: Call, step: AttemptStep) -> Flow[Ending]:
        """Run the attempts; if the service has a bulkhead, wait for one of its slots first."""
        bulkhead = call.plan.bulkhead
        if bulkhead is None:
            return attempt(self.core, call, step)
        return in_slot(self.core, call, step, bulkhead)


def check_labels(request_id: str | None, subject: str | None) -> None:
    """Check the correlation id and the subject that a caller passed to a call.

    Raises:
        InvalidData: one of them is not a short printable string.
    """
    if request_id is not None:
        checked_name(request_id, "request_id")
    if subject is not None:
        checked_name(subject, "subject")
