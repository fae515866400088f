"""Requests to SendGrid match SendGrid's own API description."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from moorage import Account, Hub
from moorage.contracts.email import Attachment, Disposition, EmailMessage
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.vendors.email.sendgrid import SendGrid
from tests.support.openapi import Json, problems

TEXT: Json = {"type": "string"}
PERSON: Json = {
    "type": "object",
    "required": ["email"],
    "properties": {"email": TEXT, "name": TEXT},
}
PEOPLE: Json = {"type": "array", "items": PERSON}
TEXTS: Json = {"type": "object", "additionalProperties": TEXT}
ENABLED: Json = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "properties": {"enable": {"type": "boolean"}, "enable_text": {"type": "boolean"}},
    },
}


def fields(required: str, **properties: Json) -> Json:
    """Return the schema of an object with the given fields and no others."""
    return {"type": "object", "required": required.split(), "properties": properties}


MESSAGE = fields(
    "from personalizations",
    personalizations={
        "type": "array",
        "items": fields(
            "to",
            to=PEOPLE,
            cc=PEOPLE,
            bcc=PEOPLE,
            subject=TEXT,
            headers=TEXTS,
            custom_args=TEXTS,
            dynamic_template_data={"type": "object"},
            send_at={"type": "integer"},
        ),
    },
    reply_to=PERSON,
    reply_to_list=PEOPLE,
    subject=TEXT,
    content={"type": "array", "items": fields("type value", type=TEXT, value=TEXT)},
    attachments={
        "type": "array",
        "items": fields(
            "content filename",
            content=TEXT,
            filename=TEXT,
            type=TEXT,
            disposition={"enum": ["inline", "attachment"]},
            content_id=TEXT,
        ),
    },
    template_id=TEXT,
    headers=TEXTS,
    categories={"type": "array", "items": TEXT},
    custom_args=TEXTS,
    send_at={"type": "integer"},
    mail_settings=ENABLED,
    tracking_settings=ENABLED,
    **{"from": PERSON},
)
OURS: Json = {
    "paths": {
        "/v3/mail/send": {
            "post": {"requestBody": {"content": {"application/json": {"schema": MESSAGE}}}}
        }
    }
}
"""An excerpt of SendGrid's API description with the fields that moorage sends."""


def test_requests_match_the_description() -> None:
    """Each field of a request is in SendGrid's API description."""
    text = OURS
    metadata = {"invoice": "INV-2041"}
    sandbox = SendGridSandbox()
    vendor = SendGrid(credentials=sandbox.api_key, sender="shop@acme.example")
    hub = Hub([Account("sendgrid", vendor)], http=SandboxHttpClient(sandbox))
    message = EmailMessage(
        to=["ada@example.com", "Bob <bob@example.com>"],
        cc="carol@example.com",
        bcc="dan@example.com",
        reply_to="service@acme.example",
        subject="Invoice INV-2041",
        text="Please find your invoice attached.",
        html='<img src="cid:logo">',
        headers={"X-Invoice": "INV-2041"},
        attachments=[
            Attachment(
                filename="logo.png",
                content=b"a logo",
                content_type="image/png",
                disposition=Disposition.INLINE,
                content_id="logo",
            )
        ],
        tags=["invoice"],
        metadata=metadata,
        send_at=datetime(2031, 5, 6, tzinfo=UTC),
        track_opens=True,
        track_clicks=False,
    )
    hub.email().send_transactional(message)
    [request] = sandbox.requests

    assert [] == problems(text, request.method, request.path, json.loads(request.body))
