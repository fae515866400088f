"""MailerSend: messages, bulks, errors and statistics."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    Credentials,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.mailersend import MailerSendSandbox
from moorage.vendors.email.mailersend import MailerSend, mail_body
from tests.vendors.email_hubs import hub, mail
from tests.vendors.mailersend_account import mailersend_hub

REFUSALS: Any = MailerSend.refusals
MARCH = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))
PEOPLE = ["a@example.com", "b@example.com", "c@example.com"]


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where MailerSend expects it."""
    body = mail_body(
        MailerSend(),
        mail(
            to=["Ada <ada@example.com>", "bob@example.com"],
            cc="carol@example.com",
            bcc="dan@example.com",
            reply_to="Service <service@example.com>",
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
            tags=["invoice", "march"],
            track_opens=False,
            track_clicks=True,
            send_at=datetime(2030, 1, 1, tzinfo=UTC),
            extra={"mailersend": {"precedence_bulk": True}, "sendgrid": {"x": 1}},
        ),
    )

    assert {
        "from": {"email": "shop@example.com", "name": "Shop"},
        "to": [{"email": "ada@example.com", "name": "Ada"}, {"email": "bob@example.com"}],
        "cc": [{"email": "carol@example.com"}],
        "bcc": [{"email": "dan@example.com"}],
        "reply_to": {"email": "service@example.com", "name": "Service"},
        "subject": "Hi",
        "text": "Hello.",
        "html": "<p>",
        "headers": [{"name": "X-Kunde", "value": "=?utf-8?b?w7w=?="}],
        "attachments": [
            {"filename": "a.txt", "content": "YQ==", "disposition": "attachment"},
            {"filename": "l.png", "content": "bA==", "disposition": "inline", "id": "logo"},
        ],
        "tags": ["invoice", "march"],
        "send_at": 1_893_456_000,
        "settings": {"track_clicks": True, "track_opens": False},
        "precedence_bulk": True,
    } == body


def test_request_of_a_message() -> None:
    """An email is posted to MailerSend with the token, and its id is in a header."""
    sandbox, mail_hub = mailersend_hub()
    receipt = mail_hub.email().send_transactional(mail())
    [request] = sandbox.requests

    assert ("POST", "api.mailersend.com", "/v1/email") == (
        request.method,
        request.host,
        request.path,
    )
    assert ("Bearer mlsn.sandbox-token", "application/json") == (
        request.headers.get("authorization"),
        request.headers.get("accept"),
    )
    assert {
        "from": {"email": "shop@example.com", "name": "Shop"},
        "to": [{"email": "ada@example.com"}],
        "subject": "Hi",
        "text": "Hello.",
    } == json.loads(request.body)
    assert (sandbox.delivered[0].id, EmailStatus.QUEUED) == (receipt.ref.id, receipt.status)
    assert ((), {}) == (receipt.warnings, receipt.raw)


@pytest.mark.parametrize("wish", [True, False])
def test_only_requested_setting_of_tracking_is_sent_to_mailersend(wish: bool) -> None:
    """Only a requested setting of tracking is sent to MailerSend."""
    assert {"track_opens": wish} == mail_body(MailerSend(), mail(track_opens=wish))["settings"]
    assert {"track_clicks": wish} == mail_body(MailerSend(), mail(track_clicks=wish))["settings"]
    assert "settings" not in mail_body(MailerSend(), mail())


def test_receipt_of_email_with_time_says_that_it_is_scheduled() -> None:
    """The receipt of an email that has a sending time says that the email is scheduled."""
    _, mail_hub = mailersend_hub()
    receipt = mail_hub.email().send_transactional(mail(send_at=datetime(2030, 1, 1, tzinfo=UTC)))

    assert [EmailStatus.SCHEDULED] * 2 == [receipt.status, receipt.recipients[0].status]


def test_template_has_values_for_each_recipient() -> None:
    """A MailerSend template is sent by its id, with its data for each address."""
    template = TemplateRef("welcome", {"total": [1]})
    body = mail_body(
        MailerSend(), mail(subject="", html="<p>", cc="cc@example.com", template=template)
    )

    assert "welcome" == body["template_id"]
    assert [
        {"email": "ada@example.com", "data": {"total": [1]}},
        {"email": "cc@example.com", "data": {"total": [1]}},
    ] == body["personalization"]
    assert not {"subject", "text", "html"} & set(body)
    plain_body = mail_body(MailerSend(), mail(subject="Own", template=TemplateRef("welcome")))
    assert "Own" == plain_body["subject"]
    assert "personalization" not in plain_body


