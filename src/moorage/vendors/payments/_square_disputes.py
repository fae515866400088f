"""Responses to disputes at Square: acceptance and evidence."""

from __future__ import annotations

from functools import partial
from typing import Final

import attrs

from moorage.contracts.payments import Dispute, DisputeEvidence, DisputeState
from moorage.vendor_sdk import Ref, Request, Response, Wire, part_key, read_answer, required
from moorage.vendors.payments._common import executed_once, short_text, url_of
from moorage.vendors.payments._square_answers import dispute_of
from moorage.vendors.payments._square_requests import keyed_request

DISPUTES: Final = "/v2/disputes"
_MAX_LENGTH: Final = 500


async def get_dispute(wire: Wire, ref: Ref, /) -> Dispute:
    """Get a dispute."""
    return _read_dispute(wire, await wire.send(Request.get(_path(ref))))


async def accept_dispute(wire: Wire, ref: Ref, /, *, key: str) -> Dispute:
    """Accept the loss of a dispute; a repeat has no further effect."""
    step = _step(wire, ref, "accept", key)
    return await executed_once(step, partial(get_dispute, wire, ref), DisputeState.ACCEPTED)


async def submit_evidence(
    wire: Wire, ref: Ref, evidence: DisputeEvidence, /, *, key: str
) -> Dispute:
    """Store the texts of the evidence, then submit them all to the bank.

    For a dispute under review, Square stores no text, unless its key was used before. So a dispute
    under review whose submission is refused already has these texts.
    """
    for kind, text in _texts_of(evidence).items():
        await _store(wire, ref, kind, text, part_key(key, kind))
    step = _step(wire, ref, "submit-evidence", key)
    return await executed_once(step, partial(get_dispute, wire, ref), DisputeState.UNDER_REVIEW)


async def _store(wire: Wire, ref: Ref, kind: str, text: str, key: str) -> None:
    """Store a text of the evidence, only once per idempotency key."""
    body = {"evidence_type": kind, "evidence_text": text}
    request = keyed_request(wire, f"{_path(ref)}/evidence-text", body, key)
    await wire.send(request, key=key, parse=_check_evidence)


def _texts_of(evidence: DisputeEvidence) -> dict[str, str]:
    """The texts of the evidence, by Square's evidence types."""
    delivery = " ".join(filter(None, (evidence.carrier, evidence.tracking_number)))
    texts = {
        "GENERIC_EVIDENCE": (evidence.explanation, "evidence.explanation"),
        "PRODUCT_OR_SERVICE_DESCRIPTION": (evidence.product, "evidence.product"),
        "TRACKING_NUMBER": (delivery or None, "evidence.tracking_number"),
    }
    return {
        kind: short_text(text, _MAX_LENGTH, vendor="Square", field=field) or ""
        for kind, (text, field) in texts.items()
        if text is not None
    }


async def _step(wire: Wire, ref: Ref, name: str, key: str) -> Dispute:
    request = attrs.evolve(Request.post(f"{_path(ref)}/{name}"), idempotent=True)
    dispute: Dispute = await wire.send(request, key=key, parse=partial(_read_dispute, wire))
    return dispute


def _check_evidence(response: Response) -> None:
    """Refuse a response without the stored evidence."""
    required(read_answer(response).text("evidence.id"), response, "evidence.id")


def _read_dispute(wire: Wire, response: Response) -> Dispute:
    body = read_answer(response).object("dispute")
    return required(dispute_of(wire.ref, body), response, "dispute.id or dispute.state")


def _path(ref: Ref) -> str:
    return url_of(DISPUTES, ref.id)
