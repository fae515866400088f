"""A server that responds to every request with the same small JSON body as fast as possible."""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from typing import cast

BODY = (
    b'{"country":"DE","rates":['
    + b",".join(b'{"kind":"standard","rate":19}' for _ in range(6))
    + b"]}"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(BODY)).encode()
    + b"\r\n\r\n"
    + BODY
)
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Vendor(asyncio.Protocol):
    """One connection to the benchmark's vendor server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for responses."""
        self._transport = cast("asyncio.Transport", transport)
        self._seen = b""
        self._missing: int | None = None  # bytes of the body; None between requests

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request, and forget its body."""
        self._seen += data
        while self._missing is not None or b"\r\n\r\n" in self._seen:
            if self._missing is None:
                head, _, self._seen = self._seen.partition(b"\r\n\r\n")
                length = LENGTH.search(head)
                self._missing = int(length[1]) if length else 0
            size = len(self._seen)
            self._seen = self._seen[self._missing :]
            self._missing -= size - len(self._seen)
            if self._missing:
                return
            self._missing = None
            self._transport.write(ANSWER)


async def main() -> None:
    """Serve until killed, over TLS if a certificate and key are passed."""
    tls = None
    if sys.argv[1:]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*sys.argv[1:])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Vendor, "127.0.0.1", 0, ssl=tls, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
