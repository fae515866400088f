"""Sinch: requests, responses and webhooks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
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
from moorage.contracts.sms import SmsEvent, SmsMessage, SmsReceipt, SmsStatus
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, Notice, SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.sinch import FIELDS, SinchSandbox
from moorage.vendors.sms.sinch import Sinch
from tests.vendors.sms_subjects import Refs

TO = "+4915112345678"
FROM = "+15005550006"
PLAN = "jd63jf88477ll123ab4567cd89012ef3"
VENDOR = Sinch(service_plan_id=PLAN, sender=FROM)
REFS: Any = Refs("sinch")
URL = "https://a.example/cb"
MOMENT = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
classify: Any = Sinch.refusals
SEND, READ = Request.post("/batches", json={}), Request.get("/batches/1")


def body(**fields: Any) -> dict[str, Any]:
    """Return the JSON body for a message with the given fields."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    content: Any = Sinch.send.request(VENDOR, SmsMessage(**options)).body
    result: dict[str, Any] = json.loads(content)
    return result


def read_batch(**fields: Any) -> SmsReceipt:
    """Return the receipt that is read from a batch with the given fields."""
    return Sinch.get_batch.read(REFS.ref, reply({"id": "01B"} | fields))


def read_report(*statuses: Any, **fields: Any) -> SmsReceipt:
    """Return the receipt that is read from a delivery report with the given states."""
    report = {"type": "delivery_report_sms", "batch_id": "01B", "statuses": [*statuses]}
    return Sinch.get_report.read(REFS.ref, reply(report | fields))


