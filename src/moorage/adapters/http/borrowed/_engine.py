"""Pools for other libraries' clients, one for each process and event loop."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import attrs

from moorage.adapters.http.borrowed._guarded_resolver import resolver_for
from moorage.adapters.http.connections._pool import Pool
from moorage.adapters.http.stdlib._engine import Engine
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.adapters.http.connections._wire import Network, Origin, Wire
    from moorage.domain.http.transport import HttpPoolStatistics


class LibraryClient(Protocol):
    """A library's client in one process and, if it is asynchronous, one event loop.

    `shut` closes it without waiting, unless the host owns it; `settle` waits until it is closed.
    """

    def shut(self) -> None: ...

    async def settle(self) -> None: ...


class ExchangePool(Pool):
    """Limits the number of concurrent exchanges; the other library owns the connections.

    Attributes:
        library: the client.
    """

    library: LibraryClient

    def __init__(self, network: Network, slots: int) -> None:
        super().__init__(network, slots, keep_alive=0)
        self._abandoned = False

    def give(
        self, origin: Origin, holder: object, wire: Wire | None = None, idle: float | None = None
    ) -> None:
        """Give back a slot; after `close`, the last one closes the library's client."""
        super().give(origin, holder, wire, idle)
        self._close_if_unused()

    def close(self) -> None:
        """Close the pool; the library's client is closed when the last slot is given back."""
        super().close()
        self._close_if_unused()

    def abandon(self) -> None:
        """Drop the pool in a forked child, and leave the client open for the parent process."""
        self._abandoned = True
        super().abandon()

    def _close_if_unused(self) -> None:
        if self._closed and not self._origin_pools and not self._abandoned:
            self.library.shut()


class LibraryEngine(Engine, ABC):
    """Sends requests through another library's client.

    Args:
        network: the way to wait: blocking, or in an event loop.
        settings: the settings of the adapter.
        from_host: whether the host created the client, so that it belongs to one process and loop.

    Attributes:
        resolver: resolves names under a guard; None if every destination is allowed.
    """

    def __init__(self, network: Network, settings: ConnectionSettings, *, from_host: bool) -> None:
        super().__init__(network, settings)
        self.resolver = resolver_for(settings, network)
        self._creation_lock = Lock()
        self._owner = os.getpid() if from_host else None
        self._scope: object = None

    @abstractmethod
    def new_exchange_pool(self) -> ExchangePool:
        """Create a client for this process and event loop, with its pool."""

    def new_pool(self) -> ExchangePool:
        """Create a pool, if this thread or event loop may use the library's client."""
        if self._owner is not None:
            self._check_place(self._owner)
        return self.new_exchange_pool()

    def pool(self) -> Pool:
        """Return the pool of this process and event loop, and create it at the first use."""
        with self._creation_lock:
            return super().pool()

    def statistics(self) -> HttpPoolStatistics:
        """Return the numbers of requests in progress; the library hides its idle connections."""
        return attrs.evolve(super().statistics(), idle=None)

    def restart_after_fork(self) -> None:
        """Forget all connections after a fork, because they belong to the parent process."""
        self._creation_lock = Lock()
        super().restart_after_fork()

    async def settle(self) -> None:
        """Wait until the clients that are being closed have closed their connections."""
        for exchange_pool in list(self._pools.values()):
            if isinstance(exchange_pool, ExchangePool):  # pragma: no branch - all of them are
                await exchange_pool.library.settle()

    def _check_place(self, owner: int) -> None:
        if os.getpid() != owner:  # pragma: no cover - only in a forked child
            raise _wrong_owner_error("process, which is still using its connections")
        scope = self.network.here()
        if self._scope not in {None, scope}:
            raise _wrong_owner_error("event loop")
        self._scope = scope


def closed_error(message: str) -> LocalFailure:
    return LocalFailure(
        message,
        remedy="Create a new client, or close this client later.",
    )


def _wrong_owner_error(owner: str) -> LocalFailure:
    return LocalFailure(
        f"Your HTTP client belongs to another {owner}.",
        remedy="Pass a function that creates clients, so that each process and event loop"
        " calls it.",
    )
