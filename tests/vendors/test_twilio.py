"""Twilio: requests, responses and webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    Secret,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.sms import (
    LineType,
    NumberCheck,
    Price,
    SmsMessage,
    SmsReceipt,
    SmsStatus,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.vendors.sms.twilio import Twilio
from tests.vendors.sms_subjects import Refs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.operations.sms import Sms

TO = "+4915112345678"
FROM = "+15005550006"
LATER = timedelta(hours=1)
SANDBOX = TwilioSandbox()
VENDOR = Twilio(account_sid=SANDBOX.account_sid, sender=FROM)
REFS: Any = Refs("twilio")
classify: Any = Twilio.refusals


def message_form(vendor: Twilio, message: SmsMessage) -> list[tuple[str, str]]:
    """Return the form of the request that sends a message."""
    content: Any = Twilio.send.request(vendor, message).body
    return parse_qsl(content.decode())


def read_message(refs: Any, response: Response) -> SmsReceipt:
    """Return the receipt that is read from a Twilio response."""
    return Twilio.get.read(refs.ref, response)


def read_number(response: Response) -> NumberCheck:
    """Return the result of a number look-up that is read from a Twilio response."""
    return Twilio.validate_number.read(REFS.ref, response)


def form(**fields: Any) -> dict[str, Any]:
    """Return the form fields, by name, that Twilio gets for a message with the given options."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    pairs = message_form(VENDOR, SmsMessage(**options))
    return {name: [v for n, v in pairs if n == name] for name, _ in pairs}


def hub(sandbox: TwilioSandbox, retry: Mapping[str, Any] | None = None) -> Hub:
    """Return a hub with one account at Twilio."""
    vendor = Twilio(account_sid=sandbox.account_sid, credentials=sandbox.auth_token, sender=FROM)
    settings = {"retry": None} if retry is None else retry
    return Hub([Account("texts", vendor, settings=settings)], http=SandboxHttpClient(sandbox))


def texts(sandbox: TwilioSandbox) -> Sms:
    """Return the SMS operations of a hub with Twilio."""
    return hub(sandbox).sms()


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"To": [TO], "Body": ["Hello"], "From": [FROM]}),
        ({"sender": "Acme"}, {"To": [TO], "Body": ["Hello"], "From": ["Acme"]}),
        (
            {"sender_pool": "MG1"},
            {"To": [TO], "Body": ["Hello"], "MessagingServiceSid": ["MG1"]},
        ),
        (
            {"text": "", "media": ["https://a.example/1", "https://a.example/2"]},
            {"To": [TO], "From": [FROM], "MediaUrl": ["https://a.example/1", "https://a.example/2"]},
        ),
        (
            {"callback_url": "https://a.example/cb", "validity": timedelta(minutes=10)},
            {
                "To": [TO],
                "Body": ["Hello"],
                "From": [FROM],
                "StatusCallback": ["https://a.example/cb"],
                "ValidityPeriod": ["600"],
            },
        ),
        (
            {"extra": {"twilio": {"SmartEncoded": True, "Body": None, "ContentSid": "HX1"}}},
            {"To": [TO], "From": [FROM], "SmartEncoded": ["true"], "ContentSid": ["HX1"]},
        ),
    ],
    ids=["plain", "sender", "pool", "media", "callback", "options"],
)  # fmt: skip
def test_form_of_a_message(fields: dict[str, Any], expected: dict[str, list[str]]) -> None:
    """A message is sent under Twilio's names; extra options may override its fields."""
    assert expected == form(**fields)


def test_time_is_sent_in_utc() -> None:
    """Twilio gets the time of a scheduled message in UTC."""
    send_time = datetime(2031, 5, 6, 14, tzinfo=timezone(timedelta(hours=2)))
    sent_form = form(send_at=send_time, sender_pool="MG1")

    assert ["2031-05-06T12:00:00Z"] == sent_form["SendAt"]
    assert ["fixed"] == sent_form["ScheduleType"]


