"""Sockets on which everything that redis-py does together ends by one moment.

A time-out of a socket bounds each read; a server that sends a byte now and then outlasts any number
of them. Here the bound is a moment, and each read waits for what is left until then.
"""

from __future__ import annotations

from functools import cache
from math import inf
from time import monotonic
from typing import Any


class TimedSocket:
    """A connected socket whose reads and writes fail after `until`, a time of `monotonic()`."""

    def __init__(self, connected: Any, until: float) -> None:
        self._socket = connected
        self._waits = True
        self.until = until

    def settimeout(self, seconds: float | None) -> None:
        """Take over from redis-py only whether it wants to wait at all."""
        self._waits = seconds != 0
        self._socket.settimeout(seconds)

    def recv(self, *request: Any) -> Any:
        """Receive as a socket does."""
        self._bound()
        return self._socket.recv(*request)

    def recv_into(self, *request: Any) -> Any:
        """Receive into a buffer as a socket does."""
        self._bound()
        return self._socket.recv_into(*request)

    def sendall(self, *request: Any) -> Any:
        """Send as a socket does."""
        self._bound()
        return self._socket.sendall(*request)

    def _bound(self) -> None:
        if self._waits:
            left = self.until - monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


@cache
def timed(kind: Any) -> Any:
    """The subclass of one of redis-py's connections whose socket is a `TimedSocket`."""

    class Timed(kind):  # type: ignore[misc]  # any of redis-py's
        until = inf

        def _connect(self) -> TimedSocket:
            return TimedSocket(super()._connect(), self.until)  # pyright: ignore[reportUnknownMemberType] - the same

    return Timed
