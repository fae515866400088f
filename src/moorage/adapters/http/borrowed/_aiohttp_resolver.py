"""A name resolver for aiohttp that returns only addresses that the guard allows."""

from __future__ import annotations

import socket
from math import inf
from typing import TYPE_CHECKING, Any

from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from moorage.adapters.http.borrowed._guarded_resolver import GuardedResolver


def guarded_connector_options(resolver: GuardedResolver) -> dict[str, Any]:
    """Return the arguments of an aiohttp connector that connects only to allowed addresses."""

    def make_socket(address: tuple[int, int, int, str, Any]) -> socket.socket:
        """Return a socket for an address after checking it, since IPs bypass the resolver."""
        family, kind, protocol, _, socket_address = address
        resolver.check_address(*socket_address[:2])
        return socket.socket(family, kind, protocol)

    return {
        "resolver": GuardedAiohttpResolver(resolver),
        "use_dns_cache": False,
        "socket_factory": make_socket,
    }


class GuardedAiohttpResolver(AbstractResolver):
    """Resolves host names for aiohttp to addresses that the guard allows."""

    def __init__(self, resolver: GuardedResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a host name to addresses that the guard allows."""
        return [
            ResolveResult(
                hostname=host,
                host=socket_address[0],
                port=socket_address[1],
                family=address_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address_family, _, protocol, _, socket_address in await self._resolver.addresses(
                host, port, inf
            )
            if family in {socket.AF_UNSPEC, address_family}
        ]

    async def close(self) -> None:
        """Do nothing, because the resolver has nothing to close."""
