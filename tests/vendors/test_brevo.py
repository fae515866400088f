"""Brevo: messages, errors and statistics."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
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
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery
from moorage.domain.http.requests import Request, Response
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.brevo import BrevoSandbox
from moorage.vendors.email.brevo import Brevo, mail_body
from tests.vendors.brevo_account import brevo_hub
from tests.vendors.email_hubs import hub, mail

REFUSALS: Any = Brevo.refusals
MARCH = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))
ALLOWED = (
    "xlsx xls ods docx docm doc csv pdf txt gif jpg jpeg png tif tiff rtf bmp cgm css shtml html"
    " htm zip xml ppt pptx tar ez ics mobi msg pub eps odt mp3 m4a m4v wma ogg flac wav aif aifc"
    " aiff mp4 mov avi mkv mpeg mpg wmv pkpass xlsm"
)
"""The endings that Brevo's reference lists."""


def test_fields_of_a_message() -> None:
    """Each field of an email appears where Brevo expects it in the request body."""
    body = mail_body(
        Brevo(),
        mail(
            to=["Ada Lovelace <ada@example.com>", "bob@example.com"],
            cc="carol@example.com",
            bcc="dan@example.com",
            reply_to="Service <service@example.com>",
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[Attachment(filename="a.txt", content=b"a", content_type="text/plain")],
            tags=["invoice", "march"],
            metadata={"invoice": "7"},
            send_at=datetime(2030, 1, 2, 3, 4, 5, 678_000, timezone(timedelta(hours=2))),
            extra={"brevo": {"preheader": "Yours"}, "sendgrid": {"x": 1}},
        ),
    )

    assert {
        "sender": {"email": "shop@example.com", "name": "Shop"},
        "to": [{"email": "ada@example.com", "name": "Ada Lovelace"}, {"email": "bob@example.com"}],
        "cc": [{"email": "carol@example.com"}],
        "bcc": [{"email": "dan@example.com"}],
        "replyTo": {"email": "service@example.com", "name": "Service"},
        "subject": "Hi",
        "textContent": "Hello.",
        "htmlContent": "<p>",
        "headers": {"X-Kunde": "=?utf-8?b?w7w=?=", "X-Mailin-custom": '{"invoice":"7"}'},
        "attachment": [{"name": "a.txt", "content": "YQ=="}],
        "tags": ["invoice", "march"],
        "scheduledAt": "2030-01-02T01:04:05.678Z",
        "preheader": "Yours",
    } == body


def test_request_of_a_message() -> None:
    """An email is posted to Brevo with the API key in Brevo's own header."""
    sandbox, mail_hub = brevo_hub()
    receipt = mail_hub.email().send_transactional(mail())
    [request] = sandbox.requests

    assert ("POST", "api.brevo.com", "/v3/smtp/email") == (
        request.method,
        request.host,
        request.path,
    )
    assert ("xkeysib-sandbox-key", "application/json", None) == (
        request.headers.get("api-key"),
        request.headers.get("accept"),
        request.headers.get("authorization"),
    )
    assert {
        "sender": {"email": "shop@example.com", "name": "Shop"},
        "to": [{"email": "ada@example.com"}],
        "subject": "Hi",
        "textContent": "Hello.",
    } == json.loads(request.body)
    assert EmailStatus.QUEUED is receipt.status


def test_brevo_answers_scheduled_email_with_202() -> None:
    """Brevo responds to a scheduled email with 202, and its receipt has the state scheduled."""
    sandbox, mail_hub = brevo_hub()
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    receipt = mail_hub.email().send_transactional(mail(send_at=moment))

    assert EmailStatus.SCHEDULED is receipt.status
    assert EmailStatus.SCHEDULED is receipt.recipients[0].status
    assert "2030-01-01T00:00:00.000Z" == json.loads(sandbox.requests[0].body)["scheduledAt"]
    assert {"messageId", "batchId"} == set(receipt.raw)


