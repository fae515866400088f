"""WooCommerce: requests, responses and events."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

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
from moorage.contracts.shops import Completion, Fulfilment, OrderQuery, ShopTopic
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shops.woocommerce import WooCommerceSandbox
from moorage.vendors.shops.woocommerce import WooCommerce
from tests.vendors.shops_subjects import woo_order

API = "/wp-json/wc/v3"
PARCEL = Fulfilment(tracking_number="1Z", carrier="UPS", notify=True)


def hub(sandbox: WooCommerceSandbox, **fields: Any) -> Hub:
    """Return a hub with one account at WooCommerce."""
    options = {
        "base_url": "https://shop.example",
        "consumer_key": sandbox.consumer_key,
        "credentials": sandbox.consumer_secret,
        "currency": "EUR",
        **fields,
    }
    account = Account("shop", WooCommerce(**options), settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def ref(id_: str) -> Ref:
    """Return the reference of an order."""
    return Ref("woocommerce", "shop", id_, {"currency": "EUR"})


def test_request_of_a_list() -> None:
    """A list of orders begins a second earlier, since WooCommerce excludes the given time."""
    sandbox = WooCommerceSandbox()
    start = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    with hub(sandbox) as shop:
        shop.shops().orders(OrderQuery(updated_since=start, limit=500))

    assert {
        "orderby": "modified",
        "order": "asc",
        "per_page": "100",
        "dates_are_gmt": "true",
        "modified_after": "2031-05-06T07:08:08",
    } == dict(sandbox.requests[-1].query)


def test_pages_of_orders_changed_in_one_second_exclude_those_already_read() -> None:
    """If many orders changed in one second, later pages exclude the orders already read."""
    sandbox = WooCommerceSandbox()
    sandbox.still = True
    ids = [sandbox.add_order(1) for _ in range(3)]
    with hub(sandbox) as shop:
        page = shop.shops().orders(OrderQuery(limit=2))
        middle = shop.shops().orders(OrderQuery(limit=2), after=str(page.next))
        end = shop.shops().orders(OrderQuery(limit=2), after=str(middle.next))

    queries = [dict(request.query) for request in sandbox.requests]
    assert [None, f"{ids[0]},{ids[1]}", None] == [query.get("exclude") for query in queries]
    assert "2031-05-06T07:08:09" == queries[2]["modified_after"]
    assert ((), None) == (end.items, end.next)
    assert page.resume_at == middle.resume_at == end.resume_at


@pytest.mark.parametrize(
    "since, expected",
    [
        (datetime.min.replace(tzinfo=UTC), "1970-01-01T00:00:00"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "1970-01-01T00:00:00"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))), "9998-12-31T23:59:59"),
    ],
)
def test_time_at_the_end_of_the_calendar(since: datetime, expected: str) -> None:
    """A start time before 1970 or after 9998 is replaced by the nearest valid time."""
    sandbox = WooCommerceSandbox()
    with hub(sandbox) as shop:
        shop.shops().orders(OrderQuery(updated_since=since))

    assert expected == dict(sandbox.requests[-1].query)["modified_after"]


def test_list_of_orders_ends_at_last_second_of_year_9999() -> None:
    """A list of orders ends at the last second of the year 9999."""
    sandbox = WooCommerceSandbox()
    last = {**woo_order(date_modified_gmt="9999-12-31T23:59:59").json()}
    link = '<https://shop.example/wp-json/wc/v3/orders?page=2>; rel="next"'
    sandbox.fail(reply([last], Link=link), reply([]), reply([last]))
    with hub(sandbox) as shop:
        first = shop.shops().orders()
        second = shop.shops().orders(after=first.next)
        third = shop.shops().orders(after=second.next)

    assert third.next is None


def test_requests_of_a_parcel() -> None:
    """A parcel completes the order, is stored in a field, and adds one note."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(1)
    with hub(sandbox, parcel_note="Paket {number} mit {carrier} {url}") as shop:
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    lines = [f"{request.method} {request.path}" for request in sandbox.requests]
    path = f"{API}/orders/{order}"
    assert [f"GET {path}", f"PUT {path}", f"GET {path}/notes", f"POST {path}/notes"] == lines
    assert {
        "status": "completed",
        "meta_data": [{"key": "_moorage_parcel", "value": "UPS 1Z"}],
    } == sandbox.requests[1].json()
    assert ["Paket 1Z mit UPS"] == sandbox.notes(order)


