"""Test subjects of the shop vendors, for the conformance kit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.contracts.shops import OrderFulfilment, OrderLine, OrderPayment, OrderState
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits.shops_conformance import ShopsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shops.shopify import LOCATION, ShopifySandbox
from moorage.testing.sandboxes.shops.woocommerce import WooCommerceSandbox
from moorage.vendors.shops.shopify import Shopify
from moorage.vendors.shops.woocommerce import WooCommerce

URL = "https://erp.example/webhooks"
DINARS = {"currency": "KWD"}
MOMENT = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
FULL: dict[str, Any] = {
    "number": "#7",
    "total": Money("10.005", "KWD"),
    "tax": Money("1.001", "KWD"),
    "shipping": Money("2.002", "KWD"),
    "discount": Money("0.003", "KWD"),
    "email": "ada@example.com",
    "note": "Ring twice.",
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "shipping_address": Address(
        name="Ada Quayle",
        company="Quayle Ltd",
        line1="Kai 1",
        line2="Shed 2",
        city="Hamburg",
        region="HH",
        postal_code="20457",
        country="DE",
        phone="+4940123456",
    ),
    "lines": (
        OrderLine(
            id="5",
            sku="R",
            title="Rope",
            quantity=3,
            unfulfilled=3,
            unit_price=Money("3.335", "KWD"),
            total=Money("10.005", "KWD"),
        ),
    ),
}
"""What is read of an order with all its details, in dinars."""


def woo_says(status: int, code: str, message: str = "It is refused.") -> Response:
    """Return an error of WooCommerce."""
    return reply({"code": code, "message": message, "data": {"status": status}}, status)


def woo_order(**fields: Any) -> Response:
    """Return WooCommerce's answer about an order."""
    usual = {
        "id": 1,
        "status": "processing",
        "currency": "EUR",
        "total": "10.00",
        "date_modified_gmt": "2031-05-06T07:08:09",
        "date_paid_gmt": None,
        "date_completed_gmt": None,
        "line_items": [],
        "refunds": [],
    }
    return reply({**usual, **fields})


def full_woo_order() -> tuple[Response, dict[str, Any]]:
    """Return WooCommerce's answer with all fields of an order, and the values to read from it."""
    address = {
        "first_name": "Ada",
        "last_name": "Quayle",
        "company": "Quayle Ltd",
        "address_1": "Kai 1",
        "address_2": "Shed 2",
        "city": "Hamburg",
        "state": "HH",
        "postcode": "20457",
        "country": "DE",
        "phone": "+4940123456",
    }
    line = {"id": 5, "sku": "R", "name": "Rope", "quantity": 3, "price": 3.335, "total": "10.005"}
    answer = woo_order(
        number="#7",
        currency="KWD",
        total="10.005",
        total_tax="1.001",
        shipping_total="2.002",
        discount_total="0.003",
        billing={**address, "email": "ada@example.com"},
        shipping=address,
        customer_note="Ring twice.",
        date_created_gmt="2031-05-06T07:08:09",
        line_items=[line],
    )
    billing = attrs.evolve(FULL["shipping_address"], email="ada@example.com")
    expected = {"billing_address": billing, "buyer_total": FULL["total"]}
    return answer, {**FULL, **expected, "ref": Ref("woocommerce", "shop", "1", DINARS)}


def full_shopify_order() -> tuple[Response, dict[str, Any]]:
    """Return Shopify's answer with all fields of an order, and the values to read from it."""
    address = {
        "firstName": "Ada",
        "lastName": "Quayle",
        "company": "Quayle Ltd",
        "address1": "Kai 1",
        "address2": "Shed 2",
        "city": "Hamburg",
        "provinceCode": "HH",
        "zip": "20457",
        "countryCodeV2": "DE",
        "phone": "+4940123456",
    }

    def bag(amount: str) -> dict[str, Any]:
        return {"shopMoney": {"amount": amount, "currencyCode": "KWD"}}

    line = {
        "id": "5",
        "sku": "R",
        "name": "Rope",
        "quantity": 3,
        "unfulfilledQuantity": 3,
        "originalUnitPriceSet": bag("3.335"),
        "discountedTotalSet": bag("10.005"),
    }
    answer = shopify_order(
        name="#7",
        createdAt="2031-05-06T07:08:09Z",
        note="Ring twice.",
        email="ada@example.com",
        currentTotalPriceSet=bag("10.005"),
        currentTotalTaxSet=bag("1.001"),
        currentShippingPriceSet=bag("2.002"),
        currentTotalDiscountsSet=bag("0.003"),
        billingAddress=address,
        shippingAddress=address,
        lineItems={"nodes": [line], "pageInfo": {"hasNextPage": False, "endCursor": None}},
    )
    expected = {"billing_address": FULL["shipping_address"], "buyer_total": None}
    ref = Ref("shopify", "shop", "gid://shopify/Order/1", DINARS)
    return answer, {**FULL, **expected, "ref": ref}


