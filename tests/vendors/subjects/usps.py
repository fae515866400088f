"""Prepares USPS and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.shipping import WeightUnit
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
)
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.usps import UspsSandbox
from moorage.vendors.shipping.usps import Usps

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def usps_error(status: int, code: str) -> Response:
    """Return an error response of USPS."""
    error = {"title": "Bad Request", "detail": "It is refused.", "code": code}
    return reply({"error": {"code": f"{status}", "message": "No.", "errors": [error]}}, status)


def usps_vendor(sandbox: UspsSandbox, **options: Any) -> Usps:
    """Return the USPS vendor with the sandbox's credentials and account numbers."""
    return Usps(
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        crid=sandbox.crid,
        mid=sandbox.mid,
        account_number=sandbox.account_number,
        **options,
    )


def usps() -> ShippingSubject:
    """Return a USPS test subject with a new sandbox."""
    sandbox = UspsSandbox()
    return ShippingSubject(
        weight_unit=WeightUnit.POUND,
        vendor=usps_vendor(sandbox),
        sandbox=sandbox,
        sold=lambda: len(sandbox.labels),
        buys=lambda request: request.path == "/labels/v3/label",
        refusals=(
            (usps_error(400, "160100"), InvalidRequest, "160100"),
            (usps_error(403, "160004"), AuthenticationFailed, "160004"),
            (usps_error(429, "429"), RateLimitExceeded, "429"),
        ),
        carrier_code="160100",
        option=({"rates": {"shippingFilter": "PRICE"}}, b'"shippingFilter":"PRICE"'),
        secret=sandbox.client_secret,
        move=sandbox.move,
        delivered="Delivered",
    )
