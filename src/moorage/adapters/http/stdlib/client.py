"""An HTTP/1.1 client made with the standard library, which blocks the calling thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.adapters.http.connections._threads import ThreadNetwork
from moorage.adapters.http.stdlib._clients import SyncClient
from moorage.adapters.http.stdlib._engine import Engine, StdlibSettings
from moorage.domain.secrets.frames import with_careful_constructor

if TYPE_CHECKING:
    from moorage.adapters.http.connections._settings import ConnectionSettings


@with_careful_constructor
@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class StdlibHttpClient(SyncClient, StdlibSettings):
    """An HTTP client that uses only Python's standard library.

    The client keeps connections alive, up to `max_connections` to each origin and each for
    `keep_alive` seconds, and decompresses gzip and deflate. The client connects at the first call.
    Threads may share it, and a forked child uses its own connections.

    Attributes:
        unverified: the reason if certificates are not verified; otherwise None.
    """

    def _new_engine(self, settings: ConnectionSettings) -> Engine:
        return Engine(ThreadNetwork(), settings, self.ssl_context)
