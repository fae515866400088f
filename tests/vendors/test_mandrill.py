"""Mandrill: fields of a message, results of recipients, refusals, the denylist and webhooks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
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
    WebhookRejected,
)
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_outcomes import EmailStatus, RejectReason
from moorage.contracts.email_received import CheckResult
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendors.email.mandrill import Mandrill, mail_body
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.mandrill import mandrill_hub

URL = "https://user:pass@erp.example/hooks/mandrill?tenant=1"
ADA = "ada@example.com"
ID = "abcdef012345789abcdef012345789"
KINDS = [
    ("send", EmailStatus.SENT, None, "email.sent"),
    ("deferral", EmailStatus.DEFERRED, False, "email.deferred"),
    ("delivered", EmailStatus.DELIVERED, None, "email.delivered"),
    ("hard_bounce", EmailStatus.BOUNCED, True, "email.bounced"),
    ("soft_bounce", EmailStatus.BOUNCED, False, "email.bounced"),
    ("open", EmailStatus.OPENED, None, "email.opened"),
    ("click", EmailStatus.CLICKED, None, "email.clicked"),
    ("spam", EmailStatus.COMPLAINED, None, "email.complained"),
    ("unsub", EmailStatus.UNSUBSCRIBED, None, "email.unsubscribed"),
    ("reject", EmailStatus.REJECTED, None, "email.rejected"),
    ("teleport", EmailStatus.UNKNOWN, None, "teleport"),
]
"""The listed event types of Mandrill, and one that is not listed."""
MIME = (
    "From: Ada <ada@example.com>\r\nTo: orders@shop.example\r\nSubject: Order\r\n"
    "Message-Id: <m1@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nTwo, please."
)


def body_of(message: Any, **options: Any) -> dict[str, Any]:
    """Return a message as Mandrill gets it, without the API key."""
    return mail_body(Mandrill(**options), message, "id-1")


def event_item(kind: str, **fields: Any) -> dict[str, Any]:
    """Return an event with the fields that Mandrill's documentation shows."""
    message = {"ts": 1461095211, "subject": "Webhook Test", "email": "recipient@example.com"}
    return {
        "event": kind,
        "msg": {**message, "sender": "sender@example.com", "_id": ID, **fields.pop("msg", {})},
        "_id": ID,
        "ts": 1461095246,
        **fields,
    }


def inbound_item(**fields: Any) -> dict[str, Any]:
    """Return a received message with the fields that Mandrill's documentation shows."""
    message = {
        "raw_msg": MIME,
        "headers": {"Message-Id": "<m1@example.com>"},
        "email": "orders@shop.example",
        "sender": None,
        "spf": {"result": "pass", "detail": "sender SPF authorized"},
        "dkim": {"signed": True, "valid": True},
        "spam_report": {"score": -2.6, "matched_rules": []},
    }
    return {"event": "inbound", "ts": 1772366400, "msg": {**message, **fields}}


def events_of(*items: dict[str, Any]) -> list[Any]:
    """Return the events of items in a signed webhook."""
    sandbox, mail_hub = mandrill_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_key)
    webhooks = verifier.verify(**sandbox.event_notice(URL, *items).arguments())
    return [event for webhook in webhooks for event in mail_hub.events("mail", webhook)]


