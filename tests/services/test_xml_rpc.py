"""XML-RPC services that are called through a manager, and configured as connectors."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xmlrpc.client import dumps, loads

import pytest
from hypothesis import given
from hypothesis import strategies as st

import moorage
from moorage import (
    AsyncConnectorManager,
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    ConnectorManager,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    Response,
    RetryPolicy,
    Secret,
    Service,
    VendorFailed,
    VendorRejected,
    XmlRpc,
)
from moorage.domain.service import xml_rpc_text
from moorage.domain.service.xml_rpc import read_result, refusal_of
from moorage.domain.service.xml_rpc_text import NotXmlRpcError, method_call, method_response
from moorage.testing import VendorServer
from tests.support.command import command
from tests.support.xml_rpc_server import MOMENT, PASSWORD, XmlRpcServer

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

ODOO = XmlRpc()


@pytest.fixture
def server() -> Generator[XmlRpcServer]:
    """Run a real XML-RPC server."""
    with XmlRpcServer() as running:
        yield running


def perform(server: Any, operation: Any, *, is_async: bool = False, **options: Any) -> Any:
    """Perform an operation with a new synchronous or asynchronous manager."""
    service = Service("odoo", base_url=server.url, retry=RetryPolicy(3, 0))
    if not is_async:
        with ConnectorManager([service]) as manager:
            return manager.perform("odoo", operation, **options)

    async def run() -> Any:
        async with AsyncConnectorManager([service]) as manager:
            return await manager.perform("odoo", operation, **options)

    return asyncio.run(run())


VALUES: list[Any] = [
    None, True, 0, -7, 1.5, -1e-7, "", "a & <b> \n\u00e4", b"\xff\x00", MOMENT,
    [], [1, ["a"]], {}, {"a": {"b": None}}, 2**31 - 1,
]  # fmt: skip


@pytest.mark.parametrize("is_async", [False, True])
def test_values_are_unchanged_after_a_round_trip(server: XmlRpcServer, is_async: bool) -> None:
    """Values of all types reach a real server, and come back from it, unchanged."""
    call = ODOO.call("echo", VALUES, safe=True)
    assert VALUES == perform(server, call, is_async=is_async)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63 - 1, -(2**63)])
def test_integer_of_64_bits_is_sent_as_i8(number: int) -> None:
    """An integer of more than 32 bits is sent as i8, and read again."""
    body = method_call("echo", [number])
    assert b"<i8>" in body
    assert ((number,), "echo") == loads(body)
    value = f"<value><ex:i8 xmlns:ex='x'>{number}</ex:i8></value>"
    assert (False, number) == method_response(answer(value))


def test_time_is_sent_in_utc_and_secret_in_plain_text() -> None:
    """A time with a zone is sent in UTC, and a secret is sent in plain text."""
    zone = timezone(timedelta(hours=2))
    parameters, _ = loads(
        method_call("x", [MOMENT.replace(tzinfo=zone), Secret("hunter2")]), use_builtin_types=True
    )
    assert (datetime.fromisoformat("2026-01-31T10:00:00"), "hunter2") == parameters
    assert "hunter2" not in repr(ODOO.call("x", [Secret("hunter2")]))


def test_early_years_have_four_digits() -> None:
    """The first day of the calendar, which programs use for no date, arrives unchanged."""
    first_day = datetime(1, 1, 1)  # noqa: DTZ001 - XML-RPC has times without a zone
    body = method_call("x", [first_day])

    assert ((first_day,), "x") == loads(body, use_builtin_types=True)


def nested_lists(depth: int) -> Any:
    """Return lists nested to this depth."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        float("nan"),
        float("inf"),
        "\x00",
        "\ud800",
        {1: 2},
        Decimal(1),
        {1},
        nested_lists(60),
    ],
)
def test_value_that_xml_rpc_cannot_carry_is_refused(value: Any) -> None:
    """A value that XML-RPC cannot carry is refused before anything is sent."""
    with pytest.raises(InvalidData):
        ODOO.call("echo", [value])


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False)
)


@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
)
def test_any_value_is_written_or_refused(value: Any) -> None:
    """Python's own XML-RPC parser reads back each value that moorage does not refuse."""
    try:
        body = method_call("x", [value])
    except InvalidData:
        return
    assert ((value,), "x") == loads(body, use_builtin_types=True)


