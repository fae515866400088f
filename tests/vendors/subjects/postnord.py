"""Prepares PostNord and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.errors import AuthenticationFailed, InvalidRequest, RateLimitExceeded, VendorRejected
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.postnord import PostNordSandbox
from moorage.vendors.shipping.postnord import PostNord

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def postnord_error(status: int, code: str) -> Response:
    """Return an error response of PostNord, or, for a success status, a booking with an error."""
    fault = {"faultCode": code, "explanationText": "It is refused."}
    problem = {"message": "Refused", "compositeFault": {"faults": [fault]}}
    booking = {"idInformation": [{"status": "FAIL", "errorResponse": problem}]}
    return reply(problem if status >= 400 else {"bookingResponse": booking}, status)


def postnord() -> ShippingSubject:
    """Return a PostNord test subject with a new sandbox."""
    sandbox = PostNordSandbox()
    gateway = {"status_code": 403, "error_type": "Forbidden", "message": "Invalid API Key"}
    return ShippingSubject(
        vendor=PostNord(
            credentials=sandbox.api_key, customer_number="0012345678", application_id=1438
        ),
        sandbox=sandbox,
        sold=lambda: len(sandbox.shipments),
        buys=lambda request: request.method.value == "POST",
        refusals=(
            (postnord_error(400, "SACUS-BR-1"), InvalidRequest, "SACUS-BR-1"),
            (postnord_error(200, "SACUS-BR-2"), VendorRejected, "SACUS-BR-2"),
            (reply({"error": gateway}, 403), AuthenticationFailed, "Forbidden"),
            (reply({}, 401), AuthenticationFailed, None),
            (reply({}, 429), RateLimitExceeded, None),
        ),
        carrier_code="POSTAL_CODE",
        option=({"service": {"additionalServiceCode": ["A3"]}}, b'"additionalServiceCode":["A3"]'),
        secret=sandbox.api_key,
        move=sandbox.move,
        delivered="DELIVERED",
        service="postnord_19",
    )
