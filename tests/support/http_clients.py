"""HTTP clients by import name, for programs in their own processes.

A name is `module:class`; both modes are driven alike, so that a program is written once.
"""

from __future__ import annotations

import asyncio
import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request, Response, Timeouts

STDLIB: Final = "moorage.adapters.http.stdlib.client:StdlibHttpClient"
ASYNC_STDLIB: Final = "moorage.adapters.http.stdlib.client_async:AsyncStdlibHttpClient"

CLIENTS: Final = (STDLIB, ASYNC_STDLIB)
"""The clients that are proven with these programs."""


class DrivenClient:
    """An HTTP client of sync or async mode, used from a synchronous program.

    Each call of one that is awaited runs in an event loop of its own, as in a web worker that has
    none.
    """

    def __init__(self, name: str) -> None:
        module, _, kind = name.partition(":")
        self.client: Any = getattr(import_module(module), kind)()
        self.is_async = inspect.iscoroutinefunction(self.client.send)

    def send(self, request: Request, url: str, timeouts: Timeouts) -> Response:
        """Send a request, and read its whole response."""
        answer = self.client.send(request, url, timeouts)
        return asyncio.run(answer) if self.is_async else answer  # type: ignore[no-any-return]  # a Response

    def drain(self, request: Request, url: str, timeouts: Timeouts) -> int:
        """Send a request, and count the bytes of its streamed response."""
        if self.is_async:
            return asyncio.run(self._drain(request, url, timeouts))
        incoming = self.client.open(request, url, timeouts)
        count = 0
        while piece := incoming.read():
            count += len(piece)
        return count

    async def _drain(self, request: Request, url: str, timeouts: Timeouts) -> int:
        incoming = await self.client.open(request, url, timeouts)
        count = 0
        while piece := await incoming.read():
            count += len(piece)
        return count