def test_id_has_no_brackets() -> None:
    """The reference of an email has Brevo's message id without its brackets."""
    sandbox, mail_hub = brevo_hub()
    sandbox.fail(reply({"messageId": "<2026.7@smtp-relay.mailin.fr>"}, 201))
    receipt = mail_hub.email().send_transactional(mail())

    assert "2026.7@smtp-relay.mailin.fr" == receipt.ref.id
    assert {"messageId": "<2026.7@smtp-relay.mailin.fr>"} == receipt.raw


@pytest.mark.parametrize(
    "name, sent_name",
    [
        ("Lovelace, Ada", "Lovelace, Ada"),
        ("Zoë's Shop", "Zoë's Shop"),
        ("Müller, Zoë", "=?utf-8?b?TcO8bGxlciwgWm/Dqw==?="),
        ("Zoë (Shop)", "=?utf-8?b?Wm/DqyAoU2hvcCk=?="),
    ],
)
def test_name_that_brevo_would_lose_is_encoded(name: str, sent_name: str) -> None:
    """A name with a comma and non-ASCII letters is sent to Brevo as a MIME encoded word."""
    body = mail_body(Brevo(), mail(to=f'"{name}" <ada@example.com>'))

    assert [{"email": "ada@example.com", "name": sent_name}] == body["to"]


def test_template_has_a_number_and_parameters() -> None:
    """A Brevo template is sent as its number, with its data and without texts."""
    template = TemplateRef("7", {"total": [1]})
    body = mail_body(Brevo(), mail(subject="", html="<p>", template=template))

    assert (7, {"total": [1]}) == (body["templateId"], body["params"])
    assert not {"subject", "textContent", "htmlContent"} & set(body)
    assert "Own" == mail_body(Brevo(), mail(subject="Own", template=template))["subject"]


def test_template_is_filled_in() -> None:
    """An email with a template arrives at Brevo."""
    sandbox, mail_hub = brevo_hub()
    mail_hub.email().send_transactional(mail(template=TemplateRef("7", {"total": [1]})))

    assert {"total": [1]} == sandbox.delivered[0].raw["params"]


def test_unknown_template_is_refused() -> None:
    """The error for an unknown template has Brevo's code."""
    _, mail_hub = brevo_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(template=TemplateRef("8")))

    assert ("document_not_found", 404) == (excinfo.value.vendor_code, excinfo.value.status)
    assert not isinstance(excinfo.value, InvalidRequest)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"reply_to": ["a@example.com", "b@example.com"]}, "reply_to"),
        ({"template": TemplateRef("welcome")}, "template.id"),
        ({"template": TemplateRef("٤")}, "template.id"),
        ({"template": TemplateRef("7" * 19)}, "template.id"),
        ({"metadata": {"kunde": "ü"}}, "metadata"),
        ({"metadata": {"a": "b"}, "headers": {"x-mailin-Custom": "c"}}, "metadata"),
        ({"attachments": [Attachment(filename="a.exe", content=b"")]}, "attachments"),
        ({"attachments": [Attachment(filename="pdf", content=b"")]}, "attachments"),
        ({"attachments": [Attachment(filename="a.dat", content=b"")]}, "attachments"),
        (
            {"attachments": [Attachment(filename="a.PDF", content=b"", content_type="text/csv")]},
            "attachments",
        ),
    ],
)
def test_message_that_brevo_does_not_accept(changes: dict[str, Any], field: str) -> None:
    """A message that Brevo does not accept is refused before sending; the error names the field."""
    sandbox, mail_hub = brevo_hub()
    with pytest.raises(InvalidData) as excinfo:
        mail_hub.email().send_transactional(mail(**changes))

    assert field == excinfo.value.field
    assert excinfo.value.remedy
    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "headers, sentence",
    [({}, "non-ASCII characters"), ({"X-Mailin-Custom": "c"}, "sets the header")],
)
def test_error_about_brevo_metadata_says_if_characters_are_invalid_or_header_has_name(
    headers: dict[str, str], sentence: str
) -> None:
    """An error about Brevo metadata says whether characters or a header's name are the problem."""
    with pytest.raises(InvalidData, match=sentence):
        mail_body(Brevo(), mail(metadata={"a": "ü"}, headers=headers))