def test_unknown_template_is_refused() -> None:
    """The error for an unknown template contains MailerSend's name of the field."""
    _, mail_hub = mailersend_hub()
    mail_hub.email().send_transactional(mail(template=TemplateRef("welcome", {"a": 1})))
    with pytest.raises(InvalidRequest) as excinfo:
        mail_hub.email().send_transactional(mail(template=TemplateRef("none")))

    assert ("template_id", 422) == (excinfo.value.vendor_code, excinfo.value.status)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"cc": [f"a{number}@example.com" for number in range(11)]}, "cc"),
        ({"bcc": [f"a{number}@example.com" for number in range(11)]}, "bcc"),
        ({"reply_to": PEOPLE}, "reply_to"),
        ({"tags": ["a", "b", "c", "d", "e", "f"]}, "tags"),
        ({"to": '"Lovelace, Ada" <ada@example.com>'}, "to"),
        ({"cc": '"Lovelace; Ada" <cc@example.com>'}, "cc"),
        ({"from_": '"Shop, Inc." <shop@example.com>'}, "from_"),
        ({"reply_to": '"Shop, Inc." <shop@example.com>'}, "reply_to"),
        (
            {"attachments": [Attachment(filename="a.PDF", content=b"", content_type="text/csv")]},
            "attachments",
        ),
    ],
)
def test_message_that_mailersend_does_not_accept(changes: dict[str, Any], field: str) -> None:
    """A message that MailerSend refuses is refused before sending; the error names the field."""
    sandbox, mail_hub = mailersend_hub()
    with pytest.raises(InvalidData) as excinfo:
        mail_hub.email().send_transactional(mail(**changes))

    assert field == excinfo.value.field
    assert excinfo.value.remedy
    assert [] == sandbox.requests


@pytest.mark.parametrize("field, maximum", [("cc", 10), ("bcc", 10)])
def test_most_copies_are_accepted(field: str, maximum: int) -> None:
    """MailerSend takes ten copies, five tags and one reply address."""
    sandbox, mail_hub = mailersend_hub()
    copies = [f"a{number}@example.com" for number in range(maximum)]
    mail_hub.email().send_transactional(
        mail(**{field: copies}, tags=["a", "b", "c", "d", "e"], reply_to="r@example.com")
    )

    assert tuple(copies) == getattr(sandbox.delivered[0], field)


def test_file_alone_has_a_text() -> None:
    """An email of files alone is sent to MailerSend with a space as its text."""
    file = Attachment(filename="a.pdf", content=b"")
    body = mail_body(MailerSend(), mail(text=None, attachments=[file]))

    assert " " == body["text"]
    assert "text" not in mail_body(MailerSend(), mail(text=None, html="<p>"))


def test_missing_sender_is_refused() -> None:
    """If neither the email nor the account has a sender, the email is refused for MailerSend."""
    with pytest.raises(ConfigurationError, match="sender"):
        mail_body(MailerSend(), mail(from_=None))

    body = mail_body(MailerSend(sender="own@example.com"), mail(from_=None))
    assert {"email": "own@example.com"} == body["from"]


def test_token_comes_from_the_provider() -> None:
    """Without its own token a MailerSend account uses the credential provider."""
    sandbox = MailerSendSandbox()
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.bearer(sandbox.token))
    hub(MailerSend(), sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


def test_suppressed_recipients_are_reported() -> None:
    """MailerSend accepts an email to several people if at least one is not suppressed."""
    sandbox, mail_hub = mailersend_hub()
    value = mail(to=["ada@example.com", "Suppressed@example.com"], cc="carol@example.com")
    receipt = mail_hub.email().send_transactional(value)

    assert [EmailStatus.QUEUED, EmailStatus.REJECTED, EmailStatus.QUEUED] == [
        recipient.status for recipient in receipt.recipients
    ]
    assert [None, "hard_bounced", None] == [recipient.code for recipient in receipt.recipients]
    assert ("Some of the recipients provided have been suppressed.",) == receipt.warnings
    assert sandbox.delivered[0].id == receipt.ref.id
    assert "warnings" in receipt.raw


def test_suppressed_recipients_alone_are_a_refusal() -> None:
    """If MailerSend accepts a message but suppresses all recipients, an error is raised."""
    sandbox, mail_hub = mailersend_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(to="suppressed@example.com"))

    assert "ALL_SUPPRESSED" == excinfo.value.vendor_code
    assert "All of the recipients" in str(excinfo.value)
    assert [] == sandbox.delivered


