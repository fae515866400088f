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
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Request, Response, fingerprint
from moorage.domain.idempotency.claims import AS_USUAL, KeyUse, checked_key
from moorage.domain.idempotency.payload import payload_fingerprint
from moorage.domain.observation.events import CallRefused, CallStarted
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
from moorage.services.calling import caching
from moorage.services.calling.admission import why_not, withdraw
from moorage.services.calling.attempts import again, attempt, follow, once
from moorage.services.calling.call import Call, Parse, value_of
from moorage.services.calling.exchange import Exchange
from moorage.services.calling.hedging import Hedged
from moorage.services.calling.idempotency import Once, act_once
from moorage.services.calling.manual_operations import ManualOperations
from moorage.services.calling.rehearsal import rehearsed, shown_path
from moorage.services.calling.streaming import Streaming

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from moorage.domain.auth.sent_values import Witness
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.circuit import Permit
    from moorage.domain.service.plan import Plan
    from moorage.domain.service.settings import BulkheadConfig, Fallback
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.calling.exchange import Arrived
    from moorage.services.calling.streaming import Stream
    from moorage.services.core.core import Flow

_NOTHING: Final[Any] = object()
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
        )
        call.parse = self._parse
        call.witness = self._witness
        try:
            self._check(call, request, idempotency_key)
            once, step = self._exchange(call, request, idempotency_key, self._use)
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

        def step(request: Request, key: Any) -> Callable[[], Any]:
            async def one() -> Result[Response]:
                try:
                    answer = await self.call(
                        service,
                        request,
                        tenant=tenant,
                        endpoint=endpoint,
                        idempotency_key=None if key is _NOTHING else checked_key(key),
                        timeout=timeout,
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
                call.cache = caching.Changing(self.core, call, streaming)
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
        )
        if call.plan.regions:
            return self._ended(call, None, _nowhere())
        # A step that cannot be cancelled may run until the deadline.
        call.open_ended = call.deadline - call.started > call.plan.span
        single = None
        if idempotency_key is not None:
            try:
                self._check(call, None, idempotency_key)
                code = payload_fingerprint(payload)
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
        """Check once that this process may send anything; return the call's start if it checked.

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
        """A copy of this object that sends nothing with an effect."""
        flows = copy(self)
        flows._rehearses = True  # noqa: SLF001 - of our own kind
        return flows

    def reading(self, parse: Parse | None, witness: Witness | None, use: KeyUse = AS_USUAL) -> Self:
        """A copy of this object for a caller that also reads the answers.

        `parse` reads a successful answer. An answer that it cannot read is a failed attempt with
        an unknown outcome, and is not stored under the key. `witness` records the credentials that
        are sent, and `use` says how a key is used.
        """
        flows = copy(self)
        flows._parse = parse  # noqa: SLF001 - of our own kind
        flows._witness = witness  # noqa: SLF001 - of our own kind
        flows._use = use  # noqa: SLF001 - of our own kind
        return flows

    @property
    def rehearses(self) -> bool:
        """True if nothing with an effect is sent."""
        return self._rehearses

    def _check(self, call: Call, request: Request | None, key: str | None) -> None:
        """Stop a rehearsal before a request that has a key or an unsafe method."""
        if not self._rehearses or (key is None and (request is None or request.method.safe)):
            return
        fields = call.event_fields(self.core)
        what = "a function" if request is None else f"{request.method} {shown_path(request)}"
        names = ("service", "operation", "tenant", "request_id")
        raise rehearsed(self.core, what, **{name: fields[name] for name in names})

    async def go_on(
        self, plan: Plan, began: int, grants: list[Admitted], step: AttemptStep
    ) -> Ending:
        """Continue a call whose admission the fast path asked for, and could not use."""
        return await self._going_on(Call(plan, began, plan.span), grants, step)

    async def go_on_sending(
        self,
        plan: Plan,
        began: int,
        grants: list[Admitted],
        request: Request,
        arrived: Arrived | None = None,
    ) -> Ending:
        """As `go_on`, for a request; `arrived` is the result of the first attempt, if made."""
        call = Call(plan, began, plan.span)
        call.repeatable = is_repeatable(plan, request)
        return await self._going_on(call, grants, Exchange(self.core, call, request, arrived))

    async def _going_on(self, call: Call, grants: list[Admitted], step: AttemptStep) -> Ending:
        core = self.core
        try:
            value, error = await once(core, call, call.plan.admission, step, grants)
            if error is not None:
                value, error = await again(core, call, step, error)
        except ConnectorError as raised:
            value, error = None, raised
        return self._signed(call, value, error)

    async def follow(
        self, plan: Plan, began: int, permit: Permit | None, error: Exception, step: AttemptStep
    ) -> Ending:
        """Continue a call whose first attempt, made by the fast path, failed."""
        call = Call(plan, began, plan.span)
        try:
            value, failed = await follow(self.core, call, permit, error, step)
        except ConnectorError as raised:
            value, failed = None, raised
        return self._signed(call, value, failed)

    def hand_back(self, plan: Plan, grants: list[Admitted]) -> None:
        """Give back the grants of a fast-path call that was interrupted too early to continue."""
        for admitted in grants:
            withdraw(self.core, plan.gates, admitted)

    def give_back(self, plan: Plan, permit: Permit | None) -> None:
        """Give back the permit of a fast-path call that was interrupted."""
        if permit is not None:
            core = self.core
            core.post(Report(plan.gates, permit, Outcome.NEUTRAL, core.reporter()))

    def refused(self, plan: Plan, began: int, admitted: Admitted) -> ConnectorError:
        """The error of a fast-path call that was not admitted."""
        core = self.core
        error = why_not(core, plan, admitted[0], admitted[1])
        Call(plan, began, plan.span).sign(core, error)
        return error

    def sign(self, plan: Plan, began: int, error: ConnectorError) -> None:
        """Mark an error with the fast-path call that it ended."""
        Call(plan, began, plan.span).sign(self.core, error)

    def _signed(self, call: Call, value: Any, error: Exception | None) -> Ending:
        if isinstance(error, ConnectorError):
            call.sign(self.core, error)
        return value, error

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
            if request_id is not None:
                checked_name(request_id, "request_id")
            if subject is not None:
                checked_name(subject, "subject")
            plan = self.plans.find(service, tenant, endpoint, matched_request)
            span = plan.span if timeout is None else int(seconds(timeout, "timeout") * 1e9)
        except ConnectorError as error:
            self.plans.name(error, service, endpoint, request_id)
            raise
        call = Call(plan, core.nanoseconds() if began is None else began, span)
        call.hurried = timeout is not None or began is not None
        call.request_id = request_id
        call.subject = subject
        if core.observers:
            call.started_at = core.utc()
            core.tell(CallStarted(**call.event_fields(core)))
        return call

    def _exchange(
        self, call: Call, request: Request, key: str | None, use: KeyUse
    ) -> tuple[Once | None, AttemptStep]:
        """The protection of a request's key, if it has one, and the step that sends the request."""
        plan = call.plan
        call.repeatable = is_repeatable(plan, request)
        once = None
        if key is not None:
            once = self._once(call, key, fingerprint(request), use, response=True)
        make = caching.around if plan.cache_wait else Exchange
        step: AttemptStep = make(self.core, call, request)
        if plan.hedge is not None and once is None and _is_read(plan, request):
            step = Hedged(self.core, plan.hedge, step)
        return once, step

    def _once(
        self, call: Call, key: str, code: bytes, use: KeyUse, *, response: bool = False
    ) -> Once:
        """The protection of a key, for a call that is not repeatable without it."""
        plan, service = call.plan, call.plan.service
        call.key = checked_key(key)
        honoured = service.idempotency_header is not None
        memory = service.idempotency_memory
        remembered = memory if honoured and memory is not None else 0.0
        if use.repeats is not None:
            remembered = service.idempotency_ttl if use.repeats else 0.0
        elif response and call.repeatable:
            remembered = service.idempotency_ttl
            if memory is not None and not honoured:
                # The request carries the key, so it is repeatable while the vendor remembers it.
                remembered = min(remembered, memory)
        call.repeatable = remembered > 0
        return Once(
            key=key,
            at=plan.claim_key(key, use.round),
            fingerprint=code,
            target=service.name,
            remembered=remembered,
            honoured=honoured and service.idempotency_replays,
            refuses=honoured and not service.idempotency_replays,
            ttl=service.idempotency_ttl,
            encode=_same if response else self.core.copy,
            decode=_replay if response else self.core.copy,
            lookup=f"the operation of key {key!r} at {service.name}",
            reach=use.reach,
        )

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
        except BaseException:
            if core.observers:
                core.tell(call.finished(core, None, cancelled=True))
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
            core.tell(call.finished(core, error, fallback=True))
        return value, None

    def _ended(self, call: Call, value: Any, error: Exception | None) -> Ending:
        """Mark the error of the call, if any, and report its end."""
        core = self.core
        if isinstance(error, ConnectorError):
            call.sign(core, error)
        if core.observers and not (error is None and call.keeps_permit):
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
            core.tell(CallRefused(**call.event_fields(core), error=name, retry_after=0.0))
        return error


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
        return value.evolve(replayed=True)
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
