"""Brevo: webhooks and their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Ref, WebhookRejected
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.webhooks.events import WebhookEvent
from tests.vendors.brevo_account import brevo_hub
from tests.vendors.email_hubs import mail

URL = "https://erp.example/hooks"
ID = "<202603011200.7@smtp-relay.mailin.fr>"

WORDS: list[tuple[str, EmailStatus, bool | None, str]] = [
    ("request", EmailStatus.QUEUED, None, "email.queued"),
    ("sent", EmailStatus.QUEUED, None, "email.queued"),
    ("delivered", EmailStatus.DELIVERED, None, "email.delivered"),
    ("deferred", EmailStatus.DEFERRED, False, "email.deferred"),
    ("soft_bounce", EmailStatus.BOUNCED, False, "email.bounced"),
    ("hard_bounce", EmailStatus.BOUNCED, True, "email.bounced"),
    ("blocked", EmailStatus.REJECTED, None, "email.rejected"),
    ("invalid_email", EmailStatus.REJECTED, True, "email.rejected"),
    ("error", EmailStatus.FAILED, None, "email.failed"),
    ("opened", EmailStatus.OPENED, None, "email.opened"),
    ("unique_opened", EmailStatus.OPENED, None, "email.opened"),
    ("proxy_open", EmailStatus.OPENED, None, "email.opened"),
    ("unique_proxy_open", EmailStatus.OPENED, None, "email.opened"),
    ("click", EmailStatus.CLICKED, None, "email.clicked"),
    ("spam", EmailStatus.COMPLAINED, None, "email.complained"),
    ("complaint", EmailStatus.COMPLAINED, None, "email.complained"),
    ("unsubscribe", EmailStatus.UNSUBSCRIBED, None, "email.unsubscribed"),
    ("unsubscribed", EmailStatus.UNSUBSCRIBED, None, "email.unsubscribed"),
    ("teleported", EmailStatus.UNKNOWN, None, "teleported"),
]


def _webhook(payload: object) -> WebhookEvent:
    return WebhookEvent(vendor="brevo", id="e1", type="x", vendor_type="x", payload=payload)


@pytest.mark.parametrize("word, status, permanent, type_", WORDS)
def test_each_of_brevo_words_for_event_has_its_status(
    *, word: str, status: EmailStatus, permanent: bool | None, type_: str
) -> None:
    """Each of Brevo's event names becomes a status, in the webhook and in the event."""
    sandbox, mail_hub = brevo_hub()
    notice = sandbox.event_notice(
        URL, {"event": word, "message-id": ID, "email": "ada@example.com"}
    )
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_token)
    [webhook] = verifier.verify(**notice.arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (status, word, permanent) == (event.status, event.vendor_status, event.permanent)
    assert (type_, word) == (webhook.type, webhook.vendor_type)


def test_event_has_all_fields() -> None:
    """A Brevo event has its message, recipient, time, reason, tags and metadata."""
    payload: dict[str, Any] = {
        "event": "hard_bounce",
        "email": "Ada@example.com",
        "id": 9,
        "date": "2026-03-01 13:00:00",
        "ts": 1_772_362_800,
        "message-id": ID,
        "ts_event": 1_772_366_400,
        "ts_epoch": 1_772_366_400_125,
        "subject": "Hi",
        "X-Mailin-custom": '{"invoice": "7", "user_id": 43, "odd": null}',
        "reason": "550 No such user",
        "tag": '["invoice","march"]',
        "tags": ["invoice", "march"],
        "link": "https://example.com/",
    }
    [event] = brevo_hub()[1].events("mail", _webhook(payload))

    assert Ref("brevo", "mail", "202603011200.7@smtp-relay.mailin.fr") == event.ref
    assert ("e1", "Ada@example.com", "550 No such user") == (event.id, event.email, event.reason)
    assert datetime(2026, 3, 1, 12, 0, 0, 125_000, tzinfo=UTC) == event.at
    assert (("invoice", "march"), {"invoice": "7", "user_id": "43"}) == (event.tags, event.metadata)
    assert "https://example.com/" == event.url
    assert payload == event.raw


@pytest.mark.parametrize(
    "times, at",
    [
        ({"ts_epoch": 1_604_933_654}, datetime(2020, 11, 9, 14, 54, 14, tzinfo=UTC)),
        ({"ts_epoch": 1_604_933_654_000}, datetime(2020, 11, 9, 14, 54, 14, tzinfo=UTC)),
        ({"ts_epoch": 10**11}, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        ({"s_epoch": 1_534_486_682_000}, datetime(2018, 8, 17, 6, 18, 2, tzinfo=UTC)),
        ({"ts_event": 1_604_933_654}, datetime(2020, 11, 9, 14, 54, 14, tzinfo=UTC)),
        ({"ts_epoch": "x", "ts_event": 0}, datetime(1970, 1, 1, tzinfo=UTC)),
        ({"ts_epoch": 10**400}, None),
        ({"ts": 1_604_933_619, "date": "2020-10-09 00:00:00"}, None),
        ({}, None),
    ],
)
def test_time_of_an_event(times: dict[str, Any], at: datetime | None) -> None:
    """A Brevo event's time is read from seconds or milliseconds; without a UTC time it has none."""
    payload = {"event": "opened", "message-id": ID, **times}
    [event] = brevo_hub()[1].events("mail", _webhook(payload))

    assert at == event.at


@pytest.mark.parametrize(
    "fields, tags",
    [({"tag": ["one"]}, ("one",)), ({"tag": "Welcome template"}, ()), ({"tags": "one"}, ())],
)
def test_tags_are_lists(fields: dict[str, Any], tags: tuple[str, ...]) -> None:
    """In a Brevo event, a single `tag` is the template's name and not a tag of the message."""
    [event] = brevo_hub()[1].events("mail", _webhook({"event": "x", "message-id": ID, **fields}))

    assert tags == event.tags


@pytest.mark.parametrize("text", ["some_custom_header", "[1]", "{", "[" * 100_000, None, 7])
def test_foreign_metadata_are_ignored(text: object) -> None:
    """A Brevo header that moorage did not create from metadata is ignored."""
    payload = {"event": "x", "message-id": ID, "X-Mailin-custom": text}
    [event] = brevo_hub()[1].events("mail", _webhook(payload))

    assert {} == event.metadata


@pytest.mark.parametrize(
    "payload",
    [
        {"event": "list_addition", "email": ["ada@example.com"]},
        {"event": "opened", "message-id": "<>"},
        {"message-id": ID},
        [],
        None,
    ],
)
def test_brevo_webhooks_about_campaigns_and_lists_give_no_events(payload: object) -> None:
    """Brevo's webhooks about campaigns and lists give no events."""
    assert () == brevo_hub()[1].events("mail", _webhook(payload))


def test_event_names_the_sent_message() -> None:
    """A Brevo event has the reference of its email's receipt, with or without brackets."""
    sandbox, mail_hub = brevo_hub()
    receipt = mail_hub.email().send_transactional(mail())
    for id_ in (receipt.ref.id, f"<{receipt.ref.id}>"):
        [event] = mail_hub.events("mail", _webhook({"event": "opened", "message-id": id_}))
        assert receipt.ref == event.ref

    assert receipt.ref.id == sandbox.delivered[0].id


def test_webhooks_have_a_token() -> None:
    """A Brevo webhook needs the account's token; a password instead is refused."""
    sandbox, mail_hub = brevo_hub()
    event = {"event": "delivered", "message-id": ID, "ts_event": 1_772_366_400}
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_token)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, event).arguments())

    assert ("brevo", datetime(2026, 3, 1, 12, tzinfo=UTC)) == (webhook.vendor, webhook.time)
    assert webhook.is_forgeable
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="other").verify(
            **sandbox.event_notice(URL, event).arguments()
        )
    with pytest.raises(WebhookRejected):
        verifier.verify(**sandbox.event_notice_with_password(URL, event).arguments())