def test_warning_that_is_not_about_recipients_is_kept_in_receipt() -> None:
    """A warning that is not about recipients is kept in the receipt."""
    sandbox, mail_hub = mailersend_hub()
    warnings = [{"type": "NEW", "message": "Look: ada@example.com"}, {"type": "OTHER"}, 7]
    sandbox.fail(reply({"warnings": warnings}, 202, x_message_id="m-1"))
    receipt = mail_hub.email().send_transactional(mail())

    assert ("m-1", EmailStatus.QUEUED) == (receipt.ref.id, receipt.recipients[0].status)
    assert 1 == len(receipt.warnings)
    assert "ada@" not in receipt.warnings[0]


@pytest.mark.parametrize(
    "answer, name",
    [
        (Response(202), "x-message-id"),
        (reply({}, 202), "x-message-id"),
        (reply({}, 202, x_message_id=""), "x-message-id"),
        (reply([], 202), "vendor's own description"),
    ],
)
def test_success_without_an_id_is_malformed(answer: Response, name: str) -> None:
    """A MailerSend success without a message id is reported as a malformed response."""
    sandbox, mail_hub = mailersend_hub()
    sandbox.fail(answer)
    with pytest.raises(VendorFailed, match=name) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert not excinfo.value.retryable


def test_bulk_is_a_request_for_each() -> None:
    """A MailerSend bulk email sends one request, and gets one result, for each recipient."""
    sandbox, mail_hub = mailersend_hub()
    base = mail(to=(), template=TemplateRef("welcome", {"a": 1}))
    recipients: list[BulkRecipient | str] = [
        BulkRecipient(to="a@example.com", data={"b": 2}),
        "refused@example.com",
        "suppressed@example.com",
        "b@example.com",
    ]
    results = mail_hub.email().send_bulk(BulkMessage(base=base, recipients=recipients))

    assert [type(None), InvalidRequest, VendorRejected, type(None)] == [
        type(result.error) for result in results
    ]
    assert {("/v1/email", 1)} == {
        (request.path, len(json.loads(request.body)["to"])) for request in sandbox.requests
    }
    sent_ids = {message.to: message.id for message in sandbox.delivered}
    assert sent_ids[("a@example.com",)] == results[0].value.ref.id
    assert sent_ids[("b@example.com",)] == results[3].value.ref.id
    bodies = {body["to"][0]["email"]: body for body in (m.raw for m in sandbox.delivered)}
    values = [{"email": "a@example.com", "data": {"a": 1, "b": 2}}]
    assert values == bodies["a@example.com"]["personalization"]


@pytest.mark.parametrize(
    "status, body, kind, code",
    [
        (400, {"message": "no"}, InvalidRequest, None),
        (401, {"message": "Unauthenticated."}, AuthenticationFailed, None),
        (403, {"message": "Forbidden"}, AuthenticationFailed, None),
        (404, {"message": "Not found"}, VendorRejected, None),
        (405, {"message": "no"}, InvalidRequest, None),
        (413, {"message": "no"}, InvalidRequest, None),
        (421, {"message": "Maintenance"}, VendorFailed, None),
        (429, {"message": "Too Many Attempts."}, RateLimitExceeded, None),
        (422, {"message": "no", "errors": {"to.0.email": ["Bad."]}}, InvalidRequest, "to.0.email"),
        (422, {"message": "no", "errors": {"to": "x"}}, InvalidRequest, "to"),
        (422, {"errors": {"a": ["x #MS42207 y"], "b": ["z"]}}, InvalidRequest, "MS42207"),
        (422, {"message": "Limit. #MS42225"}, InvalidRequest, "MS42225"),
        (422, {"message": "Limit. #MS4222"}, InvalidRequest, None),
    ],
)
def test_errors_are_classified(
    status: int, body: dict[str, Any], kind: type[Any], code: str | None
) -> None:
    """The status of a MailerSend error decides its class; its number or field is its code."""
    error: Any = REFUSALS(Request.post("/"), reply(body, status))

    assert type(error) is kind
    assert (code, status) == (error.vendor_code, error.status)
    assert "MailerSend refused" in str(error)


