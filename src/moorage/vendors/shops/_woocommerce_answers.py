"""Conversion of WooCommerce's responses to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    OrderFulfilment,
    OrderLine,
    OrderPayment,
    OrderState,
    ShopEvent,
    ShopItem,
    ShopOrder,
    ShopTopic,
)
from moorage.vendors.shops._common import address_of, full_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address
    from moorage.vendor_sdk import Answer, MakeRef, Response, WebhookEvent

STATES: Final[Mapping[str, OrderState]] = {
    **sdk.words(OrderState.OPEN, "pending processing on-hold failed"),
    **sdk.words(OrderState.CLOSED, "completed refunded"),
    **sdk.words(OrderState.CANCELED, "cancelled trash"),
}
_UNPAID: Final[Mapping[str, OrderPayment]] = {
    **sdk.words(OrderPayment.PENDING, "pending processing on-hold completed"),
    **sdk.words(OrderPayment.VOIDED, "cancelled trash"),
    "failed": OrderPayment.FAILED,
}
_FULFILMENTS: Final[Mapping[str, OrderFulfilment]] = {
    **sdk.words(OrderFulfilment.UNFULFILLED, "pending processing failed"),
    **sdk.words(OrderFulfilment.RESTOCKED, "cancelled"),
    "on-hold": OrderFulfilment.ON_HOLD,
    "completed": OrderFulfilment.FULFILLED,
}
_TOPICS: Final[Mapping[str, ShopTopic]] = {
    "order.created": ShopTopic.ORDER_CREATED,
    "order.updated": ShopTopic.ORDER_UPDATED,
    "order.restored": ShopTopic.ORDER_UPDATED,
    "order.deleted": ShopTopic.ORDER_DELETED,
}
_WHOLE: Final = frozenset({OrderFulfilment.UNFULFILLED, OrderFulfilment.ON_HOLD})


def payment_of(answer: Answer, status: str) -> OrderPayment:
    """The state of the payment, derived from the order's status, payment date and refunds."""
    if status == "refunded":
        return OrderPayment.REFUNDED
    if answer.text("date_paid_gmt") is None:
        return _UNPAID.get(status, OrderPayment.UNKNOWN)
    return OrderPayment.PARTIALLY_REFUNDED if answer.value("refunds") else OrderPayment.PAID


def fulfilment_of(answer: Answer, status: str) -> OrderFulfilment:
    """The shipping state; an order that was ever completed counts as shipped."""
    if answer.text("date_completed_gmt") is not None:
        return OrderFulfilment.FULFILLED
    return _FULFILMENTS.get(status, OrderFulfilment.UNKNOWN)


def _address(answer: Answer) -> Address | None:
    return address_of(
        answer.text("country"),
        name=full_name(answer.text("first_name"), answer.text("last_name")),
        company=answer.text("company"),
        line1=answer.text("address_1"),
        line2=answer.text("address_2"),
        city=answer.text("city"),
        region=answer.text("state"),
        postal_code=answer.text("postcode"),
        phone=answer.text("phone"),
        email=answer.text("email"),
    )


def _line(answer: Answer, currency: str, fulfilment: OrderFulfilment) -> OrderLine | None:
    id_, quantity = answer.text("id"), answer.integer("quantity")
    if id_ is None or quantity is None:
        return None
    unfulfilled = 0 if fulfilment is OrderFulfilment.FULFILLED else None
    return OrderLine(
        id=id_,
        sku=answer.text("sku"),
        title=answer.text("name"),
        quantity=quantity,
        unfulfilled=quantity if fulfilment in _WHOLE else unfulfilled,
        unit_price=sdk.as_money(answer.value("price"), currency),
        total=sdk.as_money(answer.value("total"), currency),
    )


def read_order(ref: MakeRef, response: Response, answer: Answer) -> ShopOrder:
    """Return the order in a response of WooCommerce.

    Raises:
        VendorFailed: the response lacks a field that every order has.
    """
    id_ = sdk.required(answer.text("id"), response, "id")
    status = sdk.required(answer.text("status"), response, "status")
    currency = sdk.required(answer.text("currency"), response, "currency")
    fulfilment = fulfilment_of(answer, status)
    lines = [_line(item, currency, fulfilment) for item in answer.objects("line_items")]
    if None in lines or not sdk.is_list(answer.value("line_items")):
        raise sdk.malformed(response, "line_items")
    total = sdk.required(sdk.as_money(answer.value("total"), currency), response, "total")
    return ShopOrder(
        ref=ref(id_, currency=currency),
        number=answer.text("number"),
        state=STATES.get(status, OrderState.UNKNOWN),
        payment=payment_of(answer, status),
        fulfilment=fulfilment,
        vendor_status=status,
        lines=tuple(line for line in lines if line is not None),
        total=total,
        buyer_total=total,
        tax=sdk.as_money(answer.value("total_tax"), currency),
        shipping=sdk.as_money(answer.value("shipping_total"), currency),
        discount=sdk.as_money(answer.value("discount_total"), currency),
        # Taxes are in separate fields, even if customers see prices with tax.
        prices_include_tax=False,
        email=answer.text("billing.email"),
        billing_address=_address(answer.object("billing")),
        shipping_address=_address(answer.object("shipping")),
        note=answer.text("customer_note"),
        created_at=answer.time("date_created_gmt"),
        updated_at=sdk.required(answer.time("date_modified_gmt"), response, "date_modified_gmt"),
        raw=answer.raw,
    )


def read_item(ref: MakeRef, response: Response, answer: Answer, currency: str) -> ShopItem:
    """A product or variation; a variation's reference also contains its product."""
    id_ = sdk.required(answer.text("id"), response, "id")
    parent = answer.integer("parent_id") if answer.text("type") == "variation" else None
    return ShopItem(
        ref=ref(id_, parent=str(parent) if parent else None, currency=currency),
        sku=sdk.required(answer.text("sku"), response, "sku"),
        title=answer.text("name"),
        price=sdk.as_money(answer.value("regular_price"), currency),
        stock=answer.integer("stock_quantity"),
        raw=answer.raw,
    )


def read_events(event: WebhookEvent, ref: MakeRef) -> tuple[ShopEvent, ...]:
    """The order change in a webhook; empty if it reports anything else."""
    answer = sdk.as_answer(event.payload)
    topic, id_ = _TOPICS.get(event.type or ""), answer.text("id")
    if topic is None or id_ is None:
        return ()
    return (
        ShopEvent(
            id=event.id,
            ref=ref(id_, currency=answer.text("currency")),
            topic=topic,
            at=answer.time("date_modified_gmt"),
            raw=answer.raw,
        ),
    )
