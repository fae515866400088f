"""All email vendors give failures the same reason names; events name the mail program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.email_outcomes import EmailEvent, RejectReason
from moorage.domain.webhooks.events import WebhookEvent
from moorage.vendors.email.amazon_ses import AmazonSes
from moorage.vendors.email.brevo import Brevo
from moorage.vendors.email.mailersend import MailerSend
from moorage.vendors.email.mailgun import Mailgun
from moorage.vendors.email.mailjet import Mailjet
from moorage.vendors.email.mailtrap import Mailtrap
from moorage.vendors.email.mandrill import Mandrill
from moorage.vendors.email.postal import Postal
from moorage.vendors.email.postmark import Postmark
from moorage.vendors.email.resend import Resend
from moorage.vendors.email.sendgrid import SendGrid
from moorage.vendors.email.sparkpost import SparkPost
from moorage.vendors.email.unisender_go import UnisenderGo
from tests.vendors.email_hubs import hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.vendor import Vendor

Payload = dict[str, Any]


def _ses(fields: Payload) -> tuple[Any, Any]:
    return {}, json.dumps({"mail": {"messageId": "1", "destination": ["a@b.example"]}, **fields})


def _mailgun(fields: Payload) -> tuple[Any, Any]:
    return {"event-data": {"message": {"headers": {"message-id": "1"}}, **fields}}, None


def _postal(fields: Payload) -> tuple[Any, Any]:
    message = {"id": 1, "message_id": "1@a"}
    payload = {"message": message, "original_message": message, **fields}
    return {"event": payload.pop("event"), "payload": payload}, None


def _unisender_go(fields: Payload) -> tuple[Any, Any]:
    data = {"job_id": "1", **fields}
    return {"event_name": "transactional_email_status", "event_data": data}, None


VENDORS: dict[str, tuple[Vendor, Callable[[Payload], tuple[Any, Any]]]] = {
    "amazon_ses": (AmazonSes(region="eu-central-1"), _ses),
    "brevo": (Brevo(), lambda fields: ({"message-id": "<1@a>", **fields}, None)),
    "mailersend": (
        MailerSend(),
        lambda fields: ({"data": {"email": {"message": {"id": "1"}}, **fields}}, None),
    ),
    "mailgun": (Mailgun(domain="a.example"), _mailgun),
    "mailjet": (Mailjet(api_key="k"), lambda fields: ({"MessageID": 1, **fields}, None)),
    "mailtrap": (Mailtrap(), lambda fields: ({"message_id": "1", **fields}, None)),
    "mandrill": (Mandrill(), lambda fields: ({"_id": "1", **fields}, None)),
    "postal": (Postal(base_url="https://postal.example.com"), _postal),
    "postmark": (Postmark(), lambda fields: ({"MessageID": "1", **fields}, None)),
    "resend": (
        Resend(),
        lambda fields: ({"type": fields["type"], "data": {"email_id": "1", **fields}}, None),
    ),
    "sendgrid": (SendGrid(), lambda fields: ({"sg_message_id": "abc", **fields}, None)),
    "sparkpost": (
        SparkPost(),
        lambda fields: ({"msys": {"message_event": {"transmission_id": "1", **fields}}}, None),
    ),
    "unisender_go": (UnisenderGo(), _unisender_go),
}


def event_of(vendor: str, fields: Payload) -> EmailEvent:
    """Return the event of a vendor's webhook with the given fields."""
    instance, webhook = VENDORS[vendor]
    payload, data = webhook(fields)
    sent = WebhookEvent(
        vendor=instance.webhook or "", id="e1", type="", vendor_type="", payload=payload, data=data
    )
    [event] = hub(instance).events("mail", sent)
    assert isinstance(event, EmailEvent)
    return event


