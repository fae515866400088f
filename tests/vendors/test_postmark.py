"""Postmark: requests, responses and webhooks."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest

from moorage import (
    Account,
    AuthenticationFailed,
    ConfigurationError,
    Credentials,
    Hub,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Ref,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.vendors.email.postmark import Postmark, batch_request, classify, mail_body
from tests.support.openapi import Json, problems
from tests.vendors.email_hubs import hub, mail
from tests.vendors.subjects.postmark import postmark_vendor

URL = "https://erp.example/hooks"


def _open_hub(**options: Any) -> tuple[PostmarkSandbox, Any]:
    sandbox = PostmarkSandbox()
    return sandbox, hub(postmark_vendor(sandbox, **options), sandbox)


def test_fields_of_a_message() -> None:
    """Every field of a message is sent in its place of the body."""
    body = mail_body(
        Postmark(message_stream="receipts"),
        mail(
            to=["Ada, Countess <ada@example.com>", "bob@example.com"],
            cc="carol@example.com",
            bcc="dan@example.com",
            reply_to=["a@example.com", "b@example.com"],
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[
                Attachment(filename="a.txt", content=b"a", content_type="text/plain"),
                Attachment(
                    filename="l.png",
                    content=b"l",
                    content_type="image/png",
                    disposition="inline",
                    content_id="logo",
                ),
            ],
            tags=["invoice"],
            metadata={"invoice": "7"},
            track_opens=False,
            track_clicks=True,
            extra={"postmark": {"Metadata": {"more": "8"}}, "sendgrid": {"x": 1}},
        ),
    )

    assert {
        "From": "Shop <shop@example.com>",
        "To": '"Ada, Countess" <ada@example.com>, bob@example.com',
        "Cc": "carol@example.com",
        "Bcc": "dan@example.com",
        "ReplyTo": "a@example.com, b@example.com",
        "Subject": "Hi",
        "TextBody": "Hello.",
        "HtmlBody": "<p>",
        "Tag": "invoice",
        "Headers": [{"Name": "X-Kunde", "Value": "=?utf-8?b?w7w=?="}],
        "Attachments": [
            {"Name": "a.txt", "Content": "YQ==", "ContentType": "text/plain"},
            {
                "Name": "l.png",
                "Content": "bA==",
                "ContentType": "image/png",
                "ContentID": "cid:logo",
            },
        ],
        "Metadata": {"invoice": "7", "more": "8"},
        "TrackOpens": False,
        "TrackLinks": "HtmlAndText",
        "MessageStream": "receipts",
    } == body


@pytest.mark.parametrize("query, links", [(None, None), (True, "HtmlAndText"), (False, "None")])
def test_click_tracking(*, query: bool | None, links: str | None) -> None:
    """By default click tracking follows the server's settings."""
    assert links == mail_body(Postmark(), mail(track_clicks=query)).get("TrackLinks")


@pytest.mark.parametrize(
    "id_, field, value",
    [
        ("welcome", "TemplateAlias", "welcome"),
        ("42", "TemplateId", 42),
        ("٤", "TemplateAlias", "٤"),
    ],
)
def test_template_is_named_by_its_alias_or_number(id_: str, field: str, value: object) -> None:
    """A template is given by alias or number, with its data, even if empty."""
    body = mail_body(Postmark(), mail(template=TemplateRef(id_)))

    assert value == body[field]
    assert {} == body["TemplateModel"]
    assert not {"Subject", "TextBody", "HtmlBody"} & set(body)


def test_template_is_filled_in() -> None:
    """A message with a template goes to the endpoint for templates."""
    sandbox, mail_hub = _open_hub()
    mail_hub.email().send_transactional(mail(template=TemplateRef("welcome", {"total": [1]})))

    assert ["/email/withTemplate"] == [request.path for request in sandbox.requests]
    assert {"total": [1]} == sandbox.delivered[0].raw["TemplateModel"]


def test_template_that_is_not_there_is_refused() -> None:
    """The error for an unknown template has Postmark's code."""
    _, mail_hub = _open_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(template=TemplateRef("none")))

    assert "1101" == excinfo.value.vendor_code


