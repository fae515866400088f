"""Telnyx: requests, responses, refusals, webhooks and the sandbox's rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    Request,
    Timeouts,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.contracts.routes import Account
from moorage.contracts.sms import (
    LineType,
    Price,
    SmsEvent,
    SmsMessage,
    SmsStatus,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, Notice, SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.telnyx import TelnyxSandbox
from moorage.vendors.sms.telnyx import Telnyx
from tests.vendors.sms_subjects import Refs
from tests.vendors.subjects.telnyx import message, telnyx_error

TO: Final = "+4915112345678"
FROM: Final = "+15005550006"
URL: Final = "https://a.example/cb"
PICTURE: Final = "https://a.example/1.png"
PROFILE: Final = "83d2343b-553f-4c5f-b8c8-fd27004f94bf"
VENDOR: Final = Telnyx(sender=FROM)
REFS: Any = Refs("telnyx")
classify: Any = Telnyx.refusals
SEND: Final = Request.post("/v2/messages", json={})


def body(vendor: Telnyx = VENDOR, **fields: Any) -> dict[str, Any]:
    """Return the JSON body for a message with the given fields."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    content: Any = Telnyx.send.request(vendor, SmsMessage(**options)).body
    result: dict[str, Any] = json.loads(content)
    return result


def hub(sandbox: TelnyxSandbox, **options: Any) -> Hub:
    """Return a hub with one account at Telnyx."""
    vendor = Telnyx(**{"credentials": sandbox.api_key, "sender": FROM} | options)
    account = Account("texts", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def in_hours(hours: float) -> datetime:
    """Return a time in the future."""
    return datetime.now(UTC) + timedelta(hours=hours)


def event_of(sandbox: TelnyxSandbox, notice: Notice) -> tuple[str, SmsEvent]:
    """Return the type and the event of a webhook."""
    own_hub = hub(sandbox)
    verifier = own_hub.webhooks("texts", secrets=sandbox.public_key)
    (webhook,) = verifier.verify(**notice.arguments())
    (event,) = own_hub.events("texts", webhook)
    return webhook.type or webhook.vendor_type, event


@pytest.mark.parametrize(
    "options, fields, expected",
    [
        ({}, {}, {"from": FROM}),
        ({}, {"sender": "12345"}, {"from": "12345"}),
        ({}, {"sender_pool": PROFILE}, {"messaging_profile_id": PROFILE}),
        (
            {"messaging_profile_id": PROFILE},
            {"sender": "Acme"},
            {"from": "Acme", "messaging_profile_id": PROFILE},
        ),
        (
            {"messaging_profile_id": PROFILE},
            {"sender_pool": "pool"},
            {"messaging_profile_id": "pool"},
        ),
        (
            {"sender": None, "messaging_profile_id": PROFILE},
            {},
            {"messaging_profile_id": PROFILE},
        ),
    ],
)
def test_sender_of_a_message(
    options: dict[str, Any], fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A message has a sender, a pool of senders, or a name with the profile that may use it."""
    vendor = attrs.evolve(VENDOR, **options)

    assert {"to": TO, "text": "Hello"} | expected == body(vendor, **fields)


def test_message_without_sender_and_profile_is_refused() -> None:
    """Without a sender and a messaging profile, nothing is sent."""
    with pytest.raises(InvalidData, match="requires a sender") as excinfo:
        body(Telnyx())

    assert "sender" == excinfo.value.field


def test_media_message_may_lack_a_text() -> None:
    """A message with media has no empty text, and keeps the order of the media."""
    urls = [PICTURE, "https://a.example/2.png"]

    assert {"to": TO, "from": FROM, "media_urls": urls} == body(text="", media=urls)


@pytest.mark.parametrize("hours", [0, -7, 5.5])
def test_time_of_sending_is_in_utc(hours: float) -> None:
    """The time of a scheduled message is sent in UTC, in whole seconds."""
    zone = timezone(timedelta(hours=hours))
    send_time = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC).astimezone(zone)

    assert "2031-05-06T07:08:09Z" == body(send_at=send_time)["send_at"]


def test_report_goes_to_the_url_of_the_message() -> None:
    """A message's own URL for reports is sent."""
    assert URL == body(callback_url=URL)["webhook_url"]


@pytest.mark.parametrize(
    "code, status, kind",
    [
        ("10009", 401, AuthenticationFailed),
        ("10009", 403, AuthenticationFailed),
        ("20002", 403, AuthenticationFailed),
        ("20008", 403, AuthenticationFailed),
        ("10010", 403, VendorRejected),
        ("10011", 429, RateLimitExceeded),
        ("10011", 400, RateLimitExceeded),
        ("40318", 400, RateLimitExceeded),
        ("10007", 400, VendorFailed),
        ("10008", 400, VendorFailed),
        ("10037", 403, VendorFailed),
        ("10015", 400, InvalidRequest),
        ("40310", 400, InvalidRequest),
        ("10027", 422, InvalidRequest),
        ("10005", 404, VendorRejected),
        *(
            (code, status, VendorRejected)
            for code in (
                *("20012", "20013", "20100", "40300", "40312", "40314", "40315", "40320"),
                *("40321", "40322", "40329", "40330", "40333"),
            )
            for status in (400, 403, 422)
        ),
    ],
)
def test_errors_of_codes(code: str, status: int, kind: type[ConnectorError]) -> None:
    """An error's class follows from its code, or else its status; no phone number is shown."""
    error: Any = classify(SEND, telnyx_error(status, code))

    assert (kind, code, "(number) is refused.") == (
        type(error),
        error.vendor_code,
        error.vendor_message,
    )


@pytest.mark.parametrize(
    "content, words",
    [
        ({"errors": [{"code": "10015", "title": "Bad Request"}]}, "Bad Request"),
        ({"errors": [{"code": "10015", "title": "Bad", "detail": "No JSON"}]}, "No JSON"),
        ({"code": "10015", "title": "Bad Request"}, "Bad Request"),
        ({"errors": [{"code": "10015"}, {"code": "2", "title": "Other"}]}, None),
    ],
)
def test_error_has_the_text_of_telnyx(content: dict[str, Any], words: str | None) -> None:
    """An error has Telnyx's detail or title, from a list of errors or a single one."""
    error: Any = classify(SEND, reply(content, 400))

    assert ("10015", words) == (error.vendor_code, error.vendor_message)


@pytest.mark.parametrize("content", [{}, [], {"errors": []}, {"errors": "no"}, "no"])
def test_error_without_code_and_text_is_classified_by_its_status(content: Any) -> None:
    """An error response without Telnyx's fields is classified by its status alone."""
    assert classify(SEND, reply(content, 400)) is None


@pytest.mark.parametrize("status", [200, 408, 425, 500, 503])
def test_outages_and_successes_are_not_refusals(status: int) -> None:
    """A success, a timeout and an outage are not refusals, whatever the body says."""
    assert classify(SEND, telnyx_error(status, "40300")) is None


@pytest.mark.parametrize(
    "statuses, status, word",
    [
        (["delivered"], SmsStatus.DELIVERED, "delivered"),
        (["delivered", "delivered"], SmsStatus.DELIVERED, "delivered"),
        (["delivered", "delivery_failed"], SmsStatus.UNKNOWN, None),
        ([], SmsStatus.UNKNOWN, None),
        (["gw_timeout"], SmsStatus.UNKNOWN, "gw_timeout"),
    ],
)
def test_status_of_several_recipients(
    statuses: list[str], status: SmsStatus, word: str | None
) -> None:
    """A group message has a status only if all recipients have the same status."""
    recipients = [{"phone_number": TO, "status": state} for state in statuses]
    receipt = Telnyx.get.read(REFS.ref, reply({"data": message("", to=recipients)}))

    assert (status, word) == (receipt.status, receipt.vendor_status)


@pytest.mark.parametrize("content", [{}, {"data": {}}, {"data": []}, {"id": None}, {"data": None}])
def test_response_without_id_is_unreadable(content: dict[str, Any]) -> None:
    """A successful response without the id of a message is an error."""
    with pytest.raises(VendorFailed):
        Telnyx.get.read(REFS.ref, reply(content))


@pytest.mark.parametrize(
    "operation, data, name",
    [
        (Telnyx.get, {"direction": "outbound"}, "id"),
        (Telnyx.validate_number, {"country_code": "DE"}, "phone_number"),
        (Telnyx.check_balance, {"currency": "USD"}, "balance"),
        (Telnyx.check_balance, {"balance": "1.00"}, "balance"),
    ],
)
def test_error_names_the_missing_field(operation: Any, data: dict[str, str], name: str) -> None:
    """The error for a response that lacks a required field names the field."""
    with pytest.raises(VendorFailed, match=rf"\b{name}\b"):
        operation.read(REFS.ref, reply({"data": data}))


def test_failed_message_may_have_only_the_title_of_its_error() -> None:
    """The reason of a failed message is Telnyx's title if there is no detail."""
    failed = message("sending_failed", errors=[{"code": "40014", "title": "Expired in queue"}])
    receipt = Telnyx.get.read(REFS.ref, reply({"data": failed}))

    assert ("40014", "Expired in queue") == (receipt.error_code, receipt.error_message)


def test_limits_are_those_of_the_sandbox() -> None:
    """The stated limits of parts and of media are the largest that the sandbox accepts."""
    limits = VENDOR.limits
    sandbox = TelnyxSandbox()
    texts = hub(sandbox).sms()
    texts.send(SmsMessage(to=TO, text="a" * 153 * limits["segments"]))
    texts.send(SmsMessage(to=TO, text="", media=[PICTURE] * limits["media"]))
    longer_messages = (
        SmsMessage(to=TO, text="a" * (153 * limits["segments"] + 1)),
        SmsMessage(to=TO, text="", media=[PICTURE] * (limits["media"] + 1)),
    )
    for longer_message in longer_messages:
        with pytest.raises(InvalidRequest):
            texts.send(longer_message)

    assert 2 == len(sandbox.messages)


def test_cancellation_may_be_enclosed() -> None:
    """A cancellation's response may be the message itself, or have the message in `data`."""
    for content in (message("cancelled"), {"data": message("cancelled")}):
        receipt = Telnyx.delete_message.read(REFS.ref, reply(content))
        assert (REFS.ref("m-7"), SmsStatus.CANCELED) == (receipt.ref, receipt.status)


def test_second_cancellation_reads_the_message() -> None:
    """After a lost response, Telnyx refuses the repeated cancellation, and the message is read."""
    sandbox = TelnyxSandbox()
    texts = hub(sandbox).sms()
    receipt = texts.send(SmsMessage(to=TO, text="Hi", send_at=in_hours(1)))
    sandbox.fail(Lost())
    with pytest.raises(ConnectorError):
        texts.cancel(receipt.ref)
    canceled = texts.cancel(receipt.ref)

    assert (receipt.ref, SmsStatus.CANCELED) == (canceled.ref, canceled.status)


@pytest.mark.parametrize("minutes", [None, 0.5])
def test_sent_message_is_not_cancelled(minutes: float | None) -> None:
    """A message that is on its way, or about to be sent, stays as it is."""
    sandbox = TelnyxSandbox()
    texts = hub(sandbox).sms()
    send_at = None if minutes is None else in_hours(1)
    receipt = texts.send(SmsMessage(to=TO, text="Hi", send_at=send_at))
    if minutes is not None:
        sandbox.send_times[receipt.ref.id] = in_hours(minutes / 60)
    with pytest.raises(VendorRejected) as excinfo:
        texts.cancel(receipt.ref)

    assert 403 == excinfo.value.status
    assert receipt.status is texts.get(receipt.ref).status


@pytest.mark.parametrize(
    "word, line",
    [
        ("mobile", LineType.MOBILE),
        ("fixed line", LineType.LANDLINE),
        ("voip", LineType.VOIP),
        ("fixed line or mobile", LineType.UNKNOWN),
        ("unknown", LineType.UNKNOWN),
        *(
            (word, LineType.OTHER)
            for word in (
                *("toll free", "premium rate", "shared cost", "personal number"),
                *("pager", "uan", "voicemail"),
            )
        ),
    ],
)
def test_types_of_lines(word: str, line: LineType) -> None:
    """Each type of line in Telnyx's description has a meaning, or is unknown."""
    data = {"phone_number": TO, "carrier": {"type": word}}

    assert line is Telnyx.validate_number.read(REFS.ref, reply({"data": data})).line


@pytest.mark.parametrize("code", ["10002", "10016"])
def test_invalid_number(code: str) -> None:
    """Telnyx's error codes for impossible numbers become a check's result, not an error."""
    sandbox = TelnyxSandbox()
    sandbox.fail(telnyx_error(422, code))
    check = hub(sandbox).sms().validate_number(TO)

    assert (False, None) == (check.valid, check.number)
    assert ("(number) is refused.",) == check.reasons


def test_other_refusals_of_a_look_up_are_errors() -> None:
    """If Telnyx refuses a look-up for another reason, an error is raised."""
    sandbox = TelnyxSandbox()
    sandbox.fail(telnyx_error(422, "10027"))
    with pytest.raises(InvalidRequest):
        hub(sandbox).sms().validate_number(TO)


def test_look_up_asks_for_the_carrier() -> None:
    """A look-up has the number in its path, and asks for the carrier."""
    sandbox = TelnyxSandbox()
    check = hub(sandbox).sms().validate_number(TO)
    (request,) = sandbox.requests

    assert (f"/v2/number_lookup/{TO.replace('+', '%2B')}", (("type", "carrier"),)) == (
        request.path,
        request.query,
    )
    assert (True, TO, LineType.MOBILE) == (check.valid, check.number, check.line)


def test_balance() -> None:
    """The balance is that of the account, not the credit that is available."""
    sandbox = TelnyxSandbox(balance="12.345")

    assert Price(Decimal("12.345"), "USD") == hub(sandbox).sms().check_balance().amount


@pytest.mark.parametrize(
    "word, kind",
    [
        ("queued", "message.sent"),
        ("sent", "message.sent"),
        ("delivered", "message.delivered"),
        ("delivery_unconfirmed", "message.sent"),
        ("sending_failed", "message.failed"),
        ("delivery_failed", "message.failed"),
        ("expired", "message.failed"),
        ("read", "message.read"),
        ("teleported", "message.finalized"),
    ],
)
def test_types_of_webhooks(word: str, kind: str) -> None:
    """A report has a vendor-neutral event type; an unknown final status keeps Telnyx's type."""
    sandbox = TelnyxSandbox()
    receipt = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi"))
    type_, event = event_of(sandbox, sandbox.report(receipt.ref.id, word, url=URL))

    assert (kind, receipt.ref, word) == (type_, event.ref, event.vendor_status)


def test_event_of_a_failed_message() -> None:
    """The event of a failed message has its reason and time, and neither numbers nor text."""
    sandbox = TelnyxSandbox()
    receipt = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", media=[PICTURE]))
    moment = datetime.now(UTC).replace(microsecond=0)
    notice = sandbox.report(
        receipt.ref.id, "sending_failed", error_code="40014", url=URL, at=moment
    )
    _, event = event_of(sandbox, notice)

    assert (SmsStatus.FAILED, "40014", moment) == (event.status, event.error_code, event.at)
    assert (None, None, None, ()) == (event.sender, event.to, event.text, event.media)
    assert json.loads(notice.body)["data"]["id"] == event.id
    assert receipt.ref.id == event.raw["id"]


def test_event_of_a_received_message() -> None:
    """A received message has both numbers, its text and its files."""
    sandbox = TelnyxSandbox()
    type_, event = event_of(sandbox, sandbox.receive(TO, "STOP", url=URL))
    pictured = message(
        "webhook_delivered",
        direction="inbound",
        text="Look",
        media=[{"url": PICTURE}, {"content_type": "image/png"}],
        **{"from": {"phone_number": TO}, "to": [{"phone_number": FROM}]},
    )
    webhook: Any = type(
        "Webhook",
        (),
        {"vendor_type": "message.received", "data": pictured, "id": "1", "time": None},
    )()
    (received,) = VENDOR.events(webhook, REFS.ref)

    assert ("message.received", SmsStatus.RECEIVED) == (type_, event.status)
    assert (TO, FROM, "STOP", ()) == (event.sender, event.to, event.text, event.media)
    assert (TO, FROM, "Look", (PICTURE,)) == (
        received.sender,
        received.to,
        received.text,
        received.media,
    )


def test_stop_ends_messages_until_start() -> None:
    """After STOP, messages to the number are refused; the event shows Telnyx's own answer."""
    sandbox = TelnyxSandbox()
    texts = hub(sandbox).sms()
    _, stop = event_of(sandbox, sandbox.receive(TO, "STOP", url=URL))
    with pytest.raises(VendorRejected) as excinfo:
        texts.send(SmsMessage(to=TO, text="Hi"))
    _, start = event_of(sandbox, sandbox.receive(TO, "START", url=URL))
    texts.send(SmsMessage(to=TO, text="Hi"))

    assert ("40300", 1) == (excinfo.value.vendor_code, len(sandbox.messages))
    assert ["STOP", "START"] == [event.raw["autoresponse_type"] for event in (stop, start)]


def test_message_is_not_repeated_after_an_unexpected_error() -> None:
    """After an internal error of Telnyx the outcome is unknown, whatever the HTTP status."""
    sandbox = TelnyxSandbox()
    sandbox.fail(telnyx_error(400, "10007"))
    texts = hub(sandbox).sms()
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            texts.send(SmsMessage(to=TO, text="Hi"), idempotency_key="k-1")

    assert 1 == len(sandbox.requests)


@pytest.mark.parametrize("kind", ["verification.delivered", "call.initiated", "10dlc.brand.update"])
def test_webhook_that_is_not_about_a_message_gives_no_events(kind: str) -> None:
    """A webhook of another product of Telnyx gives no events, even if it has an id."""
    webhook: Any = type(
        "Webhook", (), {"vendor_type": kind, "data": message("delivered"), "id": "1", "time": None}
    )()

    assert () == VENDOR.events(webhook, REFS.ref)


def test_changed_and_late_webhooks_are_refused() -> None:
    """A webhook is refused if its time or body was changed, or after five minutes."""
    sandbox = TelnyxSandbox()
    now = datetime.now(UTC)
    notice, recent, late_notice = (
        sandbox.receive(TO, text, at=now - timedelta(minutes=minutes))
        for text, minutes in (("Yes", 0), ("Later", 4), ("Late", 6))
    )
    verifier = hub(sandbox).webhooks("texts", secrets=sandbox.public_key)
    stamp = str(int(now.timestamp()) + 1)
    changes = (
        attrs.evolve(notice, headers={**notice.headers, "telnyx-timestamp": stamp}),
        attrs.evolve(notice, body=notice.body.replace(b"Yes", b"No!")),
        late_notice,
    )
    for change in changes:
        with pytest.raises(WebhookRejected):
            verifier.verify(**change.arguments())

    assert verifier.verify(**notice.arguments())
    assert verifier.verify(**recent.arguments())


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"to": "49151"}, None),
        ({"to": "nobody"}, "40310"),
        ({"to": None}, "10015"),
        ({"text": None}, "40316"),
        ({"from": "Acme"}, "40305"),
        ({"from": "Acme", "messaging_profile_id": PROFILE}, None),
        ({"from": None, "messaging_profile_id": PROFILE}, None),
        ({"from": "A name too long", "messaging_profile_id": PROFILE}, "40325"),
        (
            {"from": "Acme", "messaging_profile_id": PROFILE, "media_urls": [PICTURE]},
            "40308",
        ),
        ({"text": "a" * 1531}, "40302"),
        ({"text": "a" * 1530}, None),
        ({"media_urls": [PICTURE] * 11}, "40317"),
        ({"media_urls": [PICTURE] * 10}, None),
        ({"webhook_url": URL + "a" * 2000}, "10003"),
        ({"text": "д", "encoding": "gsm7"}, "10015"),
        ({"encoding": "utf8"}, "10015"),
        ({"type": "RCS"}, "10015"),
        ({"txet": "misspelt"}, "10015"),
        ({"send_at": "tomorrow"}, "10015"),
        ({"send_at": "2031-05-06T07:08:09Z"}, "10033"),
    ],
    ids=str,
)
def test_sandbox_is_strict(fields: dict[str, Any], code: str | None) -> None:
    """The sandbox refuses the requests that Telnyx documents as wrong, and sends nothing."""
    sandbox = TelnyxSandbox()
    extra: dict[str, Any] = {"to": TO, "from": FROM, "text": "Hi"} | fields
    request = Request.post(
        "/v2/messages",
        json={name: value for name, value in extra.items() if value is not None},
        headers={"Authorization": f"Bearer {sandbox.api_key}"},
    )
    response: Any = _answer(sandbox, request).json()
    codes = [error["code"] for error in response.get("errors", [])]

    assert ([] if code is None else [code]) == codes
    assert (code is None) == bool(sandbox.messages)


