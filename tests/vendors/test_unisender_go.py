"""Unisender Go: fields of a message, results of recipients, refusals, suppressions, webhooks."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

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
    WebhookRejected,
)
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_outcomes import EmailStatus, RejectReason
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.base import reply
from moorage.vendors.email.unisender_go import UnisenderGo, mail_body
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.unisender_go import unisender_go_hub

URL: Final = "https://erp.example/hooks/unisender"
ADA: Final = "ada@example.com"
JOB: Final = "1sn15Z-0007Le-GtVN"
KINDS: Final = [
    ("accepted", EmailStatus.QUEUED, None, "email.queued"),
    ("sent", EmailStatus.SENT, None, "email.sent"),
    ("delivered", EmailStatus.DELIVERED, None, "email.delivered"),
    ("soft_bounced", EmailStatus.DEFERRED, False, "email.deferred"),
    ("hard_bounced", EmailStatus.BOUNCED, True, "email.bounced"),
    ("opened", EmailStatus.OPENED, None, "email.opened"),
    ("clicked", EmailStatus.CLICKED, None, "email.clicked"),
    ("unsubscribed", EmailStatus.UNSUBSCRIBED, None, "email.unsubscribed"),
    ("subscribed", EmailStatus.SUBSCRIBED, None, "email.subscribed"),
    ("spam", EmailStatus.COMPLAINED, None, "email.complained"),
    ("teleported", EmailStatus.UNKNOWN, None, "teleported"),
]
"""The listed statuses of Unisender Go, and one that is not listed."""


def body_of(message: Any, **options: Any) -> dict[str, Any]:
    """Return a message as Unisender Go gets it."""
    message_fields: dict[str, Any] = mail_body(UnisenderGo(**options), message)["message"]
    return message_fields


def event_item(status: str, **fields: Any) -> dict[str, Any]:
    """Return an event with the fields that Unisender Go's documentation shows."""
    data = {"job_id": JOB, "email": ADA, "status": status, "event_time": "2024-09-07 19:27:17"}
    return {"event_name": "transactional_email_status", "event_data": {**data, **fields}}


def events_of(*items: dict[str, Any]) -> list[Any]:
    """Return the events of items in a signed webhook."""
    sandbox, mail_hub = unisender_go_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.api_key)
    webhooks = verifier.verify(**sandbox.event_notice(URL, *items).arguments())
    return [event for webhook in webhooks for event in mail_hub.events("mail", webhook)]


def test_fields_of_a_message() -> None:
    """Each field of an email has its place in the message for Unisender Go."""
    image = Attachment(
        filename="l.png",
        content=b"l",
        content_type="image/png",
        disposition="inline",
        content_id="logo",
    )
    body = mail_body(
        UnisenderGo(),
        mail(
            to=["Ada <ada@example.com>", "bob@example.com"],
            cc="Zoë <zoe@example.com>",
            bcc="dan@example.com",
            reply_to="Büro <b@example.com>",
            html="<p>",
            amp_html="<!doctype html><html ⚡4email></html>",
            headers={"X-Kunde": "ü"},
            attachments=[Attachment(filename="a.txt", content=b"a"), image],
            tags=["invoice", "paid"],
            metadata={"invoice": "7"},
            track_opens=True,
            track_clicks=False,
            send_at=datetime(2030, 1, 1, 1, 59, 59, 1, tzinfo=timezone(timedelta(hours=1))),
            extra={"unisender_go": {"message": {"bypass_global": 1}}, "smtp": {"x": 1}},
        ),
    )

    assert {
        "message": {
            "recipients": [
                {"email": "ada@example.com", "substitutions": {"to_name": "Ada"}},
                {"email": "bob@example.com"},
                {"email": "zoe@example.com", "substitutions": {"to_name": "Zoë"}},
                {"email": "dan@example.com"},
            ],
            "headers": {
                "X-Kunde": "=?utf-8?b?w7w=?=",
                "to": "Ada <ada@example.com>, bob@example.com",
                "cc": "=?utf-8?q?Zo=C3=AB?= <zoe@example.com>",
            },
            "from_email": "shop@example.com",
            "from_name": "Shop",
            "reply_to": "b@example.com",
            "reply_to_name": "=?utf-8?b?QsO8cm8=?=",
            "subject": "Hi",
            "body": {
                "html": "<p>",
                "plaintext": "Hello.",
                "amp": "<!doctype html><html ⚡4email></html>",
            },
            "attachments": [
                {"type": "application/octet-stream", "name": "a.txt", "content": "YQ=="}
            ],
            "inline_attachments": [{"type": "image/png", "name": "logo", "content": "bA=="}],
            "global_metadata": {"invoice": "7"},
            "tags": ["invoice", "paid"],
            "track_read": 1,
            "track_links": 0,
            "options": {"send_at": "2030-01-01 01:00:00"},
            "bypass_global": 1,
        }
    } == body


