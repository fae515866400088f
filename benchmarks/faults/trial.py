"""A library's observed behaviour under a fault, and helpers for callers and vendors."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPEN_SECONDS: Final = 0.3
CALLERS: Final = 20
PATIENCE: Final = 10.0


class Observation(NamedTuple):
    """A library's observed behaviour, and whether it is the desired behaviour."""

    text: str
    holds: bool


Trial: TypeAlias = "Callable[[], Observation]"


class MissingServer(Exception):
    """Raised if a fault needs a server that is not installed."""


def call_at_once(call: Callable[[], object]) -> None:
    """Make a call in many threads at the same time, and wait until all have ended."""
    start = threading.Barrier(CALLERS)

    def caller() -> None:
        start.wait()
        with suppress(Exception):
            call()

    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yield the URL of a local vendor with this request handler."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
