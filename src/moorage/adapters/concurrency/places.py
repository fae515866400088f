"""Who is in and who waits: what locks are made of, in either colour.

The laws of this file:

1. Every change is one *section* under one lock, and a section makes no call, loops nowhere and
   creates no container. So nothing runs inside it that is not written there: no signal handler, no
   garbage collector and thus no finaliser (which may well give a place back), and no thread switch
   while the lock is held. An interruption falls before a section or after it.
2. A place that is freed changes hands within the section that frees it. Nobody can come between.
3. Whoever was let in is woken, though the section's end be interrupted.
4. While somebody waits for a name, a place of it is taken; so somebody will pass it on.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.adapters.concurrency.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

OUTSIDE: Final = 0
WAITING: Final = 1
INSIDE: Final = 2

NOBODY: Final = object()

_Held: TypeAlias = "tuple[str, object]"
"""A name, and who is in; kept, so that nobody else has the same identity meanwhile."""


class Waiter:
    """One caller who may have to wait; `wake` is called once, when it was let in."""

    __slots__ = ("ahead", "behind", "held", "key", "stand", "wake")

    def __init__(self, name: str, holder: object, wake: Callable[[], object]) -> None:
        self.held: _Held = (name, holder)
        self.key = id(holder)
        self.wake = wake
        self.stand = OUTSIDE
        self.ahead: Waiter | None = None
        self.behind: Waiter | None = None


class _Line:
    """Those who wait for one name, linked so that anybody can leave from anywhere."""

    __slots__ = ("first", "last", "length", "places")

    def __init__(self, waiter: Waiter, places: int) -> None:
        self.first = waiter
        self.last = waiter
        self.length = 1
        self.places = places


class Places:
    """Who is in, how many they are for each name, and who waits.

    The number of places of a name is what the latest caller says it is.
    """

    def __init__(self, lock: Callable[[], AbstractContextManager[object]] = Lock) -> None:
        self._new_lock = lock
        self._forget()
        in_child(self, Places._forget)

    def _forget(self) -> None:
        self._section = self._new_lock()
        self._held: dict[int, _Held] = {}
        self._taken: dict[str, int] = {}
        self._lines: dict[str, _Line] = {}

    def names(self) -> set[str]:
        """The names that take memory: those that somebody is in, or waits for."""
        return {*self._taken, *self._lines}

    def enter(self, name: str, holder: object, places: int) -> bool:
        """Go in if there is a place and nobody waits for it, or if `holder` is in already."""
        held, taken, key = self._held, self._taken, id(holder)
        entry = (name, holder)
        inside = False
        try:
            with self._section:
                count = taken[name] if name in taken else 0  # noqa: SIM401 - law 1
                if key in held:
                    inside = True
                elif count < places and name not in self._lines:
                    held[key] = entry
                    taken[name] = count + 1
                    inside = True
        except BaseException:
            self.settle(name, holder)
            raise
        return inside

    def join(self, waiter: Waiter, places: int, queue: int) -> None:
        """Go in, stand in line, or stay outside, as `waiter.stand` tells afterwards."""
        held, taken, lines, new = self._held, self._taken, self._lines, _Line(waiter, places)
        name, _ = waiter.held
        while waiter.stand == OUTSIDE:
            room = False
            with self._section:
                count = taken[name] if name in taken else 0  # noqa: SIM401 - law 1
                if name in lines:
                    line = lines[name]
                    line.places = places
                    room = count < places
                    if line.length < queue:
                        waiter.ahead = line.last
                        line.last.behind = waiter
                        line.last = waiter
                        line.length += 1
                        waiter.stand = WAITING
                elif count < places:
                    held[waiter.key] = waiter.held
                    taken[name] = count + 1
                    waiter.stand = INSIDE
                elif queue > 0:
                    lines[name] = new
                    waiter.stand = WAITING
            if not room:
                return
            # There are more places than before, and those in line come first.
            self.settle(name)

    def leave(self, waiter: Waiter) -> None:
        """Go out of the line, or of the place that was given in the meantime."""
        name, holder = waiter.held
        self.settle(name, holder, waiter)

    def settle(  # noqa: C901, PLR0912 - one section, which makes no call (law 1)
        self, name: str, holder: object = NOBODY, gone: Waiter | None = None
    ) -> None:
        """Let `holder` out, or `gone` out of the line; and let in who waits longest.

        At most one is let in. If there is room for more, that one settles again.
        """
        held, taken, lines, key = self._held, self._taken, self._lines, id(holder)
        head: Waiter | None = None
        try:
            with self._section:
                count = taken[name] if name in taken else 0  # noqa: SIM401 - law 1
                line = lines[name] if name in lines else None  # noqa: SIM401 - law 1
                if key in held and held[key][0] == name:
                    del held[key]
                    count -= 1
                elif gone is not None and gone.stand == WAITING and line is not None:
                    ahead = gone.ahead
                    behind = gone.behind
                    if ahead is not None:
                        ahead.behind = behind
                    elif behind is not None:
                        line.first = behind
                    if behind is not None:
                        behind.ahead = ahead
                    elif ahead is not None:
                        line.last = ahead
                    else:
                        del lines[name]
                    line.length -= 1
                if gone is not None:
                    gone.stand = OUTSIDE
                if line is not None and line.length and count < line.places:
                    head = line.first
                    behind = head.behind
                    if behind is None:
                        del lines[name]
                    else:
                        behind.ahead = None
                        line.first = behind
                    line.length -= 1
                    head.stand = INSIDE
                    held[head.key] = head.held
                    count += 1
                if count:
                    taken[name] = count
                elif name in taken:
                    del taken[name]
        finally:
            if head is not None:
                head.wake()
