"""Waits for many sockets of one event loop with a single epoll object.

Adding and removing a reader costs an event loop time. Here the loop has one reader only, an epoll
in which each socket is armed for one event: starting to wait costs one system call, and ending the
wait costs none. One timer serves all deadlines; it is set to the earliest.

The system removes a closed socket from the epoll. After a fork, an event may carry a file
descriptor that now belongs to another socket, so a task that is woken tries again.
"""

from __future__ import annotations

import asyncio
import select
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from moorage.adapters.http.connections._wire import DeadlinePassed

if TYPE_CHECKING:
    import socket

_ONE_SHOT: Final = 1 << 30
_TIMER_SLACK: Final = 0.001  # seconds by which a timer is set late, so that it need not fire twice


class EpollWatch:
    """The sockets of an event loop that tasks wait for, one task per socket."""

    __slots__ = ("_epoll", "_timers", "_waiting")

    readable: ClassVar[int] = 0x001 | _ONE_SHOT  # select.EPOLLIN and EPOLLOUT, which only Linux has
    writable: ClassVar[int] = 0x004 | _ONE_SHOT

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # No attribute may keep the loop alive, because the loop keeps this object.
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[asyncio.Future[bool], float]] = {}
        # The times of the pending timers, each earlier than the one before.
        self._timers = [inf]
        loop.add_reader(self._epoll.fileno(), self._on_events)

    async def ready(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float, event: int
    ) -> None:
        """Suspend the task until the socket is ready.

        Raises:
            TimeIsUp: it was not ready in time.
        """
        number = sock.fileno()
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting[number] = future, until
        try:
            try:
                self._epoll.modify(number, event)
            except FileNotFoundError:
                self._epoll.register(number, event)
            if until < self._timers[-1]:
                self._set_timer(loop, until)
            in_time = await future
        except BaseException:
            self._waiting.pop(number, None)
            raise
        if not in_time:
            raise DeadlinePassed

    def _on_events(self) -> None:
        for number, _ in self._epoll.poll(0):
            self._settle(number, in_time=True)

    def _settle(self, number: int, *, in_time: bool) -> None:
        future, _ = self._waiting.pop(number, (None, inf))
        if future is not None and not future.done():
            future.set_result(in_time)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self._timers.append(until)
        loop.call_later(until - monotonic() + _TIMER_SLACK, self._on_timer)

    def _on_timer(self) -> None:
        self._timers.pop()
        now = monotonic()
        for number, (_, end_time) in list(self._waiting.items()):
            if end_time <= now:
                self._settle(number, in_time=False)
        next_deadline = min((deadline for _, deadline in self._waiting.values()), default=inf)
        if next_deadline < self._timers[-1]:
            self._set_timer(asyncio.get_running_loop(), next_deadline)
