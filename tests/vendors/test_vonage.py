"""Vonage: requests, responses and webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from moorage import (
    AuthenticationFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.routes import Account
from moorage.contracts.sms import LineType, NumberCheck, Price, SmsMessage, SmsStatus
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.vonage import VonageSandbox
from moorage.vendors.sms.vonage import Vonage, classify, read_parts
from tests.vendors.sms_subjects import Refs

TO = "+447700900000"
CALLBACK = "https://a.example/dlr"
VENDOR = Vonage(api_key="abcd1234", sender="+447700900999")
SEND, LOOK_UP = Request.post("/sms/json", form={"a": "1"}), Request.get("/ni/standard/json")
REFS: Any = Refs("vonage")


def accepted_part(number: int, **more: str) -> dict[str, str]:
    """Return Vonage's result for an accepted part of a message."""
    part = {"message-id": f"0A{number}", "status": "0", "message-price": "0.03330000"}
    return part | more


def refused_part(status: str) -> dict[str, str]:
    """Return Vonage's result for a refused part of a message."""
    return {"status": status, "error-text": "447700900000 is bad"}


def parts(*fields: dict[str, str]) -> Response:
    """Return a Vonage response that contains the given results of message parts."""
    return reply({"message-count": str(len(fields)), "messages": [*fields]})


def hub(sandbox: VonageSandbox) -> Hub:
    """Return a hub with one account at Vonage."""
    vendor = Vonage(api_key=sandbox.api_key, credentials=sandbox.api_secret, sender="Acme")
    account = Account("texts", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def read_number(response: Response) -> NumberCheck:
    """Return the result of a number look-up that is read from a Vonage response."""
    return Vonage.validate_number.read(REFS.ref, response)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"from": "447700900999", "text": "Hello", "type": "text"}),
        ({"sender": "Acme"}, {"from": "Acme", "text": "Hello", "type": "text"}),
        ({"text": "Привет"}, {"from": "447700900999", "text": "Привет", "type": "unicode"}),
        (
            {"validity": timedelta(minutes=10), "callback_url": CALLBACK, "reference": "INV-1"},
            {
                "from": "447700900999",
                "text": "Hello",
                "type": "text",
                "ttl": "600000",
                "callback": CALLBACK,
                "client-ref": "INV-1",
            },
        ),
        (
            {"extra": {"vonage": {"status-report-req": False, "type": None}}},
            {"from": "447700900999", "text": "Hello", "status-report-req": "false"},
        ),
    ],
    ids=["plain", "sender", "unicode", "more", "options"],
)
def test_form_of_a_message(fields: dict[str, Any], expected: dict[str, str]) -> None:
    """A message is sent under Vonage's names; extra options may override its fields."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    request = Vonage.send.request(VENDOR, SmsMessage(**options))

    assert isinstance(request.body, bytes)
    assert {"to": "447700900000"} | expected == dict(parse_qsl(request.body.decode()))


def test_missing_sender_is_refused() -> None:
    """A message without a sender is refused before it is sent to Vonage."""
    with pytest.raises(InvalidData) as nobody:
        Vonage.send.request(Vonage(api_key="abcd1234"), SmsMessage(to=TO, text="Hello"))

    assert "sender" == nobody.value.field


def test_vonage_message_of_several_parts_has_one_receipt_with_total_price() -> None:
    """A Vonage message of several parts has one receipt with the total price."""
    receipt = read_parts(REFS.ref, parts(accepted_part(1), accepted_part(2)))

    assert (SmsStatus.QUEUED, "0", None) == (
        receipt.status,
        receipt.vendor_status,
        receipt.error_code,
    )
    assert (("0A1", "0A2"), 2) == (receipt.parts, receipt.segments)
    assert "0A1" == receipt.ref.id
    assert Price(Decimal("0.0666"), "EUR") == receipt.price


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_partly_refused_message(order: int) -> None:
    """A Vonage message with a refused part counts as failed; the accepted parts are listed."""
    receipt = read_parts(REFS.ref, parts(*[accepted_part(1), refused_part("1")][::order]))

    assert (SmsStatus.FAILED, "1", "1") == (
        receipt.status,
        receipt.vendor_status,
        receipt.error_code,
    )
    assert (("0A1",), 2) == (receipt.parts, receipt.segments)
    assert classify(SEND, parts(*[accepted_part(1), refused_part("1")][::order])) is None


@pytest.mark.parametrize(
    "messages",
    [[], [{}], [{"status": "0"}], [accepted_part(1), {"status": "0"}]],
    ids=["none", "empty", "nameless", "half"],
)
def test_parts_without_names_are_malformed(messages: list[dict[str, str]]) -> None:
    """If Vonage accepts a part without giving an id, the outcome is unknown."""
    answer = parts(*messages)

    assert classify(SEND, answer) is None
    with pytest.raises(VendorFailed, match="message-id"):
        read_parts(REFS.ref, answer)


def test_price_is_of_all_parts() -> None:
    """If one part of a Vonage message has no price, the message's price is unknown."""
    nameless_part = accepted_part(2)
    del nameless_part["message-price"]

    assert read_parts(REFS.ref, parts(accepted_part(1), nameless_part)).price is None


