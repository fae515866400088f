"""TLS over any byte stream, synchronous or asynchronous."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.adapters.trust import context_for
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Wire
    from moorage.domain.http.transport import Tls

_READ_SIZE: Final = 65_536


def http_context(tls: Tls) -> ssl.SSLContext:
    """Return the TLS context for these settings: trusted authorities and client certificate."""
    context = context_for(tls)
    context.set_alpn_protocols(["http/1.1"])
    # A broken connection must not make half a response look complete (RFC 9112, 9.8).
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def check_context(context: ssl.SSLContext) -> None:
    """Refuse a TLS context that does not verify certificates.

    Raises:
        ConfigurationError: the context does not verify, or allows old versions of TLS.
    """
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError(
            "The ssl_context does not verify certificates.",
            path="ssl_context",
            remedy="Create it with ssl.create_default_context(cafile=...), and leave"
            " verify_mode and check_hostname unchanged. Or pass `tls` instead.",
        )
    if context.minimum_version not in {ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3}:
        raise ConfigurationError(
            "The ssl_context allows TLS versions before 1.2.",
            path="ssl_context",
            remedy="Set its minimum_version to ssl.TLSVersion.TLSv1_2.",
        )


async def secured(wire: Wire, context: ssl.SSLContext, host: str, until: float) -> TlsWire:
    """Return a TLS connection over the given one, after verifying the server's certificate."""
    incoming_buffer, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming_buffer, outgoing, server_hostname=host)
    tls_wire = TlsWire(wire, tls, incoming_buffer, outgoing)
    await tls_wire.handshake(until)
    return tls_wire


class TlsWire:
    """A connection with TLS."""

    __slots__ = ("_incoming", "_outgoing", "_tls", "_wire")

    def __init__(
        self,
        wire: Wire,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self._wire = wire
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing

    @property
    def written(self) -> int:
        """The number of encrypted bytes given to the system for sending."""
        return self._wire.written

    async def handshake(self, until: float) -> None:
        """Perform the TLS handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(until)
                await self._fill(until)
            except ssl.SSLError:
                # Send the reason to the other side, in case it still listens.
                with contextlib.suppress(OSError, DeadlinePassed):
                    await self._flush(until)
                raise
            else:
                await self._flush(until)
                return

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send all bytes."""
        remaining_bytes = memoryview(data)
        while remaining_bytes:
            remaining_bytes = remaining_bytes[self._tls.write(remaining_bytes) :]
        await self._flush(until)

    async def receive(self, until: float) -> bytes:
        """Return the next bytes of the response; b"" at the end."""
        while True:
            try:
                return self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                await self._flush(until)  # such as the response to a key update
                await self._fill(until)
            except ssl.SSLZeroReturnError:
                return b""

    def read_available(self) -> bytes | None:
        """Return the bytes that have arrived; b"" at the end, None if no data arrived."""
        data = self._wire.read_available()
        if data:
            self._incoming.write(data)
        elif data is not None:
            return b""
        try:
            return self._tls.read(_READ_SIZE)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError:
            return b""

    def stale(self) -> bool:
        """Return whether an idle connection was closed or received unrequested bytes."""
        return self.read_available() is not None

    def hang_up(self) -> None:
        """Shut the connection down in both directions, which wakes a waiting reader."""
        self._wire.hang_up()

    def close(self) -> None:
        """Close the socket."""
        self._wire.close()

    async def _flush(self, until: float) -> None:
        if self._outgoing.pending:
            await self._wire.send(self._outgoing.read(), until)

    async def _fill(self, until: float) -> None:
        data = await self._wire.receive(until)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
