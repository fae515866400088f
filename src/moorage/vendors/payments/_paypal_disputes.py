"""Disputes at PayPal, and responses to them.

The paths, the evidence and the responses are those of customer_disputes_v1.json in
github.com/paypal/paypal-rest-api-specifications at ec4d8f3 (3 February 2024). The description has
only files in its requests: the part `input`, and the fields of an accepted claim, are those of
PayPal's published collection of requests. Both were read on 26 November 2026.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Dispute, DisputeEvidence, DisputeState, Page, PaymentQuery
from moorage.vendors.payments._common import short_text
from moorage.vendors.payments._order_details import stated_fields
from moorage.vendors.payments._paypal_answers import money
from moorage.vendors.payments._paypal_requests import KEY

_PATH: Final = "/v1/customer/disputes"
PAGE: Final = 50
"""The largest number of disputes on a page."""
_OLDEST: Final = timedelta(days=180)
_MAX_LENGTH: Final = 2_000
_LONGEST_NUMBER: Final = 255
_CARRIERS: Final = frozenset({"DHL", "FEDEX", "PARCELFORCE", "ROYAL_MAIL", "TNT", "UPS", "USPS"})
_STATES: Final = {
    "WAITING_FOR_SELLER_RESPONSE": DisputeState.NEEDS_RESPONSE,
    "WAITING_FOR_BUYER_RESPONSE": DisputeState.UNDER_REVIEW,
    "UNDER_REVIEW": DisputeState.UNDER_REVIEW,
    "RESOLVED": DisputeState.CLOSED,
}
_OUTCOMES: Final = {
    "RESOLVED_BUYER_FAVOUR": DisputeState.LOST,
    "RESOLVED_SELLER_FAVOUR": DisputeState.WON,
    "ACCEPTED": DisputeState.ACCEPTED,
}
_LOST: Final = frozenset({DisputeState.ACCEPTED, DisputeState.LOST})


async def get_dispute(wire: sdk.Wire, ref: sdk.Ref, /) -> Dispute:
    """Get a dispute."""
    response = await wire.send(sdk.Request.get(_path(ref)))
    return sdk.required(
        dispute_of(wire.ref, sdk.read_answer(response)), response, "dispute_id or status"
    )


async def list_disputes(
    wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
) -> Page[Dispute]:
    """List disputes; PayPal lists only those of the last 180 days.

    Raises:
        InvalidData: the query begins earlier.
    """
    if query.since is not None and query.since < wire.now() - _OLDEST:
        raise sdk.InvalidData(
            f"PayPal lists disputes of the last {_OLDEST.days} days only.",
            field="since",
            remedy="Pass a later `since`, and get older disputes by their ids with `get_dispute`.",
        )
    filters = {
        "page_size": min(query.limit, PAGE),
        "start_time": None if query.since is None else query.since.isoformat(),
        "next_page_token": None if after is None else after.id,
    }
    response = await wire.send(sdk.Request.get(_PATH, query=stated_fields(filters)))
    body = sdk.read_answer(response)
    if not sdk.is_list(body.raw.get("items", [])):
        raise sdk.malformed(response, "items")
    results = (dispute_of(wire.ref, item) for item in body.objects("items"))
    items = tuple(item for item in results if item is not None and _is_before(item, query))
    token = _next_page(body)
    return Page(items, None if token is None else wire.ref(token))


async def accept_dispute(wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Dispute:
    """Accept the claim of a dispute; PayPal refuses this after the end of the dispute."""
    body = {"note": "The claim is accepted.", "accept_claim_type": "REFUND"}
    try:
        return await _step(
            wire, ref, sdk.Request.post(f"{_path(ref)}/accept-claim", json=body), key
        )
    except sdk.VendorRejected:
        # An earlier request may have accepted it.
        dispute = await get_dispute(wire, ref)
        if dispute.state not in _LOST:
            raise
        return dispute


async def submit_evidence(
    wire: sdk.Wire, ref: sdk.Ref, evidence: DisputeEvidence, /, *, key: str
) -> Dispute:
    """Provide evidence for a dispute; PayPal accepts it only while it waits for the seller.

    If PayPal refuses, an earlier request may have provided it: then the dispute is under review
    with the same evidence.
    """
    fields = _evidence_fields(evidence)
    form = {"input": json.dumps({"evidences": [fields]})}
    request = sdk.Request.post(f"{_path(ref)}/provide-evidence", form=form, files={})
    try:
        return await _step(wire, ref, request, key)
    except sdk.VendorRejected:
        dispute = await get_dispute(wire, ref)
        if dispute.state != DisputeState.UNDER_REVIEW or not _has_evidence(
            dispute, fields["notes"]
        ):
            raise
        return dispute


def _evidence_fields(evidence: DisputeEvidence) -> dict[str, Any]:
    """The evidence fields: a proof of delivery if there is one, otherwise a note."""
    carrier, number = evidence.carrier, evidence.tracking_number
    texts = [evidence.explanation, evidence.product]
    fields: dict[str, Any] = {"evidence_type": "OTHER"}
    if carrier is not None and number is not None:
        fields["evidence_type"] = "PROOF_OF_FULFILLMENT"
        fields["evidence_info"] = {"tracking_info": [_tracking(carrier, number)]}
    else:
        texts += [carrier, number]
    notes = "\n".join(filter(None, texts))
    fields["notes"] = short_text(notes, _MAX_LENGTH, vendor="PayPal", field="evidence.explanation")
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
            carrier, _MAX_LENGTH, vendor="PayPal", field="evidence.carrier"
        )
    return tracking


def _has_evidence(dispute: Dispute, notes: str) -> bool:
    """True if the seller has provided evidence with these notes."""
    return any(
        item.text("source") == "SUBMITTED_BY_SELLER" and item.text("notes") == notes
        for item in sdk.as_answer(dispute.raw).objects("evidences")
    )


async def _step(wire: sdk.Wire, ref: sdk.Ref, request: sdk.Request, key: str) -> Dispute:
    """Execute a step whose response only has a link, then get the dispute's new state."""
    repeatable = attrs.evolve(request, idempotent=True)
    await wire.send(repeatable, key=sdk.key_for_vendor(wire, key, KEY), parse=_check_links)
    return await get_dispute(wire, ref)


