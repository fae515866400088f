"""Amazon's Selling Partner API: requests, responses and pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import moorage
from moorage import (
    ConfigurationError,
    ConnectorError,
    InvalidData,
    Money,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shops import Completion, FulfilledLine, Fulfilment, OrderQuery
from moorage.domain.http.requests import Response
from moorage.domain.service.safety import Mode
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shops.amazon_sp_api import MARKETPLACE, AmazonSpApiSandbox
from moorage.vendors.shops.amazon_sp_api import AmazonSpApi
from tests.vendors.shops_subjects import amazon_order

ORDERS = "/orders/2026-01-01/orders"
PARCEL = Fulfilment(tracking_number="1Z 999", carrier="UPS")
NAMES = {"seller_id": "A2SANDBOX1", "marketplace": MARKETPLACE}


def hub(sandbox: AmazonSpApiSandbox) -> Hub:
    """Return a hub with one account at Amazon."""
    vendor = AmazonSpApi(credentials=sandbox.token, **NAMES)
    account = Account("shop", vendor, settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def ref(id_: str) -> Ref:
    """Return the reference of an order or an item in euros."""
    return Ref("amazon_sp_api", "shop", id_, {"currency": "EUR", "product_type": "ROPE"})


def line(**fields: Any) -> dict[str, Any]:
    """Return a line of an order."""
    counts = {"quantityFulfilled": 0, "quantityUnfulfilled": 3}
    defaults = {"orderItemId": "5", "quantityOrdered": 3, "product": {}, "fulfillment": counts}
    return {**defaults, **fields}


def part(kind: str, amount: str, *details: tuple[str, str, str]) -> dict[str, Any]:
    """Return a category of an order's proceeds, as in Amazon's response."""
    return {
        "type": kind,
        "subtotal": {"amount": amount, "currencyCode": "EUR"},
        "detailedBreakdowns": [
            {"subtype": name, "value": {"amount": value, "currencyCode": currency}}
            for name, value, currency in details
        ],
    }


def test_request_of_a_list() -> None:
    """A list request asks for changes since a UTC time in one marketplace, 100 per page at most."""
    sandbox = AmazonSpApiSandbox()
    start = datetime(2031, 5, 6, 9, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    with hub(sandbox) as shop:
        shop.shops().orders(OrderQuery(updated_since=start, limit=500))

    query = dict(sandbox.requests[0].query)
    assert "2031-05-06T07:08:09.000Z" == query["lastUpdatedAfter"]
    assert (MARKETPLACE, "100") == (query["marketplaceIds"], query["maxResultsPerPage"])
    assert {"BUYER", "RECIPIENT", "FULFILLMENT"} < set(query["includedData"].split(","))
    assert "paginationToken" not in query


def test_list_without_a_time_begins_two_years_ago() -> None:
    """Without a start time, Amazon's orders are listed from two years ago."""
    sandbox = AmazonSpApiSandbox()
    with hub(sandbox) as shop:
        before = datetime.now(UTC) - timedelta(days=731)
        shop.shops().orders()

    start = datetime.fromisoformat(dict(sandbox.requests[0].query)["lastUpdatedAfter"])
    assert before < start < before + timedelta(days=2)


def test_after_last_page_of_period_comes_page_of_orders_that_changed_since_page_one() -> None:
    """After the last page of a period, the next page has the orders that changed meanwhile."""
    sandbox = AmazonSpApiSandbox()
    ids = [sandbox.add_order(1) for _ in range(3)]
    start = sandbox.clock - timedelta(hours=1)
    with hub(sandbox) as shop:
        pages = [shop.shops().orders(OrderQuery(limit=2, updated_since=start))]
        sandbox.touch(ids[0])
        while pages[-1].next is not None:
            pages.append(shop.shops().orders(OrderQuery(limit=2), after=str(pages[-1].next)))

    queries = [dict(request.query) for request in sandbox.requests]
    times = [query["lastUpdatedAfter"] for query in queries]
    assert ["2031-05-06T06:08:12.000Z"] * 2 + ["2031-05-06T07:08:12.001Z"] == times
    assert [False, True, False] == ["paginationToken" in query for query in queries]
    assert [ids[:2], ids[2:], ids[:1]] == [[order.ref.id for order in page.items] for page in pages]
    assert [start, start, sandbox.clock] == [page.resume_at for page in pages]


