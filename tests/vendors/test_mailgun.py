"""Mailgun: messages, URLs and sending on behalf of subaccounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import ConfigurationError, Credentials
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.email import Attachment, TemplateRef
from moorage.contracts.email_bulk import BulkMessage
from moorage.contracts.email_outcomes import EmailStatus
from moorage.testing.sandboxes.email.mailgun import MailgunSandbox, read_form
from moorage.vendors.email._mailgun_forms import mail_request
from moorage.vendors.email.mailgun import Mailgun
from tests.vendors.email_hubs import hub, mail
from tests.vendors.mailgun_account import form_of, mailgun_hub


def test_fields_of_a_message() -> None:
    """Each field of an email is sent in the form field that Mailgun has for it."""
    request = mail_request(
        "mail.example.com",
        mail(
            to=["Ada, Countess <ada@example.com>", "bob@example.com"],
            cc="carol@example.com",
            bcc="dan@example.com",
            reply_to=["a@example.com", "b@example.com"],
            html="<p>",
            headers={"X-Kunde": "ü"},
            attachments=[
                Attachment(filename='é".txt', content=b"a\r\n", content_type="text/plain"),
                Attachment(
                    filename="l.png",
                    content=b"\x00",
                    content_type="image/png",
                    disposition="inline",
                    content_id="logo",
                ),
            ],
            tags=["invoice", "news"],
            metadata={"invoice": "7"},
            send_at=datetime(2031, 5, 6, 7, tzinfo=UTC),
            track_opens=False,
            track_clicks=True,
            extra={
                "mailgun": {
                    "o:require-tls": True,
                    "o:dkim": False,
                    "t:variables": {"a": [1]},
                    "amp-html": None,
                    "o:priority": 3,
                }
            },
        ),
        None,
    )
    form = form_of(request)

    assert "/v3/mail.example.com/messages" == request.path
    assert [
        ("bcc", "dan@example.com"),
        ("cc", "carol@example.com"),
        ("from", "Shop <shop@example.com>"),
        ("h:Reply-To", "a@example.com, b@example.com"),
        ("h:X-Kunde", "=?utf-8?b?w7w=?="),
        ("html", "<p>"),
        ("o:deliverytime", "Tue, 06 May 2031 07:00:00 +0000"),
        ("o:dkim", "no"),
        ("o:priority", "3"),
        ("o:require-tls", "yes"),
        ("o:tag", "invoice"),
        ("o:tag", "news"),
        ("o:tracking-clicks", "yes"),
        ("o:tracking-opens", "no"),
        ("subject", "Hi"),
        ("t:variables", '{"a": [1]}'),
        ("text", "Hello."),
        ("to", '"Ada, Countess" <ada@example.com>'),
        ("to", "bob@example.com"),
        ("v:invoice", "7"),
    ] == sorted(form.fields)
    assert [
        ("attachment", 'é".txt', b"a\r\n", "text/plain"),
        ("inline", "logo", b"\x00", "image/png"),
    ] == [(name, item.filename, item.content, item.content_type) for name, item in form.files]


def test_template_provides_texts_and_subject() -> None:
    """A Mailgun template provides the texts, and the subject unless the email has one."""
    template = TemplateRef("welcome", {"total": ["149.90"]})
    form = form_of(mail_request("d.example", mail(template=template), None))
    bare_form = form_of(mail_request("d.example", mail(template=template, subject=""), None))

    assert ("welcome", '{"total": ["149.90"]}', "Hi") == (
        form.value("template"),
        form.value("t:variables"),
        form.value("subject"),
    )
    assert {"from", "to", "template", "t:variables"} == {name for name, _ in bare_form.fields}


def test_test_mode_delivers_nothing() -> None:
    """In Mailgun's test mode emails and batches are accepted and not delivered."""
    sandbox, mail_hub = mailgun_hub(test_mode=True)
    mail_hub.email().send_transactional(mail())
    mail_hub.email().send_bulk(BulkMessage(base=mail(to=()), recipients=["a@example.com"]))

    assert ["yes", "yes"] == [
        read_form(request).value("o:testmode") for request in sandbox.requests
    ]
    assert [] == sandbox.delivered


@pytest.mark.parametrize("region, host", [("us", "api.mailgun.net"), ("eu", "api.eu.mailgun.net")])
def test_domain_is_in_a_region(region: str, host: str) -> None:
    """The region decides the URL of Mailgun's API."""
    sandbox, mail_hub = mailgun_hub(region=region)
    mail_hub.email().send_transactional(mail())

    assert host == sandbox.requests[0].host


@pytest.mark.parametrize(
    "options", [{"region": "moon"}, {"domain": "a/b"}, {"domain": ""}, {"domain": None}]
)
def test_invalid_domains_are_refused(options: dict[str, Any]) -> None:
    """An unknown Mailgun region and an empty or invalid domain are refused."""
    vendor_options: dict[str, Any] = {"domain": "mail.example.com", **options}
    with pytest.raises(ConfigurationError):
        Mailgun(**vendor_options)


def test_greeting_page_is_an_error() -> None:
    """Mailgun's greeting page at a wrong URL raises a configuration error."""
    _, mail_hub = mailgun_hub(base_url="https://api.mailgun.net/v2")
    with pytest.raises(ConfigurationError, match="API is not at this URL"):
        mail_hub.email().send_transactional(mail())


def test_key_comes_from_the_provider() -> None:
    """Without its own key a Mailgun account uses the credential provider."""
    sandbox = MailgunSandbox()
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, Credentials.basic("api", sandbox.api_key))
    vendor = Mailgun(domain=sandbox.domain)
    hub(vendor, sandbox, credentials=provider).email().send_transactional(mail())

    assert 1 == len(sandbox.delivered)


def test_scheduled_message_is_scheduled() -> None:
    """An email with a later sending time has the status scheduled, alone or in a bulk."""
    _, mail_hub = mailgun_hub()
    time = datetime(2031, 5, 6, tzinfo=UTC)
    bulk = BulkMessage(base=mail(to=(), send_at=time), recipients=["a@example.com"])

    receipt = mail_hub.email().send_transactional(mail(send_at=time))
    assert EmailStatus.SCHEDULED is receipt.status
    assert EmailStatus.SCHEDULED is mail_hub.email().send_bulk(bulk)[0].unwrap().status
