"""How aiohttp connects where a guard is asked first."""

from __future__ import annotations

import socket
from math import inf
from typing import TYPE_CHECKING, Any

from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from moorage.adapters.http.borrowed._guide import Guide


def guided(guide: Guide) -> dict[str, Any]:
    """Return what makes a connector ask first."""

    def make(address: tuple[int, int, int, str, Any]) -> socket.socket:
        """Make a socket for this address only; a name has been looked up, a number was not."""
        family, kind, protocol, _, where = address
        guide.check_address(*where[:2])
        return socket.socket(family, kind, protocol)

    return {"resolver": Guided(guide), "use_dns_cache": False, "socket_factory": make}


class Guided(AbstractResolver):
    """Finds only addresses that the guard was asked about."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up."""
        return [
            ResolveResult(
                hostname=host,
                host=where[0],
                port=where[1],
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, where in await self._guide.addresses(host, port, inf)
            if family in {socket.AF_UNSPEC, found}
        ]

    async def close(self) -> None:
        """It keeps nothing."""
