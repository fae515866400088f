"""Captures, voids and refunds of orders at PayPal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import Capture, MoveState, Refund, Void
from moorage.vendor_sdk import (
    Request,
    VendorRejected,
    key_for_vendor,
    part_key,
    read_answer,
    required,
)
from moorage.vendors.payments._common import url_of
from moorage.vendors.payments._paypal_answers import (
    REFUND_PREFIX,
    amount_body,
    capture_of,
    refund_of,
)
from moorage.vendors.payments._paypal_references import authorization_id, refundable_captures
from moorage.vendors.payments._paypal_requests import KEY, PAYMENTS, posted

if TYPE_CHECKING:
    from moorage.vendor_sdk import Money, Ref, Response, Wire

_TOO_LITTLE_LEFT: Final = frozenset({"CAPTURE_FULLY_REFUNDED", "REFUND_AMOUNT_EXCEEDED"})


async def capture_payment(
    wire: Wire, ref: Ref, amount: Money | None, /, *, final: bool, key: str
) -> Capture:
    """Capture an authorised amount of an order."""
    path = url_of(PAYMENTS, "authorizations", await authorization_id(wire, ref))
    body: dict[str, Any] = {"final_capture": final}
    if amount is not None:
        body["amount"] = amount_body(amount)
    else:
        await _check_no_earlier_capture(wire, path)
    request = posted(f"{path}/capture", body)
    parse = partial(_read_capture, wire, ref)
    return await wire.send(request, key=key_for_vendor(wire, key, KEY), parse=parse)


async def void_payment(wire: Wire, ref: Ref) -> Void:
    """Void an authorised amount; a repeat has no further effect."""
    path = url_of(PAYMENTS, "authorizations", await authorization_id(wire, ref))
    # The request may be sent again, although PayPal takes no key for it.
    request = posted(f"{path}/void").evolve(idempotent=True)
    try:
        response = await wire.send(request)
    except VendorRejected as error:
        if error.vendor_code != "PREVIOUSLY_VOIDED":
            raise
        response = await wire.send(Request.get(path))
    body = read_answer(response)
    status = body.text("status")
    state = MoveState.SUCCEEDED if status == "VOIDED" else MoveState.UNKNOWN
    return Void(ref=ref, payment=ref, state=state, vendor_state=status, raw=body.raw)


async def refund_payment(wire: Wire, ref: Ref, amount: Money | None, key: str) -> Refund:
    """Refund the first capture that has at least this amount left to refund.

    A repeat tries the same captures with the same keys: PayPal refuses the captures that it refused
    before, and answers for the one that it refunded.
    """
    order, captures = await refundable_captures(wire, ref, amount)
    payment = ref if ref.id == order else wire.ref(order)
    for capture in captures[:-1]:
        try:
            return await _refund_capture(wire, payment, capture, amount, key)
        except VendorRejected as error:
            if error.vendor_code not in _TOO_LITTLE_LEFT:
                raise
        key = part_key(key, capture)
    return await _refund_capture(wire, payment, captures[-1], amount, key)


async def _refund_capture(
    wire: Wire, payment: Ref, capture: str, amount: Money | None, key: str
) -> Refund:
    """Refund a capture; the refund stores the order's id for webhooks."""
    body: dict[str, Any] = {"custom_id": f"{REFUND_PREFIX}{payment.id}"}
    if amount is not None:
        body["amount"] = amount_body(amount)
    request = posted(url_of(PAYMENTS, "captures", capture, "refund"), body)
    parse = partial(read_refund, wire, payment)
    return await wire.send(request, key=key_for_vendor(wire, key, KEY), parse=parse)


def read_refund(wire: Wire, payment: Ref | None, response: Response) -> Refund:
    """Parse the refund in a response."""
    return required(refund_of(wire.ref, payment, read_answer(response)), response, "id or status")


def _read_capture(wire: Wire, payment: Ref, response: Response) -> Capture:
    return required(capture_of(wire.ref, payment, read_answer(response)), response, "id or status")


async def _check_no_earlier_capture(wire: Wire, path: str) -> None:
    """Refuse a second capture without an amount, because PayPal would capture too much."""
    response = await wire.send(Request.get(path))
    if read_answer(response).text("status") == "PARTIALLY_CAPTURED":
        raise VendorRejected(
            "A part of this payment is already captured.",
            remedy="Pass the amount that remains to be captured.",
        )
