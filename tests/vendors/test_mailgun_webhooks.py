"""Mailgun's webhooks: signatures and events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Ref, WebhookRejected
from moorage.adapters.clocks.system import SystemClock
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.webhooks.events import WebhookEvent
from tests.vendors.email_hubs import mail
from tests.vendors.mailgun_account import mailgun_hub

URL = "https://erp.example/hooks"


def _event(**fields: Any) -> dict[str, Any]:
    return {
        "event": "delivered",
        "id": "day-unique",
        "timestamp": 1772366400.153125,
        "recipient": "ada@example.com",
        "message": {"headers": {"message-id": "m-1@mail.example.com"}},
        **fields,
    }


def test_webhooks_are_signed_and_become_events() -> None:
    """A signed Mailgun webhook gives an event of the sent email."""
    sandbox, mail_hub = mailgun_hub()
    receipt = mail_hub.email().send_transactional(mail())
    result = _event(
        event="failed",
        severity="permanent",
        reason="bounce",
        message={"headers": {"message-id": receipt.ref.id}},
        tags=["invoice"],
        **{
            "user-variables": {"invoice": "7", "n": 8, "odd": []},
            "delivery-status": {"code": 550, "description": "", "message": "No such user."},
        },
    )
    notice = sandbox.event_notice(URL, result, datetime.now(UTC))
    verifier = mail_hub.webhooks("mail", clock=SystemClock(), secrets=sandbox.signing_key)
    [webhook] = verifier.verify(**notice.arguments())
    [event] = mail_hub.events("mail", webhook)

    assert Ref("mailgun", "mail", receipt.ref.id) == event.ref
    assert not receipt.ref.id.startswith("<")
    assert (EmailStatus.BOUNCED, "failed", "550", "No such user.", True) == (
        event.status,
        event.vendor_status,
        event.code,
        event.reason,
        event.permanent,
    )
    assert datetime(2026, 3, 1, 12, 0, 0, 153_125, tzinfo=UTC) == event.at
    assert (("invoice",), {"invoice": "7", "n": "8"}) == (event.tags, event.metadata)
    assert ("ada@example.com", webhook.id) == (event.email, event.id)
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", clock=SystemClock(), secrets="wrong").verify(**notice.arguments())


@pytest.mark.parametrize(
    "fields, status, code",
    [
        ({"event": "accepted"}, EmailStatus.QUEUED, None),
        ({"event": "failed", "severity": "temporary"}, EmailStatus.DEFERRED, None),
        (
            {"event": "failed", "severity": "permanent", "reason": "suppress-bounce"},
            EmailStatus.REJECTED,
            "suppress-bounce",
        ),
        ({"event": "failed"}, EmailStatus.FAILED, None),
        ({"event": "rejected", "reject": {"reason": "virus"}}, EmailStatus.REJECTED, None),
        ({"event": "clicked", "url": "https://a.example/"}, EmailStatus.CLICKED, None),
        ({"event": "teleported"}, EmailStatus.UNKNOWN, None),
    ],
)
def test_each_mailgun_event_has_its_status(
    fields: dict[str, Any], status: EmailStatus, code: str | None
) -> None:
    """Each Mailgun event has its own status; an undocumented event has the status unknown."""
    payload = {"signature": {}, "event-data": _event(**fields)}
    webhook = WebhookEvent(vendor="mailgun", id="e1", type="x", vendor_type="x", payload=payload)
    [event] = mailgun_hub()[1].events("mail", webhook)

    assert (status, code, fields.get("url")) == (event.status, event.code, event.url)
    assert fields.get("reject", {}).get("reason") == event.reason
    is_permanent = {"permanent": True, "temporary": False}.get(fields.get("severity", ""))
    assert is_permanent is event.permanent
    assert payload["event-data"] == event.raw


@pytest.mark.parametrize(
    "severity, type_", [("temporary", "email.deferred"), ("permanent", "email.failed")]
)
def test_mail_that_mailgun_sends_again_has_not_failed(severity: str, type_: str) -> None:
    """A failure has the type of a failed email only if Mailgun does not send the email again."""
    sandbox, mail_hub = mailgun_hub()
    result = _event(event="failed", severity=severity)
    notice = sandbox.event_notice(URL, result, datetime.now(UTC))
    verifier = mail_hub.webhooks("mail", clock=SystemClock(), secrets=sandbox.signing_key)
    [webhook] = verifier.verify(**notice.arguments())

    assert (type_, "failed") == (webhook.type, webhook.vendor_type)


@pytest.mark.parametrize(
    "payload",
    [
        {"event-data": _event(event="stored")},
        {"event-data": _event(message={})},
        {"event-data": _event(event=None)},
        {"event-data": []},
        [],
    ],
)
def test_mailgun_webhooks_about_incoming_mail_and_lists_give_no_events(payload: object) -> None:
    """Mailgun webhooks about incoming mail and lists give no events."""
    webhook = WebhookEvent(vendor="mailgun", id="e1", type="x", vendor_type="x", payload=payload)

    assert () == mailgun_hub()[1].events("mail", webhook)
