"""The base class of parts, which run their protections synchronously or asynchronously."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from moorage.domain.service.plan import Plan
from moorage.domain.values.durations import seconds
from moorage.domain.values.functions import check_callable
from moorage.domain.values.shared_property import shared_property
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError
from moorage.runtime.flows import is_async
from moorage.services.calling.call import Call
from moorage.services.calling.plans import admission_function
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.ports import Ports, check_sync_or_async, check_verb
from moorage.wiring.stores import sync_and_async_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from moorage.domain.service.plan import Ask
    from moorage.domain.service.settings import Service
    from moorage.domain.state.commands import Command
    from moorage.ports.chance import Randomness
    from moorage.ports.cipher import Cipher
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.locks import AsyncLocks, Locks
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
    from moorage.services.core.core import Core

Answer = TypeVar("Answer")

CENTURY = 100 * 365 * 86_400.0
"""The deadline of what was given none."""


class Execute(Protocol):
    """The type of functions that run a command in a store, such as `StateStorage.execute`."""

    def __call__(self, command: Command[Answer], timeout: float | None, /) -> Answer:
        """Run one command in the store, and return the command's result."""
        ...


class Part(Uncopyable):
    """The base class of parts; a part applies one protection of a service."""

    def __init__(
        self,
        service: Service,
        *,
        storage: StateStorage | AsyncStateStorage | None = None,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
        async_sleeper: AsyncSleeper | None = None,
        randomness: Randomness | None = None,
        locks: Locks | None = None,
        async_locks: AsyncLocks | None = None,
        cipher: Cipher | None = None,
    ) -> None:
        self._plan = Plan(service, None, None)
        if clock is not None:
            for verb in ("nanoseconds", "utc"):
                check_verb(clock, "clock", verb)
        sync_store, async_store = sync_and_async_store(storage, clock)
        shared_ports = Ports(observers=observers, clock=clock, randomness=randomness, cipher=cipher)
        self._sync_ports = attrs.evolve(
            shared_ports, state=sync_store, sleeper=sleeper, locks=locks
        )
        self._async_ports = attrs.evolve(
            shared_ports, state=async_store, sleeper=async_sleeper, locks=async_locks
        )
        self._storage = type(storage).__name__
        check_sync_or_async(self._sync_ports, is_async=False)
        check_sync_or_async(self._async_ports, is_async=True)

    @shared_property
    def _sync_core(self) -> Core:
        """The clock, store and other ports with which this part runs synchronously."""
        return sync_core(self._ports_with_store(self._sync_ports, "a synchronous")).core

    @shared_property
    def _async_core(self) -> Core:
        """The clock, store and other ports with which this part runs asynchronously."""
        return async_core(self._ports_with_store(self._async_ports, "an asynchronous")).core

    @functools.cached_property
    def _execute(self) -> Execute:
        """The function that runs a command in the synchronous store and returns its result."""
        return self._sync_core.ask  # type: ignore[return-value]  # a synchronous core has it

    @functools.cached_property
    def _ask(self) -> Ask:
        """The function that asks the synchronous store to admit a call by this part's rules."""
        return admission_function(self._plan.question, self._sync_core)  # type: ignore[return-value]  # a synchronous core has one

    @functools.cached_property
    def _ask_later(self) -> Ask | None:
        """The function that requests admission; None if the store is asynchronous.

        The admission has the rules of this part's plan.
        """
        return admission_function(self._plan.question, self._async_core)

    def _new_call(
        self, core: Core, timeout: float | timedelta | None = None, start_time: int | None = None
    ) -> Call:
        plan = self._plan
        span = plan.span if timeout is None else int(seconds(timeout, "timeout", zero=True) * 1e9)
        return Call(plan, core.nanoseconds() if start_time is None else start_time, span)

    def _store_timeout(self, timeout: float | timedelta | None) -> float | None:
        """Return the time limit of a store in seconds; a timeout of 0 sets no limit."""
        if timeout is None:
            return self._plan.seconds
        return seconds(timeout, "timeout", zero=True) or None

    def _ports_with_store(self, ports: Ports, expected: str) -> Ports:
        if ports.state is None:
            raise ConfigurationError(
                f"{self._storage} cannot be used here: this call needs {expected} store.",
                path="storage",
                remedy="Use synchronous calls with a synchronous store, and asynchronous"
                " calls with an asynchronous store. The store in memory supports both.",
            )
        return ports


def decorate_function(
    function: Callable[..., Any],
    call: Callable[..., Any],
    call_later: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Return a function that passes every call of `function` to `call`.

    Calls of an asynchronous function are passed to `call_later`, if it is not None.
    """
    check_callable(function, "function")
    if is_async(function):
        through_function = call if call_later is None else call_later

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await through_function(function, *args, **kwargs)

        return call_async

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> Any:
        return call(function, *args, **kwargs)

    return now
