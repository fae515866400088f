"""Responses to disputes at Checkout.com: acceptance and evidence."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Dispute, DisputeEvidence, DisputeState
from moorage.vendors.payments._checkout_com_answers import dispute_of
from moorage.vendors.payments._common import executed_once, short_text
from moorage.vendors.payments._order_details import stated_fields

_KEY: Final = 64
_MAX_LENGTH: Final = 500


async def get_dispute(wire: sdk.Wire, ref: sdk.Ref, /) -> Dispute:
    """Get a dispute."""
    response = await wire.send(sdk.Request.get(_path(ref)))
    return sdk.required(dispute_of(wire.ref, sdk.read_answer(response)), response, "id or status")


async def accept_dispute(wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Dispute:
    """Accept a dispute; a repeat has no further effect."""
    step = _step(wire, ref, sdk.Request.post(f"{_path(ref)}/accept"), key)
    return await executed_once(step, partial(get_dispute, wire, ref), DisputeState.ACCEPTED)


async def submit_evidence(
    wire: sdk.Wire, ref: sdk.Ref, evidence: DisputeEvidence, /, *, key: str
) -> Dispute:
    """Store the evidence, and submit it to the bank.

    If Checkout.com refuses, an earlier request may have submitted it: then the dispute is under
    review with the same evidence.
    """
    path, texts = f"{_path(ref)}/evidence", _evidence_body(evidence)
    try:
        await _send(wire, sdk.Request.put(path, json=texts), sdk.part_key(key, "texts"))
        return await _step(wire, ref, sdk.Request.post(path), key)
    except sdk.VendorRejected:
        dispute = await get_dispute(wire, ref)
        if dispute.state != DisputeState.UNDER_REVIEW:
            raise
        stored = sdk.read_answer(await wire.send(sdk.Request.get(path)))
        if any(stored.text(name) != text for name, text in texts.items()):
            raise
        return dispute


def _evidence_body(evidence: DisputeEvidence) -> dict[str, Any]:
    delivery = " ".join(filter(None, (evidence.carrier, evidence.tracking_number)))
    explanation = "\n".join(filter(None, (evidence.explanation, evidence.product)))
    texts = {
        "additional_evidence_text": (explanation, "evidence.explanation"),
        "proof_of_delivery_or_service_text": (delivery or None, "evidence.tracking_number"),
    }
    return stated_fields(
        {
            name: short_text(text, _MAX_LENGTH, vendor="Checkout.com", field=field)
            for name, (text, field) in texts.items()
        }
    )


async def _step(wire: sdk.Wire, ref: sdk.Ref, request: sdk.Request, key: str) -> Dispute:
    """Execute a step whose successful response is empty, then get the dispute's new state."""
    await _send(wire, request, key)
    return await get_dispute(wire, ref)


async def _send(wire: sdk.Wire, request: sdk.Request, key: str) -> None:
    repeatable = attrs.evolve(request, idempotent=True)
    await wire.send(repeatable, key=sdk.key_for_vendor(wire, key, _KEY), parse=_check_empty)


def _check_empty(response: sdk.Response) -> None:
    """Refuse a successful response with content, which should be empty."""
    if response.body:
        raise sdk.malformed(
            response, problem="has a body, although a successful response must be empty"
        )


def _path(ref: sdk.Ref) -> str:
    return f"/disputes/{quote(ref.id, safe='')}"
