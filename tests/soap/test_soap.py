"""SOAP services called through a connector manager."""

from __future__ import annotations

import base64
import hashlib
import pickle
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Response,
    Secret,
    Service,
    Soap,
    SoapSecurity,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.http_operations.soap.arguments import _single_value as single_value
from moorage.adapters.http_operations.soap.libraries import zeep
from moorage.testing import Behaviour, SoapServer, SoapServerFault
from tests.soap.soap_harness import (
    MOMENT,
    ORDER,
    PASSWORD,
    QUOTE,
    fetch,
    new_server,
    perform,
    soap,
)

if TYPE_CHECKING:
    from collections.abc import Generator

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"


@pytest.fixture(params=["Old", "New"])
def server(request: pytest.FixtureRequest) -> Generator[SoapServer]:
    """Yield a server of SOAP 1.1, and one of SOAP 1.2."""
    with new_server(request.param) as running:
        yield running


@pytest.fixture
def soap11_server() -> Generator[SoapServer]:
    """Yield a server of SOAP 1.1."""
    with new_server() as running:
        yield running


def port_of(server: SoapServer) -> str:
    """Return the name of the WSDL port that a server implements."""
    return server.port


def body_of(order: dict[str, Any]) -> bytes:
    """Return a SOAP call's arguments for an order."""
    body = soap().operation("PlaceOrder", order=order).request.body
    assert isinstance(body, bytes)
    return body


@pytest.mark.parametrize("is_async", [False, True])
def test_wsdl_is_loaded_with_its_imports(server: SoapServer, is_async: bool) -> None:
    """A WSDL is loaded with its imports, and its operation returns plain Python values."""
    wsdl = fetch(server.url, is_async=is_async)
    assert wsdl.schema_problem is None
    service = Soap(wsdl=wsdl, port=port_of(server))
    operation = service.operation("GetQuote", symbol="ABC")
    quote = perform(server.url, operation, is_async=is_async)
    assert quote == QUOTE
    assert quote == pickle.loads(pickle.dumps(quote))  # noqa: S301 - our own values
    assert [("GetQuote", {"symbol": "ABC"})] == server.calls
    request = server.requests[-1]
    assert "/soap" == request.path
    is_old = port_of(server) == "Old"
    assert ('"urn:GetQuote"' if is_old else None) == request.headers.get("soapaction")
    expected = "text/xml; charset=utf-8"
    if not is_old:
        expected = 'application/soap+xml; charset=utf-8; action="urn:GetQuote"'
    assert expected == request.headers["content-type"]


def test_values_of_every_xml_schema_type_are_sent_to_server_and_returned_unchanged(
    server: SoapServer,
) -> None:
    """Values of every XML Schema type are sent to the server and returned unchanged."""
    order = {
        **ORDER, "limit": Decimal("1.50"), "until": MOMENT, "firm": True,
        "scan": b"\xff\x00", "weight": 0.5, "note": ["<a>", "ä"],
    }  # fmt: skip
    number = perform(server.url, soap(port=port_of(server)).operation("PlaceOrder", order=order))
    assert 3 == number
    ((_, arguments),) = server.calls
    assert order == arguments["order"]


@pytest.mark.parametrize(
    "changes, path, text",
    [
        ({"symbol": "abc"}, "order.symbol", "pattern"),
        ({"side": "hold"}, "order", "enumeration"),
        ({"pieces": 2**31}, "order.pieces", "schema"),
        ({"pieces": "x"}, "order.pieces", "integer"),
        ({"pieces": True}, "order.pieces", "integer"),
        ({"pieces": None}, "order.pieces", "missing"),
        ({"limit": "1,5"}, "order.limit", "decimal"),
        ({"limit": float("nan")}, "order.limit", "decimal"),
        ({"until": 3}, "order.until", "datetime"),
        ({"until": "yesterday"}, "order.until", "schema"),
        ({"firm": "no"}, "order.firm", "boolean"),
        ({"scan": "%%"}, "order.scan", "Base64"),
        ({"scan": 255}, "order.scan", "Base64"),
        ({"weight": "heavy"}, "order.weight", "number"),
        ({"note": ["a", "\x00"]}, "order.note.1", "character"),
        ({"note": ["a"] * 4}, "order.note", "schema"),
        ({"note": [object()]}, "order.note.0", "string"),
        ({"colour": "red"}, "order.colour", "does not exist"),
    ],
)
def test_argument_that_breaks_schema_is_refused_with_its_path(
    changes: dict[str, Any], path: str, text: str
) -> None:
    """An argument that breaks the schema is refused with its path, before anything is sent."""
    with pytest.raises(InvalidData, match=text) as excinfo:
        soap().operation("PlaceOrder", order={**ORDER, **changes})
    assert path == excinfo.value.field


