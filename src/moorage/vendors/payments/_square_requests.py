"""Requests to Square: bodies with an idempotency key, and the parameters of lists."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._square_answers import UNITS
from moorage.vendors.payments._square_order import order_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.payments import Charge, PaymentQuery, StoreRequest
    from moorage.vendors.payments.square import Square

PAYMENTS: Final = "/v2/payments"
KEY: Final = 45
"""The largest number of characters in an idempotency key."""
PAGE: Final = 100
"""The largest number of items on a page."""
LONGEST: Final = {"note": 500, "reference": 40, "statement_descriptor": 20}
"""The largest number of characters in each field."""


def amount_body(amount: sdk.Money) -> dict[str, Any]:
    """An amount in Square's format."""
    return {"amount": UNITS.to_minor(amount), "currency": amount.currency}


def payment_body(vendor: Square, charge: Charge, *, autocomplete: bool) -> dict[str, Any]:
    """The body that creates a payment, without its key; the caller's extra options override it."""
    customer, source = charge.customer, charge.source
    is_stored_card = source is not None and source.startswith("ccof:")
    if is_stored_card and (customer is None or customer.id is None):
        raise sdk.InvalidData(
            "A stored card at Square belongs to a customer, but the charge names no customer.",
            field="customer.id",
            remedy="Pass the customer with Square's id.",
        )
    note = [f"{name}: {text}" for name, text in charge.metadata.items()]
    body: dict[str, Any] = {
        "source_id": source,
        "amount_money": amount_body(charge.amount),
        "autocomplete": autocomplete,
        "reference_id": _text_within_limit(charge.reference, "reference"),
        "location_id": vendor.location_id,
        # Square stores no other text with a payment.
        "note": _text_within_limit("\n".join(filter(None, [charge.description, *note])), "note")
        or None,
        "statement_description_identifier": _text_within_limit(
            charge.statement_descriptor, "statement_descriptor"
        ),
        **order_fields(charge),
    }
    if customer is not None:
        body |= {
            "customer_id": customer.id,
            "buyer_email_address": customer.email,
            "buyer_phone_number": customer.phone,
        }
    if charge.off_session:
        body["customer_details"] = {"customer_initiated": False}
    body = {name: value for name, value in body.items() if value is not None}
    return sdk.merged(body, sdk.extra_for("square", charge.extra))


def card_body(request: StoreRequest) -> dict[str, Any]:
    """The body that stores a card, without its key; the caller's extra options override it."""
    customer = request.customer
    card = {"customer_id": customer.id, "cardholder_name": customer.name}
    body: dict[str, Any] = {
        "source_id": request.source,
        "card": {name: value for name, value in card.items() if value is not None},
    }
    return sdk.merged(body, sdk.extra_for("square", request.extra))


def _text_within_limit(text: str | None, limit: str) -> str | None:
    longest_text = LONGEST[limit]
    if text is None or len(text) <= longest_text:
        return text
    raise sdk.InvalidData(
        f"Square accepts at most {longest_text} characters for this field.",
        field="description" if limit == "note" else limit,
        remedy="Pass a shorter text, or less metadata; Square stores the metadata in the note."
        if limit == "note"
        else "Pass a shorter text.",
    )


def keyed_request(
    wire: sdk.Wire, path: str, body: Mapping[str, Any], key: str, *, method: str = "POST"
) -> sdk.Request:
    """A request that Square executes only once for the key in its body."""
    keyed_body = {**body, "idempotency_key": sdk.key_for_vendor(wire, key, KEY)[:KEY]}
    request = (
        sdk.Request.put(path, json=keyed_body)
        if method == "PUT"
        else sdk.Request.post(path, json=keyed_body)
    )
    return attrs.evolve(request, idempotent=True)


def period_fields(query: PaymentQuery) -> dict[str, Any]:
    """The parameters for a list of objects created in a period, newest first."""
    return {
        "begin_time": _time_text(query.since),
        "end_time": _time_text(query.until),
        "sort_order": "DESC",
        "limit": min(query.limit, PAGE),
    }


def _time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
