"""psycopg connections with deadlines and limited answer sizes."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
from contextlib import suppress
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from psycopg import AsyncConnection, Connection, OperationalError, waiting

from moorage.adapters.sql._driver_errors import AnswerCutError

if TYPE_CHECKING:
    from collections.abc import Generator

_READ, _WRITE = 1, 2
_INTERVAL = 0.1
_READS_PER_COUNT: Final = 64
"""The number of reads of an answer after which its bytes are counted again."""
_EARLY_COUNTS: Final = frozenset({2, 4, 8, 16, 32})
"""Further reads after which the bytes are counted: libpq may read megabytes at once."""
_COUNTER: Final = slice(128, 136)
"""The place of the number of received bytes in Linux's `tcp_info`."""


class ServerSilentError(OperationalError):
    """Raised if the server did not respond before the deadline; the connection is closed."""


class PunctualConnection(Connection[Any]):
    """A connection that closes if the server has not answered by the time `until`.

    `until` is a time of the monotonic clock; 0 means that there is no limit. The connection is also
    closed if an answer is larger than `most_bytes`, because libpq reads an answer as a whole. It
    reads one of a few kilobytes at once; after a longer one, `had_large_answer` is True.
    """

    until: float = 0.0
    most_bytes: int = sys.maxsize
    had_large_answer: bool = False

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Run a psycopg generator to its end, or until the deadline."""
        gen = _run_counted(self, gen)
        until = self.until
        if not until or not hasattr(select, "poll"):
            return super().wait(gen, *args, **options)
        poll, descriptor = select.poll(), self.pgconn.socket
        try:
            awaited_state = next(gen)
            while True:
                reading = select.POLLIN if awaited_state & _READ else 0
                poll.register(
                    descriptor, reading | (select.POLLOUT if awaited_state & _WRITE else 0)
                )
                seconds_left = until - monotonic()
                # A server that sends endlessly must not be read endlessly.
                events = poll.poll(ceil(seconds_left * 1000)) if seconds_left > 0 else []
                if not events:
                    break
                ready_events = events[0][1]
                awaited_state = gen.send(
                    (_READ if ready_events & ~select.POLLOUT else 0)
                    | (_WRITE if ready_events & ~select.POLLIN else 0)
                )
        except StopIteration as stop:
            return stop.value
        self.pgconn.finish()
        raise ServerSilentError("the server is silent") from TimeoutError()


class PunctualAsyncConnection(AsyncConnection[Any]):
    """A connection that closes as soon as its task is cancelled.

    psycopg would ask the server to cancel the statement, and wait ten seconds for a silent one. The
    server ends the statement all the same, by its own time limit. See `PunctualConnection` for
    `most_bytes`.
    """

    most_bytes: int = sys.maxsize
    had_large_answer: bool = False

    async def wait(self, gen: Any, *_: Any, **__: Any) -> Any:
        """Run a psycopg generator to its end, or until the task is cancelled."""
        try:
            return await waiting.wait_async(_run_counted(self, gen), self.pgconn.socket, _INTERVAL)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise


def _run_counted(connection: Any, gen: Any) -> Generator[Any, Any, Any]:
    """Run a psycopg generator; close the connection if the response becomes too large."""
    reads = first = 0
    try:
        awaited_state = next(gen)
        while True:
            ready_state = yield awaited_state
            reads += 1
            if reads in _EARLY_COUNTS or not reads % _READS_PER_COUNT:
                connection.had_large_answer = True
                received_bytes = _received_bytes(connection.pgconn.socket)
                first = first or received_bytes
                if received_bytes - first > connection.most_bytes:
                    break
            awaited_state = gen.send(ready_state)
    except StopIteration as stop:
        return stop.value
    connection.pgconn.finish()
    raise AnswerCutError


def _received_bytes(descriptor: int) -> int:
    """Return the number of bytes received over a TCP connection; 0 if unknown."""
    if sys.platform == "linux":
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            fields = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _COUNTER.stop)
            return int.from_bytes(fields[_COUNTER], sys.byteorder)
    return 0