def test_scheduled_message_needs_a_messaging_service() -> None:
    """A message to be sent later without a messaging service is refused before it is sent."""
    sandbox = TwilioSandbox()
    message = SmsMessage(to=TO, text="Hi", sender=FROM, send_at=datetime.now(UTC) + LATER)

    with pytest.raises(InvalidData, match="messaging service") as refusal:
        texts(sandbox).send(message)

    assert ("sender_pool", []) == (refusal.value.field, sandbox.requests)


def test_scheduled_message_may_name_its_service_and_its_sender() -> None:
    """The messaging service of a scheduled message may be an option of Twilio beside a sender."""
    send_time, options = datetime.now(UTC) + LATER, {"twilio": {"MessagingServiceSid": "MG1"}}
    receipt = texts(TwilioSandbox()).send(
        SmsMessage(to=TO, text="Hi", sender=FROM, send_at=send_time, extra=options)
    )

    assert SmsStatus.SCHEDULED is receipt.status


@pytest.mark.parametrize(
    "body, fields",
    [
        ({"status": "queued"}, {"status": SmsStatus.QUEUED, "price": None}),
        ({"status": "partially_delivered"}, {"status": SmsStatus.SENT}),
        ({"status": "canceled"}, {"status": SmsStatus.CANCELED}),
        ({"status": "new"}, {"status": SmsStatus.UNKNOWN, "vendor_status": "new"}),
        ({}, {"status": SmsStatus.UNKNOWN, "vendor_status": None}),
        (
            {"status": "failed", "error_code": 30007, "error_message": "Filtered"},
            {"status": SmsStatus.FAILED, "error_code": "30007", "error_message": "Filtered"},
        ),
        (
            {"status": "sent", "price": "-0.00750", "price_unit": "usd", "num_segments": "2"},
            {"price": Price(Decimal("0.00750"), "USD"), "segments": 2},
        ),
        ({"status": "sent", "price": "-0.0075"}, {"price": None}),
    ],
)  # fmt: skip
def test_fields_of_a_read_message(body: dict[str, Any], fields: dict[str, Any]) -> None:
    """The fields of a Twilio message are read; an unknown status keeps Twilio's word."""
    receipt = read_message(REFS, reply({"sid": "SM1"} | body, 201))

    assert fields == {name: getattr(receipt, name) for name in fields}
    assert {"sid": "SM1"} | body == receipt.raw


def test_success_without_an_id_is_malformed() -> None:
    """A successful Twilio response that has no message SID is malformed."""
    with pytest.raises(VendorFailed, match="no sid"):
        read_message(REFS, reply({"status": "queued"}, 201))


@pytest.mark.parametrize(
    "kind, line",
    [("mobile", LineType.MOBILE), ("landline", LineType.LANDLINE),
     ("fixedVoip", LineType.VOIP), ("nonFixedVoip", LineType.VOIP),
     ("personal", LineType.OTHER), ("tollFree", LineType.OTHER), ("premium", LineType.OTHER),
     ("sharedCost", LineType.OTHER), ("uan", LineType.OTHER), ("voicemail", LineType.OTHER),
     ("pager", LineType.OTHER), ("unknown", LineType.UNKNOWN), ("satellite", LineType.UNKNOWN),
     (None, LineType.UNKNOWN)],
)  # fmt: skip
def test_fields_of_a_number(kind: str | None, line: LineType) -> None:
    """The fields of Twilio's number look-up are read; an unknown line type becomes unknown."""
    result = read_number(
        reply(
            {
                "valid": True,
                "phone_number": TO,
                "country_code": "DE",
                "national_format": "0151 12345678",
                "line_type_intelligence": {"type": kind, "carrier_name": "Telekom"},
            }
        )
    )

    assert (line, TO, "DE", "Telekom") == (
        result.line,
        result.number,
        result.country,
        result.carrier,
    )


