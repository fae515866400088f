"""eBay: requests, responses and pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from moorage import (
    ConnectorError,
    InvalidData,
    Money,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shops import Completion, Fulfilment, OrderQuery
from moorage.domain.http.requests import Response
from moorage.domain.service.safety import Mode
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shops.ebay import EbaySandbox
from moorage.vendors.shops.ebay import Ebay
from tests.vendors.shops_subjects import ebay_order

ORDERS = "/sell/fulfillment/v1/order"
UPDATE = "/sell/inventory/v1/bulk_update_price_quantity"
PARCEL = Fulfilment(tracking_number="1Z 999-AA", carrier="UPS")


def hub(sandbox: EbaySandbox) -> Hub:
    """Return a hub with one account at eBay."""
    vendor = Ebay(credentials=sandbox.token)
    account = Account("shop", vendor, settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def ref(id_: str) -> Ref:
    """Return a reference to an order or an offer with prices in euros."""
    return Ref("ebay", "shop", id_, {"currency": "EUR", "sku": "ROPE-10"})


def line(status: str, **fields: Any) -> dict[str, Any]:
    """Return a line of an eBay order."""
    cost = {"value": "10.0", "currency": "EUR"}
    defaults = {"lineItemId": "5", "quantity": 3, "lineItemCost": cost}
    return {**defaults, "lineItemFulfillmentStatus": status, **fields}


def test_request_of_a_list() -> None:
    """A request for orders asks for changes since a time in UTC, at most 200 per page."""
    sandbox = EbaySandbox()
    start = datetime(2031, 5, 6, 9, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    with hub(sandbox) as shop:
        shop.shops().orders(OrderQuery(updated_since=start, limit=500))
        shop.shops().orders()

    changed = "lastmodifieddate:[2031-05-06T07:08:09.000Z..]"
    queries = [dict(request.query) for request in sandbox.requests]
    assert [{"limit": "200", "filter": changed}, {"limit": "50"}] == queries


def test_pages_read_periods_that_have_ended() -> None:
    """The first page sets the end of the period; later pages use the same period."""
    sandbox = EbaySandbox()
    sandbox.still = True
    ids = [sandbox.add_order(1) for _ in range(3)]
    with hub(sandbox) as shop:
        pages = [shop.shops().orders(OrderQuery(limit=2))]
        while pages[-1].next is not None:
            pages.append(shop.shops().orders(OrderQuery(limit=2), after=str(pages[-1].next)))

    queries = [dict(request.query) for request in sandbox.requests]
    period = "lastmodifieddate:[2031-02-05T07:08:09.000Z..2031-05-06T07:08:09.000Z]"
    filter_text = "lastmodifieddate:[2031-05-06T07:08:09.001Z..]"
    assert [None, period, period, filter_text] == [query.get("filter") for query in queries]
    assert [None, None, "2", None] == [query.get("offset") for query in queries]
    assert [ids[:2], ids[:2], ids[2:], []] == [
        [order.ref.id for order in page.items] for page in pages
    ]
    resumed = pages[-1].resume_at
    assert datetime(2031, 5, 6, 7, 8, 9, 1_000, tzinfo=UTC) == resumed


def test_page_steps_back_over_orders_that_left_the_period() -> None:
    """If orders leave the period between two pages, the next offset shrinks by their number."""
    sandbox = EbaySandbox()
    sandbox.still = True
    ids = [sandbox.add_order(1) for _ in range(6)]
    sandbox.still = False
    with hub(sandbox) as shop:
        first = shop.shops().orders(OrderQuery(limit=2))
        second = shop.shops().orders(OrderQuery(limit=2), after=first.next)
        sandbox.touch(ids[0])  # the third order is now the second of the list
        third = shop.shops().orders(OrderQuery(limit=2), after=second.next)
        fourth = shop.shops().orders(OrderQuery(limit=2), after=third.next)

    assert ids[3:5] == [order.ref.id for order in third.items]
    assert ids[2:4] == [order.ref.id for order in fourth.items]
    offsets = [dict(request.query).get("offset") for request in sandbox.requests]
    assert [None, None, "2", "1"] == offsets


def test_period_that_became_empty_is_followed_by_the_next() -> None:
    """If all orders of a period have changed, the next page lists the changed orders."""
    sandbox = EbaySandbox()
    ids = [sandbox.add_order(1) for _ in range(2)]
    with hub(sandbox) as shop:
        first = shop.shops().orders(OrderQuery(limit=1))
        sandbox.touch(ids[0])
        second = shop.shops().orders(OrderQuery(limit=1), after=first.next)
        third = shop.shops().orders(OrderQuery(limit=1), after=second.next)

    assert ((), [ids[0]]) == (second.items, [order.ref.id for order in third.items])
    assert (
        "lastmodifieddate:[2031-05-06T07:08:10.001Z..]"
        == (dict(sandbox.requests[-1].query)["filter"])
    )


@pytest.mark.parametrize("offset", ["abc", "-1", "1" * 10, "\u0663"])
def test_offset_of_a_foreign_reference_is_zero(offset: str) -> None:
    """If a page reference's offset is not a number, the page begins at the first order."""
    sandbox = EbaySandbox()
    after = Ref("ebay", "shop", "next", {"since": "2031-05-06T07:08:09Z", "offset": offset})
    with hub(sandbox) as shop:
        shop.shops().orders(after=after)

    assert "offset" not in dict(sandbox.requests[-1].query)