def test_fields_of_a_message() -> None:
    """Each field of an email has its place in the message for Mandrill."""
    image = Attachment(
        filename="l.png",
        content=b"l",
        content_type="image/png",
        disposition="inline",
        content_id="logo",
    )
    body = body_of(
        mail(
            to=["Ada <ada@example.com>", "bob@example.com"],
            cc="zoe@example.com",
            bcc="dan@example.com",
            reply_to=["B <b@example.com>", "c@example.com"],
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[Attachment(filename="a.txt", content=b"a"), image],
            tags=["invoice", "paid"],
            metadata={"invoice": "7", "moorage_id": "mine"},
            track_opens=True,
            track_clicks=False,
            send_at=datetime(2030, 1, 1, 1, 59, 59, 1, tzinfo=timezone(timedelta(hours=1))),
            extra={"mandrill": {"message": {"important": True}, "ip_pool": "A"}, "smtp": {"x": 1}},
        ),
        subaccount="shop-7",
    )

    assert {
        "message": {
            "from_email": "shop@example.com",
            "from_name": "Shop",
            "to": [
                {"email": "ada@example.com", "name": "Ada", "type": "to"},
                {"email": "bob@example.com", "type": "to"},
                {"email": "zoe@example.com", "type": "cc"},
                {"email": "dan@example.com", "type": "bcc"},
            ],
            "preserve_recipients": True,
            "subject": "Hi",
            "text": "Hello.",
            "html": "<p>",
            "merge": False,
            "headers": {
                "X-Kunde": "=?utf-8?b?w7w=?=",
                "Reply-To": "B <b@example.com>, c@example.com",
            },
            "attachments": [
                {"type": "application/octet-stream", "name": "a.txt", "content": "YQ=="}
            ],
            "images": [{"type": "image/png", "name": "logo", "content": "bA=="}],
            "tags": ["invoice", "paid"],
            "metadata": {"moorage_id": "id-1", "invoice": "7", "word_moorage_id": "mine"},
            "track_opens": True,
            "track_clicks": False,
            "subaccount": "shop-7",
            "important": True,
        },
        "send_at": "2030-01-01 01:00:00",
        "ip_pool": "A",
    } == body


def test_template_has_its_values() -> None:
    """A template is named by its slug, and its values are global merge variables."""
    items = [{"name": "Tea", "price": 3}]
    template = TemplateRef("welcome", {"name": "Ada", "items": items})
    body = body_of(mail(template=template, text=None, from_=None, subject=""))

    assert {
        "message": {
            "to": [{"email": ADA, "type": "to"}],
            "preserve_recipients": True,
            "global_merge_vars": [
                {"name": "name", "content": "Ada"},
                {"name": "items", "content": items},
            ],
            "metadata": {"moorage_id": "id-1"},
        },
        "template_name": "welcome",
        "template_content": [],
    } == body
    body = body_of(mail(template=template, from_=None, html="<p>"), sender="shop@acme.example")
    fields = body["message"]
    assert ("shop@acme.example", "Hi", "Hello.") == (
        fields["from_email"],
        fields["subject"],
        fields["text"],
    )
    assert "html" not in fields


@pytest.mark.parametrize(
    "template, path", [(None, "send"), (TemplateRef("welcome"), "send-template")]
)
def test_path_of_a_message(template: TemplateRef | None, path: str) -> None:
    """A message with a template has its own URL path, and the API key is the body's last field."""
    sandbox, mail_hub = mandrill_hub()
    mail_hub.email().send_transactional(mail(template=template))
    [request] = sandbox.requests

    assert f"/api/1.0/messages/{path}" == request.path
    assert "key" == list(json.loads(request.body))[-1]
    assert "authorization" not in request.headers


def test_message_without_texts_has_a_space() -> None:
    """A message that has only a file has a space as its text."""
    body = body_of(mail(text=None, attachments=[Attachment(filename="a.txt", content=b"a")]))

    assert " " == body["message"]["text"]


def test_message_needs_a_sender() -> None:
    """The account's sender is used if the message has none; without either, it is refused."""
    body = body_of(mail(from_=None), sender="shop@acme.example")
    assert "shop@acme.example" == body["message"]["from_email"]
    with pytest.raises(ConfigurationError):
        body_of(mail(from_=None))


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"tags": ["x" * 51]}, "tags"),
        ({"tags": ["a", "_b"]}, "tags"),
        ({"metadata": {"_a": "b"}}, "metadata"),
        (
            {
                "attachments": [
                    Attachment(
                        filename="a.pdf",
                        content=b"a",
                        content_type="application/pdf",
                        disposition="inline",
                        content_id="a",
                    )
                ]
            },
            "attachments",
        ),
    ],
)
def test_refused_fields(changes: dict[str, Any], field: str) -> None:
    """Tags, metadata and inline files that Mandrill would refuse are refused before sending."""
    with pytest.raises(InvalidData) as excinfo:
        body_of(mail(**changes))

    assert field == excinfo.value.field
    assert body_of(mail(tags=["x" * 50]))