def test_twilio_look_up_of_invalid_number_returns_reasons() -> None:
    """Twilio's look-up of an invalid number returns the reasons."""
    body = {"valid": False, "phone_number": "+49", "validation_errors": ["TOO_SHORT"]}
    result = read_number(reply(body))

    assert (False, None, ("TOO_SHORT",)) == (result.valid, result.number, result.reasons)
    with pytest.raises(VendorFailed, match="valid"):
        read_number(reply({}))


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, 21211, InvalidRequest),
        (400, 21610, VendorRejected),
        (400, 30409, VendorRejected),
        (400, 20429, RateLimitExceeded),
        (429, 21611, RateLimitExceeded),
        (429, 99999, RateLimitExceeded),
        (401, 20003, AuthenticationFailed),
        (403, 99999, AuthenticationFailed),
        (400, 20003, AuthenticationFailed),
        *((429, code, RateLimitExceeded) for code in (20003, 20005, 20006, 20008)),
        (404, 20404, VendorRejected),
        (201, 20404, None),
        (500, 20500, None),
        (400, None, None),
    ],
)
def test_error_code_decides_the_error_class_before_the_status(
    status: int, code: int | None, kind: type[ConnectorError] | None
) -> None:
    """A Twilio error's class follows from its code, or else from the status."""
    words = "To +15005550001 is bad"
    answer = reply({"code": code, "message": words}, status)
    error: Any = classify(Request.get("/"), answer)

    assert (None if kind is None else kind) == (None if error is None else type(error))
    if error is not None:
        assert (str(code), status, answer) == (error.vendor_code, error.status, error.response)
        assert "To (number) is bad" == error.vendor_message
        assert "5550001" not in f"{error}{error!r}"


@pytest.mark.parametrize(
    "sid", ["", "AC1", "SM" + "0" * 32, "AC" + "-" * 32, "AC" + "g" * 32, None]
)
def test_invalid_account_sid_is_refused(sid: Any) -> None:
    """An invalid account SID of Twilio is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError) as excinfo:
        Twilio(account_sid=sid)

    assert "account_sid" == excinfo.value.path


def test_key_may_stand_for_the_account() -> None:
    """The secret of a Twilio API key is sent with the key's SID as the user name."""
    vendor = Twilio(account_sid=SANDBOX.account_sid, api_key="SK1", credentials=Secret("s"))

    assert {"SK1"} == {service.credentials.username for service in vendor.services().values()}  # type: ignore[union-attr]  # a username and a password
    assert all(service.needs_credentials for service in VENDOR.services().values())


def test_twilio_message_is_cancelled_once() -> None:
    """A Twilio message is cancelled once, however often that is requested."""
    sandbox = TwilioSandbox()
    sms = texts(sandbox)
    send_time = datetime(2031, 5, 6, tzinfo=UTC)
    receipt = sms.send(SmsMessage(to=TO, text="Hi", sender_pool="MG1", send_at=send_time))
    sandbox.fail(Lost())
    with pytest.raises(ConnectorError, match="lost"):
        sms.cancel(receipt.ref)

    assert SmsStatus.CANCELED is sms.cancel(str(receipt.ref)).status
    assert SmsStatus.CANCELED is sms.get(receipt.ref).status


def test_sent_message_cannot_be_cancelled() -> None:
    """A Twilio message that was sent cannot be cancelled."""
    sandbox = TwilioSandbox()
    sms = texts(sandbox)
    receipt = sms.send(SmsMessage(to=TO, text="Hi"))
    with pytest.raises(VendorRejected) as excinfo:
        sms.cancel(receipt.ref)
    assert "30409" == excinfo.value.vendor_code
    with pytest.raises(VendorRejected) as missing:
        sms.cancel(Ref("twilio", "texts", "SM404"))

    assert "20404" == missing.value.vendor_code


