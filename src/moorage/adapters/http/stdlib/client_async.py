"""HTTP/1.1 with the standard library, in an asyncio event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.stdlib._clients import AsyncClient
from moorage.adapters.http.stdlib._engine import Engine, StdlibSettings
from moorage.domain.secrets.frames import with_careful_constructor

if TYPE_CHECKING:
    from moorage.adapters.http.connections._settings import ConnectionSettings


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class AsyncStdlibHttpClient(AsyncClient, StdlibSettings):
    """An asynchronous HTTP client that uses only Python's standard library.

    The client keeps connections alive, up to `max_connections` to each origin and each for
    `keep_alive` seconds, and decompresses gzip and deflate. The client connects at the first call.
    Several event loops may use it, concurrently or one after another, each with its own
    connections; so does a forked child.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    def _new_engine(self, settings: ConnectionSettings) -> Engine:
        return Engine(LoopNetwork(), settings, self.ssl_context)