def test_latest_change_on_page_is_end_if_amazon_page_has_no_end_of_its_period() -> None:
    """If Amazon states no end of the period, the latest change on the page is taken as its end."""
    sandbox = AmazonSpApiSandbox()
    order = amazon_order().json()["order"]
    sandbox.fail(reply({"orders": [order]}), reply({"orders": []}))
    after = Ref("amazon_sp_api", "shop", "next", {"since": "2031-05-06T07:00:00Z", "token": "t"})
    with hub(sandbox) as shop:
        page = shop.shops().orders(after=after)
        assert page.next is not None
        last = shop.shops().orders(after=page.next)

    assert "2031-05-06T07:08:09.001Z" == dict(sandbox.requests[1].query)["lastUpdatedAfter"]
    assert ((), None) == (last.items, last.next)


@pytest.mark.parametrize("answer", [{}, {"orders": None}, {"orders": [{"orderId": "1"}]}])
def test_page_without_its_orders_is_an_error(answer: dict[str, Any]) -> None:
    """A page whose orders cannot be read raises an error, and is never the last page."""
    sandbox = AmazonSpApiSandbox()
    sandbox.fail(reply(answer))
    with hub(sandbox) as shop, pytest.raises(VendorFailed):
        shop.shops().orders()


def test_requests_of_a_parcel() -> None:
    """To ship a parcel, moorage reads the order and confirms all quantities that are left."""
    sandbox = AmazonSpApiSandbox()
    order = sandbox.add_order(2, 1)
    with hub(sandbox) as shop:
        receipt = shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    lines = [f"{request.method} {request.path}" for request in sandbox.requests]
    confirmation = f"POST /orders/v0/orders/{order}/shipmentConfirmation"
    assert [f"GET {ORDERS}/{order}", confirmation] == lines
    body = sandbox.requests[-1].json()
    details = body["packageDetail"]
    assert MARKETPLACE == body["marketplaceId"]
    assert ("UPS", "UPS", "1Z 999") == (
        details["carrierCode"],
        details["carrierName"],
        details["trackingNumber"],
    )
    assert "2031-05-06T07:08:10.000Z" == details["shipDate"]
    assert [2, 1] == [item["quantity"] for item in details["orderItems"]]
    assert (details["packageReferenceId"], Completion.DONE) == (receipt.id, receipt.completion)
    assert 0 < int(details["packageReferenceId"]) < 10**9


def test_number_of_a_parcel_follows_from_its_key() -> None:
    """A parcel's number at Amazon follows from its idempotency key."""
    numbers = []
    for key in ("k-1", "k-1", "k-2"):
        sandbox = AmazonSpApiSandbox()
        with hub(sandbox) as shop:
            receipt = shop.shops().fulfil(ref(sandbox.add_order(1)), PARCEL, idempotency_key=key)
            numbers.append(receipt.id)

    assert numbers[0] == numbers[1] != numbers[2]


def test_parcel_without_carrier_has_amazon_code_for_other_carriers() -> None:
    """A parcel without a carrier has Amazon's code for other carriers, and a name."""
    sandbox = AmazonSpApiSandbox()
    with hub(sandbox) as shop:
        order = ref(sandbox.add_order(1))
        shop.shops().fulfil(order, Fulfilment(tracking_number="1Z"), idempotency_key="k")

    details = sandbox.requests[-1].json()["packageDetail"]
    assert ("Other", "Other") == (details["carrierCode"], details["carrierName"])


def test_parcel_without_a_tracking_number_is_refused() -> None:
    """Amazon requires a tracking number, so a parcel without one is refused before a request."""
    sandbox = AmazonSpApiSandbox()
    with hub(sandbox) as shop, pytest.raises(InvalidData) as excinfo:
        shop.shops().fulfil(ref("1"), Fulfilment(carrier="UPS"), idempotency_key="k")
    assert ("tracking_number", []) == (excinfo.value.field, sandbox.requests)


