"""Shopify: requests, responses, errors and events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConfigurationError,
    InvalidData,
    Money,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shops import Completion, FulfilledLine, Fulfilment, OrderQuery, ShopTopic
from moorage.domain.http.requests import Request, Timeouts
from moorage.errors import InvalidRequest, RateLimitExceeded
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shops.base import SKU
from moorage.testing.sandboxes.shops.shopify import LOCATION, ShopifySandbox
from moorage.vendors.shops._shopify_answers import classify
from moorage.vendors.shops._shopify_documents import quoted
from moorage.vendors.shops.shopify import Shopify
from tests.vendors.shops_subjects import shopify_order

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

PARCEL = Fulfilment(tracking_number="1Z", carrier="UPS", tracking_url="https://ups.example/1Z")


def hub(sandbox: ShopifySandbox, **fields: Any) -> Hub:
    """Return a hub with one account at Shopify."""
    options = {"shop": "harbour-goods", "credentials": sandbox.token, **fields}
    account = Account("shop", Shopify(**options), settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def ref(id_: str) -> Ref:
    """Return the reference of an order."""
    return Ref("shopify", "shop", id_, {"currency": "EUR"})


def variables_of(sandbox: ShopifySandbox) -> dict[str, Any]:
    """Return the variables of the last request."""
    variables: dict[str, Any] = json.loads(sandbox.requests[-1].body)["variables"]
    return variables


def parcels_answer(*parts: tuple[str, int], first: int = 0, more: str | None = None) -> Response:
    """Return a response with fulfilment orders that have the given statuses and quantities."""
    nodes = [
        {
            "id": f"part-{number}",
            "status": status,
            "lineItems": {
                "nodes": [
                    {"id": f"i-{number}", "remainingQuantity": left_count, "lineItem": {"id": "l"}}
                ],
                "pageInfo": {"hasNextPage": False},
            },
        }
        for number, (status, left_count) in enumerate(parts, first)
    ]
    page = {"hasNextPage": more is not None, "endCursor": more}
    orders = {"nodes": nodes, "pageInfo": page}
    return reply({"data": {"order": {"id": "o", "fulfillments": [], "fulfillmentOrders": orders}}})


def test_request_of_a_parcel() -> None:
    """A parcel is sent with its tracking number, and with the order's lines not shipped yet."""
    sandbox = ShopifySandbox()
    order = sandbox.add_order(2)
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    request = sandbox.requests[-1]
    assert "/admin/api/2026-07/graphql.json" == request.path
    assert {
        "fulfillment": {
            "lineItemsByFulfillmentOrder": [
                {"fulfillmentOrderId": order.replace("/Order/", "/FulfillmentOrder/")}
            ],
            "notifyCustomer": False,
            "trackingInfo": {"company": "UPS", "number": "1Z", "url": "https://ups.example/1Z"},
        }
    } == variables_of(sandbox)


def test_request_of_a_stock() -> None:
    """A stock change sends the expected quantity, or null, and a new idempotency key."""
    sandbox = ShopifySandbox()
    with hub(sandbox, location=LOCATION) as shop:
        item = shop.shops().find_items(SKU).items[0]
        shop.shops().set_stock(item.ref, 5)
        first = variables_of(sandbox)
        shop.shops().set_stock(item.ref, 4, expected=5)
        second = variables_of(sandbox)

    change = {
        "inventoryItemId": "gid://shopify/InventoryItem/30",
        "locationId": LOCATION,
        "quantity": 5,
        "changeFromQuantity": None,
    }
    assert {"name": "available", "reason": "correction", "quantities": [change]} == first["input"]
    assert 5 == second["input"]["quantities"][0]["changeFromQuantity"]
    assert first["key"] != second["key"]


