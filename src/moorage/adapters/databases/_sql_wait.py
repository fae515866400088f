"""Functions that wait for a socket, by blocking the thread or in an event loop."""

from __future__ import annotations

import asyncio
import select
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


async def by_poll(fd: int, until: float, *, writing: bool) -> None:
    """Block the thread until the socket is ready, using poll."""
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT if writing else select.POLLIN)
    if not poll.poll(ceil(max(0, until - monotonic()) * 1000)):
        raise TimeoutError


async def by_select(fd: int, until: float, *, writing: bool) -> None:
    """Block the thread until the socket is ready, using select on systems without poll."""
    writing_sockets: Iterable[int] = [fd] if writing else []
    if not any(select.select([fd], writing_sockets, [], max(0, until - monotonic()))):
        raise TimeoutError


async def by_loop(fd: int, until: float, *, writing: bool) -> None:
    """Suspend the task until the socket is ready."""
    loop = asyncio.get_running_loop()
    ready_future = loop.create_future()

    def settle(*, in_time: bool) -> None:
        if not ready_future.done():
            ready_future.set_result(in_time)

    deadline_timer = loop.call_later(max(0, until - monotonic()), lambda: settle(in_time=False))
    try:
        loop.add_reader(fd, lambda: settle(in_time=True))
        if writing:
            loop.add_writer(fd, lambda: settle(in_time=True))
        if not await ready_future:
            raise TimeoutError
    finally:
        deadline_timer.cancel()
        loop.remove_reader(fd)
        if writing:
            loop.remove_writer(fd)


blocking = by_poll if hasattr(select, "poll") else by_select