@pytest.mark.parametrize("answer", [{"total": 1}, {"total": 1, "orders": []}, {"orders": []}])
def test_page_without_its_orders_is_an_error(answer: dict[str, Any]) -> None:
    """A page that lacks orders is an error, and never counts as the last page."""
    sandbox = EbaySandbox()
    sandbox.fail(reply(answer))
    with hub(sandbox) as shop, pytest.raises(VendorFailed):
        shop.shops().orders()


def test_requests_of_a_parcel() -> None:
    """For the first parcel of an order, moorage reads the order once and reports one shipment."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(2, 1)
    with hub(sandbox) as shop:
        receipt = shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    path = f"{ORDERS}/{order}"
    lines = [f"{request.method} {request.path}" for request in sandbox.requests]
    assert [f"GET {path}", f"POST {path}/shipping_fulfillment"] == lines
    body = sandbox.requests[-1].json()
    assert ("UPS", "1Z999AA") == (body["shippingCarrierCode"], body["trackingNumber"])
    assert [2, 1] == [line["quantity"] for line in body["lineItems"]]
    assert ("1Z999AA", Completion.DONE) == (receipt.id, receipt.completion)


@pytest.mark.parametrize(
    "parcel, expected",
    [
        (
            Fulfilment(tracking_number="1Z"),
            {"shippingCarrierCode": "Other", "trackingNumber": "1Z"},
        ),
        (Fulfilment(carrier="UPS"), {}),
        (Fulfilment(tracking_number="--", carrier="UPS"), {}),
        (Fulfilment(), {}),
    ],
)
def test_carrier_and_number_are_sent_together(parcel: Fulfilment, expected: dict[str, str]) -> None:
    """Carrier and tracking number are sent to eBay only together."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(1)
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref(order), parcel, idempotency_key="k")

    body = sandbox.requests[-1].json()
    lines = body.pop("lineItems")
    assert (1, expected) == (len(lines), body)


def test_rest_of_an_order_is_shipped() -> None:
    """A parcel of a partly shipped order contains the lines that are not shipped yet."""
    sandbox = EbaySandbox()
    order = ebay_order(
        fulfillmentHrefs=["https://api.ebay.com/1"],
        lineItems=[line("FULFILLED"), line("NOT_STARTED", lineItemId="6")],
    )
    address = "https://api.ebay.com/sell/fulfillment/v1/order/1/shipping_fulfillment/9"
    sandbox.fail(order, reply({"fulfillments": []}), reply({}, 201, Location=address))
    with hub(sandbox) as shop:
        assert "9" == shop.shops().fulfil(ref("1"), PARCEL, idempotency_key="k").id

    assert [{"lineItemId": "6", "quantity": 3}] == sandbox.requests[2].json()["lineItems"]


def test_parcel_that_ebay_has_already_is_not_reported_again() -> None:
    """A parcel whose tracking number eBay already has is not sent; its first receipt is used."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(1)
    with hub(sandbox) as shop:
        first = shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k-1")
        second = shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k-2")
        other = Fulfilment(tracking_number="1Z998")
        with pytest.raises(VendorRejected) as excinfo:
            shop.shops().fulfil(ref(order), other, idempotency_key="k-3")
        with pytest.raises(VendorRejected):
            shop.shops().fulfil(ref(order), Fulfilment(), idempotency_key="k-4")

    assert first.id == second.id
    assert "FULFILLED" == excinfo.value.vendor_code
    assert 1 == len(sandbox.parcels())


def test_cancelled_order_is_not_shipped() -> None:
    """A parcel of an order that was cancelled at eBay is refused before it is sent."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(1)
    sandbox.cancel(order)
    with hub(sandbox) as shop, pytest.raises(VendorRejected) as excinfo:
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    assert "CANCELED" == excinfo.value.vendor_code
    assert ["GET"] == [request.method for request in sandbox.requests]


