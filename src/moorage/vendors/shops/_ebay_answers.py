"""Conversion of eBay's responses to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    OrderFulfilment,
    OrderLine,
    OrderPayment,
    OrderState,
    ShopItem,
    ShopOrder,
)
from moorage.vendors.shops._common import address_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address
    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Money, Response

CANCELED: Final = "CANCELED"
SHIPPED: Final = "FULFILLED"
_FULFILMENTS: Final[Mapping[str, OrderFulfilment]] = {
    "NOT_STARTED": OrderFulfilment.UNFULFILLED,
    "IN_PROGRESS": OrderFulfilment.PARTIALLY_FULFILLED,
    SHIPPED: OrderFulfilment.FULFILLED,
}
_PAYMENTS: Final[Mapping[str, OrderPayment]] = {
    "PENDING": OrderPayment.PENDING,
    "PAID": OrderPayment.PAID,
    "PARTIALLY_REFUNDED": OrderPayment.PARTIALLY_REFUNDED,
    "FULLY_REFUNDED": OrderPayment.REFUNDED,
    "FAILED": OrderPayment.FAILED,
}
_REFUND_WORDS: Final = frozenset({"PENDING", "FAILED"})
"""The words that concern the payment, or a refund if there is one."""

_CODES: Final[Mapping[str, Any]] = {
    # The code means an unknown order or line, or a suspended seller.
    **dict.fromkeys(("32100", "32200", "32400"), sdk.VendorRejected),
}
_STATUSES: Final[Mapping[int, Any]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    429: sdk.RateLimitExceeded,
}


def _error_code_and_text(response: Response) -> tuple[str | None, str | None]:
    """The code and text of a response's first error."""
    error = sdk.error_answer(response).object("errors.0")
    return error.text("errorId"), _text(error)


def _text(error: Answer) -> str | None:
    return sdk.masked_words(error.text("longMessage") or error.text("message"))


REFUSALS: Final = sdk.Refusals(
    vendor="eBay", codes=_CODES, statuses=_STATUSES, read=_error_code_and_text
)


def check_updated(response: Response, offer: str) -> Answer:
    """Check that an offer was updated; the response has one status for each updated object.

    Raises:
        VendorRejected: eBay refused a part.
        VendorFailed: a part failed at eBay, or the response lacks the offer.
    """
    answer = sdk.read_answer(response)
    parts = list(answer.objects("responses"))
    for part in parts:
        status = sdk.required(part.integer("statusCode"), response, "statusCode")
        if not sdk.is_success(status):
            raise _refused_part(response, part, status)
    if all(part.text("offerId") != offer for part in parts):
        raise sdk.malformed(response, "responses")
    return answer


def _refused_part(response: Response, part: Answer, status: int) -> ConnectorError:
    error = part.object("errors.0")
    kind = sdk.VendorFailed if status >= 500 else sdk.VendorRejected
    return sdk.refusal(
        kind, "eBay", response, error.text("errorId"), _text(error), otherwise=f"HTTP {status}"
    )


def amount_at(answer: Answer, name: str) -> Money | None:
    """The amount of money in a field; None if it is missing."""
    amount = answer.object(name)
    return sdk.as_money(amount.value("value"), amount.value("currency"))


def _state(words: tuple[str, ...]) -> OrderState:
    fulfilment, _, cancellation = words
    if cancellation == CANCELED:
        return OrderState.CANCELED
    if fulfilment not in _FULFILMENTS:
        return OrderState.UNKNOWN
    return OrderState.CLOSED if fulfilment == SHIPPED else OrderState.OPEN


def _payment(answer: Answer, word: str) -> OrderPayment:
    if word in _REFUND_WORDS and answer.value("paymentSummary.refunds"):
        return OrderPayment.UNKNOWN
    return _PAYMENTS.get(word, OrderPayment.UNKNOWN)


def _address(answer: Answer) -> Address | None:
    place = answer.object("contactAddress")
    return address_of(
        place.text("countryCode"),
        name=answer.text("fullName"),
        company=answer.text("companyName"),
        line1=place.text("addressLine1"),
        line2=place.text("addressLine2"),
        city=place.text("city"),
        region=place.text("stateOrProvince"),
        postal_code=place.text("postalCode"),
        phone=answer.text("primaryPhone.phoneNumber"),
        email=answer.text("email"),
    )


