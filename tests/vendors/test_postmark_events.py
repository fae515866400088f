"""Postmark's webhooks have the time and the person of what happened."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from tests.vendors.email_hubs import hub
from tests.vendors.subjects.postmark import postmark_vendor


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
    """Each kind of record names its time and its person in fields of its own."""
    sandbox = PostmarkSandbox()
    payload = {
        "MessageID": "m-1",
        "RecordType": record,
        moment: "2031-05-06T07:08:09-02:00",
        person: "Ada@example.com",
    }
    webhook = WebhookEvent(vendor="postmark", id="e1", type="x", vendor_type="x", payload=payload)
    [event] = hub(postmark_vendor(sandbox), sandbox).events("mail", webhook)

    assert datetime(2031, 5, 6, 9, 8, 9, tzinfo=UTC) == event.at
    assert "Ada@example.com" == event.email
