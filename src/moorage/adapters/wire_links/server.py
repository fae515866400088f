"""Opens connections to a server whose protocol moorage implements itself."""

from __future__ import annotations

from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.connections._reaching import connection_opening_error
from moorage.adapters.http.connections._threads import ThreadNetwork
from moorage.adapters.http.connections._wire import Origin, dial
from moorage.adapters.trust import context_for
from moorage.adapters.wire_links.link import AsyncWireLink
from moorage.domain.secrets.frames import without_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from moorage.adapters.http.connections._wire import Network, Wire
    from moorage.domain.connectors.server_address import ServerAddress

L = TypeVar("L", bound=AsyncWireLink)

LOOPS: Final = LoopNetwork()
"""The network of asynchronous programs."""

THREADS: Final = ThreadNetwork()
"""The network of synchronous programs."""


class WireServer:
    """A server to which a connector opens connections.

    Args:
        address: the server's address, with the TLS settings of encrypted connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
    """

    def __init__(self, address: ServerAddress, connect_timeout: float) -> None:
        self.address = address
        self._connect_timeout = connect_timeout

    def deadline(self, timeout: float) -> float:
        """Return the deadline for opening a connection, as a time of `monotonic`."""
        return monotonic() + min(timeout, self._connect_timeout)

    async def opened(self, make: Callable[[Wire], L], until: float, network: Network) -> L:
        """Open a connection, with TLS if the address requires TLS, without authenticating.

        Args:
            make: makes the link of the protocol.
            until: the deadline.
            network: blocks a thread, or suspends a task.
        """
        failure: Exception
        link: L | None = None
        try:
            address, context = self.address, self._context
            first = None if address.start_tls else context
            origin = Origin(address.host, address.port, secure=first is not None)
            link = make(await dial(network, origin, until, first))
            await link.greet(until)
            if context is not first and context is not None:
                await link.start_tls(context, address.host, until)
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = connection_opening_error(error)
        except BaseException:
            if link is not None:
                link.close()
            raise
        else:
            return link
        if link is not None:
            link.close()
        raise without_frames(failure)

    @cached_property
    def _context(self) -> SSLContext | None:
        return None if self.address.tls is None else context_for(self.address.tls, "")
