"""MessageMedia: requests, responses, refusals, opt-outs, webhooks and the sandbox's rules."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

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
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.contracts.routes import Account
from moorage.contracts.sms import SmsEvent, SmsMessage, SmsStatus
from moorage.domain.webhooks.events import WebhookEvent
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, Notice, SandboxHttpClient, reply
from moorage.testing.sandboxes.sms.messagemedia import MessageMediaSandbox
from moorage.vendors.sms.messagemedia import MessageMedia, message_body
from tests.vendors.sms_subjects import Refs
from tests.vendors.subjects.messagemedia import message, messagemedia_error

TO: Final = "+4915112345678"
FROM: Final = "+15005550006"
URL: Final = "https://a.example/cb?from=mm"
PICTURE: Final = "https://a.example/1.png"
NOW: Final = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
VENDOR: Final = MessageMedia(api_key="k", sender=FROM)
REFS: Any = Refs("messagemedia")
classify: Any = MessageMedia.refusals
SEND: Final = Request.post("/v1/messages", json={})
BLACKLIST: Final = "/v1/number_authorisation/mt/blacklist"


def body(vendor: MessageMedia = VENDOR, **fields: Any) -> dict[str, Any]:
    """Return the only message in the JSON body for a message with the given fields."""
    options: dict[str, Any] = {"to": TO, "text": "Hello"} | fields
    (content,) = message_body(vendor, SmsMessage(**options))["messages"]
    result: dict[str, Any] = content
    return result


def hub(sandbox: MessageMediaSandbox, **options: Any) -> Hub:
    """Return a hub with one account at MessageMedia."""
    account_options = {"api_key": sandbox.api_key, "credentials": sandbox.api_secret}
    vendor = MessageMedia(**{**account_options, "sender": FROM} | options)
    account = Account("texts", vendor, settings={"retry": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def event_of(sandbox: MessageMediaSandbox, notice: Notice) -> tuple[str, SmsEvent]:
    """Return the type and the event of a webhook."""
    own_hub = hub(sandbox)
    verifier = own_hub.webhooks("texts", secrets=sandbox.public_key)
    (webhook,) = verifier.verify(**notice.arguments())
    (event,) = own_hub.events("texts", webhook)
    return webhook.type, event


def event_with(**fields: Any) -> tuple[SmsEvent, ...]:
    """Return the events of a webhook with the given fields."""
    webhook = WebhookEvent(
        vendor="messagemedia", id="e1", type="", vendor_type="", payload=fields, data=fields
    )
    return VENDOR.events(webhook, REFS.ref)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, {"source_number": FROM}),
        ({"sender": "Acme"}, {"source_number": "Acme"}),
        ({"reference": "INV-7"}, {"source_number": FROM, "metadata": {"reference": "INV-7"}}),
        (
            {"callback_url": URL},
            {"source_number": FROM, "callback_url": URL, "delivery_report": True},
        ),
        (
            {"media": [PICTURE]},
            {"source_number": FROM, "format": "MMS", "media": [PICTURE]},
        ),
        (
            {"extra": {"messagemedia": {"format": "TTS"}, "sinch": {"type": "mt_text"}}},
            {"source_number": FROM, "format": "TTS"},
        ),
    ],
)
def test_body_of_a_message(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """A message has its fields in MessageMedia's words, and nothing else."""
    assert {"destination_number": TO, "content": "Hello"} | expected == body(**fields)


def test_account_may_have_no_sender() -> None:
    """Without a sender, MessageMedia uses the default number of the account."""
    assert "source_number" not in body(MessageMedia(api_key="k"))


@pytest.mark.parametrize("hours", [0, -7, 5.5])
def test_time_of_sending_is_in_utc(hours: float) -> None:
    """The time of sending is sent in UTC, in milliseconds."""
    send_time = NOW.astimezone(timezone(timedelta(hours=hours)))

    assert "2031-05-06T07:08:09.123Z" == body(send_at=send_time)["scheduled"]


