"""The value types of the SMS contract, and the number of parts of a text message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.ref import Ref
from moorage.contracts.sms import (
    NumberCheck,
    Price,
    SmsCapability,
    SmsEvent,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
    check_number,
    is_gsm,
    segments,
)

RECIPIENT = "+4915112345678"
REF = Ref("twilio", "texts", "SM1")


@pytest.mark.parametrize("number", ["+4915112345678", "+1234567", "+123456789012345"])
def test_phone_number_has_a_plus_and_seven_to_fifteen_digits(number: str) -> None:
    """A phone number has a '+', a country code and seven to fifteen digits."""
    assert number == check_number(number, "to")


@pytest.mark.parametrize(
    "number",
    ["", "+", "4915187654321", "+0915112345678", "+49 151 12345678", "+123456", "+1234567890123456",
     "+49151\n", "+٤٩١٥١١٢٣", None, 4915187654321],
    ids=ascii,
)  # fmt: skip
def test_invalid_numbers_are_refused(number: Any) -> None:
    """An invalid phone number is refused and not shown."""
    with pytest.raises(InvalidData) as excinfo:
        check_number(number, "to")

    assert "to" == excinfo.value.field
    assert "4321" not in str(excinfo.value)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"to": "0151"}, "to"),
        ({"text": ""}, "text"),
        ({"text": None}, "text"),
        ({"send_at": datetime(2031, 5, 6)}, "send_at"),  # noqa: DTZ001 - what must be refused
    ],
)
def test_invalid_messages_are_refused(fields: dict[str, Any], field: str) -> None:
    """An impossible text message is refused, and the error names the wrong field."""
    options: dict[str, Any] = {"to": RECIPIENT, "text": "Hello"} | fields
    with pytest.raises(InvalidData) as excinfo:
        SmsMessage(**options)

    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "fields, needs",
    [
        ({}, set()),
        ({"sender": "Acme", "reference": "r"}, set()),
        ({"sender_pool": "MG1"}, {SmsCapability.SENDER_POOL}),
        ({"media": ["https://a.example/1.png"], "text": ""}, {SmsCapability.MEDIA}),
        ({"send_at": datetime(2031, 5, 6, tzinfo=UTC)}, {SmsCapability.SCHEDULED}),
        ({"validity": timedelta(hours=1)}, {SmsCapability.VALIDITY}),
        ({"callback_url": "https://a.example"}, {SmsCapability.CALLBACK}),
    ],
)
def test_needed_capabilities_of_a_message(
    fields: dict[str, Any], needs: set[SmsCapability]
) -> None:
    """The capabilities that a text message needs follow from its fields."""
    options: dict[str, Any] = {"to": RECIPIENT, "text": "Hello"} | fields

    assert needs == SmsMessage(**options).needs


def test_repr_shows_no_personal_data() -> None:
    """The repr of an SMS value shows neither a phone number nor a message's text."""
    message = SmsMessage(
        to=RECIPIENT, text="a secret", callback_url="https://a.example/?k=a%20secret"
    )
    receipt = SmsReceipt(
        ref=REF, status=SmsStatus.FAILED, error_message="a secret", raw={"to": RECIPIENT}
    )
    check = NumberCheck(number=RECIPIENT, valid=True, national=RECIPIENT, raw={"to": RECIPIENT})
    event = SmsEvent(id="1", ref=REF, status=SmsStatus.RECEIVED, sender=RECIPIENT, text="a secret")
    representation = f"{message}{receipt}{check}{event}"

    assert RECIPIENT not in representation
    assert "secret" not in representation


def test_receipts_of_one_message_are_equal() -> None:
    """Receipts of one message are equal, even if one receipt has more of the vendor's fields."""
    receipt = SmsReceipt(ref=REF, status=SmsStatus.SENT, raw={"a": 1})

    assert receipt == SmsReceipt(ref=REF, status=SmsStatus.SENT, raw={"a": 2})


def test_delivered_refused_and_cancelled_statuses_are_final() -> None:
    """The statuses delivered, refused and cancelled are final."""
    open_statuses = {SmsStatus.SCHEDULED, SmsStatus.QUEUED, SmsStatus.SENT, SmsStatus.UNKNOWN}

    assert open_statuses == {status for status in SmsStatus if not status.final}


@pytest.mark.parametrize(
    "before, event, after",
    [
        ("scheduled", "queued", "queued"),
        ("queued", "sent", "sent"),
        ("sent", "queued", "sent"),
        ("sent", "delivered", "delivered"),
        ("delivered", "sent", "delivered"),
        ("delivered", "read", "read"),
        ("read", "delivered", "read"),
        ("failed", "delivered", "failed"),
        ("unknown", "queued", "queued"),
        ("sent", "unknown", "sent"),
        ("scheduled", "canceled", "canceled"),
    ],
)
def test_late_events_change_nothing(before: str, event: str, after: str) -> None:
    """An older event never moves a text message's status back."""
    assert SmsStatus(after) is SmsStatus(before).then(SmsStatus(event))


def test_price_is_exact() -> None:
    """The price of a message may have more decimals than its currency, and stays exact."""
    assert "0.00750 USD" == str(Price(Decimal("0.00750"), "USD"))


@pytest.mark.parametrize(
    "text, count",
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # A character that needs two places is never split: after 152 places it begins a new part.
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("ж" * 66 + "😀" + "ж" * 66, 3),
    ],
    ids=lambda value: (
        f"{len(value)}-{ascii(value[:1])[1:-1].lstrip(chr(92))}" if isinstance(value, str) else None
    ),
)
def test_number_of_parts_depends_on_the_characters(text: str, count: int) -> None:
    """The number of SMS parts depends on the text's characters, and no character is split."""
    assert count == segments(text)


@pytest.mark.parametrize(
    "text, gsm", [("", True), ("Grüße [€]", True), ("ж", False), ("a😀", False), ("`", False)],
    ids=["empty", "usual", "cyrillic", "emoji", "backtick"],
)  # fmt: skip
def test_text_in_gsm_alphabet_is_recognised(text: str, gsm: bool) -> None:
    """A text in the GSM alphabet is recognised, because an SMS part holds more GSM characters."""
    assert gsm == is_gsm(text)
