"""Shared state in the memory of one process: the default store.

A command is applied to immutable states outside any lock; its result replaces them only if they
are still the same objects, otherwise it is applied again. The laws of the locked sections:

1. A locked section makes no call, has no loop and creates no container: no other code runs inside
   it, such as a signal handler, a finaliser (which may post a command) or another thread. An
   interruption happens before it or after it, so all changes are made or none. If the interruption
   loses the answer, the changes are undone.
2. The clock is read after the states, so no command gets a time before them.
3. Each class of states has its own limit, so that claims of keys never leave a rate limit or a
   circuit without space.
4. At the limit of its class a new claim is refused, because dropping another could allow a second
   effect. A new state of a rate limit, circuit, retry budget or bulkhead is never refused: it
   replaces the states that expire soonest.
"""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.sections import new_section_lock, release_if_held
from moorage.adapters.notices import give_notice
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.state.keys import CLASSES, GUARDS, class_of
from moorage.domain.values.durations import count
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import StorageUnavailable

if TYPE_CHECKING:
    from moorage.domain.resilience.admission import Admission
    from moorage.domain.service.plan import Ask
    from moorage.domain.state.commands import Command, State, States
    from moorage.ports.clock import Clock

Answer = TypeVar("Answer")

_SWEEP_EVERY: Final = 30_000_000
_SWEEP_PAUSE: Final = 100_000
"""Microseconds between two sweeps of a full store."""
_DROP_FRACTION: Final = 100
"""A full class drops this fraction of its states at once, so that few commands need a sweep."""


