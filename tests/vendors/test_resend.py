"""Resend: requests, responses and webhooks."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from moorage import (
    Account,
    AuthenticationFailed,
    ConnectionFailed,
    Credentials,
    Hub,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Ref,
    Timeouts,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailCounts, EmailStatus, StatisticsQuery
from moorage.domain.http.requests import Request, Response
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.vendors.email._common import messages_of
from moorage.vendors.email._resend_answers import classify
from moorage.vendors.email.resend import Resend, mail_body
from tests.support.openapi import Json, problems
from tests.vendors.email_hubs import hub, mail
from tests.vendors.subjects.resend import resend_vendor

URL = "https://erp.example/hooks"
PDF = Attachment(filename="a.pdf", content=b"%PDF", content_type="application/pdf")


def _open_hub(**options: Any) -> tuple[ResendSandbox, Any]:
    sandbox = ResendSandbox()
    return sandbox, hub(resend_vendor(sandbox, **options), sandbox)


def test_fields_of_a_message() -> None:
    """Every field of a message is sent in its place of the body."""
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


def test_html_alone_stays_alone() -> None:
    """A message without a text says so, or Resend would generate one."""
    sandbox, mail_hub = _open_hub()
    mail_hub.email().send_transactional(mail(text=None, html="<p>Hi</p>"))

    assert (None, "<p>Hi</p>") == (sandbox.delivered[0].text, sandbox.delivered[0].html)


def test_template_is_filled_in() -> None:
    """A template provides the texts, and the subject unless the message has one."""
    body = mail_body(Resend(), mail(template=TemplateRef("welcome", {"name": "Ada", "n": 2})))
    template_body = mail_body(Resend(), mail(template=TemplateRef("welcome"), subject=""))

    assert {"id": "welcome", "variables": {"name": "Ada", "n": 2}} == body["template"]
    assert "Hi" == body["subject"]
    assert {"from", "to", "template"} == set(template_body)
    assert {"id": "welcome"} == template_body["template"]


def test_template_takes_texts_and_whole_numbers() -> None:
    """Template data other than texts and whole numbers are refused before sending."""
    sandbox, mail_hub = _open_hub()
    with pytest.raises(InvalidData, match="neither a text nor a whole number"):
        mail_hub.email().send_transactional(mail(template=TemplateRef("welcome", {"name": []})))

    assert [] == sandbox.requests


def test_bulk_template_data_is_merged() -> None:
    """Common template data is merged with each recipient's."""
    base = mail(to=(), template=TemplateRef("welcome", {"name": "you"}), headers={"X-A": "1"})
    custom_recipient = BulkRecipient(to="a@example.com", data={"name": "Ada"}, headers={"X-B": "2"})
    bulk = BulkMessage(base=base, recipients=[custom_recipient, "b@example.com"])
    first, second = [mail_body(Resend(), item) for item in messages_of(bulk)]

    assert ({"name": "Ada"}, {"name": "you"}) == (
        first["template"]["variables"],
        second["template"]["variables"],
    )
    assert {"X-A": "1", "X-B": "2"} == first["headers"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"tags": ["grüße"]}, "characters that Resend"),
        ({"metadata": {"a b": "1"}}, "characters that Resend"),
        ({"metadata": {f"m{number}": "1" for number in range(76)}}, "takes 75"),
        (
            {"attachments": [Attachment(filename="a.PDF", content=b"", content_type="text/plain")]},
            "never send it",
        ),
    ],
)
def test_unsupported_content_is_refused(changes: dict[str, Any], words: str) -> None:
    """Texts that Resend refuses, and files that it drops, are refused before sending."""
    sandbox, mail_hub = _open_hub()
    with pytest.raises(InvalidData, match=words):
        mail_hub.email().send_transactional(mail(**changes))

    assert [] == sandbox.requests


def test_sandbox_drops_odd_attachments() -> None:
    """A message with an invalid attachment is accepted and never delivered."""
    sandbox, mail_hub = _open_hub()
    file = {"filename": "a.pdf", "content": "", "content_type": "text/plain"}
    body = {**USUAL, "attachments": [file]}

    assert 200 == mail_hub.manager.call("mail", Request.post("/emails", json=body)).status
    assert [] == sandbox.delivered


def test_lost_answer_without_a_key_is_not_retried() -> None:
    """A message without a key is not sent again after a lost response."""
    sandbox, mail_hub = _open_hub()
    sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        mail_hub.email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


