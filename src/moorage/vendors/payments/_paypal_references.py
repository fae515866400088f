"""Look-ups of a payment's order, authorisation and capture, by its reference.

A reference names an order, or one capture of it. The ids that the reference does not state are
looked up at PayPal.
"""

from __future__ import annotations

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Money, MoveState, Payment, check_currency
from moorage.vendors.payments._common import url_of
from moorage.vendors.payments._paypal_answers import order_id, read_payment
from moorage.vendors.payments._paypal_requests import ORDERS, PAYMENTS


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


async def refundable_capture(wire: sdk.Wire, ref: sdk.Ref, amount: Money | None) -> tuple[str, str]:
    """The ids of the order and the capture from which this amount can be refunded.

    Raises:
        InvalidData: without an amount, one of several captures could be meant.
        VendorRejected: no capture is as large as the amount.
    """
    order, capture = ref.other("order"), ref.other("capture")
    if order is not None:
        return order, ref.id
    if capture is not None and capture != ref.id:
        return ref.id, capture
    payment = await get_payment(wire, ref)
    if capture is not None:
        return payment.ref.id, capture
    succeeded_captures = [item for item in payment.captures if item.state is MoveState.SUCCEEDED]
    if amount is None and len(succeeded_captures) > 1:
        raise sdk.InvalidData(
            "This payment has several captures, but PayPal refunds only one at a time.",
            field="ref",
            remedy="Pass the `ref` of a single capture from Payment.captures.",
        )
    # Earlier refunds are ignored: a repeat must choose the same capture.
    large_captures = (
        item
        for item in succeeded_captures
        if amount is None or _is_large_enough(item.amount, amount)
    )
    chosen_capture = next(large_captures, None)
    if chosen_capture is None:
        raise sdk.VendorRejected(
            "No capture of this payment is large enough for the refund.",
            remedy="Refund parts of single captures, with the references in Payment.captures.",
        )
    return payment.ref.id, chosen_capture.ref.id


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