def _woo_states(
    status: str, state: OrderState, payment: OrderPayment, fulfilment: OrderFulfilment
) -> tuple[Response, dict[str, Any]]:
    expected = {
        "state": state,
        "payment": payment,
        "fulfilment": fulfilment,
        "vendor_status": status,
    }
    return woo_order(status=status), expected


def woocommerce() -> ShopsSubject:
    """Return a test subject of WooCommerce with a new sandbox."""
    sandbox = WooCommerceSandbox()
    pending, unpaid = OrderPayment.PENDING, OrderPayment.VOIDED
    unknown = (OrderState.UNKNOWN, OrderPayment.UNKNOWN, OrderFulfilment.UNKNOWN)
    paid = {"date_paid_gmt": "2031-05-06T07:08:09"}
    return ShopsSubject(
        vendor=WooCommerce(
            base_url="https://shop.example",
            consumer_key=sandbox.consumer_key,
            credentials=sandbox.consumer_secret,
            currency="EUR",
        ),
        sandbox=sandbox,
        refusals=(
            (woo_says(400, "rest_invalid_param"), InvalidRequest, "rest_invalid_param"),
            (
                woo_says(401, "woocommerce_rest_cannot_view"),
                AuthenticationFailed,
                "woocommerce_rest_cannot_view",
            ),
            (woo_says(403, "rest_forbidden"), AuthenticationFailed, "rest_forbidden"),
            (
                woo_says(404, "woocommerce_rest_shop_order_invalid_id"),
                VendorRejected,
                "woocommerce_rest_shop_order_invalid_id",
            ),
            (woo_says(429, "too_many"), RateLimitExceeded, "too_many"),
        ),
        answers=(
            full_woo_order(),
            _woo_states("pending", OrderState.OPEN, pending, OrderFulfilment.UNFULFILLED),
            _woo_states("processing", OrderState.OPEN, pending, OrderFulfilment.UNFULFILLED),
            _woo_states("on-hold", OrderState.OPEN, pending, OrderFulfilment.ON_HOLD),
            _woo_states("completed", OrderState.CLOSED, pending, OrderFulfilment.FULFILLED),
            _woo_states("cancelled", OrderState.CANCELED, unpaid, OrderFulfilment.RESTOCKED),
            _woo_states("trash", OrderState.CANCELED, unpaid, OrderFulfilment.UNKNOWN),
            _woo_states(
                "refunded", OrderState.CLOSED, OrderPayment.REFUNDED, OrderFulfilment.UNKNOWN
            ),
            _woo_states(
                "failed", OrderState.OPEN, OrderPayment.FAILED, OrderFulfilment.UNFULFILLED
            ),
            _woo_states("checkout-draft", *unknown),
            _woo_states("ready-for-pickup", *unknown),
            (woo_order(**paid), {"payment": OrderPayment.PAID}),
            (
                woo_order(**paid, refunds=[{"id": 2, "total": "-1.00"}]),
                {"payment": OrderPayment.PARTIALLY_REFUNDED},
            ),
            (
                woo_order(status="cancelled", date_completed_gmt="2031-05-06T07:08:09"),
                {"fulfilment": OrderFulfilment.FULFILLED},
            ),
            (
                woo_order(currency="JPY", total="1000", billing={"country": ""}),
                {"total": Money("1000", "JPY"), "billing_address": None},
            ),
        ),
        secrets=(sandbox.consumer_secret, sandbox.webhook_secret),
        report=lambda order: sandbox.report(URL, order),
        webhook_secret=sandbox.webhook_secret,
    )


def shopify_says(code: str | None, message: str = "It is refused.") -> Response:
    """Return an error of Shopify with the status of a success."""
    extensions = {} if code is None else {"extensions": {"code": code}}
    return reply({"errors": [{"message": message, **extensions}]})


