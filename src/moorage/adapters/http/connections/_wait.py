"""Waiting for a socket by blocking the thread."""

from __future__ import annotations

import select
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._wire import TimeIsUp

if TYPE_CHECKING:
    import socket

_NAP: Final = 86_400.0  # the system cannot count much further


def by_poll(sock: socket.socket, until: float, *, writing: bool) -> None:
    """Block until the socket is ready.

    Raises:
        TimeIsUp: it was not in time.
    """
    poll = select.poll()
    poll.register(sock, select.POLLOUT if writing else select.POLLIN)
    while not poll.poll(ceil(_nap(until) * 1000)):
        pass


def by_select(sock: socket.socket, until: float, *, writing: bool) -> None:
    """Block until the socket is ready, as `by_poll`: where there is no poll, numbers are small."""
    reading, sending = ([], [sock]) if writing else ([sock], [])
    # Windows reports a connection that failed as exceptional.
    while not any(select.select(reading, sending, sending, _nap(until))):
        pass


def _nap(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise TimeIsUp
    return min(left, _NAP)


wait = by_poll if hasattr(select, "poll") else by_select
