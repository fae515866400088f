"""Responses to disputes at Stripe: acceptance and evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.vendor_sdk import Ref, Request, Wire
from moorage.vendors.payments._common import url_of
from moorage.vendors.payments._stripe_answers import read_dispute
from moorage.vendors.payments._stripe_requests import send_once_per_key

if TYPE_CHECKING:
    from moorage.contracts.payments import Dispute, DisputeEvidence

DISPUTES: Final = "/v1/disputes"


async def get_dispute(wire: Wire, ref: Ref, /) -> Dispute:
    """Get a dispute."""
    return read_dispute(wire, await wire.send(Request.get(url_of(DISPUTES, ref.id))))


async def accept_dispute(wire: Wire, ref: Ref, /, *, key: str) -> Dispute:
    """Close a dispute, which accepts it as lost."""
    return await send_once_per_key(wire, url_of(DISPUTES, ref.id, "close"), {}, key, read_dispute)


async def submit_evidence(
    wire: Wire, ref: Ref, evidence: DisputeEvidence, /, *, key: str
) -> Dispute:
    """Submit evidence to the bank."""
    body = _evidence_body(evidence)
    return await send_once_per_key(wire, url_of(DISPUTES, ref.id), body, key, read_dispute)


def _evidence_body(evidence: DisputeEvidence) -> dict[str, Any]:
    """The body that submits evidence."""
    fields = {
        "uncategorized_text": evidence.explanation,
        "product_description": evidence.product,
        "shipping_carrier": evidence.carrier,
        "shipping_tracking_number": evidence.tracking_number,
    }
    return {"evidence": fields, "submit": True}