def test_stock_needs_a_location_and_a_found_item() -> None:
    """A stock change without a location, or without the item's id, is refused."""
    sandbox = ShopifySandbox()
    with hub(sandbox) as shop:
        item = shop.shops().find_items(SKU).items[0]
        with pytest.raises(InvalidData, match="for each location"):
            shop.shops().set_stock(item.ref, 5)
        with pytest.raises(InvalidData, match="ids of its product and stock"):
            shop.shops().set_price(ref("gid://shopify/ProductVariant/20"), Money("1.00", "EUR"))


def test_many_lines_are_all_read() -> None:
    """An order with more lines than a page is read with all its lines."""
    sandbox = ShopifySandbox()
    order = sandbox.add_order(*range(1, 131))
    with hub(sandbox) as shop:
        lines = shop.shops().get_order(ref(order)).lines

    assert list(range(1, 131)) == [line.quantity for line in lines]
    assert 2 == len(sandbox.requests)


def test_lines_of_listed_orders_are_all_read() -> None:
    """A list has the first lines of each order; further lines are read separately."""
    sandbox = ShopifySandbox()
    sandbox.add_order(*range(1, 31))
    with hub(sandbox) as shop:
        (order,) = shop.shops().orders().items

    assert list(range(1, 31)) == [line.quantity for line in order.lines]


def test_total_of_a_line_contains_all_its_discounts() -> None:
    """Discounts of codes and a line's share of the order's discounts are taken from its price."""
    sandbox = ShopifySandbox()

    def bag(amount: str) -> dict[str, Any]:
        return {"shopMoney": {"amount": amount, "currencyCode": "EUR"}}

    line = {
        "id": "l",
        "sku": "R",
        "name": "Rope",
        "quantity": 3,
        "unfulfilledQuantity": 3,
        "originalUnitPriceSet": bag("10.0"),
    }
    discounts = [{"allocatedAmountSet": bag("4.5")}, {"allocatedAmountSet": bag("1.25")}]
    lines = [
        {**line, "discountAllocations": discounts},
        {**line, "discountAllocations": []},
        {**line, "discountAllocations": None},
        {**line, "discountAllocations": [{"allocatedAmountSet": None}]},
        {**line, "discountAllocations": [], "originalUnitPriceSet": None},
    ]
    sandbox.fail(shopify_order(lineItems={"nodes": lines, "pageInfo": {"hasNextPage": False}}))
    with hub(sandbox) as shop:
        order = shop.shops().get_order(ref("gid://shopify/Order/1"))

    totals = [line.total for line in order.lines]
    assert [Money("24.25", "EUR"), Money("30.00", "EUR"), None, None, None] == totals


def test_query_that_costs_too_much_is_refused() -> None:
    """Shopify refuses a query of more than 1000 points before it is executed."""
    sandbox = ShopifySandbox()
    query = "query { orders(first: 10) { nodes { id lineItems(first: 100) { nodes { id } } } } }"
    body = json.dumps({"query": query}).encode()
    headers = {"Content-Type": "application/json", "X-Shopify-Access-Token": sandbox.token}
    request = Request.post("/admin/api/2026-07/graphql.json", body=body, headers=headers)
    client = SandboxHttpClient(sandbox)
    url = "https://harbour-goods.myshopify.com/admin/api/2026-07/graphql.json"
    answer = client.send(request, url, Timeouts())

    assert "MAX_COST_EXCEEDED" == answer.json()["errors"][0]["extensions"]["code"]


def test_lines_that_start_again_are_an_error() -> None:
    """If a page of lines leads back to an earlier page, an error is raised."""
    sandbox = ShopifySandbox()
    page = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "c"}}
    answer = shopify_order(lineItems=page)
    sandbox.fail(*([answer] * 9))
    with hub(sandbox) as shop, pytest.raises(VendorFailed, match="endCursor"):
        shop.shops().get_order(ref("gid://shopify/Order/1"))

    assert 2 == len(sandbox.requests)