def test_key_decides_the_id() -> None:
    """The id of a message follows from its idempotency key, and comes back with its events."""
    sandbox, mail_hub = mandrill_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="bob@example.com"), idempotency_key="k")
    metadata = sandbox.delivered[0].raw["message"]["metadata"]
    assert {"moorage_id": receipt.ref.id} == metadata
    assert ",".join(sandbox.messages) == receipt.ref.other("message")

    [event] = events_of(event_item("send", msg={"metadata": metadata}))
    assert (receipt.ref.id, ID) == (event.ref.id, event.ref.other("message"))


def test_some_recipients_are_rejected() -> None:
    """A rejected recipient has the reason in the receipt, and is not among the message's ids."""
    sandbox, mail_hub = mandrill_hub(subaccount="shop-7")
    sandbox.sending_status = "sent"
    receipt = mail_hub.email().send_transactional(
        mail(to=["refused@example.com", ADA], cc="bob@nowhere")
    )

    assert (EmailStatus.SENT, "sent") == (receipt.status, receipt.vendor_status)
    assert [
        ("refused@example.com", EmailStatus.REJECTED, "hard-bounce"),
        (ADA, EmailStatus.SENT, None),
        ("bob@nowhere", EmailStatus.REJECTED, "invalid"),
    ] == [(item.email, item.status, item.code) for item in receipt.recipients]
    assert list(sandbox.messages) == (receipt.ref.other("message") or "").split(",")


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"from_": "shop@unverified.example"}, "unsigned"),
        ({"to": "ada@nowhere"}, "invalid"),
        ({"to": ["refused@example.com", "ada@nowhere"]}, "hard-bounce"),
    ],
)
def test_message_that_is_rejected_for_all_is_refused(changes: dict[str, Any], code: str) -> None:
    """A message that Mandrill rejects for all recipients raises an error with the first reason."""
    sandbox, mail_hub = mandrill_hub()
    with pytest.raises(VendorRejected, match=code) as excinfo:
        mail_hub.email().send_transactional(mail(**changes))

    assert code == excinfo.value.vendor_code
    assert [] == sandbox.delivered


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        [{"email": ADA, "status": "sent", "_id": "1"}],
        [{"email": ADA, "status": "sent"}, {"email": "bob@example.com", "status": "sent"}],
        [7, None],
    ],
)
def test_unreadable_answers(answer: Any) -> None:
    """A response without a result for each recipient, or without the ids, is malformed."""
    sandbox, mail_hub = mandrill_hub()
    sandbox.fail(reply(answer))
    with pytest.raises(VendorFailed):
        mail_hub.email().send_transactional(mail(cc="bob@example.com"))


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize(
    "status, name, error",
    [
        (401, "Invalid_Key", AuthenticationFailed),
        (402, "PaymentRequired", VendorRejected),
        (404, "Unknown_Subaccount", VendorRejected),
        (404, "Unknown_Template", VendorRejected),
        (404, "Unknown_Message", VendorRejected),
        (404, "Invalid_Reject", VendorRejected),
        (422, "ValidationError", InvalidRequest),
        (429, "RequestLimitExceeded", RateLimitExceeded),
    ],
)
def test_refusals(*, status: int, name: str, error: type[Exception], is_old: bool) -> None:
    """An error has Mandrill's name as its code, even with status 500, as in old responses."""
    sandbox, mail_hub = mandrill_hub()
    answer = {"status": "error", "code": -2, "name": name, "message": "It is not possible."}
    sandbox.fail(*[reply(answer, 500 if is_old else status)] * 8)
    with pytest.raises(error, match="It is not possible") as excinfo:
        mail_hub.email().send_transactional(mail(), idempotency_key="k")

    assert (error, name) == (type(excinfo.value), getattr(excinfo.value, "vendor_code", None))