@pytest.mark.parametrize(
    "filename, content_type",
    [
        *((f"a.{ending}", "application/octet-stream") for ending in ALLOWED.split()),
        ("a.PDF", "application/pdf"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.mov", "video/quicktime"),
        ("a.b.csv", "text/csv"),
        ("a.css", "text/css"),
        ("a.gif", "image/gif"),
        ("a.htm", "text/html"),
        ("a.html", "text/html"),
        ("a.ics", "text/calendar"),
        ("a.jpeg", "image/jpeg"),
        ("a.jpg", "image/jpeg"),
        ("a.png", "image/png"),
        ("a.zip", "application/zip"),
    ],
)
def test_file_that_brevo_accepts(filename: str, content_type: str) -> None:
    """Each file extension in Brevo's list is accepted, with its own content type."""
    sandbox, mail_hub = brevo_hub()
    file = Attachment(filename=filename, content=b"\x00", content_type=content_type)
    mail_hub.email().send_transactional(mail(attachments=[file]))

    assert filename == sandbox.delivered[0].items[0].filename


@pytest.mark.parametrize("ending", ["css", "gif", "htm", "html", "ics", "jpeg", "jpg", "zip"])
def test_type_that_belongs_to_another_ending(ending: str) -> None:
    """A file is refused for Brevo if its content type does not suit the ending of its name."""
    file = Attachment(filename=f"a.{ending}", content=b"", content_type="application/pdf")
    with pytest.raises(InvalidData, match=rf"ends in \.{ending}"):
        mail_body(Brevo(), mail(attachments=[file]))


def test_file_alone_has_a_text() -> None:
    """An email that consists only of files is sent to Brevo with a space as its text."""
    file = Attachment(filename="a.pdf", content=b"")
    body = mail_body(Brevo(), mail(text=None, attachments=[file]))

    assert " " == body["textContent"]
    assert "textContent" not in mail_body(Brevo(), mail(text=None, html="<p>"))


def test_missing_sender_is_refused() -> None:
    """An email without a sender, from an account without one, is refused for Brevo."""
    with pytest.raises(ConfigurationError, match="sender"):
        mail_body(Brevo(), mail(from_=None))

    body = mail_body(Brevo(sender="Own <own@example.com>"), mail(from_=None))
    assert {"email": "own@example.com", "name": "Own"} == body["sender"]


def test_key_comes_from_the_provider() -> None:
    """Without its own key a Brevo account uses the credential provider."""
    sandbox = BrevoSandbox()
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.api_key(sandbox.api_key, header="api-key"))
    hub(Brevo(), sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "invalid_parameter", InvalidRequest),
        (400, "missing_parameter", InvalidRequest),
        (401, "unauthorized", AuthenticationFailed),
        (400, "unauthorized", AuthenticationFailed),
        (401, "other", AuthenticationFailed),
        (402, "not_enough_credits", VendorRejected),
        (403, "permission_denied", VendorRejected),
        (404, "document_not_found", VendorRejected),
        (405, "method_not_allowed", InvalidRequest),
        (406, "not_acceptable", InvalidRequest),
        (413, "too_large", InvalidRequest),
        (422, "unprocessable_entity", InvalidRequest),
        (429, "too_many_requests", RateLimitExceeded),
        (418, "something_new", VendorRejected),
    ],
)
def test_errors_are_classified(status: int, code: str, kind: type[Any]) -> None:
    """A Brevo error's class follows from its status and code, and the code is kept."""
    response = reply({"code": code, "message": "no: ada@example.com"}, status)
    error: Any = REFUSALS(Request.post("/"), response)

    assert type(error) is kind
    assert (code, status) == (error.vendor_code, error.status)
    assert error.vendor_message.startswith("no: ")
    assert "ada@" not in error.vendor_message
    assert "Brevo refused" in str(error)


def test_key_without_permission_cannot_read() -> None:
    """A 403 response to a read request is an error about the API key, not about a message."""
    response = reply({"code": "permission_denied", "message": "no"}, 403)

    assert isinstance(REFUSALS(Request.get("/"), response), AuthenticationFailed)


@pytest.mark.parametrize("response", [Response(503, body=b"x"), Response(403), reply({}, 201)])
def test_other_answers_are_judged_by_status(response: Response) -> None:
    """A Brevo response without a code and a message is classified by its status."""
    assert None is REFUSALS(Request.post("/"), response)