def test_wrong_arguments_of_an_operation_are_refused() -> None:
    """Unknown, missing and misplaced arguments of a SOAP operation are refused."""
    service = soap()
    for arguments in ({}, {"symbol": None}, {"symbl": "A"}, {"symbol": {"a": 1}}, {"symbol": [1]}):
        with pytest.raises(InvalidData):
            service.operation("GetQuote", **arguments)
    with pytest.raises(InvalidData, match="missing"):
        service.operation("Notify")
    with pytest.raises(InvalidData, match="accepts only Upper"):
        service.operation("Notify", Uper="a")
    with pytest.raises(InvalidData, match="does not exist"):
        service.operation("Hello", a=1)
    deep: Any = "x"
    for _ in range(100):
        deep = {"order": deep}
    with pytest.raises(InvalidData):
        service.operation("PlaceOrder", order=deep)


def test_values_may_be_given_as_strings(soap11_server: SoapServer) -> None:
    """Numbers, times and bytes may be given as strings, as in JSON."""
    order = {
        "symbol": "ABC", "pieces": "3", "side": "buy", "limit": 2, "until": MOMENT.isoformat(),
        "firm": "true", "scan": "/w==", "weight": "1e3", "note": [5],
    }  # fmt: skip
    perform(soap11_server.url, soap().operation("PlaceOrder", order=order))
    sent_order = soap11_server.calls[-1][1]["order"]
    assert (2, MOMENT, True, b"\xff", 1000.0) == tuple(
        sent_order[name] for name in ("limit", "until", "firm", "scan", "weight")
    )
    for weight, text in ((float("inf"), b">INF<"), (float("-inf"), b">-INF<"), (1, b">1<")):
        assert text in body_of({**ORDER, "weight": weight})
    body = body_of({**ORDER, "weight": float("nan"), "limit": 0.5})
    assert b">NaN<" in body
    assert b">0.5<" in body


def test_unknown_operation_and_port_are_refused() -> None:
    """An unknown operation or port is refused, and the error lists those of the WSDL."""
    with pytest.raises(ConfigurationError, match="GetQuote, Hello, Notify, PlaceOrder"):
        soap().operation("GetQuotes")
    with pytest.raises(ConfigurationError, match=r"Old \(SOAP 1.1\), New \(SOAP 1.2\)"):
        soap(port="Newest")
    with pytest.raises(ConfigurationError, match="Use one of: Quotes"):
        soap(wsdl_service="Quote")
    with pytest.raises(ConfigurationError, match="has no operation 'Delete'"):
        soap(safe=["Delete"])
    assert "symbol: ns0:Symbol" == soap().operations["GetQuote"]


def test_soap_body_may_be_single_value(soap11_server: SoapServer) -> None:
    """A SOAP body may be a single value, and an operation may return nothing."""
    assert "hello" == perform(soap11_server.url, soap().operation("Hello"))
    assert perform(soap11_server.url, soap().operation("Notify", Upper="a<b")) is None
    assert b">a&lt;b<" in soap11_server.requests[-1].body


def test_soap_headers_that_wsdl_declares_are_sent_before_those_of_ws_security(
    soap11_server: SoapServer,
) -> None:
    """SOAP headers that the WSDL declares are sent before those of WS-Security."""
    service = soap(security=SoapSecurity(valid_for=timedelta(minutes=5)))
    service = service.with_headers(Session=Secret("session-1234567"))
    perform(soap11_server.url, service.operation("PlaceOrder", order=ORDER))
    header = etree.fromstring(soap11_server.requests[-1].body)[0]
    assert ["Session", "Security"] == [etree.QName(item).localname for item in header]
    created, expires = (datetime.fromisoformat(item.text) for item in header[1][0])
    assert timedelta(minutes=5) == expires - created
    with pytest.raises(InvalidData):
        soap().with_headers(Sessions="x").operation("PlaceOrder", order=ORDER)


