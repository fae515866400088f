"""Prepares Colissimo and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.shipping import WeightUnit
from moorage.errors import AuthenticationFailed, InvalidRequest, RateLimitExceeded, VendorRejected
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.colissimo import ColissimoSandbox
from moorage.vendors.shipping.colissimo import Colissimo

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def colissimo_error(status: int, code: str) -> Response:
    """Return an error response of Colissimo that is not a multipart message."""
    message = {"id": code, "type": "ERROR", "messageContent": "It is refused."}
    return reply({"messages": [message], "labelV2Response": None}, status)


def colissimo() -> ShippingSubject:
    """Return a Colissimo test subject with a new sandbox."""
    sandbox = ColissimoSandbox()
    return ShippingSubject(
        weight_unit=WeightUnit.KILOGRAM,
        vendor=Colissimo(credentials=sandbox.api_key, tracking_key=sandbox.tracking_key),
        sandbox=sandbox,
        sold=lambda: len(sandbox.shipments),
        buys=lambda request: request.method.value == "POST",
        refusals=(
            (colissimo_error(400, "30010"), InvalidRequest, "30010"),
            (colissimo_error(200, "30010"), VendorRejected, "30010"),
            (colissimo_error(400, "30000"), AuthenticationFailed, "30000"),
            (reply({}, 403), AuthenticationFailed, None),
            (reply({}, 429), RateLimitExceeded, None),
        ),
        carrier_code="30204",
        option=(
            {"shipment": {"letter": {"parcel": {"instructions": "Fragile"}}}},
            b'"instructions":"Fragile"',
        ),
        secret=sandbox.api_key,
        move=sandbox.move,
        delivered="DI1",
        service="colissimo_dom",
    )
