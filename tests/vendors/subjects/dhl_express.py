"""Prepares DHL Express and its sandbox for the conformance kit of shipping vendors."""

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
from moorage.testing.sandboxes.shipping.dhl_express import DhlExpressSandbox
from moorage.vendors.shipping.dhl_express import DhlExpress

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def dhl_error(status: int, detail: str) -> Response:
    """Return an error response of DHL Express."""
    return reply({"detail": detail, "title": "Refused", "status": str(status)}, status)


def dhl_express() -> ShippingSubject:
    """Return a DHL Express test subject with a new sandbox."""
    sandbox = DhlExpressSandbox()
    return ShippingSubject(
        vendor=DhlExpress(
            username=sandbox.username,
            credentials=sandbox.password,
            account_number=sandbox.account_number,
        ),
        sandbox=sandbox,
        sold=lambda: len(sandbox.shipments),
        buys=lambda request: request.method == "POST" and request.path == "/shipments",
        refusals=(
            (dhl_error(400, "7008: It is not available."), InvalidRequest, "7008"),
            (dhl_error(404, "There is nothing."), VendorRejected, None),
            (dhl_error(422, "#/content: required key [x] not found"), InvalidRequest, None),
            (dhl_error(401, "Invalid Credentials"), AuthenticationFailed, None),
            (dhl_error(429, "429: Too many requests"), RateLimitExceeded, "429"),
        ),
        carrier_code="410135",
        option=({"rates": {"nextBusinessDay": True}}, b'"nextBusinessDay":true'),
        secret=sandbox.password,
        move=sandbox.move,
        delivered="OK",
        paperless=b'"serviceCode":"WY"',
    )
