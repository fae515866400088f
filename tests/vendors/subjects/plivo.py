"""Prepares Plivo and its sandbox for the conformance kit of SMS vendors."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

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
from moorage.testing.sandboxes.sms.plivo import PlivoSandbox
from moorage.vendors.sms.plivo import Plivo

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

URL: Final = "https://shop.example/texts"


def plivo_error(status: int, words: str = "447700900000 is refused") -> Response:
    """Return an error response of Plivo with a phone number in it, and without a code."""
    return reply({"api_id": "a", "error": words}, status)


def plivo() -> SmsSubject:
    """Return a Plivo test subject with a new sandbox."""
    sandbox = PlivoSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (plivo_error(429), RateLimitExceeded),
        (plivo_error(401), AuthenticationFailed),
        (plivo_error(400), InvalidRequest),
        (plivo_error(402), VendorRejected),
        (plivo_error(403), VendorRejected),
    )
    return SmsSubject(
        vendor=Plivo(
            auth_id=sandbox.auth_id, credentials=sandbox.auth_token, sender="+15005550006"
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("log", "false"),
        secret=sandbox.auth_token,
        webhook_secret=sandbox.auth_token,
        report=sandbox.report,
        requests=(
            (
                {"sender": "+15005550009", "callback_url": URL, "validity": timedelta(minutes=10)},
                {
                    "dst": "447700900000",
                    "src": "15005550009",
                    "text": "Your code is 1234.",
                    "url": URL,
                    "method": "POST",
                    "message_expiry": 600,
                },
            ),
            (
                {
                    "sender_pool": "pp-1",
                    "media": ("https://shop.example/1", "https://shop.example/2"),
                },
                {
                    "powerpack_uuid": "pp-1",
                    "src": None,
                    "type": "mms",
                    "media_urls": ["https://shop.example/1", "https://shop.example/2"],
                    "url": None,
                    "message_expiry": None,
                },
            ),
        ),
        answers=(
            (
                "send",
                reply({"message": "message(s) queued", "message_uuid": ["u-7"]}, 202),
                {"ref": Ref("plivo", "texts", "u-7"), "vendor_status": "message(s) queued"},
            ),
            (
                "get",
                reply(
                    {
                        "message_uuid": "u-7",
                        "message_state": "undelivered",
                        "message_direction": "outbound",
                        "units": 3,
                        "total_amount": "0.01650",
                        "error_code": "30",
                        "error_message": "Spam",
                    }
                ),
                {
                    "ref": Ref("plivo", "texts", "u-7"),
                    "status": SmsStatus.UNDELIVERED,
                    "vendor_status": "undelivered",
                    "segments": 3,
                    "price": Price(Decimal("0.01650"), "USD"),
                    "error_code": "30",
                    "error_message": "Spam",
                },
            ),
            (
                "get",
                reply(
                    {
                        "message_uuid": "u-8",
                        "message_state": "delivered",
                        "message_direction": "inbound",
                        "error_code": "000",
                    }
                ),
                {"status": SmsStatus.RECEIVED, "vendor_status": "delivered", "error_code": None},
            ),
            (
                "validate_number",
                reply(
                    {
                        "phone_number": "+447700900000",
                        "country": {"name": "United Kingdom", "iso2": "GB", "iso3": "GBR"},
                        "format": {"e164": "+447700900000", "national": "07700 900000"},
                        "carrier": {"name": "Isle", "type": "fixed"},
                    }
                ),
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
                reply({"cash_credits": "-1.23450"}),
                {"amount": Price(Decimal("-1.23450"), "USD")},
            ),
        ),
        words={
            "queued": SmsStatus.QUEUED,
            "sent": SmsStatus.SENT,
            "undelivered": SmsStatus.UNDELIVERED,
            "failed": SmsStatus.FAILED,
            "rejected": SmsStatus.REJECTED,
            "read": SmsStatus.READ,
        },
    )
