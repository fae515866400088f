"""Looking up names with a bound, which the system's own function does not have."""

from __future__ import annotations

import contextlib
import socket
from threading import Thread
from typing import TYPE_CHECKING

from moorage.errors import DestinationRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._wire import Address, Origin
    from moorage.domain.http.outgoing import OutgoingGuard


def allowed(guard: OutgoingGuard, origin: Origin, addresses: list[Address]) -> list[Address]:
    """Return the addresses to connect to, and to no others.

    Raises:
        DestinationRefused: one of them must not be connected to, so none is.
    """
    for _, _, _, _, where in addresses:
        refuse_if(guard.objection_to(where[0]), origin)
    return addresses


def check_host(guard: OutgoingGuard, origin: Origin) -> None:
    """Refuse a host that must not even be looked up.

    Raises:
        DestinationRefused: it must not be asked.
    """
    refuse_if(guard.objection(origin.host, origin.port, secure=origin.secure), origin)


def refuse_if(objection: str | None, origin: Origin) -> None:
    """Refuse a destination that something speaks against.

    Raises:
        DestinationRefused: something does.
    """
    if objection is not None:
        raise DestinationRefused(f"{origin} {objection}.")


def numeric(host: str, port: int) -> list[Address]:
    """Return the address that this host already is, if it is one."""
    with contextlib.suppress(socket.gaierror, ValueError):
        return _look_up(host, port, socket.AI_NUMERICHOST)
    return []


class Lookup(Thread):
    """Looks a name up in a thread of its own, which is left behind if it takes too long.

    `found` is called in that thread when `addresses` can be asked for.
    """

    def __init__(self, host: str, port: int, found: Callable[[], object]) -> None:
        super().__init__(name=f"moorage looks up {host}", daemon=True)
        self._host = host
        self._port = port
        self._found = found
        self._addresses: list[Address] = []
        self._failure: Exception | None = None

    def run(self) -> None:
        """Look it up."""
        try:
            self._addresses = _look_up(self._host, self._port, 0)
        except (OSError, ValueError) as failure:
            self._failure = failure
        self._found()

    def addresses(self) -> list[Address]:
        """Return what was found.

        Raises:
            OSError, ValueError: there is no such name, or it is none.
        """
        if self._failure is not None:
            raise self._failure
        return self._addresses


def _look_up(host: str, port: int, flags: int) -> list[Address]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
