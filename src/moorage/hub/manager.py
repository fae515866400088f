"""The two faces of a connector manager: the same calls, plain and awaited."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from moorage.domain.http.requests import Request
from moorage.domain.secrets.frames import careful
from moorage.domain.values.functions import check_callable
from moorage.domain.values.names import name_of
from moorage.errors import ConfigurationError
from moorage.hub.streams import AsyncStreamedAnswer, StreamedAnswer
from moorage.runtime import fast_path
from moorage.runtime.bridge import (
    awaited,
    blocking,
    documented_by,
    refuse_generator,
    run_now,
    step_async,
    step_sync,
)
from moorage.services.calling.call import value_of
from moorage.services.calling.steps import Calling
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.ports import Ports
from moorage.wiring.service_checks import (
    check_money,
    check_steps,
    check_tls,
    refuse_async_functions,
)
from moorage.wiring.tls_report import report_unverified_tls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
    from types import TracebackType

    from moorage.domain.http.requests import Response
    from moorage.domain.service.settings import Service
    from moorage.ports.cache import AsyncResponseCache, ResponseCache
    from moorage.ports.chance import Ids, Randomness
    from moorage.ports.cipher import Cipher
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider
    from moorage.ports.gather import AsyncGather, Gather
    from moorage.ports.http import AsyncHttpClient, HttpClient
    from moorage.ports.integration_log import AsyncIntegrationLogger, IntegrationLogger
    from moorage.ports.locks import AsyncLocks, Locks
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
    from moorage.services.environment_guard import EnvironmentGuard
    from moorage.wiring.core_assembly import WiredCore

P = ParamSpec("P")
R = TypeVar("R")


def _check_step(function: Callable[..., Any]) -> None:
    check_callable(function, "function")
    refuse_generator(function)


class _Manager:
    """What both colours share: the services that are called now."""

    _wired: WiredCore
    _flows: Calling
    _environment_guard: EnvironmentGuard | None = None

    def use_environment_guard(self, guard: EnvironmentGuard) -> None:
        """Have it let out the calls of flows that are prepared from now on.

        Args:
            guard: knows whether they may leave.
        """
        self._environment_guard = guard

    def reload(self, services: Iterable[Service]) -> None:
        """Call these services from now on, in place of those before.

        What is under way ends as it began. Circuits, limits, budgets, keys, caches and connections
        go on: a service keeps what it knows as long as it keeps its name.

        Raises:
            ConfigurationError: one of them is wrong, and nothing has changed.
        """
        self.use(self.prepared(services), dry_run=self._flows.rehearses)

    def prepared(
        self,
        services: Iterable[Service],
        *,
        credentials: Any = None,
        places: Mapping[str, str] | None = None,
    ) -> Calling:
        """Flows over other services, checked and not in use yet, for whoever builds faces.

        Args:
            services: everything that may be called.
            credentials: knows their credentials; whoever the manager was given, by default.
            places: where they stand in a configuration, by name, if they do.
        """
        wired, places = self._wired, places or {}
        core = wired.core if credentials is None else wired.with_credentials(credentials)
        flows = Calling(core, services)
        flows.plans.environment_guard = self._environment_guard
        all_services = flows.plans.services.values()
        if not wired.waits:
            refuse_async_functions(all_services, places)
        check_steps(all_services, wired.http, places)
        check_money(all_services, wired.claims, places)
        check_tls(all_services, places)
        return flows

    def use(self, flows: Calling, *, dry_run: bool = False) -> None:
        """Have every call from now on made by these flows, which were prepared here.

        Args:
            flows: they.
            dry_run: whether they send nothing that brings something about.
        """
        flows = flows.rehearsing() if dry_run else flows
        self._easy = flows.plans.easy
        self._direct = {} if dry_run else flows.plans.direct
        self._flows = flows

    @property
    def flows(self) -> Calling:
        """What the verbs run now, for whoever builds further faces over this manager."""
        return self._flows


@careful
class ConnectorManager(_Manager):
    """Calls services through their protections.

    Safe to share between threads. Every port that is not given has an embedded default; `state`
    decides who shares circuits, limits and keys: by default this manager alone.

    Args:
        services: everything that may be called.
        http: sends requests.
        state: holds circuits, limits, budgets and idempotency keys.
        claims: holds the idempotency keys instead, if they need more care than the rest.
        cache: keeps answers of services that have a cache policy.
        credentials: knows the credentials of services that ask for them.
        cipher: seals the answers that are stored for idempotency keys.
        log: keeps an entry for every call.
        observers: are handed every event.
        clock, sleeper, ids, randomness, locks, gather: the remaining ports.
        dry_run: whether nothing is sent that brings something about: no request whose method is
            not safe, and nothing under an idempotency key. `DryRun` says what it would have been.
    """

    def __init__(
        self,
        services: Iterable[Service],
        *,
        http: HttpClient | None = None,
        state: StateStorage | None = None,
        claims: StateStorage | None = None,
        cache: ResponseCache | None = None,
        credentials: CredentialProvider | None = None,
        cipher: Cipher | None = None,
        log: IntegrationLogger | None = None,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
        ids: Ids | None = None,
        randomness: Randomness | None = None,
        locks: Locks | None = None,
        gather: Gather | None = None,
        dry_run: bool = False,
    ) -> None:
        self._ports = Ports(
            http=http,
            state=state,
            claims=claims,
            cache=cache,
            credentials=credentials,
            cipher=cipher,
            log=log,
            observers=observers,
            clock=clock,
            sleeper=sleeper,
            ids=ids,
            randomness=randomness,
            locks=locks,
            gather=gather,
        )
        self._wired = sync_core(self._ports)
        self._send = self._wired.send
        self.use(self.prepared(services), dry_run=dry_run)
        report_unverified_tls(self._wired)

    call_many = blocking(Calling.call_many)
    circuit_state = blocking(Calling.circuit_state)
    set_circuit = blocking(Calling.set_circuit)
    reset_limits = blocking(Calling.reset_limits)
    resolve_key = blocking(Calling.resolve_key)

    @documented_by(Calling.call)
    def call(  # noqa: D102 - the flow's
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
        if (
            idempotency_key is None
            and timeout is None
            and request_id is None
            and subject is None
            and type(request) is Request
            and type(request.body) is bytes
        ):
            try:
                plan = self._direct.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return fast_path.call(self._flows, self._send, plan, request)
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

    def stream(
        self,
        service: str,
        request: Request,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        subject: str | None = None,
    ) -> StreamedAnswer:
        """Send a request and return as soon as the answer's headers are there.

        Use it as a context manager and iterate over it for the pieces of the body. The deadline
        covers the body; leaving early is neutral for the circuit.
        """
        return StreamedAnswer(
            run_now(
                self._flows.stream(
                    service,
                    request,
                    tenant=tenant,
                    endpoint=endpoint,
                    timeout=timeout,
                    request_id=request_id,
                    subject=subject,
                )
            )
        )

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
        """Call `function` under the protections of a service.

        Args:
            service: the name of a configured service.
            function: what to protect; it is called once for each attempt.
            tenant: whose limits, circuit and keys to use.
            endpoint: the endpoint whose settings apply.
            idempotency_key: names this one effect: a repeat gets a copy of the same answer.
            payload: what the effect is made of; the same key with another payload is a conflict.
            timeout: seconds for the whole call instead of the service's. An asynchronous function
                that overruns is cancelled, a plain one cannot be stopped; no attempt begins after
                the deadline.
            request_id: a correlation id instead of a new one.
            subject: whose data it is about, for whoever looks for it in the log.

        Raises:
            ConnectorError: what kept the function from being called or its answer from counting.
            Exception: whatever the function's last attempt raised.
        """
        if idempotency_key is None and timeout is None and request_id is None and subject is None:
            try:
                plan = self._easy.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return fast_path.run(self._flows, plan, function)
        _check_step(function)
        return value_of(  # type: ignore[no-any-return]  # the function's
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

    def protect(
        self, service: str, *, tenant: str | None = None, endpoint: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a plain function so that every call of it goes through `run`."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            _check_step(function)
            if inspect.iscoroutinefunction(function):
                raise ConfigurationError(
                    f"{name_of(function)} is asynchronous, and this manager is not.",
                    path="function",
                    remedy="Use AsyncConnectorManager.",
                )

            @functools.wraps(function)
            def protected(*args: P.args, **kwargs: P.kwargs) -> R:
                step = functools.partial(function, *args, **kwargs)
                return self.run(service, step, tenant=tenant, endpoint=endpoint)

            return protected

        return decorate

    def close(self) -> None:
        """Give back the connections that this manager opened itself."""
        client = self._wired.default_http()
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


@careful
class AsyncConnectorManager(_Manager):
    """Calls services through their protections; awaited, and otherwise as `ConnectorManager`.

    Safe to share between tasks. Its ports are the asynchronous ones.

    Args:
        services: everything that may be called.
        http: sends requests.
        state: holds circuits, limits, budgets and idempotency keys.
        claims: holds the idempotency keys instead, if they need more care than the rest.
        cache: keeps answers of services that have a cache policy.
        credentials: knows the credentials of services that ask for them.
        cipher: seals the answers that are stored for idempotency keys.
        log: keeps an entry for every call.
        observers: are handed every event.
        clock, sleeper, ids, randomness, locks, gather: the remaining ports.
        dry_run: whether nothing is sent that brings something about: no request whose method is
            not safe, and nothing under an idempotency key. `DryRun` says what it would have been.
    """

    def __init__(
        self,
        services: Iterable[Service],
        *,
        http: AsyncHttpClient | None = None,
        state: AsyncStateStorage | None = None,
        claims: AsyncStateStorage | None = None,
        cache: AsyncResponseCache | None = None,
        credentials: AsyncCredentialProvider | None = None,
        cipher: Cipher | None = None,
        log: AsyncIntegrationLogger | None = None,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: AsyncSleeper | None = None,
        ids: Ids | None = None,
        randomness: Randomness | None = None,
        locks: AsyncLocks | None = None,
        gather: AsyncGather | None = None,
        dry_run: bool = False,
    ) -> None:
        self._ports = Ports(
            http=http,
            state=state,
            claims=claims,
            cache=cache,
            credentials=credentials,
            cipher=cipher,
            log=log,
            observers=observers,
            clock=clock,
            sleeper=sleeper,
            ids=ids,
            randomness=randomness,
            locks=locks,
            gather=gather,
        )
        self._wired = async_core(self._ports)
        self._send = self._wired.send
        self.use(self.prepared(services), dry_run=dry_run)
        report_unverified_tls(self._wired)

    call_many = awaited(Calling.call_many)
    circuit_state = awaited(Calling.circuit_state)
    set_circuit = awaited(Calling.set_circuit)
    reset_limits = awaited(Calling.reset_limits)
    resolve_key = awaited(Calling.resolve_key)

    @documented_by(Calling.call)
    async def call(  # noqa: D102 - the flow's
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
        if (
            idempotency_key is None
            and timeout is None
            and request_id is None
            and subject is None
            and type(request) is Request
            and type(request.body) is bytes
        ):
            try:
                plan = self._direct.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return await fast_path.call_async(self._flows, self._send, plan, request)
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
    ) -> AsyncStreamedAnswer:
        """Send a request and return as soon as the answer's headers are there.

        Use it as a context manager and iterate over it for the pieces of the body. The deadline
        covers the body; leaving early is neutral for the circuit.
        """
        return AsyncStreamedAnswer(
            await self._flows.stream(
                service,
                request,
                tenant=tenant,
                endpoint=endpoint,
                timeout=timeout,
                request_id=request_id,
                subject=subject,
            )
        )

    async def run(
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
        """Call `function` under the protections of a service.

        Args:
            service: the name of a configured service.
            function: what to protect; it is called once for each attempt.
            tenant: whose limits, circuit and keys to use.
            endpoint: the endpoint whose settings apply.
            idempotency_key: names this one effect: a repeat gets a copy of the same answer.
            payload: what the effect is made of; the same key with another payload is a conflict.
            timeout: seconds for the whole call instead of the service's. An asynchronous function
                that overruns is cancelled, a plain one cannot be stopped; no attempt begins after
                the deadline.
            request_id: a correlation id instead of a new one.
            subject: whose data it is about, for whoever looks for it in the log.

        Raises:
            ConnectorError: what kept the function from being called or its answer from counting.
            Exception: whatever the function's last attempt raised.
        """
        if idempotency_key is None and timeout is None and request_id is None and subject is None:
            try:
                plan = self._easy.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return await fast_path.run_async(self._flows, plan, function)
        _check_step(function)
        return value_of(  # type: ignore[no-any-return]  # the function's
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

    def protect(
        self, service: str, *, tenant: str | None = None, endpoint: str | None = None
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """Decorate an asynchronous function so that every call of it goes through `run`."""

        def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
            _check_step(function)

            @functools.wraps(function)
            async def protected(*args: P.args, **kwargs: P.kwargs) -> R:
                step = functools.partial(function, *args, **kwargs)
                return await self.run(service, step, tenant=tenant, endpoint=endpoint)

            return protected

        return decorate

    async def close(self) -> None:
        """Give back the connections that this manager opened itself."""
        client = self._wired.default_http()
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
