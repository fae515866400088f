"""A received text message has the number it was sent to, and the URLs of its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.routes import Account
from moorage.contracts.sms import SmsStatus
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.hub import Hub
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.vendors.sms.bird import Bird
from moorage.vendors.sms.twilio import Twilio
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.vendor import Vendor

YOURS, THEIRS = "+4930123456", "+4915112345678"
TWILIO = Twilio(account_sid="AC" + "0" * 32)
PICTURES = {"NumMedia": "2", "MediaUrl0": "https://a.example/0", "MediaUrl1": "https://a.example/1"}


def event_of(vendor: Vendor, payload: dict[str, Any], kind: str = "") -> Any:
    """Return the event of a vendor's webhook with the given fields."""
    webhook = WebhookEvent(
        vendor="x", id="e1", type="", vendor_type=kind, payload=payload, data=payload
    )
    [event] = Hub([Account("texts", vendor)]).events("texts", webhook)
    return event


def test_received_message_names_your_number_and_pictures() -> None:
    """A received message has the number it was sent to, and the URLs of its files."""
    fields = {"MessageSid": "SM1", "SmsStatus": "received", "From": THEIRS, "To": YOURS}
    event = event_of(TWILIO, {**fields, **PICTURES})

    assert (THEIRS, YOURS) == (event.sender, event.to)
    assert ("https://a.example/0", "https://a.example/1") == event.media
    assert YOURS not in repr(event)


def test_report_of_a_sent_message_names_no_number() -> None:
    """A report of a message that you sent has neither sender nor recipient."""
    event = event_of(
        TWILIO, {"MessageSid": "SM1", "MessageStatus": "sent", "From": YOURS, "To": THEIRS}
    )

    assert (None, None, ()) == (event.sender, event.to, event.media)


@pytest.mark.parametrize("text", [None, "", "Look"])
@pytest.mark.parametrize("first", [0, 1])
def test_plivo_receives_pictures_without_text(text: str | None, first: int, tmp_path: Path) -> None:
    """A received MMS of Plivo has its text, if any, in `Body`, and its files numbered."""
    urls = ("https://a.example/0", "https://a.example/1")
    fields = {"MessageUUID": "1", "Type": "mms", "From": THEIRS[1:], "To": YOURS[1:]}
    fields |= {f"Media{number}": url for number, url in enumerate(urls, first)}
    fields |= {"MediaCount": "2"} | ({} if text is None else {"Body": text})
    event = event_of(vendor_class("plivo")(**fixture_of("plivo", tmp_path).options), fields)

    assert (SmsStatus.RECEIVED, THEIRS, YOURS) == (event.status, event.sender, event.to)
    assert (urls, text or None) == (event.media, event.text)


@pytest.mark.parametrize("kind, to", [("sms.received", YOURS), ("sms.delivered", None)])
def test_bird_names_your_number(kind: str, to: str | None) -> None:
    """Bird's event of a received message has the number it was sent to."""
    event = event_of(Bird(region="eu1"), {"sms_id": "s1", "from": THEIRS, "to": YOURS}, kind)

    assert to == event.to


INCOMING: dict[str, dict[str, Any]] = {
    "infobip": {
        "messageId": "1",
        "receivedAt": "2026-03-01T12:00:00.000+0000",
        "from": THEIRS[1:],
        "to": YOURS[1:],
    },
    "plivo": {"MessageUUID": "1", "Text": "Hi", "From": THEIRS[1:], "To": YOURS[1:]},
    "sinch": {
        "id": "1",
        "type": "mo_media",
        "from": THEIRS[1:],
        "to": YOURS[1:],
        "body": {"message": "Hi", "media": [{"url": "https://a.example/0"}, {"code": 1}]},
    },
    "vonage": {"messageId": "1", "type": "text", "msisdn": THEIRS[1:], "to": YOURS[1:]},
}


@pytest.mark.parametrize("vendor", INCOMING)
def test_your_number_is_international(vendor: str, tmp_path: Path) -> None:
    """The number a message was sent to begins with a plus, even if the vendor omits it."""
    instance = vendor_class(vendor)(**fixture_of(vendor, tmp_path).options)
    event = event_of(instance, INCOMING[vendor])

    assert (THEIRS, YOURS) == (event.sender, event.to)
    assert (("https://a.example/0",) if vendor == "sinch" else ()) == event.media