def test_media_need_a_text() -> None:
    """Media without a text are refused before anything is sent."""
    sandbox = MessageMediaSandbox()
    with pytest.raises(InvalidData, match="has no text") as excinfo:
        hub(sandbox).sms().send(SmsMessage(to=TO, text="", media=[PICTURE]))

    assert "text" == excinfo.value.field
    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "options, url",
    [
        ({}, "https://au.app.api.sinch.com"),
        ({"region": "eu"}, "https://eu.app.api.sinch.com"),
        ({"base_url": "https://api.messagemedia.com"}, "https://api.messagemedia.com"),
    ],
)
def test_url_of_a_region(options: dict[str, str], url: str) -> None:
    """An account is reached at the URL of its region, or at a URL of its own."""
    assert url == MessageMedia(api_key="k", **options).services()[""].base_url


def test_unknown_region_is_refused() -> None:
    """A region that MessageMedia does not have is refused."""
    with pytest.raises(ConfigurationError, match="does not have this region"):
        MessageMedia(api_key="k", region="us")


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, InvalidRequest),
        (422, InvalidRequest),
        (401, AuthenticationFailed),
        (403, VendorRejected),
        (404, VendorRejected),
        (429, RateLimitExceeded),
    ],
)
def test_errors_of_statuses(status: int, kind: type[ConnectorError]) -> None:
    """The HTTP status decides the class of an error, and the error shows no phone number."""
    error: Any = classify(SEND, messagemedia_error(status))

    assert (kind, None) == (type(error), error.vendor_code)
    assert "(number) is refused." == error.vendor_message


@pytest.mark.parametrize(
    "content, words",
    [
        ({"message": "Not found."}, "Not found."),
        (
            {"message": "Wrong", "details": ["/messages/0: no", "/messages/1: no"]},
            "/messages/0: no; /messages/1: no",
        ),
        ({"message": "Wrong", "details": []}, "Wrong"),
        ({"message": "Wrong", "details": [7]}, "Wrong"),
    ],
)
def test_error_has_the_details(content: dict[str, Any], words: str) -> None:
    """An error has MessageMedia's details, or else its message."""
    error: Any = classify(SEND, reply(content, 400))

    assert words == error.vendor_message


@pytest.mark.parametrize("content", [{}, [], "no", {"message": None}])
def test_error_without_words_is_classified_by_its_status(content: Any) -> None:
    """An error response without MessageMedia's fields is classified by its status alone."""
    assert classify(SEND, reply(content, 400)) is None


@pytest.mark.parametrize("status", [200, 202, 408, 425, 500, 503])
def test_outages_and_successes_are_not_refusals(status: int) -> None:
    """A success, a timeout and an outage are not refusals, whatever the body says."""
    assert classify(SEND, messagemedia_error(status)) is None


@pytest.mark.parametrize("word", ["processed", "undefined", None, ""])
def test_status_without_a_documented_meaning_is_unknown(word: str | None) -> None:
    """A status that MessageMedia does not document becomes UNKNOWN, and its word is kept."""
    receipt = MessageMedia.get.read(REFS.ref, reply({"message_id": "m-7", "status": word}))

    assert (SmsStatus.UNKNOWN, word or None) == (receipt.status, receipt.vendor_status)


@pytest.mark.parametrize(
    "operation, content",
    [
        (MessageMedia.post_message, {"messages": []}),
        (MessageMedia.post_message, {"messages": [{"status": "queued"}]}),
        (MessageMedia.post_message, message("queued")),
        (MessageMedia.get, {"status": "queued"}),
        (MessageMedia.get, {"messages": [message("queued")]}),
    ],
)
def test_response_without_id_is_unreadable(operation: Any, content: dict[str, Any]) -> None:
    """A successful response without the id of a message is an error that names the id."""
    with pytest.raises(VendorFailed, match="message_id"):
        operation.read(REFS.ref, reply(content))


