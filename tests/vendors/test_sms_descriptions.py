"""Requests to Twilio match an excerpt of Twilio's API description."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from moorage.contracts.sms import SmsMessage, SmsStatus
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.vendors.sms.twilio import Twilio
from tests.vendors.sms_subjects import Refs

FIELDS = {
    "To": "text",
    "From": "text",
    "MessagingServiceSid": "text",
    "Body": "text",
    "MediaUrl": "list",
    "StatusCallback": "uri",
    "SendAt": "date-time",
    "ScheduleType": "fixed",
    "ValidityPeriod": "integer",
}
"""The fields that moorage sends to Twilio, each with the name of its form."""
FORMS = {
    "text": r".+",
    "list": r"https://.+",
    "uri": r"https://.+",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "fixed": r"fixed",
    "integer": r"\d+",
}
STATUSES = {
    "accepted",
    "canceled",
    "delivered",
    "failed",
    "partially_delivered",
    "queued",
    "read",
    "received",
    "receiving",
    "scheduled",
    "sending",
    "sent",
    "undelivered",
}


def all_form_fields() -> list[tuple[str, str]]:
    """Return the form fields of messages that together use each field."""
    vendor = Twilio(account_sid=TwilioSandbox().account_sid, sender="+15005550006")
    common_fields: dict[str, Any] = {
        "to": "+4915112345678",
        "text": "Hello",
        "media": ("https://a.example/1.png",),
        "callback_url": "https://a.example/cb",
        "validity": timedelta(hours=1.5),
        "reference": "INV-1",
    }
    send_time = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    pooled_message = SmsMessage(**common_fields, sender_pool="MG1", send_at=send_time)
    messages = (SmsMessage(**common_fields), pooled_message)
    bodies: list[Any] = [Twilio.send.request(vendor, item).body for item in messages]
    return [pair for body in bodies for pair in parse_qsl(body.decode())]


def test_every_field_is_described() -> None:
    """Each sent form field is in Twilio's API description, and its value has the described form."""
    sent_fields = all_form_fields()

    assert FIELDS.keys() == {name for name, _ in sent_fields}
    assert [] == [
        (name, value) for name, value in sent_fields if not re.fullmatch(FORMS[FIELDS[name]], value)
    ]


def test_every_status_is_known() -> None:
    """Each message status in Twilio's description has a vendor-neutral status."""
    wire: Any = Refs("twilio")
    answers = [reply({"sid": "1", "status": status}) for status in STATUSES]

    receipts = [Twilio.get.read(wire.ref, answer) for answer in answers]
    assert SmsStatus.UNKNOWN not in {receipt.status for receipt in receipts}