CAUSES: list[tuple[str, Payload, RejectReason | None]] = [
    ("amazon_ses", {"eventType": "Bounce", "bounce": {}}, RejectReason.BOUNCED),
    ("amazon_ses", {"eventType": "Reject", "reject": {}}, RejectReason.BLOCKED),
    ("amazon_ses", {"eventType": "Delivery", "delivery": {}}, None),
    ("brevo", {"event": "invalid_email"}, RejectReason.INVALID),
    ("brevo", {"event": "delivered"}, None),
    ("mailersend", {"type": "spam_complaint"}, RejectReason.SPAM),
    ("mailersend", {"type": "delivered"}, None),
    ("mailgun", {"event": "failed", "reason": "suppress-unsubscribe"}, RejectReason.UNSUBSCRIBED),
    ("mailgun", {"event": "failed", "reason": "odd"}, RejectReason.OTHER),
    ("mailgun", {"event": "complained"}, RejectReason.SPAM),
    ("mailgun", {"event": "opened"}, None),
    ("mailjet", {"event": "bounce", "error": "user unknown"}, RejectReason.INVALID),
    ("mailjet", {"event": "blocked", "error": "odd"}, RejectReason.OTHER),
    ("mailjet", {"event": "unsub"}, RejectReason.UNSUBSCRIBED),
    ("mailjet", {"event": "open"}, None),
    ("mailtrap", {"event": "bounce"}, RejectReason.BOUNCED),
    ("mailtrap", {"event": "reject"}, RejectReason.BLOCKED),
    ("mailtrap", {"event": "spam"}, RejectReason.SPAM),
    ("mailtrap", {"event": "unsubscribe"}, RejectReason.UNSUBSCRIBED),
    ("mailtrap", {"event": "suspension"}, None),
    ("mandrill", {"event": "hard_bounce"}, RejectReason.BOUNCED),
    ("mandrill", {"event": "soft_bounce"}, RejectReason.BOUNCED),
    ("mandrill", {"event": "spam"}, RejectReason.SPAM),
    ("mandrill", {"event": "unsub"}, RejectReason.UNSUBSCRIBED),
    ("mandrill", {"event": "reject"}, RejectReason.BLOCKED),
    ("mandrill", {"event": "reject", "msg": {"reject": {"reason": "spam"}}}, RejectReason.SPAM),
    ("mandrill", {"event": "unsub"}, RejectReason.UNSUBSCRIBED),
    ("mandrill", {"event": "deferral"}, None),
    ("postal", {"event": "MessageDeliveryFailed", "output": "550 5.1.1"}, RejectReason.BOUNCED),
    ("postal", {"event": "MessageDeliveryFailed", "output": ""}, RejectReason.OTHER),
    ("postal", {"event": "MessageBounced"}, RejectReason.BOUNCED),
    ("postal", {"event": "MessageDelayed", "output": "451 4.7.1"}, None),
    ("postmark", {"RecordType": "Bounce", "Type": "BadEmailAddress"}, RejectReason.INVALID),
    ("postmark", {"RecordType": "Bounce", "Type": "Transient"}, None),
    (
        "postmark",
        {
            "RecordType": "SubscriptionChange",
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
        },
        RejectReason.UNSUBSCRIBED,
    ),
    (
        "postmark",
        {
            "RecordType": "SubscriptionChange",
            "SuppressSending": False,
            "SuppressionReason": "HardBounce",
        },
        None,
    ),
    ("resend", {"type": "email.suppressed"}, RejectReason.BLOCKED),
    ("resend", {"type": "email.delivered"}, None),
    ("sendgrid", {"event": "bounce", "type": "blocked"}, RejectReason.BLOCKED),
    ("sendgrid", {"event": "bounce", "type": "bounce"}, RejectReason.BOUNCED),
    ("sendgrid", {"event": "dropped", "reason": "Bounced Address"}, RejectReason.BOUNCED),
    ("sendgrid", {"event": "dropped", "reason": "Invalid"}, RejectReason.INVALID),
    (
        "sendgrid",
        {"event": "dropped", "reason": "Recipient List over Package Quota"},
        RejectReason.BLOCKED,
    ),
    ("sendgrid", {"event": "dropped", "reason": "Spam Content"}, RejectReason.SPAM),
    ("sendgrid", {"event": "dropped", "reason": "Spam Reporting Address"}, RejectReason.SPAM),
    ("sendgrid", {"event": "dropped", "reason": "Unsubscribed Address"}, RejectReason.UNSUBSCRIBED),
    ("sendgrid", {"event": "dropped", "reason": "odd"}, RejectReason.OTHER),
    ("sendgrid", {"event": "group_unsubscribe"}, RejectReason.UNSUBSCRIBED),
    ("sendgrid", {"event": "delivered"}, None),
    ("sparkpost", {"type": "bounce", "bounce_class": "24"}, RejectReason.TIMED_OUT),
    ("sparkpost", {"type": "bounce", "bounce_class": "1"}, RejectReason.OTHER),
    ("sparkpost", {"type": "bounce", "bounce_class": "60"}, None),
    ("sparkpost", {"type": "link_unsubscribe"}, RejectReason.UNSUBSCRIBED),
    ("sparkpost", {"type": "delivery"}, None),
    ("unisender_go", {"status": "hard_bounced"}, RejectReason.BOUNCED),
    (
        "unisender_go",
        {"status": "hard_bounced", "delivery_info": {"delivery_status": "err_spam_rejected"}},
        RejectReason.SPAM,
    ),
    ("unisender_go", {"status": "spam"}, RejectReason.SPAM),
    ("unisender_go", {"status": "unsubscribed"}, RejectReason.UNSUBSCRIBED),
    ("unisender_go", {"status": "soft_bounced"}, None),
]


@pytest.mark.parametrize("vendor, fields, cause", CAUSES)
def test_failure_reason_is_same_word_at_every_vendor(
    vendor: str, fields: Payload, cause: RejectReason | None
) -> None:
    """A failure's reason has the same name at every vendor; other events have no reason."""
    assert cause is event_of(vendor, fields).cause


@pytest.mark.parametrize(
    "vendor, fields",
    [
        ("amazon_ses", {"eventType": "Open", "open": {"userAgent": "Mail/1"}}),
        ("mailgun", {"event": "opened", "client-info": {"user-agent": "Mail/1"}}),
        ("mailjet", {"event": "open", "agent": "Mail/1"}),
        ("mailtrap", {"event": "open", "user_agent": "Mail/1"}),
        ("mandrill", {"event": "open", "user_agent": "Mail/1"}),
        ("postal", {"event": "MessageLoaded", "user_agent": "Mail/1"}),
        ("postmark", {"RecordType": "Open", "UserAgent": "Mail/1"}),
        ("resend", {"type": "email.clicked", "click": {"userAgent": "Mail/1"}}),
        ("sendgrid", {"event": "open", "useragent": "Mail/1"}),
        ("sparkpost", {"type": "open", "user_agent": "Mail/1"}),
        ("unisender_go", {"status": "opened", "delivery_info": {"user_agent": "Mail/1"}}),
    ],
)
def test_event_of_open_or_click_has_mail_program(vendor: str, fields: Payload) -> None:
    """The event of an open or a click has the mail program; the event's repr hides it."""
    event = event_of(vendor, fields)

    assert "Mail/1" == event.user_agent
    assert "Mail/1" not in repr(event)
