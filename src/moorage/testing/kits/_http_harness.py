"""Helpers for the checks of HTTP clients."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from moorage.domain.http.requests import Timeouts
from moorage.errors import ConnectorError
from moorage.ports.http import AsyncHttpClient, AsyncIncoming, HttpClient, Incoming
from moorage.testing.fakes.http_server import VendorServer
from moorage.testing.kits.checks import EventTooLate, StallMeter, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from moorage.domain.http.requests import Request, Response

Clients: TypeAlias = Callable[[], AsyncHttpClient]
Harness: TypeAlias = tuple[VendorServer, AsyncHttpClient]
Failure = TypeVar("Failure", bound=ConnectorError)

PATIENCE: Final = 20.0
"""Seconds after which an expected event counts as missing."""

BRIEFLY: Final = 0.15
"""Seconds of a timeout that is meant to expire."""

GRACE: Final = 0.5
"""Seconds by which a client may be late."""

PATIENT: Final = Timeouts(total=PATIENCE)
"""Timeouts that are not meant to expire."""


GZIP: Final = 31
DEFLATE: Final = 15
_MEBIBYTE: Final = 1_048_576


def decompression_bomb(coding: int) -> bytes:
    """Return an unfinished compressed body that expands a thousandfold to 256 MiB."""
    press = zlib.compressobj(wbits=coding)
    start = press.compress(bytes(_MEBIBYTE)) + press.flush(zlib.Z_FULL_FLUSH)
    return start + 255 * (press.compress(bytes(_MEBIBYTE)) + press.flush(zlib.Z_FULL_FLUSH))


@asynccontextmanager
async def harness(clients: Clients, **server: Any) -> AsyncGenerator[Harness, None]:
    """Yield a vendor server and a client; close the client afterwards."""
    with VendorServer(**server) as vendor:
        client = clients()
        try:
            yield vendor, client
        finally:
            await client.close()


async def failure_of(
    call: Awaitable[object], kind: type[Failure], *, because: str, within: float = PATIENCE
) -> Failure:
    """Return the error of a call, after checking that it has exactly this class."""
    start, control = time.monotonic(), StallMeter()
    try:
        with control:
            answer = await asyncio.wait_for(call, PATIENCE)
    except kind as error:
        duration = time.monotonic() - start - control.lost
        if duration > within:
            raise EventTooLate(
                f"The client noticed the failure only after {duration:.2f} s: {because}"
            ) from error
        return error
    except ConnectorError as error:
        raise AssertionError(
            f"The client raised {error!r} instead of {kind.__name__}: {because}"
        ) from error
    except Exception as error:
        raise AssertionError(
            f"The HTTP client raised {error!r}, which is not an error of moorage: {because}"
        ) from error
    raise AssertionError(
        f"The client returned {answer!r} instead of raising {kind.__name__}: {because}"
    )


class ThreadedClient:
    """An asynchronous client that calls a synchronous one in threads."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.unverified = getattr(client, "unverified", None)
        self.statistics = getattr(client, "statistics", None)

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request in a thread."""
        return await in_thread(lambda: self._client.send(request, url, timeouts))

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> AsyncIncoming:
        """Open a response in a thread."""
        return _ThreadedBody(await in_thread(lambda: self._client.open(request, url, timeouts)))

    async def close(self) -> None:
        """Close the synchronous client."""
        self._client.close()


class _ThreadedBody:
    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self.status = incoming.status
        self.headers = incoming.headers
        self.close = incoming.close

    async def read(self) -> bytes:
        return await in_thread(self._incoming.read)