def test_scheduled_message_is_scheduled() -> None:
    """MessageMedia calls a scheduled message queued at first; its receipt says scheduled."""
    sandbox = MessageMediaSandbox()
    texts = hub(sandbox).sms()
    receipt = texts.send(SmsMessage(to=TO, text="Hi", send_at=NOW))

    assert (SmsStatus.SCHEDULED, "queued") == (receipt.status, receipt.vendor_status)
    assert (SmsStatus.SCHEDULED, "scheduled") == (
        texts.get(receipt.ref).status,
        texts.get(receipt.ref).vendor_status,
    )


def test_status_of_a_scheduled_message_is_kept_unless_it_is_queued() -> None:
    """A message that MessageMedia does not queue has the status that MessageMedia states."""
    sandbox = MessageMediaSandbox()
    sandbox.fail(reply({"messages": [message("rejected")]}, 202))
    receipt = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", send_at=NOW))

    assert SmsStatus.REJECTED is receipt.status


def test_cancelled_message() -> None:
    """A cancellation has no response, so the message is read."""
    sandbox = MessageMediaSandbox()
    texts = hub(sandbox).sms()
    receipt = texts.send(SmsMessage(to=TO, text="Hi", send_at=NOW))
    canceled = texts.cancel(receipt.ref)
    request = sandbox.requests[1]

    assert (receipt.ref, SmsStatus.CANCELED) == (canceled.ref, canceled.status)
    assert ("PUT", f"/v1/messages/{receipt.ref.id}") == (request.method, request.path)
    assert {"status": "cancelled"} == request.json()


def test_second_cancellation_reads_the_message() -> None:
    """If a repeated cancellation is refused after a lost response, the message's state is read."""
    sandbox = MessageMediaSandbox()
    texts = hub(sandbox).sms()
    receipt = texts.send(SmsMessage(to=TO, text="Hi", send_at=NOW))
    sandbox.fail(Lost())
    with pytest.raises(ConnectorError):
        texts.cancel(receipt.ref)

    assert SmsStatus.CANCELED is texts.cancel(receipt.ref).status


def test_sent_message_is_not_cancelled() -> None:
    """A message that is on its way stays as it is, and its cancellation is refused."""
    sandbox = MessageMediaSandbox()
    texts = hub(sandbox).sms()
    receipt = texts.send(SmsMessage(to=TO, text="Hi"))
    with pytest.raises(InvalidRequest) as excinfo:
        texts.cancel(receipt.ref)

    assert 400 == excinfo.value.status
    assert SmsStatus.QUEUED is texts.get(receipt.ref).status


def test_lost_message_is_not_sent_again() -> None:
    """A message whose response was lost may have been sent, and is not sent again."""
    sandbox = MessageMediaSandbox()
    texts = hub(sandbox).sms()
    sandbox.fail(Lost())
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            texts.send(SmsMessage(to=TO, text="Hi"), idempotency_key="k-1")

    assert 1 == len(sandbox.requests)


def test_pages_of_the_blacklist() -> None:
    """Each number of a long blacklist is on exactly one page."""
    sandbox = MessageMediaSandbox()
    sandbox.blacklist = [f"+1555000{number:04d}" for number in range(201)]
    texts, page = hub(sandbox).sms(), hub(sandbox).sms().opt_outs()
    numbers = [opt_out.number for opt_out in page.items]
    while page.next is not None:
        page = texts.opt_outs(after=str(page.next))
        numbers += [opt_out.number for opt_out in page.items]

    assert sandbox.blacklist == numbers
    assert [(), (("token", "100"),), (("token", "200"),)] == [
        request.query for request in sandbox.requests
    ]


@pytest.mark.parametrize(
    "content, is_last",
    [
        ({"numbers": ["61491570156"], "pagination": {"page": "7"}}, False),
        ({"numbers": ["+61491570156"]}, True),
        ({"numbers": ["+61491570156"], "pagination": {}}, True),
        ({"numbers": [], "pagination": {"page": "7"}}, True),
    ],
)
def test_end_of_the_blacklist(content: dict[str, Any], is_last: bool) -> None:
    """The last page is empty or has no link to another; each number begins with a plus."""
    sandbox = MessageMediaSandbox()
    sandbox.fail(reply(content))
    page = hub(sandbox).sms().opt_outs()

    assert is_last == (page.next is None)
    assert ["+61491570156"] * len(content["numbers"]) == [item.number for item in page.items]


