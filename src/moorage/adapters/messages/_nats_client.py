"""A nats-py client for one connection, which never reconnects and buffers nothing.

nats-py has no public way to do seven things, for which this class replaces methods of its own: to
try one server and report why it failed, to insist on TLS, to give up waiting for a ping's answer,
to notice at once that the connection has ended, to drop it without waiting, to end a cancelled
opening, and to receive a message whose headers cannot be parsed.
"""

from __future__ import annotations

import asyncio
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import Client
from nats.aio.transport import TcpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

_BUFFER: Final = 32768
_HANGUP_EVENT: Final = getattr(select, "POLLRDHUP", select.POLLHUP)


class NatsClient(Client):
    """A NATS client for one connection.

    Args:
        insists_on_tls: whether the client demands TLS even from a server that does not require it.
        public_key: the public key to log in with; None for another kind of login.
        on_end: called when the connection ends, before anything is closed.
    """

    _pongs: list[asyncio.Future[bool]]

    def __init__(
        self, *, insists_on_tls: bool, public_key: str | None, on_end: Callable[[], None]
    ) -> None:
        super().__init__()
        self._insists_on_tls = insists_on_tls
        self._public_nkey = public_key
        self._on_end = on_end
        self._cancellations = 0

    async def open(self, **options: Any) -> None:
        """Connect with options of `Client.connect`; a cancellation takes effect immediately."""
        task: Any = asyncio.current_task()
        self._cancellations = task.cancelling()
        try:
            await self.connect(**options)
        finally:
            self._raise_cancellation()

    def _raise_cancellation(self) -> None:
        """Raise a cancellation that `asyncio.wait_for` swallowed, as it does before Python 3.12."""
        task: Any = asyncio.current_task()
        if task.cancelling() > self._cancellations:
            raise asyncio.CancelledError

    def has_unsent(self) -> bool:
        """Return whether bytes wait to be sent."""
        transport = self._raw_transport()
        return self.pending_data_size > 0 or (
            transport is not None and transport.get_write_buffer_size() > 0
        )

    def has_hung_up(self) -> bool:
        """Return whether the server has closed the connection, even if that was not read yet."""
        transport = self._raw_transport()
        connected_socket = None if transport is None else transport.get_extra_info("socket")
        if connected_socket is None or connected_socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(connected_socket.fileno(), _HANGUP_EVENT)
        return bool(poll.poll(0))

    def abort(self) -> None:
        """Drop the connection without waiting, even if its event loop is closed."""
        transport = self._raw_transport()
        if transport is not None:
            with suppress(RuntimeError):
                transport.abort()

    def _raw_transport(self) -> Any:
        writer = getattr(self._transport, "_io_writer", None)
        return None if writer is None else writer.transport

    async def _select_next_server(self) -> None:
        server = self._server_pool[0]
        self._transport = TcpTransport()  # type: ignore[no-untyped-call]  # the library's
        self._current_server = server
        seconds = self.options["connect_timeout"]
        await self._transport.connect(server.uri, buffer_size=_BUFFER, connect_timeout=seconds)
        # Otherwise closing would wait for a silent server.
        self._raise_cancellation()

    def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> Any:  # noqa: FBT001, FBT002 - the method of nats-py, which is a coroutine in newer releases
        # Otherwise a server or an attacker in between could request the password without TLS.
        if initial_connection and self._insists_on_tls:
            info["tls_required"] = True
        return super()._process_info(info, initial_connection)

    async def _process_pong(self) -> None:
        # Otherwise nats-py would stop reading at the reply to a ping whose caller has stopped
        # waiting.
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        # Otherwise nats-py would drop the connection whenever such a message is delivered, so that
        # no later message of the consumer could be read.
        base: Any = super()  # nats-py declares no type for the headers
        try:
            fields: dict[str, str] | None = await base._process_headers(headers)  # noqa: SLF001 - the replaced method
        except (IndexError, ValueError):
            return None
        return fields

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002 - the method of nats-py, which is a coroutine in newer releases
        self._on_end()
        try:
            await super()._close(status, do_cbs)
        finally:
            self.abort()
