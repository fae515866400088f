"""Parsing and writing the messages of JSON-RPC 2.0."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import InvalidData, VendorRejected
from moorage.domain.service.json_rpc_messages import JsonRpcMessages

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = JsonRpcMessages()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.integers(1, 10**9), st.text(min_size=1), st.dictionaries(st.text(), JSON, max_size=3))
def test_response_belongs_to_the_request_with_its_id(
    number: int, method: str, parameters: Any
) -> None:
    """A JSON-RPC request has an id, and the response with this id belongs to it."""
    request = json.loads(CODEC.request(str(number), {"method": method, "params": parameters}))
    response = {"jsonrpc": "2.0", "id": request["id"], "result": request["params"]}
    arrival = CODEC.read(json.dumps(response))

    assert (str(number), parameters, None, True) == (
        arrival.id,
        arrival.value,
        arrival.error,
        arrival.is_reply,
    )
    assert {"jsonrpc": "2.0", "method": method, "id": number, "params": parameters} == request


def test_request_may_have_no_params() -> None:
    """A JSON-RPC request may have no `params`."""
    assert {"jsonrpc": "2.0", "method": "list", "id": 1} == json.loads(
        CODEC.request("1", {"method": "list"})
    )
    assert CODEC.opening() is None
    assert CODEC.cancellation("1") is None
    assert CODEC.closing_error(4000, "", was_sent=True) is None


def test_member_names_of_a_subscription_can_be_chosen() -> None:
    """The member names of a JSON-RPC subscription, and its ending method, can be chosen."""
    codec = JsonRpcMessages(
        subscription_field="sub", position_field="cursor", value_field="data", cancel_method="stop"
    )
    subscription = json.loads(codec.subscription("3", {"method": "watch"}, "m7"))
    assert {"sub": "3", "cursor": "m7"} == subscription["params"]
    cancellation = json.loads(codec.cancellation("3") or "")
    assert ("stop", {"sub": "3"}, False) == (
        cancellation["method"],
        cancellation["params"],
        "id" in cancellation,
    )
    fields = {"sub": "3", "cursor": 8, "data": {"a": 1}}
    arrival = codec.read(json.dumps({"method": "changed", "params": fields}))
    assert ("3", "8", {"a": 1}, False) == (
        arrival.id,
        arrival.position,
        arrival.value,
        arrival.is_reply,
    )


@pytest.mark.parametrize("message", ['{"method": "tick"}', '{"method": "tick", "params": [1]}'])
def test_json_rpc_notification_without_subscription_id_belongs_to_no_subscription(
    message: str,
) -> None:
    """A JSON-RPC notification without a subscription's id belongs to no subscription."""
    arrival = CODEC.read(message)
    assert (None, False) == (arrival.id, arrival.has_value)


def test_json_rpc_error_belongs_to_its_request() -> None:
    """A JSON-RPC error belongs to its request, or to none if the server could not read the id."""
    arrival = CODEC.read('{"id": 5, "error": {"code": 7, "message": "no"}}')
    assert ("5", VendorRejected) == (arrival.id, type(arrival.error))
    assert CODEC.read('{"id": null, "error": {"code": -32700}}').id is None


@pytest.mark.parametrize("message", ["[]", "5", '{"id": 1}', "<html>", '{"id": 1, "error": 7}'])
def test_message_that_is_not_json_rpc_is_refused(message: str) -> None:
    """A message that is not JSON-RPC is refused, since it may reply to any request."""
    with pytest.raises((InvalidData, ValueError)):
        CODEC.read(message)


@pytest.mark.parametrize("value", [{1}, float("inf"), "\ud800", {"a": object()}])
def test_params_that_cannot_be_written(value: object) -> None:
    """JSON-RPC `params` that JSON cannot hold are refused, without showing them."""
    makers: list[Callable[[], str]] = [
        lambda: CODEC.request("1", {"method": "find", "params": [value]}),
        lambda: CODEC.subscription("1", {"method": "watch", "params": {"a": value}}, None),
    ]
    for make in makers:
        with pytest.raises(InvalidData, match="The payload of a message cannot") as excinfo:
            make()
        assert (None, None) == (excinfo.value.__cause__, excinfo.value.__context__)