def test_webhooks_have_a_password() -> None:
    """If an account's webhooks have a password in their URL, webhooks with a token are refused."""
    sandbox, mail_hub = brevo_hub(webhook_authentication="basic")
    event = {"event": "delivered", "message-id": ID}
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**sandbox.event_notice_with_password(URL, event).arguments())

    assert "email.delivered" == webhook.type
    with pytest.raises(WebhookRejected):
        verifier.verify(**sandbox.event_notice(URL, event).arguments())
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="hook:wrong").verify(
            **sandbox.event_notice_with_password(URL, {**event, "id": 2}).arguments()
        )


def test_events_of_one_brevo_message_have_different_ids() -> None:
    """Events of one Brevo message have different ids, and a repeated event is not stored again."""
    sandbox, mail_hub = brevo_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.webhook_token)
    ids: set[str] = set()
    for email, word in (("ada@", "delivered"), ("bob@", "delivered"), ("ada@", "opened")):
        notice = sandbox.event_notice(
            URL, {"event": word, "message-id": ID, "email": f"{email}example.com", "ts_event": 1}
        )
        [webhook] = verifier.verify(**notice.arguments())
        ids.add(webhook.id)
        with pytest.raises(WebhookRejected, match="being handled"):
            verifier.verify(**notice.arguments())

    assert 3 == len(ids)
    assert not any("example.com" in item for item in ids)
