"""Conversion of Amazon's responses to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    OrderFulfilment,
    OrderLine,
    OrderPayment,
    OrderState,
    ShopItem,
    ShopOrder,
)
from moorage.vendors.shops._common import address_of, not_possible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address

VENDOR: Final = "Amazon"
SELLERS_STOCK: Final = "DEFAULT"
"""The code of the stock that the seller ships; other codes are of Amazon's warehouses."""
_STATES: Final[Mapping[str, OrderState]] = {
    **sdk.words(OrderState.OPEN, "PENDING_AVAILABILITY PENDING UNSHIPPED PARTIALLY_SHIPPED"),
    "SHIPPED": OrderState.CLOSED,
    "CANCELLED": OrderState.CANCELED,
}
_FULFILMENTS: Final[Mapping[str, OrderFulfilment]] = {
    **sdk.words(OrderFulfilment.ON_HOLD, "PENDING_AVAILABILITY PENDING"),
    "UNSHIPPED": OrderFulfilment.UNFULFILLED,
    "PARTIALLY_SHIPPED": OrderFulfilment.PARTIALLY_FULFILLED,
    "SHIPPED": OrderFulfilment.FULFILLED,
}
_PAYMENTS: Final[Mapping[str, OrderPayment]] = {
    **sdk.words(OrderPayment.PENDING, "PENDING_AVAILABILITY PENDING"),
    **sdk.words(OrderPayment.AUTHORIZED, "UNSHIPPED PARTIALLY_SHIPPED SHIPPED"),
}
_PAID_AT_ONCE: Final = frozenset({"CreditCard", "Pix"})
_PAID_LATER: Final = frozenset({"COD", "CVS", "CashOnDelivery", "ConvenienceStore", "Invoice"})
_SHIPPABLE: Final = frozenset({"UNSHIPPED", "PARTIALLY_SHIPPED"})
_SHIPPED_BY_SELLER: Final = "MERCHANT"


def _error_code_and_text(response: sdk.Response) -> tuple[str | None, str | None]:
    """The code and text of a response's first error."""
    error = sdk.error_answer(response).object("errors.0")
    return error.text("code"), sdk.masked_words(error.text("message"))


REFUSALS: Final = sdk.Refusals(
    vendor=VENDOR,
    statuses=sdk.error_statuses("400 413 415", login="401 403"),
    read=_error_code_and_text,
)


def money_at(answer: sdk.Answer, name: str) -> sdk.Money | None:
    """The amount of money in a field; None if it is missing."""
    amount = answer.object(name)
    return sdk.as_money(amount.value("amount"), amount.value("currencyCode"))


def _subtotal(proceeds: sdk.Answer, kind: str) -> sdk.Money | None:
    """The amount of one category in the proceeds of an order or item."""
    for part in proceeds.objects("breakdowns"):
        if part.text("type") == kind:
            return money_at(part, "subtotal")
    return None


def _line_total(proceeds: sdk.Answer) -> sdk.Money | None:
    """The price of an order line after its discount; None if the line's discount is unknown."""
    total = _subtotal(proceeds, "ITEM")
    discounts = [part for part in proceeds.objects("breakdowns") if part.text("type") == "DISCOUNT"]
    for part in discounts:
        details = part.objects("detailedBreakdowns")
        amounts = [
            money_at(detail, "value") for detail in details if detail.text("subtype") == "ITEM"
        ]
        discount = next(iter(amounts), None)
        if total is None or discount is None or discount.currency != total.currency:
            return None
        total -= abs(discount)
    return total


def _line(answer: sdk.Answer, response: sdk.Response) -> OrderLine:
    product = answer.object("product")
    return OrderLine(
        id=sdk.required(answer.text("orderItemId"), response, "orderItemId"),
        sku=product.text("sellerSku"),
        title=product.text("title"),
        quantity=sdk.required(answer.integer("quantityOrdered"), response, "quantityOrdered"),
        unfulfilled=answer.integer("fulfillment.quantityUnfulfilled"),
        unit_price=money_at(product, "price.unitPrice"),
        total=_line_total(answer.object("proceeds")),
    )


