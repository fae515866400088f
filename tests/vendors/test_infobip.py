"""Infobip: requests, responses and webhooks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    IdempotencyConflict,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Request,
    Response,
    Timeouts,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.sms import Price, SmsEvent, SmsMessage, SmsReceipt, SmsStatus
from moorage.hub.hub import Hub
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes.base import Lost, Notice, SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.infobip import MESSAGE, InfobipSandbox
from moorage.vendors.sms._infobip_requests import message_body
from moorage.vendors.sms.infobip import Infobip, classify, read_log
from tests.vendors.sms_subjects import Refs

TO = "+4915112345678"
FROM = "+15005550006"
URL = "https://a.example/cb"
VENDOR = Infobip(base_url="https://sandbox.api.infobip.com", sender=FROM)
REFS: Any = Refs("infobip")
MOMENT = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
SEND, READ = Request.post("/sms/3/messages", json={}), Request.get("/sms/3/logs")


def message_of(**fields: Any) -> dict[str, Any]:
    """Return the message in the body that Infobip gets for a message with the given fields."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    body = message_body(VENDOR, SmsMessage(**options), None)
    assert {"messages"} == body.keys()
    (message,) = body["messages"]
    result: dict[str, Any] = message
    return result


def read_sent(**status: Any) -> SmsReceipt:
    """Return the receipt that is read from a send response with the given status."""
    receipt = {"messageId": "m-1", "status": status}
    return Infobip.post_message.read(REFS.ref, reply({"messages": [receipt]}))


def read_entry(**fields: Any) -> SmsReceipt:
    """Return the receipt that is read from a log entry with the given fields."""
    receipt = read_log(REFS.ref, reply({"results": [{"messageId": "m-1"} | fields]}))
    assert receipt is not None
    return receipt


def hub(sandbox: InfobipSandbox) -> Hub:
    """Return a hub with one account at Infobip."""
    account = Account(
        "texts", attrs.evolve(VENDOR, credentials=sandbox.api_key), settings={"retry": None}
    )
    return Hub([account], http=SandboxHttpClient(sandbox))