@pytest.mark.parametrize(
    "status, name, error",
    [
        (400, "Odd", InvalidRequest),
        (401, "Odd", AuthenticationFailed),
        (403, "Odd", VendorRejected),
        (404, None, VendorRejected),
        (422, "Odd", InvalidRequest),
        (429, "Odd", RateLimitExceeded),
        (500, "GeneralError", OutcomeUnknown),
        (500, None, OutcomeUnknown),
        (503, "ServiceUnavailable", OutcomeUnknown),
    ],
)
def test_unknown_refusals(status: int, name: str | None, error: type[Exception]) -> None:
    """An unknown error name is classified by status; a failure leaves the outcome unknown."""
    sandbox, mail_hub = mandrill_hub()
    sandbox.fail(*[reply({"name": name, "message": "No."} if name else {}, status)] * 8)
    with pytest.raises(error):
        mail_hub.email().send_transactional(mail(), idempotency_key="k")

    assert 1 == len(sandbox.requests)


def test_states_of_the_recipients() -> None:
    """Each recipient of a message is looked up by a separate id."""
    sandbox, mail_hub = mandrill_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="bob@example.com", bcc="eve@example.com"))
    sandbox.states = {
        ADA: {"smtp_events": [{"type": "sent"}, {"type": "delivered"}]},
        "bob@example.com": {
            "state": "bounced",
            "bounce_description": "bad_mailbox",
            "diag": "smtp;550 5.1.1 No user bob@example.com",
        },
        "eve@example.com": {"state": "rejected", "reject": {"reason": "spam"}},
    }
    looked_up = mail_hub.email().get(str(receipt.ref))

    assert (EmailStatus.SENT, "sent") == (looked_up.status, looked_up.vendor_status)
    assert [
        (ADA, EmailStatus.DELIVERED, None),
        ("bob@example.com", EmailStatus.BOUNCED, "bad_mailbox"),
        ("eve@example.com", EmailStatus.REJECTED, "spam"),
    ] == [(item.email, item.status, item.code) for item in looked_up.recipients]
    assert "bob@" not in (looked_up.recipients[1].reason or "bob@")
    sandbox.states[ADA] = {"state": "queued"}
    assert EmailStatus.QUEUED is mail_hub.email().get(receipt.ref).status


@pytest.mark.parametrize(
    "fields, status",
    [
        ({"state": "sent"}, EmailStatus.SENT),
        ({"state": "queued"}, EmailStatus.QUEUED),
        ({"state": "scheduled"}, EmailStatus.SCHEDULED),
        ({"state": "canceled"}, EmailStatus.CANCELED),
        ({"state": "bounced", "smtp_events": [{"type": "delivered"}]}, EmailStatus.BOUNCED),
        ({"state": "odd"}, EmailStatus.UNKNOWN),
        ({}, EmailStatus.UNKNOWN),
    ],
)
def test_states_of_a_message(fields: dict[str, Any], status: EmailStatus) -> None:
    """Each Mandrill state becomes a status; a lookup is repeated after a lost response."""
    sandbox, mail_hub = mandrill_hub()
    sandbox.fail(Lost(), reply({"_id": ID, "email": ADA, **fields}))
    looked_up = mail_hub.email().get(f"mandrill:mail:{ID}")

    assert status is looked_up.status
    assert [ID] * 2 == [request.json()["id"] for request in sandbox.requests]


def test_cancelling_is_for_each_recipient() -> None:
    """A message is cancelled for each recipient, even if an earlier attempt stopped halfway."""
    sandbox, mail_hub = mandrill_hub()
    send_time = datetime.now(UTC) + timedelta(hours=1)
    message = mail(cc="bob@example.com", send_at=send_time)
    ref = mail_hub.email().send_transactional(message).ref
    sandbox.fail(reply({"_id": "1"}), reply({"name": "GeneralError", "message": "No."}, 500))
    with pytest.raises(VendorFailed):
        mail_hub.email().cancel(ref)
    next(iter(sandbox.messages.values()))["state"] = "canceled"

    assert EmailStatus.CANCELED is mail_hub.email().cancel(ref).status
    assert ["canceled"] * 2 == [item["state"] for item in sandbox.messages.values()]
    with pytest.raises(VendorRejected, match="No message exists"):
        mail_hub.email().cancel(ref)
    sandbox.fail(reply({"name": "PaymentRequired", "message": "Pay."}, 402))
    with pytest.raises(VendorRejected, match="Pay"):
        mail_hub.email().cancel(ref)


