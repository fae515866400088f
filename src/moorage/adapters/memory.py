"""Shared state in the memory of one process: the default store.

A command is applied to immutable states outside any lock; its result replaces them only if they
are still the very same objects, else it is applied again. The laws of what is locked:

1. A locked section makes no call, loops nowhere and creates no container: nothing runs inside it
   that is not written there, be it a signal handler, a finaliser (which may well post a command),
   or another thread. An interruption falls before it or after it, so it leaves all or nothing;
   where it falls after it and takes the answer along, what was changed is changed back.
2. The clock is read after the states, so no command is given a time from before them.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.clock import SystemClock
from moorage.adapters.forking import in_child
from moorage.domain.durations import count
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.state import Command, State, States
    from moorage.ports.clock import Clock

Answer = TypeVar("Answer")

_SWEEP_EVERY: Final = 30_000_000
_ROOM_EVERY: Final = 100_000
"""A full store does not look for room at every command that wants some."""


class MemoryStorage:
    """A `StateStorage` of this process, safe to share between threads and event loops.

    Its time is anchored to the wall clock once, when it is made, and measured by the boot clock
    from then on: no later step of the wall clock touches it.

    Args:
        clock: measures time; by default the machine's boot clock.
        max_entries: how many live states it holds. States that cannot matter any more are dropped
            by and by; when this many still matter, new ones are refused.
    """

    durable = False
    reach = "process"

    def __init__(self, clock: Clock | None = None, *, max_entries: int = 100_000) -> None:
        clock = SystemClock() if clock is None else clock
        self._nanoseconds = clock.nanoseconds
        self._offset = int(clock.utc().timestamp() * 1e9) - clock.nanoseconds()
        self._cells: dict[str, State] = {}
        self._count = 0
        self._max_entries = count(max_entries, "max_entries")
        self._swept_at = self.now()
        self._sweep_at = self._swept_at + _SWEEP_EVERY
        self._start_afresh()
        in_child(self, MemoryStorage._start_afresh)

    def _start_afresh(self) -> None:
        # In a forked child, a thread that is not there any more may have held the old one.
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._cells)

    def __bool__(self) -> bool:
        # An empty store is a store: `given or default` must not put another in its place.
        return True

    def now(self) -> int:
        """The store's time, in microseconds since the Unix epoch."""
        return (self._nanoseconds() + self._offset) // 1000

    def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,  # noqa: ARG002 - memory never makes anybody wait
    ) -> Answer:
        """Run one command."""
        # Every call's admission comes through here, so the usual shapes (one state or two, there
        # already) are spelt out, each with a section of its own.
        cells, keys = self._cells, command.keys
        if len(keys) == 1:
            (key,) = keys
            while True:
                try:
                    before = cells[key]
                except KeyError:
                    return self._any(command)
                now = (self._nanoseconds() + self._offset) // 1000
                (after,), answer = command.apply((before,), now)
                if after is before:
                    return answer
                try:
                    with self._lock:
                        if cells[key] is before:
                            cells[key] = after  # type: ignore[assignment]  # no command deletes
                            return answer
                except KeyError:
                    continue
                except BaseException:
                    self._take_back(keys, (before,), (after,))
                    raise
        return self._two(command) if len(keys) == 2 else self._any(command)

    def _two(self, command: Command[Answer]) -> Answer:
        """Run a command over two states."""
        cells = self._cells
        key, other = command.keys
        while True:
            try:
                # Not `get`: between two calls another thread could come.
                first, second = cells[key], cells[other]
            except KeyError:
                return self._any(command)
            now = (self._nanoseconds() + self._offset) // 1000
            (one, two), answer = command.apply((first, second), now)
            if one is first and two is second:
                return answer
            try:
                with self._lock:
                    if cells[key] is first and cells[other] is second:
                        cells[key] = one  # type: ignore[assignment]  # no command deletes
                        cells[other] = two  # type: ignore[assignment]  # no command deletes
                        return answer
            except KeyError:
                continue
            except BaseException:
                self._take_back((key, other), (first, second), (one, two))
                raise

    def post(self, command: Command[Any], /) -> None:
        """Run a command whose answer nobody waits for."""
        try:
            self.execute(command)
        except Exception:  # noqa: BLE001 - nobody is there to be told, as the port says
            return

    def _any(self, command: Command[Answer]) -> Answer:
        """Run a command over any number of states, new ones among them."""
        cells, keys = self._cells, command.keys
        while True:
            found = tuple(map(cells.get, keys))
            now = self.now()
            if now >= self._sweep_at:
                self._sweep(now)
            states, answer = command.apply(found, now)
            triples = zip(keys, found, states, strict=True)
            changed = {key: new for key, old, new in triples if new is not old and new is not None}
            more = found.count(None) and sum(key not in cells for key in changed)
            if more and self._count + more > self._max_entries:
                self._make_room(now, more)
            known = [*map(id, found)]
            there = map(id, map(cells.get, keys))
            seen: list[int] = []
            try:
                with self._lock:
                    seen += there
                    if seen == known and (not more or self._count + more <= self._max_entries):
                        # One instruction, however many keys.
                        cells |= changed
                        self._count += more
                        return answer
            except BaseException:
                self._take_back(keys, found, states)
                raise

    def _take_back(self, keys: tuple[str, ...], before: States, after: States) -> None:
        """Undo what nobody will hear of, unless it is new or somebody has built on it."""
        cells = self._cells
        states = {key: old for key, old in zip(keys, before, strict=True) if old is not None}
        if len(states) < len(keys):
            return
        wanted = [*map(id, after)]
        there = map(id, map(cells.get, keys))
        found: list[int] = []
        with self._lock:
            found += there
            if found == wanted:
                cells |= states

    def _make_room(self, now: int, more: int) -> None:
        """Drop what cannot matter any more, or refuse."""
        if now >= self._swept_at + _ROOM_EVERY:
            self._sweep(now)
        if self._count + more > self._max_entries:
            raise StorageUnavailable(
                f"The store in memory holds {self._max_entries} states that still matter.",
                remedy="Raise max_entries, or use fewer keys.",
            )

    def _sweep(self, now: int) -> None:
        """Drop every state that cannot matter any more."""
        self._swept_at = now
        self._sweep_at = now + _SWEEP_EVERY
        cells = self._cells
        for key, state in cells.copy().items():
            if state[0] + state[1] <= now:
                try:
                    with self._lock:
                        if cells[key] is state:
                            del cells[key]
                            self._count -= 1
                except KeyError:
                    continue


class AsyncMemoryStorage:
    """The same store for the asynchronous face; `shared` lets both faces use one."""

    durable = False
    reach = "process"

    def __init__(
        self,
        shared: MemoryStorage | None = None,
        *,
        clock: Clock | None = None,
        max_entries: int = 100_000,
    ) -> None:
        self.shared = MemoryStorage(clock, max_entries=max_entries) if shared is None else shared
        self.post = self.shared.post

    async def execute(
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,  # noqa: ARG002 - as above
    ) -> Answer:
        """Run one command; memory never makes a task wait."""
        return self.shared.execute(command)