def shopify_order(**fields: Any) -> Response:
    """Return Shopify's answer about an order."""
    money = {"amount": "10.0", "currencyCode": "EUR"}
    usual = {
        "id": "gid://shopify/Order/1",
        "updatedAt": "2031-05-06T07:08:09Z",
        "cancelledAt": None,
        "closed": False,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "currentTotalPriceSet": {"shopMoney": money, "presentmentMoney": money},
        "lineItems": {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}},
    }
    return reply({"data": {"order": {**usual, **fields}}})


def _paid(word: str | None, payment: OrderPayment) -> tuple[Response, dict[str, Any]]:
    return shopify_order(displayFinancialStatus=word), {"payment": payment}


def _shipped(word: str, fulfilment: OrderFulfilment) -> tuple[Response, dict[str, Any]]:
    return shopify_order(displayFulfillmentStatus=word), {"fulfilment": fulfilment}


def shopify() -> ShopsSubject:
    """Return a test subject of Shopify with a new sandbox."""
    sandbox = ShopifySandbox()
    crowns = {"amount": "75.0", "currencyCode": "DKK"}
    euros = {"amount": "10.0", "currencyCode": "EUR"}
    return ShopsSubject(
        vendor=Shopify(shop="harbour-goods", credentials=sandbox.token, location=LOCATION),
        sandbox=sandbox,
        location=LOCATION,
        refusals=(
            (shopify_says("THROTTLED"), RateLimitExceeded, "THROTTLED"),
            (shopify_says("ACCESS_DENIED"), AuthenticationFailed, "ACCESS_DENIED"),
            (shopify_says("SHOP_INACTIVE"), VendorRejected, "SHOP_INACTIVE"),
            (shopify_says("INTERNAL_SERVER_ERROR"), VendorFailed, "INTERNAL_SERVER_ERROR"),
            (shopify_says("MAX_COST_EXCEEDED"), InvalidRequest, "MAX_COST_EXCEEDED"),
            (shopify_says("A_CODE_NOBODY_KNOWS"), InvalidRequest, "A_CODE_NOBODY_KNOWS"),
            (shopify_says(None), InvalidRequest, None),
            (reply({"errors": "Unrecognized token"}, 401), AuthenticationFailed, None),
            (reply({"errors": "This shop is frozen"}, 402), VendorRejected, None),
            (reply({"errors": "Forbidden"}, 403), AuthenticationFailed, None),
            (reply({"errors": "Not Found"}, 404), VendorRejected, None),
            (Response(423), VendorRejected, None),
            (Response(429), RateLimitExceeded, None),
            (Response(503), VendorFailed, None),
        ),
        answers=(
            full_shopify_order(),
            _paid("PENDING", OrderPayment.PENDING),
            _paid("AUTHORIZED", OrderPayment.AUTHORIZED),
            _paid("PARTIALLY_PAID", OrderPayment.PARTIALLY_PAID),
            _paid("PARTIALLY_REFUNDED", OrderPayment.PARTIALLY_REFUNDED),
            _paid("VOIDED", OrderPayment.VOIDED),
            _paid("REFUNDED", OrderPayment.REFUNDED),
            _paid("EXPIRED", OrderPayment.EXPIRED),
            _paid("A_WORD_NOBODY_KNOWS", OrderPayment.UNKNOWN),
            _paid(None, OrderPayment.UNKNOWN),
            _shipped("OPEN", OrderFulfilment.UNFULFILLED),
            _shipped("SCHEDULED", OrderFulfilment.UNFULFILLED),
            _shipped("REQUEST_DECLINED", OrderFulfilment.UNFULFILLED),
            _shipped("IN_PROGRESS", OrderFulfilment.IN_PROGRESS),
            _shipped("PENDING_FULFILLMENT", OrderFulfilment.IN_PROGRESS),
            _shipped("ON_HOLD", OrderFulfilment.ON_HOLD),
            _shipped("RESTOCKED", OrderFulfilment.RESTOCKED),
            _shipped("A_WORD_NOBODY_KNOWS", OrderFulfilment.UNKNOWN),
            (shopify_order(closed=True), {"state": OrderState.CLOSED}),
            (shopify_order(closed=None), {"state": OrderState.UNKNOWN}),
            (
                shopify_order(
                    currentTotalPriceSet={"shopMoney": euros, "presentmentMoney": crowns}
                ),
                {"total": Money("10.00", "EUR"), "buyer_total": Money("75.00", "DKK")},
            ),
        ),
        secrets=(sandbox.token, sandbox.webhook_secret),
        report=lambda order: sandbox.report(URL, order),
        webhook_secret=sandbox.webhook_secret,
    )


SUBJECTS = [shopify, woocommerce]
