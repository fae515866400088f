"""Synchronous and asynchronous connector managers."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast

from moorage.domain.http.requests import Request
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.functions import check_callable
from moorage.domain.values.names import name_of
from moorage.domain.values.text import with_article
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError
from moorage.runtime import fast_path_async, fast_path_sync
from moorage.runtime.fast_path import may_send_keyed
from moorage.runtime.flows import (
    as_step,
    async_method,
    blocking_method,
    documented_by,
    refuse_generator,
    run_now,
    step_async,
    step_sync,
    with_signature_of,
)
from moorage.runtime.signatures import with_arguments_of, with_keywords
from moorage.services.calling.call import value_of
from moorage.services.calling.steps import CallOperations
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.ports import PORT_DEFAULTS, AsyncPortOptions, PortOptions, Ports
from moorage.wiring.service_checks import (
    check_guards,
    check_http2,
    check_money,
    check_register,
    check_steps,
    check_tls,
    refuse_async_functions,
    report_unverified_tls,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
    from types import TracebackType
    from typing import Unpack

    from moorage.domain.http.requests import Response
    from moorage.domain.service.operation import HttpOperation
    from moorage.domain.service.settings import Service
    from moorage.hub.streams import AsyncStreamedAnswer, StreamedAnswer
    from moorage.ports.operation import AsyncOperation, Operation
    from moorage.services.calling.steps import Single
    from moorage.services.calling.streaming import Stream
    from moorage.services.environment_guard import EnvironmentGuard
    from moorage.wiring.core_assembly import WiredCore

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS: Final = {**PORT_DEFAULTS, "dry_run": False}


def _check_names(options: Iterable[str]) -> None:
    for name in options:
        if name not in _OPTIONS:
            raise TypeError(f"unexpected keyword argument {name!r}. Use {', '.join(_OPTIONS)}.")


def _check_step(function: Callable[..., Any]) -> None:
    check_callable(function, "function")
    refuse_generator(function)


class ManagerOptions(PortOptions, total=False):
    """The keyword arguments of `ConnectorManager`."""

    dry_run: bool


class AsyncManagerOptions(AsyncPortOptions, total=False):
    """The keyword arguments of `AsyncConnectorManager`."""

    dry_run: bool


class _Manager(Uncopyable):
    """The code that both managers share, for services and calls; no method blocks or awaits."""

    _wired: WiredCore
    _flows: CallOperations
    _environment_guard: EnvironmentGuard | None = None
    _operations: tuple[Any, Any] | None = None

    def _start(
        self,
        services: Iterable[Service],
        build: Callable[[Ports], WiredCore],
        options: ManagerOptions | AsyncManagerOptions,
    ) -> None:
        _check_names(options)
        dry_run = options.pop("dry_run", False)
        if not isinstance(dry_run, bool):
            raise ConfigurationError(
                f"dry_run cannot be {with_article(type(dry_run).__name__)}.",
                path="dry_run",
                remedy="Pass True or False.",
            )
        self._ports = Ports(**options)  # pyright: ignore[reportArgumentType]  # `dry_run` was removed
        self._wired = build(self._ports)
        self._send = self._wired.send
        self._use_operations(self._prepared(services), dry_run=dry_run)
        report_unverified_tls(self._wired)

    def reload(self, services: Iterable[Service]) -> None:
        """Replace all services with these, for all later calls.

        Calls in progress end with the old settings. Circuits, limits, budgets, keys, caches and
        connections stay: a service keeps their state as long as it keeps its name.

        Raises:
            ConfigurationError: a service has a mistake; nothing was changed.
        """
        self._use_operations(self._prepared(services), dry_run=self._flows.is_dry_run)

    def _prepared(
        self,
        services: Iterable[Service],
        *,
        credentials: Any = None,
        places: Mapping[str, str] | None = None,
    ) -> CallOperations:
        """Check new services, and return their call operations, which are not used yet.

        Args:
            services: the services that may be called.
            credentials: provides their credentials; by default the manager's own provider.
            places: the path of each service in the configuration, by the service's name, if any.
        """
        wired_core, places = self._wired, places or {}
        core = wired_core.core if credentials is None else wired_core.with_credentials(credentials)
        flows = CallOperations(core, services)
        flows.plans.environment_guard = self._environment_guard
        all_services = flows.plans.services.values()
        if not wired_core.waits:
            refuse_async_functions(all_services, places)
        check_steps(all_services, wired_core.http, places)
        check_http2(all_services, wired_core.http, places)
        check_money(all_services, wired_core.claims, places)
        check_register(all_services, self._ports.state, self._ports.claims, places)
        check_guards(all_services, None if core.separate_keys else wired_core.claims, places)
        check_tls(all_services, places)
        return flows

    def _use_operations(self, flows: CallOperations, *, dry_run: bool = False) -> None:
        """Use prepared call operations for all calls that begin from now on.

        Args:
            flows: the prepared call operations.
            dry_run: True if they send no request that has an effect.
        """
        if dry_run:
            flows = flows.for_dry_run()
        else:
            flows.single = self._single_sender(flows)
        self._easy = flows.plans.easy
        self._easy_alone = flows.plans.easy_alone
        self._direct = {} if dry_run else flows.plans.direct
        self._performed = {} if dry_run else flows.plans.easy
        self._observed = flows.core.observes_successes
        self._keyed = not dry_run and flows.core.claims_at_once
        self._routed = None if dry_run else flows.plans.routed_plan
        self._flows = flows

    def _single_sender(self, flows: CallOperations) -> Single:
        """Return the function that sends one request of a batch on the fast path."""
        if self._wired.waits:
            return functools.partial(fast_path_async.send_one, flows, self._send)
        return functools.partial(as_step(fast_path_sync.send_one), flows, self._send)

    def _load_operations(self) -> tuple[Any, Any]:
        """Import the modules that perform operations, which few programs need."""
        from moorage.runtime import operation_steps  # noqa: PLC0415 - few programs need them

        if self._wired.waits:
            from moorage.runtime import fast_operations_async  # noqa: PLC0415 - few programs need it

            self._operations = fast_operations_async, operation_steps
        else:
            from moorage.runtime import fast_operations_sync  # noqa: PLC0415 - few programs need it

            self._operations = fast_operations_sync, operation_steps
        return self._operations


def _streaming_method(
    flow: Callable[Concatenate[CallOperations, P], Coroutine[Any, Any, Stream]],
) -> Callable[Concatenate[Any, P], StreamedAnswer]:
    @functools.wraps(flow)
    def stream(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> StreamedAnswer:
        from moorage.hub.streams import StreamedAnswer  # noqa: PLC0415 - few programs stream

        return StreamedAnswer(run_now(flow(self._flows, *args, **kwargs)))

    return with_signature_of(flow, stream, returns="StreamedAnswer")


def _streamed_async(
    flow: Callable[Concatenate[CallOperations, P], Coroutine[Any, Any, Stream]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, AsyncStreamedAnswer]]:
    @functools.wraps(flow)
    async def stream(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncStreamedAnswer:
        from moorage.hub.streams import AsyncStreamedAnswer  # noqa: PLC0415 - few programs need it

        return AsyncStreamedAnswer(await flow(self._flows, *args, **kwargs))

    return with_signature_of(flow, stream, returns="AsyncStreamedAnswer")


@with_careful_constructor
class ConnectorManager(_Manager):
    """Calls services with protections: limits, circuits, retries, idempotency keys.

    Safe to share between threads. Every port has an embedded default. All managers with the same
    `state` share circuits, limits and keys; by default each manager has its own.

    Args:
        services: the services that may be called.
        http: the HTTP client that sends requests.
        state: the store of circuits, limits, budgets and idempotency keys.
        claims: another store for the idempotency keys, for example a more durable one.
        cache: the store of answers, for services with a cache policy.
        credentials: provides the credentials of services that need them.
        negotiator: makes tokens for services with `Credentials.negotiate()`; by default from the
            Kerberos tickets of this process, with `moorage[kerberos]`.
        cipher: encrypts the answers that are stored for idempotency keys.
        log: the integration log, which stores an entry for every call.
        audit: records manual actions, such as opening a circuit; an action that cannot be recorded
            is refused. An asynchronous manager calls it in a thread.
        observers: objects that receive every event.
        clock, sleeper, ids, randomness, locks, gather: the remaining ports.
        records_per_tenant: the maximum number of idempotency records that a tenant may have in the
            store; its calls with new keys are then refused with `TenantRecordsExhausted`.
        dry_run: True to send no request that may have an effect: no request with an unsafe method,
            and none with an idempotency key. Such a call raises `DryRun`, which describes it.
    """

    @with_keywords(ManagerOptions, _OPTIONS)
    def __init__(self, services: Iterable[Service], **options: Unpack[ManagerOptions]) -> None:
        self._start(services, sync_core, options)

    stream = _streaming_method(CallOperations.stream)
    call_many = blocking_method(CallOperations.call_many)
    circuit_state = blocking_method(CallOperations.circuit_state)
    set_circuit = blocking_method(CallOperations.set_circuit)
    reset_limits = blocking_method(CallOperations.reset_limits)
    resolve_key = blocking_method(CallOperations.resolve_key)

    @documented_by(CallOperations.call)
    def call(  # noqa: D102 - documented by the flow
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
        is_usual = type(request) is Request and type(request.body) is bytes
        if is_usual and (idempotency_key is None or self._keyed):
            try:
                plan = self._direct.get((service, tenant, endpoint))
                if plan is None and endpoint is None and self._routed is not None:
                    plan = self._routed(service, tenant, request)
            except TypeError:  # an invalid name, which the flow refuses
                plan = None
            if plan is not None and plan.parts:
                plan = plan.part_at(self._flows.core.fraction())
            if plan is not None and idempotency_key is None:
                if (
                    timeout is None
                    and request_id is None
                    and subject is None
                    and plan.bulkhead is None
                    and not self._observed
                ):
                    return fast_path_sync.call(self._flows, self._send, plan, request)
                return fast_path_sync.call_tracked(
                    self._flows, self._send, plan, request, (timeout, request_id, subject)
                )
            if plan is not None and idempotency_key is not None and may_send_keyed(plan, request):
                options = (timeout, request_id, subject)
                return fast_path_sync.call_keyed(
                    self._flows, self._send, plan, request, idempotency_key, options
                )
        flow = self._flows.call(
            service,
            request,
            tenant=tenant,
            endpoint=endpoint,
            idempotency_key=idempotency_key,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
        )
        return run_now(flow)

    def run(
        self,
        service: str,
        function: Callable[[], R],
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        payload: object = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> R:
        """Call `function` with a service's protections.

        Args:
            service: the name of a configured service.
            function: the function to protect; it is called once for each attempt.
            tenant: the tenant whose limits, circuit and keys to use.
            endpoint: the endpoint whose settings apply.
            idempotency_key: identifies one effect: a repeat returns a copy of the same result.
            payload: the values that the effect depends on; the same key with another payload is a
                conflict.
            timeout: seconds for the whole call instead of the service's. An asynchronous function
                is cancelled at the deadline; a synchronous one cannot be stopped. No attempt begins
                after the deadline.
            request_id: a correlation id instead of a new one.
            subject: id of the person whose data it is about, for searches in the log.

        Raises:
            ConnectorError: the function could not be called, or its result could not be used.
            Exception: the exception that the function raised in the last attempt.
        """
        plan = None
        if idempotency_key is None or self._keyed:
            try:
                plan = (
                    self._easy_alone[service]
                    if tenant is None and endpoint is None
                    else self._easy[service, tenant, endpoint]
                )
            except (KeyError, TypeError):  # a new function, or an invalid name
                plan = None
            if plan is not None and plan.parts:
                plan = plan.part_at(self._flows.core.fraction())
            if plan is not None and idempotency_key is None:
                flows = self._flows
                call = identity = None
                if timeout is not None or request_id is not None or subject is not None:
                    call = flows.begin(plan, (timeout, request_id, subject))
                elif self._observed and plan.bulkhead is None:
                    if flows.observes_without_state:
                        identity = flows.begin_observed(plan)
                    else:
                        call = flows.begin_plain(plan)
                if plan.bulkhead is not None:
                    return fast_path_sync.run_in_slot(flows, plan, function, call)
                return fast_path_sync.run(flows, plan, function, call, identity)
        _check_step(function)
        if plan is not None and idempotency_key is not None and plan.bulkhead is None:
            options = (timeout, request_id, subject)
            return fast_path_sync.run_keyed(
                self._flows, plan, function, idempotency_key, payload, options
            )
        return value_of(  # type: ignore[no-any-return]  # the function's result
            run_now(
                self._flows.run(
                    service,
                    step_sync(function),
                    tenant=tenant,
                    endpoint=endpoint,
                    idempotency_key=idempotency_key,
                    payload=payload,
                    timeout=timeout,
                    request_id=request_id,
                    subject=subject,
                )
            )
        )

    def perform(
        self,
        service: str,
        operation: Operation[R] | HttpOperation[R],
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        payload: object = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> R:
        """Perform an operation on an external system with a service's protections.

        An operation that is not repeatable is repeated only if it certainly did not happen, or
        under an idempotency key that the foreign system honours.

        Args:
            service: the name of a configured service.
            operation: the operation; its method `perform` is called once for each attempt. The
                request of a `moorage.HttpOperation` is sent once for each attempt.
            tenant: the tenant whose limits, circuit and keys to use.
            endpoint: the endpoint whose settings apply; by default the one with the operation's
                name, if there is one.
            idempotency_key: identifies one effect: a repeat returns a copy of the same result.
            payload: the values that the effect depends on; the same key with another payload is a
                conflict. An HTTP operation has no payload: its request is compared.
            timeout: seconds for the whole call, in place of the service's.
            request_id: correlation id, in place of a new one.
            subject: id of the person whose data it is about, for searches in the log.

        Raises:
            ConnectorError: the call failed; the class of the error states the reason.
        """
        fast_operations, steps = self._operations or self._load_operations()
        flows = self._flows
        if idempotency_key is None:
            plan = steps.fast_plan(self._performed, service, tenant, endpoint, operation)
            if plan is not None:
                if plan.parts:
                    plan = plan.part_at(flows.core.fraction())
                details = (timeout, request_id, subject)
                return fast_operations.perform(flows, plan, operation, details)  # type: ignore[no-any-return]  # the operation's result
        options: dict[str, Any] = {
            "tenant": tenant,
            "endpoint": endpoint,
            "idempotency_key": idempotency_key,
            "timeout": timeout,
            "request_id": request_id,
            "subject": subject,
        }
        if isinstance(operation, steps.HttpOperation):
            exchange = cast("HttpOperation[R]", operation)
            if idempotency_key is None and payload is None:
                plan = steps.fast_exchange_plan(self._direct, service, tenant, endpoint, exchange)
                if plan is not None:
                    if plan.parts:
                        plan = plan.part_at(flows.core.fraction())
                    details = (timeout, request_id, subject)
                    send = fast_operations.exchange
                    return send(flows, self._send, plan, exchange, details)  # type: ignore[no-any-return]  # the operation's result
            return run_now(flows.exchange(service, exchange, payload, options))
        step = steps.operation_sync(operation, flows.core)
        return value_of(  # type: ignore[no-any-return]  # the operation's result
            run_now(flows.run(service, step, payload=payload, operation=operation, **options))
        )

    def protect(
        self, service: str, *, tenant: str | None = None, endpoint: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a synchronous function so that each call of it goes through `run`."""

        def protect_function(function: Callable[P, R]) -> Callable[P, R]:
            _check_step(function)
            if inspect.iscoroutinefunction(function):
                raise ConfigurationError(
                    f"{name_of(function)} is asynchronous, but this manager is synchronous.",
                    path="function",
                    remedy="Use AsyncConnectorManager.",
                )

            @functools.wraps(function)
            def protected_call(*args: P.args, **kwargs: P.kwargs) -> R:
                step = functools.partial(function, *args, **kwargs)
                return self.run(service, step, tenant=tenant, endpoint=endpoint)

            return protected_call

        return protect_function

    def close(self) -> None:
        """Close the connections that this manager opened itself."""
        client = self._wired.end_default_http()
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@with_careful_constructor
@with_arguments_of(ConnectorManager)
class AsyncConnectorManager(_Manager):
    """The asynchronous `ConnectorManager`, with the same methods.

    Safe to share between tasks. Its ports are asynchronous.
    """

    @with_keywords(AsyncManagerOptions, _OPTIONS)
    def __init__(self, services: Iterable[Service], **options: Unpack[AsyncManagerOptions]) -> None:
        self._start(services, async_core, options)

    stream = _streamed_async(CallOperations.stream)
    call_many = async_method(CallOperations.call_many)
    circuit_state = async_method(CallOperations.circuit_state)
    set_circuit = async_method(CallOperations.set_circuit)
    reset_limits = async_method(CallOperations.reset_limits)
    resolve_key = async_method(CallOperations.resolve_key)

    @documented_by(CallOperations.call)
    async def call(  # noqa: D102 - documented by the flow
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
        is_usual = type(request) is Request and type(request.body) is bytes
        if is_usual and (idempotency_key is None or self._keyed):
            try:
                plan = self._direct.get((service, tenant, endpoint))
                if plan is None and endpoint is None and self._routed is not None:
                    plan = self._routed(service, tenant, request)
            except TypeError:  # an invalid name, which the flow refuses
                plan = None
            if plan is not None and plan.parts:
                plan = plan.part_at(self._flows.core.fraction())
            if plan is not None and idempotency_key is None:
                if (
                    timeout is None
                    and request_id is None
                    and subject is None
                    and plan.bulkhead is None
                    and not self._observed
                ):
                    return await fast_path_async.call(self._flows, self._send, plan, request)
                return await fast_path_async.call_tracked(
                    self._flows, self._send, plan, request, (timeout, request_id, subject)
                )
            if plan is not None and idempotency_key is not None and may_send_keyed(plan, request):
                options = (timeout, request_id, subject)
                return await fast_path_async.call_keyed(
                    self._flows, self._send, plan, request, idempotency_key, options
                )
        flow = self._flows.call(
            service,
            request,
            tenant=tenant,
            endpoint=endpoint,
            idempotency_key=idempotency_key,
            timeout=timeout,
            request_id=request_id,
            subject=subject,
        )
        return await flow

    @documented_by(ConnectorManager.run)
    async def run(  # noqa: D102 - documented by its twin
        self,
        service: str,
        function: Callable[[], Awaitable[R]],
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        payload: object = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> R:
        plan = None
        if idempotency_key is None or self._keyed:
            try:
                plan = (
                    self._easy_alone[service]
                    if tenant is None and endpoint is None
                    else self._easy[service, tenant, endpoint]
                )
            except (KeyError, TypeError):  # a new function, or an invalid name
                plan = None
            if plan is not None and plan.parts:
                plan = plan.part_at(self._flows.core.fraction())
            if plan is not None and idempotency_key is None:
                flows = self._flows
                call = identity = None
                if timeout is not None or request_id is not None or subject is not None:
                    call = flows.begin(plan, (timeout, request_id, subject))
                elif self._observed and plan.bulkhead is None:
                    if flows.observes_without_state:
                        identity = flows.begin_observed(plan)
                    else:
                        call = flows.begin_plain(plan)
                if plan.bulkhead is not None:
                    return await fast_path_async.run_in_slot(flows, plan, function, call)
                return await fast_path_async.run(flows, plan, function, call, identity)
        _check_step(function)
        if plan is not None and idempotency_key is not None and plan.bulkhead is None:
            options = (timeout, request_id, subject)
            return await fast_path_async.run_keyed(
                self._flows, plan, function, idempotency_key, payload, options
            )
        return value_of(  # type: ignore[no-any-return]  # the function's result
            await self._flows.run(
                service,
                step_async(function, self._flows.core),
                tenant=tenant,
                endpoint=endpoint,
                idempotency_key=idempotency_key,
                payload=payload,
                timeout=timeout,
                request_id=request_id,
                subject=subject,
            )
        )

    @documented_by(ConnectorManager.perform)
    async def perform(  # noqa: D102 - documented by its twin
        self,
        service: str,
        operation: AsyncOperation[R] | HttpOperation[R],
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        idempotency_key: str | None = None,
        payload: object = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> R:
        fast_operations, steps = self._operations or self._load_operations()
        flows = self._flows
        if idempotency_key is None:
            plan = steps.fast_plan(self._performed, service, tenant, endpoint, operation)
            if plan is not None:
                if plan.parts:
                    plan = plan.part_at(flows.core.fraction())
                details = (timeout, request_id, subject)
                return await fast_operations.perform(flows, plan, operation, details)  # type: ignore[no-any-return]  # the operation's result
        options: dict[str, Any] = {
            "tenant": tenant,
            "endpoint": endpoint,
            "idempotency_key": idempotency_key,
            "timeout": timeout,
            "request_id": request_id,
            "subject": subject,
        }
        if isinstance(operation, steps.HttpOperation):
            exchange = cast("HttpOperation[R]", operation)
            if idempotency_key is None and payload is None:
                plan = steps.fast_exchange_plan(self._direct, service, tenant, endpoint, exchange)
                if plan is not None:
                    if plan.parts:
                        plan = plan.part_at(flows.core.fraction())
                    details = (timeout, request_id, subject)
                    send = fast_operations.exchange
                    return await send(flows, self._send, plan, exchange, details)  # type: ignore[no-any-return]  # the operation's result
            return await flows.exchange(service, exchange, payload, options)
        step = steps.operation_async(operation, flows.core)
        return value_of(  # type: ignore[no-any-return]  # the operation's result
            await flows.run(service, step, payload=payload, operation=operation, **options)
        )

    def protect(
        self, service: str, *, tenant: str | None = None, endpoint: str | None = None
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """Decorate an asynchronous function so that each call of it goes through `run`."""

        def protect_function(
            function: Callable[P, Awaitable[R]],
        ) -> Callable[P, Coroutine[Any, Any, R]]:
            _check_step(function)

            @functools.wraps(function)
            async def protected_call(*args: P.args, **kwargs: P.kwargs) -> R:
                step = functools.partial(function, *args, **kwargs)
                return await self.run(service, step, tenant=tenant, endpoint=endpoint)

            return protected_call

        return protect_function

    async def close(self) -> None:
        """Close the connections that this manager opened itself."""
        client = self._wired.end_default_http()
        if client is not None:
            await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
