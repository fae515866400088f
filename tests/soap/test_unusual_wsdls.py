"""Unusual WSDLs: bodies without parts, and schemas with rare types."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import InvalidData, Soap
from moorage.testing import SoapServer
from tests.soap.soap_harness import perform
from tests.soap.test_wsdl import answer, wsdl, wsdl_of

if TYPE_CHECKING:
    from pathlib import Path

    from moorage import HttpOperation

PART = b'<message name="in"><part name="text" element="t:call"/></message>'


def document(tmp_path: Path, types: str, *, has_parts: bool = True) -> Soap:
    """Return a document-style SOAP service whose WSDL has these XML Schema types."""
    text = wsdl(types, part='element="t:call"', style="document")
    if not has_parts:
        text = text.replace(PART, b'<message name="in"/>')
    return Soap(wsdl=wsdl_of(tmp_path, text), location="/x")


def bytes_of(operation: HttpOperation[Any]) -> bytes:
    """Return the body of an operation's request."""
    body = operation.request.body
    assert isinstance(body, bytes)
    return body


def schema(content: str) -> str:
    """Return a schema whose request and response elements have this content."""
    return (
        '<x:schema targetNamespace="urn:t" elementFormDefault="qualified">'
        f'<x:element name="call"><x:complexType><x:sequence>{content}</x:sequence>'
        "</x:complexType></x:element></x:schema>"
    )


VALUES = schema(
    '<x:element name="scan" type="x:base64Binary"/><x:element name="term" type="x:duration"/>'
    '<x:element name="day" type="x:date"/><x:element name="rest" type="x:anyType"/>'
)


def test_every_type_is_rendered_as_json(tmp_path: Path) -> None:
    """An operation run by name returns bytes as Base64, durations as seconds, and dates as text."""
    text = wsdl(VALUES, part='element="t:call"', style="document")
    (tmp_path / "a.wsdl").write_bytes(text)
    values = {"scan": b"\xff", "term": timedelta(minutes=2), "day": "2026-01-02", "rest": "x"}
    with SoapServer(tmp_path / "a.wsdl", {"echo": lambda **arguments: arguments}) as server:
        settings: dict[str, Any] = {
            "connectors": {
                "echo": {"kind": "soap", "wsdl_file": str(tmp_path / "a.wsdl"), "location": "/x"}
            },
            "services": {"echo": {"base_url": server.url}},
        }
        with moorage.open(settings) as hub:
            result = hub.connectors.run("echo", "echo", values)
    assert {"scan": "/w==", "term": 120.0, "day": "2026-01-02", "rest": "x"} == result
    assert result == json.loads(json.dumps(result))


def test_operation_without_parts_sends_an_empty_body(tmp_path: Path) -> None:
    """An operation whose message has no parts has no arguments, and sends an empty body."""
    service = document(tmp_path, VALUES, has_parts=False)
    operation = service.operation("echo")
    assert b"Body/>" in bytes_of(operation)
    assert {} == service.parameters("echo")
    with pytest.raises(InvalidData, match="accepts no arguments"):
        service.operation("echo", text="a")


NESTED = (
    '<x:schema targetNamespace="urn:t" xmlns:t="urn:t" elementFormDefault="qualified">'
    '<x:complexType name="node"><x:sequence><x:element name="node" type="t:node" minOccurs="0"/>'
    '</x:sequence></x:complexType><x:element name="call" type="t:node"/></x:schema>'
)


def test_arguments_are_nested_to_a_bound(tmp_path: Path) -> None:
    """For a type that contains itself, arguments nested too deeply are refused."""
    service = document(tmp_path, NESTED)

    def nested(depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for _ in range(depth):
            value = {"node": value}
        return value

    assert 50 == bytes_of(service.operation("echo", **nested(50))).count(b"<ns0:node")
    with pytest.raises(InvalidData, match="nested too deeply") as excinfo:
        service.operation("echo", **nested(70))
    assert "node.node.node" == excinfo.value.field


FACET = (
    '<x:element name="side"><x:simpleType><x:restriction base="x:string">'
    '<x:pattern value="{}"/></x:restriction></x:simpleType></x:element>'
)


def test_schema_that_only_zeep_accepts_is_reported(tmp_path: Path) -> None:
    """If only zeep accepts a schema, the problem is reported, and only types are checked."""
    service = document(tmp_path, schema(FACET.format("[")))
    assert "pattern" in str(service.wsdl.schema_problem)
    assert b">buy<" in bytes_of(service.operation("echo", side="buy"))
    with pytest.raises(InvalidData):
        service.operation("echo", side=3.5)


def test_answer_may_break_rules_but_not_types(tmp_path: Path) -> None:
    """A response with a missing element or an unknown attribute is still read."""
    read = document(tmp_path, schema(FACET.format("buy"))).operation("echo", side="buy").read
    lacking = '<t:call xmlns:t="urn:t"/>'
    assert read(answer(lacking)) is None
    other = '<t:call xmlns:t="urn:t" version="2"><t:side>buy</t:side></t:call>'
    assert "buy" == read(answer(other))


def test_import_without_a_location_is_accepted(tmp_path: Path) -> None:
    """A schema may import a namespace for which there is no document."""
    types = VALUES.replace(
        '<x:element name="call">', '<x:import namespace="urn:nowhere"/><x:element name="call">'
    )
    assert document(tmp_path, types).wsdl.schema_problem is None


def test_server_answers_wrong_requests_with_a_fault(tmp_path: Path) -> None:
    """The test server responds to invalid XML and unknown operations with a fault."""
    (tmp_path / "a.wsdl").write_bytes(wsdl(VALUES, part='element="t:call"', style="document"))
    with SoapServer(tmp_path / "a.wsdl", {}) as server:
        operation = document(tmp_path, VALUES).operation(
            "echo", scan=b"", term=timedelta(1), day="2026-01-02", rest="x"
        )
        with pytest.raises(moorage.VendorRejected) as excinfo:
            perform(server.url, operation)
        assert "The service has no operation of this name." == excinfo.value.vendor_message
        with moorage.ConnectorManager([moorage.Service("x", base_url=server.url)]) as manager:
            request = moorage.Request.post("/x", body=b"no XML", headers={})
            with pytest.raises(moorage.VendorFailed) as failed:
                manager.call("x", request)
        assert failed.value.response is not None
        assert b"The request is not XML." in failed.value.response.body
    assert [] == server.calls
