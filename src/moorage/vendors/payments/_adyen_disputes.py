"""Adyen's separate Disputes API; without documents, disputes can only be accepted.

The paths and fields are those of DisputeService-v30.json in github.com/Adyen/adyen-openapi at
aa014f0 (1 July 2026), read on 27 November 2026.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Dispute, DisputeState
from moorage.vendors.payments._common import safe_text

DISPUTES: Final = "disputes"
"""The name of the service."""
TEST_URL: Final = "https://ca-test.adyen.com"
LIVE_URL: Final = "https://ca-live.adyen.com"
_ACCEPT: Final = "/ca/services/DisputeService/v30/acceptDispute"
_KEY: Final = 64


async def accept_dispute(wire: sdk.Wire, ref: sdk.Ref, merchant_account: str, key: str) -> Dispute:
    """Accept a dispute with a key, because Adyen cannot tell whether it was accepted before."""
    body = {"merchantAccountCode": merchant_account, "disputePspReference": ref.id}
    dispute: Dispute = await wire.send(
        sdk.Request.post(_ACCEPT, json=body),
        to=DISPUTES,
        key=sdk.key_for_vendor(wire, key, _KEY),
        parse=partial(_accepted_dispute, ref),
    )
    return dispute


def _accepted_dispute(ref: sdk.Ref, response: sdk.Response) -> Dispute:
    """Return the accepted dispute; Adyen's response only states whether it was accepted.

    Raises:
        VendorRejected: Adyen answered that it did not accept the dispute.
    """
    body = sdk.read_answer(response)
    result = "disputeServiceResult.success"
    if not sdk.required(body.flag(result), response, result):
        words = safe_text(body.text("disputeServiceResult.errorMessage"))
        raise sdk.VendorRejected(
            f"Adyen did not accept the dispute: {words}",
            status=response.status,
            vendor_message=words,
            response=response,
        )
    return Dispute(ref=ref, payment=None, state=DisputeState.ACCEPTED, raw=body.raw)