@pytest.mark.parametrize(
    "code, kind",
    [
        (1, VendorFailed),
        (2, VendorRejected),
        (3, AuthenticationFailed),
        (4, AuthenticationFailed),
        ("AccessDenied", AuthenticationFailed),
        ("warning -- UserError", VendorRejected),
        (-32601, InvalidRequest),
        (-32700, InvalidRequest),
        (-32500, VendorFailed),
        (77, VendorRejected),
        (1.5, VendorFailed),
        ("KeyError: 'name'", VendorFailed),
    ],
)
def test_fault_code_decides_class_of_error(
    server: XmlRpcServer, code: Any, kind: type[ConnectorError]
) -> None:
    """A fault's code decides the class of the error, and a write is sent only once."""
    with pytest.raises(ConnectorError) as excinfo:
        perform(server, ODOO.call("fail", [code, "the reason"]))
    assert kind is type(excinfo.value)
    assert "the reason" == getattr(excinfo.value, "vendor_message", None)
    assert 1 == len(server.calls)


def test_failed_call_is_retried_only_if_safe_or_repeatable(server: XmlRpcServer) -> None:
    """Failed calls are retried if safe or repeatable; else a keyed call's outcome is unknown."""
    with pytest.raises(VendorFailed):
        perform(server, ODOO.call("fail", [1, "x"], safe=True))
    assert 3 == len(server.calls)
    with pytest.raises(VendorFailed):
        perform(server, ODOO.call("fail", [1, "x"], repeatable=True))
    assert 6 == len(server.calls)
    with pytest.raises(OutcomeUnknown):
        perform(server, ODOO.call("fail", [1, "x"]), idempotency_key="k")


def test_only_last_line_of_traceback_in_fault_is_kept() -> None:
    """An error keeps only the last line of a fault's traceback; others may show parameters."""
    text = "Traceback (most recent call last):\n  f('hunter2')\nValueError: no such field"
    body = dumps(moorage_fault(text), methodresponse=True).encode()
    error = refusal_of(Response(200, body=body))
    assert "ValueError: no such field" == getattr(error, "vendor_message", None)
    with pytest.raises(VendorFailed):
        read_result(Response(200, body=body))


def moorage_fault(text: str) -> Any:
    """Return a fault as encoded by Python's own XML-RPC library."""
    from xmlrpc.client import Fault  # noqa: PLC0415 - for one helper

    return Fault(1, text)


def answer(value: str) -> bytes:
    """Return an XML-RPC response with this value."""
    return f"<methodResponse><params><param>{value}</param></params></methodResponse>".encode()


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + answer("<value>&b;</value>")
EXTERNAL = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + answer("<value>&a;</value>")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"<methodResponse/>",
        b"{}",
        b"\xff\xfe",
        b'<?xml version="1.0" encoding="nonsense"?>' + answer("<value/>"),
        BOMB,
        EXTERNAL,
        b"<a>" * 300,
        b"<methodResponse><fault/></methodResponse>",
        answer("<value><int>x</int></value>"),
        answer("<value><i8>9223372036854775808</i8></value>"),
        answer("<value><int>1<a/></int></value>"),
        answer("<value><double>nan</double></value>"),
        answer("<value><boolean>2</boolean></value>"),
        answer("<value><nil>x</nil></value>"),
        answer("<value><base64>%%</base64></value>"),
        answer("<value><dateTime.iso8601>x</dateTime.iso8601></value>"),
        answer("<value><unknown/></value>"),
        answer("<value>text<int>1</int></value>"),
        answer("<value><int>1</int><int>2</int></value>"),
        answer("<value><array><data><int>1</int></data></array></value>"),
        answer("<value><struct><member><name>a</name></member></struct></value>"),
        answer("<value><array><data>" * 50 + "<value/>" + "</data></array></value>" * 50),
    ],
)
def test_xml_entities_are_not_expanded(body: bytes) -> None:
    """XML entities are not expanded; a response that is not XML-RPC raises an error."""
    with pytest.raises(NotXmlRpcError):
        method_response(body)
    with pytest.raises(VendorFailed) as excinfo:
        read_result(Response(200, body=body))
    assert not excinfo.value.retryable