def test_address_on_the_allowlist_is_not_suppressed() -> None:
    """An address that Mandrill does not add to its list raises an error, unless it is listed."""
    sandbox, mail_hub = mandrill_hub()
    sandbox.allowed.add(ADA)
    with pytest.raises(VendorRejected, match="allowlist") as excinfo:
        mail_hub.email().add_suppression(ADA)
    assert "mail" == excinfo.value.service
    sandbox.suppressions[ADA] = "spam"
    mail_hub.email().add_suppression("ADA@example.com")

    assert {ADA: "spam"} == sandbox.suppressions


def test_address_that_stays_suppressed() -> None:
    """An address that Mandrill does not remove raises an error, unless it is not on the list."""
    sandbox, mail_hub = mandrill_hub()
    sandbox.suppressions[ADA] = "spam"
    sandbox.fail(reply({"email": ADA, "deleted": False}))
    with pytest.raises(VendorRejected, match="keeps the address"):
        mail_hub.email().remove_suppression(ADA)
    sandbox.suppressions.clear()
    sandbox.fail(reply({"email": ADA, "deleted": False}))
    mail_hub.email().remove_suppression(ADA)
    mail_hub.email().remove_suppression(ADA)


def test_denylist_of_a_subaccount() -> None:
    """An account with a subaccount reads and changes the denylist of that subaccount."""
    sandbox, mail_hub = mandrill_hub(subaccount="shop-7")
    mail_hub.email().add_suppression(ADA)
    [entry] = mail_hub.email().suppressions().items
    mail_hub.email().remove_suppression(ADA)

    assert (ADA, RejectReason.BLOCKED) == (entry.email, entry.reason)
    assert datetime(2026, 3, 1, 12, tzinfo=UTC) == entry.at
    assert ["shop-7"] * 3 == [request.json()["subaccount"] for request in sandbox.requests]
    _, other_hub = mandrill_hub(subaccount="odd")
    with pytest.raises(VendorRejected, match="No subaccount"):
        other_hub.email().remove_suppression(ADA)


@pytest.mark.parametrize("kind, status, permanent, type_", KINDS)
def test_kind_of_an_event_becomes_a_status(
    *, kind: str, status: EmailStatus, permanent: bool | None, type_: str
) -> None:
    """Each Mandrill event type gives a webhook its type, and the webhook's event a status."""
    sandbox, mail_hub = mandrill_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_key)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, event_item(kind)).arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (status, kind, permanent) == (event.status, event.vendor_status, event.permanent)
    assert (type_, webhook.id) == (webhook.type, event.id)
    assert datetime(2016, 4, 19, 19, 47, 26, tzinfo=UTC) == webhook.time == event.at
    assert not webhook.is_forgeable


def test_event_has_all_fields() -> None:
    """An event has its recipient, code, reason, link, program, tags and metadata."""
    diagnosis = "smtp;550 5.1.1 The email account does not exist."
    item = event_item(
        "hard_bounce",
        msg={
            "tags": ["tag1", "tag2"],
            "metadata": {"user_id": 111, "moorage_id": "m-1", "word_moorage_id": "mine"},
            "bounce_description": "bad_mailbox",
            "bgtools_code": 10,
            "diag": diagnosis,
        },
        url="https://a.example/",
        user_agent="Mozilla/5.0",
    )
    [event] = events_of(item)

    assert ("m-1", {"message": ID}) == (event.ref.id, dict(event.ref.related))
    assert ("bad_mailbox", diagnosis, RejectReason.BOUNCED) == (
        event.code,
        event.reason,
        event.cause,
    )
    assert ("recipient@example.com", "https://a.example/") == (event.email, event.url)
    assert ("Mozilla/5.0", ("tag1", "tag2")) == (event.user_agent, event.tags)
    assert {"user_id": "111", "moorage_id": "mine"} == event.metadata
    assert item == event.raw


