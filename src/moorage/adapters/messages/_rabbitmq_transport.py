"""Connections of aio-pika that survive unreadable properties, and refuse oversized frames."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from aio_pika import Connection
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError, InvalidFrameError

from moorage.adapters.messages._rabbitmq_headers import readable_header

if TYPE_CHECKING:
    from yarl import URL

_LARGEST_FRAME: Final = 134_217_728
"""The bytes of the largest message; a server may be set up to send that in one frame."""

_BUFFERED: Final = 65_536
_HEADER_FRAME: Final = b"\x02"
_START_SIZE: Final = 6
"""The bytes of a frame between its kind and its content."""

# aiormq logs a traceback for each lost connection, although the callers get errors. Without log
# handlers, Python would print that traceback.
logging.getLogger("aiormq").addHandler(logging.NullHandler())


class BoundedConnection(Connection):
    """A connection of aio-pika that refuses frames of more than 128 MiB.

    aiormq would wait for four gigabytes if the first bytes of a server say so.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._bounded_transport = _BoundedTransport()
        self.kwargs["transport_factory"] = self._bounded_transport

    async def connect(self, timeout: float | None = None) -> None:
        """Connect to the server; a cancelled attempt leaves no connection behind.

        aio-pika would forget a connection that is open already when it still waits for its tasks.
        """
        try:
            await super().connect(timeout)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Cut off the connection, unless it is closed; its tasks then end."""
        self._bounded_transport.abort()

    def __del__(self) -> None:
        """Cut off a connection that is garbage-collected, in its own event loop.

        aio-pika would begin to close it, even one that was never opened. Python collects an object
        anywhere, and without a running event loop nothing awaits that coroutine.
        """
        transport = getattr(self, "_bounded_transport", None)
        if transport is not None and transport.is_open and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(transport.abort)


class _BoundedTransport(TransportFactory):
    """Opens TCP connections of aio-pika, with TLS if a context is set."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None

    @property
    def is_open(self) -> bool:
        """True if the connection exists and is not being closed."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Cut off the latest connection, if any; its tasks then end."""
        if self._transport is not None:
            self._transport.abort()

    async def create(
        self, url: URL, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection whose reader refuses oversized frames."""
        provider = options.pop("ssl_context_provider")
        tls = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = _BoundedReader(limit=_BUFFERED, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, url.host or "", url.port or 5672, ssl=tls, **options
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self._transport = transport
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _BoundedReader(asyncio.StreamReader):
    """A reader of frames, which checks the size of each frame before reading it.

    aiormq reads the kind of a frame, its channel and size, and its content, one after another. The
    properties of a message that the library cannot decode are left out.
    """

    _kind = b""

    async def readexactly(self, n: int) -> bytes:
        """Read exactly this number of bytes.

        Raises:
            InvalidFrameError: the number is larger than any frame may be.
        """
        if n > _LARGEST_FRAME:
            raise InvalidFrameError(b"")
        data = await super().readexactly(n)
        if n == 1:
            self._kind = data
        elif n > _START_SIZE and self._kind == _HEADER_FRAME:
            return readable_header(data)
        return data