def test_parcels_of_an_order_have_their_own_numbers() -> None:
    """A second parcel of an order ships the rest, and does not change the first parcel."""
    sandbox = AmazonSpApiSandbox()
    order = ref(sandbox.add_order(3))
    with hub(sandbox) as shop:
        id_ = shop.shops().get_order(order).lines[0].id
        first = Fulfilment(tracking_number="1", lines=[FulfilledLine(id=id_, quantity=2)])
        shop.shops().fulfil(order, first, idempotency_key="k-1")
        shop.shops().fulfil(order, Fulfilment(tracking_number="2"), idempotency_key="k-2")

    assert [2, 1] == [parcel.quantity for parcel in sandbox.parcels()]


def test_parcel_that_amazon_has_already_is_not_confirmed_again() -> None:
    """A parcel whose tracking number Amazon already has gives the existing receipt."""
    sandbox = AmazonSpApiSandbox()
    order = ref(sandbox.add_order(1))
    with hub(sandbox) as shop:
        first = shop.shops().fulfil(order, PARCEL, idempotency_key="k-1")
        second = shop.shops().fulfil(order, PARCEL, idempotency_key="k-2")
        with pytest.raises(VendorRejected) as excinfo:
            shop.shops().fulfil(order, Fulfilment(tracking_number="2"), idempotency_key="k-3")

    assert first.id == second.id
    assert ("SHIPPED", 1) == (excinfo.value.vendor_code, len(sandbox.parcels()))


def test_lost_confirmation_is_found_by_parcel_own_number() -> None:
    """After a lost confirmation, a parcel is found by its own number, not its tracking number."""
    sandbox = AmazonSpApiSandbox()
    order = ref(sandbox.add_order(1))
    with hub(sandbox) as shop:
        receipt = shop.shops().fulfil(order, PARCEL, idempotency_key="k-1")
        other = AmazonSpApiSandbox()
        packages = [{"packageReferenceId": receipt.id, "trackingNumber": "1Z999"}]
        other.fail(None, Lost(), amazon_order(orderItems=[line()], packages=packages))
        with hub(other) as second_hub:
            receipt_again = second_hub.shops().fulfil(
                ref(other.add_order(1)), PARCEL, idempotency_key="k-1"
            )

    assert receipt.id == receipt_again.id


@pytest.mark.parametrize(
    "state, shipper, code",
    [
        ("PENDING", "MERCHANT", "PENDING"),
        ("CANCELLED", "MERCHANT", "CANCELLED"),
        ("UNFULFILLABLE", "AMAZON", "UNFULFILLABLE"),
        ("A_NEW_WORD", "MERCHANT", "A_NEW_WORD"),
        ("UNSHIPPED", "AMAZON", "AMAZON"),
    ],
)
def test_order_that_the_seller_does_not_ship_takes_no_parcel(
    state: str, shipper: str, code: str
) -> None:
    """An order that is not ready, has ended, or is shipped by Amazon accepts no parcel."""
    sandbox = AmazonSpApiSandbox()
    order = sandbox.add_order(1)
    sandbox.set_state(order, state, shipper=shipper)
    with hub(sandbox) as shop, pytest.raises(VendorRejected) as excinfo:
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    assert code == excinfo.value.vendor_code
    assert ["GET"] == [request.method for request in sandbox.requests]


def test_parcel_of_order_whose_lines_are_all_shipped_is_refused() -> None:
    """A parcel of an order whose lines are all shipped is refused, whatever the order's state."""
    sandbox = AmazonSpApiSandbox()
    counts = {"quantityFulfilled": 3, "quantityUnfulfilled": 0}
    sandbox.fail(amazon_order(orderItems=[line(fulfillment=counts)]))
    with hub(sandbox) as shop, pytest.raises(VendorRejected):
        shop.shops().fulfil(ref("1"), PARCEL, idempotency_key="k")
    assert 1 == len(sandbox.requests)