def test_bulk_template_data_is_merged() -> None:
    """Common template data is merged with each recipient's."""
    base = mail(
        to=(),
        template=TemplateRef("welcome", {"a": 1}),
        subject="",
        text=None,
        headers={"X-A": "1"},
        metadata={"m": "0"},
    )
    custom_recipient = BulkRecipient(
        to="a@example.com", data={"b": {"c": 2}}, headers={"X-B": "2"}, metadata={"m": "1"}
    )
    request = batch_request(
        Postmark(), BulkMessage(base=base, recipients=[custom_recipient, "b@example.com"])
    )
    first, second = json.loads(request.body)["Messages"]  # type: ignore[arg-type]  # the body is bytes

    assert "/email/batchWithTemplates" == request.path
    assert ({"a": 1, "b": {"c": 2}}, {"a": 1}) == (first["TemplateModel"], second["TemplateModel"])
    assert {"m": "1"} == first["Metadata"]
    names = [header["Name"] for header in first["Headers"]]
    assert ["X-A", "X-B"] == names


def test_bulk_by_template_arrives() -> None:
    """The sandbox accepts a bulk with a template."""
    sandbox, mail_hub = _open_hub()
    bulk = BulkMessage(
        base=mail(to=(), template=TemplateRef("7")),
        recipients=["a@example.com", "b@example.com"],
    )

    assert [True, True] == [item.ok for item in mail_hub.email().send_bulk(bulk)]
    assert ["/email/batchWithTemplates"] == [request.path for request in sandbox.requests]


def test_inactive_recipient_of_a_bulk() -> None:
    """An inactive recipient is refused, and the others get their message."""
    sandbox, mail_hub = _open_hub()
    bulk = BulkMessage(
        base=mail(to=()), recipients=["a@example.com", "refused@example.com", "b@example.com"]
    )
    one, two, three = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert (True, False, True) == (one.ok, two.ok, three.ok)
    assert (VendorRejected, "406") == (type(two.error), two.error.vendor_code)
    assert "mail" == two.error.service
    assert "refused@" not in str(two.error)
    assert ["/email/batch"] == [request.path for request in sandbox.requests]
    assert 2 == len(sandbox.delivered)


def test_large_bulk_goes_in_several_requests() -> None:
    """A bulk above 50 MB is split into requests with their own keys."""
    sandbox, mail_hub = _open_hub()
    file = Attachment(filename="a.pdf", content=bytes(6_000_000), content_type="application/pdf")
    bulk = BulkMessage(
        base=mail(to=(), attachments=[file]),
        recipients=[f"person{number}@example.com" for number in range(8)],
    )
    sandbox.fail(Response(200), reply({"ErrorCode": 429, "Message": "No."}, 429))
    sandbox.forget_faults()
    first = mail_hub.email().send_bulk(bulk, idempotency_key="news")
    repeated_results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [6, 2] == [len(json.loads(request.body)) for request in sandbox.requests]
    assert [True] * 8 == [item.ok for item in first]
    assert [item.value for item in first] == [item.value for item in repeated_results]


def test_request_that_fails_loses_no_other() -> None:
    """A failed request of a split bulk does not affect the others."""
    sandbox, mail_hub = _open_hub()
    file = Attachment(filename="a.pdf", content=bytes(7_000_000), content_type="application/pdf")
    bulk = BulkMessage(
        base=mail(to=(), attachments=[file]),
        recipients=[f"person{number}@example.com" for number in range(6)],
    )
    sandbox.fail(reply({"ErrorCode": 300, "Message": "No."}, 422))
    results = mail_hub.email().send_bulk(bulk)

    assert [False] * 5 + [True] == [result.ok for result in results]
    assert InvalidRequest is type(results[0].error)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"tags": ["a", "b"]}, "tags"),
        ({"metadata": {f"m{number}": "1" for number in range(11)}}, "metadata"),
    ],
)
def test_too_many_tags_are_refused(changes: dict[str, Any], field: str) -> None:
    """More than one tag, or ten metadata entries, are refused before sending."""
    sandbox, mail_hub = _open_hub()
    with pytest.raises(InvalidData) as excinfo:
        mail_hub.email().send_transactional(mail(**changes))

    assert field == excinfo.value.field
    assert [] == sandbox.requests


def test_missing_sender_is_refused() -> None:
    """A message without a sender, from an account without one, is refused."""
    with pytest.raises(ConfigurationError, match="sender"):
        mail_body(Postmark(), mail(from_=None))


