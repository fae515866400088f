"""The methods of a manager that call services, each with its steps in order.

1. Find the service, tenant and endpoint, and their compiled plan; start the deadline.
2. Claim the idempotency key: replay a finished answer, refuse a conflict, wait for one in progress.
3. Look in the cache: return a fresh answer, revalidate a stale one.
4. Take a slot of the bulkhead.
5. Make attempts: admit, authorise, transform, send, judge, record; then retry or stop.
6. Store the answer, settle the key, use the fallback if there is one, notify the observers.
"""

from __future__ import annotations

from copy import copy
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.http.fingerprint import fingerprint, request_fingerprint
from moorage.domain.idempotency.claims import AS_USUAL, KeyUse, checked_key
from moorage.domain.idempotency.payload import compared_payload, payload_fingerprint
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.secrets.frames import without_frames
from moorage.domain.service.plan import is_repeatable
from moorage.domain.service.settings import by_name
from moorage.domain.values.durations import count
from moorage.domain.values.result import Result, results_of
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError, InvalidData
from moorage.services.calling.call import Call, Parse, value_of
from moorage.services.calling.exchange import Exchange, LateExchange, is_sure_to_leave
from moorage.services.calling.fast_path_steps import FastPathSteps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Self, TypeVar

    from moorage.domain.auth.sent_values import RecentCredentials
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.observation.call_identity import ContractCall
    from moorage.domain.service.operation import HttpOperation
    from moorage.domain.service.plan import Plan
    from moorage.domain.values.fingerprints import Fingerprint
    from moorage.ports.operation import OperationTraits
    from moorage.services.calling.attempts import AttemptStep, Ending
    from moorage.services.calling.idempotency import KeyedUse
    from moorage.services.calling.streaming import Stream, StreamingExchange
    from moorage.services.core.core import Core

    R = TypeVar("R")

Single: TypeAlias = (
    "Callable[[str, Request, str | None, str | None], Awaitable[Response | Result[Response]]]"
)
"""Sends one request to a service, for a tenant and to an endpoint.

It returns the response, or a `Result` with an error.
"""

StepWrapper: TypeAlias = "Callable[[AttemptStep], AttemptStep]"
"""A function that adds a protection of its own around each attempt of a call."""

_NOTHING: Final[Any] = object()

_LARGE: Final = 262_144
"""Bytes; the fingerprint of a larger body is computed outside the event loop."""


