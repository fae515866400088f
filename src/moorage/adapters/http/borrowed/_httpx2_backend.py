"""A network backend that makes httpx2 obey the time limit and the guard's rules."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import httpcore2

from moorage.adapters.http.borrowed._library_exchange import seconds_left
from moorage.adapters.http.connections._threads import run
from moorage.adapters.http.connections._wire import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from moorage.adapters.http.borrowed._guarded_resolver import GuardedResolver, Resolver

    Where: TypeAlias = tuple[str, int]
    Options: TypeAlias = Iterable[
        tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
    ]


_Stream = TypeVar("_Stream")


class ResolvingBackend(httpcore2.NetworkBackend):
    """Opens the TCP connections of the synchronous httpx2 client.

    Args:
        backend: the backend that makes the connections.
        resolver: returns the addresses to connect to.
    """

    def __init__(self, backend: httpcore2.NetworkBackend, resolver: Resolver) -> None:
        self._backend = backend
        self._resolver = resolver

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options | None = None,
    ) -> httpcore2.NetworkStream:
        """Try a host's addresses one after another, within the time limit."""

        async def connect(where: Where, until: float) -> httpcore2.NetworkStream:
            connect_timeout = seconds_left(None, until)
            return self._backend.connect_tcp(*where, connect_timeout, local_address, socket_options)

        return run(_connect_in_turn(self._resolver, host, port, timeout, connect))


class AsyncGuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens the TCP connections of the asynchronous httpx2 client.

    Args:
        backend: the backend that makes the connections.
        resolver: returns the addresses to connect to.
    """

    def __init__(self, backend: httpcore2.AsyncNetworkBackend, resolver: GuardedResolver) -> None:
        self._backend = backend
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to an address that the guard allows."""

        async def connect(where: Where, until: float) -> httpcore2.AsyncNetworkStream:
            connect_timeout = seconds_left(None, until)
            return await self._backend.connect_tcp(
                *where, connect_timeout, local_address, socket_options
            )

        return await _connect_in_turn(self._resolver, host, port, timeout, connect)


async def _connect_in_turn(
    resolver: Resolver,
    host: str,
    port: int,
    timeout: float | None,
    connect: Callable[[Where, float], Awaitable[_Stream]],
) -> _Stream:
    end_time = inf if timeout is None else monotonic() + timeout
    try:
        return await resolver.reach(host, port, end_time, connect)
    except DeadlinePassed:
        raise httpcore2.ConnectTimeout from None
    except (OSError, ValueError) as error:
        raise httpcore2.ConnectError from error
