"""The steps of a call, in order.

1. Find the service, tenant and endpoint, and their compiled plan; start the deadline.
2. Claim the idempotency key: replay a finished answer, refuse a conflict, wait for one in progress.
3. Look in the cache: return a fresh answer, revalidate a stale one.
4. Take a slot of the bulkhead.
5. Make attempts: admit, authorise, transform, send, judge, record; then retry or stop.
6. Store the answer, settle the key, use the fallback if there is one, notify the observers.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.http.fingerprint import fingerprint, request_fingerprint
from moorage.domain.http.requests import Request, Response
from moorage.domain.idempotency.claims import AS_USUAL, KeyUse, checked_key
from moorage.domain.idempotency.payload import compared_payload, payload_fingerprint
from moorage.domain.observation.events import (
    AttemptFinished,
    BulkheadWaited,
    CallFinished,
    CallOutcome,
    CallRefused,
    CallStarted,
)
from moorage.domain.observation.late_fields import late
from moorage.domain.resilience.admission import Report
from moorage.domain.resilience.circuit import Outcome
from moorage.domain.secrets.frames import bare
from moorage.domain.service.plan import is_repeatable
from moorage.domain.service.settings import by_name
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import count, seconds
from moorage.domain.values.result import Result
from moorage.domain.values.text import with_article
from moorage.errors import (
    BulkheadFull,
    ConfigurationError,
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
)
from moorage.services.calling.admission import why_not, withdraw
from moorage.services.calling.attempts import (
    again,
    attempt,
    begin_attempt,
    follow,
    once,
    sizes_of,
)
from moorage.services.calling.call import Call, Parse, signatures, value_of
from moorage.services.calling.exchange import Exchange
from moorage.services.calling.hedging import Hedged
from moorage.services.calling.idempotency import KeyRules, Once, act_once
from moorage.services.calling.manual_operations import ManualOperations
from moorage.services.calling.rehearsal import rehearsed, shown_path
from moorage.services.calling.streaming import Streaming

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import Self

    from moorage.domain.auth.sent_values import Witness
    from moorage.domain.observation.events import AttemptFacts, CallFacts, ContractCall, Event
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.service.plan import Plan
    from moorage.domain.service.settings import BulkheadConfig, Fallback, Service
    from moorage.domain.values.fingerprints import Fingerprint
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.calling.exchange import Arrived
    from moorage.services.calling.streaming import Stream
    from moorage.services.core.core import Core, Flow

Single: TypeAlias = "Callable[[str, Request, str | None, str | None], Awaitable[Response]]"
"""Sends one request to a service, for a tenant and to an endpoint."""

_NOTHING: Final[Any] = object()
CallOptions: TypeAlias = "tuple[float | None, str | None, str | None]"
"""The timeout, the correlation id and the subject of one call, where its caller gave them."""

_LARGE: Final = 262_144
_SHORT_WAIT: Final = 0.001
"""Seconds; a shorter wait for a slot of a bulkhead is not reported."""
"""Bytes of a body from which on its fingerprint is computed aside."""

_NOT_MASKED: Final = (
    ConfigurationError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
)
"""Errors that no fallback replaces: misuse, or effects that may have happened."""


class Calling(ManualOperations):
    """The operations of a manager."""

    _rehearses = False
    _parse: Parse | None = None
    _witness: Witness | None = None
    _use = AS_USUAL
    _contract: ContractCall | None = None
    single: Single | None = None
    """As `call` without a key and without options, by the fast path where that may send."""

    def __init__(self, core: Core, services: Iterable[Service]) -> None:
        super().__init__(core, services)
        self._key_rules: dict[tuple[str, bool | None, bool, bool], KeyRules] = {}

    async def call(
        self,
        service: str,
        request: Request,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> Response:
        """Send a request to a service through its protections, and return the answer.

        Args:
            service: name of a configured service.
            request: request to send; its path is appended to the service's `base_url`.
            tenant: tenant whose credentials, limits, circuit and keys to use.
            endpoint: endpoint whose settings apply; by default the first that matches.
            idempotency_key: identifies one effect: a repeat returns the same answer and has no
                second effect. A repeated answer has `replayed` set.
            timeout: seconds for the whole call, in place of the service's.
            request_id: correlation id, in place of a new one.
            subject: id of the person whose data it is about, for searches in the log.

        Raises:
            ConnectorError: the call failed; the class tells the reason.
        """
        began = await self._let_out(service, tenant, endpoint, timeout, request)
        call = self._begin(
            service,
            tenant,
            endpoint,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
            request=request,
            began=began,
            idempotency_key=idempotency_key,
        )
        call.parse = self._parse
        call.witness = self._witness
        try:
            self._check(call, request, idempotency_key)
            code = None if idempotency_key is None else await self._compared(call, request)
            once, step = self._exchange(call, request, idempotency_key, code, self._use)
        except ConnectorError as error:
            refused = error
        else:
            return value_of(await self._finish(call, once, step))  # type: ignore[no-any-return]  # a Response
        return value_of(self._ended(call, None, bare(refused)))  # type: ignore[no-any-return]  # it is raised

    async def call_many(
        self,
        service: str,
        requests: Sequence[Request],
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_keys: Sequence[str] | None = None,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[Response]]:
        """Send many requests, at most `at_once` at a time, within the service's limits.

        Return a result for each request, in their order; a failed request does not affect the
        others.
        """
        by_name(self.plans.services, service)
        requests = _listed(requests, "requests")
        keys = (
            [_NOTHING] * len(requests)
            if idempotency_keys is None
            else _listed(idempotency_keys, "idempotency_keys")
        )
        if len(keys) != len(requests):
            raise InvalidData(
                f"There are {len(requests)} requests but {len(keys)} idempotency keys.",
                field="idempotency_keys",
                service=service,
                remedy="Give one key for each request, or none at all.",
            )

        single = self.single if idempotency_keys is None and timeout is None else None

        def step(request: Request, key: Any) -> Callable[[], Any]:
            async def one() -> Result[Response]:
                try:
                    answer = await (
                        self.call(
                            service,
                            request,
                            tenant=tenant,
                            endpoint=endpoint,
                            idempotency_key=None if key is _NOTHING else checked_key(key),
                            timeout=timeout,
                        )
                        if single is None
                        else single(service, request, tenant, endpoint)
                    )
                except Exception as error:  # noqa: BLE001 - each item has its own result
                    return Result(error=error)
                return Result(answer)

            return one

        steps = [step(request, key) for request, key in zip(requests, keys, strict=True)]
        return await self.core.every(steps, at_once=count(at_once, "at_once"))

    async def stream(
        self,
        service: str,
        request: Request,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> Stream:
        """Send a request, and return as soon as the headers of the answer arrive.

        The body is read afterwards in pieces, within the same deadline. Retries end at the
        headers: a body that breaks off is not requested again. Response transforms and fallbacks
        do not apply.
        """
        began = await self._let_out(service, tenant, endpoint, timeout, request)
        call = self._begin(
            service,
            tenant,
            endpoint,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
            request=request,
            began=began,
        )
        call.witness = self._witness
        try:
            self._check(call, request, None)
            call.repeatable = is_repeatable(call.plan, request)
            streaming = Streaming(self.core, call, request)
            if call.plan.cache_wait and not request.method.safe:
                from moorage.services.calling.caching import Changing  # noqa: PLC0415 - few cache

                call.cache = Changing(self.core, call, streaming)
        except ConnectorError as error:
            refused = error
        else:
            return await self._streamed(call, streaming)
        return value_of(self._ended(call, None, bare(refused)))  # type: ignore[no-any-return]  # it is raised

    async def _streamed(self, call: Call, streaming: Streaming) -> Stream:
        """Return the stream once its observers are set; if that fails, release its slots."""
        try:
            stream: Stream = value_of(await self._finish(call, None, streaming))
            stream.handed_over = True
        except BaseException:
            streaming.let_go()
            raise
        return stream

    async def run(
        self,
        service: str,
        step: AttemptStep,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        payload: object = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
        use: KeyUse = AS_USUAL,
        on_finished: Callable[[Call], object] = lambda _: None,
    ) -> Ending:
        """Protect a function and return its ending; `on_finished` receives the finished call."""
        began = await self._let_out(service, tenant, endpoint, timeout)
        call = self._begin(
            service,
            tenant,
            endpoint,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
            began=began,
            idempotency_key=idempotency_key,
        )
        if call.plan.regions:
            return self._ended(call, None, _nowhere())
        # A step that cannot be cancelled may run until the deadline.
        call.open_ended = call.deadline - call.started > call.plan.span
        single = None
        if idempotency_key is not None:
            try:
                self._check(call, None, idempotency_key)
                compare = compared_payload if self.core.compares_bytes else payload_fingerprint
                code = compare(payload)
                single = self._once(call, idempotency_key, code, use)
            except ConnectorError as error:
                return self._ended(call, None, error)
        ending = await self._finish(call, single, step)
        on_finished(call)
        return ending

    async def _let_out(
        self,
        service: str,
        tenant: str | None,
        endpoint: str | None,
        timeout: float | None,
        request: Any = None,
    ) -> int | None:
        """Check, before the first call of a process, that the store belongs to this environment.

        Return the time at which the call began, or None if there was nothing to check.

        The store may use half of the call's time for this. The other half is for the call itself,
        which continues if the store does not answer.
        """
        guard = self.plans.environment_guard
        if guard is None or guard.passed:
            return None
        began = self.core.nanoseconds()
        with self.plans.named(service, endpoint):
            whole = by_name(self.plans.services, service).timeout
            if timeout is not None:
                whole = seconds(timeout, "timeout")
            elif request is None or isinstance(request, Request):
                # A copied database is refused before any mistake in the call itself.
                with suppress(InvalidData):
                    whole = self.plans.find(service, tenant, endpoint, request).seconds
            await guard.check(whole / 2)
        return began

    def rehearsing(self) -> Calling:
        """A copy of this object that sends nothing that has an effect."""
        flows = copy(self)
        flows.single = None
        flows._rehearses = True  # noqa: SLF001 - of our own kind
        return flows

    def reading(
        self,
        parse: Parse | None,
        witness: Witness | None,
        use: KeyUse = AS_USUAL,
        contract: ContractCall | None = None,
    ) -> Self:
        """A copy of this object for a caller that also reads the answers.

        `parse` reads a successful answer. An answer that it cannot read is a failed attempt with
        an unknown outcome, and is not stored under the key. `witness` records the credentials that
        are sent, and `use` says how a key is used. `contract` is the operation of a contract that
        the calls belong to.
        """
        flows = copy(self)
        flows.single = None
        flows._parse = parse  # noqa: SLF001 - of our own kind
        flows._witness = witness  # noqa: SLF001 - of our own kind
        flows._use = use  # noqa: SLF001 - of our own kind
        flows._contract = contract  # noqa: SLF001 - of our own kind
        return flows

    @property
    def rehearses(self) -> bool:
        """True if nothing that has an effect is sent."""
        return self._rehearses

    def _check(self, call: Call, request: Request | None, key: str | None) -> None:
        """Stop a rehearsal before a request that has a key or an unsafe method."""
        if not self._rehearses or (key is None and (request is None or request.method.safe)):
            return
        fields = call.event_fields(self.core)
        what = "a function" if request is None else f"{request.method} {shown_path(request)}"
        names = ("service", "operation", "tenant", "request_id")
        raise rehearsed(self.core, what, **{name: fields[name] for name in names})

    def begin(self, plan: Plan, options: CallOptions) -> Call:
        """Start a call that the fast path tracks."""
        timeout, request_id, subject = options
        core = self.core
        if timeout is None and request_id is None and subject is None:
            call = Call(plan, core.nanoseconds(), plan.span)
            if not core.observers:
                return call
        else:
            try:
                span = _checked_span(plan, timeout, request_id, subject)
            except ConnectorError as error:
                self.plans.name(error, plan.service.name, plan.operation, request_id)
                raise
            call = Call(plan, core.nanoseconds(), span)
            call.hurried = timeout is not None
        self._start(call, None, request_id, subject)
        return call

    async def go_on(self, call: Call, grants: list[Admitted], step: AttemptStep) -> Ending:
        """Continue a call for which the fast path requested an admission that it could not use."""
        core = self.core
        if call.hurried and grants and (grants[0][0] or grants[0][1]):
            # It was asked for a grant at once, so there is nothing to give back.
            return await self.finish(call, step)
        try:
            try:
                result = await once(core, call, call.plan.admission, step, grants)
                value, error = result.value, result.error
                if error is not None:
                    value, error = await again(core, call, step, result)
            except ConnectorError as raised:
                value, error = None, raised
            return self._ended(call, value, error)
        except BaseException as error:
            self.broken_off(call, error)
            raise

    async def go_on_sending(
        self, call: Call, grants: list[Admitted], request: Request, arrived: Arrived | None = None
    ) -> Ending:
        """Continue the call of a request; `arrived` is the result of its first attempt, if any."""
        call.repeatable = is_repeatable(call.plan, request)
        return await self.go_on(call, grants, Exchange(self.core, call, request, arrived))

    async def follow(
        self, call: Call, permit: Permit | None, error: Exception, step: AttemptStep
    ) -> Ending:
        """Continue a call whose first attempt, made by the fast path, failed."""
        try:
            try:
                value, failed = await follow(self.core, call, permit, error, step)
            except ConnectorError as raised:
                value, failed = None, raised
            return self._ended(call, value, failed)
        except BaseException as stop:
            self.broken_off(call, stop)
            raise

    async def finish(self, call: Call, step: AttemptStep) -> Ending:
        """Make all attempts of a call that the fast path has begun but cannot finish."""
        return await self._finish(call, None, step)

    async def finish_sending(self, call: Call, request: Request) -> Ending:
        """Like `finish`, for a request."""
        call.repeatable = is_repeatable(call.plan, request)
        return await self._finish(call, None, Exchange(self.core, call, request))

    def attempting(self, call: Call) -> None:
        """Notify the observers that the first attempt of a fast-path call begins."""
        begin_attempt(self.core, call)

    def sending(self, call: Call, outgoing: Request) -> Request:
        """As `attempting`, for a request; return `outgoing` with the headers of observers."""
        begin_attempt(self.core, call)
        return self.core.traced(outgoing, call.beginning)

    def succeeded(
        self, call: Call, request: Request | None = None, response: Response | None = None
    ) -> None:
        """Notify the observers that the first attempt of a fast-path call succeeded."""
        core, plan, status = self.core, call.plan, call.status
        identity = call.identity or call.identify(core)
        now = core.nanoseconds()
        call.ended = True
        attempt: Event | None = None
        method = None if request is None else request.method
        if core.hears_attempts:
            bytes_out = bytes_in = None
            if request is not None and response is not None:
                _, bytes_out = sizes_of(request)
                bytes_in = len(response.body)
            took = now - (call.attempt_started or call.started)
            # Written out, since a tuple of parts would first be a list.
            of_attempt: AttemptFacts = (
                identity,
                plan,
                now,
                1,
                took,
                None,
                status,
                False,
                0,
                method,
                bytes_out,
                bytes_in,
                CallOutcome.DONE,
            )
            attempt = late(AttemptFinished, of_attempt)
        if not core.hears_ends:
            if attempt is not None:
                core.tell(attempt)
            return
        of_call: CallFacts = (
            identity,
            plan,
            now,
            1,
            None,
            status,
            None,
            None,
            False,
            False,
            False,
            False,
            False,
            call.subject,
            CallOutcome.DONE,
            None,
            method,
            None if request is None else request.headers.get("traceparent"),
        )
        end = late(CallFinished, of_call)
        if attempt is None:
            core.tell(end)
        else:
            core.tell(attempt, end)

    def hand_back(self, plan: Plan, grants: list[Admitted]) -> None:
        """Give back the grants of a fast-path call that was interrupted too early to continue."""
        for admitted in grants:
            withdraw(self.core, plan.gates, admitted)

    def give_back(self, plan: Plan, permit: Permit | None) -> None:
        """Give back the permit of a fast-path call that was interrupted."""
        if permit is not None:
            core = self.core
            core.post(Report(plan.gates, permit, Outcome.NEUTRAL, core.reporter()))

    def broken_off(self, call: Call | None, error: BaseException) -> None:
        """Notify the observers that a call was interrupted or broke, unless it had ended."""
        if call is None or call.ended or not self.core.observers:
            return
        call.ended = True
        if not call.attempts and call.attempt_started is not None:
            call.leave()
        failure = error if isinstance(error, Exception) else None
        self.core.tell(call.finished(self.core, failure, cancelled=failure is None))

    def end(self, call: Call, error: Exception) -> None:
        """Mark the error that ended a fast-path call, and notify the observers."""
        self._ended(call, None, error)

    def refused(self, plan: Plan, began: int, admitted: Admitted) -> ConnectorError:
        """The error of a fast-path call that was not admitted."""
        core = self.core
        error = why_not(core, plan, admitted[0], admitted[1])
        if core.late_id is None:
            Call(plan, began, plan.span).sign(core, error)
        else:
            # As `Call.sign` does, for an error that names its service already.
            vars(error).update(
                _signature=next(signatures), _acted=False, _request_id=(core.id_of, began)
            )
        return error

    def _begin(
        self,
        service: str,
        tenant: str | None,
        endpoint: str | None,
        *,
        timeout: float | None,
        request_id: str | None,
        subject: str | None,
        request: Any = _NOTHING,
        began: int | None = None,
        idempotency_key: str | None = None,
    ) -> Call:
        """Find the plan of a call, and start its deadline at the time it began."""
        core = self.core
        matched_request = None if request is _NOTHING else request
        try:
            if request is not _NOTHING and not isinstance(request, Request):
                raise InvalidData(
                    f"The request must be a Request, not {with_article(type(request).__name__)}.",
                    field="request",
                    remedy="Give a moorage.Request, such as Request.get('/path').",
                )
            plan = self.plans.find(service, tenant, endpoint, matched_request)
            span = _checked_span(plan, timeout, request_id, subject)
        except ConnectorError as error:
            self.plans.name(error, service, endpoint, request_id)
            raise
        call = Call(plan, core.nanoseconds() if began is None else began, span)
        call.hurried = timeout is not None or began is not None
        call.contract = self._contract
        call.request = matched_request
        self._start(call, began, request_id, subject, idempotency_key)
        return call

    def _start(
        self,
        call: Call,
        began: int | None,
        request_id: str | None,
        subject: str | None,
        key: object = None,
    ) -> None:
        """Identify a call, and notify the observers of its start."""
        core = self.core
        if subject is not None:
            call.subject = subject
        if core.observers or request_id is not None:
            started_at = core.utc() if began is None else core.moment(began)
            identity = call.identity = core.identity(call.started, started_at, request_id)
            if key is not None or call.contract is not None:
                call.describe(identity, key)
            if core.hears_starts:
                core.tell(late(CallStarted, (identity, call.plan, call.started)))

    async def _compared(self, call: Call, request: Request) -> bytes | Fingerprint:
        """The fingerprint of a request, by which a repeat of its key is recognised."""
        compare = request_fingerprint if self.core.compares_bytes else fingerprint
        if not isinstance(request.body, bytes) or len(request.body) <= _LARGE:
            return compare(request)
        try:
            return await self.core.aside(lambda: compare(request))  # type: ignore[no-any-return]  # as computed
        except BaseException as error:
            self.broken_off(call, error)
            raise

    def _exchange(
        self,
        call: Call,
        request: Request,
        key: str | None,
        code: bytes | Fingerprint | None,
        use: KeyUse,
    ) -> tuple[Once | None, AttemptStep]:
        """The protection of a request's key, if it has one, and the step that sends the request."""
        plan = call.plan
        call.repeatable = is_repeatable(plan, request)
        once = None
        if key is not None and code is not None:
            once = self._once(call, key, code, use, response=True)
        step: AttemptStep
        if plan.cache_wait:
            from moorage.services.calling.caching import around  # noqa: PLC0415 - few services cache

            step = around(self.core, call, request)
        else:
            step = Exchange(self.core, call, request)
        if plan.hedge is not None and once is None and _is_read(plan, request):
            step = Hedged(self.core, plan.hedge, step)
        return once, step

    def _once(
        self,
        call: Call,
        key: str,
        code: bytes | Fingerprint,
        use: KeyUse,
        *,
        response: bool = False,
    ) -> Once:
        """The protection of a key, for a call that is not repeatable without it."""
        plan = call.plan
        call.key = checked_key(key)
        rules = self._rules(plan.service, use, response=response, repeatable=call.repeatable)
        call.repeatable = rules.remembered > 0
        return Once(key, plan.claim_key(key, use.round), code, rules, use.reach)

    def _rules(
        self, service: Service, use: KeyUse, *, response: bool, repeatable: bool
    ) -> KeyRules:
        """The rules for keys of calls of one kind, made when the first of them is used."""
        kind = (service.name, use.repeats, response, repeatable)
        rules = self._key_rules.get(kind)
        if rules is None:
            honoured = service.idempotency_header is not None
            memory = service.idempotency_memory
            remembered = memory if honoured and memory is not None else 0.0
            if use.repeats is not None:
                remembered = service.idempotency_ttl if use.repeats else 0.0
            elif response and repeatable:
                remembered = service.idempotency_ttl
                if memory is not None and not honoured:
                    # The request carries the key, so it is repeatable while the vendor knows it.
                    remembered = min(remembered, memory)
            rules = self._key_rules[kind] = KeyRules(
                target=service.name,
                remembered=remembered,
                honoured=honoured and service.idempotency_replays,
                refuses=honoured and not service.idempotency_replays,
                ttl=service.idempotency_ttl,
                encode=_same if response else self.core.copy,
                decode=_replay if response else self.core.copy,
                lookup=lambda key: f"the operation of key {key!r} at {service.name}",
            )
        return rules

    async def _finish(self, call: Call, once: Once | None, step: AttemptStep) -> Ending:
        """Run everything after planning, and notify the observers."""
        core, plan = self.core, call.plan
        try:
            try:
                if once is None:
                    value, error = await self._attempts(call, step)
                else:
                    value, error = await act_once(
                        core, call, once, lambda: self._attempts(call, step)
                    )
            except Exception as failure:  # noqa: BLE001 - carried to the face as a value
                value, error = None, failure
            fallback = None if call.keeps_permit or error is None else plan.fallback
            if fallback is None or not isinstance(error, ConnectorError):
                return self._ended(call, value, error)
            if isinstance(error, _NOT_MASKED):
                return self._ended(call, None, error)
            return await self._fallen_back(call, fallback, error)
        except BaseException as error:
            self.broken_off(call, error)
            raise

    async def _fallen_back(self, call: Call, fallback: Fallback, error: ConnectorError) -> Ending:
        """Run the fallback; if it fails too, the first error becomes the context of its error."""
        core = self.core
        call.sign(core, error)
        try:
            value = await core.settle(fallback(error))
        except Exception as broken:  # noqa: BLE001 - carried to the face as a value
            broken.__context__ = broken.__context__ or error
            return self._ended(call, None, broken)
        if core.observers:
            call.ended = True
            core.tell(call.finished(core, error, fallback=True))
        return value, None

    def _ended(self, call: Call, value: Any, error: Exception | None) -> Ending:
        """Mark the error of the call, if any, and report its end."""
        core = self.core
        if isinstance(error, ConnectorError):
            call.sign(core, error)
        if not core.observers or (error is None and (call.keeps_permit or not core.hears_ends)):
            return value, error
        call.ended = True
        core.tell(call.finished(core, error))
        return value, error

    def _attempts(self, call: Call, step: AttemptStep) -> Flow[Ending]:
        """Run the attempts, with caching around them where the service has a cache policy."""
        if call.cache is None:
            return self._in_turn(call, step)
        return call.cache.around(call, lambda: self._in_turn(call, step))

    def _in_turn(self, call: Call, step: AttemptStep) -> Flow[Ending]:
        """Run the attempts, in a slot of the bulkhead where there is one."""
        bulkhead = call.plan.bulkhead
        if bulkhead is None:
            return attempt(self.core, call, step)
        return self._in_place(call, step, bulkhead)

    async def _in_place(self, call: Call, step: AttemptStep, bulkhead: BulkheadConfig) -> Ending:
        plan, core = call.plan, self.core
        wait = max(0.0, call.remaining(core) / 1e9)
        if bulkhead.max_wait is not None:
            wait = min(wait, bulkhead.max_wait)
        since = core.nanoseconds() if core.observers else None
        try:
            try:
                taken = await core.acquire(
                    plan.bulkhead_key,
                    call,
                    places=bulkhead.max_concurrent,
                    queue=bulkhead.max_waiting,
                    timeout=wait,
                )
                if not taken:
                    return None, self._crowded_out(call, bulkhead.max_concurrent)
                delay = 0.0 if since is None else (core.nanoseconds() - since) / 1e9
                if delay >= _SHORT_WAIT:
                    call.emit(core, BulkheadWaited, delay=delay)
                call.hurried = True
                return await attempt(core, call, step)
            finally:
                if not call.keeps_place:
                    core.release(plan.bulkhead_key, call)
        except BaseException:
            # An interruption may have come into the line above, and a slot has no lease.
            if not call.keeps_place:
                core.release(plan.bulkhead_key, call)
            raise

    def _crowded_out(self, call: Call, places: int) -> ConnectorError:
        core = self.core
        error: ConnectorError = BulkheadFull(f"{places} calls are already in progress.")
        if call.remaining(core) <= 0:
            error = call.out_of_time(error)
        if core.observers:
            name = type(error).__name__
            call.emit(core, CallRefused, error=name, retry_after=0.0)
        return error