def test_note_about_a_parcel_is_english_by_default() -> None:
    """Without `parcel_note`, the buyer reads in English which carrier has the parcel."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(1)
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    assert ["Your parcel is on its way: UPS 1Z"] == sandbox.notes(order)


@pytest.mark.parametrize("lost", [2, 3])
def test_note_is_written_once(lost: int) -> None:
    """After a lost response, an order's note is looked up and not written again."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(1)
    sandbox.fail(*([None] * lost), Lost())
    with hub(sandbox) as shop:
        for _ in range(2):
            with suppress(ConnectorError):  # this second attempt must succeed
                shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")
        receipt = shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")

    assert Completion.DONE is receipt.completion
    assert 1 == len(sandbox.notes(order))


def test_note_that_cannot_be_found_is_uncertain() -> None:
    """If a note whose response was lost is not found, the outcome is unknown."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(1)
    sandbox.fail(None, None, None, Lost(), reply([]))
    with hub(sandbox) as shop, pytest.raises(OutcomeUnknown):
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_look_up_that_fails_leaves_the_outcome_unknown(status: int) -> None:
    """If the look-up after a lost response is refused, the outcome is unknown."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(2)
    with hub(sandbox) as shop:
        sandbox.fail(None, None, None, Lost(), reply({}, status))
        with pytest.raises(OutcomeUnknown):
            shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k-1")
        sandbox.fail(None, Lost(), reply({}, status))
        with pytest.raises(OutcomeUnknown):
            shop.shops().refund(ref(order), Money("1.00", "EUR"), idempotency_key="k-2")


@pytest.mark.parametrize("status", ["cancelled", "refunded", "failed", "trash", "checkout-draft"])
def test_order_that_cannot_be_shipped(status: str) -> None:
    """A parcel for a cancelled, refunded, failed, deleted or draft order is refused."""
    sandbox = WooCommerceSandbox()
    sandbox.fail(reply({"id": 1, "status": status}))
    with hub(sandbox) as shop, pytest.raises(VendorRejected) as excinfo:
        shop.shops().fulfil(ref("1"), PARCEL, idempotency_key="k")

    assert status == excinfo.value.vendor_code
    assert ["GET"] == [request.method for request in sandbox.requests]


@pytest.mark.parametrize("status", ["completed", "refunded", "trash"])
def test_order_that_cannot_be_cancelled(status: str) -> None:
    """A completed, refunded or deleted order cannot be cancelled."""
    sandbox = WooCommerceSandbox()
    sandbox.fail(reply({"id": 1, "status": status}))
    with hub(sandbox) as shop, pytest.raises(VendorRejected):
        shop.shops().cancel(ref("1"))
    assert ["GET"] == [request.method for request in sandbox.requests]


def test_shop_that_keeps_another_status() -> None:
    """If a shop's plugin sets another status, a parcel or cancellation does not count as done."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(1)
    answer = reply({"id": 1, "status": "awaiting-carrier"})
    silent = Fulfilment()
    with hub(sandbox) as shop:
        sandbox.fail(None, answer, None, answer)
        receipt = shop.shops().fulfil(ref(order), silent, idempotency_key="k")
        cancellation = shop.shops().cancel(ref(order))

    assert Completion.UNKNOWN is receipt.completion
    assert Completion.UNKNOWN is cancellation.completion
    assert "awaiting-carrier" == receipt.vendor_status


def test_request_of_a_refund() -> None:
    """A refund is first searched by its key, then sent with amount, reason and key."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(2)
    with hub(sandbox) as shop:
        amount = Money("5.00", "EUR")
        shop.shops().refund(ref(order), amount, reason="Late", idempotency_key="k-1")

    assert ["GET", "POST"] == [request.method for request in sandbox.requests]
    assert {
        "amount": "5.00",
        "reason": "Late",
        "api_refund": True,
        "meta_data": [{"key": "_moorage_key", "value": "k-1"}],
    } == sandbox.requests[-1].json()


