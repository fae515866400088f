"""Prepares ShipEngine and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.shipengine import ShipEngineSandbox
from moorage.vendors.shipping.shipengine import ShipEngine
from tests.webhooks.keys import rsa_key, rsa_public

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

FILES = "https://files.shipengine.example"


def shipengine_error(status: int, code: str, kind: str) -> Response:
    """Return an error response of ShipEngine."""
    error = {"error_source": "shipengine", "error_type": kind, "error_code": code}
    return reply({"request_id": "1", "errors": [{**error, "message": "It is refused."}]}, status)


def shipengine() -> ShippingSubject:
    """Return a ShipEngine test subject whose sandbox stores label files on another host."""
    sandbox = ShipEngineSandbox(files=FILES)
    return ShippingSubject(
        vendor=ShipEngine(credentials=sandbox.api_key, label_hosts=[FILES]),
        sandbox=sandbox,
        sold=lambda: len(sandbox.labels),
        buys=lambda request: request.path.startswith("/v1/labels/rates/"),
        refusals=(
            (
                reply({"label_id": "se-1", "status": "error"}),
                VendorRejected,
                "error",
            ),
            (
                shipengine_error(400, "invalid_identifier", "validation"),
                InvalidRequest,
                "invalid_identifier",
            ),
            (
                shipengine_error(400, "insufficient_funds", "account_status"),
                VendorRejected,
                "insufficient_funds",
            ),
            (
                shipengine_error(400, "unauthorized", "validation"),
                AuthenticationFailed,
                "unauthorized",
            ),
            (shipengine_error(403, "forbidden", "security"), AuthenticationFailed, "forbidden"),
            (
                shipengine_error(429, "rate_limit_exceeded", "security"),
                RateLimitExceeded,
                "rate_limit_exceeded",
            ),
        ),
        carrier_code="unspecified",
        option=(
            {"shipment": {"advanced_options": {"contains_alcohol": True}}},
            b'"contains_alcohol":true',
        ),
        secret=sandbox.api_key,
        move=sandbox.move,
        delivered="DE",
        webhook_secret=sandbox.webhook_key,
        wrong_secret=rsa_public(rsa_key(1)),
        report=lambda number, url: sandbox.report(url, number, at=datetime.now(UTC)),
    )