def test_number_on_the_blacklist() -> None:
    """A number's opt-out is found and removed, and a second removal does nothing."""
    sandbox = MessageMediaSandbox()
    sandbox.blacklist = [TO, FROM]
    texts = hub(sandbox).sms()
    before = [opt_out.number for opt_out in texts.find_opt_outs(TO)]
    texts.remove_opt_out(TO)
    texts.remove_opt_out(TO)

    assert ([TO], ()) == (before, texts.find_opt_outs(TO))
    assert [FROM] == sandbox.blacklist
    check = f"/v1/number_authorisation/is_authorised/{TO.replace('+', '%2B')}"
    removal = f"{BLACKLIST}/{TO.replace('+', '%2B')}"
    assert [
        ("GET", check),
        ("GET", check),
        ("DELETE", removal),
        ("GET", check),
        ("GET", check),
    ] == [(request.method, request.path) for request in sandbox.requests]


@pytest.mark.parametrize("status, is_error", [(404, False), (403, True)])
def test_removal_that_was_carried_out(status: int, is_error: bool) -> None:
    """A number that has left the list meanwhile counts as removed; any other refusal is raised."""
    sandbox = MessageMediaSandbox()
    sandbox.fail(
        reply({"numbers": [{"number": TO, "authorised": False}]}), messagemedia_error(status)
    )
    if is_error:
        with pytest.raises(VendorRejected):
            hub(sandbox).sms().remove_opt_out(TO)
    else:
        hub(sandbox).sms().remove_opt_out(TO)

    assert 2 == len(sandbox.requests)


@pytest.mark.parametrize(
    "answer",
    [
        reply({}),
        reply({"numbers": {}}),
        reply({"numbers": [7]}),
        reply({"numbers": [{"number": TO}]}),
        Response(200, body=b"<html></html>"),
    ],
)
def test_malformed_lists_are_errors(answer: Response) -> None:
    """A response without a list of numbers is an error, not an empty list."""
    for operation, arguments in (("opt_outs", ()), ("find_opt_outs", (TO,))):
        sandbox = MessageMediaSandbox()
        sandbox.fail(answer)
        with pytest.raises(VendorFailed):
            getattr(hub(sandbox).sms(), operation)(*arguments)


def test_check_without_the_number_is_an_error() -> None:
    """A response that lacks the number in question is an error, and does not mean "not blocked"."""
    sandbox = MessageMediaSandbox()
    sandbox.fail(reply({"uri": "/", "numbers": []}))
    with pytest.raises(VendorFailed, match="numbers"):
        hub(sandbox).sms().find_opt_outs(TO)


@pytest.mark.parametrize(
    "word, kind",
    [
        ("enroute", "message.queued"),
        ("submitted", "message.sent"),
        ("delivered", "message.delivered"),
        ("expired", "message.failed"),
        ("rejected", "message.failed"),
        ("failed", "message.failed"),
        ("read", "read"),
    ],
)
def test_types_of_webhooks(word: str, kind: str) -> None:
    """A report has a type that all vendors share; another status keeps MessageMedia's word."""
    sandbox = MessageMediaSandbox()
    receipt = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", callback_url=URL))
    type_, event = event_of(sandbox, sandbox.report(receipt.ref.id, word))

    assert (kind, receipt.ref, word) == (type_, event.ref, event.vendor_status)


@pytest.mark.parametrize(
    "code, expected",
    [
        *((code, None) for code in ("101", "102", "151", "200", "213", "220", "221")),
        *((code, code) for code in ("301", "320", "333", "400", "405", "414")),
        (None, None),
    ],
)
def test_status_code_of_a_failure(code: str | None, expected: str | None) -> None:
    """An event has an error code only if the code means a failure, and not progress."""
    (event,) = event_with(message_id="m-7", status="failed", error_code=code)

    assert expected == event.error_code