@pytest.mark.parametrize("key, is_found", [("_moorage_key", True), ("_other_key", False)])
def test_refund_is_found_by_its_own_field(key: str, is_found: bool) -> None:
    """An earlier refund is found by moorage's own field, among fields of other plugins."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(2)
    fields = [{"key": "_reason_code", "value": "7"}, {"key": key, "value": "k-1"}]
    sandbox.fail(reply([{"id": 9, "amount": "5.00", "meta_data": fields}]))
    with hub(sandbox) as shop:
        refund = shop.shops().refund(ref(order), Money("5.00", "EUR"), idempotency_key="k-1")

    assert is_found is (refund.id == "9")
    assert ["GET"] + ["POST"] * (not is_found) == [item.method for item in sandbox.requests]


def test_amounts_have_all_their_decimals() -> None:
    """Refunds and prices in dinars are sent and read with three decimals."""
    sandbox = WooCommerceSandbox()
    dinars = {"currency": "KWD"}
    item = {"id": 9, "type": "simple", "parent_id": 0, "sku": "R", "regular_price": "2.505"}
    sandbox.fail(
        reply([]),
        reply({"id": 1, "amount": "1.505"}),
        reply([item]),
        reply({"id": 9, "regular_price": "2.505"}),
    )
    with hub(sandbox, currency="KWD") as shop:
        order, amount = Ref("woocommerce", "shop", "7", dinars), Money("1.505", "KWD")
        refund = shop.shops().refund(order, amount, idempotency_key="k" * 200)
        item_at_shop = shop.shops().find_items("R").items[0]
        receipt = shop.shops().set_price(item_at_shop.ref, Money("2.505", "KWD"))
    search, refund_request, _, priced = sandbox.requests

    assert (("per_page", "100"),) == search.query
    assert "1.505" == refund_request.json()["amount"]
    assert 64 >= len(refund_request.json()["meta_data"][0]["value"])
    assert {"regular_price": "2.505"} == priced.json()
    assert [amount, Money("2.505", "KWD"), Money("2.505", "KWD")] == [
        refund.amount,
        item_at_shop.price,
        receipt.price,
    ]


@pytest.mark.parametrize(
    "parcel, text",
    [
        (
            Fulfilment(carrier="UPS", tracking_number="1Z", tracking_url="https://ups.example"),
            "UPS 1Z https://ups.example",
        ),
        (Fulfilment(tracking_number="1Z"), "1Z"),
        (Fulfilment(), "shipped"),
    ],
)
def test_parcel_is_noted_at_its_order(parcel: Fulfilment, text: str) -> None:
    """The order stores the parcel's carrier, number and tracking URL."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(1)
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref(order), parcel, idempotency_key="k")

    looked_up, written = sandbox.requests
    assert (("_fields", "id,status"),) == looked_up.query
    assert text == written.json()["meta_data"][0]["value"]


def test_steps_of_a_repeated_parcel_and_refund() -> None:
    """Repeating a key writes no second note and no second refund, whatever the shop returns."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(2)
    with hub(sandbox) as shop:
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")
        sandbox.fail(reply([]))
        shop.shops().fulfil(ref(order), PARCEL, idempotency_key="k")
        amount = Money("5.00", "EUR")
        refunds = [shop.shops().refund(ref(order), amount, idempotency_key="r")]
        sandbox.fail(reply([]))
        refunds.append(shop.shops().refund(ref(order), amount, idempotency_key="r"))
    writes = [request for request in sandbox.requests if request.method == "POST"]

    assert [f"{API}/orders/{order}/notes", f"{API}/orders/{order}/refunds"] == [
        request.path for request in writes
    ]
    assert 1 == len({refund.id for refund in refunds})


def test_canceled_order_is_not_cancelled_again() -> None:
    """Cancelling an order that is already cancelled only reads the order."""
    sandbox = WooCommerceSandbox()
    sandbox.fail(reply({"id": 1, "status": "cancelled"}))
    with hub(sandbox) as shop:
        receipt = shop.shops().cancel(ref("1"))

    assert Completion.DONE is receipt.completion
    assert [(("_fields", "id,status"),)] == [request.query for request in sandbox.requests]


def test_refused_refund_is_uncertain() -> None:
    """If a refund fails with HTTP 500, its outcome is unknown: a plugin may have paid it."""
    sandbox = WooCommerceSandbox()
    order = sandbox.add_order(1)
    with hub(sandbox) as shop, pytest.raises(OutcomeUnknown):
        shop.shops().refund(ref(order), Money("500.00", "EUR"), idempotency_key="k")
    assert [] == list(sandbox.refunds())


def test_product_variation_is_changed_below_its_product() -> None:
    """A product's variation is changed at its URL path below the product."""
    sandbox = WooCommerceSandbox()
    with hub(sandbox) as shop:
        item = shop.shops().find_items("ROPE-20").items[0]
        shop.shops().set_stock(item.ref, 3)

    assert f"{API}/products/30/variations/31" == sandbox.requests[-1].path
    assert {"manage_stock": True, "stock_quantity": 3} == sandbox.requests[-1].json()