def test_lost_batch_is_retried_with_its_key() -> None:
    """A batch with a lost answer is sent again, and delivered once."""
    sandbox, mail_hub = _open_hub()
    sandbox.fail(Lost())
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [True, True] == [result.ok for result in results]
    assert 2 == len(sandbox.delivered)
    keys = [request.headers.get("idempotency-key") for request in sandbox.requests]
    assert ["news/1", "news/1"] == keys


def test_tenants_key_is_its_own() -> None:
    """A tenant's key is sent as its digest, since Resend keys belong to the account."""
    sandbox, mail_hub = _open_hub()
    mail_hub.email(tenant="acme").send_transactional(mail(), idempotency_key="INV-7")
    mail_hub.email().send_transactional(mail(), idempotency_key="INV-7")
    first, second = [request.headers.get("idempotency-key") for request in sandbox.requests]

    assert ("INV-7", 64) == (second, len(first or ""))
    assert 2 == len(sandbox.delivered)


def test_refused_message_of_a_bulk() -> None:
    """The error of one message affects no other."""
    sandbox, mail_hub = _open_hub()
    bulk = BulkMessage(
        base=mail(to=()), recipients=["a@example.com", "refused@example.com", "b@example.com"]
    )
    one, two, three = mail_hub.email().send_bulk(bulk)

    assert (True, False, True) == (one.ok, two.ok, three.ok)
    assert ("mail", InvalidRequest) == (two.error.service, type(two.error))
    assert "refused@" not in str(two.error)
    assert ["a@example.com", "b@example.com"] == [
        result.value.recipients[0].email for result in (one, three)
    ]
    assert 2 == len(sandbox.delivered)


def test_files_of_a_bulk_go_one_by_one() -> None:
    """Messages of a bulk with files are sent one by one, each with its own key."""
    sandbox, mail_hub = _open_hub()
    bulk = BulkMessage(
        base=mail(to=(), attachments=[PDF], text="Dear {{name}}"),
        recipients=[
            BulkRecipient(to=f"person{number}@example.com", data={"name": str(number)})
            for number in range(3)
        ]
        + [BulkRecipient(to="refused@example.com", data={"name": "x"})],
    )
    results = mail_hub.email().send_bulk(bulk, idempotency_key="news")
    repeated_results = mail_hub.email().send_bulk(bulk, idempotency_key="news")

    assert [True, True, True, False] == [result.ok for result in results]
    assert {"Dear 0", "Dear 1", "Dear 2"} == {message.text for message in sandbox.delivered}
    assert {f"news/1/{number}" for number in range(1, 5)} == {
        request.headers.get("idempotency-key") for request in sandbox.requests
    }
    assert [result.value for result in results] == [item.value for item in repeated_results]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": {}},
        {"data": [{"id": "m-1"}]},
        {"data": [{"id": "m-1"}, {"id": "m-2"}], "errors": [{"index": 0}]},
    ],
)
def test_batch_is_answered_for_each(answer: dict[str, Any]) -> None:
    """A batch without a result for each message is malformed."""
    sandbox, mail_hub = _open_hub()
    sandbox.fail(reply(answer))
    bulk = BulkMessage(base=mail(to=()), recipients=["a@example.com", "b@example.com"])
    results = mail_hub.email().send_bulk(bulk)

    assert [VendorFailed] * 2 == [type(result.error) for result in results]
    assert not any(result.error.retryable for result in results)


def test_malformed_entry_of_a_batch() -> None:
    """A malformed entry does not affect the others."""
    sandbox, mail_hub = _open_hub()
    batch_entries = ["odd", {"id": 7}, {"id": "."}]
    sandbox.fail(reply({"data": batch_entries, "errors": [{"index": 9}, {"index": 1}]}))
    people = [f"person{number}@example.com" for number in range(5)]
    results = mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=people))

    assert [VendorFailed, InvalidRequest, type(None), InvalidData, VendorFailed] == [
        type(result.error) for result in results
    ]
    assert "7" == results[2].value.ref.id


def test_scheduled_message_is_scheduled() -> None:
    """A message for later has the status scheduled, alone or in a bulk."""
    _, mail_hub = _open_hub()
    at = datetime(2031, 5, 6, tzinfo=UTC)
    receipt = mail_hub.email().send_transactional(mail(send_at=at))
    bulk = BulkMessage(base=mail(to=(), send_at=at), recipients=["a@example.com"])

    assert EmailStatus.SCHEDULED is receipt.status
    assert EmailStatus.SCHEDULED is mail_hub.email().send_bulk(bulk)[0].unwrap().status


