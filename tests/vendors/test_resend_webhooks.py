"""Resend: webhooks and their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Ref, WebhookRejected
from moorage.adapters.clocks.system import SystemClock
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.webhooks.events import WebhookEvent
from tests.vendors.email_hubs import mail
from tests.vendors.resend_account import resend_hub

URL = "https://erp.example/hooks"


def _event(kind: str, **data: Any) -> dict[str, Any]:
    default_data = {"email_id": "m-1", "to": ["ada@example.com"], "subject": "Hi"}
    return {
        "type": kind,
        "created_at": "2026-03-01T12:00:00.123Z",
        "data": {**default_data, **data},
    }


def test_webhooks_are_signed_and_become_events() -> None:
    """A signed Resend webhook gives an event for each recipient of an email."""
    sandbox, mail_hub = resend_hub()
    receipt = mail_hub.email().send_transactional(mail())
    result = _event(
        "email.bounced",
        email_id=receipt.ref.id,
        to=["Ada, Countess <ada@example.com>", "bob@example.com"],
        bounce={"message": "no", "subType": "MailboxFull", "type": "Transient"},
        tags={"invoice": "7", "tag_news": "true", "vip": "true"},
    )
    verifier = mail_hub.webhooks("mail", clock=SystemClock(), secrets=sandbox.webhook_secret)
    notice = sandbox.event_notice(URL, result, datetime.now(UTC))
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
        (_event("email.canceled"), EmailStatus.CANCELED, None, None),
        (_event("email.queued"), EmailStatus.QUEUED, None, None),
        (_event("email.scheduled"), EmailStatus.SCHEDULED, None, None),
        (_event("email.teleported", to=None), EmailStatus.UNKNOWN, None, None),
    ],
)
def test_each_resend_event_has_its_status(
    table: dict[str, Any], status: EmailStatus, code: str | None, url: str | None
) -> None:
    """Each Resend event has its status; an unknown event has the status unknown."""
    webhook = WebhookEvent(vendor="svix", id="e1", type="x", vendor_type="x", payload=table)
    [event] = resend_hub()[1].events("mail", webhook)

    assert (status, code, url, "e1") == (event.status, event.code, event.url, event.id)
    assert (False if status is EmailStatus.DEFERRED else None) is event.permanent
    assert table == event.raw


@pytest.mark.parametrize(
    "payload",
    [{"type": "contact.created", "data": {"id": "c"}}, {"data": 1}, []],
)
def test_resend_webhooks_about_contacts_and_domains_give_no_events(payload: object) -> None:
    """Resend webhooks about contacts and domains give no events."""
    webhook = WebhookEvent(vendor="svix", id="e1", type="x", vendor_type="x", payload=payload)

    assert () == resend_hub()[1].events("mail", webhook)
