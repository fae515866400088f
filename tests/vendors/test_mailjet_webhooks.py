"""Mailjet: webhooks and their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Ref, WebhookRejected
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.webhooks.events import WebhookEvent
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.mailjet import mailjet_hub

URL = "https://erp.example/hooks"

KINDS: list[tuple[dict[str, Any], EmailStatus, str | None, bool | None]] = [
    ({"event": "sent"}, EmailStatus.DELIVERED, None, None),
    ({"event": "open"}, EmailStatus.OPENED, None, None),
    ({"event": "click"}, EmailStatus.CLICKED, None, None),
    ({"event": "spam", "source": "JMRPP"}, EmailStatus.COMPLAINED, "JMRPP", None),
    ({"event": "unsub"}, EmailStatus.UNSUBSCRIBED, None, None),
    (
        {"event": "bounce", "error": "user unknown", "hard_bounce": True},
        EmailStatus.BOUNCED,
        "user unknown",
        True,
    ),
    (
        {"event": "bounce", "error": "quota exceeded", "hard_bounce": False},
        EmailStatus.BOUNCED,
        "quota exceeded",
        False,
    ),
    (
        {"event": "bounce", "error": "greylisted", "hard_bounce": False},
        EmailStatus.DEFERRED,
        "greylisted",
        False,
    ),
    ({"event": "bounce", "error": "greylisted"}, EmailStatus.DEFERRED, "greylisted", None),
    (
        {"event": "bounce", "error": "greylisted", "hard_bounce": True},
        EmailStatus.BOUNCED,
        "greylisted",
        True,
    ),
    ({"event": "blocked", "error": "greylisted"}, EmailStatus.REJECTED, "greylisted", None),
    ({"event": "blocked", "error": "preblocked"}, EmailStatus.REJECTED, "preblocked", None),
    (
        {"event": "blocked", "error": "bad or empty template"},
        EmailStatus.FAILED,
        "bad or empty template",
        None,
    ),
    (
        {"event": "bounce", "error": "error in template language", "hard_bounce": True},
        EmailStatus.FAILED,
        "error in template language",
        True,
    ),
    ({"event": "teleport"}, EmailStatus.UNKNOWN, None, None),
]


def events_of(payload: object) -> Any:
    """Return the email events that one item of a webhook gives."""
    webhook = WebhookEvent(vendor="mailjet", id="e1", type="x", vendor_type="x", payload=payload)
    return mailjet_hub()[1].events("mail", webhook)


@pytest.mark.parametrize("fields, status, code, permanent", KINDS)
def test_kind_of_an_event_becomes_a_status(
    *, fields: dict[str, Any], status: EmailStatus, code: str | None, permanent: bool | None
) -> None:
    """Each kind of Mailjet event has its status; some error fields change the status."""
    [event] = events_of({"MessageID": 19421777835146490, **fields})

    assert (status, fields["event"], code, permanent) == (
        event.status,
        event.vendor_status,
        event.code,
        event.permanent,
    )


@pytest.mark.parametrize(
    "payload",
    [{"event": "sent"}, {"MessageID": 1}, {"Sender": "a@example.com", "Parts": []}, [], None],
)
def test_other_items_give_no_events(payload: object) -> None:
    """Received mail, and an item without a message, give no events."""
    assert () == events_of(payload)


@pytest.mark.parametrize("payload", ["", "x", "[]", '"x"', "{", "[" * 100_000])
def test_payloads_of_others_are_no_metadata(payload: str) -> None:
    """A `Payload` that moorage did not write stays in the raw event; it is not read as metadata."""
    [event] = events_of({"event": "sent", "MessageID": 1, "Payload": payload})

    assert {} == event.metadata
    assert payload == event.raw["Payload"]


def test_event_without_our_id() -> None:
    """The event of a message that moorage did not send has Mailjet's own id."""
    [event] = events_of({"event": "sent", "MessageID": 19421777835146490, "CustomID": ""})

    assert (
        Ref("mailjet", "mail", "19421777835146490", {"message": "19421777835146490"}) == event.ref
    )


def test_webhook_has_a_password() -> None:
    """A webhook needs the right password; each of its items becomes an event."""
    sandbox, mail_hub = mailjet_hub()
    receipt = mail_hub.email().send_transactional(mail())
    shared = {
        "time": 1433333949,
        "MessageID": 19421777835146490,
        "email": "ada@example.com",
        "CustomID": receipt.ref.id,
    }
    bounce_fields = {
        "event": "bounce",
        "hard_bounce": True,
        "error": "user unknown",
        "error_related_to": "recipient",
        "comment": "550 no such user",
        "customcampaign": "invoice",
        "Payload": '{"invoice": "7", "user_id": 43, "odd": null}',
    }
    click_fields = {"event": "click", "url": "https://example.com/", "customcampaign": ""}
    blocked_fields = {"event": "blocked", "error": "typofix", "error_related_to": "domain"}
    notice = sandbox.event_notice(
        URL, shared | bounce_fields, shared | click_fields, shared | blocked_fields
    )
    webhooks = mail_hub.webhooks("mail", secrets=sandbox.password).verify(**notice.arguments())
    bounce, click, blocked = [
        event for webhook in webhooks for event in mail_hub.events("mail", webhook)
    ]

    assert ["email.bounced", "email.clicked", "email.rejected"] == [
        webhook.type for webhook in webhooks
    ]
    time = datetime(2015, 6, 3, 12, 19, 9, tzinfo=UTC)
    assert {time} == {webhook.time for webhook in webhooks} | {bounce.at}
    assert 3 == len({bounce.id, click.id, blocked.id})
    assert receipt.ref.id == bounce.ref.id == click.ref.id
    assert {"message": "19421777835146490"} == dict(bounce.ref.related)
    assert ("ada@example.com", "550 no such user") == (bounce.email, bounce.reason)
    assert (("invoice",), {"invoice": "7", "user_id": "43"}) == (bounce.tags, bounce.metadata)
    assert shared | bounce_fields == bounce.raw
    assert ("https://example.com/", (), {}) == (click.url, click.tags, click.metadata)
    assert "domain" == blocked.reason
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="hook:wrong").verify(**notice.arguments())


def test_single_event_needs_no_list() -> None:
    """A Mailjet webhook may be a single event instead of a list."""
    sandbox, mail_hub = mailjet_hub()
    event = {"event": "sent", "time": 1433333949, "MessageID": 1}
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, event, grouped=False).arguments())

    assert "email.delivered" == webhook.type


def test_repeated_webhook_is_a_replay() -> None:
    """If Mailjet repeats a webhook, the copy is recognised by its body."""
    sandbox, mail_hub = mailjet_hub()
    events = [{"event": "open", "time": 1433333949, "MessageID": 1}] * 2
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    assert 2 == len(verifier.verify(**sandbox.event_notice(URL, *events).arguments()))
    with pytest.raises(WebhookRejected, match="being handled"):
        verifier.verify(**sandbox.event_notice(URL, *events).arguments())
