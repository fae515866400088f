"""TLS over any byte stream of either colour."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._trust import context_for
from moorage.adapters.http.connections._wire import TimeIsUp
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Wire
    from moorage.domain.http.transport import Tls

_MOST: Final = 65_536


def http_context(tls: Tls) -> ssl.SSLContext:
    """Trust, and show, what the settings say."""
    context = context_for(tls)
    context.set_alpn_protocols(["http/1.1"])
    # Whoever cuts a connection must not make half an answer look whole (RFC 9112, 9.8).
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def check_context(context: ssl.SSLContext) -> None:
    """Refuse settings that would talk to just anybody.

    Raises:
        ConfigurationError: the context does not verify, or allows old versions of TLS.
    """
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ConfigurationError(
            "The ssl_context does not verify whom it talks to.",
            path="ssl_context",
            remedy="Make it with ssl.create_default_context(cafile=...), and leave verify_mode and"
            " check_hostname as they are; or give `tls`, which is a word for what you want.",
        )
    if context.minimum_version not in {ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3}:
        raise ConfigurationError(
            "The ssl_context allows versions of TLS before 1.2.",
            path="ssl_context",
            remedy="Set its minimum_version to ssl.TLSVersion.TLSv1_2.",
        )


async def secured(wire: Wire, context: ssl.SSLContext, host: str, until: float) -> TlsWire:
    """Return the wire with TLS on it, once the other side has proved who it is."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    secure = TlsWire(wire, tls, incoming, outgoing)
    await secure.handshake(until)
    return secure


class TlsWire:
    """A connection that nobody else can read or change."""

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
        """How many encrypted bytes the system took."""
        return self._wire.written

    async def handshake(self, until: float) -> None:
        """Agree on keys."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(until)
                await self._fill(until)
            except ssl.SSLError:
                # The other side is owed the reason, if it still listens.
                with contextlib.suppress(OSError, TimeIsUp):
                    await self._flush(until)
                raise
            else:
                await self._flush(until)
                return

    async def send(self, data: bytes | memoryview, until: float) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        await self._flush(until)

    async def receive(self, until: float) -> bytes:
        """Return what comes next."""
        while True:
            try:
                return self._tls.read(_MOST)
            except ssl.SSLWantReadError:
                await self._flush(until)  # such as the answer to a change of keys
                await self._fill(until)
            except ssl.SSLZeroReturnError:
                return b""

    def glance(self) -> bytes | None:
        """Return what is there already, b"" if that is the end, None if it is of TLS itself."""
        data = self._wire.glance()
        if data:
            self._incoming.write(data)
        elif data is not None:
            return b""
        try:
            return self._tls.read(_MOST)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError:
            return b""

    def stale(self) -> bool:
        """Tell whether anything came while nothing was asked."""
        return self.glance() is not None

    def hang_up(self) -> None:
        """End it in both directions, for whoever waits for it as well."""
        self._wire.hang_up()

    def close(self) -> None:
        """Give it back to the system."""
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