def test_size_of_xml_rpc_response_and_its_number_of_elements_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The size of an XML-RPC response and its number of elements are limited."""
    body = answer("<value><array><data>" + "<value/>" * 20 + "</data></array></value>")
    assert (False, [""] * 20) == method_response(body)
    monkeypatch.setattr(xml_rpc_text, "_MOST_ELEMENTS", 20)
    with pytest.raises(NotXmlRpcError):
        method_response(body)
    monkeypatch.setattr(xml_rpc_text, "_MAX_BYTES", 20)
    with pytest.raises(NotXmlRpcError):
        method_response(body)


def configuration(url: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with an Odoo account."""
    account = {"database": "shop", "user_id": 2, "password": "secret://env/ODOO_PASSWORD"}
    table = {"kind": "xml-rpc", **account, **settings}
    return {"connectors": {"odoo": table}, "services": {"odoo": {"base_url": url}}}


def test_configured_connector_runs_methods_with_json_arguments(
    server: XmlRpcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Methods run by name with plain JSON arguments, and the password is never shown."""
    monkeypatch.setenv("ODOO_PASSWORD", PASSWORD)
    with moorage.open(configuration(server.url, safe_methods=["echo"])) as hub:

        def run(operation: str, **arguments: Any) -> Any:
            return hub.connectors.run("odoo", operation, arguments)

        orders = run("execute", model="sale.order", method="read", arguments=[[7]])
        expected = {"id": 7, "write_date": MOMENT.isoformat(), "image": "/w==", "name": False}
        assert [expected] == orders
        assert ("shop", 2, "sale.order", "read", [[7]], {}) == server.calls[-1]
        moment = {"a": [{"$datetime": MOMENT.isoformat()}]}
        assert [{"a": [MOMENT.isoformat()]}] == run("call", method="echo", parameters=[moment])
        with pytest.raises(VendorRejected) as excinfo:
            run("execute", model="sale.order", method="write", arguments=[[7], {}])
        assert hub.connectors.health("odoo").is_healthy
        operations = hub.connectors["odoo"].operations
        assert operations["call"].operation({"method": "echo"}).safe
        text = f"{excinfo.value!r} {hub.connectors['odoo']!r} {hub!r}"
        for wrong_value in (
            {"method": 3},
            {"method": "echo", "parameters": 3},
            {"method": "echo", "parameters": [{"$datetime": "x"}]},
        ):
            with pytest.raises(InvalidData):
                run("call", **wrong_value)
    assert PASSWORD not in text


def test_server_other_than_odoo_is_healthy_if_it_answers_xml_rpc(server: XmlRpcServer) -> None:
    """Any server that answers XML-RPC counts as healthy, and its methods can be called."""
    table = {"kind": "xml-rpc", "path": "/RPC2"}
    settings = {"connectors": {"x": table}, "services": {"x": {"base_url": server.url}}}

    async def use_hub() -> Any:
        async with moorage.aopen(settings) as hub:
            assert (await hub.connectors.health("x")).is_healthy
            assert ["call"] == list(hub.connectors["x"].operations)
            return await hub.connectors.run("x", "call", {"method": "echo", "parameters": [1]})

    assert [1] == asyncio.run(use_hub())
    with VendorServer() as other:
        other.respond(200, {}, b"<html>")
        settings["services"]["x"]["base_url"] = other.url
        with moorage.open(settings) as hub:
            assert not hub.connectors.health("x").is_healthy


def test_moorage_run_calls_method_of_xml_rpc_service(
    server: XmlRpcServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage run` calls a method of an XML-RPC service."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text(
        f'[connectors.x]\nkind = "xml-rpc"\n[services.x]\nbase_url = "{server.url}"\n',
        encoding="utf-8",
    )
    finished = command("run", "x", "call", "--arguments", '{"method": "echo", "parameters": [3]}')
    assert (0, "[\n  3\n]\n") == (finished.code, finished.out)


def test_incomplete_odoo_account_is_refused() -> None:
    """An Odoo account without a database, a user id or a password is refused."""
    table = {"kind": "xml-rpc", "database": "shop"}
    with pytest.raises(ConfigurationError, match="needs user_id"):
        moorage.open({"connectors": {"odoo": table}})