def test_order_without_a_marketplace_uses_the_accounts_marketplace() -> None:
    """If an order has no marketplace, its parcel is confirmed in the account's marketplace."""
    sandbox = AmazonSpApiSandbox()
    sandbox.fail(amazon_order(orderItems=[line()]), Response(204))
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref("1"), PARCEL, idempotency_key="k")
    assert MARKETPLACE == sandbox.requests[-1].json()["marketplaceId"]


@pytest.mark.parametrize(
    "order",
    [
        {"orderItems": None},
        {"orderItems": [line(orderItemId=None)]},
        {"orderItems": [line(fulfillment={})]},
        {"orderItems": [line()], "packages": [{"trackingNumber": "1"}]},
    ],
)
def test_order_whose_lines_cannot_be_read_is_not_shipped(order: dict[str, Any]) -> None:
    """An order whose lines or parcels cannot be read raises an error, and is not shipped."""
    sandbox = AmazonSpApiSandbox()
    sandbox.fail(amazon_order(**order))
    with hub(sandbox) as shop, pytest.raises(ConnectorError):
        shop.shops().fulfil(ref("1"), PARCEL, idempotency_key="k")
    assert ["GET"] == [request.method for request in sandbox.requests]


def test_confirmation_with_a_content_is_no_receipt() -> None:
    """A parcel is confirmed only if Amazon responds with HTTP 204."""
    sandbox = AmazonSpApiSandbox()
    unknown = amazon_order(orderItems=[line()])
    sandbox.fail(unknown, reply({}), unknown)
    with hub(sandbox) as shop, pytest.raises(OutcomeUnknown):
        shop.shops().fulfil(ref("1"), PARCEL, idempotency_key="k")


def test_lines_of_an_order() -> None:
    """An order line's total is reduced by its discount, or is None if the discount is unknown."""
    sandbox = AmazonSpApiSandbox()
    item = part("ITEM", "9.00")
    proceeds = [
        [item],
        [item, part("DISCOUNT", "-2.00", ("ITEM", "-1.50", "EUR"), ("SHIPPING", "-0.50", "EUR"))],
        [item, part("DISCOUNT", "2.00", ("ITEM", "2.00", "EUR"))],
        [item, part("DISCOUNT", "2.00")],
        [item, part("DISCOUNT", "2.00", ("ITEM", "2.00", "GBP"))],
        [part("DISCOUNT", "2.00", ("ITEM", "2.00", "EUR"))],
        [],
    ]
    lines = [line(proceeds={"breakdowns": breakdowns}) for breakdowns in proceeds]
    sandbox.fail(amazon_order(orderItems=lines))
    with hub(sandbox) as shop:
        totals = [item.total for item in shop.shops().get_order(ref("1")).lines]

    euros = [Money(amount, "EUR") for amount in ("9.00", "7.50", "7.00")]
    assert [*euros, None, None, None, None] == totals


@pytest.mark.parametrize(
    "order",
    [
        {"orderItems": None},
        {"orderItems": [line(orderItemId="")]},
        {"orderItems": [line(quantityOrdered=None)]},
        {"lastUpdatedTime": None},
        {"orderId": ""},
    ],
)
def test_incomplete_order_is_an_error(order: dict[str, Any]) -> None:
    """An order that lacks a required field raises an error."""
    sandbox = AmazonSpApiSandbox()
    sandbox.fail(amazon_order(**order))
    with hub(sandbox) as shop, pytest.raises(VendorFailed):
        shop.shops().get_order(ref("1"))


def test_item_in_amazons_warehouses() -> None:
    """An item in Amazon's warehouse that the seller does not offer has no price and no stock."""
    sandbox = AmazonSpApiSandbox()
    with hub(sandbox) as shop:
        item = shop.shops().find_items("ROPE-20").items[0]
        with pytest.raises(VendorRejected) as excinfo:
            shop.shops().set_stock(item.ref, 3)
        with pytest.raises(InvalidData):
            shop.shops().set_price(item.ref, Money("1.00", "EUR"))

    assert (None, None, "Rope ROPE-20") == (item.price, item.stock, item.title)
    assert "90000900" == excinfo.value.vendor_code


