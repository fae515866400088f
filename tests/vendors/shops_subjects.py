"""Test subjects of all shop vendors for the conformance kit."""

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
from moorage.testing.sandboxes.shops.amazon_sp_api import MARKETPLACE, AmazonSpApiSandbox
from moorage.testing.sandboxes.shops.ebay import EbaySandbox
from moorage.testing.sandboxes.shops.shopify import LOCATION, ShopifySandbox
from moorage.testing.sandboxes.shops.woocommerce import WooCommerceSandbox
from moorage.vendors.shops.amazon_sp_api import AmazonSpApi
from moorage.vendors.shops.ebay import Ebay
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


def woo_error(status: int, code: str, message: str = "It is refused.") -> Response:
    """Return an error response of WooCommerce."""
    return reply({"code": code, "message": message, "data": {"status": status}}, status)


def woo_order(**fields: Any) -> Response:
    """Return WooCommerce's response with an order."""
    defaults = {
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
    return reply({**defaults, **fields})


def full_woo_order() -> tuple[Response, dict[str, Any]]:
    """Return WooCommerce's order with all fields, and the values to be read from it."""
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
    expected = {
        "billing_address": billing,
        "buyer_total": FULL["total"],
        "prices_include_tax": False,
    }
    return answer, {**FULL, **expected, "ref": Ref("woocommerce", "shop", "1", DINARS)}


def full_shopify_order() -> tuple[Response, dict[str, Any]]:
    """Return Shopify's order with all fields, and the values to be read from it."""
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
        "discountAllocations": [],
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
        taxesIncluded=True,
        billingAddress=address,
        shippingAddress=address,
        lineItems={"nodes": [line], "pageInfo": {"hasNextPage": False, "endCursor": None}},
    )
    expected = {
        "billing_address": FULL["shipping_address"],
        "buyer_total": None,
        "prices_include_tax": True,
    }
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
            (woo_error(400, "rest_invalid_param"), InvalidRequest, "rest_invalid_param"),
            (
                woo_error(401, "woocommerce_rest_cannot_view"),
                AuthenticationFailed,
                "woocommerce_rest_cannot_view",
            ),
            (woo_error(403, "rest_forbidden"), AuthenticationFailed, "rest_forbidden"),
            (
                woo_error(404, "woocommerce_rest_shop_order_invalid_id"),
                VendorRejected,
                "woocommerce_rest_shop_order_invalid_id",
            ),
            (woo_error(429, "too_many"), RateLimitExceeded, "too_many"),
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


def shopify_error(code: str | None, message: str = "It is refused.") -> Response:
    """Return an error response of Shopify, which has the HTTP status of a success."""
    extensions = {} if code is None else {"extensions": {"code": code}}
    return reply({"errors": [{"message": message, **extensions}]})


def shopify_order(**fields: Any) -> Response:
    """Return Shopify's response with an order."""
    money = {"amount": "10.0", "currencyCode": "EUR"}
    defaults = {
        "id": "gid://shopify/Order/1",
        "updatedAt": "2031-05-06T07:08:09Z",
        "cancelledAt": None,
        "closed": False,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "currentTotalPriceSet": {"shopMoney": money, "presentmentMoney": money},
        "lineItems": {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}},
    }
    return reply({"data": {"order": {**defaults, **fields}}})


def _paid(word: str | None, payment: OrderPayment) -> tuple[Response, dict[str, Any]]:
    return shopify_order(displayFinancialStatus=word), {"payment": payment}


def _shipped_order(word: str, fulfilment: OrderFulfilment) -> tuple[Response, dict[str, Any]]:
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
            (shopify_error("THROTTLED"), RateLimitExceeded, "THROTTLED"),
            (shopify_error("ACCESS_DENIED"), AuthenticationFailed, "ACCESS_DENIED"),
            (shopify_error("SHOP_INACTIVE"), VendorRejected, "SHOP_INACTIVE"),
            (shopify_error("INTERNAL_SERVER_ERROR"), VendorFailed, "INTERNAL_SERVER_ERROR"),
            (shopify_error("MAX_COST_EXCEEDED"), InvalidRequest, "MAX_COST_EXCEEDED"),
            (shopify_error("A_CODE_NOBODY_KNOWS"), InvalidRequest, "A_CODE_NOBODY_KNOWS"),
            (shopify_error(None), InvalidRequest, None),
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
            _shipped_order("OPEN", OrderFulfilment.UNFULFILLED),
            _shipped_order("SCHEDULED", OrderFulfilment.UNFULFILLED),
            _shipped_order("REQUEST_DECLINED", OrderFulfilment.UNFULFILLED),
            _shipped_order("IN_PROGRESS", OrderFulfilment.IN_PROGRESS),
            _shipped_order("PENDING_FULFILLMENT", OrderFulfilment.IN_PROGRESS),
            _shipped_order("ON_HOLD", OrderFulfilment.ON_HOLD),
            _shipped_order("RESTOCKED", OrderFulfilment.RESTOCKED),
            _shipped_order("A_WORD_NOBODY_KNOWS", OrderFulfilment.UNKNOWN),
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