def test_token_comes_from_the_provider() -> None:
    """Without a token of its own the account uses the credential provider."""
    sandbox = PostmarkSandbox()
    provider = MemoryCredentialProvider()
    key = Credentials.api_key(sandbox.token, header="X-Postmark-Server-Token")
    provider.rotate("mail", None, key)
    hub(Postmark(), sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


def test_inactive_recipients_are_reported() -> None:
    """A message to several is accepted if any recipient is active; others are rejected."""
    sandbox, mail_hub = _open_hub()
    value = mail(to=["ada@example.com", "Refused@example.com"], cc="carol@example.com")
    receipt = mail_hub.email().send_transactional(value)

    assert [EmailStatus.QUEUED, EmailStatus.REJECTED, EmailStatus.QUEUED] == [
        recipient.status for recipient in receipt.recipients
    ]
    assert [None, "406", None] == [recipient.code for recipient in receipt.recipients]
    assert "refused@example.com" not in repr(receipt).lower()
    assert ("ada@example.com",) == sandbox.delivered[0].to


def test_delayed_message_is_accepted() -> None:
    """A delayed message, whose response has no error code, was accepted."""
    sandbox, mail_hub = _open_hub()
    words = "Message accepted, but delivery may be delayed."
    sandbox.fail(reply({"Message": words, "MessageID": "m-1", "To": "ada@example.com"}))
    receipt = mail_hub.email().send_transactional(mail())

    assert ("m-1", EmailStatus.QUEUED, (words,)) == (
        receipt.ref.id,
        receipt.status,
        receipt.warnings,
    )


@pytest.mark.parametrize(
    "answer", [reply([]), reply([{"ErrorCode": 0, "MessageID": "m"}]), reply({}), reply(["x", "y"])]
)
def test_batch_is_answered_for_each(answer: Response) -> None:
    """A batch without a result for each message is malformed, with an unknown outcome."""
    sandbox, mail_hub = _open_hub()
    sandbox.fail(answer)
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk)

    assert [VendorFailed] * 2 == [type(result.error) for result in results]
    assert not any(result.error.retryable for result in results)


def test_malformed_entry_of_a_batch() -> None:
    """A malformed entry does not affect the others."""
    sandbox, mail_hub = _open_hub()
    sandbox.fail(
        reply(
            [
                {"ErrorCode": "0", "MessageID": "m-1", "Message": "OK"},
                {"ErrorCode": 0, "MessageID": None, "Message": 7},
                {"ErrorCode": 100, "Message": None},
                {"ErrorCode": 429},
                {"ErrorCode": 0, "MessageID": "."},
            ]
        )
    )
    people = [f"person{number}@example.com" for number in range(5)]
    results = mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=people))

    assert [type(None), VendorFailed, VendorFailed, RateLimitExceeded, InvalidData] == [
        type(result.error) for result in results
    ]
    assert results[3].error.by_vendor


@pytest.mark.parametrize(
    "status, body, kind, code",
    [
        (401, {"ErrorCode": 10, "Message": "no"}, AuthenticationFailed, "10"),
        (503, {"ErrorCode": 100, "Message": "no"}, VendorFailed, "100"),
        (422, {"ErrorCode": 300, "Message": "no"}, InvalidRequest, "300"),
        (200, {"ErrorCode": 300, "Message": "no"}, InvalidRequest, "300"),
        (422, {"ErrorCode": 400, "Message": "no"}, VendorRejected, "400"),
        (422, {"ErrorCode": 405, "Message": "no"}, VendorRejected, "405"),
        (422, {"ErrorCode": "411", "Message": "no"}, InvalidRequest, "411"),
        (429, {"ErrorCode": 429, "Message": "no"}, RateLimitExceeded, "429"),
        (422, {"ErrorCode": 9_999, "Message": "no"}, VendorRejected, "9999"),
    ],
)
def test_error_codes_are_classified(
    status: int, body: dict[str, Any], kind: type[Any], code: str | None
) -> None:
    """Postmark's code decides the error's class, and is kept."""
    error: Any = classify(Request.get("/"), reply(body, status))

    assert type(error) is kind
    assert (code, status, "no") == (error.vendor_code, error.status, error.vendor_message)


@pytest.mark.parametrize(
    "response",
    [
        reply({"ErrorCode": 0, "Message": "OK"}),
        reply([{"ErrorCode": 406}]),
        Response(403, body=b"<html>"),
        reply({"ErrorCode": 701, "Message": "x"}, 500),
        reply({"ErrorCode": 701, "Message": "x"}, 429),
        reply({"ErrorCode": None}, 422),
        reply({"ErrorCode": True}, 422),
    ],
)
def test_other_errors_are_classified_by_status(response: Response) -> None:
    """Without Postmark's code the status decides."""
    assert None is classify(Request.get("/"), response)


