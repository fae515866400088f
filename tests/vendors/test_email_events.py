"""Email events contain the tags, metadata and address of their email, at each vendor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.email import EmailCapability, EmailMessage
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.email.mailgun import read_form
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tests.vendors.email_hubs import hub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.testing.sandboxes.base import SandboxRequest

NAMED_ADDRESS = "Ada <ada@example.com>"
MESSAGE = EmailMessage(
    from_="shop@example.com", to=NAMED_ADDRESS, subject="Hi", text="Hello.", tags=["invoice"]
)
METADATA = [
    {"invoice": "2041"},
    {"invoice": "true", "tag_invoice": "true", "vip": "true"},
    {"event": "a", "email": "b", "category": "c", "word_tag_x": "d"},
]


def _resend(request: SandboxRequest) -> WebhookEvent:
    tags = {tag["name"]: tag["value"] for tag in request.json()["tags"]}
    data = {"email_id": "1", "to": [NAMED_ADDRESS], "tags": tags}
    payload = {"type": "email.delivered", "created_at": "2026-03-01T12:00:00Z", "data": data}
    return _webhook_event(payload, data)


def _amazon_ses(request: SandboxRequest) -> WebhookEvent:
    tags = {emailtag["Name"]: [emailtag["Value"]] for emailtag in request.json()["EmailTags"]}
    mail = {"messageId": "1", "destination": [NAMED_ADDRESS], "tags": tags}
    return _webhook_event({}, json.dumps({"eventType": "Send", "mail": mail, "send": {}}))


def _sendgrid(request: SandboxRequest) -> WebhookEvent:
    body = request.json()
    fields = {"email": NAMED_ADDRESS, "event": "delivered", "sg_message_id": "abc"}
    return _webhook_event({**body["custom_args"], **fields, "category": body["categories"]})


def _postmark(request: SandboxRequest) -> WebhookEvent:
    body = request.json()
    fields = {"MessageID": "1", "RecordType": "Delivery", "Recipient": NAMED_ADDRESS}
    return _webhook_event({**fields, "Tag": body["Tag"], "Metadata": body["Metadata"]})


def _mailgun(request: SandboxRequest) -> WebhookEvent:
    form = read_form(request)
    data = {
        "event": "delivered",
        "recipient": NAMED_ADDRESS,
        "message": {"headers": {"message-id": "1"}},
        "tags": form.all("o:tag"),
        "user-variables": form.below("v:"),
    }
    return _webhook_event({"event-data": data})


def _mailjet(request: SandboxRequest) -> WebhookEvent:
    [message] = request.json()["Messages"]
    fields = {"event": "sent", "MessageID": 1, "email": NAMED_ADDRESS}
    words = {"customcampaign": message["CustomCampaign"], "Payload": message["EventPayload"]}
    return _webhook_event({**fields, **words})


def _sparkpost(request: SandboxRequest) -> WebhookEvent:
    body = request.json()
    fields = {"type": "delivery", "transmission_id": "1", "raw_rcpt_to": NAMED_ADDRESS}
    words = {"campaign_id": body["campaign_id"], "rcpt_meta": body["metadata"]}
    return _webhook_event({"msys": {"message_event": {**fields, **words}}})


def _brevo(request: SandboxRequest) -> WebhookEvent:
    body = request.json()
    custom = {"X-Mailin-custom": body["headers"]["X-Mailin-custom"]}
    fields = {
        "event": "delivered",
        "message-id": "<1@a>",
        "email": NAMED_ADDRESS,
        "tags": body["tags"],
    }
    return _webhook_event({**fields, **custom})


def _mailersend(request: SandboxRequest) -> WebhookEvent:
    email = {
        "message": {"id": "1"},
        "recipient": {"email": NAMED_ADDRESS},
        "tags": request.json()["tags"],
    }
    return _webhook_event({"data": {"type": "delivered", "email": email}})


def _mailtrap(request: SandboxRequest) -> WebhookEvent:
    body = request.json()
    fields = {"event": "delivery", "message_id": "1", "email": NAMED_ADDRESS}
    words = {name: body[name] for name in ("category", "custom_variables")}
    return _webhook_event({**fields, **words})


def _mandrill(request: SandboxRequest) -> WebhookEvent:
    message = request.json()["message"]
    words = {name: message[name] for name in ("metadata", "tags")}
    fields = {"event": "send", "_id": "1", "ts": 1772366400}
    return _webhook_event({**fields, "msg": {"email": NAMED_ADDRESS, **words}})


def _postal(request: SandboxRequest) -> WebhookEvent:
    message = {"id": 1, "message_id": "1@a", "to": NAMED_ADDRESS, "tag": request.json()["tag"]}
    return _webhook_event({"event": "MessageSent", "payload": {"message": message}})


def _unisender_go(request: SandboxRequest) -> WebhookEvent:
    message = request.json()["message"]
    words = {"tags": message["tags"], "metadata": message["global_metadata"]}
    data = {"job_id": "1", "status": "sent", "email": NAMED_ADDRESS, **words}
    return _webhook_event({"event_name": "transactional_email_status", "event_data": data})


def _webhook_event(payload: dict[str, Any], data: Any = None) -> WebhookEvent:
    return WebhookEvent(vendor="x", id="1", type="x", vendor_type="x", payload=payload, data=data)


WEBHOOKS: dict[str, Callable[[SandboxRequest], WebhookEvent]] = {
    "amazon_ses": _amazon_ses,
    "brevo": _brevo,
    "mailersend": _mailersend,
    "mailgun": _mailgun,
    "mailjet": _mailjet,
    "mailtrap": _mailtrap,
    "mandrill": _mandrill,
    "postal": _postal,
    "postmark": _postmark,
    "resend": _resend,
    "sendgrid": _sendgrid,
    "sparkpost": _sparkpost,
    "unisender_go": _unisender_go,
}


def test_each_email_vendor_that_supports_tags_has_webhook_in_this_module() -> None:
    """Each email vendor that supports tags has an example webhook in this module."""
    tagging_vendors = {
        name
        for name in vendor_names()
        if EmailCapability.TAGS in vendor_class(name).capabilities
        and "email" in vendor_class(name).kinds
    }
    assert set(WEBHOOKS) == tagging_vendors


@pytest.mark.parametrize("metadata", METADATA, ids=["same name", "like a tag", "vendor's own"])
@pytest.mark.parametrize("vendor", WEBHOOKS)
def test_tags_and_metadata_come_back(vendor: str, metadata: dict[str, str], tmp_path: Path) -> None:
    """An event has all tags and metadata of its email, and the recipient without a name."""
    if EmailCapability.METADATA not in vendor_class(vendor).capabilities:
        metadata = {}
    fixture = fixture_of(vendor, tmp_path)
    sandbox: Any = fixture.sandbox
    mail_hub = hub(vendor_class(vendor)(**fixture.options), sandbox)
    mail_hub.email().send_transactional(attrs.evolve(MESSAGE, metadata=metadata))
    [event] = mail_hub.events("mail", WEBHOOKS[vendor](sandbox.requests[-1]))

    assert (("invoice",), metadata) == (event.tags, event.metadata)
    assert "ada@example.com" == event.email