def test_item_of_several_marketplaces() -> None:
    """An item's title, price and type are those of the account's marketplace."""
    sandbox = AmazonSpApiSandbox()
    other, german = {"marketplaceId": "ATVPDKIKX0DER"}, {"marketplaceId": MARKETPLACE}
    dollars = {"amount": "9.00", "currencyCode": "USD"}
    euros, cheaper = ({"amount": amount, "currencyCode": "EUR"} for amount in ("8.00", "7.00"))
    item = {
        "sku": "A",
        "summaries": [{**other, "itemName": "Rope"}, {**german, "itemName": "Seil"}],
        "productTypes": [{**other, "productType": "CORD"}, {**german, "productType": "ROPE"}],
        "offers": [
            {**other, "offerType": "B2C", "price": dollars},
            {**german, "offerType": "B2B", "price": cheaper},
            {**german, "offerType": "B2C", "price": euros},
        ],
    }
    sandbox.fail(reply(item), reply({**item, "sku": "B"}), reply({**item, "productTypes": []}))
    with hub(sandbox) as shop:
        seil = shop.shops().find_items("A").items[0]
        assert () == shop.shops().find_items("A").items
        with pytest.raises(VendorFailed):
            shop.shops().find_items("A")

    assert ("Seil", Money("8.00", "EUR"), None) == (seil.title, seil.price, seil.stock)
    assert "ROPE" == seil.ref.other("product_type")


def test_refused_search_is_not_an_empty_page() -> None:
    """Only Amazon's response that nothing was found becomes an empty page of items."""
    sandbox = AmazonSpApiSandbox()
    sandbox.fail(reply({"errors": [{"code": "Conflict"}]}, 409))
    with hub(sandbox) as shop, pytest.raises(VendorRejected):
        shop.shops().find_items("A")


def test_requests_of_stock_and_price() -> None:
    """Stock and price changes are merged into Amazon's listing, under the encoded SKU."""
    sandbox = AmazonSpApiSandbox()
    done = reply({"sku": "A/1", "status": "ACCEPTED", "submissionId": "1"})
    sandbox.fail(done, done, done)
    item = Ref("amazon_sp_api", "shop", "A/1", {"currency": "KWD", "product_type": "ROPE"})
    with hub(sandbox) as shop:
        shop.shops().set_stock(item, 7)
        price = shop.shops().set_price(item, Money("2.505", "KWD")).price
        shop.shops().set_price(item, Money("2", "KWD"))

    path = "/listings/2021-08-01/items/A2SANDBOX1/A%2F1"
    assert {f"PATCH {path}"} == {
        f"{sent_request.method} {sent_request.path}" for sent_request in sandbox.requests
    }
    query = (("includedData", "issues"), ("marketplaceIds", MARKETPLACE))
    assert {query} == {tuple(sorted(request.query)) for request in sandbox.requests}
    bodies = [request.json() for request in sandbox.requests]
    stock = {"fulfillment_channel_code": "DEFAULT", "quantity": 7}
    patch = {"op": "merge", "path": "/attributes/fulfillment_availability", "value": [stock]}
    assert {"productType": "ROPE", "patches": [patch]} == bodies[0]
    offers = [body["patches"][0]["value"][0] for body in bodies[1:]]
    assert {"marketplace_id": MARKETPLACE, "currency": "KWD", "audience": "ALL"}.items() <= (
        offers[0].items()
    )
    prices = [offer["our_price"][0]["schedule"][0]["value_with_tax"] for offer in offers]
    assert [2.505, 2] == prices
    assert Money("2.505", "KWD") == price


