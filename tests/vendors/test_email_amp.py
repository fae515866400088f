"""The AMP content of an email in each vendor's request."""

from __future__ import annotations

import json
from base64 import b64decode
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.contracts.email_bulk import BulkMessage, BulkRecipient
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.vendors.email_hubs import mail

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.email import EmailMessage

AMP = "<!doctype html><html ⚡4email></html>"
PARTS = ["text/plain", "text/x-amp-html", "text/html"]


def send(vendor: str, folder: Path, *messages: EmailMessage | BulkMessage) -> list[bytes]:
    """Send messages, and return the bodies of all requests."""
    fixture = fixture_of(vendor, folder)
    assert fixture.sandbox is not None
    http = SandboxHttpClient(fixture.sandbox)
    with moorage.open({"vendors": {vendor: fixture.options}}, http=http) as hub:
        for message in messages:
            if isinstance(message, BulkMessage):
                assert all(result.ok for result in hub.email().send_bulk(message))
            else:
                hub.email().send_transactional(message, idempotency_key="INV-1")
    return [request.body for request in fixture.sandbox.requests]


def bulk(amp_html: str) -> BulkMessage:
    """Return a bulk to two recipients with the given AMP content."""
    recipients = [
        BulkRecipient(to=f"{name}@example.com", data={"name": name}) for name in ("ada", "grace")
    ]
    return BulkMessage(base=mail(to=(), amp_html=amp_html), recipients=recipients)


def test_sendgrid_has_amp_content_between_text_and_html(tmp_path: Path) -> None:
    """SendGrid gets the AMP content between text and HTML, as Google recommends."""
    [body] = send("sendgrid", tmp_path, mail(html="<p>Hello.</p>", amp_html=AMP))

    content: list[Any] = json.loads(body)["content"]
    assert PARTS == [part["type"] for part in content]
    assert AMP == content[1]["value"]


def test_sparkpost_has_a_field_for_amp_content(tmp_path: Path) -> None:
    """SparkPost gets the AMP content in its field."""
    [body] = send("sparkpost", tmp_path, mail(amp_html=AMP))

    assert AMP == json.loads(body)["content"]["amp_html"]


def test_mailgun_has_a_field_for_amp_content(tmp_path: Path) -> None:
    """Mailgun gets the AMP content in its form field."""
    [body] = send("mailgun", tmp_path, mail(amp_html=AMP))

    assert f'name="amp-html"\r\n\r\n{AMP}\r\n' in body.decode()


def test_ses_gets_a_message_in_mime_format(tmp_path: Path) -> None:
    """Amazon SES gets a message with AMP content in MIME format, without the blind copies."""
    message = mail(
        html="<p>Hello.</p>",
        amp_html=AMP,
        cc="copy@example.com",
        bcc="blind@example.com",
        reply_to="answers@example.com",
        metadata={"invoice": "7"},
    )
    first_body, second_body = (send("amazon_ses", tmp_path, message)[0] for _ in range(2))

    fields = json.loads(first_body)
    mime = message_from_bytes(b64decode(fields["Content"]["Raw"]["Data"]))
    assert ["multipart/alternative", *PARTS] == [part.get_content_type() for part in mime.walk()]
    assert {
        "Subject": "Hi",
        "From": "Shop <shop@example.com>",
        "To": "ada@example.com",
        "Cc": "copy@example.com",
        "Reply-To": "answers@example.com",
    }.items() <= dict(mime.items()).items()
    assert "ReplyToAddresses" not in fields
    assert "blind@example.com" not in mime.as_string()
    assert ["blind@example.com"] == fields["Destination"]["BccAddresses"]
    assert [{"Name": "invoice", "Value": "7"}] == fields["EmailTags"]
    assert first_body == second_body


@pytest.mark.parametrize(
    "vendor, amp_html, request_count",
    [
        ("amazon_ses", AMP, 2),
        ("sendgrid", AMP, 1),
        ("sendgrid", "<html ⚡4email>{{name}}</html>", 2),
        ("mailgun", AMP, 1),
        ("mailgun", "<html ⚡4email>{{name}}</html>", 2),
        ("mailgun", "<html ⚡4email>%recipient.name%</html>", 2),
    ],
)
def test_bulk_with_amp_content(
    vendor: str, amp_html: str, request_count: int, tmp_path: Path
) -> None:
    """A bulk is one request only if the vendor documents that it fills in the AMP content."""
    assert request_count == len(send(vendor, tmp_path, bulk(amp_html)))
