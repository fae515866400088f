"""Postmark: webhooks and their events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import Ref, WebhookRejected
from moorage.contracts.email_outcomes import EmailStatus
from moorage.domain.webhooks.events import WebhookEvent
from tests.vendors.email_hubs import mail
from tests.vendors.postmark_account import postmark_hub

URL = "https://erp.example/hooks"

RECORDS: list[tuple[dict[str, Any], EmailStatus, str | None, bool | None]] = [
    ({"RecordType": "Delivery", "DeliveredAt": "x"}, EmailStatus.DELIVERED, None, None),
    ({"RecordType": "Bounce", "Type": "HardBounce"}, EmailStatus.BOUNCED, "HardBounce", True),
    ({"RecordType": "Bounce", "Type": "SoftBounce"}, EmailStatus.BOUNCED, "SoftBounce", False),
    ({"RecordType": "Bounce", "Type": "DnsError"}, EmailStatus.DEFERRED, "DnsError", False),
    ({"RecordType": "Bounce", "Type": "Blocked"}, EmailStatus.REJECTED, "Blocked", None),
    ({"RecordType": "Bounce", "Type": "New"}, EmailStatus.UNKNOWN, "New", None),
    ({"RecordType": "Bounce"}, EmailStatus.UNKNOWN, None, None),
    (
        {"RecordType": "SpamComplaint", "Type": "SpamComplaint"},
        EmailStatus.COMPLAINED,
        "SpamComplaint",
        None,
    ),
    ({"RecordType": "Open"}, EmailStatus.OPENED, None, None),
    ({"RecordType": "Click"}, EmailStatus.CLICKED, None, None),
    (
        {"RecordType": "SubscriptionChange", "SuppressSending": False},
        EmailStatus.SUBSCRIBED,
        None,
        None,
    ),
    (
        {
            "RecordType": "SubscriptionChange",
            "SuppressSending": True,
            "SuppressionReason": "HardBounce",
        },
        EmailStatus.BOUNCED,
        "HardBounce",
        None,
    ),
    (
        {
            "RecordType": "SubscriptionChange",
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
        },
        EmailStatus.UNSUBSCRIBED,
        "ManualSuppression",
        None,
    ),
    ({"RecordType": "Teleport"}, EmailStatus.UNKNOWN, None, None),
]


@pytest.mark.parametrize("record, status, code, permanent", RECORDS)
def test_records_become_events(
    *, record: dict[str, Any], status: EmailStatus, code: str | None, permanent: bool | None
) -> None:
    """Each kind of Postmark record or bounce becomes a status."""
    payload = {"MessageID": "m-1", **record}
    webhook = WebhookEvent(vendor="postmark", id="e1", type="x", vendor_type="x", payload=payload)
    [event] = postmark_hub()[1].events("mail", webhook)

    assert (status, code, permanent) == (event.status, event.code, event.permanent)
    assert record.get("Type", record["RecordType"]) == event.vendor_status


@pytest.mark.parametrize(
    "payload",
    [
        {"RecordType": "SubscriptionChange", "MessageID": None},
        {"MessageID": "m-1"},
        [],
        None,
    ],
)
def test_other_webhooks_give_no_events(payload: object) -> None:
    """Postmark webhooks without a message, such as manual suppressions, become no events."""
    webhook = WebhookEvent(vendor="postmark", id="e1", type="x", vendor_type="x", payload=payload)

    assert () == postmark_hub()[1].events("mail", webhook)


def test_webhooks_have_a_password() -> None:
    """A Postmark webhook needs the right password, and gives one event."""
    sandbox, mail_hub = postmark_hub()
    receipt = mail_hub.email().send_transactional(mail())
    record = {
        "RecordType": "Click",
        "MessageID": receipt.ref.id,
        "Recipient": "ada@example.com",
        "ReceivedAt": "2026-03-01T08:28:10.2735393-04:00",
        "OriginalLink": "https://example.com/",
        "Tag": "invoice",
        "Metadata": {"invoice": "7", "user_id": 43, "odd": None, "odder": True},
    }
    notice = sandbox.event_notice(URL, record)
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**notice.arguments())
    [event] = mail_hub.events("mail", webhook)

    assert (Ref("postmark", "mail", receipt.ref.id), EmailStatus.CLICKED) == (
        event.ref,
        event.status,
    )
    assert datetime(2026, 3, 1, 12, 28, 10, 273539, tzinfo=UTC) == event.at
    assert ("ada@example.com", "https://example.com/") == (event.email, event.url)
    assert (("invoice",), {"invoice": "7", "user_id": "43"}) == (event.tags, event.metadata)
    with pytest.raises(WebhookRejected):
        mail_hub.webhooks("mail", secrets="hook:wrong").verify(**notice.arguments())


def test_deliveries_in_the_same_second_are_distinguished() -> None:
    """Postmark's webhooks of two deliveries in the same second have different ids."""
    sandbox, mail_hub = postmark_hub()
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    ids: set[str] = set()
    for email in ("ada@example.com", "bob@example.com"):
        record = {
            "RecordType": "Delivery",
            "MessageID": "m-1",
            "Recipient": email,
            "DeliveredAt": "2026-03-01T12:00:00Z",
        }
        notice = sandbox.event_notice(URL, record)
        [webhook] = verifier.verify(**notice.arguments())
        ids.add(webhook.id)
        with pytest.raises(WebhookRejected, match="being handled"):
            verifier.verify(**notice.arguments())

    assert 2 == len(ids)
    assert not any("@" in item for item in ids)