class MemoryStorage(Uncopyable):
    """A `StateStorage` of this process, safe to share between threads and event loops.

    The store's time starts with the wall clock when the store is created, and is measured by the
    boot clock from then on: later changes of the wall clock do not affect it.

    Args:
        clock: measures time; by default the machine's boot clock.
        max_entries: the maximum number of live states of each class, such as limits, circuits,
            retry budgets, bulkheads, and claims of idempotency keys, of webhooks or of tokens.
            Expired states are dropped over time. At the maximum, new claims are refused, and a new
            state of another class replaces those that expire soonest. A `RuntimeWarning` is emitted
            once when a class is 80 % full.
    """

    durable = False
    reach = "process"
    mixes_tags = True

    def __init__(self, clock: Clock | None = None, *, max_entries: int = 100_000) -> None:
        clock = SystemClock() if clock is None else clock
        self._nanoseconds = clock.nanoseconds
        self._offset = int(clock.utc().timestamp() * 1e6) - clock.nanoseconds() // 1000
        self._cells: dict[str, State] = {}
        self._counts = dict.fromkeys(CLASSES, 0)
        self._warned: set[str] = set()
        self._max_entries = count(max_entries, "max_entries")
        self._swept_at = self.now()
        self._sweep_at = self._swept_at + _SWEEP_EVERY
        self._restart_after_fork()
        in_child(self, MemoryStorage._restart_after_fork)

    def _restart_after_fork(self) -> None:
        # In a forked child, a thread that does not exist there may hold the old lock.
        self._lock = new_section_lock()

    def __len__(self) -> int:
        return len(self._cells)

    def __bool__(self) -> bool:
        # An empty store is false: `storage or default` would replace it.
        return True

    def now(self) -> int:
        """The store's time, in microseconds since the Unix epoch."""
        return self._nanoseconds() // 1000 + self._offset

    def execute(  # noqa: C901 - many calls run it, and a section takes no function
        self,
        command: Command[Answer],
        /,
        timeout: float | None = None,  # noqa: ARG002 - memory needs no waiting
    ) -> Answer:
        """Run one command on its states, and return the reply."""
        # This code is hot, so the usual cases of few existing states have separate code.
        cells, keys = self._cells, command.keys
        if len(keys) == 1:
            (key,) = keys
            while True:
                state_before = cells.get(key)
                if state_before is None:
                    return self._apply_new(command, key)
                now = self._nanoseconds() // 1000 + self._offset
                (state_after,), answer = command.apply((state_before,), now)
                if state_after is state_before:
                    return answer
                lock = self._lock
                try:
                    try:
                        lock.acquire()
                    except BaseException:
                        release_if_held(lock)
                        raise
                    try:
                        if cells[key] is state_before:
                            cells[key] = state_after  # type: ignore[assignment]  # no command deletes
                            return answer
                    except KeyError:
                        continue
                    finally:
                        lock.release()
                except BaseException:
                    self._undo(keys, (state_before,), (state_after,))
                    raise
        if 2 <= len(keys) <= 3:
            if keys[-1] not in cells:
                return self._apply_last_new(command)
            return self._apply_two(command) if len(keys) == 2 else self._apply_three(command)
        return self._apply_any(command)

    def prepare(self, admission: Admission, /) -> Ask:
        """Return a function that runs admissions with the same rules faster than `execute`."""
        from moorage.adapters.state._memory_admissions import prepared_admission  # noqa: PLC0415 - not all admit

        return prepared_admission(self, admission)

    def _apply_new(self, command: Command[Answer], key: str) -> Answer:
        """Run a command that uses a single state, which does not exist yet."""
        cells, counts, name = self._cells, self._counts, class_of(key)
        number = counts[name]
        now = self._nanoseconds() // 1000 + self._offset
        if now >= self._sweep_at or (number + 1) * 5 >= self._max_entries * 4:
            return self._apply_any(command)
        (state,), answer = command.apply((None,), now)
        if state is None:
            return answer
        new_count = number + 1
        with self._lock:
            if key not in cells and counts[name] == number:
                cells[key] = state
                counts[name] = new_count
                return answer
        return self._apply_any(command)

    def _apply_two(self, command: Command[Answer]) -> Answer:
        """Run a command on two existing states."""
        cells = self._cells
        first_key, second_key = command.keys
        while True:
            try:
                # Not `get`, because another thread could run between two calls.
                first_state, second_state = cells[first_key], cells[second_key]
            except KeyError:
                return self._apply_any(command)
            now = self._nanoseconds() // 1000 + self._offset
            (new_first, new_second), answer = command.apply((first_state, second_state), now)
            if new_first is first_state and new_second is second_state:
                return answer
            lock = self._lock
            try:
                try:
                    lock.acquire()
                except BaseException:
                    release_if_held(lock)
                    raise
                try:
                    if cells[first_key] is first_state and cells[second_key] is second_state:
                        cells[first_key] = new_first  # type: ignore[assignment]  # no command deletes
                        cells[second_key] = new_second  # type: ignore[assignment]  # no command deletes
                        return answer
                except KeyError:
                    continue
                finally:
                    lock.release()
            except BaseException:
                self._undo(
                    (first_key, second_key), (first_state, second_state), (new_first, new_second)
                )
                raise

    def _apply_three(self, command: Command[Answer]) -> Answer:
        """Run a command on three existing states: circuit, limit and claim."""
        cells = self._cells
        first_key, second_key, third_key = command.keys
        while True:
            try:
                first_state, second_state, third_state = (
                    cells[first_key],
                    cells[second_key],
                    cells[third_key],
                )
            except KeyError:
                return self._apply_any(command)
            now = self._nanoseconds() // 1000 + self._offset
            (new_first, new_second, new_third), answer = command.apply(
                (first_state, second_state, third_state), now
            )
            if new_first is first_state and new_second is second_state and new_third is third_state:
                return answer
            lock = self._lock
            try:
                try:
                    lock.acquire()
                except BaseException:
                    release_if_held(lock)
                    raise
                try:
                    if (
                        cells[first_key] is first_state
                        and cells[second_key] is second_state
                        and cells[third_key] is third_state
                    ):
                        cells[first_key] = new_first  # type: ignore[assignment]  # no command deletes
                        cells[second_key] = new_second  # type: ignore[assignment]  # no command deletes
                        cells[third_key] = new_third  # type: ignore[assignment]  # no command deletes
                        return answer
                except KeyError:
                    continue
                finally:
                    lock.release()
            except BaseException:
                self._undo(
                    (first_key, second_key, third_key),
                    (first_state, second_state, third_state),
                    (new_first, new_second, new_third),
                )
                raise

    def _apply_last_new(self, command: Command[Answer]) -> Answer:
        """Run a command on two or three states; only the last state does not exist yet."""
        cells, counts, keys = self._cells, self._counts, command.keys
        # With two keys, the first one is also the middle one.
        first_key, middle_key, new_key = keys[0], keys[-2], keys[-1]
        name = class_of(new_key)
        try:
            first_state, middle_state, number = cells[first_key], cells[middle_key], counts[name]
        except KeyError:
            return self._apply_any(command)
        now = self._nanoseconds() // 1000 + self._offset
        if now >= self._sweep_at or (number + 1) * 5 >= self._max_entries * 4:
            return self._apply_any(command)
        states_before: States = (
            (first_state, None) if len(keys) == 2 else (first_state, middle_state, None)
        )
        states, answer = command.apply(states_before, now)
        new_first, new_middle, new_state = states[0], states[-2], states[-1]
        new_count = number + 1
        if new_state is not None:
            lock = self._lock
            try:
                lock.acquire()
            except BaseException:
                release_if_held(lock)
                raise
            try:
                if (
                    cells[first_key] is first_state
                    and cells[middle_key] is middle_state
                    and new_key not in cells
                    and counts[name] == number
                ):
                    cells[first_key] = new_first  # type: ignore[assignment]  # no command deletes
                    cells[middle_key] = new_middle  # type: ignore[assignment]  # no command deletes
                    cells[new_key] = new_state
                    counts[name] = new_count
                    return answer
            except KeyError:
                pass
            finally:
                lock.release()
        return self._apply_any(command)

    def post(self, command: Command[Any], /) -> None:
        """Run a command without returning its answer."""
        try:
            self.execute(command)
        except Exception as error:
            # No caller waits for the answer.
            if is_interruption(error):
                raise

    def _apply_any(self, command: Command[Answer]) -> Answer:
        """Run a command on any states, existing or not."""
        cells, counts, keys = self._cells, self._counts, command.keys
        while True:
            before_states = tuple(map(cells.get, keys))
            now = self.now()
            if now >= self._sweep_at:
                self._sweep(now)
            states, answer = command.apply(before_states, now)
            triples = zip(keys, before_states, states, strict=True)
            changed_states = {
                key: new_state
                for key, old_state, new_state in triples
                if new_state is not old_state and new_state is not None
            }
            new_keys = (
                [key for key in changed_states if key not in cells] if None in before_states else []
            )
            new_counts = Counter(map(class_of, new_keys))
            counts_before = self._counts_with_space(new_counts, keys, now) if new_keys else {}
            counts_after = {
                name: counts_before[name] + number for name, number in new_counts.items()
            }
            expected_ids = [*map(id, before_states)]
            current_ids = map(id, map(cells.get, keys))
            ids: list[int] = []
            try:
                with self._lock:
                    ids += current_ids
                    if ids == expected_ids and (not new_keys or counts == counts_before):
                        # One bytecode instruction, whatever the number of keys.
                        cells |= changed_states
                        counts |= counts_after
                        return answer
            except BaseException:
                self._undo(keys, before_states, states)
                raise

    def _undo(self, keys: tuple[str, ...], before: States, after: States) -> None:
        """Undo a command whose reply was lost, except on states that changed since."""
        cells = self._cells
        states = {
            key: old_state
            for key, old_state in zip(keys, before, strict=True)
            if old_state is not None
        }
        if len(states) < len(keys):
            return
        expected_ids = [*map(id, after)]
        current_ids = map(id, map(cells.get, keys))
        ids: list[int] = []
        with self._lock:
            ids += current_ids
            if ids == expected_ids:
                cells |= states

    def _counts_with_space(
        self, new: Counter[str], keys: tuple[str, ...], now: int
    ) -> dict[str, int]:
        """Return the number of states by class, after making room for new states.

        Raises:
            StorageUnavailable: there is no space for a new claim.
        """
        maximum = self._max_entries
        for name, number in new.items():
            if (self._counts[name] + number) * 5 >= maximum * 4:
                self._make_space(name, number, keys, now)
        counts_before = self._counts.copy()
        for name, number in new.items():
            if counts_before[name] + number > maximum and name not in GUARDS:
                raise StorageUnavailable(
                    f"The store in memory is full, because it has {maximum} live states of the"
                    f" class {name!r}.",
                    remedy="Use a store without such a limit, such as SqliteStorage, raise"
                    " max_entries of MemoryStorage, or use fewer keys.",
                )
        return counts_before

    def _make_space(self, name: str, number: int, keys: tuple[str, ...], now: int) -> None:
        """Drop expired states to free space; if that is not enough, warn or drop other states."""
        maximum = self._max_entries
        is_full = self._counts[name] + number > maximum
        if (is_full or name not in self._warned) and now >= self._swept_at + _SWEEP_PAUSE:
            self._sweep(now)
        total = self._counts[name] + number
        if total * 5 >= maximum * 4 and name not in self._warned:
            self._warned.add(name)
            give_notice(
                f"The store in memory has {total} of at most {maximum} states of the class"
                f" {name!r}. Use a store without such a limit, such as SqliteStorage, or raise"
                " max_entries of MemoryStorage.",
                stacklevel=2,
            )
        if total > maximum and name in GUARDS:
            self._drop_soonest(name, max(number, maximum // _DROP_FRACTION), keys)

    def _drop_soonest(self, name: str, number: int, keys: tuple[str, ...]) -> None:
        """Drop states of a class, those with the earliest expiry first."""
        states = [
            (state[0] + state[1], key, state)
            for key, state in self._cells.copy().items()
            if class_of(key) == name and key not in keys
        ]
        for _, key, state in nsmallest(number, states, key=lambda each: each[0]):
            self._drop_state(key, state)

    def _drop_state(self, key: str, state: State) -> None:
        """Drop a state, unless it has changed or was already dropped."""
        cells, counts, name = self._cells, self._counts, class_of(key)
        try:
            with self._lock:
                if cells[key] is state:
                    del cells[key]
                    counts[name] -= 1
        except KeyError:
            return

    def _sweep(self, now: int) -> None:
        """Drop all expired states."""
        self._swept_at = now
        self._sweep_at = now + _SWEEP_EVERY
        for key, state in self._cells.copy().items():
            if state[0] + state[1] <= now:
                self._drop_state(key, state)


class AsyncMemoryStorage(Uncopyable):
    """An asynchronous `MemoryStorage`, which may share its states with another store."""

    durable = False
    reach = "process"
    mixes_tags = True

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
        timeout: float | None = None,  # noqa: ARG002 - memory needs no waiting
    ) -> Answer:
        """Run one command and return the answer, without suspending the task."""
        return self.shared.execute(command)