def test_daily_statistics() -> None:
    """Daily counts of five lists are merged under the contract's names."""
    sandbox, mail_hub = _open_hub(message_stream="outbound")
    sandbox.days = [
        {
            "Date": "2026-03-01",
            "MessageStream": "outbound",
            "Sent": 10,
            "HardBounce": 1,
            "SoftBounce": 2,
            "Transient": 3,
            "SMTPApiError": 4,
            "SpamComplaint": 1,
            "Opens": 7,
            "Unique": 5,
            "Clicks": 6,
        },
        {"Date": "2026-03-02", "MessageStream": "outbound", "Sent": 1},
        {"Date": "2026-03-02", "MessageStream": "broadcast", "Sent": 100},
        {"Date": "2026-03-03", "MessageStream": "outbound", "Sent": 100},
    ]
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))
    result = mail_hub.email().get_statistics(query)

    assert [date(2026, 3, 1), date(2026, 3, 2)] == [row.date for row in result.rows]
    assert (
        EmailCounts(
            requested=11,
            bounced=3,
            deferred=3,
            dropped=4,
            opened=7,
            unique_opened=5,
            clicked=6,
            unique_clicked=5,
            complained=1,
        )
        == result.totals
    )
    assert {"sends", "bounces", "spam", "opens", "clicks"} == set(result.raw)


@pytest.mark.parametrize("answer", [{}, {"Days": {}}, {"Days": [{"Sent": 1}]}, []])
def test_days_without_dates_are_malformed(answer: object) -> None:
    """Statistics without dates are a malformed response."""
    sandbox, mail_hub = _open_hub()
    sandbox.fail(reply(answer))
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 1))
    with pytest.raises(VendorFailed):
        mail_hub.email().get_statistics(query)


RECORDS: list[tuple[dict[str, Any], EmailStatus, str | None, bool | None]] = [
    ({"RecordType": "Delivery", "DeliveredAt": "x"}, EmailStatus.DELIVERED, None, None),
    ({"RecordType": "Bounce", "Type": "HardBounce"}, EmailStatus.BOUNCED, "HardBounce", True),
    ({"RecordType": "Bounce", "Type": "SoftBounce"}, EmailStatus.BOUNCED, "SoftBounce", False),
    ({"RecordType": "Bounce", "Type": "DnsError"}, EmailStatus.DEFERRED, "DnsError", False),
    ({"RecordType": "Bounce", "Type": "Blocked"}, EmailStatus.REJECTED, "Blocked", None),
    ({"RecordType": "Bounce", "Type": "New"}, EmailStatus.UNKNOWN, "New", None),
    ({"RecordType": "Bounce"}, EmailStatus.UNKNOWN, None, None),
    (
        {"RecordType": "SpamComplaint", "Type": "SpamComplaint"},
        EmailStatus.COMPLAINED,
        "SpamComplaint",
        None,
    ),
    ({"RecordType": "Open"}, EmailStatus.OPENED, None, None),
    ({"RecordType": "Click"}, EmailStatus.CLICKED, None, None),
    (
        {"RecordType": "SubscriptionChange", "SuppressSending": False},
        EmailStatus.SUBSCRIBED,
        None,
        None,
    ),
    (
        {
            "RecordType": "SubscriptionChange",
            "SuppressSending": True,
            "SuppressionReason": "HardBounce",
        },
        EmailStatus.BOUNCED,
        "HardBounce",
        None,
    ),
    (
        {
            "RecordType": "SubscriptionChange",
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
        },
        EmailStatus.UNSUBSCRIBED,
        "ManualSuppression",
        None,
    ),
    ({"RecordType": "Teleport"}, EmailStatus.UNKNOWN, None, None),
]


@pytest.mark.parametrize("record, status, code, permanent", RECORDS)
def test_records_become_events(
    *, record: dict[str, Any], status: EmailStatus, code: str | None, permanent: bool | None
) -> None:
    """Each kind of record and bounce has its status."""
    payload = {"MessageID": "m-1", **record}
    webhook = WebhookEvent(vendor="postmark", id="e1", type="x", vendor_type="x", payload=payload)
    [event] = _open_hub()[1].events("mail", webhook)

    assert (status, code, permanent) == (event.status, event.code, event.permanent)
    assert record.get("Type", record["RecordType"]) == event.vendor_status


