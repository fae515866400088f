"""Connections through a proxy: absolute URLs for http, a tunnel for https.

A request whose tunnel the proxy refuses was certainly not sent. Only the proxy receives its user
name and password, and only the vendor receives the client certificate.
"""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._request import origin_of
from moorage.adapters.http.connections._wire import connection_failed_error, dial
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    USER_AGENT,
    Limits,
    NotHttp,
    ResponseCutOff,
    ResponseReader,
)
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from moorage.adapters.http.connections._wire import Network, Origin, Wire
    from moorage.domain.http.transport import Proxy

_LIMITS: Final = Limits(65_536, 200, None)
_RETRYABLE: Final = frozenset({408, 425, 429})
_AUTHENTICATE: Final = "Set the proxy's user name and password: Proxy.at('http://user:password@…')."
_ALLOW_HOST: Final = "Allow this host in the proxy, or bypass the proxy for it."


class Gateway:
    """A proxy through which a client connects.

    Attributes:
        origin: the proxy's address.
    """

    __slots__ = ("_authorization", "_context", "_serves", "origin")

    def __init__(self, proxy: Proxy, context: Callable[[], SSLContext]) -> None:
        self.origin, _ = origin_of(proxy.url)
        self._context = context
        self._serves = lru_cache(maxsize=256)(proxy.serves)
        self._authorization = _authorization(proxy)

    def serves(self, origin: Origin) -> bool:
        """Return whether requests to this origin go through the proxy."""
        return self._serves(origin.host)

    def introduction(self) -> str:
        """Return the header line with the proxy's credentials, which must not be stored."""
        return "" if self._authorization is None else self._authorization.reveal()

    async def connect(
        self, network: Network, origin: Origin, until: float, context: SSLContext | None
    ) -> Wire:
        """Return a connection: through a tunnel to the origin for TLS, otherwise to the proxy.

        Raises:
            ConnectionFailed: the proxy cannot be reached, or refuses.
            TimeIsUp: no connection was made in time.
            OSError: the origin's certificate is not valid.
        """
        context_of_proxy = self._context() if self.origin.secure else None
        try:
            wire = await dial(network, self.origin, until, context_of_proxy)
        except (OSError, ValueError) as error:
            raise connection_failed_error(f"The proxy {self.origin}", error) from error
        if context is None:
            return wire
        from moorage.adapters.http.connections._tls import secured  # noqa: PLC0415 - costs milliseconds to load

        try:
            await self._tunnel(wire, origin, until)
            return await secured(wire, context, origin.host, until)
        except BaseException:
            wire.close()
            raise

    async def _tunnel(self, wire: Wire, origin: Origin, until: float) -> None:
        reader = ResponseReader(_LIMITS, to_head=True)  # a response to CONNECT has no body
        try:
            # A memory view, because a crash report does not show its bytes.
            await wire.send(memoryview(self._connect_request(origin)), until)
            while reader.head is None:
                data = await wire.receive(until)
                if data:
                    reader.feed(data)
                else:
                    reader.end()
        except NotHttp as error:
            raise self._proxy_error(f"sent a response that {error}") from None
        except (ResponseCutOff, OSError) as error:
            raise self._proxy_error(
                f"closed the connection before it connected to {origin}"
            ) from error
        status = reader.head.status
        if not 200 <= status < 300:
            raise self.refused(origin, status)
        if reader.surplus:
            raise self._proxy_error("sent unexpected bytes")

    def _connect_request(self, origin: Origin) -> bytes:
        return (
            f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\nUser-Agent: {USER_AGENT}\r\n"
            f"{self.introduction()}\r\n"
        ).encode("latin-1")

    def refused(self, origin: Origin, status: int) -> ConnectionFailed:
        """Return the error for a proxy that answered itself instead of passing the request on."""
        return refusal_error(f"The proxy {self.origin}", origin, status)

    def _proxy_error(self, problem: str) -> ConnectionFailed:
        return ConnectionFailed(
            f"The proxy {self.origin} {problem}.", may_have_been_processed=False
        )


def refusal_error(proxy: str, origin: Origin, status: int) -> ConnectionFailed:
    """Return the error for a proxy that refused to connect; `proxy` begins its message."""
    is_unauthenticated = status == AUTHENTICATION_REQUIRED
    is_retryable = status in _RETRYABLE or status >= 500
    return ConnectionFailed(
        f"{proxy} refused to connect to {origin} with status {status}.",
        may_have_been_processed=False,
        retryable=is_retryable,
        remedy=_AUTHENTICATE if is_unauthenticated else None if is_retryable else _ALLOW_HOST,
    )


def _authorization(proxy: Proxy) -> Secret | None:
    if proxy.username is None and proxy.password is None:
        return None
    return Secret(f"Proxy-Authorization: Basic {basic(proxy)}\r\n")


def basic(proxy: Proxy) -> str:
    """Return the proxy's user name and password in base64, which must not be stored."""
    name = (proxy.username or "").encode()
    password = b"" if proxy.password is None else proxy.password.reveal_bytes()
    return b64encode(name + b":" + password).decode("ascii")
