"""Mailtrap: messages, batches, error responses and webhooks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import (
    ConfigurationError,
    InvalidData,
    InvalidRequest,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.base import reply
from moorage.vendors.email.mailtrap import Mailtrap, mail_body, messages_that_fit
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.mailtrap import mailtrap_hub

URL = "https://erp.example/hooks"
BULK_STREAM = "https://bulk.api.mailtrap.io"
MESSAGE_ID = "1df37d17-0286-4d8b-8edf-bc4ec5be86e6"
KINDS: list[tuple[str, EmailStatus, bool | None, str]] = [
    ("delivery", EmailStatus.DELIVERED, None, "email.delivered"),
    ("soft bounce", EmailStatus.DEFERRED, False, "email.deferred"),
    ("bounce", EmailStatus.BOUNCED, True, "email.bounced"),
    ("suspension", EmailStatus.DEFERRED, False, "email.deferred"),
    ("reject", EmailStatus.REJECTED, None, "email.rejected"),
    ("open", EmailStatus.OPENED, None, "email.opened"),
    ("click", EmailStatus.CLICKED, None, "email.clicked"),
    ("spam", EmailStatus.COMPLAINED, None, "email.complained"),
    ("unsubscribe", EmailStatus.UNSUBSCRIBED, None, "email.unsubscribed"),
    ("teleport", EmailStatus.UNKNOWN, None, "teleport"),
]
"""The listed event types of Mailtrap, and one that is not listed."""


def webhook_event(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a webhook event with the fields that Mailtrap's documentation shows."""
    return {
        "event": kind,
        "timestamp": 1728669700,
        "sending_stream": "transactional",
        "message_id": MESSAGE_ID,
        "email": "receiver@example.com",
        "event_id": "bede7236-2284-43d6-a953-1fdcafd0fdbc",
        "sending_domain_name": "example.com",
        **fields,
    }


def body_of(message: Any, **options: Any) -> dict[str, Any]:
    """Return a message as Mailtrap gets it."""
    return mail_body(Mailtrap(**options), message, "id-1")


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the place where Mailtrap expects it."""
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
            reply_to="B <b@example.com>",
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[Attachment(filename="a.txt", content=b"a"), image],
            tags=["invoice"],
            metadata={"invoice": "7", "moorage_id": "mine"},
            extra={"mailtrap": {"headers": {"X-More": "8"}}, "sendgrid": {"x": 1}},
        )
    )

    assert {
        "from": {"email": "shop@example.com", "name": "Shop"},
        "to": [{"email": "ada@example.com", "name": "Ada"}, {"email": "bob@example.com"}],
        "cc": [{"email": "zoe@example.com"}],
        "bcc": [{"email": "dan@example.com"}],
        "reply_to": {"email": "b@example.com", "name": "B"},
        "subject": "Hi",
        "text": "Hello.",
        "html": "<p>",
        "category": "invoice",
        "headers": {"X-Kunde": "=?utf-8?b?w7w=?=", "X-More": "8"},
        "attachments": [
            {
                "filename": "a.txt",
                "content": "YQ==",
                "type": "application/octet-stream",
                "disposition": "attachment",
            },
            {
                "filename": "l.png",
                "content": "bA==",
                "type": "image/png",
                "disposition": "inline",
                "content_id": "logo",
            },
        ],
        "custom_variables": {"moorage_id": "id-1", "invoice": "7", "word_moorage_id": "mine"},
    } == body


def test_template_replaces_subject_and_texts() -> None:
    """A template is sent with its values, without the message's own subject and texts."""
    body = body_of(mail(template=TemplateRef("b81aabcd", {"name": "Ada"})))

    assert ("b81aabcd", {"name": "Ada"}) == (body["template_uuid"], body["template_variables"])
    assert not {"subject", "text", "html"} & set(body)


def test_message_without_texts_has_a_space() -> None:
    """A message that has only a file has a space as its text, because Mailtrap requires one."""
    file = Attachment(filename="a.txt", content=b"a")
    body = body_of(mail(text=None, attachments=[file]))

    assert " " == body["text"]


def test_several_reply_addresses_are_a_header() -> None:
    """Several reply addresses are a header, because Mailtrap's field takes one address."""
    body = body_of(mail(reply_to=["a@example.com", "B <b@example.com>"]))

    assert {"Reply-To": "a@example.com, B <b@example.com>"} == body["headers"]
    assert "reply_to" not in body


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"tags": ["a", "b"]}, "tags"),
        ({"tags": ["a"], "template": TemplateRef("b81aabcd")}, "tags"),
        ({"metadata": {"note": "x" * 1_000}}, "metadata"),
    ],
)
def test_tags_and_metadata_that_mailtrap_drops_are_refused_before_sending(
    changes: dict[str, Any], field: str
) -> None:
    """Tags and metadata that Mailtrap would refuse or drop are refused before they are sent."""
    with pytest.raises(InvalidData) as excinfo:
        body_of(mail(**changes))

    assert field == excinfo.value.field