def test_pages_of_items() -> None:
    """A page of items has a reference to the next page, unless it is the last."""
    sandbox = WooCommerceSandbox()
    link = '<https://shop.example/wp-json/wc/v3/products?page=2>; rel="next"'
    item = {"id": 1, "type": "simple", "parent_id": 0, "sku": "A"}
    sandbox.fail(reply([item], Link=link), reply([]))
    with hub(sandbox) as shop:
        page = shop.shops().find_items("A")
        shop.shops().find_items("A", after=page.next)

    assert (None, None) == (page.items[0].stock, page.items[0].price)
    assert "2" == dict(sandbox.requests[-1].query)["page"]


@pytest.mark.parametrize("page", ["abc", "-1", "1" * 10, "\u0663", "1" * 5_000])
def test_page_of_items_is_a_number(page: str) -> None:
    """An invalid page reference is refused before a request."""
    sandbox = WooCommerceSandbox()
    with hub(sandbox) as shop, pytest.raises(InvalidData):
        shop.shops().find_items("A", after=f"woocommerce:shop:{page}")

    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "order",
    [
        {"line_items": None},
        {"line_items": [{"id": 1}]},
        {"total": "1.005"},
        {"status": ""},
        {"date_modified_gmt": None},
    ],
)
def test_incomplete_order_is_an_error(order: dict[str, Any]) -> None:
    """An order that lacks a required field is an error."""
    sandbox = WooCommerceSandbox()
    sandbox.fail(woo_order(**order))
    with hub(sandbox) as shop, pytest.raises(VendorFailed):
        shop.shops().get_order(ref("1"))


@pytest.mark.parametrize(
    "topic, expected",
    [
        ("order.created", ShopTopic.ORDER_CREATED),
        ("order.restored", ShopTopic.ORDER_UPDATED),
        ("order.deleted", ShopTopic.ORDER_DELETED),
        ("product.updated", None),
    ],
)
def test_topics_of_events(topic: str, expected: ShopTopic | None) -> None:
    """Each topic of an order webhook has its event type, and other topics give no event."""
    sandbox = WooCommerceSandbox()
    notice = sandbox.report("https://erp.example/hooks", sandbox.add_order(1), topic)
    with hub(sandbox) as shop:
        verifier = shop.webhooks("shop", secrets=sandbox.webhook_secret)
        events = shop.events("shop", verifier.verify(**notice.arguments())[0])

    assert ([] if expected is None else [expected]) == [event.topic for event in events]


def test_currency_is_a_code() -> None:
    """The shop's currency must be an ISO 4217 code."""
    with pytest.raises(ConfigurationError, match="not an ISO 4217 currency code"):
        WooCommerce(base_url="https://a.example", consumer_key="ck_a", currency="euro")


def test_keys_are_not_shown() -> None:
    """The account's repr shows neither the key nor its secret."""
    vendor = WooCommerce(
        base_url="https://shop.example",
        consumer_key="ck_canary",
        credentials="cs_canary",
        currency="EUR",
    )

    assert "canary" not in repr(vendor)
