"""Adyen's stored payment methods and payment links: request bodies and responses."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    LinkRequest,
    LinkState,
    MeansOfPayment,
    PaymentLink,
    StoredMeans,
    StoredState,
    StoreRequest,
)
from moorage.vendors.payments._adyen_answers import MISSING, UNITS, full_year
from moorage.vendors.payments._adyen_order import order_fields
from moorage.vendors.payments._adyen_requests import amount_body

_MISSING_STATUS: Final = 404
_LINKS: Final = {
    "active": LinkState.OPEN,
    "completed": LinkState.PAID,
    "expired": LinkState.EXPIRED,
    "paid": LinkState.PAID,
    "paymentPending": LinkState.PENDING,
}


def stored_body(
    merchant_account: str, request: StoreRequest, method: dict[str, Any]
) -> dict[str, Any]:
    """The body that stores a payment method; the caller's extra options override its fields."""
    customer = request.customer
    body: dict[str, Any] = {
        "merchantAccount": merchant_account,
        "paymentMethod": method,
        "recurringProcessingModel": "UnscheduledCardOnFile",
        "shopperReference": customer.id,
        "shopperEmail": customer.email,
        "shopperIP": customer.ip,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return sdk.merged(body, sdk.extra_for("adyen", request.extra))


def stored_of(ref: sdk.MakeRef, body: sdk.Answer, customer: str) -> StoredMeans | None:
    """Parse a stored payment method; None if it is malformed."""
    key = body.text("id")
    if key is None:
        return None
    year, month = body.integer("expiryYear"), body.integer("expiryMonth")
    iban = body.text("iban")
    return StoredMeans(
        ref=ref(key, customer=customer),
        state=StoredState.STORED,
        customer=customer,
        means=MeansOfPayment(
            type=body.text("type"),
            brand=body.text("brand"),
            last4=body.text("lastFour") or (None if iban is None else iban[-4:]),
            expires=None if year is None or month is None else (full_year(year), month),
            stored=key,
        ),
        raw=body.raw,
    )


def read_stored(wire: sdk.Wire, customer: str, response: sdk.Response) -> StoredMeans:
    """Parse the stored payment method in a response."""
    stored = stored_of(wire.ref, sdk.read_answer(response), customer)
    return sdk.required(stored, response, "id")


def removed(ref: sdk.Ref, customer: str, response: sdk.Response | None = None) -> StoredMeans:
    """The removed payment method; Adyen's response is empty."""
    if response is not None and response.body:
        raise sdk.malformed(
            response, problem="has a body, although a successful response must be empty"
        )
    return StoredMeans(ref=ref, state=StoredState.REMOVED, customer=customer)


def was_removed(error: sdk.VendorRejected) -> bool:
    """True if an earlier attempt, whose response was lost, removed the payment method."""
    # Adyen accepts keys only with POST, so a repeated removal gets another response.
    is_missing = error.status == _MISSING_STATUS or error.vendor_code == MISSING
    return is_missing and error.attempts > 1


# --- links -------------------------------------------------------------------


def link_body(merchant_account: str, link: LinkRequest) -> dict[str, Any]:
    """The body that creates a link for one payment; the caller's extra options override it."""
    expires_at = link.expires_at
    body: dict[str, Any] = {
        "merchantAccount": merchant_account,
        "amount": amount_body(link.amount),
        "reference": link.reference,
        "description": link.description,
        "returnUrl": link.return_url,
        "expiresAt": None
        if expires_at is None
        else expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "reusable": False,
        **order_fields(link),
    }
    body = {name: value for name, value in body.items() if value is not None}
    return sdk.merged(body, sdk.extra_for("adyen", link.extra))


def read_link(wire: sdk.Wire, response: sdk.Response) -> PaymentLink:
    """Parse the payment link in a response."""
    body = sdk.read_answer(response)
    status = sdk.required(body.text("status"), response, "status")
    return PaymentLink(
        ref=wire.ref(sdk.required(body.text("id"), response, "id")),
        state=_LINKS.get(status, LinkState.UNKNOWN),
        vendor_state=status,
        url=body.text("url"),
        amount=UNITS.read(body.value("amount.value"), body.value("amount.currency")),
        reference=body.text("reference"),
        expires_at=body.time("expiresAt"),
        raw=body.raw,
    )