def ebay_error(status: int, code: int | None, message: str = "It is refused.") -> Response:
    """Return an error response of eBay."""
    error = {"errorId": code, "domain": "API_FULFILLMENT", "longMessage": message}
    return reply({"errors": [error]}, status)


def ebay_order(**fields: Any) -> Response:
    """Return eBay's response with an order."""
    defaults = {
        "orderId": "1",
        "lastModifiedDate": "2031-05-06T07:08:09.000Z",
        "orderFulfillmentStatus": "NOT_STARTED",
        "orderPaymentStatus": "PAID",
        "cancelStatus": {"cancelState": "NONE_REQUESTED"},
        "pricingSummary": {"total": {"value": "10.0", "currency": "EUR"}},
        "lineItems": [],
    }
    return reply({**defaults, **fields})


def _dinars(value: str) -> dict[str, str]:
    return {"value": value, "currency": "KWD"}


def full_ebay_order() -> tuple[Response, dict[str, Any]]:
    """Return eBay's order with all fields, and the values to be read from it."""
    receiver = {
        "fullName": "Ada Quayle",
        "companyName": "Quayle Ltd",
        "contactAddress": {
            "addressLine1": "Kai 1",
            "addressLine2": "Shed 2",
            "city": "Hamburg",
            "stateOrProvince": "HH",
            "postalCode": "20457",
            "countryCode": "DE",
        },
        "primaryPhone": {"phoneNumber": "+4940123456"},
    }
    line = {
        "lineItemId": "5",
        "sku": "R",
        "title": "Rope",
        "quantity": 3,
        "lineItemFulfillmentStatus": "NOT_STARTED",
        "lineItemCost": _dinars("10.005"),
    }
    answer = ebay_order(
        creationDate="2031-05-06T07:08:09.000Z",
        buyerCheckoutNotes="Ring twice.",
        buyer={"buyerRegistrationAddress": {**receiver, "email": "ada@example.com"}},
        fulfillmentStartInstructions=[{"shippingStep": {"shipTo": receiver}}],
        pricingSummary={
            "priceDiscount": _dinars("-0.003"),
            "deliveryCost": _dinars("2.005"),
            "deliveryDiscount": _dinars("-0.003"),
            "tax": _dinars("1.001"),
            "total": _dinars("10.005"),
        },
        lineItems=[line],
    )
    billing = attrs.evolve(FULL["shipping_address"], email="ada@example.com")
    expected = {"number": "1", "billing_address": billing, "buyer_total": FULL["total"]}
    return answer, {**FULL, **expected, "ref": Ref("ebay", "shop", "1", DINARS)}


def _ebay_states(
    fulfilment_word: str, cancel_word: str, state: OrderState, fulfilment: OrderFulfilment
) -> tuple[Response, dict[str, Any]]:
    answer = ebay_order(
        orderFulfillmentStatus=fulfilment_word, cancelStatus={"cancelState": cancel_word}
    )
    words = f"{fulfilment_word}/PAID/{cancel_word}"
    return answer, {"state": state, "fulfilment": fulfilment, "vendor_status": words}


def _ebay_paid(
    word: str | None, payment: OrderPayment, **summary: Any
) -> tuple[Response, dict[str, Any]]:
    return ebay_order(orderPaymentStatus=word, paymentSummary=summary), {"payment": payment}


