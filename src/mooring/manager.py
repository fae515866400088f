"""The two faces of a connector manager: the same calls, plain and awaited."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from mooring import calm
from mooring._bridge import (
    awaited,
    blocking,
    documented_by,
    refuse_generator,
    run_now,
    step_later,
    step_now,
)
from mooring.domain.functions import check_callable
from mooring.domain.http import Request
from mooring.domain.names import name_of
from mooring.errors import ConfigurationError
from mooring.services.call import value_of
from mooring.services.calling import Calling
from mooring.streams import AsyncStreamedAnswer, StreamedAnswer
from mooring.wiring.cores import awaited_core, plain_core
from mooring.wiring.ports import Ports
from mooring.wiring.suitable import check_money, check_steps, refuse_awaited
from mooring.wiring.trust import tell_unverified

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from types import TracebackType

    from mooring.domain.http import Response
    from mooring.domain.service import Service
    from mooring.ports.cache import AsyncResponseCache, ResponseCache
    from mooring.ports.chance import Ids, Randomness
    from mooring.ports.cipher import Cipher
    from mooring.ports.clock import AsyncSleeper, Clock, Sleeper
    from mooring.ports.credentials import AsyncCredentialProvider, CredentialProvider
    from mooring.ports.gather import AsyncGather, Gather
    from mooring.ports.http import AsyncHttpClient, HttpClient
    from mooring.ports.integration_log import AsyncIntegrationLogger, IntegrationLogger
    from mooring.ports.locks import AsyncLocks, Locks
    from mooring.ports.observer import Observer
    from mooring.ports.state import AsyncStateStorage, StateStorage

P = ParamSpec("P")
R = TypeVar("R")


def _check_step(function: Callable[..., Any]) -> None:
    check_callable(function, "function")
    refuse_generator(function)


class ConnectorManager:
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
        self._wired = plain_core(self._ports)
        self._flows = Calling(self._wired.core, services)
        self._easy = self._flows.plans.easy
        self._direct = self._flows.plans.direct
        self._send = self._wired.send
        refuse_awaited(self._flows.plans.services.values())
        check_steps(self._flows.plans.services.values(), self._wired.http)
        check_money(self._flows.plans.services.values(), self._wired.claims)
        tell_unverified(self._wired)

    call_many = blocking(Calling.call_many)
    circuit_state = blocking(Calling.circuit_state)
    set_circuit = blocking(Calling.set_circuit)
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
    ) -> Response:
        if (
            idempotency_key is None
            and timeout is None
            and request_id is None
            and type(request) is Request
            and type(request.body) is bytes
        ):
            try:
                plan = self._direct.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return calm.call(self._flows, self._send, plan, request)
        flow = self._flows.call(
            service,
            request,
            tenant=tenant,
            endpoint=endpoint,
            idempotency_key=idempotency_key,
            timeout=timeout,
            request_id=request_id,
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
    ) -> R:
        """Call `function` under the protections of a service.

        Args:
            service: the name of a configured service.
            function: what to protect; it is called once for each attempt.
            tenant: whose limits, circuit and keys to use.
            endpoint: the endpoint whose settings apply.
            idempotency_key: names this one effect: a repeat gets a copy of the same answer.
            payload: what the effect is made of; the same key with another payload is a conflict.
            timeout: seconds for the whole call instead of the service's. A plain function that
                overruns cannot be stopped; no attempt begins after the deadline.
            request_id: a correlation id instead of a new one.

        Raises:
            ConnectorError: what kept the function from being called or its answer from counting.
            Exception: whatever the function's last attempt raised.
        """
        if idempotency_key is None and timeout is None and request_id is None:
            try:
                plan = self._easy.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return calm.run(self._flows, plan, function)
        _check_step(function)
        return value_of(  # type: ignore[no-any-return]  # the function's
            run_now(
                self._flows.run(
                    service,
                    step_now(function),
                    tenant=tenant,
                    endpoint=endpoint,
                    idempotency_key=idempotency_key,
                    payload=payload,
                    timeout=timeout,
                    request_id=request_id,
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

    @property
    def flows(self) -> Calling:
        """What the verbs run, for whoever builds further faces over this manager."""
        return self._flows

    def close(self) -> None:
        """Give back the connections that this manager opened itself."""
        made = self._wired.own_http()
        if made is not None:
            made.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncConnectorManager:
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
        self._wired = awaited_core(self._ports)
        self._flows = Calling(self._wired.core, services)
        check_steps(self._flows.plans.services.values(), self._wired.http)
        check_money(self._flows.plans.services.values(), self._wired.claims)
        tell_unverified(self._wired)
        self._easy = self._flows.plans.easy
        self._direct = self._flows.plans.direct
        self._send = self._wired.send

    call_many = awaited(Calling.call_many)
    circuit_state = awaited(Calling.circuit_state)
    set_circuit = awaited(Calling.set_circuit)
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
    ) -> Response:
        if (
            idempotency_key is None
            and timeout is None
            and request_id is None
            and type(request) is Request
            and type(request.body) is bytes
        ):
            try:
                plan = self._direct.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return await calm.call_async(self._flows, self._send, plan, request)
        flow = self._flows.call(
            service,
            request,
            tenant=tenant,
            endpoint=endpoint,
            idempotency_key=idempotency_key,
            timeout=timeout,
            request_id=request_id,
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
    ) -> R:
        """Call `function` under the protections of a service.

        Args:
            service: the name of a configured service.
            function: what to protect; it is called once for each attempt.
            tenant: whose limits, circuit and keys to use.
            endpoint: the endpoint whose settings apply.
            idempotency_key: names this one effect: a repeat gets a copy of the same answer.
            payload: what the effect is made of; the same key with another payload is a conflict.
            timeout: seconds for the whole call instead of the service's. A plain function that
                overruns cannot be stopped; no attempt begins after the deadline.
            request_id: a correlation id instead of a new one.

        Raises:
            ConnectorError: what kept the function from being called or its answer from counting.
            Exception: whatever the function's last attempt raised.
        """
        if idempotency_key is None and timeout is None and request_id is None:
            try:
                plan = self._easy.get((service, tenant, endpoint))
            except TypeError:  # a name that is none, which the flow refuses
                plan = None
            if plan is not None:
                return await calm.run_async(self._flows, plan, function)
        _check_step(function)
        return value_of(  # type: ignore[no-any-return]  # the function's
            await self._flows.run(
                service,
                step_later(function, self._flows.core),
                tenant=tenant,
                endpoint=endpoint,
                idempotency_key=idempotency_key,
                payload=payload,
                timeout=timeout,
                request_id=request_id,
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

    @property
    def flows(self) -> Calling:
        """What the verbs run, for whoever builds further faces over this manager."""
        return self._flows

    async def close(self) -> None:
        """Give back the connections that this manager opened itself."""
        made = self._wired.own_http()
        if made is not None:
            await made.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
