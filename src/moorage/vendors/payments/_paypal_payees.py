"""PayPal's payouts to payees: request bodies and responses.

Each payout is a batch with one item, since only a batch has a key. PayPal first accepts the batch,
and makes its item known a little later. It refuses a batch id that was used in the last 30 days,
with a link to the batch that has the id: so a repeated request finds the payout of the first one.
"""

from __future__ import annotations

import re
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
_USED_ID: Final = "sender_batch_id already exists"
"""PayPal's words for a batch id that was used before."""
_BATCH_URL: Final = re.compile(r"/v1/payments/payouts/([A-Za-z0-9_-]{1,64})")
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
    """Create a payout batch with one item, or get the batch that the same key created before."""
    vendor_key = sdk.key_for_vendor(wire, key, KEY)
    body = _batch_body(transfer, vendor_key)
    request = sdk.Request.post(_PATH, json=body)
    try:
        payout: PayeePayout = await wire.send(
            request, key=vendor_key, parse=partial(_read_batch, wire)
        )
    except sdk.VendorRejected as error:
        sent = sdk.as_answer(body)
        batch_id = sent.text("sender_batch_header.sender_batch_id")
        if _USED_ID not in (error.vendor_code or "") or batch_id != _batch_id(vendor_key):
            raise
        payout = await get_payee_payout(wire, wire.ref(_id_of_used_batch(error, key)))
        _check_same_item(payout, sent.object("items.0"))
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
    header = {"sender_batch_id": _batch_id(vendor_key)}
    body = {"sender_batch_header": header, "items": [stated_fields(item)]}
    return sdk.merged(body, sdk.extra_for("paypal", transfer.extra))


def _batch_id(vendor_key: str) -> str:
    return sha256(vendor_key.encode()).hexdigest()


def _id_of_used_batch(error: sdk.VendorRejected, key: str) -> str:
    """The id of the batch that an error links to.

    Raises:
        OutcomeUnknown: the error contains no link, so the payout of the key cannot be found.
    """
    match = _BATCH_URL.search(error.vendor_message or "")
    if match is None:
        raise sdk.OutcomeUnknown(
            "PayPal received this payout before, but did not say which one it is.",
            idempotency_key=key,
            lookup="the payout in PayPal's list of payouts",
        ) from error
    return match[1]


def _check_same_item(payout: PayeePayout, item: sdk.Answer) -> None:
    """Refuse a batch whose known item differs from the item that was sent.

    Raises:
        IdempotencyConflict: the key was used before, for another amount or reference.
    """
    sent = (_money(item, "amount"), item.text("sender_item_id"))
    if payout.amount is not None and (payout.amount, payout.reference) != sent:
        raise sdk.IdempotencyConflict(
            "PayPal received this key before, with a payout of another amount or reference."
        )


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
