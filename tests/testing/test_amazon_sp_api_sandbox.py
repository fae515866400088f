"""The Amazon sandbox is as strict as Amazon."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from moorage.domain.http.requests import Headers
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.shops.amazon_sp_api import MARKETPLACE, AmazonSpApiSandbox

ORDERS = "/orders/2026-01-01/orders"
LISTING = "/listings/2021-08-01/items/A2SANDBOX1/ROPE-10"
SINCE = "2031-05-06T07:08:09.000Z"
USUAL = {"lastUpdatedAfter": SINCE, "marketplaceIds": MARKETPLACE}
STOCK = {"op": "merge", "path": "/attributes/fulfillment_availability"}
PRICE = {"op": "merge", "path": "/attributes/purchasable_offer"}


def answer(
    sandbox: AmazonSpApiSandbox,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: dict[str, str] | None = None,
    token: str | None = None,
) -> tuple[int, dict[str, Any]]:
    """Return the status and content of the sandbox's response."""
    headers = {
        "x-amz-access-token": sandbox.token if token is None else token,
        "Content-Type": "application/json",
    }
    request = SandboxRequest(
        method=method,
        host="sellingpartnerapi-eu.amazon.com",
        path=path,
        query=tuple((query or {}).items()),
        headers=Headers(headers),
        body=b"" if body is None else json.dumps(body).encode(),
    )
    response = sandbox.answer(request)
    content: dict[str, Any] = response.json() if response.body else {}
    return response.status, content


def parcel(sandbox: AmazonSpApiSandbox, order: str, **details: Any) -> tuple[str, dict[str, Any]]:
    """Return the path and body that confirm a parcel with one piece of an order's first line."""
    items = answer(sandbox, "GET", f"{ORDERS}/{order}")[1]["order"]["orderItems"]
    fields = {
        "packageReferenceId": "1",
        "carrierCode": "UPS",
        "trackingNumber": "1Z999",
        "shipDate": SINCE,
        "orderItems": [{"orderItemId": items[0]["orderItemId"], "quantity": 1}],
    }
    body = {"marketplaceId": MARKETPLACE, "packageDetail": {**fields, **details}}
    return f"/orders/v0/orders/{order}/shipmentConfirmation", body


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"lastUpdatedAfter": "2031-05-06"},
        {**USUAL, "limit": "5"},
        {**USUAL, "maxResultsPerPage": "0"},
        {**USUAL, "maxResultsPerPage": "101"},
        {**USUAL, "includedData": "EVERYTHING"},
        {**USUAL, "paginationToken": "abc"},
        {**USUAL, "paginationToken": "e30="},
    ],
)
def test_wrong_parameters_of_a_list_are_refused(query: dict[str, str]) -> None:
    """A request for a list without a time, or with a wrong parameter or token, is refused."""
    sandbox = AmazonSpApiSandbox()
    sandbox.add_order(1)
    status, content = answer(sandbox, "GET", ORDERS, query=query)
    assert (400, "InvalidInput") == (status, content["errors"][0]["code"])


def test_page_token_belongs_to_the_period_of_its_request() -> None:
    """A page token is refused if the request's period differs from the one it was issued for."""
    sandbox = AmazonSpApiSandbox()
    for _ in range(2):
        sandbox.add_order(1)
    page = answer(sandbox, "GET", ORDERS, query={**USUAL, "maxResultsPerPage": "1"})[1]
    token = {"paginationToken": page["pagination"]["nextToken"]}
    later_query = {**USUAL, "lastUpdatedAfter": "2031-05-06T07:08:10.000Z"}

    assert 200 == answer(sandbox, "GET", ORDERS, query={**USUAL, **token})[0]
    assert 400 == answer(sandbox, "GET", ORDERS, query={**later_query, **token})[0]


