"""Answers to disputes at PayPal.

The paths, the evidence and the answers are those of customer_disputes_v1.json in
github.com/paypal/paypal-rest-api-specifications at ec4d8f3 (3 February 2024). The description has
only files in its requests: the part `input`, and the fields of an accepted claim, are those of
PayPal's published collection of requests. Both were read on 26 November 2026.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.contracts.payments import DisputeState
from moorage.vendor_sdk import (
    Request,
    VendorRejected,
    as_answer,
    is_list,
    key_at,
    malformed,
    read_answer,
    required,
)
from moorage.vendors.payments._common import short_text
from moorage.vendors.payments._paypal_answers import dispute_of

if TYPE_CHECKING:
    from moorage.contracts.payments import Dispute, DisputeEvidence
    from moorage.vendor_sdk import Ref, Response, Wire

DISPUTES: Final = "/v1/customer/disputes"
_KEY: Final = 108
_LONGEST: Final = 2_000
_LONGEST_NUMBER: Final = 255
_CARRIERS: Final = frozenset({"DHL", "FEDEX", "PARCELFORCE", "ROYAL_MAIL", "TNT", "UPS", "USPS"})
_LOST: Final = frozenset({DisputeState.ACCEPTED, DisputeState.LOST})


async def get_dispute(wire: Wire, ref: Ref) -> Dispute:
    """Get a dispute."""
    response = await wire.send(Request.get(_path(ref)))
    return required(dispute_of(wire.ref, read_answer(response)), response, "dispute_id or status")


async def accept_dispute(wire: Wire, ref: Ref, key: str) -> Dispute:
    """Accept the claim of a dispute, which PayPal refuses once the dispute is over."""
    body = {"note": "The claim is accepted.", "accept_claim_type": "REFUND"}
    try:
        return await _step(wire, ref, Request.post(f"{_path(ref)}/accept-claim", json=body), key)
    except VendorRejected:
        # An earlier request may have accepted it.
        dispute = await get_dispute(wire, ref)
        if dispute.state not in _LOST:
            raise
        return dispute


async def submit_evidence(wire: Wire, ref: Ref, evidence: DisputeEvidence, key: str) -> Dispute:
    """Provide the evidence, which PayPal takes while it waits for the seller.

    If PayPal refuses that, an earlier request may have done it: then the dispute is under review
    with the same evidence.
    """
    fields = _evidence_fields(evidence)
    form = {"input": json.dumps({"evidences": [fields]})}
    request = Request.post(f"{_path(ref)}/provide-evidence", form=form, files={})
    try:
        return await _step(wire, ref, request, key)
    except VendorRejected:
        dispute = await get_dispute(wire, ref)
        if dispute.state != DisputeState.UNDER_REVIEW or not _has(dispute, fields["notes"]):
            raise
        return dispute


def _evidence_fields(evidence: DisputeEvidence) -> dict[str, Any]:
    """One piece of evidence: a proof of delivery if there is one, and else a note."""
    carrier, number = evidence.carrier, evidence.tracking_number
    texts = [evidence.explanation, evidence.product]
    fields: dict[str, Any] = {"evidence_type": "OTHER"}
    if carrier is not None and number is not None:
        fields["evidence_type"] = "PROOF_OF_FULFILLMENT"
        fields["evidence_info"] = {"tracking_info": [_tracking(carrier, number)]}
    else:
        texts += [carrier, number]
    notes = "\n".join(filter(None, texts))
    fields["notes"] = short_text(notes, _LONGEST, vendor="PayPal", field="evidence.explanation")
    return fields


def _tracking(carrier: str, number: str) -> dict[str, Any]:
    word = carrier.upper().replace(" ", "_")
    tracking = {
        "carrier_name": word if word in _CARRIERS else "OTHER",
        "tracking_number": short_text(
            number, _LONGEST_NUMBER, vendor="PayPal", field="evidence.tracking_number"
        ),
    }
    if word not in _CARRIERS:
        tracking["carrier_name_other"] = short_text(
            carrier, _LONGEST, vendor="PayPal", field="evidence.carrier"
        )
    return tracking


def _has(dispute: Dispute, notes: str) -> bool:
    """True if the seller has provided evidence with these notes."""
    return any(
        item.text("source") == "SUBMITTED_BY_SELLER" and item.text("notes") == notes
        for item in as_answer(dispute.raw).objects("evidences")
    )


async def _step(wire: Wire, ref: Ref, request: Request, key: str) -> Dispute:
    """Execute a step, whose answer has a link only, and get the dispute as it is then."""
    repeatable = attrs.evolve(request, idempotent=True)
    await wire.send(repeatable, key=key_at(wire, key, _KEY), parse=_check_links)
    return await get_dispute(wire, ref)


def _check_links(response: Response) -> None:
    """Refuse an answer without the link to the dispute."""
    if not is_list(read_answer(response).raw.get("links")):
        raise malformed(response, "links")


def _path(ref: Ref) -> str:
    return f"{DISPUTES}/{quote(ref.id, safe='')}"