def test_event_of_a_report() -> None:
    """The event of a report has its id and time, and neither numbers nor text."""
    sandbox = MessageMediaSandbox()
    receipt = hub(sandbox).sms().send(SmsMessage(to=TO, text="Hi", callback_url=URL))
    notice = sandbox.report(receipt.ref.id, "rejected", error_code="302")
    _, event = event_of(sandbox, notice)
    fields = json.loads(notice.body)

    assert (SmsStatus.REJECTED, "302") == (event.status, event.error_code)
    assert (None, None, None) == (event.sender, event.to, event.text)
    assert fields["delivery_report_id"] == event.id
    assert datetime.fromisoformat(fields["date_received"]) == event.at
    assert TO == fields["source_number"]


@pytest.mark.parametrize("text, name", [("Yes", "reply_id"), ("STOP", "notification_id")])
def test_event_of_a_received_message(text: str, name: str) -> None:
    """A received message has both numbers, its text and its own id, also if it is an opt-out."""
    sandbox = MessageMediaSandbox()
    notice = sandbox.receive(TO, text, url=URL)
    type_, event = event_of(sandbox, notice)
    id_ = json.loads(notice.body)[name]

    assert ("message.received", SmsStatus.RECEIVED, None) == (
        type_,
        event.status,
        event.vendor_status,
    )
    assert (TO, FROM, text) == (event.sender, event.to, event.text)
    assert (id_, id_) == (event.id, event.ref.id)
    assert (text == "STOP") == (TO in sandbox.blacklist)


def test_received_message_may_lack_its_receiver() -> None:
    """A received reply has no receiver if the message that it answers named no sender."""
    (event,) = event_with(reply_id="r-1", message_id="m-7", source_number="61491570156")

    assert ("r-1", "+61491570156", None) == (event.ref.id, event.sender, event.to)


def test_webhook_of_another_template_gives_no_events() -> None:
    """A webhook without an id of MessageMedia gives no events."""
    assert () == event_with(id="m-7", status="delivered")


def test_changed_and_late_webhooks_are_refused() -> None:
    """A webhook is refused if its date, URL or body was changed, or after an hour."""
    sandbox = MessageMediaSandbox()
    now = datetime.now(UTC)
    notice, recent, late = (
        sandbox.receive(TO, text, url=URL, at=now - timedelta(minutes=minutes))
        for text, minutes in (("Yes", 0), ("Later", 59), ("Late", 61))
    )
    verifier = hub(sandbox).webhooks("texts", secrets=sandbox.public_key)
    changes = (
        attrs.evolve(notice, headers={**notice.headers, "Date": recent.headers["Date"]}),
        attrs.evolve(notice, body=notice.body.replace(b"Yes", b"No!")),
        attrs.evolve(notice, url=f"{URL}2"),
        late,
    )
    for change in changes:
        with pytest.raises(WebhookRejected):
            verifier.verify(**change.arguments())

    assert verifier.verify(**notice.arguments())
    assert verifier.verify(**recent.arguments())


