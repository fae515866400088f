"""Requests to Mailgun match Mailgun's own API descriptions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from moorage import Account, Hub
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage
from moorage.contracts.email_outcomes import StatisticsQuery
from moorage.testing.sandboxes.base import SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.email.mailgun import MailgunSandbox, read_form
from moorage.vendors.email._mailgun_statistics import metrics_body
from tests.support.openapi import Json, problems
from tests.vendors.email_hubs import mail
from tests.vendors.subjects.mailgun import mailgun_vendor

TEXT: Json = {"type": "string"}
TEXTS: Json = {"type": "array", "items": TEXT}


def _description_of(schema: Json, kind: str = "application/json") -> Json:
    return {"post": {"requestBody": {"content": {kind: {"schema": schema}}}}}


OURS: Json = {
    "paths": {
        "/v3/{domain}/messages": _description_of(
            {
                "type": "object",
                "required": ["from", "to", "subject"],
                "properties": {
                    **dict.fromkeys(("to", "cc", "bcc", "o:tag", "attachment", "inline"), TEXTS),
                    **dict.fromkeys(
                        (
                            "from",
                            "subject",
                            "text",
                            "html",
                            "template",
                            "t:variables",
                            "o:deliverytime",
                            "o:testmode",
                            "o:tracking-clicks",
                            "o:tracking-opens",
                            "recipient-variables",
                            "h:X-My-Header",
                            "v:my-var",
                        ),
                        TEXT,
                    ),
                },
            },
            "multipart/form-data",
        ),
        "/v1/analytics/metrics": _description_of(
            {
                "type": "object",
                "properties": {
                    "start": TEXT,
                    "end": TEXT,
                    "resolution": TEXT,
                    "dimensions": {"type": "array", "items": {"enum": ["time"]}},
                    "metrics": TEXTS,
                    "filter": {"type": "object"},
                },
            }
        ),
    }
}
"""An excerpt of Mailgun's API description with the fields that moorage sends."""


def _fields_of_form(request: SandboxRequest) -> dict[str, Any]:
    """Return a form's fields with the types that Mailgun's API description gives them."""
    form, repeated_fields = read_form(request), {"to", "cc", "bcc", "o:tag"}
    fields: dict[str, Any] = {
        name: value for name, value in form.fields if name not in repeated_fields
    }
    fields |= {name: form.all(name) for name in repeated_fields if form.all(name)}
    for name, item in form.files:
        fields.setdefault(name, []).append(item.filename)
    return fields


def _as_json(message: Json) -> Json:
    """Return the API description, with its form fields also described as a JSON body."""
    request = message["paths"][
        next(path for path in message["paths"] if path.endswith("}/messages"))
    ]
    content = request["post"]["requestBody"]["content"]
    content["application/json"] = content["multipart/form-data"]
    return message


@pytest.mark.parametrize("template", [None, TemplateRef("welcome", {"name": "Ada"})])
def test_requests_match_the_description(template: TemplateRef | None) -> None:
    """Each field of a request is in Mailgun's API description, with its type."""
    text = _as_json(OURS)
    sandbox = MailgunSandbox()
    vendor = mailgun_vendor(sandbox, sender="shop@acme.example", test_mode=True)
    mail_hub = Hub([Account("mailgun", vendor)], http=SandboxHttpClient(sandbox))
    message = mail(
        from_=None,
        to=["ada@example.com", "Bob <bob@example.com>"],
        cc="carol@example.com",
        bcc="dan@example.com",
        html='<img src="cid:logo">',
        # Mailgun's description names one header and one word; any other name is allowed too.
        headers={"X-My-Header": "INV-2041"},
        metadata={"my-var": "7"},
        attachments=[
            Attachment(filename="a.txt", content=b"a", content_type="text/plain"),
            Attachment(
                filename="logo.png",
                content=b"a logo",
                content_type="image/png",
                disposition="inline",
                content_id="logo",
            ),
        ],
        tags=["invoice"],
        track_opens=True,
        track_clicks=False,
        send_at=datetime(2031, 5, 6, tzinfo=UTC),
        template=template,
    )
    mail_hub.email().send_transactional(message)
    base = mail(to=(), template=template)
    mail_hub.email().send_bulk(BulkMessage(base=base, recipients=["ada@example.com"]))

    assert [[], []] == [
        problems(text, request.method, request.path, _fields_of_form(request))
        for request in sandbox.requests
    ]


def test_metrics_requests_match_the_description() -> None:
    """Each requested metric is in Mailgun's API description."""
    message = OURS
    query = StatisticsQuery(start=date(2026, 3, 1), end=date(2026, 3, 2))
    body = metrics_body("mail.example.com", query, 0)
    pages = body.pop("pagination")

    assert {"skip": 0, "limit": 1_000} == pages
    assert [] == problems(message, "POST", "/v1/analytics/metrics", body)
    assert ("Sun, 01 Mar 2026 00:00:00 +0000", "Mon, 02 Mar 2026 23:59:59 +0000") == (
        body["start"],
        body["end"],
    )