def _payment(answer: sdk.Answer, word: str) -> OrderPayment:
    """The state of an order's payment; Amazon states only the payment methods."""
    payment = _PAYMENTS.get(word, OrderPayment.UNKNOWN)
    if payment is not OrderPayment.AUTHORIZED:
        return payment
    executions = answer.objects("payment.paymentExecutions")
    methods = {execution.text("paymentMethod") or "" for execution in executions}
    if methods & _PAID_LATER:
        return OrderPayment.PENDING
    return OrderPayment.PAID if methods and methods <= _PAID_AT_ONCE else payment


def _address(place: sdk.Answer) -> Address | None:
    return address_of(
        place.text("countryCode"),
        name=place.text("name"),
        company=place.text("companyName"),
        line1=place.text("addressLine1"),
        line2=place.text("addressLine2"),
        line3=place.text("addressLine3"),
        city=place.text("city"),
        region=place.text("stateOrRegion"),
        postal_code=place.text("postalCode"),
        phone=place.text("phone"),
    )


def read_order(ref: sdk.MakeRef, response: sdk.Response, answer: sdk.Answer) -> ShopOrder:
    """Return the order in a response of Amazon.

    Raises:
        VendorFailed: the response lacks a field that every order has.
    """
    id_ = sdk.required(answer.text("orderId"), response, "orderId")
    if not sdk.is_list(answer.value("orderItems")):
        raise sdk.malformed(response, "orderItems")
    vendor_status = answer.text("fulfillment.fulfillmentStatus") or ""
    proceeds = answer.object("proceeds")
    total = money_at(proceeds, "grandTotal")
    discount = _subtotal(proceeds, "DISCOUNT")
    return ShopOrder(
        ref=ref(id_, currency=None if total is None else total.currency),
        number=id_,
        state=_STATES.get(vendor_status, OrderState.UNKNOWN),
        payment=_payment(answer, vendor_status),
        fulfilment=_FULFILMENTS.get(vendor_status, OrderFulfilment.UNKNOWN),
        vendor_status=vendor_status,
        lines=tuple(_line(item, response) for item in answer.objects("orderItems")),
        total=total,
        buyer_total=None,
        tax=_subtotal(proceeds, "TAX"),
        shipping=_subtotal(proceeds, "SHIPPING"),
        discount=None if discount is None else abs(discount),
        email=answer.text("buyer.buyerEmail"),
        shipping_address=_address(answer.object("recipient.deliveryAddress")),
        created_at=answer.time("createdTime"),
        updated_at=sdk.required(answer.time("lastUpdatedTime"), response, "lastUpdatedTime"),
        raw=answer.raw,
    )


@attrs.frozen
class OrderParcels:
    """The quantities of an order that are left to ship, and the parcels that Amazon knows.

    Attributes:
        marketplace: id of the order's marketplace; None if the response lacks it.
        left: remaining quantity of each line, by the line's id.
        parcels: reference and tracking number of each parcel.
        read_at: time of the response by Amazon's clock; None if it states none.
        answer: the order.
        response: the response with the order.
    """

    marketplace: str | None
    left: Mapping[str, int]
    parcels: tuple[tuple[str, str | None], ...]
    read_at: Any
    answer: sdk.Answer
    response: sdk.Response

    def check_shippable(self) -> None:
        """Refuse an order that the seller cannot ship, or cannot ship any more.

        Raises:
            VendorRejected: the order is not ready, cancelled, shipped, or shipped by Amazon.
        """
        vendor_status = self.answer.text("fulfillment.fulfillmentStatus") or ""
        if vendor_status not in _SHIPPABLE:
            text = f"An order with the status {vendor_status or 'unknown'} cannot be shipped."
            raise not_possible(VENDOR, self.response, vendor_status, text)
        shipper = self.answer.text("fulfillment.fulfilledBy")
        if shipper not in {None, _SHIPPED_BY_SELLER}:
            raise not_possible(
                VENDOR, self.response, shipper or "", "Amazon ships this order, not the seller."
            )


