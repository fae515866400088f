"""Where libraries may connect to that would look names up themselves: where the guard allows."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from moorage.adapters.http.connections._resolve import allowed, check_host, refuse_if
from moorage.adapters.http.connections._wire import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.adapters.http.connections._wire import Address, Network
    from moorage.adapters.http.stdlib._engine import Settings
    from moorage.domain.http.outgoing import OutgoingGuard

_Answer = TypeVar("_Answer")


class Guide:
    """Tells a library where to connect to: to addresses that the guard was asked about.

    Args:
        guard: says what is allowed.
        network: looks names up.
    """

    def __init__(self, guard: OutgoingGuard, network: Network) -> None:
        self._guard = guard
        self._network = network

    def check(self, origin: Origin) -> None:
        """Refuse an origin that must not even be looked up, or need not be.

        Raises:
            DestinationRefused: it must not be asked.
        """
        check_host(self._guard, origin)
        with contextlib.suppress(ValueError):
            ip_address(origin.host)
            self.check_address(origin.host, origin.port)

    def check_address(self, address: str, port: int) -> None:
        """Refuse an address.

        Raises:
            DestinationRefused: it must not be connected to.
        """
        refuse_if(self._guard.objection_to(address), Origin(address, port, secure=False))

    async def addresses(self, host: str, port: int, until: float) -> list[Address]:
        """Look a name up.

        Raises:
            DestinationRefused: one of its addresses must not be connected to.
            TimeIsUp: there was no answer in time.
            OSError, ValueError: there is no such name, or it is none.
        """
        found = await self._network.resolve(host, port, until)
        return allowed(self._guard, Origin(host, port, secure=False), found)

    async def reach(
        self,
        host: str,
        port: int,
        until: float,
        connect: Callable[[tuple[str, int], float], Awaitable[_Answer]],
    ) -> _Answer:
        """Have the library connect to the addresses of a host in turn, each in its share of time.

        Raises:
            DestinationRefused: one of its addresses must not be connected to.
            TimeIsUp: there was no answer in time.
            OSError, ValueError: there is no such name, or it is none.
            Exception: whatever `connect` raised last.
        """
        addresses = await self.addresses(host, port, until)
        failure: Exception = OSError("the name has no address")
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            now = monotonic()
            try:
                return await connect(address[4][:2], now + (until - now) / left)
            except Exception as error:  # noqa: BLE001 - each library has its own
                failure = error
        raise failure


def guide_of(settings: Settings, network: Network) -> Guide | None:
    """Return who leads where the settings allow, if they do not allow all."""
    return None if settings.guard is None else Guide(settings.guard, network)