def _checked_span(
    plan: Plan, timeout: float | None, request_id: str | None, subject: str | None
) -> int:
    """The nanoseconds for a whole call, once its options are checked."""
    if request_id is not None:
        checked_name(request_id, "request_id")
    if subject is not None:
        checked_name(subject, "subject")
    return plan.span if timeout is None else int(seconds(timeout, "timeout") * 1e9)


def _nowhere() -> ConfigurationError:
    return ConfigurationError(
        "A function cannot run in a region, and this service has nothing but regions.",
        path="regions",
        remedy="Protect the function with a service of its own, or send a Request with `call`.",
    )


def _is_read(plan: Plan, request: Request) -> bool:
    """True if a request may be sent twice concurrently; a write could overtake a later write."""
    declared = plan.repeatable if request.idempotent is None else request.idempotent
    return request.replayable and (request.method.safe if declared is None else declared)


def _same(value: Response) -> Response:
    return value


def _replay(value: object) -> Response:
    if isinstance(value, Response):
        return value.as_replayed()
    raise InvalidData(
        f"The stored answer of this key is {with_article(type(value).__name__)}, not a Response.",
        remedy="Settle the key of a request with a Response.",
    )


def _listed(items: Any, field: str) -> list[Any]:
    """The items of a batch; a single text is refused."""
    try:
        if not isinstance(items, (str, bytes)):
            return list(items)
    except TypeError:
        pass
    raise InvalidData(
        f"{field} must be a sequence, not {with_article(type(items).__name__)}.",
        field=field,
        remedy="Give a list.",
    )
