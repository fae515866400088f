"""Prepares Telnyx and its sandbox for the conformance kit of SMS vendors."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
from moorage.testing.sandboxes.sms.telnyx import TelnyxSandbox
from moorage.vendors.sms.telnyx import Telnyx

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

URL: Final = "https://shop.example/texts"
PICTURES: Final = ("https://shop.example/1", "https://shop.example/2")
STRANGER: Final = Ed25519PrivateKey.from_private_bytes(b"another-key-of-thirty-two-bytes!")
NUMBER: Final[dict[str, Any]] = {
    "phone_number": "+447700900000",
    "country_code": "GB",
    "national_format": "07700 900000",
    "carrier": {"name": "Isle", "normalized_carrier": "Isle of Man", "type": "fixed line"},
}


def telnyx_error(status: int, code: str) -> Response:
    """Return an error response of Telnyx with a phone number in it."""
    error = {"code": code, "title": "Refused", "detail": "+447700900000 is refused."}
    return reply({"errors": [error]}, status)


def message(status: str, **fields: Any) -> dict[str, Any]:
    """Return a message in the form of Telnyx's API."""
    recipient = {"phone_number": "+447700900000", "status": status}
    return {"id": "m-7", "direction": "outbound", "to": [recipient]} | fields


def telnyx() -> SmsSubject:
    """Return a Telnyx test subject with a new sandbox."""
    sandbox = TelnyxSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError], str], ...] = (
        (telnyx_error(429, "10011"), RateLimitExceeded, "10011"),
        (telnyx_error(401, "10009"), AuthenticationFailed, "10009"),
        (telnyx_error(400, "40310"), InvalidRequest, "40310"),
        (telnyx_error(422, "10033"), InvalidRequest, "10033"),
        (telnyx_error(400, "40300"), VendorRejected, "40300"),
        (telnyx_error(400, "40318"), RateLimitExceeded, "40318"),
        (telnyx_error(403, "10010"), VendorRejected, "10010"),
        (telnyx_error(404, "10005"), VendorRejected, "10005"),
    )
    return SmsSubject(
        vendor=Telnyx(credentials=sandbox.api_key, sender="+15005550006"),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("subject", "News"),
        secret=sandbox.api_key,
        webhook_secret=sandbox.public_key,
        strange_secret=b64encode(STRANGER.public_key().public_bytes_raw()).decode(),
        report=sandbox.report,
        unknown=reply({"data": message("teleported")}),
        requests=(
            (
                {"sender": "+15005550009", "callback_url": URL},
                {
                    "to": "+447700900000",
                    "from": "+15005550009",
                    "text": "Your code is 1234.",
                    "webhook_url": URL,
                    "messaging_profile_id": None,
                    "media_urls": None,
                    "send_at": None,
                },
            ),
            (
                {"sender_pool": "profile-7", "media": PICTURES},
                {
                    "messaging_profile_id": "profile-7",
                    "from": None,
                    "media_urls": list(PICTURES),
                    "webhook_url": None,
                },
            ),
        ),
        answers=(
            (
                "send",
                reply({"data": message("queued", parts=2, cost=None)}),
                {
                    "ref": Ref("telnyx", "texts", "m-7"),
                    "status": SmsStatus.QUEUED,
                    "vendor_status": "queued",
                    "segments": 2,
                    "price": None,
                    "error_code": None,
                },
            ),
            (
                "get",
                reply(
                    {
                        "data": message(
                            "delivery_failed",
                            parts=3,
                            cost={"amount": "0.0153", "currency": "usd"},
                            errors=[{"code": "40008", "title": "Undeliverable", "detail": "No."}],
                        )
                    }
                ),
                {
                    "status": SmsStatus.UNDELIVERED,
                    "vendor_status": "delivery_failed",
                    "segments": 3,
                    "price": Price(Decimal("0.0153"), "USD"),
                    "error_code": "40008",
                    "error_message": "No.",
                },
            ),
            (
                "get",
                reply({"data": message("webhook_delivered", direction="inbound")}),
                {"status": SmsStatus.RECEIVED, "vendor_status": "webhook_delivered"},
            ),
            (
                "cancel",
                reply(message("cancelled")),
                {"ref": Ref("telnyx", "texts", "m-7"), "status": SmsStatus.CANCELED},
            ),
            (
                "validate_number",
                reply({"data": NUMBER}),
                {
                    "valid": True,
                    "number": "+447700900000",
                    "country": "GB",
                    "national": "07700 900000",
                    "line": LineType.LANDLINE,
                    "carrier": "Isle",
                    "reasons": (),
                },
            ),
            (
                "check_balance",
                reply({"data": {"balance": "-3.1415", "currency": "USD", "pending": "1.00"}}),
                {"amount": Price(Decimal("-3.1415"), "USD")},
            ),
        ),
        words={
            "scheduled": SmsStatus.SCHEDULED,
            "queued": SmsStatus.QUEUED,
            "sending": SmsStatus.QUEUED,
            "sent": SmsStatus.SENT,
            "delivery_unconfirmed": SmsStatus.SENT,
            "sending_failed": SmsStatus.FAILED,
            "delivery_failed": SmsStatus.UNDELIVERED,
            "expired": SmsStatus.EXPIRED,
            "read": SmsStatus.READ,
            "cancelled": SmsStatus.CANCELED,
        },
    )
