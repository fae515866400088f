"""Checks of responses to disputes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.payments import DisputeEvidence, DisputeState, PaymentsCapability
from moorage.contracts.ref import Ref
from moorage.errors import (
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._contract_harness import with_body
from moorage.testing.kits._payments_harness import FIRST, Harness
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from moorage.contracts.payments import Dispute

Open: TypeAlias = Callable[[], Harness]

EVIDENCE: Final = DisputeEvidence(
    "The buyer signed for the chairs on May 4.",
    product="Two chairs",
    carrier="Parcelworks",
    tracking_number="PW-1042",
)
_WORDS: Final = (b"signed", b"Parcelworks", b"PW-1042")
_ACCEPTED: Final = frozenset({DisputeState.ACCEPTED, DisputeState.LOST})


async def a_dispute_is_accepted_once(make: Open) -> None:
    """Accepting a dispute closes it, even if the vendor's response is lost."""
    async with make() as harness:
        if PaymentsCapability.ACCEPT_DISPUTE in harness.capabilities:
            ref = await _new_dispute(harness)
            dispute = await _after_a_lost_answer(harness, "accept_dispute", ref)
            require(dispute.state in _ACCEPTED, f"An accepted dispute is {dispute.state}.")
            again_call = harness(
                "accept_dispute", attrs.evolve(ref, id="unknown"), idempotency_key="d-3"
            )
            await harness.refused(ConnectorError, again_call, "An unknown dispute")
            if PaymentsCapability.DISPUTE_EVIDENCE in harness.capabilities:
                evidence_call = harness("submit_evidence", ref, EVIDENCE, idempotency_key="d-2")
                await harness.refused(
                    VendorRejected, evidence_call, "Evidence for a closed dispute"
                )


async def evidence_arrives(make: Open) -> None:
    """All texts of the evidence reach the vendor, and the dispute is then under review."""
    async with make() as harness:
        if PaymentsCapability.DISPUTE_EVIDENCE in harness.capabilities:
            ref = await _new_dispute(harness)
            request_count = len(harness.sandbox.requests)
            dispute = await _after_a_lost_answer(harness, "submit_evidence", ref, EVIDENCE)
            require(dispute.state is DisputeState.UNDER_REVIEW, f"The dispute is {dispute.state}.")
            body = b"".join(request.body for request in harness.sandbox.requests[request_count:])
            require(all(word in body for word in _WORDS), "A part of the evidence is lost.")
            accept_call = harness("accept_dispute", ref, idempotency_key="d-2")
            await harness.refused(VendorRejected, accept_call, "A second answer")


async def a_dispute_is_looked_up(make: Open) -> None:
    """A dispute looked up by reference equals the listed one.

    An unreadable response is an error.
    """
    async with make() as harness:
        if PaymentsCapability.LOOK_UP_DISPUTE in harness.capabilities:
            ref = await _new_dispute(harness)
            dispute: Dispute = await harness("get_dispute", ref)
            dispute_list = (await harness("disputes", account=FIRST)).items
            require(
                any(_is_same(dispute, item) for item in dispute_list),
                "The listed dispute differs from the dispute that was looked up.",
            )
            require(
                dispute.state is DisputeState.NEEDS_RESPONSE, f"The dispute is {dispute.state}."
            )
            harness.sandbox.fail(AlteredAnswer(partial(with_body, b"{}")))
            await harness.refused(VendorFailed, harness("get_dispute", ref), "An empty answer")


def _is_same(dispute: Dispute, listed: Dispute) -> bool:
    """True if a listed and a looked-up dispute are equal.

    The listed dispute may lack its payment.
    """
    if listed.payment is None:
        listed = attrs.evolve(listed, payment=dispute.payment)
    return dispute == listed


async def _new_dispute(harness: Harness) -> Ref:
    """Return the reference of a new dispute."""
    payment = await harness.taken("k-1")
    require(
        harness.subject.dispute is not None, "The subject has no `dispute`, which opens a dispute."
    )
    id = "" if harness.subject.dispute is None else harness.subject.dispute(payment.ref.id)
    return Ref(harness.subject.vendor.name, FIRST, id)


async def _after_a_lost_answer(harness: Harness, operation: str, ref: Ref, *values: Any) -> Dispute:
    """Return the result of a repeated operation whose first response was lost."""
    missing_call = harness(operation, ref, *values, idempotency_key=None)
    await harness.refused(InvalidData, missing_call, "A step without a key")
    harness.sandbox.fail(Lost())
    lost_call = harness(operation, ref, *values, idempotency_key="d-1")
    await harness.refused(ConnectionFailed, lost_call, "A lost answer")
    dispute: Dispute = await harness(operation, ref, *values, idempotency_key="d-1")
    require(dispute.ref == ref, "Another dispute was answered.")
    if PaymentsCapability.LOOK_UP_DISPUTE in harness.capabilities:
        current: Dispute = await harness("get_dispute", ref)
        require(
            current.state is dispute.state,
            "The looked-up dispute is in another state than the listed one.",
        )
    return dispute


DISPUTES: Final = (a_dispute_is_accepted_once, evidence_arrives, a_dispute_is_looked_up)