def test_orders_have_the_requested_data_only() -> None:
    """An order contains its buyer and payment only if the request asks for them."""
    sandbox = AmazonSpApiSandbox()
    path = f"{ORDERS}/{sandbox.add_order(1)}"
    plain_order = answer(sandbox, "GET", path)[1]["order"]
    full = answer(sandbox, "GET", path, query={"includedData": "BUYER,PROCEEDS"})[1]["order"]

    assert {"buyer", "proceeds"} == set(full) - set(plain_order)
    assert {"proceeds"} == set(full["orderItems"][0]) - set(plain_order["orderItems"][0])


@pytest.mark.parametrize(
    "details",
    [
        {"packageReferenceId": "A-1"},
        {"packageReferenceId": "0"},
        {"packageReferenceId": 1},
        {"trackingNumber": ""},
        {"shipDate": "2031-05-06"},
        {"orderItems": [{"orderItemId": "404", "quantity": 1}]},
        {"notify": True},
    ],
)
def test_wrong_parcel_is_refused(details: dict[str, Any]) -> None:
    """A parcel is refused if its number, its time, its order line or another field is wrong."""
    sandbox = AmazonSpApiSandbox()
    path, body = parcel(sandbox, sandbox.add_order(1), **details)
    status, content = answer(sandbox, "POST", path, body)
    assert (400, "InvalidInput") == (status, content["errors"][0]["code"])
    assert [] == list(sandbox.parcels())


def test_parcel_with_an_earlier_number_changes_it() -> None:
    """A parcel with the number of an earlier parcel replaces that parcel."""
    sandbox = AmazonSpApiSandbox()
    order = sandbox.add_order(2)
    path, body = parcel(sandbox, order)
    assert 204 == answer(sandbox, "POST", path, body)[0]
    id_ = body["packageDetail"]["orderItems"][0]["orderItemId"]
    changed = parcel(sandbox, order, orderItems=[{"orderItemId": id_, "quantity": 2}])[1]
    too_many = parcel(sandbox, order, orderItems=[{"orderItemId": id_, "quantity": 3}])[1]

    assert 400 == answer(sandbox, "POST", path, too_many)[0]
    assert [1] == [item.quantity for item in sandbox.parcels()]
    assert 204 == answer(sandbox, "POST", path, changed)[0]
    assert [2] == [item.quantity for item in sandbox.parcels()]
    assert (
        400 == answer(sandbox, "POST", path, parcel(sandbox, order, packageReferenceId="2")[1])[0]
    )


@pytest.mark.parametrize("state", ["PENDING", "CANCELLED", "SHIPPED"])
def test_order_that_is_not_to_be_shipped_takes_no_parcel(state: str) -> None:
    """A parcel is refused if its order is not ready, cancelled or already shipped."""
    sandbox = AmazonSpApiSandbox()
    order = sandbox.add_order(1)
    sandbox.set_state(order, state)
    path, body = parcel(sandbox, order)
    assert 400 == answer(sandbox, "POST", path, body)[0]
    assert ([order] if state == "CANCELLED" else []) == list(sandbox.canceled())
    assert [] == list(sandbox.refunds())


@pytest.mark.parametrize(
    "kind, patch",
    [
        ("SAIL", {**STOCK, "value": [{"fulfillment_channel_code": "DEFAULT", "quantity": 1}]}),
        ("ROPE", {**STOCK, "value": [{"fulfillment_channel_code": "DEFAULT", "quantity": -1}]}),
        ("ROPE", {**STOCK, "value": [{"fulfillment_channel_code": "OTHER", "quantity": 1}]}),
        ("ROPE", {**STOCK, "value": [{"quantity": 1}]}),
        ("ROPE", {**PRICE, "value": [{"currency": "EUR"}]}),
        ("ROPE", {**PRICE}),
    ],
)
def test_wrong_attribute_is_not_accepted(kind: str, patch: dict[str, Any]) -> None:
    """A wrong attribute of a listing gets HTTP 200 with INVALID, and changes nothing."""
    sandbox = AmazonSpApiSandbox()
    query = {"marketplaceIds": MARKETPLACE}
    body = {"productType": kind, "patches": [patch]}
    status, content = answer(sandbox, "PATCH", LISTING, body, query=query)

    assert (200, "INVALID") == (status, content["status"])
    assert "ERROR" == content["issues"][0]["severity"]
    assert (12, "19.90") == (sandbox.stock(), sandbox.price())