def ebay() -> ShopsSubject:
    """Return a test subject of eBay with a new sandbox."""
    sandbox = EbaySandbox()
    refunds = [{"refundId": "9", "refundStatus": "PENDING"}]
    pounds = {"convertedFromValue": "8.50", "convertedFromCurrency": "GBP"}
    return ShopsSubject(
        vendor=Ebay(credentials=sandbox.token),
        sandbox=sandbox,
        refusals=(
            (ebay_error(400, 30800), InvalidRequest, "30800"),
            (ebay_error(400, 32100), VendorRejected, "32100"),
            (ebay_error(400, 32200), VendorRejected, "32200"),
            (ebay_error(400, 32300), InvalidRequest, "32300"),
            (ebay_error(400, 32400), VendorRejected, "32400"),
            (ebay_error(401, 1001), AuthenticationFailed, "1001"),
            (ebay_error(403, 1100), AuthenticationFailed, "1100"),
            (ebay_error(404, None), VendorRejected, None),
            (ebay_error(409, 30500), VendorRejected, "30500"),
            (ebay_error(429, 2001), RateLimitExceeded, "2001"),
            (Response(404), VendorRejected, None),
            (Response(503), VendorFailed, None),
        ),
        answers=(
            full_ebay_order(),
            _ebay_states(
                "NOT_STARTED", "IN_PROGRESS", OrderState.OPEN, OrderFulfilment.UNFULFILLED
            ),
            _ebay_states(
                "IN_PROGRESS",
                "NONE_REQUESTED",
                OrderState.OPEN,
                OrderFulfilment.PARTIALLY_FULFILLED,
            ),
            _ebay_states(
                "FULFILLED", "NONE_REQUESTED", OrderState.CLOSED, OrderFulfilment.FULFILLED
            ),
            _ebay_states(
                "NOT_STARTED", "CANCELED", OrderState.CANCELED, OrderFulfilment.UNFULFILLED
            ),
            _ebay_states(
                "A_NEW_WORD", "NONE_REQUESTED", OrderState.UNKNOWN, OrderFulfilment.UNKNOWN
            ),
            _ebay_paid("PENDING", OrderPayment.PENDING, refunds=[]),
            _ebay_paid("PENDING", OrderPayment.UNKNOWN, refunds=refunds),
            _ebay_paid("FAILED", OrderPayment.FAILED),
            _ebay_paid("FAILED", OrderPayment.UNKNOWN, refunds=refunds),
            _ebay_paid("PARTIALLY_REFUNDED", OrderPayment.PARTIALLY_REFUNDED, refunds=refunds),
            _ebay_paid("FULLY_REFUNDED", OrderPayment.REFUNDED, refunds=refunds),
            _ebay_paid("A_NEW_WORD", OrderPayment.UNKNOWN),
            _ebay_paid(None, OrderPayment.UNKNOWN),
            (
                ebay_order(
                    pricingSummary={"total": {"value": "10.0", "currency": "EUR", **pounds}}
                ),
                {"total": Money("10.00", "EUR"), "buyer_total": None},
            ),
            (
                ebay_order(pricingSummary={"total": {"value": "1000", "currency": "JPY"}}),
                {"total": Money("1000", "JPY"), "shipping": None, "discount": None},
            ),
        ),
        secrets=(sandbox.token,),
    )


def amazon_error(status: int, code: str | None, message: str = "It is refused.") -> Response:
    """Return an error response of Amazon."""
    return reply({"errors": [{"code": code, "message": message, "details": ""}]}, status)


def amazon_order(word: str | None = "UNSHIPPED", **fields: Any) -> Response:
    """Return Amazon's response with an order in the given state."""
    defaults = {
        "orderId": "1",
        "lastUpdatedTime": "2031-05-06T07:08:09.000Z",
        "fulfillment": {"fulfillmentStatus": word},
        "proceeds": {"grandTotal": {"amount": "10.0", "currencyCode": "EUR"}},
        "orderItems": [],
    }
    return reply({"order": {**defaults, **fields}})


def full_amazon_order() -> tuple[Response, dict[str, Any]]:
    """Return Amazon's order with all fields, and the values to be read from it."""

    def dinars(amount: str) -> dict[str, str]:
        return {"amount": amount, "currencyCode": "KWD"}

    def part(kind: str, amount: str) -> dict[str, Any]:
        return {"type": kind, "subtotal": dinars(amount)}

    address = {
        "name": "Ada Quayle",
        "companyName": "Quayle Ltd",
        "addressLine1": "Kai 1",
        "addressLine2": "Shed 2",
        "city": "Hamburg",
        "stateOrRegion": "HH",
        "postalCode": "20457",
        "countryCode": "DE",
        "phone": "+4940123456",
    }
    line = {
        "orderItemId": "5",
        "quantityOrdered": 3,
        "product": {"title": "Rope", "sellerSku": "R", "price": {"unitPrice": dinars("3.335")}},
        "proceeds": {"breakdowns": [part("ITEM", "10.005"), part("TAX", "1.001")]},
        "fulfillment": {"quantityFulfilled": 0, "quantityUnfulfilled": 3},
    }
    answer = amazon_order(
        createdTime="2031-05-06T07:08:09.000Z",
        buyer={"buyerName": "Ada Quayle", "buyerEmail": "ada@example.com"},
        recipient={"deliveryAddress": address},
        proceeds={
            "grandTotal": dinars("10.005"),
            "breakdowns": [
                part("ITEM", "7.005"),
                part("SHIPPING", "2.002"),
                part("TAX", "1.001"),
                part("DISCOUNT", "-0.003"),
            ],
        },
        orderItems=[line],
    )
    expected = {"number": "1", "billing_address": None, "buyer_total": None, "note": None}
    return answer, {**FULL, **expected, "ref": Ref("amazon_sp_api", "shop", "1", DINARS)}


