"""Requests to Postmark match Postmark's description of its API."""

from __future__ import annotations

import json

import pytest

from moorage import Account, Hub
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.vendors.email.postmark import Postmark
from tests.support.openapi import Json, problems
from tests.vendors.email_hubs import mail

TEXT: Json = {"type": "string"}

SHARED: Json = {
    "Attachments": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": dict.fromkeys(("Name", "Content", "ContentType", "ContentID"), TEXT),
        },
    },
    "Headers": {
        "type": "array",
        "items": {"type": "object", "properties": {"Name": TEXT, "Value": TEXT}},
    },
    "TrackOpens": {"type": "boolean"},
    "TrackLinks": {"enum": ["None", "HtmlAndText", "HtmlOnly", "TextOnly"]},
    **dict.fromkeys(("From", "To", "Cc", "Bcc", "ReplyTo", "Tag"), TEXT),
}

PLAIN: Json = {
    "type": "object",
    "properties": SHARED | dict.fromkeys(("Subject", "TextBody", "HtmlBody"), TEXT),
}

FILLED: Json = {
    "type": "object",
    "required": ["TemplateModel"],
    "properties": SHARED
    | {
        "TemplateId": {"type": "integer"},
        "TemplateAlias": TEXT,
        "TemplateModel": {"type": "object"},
    },
}

OURS: Json = {
    "paths": {
        path: {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}
        for path, schema in {
            "/email": PLAIN,
            "/email/batch": {"type": "array", "items": PLAIN},
            "/email/withTemplate": FILLED,
            "/email/batchWithTemplates": {
                "type": "object",
                "properties": {"Messages": {"type": "array", "items": FILLED}},
            },
        }.items()
    }
}
"""An excerpt of Postmark's API description with the fields that moorage sends."""


@pytest.mark.parametrize("template", [None, TemplateRef("7", {"total": "149.90"})])
def test_requests_match_the_description(template: TemplateRef | None) -> None:
    """Each field of a request is in Postmark's description, with its type."""
    text = OURS
    sandbox = PostmarkSandbox()
    vendor = Postmark(credentials=sandbox.token, sender="shop@acme.example")
    mail_hub = Hub([Account("postmark", vendor)], http=SandboxHttpClient(sandbox))
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
        track_opens=True,
        track_clicks=False,
        template=template,
    )
    mail_hub.email().send_transactional(message)
    base = mail(to=(), template=template)
    mail_hub.email().send_bulk(BulkMessage(base=base, recipients=["ada@example.com"]))

    assert set() == {
        problem
        for request in sandbox.requests
        for problem in problems(text, request.method, request.path, json.loads(request.body))
        # The description requires both names of a template, but states that one is enough.
        if not problem.endswith("has no TemplateAlias.")
    }
