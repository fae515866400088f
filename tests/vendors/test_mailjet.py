"""Mailjet: messages, error responses and statistics."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendors.email._mailjet_answers import classify
from moorage.vendors.email.mailjet import Mailjet, mail_body
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.mailjet import mailjet_hub

FILES = [
    Attachment(filename="a.txt", content=b"a", content_type="text/plain"),
    Attachment(
        filename="l.png",
        content=b"l",
        content_type="image/png",
        disposition="inline",
        content_id="logo",
    ),
]
MARCH = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))


def body_of(message: Any) -> dict[str, Any]:
    """Return the message as Mailjet gets it, from an account without a sender."""
    return mail_body(Mailjet(api_key="key"), message, "id-1")


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where Mailjet expects it."""
    body = body_of(
        mail(
            to=['"Ada, Countess" <ada@example.com>', "bob@example.com"],
            cc="Zoë <zoe@example.com>",
            bcc="dan@example.com",
            reply_to="B <b@example.com>",
            html="<p>{{var:x}}",
            headers={"X-Kunde": "ü"},
            attachments=FILES,
            tags=["invoice"],
            metadata={"invoice": "7"},
            track_opens=False,
            track_clicks=True,
            extra={"mailjet": {"Headers": {"X-More": "8"}, "Priority": 3}, "sendgrid": {"x": 1}},
        )
    )

    assert {
        "From": {"Email": "shop@example.com", "Name": "Shop"},
        "To": [
            {"Email": "ada@example.com", "Name": "Ada, Countess"},
            {"Email": "bob@example.com"},
        ],
        "Cc": [{"Email": "zoe@example.com", "Name": "Zoë"}],
        "Bcc": [{"Email": "dan@example.com"}],
        "ReplyTo": {"Email": "b@example.com", "Name": "B"},
        "Subject": "Hi",
        "TextPart": "Hello.",
        "HTMLPart": "<p>{{var:x}}",
        "Attachments": [
            {"Filename": "a.txt", "ContentType": "text/plain", "Base64Content": "YQ=="}
        ],
        "InlinedAttachments": [
            {
                "Filename": "l.png",
                "ContentType": "image/png",
                "Base64Content": "bA==",
                "ContentID": "logo",
            }
        ],
        "Headers": {"X-Kunde": "=?utf-8?b?w7w=?=", "X-More": "8"},
        "CustomCampaign": "invoice",
        "EventPayload": '{"invoice":"7"}',
        "TrackOpens": "disabled",
        "TrackClicks": "enabled",
        "Priority": 3,
        "CustomID": "id-1",
    } == body


def test_fields_of_a_short_message() -> None:
    """A message without HTML has no tracking options, because Mailjet refuses them there."""
    assert {
        "From": {"Email": "shop@example.com", "Name": "Shop"},
        "To": [{"Email": "ada@example.com"}],
        "Subject": "Hi",
        "TextPart": "Hello.",
        "CustomID": "id-1",
    } == body_of(mail(track_opens=True, track_clicks=True))


@pytest.mark.parametrize("choice, word", [(None, None), (True, "enabled"), (False, "disabled")])
def test_opens_and_clicks_are_tracked_as_message_says(
    *, choice: bool | None, word: str | None
) -> None:
    """Opens and clicks are tracked as the message says, or else the account."""
    body = body_of(mail(html="<p>", track_opens=choice, track_clicks=choice))

    assert (word, word) == (body.get("TrackOpens"), body.get("TrackClicks"))


def test_fields_of_a_template() -> None:
    """A template is sent as a number with the message's data, but without texts."""
    template = TemplateRef("42", {"total": [1]})

    assert {
        "From": {"Email": "shop@example.com", "Name": "Shop"},
        "To": [{"Email": "ada@example.com"}],
        "Subject": "Hi",
        "TemplateID": 42,
        "TemplateLanguage": True,
        "Variables": {"total": [1]},
        "TrackOpens": "enabled",
        "CustomID": "id-1",
    } == body_of(mail(template=template, track_opens=True))