@pytest.mark.parametrize(
    "record, type_",
    [
        ({"RecordType": "Bounce", "Type": "HardBounce"}, "email.bounced"),
        ({"RecordType": "Bounce", "Type": "Transient"}, "email.deferred"),
        ({"RecordType": "Bounce", "Type": "Blocked"}, "email.rejected"),
        ({"RecordType": "Bounce", "Type": "Subscribe"}, "email.subscribed"),
        ({"RecordType": "SpamComplaint", "Type": "SpamComplaint"}, "email.complained"),
        ({"RecordType": "SubscriptionChange", "SuppressSending": False}, "email.subscribed"),
        (
            {
                "RecordType": "SubscriptionChange",
                "SuppressSending": True,
                "SuppressionReason": "HardBounce",
            },
            "email.bounced",
        ),
        (
            {
                "RecordType": "SubscriptionChange",
                "SuppressSending": True,
                "SuppressionReason": "ManualSuppression",
            },
            "email.unsubscribed",
        ),
    ],
)
def test_webhook_has_the_type_of_its_event(record: dict[str, Any], type_: str) -> None:
    """A Postmark webhook and its event agree about what happened, such as a new subscription."""
    sandbox, mail_hub = postmark_hub()
    notice = sandbox.event_notice(URL, {"MessageID": "m-1", **record})
    [webhook] = mail_hub.webhooks("mail", secrets=sandbox.password).verify(**notice.arguments())
    [event] = mail_hub.events("mail", webhook)

    assert [type_, type_] == [webhook.type, f"email.{event.status}"]


def test_manual_suppression_is_a_valid_webhook() -> None:
    """A manual suppression at Postmark is verified, although it is about no email."""
    sandbox, mail_hub = postmark_hub()
    record = {"RecordType": "SubscriptionChange", "MessageID": None, "SuppressSending": True}
    verifier = mail_hub.webhooks("mail", secrets=sandbox.password)
    [webhook] = verifier.verify(**sandbox.event_notice(URL, record).arguments())

    assert "email.unsubscribed" == webhook.type


@pytest.mark.parametrize(
    "record, moment, person",
    [
        ("Delivery", "DeliveredAt", "Recipient"),
        ("Bounce", "BouncedAt", "Email"),
        ("SpamComplaint", "BouncedAt", "Email"),
        ("Open", "ReceivedAt", "Recipient"),
        ("Click", "ReceivedAt", "Recipient"),
        ("SubscriptionChange", "ChangedAt", "Recipient"),
    ],
)
def test_event_has_its_time_and_person(record: str, moment: str, person: str) -> None:
    """The time and the recipient are read from each kind of Postmark record."""
    _, mail_hub = postmark_hub()
    payload = {
        "MessageID": "m-1",
        "RecordType": record,
        moment: "2031-05-06T07:08:09-02:00",
        person: "Ada@example.com",
    }
    webhook = WebhookEvent(vendor="postmark", id="e1", type="x", vendor_type="x", payload=payload)
    [event] = mail_hub.events("mail", webhook)

    assert datetime(2031, 5, 6, 9, 8, 9, tzinfo=UTC) == event.at
    assert "Ada@example.com" == event.email
