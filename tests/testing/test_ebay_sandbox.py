"""The sandbox of eBay is as strict as eBay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage.domain.http.requests import Headers
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.testing.sandboxes.shops.ebay import EbaySandbox

ORDERS = "/sell/fulfillment/v1/order"
INVENTORY = "/sell/inventory/v1"


def answer(
    sandbox: EbaySandbox,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: tuple[tuple[str, str], ...] = (),
    token: str | None = None,
) -> tuple[int, dict[str, Any]]:
    """Return the status and content of the sandbox's response."""
    headers = {
        "Authorization": f"Bearer {sandbox.token if token is None else token}",
        "Content-Type": "application/json",
    }
    request = SandboxRequest(
        method=method,
        host="api.ebay.com",
        path=path,
        query=query,
        headers=Headers(headers),
        body=b"" if body is None else json.dumps(body).encode(),
    )
    response = sandbox.answer(request)
    content: dict[str, Any] = response.json()
    return response.status, content


def code(content: dict[str, Any]) -> int:
    """Return the code of the first error in a response."""
    number: int = content["errors"][0]["errorId"]
    return number


@pytest.mark.parametrize(
    "query, expected",
    [
        ({"limit": "201"}, 31100),
        ({"limit": "0"}, 31100),
        ({"limit": "many"}, 31100),
        ({"offset": "-1"}, 31000),
        ({"sort": "creationdate"}, 31000),
        ({"filter": "lastmodifieddate:[2031-05-06..]"}, 30800),
        (
            {"filter": "lastmodifieddate:[2031-05-06T07:08:09.000Z..2031-05-05T07:08:09.000Z]"},
            30840,
        ),
    ],
)
def test_wrong_parameters_of_a_list_are_refused(query: dict[str, str], expected: int) -> None:
    """A wrong limit, offset, parameter name or period in a list request gets eBay's error code."""
    status, content = answer(EbaySandbox(), "GET", ORDERS, query=tuple(query.items()))
    assert (400, expected) == (status, code(content))


@pytest.mark.parametrize(
    "body, expected",
    [
        ({"lineItems": []}, 32200),
        ({"lineItems": [{"lineItemId": "404"}]}, 32200),
        ({"trackingNumber": "1Z"}, 32600),
        ({"lineItems": [], "notify": True}, 32600),
        ({"lineItems": [], "trackingNumber": "1Z"}, 32300),
        ({"lineItems": [], "trackingNumber": "1Z 9", "shippingCarrierCode": "UPS"}, 32300),
    ],
)
def test_wrong_parcel_is_refused(body: dict[str, Any], expected: int) -> None:
    """A parcel without order lines, with lines of other orders or a bad number is refused."""
    sandbox = EbaySandbox()
    path = f"{ORDERS}/{sandbox.add_order(1)}/shipping_fulfillment"
    status, content = answer(sandbox, "POST", path, body)
    assert (400, expected) == (status, code(content))
    assert [] == list(sandbox.parcels())


def test_line_is_shipped_once_one_piece_is() -> None:
    """An order line counts as shipped after its first piece, and an order after all its lines."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(3, 1)
    path = f"{ORDERS}/{order}"
    ids = [line["lineItemId"] for line in answer(sandbox, "GET", path)[1]["lineItems"]]
    states: list[str] = []
    for id_ in ids:
        answer(
            sandbox, "POST", f"{path}/shipping_fulfillment", {"lineItems": [{"lineItemId": id_}]}
        )
        states.append(answer(sandbox, "GET", path)[1]["orderFulfillmentStatus"])

    assert ["IN_PROGRESS", "FULFILLED"] == states
    parcels = answer(sandbox, "GET", f"{path}/shipping_fulfillment")[1]
    assert ["999", "999"] == [parcel["fulfillmentId"] for parcel in parcels["fulfillments"]]


def test_cancelled_order_takes_no_parcel() -> None:
    """A parcel of a cancelled order is refused, and the order remains cancelled."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(1)
    sandbox.cancel(order)
    path = f"{ORDERS}/{order}"
    lines = [{"lineItemId": answer(sandbox, "GET", path)[1]["lineItems"][0]["lineItemId"]}]
    refusal = answer(sandbox, "POST", f"{path}/shipping_fulfillment", {"lineItems": lines})
    assert (400, 32600) == (refusal[0], code(refusal[1]))
    assert ([order], []) == (list(sandbox.canceled()), list(sandbox.refunds()))


def test_updates_have_a_status_each() -> None:
    """An update of two items reports a status for each item, and changes only the known item."""
    sandbox = EbaySandbox()
    stock = {"shipToLocationAvailability": {"quantity": 3}}
    offers = [{"offerId": "8001", "availableQuantity": 3}]
    entries = [
        {"sku": "NONE", **stock, "offers": offers},
        {"sku": "ROPE-10", **stock},
        {"sku": "ROPE-20", "offers": offers},
        {"offers": [{"offerId": "404", "availableQuantity": 3}]},
    ]
    status, content = answer(
        sandbox, "POST", f"{INVENTORY}/bulk_update_price_quantity", {"requests": entries}
    )

    parts = [(part.get("sku"), part["statusCode"]) for part in content["responses"]]
    assert 200 == status
    assert [("NONE", 400), ("ROPE-10", 200), ("ROPE-20", 400), (None, 400)] == parts
    assert 3 == sandbox.stock()


@pytest.mark.parametrize(
    "method, path, token, status, expected",
    [
        ("GET", ORDERS, "another", 401, 1001),
        ("GET", f"{ORDERS}/404", None, 404, 32100),
        ("GET", f"{INVENTORY}/inventory_item/NONE", None, 404, 25710),
        ("GET", f"{INVENTORY}/offer", None, 404, 25713),
        ("GET", "/sell/inventory/v1/location", None, 404, 2002),
    ],
)
def test_wrong_token_or_missing_resource_is_refused_with_code(
    method: str, path: str, token: str | None, status: int, expected: int
) -> None:
    """A wrong token or a missing resource is refused with a code."""
    answered_status, content = answer(EbaySandbox(), method, path, token=token)
    assert (status, expected) == (answered_status, code(content))
