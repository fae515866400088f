"""Shared state in the memory of one process: the default store.

A command is applied to immutable states outside any lock; its result replaces them only if they
are still the very same objects, else it is applied again. The laws of what is locked:

1. A locked section makes no call, loops nowhere and creates no container: nothing runs inside it
   that is not written there, be it a signal handler, a finaliser (which may well post a command),
   or another thread. An interruption falls before it or after it, so it leaves all or nothing;
   where it falls after it and takes the answer along, what was changed is changed back.
2. The clock is read after the states, so no command is given a time from before them.
3. Each class of states has a bound of its own, so that claims of keys never leave a limit or a
   circuit without room.
4. At the bound of its class a new claim is refused, because forgetting another would let somebody
   act twice. A new state of a limit, a circuit, a retry budget or a bulkhead is never refused: it
   takes the place of those that stop mattering soonest.
"""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.notices import give_notice
from moorage.domain.state.keys import CLASSES, GUARDS, class_of
from moorage.domain.values.durations import count
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command, State, States
    from moorage.ports.clock import Clock

Answer = TypeVar("Answer")

_SWEEP_EVERY: Final = 30_000_000
_ROOM_EVERY: Final = 100_000
"""A full store does not look for room at every command that wants some."""
_AT_ONCE: Final = 100
"""A full class of guards drops one state in so many, so that few commands look for them."""


class MemoryStorage:
    """A `StateStorage` of this process, safe to share between threads and event loops.

    Its time is anchored to the wall clock once, when it is made, and measured by the boot clock
    from then on: no later step of the wall clock touches it.

    Args:
        clock: measures time; by default the machine's boot clock.
        max_entries: how many live states of each class it holds: of limits, circuits, retry
            budgets and bulkheads, and of claims of idempotency keys, webhooks and tokens. States
            that cannot matter any more are dropped by and by. When this many still matter, new
            claims are refused, and a new state of another class takes the place of those that stop
            mattering soonest. A class that is 80 % full is told of once, by a `RuntimeWarning`.
    """

    durable = False
    reach = "process"

    def __init__(self, clock: Clock | None = None, *, max_entries: int = 100_000) -> None:
        clock = SystemClock() if clock is None else clock
        self._nanoseconds = clock.nanoseconds
        self._offset = int(clock.utc().timestamp() * 1e9) - clock.nanoseconds()
        self._cells: dict[str, State] = {}
        self._counts = dict.fromkeys(CLASSES, 0)
        self._warned: set[str] = set()
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
        cells, counts, keys = self._cells, self._counts, command.keys
        while True:
            found = tuple(map(cells.get, keys))
            now = self.now()
            if now >= self._sweep_at:
                self._sweep(now)
            states, answer = command.apply(found, now)
            triples = zip(keys, found, states, strict=True)
            changed = {key: new for key, old, new in triples if new is not old and new is not None}
            new = [key for key in changed if key not in cells] if None in found else []
            more = Counter(map(class_of, new))
            before = self._with_room(more, keys, now) if new else {}
            after = {name: before[name] + number for name, number in more.items()}
            known = [*map(id, found)]
            there = map(id, map(cells.get, keys))
            seen: list[int] = []
            try:
                with self._lock:
                    seen += there
                    if seen == known and (not new or counts == before):
                        # One instruction, however many keys.
                        cells |= changed
                        counts |= after
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

    def _with_room(self, new: Counter[str], keys: tuple[str, ...], now: int) -> dict[str, int]:
        """How many states there are of each class, with room for the new ones of a command.

        Raises:
            StorageUnavailable: there is no room for a new claim.
        """
        most = self._max_entries
        for name, more in new.items():
            if (self._counts[name] + more) * 5 >= most * 4:
                self._look_for_room(name, more, keys, now)
        before = self._counts.copy()
        for name, more in new.items():
            if before[name] + more > most and name not in GUARDS:
                raise StorageUnavailable(
                    f"The store in memory holds {most} states of the class {name!r} that still"
                    " matter.",
                    remedy="Use a store with no such bound, such as SqliteStorage; or raise"
                    " max_entries of MemoryStorage, or use fewer keys.",
                )
        return before

    def _look_for_room(self, name: str, more: int, keys: tuple[str, ...], now: int) -> None:
        """Drop what cannot matter any more; warn, or drop guards, if that is not enough."""
        most = self._max_entries
        full = self._counts[name] + more > most
        if (full or name not in self._warned) and now >= self._swept_at + _ROOM_EVERY:
            self._sweep(now)
        held = self._counts[name] + more
        if held * 5 >= most * 4 and name not in self._warned:
            self._warned.add(name)
            give_notice(
                f"The store in memory holds {held} of at most {most} states of the class"
                f" {name!r}. Use a store with no such bound, such as SqliteStorage; or raise"
                " max_entries of MemoryStorage.",
                stacklevel=2,
            )
        if held > most and name in GUARDS:
            self._drop_soonest(name, max(more, most // _AT_ONCE), keys)

    def _drop_soonest(self, name: str, more: int, keys: tuple[str, ...]) -> None:
        """Drop so many states of a class, those first that stop mattering soonest."""
        states = [
            (state[0] + state[1], key, state)
            for key, state in self._cells.copy().items()
            if class_of(key) == name and key not in keys
        ]
        for _, key, state in nsmallest(more, states, key=lambda each: each[0]):
            self._drop(key, state)

    def _drop(self, key: str, state: State) -> None:
        """Drop a state unless it was changed or dropped meanwhile."""
        cells, counts, name = self._cells, self._counts, class_of(key)
        try:
            with self._lock:
                if cells[key] is state:
                    del cells[key]
                    counts[name] -= 1
        except KeyError:
            return

    def _sweep(self, now: int) -> None:
        """Drop every state that cannot matter any more."""
        self._swept_at = now
        self._sweep_at = now + _SWEEP_EVERY
        for key, state in self._cells.copy().items():
            if state[0] + state[1] <= now:
                self._drop(key, state)


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
