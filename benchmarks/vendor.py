"""A server that answers every request with the same small JSON, as fast as Python can."""

from __future__ import annotations

import asyncio
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


class Vendor(asyncio.Protocol):
    """One connection to the benchmark's vendor server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for responses."""
        self._transport = cast("asyncio.Transport", transport)
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request head."""
        self._seen += data
        while b"\r\n\r\n" in self._seen:
            _, _, self._seen = self._seen.partition(b"\r\n\r\n")
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