def hub(sandbox: SinchSandbox) -> Hub:
    """Return a hub with one account at Sinch."""
    vendor = Sinch(
        service_plan_id=sandbox.service_plan_id, credentials=sandbox.api_token, sender=FROM
    )
    account = Account("texts", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def event_of(sandbox: SinchSandbox, notice: Notice) -> SmsEvent:
    """Return the event of a webhook."""
    own_hub = hub(sandbox)
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_secret)
    events: tuple[SmsEvent, ...] = own_hub.events("texts", verifier.verify(**notice.arguments())[0])
    (event,) = events
    return event


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"from": FROM, "type": "mt_text", "body": "Hello"}),
        ({"sender": "Acme"}, {"from": "Acme", "type": "mt_text", "body": "Hello"}),
        (
            {"text": "", "media": ["https://a.example/1"]},
            {"from": FROM, "type": "mt_media", "body": {"url": "https://a.example/1"}},
        ),
        (
            {"media": ["https://a.example/1"]},
            {
                "from": FROM,
                "type": "mt_media",
                "body": {"url": "https://a.example/1", "message": "Hello"},
            },
        ),
        (
            {"callback_url": URL, "reference": "INV-7"},
            {
                "from": FROM,
                "type": "mt_text",
                "body": "Hello",
                "callback_url": URL,
                "delivery_report": "per_recipient",
                "client_reference": "INV-7",
            },
        ),
        (
            {"send_at": MOMENT.astimezone(timezone(timedelta(hours=2)))},
            {
                "from": FROM,
                "type": "mt_text",
                "body": "Hello",
                "send_at": "2031-05-06T07:08:09.123Z",
            },
        ),
        (
            {
                "callback_url": URL,
                "extra": {
                    "sinch": {"delivery_report": "per_recipient_final", "flash_message": True}
                },
            },
            {
                "from": FROM,
                "type": "mt_text",
                "body": "Hello",
                "callback_url": URL,
                "delivery_report": "per_recipient_final",
                "flash_message": True,
            },
        ),
    ],
    ids=["plain", "sender", "media", "caption", "callback", "scheduled", "options"],
)
def test_body_of_a_message(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """A message is sent under Sinch's names; extra options may override its fields."""
    sent_body = body(**fields)
    types = FIELDS[sent_body["type"]]

    assert {"to": [TO]} | expected == sent_body
    assert [] == [name for name, value in sent_body.items() if not isinstance(value, types[name])]


def test_url_path_of_a_message() -> None:
    """A message goes to the batches of the service plan, in the region of the account."""
    request = Sinch.send.request(VENDOR, SmsMessage(to=TO, text="Hello"))

    assert ("POST", f"/xms/v1/{PLAN}/batches") == (request.method, request.path)
    assert "https://us.sms.api.sinch.com" == VENDOR.services()[""].base_url
    for region in ("us", "eu", "au", "br", "ca"):
        vendor = attrs.evolve(VENDOR, region=region)
        assert f"https://{region}.sms.api.sinch.com" == vendor.services()[""].base_url
    own_url = attrs.evolve(VENDOR, base_url="https://zt.us.sms.api.sinch.com")
    assert "https://zt.us.sms.api.sinch.com" == own_url.services()[""].base_url


def test_sender_may_be_left_to_the_service_plan() -> None:
    """For a message without a sender, Sinch uses the service plan's default originator."""
    request: Any = Sinch.send.request(
        attrs.evolve(VENDOR, sender=None), SmsMessage(to=TO, text="Hello")
    )

    assert "from" not in json.loads(request.body)


def test_second_medium_is_refused() -> None:
    """A message with two media is refused for Sinch before anything is sent."""
    sandbox = SinchSandbox()
    message = SmsMessage(to=TO, text="Hello", media=["https://a.example/1", "https://a.example/2"])
    with pytest.raises(InvalidData, match="accepts at most one") as excinfo:
        hub(sandbox).sms().send(message)

    assert "media" == excinfo.value.field
    assert "Pass one URL" in f"{excinfo.value.remedy}"
    assert [] == sandbox.requests
    assert "mt_media" == body(media=["https://a.example/1"])["type"]


@pytest.mark.parametrize(
    "fields, status",
    [
        ({}, SmsStatus.QUEUED),
        ({"canceled": False}, SmsStatus.QUEUED),
        ({"canceled": True}, SmsStatus.CANCELED),
        (
            {
                "canceled": True,
                "send_at": "2031-05-06T08:00:00Z",
                "created_at": "2031-05-06T07:00Z",
            },
            SmsStatus.CANCELED,
        ),
        (
            {"send_at": "2031-05-06T07:00:01Z", "created_at": "2031-05-06T07:00:00.000Z"},
            SmsStatus.SCHEDULED,
        ),
        (
            {"send_at": "2031-05-06T07:00:00Z", "created_at": "2031-05-06T07:00:00.000Z"},
            SmsStatus.QUEUED,
        ),
        ({"send_at": "2031-05-06T07:00:00Z"}, SmsStatus.QUEUED),
        ({"send_at": "soon", "created_at": "2031-05-06T07:00:00.000Z"}, SmsStatus.QUEUED),
    ],
)
def test_status_of_a_batch(fields: dict[str, Any], status: SmsStatus) -> None:
    """A Sinch batch is cancelled, scheduled if its sending time is ahead, or else queued."""
    receipt = read_batch(**fields)

    assert (status, None, REFS.ref("01B")) == (receipt.status, receipt.vendor_status, receipt.ref)
    assert {"id": "01B"} | fields == receipt.raw


@pytest.mark.parametrize(
    "state, status, error_code",
    [
        ({"status": "Queued", "code": 400}, SmsStatus.QUEUED, None),
        ({"status": "Dispatched", "code": 401}, SmsStatus.SENT, None),
        ({"status": "Delivered", "code": 0}, SmsStatus.DELIVERED, None),
        ({"status": "Aborted", "code": 402}, SmsStatus.FAILED, "402"),
        ({"status": "Aborted", "code": 407}, SmsStatus.CANCELED, "407"),
        ({"status": "Cancelled", "code": 407}, SmsStatus.CANCELED, "407"),
        ({"status": "Cancelled"}, SmsStatus.CANCELED, None),
        ({"status": "Rejected", "code": 408}, SmsStatus.REJECTED, "408"),
        ({"status": "Deleted", "code": 11}, SmsStatus.UNDELIVERED, "11"),
        ({"status": "Failed", "code": "69"}, SmsStatus.FAILED, "69"),
        ({"status": "Expired", "code": 406}, SmsStatus.EXPIRED, "406"),
        ({"status": "Unknown", "code": 1}, SmsStatus.UNKNOWN, "1"),
        ({"status": "Teleported"}, SmsStatus.UNKNOWN, None),
    ],
)
def test_state_in_a_report(
    state: dict[str, Any], status: SmsStatus, error_code: str | None
) -> None:
    """Each state of a delivery report is translated; an unknown state keeps Sinch's word."""
    receipt = read_report(state)

    assert (status, state["status"]) == (receipt.status, receipt.vendor_status)
    assert (error_code, REFS.ref("01B")) == (receipt.error_code, receipt.ref)


def test_report_about_several_recipients_has_no_state() -> None:
    """A report with several states gives no state for a single message."""
    states = [{"status": "Delivered", "code": 0}, {"status": "Failed", "code": 69}]
    receipt = read_report(*states)

    assert (SmsStatus.UNKNOWN, None, None) == (
        receipt.status,
        receipt.vendor_status,
        receipt.error_code,
    )
    assert states == receipt.raw["statuses"]


def test_success_without_an_id_is_malformed() -> None:
    """A successful Sinch response that has no id is malformed."""
    with pytest.raises(VendorFailed, match="no id"):
        Sinch.send.read(REFS.ref, reply({"canceled": False}, 201))
    with pytest.raises(VendorFailed, match="no batch_id"):
        Sinch.get_report.read(REFS.ref, reply({"statuses": []}))


def test_message_is_looked_up() -> None:
    """The state of a Sinch message is read from its report, by one request."""
    sandbox = SinchSandbox()
    sms = hub(sandbox).sms()
    receipt = sms.send(SmsMessage(to=TO, text="Hi", callback_url=URL))
    sandbox.report(receipt.ref.id, "Aborted", error_code="412")
    count = len(sandbox.requests)
    result = sms.get(receipt.ref)
    (request,) = sandbox.requests[count:]

    assert (SmsStatus.FAILED, "Aborted", "412") == (
        result.status,
        result.vendor_status,
        result.error_code,
    )
    path = f"/xms/v1/{sandbox.service_plan_id}/batches/{receipt.ref.id}/delivery_report"
    assert (path, (("type", "summary"),)) == (request.path, request.query)
    with pytest.raises(VendorRejected, match="no such batch"):
        sms.get(Ref("sinch", "texts", "../groups"))


def test_scheduled_message_is_followed() -> None:
    """A scheduled message is looked up by its batch, since it has no report yet."""
    sandbox = SinchSandbox()
    sms = hub(sandbox).sms()
    send_time = datetime.now(UTC) + timedelta(hours=1)
    receipt = sms.send(SmsMessage(to=TO, text="Hi", send_at=send_time))

    assert [SmsStatus.SCHEDULED] * 2 == [receipt.status, sms.get(receipt.ref).status]
    assert SmsStatus.CANCELED is sms.cancel(receipt.ref).status
    path = f"/xms/v1/{sandbox.service_plan_id}/batches/{receipt.ref.id}"
    request = sandbox.requests[-1]
    assert ("DELETE", path) == (request.method, request.path)
    result = sms.get(receipt.ref)
    assert (SmsStatus.CANCELED, receipt.ref) == (result.status, result.ref)
    assert ("GET", path) == (sandbox.requests[-1].method, sandbox.requests[-1].path)
    with pytest.raises(VendorRejected):
        sms.cancel(Ref("sinch", "texts", "1"))


def test_delivered_message_stays_delivered_after_cancelling() -> None:
    """Cancelling a delivered message reports it as delivered."""
    sandbox = SinchSandbox()
    sms = hub(sandbox).sms()
    receipt = sms.send(SmsMessage(to=TO, text="Hi", callback_url=URL))
    sandbox.report(receipt.ref.id, "Delivered")
    sms.cancel(receipt.ref)

    assert SmsStatus.DELIVERED is sms.get(receipt.ref).status


def test_validity_is_refused() -> None:
    """A validity period is refused: Sinch needs a fixed time, which would differ at each repeat."""
    sandbox = SinchSandbox()
    with pytest.raises(UnsupportedByVendor):
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", validity=timedelta(hours=1)))

    assert [] == sandbox.requests


def test_lost_message_is_not_repeated() -> None:
    """A message whose response is lost is not sent again under its key."""
    sandbox = SinchSandbox()
    sms = hub(sandbox).sms()
    sandbox.fail(Lost())
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            sms.send(SmsMessage(to=TO, text="Hi"), idempotency_key="k-1")

    assert 1 == len(sandbox.messages)


@pytest.mark.parametrize(
    "request_, status, kind",
    [
        (SEND, 400, InvalidRequest),
        (SEND, 401, AuthenticationFailed),
        (READ, 401, AuthenticationFailed),
        (SEND, 402, VendorRejected),
        (SEND, 403, VendorRejected),
        (READ, 403, VendorRejected),
        (READ, 404, VendorRejected),
        (SEND, 405, InvalidRequest),
        (SEND, 409, VendorRejected),
        (SEND, 415, InvalidRequest),
        (SEND, 429, RateLimitExceeded),
        (SEND, 201, None),
        (SEND, 408, None),
        (SEND, 425, None),
        (SEND, 500, None),
    ],
)
def test_errors_are_classified_by_status(
    request_: Request, status: int, kind: type[ConnectorError] | None
) -> None:
    """A Sinch error is classified by its status, and keeps its code and its text."""
    answer = reply({"code": "syntax_invalid_json", "text": "+19332631167 is no MSISDN"}, status)
    error: Any = classify(request_, answer)

    assert kind == (None if error is None else type(error))
    if error is not None:
        assert ("syntax_invalid_json", status) == (error.vendor_code, error.status)
        assert "(number) is no MSISDN" == error.vendor_message
        assert "Sinch refused: (number) is no MSISDN" in f"{error}"
        assert "19332631167" not in f"{error}{error!r}"


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"code": "unknown_group"}, None),
        ({"text": "No."}, "No."),
        ({"code": "unknown_group", "message": "No."}, "No."),
        ({"text": "No! " * 200}, "No! " * 75 + "…"),
    ],
)
def test_words_of_a_refusal(fields: dict[str, str], words: str | None) -> None:
    """An error has Sinch's text, shortened if too long, or else a default text."""
    error: Any = classify(SEND, reply(fields, 400))

    assert fields.get("code") == error.vendor_code
    assert words == error.vendor_message
    assert f"Sinch refused: {error.vendor_message or error.vendor_code}" == error.message


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"[]", b'{"id": "a"}', b'"no"'])
def test_error_without_sinch_code_and_text_is_classified_by_its_status_alone(
    content: bytes,
) -> None:
    """An error without Sinch's code and text is classified by its status alone."""
    assert classify(SEND, Response(400, body=content)) is None


