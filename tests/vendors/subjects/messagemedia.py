"""Prepares MessageMedia and its sandbox for the conformance kit of SMS vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

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
from moorage.testing.sandboxes.sms.messagemedia import MessageMediaSandbox
from moorage.vendors.sms.messagemedia import MessageMedia
from tests.webhooks import keys

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

URL: Final = "https://shop.example/texts"
PICTURES: Final = ("https://shop.example/1", "https://shop.example/2")


def messagemedia_error(status: int, **fields: Any) -> Response:
    """Return an error response of MessageMedia with a phone number in it."""
    return reply({"message": "+447700900000 is refused."} | fields, status)


def message(status: str, **fields: Any) -> dict[str, Any]:
    """Return a message in the form of MessageMedia's API."""
    content = {"content": "Hi", "destination_number": "+447700900000", "format": "SMS"}
    return {"message_id": "m-7", "status": status} | content | fields


def messagemedia() -> SmsSubject:
    """Return a MessageMedia test subject with a new sandbox."""
    sandbox = MessageMediaSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (messagemedia_error(429), RateLimitExceeded),
        (messagemedia_error(401), AuthenticationFailed),
        (messagemedia_error(400, details=["/messages/0/content: None."]), InvalidRequest),
        (messagemedia_error(422), InvalidRequest),
        (messagemedia_error(403), VendorRejected),
        (messagemedia_error(404), VendorRejected),
    )
    return SmsSubject(
        vendor=MessageMedia(
            api_key=sandbox.api_key, credentials=sandbox.api_secret, sender="+15005550006"
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("source_number_type", "SHORTCODE"),
        arrives=("messages.source_number_type", "SHORTCODE"),
        secret=sandbox.api_secret,
        webhook_secret=sandbox.public_key,
        strange_secret=keys.rsa_public(keys.rsa_key(1)),
        report=sandbox.report,
        unknown=reply({"messages": [message("teleported")]}, 202),
        requests=(
            (
                {"sender": "+15005550009", "callback_url": URL, "reference": "INV-7"},
                {
                    "messages.destination_number": "+447700900000",
                    "messages.content": "Your code is 1234.",
                    "messages.source_number": "+15005550009",
                    "messages.callback_url": URL,
                    "messages.delivery_report": True,
                    "messages.metadata.reference": "INV-7",
                    "messages.format": None,
                    "messages.media": None,
                    "messages.scheduled": None,
                },
            ),
            (
                {
                    "media": PICTURES,
                    "send_at": datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
                },
                {
                    "messages.format": "MMS",
                    "messages.media": PICTURES[0],
                    "messages.scheduled": "2031-05-06T07:08:09.123Z",
                    "messages.callback_url": None,
                    "messages.delivery_report": None,
                    "messages.metadata.reference": None,
                },
            ),
        ),
        answers=(
            (
                "send",
                reply({"messages": [message("queued", delivery_report=False)]}, 202),
                {
                    "ref": Ref("messagemedia", "texts", "m-7"),
                    "status": SmsStatus.QUEUED,
                    "vendor_status": "queued",
                    "segments": None,
                    "price": None,
                },
            ),
            (
                "get",
                reply(message("submitted")),
                {
                    "ref": Ref("messagemedia", "texts", "m-7"),
                    "status": SmsStatus.SENT,
                    "vendor_status": "submitted",
                },
            ),
        ),
        words={
            "scheduled": SmsStatus.SCHEDULED,
            "queued": SmsStatus.QUEUED,
            "processing": SmsStatus.QUEUED,
            "enroute": SmsStatus.QUEUED,
            "held": SmsStatus.QUEUED,
            "submitted": SmsStatus.SENT,
            "delivered": SmsStatus.DELIVERED,
            "read": SmsStatus.READ,
            "failed": SmsStatus.FAILED,
            "rejected": SmsStatus.REJECTED,
            "expired": SmsStatus.EXPIRED,
            "cancelled": SmsStatus.CANCELED,
        },
    )
