"""Exchanges that aiohttp carries: what its exceptions mean, and what it does on the way."""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

import aiohttp
import attrs
from aiohttp import http_exceptions
from multidict import CIMultiDict
from yarl import URL

from moorage.adapters.http.borrowed._trip import LoopTrip, Meaning, seconds_left
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import SimpleNamespace

    from moorage.adapters.http.borrowed._trip import Errand

MEANINGS: Final[dict[type[BaseException], Meaning]] = {
    aiohttp.ConnectionTimeoutError: Meaning.NOT_REACHED_IN_TIME,
    aiohttp.ServerTimeoutError: Meaning.NOT_ANSWERED_IN_TIME,
    aiohttp.ClientConnectorError: Meaning.NOT_REACHED,
    aiohttp.ClientHttpProxyError: Meaning.NOT_REACHED,
    aiohttp.ServerFingerprintMismatch: Meaning.NOT_REACHED,
    aiohttp.InvalidURL: Meaning.NOT_REACHED,
    aiohttp.NonHttpUrlClientError: Meaning.NOT_REACHED,
    aiohttp.ClientResponseError: Meaning.NO_ANSWER,
    http_exceptions.HttpProcessingError: Meaning.NO_ANSWER,
    Exception: Meaning.CUT_OFF,
}
"""What an exception means, by the first of its classes that is named here."""

_TURNS: Final = 2  # of the event loop, until it has seen which idle connections have ended
_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class _Final(Exception):
    """What went wrong, in a form that aiohttp does not take for a reason to send again."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


@attrs.frozen
class Introduced:
    """A proxy, and the fields that tell it who we are."""

    url: URL
    introduction: tuple[tuple[str, str], ...] = attrs.field(repr=False)


class AiohttpTrip(LoopTrip):
    """An exchange by an `aiohttp.ClientSession`.

    Args:
        errand: what it is for.
        session: one of ours, on the connector of whoever it is for.
        leaving: what is still being done to end others, and this one in the end.
        proxy: through whom it leads.
    """

    def __init__(
        self,
        errand: Errand,
        session: aiohttp.ClientSession,
        leaving: set[asyncio.Task[None]],
        proxy: Introduced | None,
    ) -> None:
        super().__init__(errand)
        self.leaving = leaving
        self._session = session
        self._proxy = proxy
        self._response: aiohttp.ClientResponse | None = None
        self._writing = False

    def meaning(self, error: Exception) -> Meaning:
        """Look it up."""
        return next(MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS)

    async def ask(self) -> bytes:
        """Send it."""
        method, target, fields = self.errand.opened()
        origin, timeouts, until = self.errand.origin, self.errand.timeouts, self.errand.until
        scheme = "https" if origin.secure else "http"
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        try:
            response = await self._session.request(
                method,
                URL(f"{scheme}://{origin}{target}", encoded=True),
                headers=_encoded(fields + self._introduction()),
                data=self._data(),
                allow_redirects=False,
                skip_auto_headers=_AUTOMATIC,
                timeout=aiohttp.ClientTimeout(
                    connect=seconds_left(timeouts.connect, until),
                    sock_read=seconds_left(timeouts.read, until),
                    ceil_threshold=inf,
                ),
                middlewares=(self._once,),
                trace_request_ctx=self,
                proxy=self._proxy.url if self._proxy else None,
                proxy_headers=dict(self._proxy.introduction) if self._proxy else None,
            )
        except _Final as final:
            error = final.error
        else:
            self._response = response
            reason = (response.reason or "").encode("utf-8", "surrogateescape")
            return self.put(response.status, reason, list(response.raw_headers))
        raise error

    async def more(self) -> bytes:
        """Return the next piece."""
        assert self._response is not None  # noqa: S101 - it has been asked for
        return await self._response.content.readany()

    async def leave(self) -> None:
        """Give the connection back."""
        if self._response is not None:
            if self._over:
                self._response.release()
            else:
                self._response.close()

    async def _once(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Keep aiohttp from sending again what it thinks is harmless to send twice."""
        try:
            return await send(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, once is enough
            raise _Final(error) from None

    def _introduction(self) -> list[tuple[bytes, bytes]]:
        """The fields for the proxy, which aiohttp itself adds for a tunnel only."""
        if self._proxy is None or self.errand.origin.secure:
            return []
        return [(name.encode(), value.encode()) for name, value in self._proxy.introduction]

    def _data(self) -> bytes | AsyncIterator[bytes] | None:
        whole = self.errand.pieces.whole
        return self._paced() if whole is None else whole or None

    async def _paced(self) -> AsyncIterator[bytes]:
        """The pieces, each with the bound that aiohttp has not."""
        bound = self.errand.timeouts.write
        while piece := await self.errand.pieces.next():
            if bound is not None:
                self._writing = True
                self.bound(min(self.errand.until, monotonic() + bound))
            yield piece
            self._writing = False
            self.bound(self.errand.until)


def tracing() -> aiohttp.TraceConfig:
    """Have trips told what aiohttp does for them."""

    async def connecting(_: object, context: SimpleNamespace, __: object) -> None:
        trip: AiohttpTrip = context.trace_request_ctx
        trip.connect_within(trip.errand.timeouts.connect)

    async def sending(_: object, context: SimpleNamespace, __: object) -> None:
        trip: AiohttpTrip = context.trace_request_ctx
        trip.connected()

    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(connecting)
    config.on_request_headers_sent.append(sending)
    return config


def _encoded(fields: list[tuple[bytes, bytes]]) -> CIMultiDict[str]:
    """The fields for aiohttp, which sends text as UTF-8 and frames bodies by itself."""
    encoded: CIMultiDict[str] = CIMultiDict()
    spelled: dict[bytes, str] = {}  # of a name spelled in two ways, aiohttp would drop the first
    for name, value in fields:
        if not value.isascii():
            raise InvalidData(
                f"aiohttp cannot send the header {name.decode('ascii')!r} with a character outside"
                " ASCII.",
                field=f"headers.{name.decode('ascii')}",
                remedy="Percent-encode it, or use another HTTP client.",
            )
        if name.lower() != b"transfer-encoding":
            spelling = spelled.setdefault(name.lower(), name.decode("ascii"))
            encoded.add(spelling, value.decode("ascii"))
    return encoded
