"""Requests to Resend match Resend's description of its API."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from moorage import Account, Hub
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.vendors.email.resend import Resend
from tests.support.openapi import Json, problems
from tests.vendors.email_hubs import mail

TEXT: Json = {"type": "string"}
TEXTS: Json = {"type": "array", "items": TEXT}


def fields(required: str, **properties: Json) -> Json:
    """Return the schema of an object with the given fields and no others."""
    return {"type": "object", "required": required.split(), "properties": properties}


MESSAGE = fields(
    "from to",
    to=TEXTS,
    cc=TEXTS,
    bcc=TEXTS,
    reply_to=TEXTS,
    subject=TEXT,
    html=TEXT,
    text=TEXT,
    template=fields("id", id=TEXT, variables={"type": "object"}),
    headers={"type": "object"},
    scheduled_at=TEXT,
    attachments={
        "type": "array",
        "items": fields(
            "content filename", content=TEXT, filename=TEXT, content_type=TEXT, content_id=TEXT
        ),
    },
    tags={"type": "array", "items": fields("name value", name=TEXT, value=TEXT)},
    **{"from": TEXT},
)

OURS: Json = {
    "paths": {
        path: {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}
        for path, schema in {
            "/emails": MESSAGE,
            "/emails/batch": {"type": "array", "items": MESSAGE},
        }.items()
    }
}
"""An excerpt of Resend's API description with the fields that moorage sends."""


@pytest.mark.parametrize("template", [None, TemplateRef("welcome", {"name": "Ada"})])
def test_requests_match_the_description(template: TemplateRef | None) -> None:
    """Each field of a request is in Resend's API description, with its type."""
    text = OURS
    sandbox = ResendSandbox()
    vendor = Resend(credentials=sandbox.api_key, sender="shop@acme.example")
    mail_hub = Hub([Account("resend", vendor)], http=SandboxHttpClient(sandbox))
    message = mail(
        from_=None,
        to=["ada@example.com", "Bob <bob@example.com>"],
        cc="carol@example.com",
        bcc="dan@example.com",
        reply_to="service@acme.example",
        html='<img src="cid:logo">',
        headers={"X-Invoice": "INV-2041"},
        attachments=[
            Attachment(
                filename="logo.png",
                content=b"a logo",
                content_type="image/png",
                disposition="inline",
                content_id="logo",
            )
        ],
        tags=["invoice"],
        metadata={"number": "7"},
        send_at=datetime(2031, 5, 6, tzinfo=UTC),
        template=template,
    )
    mail_hub.email().send_transactional(message)
    base = mail(to=(), template=template)
    mail_hub.email().send_bulk(BulkMessage(base=base, recipients=["ada@example.com"]))

    assert [[], []] == [
        problems(text, request.method, request.path, json.loads(request.body))
        for request in sandbox.requests
    ]
