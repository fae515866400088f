"""Waiting for many sockets of one event loop at once, through a poll of our own.

An event loop asks for its own bookkeeping each time that a reader comes and goes. Here a loop
reads one thing only, an epoll in which sockets are armed for one event each: to wait costs one
call of the system, and to stop waiting none. One alarm stands for all bounds, at the earliest.

A socket that was closed leaves the epoll by itself. An event may come for a number that stands for
another socket meanwhile, after a fork, so who is woken looks again.
"""

from __future__ import annotations

import asyncio
import select
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from moorage.adapters.http.connections._wire import TimeIsUp

if TYPE_CHECKING:
    import socket

_ONCE: Final = 1 << 30
_LATE: Final = 0.001  # by which an alarm may be late, so that it need not ring twice


class EpollWatch:
    """The sockets that tasks of one event loop wait for; nobody waits for one twice at a time."""

    __slots__ = ("_alarms", "_epoll", "_waiting")

    readable: ClassVar[int] = 0x001 | _ONCE  # select.EPOLLIN and EPOLLOUT, which only Linux has
    writable: ClassVar[int] = 0x004 | _ONCE

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Nothing here may keep the loop alive, which is what keeps this.
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[asyncio.Future[bool], float]] = {}
        # Those that will ring, each earlier than the one before it.
        self._alarms = [inf]
        loop.add_reader(self._epoll.fileno(), self._look)

    async def ready(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float, event: int
    ) -> None:
        """Suspend the task until the socket is ready.

        Raises:
            TimeIsUp: it was not in time.
        """
        number = sock.fileno()
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting[number] = future, until
        try:
            try:
                self._epoll.modify(number, event)
            except FileNotFoundError:
                self._epoll.register(number, event)
            if until < self._alarms[-1]:
                self._set_alarm(loop, until)
            in_time = await future
        except BaseException:
            self._waiting.pop(number, None)
            raise
        if not in_time:
            raise TimeIsUp

    def _look(self) -> None:
        for number, _ in self._epoll.poll(0):
            self._settle(number, in_time=True)

    def _settle(self, number: int, *, in_time: bool) -> None:
        future, _ = self._waiting.pop(number, (None, inf))
        if future is not None and not future.done():
            future.set_result(in_time)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self._alarms.append(until)
        loop.call_later(until - monotonic() + _LATE, self._ring)

    def _ring(self) -> None:
        self._alarms.pop()
        now = monotonic()
        for number, (_, until) in list(self._waiting.items()):
            if until <= now:
                self._settle(number, in_time=False)
        earliest = min((until for _, until in self._waiting.values()), default=inf)
        if earliest < self._alarms[-1]:
            self._set_alarm(asyncio.get_running_loop(), earliest)