@pytest.mark.parametrize(
    "status, kind",
    [
        ("1", RateLimitExceeded),
        ("2", InvalidRequest),
        ("4", AuthenticationFailed),
        ("5", VendorFailed),
        ("7", VendorRejected),
        ("9", VendorRejected),
        ("10", RateLimitExceeded),
        ("14", AuthenticationFailed),
        ("15", InvalidRequest),
        ("29", VendorRejected),
        ("77", VendorRejected),
    ],
)
def test_refusal_is_in_the_body(status: str, kind: type[ConnectorError]) -> None:
    """A Vonage error is in the body of a response with status 200."""
    error: Any = classify(SEND, parts(refused_part(status), refused_part("5")))

    assert kind.__name__ == type(error).__name__
    assert (status, 200) == (error.vendor_code, error.status)
    assert "(number) is bad" == error.vendor_message


@pytest.mark.parametrize(
    "answer",
    [Response(503), Response(401, body=b"{}"), Response(200, body=b"<html>"), parts()],
    ids=["outage", "status", "no JSON", "empty"],
)
def test_other_errors_are_classified_by_status(answer: Response) -> None:
    """A Vonage response without a code in the body is classified by its status."""
    assert classify(SEND, answer) is None


@pytest.mark.parametrize(
    "status, kind",
    [
        (0, None),
        (3, None),
        (44, None),
        (1, RateLimitExceeded),
        (4, AuthenticationFailed),
        (5, VendorFailed),
        (9, VendorRejected),
        (19, VendorRejected),
        (999, InvalidRequest),
        (None, None),
    ],
)
def test_look_up_is_refused_in_the_body(
    status: int | None, kind: type[ConnectorError] | None
) -> None:
    """Vonage also reports the error of a number look-up in the body."""
    for words in ("status_message", "error_text"):
        error: Any = classify(LOOK_UP, reply({"status": status, words: "447700900000 failed"}))

        assert kind is (None if error is None else type(error))
        assert error is None or "(number) failed" == error.vendor_message


@pytest.mark.parametrize(
    "network, line",
    [("mobile", LineType.MOBILE), ("virtual", LineType.VOIP), ("pager", LineType.OTHER),
     ("unknown", LineType.UNKNOWN), ("satellite", LineType.UNKNOWN)],
)  # fmt: skip
def test_fields_of_a_number(network: str, line: LineType) -> None:
    """The fields of Vonage's number look-up are read; an unknown line type becomes unknown."""
    result = read_number(
        reply(
            {
                "status": 0,
                "international_format_number": "447700900000",
                "national_format_number": "07700 900000",
                "country_code": "GB",
                "current_carrier": {"name": "Acme", "network_type": network},
            }
        )
    )

    assert (line, TO, "GB", "Acme") == (result.line, result.number, result.country, result.carrier)


@pytest.mark.parametrize(
    "body, reason",
    [
        ({"status_message": "Invalid request"}, "Invalid request"),
        ({"error_text": "No number"}, "No number"),
        ({}, "3"),
    ],
)
def test_vonage_look_up_of_invalid_number_returns_reason(body: dict[str, str], reason: str) -> None:
    """Vonage's look-up of an invalid number returns the reason."""
    result = read_number(reply({"status": 3, "international_format_number": "1"} | body))

    assert (False, None, (reason,)) == (result.valid, result.number, result.reasons)