def test_template_is_sent_from_its_own_address_if_neither_message_nor_account_has_one() -> None:
    """A template is sent from its own address if neither message nor account has one."""
    body = body_of(mail(from_=None, subject="", template=TemplateRef("42")))

    assert not {"From", "Subject", "Variables"} & set(body)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"tags": ["a", "b"]}, "tags"),
        ({"reply_to": ["a@example.com", "b@example.com"]}, "reply_to"),
        ({"attachments": [Attachment(filename="a.txt", content=b"")]}, "attachments"),
        ({"template": TemplateRef("welcome")}, "template"),
        ({"template": TemplateRef("٤")}, "template"),
        ({"template": TemplateRef("9" * 5_000)}, "template"),
    ],
)
def test_unsupported_values_are_refused(changes: dict[str, Any], field: str) -> None:
    """Values that Mailjet would refuse are refused before sending."""
    sandbox, mail_hub = mailjet_hub()
    with pytest.raises(InvalidData) as excinfo:
        mail_hub.email().send_transactional(mail(**changes))

    assert field == excinfo.value.field
    assert [] == sandbox.requests


def test_missing_sender_is_refused() -> None:
    """If neither the message nor the account has a sender, the message is refused."""
    with pytest.raises(ConfigurationError, match="sender"):
        body_of(mail(from_=None))


def test_message_is_sent_as_one_request_with_basic_authentication() -> None:
    """A message is sent as one request with Basic authentication."""
    sandbox, mail_hub = mailjet_hub()
    mail_hub.email().send_transactional(mail())
    [request] = sandbox.requests

    assert ("POST", "api.mailjet.com", "/v3.1/send") == (request.method, request.host, request.path)
    assert (sandbox.api_key, sandbox.secret_key) == request.basic()
    assert ["Messages"] == [*request.json()]


def test_receipt_has_our_own_id_for_all_recipients() -> None:
    """The receipt has our own id for all recipients, and Mailjet's id of the first message."""
    sandbox, mail_hub = mailjet_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="cc@example.com"))
    [delivered] = sandbox.delivered

    assert delivered.raw["CustomID"] == receipt.ref.id
    assert {"message": delivered.id} == dict(receipt.ref.related)
    assert ("success", EmailStatus.QUEUED) == (receipt.vendor_status, receipt.status)
    assert [("ada@example.com", EmailStatus.QUEUED), ("cc@example.com", EmailStatus.QUEUED)] == [
        (recipient.email, recipient.status) for recipient in receipt.recipients
    ]
    assert "success" == receipt.raw["Messages"][0]["Status"]


def test_own_id_is_the_reference() -> None:
    """If the caller gives an id of its own, it is used instead of a generated one."""
    _, mail_hub = mailjet_hub()
    receipt = mail_hub.email().send_transactional(mail(extra={"mailjet": {"CustomID": "INV-2041"}}))

    assert "INV-2041" == receipt.ref.id


def test_same_key_has_the_same_id() -> None:
    """An idempotency key gives the same message id in every process; other keys give others."""
    ids = []
    for key in ("INV-1", "INV-1", "INV-2"):
        sandbox, mail_hub = mailjet_hub()
        mail_hub.email().send_transactional(mail(), idempotency_key=key)
        ids.append(sandbox.delivered[0].raw["CustomID"])

    assert ids[0] == ids[1] != ids[2]


def test_message_with_template_is_accepted() -> None:
    """A message with a template is accepted; one with an unknown template is refused."""
    sandbox, mail_hub = mailjet_hub()
    mail_hub.email().send_transactional(mail(template=TemplateRef("7")))
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(template=TemplateRef("8")))

    assert 1 == len(sandbox.delivered)
    assert "send-0010" == excinfo.value.vendor_code
    assert "Template is not accessible." == excinfo.value.vendor_message


