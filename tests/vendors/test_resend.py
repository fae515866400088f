"""Resend: messages, errors and statistics."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from moorage import (
    AuthenticationFailed,
    ConnectionFailed,
    Credentials,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import Lost, reply
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.vendors.email._resend_answers import classify
from moorage.vendors.email.resend import Resend, mail_body
from tests.vendors.email_hubs import hub, mail
from tests.vendors.resend_account import PDF, resend_hub


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where Resend expects it."""
    body = mail_body(
        Resend(),
        mail(
            to=["Ada, Countess <ada@example.com>", "bob@example.com"],
            cc="carol@example.com",
            bcc="dan@example.com",
            reply_to="a@example.com",
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[
                PDF,
                Attachment(
                    filename="l.png",
                    content=b"l",
                    content_type="image/png",
                    disposition="inline",
                    content_id="logo",
                ),
                Attachment(filename="b.txt", content=b""),
            ],
            tags=["invoice"],
            metadata={"number": "7"},
            send_at=datetime(2031, 5, 6, 9, tzinfo=timezone(timedelta(hours=2))),
            extra={"resend": {"topic_id": "t-1"}, "sendgrid": {"x": 1}},
        ),
    )

    assert {
        "from": "Shop <shop@example.com>",
        "to": ['"Ada, Countess" <ada@example.com>', "bob@example.com"],
        "cc": ["carol@example.com"],
        "bcc": ["dan@example.com"],
        "reply_to": ["a@example.com"],
        "subject": "Hi",
        "text": "Hello.",
        "html": "<p>",
        "headers": {"X-Kunde": "=?utf-8?b?w7w=?="},
        "attachments": [
            {"filename": "a.pdf", "content": "JVBERg==", "content_type": "application/pdf"},
            {
                "filename": "l.png",
                "content": "bA==",
                "content_type": "image/png",
                "content_id": "logo",
            },
            {"filename": "b.txt", "content": ""},
        ],
        "tags": [{"name": "tag_invoice", "value": "true"}, {"name": "number", "value": "7"}],
        "scheduled_at": "2031-05-06T07:00:00.000Z",
        "topic_id": "t-1",
    } == body


def test_email_with_only_html_gets_no_text_part() -> None:
    """An email with only HTML gets no text part; otherwise Resend would generate one."""
    sandbox, mail_hub = resend_hub()
    mail_hub.email().send_transactional(mail(text=None, html="<p>Hi</p>"))

    assert (None, "<p>Hi</p>") == (sandbox.delivered[0].text, sandbox.delivered[0].html)


def test_template_is_filled_in() -> None:
    """A Resend template provides the texts, and the subject unless the email has one."""
    body = mail_body(Resend(), mail(template=TemplateRef("welcome", {"name": "Ada", "n": 2})))
    template_body = mail_body(Resend(), mail(template=TemplateRef("welcome"), subject=""))

    assert {"id": "welcome", "variables": {"name": "Ada", "n": 2}} == body["template"]
    assert "Hi" == body["subject"]
    assert {"from", "to", "template"} == set(template_body)
    assert {"id": "welcome"} == template_body["template"]


def test_template_takes_texts_and_whole_numbers() -> None:
    """Template data that are not strings or whole numbers are refused before sending to Resend."""
    sandbox, mail_hub = resend_hub()
    with pytest.raises(InvalidData, match="not a str or an int"):
        mail_hub.email().send_transactional(mail(template=TemplateRef("welcome", {"name": []})))

    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "ending, kind",
    [
        ("csv", "text/csv"),
        ("gif", "image/gif"),
        ("htm", "text/html"),
        ("html", "text/html"),
        ("ics", "text/calendar"),
        ("jpeg", "image/jpeg"),
        ("jpg", "image/jpeg"),
        ("json", "application/json"),
        ("pdf", "application/pdf"),
        ("png", "image/png"),
        ("txt", "text/plain"),
        ("zip", "application/zip"),
    ],
)
def test_content_type_of_a_file_is_that_of_its_ending(ending: str, kind: str) -> None:
    """A common file ending has one content type; a file with another one is refused."""
    file = Attachment(filename=f"a.{ending}", content=b"a", content_type=f"{kind}; a=1")
    body = mail_body(Resend(), mail(attachments=[file]))
    with pytest.raises(InvalidData, match=f"Set content_type='{kind}'"):
        mail_body(Resend(), mail(attachments=[attrs.evolve(file, content_type="audio/mpeg")]))

    assert [f"{kind}; a=1"] == [sent_file["content_type"] for sent_file in body["attachments"]]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"tags": ["grüße"]}, "characters that Resend"),
        ({"metadata": {"a b": "1"}}, "characters that Resend"),
        ({"metadata": {f"m{number}": "1" for number in range(76)}}, "accepts only 75"),
        (
            {"attachments": [Attachment(filename="a.PDF", content=b"", content_type="text/plain")]},
            "never send it",
        ),
    ],
)
def test_unsupported_content_is_refused(changes: dict[str, Any], words: str) -> None:
    """Texts that Resend refuses, and files that Resend drops, are refused before sending."""
    sandbox, mail_hub = resend_hub()
    with pytest.raises(InvalidData, match=words):
        mail_hub.email().send_transactional(mail(**changes))

    assert [] == sandbox.requests


def test_lost_answer_without_a_key_is_not_retried() -> None:
    """An email to Resend without a key is not sent again after a lost response."""
    sandbox, mail_hub = resend_hub()
    sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        mail_hub.email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