def test_template_has_its_values() -> None:
    """A template is named by its id, and its values are global substitutions."""
    template = TemplateRef("t-1", {"name": "Ada", "total": "{{7}}"})
    body = body_of(mail(template=template, text=None, from_=None, subject=""))

    assert {
        "recipients": [{"email": ADA}],
        "headers": {"to": ADA},
        "template_id": "t-1",
        "global_substitutions": {"name": "Ada", "total": "{{7}}"},
    } == body
    body = body_of(mail(template=template, from_=None, html="<p>"), sender="shop@acme.example")
    assert ("shop@acme.example", "Hi", {"html": "<p>", "plaintext": "Hello."}) == (
        body["from_email"],
        body["subject"],
        body["body"],
    )


def test_template_is_sent() -> None:
    """A message with a template of the account is accepted."""
    sandbox, mail_hub = unisender_go_hub()
    [template] = sandbox.templates
    mail_hub.email().send_transactional(mail(template=TemplateRef(template, {"name": "Ada"})))

    assert template == sandbox.delivered[0].raw["template_id"]


def test_text_that_looks_like_a_substitution_stays() -> None:
    """Braces in a message without a template arrive as they were written."""
    sandbox, mail_hub = unisender_go_hub()
    mail_hub.email().send_transactional(mail(subject="{{a}}", text="{{{b}}}", html="<p>{{ c"))
    [delivered] = sandbox.delivered

    assert ("{{a}}", "{{{b}}}", "<p>{{ c") == (delivered.subject, delivered.text, delivered.html)
    assert {"braces_": "{{"} == delivered.raw["global_substitutions"]
    assert "global_substitutions" not in body_of(mail(text="a } b { c"))


def test_message_without_texts_has_a_space() -> None:
    """A message that has only a file has a space as its text."""
    body = body_of(mail(text=None, attachments=[Attachment(filename="a.txt", content=b"a")]))

    assert {"plaintext": " "} == body["body"]


def test_message_needs_a_sender() -> None:
    """The account's sender is used if the message has none; without either, it is refused."""
    assert "s@acme.example" == body_of(mail(from_=None), sender="s@acme.example")["from_email"]
    with pytest.raises(ConfigurationError):
        body_of(mail(from_=None))


@pytest.mark.parametrize(
    "name, text",
    [
        ("Lovelace, Ada", "=?utf-8?q?Lovelace=2C_Ada?="),
        ("Ada @ Work", "=?utf-8?q?Ada_=40_Work?="),
        ("Ada (Ltd.)", "=?utf-8?q?Ada_=28Ltd=2E=29?="),
        ("Ada Lovelace", "Ada Lovelace"),
    ],
)
def test_names_with_special_characters_are_encoded(name: str, text: str) -> None:
    """Special characters of a name become encoded words, which Unisender Go reads correctly."""
    body = body_of(mail(to=f'"{name}" <ada@example.com>', reply_to=f'"{name}" <b@example.com>'))

    assert f"{text} <ada@example.com>" == body["headers"]["to"]
    assert text == body["reply_to_name"]
    assert {"to_name": name} == body["recipients"][0]["substitutions"]


def test_long_name_is_only_in_the_header() -> None:
    """A recipient's name of more than 78 characters is sent in the To header only."""
    for length, is_sent in ((78, True), (79, False)):
        body = body_of(mail(to=f"{'a' * length} <ada@example.com>"))
        assert is_sent is ("substitutions" in body["recipients"][0])
        assert "a" * length in body["headers"]["to"]


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"to": [f"a{n}@example.com" for n in range(11)]}, "to"),
        ({"cc": [f"a{n}@example.com" for n in range(11)]}, "cc"),
        ({"bcc": [f"a{n}@example.com" for n in range(11)]}, "bcc"),
        ({"to": (), "cc": "zoe@example.com"}, "to"),
        ({"reply_to": ["a@example.com", "b@example.com"]}, "reply_to"),
        ({"tags": ["a", "b", "c", "d", "e"]}, "tags"),
        ({"metadata": {f"n{n}": "x" for n in range(11)}}, "metadata"),
        ({"metadata": {"n" * 65: "x"}}, "metadata"),
        ({"metadata": {"n": "x" * 1025}}, "metadata"),
        ({"headers": {"In-Reply-To": "<a@example.com>"}}, "headers"),
    ],
)
def test_unacceptable_messages(changes: dict[str, Any], field: str) -> None:
    """A message with more than Unisender Go accepts is refused before anything is sent."""
    with pytest.raises(InvalidData) as excinfo:
        body_of(mail(**changes))

    assert field == excinfo.value.field