def test_custom_variables_of_1000_bytes_are_sent() -> None:
    """Custom variables that have 1000 bytes in total, with the message's id, are accepted."""
    around = len('{"moorage_id":"id-1","note":""}')
    body = body_of(mail(metadata={"note": "x" * (1_000 - around)}))
    assert 1_000 - around == len(body["custom_variables"]["note"])
    with pytest.raises(InvalidData):
        body_of(mail(metadata={"note": "x" * (1_001 - around)}))


def test_message_needs_a_sender() -> None:
    """The account's sender is used if the message has none; without either, it is refused."""
    body = body_of(mail(from_=None), sender="shop@acme.example")
    assert {"email": "shop@acme.example"} == body["from"]
    with pytest.raises(ConfigurationError):
        body_of(mail(from_=None))


def test_stream_is_the_url() -> None:
    """Messages go to the transactional stream, or to the stream in the account's settings."""
    assert "https://send.api.mailtrap.io" == Mailtrap().base_url
    sandbox, mail_hub = mailtrap_hub(base_url=BULK_STREAM)
    mail_hub.email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


def test_key_decides_the_id() -> None:
    """A message's id is made from its idempotency key, and its events have the same id."""
    sandbox, mail_hub = mailtrap_hub()
    receipt = mail_hub.email().send_transactional(mail(cc="bob@example.com"), idempotency_key="k")
    variables = sandbox.delivered[0].raw["custom_variables"]
    assert {"moorage_id": receipt.ref.id} == variables
    notice = sandbox.event_notice(URL, webhook_event("delivery", custom_variables=variables))
    [webhook] = mail_hub.webhooks("mail", secrets=sandbox.webhook_secret).verify(
        **notice.arguments()
    )
    [event] = mail_hub.events("mail", webhook)

    assert (receipt.ref.id, {"message": MESSAGE_ID}) == (event.ref.id, dict(event.ref.related))


def bulk(*emails: str) -> BulkMessage:
    """Return a bulk message to the given addresses."""
    return BulkMessage(
        base=mail(text="Hello {{name}}.", to=()),
        recipients=[BulkRecipient(to=email, data={"name": email[:3]}) for email in emails],
    )


def test_bulk_is_one_request() -> None:
    """A bulk is one request with one message per recipient, and a refused recipient fails alone."""
    sandbox, mail_hub = mailtrap_hub()
    first, refused, last = mail_hub.email().send_bulk(
        bulk("ada@example.com", "refused@example.com", "bob@example.com"), idempotency_key="b"
    )

    assert ["POST /api/batch"] == [f"{item.method} {item.path}" for item in sandbox.requests]
    assert ["Hello ada.", "Hello bob."] == [item.text for item in sandbox.delivered]
    ids = [item.raw["custom_variables"]["moorage_id"] for item in sandbox.delivered]
    assert [first.unwrap().ref.id, last.unwrap().ref.id] == ids
    assert 2 == len(set(ids))
    with pytest.raises(VendorRejected, match="address is invalid") as excinfo:
        refused.unwrap()
    assert "refused@example.com" not in str(excinfo.value)
    assert ("mail", "'***' address is invalid") == (
        excinfo.value.service,
        excinfo.value.vendor_message,
    )


@pytest.mark.parametrize(
    "size, count",
    [
        (0, 26_214),
        (5 * 1024**2 - 2_000, 10),
        (5 * 1024**2 - 1_999, 9),
        (25 * 1024**2 - 2_000, 2),
        (60 * 1024**2, 1),
    ],
)
def test_bulk_has_at_most_50_megabytes_in_a_request(size: int, count: int) -> None:
    """As many messages are sent in one request as have 50 MB, with 2,000 bytes of fields each."""
    assert count == messages_that_fit(size)


def test_bulk_has_at_most_500_messages_in_a_request() -> None:
    """A bulk of more than 500 recipients is sent in several requests."""
    sandbox, mail_hub = mailtrap_hub()
    results = mail_hub.email().send_bulk(bulk(*(f"a{n}@example.com" for n in range(501))))

    assert [1, 500] == sorted(len(item.json()["requests"]) for item in sandbox.requests)
    assert all(result.ok for result in results)
    assert 501 == len({result.unwrap().ref.id for result in results})


@pytest.mark.parametrize(
    "answer, text",
    [
        ({"success": True}, "result for each message"),
        (
            {"success": True, "responses": [{"success": True, "message_ids": ["1"]}]},
            "result for each message",
        ),
        (
            {"success": True, "responses": [{"success": True}, {"message_ids": ["1"]}]},
            "result that can be read",
        ),
    ],
)
def test_unreadable_bulk_answers(answer: dict[str, Any], text: str) -> None:
    """A response without a readable result for any recipient is malformed."""
    sandbox, mail_hub = mailtrap_hub()
    sandbox.fail(reply(answer))
    results = mail_hub.email().send_bulk(bulk("ada@example.com", "bob@example.com"))

    assert [VendorFailed] * 2 == [type(result.error) for result in results]
    assert all(text in str(result.error) for result in results)


