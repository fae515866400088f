"""Shared state in the memory of one process: the default store.

A command is applied to immutable states outside any lock; its result replaces them only if they
are still the very same objects, inside a section that makes no call: nothing of ours is held
while `apply` runs, and an interruption leaves either all of a command's writes or none.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mooring.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mooring.domain.state import Command, State, States
    from mooring.ports.clock import Clock

Answer = TypeVar("Answer")

_SWEEP_EVERY: Final = 30_000_000


def _boot_clock() -> Callable[[], int]:
    """Nanoseconds that no one can set, and that go on while the machine sleeps where they can."""
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns if boot is None else partial(time.clock_gettime_ns, boot)


class MemoryStorage:
    """A `StateStorage` of this process, safe to share between threads and event loops.

    Its time is anchored to the wall clock once, when it is made, and measured by the boot clock
    from then on: no later step of the wall clock touches it.

    Args:
        clock: measures time; by default the machine's boot clock.
        max_entries: how many live states it holds. States that cannot matter any more are dropped
            by and by; when this many still matter, new ones are refused.
    """

    def __init__(self, clock: Clock | None = None, *, max_entries: int = 100_000) -> None:
        self._nanoseconds = _boot_clock() if clock is None else clock.nanoseconds
        anchor = time.time_ns() if clock is None else int(clock.utc().timestamp() * 1e9)
        self._offset = anchor - self._nanoseconds()
        self._cells: dict[str, State] = {}
        self._lock = threading.Lock()
        self._max_entries = max_entries
        self._sweep_at = self.now() + _SWEEP_EVERY

    def __len__(self) -> int:
        return len(self._cells)

    def now(self) -> int:
        """The store's time, in microseconds since the Unix epoch."""
        return (self._nanoseconds() + self._offset) // 1000

    def execute(self, command: Command[Answer], /) -> Answer:
        """Run one command."""
        cells, keys = self._cells, command.keys
        while True:
            now = (self._nanoseconds() + self._offset) // 1000
            if now >= self._sweep_at:
                self._sweep(now)
            if len(keys) == 1:
                key = keys[0]
                before = cells.get(key)
                (after,), answer = command.apply((before,), now)
                if after is before:
                    return answer
                if before is None:
                    if self._insert(keys, (before,), (after,), now):
                        return answer
                    continue
                try:
                    with self._lock:
                        if cells[key] is before:
                            cells[key] = after  # type: ignore[assignment]  # no command deletes
                            return answer
                except KeyError:
                    continue
            elif len(keys) == 2:
                key, other = keys
                first, second = cells.get(key), cells.get(other)
                (one, two), answer = command.apply((first, second), now)
                if one is first and two is second:
                    return answer
                if first is None or second is None:
                    if self._insert(keys, (first, second), (one, two), now):
                        return answer
                    continue
                try:
                    with self._lock:
                        if cells[key] is first and cells[other] is second:
                            cells[key] = one  # type: ignore[assignment]  # no command deletes
                            cells[other] = two  # type: ignore[assignment]  # no command deletes
                            return answer
                except KeyError:
                    continue
            else:
                found = tuple(map(cells.get, keys))
                states, answer = command.apply(found, now)
                if self._insert(keys, found, states, now):
                    return answer

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for."""
        try:
            self.execute(command)
        except StorageUnavailable:
            # Only a state that is not there needs room: there is nothing to clean up in it.
            return

    def _insert(self, keys: tuple[str, ...], before: States, after: States, now: int) -> bool:
        """Write any number of states, new ones among them, unless one has changed meanwhile."""
        cells = self._cells
        changed = {
            key: new
            for key, old, new in zip(keys, before, after, strict=True)
            if new is not old and new is not None
        }
        if not changed:
            return True
        if len(cells) + len(changed) > self._max_entries and any(
            key not in cells for key in changed
        ):
            self._sweep(now)
            if len(cells) + len(changed) > self._max_entries:
                raise StorageUnavailable(
                    f"The store in memory holds {self._max_entries} states that still matter.",
                    remedy="Raise max_entries, or use fewer keys.",
                )
        with self._lock:
            for key, old in zip(keys, before, strict=True):
                if cells.get(key) is not old:
                    return False
            cells.update(changed)
        return True

    def _sweep(self, now: int) -> None:
        """Drop every state that cannot matter any more."""
        self._sweep_at = now + _SWEEP_EVERY
        for key, state in list(self._cells.items()):
            if state[0] + state[1] <= now:
                with self._lock:
                    if self._cells.get(key) is state:
                        del self._cells[key]


class AsyncMemoryStorage:
    """The same store for the asynchronous face; `shared` lets both faces use one."""

    def __init__(
        self,
        shared: MemoryStorage | None = None,
        *,
        clock: Clock | None = None,
        max_entries: int = 100_000,
    ) -> None:
        self.shared = MemoryStorage(clock, max_entries=max_entries) if shared is None else shared
        self.post = self.shared.post

    async def execute(self, command: Command[Answer], /) -> Answer:
        """Run one command; memory never makes a task wait."""
        return self.shared.execute(command)
