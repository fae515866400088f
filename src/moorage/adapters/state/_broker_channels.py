"""Connections to the lease broker, a local process that hands out rate-limit tokens.

Laws:

1. A request whose reply does not arrive is withdrawn, by closing its connection or by a message. So
   the broker grants at most one token for it, which is lost, and never two.
2. After a failed connection the broker is tried again after `AWAY`, and after a missing reply after
   `SILENT`. A caller that could not wait long enough says nothing about the broker.
3. A forked child has connections of its own.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.loop_end import close_with_loop
from moorage.domain.resilience.lease_messages import (
    LONGEST_LINE,
    question_start,
    read_reply,
    withdrawal,
)
from moorage.domain.resilience.token_leases import LONGEST_WAIT
from moorage.domain.values.durations import SECOND
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from moorage.domain.resilience.lease_messages import Reply

AWAY: Final = 0.1
"""Seconds after which a broker that could not be reached is tried again."""

SILENT: Final = 1.0
"""Seconds after which a broker that did not reply in time is tried again."""

_REPLY_SECONDS: Final = 0.5
"""Seconds for which a reply may be late, beyond the wait of the question."""

_MOST_FREE: Final = 64


class _Channels(ABC):
    """The common code of synchronous and asynchronous connections to the lease broker."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._until = 0.0
        self._begin()
        in_child(self, _Channels.restart_after_fork)

    @abstractmethod
    def _begin(self) -> None:
        """Set the attributes that differ between synchronous and asynchronous connections."""

    def restart_after_fork(self) -> None:
        """Drop all connections in a forked child."""
        self._close_all()
        self._begin()

    @abstractmethod
    def _close_all(self) -> None:
        """Close the connections that a forked child inherited."""

    def is_away(self) -> bool:
        """Return whether the broker was unavailable a moment ago."""
        return monotonic() < self._until

    def _set_pause(self, pause: float) -> None:
        self._until = monotonic() + pause


def _seconds_for(within: int, timeout: float | None) -> float:
    """Return how many seconds to wait for the broker's reply to a request."""
    reply_seconds = min(within, LONGEST_WAIT) / SECOND + _REPLY_SECONDS
    return reply_seconds if timeout is None else min(reply_seconds, max(0.0, timeout))


def _is_impatient(within: int, timeout: float | None) -> bool:
    """Return whether a caller waits for less time than a reply may take."""
    return timeout is not None and timeout < _seconds_for(within, None)


class Channels(_Channels):
    """The connections of threads to the broker; each serves one request at a time."""

    def _begin(self) -> None:
        self._free: list[_Channel] = []
        self._all: set[_Channel] = set()

    def _close_all(self) -> None:
        for channel in list(self._all):
            channel.close()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._all)

    def ask(self, end: bytes, within: int, timeout: float | None) -> Reply | None:
        """Request a token from the broker; None if the broker does not reply in time."""
        until = monotonic() + _seconds_for(within, timeout)
        while True:
            channel, is_new = self._channel()
            try:
                channel = channel or self._connected(until)
                reply = channel.ask(end, within, until)
            except TimeoutError:
                self._discard(channel)
                if not _is_impatient(within, timeout):
                    self._set_pause(SILENT)
                return None
            except (OSError, InvalidData):
                self._discard(channel)
                if is_new:
                    self._set_pause(AWAY)
                    return None
                # The broker was replaced, so all other connections lead to the dead broker.
                continue
            except BaseException:
                self._discard(channel)
                raise
            if len(self._free) < _MOST_FREE:
                self._free.append(channel)
            else:
                self._discard(channel)
            return reply

    def _channel(self) -> tuple[_Channel | None, bool]:
        with suppress(IndexError):
            return self._free.pop(), False
        return None, True

    def _connected(self, until: float) -> _Channel:
        channel = _Channel()
        self._all.add(channel)
        try:
            channel.connect(self._path, until)
        except BaseException:
            self._discard(channel)
            raise
        return channel

    def _discard(self, channel: _Channel | None) -> None:
        if channel is not None:
            self._all.discard(channel)
            channel.close()

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(IndexError):
            while True:
                self._discard(self._free.pop())


