"""Loading WSDLs from files and services, and documents that a WSDL is not allowed to load."""

from __future__ import annotations

import shutil
from importlib import util
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, ConnectorError, InvalidData, Response, Soap, Wsdl
from moorage.adapters.http_operations.soap import documents as documents_module
from moorage.domain.soap.locations import may_load, resolve_location, with_tls
from moorage.errors import VendorFailed
from moorage.testing import Behaviour, VendorServer
from tests.soap.soap_harness import FOLDER, WSDL, fetch

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SPACES = (
    'xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:x="http://www.w3.org/2001/XMLSchema"'
    ' xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:t="urn:t" targetNamespace="urn:t"'
)


def wsdl(types: str = "", *, part: str = 'type="x:string"', style: str = "rpc") -> bytes:
    """Return a small RPC-style WSDL."""
    return f"""<definitions {SPACES}><types>{types}</types>
    <message name="in"><part name="text" {part}/></message>
    <message name="out"><part name="text" {part}/></message>
    <portType name="p"><operation name="echo"><input message="t:in"/><output message="t:out"/>
    </operation></portType>
    <binding name="b" type="t:p">
    <s:binding transport="http://schemas.xmlsoap.org/soap/http" style="{style}"/>
    <operation name="echo"><s:operation/><input><s:body use="literal" namespace="urn:t"/></input>
    <output><s:body use="literal" namespace="urn:t"/></output></operation></binding>
    <service name="s"><port name="p" binding="t:b"><s:address location="/x"/></port></service>
    </definitions>""".encode()


def importing_wsdl(location: str) -> bytes:
    """Return a WSDL whose schema imports this location."""
    return wsdl(
        f'<x:schema targetNamespace="urn:t"><x:import namespace="urn:o"'
        f' schemaLocation="{location}"/></x:schema>'
    )


SCHEMA = (
    b'<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:o">'
    b'<element name="a" type="string"/></schema>'
)


@pytest.fixture
def host() -> Generator[VendorServer]:
    """Yield the server that has the WSDL."""
    with VendorServer() as server:
        yield server


@pytest.fixture
def other_server() -> Generator[VendorServer]:
    """Yield another server, which must get no request."""
    with VendorServer() as server:
        server.always(Behaviour(200, {}, SCHEMA))
        yield server


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("place", ["import", "schema"])
def test_foreign_host_is_not_asked(
    host: VendorServer, other_server: VendorServer, is_async: bool, place: str
) -> None:
    """A WSDL can neither cause requests to another host nor read local files."""
    for location in (
        f"{other_server.url}/a",
        "file:///etc/passwd",
        "//169.254.169.254/latest",
        "ftp://x/y",
    ):
        body = importing_wsdl(location)
        if place == "import":
            body = f'<definitions {SPACES}><import location="{location}"/></definitions>'.encode()
        host.respond(200, {}, body)
        with pytest.raises(ConfigurationError, match="outside the WSDL's own host or folder"):
            fetch(host.url, "/a?wsdl", is_async=is_async)
    assert () == other_server.requests
    assert 4 == len(host.requests)


def test_same_host_is_asked(host: VendorServer) -> None:
    """A WSDL's documents on its own host are loaded once each, even if they import each other."""
    host.respond(200, {}, importing_wsdl("schemas/o.xsd"))
    import_end = b'<import namespace="urn:u" schemaLocation="u.xsd"/><element'
    host.respond(200, {}, SCHEMA.replace(b"<element", import_end), path="/quotes/schemas/o.xsd")
    forth = import_end.replace(b"u.xsd", b"o.xsd").replace(b"urn:u", b"urn:o")
    other = SCHEMA.replace(b"<element", forth)
    other = other.replace(b'targetNamespace="urn:o"', b'targetNamespace="urn:u"')
    host.respond(200, {}, other, path="/quotes/schemas/u.xsd")
    result = fetch(host.url, "/quotes/a?wsdl")
    expected = ["/quotes/a?wsdl", "/quotes/schemas/o.xsd", "/quotes/schemas/u.xsd"]
    assert expected == [item.target for item in host.requests]
    assert "<Wsdl http" in repr(result)


def test_local_file_can_replace_document_at_another_host(
    host: VendorServer, other_server: VendorServer, tmp_path: Path
) -> None:
    """A local file can replace a document at another host."""
    (tmp_path / "o.xsd").write_bytes(SCHEMA)
    host.respond(200, {}, importing_wsdl(f"{other_server.url}/a"))
    copies = {f"{other_server.url}/a": tmp_path / "o.xsd"}
    assert fetch(host.url, "/a?wsdl", copies=copies).schema_problem is None
    assert () == other_server.requests


BOMB = b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
EXTERNAL = b'<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x.dtd">'


