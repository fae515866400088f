"""Running several steps concurrently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Item = TypeVar("Item")


class Gather(Protocol):
    """Runs several steps concurrently, and stops once the results it needs have arrived.

    `run_all` runs all steps, at most `at_once` at a time, and returns their results in order; a
    step does not raise. `first` starts the first step, and another one whenever `stagger` seconds
    pass or no started step is still running; it returns the first result that is `good`, or the
    last result if none is. Other steps are cancelled if possible, and otherwise left to end by
    themselves.
    """

    def run_all(self, steps: Sequence[Callable[[], Item]], /, *, at_once: int) -> list[Item]: ...

    def first(
        self,
        steps: Sequence[Callable[[], Item]],
        /,
        *,
        stagger: float,
        good: Callable[[Item], bool],
    ) -> Item: ...


class AsyncGather(Protocol):
    """Runs several steps concurrently; if it is cancelled, it cancels every step."""

    async def run_all(
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