def event_of(sandbox: InfobipSandbox, notice: Notice) -> SmsEvent:
    """Return the event of a webhook."""
    own_hub = hub(sandbox)
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_password)
    events: tuple[SmsEvent, ...] = own_hub.events("texts", verifier.verify(**notice.arguments())[0])
    (event,) = events
    return event


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"sender": "15005550006"}),
        ({"sender": "Acme"}, {"sender": "Acme"}),
        (
            {"callback_url": URL, "reference": "INV-7"},
            {
                "sender": "15005550006",
                "webhooks": {
                    "delivery": {"url": URL, "intermediateReport": True},
                    "contentType": "application/json",
                    "callbackData": "INV-7",
                },
            },
        ),
        ({"reference": "INV-7"}, {"sender": "15005550006", "webhooks": {"callbackData": "INV-7"}}),
        (
            {"validity": timedelta(minutes=10)},
            {
                "sender": "15005550006",
                "options": {"validityPeriod": {"amount": 600, "timeUnit": "SECONDS"}},
            },
        ),
        (
            {
                "validity": timedelta(minutes=10),
                "extra": {"infobip": {"options": {"flash": True}, "sender": "Other"}},
            },
            {
                "sender": "Other",
                "options": {
                    "validityPeriod": {"amount": 600, "timeUnit": "SECONDS"},
                    "flash": True,
                },
            },
        ),
    ],
    ids=["plain", "sender", "callback", "reference", "validity", "options"],
)
def test_message_of_a_request(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """A message is sent under Infobip's names; extra options may override its fields."""
    message = message_of(**fields)
    common = {"destinations": [{"to": "4915112345678"}], "content": {"text": "Hello"}}

    assert common | expected == message
    assert [] == list(problems(MESSAGE, message))


def test_scheduled_message_has_same_id_as_its_bulk_at_infobip() -> None:
    """A scheduled message has the same id as Infobip's bulk that contains it."""
    message = SmsMessage(
        to=TO, text="Hello", send_at=MOMENT.astimezone(timezone(timedelta(hours=2)))
    )
    body = message_body(VENDOR, message, "x-1")

    assert [{"to": "4915112345678", "messageId": "x-1"}] == body["messages"][0]["destinations"]
    schedule = {"bulkId": "x-1", "sendAt": "2031-05-06T07:08:09.123+0000"}
    assert {"schedule": schedule} == body["options"]


def test_sender_may_be_left_to_the_account() -> None:
    """If a message has no sender, Infobip chooses the sender."""
    vendor = attrs.evolve(VENDOR, sender=None)
    body = message_body(vendor, SmsMessage(to=TO, text="Hello"), None)

    assert "sender" not in body["messages"][0]


def test_url_path_of_a_message() -> None:
    """A message goes to version 3 of the API, with the API key in Infobip's form."""
    sandbox = InfobipSandbox()
    hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi"))
    (request,) = sandbox.requests

    assert ("POST", "/sms/3/messages") == (request.method, request.path)
    assert "sandbox.api.infobip.com" == request.host
    assert "App infobip-sandbox-key" == request.headers.get("authorization")
    assert {"messages"} == request.json().keys()


@pytest.mark.parametrize(
    "group, name, status",
    [
        ("PENDING", "PENDING_ACCEPTED", SmsStatus.QUEUED),
        ("ACCEPTED", "MESSAGE_ACCEPTED", SmsStatus.QUEUED),
        ("PENDING", "PENDING_ENROUTE", SmsStatus.SENT),
        ("PENDING", "PENDING_WAITING_DELIVERY", SmsStatus.SENT),
        ("DELIVERED", "DELIVERED_TO_OPERATOR", SmsStatus.SENT),
        ("DELIVERED", "DELIVERED_TO_HANDSET", SmsStatus.DELIVERED),
        ("UNDELIVERABLE", "UNDELIVERABLE_NOT_DELIVERED", SmsStatus.UNDELIVERED),
        ("EXPIRED", "EXPIRED_EXPIRED", SmsStatus.EXPIRED),
        ("REJECTED", "REJECTED_NETWORK", SmsStatus.REJECTED),
        ("TELEPORTED", "TELEPORTED_TO_MARS", SmsStatus.UNKNOWN),
    ],
)
def test_status_of_a_message(group: str, name: str, status: SmsStatus) -> None:
    """Each Infobip status group has the same meaning in responses, logs and webhooks."""
    fields = {"groupName": group, "name": name}
    webhook: Any = type("Webhook", (), {"data": {"messageId": "m-1", "status": fields}, "id": "e"})
    (event,) = VENDOR.events(webhook, REFS.ref)

    for value in (read_sent(**fields), read_entry(status=fields), event):
        assert (status, name) == (value.status, value.vendor_status)
        assert REFS.ref("m-1") == value.ref
    nameless = read_sent(groupName=group)
    assert group == nameless.vendor_status


def test_message_without_status_is_unknown() -> None:
    """A message without a status is unknown."""
    receipt = read_sent()

    assert (SmsStatus.UNKNOWN, None, None) == (
        receipt.status,
        receipt.vendor_status,
        receipt.segments,
    )


@pytest.mark.parametrize(
    "fields, expected",
    [
        (
            {"messageCount": 3, "price": {"pricePerMessage": 0.0071, "currency": "eur"}},
            {"segments": 3, "price": Price(Decimal("0.0213"), "EUR")},
        ),
        (
            {"messageCount": 1, "price": {"pricePerMessage": 0, "currency": "USD"}},
            {"segments": 1, "price": Price(Decimal(0), "USD")},
        ),
        ({"price": {"pricePerMessage": 0.0071, "currency": "EUR"}}, {"price": None}),
        ({"messageCount": 1, "price": {"pricePerMessage": 0.0071}}, {"price": None}),
        (
            {"error": {"name": "NO_ERROR", "description": "No Error"}},
            {"error_code": None, "error_message": None},
        ),
        (
            {"error": {"name": "EC_ABSENT_SUBSCRIBER", "description": "Absent Subscriber"}},
            {"error_code": "EC_ABSENT_SUBSCRIBER", "error_message": "Absent Subscriber"},
        ),
        ({}, {"error_code": None, "error_message": None, "segments": None, "price": None}),
    ],
)
def test_fields_of_a_log(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """The fields of a log entry are read; the price is the sum over all parts of the message."""
    receipt = read_entry(**fields)

    assert expected == {name: getattr(receipt, name) for name in expected}
    assert {"messageId": "m-1"} | fields == receipt.raw


def test_success_without_an_id_is_malformed() -> None:
    """A success without a message id is malformed; an empty log means that no message exists."""
    with pytest.raises(VendorFailed, match=r"messages\.0\.messageId"):
        Infobip.post_message.read(REFS.ref, reply({"bulkId": "b-1", "messages": [{}]}))
    with pytest.raises(VendorFailed, match="bulkId"):
        Infobip.get_bulk.read(REFS.ref, reply({"status": "PENDING"}))
    with pytest.raises(VendorFailed, match="messageId"):
        read_log(REFS.ref, reply({"results": [{"bulkId": "b-1"}]}))

    assert read_log(REFS.ref, reply({"results": []})) is None


@pytest.mark.parametrize(
    "word, status",
    [
        ("PENDING", SmsStatus.SCHEDULED),
        ("PAUSED", SmsStatus.SCHEDULED),
        ("PROCESSING", SmsStatus.QUEUED),
        ("CANCELED", SmsStatus.CANCELED),
        ("FINISHED", SmsStatus.SENT),
        ("FAILED", SmsStatus.FAILED),
        ("LOST", SmsStatus.UNKNOWN),
    ],
)
def test_status_of_a_bulk(word: str, status: SmsStatus) -> None:
    """Each bulk status is translated; for an unknown status, Infobip's own word is kept."""
    receipt = Infobip.get_bulk.read(REFS.ref, reply({"bulkId": "b-1", "status": word}))

    assert (status, word, REFS.ref("b-1")) == (receipt.status, receipt.vendor_status, receipt.ref)


def test_message_is_looked_up() -> None:
    """A sent message is looked up in Infobip's logs, by one request."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()
    receipt = sms.send(SmsMessage(to=TO, text="Hi", callback_url=URL))
    sandbox.report(receipt.ref.id, "UNDELIVERABLE_NOT_DELIVERED", error_code="EC_SPAM")
    count = len(sandbox.requests)
    result = sms.get(receipt.ref)
    (request,) = sandbox.requests[count:]

    assert (SmsStatus.UNDELIVERED, "EC_SPAM", 1) == (
        result.status,
        result.error_code,
        result.segments,
    )
    assert ("GET", "/sms/3/logs") == (request.method, request.path)
    assert (("messageId", receipt.ref.id),) == request.query
    with pytest.raises(VendorRejected, match="no such bulk") as excinfo:
        sms.get(Ref("infobip", "texts", "another"))
    assert ("NOT_FOUND", 404) == (excinfo.value.vendor_code, excinfo.value.status)


def test_scheduled_message_is_followed() -> None:
    """A scheduled message is looked up and cancelled as a bulk until it is sent."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()
    send_time = datetime.now(UTC) + timedelta(hours=1)
    receipt = sms.send(SmsMessage(to=TO, text="Hi", send_at=send_time))

    assert {receipt.ref.id: "PENDING"} == sandbox.bulks
    assert [receipt.ref.id] == list(sandbox.messages)
    result = sms.get(receipt.ref)
    assert (SmsStatus.SCHEDULED, receipt.ref) == (result.status, result.ref)
    assert SmsStatus.CANCELED is sms.cancel(receipt.ref).status
    request = sandbox.requests[-1]
    assert ("PUT", "/sms/1/bulks/status") == (request.method, request.path)
    assert {"status": "CANCELED"} == request.json()
    assert (("bulkId", receipt.ref.id),) == request.query
    assert SmsStatus.CANCELED is sms.cancel(receipt.ref).status
    assert SmsStatus.CANCELED is sms.get(receipt.ref).status


def test_message_that_was_sent_cannot_be_cancelled() -> None:
    """Cancelling a message that has been sent raises Infobip's error."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()
    send_time = datetime.now(UTC) + timedelta(hours=1)
    receipt = sms.send(SmsMessage(to=TO, text="Hi", send_at=send_time))
    sandbox.bulks[receipt.ref.id] = "FINISHED"

    with pytest.raises(InvalidRequest, match="cannot change"):
        sms.cancel(receipt.ref)
    with pytest.raises(VendorRejected, match="no such bulk"):
        sms.cancel(sms.send(SmsMessage(to=TO, text="Hi")).ref)


def test_repeat_of_a_scheduled_message() -> None:
    """Repeating a scheduled message sends the same id, and so exactly the same request."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()
    send_time = datetime.now(UTC) + timedelta(hours=1)
    message = SmsMessage(to=TO, text="Hi", send_at=send_time)
    receipts = [sms.send(message, idempotency_key="k-1") for _ in range(2)]
    other_messages = [
        sms.send(message, idempotency_key="k-2"),
        sms.send(message),
        sms.send(message),
        hub(sandbox).sms(tenant="acme").send(message, idempotency_key="k-1"),
    ]

    assert receipts[0] == receipts[1]
    assert 5 == len({receipts[0].ref.id, *(receipt.ref.id for receipt in other_messages)})
    assert 5 == len(sandbox.messages)
    repeat = hub(InfobipSandbox()).sms().send(message, idempotency_key="k-1")
    assert receipts[0].ref == repeat.ref
    with pytest.raises(IdempotencyConflict):
        sms.send(attrs.evolve(message, text="Other"), idempotency_key="k-1")


def test_lost_message_is_not_repeated() -> None:
    """A message whose response is lost is not sent again when its key is repeated."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()
    sandbox.fail(Lost())
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            sms.send(SmsMessage(to=TO, text="Hi"), idempotency_key="k-1")

    assert 1 == len(sandbox.messages)


def test_media_are_refused() -> None:
    """A message with a picture is refused for Infobip before anything is sent."""
    sandbox = InfobipSandbox()
    with pytest.raises(UnsupportedByVendor):
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", media=["https://a.example/1"]))

    assert [] == sandbox.requests


def test_balance_has_its_currency_and_may_have_more_decimals_than_cent() -> None:
    """A balance has its currency and may have more decimals than a cent."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()

    assert Price(Decimal("47.79134"), "EUR") == sms.check_balance().amount
    assert "/account/1/balance" == sandbox.requests[-1].path
    sandbox.fail(reply({"balance": "a lot", "currency": "EUR"}))
    with pytest.raises(VendorFailed, match="balance"):
        sms.check_balance()


def test_rejected_message_is_a_refusal() -> None:
    """A rejection in a successful response raises an error, so that another vendor may send."""
    sandbox = InfobipSandbox()
    with pytest.raises(VendorRejected, match="As you wish") as excinfo:
        hub(sandbox).sms().send(SmsMessage(to="+15005550002", text="Hi"))

    assert "REJECTED_NOT_ENOUGH_CREDITS" == excinfo.value.vendor_code
    assert {} == sandbox.messages


@pytest.mark.parametrize(
    "status, code, words",
    [
        ({"groupName": "REJECTED"}, "REJECTED", None),
        ({"groupName": "REJECTED", "name": "REJECTED_DND"}, "REJECTED_DND", None),
        (
            {"groupName": "REJECTED", "name": "A", "description": "447700900000 is barred"},
            "A",
            "(number) is barred",
        ),
    ],
)
def test_rejection_has_name_of_its_status_as_code(
    status: dict[str, str], code: str, words: str | None
) -> None:
    """A rejection has the status's name as code, and its description without phone numbers."""
    error: Any = classify(SEND, reply({"messages": [{"messageId": "m", "status": status}]}))

    assert (VendorRejected, code, words) == (type(error), error.vendor_code, error.vendor_message)
    assert f"Infobip refused: {words or code}" == error.message


@pytest.mark.parametrize(
    "request_, status, kind",
    [
        (SEND, 400, InvalidRequest),
        (SEND, 401, AuthenticationFailed),
        (SEND, 402, VendorRejected),
        (SEND, 403, AuthenticationFailed),
        (READ, 403, AuthenticationFailed),
        (READ, 404, VendorRejected),
        (SEND, 405, InvalidRequest),
        (SEND, 409, VendorRejected),
        (SEND, 415, InvalidRequest),
        (SEND, 422, InvalidRequest),
        (SEND, 429, RateLimitExceeded),
        (SEND, 200, None),
        (SEND, 408, None),
        (SEND, 425, None),
        (SEND, 500, None),
    ],
)
@pytest.mark.parametrize(
    "fields",
    [
        {"errorCode": "E400", "description": "19332631167 is not a number"},
        {
            "requestError": {
                "serviceException": {"messageId": "E400", "text": "19332631167 is not a number"}
            }
        },
    ],
    ids=["version 3", "version 1"],
)
def test_errors_are_classified_by_status(
    fields: dict[str, Any], request_: Request, status: int, kind: type[ConnectorError] | None
) -> None:
    """Errors of both Infobip API versions are classified by status, with code and text."""
    error: Any = classify(request_, reply(fields, status))

    assert kind == (None if error is None else type(error))
    if error is not None:
        assert ("E400", status) == (error.vendor_code, error.status)
        assert "(number) is not a number" == error.vendor_message
        assert "Infobip refused: (number) is not a number" == error.message
        assert "19332631167" not in f"{error}{error!r}"


def test_code_and_text_of_infobip_error_in_another_form_are_found_too() -> None:
    """The code and text of an Infobip error in another form are found too."""
    error: Any = classify(SEND, reply({"code": "x-1", "message": "No."}, 400))

    assert ("x-1", "No.") == (error.vendor_code, error.vendor_message)


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"[]", b'{"id": "a"}', b'"no"'])
def test_error_without_infobip_code_and_text_is_classified_by_its_status_alone(
    content: bytes,
) -> None:
    """An error without Infobip's code and text is classified by its status alone."""
    assert classify(SEND, Response(400, body=content)) is None
    assert classify(SEND, Response(200, body=content)) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "abc123.api.infobip.com",
        "ftp://api.infobip.com",
        "https://me@api.infobip.com",
        "https://api.infobip.com?key=1",
        None,
    ],
)
def test_invalid_url_is_refused(url: Any) -> None:
    """An account without a valid URL is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError, match="base URL of an Infobip account") as excinfo:
        Infobip(base_url=url)

    assert "base_url" == excinfo.value.path


def test_credentials_may_be_left_to_the_provider() -> None:
    """Without its own key an Infobip account uses the credential provider."""
    assert all(service.needs_credentials for service in VENDOR.services().values())
    assert "https://sandbox.api.infobip.com" == VENDOR.services()[""].base_url


def test_events_of_a_report() -> None:
    """The event of a failed Infobip message has its code, its time and no sender."""
    sandbox = InfobipSandbox()
    message = SmsMessage(to=TO, text="Hi", reference="INV-7")
    receipt = hub(sandbox).sms().send(message)
    notice = sandbox.report(
        receipt.ref.id, "UNDELIVERABLE_NOT_DELIVERED", error_code="EC_SPAM", url=URL
    )
    event = event_of(sandbox, notice)

    assert (receipt.ref, SmsStatus.UNDELIVERED, "EC_SPAM") == (
        event.ref,
        event.status,
        event.error_code,
    )
    assert datetime(2031, 5, 6, 7, 8, 9, 123000, tzinfo=UTC) == event.at
    assert (None, None) == (event.sender, event.text)
    assert "INV-7" == event.raw["callbackData"]


def test_incoming_message_has_its_sender_text_and_time() -> None:
    """An incoming message has its sender, its text and the time of its receipt."""
    sandbox = InfobipSandbox()
    event = event_of(sandbox, sandbox.receive(TO, "Yes & no", url=URL))

    assert (SmsStatus.RECEIVED, TO, "Yes & no") == (event.status, event.sender, event.text)
    assert (None, None) == (event.vendor_status, event.error_code)
    assert datetime(2031, 5, 6, 7, 8, 9, 123000, tzinfo=UTC) == event.at


@pytest.mark.parametrize(
    "content, text, media",
    [
        ({"type": "TEXT", "text": "Yes"}, "Yes", ()),
        (
            {"type": "IMAGE", "caption": "Broken", "url": "https://a.example/1"},
            "Broken",
            ("https://a.example/1",),
        ),
        ({"type": "VOICE", "url": "https://a.example/2"}, None, ("https://a.example/2",)),
        ({"type": "LOCATION", "latitude": 1.5}, None, ()),
    ],
    ids=["text", "image", "voice", "location"],
)
def test_message_received_by_whatsapp_has_its_text_and_file(
    content: dict[str, Any], text: str | None, media: tuple[str, ...]
) -> None:
    """A message received by WhatsApp has its text or caption, and the URL of its file."""
    sandbox = InfobipSandbox()
    notice = sandbox.receive(TO, "", url=URL)
    [fields] = json.loads(notice.body)["results"]
    names = ("messageId", "from", "to", "receivedAt")
    received = {name: fields[name] for name in names}
    received |= {"integrationType": "WHATSAPP", "message": content, "contact": {"name": "Ada"}}
    event = event_of(
        sandbox, attrs.evolve(notice, body=json.dumps({"results": [received]}).encode())
    )

    assert (SmsStatus.RECEIVED, TO, text, media) == (
        event.status,
        event.sender,
        event.text,
        event.media,
    )
    assert "WHATSAPP" == event.raw["integrationType"]


def test_reports_of_a_batch() -> None:
    """A webhook with several reports becomes one event per report, with different ids."""
    sandbox = InfobipSandbox()
    own_hub = hub(sandbox)
    sms = own_hub.sms()
    refs = [sms.send(SmsMessage(to=TO, text=text)).ref for text in ("One", "Two")]
    notices = [sandbox.report(ref.id, "DELIVERED_TO_HANDSET", url=URL) for ref in refs]
    results = [json.loads(notice.body)["results"][0] for notice in notices]
    body = json.dumps({"results": results}).encode()
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_password)
    webhooks = verifier.verify(**attrs.evolve(notices[0], body=body).arguments())
    events = [event for webhook in webhooks for event in own_hub.events("texts", webhook)]

    assert refs == [event.ref for event in events]
    assert [SmsStatus.DELIVERED] * 2 == [event.status for event in events]
    assert 2 == len({event.id for event in events})


@pytest.mark.parametrize(
    "word, kind",
    [
        ("PENDING_ACCEPTED", "message.queued"),
        ("PENDING_ENROUTE", "message.sent"),
        ("PENDING_WAITING_DELIVERY", "message.sent"),
        ("DELIVERED_TO_OPERATOR", "message.sent"),
        ("DELIVERED_TO_HANDSET", "message.delivered"),
        ("EXPIRED_EXPIRED", "EXPIRED_EXPIRED"),
    ],
)
def test_types_of_webhooks(word: str, kind: str) -> None:
    """Common statuses in webhooks have vendor-neutral event types; others keep Infobip's."""
    sandbox = InfobipSandbox()
    own_hub = hub(sandbox)
    receipt = own_hub.sms().send(SmsMessage(to=TO, text="Hi"))
    notice = sandbox.report(receipt.ref.id, word, url=URL)
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_password)
    (webhook,) = verifier.verify(**notice.arguments())

    assert (kind, word) == (webhook.type, webhook.vendor_type)
    assert datetime(2031, 5, 6, 7, 8, 9, 123000, tzinfo=UTC) == webhook.time
    assert webhook.id is not None
    assert webhook.id.endswith(word)