def _answer(sandbox: TelnyxSandbox, request: Request) -> Any:
    url = f"https://api.telnyx.com{request.path}"
    return SandboxHttpClient(sandbox).send(request, url, Timeouts())


@pytest.mark.parametrize("hours, code", [(0.05, "10033"), (0.1, None), (119, None), (121, "10033")])
def test_window_of_scheduled_messages(hours: float, code: str | None) -> None:
    """A message can be scheduled from five minutes to five days ahead."""
    sandbox = TelnyxSandbox()
    text = SmsMessage(to=TO, text="Hi", send_at=in_hours(hours))
    if code is None:
        assert SmsStatus.SCHEDULED is hub(sandbox).sms().send(text).status
        return
    with pytest.raises(InvalidRequest) as excinfo:
        hub(sandbox).sms().send(text)

    assert code == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "to, kind",
    [
        ("+15005550001", InvalidRequest),
        ("+15005550004", VendorRejected),
        ("+15005550008", RateLimitExceeded),
    ],
)
def test_message_to_a_test_number_fails_as_documented(to: str, kind: type[ConnectorError]) -> None:
    """A message to a documented test number fails in the way that the number stands for."""
    with pytest.raises(kind) as excinfo:
        hub(TelnyxSandbox()).sms().send(SmsMessage(to=to, text="Hi"))

    assert kind is type(excinfo.value)


def test_sandbox_refuses_wrong_credentials_and_unknown_paths() -> None:
    """The Telnyx sandbox refuses a wrong key, an unknown path and an unknown number."""
    sandbox = TelnyxSandbox()
    with pytest.raises(AuthenticationFailed):
        hub(sandbox, credentials="another key").sms().send(SmsMessage(to=TO, text="Hi"))
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}

    assert 404 == _answer(sandbox, Request.get("/v2/nowhere", headers=headers)).status
    assert 422 == _answer(sandbox, Request.get(f"/v2/number_lookup/{TO}", headers=headers)).status
    assert hub(sandbox).sms().validate_number("+15005550001").valid is False
    assert {} == sandbox.messages
