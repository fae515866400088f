"""What every part shares: its plan, and a core for each colour, built when first used."""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any

from mooring.domain.plan import Plan
from mooring.errors import ConfigurationError
from mooring.services.call import Call
from mooring.wiring import Ports, awaited_core, both_colours, plain_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mooring.domain.service import Service
    from mooring.ports.chance import Randomness
    from mooring.ports.clock import AsyncSleeper, Clock, Sleeper
    from mooring.ports.observer import Observer
    from mooring.ports.state import AsyncStateStorage, StateStorage
    from mooring.services.core import Core

CENTURY = 100 * 365 * 86_400.0
"""The deadline of what was given none."""


class Part:
    """A service of one protection, and the two cores that can run its flows."""

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
    ) -> None:
        self._plan = Plan(service, None, None)
        plain, later = both_colours(storage, clock)
        shared = {"observers": tuple(observers), "clock": clock, "randomness": randomness}
        self._plain_ports = Ports(state=plain, sleeper=sleeper, **shared)
        self._later_ports = Ports(state=later, sleeper=async_sleeper, **shared)
        self._one_colour = type(storage).__name__ if plain is None or later is None else None

    @functools.cached_property
    def _now(self) -> Core:
        """The core of the synchronous face."""
        if self._plain_ports.state is None:
            raise self._wrong_colour("asynchronous", "plain")
        return plain_core(self._plain_ports).core

    @functools.cached_property
    def _later(self) -> Core:
        """The core of the asynchronous face."""
        if self._later_ports.state is None:
            raise self._wrong_colour("plain", "asynchronous")
        return awaited_core(self._later_ports).core

    def _begin(self, core: Core, timeout: float | None = None) -> Call:
        plan = self._plan
        span = plan.span if timeout is None else int(timeout * 1e9)
        return Call(plan, core.nanoseconds(), span)

    def _wrong_colour(self, given: str, wanted: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._one_colour} is {given}, and this use needs a {wanted} store.",
            path="storage",
            remedy="Give each face a store of its own colour; the one in memory serves both.",
        )


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling `function` gives something to await."""
    if type(function) is FunctionType:
        return bool(function.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object whose call is asynchronous
    )


def refuse_generator(function: Callable[..., Any]) -> None:
    """A generator's body runs after its protection has left, so it is refused."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{function.__qualname__} is a generator: its body would run unprotected.",
            path="function",
            remedy="Protect what happens inside it instead.",
        )