def test_parcel_without_number_whose_answer_was_lost_is_uncertain() -> None:
    """If the response about a parcel without a number is lost, the outcome stays unknown."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(1)
    sandbox.fail(None, Lost())
    with hub(sandbox) as shop:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                shop.shops().fulfil(ref(order), Fulfilment(), idempotency_key="k")

    assert 1 == len(sandbox.parcels())


@pytest.mark.parametrize("address", [None, "", "/shipping_fulfillment/", "https://api.ebay.com/9"])
def test_parcel_without_its_address_is_looked_up(address: str | None) -> None:
    """If eBay's success does not name the new parcel, the parcel is looked up."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(1)
    headers = {} if address is None else {"Location": address}
    parcels = {"fulfillments": [{"fulfillmentId": "7", "shipmentTrackingNumber": "1Z999AA"}]}
    sandbox.fail(None, Response(201, headers), reply(parcels))
    with hub(sandbox) as shop:
        receipt = shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    assert "7" == receipt.id


@pytest.mark.parametrize("answer", [{}, {"fulfillments": [{"shipmentTrackingNumber": "1Z999AA"}]}])
def test_parcels_that_cannot_be_read_leave_the_outcome_unknown(answer: dict[str, Any]) -> None:
    """If a response is lost and eBay's list of parcels is unreadable, the outcome is unknown."""
    sandbox = EbaySandbox()
    order = sandbox.add_order(1)
    sandbox.fail(None, Lost(), reply(answer))
    with hub(sandbox) as shop, pytest.raises(OutcomeUnknown):
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")


@pytest.mark.parametrize("lines", [None, [{"quantity": 1}], [{"lineItemId": "5"}]])
def test_order_whose_lines_cannot_be_read_is_not_shipped(lines: Any) -> None:
    """An order without lines, or a line without an id or quantity, raises an error."""
    sandbox = EbaySandbox()
    sandbox.fail(ebay_order(lineItems=lines))
    with hub(sandbox) as shop, pytest.raises(ConnectorError):
        shop.shops().fulfil(ref("1"), PARCEL, idempotency_key="k")
    assert ["GET"] == [request.method for request in sandbox.requests]


def test_lines_of_an_order() -> None:
    """A discounted line has its discounted total, and a unit price only if it is exact."""
    sandbox = EbaySandbox()
    price = {"value": "9.00", "currency": "EUR"}
    sandbox.fail(
        ebay_order(
            lineItems=[
                line("NOT_STARTED"),
                line("FULFILLED", lineItemCost=price),
                line("IN_PROGRESS", discountedLineItemCost=price, quantity=4),
                line("NOT_STARTED", lineItemCost=None, quantity=0),
            ]
        )
    )
    with hub(sandbox) as shop:
        lines = shop.shops().get_order(ref("1")).lines

    euros = (None, Money("3.00", "EUR"), Money("2.50", "EUR"), None)
    assert euros == tuple(item.unit_price for item in lines)
    assert (Money("10.00", "EUR"), Money("9.00", "EUR"), Money("9.00", "EUR"), None) == tuple(
        item.total for item in lines
    )
    assert (3, 0, None, 0) == tuple(item.unfulfilled for item in lines)


@pytest.mark.parametrize(
    "order",
    [
        {"lineItems": None},
        {"lineItems": [{"quantity": 1}]},
        {"lineItems": [{"lineItemId": "5"}]},
        {"pricingSummary": {}},
        {"lastModifiedDate": None},
        {"orderId": ""},
    ],
)
def test_incomplete_order_is_an_error(order: dict[str, Any]) -> None:
    """An order that lacks a required field is an error."""
    sandbox = EbaySandbox()
    sandbox.fail(ebay_order(**order))
    with hub(sandbox) as shop, pytest.raises(VendorFailed):
        shop.shops().get_order(ref("1"))


def test_delivery_in_two_currencies_is_not_added() -> None:
    """A delivery discount in another currency than the price is not subtracted."""
    sandbox = EbaySandbox()
    euros, pounds = {"value": "5.0", "currency": "EUR"}, {"value": "-1.0", "currency": "GBP"}
    summary = {"total": euros, "deliveryCost": euros, "deliveryDiscount": pounds}
    sandbox.fail(ebay_order(pricingSummary=summary))
    with hub(sandbox) as shop:
        assert Money("5.00", "EUR") == shop.shops().get_order(ref("1")).shipping


def test_item_without_a_price_and_a_published_offer() -> None:
    """An unpublished offer has no price, and its stock and price cannot be set."""
    sandbox = EbaySandbox()
    with hub(sandbox) as shop:
        item = shop.shops().find_items("ROPE-20").items[0]
        with pytest.raises(VendorRejected) as excinfo:
            shop.shops().set_stock(item.ref, 3)
        with pytest.raises(InvalidData):
            shop.shops().set_price(item.ref, Money("1.00", "EUR"))

    assert (None, 5, "Rope ROPE-20") == (item.price, item.stock, item.title)
    assert "25713" == excinfo.value.vendor_code


