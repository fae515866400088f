"""Look-ups of a payment's order, authorisation and capture, by its reference.

A reference names an order, or one capture of it. The ids that the reference does not state are
looked up at PayPal.
"""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Money, MoveState, Payment, check_currency
from moorage.vendors.payments._common import url_of
from moorage.vendors.payments._paypal_answers import order_id, read_payment
from moorage.vendors.payments._paypal_requests import ORDERS, PAYMENTS

_REFUNDABLE: Final = frozenset({MoveState.SUCCEEDED, MoveState.PENDING})


async def get_payment(wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
    """Get an order; for a capture's reference, the capture's order."""
    order = await _order_id(wire, ref)
    return read_payment(wire, await wire.send(sdk.Request.get(url_of(ORDERS, order))))


async def authorization_id(wire: sdk.Wire, ref: sdk.Ref) -> str:
    """The id of an order's authorisation.

    Raises:
        VendorRejected: the order has no authorisation.
    """
    stated_id = ref.other("authorization")
    authorization = stated_id or (await get_payment(wire, ref)).ref.other("authorization")
    if authorization is None:
        raise sdk.VendorRejected(
            "The order has no authorisation.",
            remedy="Complete the payment after the buyer approves it. An order without"
            " approval expires by itself.",
        )
    return authorization


async def refundable_captures(
    wire: sdk.Wire, ref: sdk.Ref, amount: Money | None
) -> tuple[str, list[str]]:
    """The ids of the order and of the captures that are as large as a refund, the oldest first.

    Raises:
        InvalidData: one of several captures could be meant, because the refund has no amount, or
            because a capture is pending and a repeat of the refund could find it complete.
        VendorRejected: no capture is as large as the amount.
    """
    order, capture = ref.other("order"), ref.other("capture")
    if order is not None:
        return order, [ref.id]
    if capture is not None and capture != ref.id:
        return ref.id, [capture]
    payment = await get_payment(wire, ref)
    if capture is not None:
        return payment.ref.id, [capture]
    possible_captures = [item for item in payment.captures if item.state in _REFUNDABLE]
    is_pending = any(item.state is MoveState.PENDING for item in possible_captures)
    if len(possible_captures) > 1 and (amount is None or is_pending):
        raise sdk.InvalidData(
            "This payment has several captures, but PayPal refunds only one at a time.",
            field="ref",
            remedy="Pass the `ref` of a single capture from Payment.captures.",
        )
    # Earlier refunds are ignored: a repeat must try the same captures in the same order.
    large_captures = [
        item.ref.id
        for item in possible_captures
        if amount is None or _is_large_enough(item.amount, amount)
    ]
    if not large_captures:
        raise sdk.VendorRejected(
            "No capture of this payment is large enough for the refund.",
            remedy="Refund parts of single captures, with the references in Payment.captures.",
        )
    return payment.ref.id, large_captures


def _is_large_enough(taken: Money | None, amount: Money) -> bool:
    if taken is None:
        return False
    check_currency(amount, taken.currency)
    return taken >= amount


async def _order_id(wire: sdk.Wire, ref: sdk.Ref) -> str:
    """The id of an order, from a reference to the order or to one of its captures."""
    order = ref.other("order")
    if order is not None or ref.other("capture") != ref.id:
        return order or ref.id
    response = await wire.send(sdk.Request.get(url_of(PAYMENTS, "captures", ref.id)))
    return sdk.required(order_id(sdk.read_answer(response)), response, "order")