def test_look_up_that_fails_leaves_the_parcel_unknown() -> None:
    """If the look-up after a lost response is refused, the parcel's outcome is unknown."""
    sandbox = ShopifySandbox()
    order = sandbox.add_order(2)
    sandbox.fail(None, Lost(), reply({"errors": "Not Found"}, 404))
    with hub(sandbox) as shop, pytest.raises(OutcomeUnknown):
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")


@pytest.mark.parametrize(
    "text, term",
    [("it's", "'it\\'s'"), ("a\\b", "'a\\\\b'"), ("\\'", "'\\\\\\''"), ("plain", "'plain'")],
)
def test_term_of_a_search_is_quoted(text: str, term: str) -> None:
    """A quotation mark and a backslash are escaped in a term of Shopify's search."""
    assert term == quoted(text)


@pytest.mark.parametrize(
    "code, kind",
    [
        ("THROTTLED", "RateLimitExceeded"),
        ("ACCESS_DENIED", "AuthenticationFailed"),
        ("SHOP_INACTIVE", "VendorRejected"),
        ("INTERNAL_SERVER_ERROR", "VendorFailed"),
        ("INTERNAL_ERROR", "VendorFailed"),
        ("TIMEOUT", "VendorFailed"),
        ("IDEMPOTENCY_CONCURRENT_REQUEST", "VendorFailed"),
        ("OTHER", "InvalidRequest"),
    ],
)
def test_code_of_an_error_has_an_error_class(code: str, kind: str) -> None:
    """Each code of Shopify's GraphQL errors has its class, also with a success status."""
    answer = reply({"errors": [{"message": "No.", "extensions": {"code": code}}]})

    refusal = classify(Request.post("/graphql.json"), answer)

    assert kind == type(refusal).__name__


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "InvalidRequest"),
        (401, "AuthenticationFailed"),
        (403, "AuthenticationFailed"),
        (404, "VendorRejected"),
        (429, "RateLimitExceeded"),
        (408, "NoneType"),
        (500, "NoneType"),
    ],
)
def test_status_of_a_refusal_has_an_error_class(status: int, kind: str) -> None:
    """A rejection without GraphQL is classified by status; a timeout or failure is no rejection."""
    answer = reply({"errors": "No."}, status)

    assert kind == type(classify(Request.post("/graphql.json"), answer)).__name__


def test_pause_of_a_throttled_request() -> None:
    """The error for a throttled request states when Shopify will accept the request."""
    sandbox = ShopifySandbox()
    sandbox.drain()
    with hub(sandbox) as shop, pytest.raises(RateLimitExceeded) as excinfo:
        shop.shops().orders()

    assert 0.1 == excinfo.value.vendor_retry_after
    assert "THROTTLED" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "parts, code",
    [
        ([("ON_HOLD", 1), ("OPEN", 1)], "ON_HOLD"),
        ([("SCHEDULED", 1)], "ON_HOLD"),
        ([("CLOSED", 0)], "NOTHING_LEFT"),
    ],
)
def test_parcel_of_whole_order_needs_every_part_to_be_shippable(
    parts: list[tuple[str, int]], code: str
) -> None:
    """A parcel of the whole order is refused if parts of the order must not be shipped."""
    sandbox = ShopifySandbox()
    sandbox.fail(parcels_answer(*parts))
    with hub(sandbox) as shop, pytest.raises(VendorRejected) as excinfo:
        shop.shops().fulfil(ref("o"), PARCEL, idempotency_key="k")

    assert code == excinfo.value.vendor_code
    assert 1 == len(sandbox.requests)