def security_of(body: bytes) -> dict[str, Any]:
    """Return the text values of the WS-Security token in a request."""
    names = ("Username", "Password", "Nonce", "Created")
    root = etree.fromstring(body)
    return {name: root.findtext(f".//{{*}}UsernameToken/{{*}}{name}") for name in names}


def test_user_name_token(soap11_server: SoapServer) -> None:
    """A WS-Security token has the password as text, or as a digest with a new nonce each time."""
    token = SoapSecurity(username="ada & co", password=PASSWORD)
    perform(soap11_server.url, soap(security=token).operation("Hello"))
    values = security_of(soap11_server.requests[-1].body)
    assert ("ada & co", PASSWORD, None) == (
        values["Username"], values["Password"], values["Nonce"],
    )  # fmt: skip
    digest = SoapSecurity(username="ada", password=PASSWORD, digest=True)
    service = soap(security=digest, safe=["Hello"])
    soap11_server.queue(Behaviour(503), Behaviour(503))
    perform(soap11_server.url, service.operation("Hello"))
    nonces = set()
    for request in soap11_server.requests[-3:]:
        values = security_of(request.body)
        nonce = base64.b64decode(values["Nonce"])
        nonces.add(nonce)
        text = nonce + values["Created"].encode() + PASSWORD.encode()
        assert base64.b64encode(hashlib.sha1(text).digest()).decode() == values["Password"]  # noqa: S324 - the standard has it
    assert 3 == len(nonces)
    assert PASSWORD not in repr(digest) + repr(service) + repr(service.operation("Hello"))


def test_key_is_compared_without_the_token(soap11_server: SoapServer) -> None:
    """A repeated key returns the stored result although the WS-Security token differs."""
    token = SoapSecurity(username="ada", password=PASSWORD, digest=True)
    service = Service(
        "quotes",
        base_url=soap11_server.url,
        idempotency_header="X-Request-Key",
        idempotency_memory=60.0,
    )
    operation = soap(security=token).operation("PlaceOrder", order=ORDER)
    from moorage import ConnectorManager  # noqa: PLC0415 - two calls of one manager

    with ConnectorManager([service]) as manager:
        results = [manager.perform("quotes", operation, idempotency_key="k") for _ in "ab"]
    assert [3, 3] == results
    assert ["k"] == [request.headers["x-request-key"] for request in soap11_server.requests]


@pytest.mark.parametrize(
    "options",
    [
        {"username": "a"},
        {"password": "b"},
        {"digest": True},
        {"valid_for": timedelta(0)},
        {"username": "a\x00", "password": "b"},
    ],
)
def test_incomplete_ws_security_token_is_refused_at_once(options: dict[str, Any]) -> None:
    """An incomplete WS-Security token is refused at once."""
    with pytest.raises(InvalidData):
        SoapSecurity(**options)


