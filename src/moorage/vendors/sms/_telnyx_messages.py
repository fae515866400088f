"""The messages of Telnyx: their requests, their receipts and their events."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import SmsEvent, SmsMessage, SmsReceipt, SmsStatus
from moorage.vendors.sms._common import media_urls, price, sender_of

if TYPE_CHECKING:
    from moorage.vendors.sms.telnyx import Telnyx

_EVENTS: Final = "message."
_STATUSES: Final = {
    **sdk.same(SmsStatus, "scheduled queued sent delivered read expired"),
    "sending": SmsStatus.QUEUED,
    "delivery_unconfirmed": SmsStatus.SENT,
    "sending_failed": SmsStatus.FAILED,
    "delivery_failed": SmsStatus.UNDELIVERED,
    "cancelled": SmsStatus.CANCELED,
}


def message_body(vendor: Telnyx, message: SmsMessage) -> dict[str, Any]:
    """The body that sends a message."""
    profile, send_time = message.sender_pool or vendor.messaging_profile_id, message.send_at
    sender = message.sender or vendor.sender
    if not profile:
        sender = sender_of(message, vendor.sender, "Telnyx")
    return {
        "to": message.to,
        "from": sender if message.sender_pool is None else None,
        "messaging_profile_id": profile,
        "text": message.text or None,
        "media_urls": list(message.media) or None,
        "send_at": send_time and send_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "webhook_url": message.callback_url,
    }


def _is_incoming(message: sdk.Answer) -> bool:
    return message.text("direction") == "inbound"


def _status_word(message: sdk.Answer) -> str | None:
    """The status of a message; None if its recipients have different statuses."""
    words = {recipient.text("status") for recipient in message.objects("to")}
    return words.pop() if len(words) == 1 else None


def _status(message: sdk.Answer) -> SmsStatus:
    if _is_incoming(message):
        return SmsStatus.RECEIVED
    return _STATUSES.get(_status_word(message) or "", SmsStatus.UNKNOWN)


_MESSAGE: Final = sdk.Reading(
    SmsReceipt,
    ref=sdk.ref_at("id"),
    status=_status,
    vendor_status=_status_word,
    segments=sdk.integer("parts"),
    price=price("cost.amount", "cost.currency"),
    error_code=sdk.text("errors.0.code"),
    error_message=sdk.text("errors.0.detail", "errors.0.title"),
)
_EVENT: Final = sdk.Reading(
    SmsEvent,
    supplied=("id", "at"),
    ref=sdk.ref_at("id"),
    status=_status,
    vendor_status=_status_word,
    sender=sdk.when(_is_incoming, sdk.text("from.phone_number")),
    to=sdk.when(_is_incoming, sdk.text("to.0.phone_number")),
    text=sdk.when(_is_incoming, sdk.text("text")),
    media=sdk.when(_is_incoming, media_urls("media"), ()),
    error_code=sdk.text("errors.0.code"),
)


def read_message(ref: sdk.MakeRef, response: sdk.Response) -> SmsReceipt:
    """The receipt in a response; the response to a cancellation is the message itself."""
    body = sdk.read_answer(response)
    message = body.object("data") if body.value("data") is not None else body
    receipts = _MESSAGE.parse_if_complete(ref, message)
    if not receipts:
        raise sdk.malformed(response, "id")
    return receipts[0]


def read_event(event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[SmsEvent, ...]:
    """The event in a webhook about a message; none in any other webhook."""
    if not event.vendor_type.startswith(_EVENTS):
        return ()
    return _EVENT.parse_if_complete(ref, sdk.as_answer(event.data), id=event.id, at=event.time)