def _shipping(summary: Answer) -> Money | None:
    """The delivery price minus its discount, which eBay states as a negative amount."""
    cost, discount = amount_at(summary, "deliveryCost"), amount_at(summary, "deliveryDiscount")
    if cost is None or discount is None or cost.currency != discount.currency:
        return cost
    return cost + discount


def _line(answer: Answer, response: Response) -> OrderLine:
    quantity = sdk.required(answer.integer("quantity"), response, "quantity")
    cost = amount_at(answer, "lineItemCost")
    unit_price = None
    if cost is not None and quantity > 0 and cost.minor % quantity == 0:
        unit_price = sdk.Money.from_minor(cost.minor // quantity, cost.currency)
    unfulfilled = {"NOT_STARTED": quantity, SHIPPED: 0}
    return OrderLine(
        id=sdk.required(answer.text("lineItemId"), response, "lineItemId"),
        sku=answer.text("sku"),
        title=answer.text("title"),
        quantity=quantity,
        unfulfilled=unfulfilled.get(answer.text("lineItemFulfillmentStatus") or ""),
        unit_price=unit_price,
        total=amount_at(answer, "discountedLineItemCost") or cost,
    )


def read_order(ref: MakeRef, response: Response, answer: Answer) -> ShopOrder:
    """Return the order in a response of eBay.

    Raises:
        VendorFailed: the response lacks a field that every order has.
    """
    id_ = sdk.required(answer.text("orderId"), response, "orderId")
    summary = answer.object("pricingSummary")
    total = sdk.required(amount_at(summary, "total"), response, "pricingSummary.total")
    if not sdk.is_list(answer.value("lineItems")):
        raise sdk.malformed(response, "lineItems")
    names = ("orderFulfillmentStatus", "orderPaymentStatus", "cancelStatus.cancelState")
    words = tuple(answer.text(name) or "" for name in names)
    discount = amount_at(summary, "priceDiscount")
    receiver = answer.object("fulfillmentStartInstructions.0.shippingStep.shipTo")
    buyer = answer.object("buyer.buyerRegistrationAddress")
    return ShopOrder(
        ref=ref(id_, currency=total.currency),
        number=id_,
        state=_state(words),
        payment=_payment(answer, words[1]),
        fulfilment=_FULFILMENTS.get(words[0], OrderFulfilment.UNKNOWN),
        vendor_status="/".join(words),
        lines=tuple(_line(item, response) for item in answer.objects("lineItems")),
        total=total,
        buyer_total=None if answer.value("pricingSummary.total.convertedFromValue") else total,
        tax=amount_at(summary, "tax"),
        shipping=_shipping(summary),
        discount=None if discount is None else abs(discount),
        email=receiver.text("email") or buyer.text("email"),
        billing_address=_address(buyer),
        shipping_address=_address(receiver),
        note=answer.text("buyerCheckoutNotes"),
        created_at=answer.time("creationDate"),
        updated_at=sdk.required(answer.time("lastModifiedDate"), response, "lastModifiedDate"),
        raw=answer.raw,
    )


def read_item(ref: MakeRef, response: Response, offer: Answer, item: Answer) -> ShopItem:
    """Convert an offer; its stock is the smaller of the offer's and the item's quantities."""
    price = amount_at(offer.object("pricingSummary"), "price")
    stocks = (
        offer.integer("availableQuantity"),
        item.integer("availability.shipToLocationAvailability.quantity"),
    )
    sku = sdk.required(offer.text("sku"), response, "sku")
    return ShopItem(
        ref=ref(
            sdk.required(offer.text("offerId"), response, "offerId"),
            sku=sku,
            currency=None if price is None else price.currency,
        ),
        sku=sku,
        title=item.text("product.title"),
        price=price,
        stock=min((stock for stock in stocks if stock is not None), default=None),
        raw=offer.raw,
    )
