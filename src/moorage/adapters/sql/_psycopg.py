"""Connections of psycopg that do not wait forever for a silent server."""

from __future__ import annotations

import asyncio
import select
from math import ceil
from time import monotonic
from typing import Any, cast

from psycopg import AsyncConnection, Connection, OperationalError, waiting

_READ, _WRITE = 1, 2
_INTERVAL = 0.1


class ServerSilentError(OperationalError):
    """Raised if the server did not answer in time, so that the connection was closed."""


class PunctualConnection(Connection[Any]):
    """A connection that is closed if the server does not answer until `until`.

    `until` is a time of the monotonic clock; 0 means that there is no limit.
    """

    until: float = 0.0

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Run a generator of psycopg until it ends, or until the deadline."""
        until = self.until
        if not until or not hasattr(select, "poll"):
            return cast("Any", super()).wait(gen, *args, **options)
        poll, socket = select.poll(), self.pgconn.socket
        try:
            wish = next(gen)
            while True:
                reading = select.POLLIN if wish & _READ else 0
                poll.register(socket, reading | (select.POLLOUT if wish & _WRITE else 0))
                events = poll.poll(max(0, ceil((until - monotonic()) * 1000)))
                if not events:
                    break
                happened = events[0][1]
                wish = gen.send(
                    (_READ if happened & ~select.POLLOUT else 0)
                    | (_WRITE if happened & ~select.POLLIN else 0)
                )
        except StopIteration as stop:
            return stop.value
        self.pgconn.finish()
        raise ServerSilentError("the server is silent") from TimeoutError()


class PunctualAsyncConnection(AsyncConnection[Any]):
    """A connection that is closed as soon as its task is cancelled.

    psycopg would ask the server to cancel the statement, and wait ten seconds for a silent one. The
    server ends the statement all the same, by its own time limit.
    """

    async def wait(self, gen: Any, *_: Any, **__: Any) -> Any:
        """Run a generator of psycopg until it ends, or until the task is cancelled."""
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, _INTERVAL)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise
