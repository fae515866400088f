"""Waiting for a socket by blocking the thread."""

from __future__ import annotations

import select
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._wire import DeadlinePassed

if TYPE_CHECKING:
    import socket

_MAX_WAIT: Final = 86_400.0  # the longest wait that every operating system accepts


def by_poll(sock: socket.socket, until: float, *, writing: bool) -> None:
    """Block the thread until the socket is ready, using poll.

    Raises:
        TimeIsUp: the socket was not ready in time.
    """
    poll = select.poll()
    poll.register(sock, select.POLLOUT if writing else select.POLLIN)
    while not poll.poll(ceil(_remaining_seconds(until) * 1000)):
        pass


def by_select(sock: socket.socket, until: float, *, writing: bool) -> None:
    """Block the thread until the socket is ready, using select on systems without poll."""
    reading_sockets, writing_sockets = ([], [sock]) if writing else ([sock], [])
    # Windows reports a failed connection as exceptional.
    while not any(
        select.select(reading_sockets, writing_sockets, writing_sockets, _remaining_seconds(until))
    ):
        pass


def has_arrived_by_poll(sock: socket.socket) -> bool:
    """Return whether bytes or the end of the connection have arrived, using poll."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def has_arrived_by_select(sock: socket.socket) -> bool:
    """Return whether bytes or the end of the connection have arrived, using select."""
    return any(select.select([sock], [], [], 0))


def _remaining_seconds(until: float) -> float:
    seconds_left = until - monotonic()
    if seconds_left <= 0:
        raise DeadlinePassed
    return min(seconds_left, _MAX_WAIT)


wait = by_poll if hasattr(select, "poll") else by_select
is_readable = has_arrived_by_poll if hasattr(select, "poll") else has_arrived_by_select
