"""Test subjects of EasyPost and Shippo for the conformance kit of shipping vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moorage.contracts.shipping import WeightUnit
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox
from moorage.vendors.shipping.easypost import EasyPost
from moorage.vendors.shipping.shippo import Shippo
from tests.vendors.subjects.colissimo import colissimo
from tests.vendors.subjects.dhl_express import dhl_express
from tests.vendors.subjects.dhl_parcel import dhl_parcel
from tests.vendors.subjects.dpd import dpd
from tests.vendors.subjects.fedex import fedex
from tests.vendors.subjects.gls import gls
from tests.vendors.subjects.postnord import postnord
from tests.vendors.subjects.royalmail import royalmail
from tests.vendors.subjects.shipengine import shipengine
from tests.vendors.subjects.ups import ups
from tests.vendors.subjects.usps import usps

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def easypost_error(status: int, code: str) -> Response:
    """Return an error response of EasyPost."""
    return reply({"error": {"code": code, "message": "It is refused.", "errors": []}}, status)


def easypost() -> ShippingSubject:
    """Return an EasyPost test subject with a new sandbox."""
    sandbox = EasyPostSandbox()
    return ShippingSubject(
        weight_unit=WeightUnit.OUNCE,
        vendor=EasyPost(credentials=sandbox.api_key),
        sandbox=sandbox,
        sold=lambda: sum(
            shipment["postage_label"] is not None for shipment in sandbox.shipments.values()
        ),
        buys=lambda request: request.path.endswith("/buy"),
        refusals=(
            (easypost_error(422, "SHIPMENT.RATE.EXPIRED"), VendorRejected, "SHIPMENT.RATE.EXPIRED"),
            (easypost_error(422, "PARAMETER.INVALID"), InvalidRequest, "PARAMETER.INVALID"),
            (easypost_error(402, "PAYMENT_REQUIRED"), VendorRejected, "PAYMENT_REQUIRED"),
            (easypost_error(401, "UNAUTHORIZED"), AuthenticationFailed, "UNAUTHORIZED"),
            (easypost_error(403, "FORBIDDEN"), AuthenticationFailed, "FORBIDDEN"),
            (easypost_error(429, "RATE_LIMITED"), RateLimitExceeded, "RATE_LIMITED"),
        ),
        carrier_code="SHIPMENT.POSTAGE.FAILURE",
        option=({"options": {"print_custom_1": "shelf 7"}}, b'"print_custom_1":"shelf 7"'),
        secret=sandbox.api_key,
        move=sandbox.move,
        delivered="delivered",
        webhook_secret=sandbox.webhook_secret,
        report=lambda number, url: sandbox.report(url, "tracker.updated", sandbox.trackers[number]),
    )


def shippo_error(status: int, detail: str) -> Response:
    """Return an error response of Shippo; Shippo has no error codes."""
    return reply({"detail": detail}, status)


def shippo() -> ShippingSubject:
    """Return a Shippo test subject with a new sandbox."""
    sandbox = ShippoSandbox()
    failed_transaction = {
        "object_id": "1",
        "status": "ERROR",
        "messages": [{"source": "USPS", "code": "expired", "text": "The rate has expired."}],
    }
    return ShippingSubject(
        vendor=Shippo(credentials=sandbox.token),
        sandbox=sandbox,
        sold=lambda: sum(
            transaction["status"] != "ERROR" for transaction in sandbox.transactions.values()
        ),
        buys=lambda request: request.method == "POST" and request.path == "/transactions",
        refusals=(
            (reply(failed_transaction, 201), VendorRejected, "expired"),
            (reply({"rate": ["It is no rate."]}, 400), InvalidRequest, "rate"),
            (shippo_error(400, "It is refused."), InvalidRequest, None),
            (shippo_error(401, "Invalid token"), AuthenticationFailed, None),
            (shippo_error(429, "Too many requests."), RateLimitExceeded, None),
        ),
        carrier_code="carrier_error",
        option=({"extra": {"authority_to_leave": True}}, b'"authority_to_leave":true'),
        secret=sandbox.token,
        move=sandbox.move,
        delivered="DELIVERED",
        webhook_secret=sandbox.webhook_secret,
        report=lambda number, url: sandbox.report(
            url, "track_updated", sandbox.tracks[number], at=datetime.now(UTC)
        ),
    )


SUBJECTS = [
    colissimo,
    dhl_express,
    dhl_parcel,
    dpd,
    easypost,
    fedex,
    gls,
    postnord,
    royalmail,
    shipengine,
    shippo,
    ups,
    usps,
]