class _Channel:
    """A connection to the lease broker."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._number = 0

    def connect(self, path: str, until: float) -> None:
        """Connect to the broker."""
        self._wait_until(until)
        self._socket.connect(path)

    def ask(self, end: bytes, within: int, until: float) -> Reply:
        """Send a token request to the broker, and return the reply.

        Raises:
            OSError: the connection is closed.
            TimeoutError: there is no reply in time.
            InvalidData: the broker refuses the question, or the reply is malformed.
        """
        self._number += 1
        self._wait_until(until)
        self._socket.sendall(question_start(self._number, within) + end)
        line = b""
        while not line.endswith(b"\n"):
            self._wait_until(until)
            data = self._socket.recv(LONGEST_LINE)
            if not data:
                raise ConnectionResetError
            line += data
            if len(line) > LONGEST_LINE:
                raise InvalidData("The broker's reply is too long.", field="message")
        reply = read_reply(line)
        if reply.number != self._number:
            raise InvalidData("The broker's reply does not match the request.", field="id")
        return reply

    def _wait_until(self, until: float) -> None:
        remaining = until - monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._socket.settimeout(remaining)

    def close(self) -> None:
        """Disconnect from the broker."""
        self._socket.close()


class AsyncChannels(_Channels):
    """The broker connections of event loops, one per loop."""

    def _begin(self) -> None:
        self._of_loops: dict[asyncio.AbstractEventLoop, LoopChannel] = {}

    def _close_all(self) -> None:
        # The parent's event loops do not run in this process.
        self._of_loops.clear()

    async def ask(self, end: bytes, within: int, timeout: float | None) -> Reply | None:
        """Request a token from the broker; None if the broker does not reply in time."""
        pause = AWAY
        try:
            async with asyncio.timeout(_seconds_for(within, timeout)):
                channel = await self._connected()
                reply = await channel.ask(end, within)
            if reply is not None:
                return reply
        except TimeoutError:
            pause = 0.0 if _is_impatient(within, timeout) else SILENT
        except OSError:
            pass
        self._set_pause(pause)
        return None

    async def _connected(self) -> LoopChannel:
        loop = asyncio.get_running_loop()
        channel = self._of_loops.get(loop)
        if channel is None or channel.is_closed():
            for closed_loop in [
                closed_loop for closed_loop in list(self._of_loops) if closed_loop.is_closed()
            ]:
                self._of_loops.pop(closed_loop, None)
            channel = self._of_loops[loop] = LoopChannel()
        await channel.connect(self._path)
        return channel

    async def aclose(self) -> None:
        """Close the connection of this event loop."""
        channel = self._of_loops.pop(asyncio.get_running_loop(), None)
        if channel is not None:
            await channel.aclose()


class LoopChannel(asyncio.Protocol):
    """The broker connection of one event loop, with the loop's pending requests."""

    def __init__(self) -> None:
        self._connecting = asyncio.Lock()
        self._transport: Any = None
        self._is_lost = False
        self._unread = b""
        self._number = 0
        self._replies: dict[int, asyncio.Future[Reply | None]] = {}
        self._guard: AsyncGenerator[None] | None = None

    def is_closed(self) -> bool:
        """Return whether the connection was closed."""
        return self._is_lost

    async def connect(self, path: str) -> None:
        """Connect to the broker, unless connected."""
        if self._transport is not None:
            return
        async with self._connecting:
            if self._transport is None:
                loop = asyncio.get_running_loop()
                await loop.create_unix_connection(lambda: self, path)
                self._guard = await close_with_loop(self._disconnect)

    async def ask(self, end: bytes, within: int) -> Reply | None:
        """Send a token request, and return its reply; None if the connection was lost."""
        if self._is_lost:
            return None
        self._number = number = self._number + 1
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._replies[number] = future
        self._transport.write(question_start(number, within) + end)
        try:
            return await future
        finally:
            if self._replies.pop(number, None) is not None and not self._is_lost:
                self._transport.write(withdrawal(number))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to use the new connection."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name of asyncio
        """Wake all waiting callers without a reply."""
        self._is_lost = True
        for future in self._replies.values():
            _deliver_reply(future, None)
        self._replies.clear()

    def data_received(self, data: bytes) -> None:
        """Deliver replies to their callers."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        try:
            for line in lines:
                reply = read_reply(line)
                future = self._replies.pop(reply.number, None)
                if future is not None:
                    _deliver_reply(future, reply)
        except InvalidData:
            self._transport.abort()

    async def _disconnect(self) -> None:
        self._transport.close()

    async def aclose(self) -> None:
        """Disconnect from the broker."""
        guard, self._guard = self._guard, None
        if guard is not None:
            await guard.aclose()


def _deliver_reply(future: asyncio.Future[Reply | None], reply: Reply | None) -> None:
    """Deliver a reply to its caller, unless the caller was cancelled meanwhile."""
    with suppress(asyncio.InvalidStateError):
        future.set_result(reply)
