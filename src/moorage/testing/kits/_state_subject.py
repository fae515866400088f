"""A store under test, sync or async, with many concurrent callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.values.durations import SECOND
from moorage.runtime.flows import as_async, run_now
from moorage.testing.kits._state_commands import is_tuple, new_key, read_command
from moorage.testing.kits.checks import run_concurrently

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.state.commands import Command, State

Flow: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

SHORT: Final = SECOND // 5
"""Microseconds after which states expire that a check lets expire."""


class Subject:
    """A state store under test, with a function that advances its time.

    Its methods are coroutines; the functions of a synchronous store never suspend.
    """

    def __init__(self, made: Any, *, is_async: bool) -> None:
        store: Any
        self.pass_time: Callable[[float], None]
        store, self.pass_time = made if is_tuple(made) else (made, sleep)  # type: ignore[assignment]  # as the factory promises
        self.post: Callable[[Command[Any]], None] = store.post
        self.execute: Callable[..., Coroutine[Any, Any, Any]]
        self.execute = store.execute if is_async else as_async(store.execute)
        self.claims_only: bool = getattr(store, "claims_only", False)
        self._is_async = is_async

    async def read(self, key: str) -> State | None:
        """Return a key's state in the store."""
        _, (state,) = await self.execute(read_command(key))
        return state  # type: ignore[no-any-return]  # as it was written

    async def now(self) -> int:
        """Return the store's current time."""
        now, _ = await self.execute(read_command(new_key()))
        return now  # type: ignore[no-any-return]  # or the check of time fails

    async def together(self, flows: Sequence[Flow]) -> None:
        """Run coroutine functions concurrently, each in a task or a thread."""
        if self._is_async:
            await asyncio.gather(*(flow() for flow in flows))
        else:
            run_concurrently(
                [partial(_run_flow, flow) for flow in flows], "A command never returned."
            )

    async def yield_to_tasks(self) -> None:
        """Yield to other tasks of the event loop."""
        if self._is_async:
            await asyncio.sleep(0)


def _run_flow(flow: Flow) -> None:
    run_now(flow())


Stores: TypeAlias = Callable[..., Subject]
"""Returns the store under test; a check of the limit passes the number of states that the store may
hold.
"""