@pytest.mark.parametrize("plan", ["", "a/b", "a b", "p" * 65, None, 1])
def test_invalid_service_plan_is_refused(plan: Any) -> None:
    """An invalid id of a service plan is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError, match="a Sinch service plan") as excinfo:
        Sinch(service_plan_id=plan)

    assert "service_plan_id" == excinfo.value.path


@pytest.mark.parametrize("region", ["", "US", "cn", None])
def test_unknown_region_is_refused(region: Any) -> None:
    """A region that Sinch does not have is refused; the error contains the setting's name."""
    with pytest.raises(ConfigurationError, match="not have this region") as excinfo:
        attrs.evolve(VENDOR, region=region)

    assert "region" == excinfo.value.path


def test_credentials_may_be_left_to_the_provider() -> None:
    """Without its own token a Sinch account uses the credential provider."""
    assert all(service.needs_credentials for service in VENDOR.services().values())


def test_ping_lists_at_most_one_batch() -> None:
    """A ping lists at most one batch."""
    request: Any = VENDOR.ping()

    assert f"/xms/v1/{PLAN}/batches" == request.path
    assert (("page_size", "1"),) == tuple(request.query)


def test_events_of_a_report() -> None:
    """The event of a failed Sinch message has its code, its time and no sender."""
    sandbox = SinchSandbox()
    receipt = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", reference="INV-7"))
    notice = sandbox.report(receipt.ref.id, "Failed", error_code="69", url=URL)
    event = event_of(sandbox, notice)

    assert (receipt.ref, SmsStatus.FAILED, "Failed", "69") == (
        event.ref,
        event.status,
        event.vendor_status,
        event.error_code,
    )
    assert datetime(2031, 5, 6, 7, 8, 11, 123000, tzinfo=UTC) == event.at
    assert (None, None) == (event.sender, event.text)
    assert "INV-7" == event.raw["client_reference"]


