"""Resolves host names for other libraries, within a time limit and the guard's rules."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from moorage.adapters.http.connections._resolve import allowed_addresses, check_host, refuse_if
from moorage.adapters.http.connections._wire import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.adapters.http.connections._wire import Address, Network
    from moorage.domain.http.outgoing import OutgoingGuard

_Result = TypeVar("_Result")


class Resolver:
    """Resolves host names, and makes a library try the addresses one after another.

    Blocking libraries spend the whole timeout on each address of a name, and do not limit the time
    for resolving it.

    Args:
        network: resolves names.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    async def addresses(self, host: str, port: int, until: float) -> list[Address]:
        """Resolve a host name.

        Raises:
            TimeIsUp: there was no response in time.
            OSError, ValueError: the name does not exist, or is not valid.
        """
        return await self._network.resolve(host, port, until)

    async def reach(
        self,
        host: str,
        port: int,
        until: float,
        connect: Callable[[tuple[str, int], float], Awaitable[_Result]],
    ) -> _Result:
        """Try to connect to a host's addresses one after another, each for a share of the time.

        Raises:
            DestinationRefused: an address of the host is not allowed.
            TimeIsUp: there was no response in time.
            OSError, ValueError: the name does not exist, or is not valid.
            Exception: the last error of `connect`.
        """
        addresses = await self.addresses(host, port, until)
        failure: Exception = OSError("the host name has no address")
        for remaining_addresses, address in zip(
            range(len(addresses), 0, -1), addresses, strict=True
        ):
            now = monotonic()
            try:
                return await connect(address[4][:2], now + (until - now) / remaining_addresses)
            except Exception as error:  # noqa: BLE001 - each library has its own
                failure = error
        raise failure


class GuardedResolver(Resolver):
    """Resolves host names for a library to addresses that the guard allows.

    Args:
        guard: decides which destinations are allowed.
        network: resolves names.
    """

    def __init__(self, guard: OutgoingGuard, network: Network) -> None:
        super().__init__(network)
        self._guard = guard

    def check(self, origin: Origin) -> None:
        """Refuse a host that must not be resolved, or an IP address that the guard forbids.

        Raises:
            DestinationRefused: the host is not allowed.
        """
        check_host(self._guard, origin)
        with contextlib.suppress(ValueError):
            ip_address(origin.host)
            self.check_address(origin.host, origin.port)

    def check_address(self, address: str, port: int) -> None:
        """Refuse an address that the guard does not allow.

        Raises:
            DestinationRefused: the address is not allowed.
        """
        refuse_if(self._guard.objection_to(address), Origin(address, port, secure=False))

    async def addresses(self, host: str, port: int, until: float) -> list[Address]:
        """Resolve a host name to addresses that the guard allows.

        Raises:
            DestinationRefused: an address of the host is not allowed.
            TimeIsUp: there was no response in time.
            OSError, ValueError: the name does not exist, or is not valid.
        """
        addresses = await super().addresses(host, port, until)
        return allowed_addresses(self._guard, Origin(host, port, secure=False), addresses)


def resolver_for(settings: ConnectionSettings, network: Network) -> GuardedResolver | None:
    """Return a resolver that applies the settings' guard; None if there is no guard."""
    return None if settings.guard is None else GuardedResolver(settings.guard, network)
