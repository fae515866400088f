"""MailerSend: webhooks and their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Ref, WebhookRejected
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.webhooks.events import WebhookEvent
from tests.vendors.email_hubs import mail
from tests.vendors.mailersend_account import mailersend_hub

URL = "https://erp.example/hooks"

WORDS: list[tuple[str, EmailStatus, bool | None, str]] = [
    ("queued", EmailStatus.QUEUED, None, "email.queued"),
    ("sent", EmailStatus.SENT, None, "email.sent"),
    ("delivered", EmailStatus.DELIVERED, None, "email.delivered"),
    ("deferred", EmailStatus.DEFERRED, False, "email.deferred"),
    ("soft_bounced", EmailStatus.BOUNCED, False, "email.bounced"),
    ("hard_bounced", EmailStatus.BOUNCED, True, "email.bounced"),
    ("suppressed", EmailStatus.REJECTED, None, "email.rejected"),
    ("opened", EmailStatus.OPENED, None, "email.opened"),
    ("opened_unique", EmailStatus.OPENED, None, "email.opened"),
    ("clicked", EmailStatus.CLICKED, None, "email.clicked"),
    ("clicked_unique", EmailStatus.CLICKED, None, "email.clicked"),
    ("unsubscribed", EmailStatus.UNSUBSCRIBED, None, "email.unsubscribed"),
    ("spam_complaint", EmailStatus.COMPLAINED, None, "email.complained"),
    ("survey_opened", EmailStatus.UNKNOWN, None, "activity.survey_opened"),
]


def _activity(word: str, id_: str = "m-1", **fields: Any) -> dict[str, Any]:
    """Return a webhook about a message, as MailerSend documents it."""
    recipient = {"object": "recipient", "id": "r-1", "email": "Ada@example.com"}
    message = {"object": "message", "id": id_, "created_at": "2026-03-01T11:00:00.000000Z"}
    email = {"object": "email", "id": "e-1", "status": "sent", "tags": ["invoice"]}
    data = {"object": "activity", "id": "a-1", "type": word, "morph": None}
    return {
        "type": f"activity.{word}",
        "domain_id": "d-1",
        "created_at": "2026-03-01T12:00:02.298647Z",
        "webhook_id": "w-1",
        "url": URL,
        "data": {
            **data,
            "created_at": "2026-03-01T12:00:00.258000Z",
            "email": {**email, "message": message, "recipient": recipient},
            **fields,
        },
    }


def _webhook(payload: object) -> WebhookEvent:
    return WebhookEvent(vendor="mailersend", id="e1", type="x", vendor_type="x", payload=payload)


@pytest.mark.parametrize("word, status, permanent, type_", WORDS)
def test_each_of_mailersend_words_for_event_has_its_status(
    *, word: str, status: EmailStatus, permanent: bool | None, type_: str
) -> None:
    """Each MailerSend event type gives a webhook its type, and the webhook's event a status."""
    sandbox, mail_hub = mailersend_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_secret)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, _activity(word)).arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (status, word, permanent) == (event.status, event.vendor_status, event.permanent)
    assert (type_, f"activity.{word}.a-1") == (webhook.type, webhook.id)
    assert datetime(2026, 3, 1, 12, 0, 2, 298_647, tzinfo=UTC) == webhook.time
    assert not webhook.is_forgeable


def test_event_has_all_fields() -> None:
    """A MailerSend event has its message, recipient, time, reason, link and tags."""
    bounce = {"object": "recipient_bounce", "reason": "Host not found", "url": "https://a.example/"}
    payload = _activity("hard_bounced", morph=bounce)
    [event] = mailersend_hub()[1].events("mail", _webhook(payload))

    assert Ref("mailersend", "mail", "m-1") == event.ref
    assert ("e1", "Ada@example.com", "Host not found") == (event.id, event.email, event.reason)
    assert datetime(2026, 3, 1, 12, 0, 0, 258_000, tzinfo=UTC) == event.at
    assert (("invoice",), {}, "https://a.example/") == (event.tags, event.metadata, event.url)
    assert payload == event.raw


def test_readable_reason_comes_first() -> None:
    """A reason in plain words is preferred to MailerSend's other reason."""
    bounce = {"reason": "x", "readable_reason": "The mailbox is full."}
    [event] = mailersend_hub()[1].events("mail", _webhook(_activity("soft_bounced", morph=bounce)))

    assert "The mailbox is full." == event.reason


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "maintenance.start", "created_at": "2026-03-01T12:00:00Z"},
        {"type": "inbound.message", "data": {"object": "message", "id": "i-1"}},
        {"type": "activity.sent", "data": {"email": {"message": {"id": "m-1"}}}},
        {"type": "activity.sent", "data": {"type": "sent", "email": {"message": {}}}},
        [],
        None,
    ],
)
def test_mailersend_webhooks_about_other_things_than_messages_give_no_events(
    payload: object,
) -> None:
    """MailerSend's webhooks about things other than messages become no events."""
    assert () == mailersend_hub()[1].events("mail", _webhook(payload))


def test_maintenance_is_a_valid_webhook() -> None:
    """A webhook of MailerSend about maintenance is verified, although it has no id."""
    sandbox, mail_hub = mailersend_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_secret)
    notice = sandbox.event_notice(URL, {"type": "maintenance.start"})
    [webhook] = verifier.verify(**notice.arguments())

    assert "maintenance.start" == webhook.type


def test_event_names_the_sent_message() -> None:
    """An event has the same reference as the receipt of its email."""
    _, mail_hub = mailersend_hub()
    receipt = mail_hub.email().send_transactional(mail())
    [event] = mail_hub.events("mail", _webhook(_activity("opened", receipt.ref.id)))

    assert receipt.ref == event.ref


def test_webhooks_are_signed() -> None:
    """A MailerSend webhook with another secret, a changed body or no signature is refused."""
    sandbox, mail_hub = mailersend_hub()
    arguments = sandbox.event_notice(URL, _activity("delivered")).arguments()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_secret)
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="another").verify(**arguments)
    with pytest.raises(WebhookRejected):
        verifier.verify(**{**arguments, "body": arguments["body"].replace(b"m-1", b"m-2")})
    with pytest.raises(WebhookRejected):
        verifier.verify(**{**arguments, "headers": {"Content-Type": "application/json"}})

    assert 1 == len(verifier.verify(**arguments))
    with pytest.raises(WebhookRejected, match="being handled"):
        verifier.verify(**arguments)
