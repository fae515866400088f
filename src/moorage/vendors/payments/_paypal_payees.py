"""PayPal's payouts to payees: request bodies and answers.

Each payout is a batch with one item, since only a batch has a key. PayPal first accepts the batch,
and makes its item known a little later.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Money, PayeePayout, PayeeTransfer, PayoutState
from moorage.vendors.payments._common import safe_text, short_text
from moorage.vendors.payments._order_details import stated_fields
from moorage.vendors.payments._paypal_answers import amount_body
from moorage.vendors.payments._paypal_requests import KEY

_PATH: Final = "/v1/payments/payouts"
_LONGEST_PAYEE: Final = 127
_LONGEST_REFERENCE: Final = 63
_ITEMS: Final = {
    "SUCCESS": PayoutState.PAID,
    "FAILED": PayoutState.FAILED,
    "BLOCKED": PayoutState.FAILED,
    "PENDING": PayoutState.PENDING,
    "ONHOLD": PayoutState.PENDING,
    "UNCLAIMED": PayoutState.PENDING,
    "RETURNED": PayoutState.CANCELED,
    "REFUNDED": PayoutState.CANCELED,
    "REVERSED": PayoutState.CANCELED,
}
_BATCHES: Final = {
    "PENDING": PayoutState.PENDING,
    "PROCESSING": PayoutState.PENDING,
    "DENIED": PayoutState.FAILED,
    "CANCELED": PayoutState.CANCELED,
}


async def pay_payee(wire: sdk.Wire, transfer: PayeeTransfer, /, *, key: str) -> PayeePayout:
    """Create a payout batch with one item."""
    vendor_key = sdk.key_for_vendor(wire, key, KEY)
    request = sdk.Request.post(_PATH, json=_batch_body(transfer, vendor_key))
    payout: PayeePayout = await wire.send(request, key=vendor_key, parse=partial(_read_batch, wire))
    return payout


async def get_payee_payout(wire: sdk.Wire, ref: sdk.Ref, /) -> PayeePayout:
    """Get a payout batch with its item."""
    return _read_batch(wire, await wire.send(sdk.Request.get(f"{_PATH}/{quote(ref.id, safe='')}")))


def _batch_body(transfer: PayeeTransfer, vendor_key: str) -> dict[str, Any]:
    """The body that creates a payout batch; the caller's extra options override its fields.

    PayPal refuses a batch whose id was used in the last 30 days. So the id is derived from the
    key.
    """
    amount = amount_body(transfer.amount)
    payee = short_text(transfer.payee, _LONGEST_PAYEE, vendor="PayPal", field="payee")
    item = {
        "recipient_type": "EMAIL" if "@" in transfer.payee else "PAYPAL_ID",
        "receiver": payee,
        "amount": {"currency": amount["currency_code"], "value": amount["value"]},
        "note": transfer.note,
        "sender_item_id": short_text(
            transfer.reference, _LONGEST_REFERENCE, vendor="PayPal", field="reference"
        ),
    }
    batch_id = sha256(vendor_key.encode()).hexdigest()
    body = {"sender_batch_header": {"sender_batch_id": batch_id}, "items": [stated_fields(item)]}
    return sdk.merged(body, sdk.extra_for("paypal", transfer.extra))


def _read_batch(wire: sdk.Wire, response: sdk.Response) -> PayeePayout:
    """Parse a payout batch, and its item if known already."""
    body = sdk.read_answer(response)
    key = sdk.required(
        body.text("batch_header.payout_batch_id"), response, "batch_header.payout_batch_id"
    )
    batch_status = sdk.required(
        body.text("batch_header.batch_status"), response, "batch_header.batch_status"
    )
    items = body.objects("items")
    item = next(iter(items), None)
    status = batch_status if item is None else item.text("transaction_status") or batch_status
    states = _BATCHES if item is None else _ITEMS
    return PayeePayout(
        ref=wire.ref(key),
        state=states.get(status, PayoutState.UNKNOWN),
        vendor_state=status,
        amount=None if item is None else _money(item, "payout_item.amount"),
        fee=None if item is None else _money(item, "payout_item_fee"),
        payee=None if item is None else item.text("payout_item.receiver"),
        reference=None if item is None else item.text("payout_item.sender_item_id"),
        reason=None if item is None else safe_text(item.text("errors.message")),
        created_at=body.time("batch_header.time_created"),
        raw=body.raw,
    )


def _money(body: sdk.Answer, path: str) -> Money | None:
    return sdk.as_money(body.value(f"{path}.value"), body.value(f"{path}.currency"))