def test_reports_have_different_ids() -> None:
    """Each report of a message has a different event id; a repeated webhook has the same id."""
    sandbox = SinchSandbox()
    receipt = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi"))
    notices = [
        sandbox.report(receipt.ref.id, word, url=URL)
        for word in ("Dispatched", "Delivered", "Delivered")
    ]
    ids = [event_of(sandbox, notice).id for notice in notices]

    assert ids[0] != ids[1] == ids[2]
    assert all(id_ is not None and TO[1:] not in id_ for id_ in ids)


@pytest.mark.parametrize(
    "fields, sender, text",
    [
        ({"type": "mo_text", "from": "4915112345678", "body": "Yes"}, TO, "Yes"),
        ({"type": "mo_text", "from": "12345", "body": "STOP"}, "12345", "STOP"),
        (
            {"type": "mo_media", "from": "4915112345678", "body": {"message": "Look"}},
            TO,
            "Look",
        ),
        ({"type": "mo_media", "from": "4915112345678", "body": {"subject": "A"}}, TO, None),
        ({"type": "mo_binary", "from": "4915112345678", "body": "AAE="}, TO, "AAE="),
    ],
)
def test_incoming_message_has_its_sender_text_and_time(
    fields: dict[str, Any], sender: str, text: str | None
) -> None:
    """An incoming Sinch message has its sender, its text and the time of its receipt."""
    data = {"id": "01M", "received_at": "2031-05-06T07:08:11.123Z"} | fields
    webhook: Any = type("Webhook", (), {"data": data, "id": "e-1"})()
    (event,) = VENDOR.events(webhook, REFS.ref)

    assert (SmsStatus.RECEIVED, sender, text) == (event.status, event.sender, event.text)
    assert (REFS.ref("01M"), "e-1", None) == (event.ref, event.id, event.vendor_status)
    assert datetime(2031, 5, 6, 7, 8, 11, 123000, tzinfo=UTC) == event.at
    assert event.error_code is None