def answer_with_error(code: str | None) -> dict[str, Any]:
    """Return a response that reports an error for its only message."""
    error = {"ErrorMessage": "no"} | ({} if code is None else {"ErrorCode": code})
    return {"Messages": [{"Status": "error", "Errors": [error]}]}


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "mj-0013", InvalidRequest),
        (400, "send-0003", InvalidRequest),
        (400, "send-0010", VendorRejected),
        (401, "mj-0001", AuthenticationFailed),
        (401, None, AuthenticationFailed),
        (403, "send-0008", VendorRejected),
        (403, "mj-0015", AuthenticationFailed),
        (404, None, VendorRejected),
        (405, None, InvalidRequest),
        (413, None, InvalidRequest),
        (409, None, VendorRejected),
        (429, None, RateLimitExceeded),
    ],
)
def test_mailjet_error_code_decides_its_class_before_status_does(
    status: int, code: str | None, kind: type[Any]
) -> None:
    """A Mailjet error's class follows from its code, or else from the status."""
    document = {"ErrorMessage": "no"} | ({} if code is None else {"ErrorCode": code})
    for body in (answer_with_error(code), document):
        raised: Any = classify(Request.post("/v3.1/send"), reply(body, status))

        assert type(raised) is kind
        assert (code, status, "no") == (raised.vendor_code, raised.status, raised.vendor_message)


def test_key_that_may_not_read_statistics_is_refused_as_unauthorized() -> None:
    """A key that may not read statistics is refused as unauthorized."""
    answer = reply({"ErrorMessage": "no"}, 403)

    assert AuthenticationFailed is type(classify(Request.get("/v3/REST/statcounters"), answer))


def test_success_with_an_error_is_a_refusal() -> None:
    """A response with status 200 that reports an error for its message raises an error."""
    raised: Any = classify(Request.post("/v3.1/send"), reply(answer_with_error("mj-0013")))

    assert (VendorRejected, "mj-0013", "no") == (
        type(raised),
        raised.vendor_code,
        raised.vendor_message,
    )
    document = {"Messages": [{"Status": "error"}]}
    assert "no reason is given" in str(classify(Request.post("/v3.1/send"), reply(document)))


@pytest.mark.parametrize(
    "response",
    [
        Response(403, body=b"<html>"),
        reply({"ErrorMessage": "x"}, 500),
        reply({"Messages": []}, 400),
        reply([], 400),
        reply({"Messages": [{"Status": "success"}]}),
        reply({"Messages": ["x"]}),
        reply({"Data": []}),
        reply([]),
    ],
)
def test_other_answers_are_classified_by_status(response: Response) -> None:
    """A response without a Mailjet error is classified by its status."""
    assert None is classify(Request.post("/v3.1/send"), response)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Messages": []},
        {"Messages": [{"Status": "success", "To": []}]},
        {"Messages": [{"Status": "success", "To": [{"Email": "ada@example.com"}]}]},
    ],
)
def test_success_without_an_id_is_malformed(answer: object) -> None:
    """A success without a message id is a malformed response."""
    sandbox, mail_hub = mailjet_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed, match="no MessageID") as excinfo:
        mail_hub.email().send_transactional(mail())

    assert not excinfo.value.retryable


