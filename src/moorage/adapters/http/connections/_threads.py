"""Waiting for sockets in threads."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from threading import TIMEOUT_MAX, Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.http.connections._resolve import Lookup, numeric_addresses
from moorage.adapters.http.connections._wait import wait
from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

    from moorage.adapters.http.connections._wire import Address, Waiter
    from moorage.domain.http.body import Chunks

_Result = TypeVar("_Result")


class ThreadNetwork:
    """The network of the synchronous client, which waits by blocking threads."""

    def here(self) -> None:
        """Return None, because all threads share the connections."""

    def gone(self, there: object) -> bool:  # noqa: ARG002 - all threads share one
        return False

    async def readable(self, sock: socket.socket, until: float) -> None:
        wait(sock, until, writing=False)

    async def writable(self, sock: socket.socket, until: float) -> None:
        wait(sock, until, writing=True)

    async def resolve(self, host: str, port: int, until: float) -> list[Address]:
        if addresses := numeric_addresses(host, port):
            return addresses
        lookup = Lookup(host, port, int)
        lookup.begin()
        lookup.join(None if until == inf else max(0, until - monotonic()))
        if lookup.is_alive():
            raise DeadlinePassed
        return lookup.addresses()

    async def pull(self, chunks: Chunks, until: float) -> object:  # noqa: ARG002 - cannot be bounded
        if isinstance(chunks, Iterator):
            return next(chunks, None)
        raise InvalidData(
            "The synchronous HTTP client cannot send the body of an asynchronous iterator.",
            field="body",
            remedy="Stream the body from an iterator or a file, or use the asynchronous client.",
        )

    def waiter(self) -> Waiter:
        return _Waiter()


class _Waiter:
    """A lock that `call` releases."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    async def wait(self, until: float) -> None:
        seconds_left = max(0, until - monotonic())
        if not self._lock.acquire(timeout=min(seconds_left, TIMEOUT_MAX)):
            raise DeadlinePassed

    def call(self) -> None:
        self._lock.release()


def run(flow: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine that never suspends, and return its result."""
    try:
        flow.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what the coroutine returned
    flow.close()
    raise RuntimeError("The synchronous HTTP client suspended, but it must run without waiting.")