@pytest.mark.parametrize(
    "payload",
    [
        {"RecordType": "Inbound", "MessageID": "m-1"},
        {"RecordType": "SubscriptionChange", "MessageID": None},
        {"MessageID": "m-1"},
        [],
        None,
    ],
)
def test_other_webhooks_give_no_events(payload: object) -> None:
    """Incoming mail and manual suppressions give no message events."""
    webhook = WebhookEvent(vendor="postmark", id="e1", type="x", vendor_type="x", payload=payload)

    assert () == _open_hub()[1].events("mail", webhook)


def test_webhooks_have_a_password() -> None:
    """A webhook needs the right password, and reports one thing."""
    sandbox, mail_hub = _open_hub()
    receipt = mail_hub.email().send_transactional(mail())
    record = {
        "RecordType": "Click",
        "MessageID": receipt.ref.id,
        "Recipient": "ada@example.com",
        "ReceivedAt": "2026-03-01T08:28:10.2735393-04:00",
        "OriginalLink": "https://example.com/",
        "Tag": "invoice",
        "Metadata": {"invoice": "7", "user_id": 43, "odd": None, "odder": True},
    }
    notice = sandbox.tell(URL, record)
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**notice.arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (Ref("postmark", "mail", receipt.ref.id), EmailStatus.CLICKED) == (
        event.ref,
        event.status,
    )
    assert datetime(2026, 3, 1, 12, 28, 10, 273539, tzinfo=UTC) == event.at
    assert ("ada@example.com", "https://example.com/") == (event.email, event.url)
    assert (("invoice",), {"invoice": "7", "user_id": "43"}) == (event.tags, event.metadata)
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="hook:wrong").verify(**notice.arguments())


def test_deliveries_in_the_same_second_are_told_apart() -> None:
    """Deliveries to several recipients within a second have different ids."""
    sandbox, mail_hub = _open_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    ids: set[str] = set()
    for email in ("ada@example.com", "bob@example.com"):
        record = {
            "RecordType": "Delivery",
            "MessageID": "m-1",
            "Recipient": email,
            "DeliveredAt": "2026-03-01T12:00:00Z",
        }
        notice = sandbox.tell(URL, record)
        [webhook] = verifier.verify(**notice.arguments())
        ids.add(webhook.id)
        with pytest.raises(WebhookRejected, match="being handled"):
            verifier.verify(**notice.arguments())

    assert 2 == len(ids)
    assert not any("@" in item for item in ids)


def test_manual_suppression_is_a_valid_webhook() -> None:
    """A manual suppression is verified, although it has no message."""
    sandbox, mail_hub = _open_hub()
    record = {"RecordType": "SubscriptionChange", "MessageID": None, "SuppressSending": True}
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**sandbox.tell(URL, record).arguments())

    assert "email.unsubscribed" == webhook.type


USUAL: dict[str, Any] = {"From": "shop@example.com", "To": "a@example.com", "TextBody": "x"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"From": ""}, "300"),
    ({"To": ""}, "300"),
    ({"To": "nobody"}, "300"),
    ({"TextBody": ""}, "300"),
    ({"Subjekt": "x"}, "403"),
    ({"To": ["a@example.com"]}, "403"),
    ({"TrackLinks": "yes"}, "403"),
    ({"TrackOpens": "yes"}, "403"),
    ({"Bcc": ",".join(f"a{number}@example.com" for number in range(50))}, "300"),
    ({"Metadata": {"m" * 21: "x"}}, "300"),
    ({"Metadata": {"m": "x" * 81}}, "300"),
    ({"Metadata": {"m": "x", "M": "x"}}, "300"),
    ({"Headers": [{"name": "x"}]}, "403"),
    ({"Attachments": [{"Name": "a"}]}, "403"),
    ({"Attachments": [{"Name": "a.EXE", "Content": "", "ContentType": "a/b"}]}, "411"),
    ({"Attachments": [{"Name": "a", "Content": "", "ContentType": "a"}]}, "300"),
    ({"TemplateModel": {}}, "403"),
    ({"TextBody": "x" * 11_000_000}, "300"),
]