def test_key_comes_from_the_provider() -> None:
    """Without a key of its own the account uses the credential provider."""
    sandbox = ResendSandbox()
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.bearer(sandbox.api_key))
    hub(Resend(), sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize(
    "status, name, kind",
    [
        (400, "validation_error", InvalidRequest),
        (400, "invalid_idempotency_key", InvalidRequest),
        (401, "missing_api_key", AuthenticationFailed),
        (401, "restricted_api_key", AuthenticationFailed),
        (403, "invalid_api_key", AuthenticationFailed),
        (403, "validation_error", VendorRejected),
        (404, "not_found", VendorRejected),
        (409, "concurrent_idempotent_requests", IdempotencyInProgress),
        (409, "invalid_idempotent_request", IdempotencyConflict),
        (409, "resource_locked", VendorFailed),
        (422, "missing_required_field", InvalidRequest),
        (429, "daily_quota_exceeded", RateLimitExceeded),
        (429, "rate_limit_exceeded", RateLimitExceeded),
        (500, "application_error", VendorFailed),
        (401, "something_new", AuthenticationFailed),
        (429, "something_new", RateLimitExceeded),
        (502, "something_new", VendorFailed),
        (418, "something_new", VendorRejected),
    ],
)
def test_error_names_are_classified(status: int, name: str, kind: type[Any]) -> None:
    """Resend's name of an error decides its class, or else the status."""
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
    """Without an error name the status decides."""
    assert None is classify(Request.get("/"), response)


def test_user_agent_is_sent() -> None:
    """Each request has a user agent, without which Resend refuses it."""
    sandbox, mail_hub = _open_hub()
    mail_hub.email().send_transactional(mail())

    assert "moorage" == sandbox.requests[0].headers.get("user-agent")


def test_daily_statistics() -> None:
    """Daily counts have the contract's names."""
    sandbox, mail_hub = _open_hub()
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
    """Statistics without dates are a malformed response."""
    sandbox, mail_hub = _open_hub()
    sandbox.fail(reply(answer))
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 1))
    with pytest.raises(VendorFailed):
        mail_hub.email().get_statistics(query)


def _event(kind: str, **data: Any) -> dict[str, Any]:
    default_data = {"email_id": "m-1", "to": ["ada@example.com"], "subject": "Hi"}
    return {
        "type": kind,
        "created_at": "2026-03-01T12:00:00.123Z",
        "data": {**default_data, **data},
    }


def test_webhooks_are_signed_and_become_events() -> None:
    """A signed webhook gives an event for each recipient of a message."""
    sandbox, mail_hub = _open_hub()
    receipt = mail_hub.email().send_transactional(mail())
    result = _event(
        "email.bounced",
        email_id=receipt.ref.id,
        to=["Ada, Countess <ada@example.com>", "bob@example.com"],
        bounce={"message": "no", "subType": "MailboxFull", "type": "Transient"},
        tags={"invoice": "7", "tag_news": "true", "vip": "true"},
    )
    verifier = mail_hub.webhooks("mail", clock=SystemClock(), secrets=sandbox.webhook_secret)
    notice = sandbox.tell(URL, result, datetime.now(UTC))
    [webhook] = verifier.verify(**notice.arguments())
    first, second = mail_hub.events("mail", webhook)

    assert Ref("resend", "mail", receipt.ref.id) == first.ref
    assert (EmailStatus.BOUNCED, "email.bounced", "MailboxFull", "no", False) == (
        first.status,
        first.vendor_status,
        first.code,
        first.reason,
        first.permanent,
    )
    assert datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC) == first.at
    assert (("news",), {"invoice": "7", "vip": "true"}) == (first.tags, first.metadata)
    assert ["ada@example.com", "bob@example.com"] == [first.email, second.email]
    assert [f"{webhook.id}/1", f"{webhook.id}/2"] == [first.id, second.id]
    with pytest.raises(WebhookRejected):
        verifier.verify(headers=notice.headers, body=notice.body + b" ")