def test_line_that_is_split_over_several_parts_is_shipped_from_each_part_that_is_open() -> None:
    """A line that is split over several parts is shipped from each part that is open."""
    sandbox = ShopifySandbox()
    answer = {"fulfillment": {"id": "f-1", "status": "A_WORD"}, "userErrors": []}
    sandbox.fail(
        parcels_answer(("CLOSED", 9), ("OPEN", 2), ("IN_PROGRESS", 5), ("OPEN", 3)),
        reply({"data": {"fulfillmentCreate": answer}}),
    )
    line = FulfilledLine(id="l", quantity=4)
    with hub(sandbox) as shop:
        receipt = shop.shops().fulfil(ref("o"), Fulfilment(lines=[line]), idempotency_key="k")

    assert (Completion.UNKNOWN, "A_WORD") == (receipt.completion, receipt.vendor_status)
    assert {
        "notifyCustomer": False,
        "lineItemsByFulfillmentOrder": [
            {
                "fulfillmentOrderId": "part-1",
                "fulfillmentOrderLineItems": [{"id": "i-1", "quantity": 2}],
            },
            {
                "fulfillmentOrderId": "part-2",
                "fulfillmentOrderLineItems": [{"id": "i-2", "quantity": 2}],
            },
        ],
    } == variables_of(sandbox)["fulfillment"]


def test_order_line_beyond_the_first_page_is_shipped() -> None:
    """A line that is not on the first page of a fulfilment order's lines is found and shipped."""
    sandbox = ShopifySandbox()
    order = sandbox.add_order(*([1] * 150))
    line = FulfilledLine(id=order.replace("/Order/", "/LineItem/") + "145", quantity=1)
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref(order), Fulfilment(lines=[line]), idempotency_key="k")

    (parcel,) = sandbox.parcels()
    assert 1 == parcel.quantity


def test_all_parts_of_an_order_are_shipped() -> None:
    """A parcel of the whole order has the fulfilment orders of all pages."""
    sandbox = ShopifySandbox()
    answer = {"fulfillment": {"id": "f-1", "status": "SUCCESS"}, "userErrors": []}
    sandbox.fail(
        parcels_answer(("OPEN", 1), ("CLOSED", 0), more="c-1"),
        parcels_answer(("OPEN", 2), first=2),
        reply({"data": {"fulfillmentCreate": answer}}),
    )
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref("o"), PARCEL, idempotency_key="k")

    assert {"id": "o", "after": "c-1"} == json.loads(sandbox.requests[1].body)["variables"]
    assert [{"fulfillmentOrderId": "part-0"}, {"fulfillmentOrderId": "part-2"}] == variables_of(
        sandbox
    )["fulfillment"]["lineItemsByFulfillmentOrder"]


def test_cancellation_that_a_repeat_finds_done() -> None:
    """If a refused cancellation finds that the order is already cancelled, it counts as done."""
    sandbox = ShopifySandbox()
    order = sandbox.add_order(1)
    problem = {"code": "INVALID", "field": None, "message": "The order is cancelled."}
    refused = {"job": None, "orderCancelUserErrors": [problem]}
    canceled = {"id": order, "cancelledAt": "2031-05-06T07:08:09Z"}
    sandbox.fail(
        None, reply({"data": {"orderCancel": refused}}), reply({"data": {"order": canceled}})
    )
    with hub(sandbox) as shop:
        assert Completion.DONE is shop.shops().cancel(ref(order)).completion
        sandbox.fail(None, reply({"data": {"orderCancel": refused}}))
        with pytest.raises(VendorRejected, match="The order is cancelled"):
            shop.shops().cancel(ref(order))


@pytest.mark.parametrize(
    "order",
    [
        {"lineItems": {"nodes": None, "pageInfo": {"hasNextPage": False}}},
        {"lineItems": {"nodes": []}},
        {"lineItems": {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}},
        {"displayFulfillmentStatus": None},
        {"updatedAt": None},
        {"currentTotalPriceSet": {}},
    ],
)
def test_incomplete_order_is_an_error(order: dict[str, Any]) -> None:
    """An order that lacks a required field is an error."""
    sandbox = ShopifySandbox()
    sandbox.fail(shopify_order(**order))
    with hub(sandbox) as shop, pytest.raises(VendorFailed):
        shop.shops().get_order(ref("1"))


