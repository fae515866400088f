"""The way through a proxy: whole URLs for http, a tunnel for https (RFC 9110, 9.3.6).

What a proxy refuses to open a tunnel for was certainly not sent. A user name and a password go to
the proxy alone, and a client certificate to the vendor alone.
"""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._request import origin_of
from moorage.adapters.http.connections._wire import dial, unreached
from moorage.adapters.http.messages._http1 import (
    AUTHENTICATION_REQUIRED,
    USER_AGENT,
    AnswerReader,
    CutOff,
    Limits,
    NotHttp,
)
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from moorage.adapters.http.connections._wire import Network, Origin, Wire
    from moorage.domain.http.transport import Proxy

_LIMITS: Final = Limits(65_536, 200, None)
_LATER: Final = frozenset({408, 425, 429})
_KNOW_US: Final = (
    "Give the proxy a user name and a password that it knows: Proxy.at('http://user:password@…')."
)
_LET_US: Final = "Have the proxy allow this host, or let the client bypass the proxy for it."


class Gateway:
    """A proxy, as connections see it.

    Attributes:
        origin: where it is.
    """

    __slots__ = ("_authorization", "_context", "_serves", "origin")

    def __init__(self, proxy: Proxy, context: Callable[[], SSLContext]) -> None:
        self.origin, _ = origin_of(proxy.url)
        self._context = context
        self._serves = lru_cache(maxsize=256)(proxy.serves)
        self._authorization = _authorization(proxy)

    def serves(self, origin: Origin) -> bool:
        """Whether the way to this origin leads through it."""
        return self._serves(origin.host)

    def introduction(self) -> str:
        """The field that says who we are. Keep it in no variable."""
        return "" if self._authorization is None else self._authorization.reveal()

    async def connect(
        self, network: Network, origin: Origin, until: float, context: SSLContext | None
    ) -> Wire:
        """Return a connection that leads to the origin, if it is secure, or else to the proxy.

        Raises:
            ConnectionFailed: it leads nowhere.
            TimeIsUp: none could be made in time.
            OSError: the origin did not prove who it is.
        """
        ours = self._context() if self.origin.secure else None
        try:
            wire = await dial(network, self.origin, until, ours)
        except (OSError, ValueError) as error:
            raise unreached(f"The proxy {self.origin}", error) from error
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
        reader = AnswerReader(_LIMITS, to_head=True)  # no answer to CONNECT has a body for us
        try:
            # A view, because it does not show what it is of.
            await wire.send(memoryview(self._question(origin)), until)
            while reader.head is None:
                data = await wire.receive(until)
                if data:
                    reader.feed(data)
                else:
                    reader.end()
        except NotHttp as error:
            raise self._failed(f"sent an answer that {error}") from None
        except (CutOff, OSError) as error:
            raise self._failed(f"hung up instead of connecting to {origin}") from error
        status = reader.head.status
        if not 200 <= status < 300:
            raise self.refused(origin, status)
        if reader.surplus:
            raise self._failed("sent something unasked")

    def _question(self, origin: Origin) -> bytes:
        return (
            f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\nUser-Agent: {USER_AGENT}\r\n"
            f"{self.introduction()}\r\n"
        ).encode("latin-1")

    def refused(self, origin: Origin, status: int) -> ConnectionFailed:
        """The error for a proxy that answered by itself; nothing went on to the origin."""
        unknown = status == AUTHENTICATION_REQUIRED
        later = status in _LATER or status >= 500
        return self._failed(
            f"did not let us reach {origin}: it answered {status}",
            retryable=later,
            remedy=_KNOW_US if unknown else None if later else _LET_US,
        )

    def _failed(
        self, what: str, *, retryable: bool | None = None, remedy: str | None = None
    ) -> ConnectionFailed:
        return ConnectionFailed(
            f"The proxy {self.origin} {what}.",
            may_have_been_processed=False,
            retryable=retryable,
            remedy=remedy,
        )


def _authorization(proxy: Proxy) -> Secret | None:
    if proxy.username is None and proxy.password is None:
        return None
    return Secret(f"Proxy-Authorization: Basic {basic(proxy)}\r\n")


def basic(proxy: Proxy) -> str:
    """The user name and the password as HTTP has them. Keep it in no variable."""
    name = (proxy.username or "").encode()
    word = b"" if proxy.password is None else proxy.password.reveal_bytes()
    return b64encode(name + b":" + word).decode("ascii")
