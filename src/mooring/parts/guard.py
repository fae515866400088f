"""Guards: what is entered before a call and left after it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from mooring._bridge import not_awaitable, refuse_awaitable
from mooring.parts.base import Part, is_async, refuse_generator

if TYPE_CHECKING:
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Guard(Part, Generic[T]):
    """A part that is a call, a decorator, and by `guard()` the body of a `with`.

    Entering begins with `_ticket`, which no interruption can come before or between: whatever is
    taken afterwards is found through it, and given back by `_leave`, which never waits.
    """

    def _ticket(self) -> T:
        raise NotImplementedError

    def _enter(self, ticket: T) -> None:
        raise NotImplementedError

    async def _enter_later(self, ticket: T) -> None:
        raise NotImplementedError

    def _leave(self, ticket: T, error: BaseException | None) -> None:
        raise NotImplementedError

    def guard(self) -> Entry[T]:
        """One entry, for `with` or `async with`; a fresh one each time."""
        return Entry(self)

    @overload
    def call(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call `function` once inside the guard."""
        if is_async(function):
            return self._call_later(function, *args, **kwargs)
        ticket = self._ticket()
        try:
            self._enter(ticket)
            value = function(*args, **kwargs)
            if value is not None and hasattr(value, "__await__"):
                refuse_awaitable(value)
        except BaseException as error:
            self._leave(ticket, error)
            raise
        self._leave(ticket, None)
        return value

    async def _call_later(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        ticket = self._ticket()
        try:
            await self._enter_later(ticket)
            pending = function(*args, **kwargs)
            if not hasattr(pending, "__await__"):
                raise not_awaitable(function)
            value = await pending
        except BaseException as error:
            self._leave(ticket, error)
            raise
        self._leave(ticket, None)
        return value

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Decorate `function` so that every call of it goes through the guard."""
        refuse_generator(function)
        if is_async(function):

            @functools.wraps(function)
            async def later(*args: Any, **kwargs: Any) -> Any:
                return await self._call_later(function, *args, **kwargs)

            return later

        @functools.wraps(function)
        def now(*args: Any, **kwargs: Any) -> Any:
            return self.call(function, *args, **kwargs)

        return now


class Entry(Generic[T]):
    """One entry of one guard: never shared, so that a guard may be."""

    __slots__ = ("_guard", "_ticket")

    def __init__(self, guard: Guard[T]) -> None:
        self._guard = guard
        self._ticket = guard._ticket()  # noqa: SLF001 - an entry is the guard's own

    def __enter__(self) -> None:
        try:
            self._guard._enter(self._ticket)  # noqa: SLF001 - as above
        except BaseException as error:
            self._guard._leave(self._ticket, error)  # noqa: SLF001 - as above
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._guard._leave(self._ticket, error)  # noqa: SLF001 - as above

    async def __aenter__(self) -> None:
        try:
            await self._guard._enter_later(self._ticket)  # noqa: SLF001 - as above
        except BaseException as error:
            self._guard._leave(self._ticket, error)  # noqa: SLF001 - as above
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._guard._leave(self._ticket, error)  # noqa: SLF001 - as above