@pytest.mark.parametrize(
    "code, kind",
    [
        ("Client", VendorRejected),
        ("Client.Login", VendorRejected),
        ("Sender", VendorRejected),
        ("Server", VendorFailed),
        ("Receiver", VendorFailed),
        ("Strange", VendorFailed),
        ("MustUnderstand", InvalidRequest),
        ("FailedAuthentication", AuthenticationFailed),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_code_of_soap_fault_decides_error_class(
    server: SoapServer, code: str, kind: type[ConnectorError], is_async: bool
) -> None:
    """The code of a SOAP fault decides the error class, whatever the HTTP status."""
    operation = soap(port=port_of(server)).operation("PlaceOrder", order=ORDER, code=f"{code}:Why.")
    with pytest.raises(ConnectorError) as excinfo:
        perform(server.url, operation, is_async=is_async)
    error = excinfo.value
    assert kind is type(error)
    assert (code, "Why.") == (getattr(error, "vendor_code", 0), getattr(error, "vendor_message", 0))
    fault = Soap.fault(error)
    assert fault is not None
    assert {"why": {"text": "Why."}} == fault.detail
    assert 1 == len(server.requests)
    assert Soap.fault(InvalidData("x")) is None


@pytest.mark.parametrize(
    "status, kind", [(401, AuthenticationFailed), (403, AuthenticationFailed),
                     (429, RateLimitExceeded), (200, VendorRejected)],
)  # fmt: skip
def test_more_specific_http_status_overrides_a_fault_code(
    soap11_server: SoapServer, status: int, kind: type[Any]
) -> None:
    """A more specific HTTP status overrides a fault's code; a fault with 200 is still a fault."""
    fault = soap11_server.fault(SoapServerFault("Client", "x"))
    soap11_server.respond(status, {}, fault.body)
    service = Service("quotes", base_url=soap11_server.url, retry=None)
    with pytest.raises(kind):
        perform(soap11_server.url, soap().operation("Hello"), service=service)


def test_only_operations_declared_safe_or_repeatable_are_retried(soap11_server: SoapServer) -> None:
    """Only safe or repeatable operations are retried; other keyed ones get an unknown outcome."""
    arguments = {"order": ORDER, "code": "Server"}
    for options, number in (({}, 1), ({"safe": ["PlaceOrder"]}, 3),
                            ({"repeatable": ["PlaceOrder"]}, 3)):  # fmt: skip
        before = len(soap11_server.requests)
        operation = soap(**options).operation("PlaceOrder", **arguments)
        assert operation.safe is ("safe" in options)
        with pytest.raises(VendorFailed):
            perform(soap11_server.url, operation)
        assert number == len(soap11_server.requests) - before
    with pytest.raises(OutcomeUnknown):
        perform(soap11_server.url, soap().operation("PlaceOrder", **arguments), idempotency_key="k")


def test_secrets_are_masked(soap11_server: SoapServer) -> None:
    """A secret that a SOAP fault repeats is masked everywhere."""
    secret = "wombat-7261-xyz"
    code = Secret(f"Client:{secret}")
    token = SoapSecurity(username="ada", password=PASSWORD)
    service = soap(security=token)
    with pytest.raises(VendorRejected) as excinfo:
        perform(soap11_server.url, service.operation("PlaceOrder", order=ORDER, code=code))
    assert secret in str(soap11_server.calls)
    error = excinfo.value
    shown_text = f"{error!r} {vars(error)} {error.response.body if error.response else b''!r}"
    assert secret not in shown_text
    fault = soap11_server.fault(SoapServerFault("Client", PASSWORD))
    soap11_server.queue(fault)
    with pytest.raises(VendorRejected) as excinfo:
        perform(soap11_server.url, service.operation("Hello"))
    assert PASSWORD not in f"{vars(excinfo.value)} {Soap.fault(excinfo.value)}"


def envelope(content: str) -> bytes:
    """Return a SOAP response with this body."""
    return (
        f'<e:Envelope xmlns:e="{ENVELOPE}" xmlns:q="urn:example:quotes"><e:Body>{content}</e:Body>'
        "</e:Envelope>"
    ).encode()


QUOTE_OPEN = "<q:GetQuoteResponse><q:price>"
HOSTILE = [
    b"<html>",
    b"<html/>",
    b"not XML",
    b"",
    envelope(""),
    envelope(f"{QUOTE_OPEN}x</q:price><q:at>2026-01-01T00:00:00</q:at></q:GetQuoteResponse>"),
    envelope(f"{QUOTE_OPEN}1</q:price><q:at>soon</q:at></q:GetQuoteResponse>"),
    envelope("<q:Other/>"),
    envelope(QUOTE_OPEN)[:60],
    b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + envelope("&b;"),
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + envelope("&a;"),
    b'<?xml version="1.0" encoding="nonsense"?>' + envelope(""),
    envelope("<a>" * 300 + "</a>" * 300),
    b'<Envelope xmlns="urn:other"/>',
]


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", HOSTILE)
def test_unreadable_soap_response_leaves_outcome_unknown(
    soap11_server: SoapServer, body: bytes, status: int
) -> None:
    """An unreadable SOAP response leaves the outcome unknown; XML entities are not expanded."""
    soap11_server.respond(status, {"Content-Type": "text/xml"}, body)
    with pytest.raises(VendorFailed):
        perform(soap11_server.url, soap().operation("GetQuote", symbol="ABC"))
    assert 1 == len(soap11_server.requests)
    soap11_server.respond(status, {"Content-Type": "text/xml"}, body)
    with pytest.raises(OutcomeUnknown):
        perform(soap11_server.url, soap().operation("GetQuote", symbol="ABC"), idempotency_key="k")


def test_attachments_are_refused(soap11_server: SoapServer) -> None:
    """A response with attachments (MTOM) is refused, and the error names MTOM."""
    soap11_server.respond(200, {"Content-Type": "multipart/related; boundary=x"}, b"--x--")
    with pytest.raises(VendorFailed, match="MTOM"):
        perform(soap11_server.url, soap().operation("Hello"))


def test_soap_response_beyond_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOAP response beyond the size limit is refused."""
    from moorage.adapters.http_operations.soap import xml_documents  # noqa: PLC0415 - to patch it

    operation = soap().operation("Hello")
    body = envelope("<q:HelloResponse>hello</q:HelloResponse>")
    assert "hello" == operation.read(Response(200, body=body))
    monkeypatch.setattr(xml_documents, "LARGEST", 20)
    with pytest.raises(VendorFailed):
        operation.read(Response(200, body=body))
    assert operation.refusal(Response(200, body=body)) is None


def test_fault_is_no_result() -> None:
    """Reading the result of an operation raises an error if the response is a SOAP fault."""
    body = envelope("<e:Fault><faultcode/><faultstring/></e:Fault>")
    with pytest.raises(VendorFailed):
        soap().operation("Hello").read(Response(200, body=body))


def test_address_at_another_host_gets_no_request(soap11_server: SoapServer) -> None:
    """If a WSDL names an endpoint at another host, no request or credential is sent there."""
    service = Soap(wsdl=soap().wsdl)
    with pytest.raises(InvalidData, match="origin"):
        perform(soap11_server.url, service.operation("Hello"))
    assert () == soap11_server.requests


@pytest.mark.parametrize("is_async", [False, True])
def test_another_soap_library_server_accepts_requests(spyne: str, is_async: bool) -> None:
    """Another SOAP library's server accepts the requests, and its responses are understood."""
    service = Soap(wsdl=fetch(spyne, "/?wsdl", is_async=is_async))
    line = {"article": "bolt <ä>", "pieces": 2, "price": Decimal("1.50"), "at": MOMENT}
    echo = perform(spyne, service.operation("echo", line=line), is_async=is_async)
    assert line == echo
    lines = {"Line": [line, {"article": "nut", "pieces": 1, "price": "2"}]}
    total = perform(spyne, service.operation("total", lines=lines), is_async=is_async)
    assert Decimal(5) == total
    for code, kind in (("Client.Wrong", VendorRejected), ("Server", VendorFailed)):
        with pytest.raises(kind) as excinfo:
            perform(spyne, service.operation("fail", code=code), is_async=is_async)
        assert "The reason." == getattr(excinfo.value, "vendor_message", None)
        fault = Soap.fault(excinfo.value)
        assert fault is not None
        assert {"order": "7"} == fault.detail
    with pytest.raises(InvalidData):
        service.operation("echo", line={"pieces": 1})


def test_dates_are_not_times() -> None:
    """A datetime is refused where a date is needed, and bytes may replace hexadecimal digits."""
    builtins = zeep("xsd.types.builtins")
    assert date(2026, 1, 2) == single_value(builtins.Date(), date(2026, 1, 2))
    with pytest.raises(ValueError, match="not a date"):
        single_value(builtins.Date(), datetime(2026, 1, 2, tzinfo=UTC))
    assert "FF" == single_value(builtins.HexBinary(), b"\xff")
    assert "ab" == single_value(builtins.HexBinary(), "ab")
    assert timedelta(1) == single_value(builtins.Duration(), timedelta(1))
    assert (1, 2) == single_value(None, (1, 2))