def test_bulk_is_a_request_for_each() -> None:
    """In a bulk, each recipient has a separate request with the recipient's own values."""
    sandbox, mail_hub = mailjet_hub()
    base = mail(to=(), template=TemplateRef("7", {"a": 1}), metadata={"m": "0"})
    recipient = BulkRecipient(to="a@example.com", data={"b": {"c": 2}}, metadata={"m": "1"})
    bulk = BulkMessage(base=base, recipients=[recipient, "refused@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news")
    repeated_results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [True, False, True] == [result.ok for result in results]
    assert (InvalidRequest, "mj-0013") == (type(results[1].error), results[1].error.vendor_code)
    assert results[0].value.ref.id != results[2].value.ref.id
    assert [results[0].value, results[2].value] == [
        repeated_results[0].value,
        repeated_results[2].value,
    ]
    first, last = sorted(sandbox.delivered, key=lambda delivered: delivered.to)
    assert ({"a": 1, "b": {"c": 2}}, {"a": 1}) == (first.raw["Variables"], last.raw["Variables"])
    assert '{"m":"1"}' == first.raw["EventPayload"]


def test_lost_answer_of_a_bulk() -> None:
    """If one recipient's response in a bulk is lost, its outcome is unknown; no retry follows."""
    sandbox, mail_hub = mailjet_hub()
    sandbox.fail(Lost())
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    mail_hub.email().send_bulk(bulk, idempotency_key="news", at_once=1)
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news", at_once=1)

    # The requests of a bulk message run at the same time, so either response may be the lost one.
    assert {OutcomeUnknown, type(None)} == {type(result.error) for result in results}
    assert 2 == len(sandbox.delivered)


def test_mailjet_daily_counts_have_contract_names() -> None:
    """Mailjet's daily counts have the contract's names, and bounces are added up."""
    sandbox, mail_hub = mailjet_hub()
    sandbox.days = [
        {"day": "2026-02-28", "Total": 100},
        {
            "day": "2026-03-01",
            "Total": 90,
            "MessageSentCount": 80,
            "MessageDeferredCount": 7,
            "MessageHardBouncedCount": 1,
            "MessageSoftBouncedCount": 2,
            "MessageBlockedCount": 4,
            "EventOpenedCount": 60,
            "MessageOpenedCount": 50,
            "EventClickedCount": 40,
            "MessageClickedCount": 30,
            "MessageSpamCount": 5,
            "MessageUnsubscribedCount": 6,
        },
        {"day": "2026-03-02", "Total": 1},
        {"day": "2026-03-03", "Total": 100},
    ]
    result = mail_hub.email().get_statistics(MARCH)

    assert [date(2026, 3, 1), date(2026, 3, 2)] == [row.date for row in result.rows]
    assert (
        EmailCounts(
            requested=90,
            delivered=80,
            deferred=7,
            bounced=3,
            blocked=4,
            opened=60,
            unique_opened=50,
            clicked=40,
            unique_clicked=30,
            complained=5,
            unsubscribed=6,
        )
        == result.rows[0].counts
    )
    assert 91 == result.totals.requested
    assert [90, 1] == [row["Total"] for row in result.raw]
    [request] = sandbox.requests
    assert "/v3/REST/statcounters" == request.path
    assert {
        "CounterSource": "APIKey",
        "CounterTiming": "Message",
        "CounterResolution": "Day",
        "FromTS": "1772323200",
        "ToTS": "1772495999",
        "Limit": "1000",
        "Offset": "0",
    } == dict(request.query)


def test_long_statistics_have_pages() -> None:
    """Statistics of more than a thousand days are read in pages."""
    sandbox, mail_hub = mailjet_hub()
    first_day = date(2020, 1, 1).toordinal()
    days = [date.fromordinal(first_day + number) for number in range(1_500)]
    sandbox.days = [{"day": day.isoformat(), "Total": 1} for day in days]
    result = mail_hub.email().get_statistics(StatisticsQuery(start=days[0], end=days[-1]))

    assert 1_500 == result.totals.requested == len(result.rows)
    assert ["0", "1000"] == [dict(request.query)["Offset"] for request in sandbox.requests]


@pytest.mark.parametrize(
    "answer, name",
    [
        ({}, "Data"),
        ({"Data": {}}, "Data"),
        ({"Data": [{"Total": 1}]}, "Timeslice"),
        ({"Data": [{"Timeslice": ""}]}, "Timeslice"),
    ],
)
def test_statistics_without_days_are_malformed(answer: object, name: str) -> None:
    """Mailjet statistics without dates are a malformed response."""
    sandbox, mail_hub = mailjet_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed, match=f"no {name}"):
        mail_hub.email().get_statistics(MARCH)