def test_webhook_of_incoming_message_is_verified_and_read() -> None:
    """The webhook of an incoming message is verified; its event has a vendor-neutral type."""
    sandbox = SinchSandbox()
    own_hub = hub(sandbox)
    notice = sandbox.receive(TO, "Yes & no", url="https://a.example/in?shop=1")
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_secret)
    (webhook,) = verifier.verify(**notice.arguments())
    (event,) = own_hub.events("texts", webhook)

    assert "message.received" == webhook.type
    assert (SmsStatus.RECEIVED, TO, "Yes & no") == (event.status, event.sender, event.text)


@pytest.mark.parametrize(
    "word, kind",
    [
        ("Queued", "message.queued"),
        ("Dispatched", "message.sent"),
        ("Delivered", "message.delivered"),
        ("Aborted", "message.failed"),
        ("Cancelled", "message.failed"),
        ("Deleted", "message.failed"),
        ("Expired", "message.failed"),
        ("Failed", "message.failed"),
        ("Rejected", "message.failed"),
        ("Unknown", "recipient_delivery_report_sms.Unknown"),
    ],
)
def test_types_of_webhooks(word: str, kind: str) -> None:
    """Each state in a webhook has a vendor-neutral event type; an unknown one keeps Sinch's."""
    sandbox = SinchSandbox()
    own_hub = hub(sandbox)
    receipt = own_hub.sms().send(SmsMessage(to=TO, text="Hi"))
    notice = sandbox.report(receipt.ref.id, word, url=URL)
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_secret)
    (webhook,) = verifier.verify(**notice.arguments())

    assert kind == (webhook.type or webhook.vendor_type)
    assert datetime(2031, 5, 6, 7, 8, 11, 123000, tzinfo=UTC) == webhook.time