def test_result_that_cannot_be_read() -> None:
    """A result without ids raises an error for its recipient only."""
    sandbox, mail_hub = mailtrap_hub()
    sandbox.fail(
        reply(
            {
                "success": True,
                "responses": [
                    {"success": True, "message_ids": ["1"]},
                    {"success": True},
                    {"success": False},
                ],
            }
        )
    )
    good, unsent, bad = mail_hub.email().send_bulk(
        bulk("ada@example.com", "bob@example.com", "eve@example.com")
    )

    assert (True, VendorFailed) == (good.ok, type(unsent.error))
    assert "no reason is given" in str(bad.error)
    assert bad.error.vendor_message is None


@pytest.mark.parametrize(
    "status, answer, error, words",
    [
        (400, {"errors": ["'from' is required", "'to' is wrong"]}, InvalidRequest, "'to' is wrong"),
        (400, {"errors": ["No from.", "No to."]}, InvalidRequest, r"refused: No from\. No to\."),
        (403, {"errors": ["Forbidden"]}, VendorRejected, "Forbidden"),
        (422, {"errors": "No."}, VendorRejected, "No."),
        (404, {"error": "Not Found"}, VendorRejected, "Not Found"),
    ],
)
def test_refusal_has_mailtrap_sentences(
    status: int, answer: Any, error: type[Exception], words: str
) -> None:
    """The error for each form of Mailtrap's error response has Mailtrap's sentences."""
    sandbox, mail_hub = mailtrap_hub()
    sandbox.fail(reply(answer, status))
    with pytest.raises(error, match=words) as excinfo:
        mail_hub.email().send_transactional(mail())

    assert error is type(excinfo.value)


@pytest.mark.parametrize("kind, status, permanent, type_", KINDS)
def test_kind_of_an_event_becomes_a_status(
    *, kind: str, status: EmailStatus, permanent: bool | None, type_: str
) -> None:
    """Each Mailtrap event type gives a webhook its type, and the webhook's event a status."""
    sandbox, mail_hub = mailtrap_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_secret)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, webhook_event(kind)).arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (status, kind, permanent) == (event.status, event.vendor_status, event.permanent)
    assert (type_, "bede7236-2284-43d6-a953-1fdcafd0fdbc") == (webhook.type, webhook.id)
    assert datetime(2024, 10, 11, 18, 1, 40, tzinfo=UTC) == webhook.time == event.at


def test_event_has_all_fields() -> None:
    """An event has its recipient, code, reason, link, tag and metadata."""
    payload = webhook_event(
        "bounce",
        category="Password reset",
        custom_variables={"user_id": "123", "word_moorage_id": "mine"},
        response="[CS01] Message rejected due to local policy",
        response_code=555,
        url="https://a.example/",
    )
    webhook = WebhookEvent(vendor="mailtrap", id="e", type="x", vendor_type="x", payload=payload)
    [event] = mailtrap_hub()[1].events("mail", webhook)

    assert ("555", "[CS01] Message rejected due to local policy") == (event.code, event.reason)
    assert ("receiver@example.com", "https://a.example/") == (event.email, event.url)
    assert (("Password reset",), {"user_id": "123", "moorage_id": "mine"}) == (
        event.tags,
        event.metadata,
    )
    assert (MESSAGE_ID, payload) == (event.ref.id, event.raw)


@pytest.mark.parametrize("payload", [{"event": "activity_log.user.login"}, [], None])
def test_item_without_message_gives_no_event(payload: object) -> None:
    """An item without a message gives no event."""
    webhook = WebhookEvent(vendor="mailtrap", id="e", type="x", vendor_type="x", payload=payload)

    assert () == mailtrap_hub()[1].events("mail", webhook)


def test_webhooks_are_signed() -> None:
    """A webhook with another secret, a changed body or no signature is refused."""
    sandbox, mail_hub = mailtrap_hub()
    other = webhook_event("open", event_id="e2")
    arguments = sandbox.event_notice(URL, webhook_event("delivery"), other).arguments()
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="another").verify(**arguments)
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_secret)
    with pytest.raises(WebhookRejected):
        verifier.verify(**{**arguments, "body": arguments["body"].replace(b"open", b"spam")})
    with pytest.raises(WebhookRejected):
        verifier.verify(**{**arguments, "headers": {"Content-Type": "application/json"}})

    assert ["email.delivered", "email.opened"] == [
        webhook.type for webhook in verifier.verify(**arguments)
    ]
