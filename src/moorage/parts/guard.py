"""Guards: parts that a program enters before a call and leaves after it.

Laws:

1. Every permit and slot that an entry takes is recorded in its ticket, which exists before they are
   taken.
2. `_leave` gives back everything in the ticket. `_leave` never waits, and a second call does
   nothing.
3. So `_leave` is called again if an interruption may have stopped it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import CO_COROUTINE
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from moorage.domain.values.functions import not_callable_error
from moorage.errors import ConfigurationError
from moorage.parts.base import Part, decorate_function
from moorage.runtime.flows import (
    NOT_PLAIN,
    can_be_awaited,
    is_async,
    not_awaitable_error,
    refuse_awaitable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Guard(Part, ABC, Generic[T]):
    """A part that protects calls, decorated functions and `with` blocks."""

    @abstractmethod
    def _ticket(self) -> T:
        """Return an empty record of the permits and slots that an entry will take."""

    @abstractmethod
    def _enter(self, ticket: T, /) -> None:
        """Take the permits and slots for an entry, or raise the error that refuses the entry."""

    @abstractmethod
    async def _enter_later(self, ticket: T, /) -> None:
        """Take the permits and slots that an entry needs; asynchronous."""

    @abstractmethod
    def _leave(self, ticket: T, error: BaseException | None, /) -> None:
        """Give back the permits and slots of an entry, and record how the call ended."""

    def guard(self) -> Entry[T]:
        """Return a new entry of this guard, for one `with` or `async with` block."""
        return Entry(self._ticket(), self._enter, self._enter_later, self._leave)

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` once under the protection of the guard."""
        if (
            type(function) is FunctionType
            and function.__code__.co_flags & NOT_PLAIN == CO_COROUTINE
        ):
            # A faster form of the check `is_async` below.
            return self._call_later(function, *args, **kwargs)  # type: ignore[return-value]  # R is the coroutine
        if not callable(function):
            raise not_callable_error(function, "function")
        if is_async(function):
            return self._call_later(function, *args, **kwargs)  # type: ignore[return-value]  # R is the coroutine
        ticket = self._ticket()
        # Called twice, because an interruption may have stopped the first call (law 3).
        try:
            try:
                self._enter(ticket)
                value = function(*args, **kwargs)
                if value is not None and hasattr(type(value), "__await__"):
                    refuse_awaitable(value)
            except BaseException as error:
                self._leave(ticket, error)
                raise
            self._leave(ticket, None)
        except BaseException as error:
            self._leave(ticket, error)
            raise
        return value

    async def _call_later(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        ticket = self._ticket()
        # Called twice, as in `call`.
        try:
            try:
                await self._enter_later(ticket)
                awaitable = function(*args, **kwargs)
                if not can_be_awaited(awaitable):
                    raise not_awaitable_error(function)  # noqa: TRY301 - handled like any other error
                value = await awaitable
            except BaseException as error:
                self._leave(ticket, error)
                raise
            self._leave(ticket, None)
        except BaseException as error:
            self._leave(ticket, error)
            raise
        return value

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Decorate `function` so that each call of it passes through the guard."""
        return decorate_function(function, self.call, self._call_later)


class Entry(Generic[T]):
    """One use of a guard in one `with` block; several uses may share the guard."""

    def __init__(
        self,
        ticket: T,
        enter: Callable[[T], None],
        enter_later: Callable[[T], Coroutine[Any, Any, None]],
        leave: Callable[[T, BaseException | None], None],
    ) -> None:
        self._ticket = ticket
        self._enter = enter
        self._enter_later = enter_later
        self._leave = leave

    def _begin(self) -> None:
        self.__class__ = _EnteredEntry  # pyright: ignore[reportAttributeAccessIssue]  # a subclass without attributes of its own

    def _end(self, error: BaseException | None) -> None:
        self._leave(self._ticket, error)
        self.__class__ = _IdleEntry  # pyright: ignore[reportAttributeAccessIssue]  # a subclass without attributes of its own

    def __enter__(self) -> None:
        self._begin()
        try:
            self._enter(self._ticket)
        except BaseException as error:
            self._end(error)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)

    async def __aenter__(self) -> None:
        self._begin()
        try:
            await self._enter_later(self._ticket)
        except BaseException as error:
            self._end(error)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)


class _UsedEntry(Entry[T]):
    def _begin(self) -> None:
        raise ConfigurationError(
            "The entry was already used, but an entry can be used for only one `with` block.",
            path="guard",
            remedy="Call `guard()` for each `with`.",
        )


class _EnteredEntry(_UsedEntry[T]):
    """An entry whose `with` block is running.

    Only this class has a finaliser, because Python swallows an interruption that occurs in one.
    """

    def __del__(self) -> None:
        # An interruption arrived before the first line of `__exit__`, or during its last line.
        self._leave(self._ticket, GeneratorExit())


class _IdleEntry(_UsedEntry[T]):
    """An entry whose `with` block is not running."""
