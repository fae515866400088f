"""Room for exchanges by another library's client: one for each process and event loop."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import attrs

from moorage.adapters.http.borrowed._guide import guide_of
from moorage.adapters.http.connections._pool import Pool
from moorage.adapters.http.stdlib._engine import Engine
from moorage.errors import LocalFailure

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Network, Origin, Wire
    from moorage.adapters.http.stdlib._engine import Settings
    from moorage.domain.http.transport import PoolStatistics


class Lender(Protocol):
    """A library's client, in one process and, if it needs one, one event loop.

    `shut` does not wait, and leaves a client alone that the host has given us; `settle` does.
    """

    def shut(self) -> None: ...

    async def settle(self) -> None: ...


class Stand(Pool):
    """Places for exchanges with a library's client, which keeps the connections itself.

    Attributes:
        lender: the client.
    """

    lender: Lender

    def __init__(self, network: Network, places: int) -> None:
        super().__init__(network, places, keep_alive=0)
        self._abandoned = False

    def give(
        self, origin: Origin, holder: object, wire: Wire | None = None, idle: float | None = None
    ) -> None:
        """Give the place back; the last one ends a client that was closed meanwhile."""
        super().give(origin, holder, wire, idle)
        self._shut_if_over()

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        super().close()
        self._shut_if_over()

    def abandon(self) -> None:
        """Drop it where nobody else is left."""
        self._abandoned = True
        super().abandon()

    def _shut_if_over(self) -> None:
        if self._closed and not self._sites and not self._abandoned:
            self.lender.shut()


class LentEngine(Engine, ABC):
    """Makes exchanges with a library's client.

    Args:
        network: how to wait.
        settings: those of the adapter.
        given: whether the client is one that the host has made, and so belongs to one place.

    Attributes:
        guide: says where the library may connect to, if not anywhere.
    """

    def __init__(self, network: Network, settings: Settings, *, given: bool) -> None:
        super().__init__(network, settings)
        self.guide = guide_of(settings, network)
        self._making = Lock()
        self._owner = os.getpid() if given else None
        self._home: object = None

    @abstractmethod
    def new_stand(self) -> Stand:
        """Make a client for this process and event loop, and room for it."""

    def new_pool(self) -> Stand:
        """Make room where there may be any."""
        if self._owner is not None:
            self._check_place(self._owner)
        return self.new_stand()

    def pool(self) -> Pool:
        """Return the room that can be used here, which is made once."""
        with self._making:
            return super().pool()

    def statistics(self) -> PoolStatistics:
        """Count what exchanges are doing; what is idle the library knows."""
        return attrs.evolve(super().statistics(), idle=None)

    def start_afresh(self) -> None:
        """Leave all connections to the parent, in a child that was just forked."""
        self._making = Lock()
        super().start_afresh()

    async def settle(self) -> None:
        """Wait for what is being closed here."""
        for stand in list(self._pools.values()):
            if isinstance(stand, Stand):  # pragma: no branch - here they all are
                await stand.lender.settle()

    def _check_place(self, owner: int) -> None:
        if os.getpid() != owner:  # pragma: no cover - only in a forked child
            raise _elsewhere("process, which goes on using its connections")
        here = self.network.here()
        if self._home not in {None, here}:
            raise _elsewhere("event loop")
        self._home = here


def closed(what: str) -> LocalFailure:
    return LocalFailure(
        what,
        remedy="Make a new client, or close this one later.",
    )


def _elsewhere(what: str) -> LocalFailure:
    return LocalFailure(
        f"The client that was given to moorage belongs to another {what}.",
        remedy="Give a function that makes a client instead: it is called wherever one is needed.",
    )
