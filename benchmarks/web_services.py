"""Calls of web services, each with the usual library and as an operation of moorage.

Both send over the HTTP client that they are given, and return the same value.
"""

from __future__ import annotations

import json
import xmlrpc.client
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import zeep

from moorage import GraphQL, JsonRpc, OData, Request, Soap, Wsdl, XmlRpc

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from moorage import Response

    Send: TypeAlias = Callable[[Request], Response]
    """Sends a request to the service, and returns the response."""

    Perform: TypeAlias = Callable[..., Any]
    """The `perform` of a manager, which gets the service's name already."""

WSDL: Final = Path(__file__).parents[1] / "tests/soap/wsdl/quotes.wsdl"
_QUERY: Final = "query One { one }"
_ORDER: Final = {"ID": 1, "Name": "bolt"}
_NUMBERS: Final = {"a": 2, "b": 3}
_JSON: Final = {"Content-Type": "application/json"}
_XML: Final = {"Content-Type": "text/xml; charset=utf-8"}
_QUOTE: Final = b"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<GetQuoteResponse xmlns="urn:example:quotes"><price>149.90</price><at>2026-01-31T12:00:00Z</at>
</GetQuoteResponse></s:Body></s:Envelope>"""


@attrs.frozen(kw_only=True)
class WebService:
    """A service with one call and an answer that never changes.

    Attributes:
        title: what a call is.
        library: the name of the usual library.
        media_type: the type of the answer.
        answer: the body of the answer.
        with_library: makes the call with the library, which sends with the given function.
        with_moorage: makes the same call with a manager's `perform`.
    """

    title: str
    library: str
    media_type: str
    answer: bytes
    with_library: Callable[[Send], Callable[[], object]]
    with_moorage: Callable[[Perform], object]


def graphql() -> WebService:
    """Return a GraphQL service."""
    shop = GraphQL("/graphql")

    def query(send: Send) -> object:
        body = json.dumps({"query": _QUERY}).encode()
        return json.loads(send(Request.post("/graphql", body=body, headers=_JSON)).body)["data"]

    return WebService(
        title="a query of a GraphQL service",
        library="json",
        media_type="application/json",
        answer=b'{"data":{"one":1}}',
        with_library=lambda send: partial(query, send),
        with_moorage=lambda perform: perform(shop.query(_QUERY)).data,
    )


def odata() -> WebService:
    """Return an OData service."""
    erp = OData("/odata")

    def get(send: Send) -> object:
        headers = {"Accept": "application/json", "OData-MaxVersion": "4.0"}
        return json.loads(send(Request.get("/odata/Orders(1)", headers=headers)).body)

    return WebService(
        title="an entity of an OData service",
        library="json",
        media_type="application/json",
        answer=json.dumps(_ORDER).encode(),
        with_library=lambda send: partial(get, send),
        with_moorage=lambda perform: perform(erp.get("Orders", 1)).data,
    )


def json_rpc() -> WebService:
    """Return a JSON-RPC service."""
    calculator = JsonRpc("/jsonrpc")

    def add(send: Send) -> object:
        call = {"jsonrpc": "2.0", "id": 1, "method": "add", "params": _NUMBERS}
        request = Request.post("/jsonrpc", body=json.dumps(call).encode(), headers=_JSON)
        return json.loads(send(request).body)["result"]

    return WebService(
        title="a call of a JSON-RPC service",
        library="json",
        media_type="application/json",
        answer=b'{"jsonrpc":"2.0","id":1,"result":5}',
        with_library=lambda send: partial(add, send),
        with_moorage=lambda perform: perform(calculator.call("add", _NUMBERS, safe=True)),
    )


def xml_rpc() -> WebService:
    """Return an XML-RPC service."""
    calculator = XmlRpc("/xmlrpc")

    def add(send: Send) -> object:
        body = xmlrpc.client.dumps((_NUMBERS,), "add").encode()
        (result,), _ = xmlrpc.client.loads(
            send(Request.post("/xmlrpc", body=body, headers=_XML)).body
        )
        return result

    return WebService(
        title="a call of an XML-RPC service",
        library="xmlrpc.client",
        media_type="text/xml",
        answer=xmlrpc.client.dumps((5,), methodresponse=True).encode(),
        with_library=lambda send: partial(add, send),
        with_moorage=lambda perform: perform(calculator.call("add", [_NUMBERS], safe=True)),
    )


def soap() -> WebService:
    """Return a SOAP service."""
    quotes = Soap(wsdl=Wsdl.from_file(WSDL), location="/soap", safe=["GetQuote"])

    def with_zeep(send: Send) -> Callable[[], object]:
        library: Any = zeep
        service = library.Client(str(WSDL), transport=_ZeepTransport(send)).service
        return lambda: service.GetQuote(symbol="ABC").price

    return WebService(
        title="an operation of a SOAP service",
        library="zeep",
        media_type="text/xml",
        answer=_QUOTE,
        with_library=with_zeep,
        with_moorage=lambda perform: perform(quotes.operation("GetQuote", symbol="ABC"))["price"],
    )


class _ZeepTransport(zeep.Transport):
    """A transport of zeep over another HTTP client."""

    def __init__(self, send: Send) -> None:
        transport: Any = super()
        transport.__init__()
        self._send = send

    def post(self, _: str, message: bytes, headers: dict[str, str]) -> Any:
        """Send an envelope, and return an answer with the attributes that zeep reads."""
        response = self._send(Request.post("/soap", body=message, headers=headers))
        return _ZeepAnswer(response.status, response.body, response.headers)


@attrs.frozen
class _ZeepAnswer:
    status_code: int
    content: bytes
    headers: Any
    encoding: str = "utf-8"