def test_webhook_without_the_password_is_refused() -> None:
    """A webhook without the password, or with another one, is refused."""
    sandbox = InfobipSandbox()
    notice = sandbox.receive(TO, "Yes", url=URL)
    verifier = hub(sandbox).webhooks("texts", secrets="hook:another")
    with pytest.raises(WebhookRejected):
        verifier.verify(**notice.arguments())
    right_verifier = hub(sandbox).webhooks("texts", secrets=sandbox.webhook_password)
    with pytest.raises(WebhookRejected):
        right_verifier.verify(**attrs.evolve(notice, headers={}).arguments())

    assert right_verifier.verify(**notice.arguments())


def test_infobip_webhook_that_is_not_about_message_gives_no_events() -> None:
    """An Infobip webhook that is not about a message gives no events."""
    webhook: Any = type("Webhook", (), {"data": {"callId": "1"}, "id": "1"})()

    assert () == VENDOR.events(webhook, REFS.ref)


@pytest.mark.parametrize(
    "change",
    [
        {"destinations": None},
        {"destinations": []},
        {"destinations": [{"to": "nobody"}]},
        {"destinations": [{"to": TO}]},
        {"destinations": [{"to": 4915112345678}]},
        {"destinations": [{"to": "4915112345678"}, {"to": "4915112345679"}]},
        {"content": {"text": ""}},
        {"content": {"txet": "misspelt"}},
        {"sender": 15005550006},
        {"from": "Acme"},
        {"options": {"validityPeriod": {"amount": 0}}},
        {"options": {"validityPeriod": {"amount": 1, "timeUnit": "DAYS"}}},
        {"options": {"flash": "yes"}},
        {"webhooks": {"contentType": "text/html"}},
        {"webhooks": {"callbackData": "a" * 4001}},
        {"webhooks": {"delivery": {"uri": URL}}},
    ],
    ids=str,
)
def test_sandbox_is_strict(change: dict[str, Any]) -> None:
    """The sandbox refuses what Infobip would refuse, and sends nothing."""
    sandbox = InfobipSandbox()
    extra_options: dict[str, Any] = {"extra": {"infobip": change}}
    with pytest.raises(InvalidRequest):
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", **extra_options))

    assert {} == sandbox.messages