def test_largest_acceptable_message() -> None:
    """The most addresses, tags and metadata that Unisender Go accepts are sent."""
    people = {
        field: [f"{field}{n}@example.com" for n in range(10)] for field in ("to", "cc", "bcc")
    }
    metadata = {"n" * 64: "x" * 1024, **{f"n{n}": "x" for n in range(9)}}
    sandbox, mail_hub = unisender_go_hub()
    message = mail(**people, tags=["a", "b", "c", "d"], metadata=metadata)
    receipt = mail_hub.email().send_transactional(message)

    assert 30 == len(receipt.recipients)
    assert metadata == sandbox.requests[0].json()["message"]["global_metadata"]


@pytest.mark.parametrize("url", ["https://go1.unisender.ru", "https://go2.unisender.ru"])
def test_server_of_the_account(url: str) -> None:
    """An account is on one of two servers; another address is refused."""
    sandbox, mail_hub = unisender_go_hub(base_url=url)
    mail_hub.email().send_transactional(mail())
    [request] = sandbox.requests

    assert "/ru/transactional/api/v1/email/send.json" == request.path
    assert sandbox.api_key == request.headers["x-api-key"]
    with pytest.raises(ConfigurationError, match="Unisender Go"):
        UnisenderGo(base_url=f"{url}.evil.example")


def test_receipt_names_each_recipient() -> None:
    """A refused recipient has Unisender Go's status word; the other recipients are accepted."""
    sandbox, mail_hub = unisender_go_hub()
    answer = {
        "status": "success",
        "job_id": JOB,
        "emails": ["ADA@example.com", "bob@example.com"],
        "failed_emails": {"eve@example.com": "unsubscribed", "bob@example.com": "duplicate"},
    }
    sandbox.fail(reply(answer))
    receipt = mail_hub.email().send_transactional(
        mail(to=["ada@example.com", "bob@example.com"], cc="Eve@example.com")
    )

    assert (JOB, EmailStatus.QUEUED) == (receipt.ref.id, receipt.status)
    assert [
        (ADA, EmailStatus.QUEUED, None),
        ("bob@example.com", EmailStatus.QUEUED, None),
        ("Eve@example.com", EmailStatus.REJECTED, "unsubscribed"),
    ] == [(item.email, item.status, item.code) for item in receipt.recipients]
    assert answer == receipt.raw


def test_scheduled_message() -> None:
    """A message for later is scheduled."""
    _, mail_hub = unisender_go_hub()
    message = mail(send_at=datetime.now(UTC) + timedelta(hours=1))

    assert EmailStatus.SCHEDULED is mail_hub.email().send_transactional(message).status


def test_refusal_of_all_recipients() -> None:
    """If Unisender Go refuses each recipient, the error's code is the first status word."""
    _, mail_hub = unisender_go_hub()
    with pytest.raises(VendorRejected, match="all recipients") as excinfo:
        mail_hub.email().send_transactional(mail(to="refused@example.com"))

    assert "permanent_unavailable" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "success", "job_id": JOB},
        {"status": "success", "job_id": JOB, "emails": ["another@example.com"]},
        {"status": "success", "emails": [ADA]},
    ],
)
def test_unreadable_receipts(answer: dict[str, Any]) -> None:
    """A response without the result of each recipient leaves the outcome unknown."""
    sandbox, mail_hub = unisender_go_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(OutcomeUnknown):
        mail_hub.email().send_transactional(mail(), idempotency_key="k")


@pytest.mark.parametrize(
    "status, code, error",
    [
        (400, 999, InvalidRequest),
        (401, 114, AuthenticationFailed),
        (403, 999, VendorRejected),
        (404, "999", VendorRejected),
        (413, 999, InvalidRequest),
        (429, 999, RateLimitExceeded),
    ],
)
def test_refusals(status: int, code: int | str, error: type[Exception]) -> None:
    """A rejection is classified by its status, and has Unisender Go's error number as its code."""
    sandbox, mail_hub = unisender_go_hub()
    answer = {"status": "error", "code": code, "message": "It is not possible."}
    sandbox.fail(*[reply(answer, status)] * 8)
    with pytest.raises(error) as excinfo:
        mail_hub.email().send_transactional(mail(), idempotency_key="k")

    assert (error, str(code)) == (type(excinfo.value), getattr(excinfo.value, "vendor_code", None))