@pytest.mark.parametrize(
    "body",
    [
        BOMB + wsdl(),
        EXTERNAL + wsdl(),
        b"<html>",
        b"",
        b"not XML",
        b"<a>" * 400 + b"</a>" * 400,
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
    ],
)
def test_document_with_dtd_or_other_than_xml_is_refused(host: VendorServer, body: bytes) -> None:
    """A document with a DTD, or that is not XML, is refused; XML entities are not expanded."""
    host.respond(200, {}, body)
    with pytest.raises(ConfigurationError, match="is not XML"):
        fetch(host.url, "/a?wsdl")
    host.respond(200, {}, importing_wsdl("o.xsd"))
    host.respond(200, {}, body, path="/o.xsd")
    with pytest.raises(ConfigurationError):
        fetch(host.url, "/a?wsdl")


@pytest.mark.parametrize(
    "body", [b"<html/>", wsdl(part='type="t:absent"'), wsdl(part='element="t:absent"')]
)
def test_document_that_is_not_a_wsdl_is_refused(host: VendorServer, body: bytes) -> None:
    """A web page, or a WSDL with mistakes, is refused as a WSDL, and the error says why."""
    host.respond(200, {}, body)
    with pytest.raises(ConfigurationError, match=r"cannot be read|no service") as excinfo:
        Soap(wsdl=fetch(host.url, "/a?wsdl"))
    assert "wsdl" == excinfo.value.path


def test_error_for_a_missing_wsdl_has_the_http_status(host: VendorServer) -> None:
    """If the service has no WSDL, the error has its HTTP status."""
    host.respond(404)
    with pytest.raises(ConnectorError, match="404"):
        fetch(host.url)


