"""A worker that a test kills: it claims calls from an outbox and logs each call before settling it.

Run with the store's URL, the prefix of its tables, and the file to append to.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moorage import Hub, Outbox, Request, Response, RetryPolicy, Service
from moorage.wiring.store_urls import open_outbox

if TYPE_CHECKING:
    from moorage.domain.http.requests import Timeouts


class Vendor:
    """A vendor that appends the idempotency key of each call to a file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Record the call, and respond to it."""
        body = request.body
        assert isinstance(body, bytes)
        os.write(self._file, body + b"\n")
        return Response(422 if b"refused" in body else 200)


def hub(path: Path) -> Hub:
    """Return a hub whose calls are appended to a file."""
    shop = Service("shop", base_url="https://shop.example", retry=RetryPolicy(max_attempts=1))
    return Hub([], services=[shop], http=Vendor(path))


def main(url: str, prefix: str, path: str) -> None:
    """Deliver calls until killed, or until the process of the test has ended."""
    outbox, shop = Outbox(open_outbox(url, prefix=prefix)), hub(Path(path))
    parent = os.getppid()
    while os.getppid() == parent:
        outbox.deliver(shop, limit=1_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