def test_text_of_mailersend_error_has_all_its_sentences() -> None:
    """The error has all sentences of MailerSend's text, without email addresses."""
    errors = {"to.0.email": ["ada@example.com is wrong.", "Really."], "text": ["Missing."]}
    error: Any = REFUSALS(Request.post("/"), reply({"message": "no", "errors": errors}, 422))

    assert error.vendor_message.endswith("is wrong. Really. Missing.")
    assert "ada@" not in error.vendor_message


@pytest.mark.parametrize(
    "response", [Response(503, body=b"x"), Response(403), reply({"message": "x"}, 408)]
)
def test_other_answers_are_judged_by_status(response: Response) -> None:
    """A MailerSend response without a message is judged by its status."""
    assert None is REFUSALS(Request.post("/"), response)


def test_pause_that_mailersend_asks_for() -> None:
    """After too many requests, a header of MailerSend's response says how long to wait."""
    sandbox, mail_hub = mailersend_hub()
    sandbox.fail(reply({"message": "Too Many Attempts."}, 429, retry_after="17"))
    with pytest.raises(RateLimitExceeded) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert (True, 17.0) == (excinfo.value.by_vendor, excinfo.value.vendor_retry_after)


def test_mailersend_daily_counts_have_contract_names() -> None:
    """MailerSend's daily counts have the contract's names."""
    sandbox, mail_hub = mailersend_hub(domain_id="d-1")
    sandbox.days = [
        {"date": "2026-02-28", "queued": 1_000},
        {
            "date": "2026-03-01",
            "queued": "10",
            "sent": 9,
            "delivered": 8,
            "deferred": 7,
            "soft_bounced": 1,
            "hard_bounced": 2,
            "opened": 6,
            "opened_unique": 5,
            "clicked": 4,
            "clicked_unique": 3,
            "spam_complaints": 11,
            "unsubscribed": 12,
        },
        {"date": "2026-03-02", "queued": 1, "hard_bounced": 1},
        {"date": "2026-03-03", "queued": 100},
    ]
    result = mail_hub.email().get_statistics(MARCH)

    assert [date(2026, 3, 1), date(2026, 3, 2)] == [row.date for row in result.rows]
    assert (
        EmailCounts(
            requested=11,
            processed=9,
            delivered=8,
            deferred=7,
            bounced=4,
            opened=6,
            unique_opened=5,
            clicked=4,
            unique_clicked=3,
            complained=11,
            unsubscribed=12,
        )
        == result.totals
    )
    [request] = sandbox.requests
    query = [(name, value) for name, value in request.query if name != "event[]"]
    assert [
        ("date_from", "1772323200"),
        ("date_to", "1772495999"),
        ("domain_id", "d-1"),
        ("group_by", "days"),
    ] == sorted(query)
    assert "data" in result.raw


def test_time_of_statistics_may_be_a_number() -> None:
    """A day in MailerSend's statistics may be given as seconds since 1970."""
    sandbox, mail_hub = mailersend_hub()
    sandbox.fail(reply({"data": {"stats": [{"date": "1772323200", "sent": "3"}]}}))
    result = mail_hub.email().get_statistics(MARCH)

    assert [(date(2026, 3, 1), EmailCounts(processed=3))] == [
        (row.date, row.counts) for row in result.rows
    ]


@pytest.mark.parametrize(
    "answer, name",
    [
        ({}, r"\bstats\b"),
        ([], "vendor's own description"),
        ({"data": {"stats": {}}}, r"\bstats\b"),
        ({"data": {"stats": [{"sent": 1}]}}, r"\bdate\b"),
    ],
)
def test_statistics_without_dates_are_malformed(answer: object, name: str) -> None:
    """MailerSend statistics without dates are a malformed response; the error names the field."""
    sandbox, mail_hub = mailersend_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed, match=name):
        mail_hub.email().get_statistics(MARCH)