def test_report_about_a_picture() -> None:
    """The event of a report about a media message also has a vendor-neutral type."""
    sandbox = SinchSandbox()
    own_hub = hub(sandbox)
    receipt = own_hub.sms().send(SmsMessage(to=TO, text="Hi", media=["https://a.example/1"]))
    notice = sandbox.report(receipt.ref.id, "Delivered", url=URL)
    verifier = own_hub.webhooks("texts", secrets=sandbox.webhook_secret)
    (webhook,) = verifier.verify(**notice.arguments())

    assert "message.delivered" == webhook.type
    assert "recipient_delivery_report_mms.Delivered" == webhook.vendor_type


@pytest.mark.parametrize("part", ["x-sinch-webhook-signature", "-nonce", "-timestamp"])
def test_changed_signature_is_refused(part: str) -> None:
    """A webhook is refused if its signature, its nonce or its time was changed or is missing."""
    sandbox = SinchSandbox()
    notice = sandbox.receive(TO, "Yes", url=URL)
    verifier = hub(sandbox).webhooks("texts", secrets=sandbox.webhook_secret)
    (name,) = [name for name in notice.headers if name.endswith(part)]
    changes = [{**notice.headers, name: "1"}, {**notice.headers}]
    del changes[1][name]
    for headers in changes:
        with pytest.raises(WebhookRejected):
            verifier.verify(**attrs.evolve(notice, headers=headers).arguments())

    assert verifier.verify(**notice.arguments())


def test_late_webhook_is_accepted_within_a_day() -> None:
    """Sinch repeats webhooks for a day: one is accepted after a day, but refused after two."""
    sandbox = SinchSandbox()
    verifier = hub(sandbox).webhooks("texts", secrets=sandbox.webhook_secret)
    now = datetime.now(UTC)
    late_notice = sandbox.receive(TO, "Yes", at=now - timedelta(hours=24))
    old_notice = sandbox.receive(TO, "No", at=now - timedelta(hours=48))

    assert verifier.verify(**late_notice.arguments())
    with pytest.raises(WebhookRejected):
        verifier.verify(**old_notice.arguments())


def test_sinch_webhook_that_is_not_about_message_gives_no_events() -> None:
    """A Sinch webhook that is not about a message gives no events."""
    webhook: Any = type("Webhook", (), {"data": {"app_id": "1"}, "id": "1"})()

    assert () == VENDOR.events(webhook, REFS.ref)