@pytest.mark.parametrize("change, code", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], code: str) -> None:
    """The sandbox refuses what Postmark would refuse."""
    _, mail_hub = _open_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 200 == send(Request.post("/email", json=USUAL)).status
    with pytest.raises((InvalidRequest, VendorRejected)) as excinfo:
        send(Request.post("/email", json={**USUAL, **change}))

    assert code == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "path, body, code",
    [
        ("/email", ["x"], "403"),
        ("/email/batch", {}, "403"),
        ("/email/batch", [], "403"),
        ("/email/batch", [USUAL] * 501, "410"),
        ("/email/batchWithTemplates", [], "403"),
        ("/email/withTemplate", {**USUAL, "TemplateId": 7}, "403"),
        ("/email/withTemplate", {"From": "a@b.c", "To": "a@b.c", "TemplateId": 7}, "403"),
    ],
)
def test_sandbox_wants_the_right_shape(path: str, body: object, code: str) -> None:
    """A batch must be a list, and one with templates an object."""
    _, mail_hub = _open_hub()
    with pytest.raises(InvalidRequest) as excinfo:
        mail_hub.manager.call("mail", Request.post(path, json=body))

    assert code == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "request_",
    [
        Request.get("/stats/outbound/wishes"),
        Request.get("/stats/outbound/sends", query={"from": "2026-03-01"}),
        Request.post("/email", json=USUAL, headers={"Accept": "text/html"}),
    ],
)
def test_sandbox_refuses_unknown_requests(request_: Request) -> None:
    """Unknown paths, parameters and accept headers are refused."""
    _, mail_hub = _open_hub()
    with pytest.raises((InvalidRequest, VendorRejected)):
        mail_hub.manager.call("mail", request_)


def test_unverified_sender_is_refused() -> None:
    """A sender without a signature is refused."""
    _, mail_hub = _open_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(from_="a@unverified.example"))

    assert "400" == excinfo.value.vendor_code


def test_sandbox_listens_on_a_port() -> None:
    """The sandbox works over a real connection."""
    sandbox = PostmarkSandbox()
    with sandbox.serving() as server:
        vendor = postmark_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to


TEXT: Json = {"type": "string"}
SHARED: Json = {
    "Attachments": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": dict.fromkeys(("Name", "Content", "ContentType", "ContentID"), TEXT),
        },
    },
    "Headers": {
        "type": "array",
        "items": {"type": "object", "properties": {"Name": TEXT, "Value": TEXT}},
    },
    "TrackOpens": {"type": "boolean"},
    "TrackLinks": {"enum": ["None", "HtmlAndText", "HtmlOnly", "TextOnly"]},
    **dict.fromkeys(("From", "To", "Cc", "Bcc", "ReplyTo", "Tag"), TEXT),
}
PLAIN: Json = {
    "type": "object",
    "properties": SHARED | dict.fromkeys(("Subject", "TextBody", "HtmlBody"), TEXT),
}
FILLED: Json = {
    "type": "object",
    "required": ["TemplateModel"],
    "properties": SHARED
    | {
        "TemplateId": {"type": "integer"},
        "TemplateAlias": TEXT,
        "TemplateModel": {"type": "object"},
    },
}
OURS: Json = {
    "paths": {
        path: {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}
        for path, schema in {
            "/email": PLAIN,
            "/email/batch": {"type": "array", "items": PLAIN},
            "/email/withTemplate": FILLED,
            "/email/batchWithTemplates": {
                "type": "object",
                "properties": {"Messages": {"type": "array", "items": FILLED}},
            },
        }.items()
    }
}
"""What Postmark says of messages, as far as we send them."""


@pytest.mark.parametrize("template", [None, TemplateRef("7", {"total": "149.90"})])
def test_requests_match_the_description(template: TemplateRef | None) -> None:
    """Each field of a request is in the description, with its type."""
    text = OURS
    sandbox = PostmarkSandbox()
    vendor = Postmark(credentials=sandbox.token, sender="shop@acme.example")
    mail_hub = Hub([Account("postmark", vendor)], http=SandboxHttpClient(sandbox))
    message = mail(
        from_=None,
        to=["ada@example.com", "Bob <bob@example.com>"],
        cc="carol@example.com",
        bcc="dan@example.com",
        reply_to="service@acme.example",
        html='<img src="cid:logo">',
        headers={"X-Invoice": "INV-2041"},
        attachments=[
            Attachment(
                filename="logo.png",
                content=b"a logo",
                content_type="image/png",
                disposition="inline",
                content_id="logo",
            )
        ],
        tags=["invoice"],
        track_opens=True,
        track_clicks=False,
        template=template,
    )
    mail_hub.email().send_transactional(message)
    base = mail(to=(), template=template)
    mail_hub.email().send_bulk(BulkMessage(base=base, recipients=["ada@example.com"]))

    assert set() == {
        problem
        for request in sandbox.requests
        for problem in problems(text, request.method, request.path, json.loads(request.body))
        # It requires both names of a template, and says that one is enough.
        if not problem.endswith("has no TemplateAlias.")
    }
