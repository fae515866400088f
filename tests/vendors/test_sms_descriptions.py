"""Requests to Twilio match Twilio's API description, and our excerpt of it.

The official descriptions are not part of this repository. A folder that has `twilio_api_v2010.json`
and `twilio_lookups_v2.json`, from Twilio's `twilio-oai`, is named by the environment variable
`MOORAGE_VENDOR_DESCRIPTIONS`.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moorage.contracts.sms import SmsMessage, SmsStatus
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.vendors.sms.twilio import Twilio, message_form, read_message
from tests.vendors.sms_subjects import Refs

FOLDER = os.environ.get("MOORAGE_VENDOR_DESCRIPTIONS", "")
OFFICIAL = pytest.mark.skipif(
    not FOLDER, reason="name a folder of official descriptions in MOORAGE_VENDOR_DESCRIPTIONS"
)
BASE = "/2010-04-01/Accounts/{AccountSid}"
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
"""What moorage says of a message, and as what."""
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


def everything() -> list[tuple[str, str]]:
    """Messages with all that a message can have."""
    vendor = Twilio(account_sid=TwilioSandbox().account_sid, sender="+15005550006")
    usual: dict[str, Any] = {
        "to": "+4915112345678",
        "text": "Hello",
        "media": ("https://a.example/1.png",),
        "callback_url": "https://a.example/cb",
        "validity": timedelta(hours=1.5),
        "reference": "INV-1",
    }
    later = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    pooled = SmsMessage(**usual, sender_pool="MG1", send_at=later)
    return [*message_form(vendor, SmsMessage(**usual)), *message_form(vendor, pooled)]


def described(name: str) -> Any:
    """An official description."""
    return json.loads((Path(FOLDER) / name).read_text("utf-8"))


def test_every_field_is_described() -> None:
    """Every field that is sent is one of Twilio's, and written as Twilio reads it."""
    sent = everything()

    assert FIELDS.keys() == {name for name, _ in sent}
    assert [] == [
        (name, value) for name, value in sent if not re.fullmatch(FORMS[FIELDS[name]], value)
    ]


def test_every_status_is_known() -> None:
    """No status that Twilio describes is unknown."""
    wire: Any = Refs("twilio")
    answers = [reply({"sid": "1", "status": status}) for status in STATUSES]

    assert SmsStatus.UNKNOWN not in {read_message(wire, answer).status for answer in answers}


@OFFICIAL
def test_the_fields_are_as_described() -> None:
    """The official description has every field that is sent, and what the sandbox knows is all."""
    paths = described("twilio_api_v2010.json")["paths"]
    body = paths[f"{BASE}/Messages.json"]["post"]["requestBody"]["content"]
    fields = body["application/x-www-form-urlencoded"]["schema"]["properties"]

    assert set(FIELDS) <= set(fields)
    assert TwilioSandbox.fields == set(fields)
    assert "array" == fields["MediaUrl"]["type"]
    assert "integer" == fields["ValidityPeriod"]["type"]
    assert "date-time" == fields["SendAt"]["format"]
    assert f"{BASE}/Messages/{{Sid}}.json" in paths
    assert f"{BASE}/Balance.json" in paths


@OFFICIAL
def test_the_statuses_are_as_described() -> None:
    """The official description has these statuses and no other."""
    schemas = described("twilio_api_v2010.json")["components"]["schemas"]

    assert STATUSES == set(schemas["message_enum_status"]["enum"])


@OFFICIAL
def test_look_ups_are_as_described() -> None:
    """The official description has the parameters of a look-up."""
    request = described("twilio_lookups_v2.json")["paths"]["/v2/PhoneNumbers/{PhoneNumber}"]["get"]

    assert {"PhoneNumber", "Fields", "CountryCode"} <= {
        parameter["name"] for parameter in request["parameters"]
    }