def test_failure_is_an_unknown_outcome() -> None:
    """A failure of Unisender Go leaves the outcome unknown, and nothing is repeated."""
    sandbox, mail_hub = unisender_go_hub()
    sandbox.fail(reply({"status": "error", "code": 999, "message": "No."}, 500))
    with pytest.raises(OutcomeUnknown):
        mail_hub.email().send_transactional(mail(), idempotency_key="k")

    assert 1 == len(sandbox.requests)


def test_pages_of_suppressed_addresses() -> None:
    """The suppressed addresses come in pages, each with its entries' reasons and times."""
    sandbox, mail_hub = unisender_go_hub()
    causes = ["unsubscribed", "temporary_unavailable", "permanent_unavailable", "complained"]
    sandbox.suppressions = {f"a{n}@example.com": cause for n, cause in enumerate(causes)}
    page = mail_hub.email().suppressions()
    entries = list(page.items)
    while page.next is not None:
        page = mail_hub.email().suppressions(after=str(page.next))
        entries += page.items

    assert [
        ("a0@example.com", RejectReason.UNSUBSCRIBED, "unsubscribed"),
        ("a1@example.com", RejectReason.BOUNCED, "temporary_unavailable"),
        ("a2@example.com", RejectReason.BOUNCED, "permanent_unavailable"),
        ("a3@example.com", RejectReason.SPAM, "complained"),
    ] == [(entry.email, entry.reason, entry.vendor_reason) for entry in entries]
    assert {datetime(2026, 3, 1, 12, tzinfo=UTC)} == {entry.at for entry in entries}
    cursors = [{"cursor": b64encode(entries[n].email.encode()).decode()} for n in (1, 3)]
    assert [{"start_time": "2010-01-01 00:00:00"}, *cursors] == [
        request.json() for request in sandbox.requests
    ]


def test_last_page_without_a_cursor() -> None:
    """A page without a cursor is the last one."""
    sandbox, mail_hub = unisender_go_hub()
    for cursor in ({}, {"cursor": ""}):
        sandbox.fail(reply({"status": "success", "suppressions": [{"email": ADA}], **cursor}))
        page = mail_hub.email().suppressions()
        assert ([ADA], None) == ([entry.email for entry in page.items], page.next)


def test_address_that_stays_suppressed() -> None:
    """An address that cannot be removed raises an error; an unlisted one counts as removed."""
    sandbox, mail_hub = unisender_go_hub()
    mail_hub.email().add_suppression(ADA)
    sandbox.kept.add(ADA)
    with pytest.raises(VendorRejected, match="cannot be deleted") as excinfo:
        mail_hub.email().remove_suppression(ADA)
    assert "3004" == excinfo.value.vendor_code
    sandbox.kept.clear()
    mail_hub.email().remove_suppression(ADA)
    mail_hub.email().remove_suppression(ADA)

    assert {} == sandbox.suppressions


def test_failed_change_of_the_list_is_an_error() -> None:
    """A failure while the suppression list is changed raises an error."""
    sandbox, mail_hub = unisender_go_hub()
    sandbox.fail(*[reply({"status": "error", "code": 3003}, 500)] * 8)
    with pytest.raises(VendorFailed):
        mail_hub.email().remove_suppression(ADA)


@pytest.mark.parametrize("kind, status, permanent, type_", KINDS)
def test_kind_of_an_event_becomes_a_status(
    *, kind: str, status: EmailStatus, permanent: bool | None, type_: str
) -> None:
    """Each Unisender Go status gives a webhook its type, and the webhook's event a status."""
    sandbox, mail_hub = unisender_go_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.api_key)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, event_item(kind)).arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (status, kind, permanent) == (event.status, event.vendor_status, event.permanent)
    assert (type_, webhook.id, JOB) == (webhook.type, event.id, event.ref.id)
    assert datetime(2024, 9, 7, 19, 27, 17, tzinfo=UTC) == webhook.time == event.at
    assert not webhook.is_forgeable


def test_event_has_all_fields() -> None:
    """An event has its recipient, code, reason, link, program, tags and metadata."""
    item = event_item(
        "hard_bounced",
        metadata={"invoice": "7", "имя": "Ада"},
        tags=["paid"],
        url="https://a.example/",
        delivery_info={
            "delivery_status": "err_user_unknown",
            "destination_response": "550 5.1.1 No such user",
            "user_agent": "Mozilla/5.0",
        },
    )
    [event] = events_of(item)

    assert (ADA, "err_user_unknown", "550 5.1.1 No such user") == (
        event.email,
        event.code,
        event.reason,
    )
    assert ("https://a.example/", "Mozilla/5.0", ("paid",)) == (
        event.url,
        event.user_agent,
        event.tags,
    )
    assert {"invoice": "7", "имя": "Ада"} == event.metadata
    assert item == event.raw