@pytest.mark.parametrize(
    "change",
    [
        {"to": None},
        {"to": []},
        {"to": ["nobody"]},
        {"to": [4915112345678]},
        {"to": [TO, FROM]},
        {"body": None},
        {"body": "a" * 2001},
        {"bdoy": "misspelt"},
        {"from": 15005550006},
        {"type": "mt_fax"},
        {"type": "mt_media"},
        {"type": "mt_media", "body": {"message": "Hi"}},
        {"type": "mt_media", "body": {"url": "https://a.example/1", "caption": "Hi"}},
        {"delivery_report": "always"},
        {"send_at": "tomorrow"},
        {"send_at": "2031-05-06T07:08:09+02:00"},
        {"send_at": "2031-05-36T07:08:09Z"},
        {"expire_at": "never"},
        {"send_at": "2031-05-06T07:08:09Z", "expire_at": "2031-05-06T07:08:09Z"},
        {"flash_message": "yes"},
        {"from_ton": True},
    ],
    ids=str,
)
def test_sandbox_is_strict(change: dict[str, Any]) -> None:
    """The sandbox refuses what Sinch would refuse, and sends nothing."""
    sandbox = SinchSandbox()
    extra_options: dict[str, Any] = {"extra": {"sinch": change}}
    with pytest.raises(InvalidRequest):
        hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", **extra_options))

    assert {} == sandbox.messages


def test_report_needs_an_address() -> None:
    """The sandbox refuses to send reports if it has no URL to send them to."""
    sandbox = SinchSandbox()
    message = SmsMessage(to=TO, text="Hi", extra={"sinch": {"delivery_report": "full"}})
    with pytest.raises(VendorRejected, match="URL") as excinfo:
        hub(sandbox).sms().send(message)

    assert "missing_callback_url" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "to, kind",
    [
        ("+15005550001", InvalidRequest),
        ("+15005550003", VendorRejected),
        ("+15005550008", RateLimitExceeded),
    ],
)
def test_message_to_a_test_number_fails_as_documented(to: str, kind: type[ConnectorError]) -> None:
    """A message to a documented test number fails in the way that the number stands for."""
    with pytest.raises(kind):
        hub(SinchSandbox()).sms().send(SmsMessage(to=to, text="Hi"))


def test_sandbox_refuses_wrong_credentials() -> None:
    """The Sinch sandbox refuses a wrong token and an unknown service plan."""
    sandbox = SinchSandbox()
    own_options = {"service_plan_id": sandbox.service_plan_id, "credentials": sandbox.api_token}
    for change in ({"credentials": "another token"}, {"service_plan_id": "another-plan"}):
        options: dict[str, Any] = own_options | change
        stranger = Hub([Account("texts", Sinch(**options))], http=SandboxHttpClient(sandbox))
        with pytest.raises(AuthenticationFailed):
            stranger.sms().send(SmsMessage(to=TO, text="Hi"))

    assert {} == sandbox.messages


def test_sandbox_refuses_invalid_requests() -> None:
    """The Sinch sandbox refuses unknown paths, malformed bodies, wrong pages and report types."""
    sandbox = SinchSandbox()
    id_ = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi")).ref.id
    client = SandboxHttpClient(sandbox)
    headers = {"Authorization": f"Bearer {sandbox.api_token}"}
    base = f"/xms/v1/{sandbox.service_plan_id}"
    requests = [
        Request.get(f"{base}/nowhere", headers=headers),
        Request.post(f"{base}/batches", json=[], headers=headers),
        Request.get(f"{base}/batches", query={"page_size": "101"}, headers=headers),
        Request.get(f"{base}/batches", query={"page_size": "many"}, headers=headers),
        Request.get(f"{base}/batches/{id_}/delivery_report", query={"type": "x"}, headers=headers),
        Request.get(f"{base}/batches", headers=headers),
    ]
    answers = [
        client.send(
            request,
            f"https://us.sms.api.sinch.com{request.path}?{urlencode(request.query)}",
            Timeouts(),
        )
        for request in requests
    ]

    assert [404, 400, 400, 400, 404, 200] == [answer.status for answer in answers]
    listed: Any = answers[-1].json()
    assert [id_] == [batch["id"] for batch in listed["batches"]]
