"""Reads a request from a client that may be slow or may never finish it."""

from __future__ import annotations

import socket
from contextlib import suppress
from io import BufferedReader, RawIOBase
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

CLIENT_TIMEOUT: Final = 10.0
"""The seconds in which a request must arrive, and in which each part of the reply must be taken."""


class RequestStream(RawIOBase):
    """The bytes of one request; the stream ends at the latest after a given number of bytes.

    Args:
        connection: the connection that the request arrives on.
        largest: the number of bytes after which the stream ends.
        clock: returns the seconds of a monotonic clock.

    Attributes:
        waits: True while the request waits for its client, as before its first byte.
        is_cut: True if the server has ended the request.
    """

    def __init__(
        self, connection: socket.socket, largest: int, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__()
        self.waits = True
        self.is_cut = False
        self._connection = connection
        self._left = largest
        self._clock = clock
        self._end = clock() + CLIENT_TIMEOUT

    def readable(self) -> bool:
        """Return True: the stream can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read the next bytes; 0 means that the request has ended.

        Raises:
            TimeoutError: the request took too long to arrive.
        """
        free_part = memoryview(buffer)[: self._left]
        seconds = self._end - self._clock()
        if not free_part or self.is_cut:
            return 0
        if seconds <= 0:
            raise TimeoutError("The request took too long to arrive.")
        self._connection.settimeout(seconds)
        self.waits = True
        try:
            size = self._connection.recv_into(free_part)
        finally:
            self.waits = False
            self._connection.settimeout(CLIENT_TIMEOUT)
        self._left -= size
        return size

    def buffered(self) -> BufferedReader:
        """Return a reader of lines and blocks."""
        return BufferedReader(self)

    def cut(self) -> None:
        """End the request, whatever its client sends later."""
        self.is_cut = True
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RD)
