"""Resolves host names within a time limit, which the operating system does not offer."""

from __future__ import annotations

import contextlib
import socket
from threading import TIMEOUT_MAX, Thread
from time import monotonic
from typing import TYPE_CHECKING

from moorage.adapters.concurrency.thread_start import start_thread
from moorage.errors import DestinationRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._wire import Address, Origin
    from moorage.domain.http.outgoing import OutgoingGuard


def allowed_addresses(
    guard: OutgoingGuard, origin: Origin, addresses: list[Address]
) -> list[Address]:
    """Return a host's addresses; raise an error if the guard forbids any of them.

    Raises:
        DestinationRefused: an address is not allowed.
    """
    for _, _, _, _, socket_address in addresses:
        refuse_if(guard.objection_to(socket_address[0]), origin)
    return addresses


def check_host(guard: OutgoingGuard, origin: Origin) -> None:
    """Refuse a host name that the guard does not allow to be resolved.

    Raises:
        DestinationRefused: the host is not allowed.
    """
    refuse_if(guard.objection(origin.host, origin.port, secure=origin.secure), origin)


def refuse_if(objection: str | None, origin: Origin) -> None:
    """Raise an error if the guard objects to a destination.

    Raises:
        DestinationRefused: there is an objection.
    """
    if objection is not None:
        raise DestinationRefused(f"{origin} {objection}.")


def numeric_addresses(host: str, port: int) -> list[Address]:
    """Return the address if the host is an IP address; otherwise an empty list."""
    with contextlib.suppress(socket.gaierror, ValueError):
        return _look_up(host, port, socket.AI_NUMERICHOST)
    return []


def addresses_until(host: str, port: int, until: float) -> list[Address]:
    """Return the addresses of a host, before a time of `monotonic()`.

    Raises:
        TimeoutError: the name was not resolved in time.
        OSError, ValueError: the name does not exist, or is not valid.
    """
    if addresses := numeric_addresses(host, port):
        return addresses
    lookup = Lookup(host, port, int)
    lookup.begin()
    lookup.join(seconds_until(until))
    if lookup.is_alive():
        raise TimeoutError
    return lookup.addresses()


def connected_socket(address: tuple[str, int], timeout: float | None) -> socket.socket:
    """Connect as `socket.create_connection` does, but resolve the name within the timeout too.

    Each address has an equal share of the time that is left.

    Raises:
        TimeoutError: there was no connection in time.
        OSError: the host has no address, or refuses the connection.
    """
    if timeout is None:
        return socket.create_connection(address, timeout)
    until = monotonic() + timeout
    addresses = addresses_until(*address, until)
    failure: OSError = OSError("the host name has no address")
    for attempts_left, (*_, socket_address) in zip(
        range(len(addresses), 0, -1), addresses, strict=True
    ):
        share = seconds_until(until) / attempts_left
        try:
            connection = socket.create_connection(socket_address[:2], share)
        except OSError as error:
            failure = error
        else:
            connection.settimeout(timeout)
            return connection
    raise failure


def seconds_until(until: float) -> float:
    """Return the seconds until a time of `monotonic()`, at most as many as a socket accepts.

    Raises:
        TimeoutError: no time is left.
    """
    seconds = until - monotonic()
    if seconds <= 0:
        raise TimeoutError
    return min(seconds, TIMEOUT_MAX)


class Lookup(Thread):
    """Resolves a host name in a thread, so that the caller can stop waiting.

    `finished` is called in that thread when `addresses` can return.
    """

    def __init__(self, host: str, port: int, finished: Callable[[], object]) -> None:
        super().__init__(name=f"moorage resolves {host}", daemon=True)
        self._host = host
        self._port = port
        self._finished = finished
        self._addresses: list[Address] = []
        self._failure: Exception | None = None

    def begin(self) -> None:
        """Start the thread.

        Raises:
            LocalFailure: the system has no more threads.
        """
        start_thread(self)

    def run(self) -> None:
        """Resolve the host name."""
        try:
            self._addresses = _look_up(self._host, self._port, 0)
        except (OSError, ValueError) as failure:
            self._failure = failure
        self._finished()

    def addresses(self) -> list[Address]:
        """Return the addresses of the host name as soon as the lookup has ended.

        Raises:
            OSError, ValueError: the name does not exist, or is not valid.
        """
        if self._failure is not None:
            raise self._failure
        return self._addresses


def _look_up(host: str, port: int, flags: int) -> list[Address]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
