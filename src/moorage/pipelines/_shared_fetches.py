"""A cache of values; concurrent tasks that need a value share one fetch.

Laws:

1. While a key is being fetched, no other fetch of this key begins.
2. A temporary failure is not kept: the next task fetches again. Any other failure is kept for a
   limited time.
3. Cancelling one task does not affect the others, which still get the value.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from copy import copy
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

V = TypeVar("V")


@attrs.define(eq=False)
class _Fetch(Generic[V]):
    """The fetching of one value, in progress or ended.

    Attributes:
        task: the task.
        until: the time at which its result expires; None for a value that never changes.
    """

    task: asyncio.Task[V]
    until: float | None = None


class SharedFetches(Generic[V]):
    """Fetches values by key, and caches the most recently used values.

    Args:
        limit: the largest number of values to keep.
        failure_life: the seconds for which a permanent failure is kept.
        now: returns the time in seconds.
    """

    def __init__(self, limit: int, failure_life: float, now: Callable[[], float]) -> None:
        self._limit = limit
        self._failure_life = failure_life
        self._now = now
        self._fetches: OrderedDict[Hashable, _Fetch[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._fetches)

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[V]]) -> V:
        """Return the cached value of a key, or fetch it.

        Args:
            key: the key.
            fetch: fetches the value.

        Raises:
            ConnectorError: the fetch failed.
        """
        current_fetch = self._fetches.get(key)
        if current_fetch is None or (
            current_fetch.until is not None and self._now() >= current_fetch.until
        ):
            current_fetch = self._begin(key, fetch)
        self._fetches.move_to_end(key)
        try:
            return await asyncio.shield(current_fetch.task)
        except ConnectorError as error:
            # Each task gets its own error, because a shared error would collect all tracebacks.
            raise copy(error) from None

    def _begin(self, key: Hashable, fetch: Callable[[], Awaitable[V]]) -> _Fetch[V]:
        async def run() -> V:
            return await fetch()

        new_fetch = _Fetch(asyncio.create_task(run()))
        self._fetches[key] = new_fetch
        new_fetch.task.add_done_callback(lambda task: self._end(key, new_fetch, task))
        if len(self._fetches) > self._limit:
            self._fetches.popitem(last=False)
        return new_fetch

    def _end(self, key: Hashable, fetch: _Fetch[V], task: asyncio.Task[V]) -> None:
        error = None if task.cancelled() else task.exception()
        if not task.cancelled() and error is None:
            return
        if isinstance(error, ConnectorError) and not error.retryable:
            fetch.until = self._now() + self._failure_life
        elif self._fetches.get(key) is fetch:
            del self._fetches[key]
