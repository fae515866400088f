"""Mollie's mandates and payment links: bodies of requests, and answers."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import (
    LinkState,
    MeansOfPayment,
    PaymentLink,
    StoredMeans,
    StoredState,
)
from moorage.vendor_sdk import InvalidData, extra_for, malformed, merged, read_answer, required
from moorage.vendors.payments._mollie_answers import means_of, money
from moorage.vendors.payments._mollie_order import order_fields

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments import LinkRequest, StoreRequest
    from moorage.vendor_sdk import Answer, MakeRef, Ref, Response, VendorRejected, Wire

_LONGEST: Final = 255
_MISSING: Final = 404
_GONE: Final = 410
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_STATES: Final = {
    "valid": StoredState.STORED,
    "pending": StoredState.PENDING,
    "invalid": StoredState.FAILED,
}


def mandate_body(request: StoreRequest) -> dict[str, Any]:
    """The body that stores a SEPA mandate; the vendor's own options come last.

    Raises:
        InvalidData: the source is no IBAN, or the holder of the account has no name.
    """
    iban = request.source.replace(" ", "").upper()
    if _IBAN.fullmatch(iban) is None:
        raise InvalidData(
            "Without a payment, Mollie stores only mandates for direct debits.",
            field="source",
            remedy="Give the IBAN of the buyer's account, or store a card with its first payment.",
        )
    if not request.customer.name:
        raise InvalidData(
            "Mollie needs the name of the account's holder for a mandate.",
            field="customer.name",
            remedy="Give the customer with a name.",
        )
    body = {
        "method": "directdebit",
        "consumerName": request.customer.name,
        "consumerAccount": iban,
    }
    return merged(body, extra_for("mollie", request.extra))


def mandate_of(ref: MakeRef, body: Answer, customer: str) -> StoredMeans | None:
    """Parse a mandate; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    means = means_of(body, key)
    return StoredMeans(
        ref=ref(key, customer=customer),
        state=_STATES.get(status, StoredState.UNKNOWN),
        vendor_state=status,
        customer=customer,
        means=MeansOfPayment(stored=key) if means is None else means,
        created_at=body.time("createdAt"),
        raw=body.raw,
    )


def read_mandate(wire: Wire, customer: str, response: Response) -> StoredMeans:
    """Parse the mandate in an answer."""
    mandate = mandate_of(wire.ref, read_answer(response), customer)
    return required(mandate, response, "id or status")


def revoked(ref: Ref, customer: str, response: Response | None = None) -> StoredMeans:
    """The revoked mandate; Mollie's answer is empty."""
    if response is not None and response.body:
        raise malformed(response, problem="has content, and a success has none")
    return StoredMeans(ref=ref, state=StoredState.REMOVED, customer=customer)


def was_revoked(error: VendorRejected) -> bool:
    """True if the mandate is gone, or an earlier attempt whose answer was lost has revoked it."""
    return error.status == _GONE or (error.status == _MISSING and error.attempts > 1)


# --- links -------------------------------------------------------------------


def link_body(link: LinkRequest, **fields: str | None) -> dict[str, Any]:
    """The body that creates a link for one payment; the vendor's own options come last."""
    expires_at = link.expires_at
    # Mollie stores no reference with a link, so the description begins with it.
    texts = [link.reference, link.description]
    body: dict[str, Any] = {
        "amount": {"currency": link.amount.currency, "value": str(link.amount.amount)},
        "description": ": ".join(filter(None, texts))[:_LONGEST],
        "expiresAt": None
        if expires_at is None
        else expires_at.astimezone(UTC).isoformat(timespec="seconds"),
        "reusable": False,
        **order_fields(link),
        **fields,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return merged(body, extra_for("mollie", link.extra))


def read_link(wire: Wire, reference: str | None, response: Response) -> PaymentLink:
    """Parse the payment link in an answer."""
    body = read_answer(response)
    expires_at = body.time("expiresAt")
    is_archived = required(body.flag("archived"), response, "archived")
    return PaymentLink(
        ref=wire.ref(required(body.text("id"), response, "id")),
        state=_link_state(body, wire.now(), expires_at, is_archived=is_archived),
        url=body.text("_links.paymentLink.href"),
        amount=money(body, "amount"),
        reference=reference,
        expires_at=expires_at,
        created_at=body.time("createdAt"),
        raw=body.raw,
    )


def _link_state(
    body: Answer, now: datetime, expires_at: datetime | None, *, is_archived: bool
) -> LinkState:
    if body.time("paidAt") is not None:
        return LinkState.PAID
    if is_archived:
        return LinkState.CLOSED
    is_expired = expires_at is not None and expires_at <= now
    return LinkState.EXPIRED if is_expired else LinkState.OPEN
