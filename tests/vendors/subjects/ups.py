"""Prepares UPS and its sandbox for the conformance kit of shipping vendors."""

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
from moorage.testing.sandboxes.shipping.ups import UpsSandbox
from moorage.vendors.shipping.ups import Ups

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def ups_error(status: int, code: str) -> Response:
    """Return an error response of UPS."""
    return reply({"response": {"errors": [{"code": code, "message": "It is refused."}]}}, status)


def ups() -> ShippingSubject:
    """Return a UPS test subject with a new sandbox."""
    sandbox = UpsSandbox()
    return ShippingSubject(
        vendor=Ups(
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            account_number=sandbox.account_number,
        ),
        sandbox=sandbox,
        sold=lambda: len(sandbox.shipments),
        buys=lambda request: request.path.endswith("/ship"),
        refusals=(
            (ups_error(400, "120100"), InvalidRequest, "120100"),
            (ups_error(404, "120900"), VendorRejected, "120900"),
            (ups_error(403, "250009"), AuthenticationFailed, "250009"),
            (ups_error(429, "10429"), RateLimitExceeded, "10429"),
        ),
        carrier_code="121100",
        option=(
            {"rates": {"PickupType": {"Code": "03"}}},
            b'"PickupType":{"Code":"03"}',
        ),
        secret=sandbox.client_secret,
        move=sandbox.move,
        delivered="D",
    )
