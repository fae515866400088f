"""Prepares Bird and its sandbox for the conformance kit of SMS vendors."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING

from moorage.contracts.ref import Ref
from moorage.contracts.sms import LineType, Price, SmsStatus
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.sms_conformance import SmsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.sms.bird import BirdSandbox
from moorage.vendors.sms.bird import Bird

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def bird_error(status: int, kind: str, code: str = "E99999") -> Response:
    """Return an error response of Bird that contains a phone number."""
    words = "+447700900000 is refused"
    return reply({"error": {"type": kind, "code": code, "message": words}}, status)


def bird() -> SmsSubject:
    """Return a Bird test subject with a new sandbox."""
    sandbox = BirdSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError], str], ...] = (
        (bird_error(429, "rate_limit_error"), RateLimitExceeded, "E99999"),
        (bird_error(401, "auth_error"), AuthenticationFailed, "E99999"),
        (bird_error(422, "validation_error"), InvalidRequest, "E99999"),
        (bird_error(402, "billing_error"), VendorRejected, "E99999"),
        (bird_error(421, "misdirected_error", "E01010"), VendorRejected, "E01010"),
    )
    return SmsSubject(
        vendor=Bird(region=sandbox.region, credentials=sandbox.api_key, sender="Acme"),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("category", "marketing"),
        secret=sandbox.api_key,
        webhook_secret=sandbox.webhook_secret,
        strange_secret="whsec_" + b64encode(b"somebody else's long key").decode(),
        report=sandbox.report,
        unknown=reply({"id": "sms_1", "status": "teleported"}, 202),
        requests=(
            (
                {"sender": "+15005550009", "reference": "INV-7"},
                {
                    "to": "+447700900000",
                    "from": "+15005550009",
                    "text": "Your code is 1234.",
                    "category": "transactional",
                    "metadata.reference": "INV-7",
                },
            ),
            ({}, {"from": "Acme", "metadata": None}),
        ),
        answers=(
            (
                "get",
                reply(
                    {
                        "id": "sms_7",
                        "status": "undelivered",
                        "segments": {"count": 3, "encoding": "GSM_7BIT", "characters": 400},
                        "cost": {"amount": "0.00990", "currency_code": "USD"},
                        "last_error": {"code": "E12", "description": "Handset is off."},
                    }
                ),
                {
                    "ref": Ref("bird", "texts", "sms_7"),
                    "status": SmsStatus.UNDELIVERED,
                    "vendor_status": "undelivered",
                    "segments": 3,
                    "price": Price(Decimal("0.00990"), "USD"),
                    "error_code": "E12",
                    "error_message": "Handset is off.",
                },
            ),
            (
                "validate_number",
                reply(
                    {
                        "phone_number": "+447700900000",
                        "country_code": "GB",
                        "network_info": {"carrier_name": "Isle"},
                        "original_network_info": {"carrier_name": "Main"},
                        "line_type": "fixed_line",
                    }
                ),
                {
                    "valid": True,
                    "number": "+447700900000",
                    "country": "GB",
                    "line": LineType.LANDLINE,
                    "carrier": "Isle",
                    "reasons": (),
                },
            ),
        ),
        words={
            "accepted": SmsStatus.QUEUED,
            "sent": SmsStatus.SENT,
            "undelivered": SmsStatus.UNDELIVERED,
            "failed": SmsStatus.FAILED,
            "rejected": SmsStatus.REJECTED,
            "expired": SmsStatus.EXPIRED,
        },
    )
