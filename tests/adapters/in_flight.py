"""Helpers for tasks that are cancelled while a store executes their command."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from moorage import RateLimitConfig
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.values.durations import SECOND
from moorage.testing.kits._state_commands import new_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.resilience.rate_limit import Rule
    from moorage.ports.state import AsyncStateStorage

LIMIT: Final = RateLimitConfig.per_second(1)


class CustomRule:
    """A rate limit rule of a class that the stores do not know, wrapped around a real rule."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)


async def waits_of_the_next(
    store: AsyncStateStorage, iterations: Iterable[int], rule: Rule = LIMIT.rule
) -> list[int]:
    """Return how long the next caller waits at a limit of one call a second, in microseconds.

    Each wait is measured after one granted call and one waiting caller that was cancelled after a
    number of event loop turns. Cancellations that came too late are left out.
    """
    wait_counts = []
    for count in iterations:
        gates = Gates(limits=[rule], limit_keys=[new_key()])
        question = Admission(gates, within=10 * SECOND, lease=1)
        await store.execute(question)
        task = asyncio.ensure_future(store.execute(question))
        for _ in range(count):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        while other_tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(other_tasks)
        wait = (await store.execute(question))[1]
        if task.cancelled():
            wait_counts.append(wait)
    return wait_counts