class CallOperations(FastPathSteps):
    """The calls that a manager can make: requests, batches, streams and functions."""

    _rehearses = False
    _parse: Parse | None = None
    _operation: HttpOperation[Any] | None = None
    _recent_credentials: RecentCredentials | None = None
    _use = AS_USUAL
    _wrap: StepWrapper | None = None
    single: Single | None = None
    """Like `call` without a key and options, on the fast path if the request allows that."""

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
        """Send a request to a service through its protections, and return the response.

        Args:
            service: name of a configured service.
            request: request to send; its path is appended to the service's `base_url`.
            tenant: tenant whose credentials, limits, circuit and keys to use.
            endpoint: endpoint whose settings apply; by default the first matching endpoint.
            idempotency_key: identifies one effect: a repeat returns the same response and has
                no second effect. A repeated response has `replayed` set.
            timeout: seconds for the whole call, in place of the service's.
            request_id: correlation id, in place of a new one.
            subject: id of the person whose data the call is about, for searches in the log.

        Raises:
            ConnectorError: the call failed; the class of the error shows the reason.
        """
        guard, start_time = self.plans.environment_guard, None
        if guard is not None:
            start_time = await self._check_environment(
                guard, service, tenant, endpoint, timeout, request
            )
        call = self._begin(
            service,
            tenant,
            endpoint,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
            request=request,
            start_time=start_time,
            idempotency_key=idempotency_key,
            operation=self._operation,
        )
        call.parse = self._parse
        call.http_operation = self._operation
        call.recent_credentials = self._recent_credentials
        try:
            self._check(call, request, idempotency_key, self._operation)
            code = None
            if idempotency_key is not None:
                compare = request_fingerprint if self.core.compares_bytes else fingerprint
                # The body has no local name, because a traceback would show it with this frame.
                if isinstance(request.body, bytes) and len(request.body) > _LARGE:
                    code = await self._large_fingerprint(call, request, compare)
                else:
                    code = compare(request)
            keyed_use, step = self._exchange(call, request, idempotency_key, code, self._use)
        except ConnectorError as error:
            refusal = error
        else:
            return value_of(await self._finish(call, keyed_use, step))  # type: ignore[no-any-return]  # a Response
        return value_of(self._end_of_call(call, None, without_frames(refusal)))  # type: ignore[no-any-return]  # an error is raised

    async def exchange(
        self, service: str, operation: HttpOperation[R], payload: object, options: dict[str, Any]
    ) -> R:
        """Send the request of an HTTP operation, and return the parsed response.

        Raises:
            InvalidData: a payload is given, although a repeated key is compared with the request.
        """
        if payload is not None:
            raise InvalidData(
                f"The operation {operation.name} sends an HTTP request and takes no separate"
                " payload.",
                field="payload",
                service=service,
                remedy="Remove the payload argument. moorage compares the requests themselves"
                " if a key is repeated.",
            )
        from moorage.domain.service.operation import AnswerReader  # noqa: PLC0415 - loaded with the operation

        read_answer = AnswerReader(operation.read)
        flows = self.reading(read_answer, None)
        flows._operation = operation  # noqa: SLF001 - a copy of this object
        return read_answer(await flows.call(service, operation.request, **options))

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
        requests = _as_list(requests, "requests")
        keys = (
            [_NOTHING] * len(requests)
            if idempotency_keys is None
            else _as_list(idempotency_keys, "idempotency_keys")
        )
        if len(keys) != len(requests):
            raise InvalidData(
                f"{len(requests)} requests were passed, but {len(keys)} idempotency keys.",
                field="idempotency_keys",
                service=service,
                remedy="Pass one key for each request, or no keys.",
            )

        at_once = count(at_once, "at_once")
        if idempotency_keys is None and timeout is None and self.single is not None:
            steps = [
                partial(self.single, service, request, tenant, endpoint) for request in requests
            ]
            return results_of(await self.core.run_all(steps, at_once=at_once))

        async def result_of(request: Request, key: Any) -> Result[Response]:
            try:
                answer = await self.call(
                    service,
                    request,
                    tenant=tenant,
                    endpoint=endpoint,
                    idempotency_key=None if key is _NOTHING else checked_key(key),
                    timeout=timeout,
                )
            except Exception as error:
                if is_interruption(error):
                    raise
                return Result(error=error)
            return Result(answer)

        pairs = zip(requests, keys, strict=True)
        return await self.core.run_all(
            [partial(result_of, request, key) for request, key in pairs], at_once=at_once
        )

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
        """Send a request, and return as soon as the headers of the response arrive.

        The body is read afterwards in pieces, within the same deadline. Retries end at the
        headers: a body that breaks off is not requested again. Response transforms and fallbacks
        do not apply.
        """
        guard, start_time = self.plans.environment_guard, None
        if guard is not None:
            start_time = await self._check_environment(
                guard, service, tenant, endpoint, timeout, request
            )
        call = self._begin(
            service,
            tenant,
            endpoint,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
            request=request,
            start_time=start_time,
        )
        call.recent_credentials = self._recent_credentials
        try:
            self._check(call, request, None)
            call.repeatable = is_repeatable(call.plan, request)
            from moorage.services.calling.streaming import StreamingExchange  # noqa: PLC0415 - few programs stream

            streaming = StreamingExchange(self.core, call, request)
            if call.plan.cache_wait and not request.method.safe:
                from moorage.services.calling.caching import CacheInvalidation  # noqa: PLC0415 - few services have a cache

                call.cache = CacheInvalidation(self.core, call, streaming)
        except ConnectorError as error:
            refusal = error
        else:
            return await self._observed_stream(call, streaming)
        return value_of(self._end_of_call(call, None, without_frames(refusal)))  # type: ignore[no-any-return]  # an error is raised

    async def _observed_stream(self, call: Call, streaming: StreamingExchange) -> Stream:
        """Return an observed stream; if that fails, release its slots and raise the error."""
        try:
            step = streaming if self._wrap is None else self._wrap(streaming)
            stream: Stream = value_of(await self._finish(call, None, step))
            stream.handed_over = True
        except BaseException:
            streaming.release()
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
        operation: OperationTraits | None = None,
        on_finished: Callable[[Call], object] = lambda _: None,
    ) -> Ending:
        """Run a function or an operation with all protections, and return its value or error.

        `step` makes one attempt, and `on_finished` receives the finished call.
        """
        guard, start_time = self.plans.environment_guard, None
        if guard is not None:
            start_time = await self._check_environment(guard, service, tenant, endpoint, timeout)
        call = self._begin(
            service,
            tenant,
            endpoint,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
            start_time=start_time,
            idempotency_key=idempotency_key,
            operation=operation,
        )
        if call.plan.regions:
            return self._end_of_call(call, None, _no_region_error())
        if operation is not None:
            call.repeatable = operation.repeatable
        single_attempt = None
        if idempotency_key is not None or self._rehearses:
            try:
                self._check(call, None, idempotency_key, operation)
                if idempotency_key is not None:
                    compare = compared_payload if self.core.compares_bytes else payload_fingerprint
                    single_attempt = self._keys.protect(
                        call,
                        idempotency_key,
                        compare(payload),
                        use,
                        repeatable=operation is not None and operation.repeatable,
                        operation=operation,
                    )
            except ConnectorError as error:
                return self._end_of_call(call, None, error)
        call_ending = await self._finish(call, single_attempt, step)
        on_finished(call)
        return call_ending

    def for_dry_run(self) -> CallOperations:
        """Return a copy for dry runs, which reports requests with effects instead of sending."""
        flows = copy(self)
        flows.single = None
        flows._rehearses = True  # noqa: SLF001 - a copy of this object
        return flows

    def unobserved(self) -> CallOperations:
        """Return a copy of these operations that observers and the integration log do not see."""
        flows = copy(self)
        flows.single = None
        flows.core = self.core.unobserved()
        return flows

    def reading(
        self,
        parse: Parse | None,
        recent_credentials: RecentCredentials | None,
        use: KeyUse = AS_USUAL,
        contract: ContractCall | None = None,
        wrap: StepWrapper | None = None,
    ) -> Self:
        """Return a copy of these operations that parses each response with the given function.

        `parse` reads a successful response. If it cannot read a response, the attempt has failed
        with an unknown outcome, and the response is not stored under the key. `recent_credentials`
        records the credentials that are sent, and `use` is the way in which a key is used.
        `contract` is the operation of a contract that the calls belong to. `wrap` adds a protection
        around each attempt.
        """
        flows = copy(self)
        flows.single = None
        flows._parse = parse  # noqa: SLF001 - a copy of this object
        flows._recent_credentials = recent_credentials  # noqa: SLF001 - a copy of this object
        flows._use = use  # noqa: SLF001 - a copy of this object
        flows._contract = contract  # noqa: SLF001 - a copy of this object
        flows._wrap = wrap  # noqa: SLF001 - a copy of this object
        return flows

    @property
    def is_dry_run(self) -> bool:
        """True if this is a dry run, which sends no request that changes something."""
        return self._rehearses

    def _check(
        self,
        call: Call,
        request: Request | None,
        key: str | None,
        operation: OperationTraits | None = None,
    ) -> None:
        """In a dry run, stop before sending a request with an idempotency key or an effect."""
        if not self._rehearses:
            return
        is_safe = request.method.safe if request is not None else True
        if operation is not None:
            is_safe = operation.safe
        if is_safe and key is None:
            return
        from moorage.services.calling.rehearsal import (  # noqa: PLC0415 - few programs make dry runs
            held_back_error,
            shown_path,
        )

        fields = call.event_fields(self.core)
        if request is not None:
            operation_name = f"{request.method} {shown_path(request)}"
        else:
            operation_name = "a function" if operation is None else operation.name
        names = ("service", "operation", "tenant", "request_id")
        raise held_back_error(self.core, operation_name, **{name: fields[name] for name in names})

    async def _large_fingerprint(
        self,
        call: Call,
        request: Request,
        compare: Callable[[Request], bytes | Fingerprint],
    ) -> bytes | Fingerprint:
        """Return a large request's fingerprint, computed without blocking the event loop."""
        try:
            return await self.core.run_computation(lambda: compare(request))  # type: ignore[no-any-return]  # as computed
        except BaseException as error:
            self.notify_interruption(call, error)
            raise

    def _exchange(
        self,
        call: Call,
        request: Request,
        key: str | None,
        code: bytes | Fingerprint | None,
        use: KeyUse,
    ) -> tuple[KeyedUse | None, AttemptStep]:
        """Return the step that sends a request, protected by its idempotency key if it has one."""
        plan = call.plan
        call.repeatable = is_repeatable(plan, request)
        protection = None
        if key is not None and code is not None:
            protection = self._keys.protect(
                call, key, code, use, response=True, repeatable=call.repeatable
            )
        step: AttemptStep
        if plan.cache_wait:
            step = _load_caching()(self.core, call, request)
        elif protection is not None and self._wrap is None and is_sure_to_leave(plan, request):
            step = LateExchange(self.core, request)
        else:
            step = Exchange(self.core, call, request)
        if self._wrap is not None:
            step = self._wrap(step)
        if plan.hedge is not None and protection is None and _is_read(plan, request):
            from moorage.services.calling.hedging import HedgedAttempts  # noqa: PLC0415 - few services hedge

            step = HedgedAttempts(self.core, plan.hedge, step)
        return protection, step


@cache
def _load_caching() -> Callable[[Core, Call, Request], Exchange]:
    """Return the function that adds a cache to calls; its module is imported on first use.

    The module is imported late, because few services have a cache policy.
    """
    from moorage.services.calling.caching import step_with_cache  # noqa: PLC0415 - loaded if it is used

    return step_with_cache


def _no_region_error() -> ConfigurationError:
    return ConfigurationError(
        "A function cannot run in a region, and this service has only regions.",
        path="regions",
        remedy="Protect the function with another service, or send a Request with `call`.",
    )


def _is_read(plan: Plan, request: Request) -> bool:
    """Return whether a request only reads data, so that two copies may be sent concurrently."""
    is_idempotent = plan.repeatable if request.idempotent is None else request.idempotent
    return request.replayable and (request.method.safe if is_idempotent is None else is_idempotent)


def _as_list(items: Any, field: str) -> list[Any]:
    """Return the items of a batch as a list; refuse a single string."""
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
