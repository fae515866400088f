"""The two faces of a connector manager: the same calls, plain and awaited."""

from __future__ import annotations

import functools
import inspect
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

from mooring._bridge import (
    awaited,
    blocking,
    can_be_awaited,
    not_awaitable,
    refuse_awaitable,
    refuse_generator,
    run_now,
    step_later,
    step_now,
)
from mooring.domain.functions import check_callable, not_callable
from mooring.domain.names import name_of
from mooring.errors import ConfigurationError, ConnectorError
from mooring.services.call import value_of
from mooring.services.calling import Calling
from mooring.streams import AsyncStreamedAnswer, StreamedAnswer
from mooring.wiring import Ports, awaited_core, plain_core

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from types import TracebackType

    from mooring.domain.http import Request
    from mooring.domain.plan import Plan
    from mooring.domain.service import Endpoint, Service
    from mooring.ports.chance import Ids, Randomness
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

_GENERATORS: Final = frozenset({GeneratorType, AsyncGeneratorType})


def _told(error: Exception, function: object) -> Exception:
    return error if callable(function) else not_callable(function, "function")


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
        credentials: knows the credentials of services that ask for them.
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
        credentials: CredentialProvider | None = None,
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
            credentials=credentials,
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
        refuse_awaited(self._flows.plans.services.values())

    call = blocking(Calling.call)
    call_many = blocking(Calling.call_many)
    circuit_state = blocking(Calling.circuit_state)
    set_circuit = blocking(Calling.set_circuit)
    resolve_key = blocking(Calling.resolve_key)

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
                return self._run_easily(plan, function)
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

    def _run_easily(self, plan: Plan, function: Callable[[], R]) -> R:
        """The calm case with no coroutine: the flow takes over as soon as something is not calm."""
        flows = self._flows
        core = flows.core
        began = core.nanoseconds()
        permit = None
        if plan.admission is not None:
            try:
                admitted = core.ask(plan.admission)  # type: ignore[misc]  # an easy plan's has it
            except ConnectorError as error:
                flows.sign(plan, began, error)
                raise
            if admitted[0] or admitted[1]:
                asked = [admitted]
                try:
                    step = step_now(function)
                    return value_of(run_now(flows.go_on(plan, began, asked, step)))  # type: ignore[no-any-return]  # the function's
                except BaseException:
                    flows.hand_back(plan, asked)
                    raise
            permit = admitted[2]
        try:
            value = function()
            if type(value) in _GENERATORS:
                refuse_generator(function)
            return value if value is None else refuse_awaitable(value)
        except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
            step = step_now(function)
            ending = run_now(flows.follow(plan, began, permit, _told(error, function), step))
        except BaseException:
            flows.give_back(plan, permit)
            raise
        try:
            return value_of(ending)  # type: ignore[no-any-return]  # the function's
        finally:
            # Else the traceback holds this frame, and the frame the error.
            del ending

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
        credentials: knows the credentials of services that ask for them.
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
        credentials: AsyncCredentialProvider | None = None,
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
            credentials=credentials,
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
        self._easy = self._flows.plans.easy

    call = awaited(Calling.call)
    call_many = awaited(Calling.call_many)
    circuit_state = awaited(Calling.circuit_state)
    set_circuit = awaited(Calling.set_circuit)
    resolve_key = awaited(Calling.resolve_key)

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
                return await self._run_easily(plan, function)
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

    async def _run_easily(self, plan: Plan, function: Callable[[], Awaitable[R]]) -> R:
        """The calm case at once: the flow takes over as soon as something is not calm."""
        flows = self._flows
        core = flows.core
        began = core.nanoseconds()
        permit = None
        if plan.admission is not None:
            try:
                admitted = core.ask(plan.admission)  # type: ignore[misc]  # an easy plan's has it
            except ConnectorError as error:
                flows.sign(plan, began, error)
                raise
            if admitted[0] or admitted[1]:
                asked = [admitted]
                try:
                    step = step_later(function)
                    return value_of(await flows.go_on(plan, began, asked, step))  # type: ignore[no-any-return]  # the function's
                except BaseException:
                    flows.hand_back(plan, asked)
                    raise
            permit = admitted[2]
        try:
            pending = function()
            if not can_be_awaited(pending):
                refuse_generator(function)
                raise not_awaitable(function)  # noqa: TRY301 - as if it had raised it itself
            return await pending
        except Exception as error:  # noqa: BLE001 - the flow decides what becomes of it
            ending = await flows.follow(
                plan, began, permit, _told(error, function), step_later(function)
            )
        except BaseException:
            flows.give_back(plan, permit)
            raise
        try:
            return value_of(ending)  # type: ignore[no-any-return]  # the function's
        finally:
            # Else the traceback holds this frame, and the frame the error.
            del ending

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


def refuse_awaited(services: Iterable[Service]) -> None:
    """A transform or a fallback that must be awaited cannot run on the synchronous face."""
    for service in services:
        owners: tuple[Service | Endpoint, ...] = (service, *service.endpoints)
        for owner in owners:
            given: dict[str, tuple[Any, ...]] = {
                "request_transforms": owner.request_transforms,
                "response_transforms": owner.response_transforms,
                "fallback": (owner.fallback,),
            }
            for kind, functions in given.items():
                for function in functions:
                    if inspect.iscoroutinefunction(function):
                        raise ConfigurationError(
                            f"{name_of(function)} is asynchronous, and this manager is not.",
                            path=f"services.{service.name}.{kind}",
                            remedy="Give a plain function, or use AsyncConnectorManager.",
                        )
