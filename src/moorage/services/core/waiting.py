"""Queues of this process's callers that wait for a rate limit."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.domain.resilience.waiting import CallerQueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from moorage.domain.resilience.admission import Admission, Gates
    from moorage.domain.resilience.waiting import Turn
    from moorage.domain.state.commands import Ticket
    from moorage.services.core.core import Core

_Key: TypeAlias = "tuple[Gates, tuple[int, ...], type]"
"""The limits, a call's cost for each, and the class of its tickets: local or the store's."""

_numbers: Final = itertools.count(1)


class Waiter:
    """A caller that waits in the queue of a rate limit, or may now leave the queue.

    Attributes:
        key: key of the queue that it waits in.
        granted: first tickets granted to it, which identify it.
        number: unique number of the caller.
        turn: its turn while it is not in the queue.
    """

    __slots__ = ("granted", "key", "number", "turn")

    def __init__(self, key: _Key, tickets: tuple[Ticket, ...], due: int) -> None:
        self.key = key
        self.granted = tickets
        self.number = next(_numbers)
        self.turn: Turn = (due, self.number, tickets)


class Waiters:
    """The queues of this process's callers for the limits in one store.

    A queue is replaced as a whole, so that an interruption leaves either the old or the new one.

    Args:
        lock: makes a lock, if callers come from several threads.
    """

    def __init__(self, lock: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._make = lock
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """Forget all waiting callers in a forked child: they wait in its parent process."""
        self._lock = self._make()
        self._lines: dict[_Key, CallerQueue] = {}
        self._waiters: dict[int, Waiter] = {}

    def add_caller(self, question: Admission, tickets: tuple[Ticket, ...], due: int) -> Waiter:
        """Add a caller to the queue, with tickets that are valid from a local-clock time on."""
        key = (question.gates, question.costs, type(tickets[0]))
        waiter = self._waiters[id(tickets)] = Waiter(key, tickets, due)
        self._add(waiter)
        return waiter

    def join_again(self, waiter: Waiter, due: int) -> None:
        """Add a caller to the queue again, because a pause of the limit has postponed it."""
        waiter.turn = (due, waiter.number, waiter.turn[2])
        self._add(waiter)

    def wait_time(self, waiter: Waiter, now: int) -> tuple[int, bool]:
        """Return the nanoseconds to sleep, and whether the caller may go on then."""
        with self._lock:
            line, sleep_time, is_due = self._lines[waiter.key].with_wait(waiter.number, now)
            self._lines[waiter.key] = line
        return sleep_time, is_due

    def take_tickets(self, waiter: Waiter) -> tuple[Ticket, ...]:
        """Remove from the queue a caller that may proceed, and return its tickets."""
        with self._lock:
            line, waiter.turn = self._lines[waiter.key].without_admitted(waiter.number)
            self._put(waiter.key, line)
        return waiter.turn[2]

    def remove_admitted(self, tickets: tuple[Ticket, ...]) -> None:
        """Remove a caller that was admitted, identified by its first tickets."""
        self._waiters.pop(id(tickets), None)

    def remove_caller(self, tickets: tuple[Ticket, ...]) -> tuple[Ticket, ...]:
        """Remove a caller that stops waiting; return the tickets that it must give back."""
        waiter = self._waiters.pop(id(tickets), None)
        if waiter is None:
            return tickets
        with self._lock:
            line = self._lines.get(waiter.key, CallerQueue())
            if waiter.number not in line.numbers:
                return waiter.turn[2]
            line, next_turn = line.without_caller(waiter.number)
            self._put(waiter.key, line)
        return next_turn[2]

    def _add(self, waiter: Waiter) -> None:
        with self._lock:
            line = self._lines.get(waiter.key, CallerQueue())
            self._lines[waiter.key] = line.joined(waiter.turn)

    def _put(self, key: _Key, line: CallerQueue) -> None:
        if line.numbers:
            self._lines[key] = line
        else:
            del self._lines[key]


async def wait_for_turn(core: Core, waiter: Waiter) -> tuple[Ticket, ...]:
    """Wait until it is a caller's turn in the queue, and return its tickets."""
    is_due = False
    while not is_due:
        sleep_time, is_due = core.waiters.wait_time(waiter, core.nanoseconds())
        await core.sleep(sleep_time / 1e9)
    return core.waiters.take_tickets(waiter)