@pytest.mark.parametrize(
    "fields, is_valid",
    [
        ({"destination_number": "61491570156"}, True),
        ({"destination_number": "nobody"}, False),
        ({"destination_number": "+1234567"}, False),
        ({"destination_number": None}, False),
        ({"content": ""}, False),
        ({"content": "a" * 5_000}, True),
        ({"content": "a" * 5_001}, False),
        ({"media": [PICTURE]}, False),
        ({"media": [PICTURE], "format": "MMS", "subject": "a" * 64}, True),
        ({"subject": "a" * 65}, False),
        ({"format": "RCS"}, False),
        ({"metadata": {"a": "b" * 256}}, True),
        ({"metadata": {"a": "b" * 257}}, False),
        ({"metadata": {"a" * 101: "b"}}, False),
        ({"metadata": {str(number): "b" for number in range(11)}}, False),
        ({"metadata": {"a": 7}}, False),
        ({"scheduled": "2031-05-06T07:08:09"}, False),
        ({"scheduled": "tomorrow"}, False),
        ({"message_expiry_timestamp": "2031-05-06T07:08:09.123Z"}, True),
        ({"source_number": None, "source_number_type": "SHORTCODE"}, False),
        ({"contents": "misspelt"}, False),
    ],
    ids=str,
)
def test_sandbox_is_strict(fields: dict[str, Any], is_valid: bool) -> None:
    """The sandbox refuses the requests that MessageMedia documents as wrong, and sends nothing."""
    sandbox = MessageMediaSandbox()
    content = {"destination_number": TO, "content": "Hi", "source_number": FROM} | fields
    messages = [
        {"destination_number": TO, "content": "Valid"},
        {name: value for name, value in content.items() if value is not None},
    ]
    response = _answer(sandbox, Request.post("/v1/messages", json={"messages": messages}))

    assert (202 if is_valid else 400) == response.status
    assert (2 if is_valid else 0) == len(sandbox.messages)


@pytest.mark.parametrize("count, status", [(0, 400), (1, 202), (100, 202), (101, 400)])
def test_number_of_messages_in_a_request(count: int, status: int) -> None:
    """A request has between one and a hundred messages."""
    messages = [{"destination_number": TO, "content": "Hi"}] * count
    request = Request.post("/v1/messages", json={"messages": messages})

    assert status == _answer(MessageMediaSandbox(), request).status


def _answer(sandbox: MessageMediaSandbox, request: Request) -> Any:
    pair = b64encode(f"{sandbox.api_key}:{sandbox.api_secret}".encode()).decode()
    url = f"https://eu.app.api.sinch.com{request.path}"
    signed = request.evolve(headers={**request.headers, "Authorization": f"Basic {pair}"})
    return SandboxHttpClient(sandbox).send(signed, url, Timeouts())


def test_limit_is_that_of_the_sandbox() -> None:
    """The vendor's stated limit for a reference is the greatest length that the sandbox accepts."""
    sandbox = MessageMediaSandbox()
    texts, longest = hub(sandbox).sms(), VENDOR.limits["reference"]
    texts.send(SmsMessage(to=TO, text="Hi", reference="a" * longest))
    with pytest.raises(ConnectorError):
        texts.send(SmsMessage(to=TO, text="Hi", reference="a" * (longest + 1)))

    assert 1 == len(sandbox.messages)


@pytest.mark.parametrize(
    "to, kind", [("+15005550001", InvalidRequest), ("+15005550008", RateLimitExceeded)]
)
def test_message_to_a_test_number_fails_as_documented(to: str, kind: type[ConnectorError]) -> None:
    """A message to a documented test number fails in the way that the number stands for."""
    with pytest.raises(kind) as excinfo:
        hub(MessageMediaSandbox()).sms().send(SmsMessage(to=to, text="Hi"))

    assert kind is type(excinfo.value)


def test_message_to_the_blacklist_is_rejected_later() -> None:
    """A message to a number on the blacklist is accepted, and ends as rejected."""
    texts = hub(MessageMediaSandbox()).sms()
    receipt = texts.send(SmsMessage(to="+15005550004", text="Hi"))

    assert (SmsStatus.QUEUED, SmsStatus.REJECTED) == (
        receipt.status,
        texts.get(receipt.ref).status,
    )


def test_sandbox_refuses_wrong_credentials_and_unknown_paths() -> None:
    """The sandbox refuses a wrong secret, an unknown path and an unknown message."""
    sandbox = MessageMediaSandbox()
    with pytest.raises(AuthenticationFailed):
        hub(sandbox, credentials="another secret").sms().send(SmsMessage(to=TO, text="Hi"))

    assert 404 == _answer(sandbox, Request.get("/v1/nowhere")).status
    assert 404 == _answer(sandbox, Request.get("/v1/messages/m-7")).status
    assert {} == sandbox.messages