def test_pause_that_brevo_asks_for() -> None:
    """Brevo's own headers say when its rate limit ends."""
    sandbox, mail_hub = brevo_hub()
    fields = {"x_sib_ratelimit_remaining": "0", "x_sib_ratelimit_reset": "17"}
    sandbox.fail(reply({"message": "Too many."}, 429, x_sib_ratelimit_limit="100", **fields))
    with pytest.raises(RateLimitExceeded) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert excinfo.value.by_vendor
    assert 17.0 == excinfo.value.vendor_retry_after


@pytest.mark.parametrize("answer", [{}, [], {"messageId": None}, {"messageId": "<>"}])
def test_success_without_an_id_is_malformed(answer: object) -> None:
    """A Brevo success without a message id is a malformed response."""
    sandbox, mail_hub = brevo_hub()
    sandbox.fail(reply(answer, 201))
    with pytest.raises(VendorFailed) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert not excinfo.value.retryable


def test_brevo_daily_counts_have_contract_names() -> None:
    """Brevo's daily counts are returned under the contract's names."""
    sandbox, mail_hub = brevo_hub()
    sandbox.days = [
        {"date": "2026-02-28", "requests": 1_000},
        {
            "date": "2026-03-01",
            "requests": 10,
            "delivered": 9,
            "hardBounces": 1,
            "softBounces": 2,
            "clicks": 6,
            "uniqueClicks": 5,
            "opens": 8,
            "uniqueOpens": 7,
            "spamReports": 3,
            "blocked": 4,
            "invalid": 11,
            "unsubscribed": 12,
        },
        {"date": "2026-03-02", "requests": 1, "softBounces": 1},
        {"date": "2026-03-03", "requests": 100},
    ]
    result = mail_hub.email().get_statistics(MARCH)

    assert [date(2026, 3, 1), date(2026, 3, 2)] == [row.date for row in result.rows]
    assert (
        EmailCounts(
            requested=11,
            delivered=9,
            bounced=4,
            blocked=4,
            dropped=11,
            opened=8,
            unique_opened=7,
            clicked=6,
            unique_clicked=5,
            complained=3,
            unsubscribed=12,
        )
        == result.totals
    )
    assert EmailCounts(requested=1, bounced=1) == result.rows[1].counts
    assert {"reports": sandbox.days[1:3]} == result.raw
    assert [
        {
            "startDate": "2026-03-01",
            "endDate": "2026-03-02",
            "sort": "asc",
            "limit": "30",
            "offset": "0",
        }
    ] == [dict(request.query) for request in sandbox.requests]


@pytest.mark.parametrize("days, offsets", [(30, [0]), (31, [0, 30]), (75, [0, 30, 60])])
def test_long_statistics_have_pages(days: int, offsets: list[int]) -> None:
    """A long range of days is read from Brevo in pages of thirty days, each page once."""
    sandbox, mail_hub = brevo_hub()
    first = date(2026, 1, 1)
    sandbox.days = [
        {"date": (first + timedelta(days=number)).isoformat(), "requests": 1}
        for number in range(days)
    ]
    query = StatisticsQuery(start=first, end=first + timedelta(days=days - 1))
    result = mail_hub.email().get_statistics(query)

    assert (days, days) == (len(result.rows), result.totals.requested)
    assert offsets == [int(dict(request.query)["offset"]) for request in sandbox.requests]


def test_account_without_statistics() -> None:
    """A Brevo response without reports gives no rows of statistics."""
    sandbox, mail_hub = brevo_hub()
    sandbox.fail(reply({}))

    assert () == mail_hub.email().get_statistics(MARCH).rows


@pytest.mark.parametrize(
    "answer", [[], {"reports": {"date": 1}}, {"reports": "x"}, {"reports": [{"requests": 1}]}]
)
def test_reports_without_dates_are_malformed(answer: object) -> None:
    """Brevo statistics without dates are a malformed response."""
    sandbox, mail_hub = brevo_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed):
        mail_hub.email().get_statistics(MARCH)