@pytest.mark.parametrize(
    "table, status, code, url",
    [
        (_event("email.sent"), EmailStatus.SENT, None, None),
        (_event("email.delivery_delayed"), EmailStatus.DEFERRED, None, None),
        (
            _event("email.clicked", click={"link": "https://a/"}),
            EmailStatus.CLICKED,
            None,
            "https://a/",
        ),
        (
            _event("email.suppressed", suppressed={"reason": "previous_bounce"}),
            EmailStatus.REJECTED,
            "previous_bounce",
            None,
        ),
        (_event("email.failed", failed={"reason": "quota"}), EmailStatus.FAILED, None, None),
        (_event("email.teleported", to=None), EmailStatus.UNKNOWN, None, None),
    ],
)
def test_every_kind_of_event_is_known(
    table: dict[str, Any], status: EmailStatus, code: str | None, url: str | None
) -> None:
    """Each event has its status, and an unknown one is kept as unknown."""
    webhook = WebhookEvent(vendor="svix", id="e1", type="x", vendor_type="x", payload=table)
    [event] = _open_hub()[1].events("mail", webhook)

    assert (status, code, url, "e1") == (event.status, event.code, event.url, event.id)
    assert (False if status is EmailStatus.DEFERRED else None) is event.permanent
    assert table == event.raw


@pytest.mark.parametrize(
    "payload",
    [_event("email.received"), {"type": "contact.created", "data": {"id": "c"}}, {"data": 1}, []],
)
def test_other_webhooks_give_no_events(payload: object) -> None:
    """Webhooks about incoming mail, contacts and domains give no message events."""
    webhook = WebhookEvent(vendor="svix", id="e1", type="x", vendor_type="x", payload=payload)

    assert () == _open_hub()[1].events("mail", webhook)


USUAL: dict[str, Any] = {
    "from": "shop@example.com",
    "to": "a@example.com",
    "subject": "Hi",
    "text": "x",
}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"from": ""}, "missing_required_field"),
    ({"to": []}, "missing_required_field"),
    ({"to": "nobody"}, "validation_error"),
    ({"to": [f"a{number}@example.com" for number in range(51)]}, "validation_error"),
    ({"text": ""}, "validation_error"),
    ({"Subject": "x"}, "validation_error"),
    ({"tags": {"a": "b"}}, "validation_error"),
    ({"headers": []}, "validation_error"),
    ({"tags": [{"name": "a b", "value": "c"}]}, "validation_error"),
    ({"attachments": [{"filename": "a"}]}, "invalid_attachment"),
    ({"template": {"id": "welcome"}}, "validation_error"),
    ({"text": "x" * 42_000_000}, "validation_error"),
]


@pytest.mark.parametrize("change, name", WRONG)
def test_sandbox_is_strict(change: dict[str, Any], name: str) -> None:
    """The sandbox refuses what Resend would refuse."""
    _, mail_hub = _open_hub()
    send = partial(mail_hub.manager.call, "mail")
    assert 200 == send(Request.post("/emails", json=USUAL)).status
    with pytest.raises(InvalidRequest) as excinfo:
        send(Request.post("/emails", json={**USUAL, **change}))

    assert name == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "path, body, name",
    [
        ("/emails", [], "validation_error"),
        ("/emails", {"from": "a@b.c", "to": "a@b.c", "text": "x"}, "missing_required_field"),
        ("/emails/batch", {}, "validation_error"),
        ("/emails/batch", [USUAL] * 101, "validation_error"),
        ("/emails/batch", [USUAL, {**USUAL, "to": ""}], "missing_required_field"),
        ("/emails/batch", [{**USUAL, "attachments": []}], "validation_error"),
    ],
)
def test_sandbox_wants_the_right_shape(path: str, body: object, name: str) -> None:
    """A batch that is not permissive fails as a whole."""
    sandbox, mail_hub = _open_hub()
    with pytest.raises(InvalidRequest) as excinfo:
        mail_hub.manager.call("mail", Request.post(path, json=body))

    assert name == excinfo.value.vendor_code
    assert [] == sandbox.delivered


@pytest.mark.parametrize(
    "template",
    [{"id": "none"}, {"id": "welcome"}, {"id": "welcome", "variables": {"name": []}}, {"x": 1}],
)
def test_sandbox_knows_its_templates(template: dict[str, Any]) -> None:
    """A template must exist and get its variables."""
    _, mail_hub = _open_hub()
    body = {"from": "a@b.c", "to": "a@b.c", "template": template}
    with pytest.raises(VendorRejected):
        mail_hub.manager.call("mail", Request.post("/emails", json=body))


def test_strict_batch_that_is_right_is_taken() -> None:
    """A valid strict batch is accepted, and its response has no list of errors."""
    _, mail_hub = _open_hub()
    answer = mail_hub.manager.call("mail", Request.post("/emails/batch", json=[USUAL]))

    assert {"data"} == set(answer.json())