def test_incomplete_parcels_are_an_error() -> None:
    """An order that lacks its list of fulfilments is an error, and no parcel is sent."""
    sandbox = ShopifySandbox()
    sandbox.fail(reply({"data": {"order": {"id": "o"}}}))
    with hub(sandbox) as shop, pytest.raises(VendorFailed, match="fulfillments"):
        shop.shops().fulfil(ref("o"), PARCEL, idempotency_key="k")
    sandbox.fail(reply({"data": {"order": {"id": "o", "fulfillments": []}}}))
    with hub(sandbox) as shop, pytest.raises(VendorFailed, match="fulfillmentOrders"):
        shop.shops().fulfil(ref("o"), PARCEL, idempotency_key="k")


def test_failed_fulfilment_is_not_the_same_parcel() -> None:
    """A parcel counts as already sent if an active parcel has its tracking number and lines."""
    sandbox = ShopifySandbox()
    order = sandbox.add_order(3)
    line = FulfilledLine(id=order.replace("/Order/", "/LineItem/") + "1", quantity=1)
    with hub(sandbox) as shop:
        first = Fulfilment(tracking_number="1Z", lines=[line])
        shop.shops().fulfil(ref(order), first, idempotency_key="k-1")
        two_pieces = FulfilledLine(id=line.id, quantity=2)
        second = Fulfilment(tracking_number="1Z", lines=[two_pieces])
        shop.shops().fulfil(ref(order), second, idempotency_key="k-2")
        repeat = shop.shops().fulfil(ref(order), second, idempotency_key="k-3")

    assert [1, 2] == [parcel.quantity for parcel in sandbox.parcels()]
    assert repeat.completion is Completion.DONE


def test_price_has_all_its_decimals() -> None:
    """If a shop's currency is the dinar, prices are read and sent with three decimals."""
    sandbox = ShopifySandbox()
    item = {
        "id": "v",
        "sku": "R",
        "displayName": "Rope - 10 m",
        "price": "2.505",
        "product": {"id": "p"},
        "inventoryItem": {"id": "i", "tracked": True},
        "inventoryQuantity": 3,
    }
    variants = {"nodes": [item], "pageInfo": {"hasNextPage": True, "endCursor": "c"}}
    updated = {"productVariants": [{"id": "v", "price": "2.505"}], "userErrors": []}
    sandbox.fail(
        reply({"data": {"shop": {"currencyCode": "KWD"}, "productVariants": variants}}),
        reply({"data": {"productVariantsBulkUpdate": updated}}),
    )
    with hub(sandbox) as shop:
        page = shop.shops().find_items("R")
        receipt = shop.shops().set_price(page.items[0].ref, Money("2.505", "KWD"))
    variables = json.loads(sandbox.requests[0].body)["variables"]

    assert (50, "c") == (variables["first"], page.next and page.next.id)
    assert {"productId": "p", "variants": [{"id": "v", "price": "2.505"}]} == variables_of(sandbox)
    assert Money("2.505", "KWD") == page.items[0].price == receipt.price
    assert ("Rope - 10 m", 3) == (page.items[0].title, page.items[0].stock)


@pytest.mark.parametrize("name", ["orders", "productVariants"])
def test_page_without_a_list_is_an_error(name: str) -> None:
    """A response without its list is an error, and not an empty page."""
    sandbox = ShopifySandbox()
    page = {"pageInfo": {"hasNextPage": False, "endCursor": None}}
    sandbox.fail(reply({"data": {"shop": {"currencyCode": "EUR"}, name: page}}))
    with hub(sandbox) as shop, pytest.raises(VendorFailed):
        shop.shops().orders() if name == "orders" else shop.shops().find_items("R")