def read_parcels(response: sdk.Response) -> OrderParcels:
    """Parse the quantities of an order that are left to ship, and its parcels.

    Raises:
        VendorFailed: the response lacks the lines or their quantities.
    """
    answer = sdk.read_answer(response).object("order")
    if not sdk.is_list(answer.value("orderItems")):
        raise sdk.malformed(response, "orderItems")
    unshipped = {
        sdk.required(item.text("orderItemId"), response, "orderItemId"): sdk.required(
            item.integer("fulfillment.quantityUnfulfilled"), response, "quantityUnfulfilled"
        )
        for item in answer.objects("orderItems")
    }
    parcels = [
        (
            sdk.required(item.text("packageReferenceId"), response, "packageReferenceId"),
            item.text("trackingNumber"),
        )
        for item in answer.objects("packages")
    ]
    return OrderParcels(
        marketplace=answer.text("salesChannel.marketplaceId"),
        left=unshipped,
        parcels=tuple(parcels),
        read_at=sdk.Answer({"at": response.headers.get("date")}).time("at"),
        answer=answer,
        response=response,
    )


def read_item(ref: sdk.MakeRef, response: sdk.Response, marketplace: str) -> ShopItem:
    """Return a seller's listing in a marketplace from a response of Amazon.

    Raises:
        VendorFailed: the response lacks the number or the type of the product.
    """
    answer = sdk.read_answer(response)
    sku = sdk.required(answer.text("sku"), response, "sku")
    summary = _marketplace_part(answer, "summaries", marketplace)
    kind = _marketplace_part(answer, "productTypes", marketplace).text("productType")
    offers = [
        offer
        for offer in answer.objects("offers")
        if (offer.text("marketplaceId"), offer.text("offerType")) == (marketplace, "B2C")
    ]
    price = money_at(offers[0], "price") if offers else None
    stocks = [
        item.integer("quantity")
        for item in answer.objects("fulfillmentAvailability")
        if item.text("fulfillmentChannelCode") == SELLERS_STOCK
    ]
    return ShopItem(
        ref=ref(
            sku,
            currency=None if price is None else price.currency,
            product_type=sdk.required(kind, response, "productTypes"),
        ),
        sku=sku,
        title=summary.text("itemName"),
        price=price,
        stock=next(iter(stocks), None),
        raw=answer.raw,
    )


def _marketplace_part(answer: sdk.Answer, name: str, marketplace: str) -> sdk.Answer:
    """The entry for the marketplace in a list; an empty entry if there is none."""
    for part in answer.objects(name):
        if part.text("marketplaceId") == marketplace:
            return part
    return sdk.Answer({})


def check_accepted(response: sdk.Response) -> sdk.Answer:
    """Check that a change of a listing was accepted.

    Raises:
        VendorRejected: Amazon refused the change; the error has the first of its reasons.
        VendorFailed: the response states neither acceptance nor rejection.
    """
    answer = sdk.read_answer(response)
    vendor_status = answer.text("status")
    if vendor_status == "INVALID":
        issues = [it for it in answer.objects("issues") if it.text("severity") == "ERROR"]
        issue = next(iter(issues), sdk.Answer({}))
        text = sdk.masked_words(issue.text("message"))
        raise sdk.refusal(
            sdk.VendorRejected,
            VENDOR,
            response,
            issue.text("code") or vendor_status,
            text,
            otherwise=vendor_status,
        )
    if vendor_status != "ACCEPTED":
        raise sdk.malformed(response, "status ACCEPTED or INVALID")
    return answer
