"""JSON-RPC services called through a manager."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    JsonRpc,
    OutcomeUnknown,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.service.json_rpc import read_result, refusal_of
from tests.support.modes import Harness, sync_and_async

ODOO = JsonRpc("/jsonrpc")
SERVICE = Service("odoo", base_url="https://odoo.example", retry=RetryPolicy(3, 0))


def answer(**members: Any) -> Response:
    """Return a JSON-RPC response with these members."""
    return Response(200, body=json.dumps({"jsonrpc": "2.0", "id": 1, **members}).encode())


def error_response(code: object, **data: Any) -> Response:
    """Return a JSON-RPC response that reports an error."""
    return answer(error={"code": code, "message": "the reason", "data": data})


@sync_and_async
async def test_call_is_sent_and_its_result_returned(harness: Harness) -> None:
    """A call sends the method and its parameters by POST, and returns the result unchanged."""
    harness.vendor.answers(answer(result=None), answer(result=[7]))
    manager = harness.manager(SERVICE)

    assert await manager.perform("odoo", ODOO.call("touch", {"id": 3})) is None
    assert [7] == await manager.perform("odoo", ODOO.call("search", ["res.partner"], safe=True))
    bodies = [
        json.loads(bytes(request.request.body))  # type: ignore[arg-type]  # JSON is sent as bytes
        for request in harness.vendor.requests
    ]
    assert [("touch", {"id": 3}), ("search", ["res.partner"])] == [
        (body["method"], body["params"]) for body in bodies
    ]
    assert [{"jsonrpc": "2.0", "id": 1}] * 2 == [
        {name: body[name] for name in ("jsonrpc", "id")} for body in bodies
    ]


@pytest.mark.parametrize(
    "options, attempts", [({"safe": True}, 2), ({"repeatable": True}, 2), ({}, 1)]
)
@sync_and_async
async def test_failed_call_is_repeated_if_that_is_harmless(
    harness: Harness, options: dict[str, Any], attempts: int
) -> None:
    """A failure in the response body is retried only if the method is safe or repeatable."""
    harness.vendor.answers(error_response(-32000), answer(result=1))
    manager = harness.manager(SERVICE)
    if attempts == 1:
        with pytest.raises(VendorFailed):
            await manager.perform("odoo", ODOO.call("create", **options))
    else:
        assert 1 == await manager.perform("odoo", ODOO.call("create", **options))
    assert attempts == len(harness.vendor.requests)


@sync_and_async
async def test_failed_call_with_a_key_has_an_unknown_outcome(harness: Harness) -> None:
    """The outcome of a keyed call is unknown after a failure, and known after a rejection."""
    harness.vendor.answers(error_response(-32603), error_response(-32602))
    manager = harness.manager(SERVICE)
    with pytest.raises(OutcomeUnknown):
        await manager.perform("odoo", ODOO.call("create"), idempotency_key="one")
    with pytest.raises(InvalidRequest):
        await manager.perform("odoo", ODOO.call("create"), idempotency_key="two")


@pytest.mark.parametrize(
    "code, data, kind, vendor_code",
    [
        (-32700, {}, InvalidRequest, "-32700"),
        (-32601, {}, InvalidRequest, "-32601"),
        (-32602, {}, InvalidRequest, "-32602"),
        (-32603, {}, VendorFailed, "-32603"),
        (-32000, {}, VendorFailed, "-32000"),
        (-32099, {}, VendorFailed, "-32099"),
        (-31999, {}, VendorRejected, "-31999"),
        (42, {}, VendorRejected, "42"),
        (200, {"name": "odoo.exceptions.UserError"}, VendorRejected, "odoo.exceptions.UserError"),
        (
            200,
            {"name": "odoo.exceptions.AccessDenied"},
            AuthenticationFailed,
            "odoo.exceptions.AccessDenied",
        ),
        (
            100,
            {"name": "odoo.http.SessionExpiredException"},
            AuthenticationFailed,
            "odoo.http.SessionExpiredException",
        ),
    ],
)
def test_odoo_error_is_classified_by_its_name_or_code(
    code: int, data: dict[str, str], kind: type[ConnectorError], vendor_code: str
) -> None:
    """An Odoo error is classified by its exception's name, or else by its code."""
    error = refusal_of(error_response(code, **data))

    assert kind is type(error)
    assert (vendor_code, "the reason") == (
        getattr(error, "vendor_code", None),
        getattr(error, "vendor_message", None),
    )


def test_error_message_comes_from_data() -> None:
    """The text of an error is the more precise message in `data`, if there is one."""
    error = refusal_of(error_response(200, message="The partner has open invoices."))
    assert "The partner has open invoices." == getattr(error, "vendor_message", None)


@pytest.mark.parametrize(
    "response",
    [
        Response(200, body=b"<html>"),
        Response(200, body=b"[]"),
        answer(),
        answer(id=2, result=1),
        answer(error="text"),
    ],
)
def test_response_of_another_call_is_a_vendor_failure(response: Response) -> None:
    """A response that is not JSON-RPC, or belongs to another call, counts as a vendor failure."""
    with pytest.raises(VendorFailed):
        _ = refusal_of(response) or read_result(response)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["id", "error", "result", "code", "data", "name"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_answer_is_read_or_refused(body: object) -> None:
    """Any JSON response becomes a result or an error of moorage."""
    response = Response(200, body=json.dumps(body).encode())
    try:
        if refusal_of(response) is None:
            read_result(response)
    except ConnectorError:
        pass