def test_price_with_too_many_digits_is_refused() -> None:
    """A price with more digits than a JSON number can hold is refused before sending."""
    sandbox = AmazonSpApiSandbox()
    with hub(sandbox) as shop, pytest.raises(InvalidData):
        shop.shops().set_price(ref("A"), Money("90071992547409931.25", "EUR"))
    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "answer, error",
    [
        ({"status": "INVALID", "issues": [{"code": "1", "severity": "ERROR"}]}, VendorRejected),
        ({"status": "INVALID", "issues": [{"code": "1", "severity": "WARNING"}]}, VendorRejected),
        ({"status": "INVALID"}, VendorRejected),
        ({"status": "VALID"}, VendorFailed),
        ({"status": "A_NEW_WORD"}, VendorFailed),
        ({}, VendorFailed),
    ],
)
def test_change_that_was_not_accepted_is_an_error(
    answer: dict[str, Any], error: type[ConnectorError]
) -> None:
    """A change is a success only if Amazon accepted it for processing."""
    sandbox = AmazonSpApiSandbox()
    sandbox.fail(reply(answer))
    with hub(sandbox) as shop, pytest.raises(error):
        shop.shops().set_stock(ref("A"), 7)


def test_change_needs_the_type_of_the_product() -> None:
    """If an item's reference lacks the product type, its change is refused before a request."""
    sandbox = AmazonSpApiSandbox()
    with hub(sandbox) as shop, pytest.raises(InvalidData, match="contain the product type"):
        shop.shops().set_stock(Ref("amazon_sp_api", "shop", "A"), 7)
    assert [] == sandbox.requests


def test_tokens_are_renewed_by_the_refresh_token() -> None:
    """An account with an application renews its own tokens, and replaces a refused one."""
    sandbox = AmazonSpApiSandbox()
    account = {
        **NAMES,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "refresh_token": sandbox.refresh_token,
    }
    configuration = {"shops": {"vendor": "amazon_sp_api"}, "vendors": {"amazon_sp_api": account}}
    with moorage.open(configuration, http=SandboxHttpClient(sandbox)) as shop:
        order = f"amazon_sp_api:amazon_sp_api:{sandbox.add_order(1)}"
        shop.shops().get_order(order)
        shop.shops().get_order(order)
        assert 1 == sandbox.token_endpoint.grants
        sandbox.token_endpoint.forget()
        with pytest.raises(ConnectorError):
            # Amazon refuses an expired token with HTTP 403, which does not renew it.
            shop.shops().get_order(order)

    assert all(item.headers.get("authorization") is None for item in sandbox.requests)


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "refresh_token"])
def test_incomplete_application_credentials_are_refused(missing: str) -> None:
    """An application without its secret or its refresh token is refused."""
    parts = {"client_id": "a", "client_secret": "b", "refresh_token": "c"}
    del parts[missing]
    with pytest.raises(ConfigurationError):
        AmazonSpApi(**NAMES, **parts)


@pytest.mark.parametrize(
    "options, url, mode",
    [
        ({}, "https://sellingpartnerapi-eu.amazon.com", Mode.LIVE),
        ({"region": "fe"}, "https://sellingpartnerapi-fe.amazon.com", Mode.LIVE),
        (
            {"base_url": "https://sandbox.sellingpartnerapi-eu.amazon.com"},
            "https://sandbox.sellingpartnerapi-eu.amazon.com",
            Mode.TEST,
        ),
        ({"base_url": "https://proxy.example"}, "https://proxy.example", None),
    ],
)
def test_url_and_mode_follow_from_the_region(
    options: dict[str, str], url: str, mode: Mode | None
) -> None:
    """The region decides the account's URL, and the URL decides between test and live mode."""
    vendor = AmazonSpApi(**NAMES, **options)
    assert (url, mode) == (vendor.services()[""].base_url, vendor.mode())


@pytest.mark.parametrize(
    "options",
    [{"seller_id": "a b"}, {"marketplace": "amazon.de"}, {"region": "us"}],
)
def test_wrong_options_are_refused(options: dict[str, str]) -> None:
    """An invalid seller, marketplace or region is refused."""
    with pytest.raises(ConfigurationError):
        AmazonSpApi(**{**NAMES, **options})


def test_secrets_are_not_shown() -> None:
    """The account's repr shows neither the token nor the application's secrets."""
    vendor = AmazonSpApi(
        **NAMES,
        credentials="canary-1",
        client_id="an-application",
        client_secret="canary-2",
        refresh_token="canary-3",
    )
    assert "canary" not in repr(vendor)
    assert "canary" not in repr(vendor.clients())
