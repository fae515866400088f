"""The slots of named semaphores: their holders, and the callers that wait for them.

The laws of this file:

1. Every change is one *section* under one lock, and a section makes no call, loops nowhere and
   creates no container. So no other code runs inside a section: no signal handler, no garbage
   collector and thus no finaliser (which may return a slot). An interruption happens before a
   section or after it.
2. A slot that is freed is given to the next waiter within the same section.
3. A waiter that got a slot is woken, even if the section's end is interrupted.
4. While a caller waits for a semaphore, one of its slots is taken; so the holder of that slot will
   pass it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.sections import new_section_lock, release_if_held

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.concurrency.sections import SectionLock

OUTSIDE: Final = 0
WAITING: Final = 1
INSIDE: Final = 2

NOBODY: Final = object()

_Holding: TypeAlias = "tuple[str, object]"
"""A name and its holder, which is referenced so that its identity stays unique."""


class Waiter:
    """A caller that may wait for a slot; `wake` is called once, when a slot is granted."""

    __slots__ = ("ahead", "behind", "held", "key", "state", "wake")

    def __init__(self, name: str, holder: object, wake: Callable[[], object]) -> None:
        self.held: _Holding = (name, holder)
        self.key = id(holder)
        self.wake = wake
        self.state = OUTSIDE
        self.ahead: Waiter | None = None
        self.behind: Waiter | None = None


class _Queue:
    """The callers that wait for one semaphore, as a linked list with constant-time removal."""

    __slots__ = ("first", "last", "length", "places")

    def __init__(self, waiter: Waiter, places: int) -> None:
        self.first = waiter
        self.last = waiter
        self.length = 1
        self.places = places


class SlotHolders:
    """The holders of slots, and the callers that wait for slots, by name.

    The latest caller determines the number of slots of a name.
    """

    def __init__(self, lock: Callable[[], SectionLock] = new_section_lock) -> None:
        self._new_lock = lock
        self._forget()
        in_child(self, SlotHolders._forget)

    def _forget(self) -> None:
        self._section = self._new_lock()
        self._held: dict[int, _Holding] = {}
        self._taken: dict[str, int] = {}
        self._queues: dict[str, _Queue] = {}

    def names(self) -> set[str]:
        """Return the names of the semaphores that have a holder or a waiting caller."""
        return {*self._taken, *self._queues}

    def enter(self, name: str, holder: object, places: int) -> bool:
        """Take a slot of the semaphore if one is free; return True if the caller now has a slot."""
        held_slots, taken_counts, key = self._held, self._taken, id(holder)
        entry = (name, holder)
        is_inside = False
        section = self._section
        try:
            try:
                section.acquire()
            except BaseException:
                release_if_held(section)
                raise
            try:
                if key in held_slots:
                    is_inside = True
                elif name not in self._queues:
                    if name not in taken_counts:
                        if places > 0:
                            held_slots[key] = entry
                            taken_counts[name] = 1
                            is_inside = True
                    elif taken_counts[name] < places:
                        held_slots[key] = entry
                        taken_counts[name] += 1
                        is_inside = True
            finally:
                section.release()
        except BaseException:
            self.settle(name, holder)
            raise
        return is_inside

    def release(self, name: str, holder: object) -> None:
        """Return the caller's slot, if any; `settle` passes it to the next waiting caller."""
        held_slots, taken_counts, key = self._held, self._taken, id(holder)
        is_queue = False
        section = self._section
        try:
            section.acquire()
        except BaseException:
            release_if_held(section)
            raise
        try:
            if name in self._queues:
                is_queue = True
            elif key in held_slots and held_slots[key][0] == name:
                del held_slots[key]
                if taken_counts[name] == 1:
                    del taken_counts[name]
                else:
                    taken_counts[name] -= 1
        finally:
            section.release()
        if is_queue:
            self.settle(name, holder)

    def join(self, waiter: Waiter, places: int, queue: int) -> None:
        """Take a slot or join the semaphore's queue.

        `waiter.state` tells which of the two happened.
        """
        held_slots, taken_counts, queues, new_queue = (
            self._held,
            self._taken,
            self._queues,
            _Queue(waiter, places),
        )
        name, _ = waiter.held
        while waiter.state == OUTSIDE:
            has_room = False
            with self._section:
                count = taken_counts[name] if name in taken_counts else 0  # noqa: SIM401 - a section makes no call (law 1)
                if name in queues:
                    waiters = queues[name]
                    waiters.places = places
                    has_room = count < places
                    if waiters.length < queue:
                        waiter.ahead = waiters.last
                        waiters.last.behind = waiter
                        waiters.last = waiter
                        waiters.length += 1
                        waiter.state = WAITING
                elif count < places:
                    held_slots[waiter.key] = waiter.held
                    taken_counts[name] = count + 1
                    waiter.state = INSIDE
                elif queue > 0:
                    queues[name] = new_queue
                    waiter.state = WAITING
            if not has_room:
                return
            # There are more slots than before; the waiting callers come first.
            self.settle(name)

    def leave(self, waiter: Waiter) -> None:
        """Leave the queue of a semaphore; return the slot if one was granted in the meantime."""
        name, holder = waiter.held
        self.settle(name, holder, waiter)

    def settle(  # noqa: C901, PLR0912 - one section, so it may not call another function (law 1)
        self, name: str, holder: object = NOBODY, gone_waiter: Waiter | None = None
    ) -> None:
        """Return a slot or leave the queue; a freed slot goes to the next waiting caller.

        At most one waiter is admitted. If more slots are free, that waiter calls this again.
        """
        held_slots, taken_counts, queues, key = self._held, self._taken, self._queues, id(holder)
        head: Waiter | None = None
        try:
            with self._section:
                earlier_count = taken_counts[name] if name in taken_counts else 0  # noqa: SIM401 - a section makes no call (law 1)
                count = earlier_count
                waiters = queues[name] if name in queues else None  # noqa: SIM401 - a section makes no call (law 1)
                if key in held_slots and held_slots[key][0] == name:
                    del held_slots[key]
                    count -= 1
                elif (
                    gone_waiter is not None and gone_waiter.state == WAITING and waiters is not None
                ):
                    earlier_waiter = gone_waiter.ahead
                    behind_waiter = gone_waiter.behind
                    if earlier_waiter is not None:
                        earlier_waiter.behind = behind_waiter
                    elif behind_waiter is not None:
                        waiters.first = behind_waiter
                    if behind_waiter is not None:
                        behind_waiter.ahead = earlier_waiter
                    elif earlier_waiter is not None:
                        waiters.last = earlier_waiter
                    else:
                        del queues[name]
                    waiters.length -= 1
                if gone_waiter is not None:
                    gone_waiter.state = OUTSIDE
                if waiters is not None and waiters.length and count < waiters.places:
                    head = waiters.first
                    behind_waiter = head.behind
                    if behind_waiter is None:
                        del queues[name]
                    else:
                        behind_waiter.ahead = None
                        waiters.first = behind_waiter
                    waiters.length -= 1
                    head.state = INSIDE
                    held_slots[head.key] = head.held
                    count += 1
                if count:
                    taken_counts[name] = count
                elif earlier_count:
                    del taken_counts[name]
        finally:
            if head is not None:
                head.wake()
