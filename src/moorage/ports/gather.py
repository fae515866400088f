"""Doing several things at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Item = TypeVar("Item")


class Gather(Protocol):
    """Runs several steps at once, and outlives none of them longer than it must.

    `every` runs all steps, at most `at_once` at a time, and returns their results in order; a step
    does not raise. `first` starts the first step and, each time `stagger` seconds pass or all that
    were started have answered without being `good`, the next; it returns the first good result, or
    the last one if none is good. Steps that lost are cancelled where that is possible, and
    otherwise left to end by themselves.
    """

    def every(self, steps: Sequence[Callable[[], Item]], /, *, at_once: int) -> list[Item]: ...

    def first(
        self,
        steps: Sequence[Callable[[], Item]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item: ...


class AsyncGather(Protocol):
    """As `Gather`, with steps that are awaited; being cancelled cancels every step."""

    async def every(
        self, steps: Sequence[Callable[[], Awaitable[Item]]], /, *, at_once: int
    ) -> list[Item]: ...

    async def first(
        self,
        steps: Sequence[Callable[[], Awaitable[Item]]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item: ...