def test_twilio_balance_may_have_more_decimals_than_cent() -> None:
    """A Twilio balance may have more decimals than a cent; one without a currency is an error."""
    sandbox = TwilioSandbox()
    sms = texts(sandbox)

    assert Price(Decimal("25.5075"), "USD") == sms.check_balance().amount
    sandbox.fail(reply({"balance": "1"}))
    with pytest.raises(VendorFailed, match="balance"):
        sms.check_balance()


def test_number_is_looked_up() -> None:
    """Twilio also looks up a national number."""
    sms = texts(TwilioSandbox())

    assert ("+12125551234", "US") == (
        (result := sms.validate_number("2125551234", country="US")).number,
        result.country,
    )
    assert not sms.validate_number("12", country="US").valid


def test_incoming_twilio_message_has_its_sender_and_text() -> None:
    """An incoming Twilio message has its sender and text."""
    sandbox = TwilioSandbox()
    own_hub = hub(sandbox)
    notice = sandbox.receive(TO, "Yes & no", url="https://a.example/in")
    verifier = own_hub.webhooks("texts", secrets=sandbox.auth_token)
    event = own_hub.events("texts", verifier.verify(**notice.arguments())[0])[0]

    assert (SmsStatus.RECEIVED, TO, "Yes & no") == (event.status, event.sender, event.text)


def test_event_of_failed_twilio_message_has_its_code_and_no_sender() -> None:
    """The event of a failed Twilio message has its code and no sender."""
    sandbox = TwilioSandbox()
    own_hub = hub(sandbox)
    receipt = own_hub.sms().send(SmsMessage(to=TO, text="Hi", callback_url="https://a.example/cb"))
    notice = sandbox.report(receipt.ref.id, "undelivered", error_code="30005")
    verifier = own_hub.webhooks("texts", secrets=sandbox.auth_token)
    event = own_hub.events("texts", verifier.verify(**notice.arguments())[0])[0]

    assert (SmsStatus.UNDELIVERED, "30005", None) == (event.status, event.error_code, event.sender)
    assert SmsStatus.UNDELIVERED is own_hub.sms().get(receipt.ref).status


def test_twilio_webhook_that_is_not_about_message_gives_no_events() -> None:
    """A Twilio webhook that is not about a message gives no events."""
    result: Any = type("Told", (), {"data": {"CallSid": "CA1"}, "id": "1"})()

    assert () == VENDOR.events(result, REFS.ref)


def test_outage_is_classified_by_status() -> None:
    """An error that Twilio's servers cause is classified by its status."""
    assert classify(Request.get("/"), Response(503, body=b"{}")) is None


def test_look_up_asks_twilio_for_kind_of_line() -> None:
    """A look-up asks Twilio for the line type, and sends the country of a national number."""
    sandbox = TwilioSandbox()
    texts(sandbox).validate_number("2125551234", country="US")

    assert {"Fields": "line_type_intelligence", "CountryCode": "US"} == dict(
        sandbox.requests[-1].query
    )


def test_message_of_media_alone_has_no_text() -> None:
    """A message that has media but no text is sent without a text field."""
    message = SmsMessage(to=TO, text="", media=["https://erp.example/a.png"])

    assert "Body" not in dict(message_form(VENDOR, message))


def test_only_error_about_settled_message_causes_a_look_up() -> None:
    """Only the error that a message is already settled causes a look-up; others are raised."""
    sandbox = TwilioSandbox()
    sms = texts(sandbox)
    send_time = datetime(2031, 5, 6, tzinfo=UTC)
    receipt = sms.send(SmsMessage(to=TO, text="Hi", sender_pool="MG1", send_at=send_time))
    sms.cancel(receipt.ref)
    sandbox.fail(reply({"code": 20003, "message": "Permission denied", "status": 403}, 403))
    requests_before = len(sandbox.requests)
    with pytest.raises(ConnectorError) as excinfo:
        sms.cancel(receipt.ref)

    assert "20003" == getattr(excinfo.value, "vendor_code", None)
    assert 1 == len(sandbox.requests) - requests_before