@pytest.mark.parametrize(
    "code, cause",
    [
        ("err_user_unknown", RejectReason.INVALID),
        ("err_user_inactive", RejectReason.INVALID),
        ("err_mailbox_discarded", RejectReason.INVALID),
        ("err_domain_inactive", RejectReason.INVALID),
        ("err_mailbox_full", RejectReason.BOUNCED),
        ("err_too_large", RejectReason.BOUNCED),
        ("err_destination_misconfigured", RejectReason.BOUNCED),
        ("err_delivery_failed", RejectReason.BOUNCED),
        ("err_unreachable", RejectReason.BLOCKED),
        ("err_skip_letter", RejectReason.BLOCKED),
        ("err_blacklisted", RejectReason.BLOCKED),
        ("err_spam_rejected", RejectReason.SPAM),
        ("err_spam_skipped", RejectReason.SPAM),
        ("err_unsubscribed", RejectReason.UNSUBSCRIBED),
        ("err_lost", RejectReason.OTHER),
        ("err_odd", RejectReason.BOUNCED),
        (None, RejectReason.BOUNCED),
    ],
)
def test_causes_of_failures(code: str | None, cause: RejectReason) -> None:
    """Each delivery status of a failed message becomes a reason; other events have no reason."""
    info = {"delivery_info": {"delivery_status": code}}
    failed, delayed = events_of(event_item("hard_bounced", **info), event_item("sent", **info))

    assert (cause, None) == (failed.cause, delayed.cause)


def test_equal_events_of_one_webhook_are_different() -> None:
    """Events have no id, so two equal events in a webhook are distinguished by their position."""
    click = event_item("clicked", url="https://a.example/")
    first, second = events_of(click, click)

    assert first.id != second.id
    assert {first.id, second.id} == {event.id for event in events_of(click, click)}


@pytest.mark.parametrize(
    "payload",
    [
        {"event_name": "transactional_spam_block", "event_data": {"domain_status": "blocked"}},
        {"event_name": "transactional_email_status", "event_data": {"status": "sent"}},
        {"event_name": "teleport", "event_data": {"job_id": JOB, "status": "sent"}},
        [],
        None,
    ],
)
def test_other_webhooks_give_no_events(payload: object) -> None:
    """A block of a domain, and an event without the id of a message, give no event."""
    webhook = WebhookEvent(
        vendor="unisender-go", id="e", type="x", vendor_type="x", payload=payload
    )

    assert () == unisender_go_hub()[1].events("mail", webhook)


def test_webhooks_are_signed() -> None:
    """A webhook with another key or body, or without its signature, is refused."""
    sandbox, mail_hub = unisender_go_hub()
    arguments = sandbox.event_notice(URL, event_item("opened"), event_item("clicked")).arguments()
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="another").verify(**arguments)
    verifier = mail_hub.webhooks("mail", secrets=sandbox.api_key)
    body = arguments["body"]
    signature = body[body.index(b':"') + 2 :][:32]
    for changed_body in (
        body.replace(b"opened", b"sent"),
        body.replace(signature, b"0" * 32),
        body.replace(signature, signature.upper()),
        body.replace(signature, b""),
        body.replace(b'"auth"', b'"auht"'),
        body.replace(ADA.encode(), signature, 1),
        body.replace(b'"auth":"%s"' % signature, b'"auth":7'),
    ):
        with pytest.raises(WebhookRejected):
            verifier.verify(**{**arguments, "body": changed_body})

    assert ["email.opened", "email.clicked"] == [
        webhook.type for webhook in verifier.verify(**arguments)
    ]


def test_webhook_with_a_single_event_is_refused() -> None:
    """A webhook in the form of single events is refused, so that none is lost unnoticed."""
    sandbox, mail_hub = unisender_go_hub()
    item = event_item("sent")
    notice = sandbox.event_notice(URL)
    flat = {"auth": "0" * 32, "event_name": item["event_name"], **item["event_data"]}
    verifier = mail_hub.webhooks("mail", secrets=sandbox.api_key)
    with pytest.raises(WebhookRejected, match="events_by_user"):
        verifier.verify(**{**notice.arguments(), "body": sandbox.signed(flat)})
