"""Prepares FedEx and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.fedex import FedExSandbox
from moorage.vendors.shipping.fedex import FedEx

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def fedex_error(status: int, code: str) -> Response:
    """Return an error response of FedEx."""
    return reply({"errors": [{"code": code, "message": "It is refused."}]}, status)


def fedex() -> ShippingSubject:
    """Return a FedEx test subject with a new sandbox."""
    sandbox = FedExSandbox()
    return ShippingSubject(
        vendor=FedEx(
            client_id=sandbox.client_id,
            credentials=sandbox.client_secret,
            account_number=sandbox.account_number,
        ),
        sandbox=sandbox,
        sold=lambda: len(sandbox.shipments),
        buys=lambda request: request.method == "POST" and request.path == "/ship/v1/shipments",
        refusals=(
            (fedex_error(400, "SERVICE.TYPE.INVALID"), InvalidRequest, "SERVICE.TYPE.INVALID"),
            (fedex_error(200, "SHIPMENT.NOT.ACCEPTED"), VendorRejected, "SHIPMENT.NOT.ACCEPTED"),
            (fedex_error(403, "FORBIDDEN.ERROR"), AuthenticationFailed, "FORBIDDEN.ERROR"),
            (fedex_error(400, "FORBIDDEN.ERROR"), AuthenticationFailed, "FORBIDDEN.ERROR"),
            (fedex_error(429, "TOO.MANY.REQUESTS"), RateLimitExceeded, "TOO.MANY.REQUESTS"),
        ),
        carrier_code="SHIPMENT.NOT.ACCEPTED",
        option=({"rates": {"carrierCodes": ["FDXE"]}}, b'"carrierCodes":["FDXE"]'),
        secret=sandbox.client_secret,
        move=sandbox.move,
        delivered="DL",
        paperless=b'"ELECTRONIC_TRADE_DOCUMENTS"',
    )