def test_stock_is_the_smaller_of_item_and_offer() -> None:
    """Of the item's stock in the inventory and in the offer, the smaller number counts."""
    sandbox = EbaySandbox()
    offer = {"offerId": "1", "sku": "A", "availableQuantity": 9}
    item = {"availability": {"shipToLocationAvailability": {"quantity": 4}}}
    sandbox.fail(reply({"offers": [offer, {**offer, "sku": "B"}]}), reply(item))
    with hub(sandbox) as shop:
        assert [4] == [listing.stock for listing in shop.shops().find_items("A").items]


def test_offers_of_other_numbers_are_no_items() -> None:
    """A search by SKU leaves out offers that have another SKU."""
    sandbox = EbaySandbox()
    sandbox.fail(reply({"offers": [{"offerId": "1", "sku": "B"}]}))
    with hub(sandbox) as shop:
        assert () == shop.shops().find_items("A").items
    assert 1 == len(sandbox.requests)


def test_refused_search_is_no_empty_page() -> None:
    """Only eBay's response that nothing was found becomes an empty page of items."""
    sandbox = EbaySandbox()
    sandbox.fail(reply({"errors": [{"errorId": 25709}]}, 409))
    with hub(sandbox) as shop, pytest.raises(VendorRejected):
        shop.shops().find_items("A")


def test_requests_of_stock_and_price() -> None:
    """The stock is set on the item and the offer, and the exact price on the offer."""
    sandbox = EbaySandbox()
    done = reply({"responses": [{"offerId": "8001", "sku": "ROPE-10", "statusCode": 200}]})
    sandbox.fail(done, done)
    dinars = Ref("ebay", "shop", "8001", {"currency": "KWD"})
    with hub(sandbox) as shop:
        shop.shops().set_stock(ref("8001"), 7)
        price = shop.shops().set_price(dinars, Money("2.505", "KWD")).price

    stock, priced = (request.json()["requests"] for request in sandbox.requests)
    assert {UPDATE} == {request.path for request in sandbox.requests}
    offer = {"offerId": "8001", "availableQuantity": 7}
    assert [
        {"sku": "ROPE-10", "shipToLocationAvailability": {"quantity": 7}, "offers": [offer]}
    ] == stock
    amount = {"value": "2.505", "currency": "KWD"}
    assert [{"offers": [{"offerId": "8001", "price": amount}]}] == priced
    assert Money("2.505", "KWD") == price


@pytest.mark.parametrize(
    "parts, error",
    [
        ([{"offerId": "8001", "statusCode": 400, "errors": []}], VendorRejected),
        ([{"offerId": "8001", "statusCode": 500}], VendorFailed),
        ([{"offerId": "8001", "statusCode": 200}, {"statusCode": 404}], VendorRejected),
        ([{"offerId": "8001"}], VendorFailed),
        ([{"offerId": "8002", "statusCode": 200}], VendorFailed),
        ([], VendorFailed),
    ],
)
def test_part_that_failed_is_an_error(
    parts: list[dict[str, Any]], error: type[ConnectorError]
) -> None:
    """If one part of a stock change fails or is missing from the response, an error is raised."""
    sandbox = EbaySandbox()
    sandbox.fail(reply({"responses": parts}))
    with hub(sandbox) as shop, pytest.raises(error):
        shop.shops().set_stock(ref("8001"), 7)


def test_stock_needs_the_number_of_the_item() -> None:
    """An item's reference without its SKU is refused before a request."""
    sandbox = EbaySandbox()
    with hub(sandbox) as shop, pytest.raises(InvalidData, match="does not contain the SKU"):
        shop.shops().set_stock(Ref("ebay", "shop", "8001"), 7)
    assert [] == sandbox.requests


def test_cancellation_is_unsupported() -> None:
    """Cancelling is refused before a request, because eBay itself refunds cancelled orders."""
    sandbox = EbaySandbox()
    with hub(sandbox) as shop, pytest.raises(UnsupportedByVendor):
        shop.shops().cancel(ref("1"))
    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "url, mode",
    [
        ("https://api.ebay.com", Mode.LIVE),
        ("https://api.sandbox.ebay.com", Mode.TEST),
        ("https://proxy.example", None),
    ],
)
def test_mode_follows_from_the_url(url: str, mode: Mode | None) -> None:
    """The sandbox URL of eBay means test mode."""
    assert mode is Ebay(base_url=url).mode()


def test_token_is_not_shown() -> None:
    """The account's repr does not show the token."""
    assert "canary" not in repr(Ebay(credentials="canary"))