@pytest.mark.parametrize(
    "to, kind",
    [
        ("+15005550001", InvalidRequest),
        ("+15005550002", VendorRejected),
        ("+15005550008", RateLimitExceeded),
    ],
)
def test_message_to_a_test_number_fails_as_documented(to: str, kind: type[ConnectorError]) -> None:
    """A message to a documented test number fails in the way that the number stands for."""
    with pytest.raises(kind):
        hub(InfobipSandbox()).sms().send(SmsMessage(to=to, text="Hi"))


def test_sandbox_refuses_other_keys() -> None:
    """The Infobip sandbox refuses a wrong API key, at both versions of its API."""
    sandbox = InfobipSandbox()
    account = Account("texts", attrs.evolve(VENDOR, credentials="another key"))
    sms = Hub([account], http=SandboxHttpClient(sandbox)).sms()
    with pytest.raises(AuthenticationFailed) as excinfo:
        sms.send(SmsMessage(to=TO, text="Hi"))
    with pytest.raises(AuthenticationFailed, match="login") as older:
        sms.check_balance()

    assert ("E401", "UNAUTHORIZED") == (excinfo.value.vendor_code, older.value.vendor_code)
    assert {} == sandbox.messages


def test_sandbox_refuses_invalid_requests() -> None:
    """The Infobip sandbox refuses unknown paths, times and statuses, and unfiltered logs."""
    sandbox = InfobipSandbox()
    sandbox.bulks["b-1"] = "PENDING"
    client = SandboxHttpClient(sandbox)
    headers = {"Authorization": f"App {sandbox.api_key}"}
    message = {"destinations": [{"to": "4915112345678"}], "content": {"text": "Hi"}}
    bulk = {"bulkId": "b-1"}
    requests = [
        Request.get("/nowhere", headers=headers),
        Request.post("/sms/3/messages", json=[], headers=headers),
        *(
            Request.post(
                "/sms/3/messages",
                json={"messages": [message], "options": {"schedule": {"sendAt": text}}},
                headers=headers,
            )
            for text in ("tomorrow", "2031-05-36T07:08:09.000+0000", "2031-05-06T07:08:09Z")
        ),
        Request.get("/sms/3/logs", headers=headers),
        Request.put("/sms/1/bulks/status", query=bulk, json={"status": "GONE"}, headers=headers),
        Request.put("/sms/1/bulks/status", query=bulk, json={}, headers=headers),
        Request.put("/sms/1/bulks/status", query=bulk, json={"status": "PAUSED"}, headers=headers),
    ]
    answers = [
        client.send(
            request,
            f"https://sandbox.api.infobip.com{request.path}?{urlencode(request.query)}",
            Timeouts(),
        )
        for request in requests
    ]

    assert [404, 400, 400, 400, 400, 400, 400, 400, 200] == [item.status for item in answers]
    assert {"b-1": "PAUSED"} == sandbox.bulks


