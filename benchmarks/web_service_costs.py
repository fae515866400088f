"""The cost of calls of web services, compared with the usual library over the same HTTP client.

The HTTP client is moorage's own of the standard library. The library's row therefore has neither
protections nor checks of the answer, and everything else in common with moorage's row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connector_costs import TARGET, server, sync_rows
from measure import Comparison
from web_services import graphql, json_rpc, odata, soap, xml_rpc

from moorage import Service
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.domain.http.requests import Timeouts

if TYPE_CHECKING:
    from web_services import WebService

    from moorage import Request, Response

_TIMEOUTS: Final = Timeouts(total=30.0)
_SERVER: Final = """
import asyncio, re
ANSWER = {answer!r}
LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
async def serve(reader, writer):
    try:
        while True:
            length = LENGTH.search(await reader.readuntil(b"\\r\\n\\r\\n"))
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def _script(service: WebService) -> str:
    """Return the program of a server that responds to every request with a service's answer."""
    fields = f"Content-Type: {service.media_type}\r\nContent-Length: {len(service.answer)}"
    return _SERVER.format(answer=f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + service.answer)


def _comparison(service: WebService, rounds: int) -> Comparison:
    """Compare a call of a web service through moorage with the usual library's call."""
    with server(_script(service)) as port, StdlibHttpClient() as client:
        url = f"http://127.0.0.1:{port}"

        def send(request: Request) -> Response:
            return client.send(request, url + request.path, _TIMEOUTS)

        rows = sync_rows(
            service.library,
            service.with_library(send),
            Service("shop", base_url=url),
            service.with_moorage,
            rounds,
        )
    return Comparison(f"{service.title}, sync", rows, TARGET)


def graphql_connector(rounds: int) -> Comparison:
    """Measure one GraphQL query."""
    return _comparison(graphql(), rounds)


def odata_connector(rounds: int) -> Comparison:
    """Measure reading one OData entity by its key."""
    return _comparison(odata(), rounds)


def json_rpc_connector(rounds: int) -> Comparison:
    """Measure one call of a JSON-RPC method."""
    return _comparison(json_rpc(), rounds)


def xml_rpc_connector(rounds: int) -> Comparison:
    """Measure one call of an XML-RPC method."""
    return _comparison(xml_rpc(), rounds)


def soap_connector(rounds: int) -> Comparison:
    """Measure one SOAP operation."""
    return _comparison(soap(), rounds)


ALL = (
    graphql_connector,
    odata_connector,
    json_rpc_connector,
    xml_rpc_connector,
    soap_connector,
)