@pytest.mark.parametrize(
    "headers, kind",
    [
        ({"Idempotency-Key": "k" * 257}, InvalidRequest),
        ({"Idempotency-Key": "taken"}, IdempotencyConflict),
    ],
)
def test_sandbox_knows_its_keys(headers: dict[str, str], kind: type[Any]) -> None:
    """A key has a maximum length, and belongs to one body."""
    _, mail_hub = _open_hub()
    send = partial(mail_hub.manager.call, "mail")
    send(Request.post("/emails", json=USUAL, headers={"Idempotency-Key": "taken"}))
    with pytest.raises(kind):
        send(Request.post("/emails", json={**USUAL, "text": "y"}, headers=headers))


@pytest.mark.parametrize(
    "headers, status",
    [({"Authorization": "Bearer re_sandbox_key"}, 403), ({"User-Agent": "x"}, 401)],
)
def test_sandbox_needs_a_key_and_a_user_agent(headers: dict[str, str], status: int) -> None:
    """A request without a key or a user agent is refused."""
    request = Request.post("/emails", json=USUAL, headers=headers)
    client = SandboxHttpClient(ResendSandbox())

    assert status == client.send(request, "https://api.resend.com/emails", Timeouts()).status


def test_sandbox_refuses_unknown_parameters() -> None:
    """Unknown parameters of metrics are refused."""
    _, mail_hub = _open_hub()
    with pytest.raises(InvalidRequest):
        mail_hub.manager.call("mail", Request.get("/emails/metrics", query={"from": "x"}))


def test_unverified_domain_is_refused() -> None:
    """An unverified domain is refused."""
    _, mail_hub = _open_hub()
    with pytest.raises(VendorRejected) as excinfo:
        mail_hub.email().send_transactional(mail(from_="a@unverified.example"))

    assert "validation_error" == excinfo.value.vendor_code


def test_sandbox_listens_on_a_port() -> None:
    """The sandbox works over a real connection."""
    sandbox = ResendSandbox()
    with sandbox.serving() as server:
        vendor = resend_vendor(sandbox, base_url=server.url)
        with Hub([Account("mail", vendor)]) as mail_hub:
            mail_hub.email().send_transactional(mail())

    assert ("ada@example.com",) == sandbox.delivered[0].to


TEXT: Json = {"type": "string"}
TEXTS: Json = {"type": "array", "items": TEXT}


def fields(required: str, **properties: Json) -> Json:
    """Return the schema of an object with these fields and no others."""
    return {"type": "object", "required": required.split(), "properties": properties}


MESSAGE = fields(
    "from to",
    to=TEXTS,
    cc=TEXTS,
    bcc=TEXTS,
    reply_to=TEXTS,
    subject=TEXT,
    html=TEXT,
    text=TEXT,
    template=fields("id", id=TEXT, variables={"type": "object"}),
    headers={"type": "object"},
    scheduled_at=TEXT,
    attachments={
        "type": "array",
        "items": fields(
            "content filename", content=TEXT, filename=TEXT, content_type=TEXT, content_id=TEXT
        ),
    },
    tags={"type": "array", "items": fields("name value", name=TEXT, value=TEXT)},
    **{"from": TEXT},
)
OURS: Json = {
    "paths": {
        path: {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}
        for path, schema in {
            "/emails": MESSAGE,
            "/emails/batch": {"type": "array", "items": MESSAGE},
        }.items()
    }
}
"""What Resend says of messages, as far as we send them."""


@pytest.mark.parametrize("template", [None, TemplateRef("welcome", {"name": "Ada"})])
def test_requests_match_the_description(template: TemplateRef | None) -> None:
    """Each field of a request is in the description, with its type."""
    text = OURS
    sandbox = ResendSandbox()
    vendor = Resend(credentials=sandbox.api_key, sender="shop@acme.example")
    mail_hub = Hub([Account("resend", vendor)], http=SandboxHttpClient(sandbox))
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
        metadata={"number": "7"},
        send_at=datetime(2031, 5, 6, tzinfo=UTC),
        template=template,
    )
    mail_hub.email().send_transactional(message)
    base = mail(to=(), template=template)
    mail_hub.email().send_bulk(BulkMessage(base=base, recipients=["ada@example.com"]))

    assert [[], []] == [
        problems(text, request.method, request.path, json.loads(request.body))
        for request in sandbox.requests
    ]
