"""Stripe's transfers to connected accounts: request bodies and responses."""

from __future__ import annotations

import re
from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import PayeePayout, PayeeTransfer, PayoutState
from moorage.vendors.payments._stripe_answers import MINOR, money

_ACCOUNT: Final = re.compile(r"acct_\w+")


def transfer_body(transfer: PayeeTransfer) -> dict[str, Any]:
    """The body that creates a transfer; the caller's extra options override its fields.

    Raises:
        InvalidData: the payee is not a connected account.
    """
    if _ACCOUNT.fullmatch(transfer.payee) is None:
        raise sdk.InvalidData(
            "Stripe sends money to connected accounts only.",
            field="payee",
            remedy="Pass the id of the payee's connected account, which begins with acct_.",
        )
    body = {
        "amount": MINOR.to_minor(transfer.amount),
        "currency": transfer.amount.currency.lower(),
        "destination": transfer.payee,
        "description": transfer.note,
        "metadata": {"reference": transfer.reference},
    }
    return sdk.merged(body, sdk.extra_for("stripe", transfer.extra))


def read_transfer(wire: sdk.Wire, response: sdk.Response) -> PayeePayout:
    """Parse the transfer in a response; its money is in the payee's balance immediately."""
    body = sdk.read_answer(response)
    is_reversed = sdk.required(body.flag("reversed"), response, "reversed")
    return PayeePayout(
        ref=wire.ref(sdk.required(body.text("id"), response, "id")),
        state=PayoutState.CANCELED if is_reversed else PayoutState.PAID,
        vendor_state="reversed" if is_reversed else "transferred",
        amount=money(body, "amount"),
        payee=body.text("destination"),
        reference=body.text("metadata.reference"),
        created_at=body.time("created"),
        raw=body.raw,
    )
