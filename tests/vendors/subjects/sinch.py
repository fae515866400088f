"""Prepares Sinch and its sandbox for the conformance kit of SMS vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moorage.contracts.ref import Ref
from moorage.contracts.sms import SmsStatus
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.sms_conformance import SmsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.sms.sinch import SinchSandbox
from moorage.vendors.sms.sinch import Sinch

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

URL: Final = "https://shop.example/texts"
PICTURE: Final = "https://shop.example/1"


def sinch_error(status: int, code: str, text: str = "+447700900000 is refused") -> Response:
    """Return an error response of Sinch with a phone number in it."""
    return reply({"code": code, "text": text}, status)


def sinch() -> SmsSubject:
    """Return a Sinch test subject with a new sandbox."""
    sandbox = SinchSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError], str], ...] = (
        (sinch_error(429, "too_many"), RateLimitExceeded, "too_many"),
        (sinch_error(401, "unauthorized"), AuthenticationFailed, "unauthorized"),
        (sinch_error(400, "syntax_invalid_json"), InvalidRequest, "syntax_invalid_json"),
        (sinch_error(403, "missing_callback_url"), VendorRejected, "missing_callback_url"),
    )
    return SmsSubject(
        vendor=Sinch(
            service_plan_id=sandbox.service_plan_id,
            credentials=sandbox.api_token,
            sender="+15005550006",
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("delivery_report", "none"),
        secret=sandbox.api_token,
        webhook_secret=sandbox.webhook_secret,
        report=sandbox.report,
        delivered="Delivered",
        wordless=True,
        requests=(
            (
                {"sender": "+15005550009", "callback_url": URL, "reference": "INV-7"},
                {
                    "to": "+447700900000",
                    "from": "+15005550009",
                    "type": "mt_text",
                    "body": "Your code is 1234.",
                    "callback_url": URL,
                    "delivery_report": "per_recipient",
                    "client_reference": "INV-7",
                    "send_at": None,
                },
            ),
            (
                {
                    "media": (PICTURE,),
                    "send_at": datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
                },
                {
                    "from": "+15005550006",
                    "type": "mt_media",
                    "body.url": PICTURE,
                    "body.message": "Your code is 1234.",
                    "send_at": "2031-05-06T07:08:09.123Z",
                    "callback_url": None,
                    "delivery_report": None,
                    "client_reference": None,
                },
            ),
        ),
        answers=(
            (
                "send",
                reply({"id": "01B7", "canceled": False, "created_at": "2031-05-06T07:08:09Z"}, 201),
                {"ref": Ref("sinch", "texts", "01B7"), "status": SmsStatus.QUEUED},
            ),
            (
                "get",
                reply(
                    {
                        "type": "delivery_report_sms",
                        "batch_id": "01B7",
                        "total_message_count": 1,
                        "statuses": [{"code": 412, "status": "Aborted", "count": 1}],
                    }
                ),
                {
                    "ref": Ref("sinch", "texts", "01B7"),
                    "status": SmsStatus.FAILED,
                    "vendor_status": "Aborted",
                    "error_code": "412",
                },
            ),
            (
                "cancel",
                reply({"id": "01B7", "canceled": True}),
                {"ref": Ref("sinch", "texts", "01B7"), "status": SmsStatus.CANCELED},
            ),
        ),
        words={
            "Queued": SmsStatus.QUEUED,
            "Dispatched": SmsStatus.SENT,
            "Aborted": SmsStatus.FAILED,
            "Failed": SmsStatus.FAILED,
            "Cancelled": SmsStatus.CANCELED,
            "Rejected": SmsStatus.REJECTED,
            "Deleted": SmsStatus.UNDELIVERED,
            "Expired": SmsStatus.EXPIRED,
            "Unknown": SmsStatus.UNKNOWN,
        },
    )