def test_imported_documents_are_limited_in_number_and_size(
    host: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imported documents are limited in number and size."""
    monkeypatch.setattr(documents_module, "_MOST_DOCUMENTS", 1)
    host.respond(200, {}, importing_wsdl("o.xsd"))
    host.respond(200, {}, SCHEMA, path="/o.xsd")
    with pytest.raises(ConfigurationError, match="too large"):
        fetch(host.url, "/a?wsdl")
    monkeypatch.setattr(documents_module, "_MAX_BYTES", 100)
    host.respond(200, {}, importing_wsdl("o.xsd"))
    with pytest.raises(ConfigurationError, match="too large"):
        fetch(host.url, "/a?wsdl")


def test_wsdl_file_can_import_only_files_in_or_below_its_own_folder(tmp_path: Path) -> None:
    """A WSDL file can import only files in or below its own folder."""
    folder = tmp_path / "a"
    shutil.copytree(FOLDER, folder)
    assert Wsdl.from_file(str(folder / "quotes.wsdl")).schema_problem is None
    secret = tmp_path / "secret.xsd"
    secret.write_bytes(SCHEMA)
    (folder / "link.xsd").symlink_to(secret)
    for location in ("../secret.xsd", secret.as_uri(), str(secret), "types/../../secret.xsd"):
        (folder / "b.wsdl").write_bytes(importing_wsdl(location))
        with pytest.raises(ConfigurationError, match="outside the WSDL's own host or folder"):
            Wsdl.from_file(folder / "b.wsdl")
    (folder / "b.wsdl").write_bytes(importing_wsdl("link.xsd"))
    with pytest.raises(ConfigurationError, match="not in or below the folder"):
        Wsdl.from_file(folder / "b.wsdl")
    (folder / "b.wsdl").write_bytes(importing_wsdl("absent.xsd"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Wsdl.from_file(folder / "b.wsdl")
    for path in (folder / "absent.wsdl", folder, "\x00"):
        with pytest.raises(ConfigurationError):
            Wsdl.from_file(path)


def test_import_locations_are_compared_by_scheme_host_and_folder() -> None:
    """Import locations are compared by scheme, host and folder."""
    assert "http://a/c" == resolve_location("http://a/b?wsdl", "c#part")
    assert "http://[" == resolve_location("http://a/b", "http://[")
    assert may_load("http://a/b", "http://a/c")
    assert not may_load("http://a/b", "https://a/c")
    assert not may_load("https://a/b", "file:///a")
    assert may_load("file:///a/b.wsdl", "file:///a/c/d.xsd")
    assert not may_load("file:///a/b.wsdl", "file:///a/../c.xsd")
    assert not may_load("file:///a/b.wsdl", "http://a/c")


@pytest.mark.parametrize(
    "address, expected",
    [
        ("http://a/x?y", "https://a/x?y"),
        ("http://a:80/x", "https://a/x"),
        ("http://a:8080/x", "http://a:8080/x"),
        ("http://b/x", "http://b/x"),
        ("https://a/x", "https://a/x"),
        ("http://[", "http://["),
    ],
)
def test_http_address_behind_an_https_proxy_becomes_https(address: str, expected: str) -> None:
    """A plain HTTP endpoint at the host of an HTTPS WSDL is changed to HTTPS."""
    assert expected == with_tls(address, "https://a/s?wsdl")
    assert address == with_tls(address, "http://a/s?wsdl")


def wsdl_of(tmp_path: Path, content: bytes) -> Wsdl:
    """Return the WSDL of a file with this content."""
    (tmp_path / "a.wsdl").write_bytes(content)
    return Wsdl.from_file(tmp_path / "a.wsdl")


ENCODED = """<x:schema targetNamespace="urn:t" xmlns:e="http://schemas.xmlsoap.org/soap/encoding/">
<x:import namespace="http://schemas.xmlsoap.org/soap/encoding/"
    schemaLocation="http://schemas.xmlsoap.org/soap/encoding/"/>
<x:import namespace="http://www.w3.org/XML/1998/namespace"
    schemaLocation="http://www.w3.org/2001/xml.xsd"/>
<x:complexType name="pair"><x:sequence><x:element name="a" type="x:string"/>
<x:element name="b" type="x:string"/></x:sequence></x:complexType></x:schema>"""


def test_rpc_style_services_work(tmp_path: Path) -> None:
    """RPC-style services work, and standard schemas need no network."""
    service = Soap(wsdl=wsdl_of(tmp_path, wsdl(ENCODED, part='type="t:pair"')))
    assert service.wsdl.schema_problem is None
    operation = service.operation("echo", text={"a": "1", "b": "2"})
    assert isinstance(operation.request.body, bytes)
    assert b'<ns0:echo xmlns:ns0="urn:t"><text><a>1</a><b>2</b></text></ns0:echo>' in (
        operation.request.body
    )
    assert '""' == operation.request.headers["soapaction"]
    with pytest.raises(InvalidData):
        service.operation("echo", text={"c": 1})


def answer(content: str) -> Response:
    """Return a SOAP response with this body."""
    space = "http://schemas.xmlsoap.org/soap/envelope/"
    return Response(
        200, body=f'<e:Envelope xmlns:e="{space}"><e:Body>{content}</e:Body></e:Envelope>'.encode()
    )


def test_references_within_response_are_followed(tmp_path: Path) -> None:
    """References within a response are followed, unless they are endless or enlarge it too much."""
    service = Soap(wsdl=wsdl_of(tmp_path, wsdl(ENCODED, part='type="t:pair"')))
    read = service.operation("echo", text={"a": "1", "b": "2"}).read
    body = '<r><text href="#1"/></r><m id="1"><a>1</a><b>2</b></m>'
    assert {"a": "1", "b": "2"} == read(answer(body))
    loop = '<r><text href="#1"/></r><m id="1"><a href="#1"/></m>'
    many_operations = "".join(
        f'<m id="{number}">{f"<a href=&quot;#{number + 1}&quot;/>" * 10}</m>' for number in range(9)
    ).replace("&quot;", '"')
    chain = "".join(f'<m id="{n}"><a href="#{n + 1}"/></m>' for n in range(300))
    for content in (loop, f'<r><text href="#0"/></r>{many_operations}<m id="9"><a/></m>',
                    f'<r><text href="#0"/></r>{chain}<m id="300"/>'):  # fmt: skip
        with pytest.raises(VendorFailed, match="repeat too much content"):
            read(answer(content))


WILD = """<x:schema targetNamespace="urn:t" elementFormDefault="qualified">
<x:element name="call"><x:complexType><x:sequence><x:any minOccurs="0" maxOccurs="unbounded"
processContents="skip"/></x:sequence></x:complexType></x:element></x:schema>"""


def test_elements_without_a_type_become_plain_values(tmp_path: Path) -> None:
    """Elements without a declared type are returned as dictionaries, lists and strings."""
    service = Soap(wsdl=wsdl_of(tmp_path, wsdl(WILD, part='element="t:call"', style="document")))
    read = service.operation("echo").read
    body = '<t:call xmlns:t="urn:t"><a><b>1</b><b>2</b><b>3</b></a><c/></t:call>'
    assert [{"b": ["1", "2", "3"]}, ""] == read(answer(body))


@pytest.mark.parametrize(
    "types",
    [
        WILD.replace('"unbounded"', '"1000000"'),
        WILD.replace('"unbounded"', '"99999999999"'),
        WILD.replace("x:any", "x:every"),
    ],
)
def test_unusable_schema_is_reported_or_refused(tmp_path: Path, types: str) -> None:
    """A schema that libxml2 cannot use, or that needs too much memory, is reported or refused."""
    try:
        result = wsdl_of(tmp_path, wsdl(types))
    except ConfigurationError:
        return
    assert result.schema_problem


def test_one_of_several_services_in_a_wsdl_must_be_named(tmp_path: Path) -> None:
    """If a WSDL has several services, one must be chosen; a port without address is refused."""
    second = b'<service name="z"><port name="p" binding="t:b"><s:address/></port></service>'
    result = wsdl_of(tmp_path, wsdl().replace(b"</definitions>", second + b"</definitions>"))
    with pytest.raises(ConfigurationError, match=r"several services.*Use one of: s, z"):
        Soap(wsdl=result)
    with pytest.raises(ConfigurationError, match="has no address"):
        Soap(wsdl=result, wsdl_service="z").operation("echo", text="a")


def test_without_zeep_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without zeep the error says how to install it."""
    find: Any = util.find_spec
    monkeypatch.setattr(
        "moorage.adapters.http_operations.soap.wsdl.find_spec",
        lambda name: None if name == "zeep" else find(name),
    )
    with pytest.raises(ConfigurationError, match=r"\[soap\]"):
        Wsdl.from_file(WSDL)