def test_number_without_a_carrier_is_valid() -> None:
    """A number without a carrier is valid; a Vonage look-up without a status is malformed."""
    result = read_number(reply({"status": 43}))

    assert (True, None, LineType.UNKNOWN) == (result.valid, result.number, result.line)
    with pytest.raises(VendorFailed, match="status"):
        read_number(reply({}))


def test_number_is_looked_up() -> None:
    """Vonage also looks up a national number."""
    sms = hub(VonageSandbox()).sms()

    assert TO == sms.validate_number("07700900000", country="GB").number
    assert not sms.validate_number("12", country="GB").valid
    with pytest.raises(VendorRejected) as quota:
        sms.validate_number("+447700900009")
    assert "9" == quota.value.vendor_code


def test_vonage_balance_is_in_euros() -> None:
    """A Vonage balance is in euros, and may have more decimals than a cent."""
    sandbox = VonageSandbox()
    sms = hub(sandbox).sms()

    assert Price(Decimal("15.5359"), "EUR") == sms.check_balance().amount
    sandbox.fail(reply({}))
    with pytest.raises(VendorFailed, match="value"):
        sms.check_balance()


def test_without_its_own_secret_vonage_account_uses_credential_provider() -> None:
    """Without its own secret a Vonage account uses the credential provider."""
    assert all(service.needs_credentials for service in VENDOR.services().values())


@pytest.mark.parametrize("sent_as", ["json", "form", "query"])
@pytest.mark.parametrize(
    "word, code, status",
    [
        ("accepted", "0", SmsStatus.SENT),
        ("buffered", "0", SmsStatus.SENT),
        ("expired", "5", SmsStatus.EXPIRED),
        ("rejected", "6", SmsStatus.REJECTED),
        ("unknown", "1", SmsStatus.UNKNOWN),
    ],
)
def test_delivery_receipt_names_its_part(
    word: str, code: str, status: SmsStatus, sent_as: str
) -> None:
    """A delivery receipt has the id of its message part, in each form that Vonage sends."""
    sandbox = VonageSandbox()
    own_hub = hub(sandbox)
    message = SmsMessage(to=TO, text="a" * 161, callback_url=CALLBACK, reference="a=b&c")
    receipt = own_hub.sms().send(message)
    time = datetime.now(UTC).replace(microsecond=0)
    sandbox.sent_as = sent_as
    notice = sandbox.report(receipt.parts[1], word, error_code=code, at=time)
    verifier = own_hub.webhooks("texts", secrets=sandbox.signature_secret)
    event = own_hub.events("texts", verifier.verify(**notice.arguments())[0])[0]

    assert receipt.parts[1] == event.ref.id
    assert (status, word, time) == (event.status, event.vendor_status, event.at)
    assert (None if code == "0" else code) == event.error_code
    assert event.sender is None


@pytest.mark.parametrize("sender", [TO, "80800", "Acme"])
@pytest.mark.parametrize("text", ["Yes = no & maybe", "Да"], ids=["text", "unicode"])
def test_incoming_vonage_message_has_its_sender_and_text(text: str, sender: str) -> None:
    """An incoming Vonage message has its sender and text."""
    sandbox = VonageSandbox()
    own_hub = hub(sandbox)
    notice = sandbox.receive(sender, text, url=CALLBACK)
    verifier = own_hub.webhooks("texts", secrets=sandbox.signature_secret)
    webhook = verifier.verify(**notice.arguments())[0]
    event = own_hub.events("texts", webhook)[0]

    assert "message.received" == webhook.type
    assert (SmsStatus.RECEIVED, sender, text) == (event.status, event.sender, event.text)


def test_vonage_webhook_that_is_not_about_message_gives_no_events() -> None:
    """A Vonage webhook that is not about a message gives no events."""
    result: Any = type("Told", (), {"data": {"conversation_uuid": "1"}, "id": "1"})()

    assert () == VENDOR.events(result, REFS.ref)
