"""The ways to unsubscribe in each email vendor's request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import InvalidData
from moorage.contracts.email_unsubscribe import Unsubscribe
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.vendors.email._ses_content import mail_body as ses_body
from moorage.vendors.email.amazon_ses import AmazonSes
from moorage.vendors.email.mailersend import MailerSend, mail_body
from tests.vendors.email_hubs import mail

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://shop.example/unsubscribe/4f7a"
LINK, CLICK = f"<{URL}>", "List-Unsubscribe=One-Click"
HEADERS = {"List-Unsubscribe": LINK, "List-Unsubscribe-Post": CLICK}
PAIRS = [
    {"Name": "List-Unsubscribe", "Value": LINK},
    {"Name": "List-Unsubscribe-Post", "Value": CLICK},
]
PLACES: dict[str, tuple[str, Any]] = {
    "amazon_ses": ("Content.Simple.Headers", PAIRS),
    "brevo": ("headers", HEADERS),
    "mailersend": ("list_unsubscribe", URL),
    "mailjet": ("Messages.0.Headers", HEADERS),
    "mailtrap": ("headers", HEADERS),
    "mandrill": ("message.headers", HEADERS),
    "postal": ("headers", HEADERS),
    "postmark": ("Headers", PAIRS),
    "resend": ("headers", HEADERS),
    "scaleway": (
        "additional_headers",
        [{"key": name, "value": value} for name, value in HEADERS.items()],
    ),
    "sendgrid": ("headers", HEADERS),
}


def body_value(body: Any, path: str) -> Any:
    """Return the value at a dotted path in a request's body."""
    for name in path.split("."):
        body = body[int(name)] if name.isdigit() else body[name]
    return body


def send(vendor: str, folder: Path) -> bytes:
    """Send a message with an unsubscribe link, and return the body of the only request."""
    fixture = fixture_of(vendor, folder)
    assert fixture.sandbox is not None
    http = SandboxHttpClient(fixture.sandbox)
    with moorage.open({"vendors": {vendor: fixture.options}}, http=http) as hub:
        hub.email().send_transactional(mail(unsubscribe=Unsubscribe(url=URL)))
    [request] = fixture.sandbox.requests
    return request.body


@pytest.mark.parametrize("vendor", PLACES)
def test_unsubscribe_link_is_in_its_field(vendor: str, tmp_path: Path) -> None:
    """The unsubscribe link is sent in the vendor's own field, or in a header if it has none."""
    place, expected = PLACES[vendor]

    assert expected == body_value(json.loads(send(vendor, tmp_path)), place)


def test_mailgun_has_the_link_in_form_fields(tmp_path: Path) -> None:
    """Mailgun's form has a field for each header."""
    body = send("mailgun", tmp_path).decode()

    for name, value in HEADERS.items():
        assert f'name="h:{name}"\r\n\r\n{value}\r\n' in body or f"h%3A{name}=" in body


@pytest.mark.parametrize(
    "way",
    [
        Unsubscribe(email="bye@shop.example"),
        Unsubscribe(url=URL, email="bye@shop.example"),
        Unsubscribe(url=URL, one_click=False),
    ],
    ids=["mail", "both", "page"],
)
def test_mailersend_has_one_field_for_url(way: Unsubscribe) -> None:
    """MailerSend has one field for the link's URL, and itself adds the one-click header."""
    with pytest.raises(InvalidData, match="one way to unsubscribe"):
        mail_body(MailerSend(), mail(unsubscribe=way))


def test_ses_forwards_failures() -> None:
    """Amazon SES forwards bounces to the envelope sender."""
    body = ses_body(mail(envelope_sender="Bounces <bounces@example.com>"), None, None)

    assert "bounces@example.com" == body["FeedbackForwardingEmailAddress"]
    assert "envelope_sender" in AmazonSes.capabilities
