"""The call, top to bottom.

1. Find the service, tenant and endpoint, and the plan compiled for them; open the deadline.
2. Claim the idempotency key: replay a finished answer, refuse a conflict, wait for one in progress.
3. Take a place in the bulkhead.
4. Attempt by attempt: be admitted, say who we are, transform, send, judge, record; try again or
   not.
5. Settle the key, fall back if there is something to fall back to, tell the observers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mooring.domain.admission import ReadCircuit, Report, SetCircuit
from mooring.domain.circuit import CircuitState, Outcome
from mooring.domain.events import CallFinished, CallStarted
from mooring.domain.http import Request, Response, fingerprint
from mooring.domain.durations import micros, seconds
from mooring.domain.idempotency import Resolve, checked_key
from mooring.domain.keys import checked_name
from mooring.domain.payload import payload_fingerprint
from mooring.domain.plan import Plan
from mooring.domain.result import Result
from mooring.domain.service import by_name
from mooring.errors import (
    BulkheadFull,
    ConfigurationError,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
)
from mooring.services.attempts import again, attempt, follow, once
from mooring.services.call import Call
from mooring.services.exchange import Exchange
from mooring.services.hedging import Hedged
from mooring.services.idempotency import Once, act_once
from mooring.services.streaming import Streaming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mooring.domain.admission import Admitted
    from mooring.domain.circuit import CircuitBreakerState, Permit
    from mooring.domain.service import Service
    from mooring.services.attempts import AttemptStep, Ending
    from mooring.services.core import Core
    from mooring.services.streaming import Stream

R = TypeVar("R")

_PLANS = 10_000
_NOT_MASKED = (ConfigurationError, IdempotencyConflict, OutcomeUnknown, InvalidData)


class Calling:
    """The flows of a manager, over one core."""

    def __init__(self, core: Core, services: Iterable[Service]) -> None:
        self.core = core
        self.services: dict[str, Service] = {}
        for service in services:
            if service.name in self.services:
                raise ConfigurationError(
                    f"Two services are named {service.name!r}.",
                    path="services",
                    remedy="Give each service a name of its own.",
                )
            self.services[service.name] = service
        self._plans: dict[tuple[str, str | None, str | None], Plan] = {}
        self.easy: dict[tuple[str, str | None, str | None], Plan] = {}
        """Plans of functions that a face may call itself while all is calm, by what names them."""

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
    ) -> Response:
        """Send a request to a service through its protections, and return the answer.

        Args:
            service: the name of a configured service.
            request: what to send; its path is joined to the service's `base_url`.
            tenant: whose credentials, limits, circuit and keys to use.
            endpoint: the endpoint whose settings apply; by default the first that fits.
            idempotency_key: names this one effect: a repeat gets the same answer, not a second
                effect. A repeated answer has `replayed` set.
            timeout: seconds for the whole call instead of the service's.
            request_id: a correlation id instead of a new one.

        Raises:
            ConnectorError: the call did not give its answer; the class says why.
        """
        if not isinstance(request, Request):
            raise InvalidData(
                f"{type(request).__name__} is not a request.",
                field="request",
                remedy="Give a mooring.Request, such as Request.get('/path').",
            )
        plan = self._plan(service, tenant, endpoint, request)
        call = self._begin(plan, timeout, request_id)
        repeatable = request.repeatable if plan.repeatable is None else plan.repeatable
        once = None
        if idempotency_key is not None:
            once = self._once(plan, idempotency_key, fingerprint(request), _replay, repeatable)
            call.key = once.key
            repeatable = bool(once.remembered)
        call.repeatable = repeatable
        step: AttemptStep = Exchange(self.core, call, request)
        if plan.hedge is not None and repeatable and request.replayable and once is None:
            step = Hedged(self.core, plan.hedge, step)
        return await self._finish(call, once, step)  # type: ignore[no-any-return]  # a Response

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

        Each has its own result, in the order of the requests; none raises for another.
        """
        keys = [None] * len(requests) if idempotency_keys is None else list(idempotency_keys)
        if len(keys) != len(requests):
            raise InvalidData(
                f"There are {len(requests)} requests and {len(keys)} idempotency keys.",
                field="idempotency_keys",
                remedy="Give one key for each request, or none at all.",
            )

        def step(request: Request, key: str | None) -> Callable[[], Any]:
            async def one() -> Result[Response]:
                try:
                    answer = await self.call(
                        service,
                        request,
                        tenant=tenant,
                        endpoint=endpoint,
                        idempotency_key=key,
                        timeout=timeout,
                    )
                except ConnectorError as error:
                    return Result(error=error)
                return Result(answer)

            return one

        steps = [step(request, key) for request, key in zip(requests, keys, strict=True)]
        return await self.core.every(steps, at_once=at_once)

    async def stream(
        self,
        service: str,
        request: Request,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Stream:
        """Send a request and return as soon as the answer's headers are there.

        The body is read afterwards, piece by piece, within the same deadline. Attempts end at the
        headers: a body that breaks off is not asked for again.
        """
        plan = self._plan(service, tenant, endpoint, request)
        call = self._begin(plan, timeout, request_id)
        call.repeatable = request.repeatable if plan.repeatable is None else plan.repeatable
        streaming = Streaming(self.core, call, request)
        try:
            return await self._finish(call, None, streaming)  # type: ignore[no-any-return]  # Stream
        finally:
            streaming.let_go()

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
    ) -> Ending:
        """Protect any call: how it ended, as a value."""
        plan = self._plan(service, tenant, endpoint, None)
        call = self._begin(plan, timeout, request_id)
        single = None
        if idempotency_key is not None:
            code = payload_fingerprint(payload)
            single = self._once(plan, idempotency_key, code, None, repeatable=False)
            call.key = single.key
            call.repeatable = bool(single.remembered)
        try:
            return await self._finish(call, single, step), None
        except Exception as error:  # noqa: BLE001 - carried to the face as a value
            return None, error

    async def go_on(self, plan: Plan, began: int, admitted: Admitted, step: AttemptStep) -> Ending:
        """Go on with an easy call whose admission was asked for by its face, and is not calm."""
        core = self.core
        call = Call(plan, began, plan.span)
        value, error = await once(core, call, plan.admission, step, admitted)
        if error is None:
            return value, None
        return self._signed(call, await again(core, call, step, error))

    async def follow(
        self, plan: Plan, began: int, permit: Permit | None, error: Exception, step: AttemptStep
    ) -> Ending:
        """Go on with an easy call whose first attempt was made by its face, and failed."""
        call = Call(plan, began, plan.span)
        return self._signed(call, await follow(self.core, call, permit, error, step))

    def give_back(self, plan: Plan, permit: Permit | None) -> None:
        """Forget an easy call that was interrupted."""
        if permit is not None:
            core = self.core
            core.post(Report(plan.gates, permit, Outcome.NEUTRAL, core.reporter))

    def _signed(self, call: Call, ending: Ending) -> Ending:
        if isinstance(ending[1], ConnectorError):
            call.sign(self.core, ending[1])
        return ending

    async def circuit_state(
        self, service: str, *, tenant: str | None = None, endpoint: str | None = None
    ) -> CircuitBreakerState:
        """What the circuit of a service knows now."""
        plan = self._with_circuit(service, tenant, endpoint)
        rule, key = plan.gates.circuit, plan.gates.circuit_key
        return await self.core.execute(ReadCircuit(rule, key))  # type: ignore[no-any-return, arg-type]  # checked

    async def set_circuit(
        self,
        service: str,
        state: CircuitState,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        """Set a circuit by hand: closed (a reset), forced open, or disabled."""
        plan = self._with_circuit(service, tenant, endpoint)
        rule, key = plan.gates.circuit, plan.gates.circuit_key
        await self.core.execute(SetCircuit(rule, key, state))  # type: ignore[arg-type]  # checked

    async def resolve_key(
        self,
        service: str,
        idempotency_key: str,
        *,
        answer: Response | None = None,
        tenant: str | None = None,
    ) -> bool:
        """Settle a key whose outcome is unknown, after looking it up at the vendor.

        With an `answer`, later repeats get that; without one, nothing was done, and the key may be
        used again. Returns whether there was an unknown key to settle.
        """
        plan = self._plan(service, tenant, None, None)
        resolve = Resolve(
            plan.claim_key(checked_key(idempotency_key)),
            done=answer is not None,
            ttl=micros(plan.service.idempotency_ttl),
            answer=None if answer is None else ("value", answer),
        )
        return await self.core.execute(resolve)  # type: ignore[no-any-return]  # as Resolve says

    def _plan(
        self, service: str, tenant: str | None, endpoint: str | None, request: Request | None
    ) -> Plan:
        known = by_name(self.services, service)
        found = known.endpoint(endpoint, request) if endpoint or known.endpoints else None
        name = None if found is None else found.name
        key = (service, tenant, name)
        plan = self._plans.get(key)
        if plan is None:
            if tenant is not None:
                checked_name(tenant, "tenant")
            plan = Plan(known, tenant, found)
            if len(self._plans) >= _PLANS:
                self._plans.clear()
                self.easy.clear()
            self._plans[key] = plan
            if plan.easy and self.core.ask is not None and not self.core.observers:
                self.easy[key] = plan
        return plan

    def _with_circuit(self, service: str, tenant: str | None, endpoint: str | None) -> Plan:
        plan = self._plan(service, tenant, endpoint, None)
        if plan.gates.circuit is None:
            raise ConfigurationError(
                f"Service {service!r} has no circuit.",
                path="circuit",
                remedy="Configure one with CircuitBreakerConfig().",
            )
        return plan

    def _begin(self, plan: Plan, timeout: float | None, request_id: str | None) -> Call:
        core = self.core
        span = plan.span if timeout is None else int(seconds(timeout, "timeout") * 1e9)
        call = Call(plan, core.nanoseconds(), span)
        call.request_id = request_id
        if core.observers:
            call.started_at = core.utc()
            core.tell(CallStarted(**call.told(core)))
        return call

    def _once(
        self,
        plan: Plan,
        key: str,
        code: bytes,
        decode: Any,
        repeatable: bool,  # noqa: ANN401, FBT001
    ) -> Once:
        service = plan.service
        remembered = service.idempotency_memory if service.idempotency_header else 0.0
        key = checked_key(key)
        return Once(
            key=key,
            at=plan.claim_key(key),
            fingerprint=code,
            target=service.name,
            remembered=service.idempotency_ttl if repeatable else remembered,
            ttl=service.idempotency_ttl,
            encode=_same if decode else self.core.copy,
            decode=decode or self.core.copy,
            lookup=f"the operation of key {key!r} at {service.name}",
        )

    async def _finish(self, call: Call, once: Once | None, step: AttemptStep) -> Any:  # noqa: ANN401
        """Everything between the plan and the answer, and what is told of it."""
        core, plan = self.core, call.plan
        try:
            try:
                if once is None:
                    value, error = await self._in_place(call, step)
                else:
                    value, error = await act_once(
                        core, call, once, lambda: self._in_place(call, step)
                    )
            except ConnectorError as refused:
                value, error = None, refused
        except BaseException:
            if core.observers:
                core.tell(_finished(core, call, None, cancelled=True))
            raise
        if isinstance(error, ConnectorError):
            call.sign(core, error)
        fallback = None
        if isinstance(error, ConnectorError) and not isinstance(error, _NOT_MASKED):
            fallback = plan.fallback
        if core.observers:
            core.tell(_finished(core, call, error, fallback=fallback is not None))
        if fallback is not None:
            return await core.settle(fallback(error))
        if error is not None:
            raise error
        return value

    async def _in_place(self, call: Call, step: AttemptStep) -> Ending:
        """The attempts, in a place of the bulkhead where there is one."""
        plan, core = call.plan, self.core
        bulkhead = plan.bulkhead
        if bulkhead is None:
            return await attempt(core, call, step)
        remaining = max(0.0, call.remaining(core) / 1e9)
        try:
            taken = await core.acquire(
                plan.bulkhead_key,
                call,
                places=bulkhead.max_concurrent,
                queue=bulkhead.max_waiting,
                timeout=remaining
                if bulkhead.max_wait is None
                else min(remaining, bulkhead.max_wait),
            )
            if not taken:
                return None, BulkheadFull(f"{bulkhead.max_concurrent} calls are under way already.")
            return await attempt(core, call, step)
        finally:
            if not call.keeps_place:
                core.release(plan.bulkhead_key, call)


def _same(value: Response) -> Response:
    return value


def _replay(value: Response) -> Response:
    return value.evolve(replayed=True)


def _finished(
    core: Core,
    call: Call,
    error: Exception | None,
    *,
    fallback: bool = False,
    cancelled: bool = False,
) -> CallFinished:
    return CallFinished(
        **call.told(core),
        started_at=call.started_at or core.utc(),
        duration=(core.nanoseconds() - call.started) / 1e9,
        attempts=call.attempts,
        error=None if error is None else type(error).__name__,
        status=call.status,
        vendor_code=getattr(error, "vendor_code", None),
        idempotency_key=call.key,
        replayed=call.replayed,
        fallback=fallback,
        cancelled=cancelled,
    )