def test_tenant_key_is_sent_as_its_digest() -> None:
    """A tenant's key is sent as its digest, since all tenants of a Resend account share keys."""
    sandbox, mail_hub = resend_hub()
    mail_hub.email(tenant="acme").send_transactional(mail(), idempotency_key="INV-7")
    mail_hub.email().send_transactional(mail(), idempotency_key="INV-7")
    first, second = [request.headers.get("idempotency-key") for request in sandbox.requests]

    assert ("INV-7", 64) == (second, len(first or ""))
    assert 2 == len(sandbox.delivered)


def test_scheduled_message_is_scheduled() -> None:
    """An email with a later sending time has the status scheduled, alone or in a bulk."""
    _, mail_hub = resend_hub()
    time = datetime(2031, 5, 6, tzinfo=UTC)
    receipt = mail_hub.email().send_transactional(mail(send_at=time))
    bulk = BulkMessage(base=mail(to=(), send_at=time), recipients=["a@example.com"])

    assert EmailStatus.SCHEDULED is receipt.status
    assert EmailStatus.SCHEDULED is mail_hub.email().send_bulk(bulk)[0].unwrap().status


def test_key_comes_from_the_provider() -> None:
    """Without its own key a Resend account uses the credential provider."""
    sandbox = ResendSandbox()
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.bearer(sandbox.api_key))
    hub(Resend(), sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_invalid_key_is_failed_authentication(status: int) -> None:
    """Resend reports a deleted key as a validation error, and only the text is about the key."""
    answer = reply({"name": "validation_error", "message": "API key is invalid"}, status)
    error: Any = classify(Request.get("/"), answer)

    assert (AuthenticationFailed, "validation_error") == (type(error), error.vendor_code)


@pytest.mark.parametrize(
    "status, name, kind",
    [
        (400, "validation_error", InvalidRequest),
        (400, "invalid_idempotency_key", InvalidRequest),
        (401, "missing_api_key", AuthenticationFailed),
        (401, "restricted_api_key", AuthenticationFailed),
        (403, "suspended_api_key", AuthenticationFailed),
        (403, "invalid_permission", AuthenticationFailed),
        (403, "invalid_api_key", AuthenticationFailed),
        (403, "validation_error", VendorRejected),
        (404, "not_found", VendorRejected),
        (409, "concurrent_idempotent_requests", IdempotencyInProgress),
        (409, "invalid_idempotent_request", IdempotencyConflict),
        (409, "resource_locked", VendorFailed),
        (422, "missing_required_field", InvalidRequest),
        (429, "daily_quota_exceeded", RateLimitExceeded),
        (429, "monthly_quota_exceeded", RateLimitExceeded),
        (429, "rate_limit_exceeded", RateLimitExceeded),
        (500, "application_error", VendorFailed),
        (503, "service_unavailable", VendorFailed),
        (401, "something_new", AuthenticationFailed),
        (500, "internal_server_error", VendorFailed),
        (429, "something_new", RateLimitExceeded),
        (502, "something_new", VendorFailed),
        (418, "something_new", VendorRejected),
    ],
)
def test_error_names_are_classified(status: int, name: str, kind: type[Any]) -> None:
    """The name of a Resend error decides its class; for an unknown name the status decides."""
    error: Any = classify(Request.get("/"), reply({"name": name, "message": "no"}, status))

    assert type(error) is kind
    assert getattr(error, "vendor_code", name) == name
    assert getattr(error, "vendor_message", "no") == "no"


@pytest.mark.parametrize(
    "response",
    [
        reply({"id": "m-1", "name": "x"}),
        Response(403, body=b"error code: 1010"),
        reply({"message": "x"}, 400),
        reply([], 400),
    ],
)
def test_other_errors_are_classified_by_status(response: Response) -> None:
    """A Resend error without a name is classified by its status."""
    assert None is classify(Request.get("/"), response)


def test_user_agent_is_sent() -> None:
    """Each request has a user agent, because Resend refuses requests without one."""
    sandbox, mail_hub = resend_hub()
    mail_hub.email().send_transactional(mail())

    assert "moorage" == sandbox.requests[0].headers.get("user-agent")


def test_resend_daily_counts_have_contract_names() -> None:
    """Resend's daily counts have the contract's names."""
    sandbox, mail_hub = resend_hub()
    sandbox.days = [
        {"period": "2026-02-28", "received": 100},
        {"period": "2026-03-01", "received": 10, "sent": 9, "delivered": 8, "failed": 1},
        {"period": "2026-03-02", "received": 1, "bounced": 1, "suppressed": 2, "opened": 3},
    ]
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2), granularity="month")
    result = mail_hub.email().get_statistics(query)

    assert [date(2026, 3, 1)] == [row.date for row in result.rows]
    assert (
        EmailCounts(
            requested=11,
            processed=9,
            delivered=8,
            deferred=0,
            bounced=1,
            blocked=2,
            dropped=1,
            opened=3,
            unique_opened=0,
            clicked=0,
            unique_clicked=0,
            complained=0,
            unsubscribed=0,
        )
        == result.totals
    )


@pytest.mark.parametrize("answer", [{}, {"data": {}}, {"data": [{"sent": 1}]}, []])
def test_days_without_dates_are_malformed(answer: object) -> None:
    """Resend statistics without dates are a malformed response."""
    sandbox, mail_hub = resend_hub()
    sandbox.fail(reply(answer))
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 1))
    with pytest.raises(VendorFailed):
        mail_hub.email().get_statistics(query)
