"""Connections of aio-pika whose server cannot fill the memory with one frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aio_pika import Connection
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError, InvalidFrameError

if TYPE_CHECKING:
    from yarl import URL

_LARGEST_FRAME: Final = 134_217_728
"""The bytes of the largest message; a server may be set up to send that in one frame."""

_BUFFERED: Final = 65_536


class BoundedConnection(Connection):
    """A connection of aio-pika that refuses frames of more than 128 MiB.

    aiormq would wait for four gigabytes if the first bytes of a server say so.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kwargs["transport_factory"] = _BoundedTransport()


class _BoundedTransport(TransportFactory):
    """Opens TCP connections, with TLS if there is a context for it."""

    async def create(
        self, url: URL, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, whose reader refuses frames that are too large."""
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
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _BoundedReader(asyncio.StreamReader):
    """A reader of frames, each of which is read by its size."""

    async def readexactly(self, n: int) -> bytes:
        """Read so many bytes.

        Raises:
            InvalidFrameError: no frame may have so many.
        """
        if n > _LARGEST_FRAME:
            raise InvalidFrameError(b"")
        return await super().readexactly(n)