def test_equal_events_of_one_webhook_are_different() -> None:
    """Events have no id, so two equal events in a webhook are distinguished by their position."""
    click = event_item("click", url="https://a.example/")
    first, second = events_of(click, click)

    assert first.id != second.id
    assert {first.id, second.id} == {event.id for event in events_of(click, click)}


def test_webhooks_are_signed() -> None:
    """A webhook with another key, URL or body, or without a signature, is refused."""
    sandbox, mail_hub = mandrill_hub()
    arguments = sandbox.event_notice(URL, event_item("open"), event_item("click")).arguments()
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="another").verify(**arguments)
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_key)
    for changes in (
        {"url": "https://erp.example/hooks/mandrill?tenant=1"},
        {"body": arguments["body"].replace(b"open", b"spam")},
        {"body": arguments["body"] + b"&more=1"},
        {"headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ):
        with pytest.raises(WebhookRejected):
            verifier.verify(**{**arguments, **changes})

    assert ["email.opened", "email.clicked"] == [
        webhook.type for webhook in verifier.verify(**arguments)
    ]


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "blacklist", "action": "add", "reject": {"email": ADA, "reason": "manual edit"}},
        {"event": "inbound", "ts": 1772366400, "msg": {}},
        {"event": "inbound"},
        [],
        None,
    ],
)
def test_other_webhooks_give_no_events(payload: object) -> None:
    """A change of a list, and a received message without its content, give no event."""
    webhook = WebhookEvent(vendor="mandrill", id="e", type="x", vendor_type="x", payload=payload)

    assert () == mandrill_hub()[1].events("mail", webhook)


def test_change_of_a_list_is_verified() -> None:
    """A webhook about a list has a type, but no time, and gives no event."""
    sandbox, mail_hub = mandrill_hub()
    item = {"type": "blacklist", "action": "add", "reject": {"email": ADA}}
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_key)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, item).arguments())

    assert ("blacklist", None) == (webhook.type, webhook.time)
    assert () == mail_hub.events("mail", webhook)


def test_received_message() -> None:
    """A received message is read from its MIME text, with Mandrill's checks of the sender."""
    [message] = events_of(inbound_item())

    assert (ADA, "Order", "Two, please.") == (
        message.from_ and message.from_.email,
        message.subject,
        message.text,
    )
    assert ("m1@example.com", ("orders@shop.example",)) == (
        message.ref.id,
        message.envelope_recipients,
    )
    assert (None, False, True) == (
        message.envelope_sender,
        message.is_forgeable,
        message.is_complete,
    )
    checks = message.checks
    assert (CheckResult.PASSED, CheckResult.PASSED) == (checks.spf, checks.dkim)
    assert (Decimal("-2.6"), False) == (checks.spam_score, message.is_authentic)
    assert datetime(2026, 3, 1, 12, tzinfo=UTC) == message.at


@pytest.mark.parametrize(
    "fields, spf, dkim",
    [
        ({"spf": {"result": "softfail"}}, CheckResult.FAILED, CheckResult.PASSED),
        ({"dkim": {"signed": True, "valid": False}}, CheckResult.PASSED, CheckResult.FAILED),
        ({"dkim": {"signed": False, "valid": False}}, CheckResult.PASSED, CheckResult.NONE),
        (
            {"spf": None, "dkim": 7, "headers": [], "email": None, "spam_report": "x"},
            CheckResult.UNKNOWN,
            CheckResult.UNKNOWN,
        ),
    ],
)
def test_checks_of_received_mail(
    fields: dict[str, Any], spf: CheckResult, dkim: CheckResult
) -> None:
    """Each result of Mandrill's checks is translated, and invalid results lose no message."""
    [message] = events_of(inbound_item(**fields))

    assert (spf, dkim, "Order") == (message.checks.spf, message.checks.dkim, message.subject)
    assert message.ref.id in {"m1@example.com", message.id}
