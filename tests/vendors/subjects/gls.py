"""Prepares GLS and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.shipping import WeightUnit
from moorage.errors import AuthenticationFailed, InvalidRequest, RateLimitExceeded
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.gls import GlsSandbox
from moorage.vendors.shipping.gls import Gls

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def gls_error(status: int, code: str) -> Response:
    """Return an error response of the gateway in front of GLS's APIs."""
    return reply(
        {"fault": {"faultstring": "It is refused.", "detail": {"errorcode": code}}}, status
    )


def gls_vendor(sandbox: GlsSandbox, **options: Any) -> Gls:
    """Return the GLS vendor with the sandbox's credentials, and with a list of prices."""
    values: dict[str, Any] = {"parcel_price": "4.90", "express_price": "12.50", **options}
    return Gls(
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        contact_id=sandbox.contact_id,
        **values,
    )


def gls() -> ShippingSubject:
    """Return a GLS test subject with a new sandbox."""
    sandbox = GlsSandbox()
    errors = [{"code": "VALIDATION", "message": "It is refused."}]
    quota = "policies.ratelimit.QuotaViolation"
    return ShippingSubject(
        weight_unit=WeightUnit.KILOGRAM,
        vendor=gls_vendor(sandbox),
        sandbox=sandbox,
        sold=lambda: len(sandbox.shipments),
        buys=lambda request: request.path == "/shipit-farm/v1/backend/rs/shipments",
        refusals=(
            (reply({"errors": errors}, 400), InvalidRequest, "VALIDATION"),
            (gls_error(403, "oauth.Denied"), AuthenticationFailed, "oauth.Denied"),
            (gls_error(429, quota), RateLimitExceeded, quota),
        ),
        carrier_code="SHIPMENT_VALID_ROUTING",
        option=({"rates": {"ContactID": "another"}}, b'"ContactID":"another"'),
        secret=sandbox.client_secret,
        move=sandbox.move,
        delivered="DELIVERED",
    )