def test_price_of_another_marketplace_is_not_accepted() -> None:
    """A price for another marketplace or audience is INVALID."""
    sandbox = AmazonSpApiSandbox()
    query = {"marketplaceIds": MARKETPLACE}
    offer = {
        "marketplace_id": "ATVPDKIKX0DER",
        "currency": "EUR",
        "audience": "ALL",
        "our_price": [{"schedule": [{"value_with_tax": 1.5}]}],
    }
    body = {"productType": "ROPE", "patches": [{**PRICE, "value": [offer]}]}
    assert "INVALID" == answer(sandbox, "PATCH", LISTING, body, query=query)[1]["status"]


@pytest.mark.parametrize(
    "method, path, body, query",
    [
        ("GET", LISTING, None, {"marketplaceIds": "ATVPDKIKX0DER"}),
        ("GET", LISTING, None, {"marketplaceIds": MARKETPLACE, "includedData": "all"}),
        ("PATCH", LISTING, {"productType": "ROPE", "patches": [STOCK]}, {}),
        ("PATCH", LISTING, {"patches": []}, {"marketplaceIds": MARKETPLACE}),
        (
            "PATCH",
            LISTING,
            {"productType": "ROPE", "patches": [{"op": "merge", "path": "/attributes/list_price"}]},
            {"marketplaceIds": MARKETPLACE},
        ),
        (
            "PATCH",
            LISTING,
            {"productType": "ROPE", "patches": [{**STOCK, "op": "move"}]},
            {"marketplaceIds": MARKETPLACE},
        ),
    ],
)
def test_wrong_request_of_a_listing_is_refused(
    method: str, path: str, body: Any, query: dict[str, str]
) -> None:
    """A listing request for another marketplace, or with unknown data or path, is refused."""
    assert 400 == answer(AmazonSpApiSandbox(), method, path, body, query=query)[0]


@pytest.mark.parametrize(
    "path, token, status",
    [
        (ORDERS, "another", 403),
        (f"{ORDERS}/404", None, 404),
        ("/listings/2021-08-01/items/A2SANDBOX1/NONE", None, 404),
        ("/orders/v0/orders", None, 404),
    ],
)
def test_wrong_token_or_missing_resource_is_refused(
    path: str, token: str | None, status: int
) -> None:
    """A wrong token or a missing resource is refused."""
    assert status == answer(AmazonSpApiSandbox(), "GET", path, token=token)[0]


@pytest.mark.parametrize(
    "form, status",
    [
        ({}, 200),
        ({"refresh_token": "Atzr|another"}, 400),
        ({"client_secret": "another"}, 401),
        ({"grant_type": "client_credentials"}, 400),
    ],
)
def test_token_needs_the_refresh_token_of_the_seller(form: dict[str, str], status: int) -> None:
    """The seller's refresh token, which does not change, yields an access token."""
    sandbox = AmazonSpApiSandbox()
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": sandbox.refresh_token,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }
    request = SandboxRequest(
        method="POST",
        host="api.amazon.com",
        path="/auth/o2/token",
        query=(),
        headers=Headers({"Content-Type": "application/x-www-form-urlencoded"}),
        body=urlencode({**fields, **form}).encode(),
    )
    response = sandbox.token_endpoint.answer(request)
    assert status == response.status
    if status == 200:
        content = response.json()
        assert sandbox.refresh_token == content["refresh_token"]
        assert 200 == answer(sandbox, "GET", ORDERS, query=USUAL, token=content["access_token"])[0]
