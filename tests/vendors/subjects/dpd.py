"""Prepares DPD and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.shipping import WeightUnit
from moorage.errors import AuthenticationFailed, InvalidRequest, RateLimitExceeded, VendorRejected
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.dpd import DpdSandbox
from moorage.vendors.shipping.dpd import Dpd

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def dpd_error(status: int, code: str) -> Response:
    """Return an error response of DPD."""
    problem = {"errorCode": code, "errorMessage": "It is refused.", "errorOrigin": "META-API"}
    return reply([problem] if status == 400 else problem, status)


def _keep_status(number: str, word: str) -> None:
    """Change nothing, because DPD's META-API has no tracking."""


def dpd() -> ShippingSubject:
    """Return a DPD test subject with a new sandbox."""
    sandbox = DpdSandbox()
    return ShippingSubject(
        weight_unit=WeightUnit.GRAM,
        vendor=Dpd(
            login=sandbox.login,
            credentials=sandbox.password,
            business_unit=sandbox.business_unit,
        ),
        sandbox=sandbox,
        sold=lambda: len(sandbox.shipments),
        buys=lambda request: request.path.endswith("/shipment"),
        refusals=(
            (dpd_error(400, "COMMON_2"), InvalidRequest, "COMMON_2"),
            (reply({}, 404), VendorRejected, None),
            (dpd_error(401, "COMMON_5"), AuthenticationFailed, "COMMON_5"),
            (reply({}, 403), AuthenticationFailed, None),
            (reply({}, 429), RateLimitExceeded, None),
        ),
        carrier_code="ROUTING_1",
        option=({"payerType": "R"}, b'"payerType":"R"'),
        secret=sandbox.password,
        move=_keep_status,
        delivered="delivered",
        service="dpd_101",
    )