def test_shipped_order_is_not_sent_for_cancellation() -> None:
    """A partly shipped order is looked up and not cancelled: the cancellation is refused."""
    sandbox = ShopifySandbox()
    state = {"id": "o", "cancelledAt": None, "displayFulfillmentStatus": "PARTIALLY_FULFILLED"}
    sandbox.fail(reply({"data": {"order": state}}))
    with hub(sandbox) as shop, pytest.raises(VendorRejected, match="already shipped"):
        shop.shops().cancel(ref("o"))
    assert 1 == len(sandbox.requests)


@pytest.mark.parametrize(
    "topic, expected",
    [
        ("orders/create", ShopTopic.ORDER_CREATED),
        ("orders/cancelled", ShopTopic.ORDER_CANCELED),
        ("orders/delete", ShopTopic.ORDER_DELETED),
        ("orders/paid", ShopTopic.ORDER_UPDATED),
        ("orders/updated", ShopTopic.ORDER_UPDATED),
        ("orders/edited", ShopTopic.ORDER_UPDATED),
        ("orders/fulfilled", ShopTopic.ORDER_UPDATED),
        ("orders/partially_fulfilled", ShopTopic.ORDER_UPDATED),
        ("products/update", None),
    ],
)
def test_topics_of_events(topic: str, expected: ShopTopic | None) -> None:
    """Each topic of an order webhook has its event type, and other topics give no event."""
    sandbox = ShopifySandbox()
    order = sandbox.add_order(1)
    notice = sandbox.report("https://erp.example/hooks", order, topic)
    with hub(sandbox) as shop:
        verifier = shop.webhooks("shop", secrets=sandbox.webhook_secret)
        events = shop.events("shop", verifier.verify(**notice.arguments())[0])

    assert ([] if expected is None else [expected]) == [event.topic for event in events]


def test_sandbox_refuses_what_shopify_refuses() -> None:
    """The sandbox refuses unknown fields, wrong tokens, and stock without a key."""
    sandbox = ShopifySandbox()
    with hub(sandbox, location=LOCATION) as shop:
        item = shop.shops().find_items(SKU).items[0]
        with pytest.raises(VendorRejected) as excinfo:
            shop.shops().set_stock(item.ref, 1, location="gid://shopify/Location/2")
        assert "INVALID_LOCATION" == excinfo.value.vendor_code
        other = item.ref.with_related(product="gid://shopify/Product/11")
        with pytest.raises(VendorRejected) as excinfo:
            shop.shops().set_price(other, Money("1.00", "EUR"))
        assert "PRODUCT_VARIANT_DOES_NOT_EXIST" == excinfo.value.vendor_code


def test_next_page_keeps_the_filter() -> None:
    """The reference of a next page has its cursor, and the same start time."""
    sandbox = ShopifySandbox()
    first = sandbox.add_order(1)
    start = sandbox.clock
    sandbox.add_order(1)
    with hub(sandbox) as shop:
        page = shop.shops().orders(OrderQuery(updated_since=start, limit=1))
        shop.shops().orders(OrderQuery(limit=1), after=page.next)

    assert first == page.items[0].ref.id
    assert "updated_at:>='2031-05-06T07:08:10Z'" == variables_of(sandbox)["query"]
    assert f"2031-05-06T07:08:10Z|{first}" == variables_of(sandbox)["after"]


@pytest.mark.parametrize("name", ["", "Harbour", "harbour.myshopify.com", "a/b"])
def test_shop_is_a_name(name: str) -> None:
    """A shop's name must be the first part of the shop's host name."""
    with pytest.raises(ConfigurationError, match="not the name of a Shopify shop"):
        Shopify(shop=name)


def test_unreadable_document_is_refused() -> None:
    """A GraphQL error without a code means that the request was wrong."""
    sandbox = ShopifySandbox()
    sandbox.fail(reply({"errors": [{"message": "Parse error on end of file"}]}))
    with hub(sandbox) as shop, pytest.raises(InvalidRequest, match="Parse error"):
        shop.shops().orders()