def _amazon_states(
    word: str, state: OrderState, payment: OrderPayment, fulfilment: OrderFulfilment
) -> tuple[Response, dict[str, Any]]:
    expected = {"state": state, "payment": payment, "fulfilment": fulfilment, "vendor_status": word}
    return amazon_order(word), expected


def _amazon_paid(
    *methods: str | None, payment: OrderPayment, word: str = "UNSHIPPED"
) -> tuple[Response, dict[str, Any]]:
    executions = [{"paymentMethod": method} for method in methods]
    return amazon_order(word, payment={"paymentExecutions": executions}), {"payment": payment}


def amazon_sp_api() -> ShopsSubject:
    """Return a test subject of Amazon with a new sandbox."""
    sandbox = AmazonSpApiSandbox()
    opened, held, unknown = OrderState.OPEN, OrderFulfilment.ON_HOLD, OrderFulfilment.UNKNOWN
    pending, authorized = OrderPayment.PENDING, OrderPayment.AUTHORIZED
    yen = {"grandTotal": {"amount": "1000", "currencyCode": "JPY"}}
    return ShopsSubject(
        vendor=AmazonSpApi(
            credentials=sandbox.token, seller_id=sandbox.seller_id, marketplace=MARKETPLACE
        ),
        sandbox=sandbox,
        refusals=(
            (amazon_error(400, "InvalidInput"), InvalidRequest, "InvalidInput"),
            (amazon_error(401, "Unauthorized"), AuthenticationFailed, "Unauthorized"),
            (amazon_error(403, "Unauthorized"), AuthenticationFailed, "Unauthorized"),
            (amazon_error(404, "NotFound"), VendorRejected, "NotFound"),
            (amazon_error(413, "TooLarge"), InvalidRequest, "TooLarge"),
            (amazon_error(415, "InvalidInput"), InvalidRequest, "InvalidInput"),
            (amazon_error(429, "QuotaExceeded"), RateLimitExceeded, "QuotaExceeded"),
            (Response(404), VendorRejected, None),
            (Response(503), VendorFailed, None),
        ),
        answers=(
            full_amazon_order(),
            _amazon_states("PENDING_AVAILABILITY", opened, pending, held),
            _amazon_states("PENDING", opened, pending, held),
            _amazon_states("UNSHIPPED", opened, authorized, OrderFulfilment.UNFULFILLED),
            _amazon_states(
                "PARTIALLY_SHIPPED", opened, authorized, OrderFulfilment.PARTIALLY_FULFILLED
            ),
            _amazon_states("SHIPPED", OrderState.CLOSED, authorized, OrderFulfilment.FULFILLED),
            _amazon_states("CANCELLED", OrderState.CANCELED, OrderPayment.UNKNOWN, unknown),
            _amazon_states("UNFULFILLABLE", OrderState.UNKNOWN, OrderPayment.UNKNOWN, unknown),
            _amazon_states("A_NEW_WORD", OrderState.UNKNOWN, OrderPayment.UNKNOWN, unknown),
            _amazon_paid("CreditCard", payment=OrderPayment.PAID),
            _amazon_paid("Pix", "CreditCard", payment=OrderPayment.PAID, word="SHIPPED"),
            _amazon_paid("CreditCard", payment=pending, word="PENDING"),
            _amazon_paid("CreditCard", payment=OrderPayment.UNKNOWN, word="CANCELLED"),
            _amazon_paid("CreditCard", "NewMethod", payment=authorized),
            _amazon_paid(None, payment=authorized),
            *(
                _amazon_paid("CreditCard", method, payment=pending)
                for method in ("COD", "CVS", "CashOnDelivery", "ConvenienceStore", "Invoice")
            ),
            (amazon_order(None), {"state": OrderState.UNKNOWN, "vendor_status": ""}),
            (amazon_order(proceeds=None), {"total": None, "shipping": None, "discount": None}),
            (amazon_order(proceeds=yen), {"total": Money("1000", "JPY"), "tax": None}),
        ),
        secrets=(sandbox.token, sandbox.client_secret, sandbox.refresh_token),
    )


SUBJECTS = [shopify, woocommerce, ebay, amazon_sp_api]