def _check_links(response: sdk.Response) -> None:
    """Refuse a response without a link to the dispute."""
    if not sdk.is_list(sdk.read_answer(response).raw.get("links")):
        raise sdk.malformed(response, "links")


def _path(ref: sdk.Ref) -> str:
    return f"{_PATH}/{quote(ref.id, safe='')}"


def _is_before(dispute: Dispute, query: PaymentQuery) -> bool:
    """True if a dispute began before the query's end; PayPal cannot filter by the end."""
    start_time = dispute.created_at
    return query.until is None or start_time is None or start_time < query.until


def _next_page(body: sdk.Answer) -> str | None:
    links = {link.text("rel"): link.text("href") or "" for link in body.objects("links")}
    parameters = parse_qs(links.get("next", "").partition("?")[2])
    return next(iter(parameters.get("next_page_token", ())), None)


def dispute_of(make: sdk.MakeRef, body: sdk.Answer) -> Dispute | None:
    """Parse a dispute; None if it is malformed."""
    key, status = body.text("dispute_id"), body.text("status")
    if key is None or status is None:
        return None
    capture = body.text("disputed_transactions.0.seller_transaction_id")
    return Dispute(
        ref=make(key),
        payment=None if capture is None else make(capture, capture=capture),
        state=_dispute_state(body, status),
        vendor_state=status,
        amount=money(body, "dispute_amount"),
        reason=body.text("reason"),
        respond_by=body.time("seller_response_due_date"),
        created_at=body.time("create_time"),
        raw=body.raw,
    )


def _dispute_state(body: sdk.Answer, status: str) -> DisputeState:
    inquiry = body.text("dispute_life_cycle_stage") == "INQUIRY"
    if status == "OPEN":
        return DisputeState.INQUIRY if inquiry else DisputeState.UNDER_REVIEW
    outcome = _OUTCOMES.get(body.text("dispute_outcome.outcome_code") or "")
    return outcome or _STATES.get(status, DisputeState.UNKNOWN)