@pytest.mark.parametrize(
    "state, word",
    [
        ({"groupName": "DELIVERED", "name": "DELIVERED_TO_HANDSET"}, "DELIVERED_TO_HANDSET"),
        ({"groupName": "DELIVERED"}, "DELIVERED"),
    ],
)
def test_log_has_the_word_of_the_status_or_of_its_group(state: dict[str, str], word: str) -> None:
    """The status in a log has Infobip's word, or else the word of its group."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()
    ref = sms.send(SmsMessage(to=TO, text="Hello")).ref
    sandbox.fail(reply({"results": [{"messageId": ref.id, "status": state}]}))

    receipt = sms.get(ref)
    assert (SmsStatus.DELIVERED, word) == (receipt.status, receipt.vendor_status)


def test_log_of_another_message_is_refused() -> None:
    """If Infobip returns the log of a message other than the requested one, the call fails."""
    sandbox = InfobipSandbox()
    sms = hub(sandbox).sms()
    ref = sms.send(SmsMessage(to=TO, text="Hello")).ref
    sandbox.fail(reply({"results": [{"messageId": "m-9", "status": {"groupName": "DELIVERED"}}]}))

    with pytest.raises(VendorFailed, match="log of another message") as excinfo:
        sms.get(ref)
    assert not excinfo.value.retryable
