"""Received mail has the same form, no matter which vendor's webhook delivers it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConfigurationError, UnsupportedByVendor, VendorFailed, VendorRejected
from moorage.contracts.email_outcomes import EmailEvent
from moorage.contracts.email_received import CheckResult, ReceivedEmail
from moorage.contracts.ref import Ref
from moorage.domain.webhooks.events import WebhookEvent
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.vendors.email._received import check_result, ids_shown, received_file, yes_or_no
from moorage.vendors.email.amazon_ses import AmazonSes
from moorage.vendors.email.mailersend import MailerSend
from moorage.vendors.email.mailgun import Mailgun
from moorage.vendors.email.postmark import Postmark
from moorage.vendors.email.resend import Resend
from moorage.vendors.email.sendgrid import SendGrid
from tests.vendors.email_hubs import hub
from tests.webhooks.signing import multipart_form

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.contracts.vendor import Vendor

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADERS = {
    "From": '"Ada, L." <ada@example.com>',
    "To": "orders@shop.example",
    "Subject": "Order",
    "Message-Id": "<m1@example.com>",
    "In-Reply-To": "<INV-7@shop.example>",
}
RAW_HEADERS = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
MIME = f"{RAW_HEADERS}Content-Type: text/plain; charset=utf-8\r\n\r\nTwo, please."


def _webhook(payload: Any = None, body: bytes = b"", **fields: Any) -> WebhookEvent:
    kind = fields.pop("vendor", "x")
    return WebhookEvent(
        vendor=kind, id="e1", type="", vendor_type="", payload=payload, body=body, **fields
    )


def _mailgun(**changes: str | bytes | None) -> WebhookEvent:
    fields = {
        "recipient": "orders@shop.example",
        "sender": "bounce@example.com",
        "timestamp": "1772366400",
        "token": "t1",
        "Message-Id": "<m1@example.com>",
        "message-headers": json.dumps(
            [*HEADERS.items(), ["X-Mailgun-Spf", "Pass"], ["X-Mailgun-Sscore", "1.7"], ["odd"]]
        ),
        "body-plain": "Two, please.",
        "stripped-text": "Two",
        "content-id-map": '{"<logo>": "attachment-1"}',
        **changes,
    }
    body = multipart_form({name: value for name, value in fields.items() if value is not None})
    return _webhook(body=body, vendor="mailgun-inbound", is_forgeable=True, time=AT)


def _sendgrid(**changes: str | bytes | None) -> WebhookEvent:
    fields = {
        "headers": RAW_HEADERS,
        "text": "Two, please.".encode("utf-16"),
        "charsets": '{"text": "UTF-16"}',
        "envelope": '{"to": ["orders@shop.example"], "from": "bounce@example.com"}',
        "SPF": "pass",
        "dkim": "{@example.com : pass, @other.example : fail}",
        "spam_score": "1.7",
        "attachment-info": '{"attachment-1": {"content-id": "logo"}}',
        **changes,
    }
    body = multipart_form({name: value for name, value in fields.items() if value is not None})
    return _webhook(body=body, vendor="sendgrid-inbound")


def _postmark(**changes: Any) -> WebhookEvent:
    headers = {
        "Return-Path": "<bounce@example.com>",
        "Message-ID": "<m1@example.com>",
        "In-Reply-To": HEADERS["In-Reply-To"],
        "Received-SPF": "Pass (sender SPF authorized) identity=mailfrom",
        "X-Spam-Status": "No",
        "X-Spam-Score": "1.7",
        "X-Spam-Tests": "DKIM_SIGNED,DKIM_VALID,DKIM_VALID_AU,SPF_PASS",
    }
    payload = {
        "FromFull": {"Email": "ada@example.com", "Name": "Ada, L."},
        "ToFull": [{"Email": "orders@shop.example", "Name": ""}, {"Email": "broken"}],
        "OriginalRecipient": "orders@shop.example",
        "Subject": "Order",
        "MessageID": "p1",
        "Date": "Sun, 1 Mar 2026 12:00:00 +0000",
        "TextBody": "Two, please.",
        "StrippedTextReply": "Two",
        "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
        "Attachments": [
            {
                "Name": "a.pdf",
                "Content": b64encode(b"%PDF-1.7\r\n--x").decode(),
                "ContentType": "application/pdf",
                "ContentLength": 13,
                "ContentID": "<logo>",
            }
        ],
        **changes,
    }
    return _webhook(payload, is_forgeable=True)


def _ses(**changes: Any) -> WebhookEvent:
    message = {
        "notificationType": "Received",
        "mail": {
            "messageId": "s1",
            "timestamp": "2026-03-01T12:00:00.000Z",
            "source": "bounce@example.com",
            "headers": [{"name": name, "value": value} for name, value in HEADERS.items()],
        },
        "receipt": {
            "recipients": ["orders@shop.example"],
            "spfVerdict": {"status": "PASS"},
            "dkimVerdict": {"status": "GRAY"},
            "dmarcVerdict": {"status": "PASS"},
            "spamVerdict": {"status": "PASS"},
            "virusVerdict": {"status": "FAIL"},
            "action": {"type": "SNS", "encoding": "BASE64"},
        },
        "content": b64encode(MIME.encode()).decode(),
        **changes,
    }
    return _webhook({}, data=json.dumps(message))


def _mailersend(**changes: Any) -> WebhookEvent:
    data = {
        "id": "i1",
        "created_at": "2026-03-01T12:00:00.000Z",
        "sender": {"email": "bounce@example.com"},
        "recipients": {"rcptTo": [{"email": "orders@shop.example"}, {}]},
        "raw": MIME,
        "spf_check": {"code": "+", "value": None},
        "dkim_check": False,
        **changes,
    }
    return _webhook({"type": "inbound.message", "data": data})


def _resend(**changes: Any) -> WebhookEvent:
    data = {
        "email_id": "r1",
        "created_at": "2026-03-01T12:00:00.000Z",
        "from": HEADERS["From"],
        "to": ["orders@shop.example"],
        "subject": "Order",
        "message_id": "<m1@example.com>",
        "attachments": [
            {
                "id": "f1",
                "filename": "a.pdf",
                "content_type": "application/pdf",
                "content_disposition": "attachment",
            }
        ],
        **changes,
    }
    return _webhook({"type": "email.received", "data": data})


VENDORS: dict[str, tuple[Vendor, Callable[..., WebhookEvent]]] = {
    "amazon_ses": (AmazonSes(region="eu-central-1"), _ses),
    "mailersend": (MailerSend(), _mailersend),
    "mailgun": (Mailgun(domain="shop.example", webhook_content="received"), _mailgun),
    "postmark": (Postmark(), _postmark),
    "resend": (Resend(), _resend),
    "sendgrid": (SendGrid(webhook_content="received"), _sendgrid),
}


def received_message(vendor: str, **changes: Any) -> ReceivedEmail:
    """Return the message that is read from a vendor's webhook with the given fields changed."""
    instance, webhook = VENDORS[vendor]
    [event] = hub(instance).events("mail", webhook(**changes))
    assert isinstance(event, ReceivedEmail)
    return event


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_received_message_is_the_same_at_every_vendor(vendor: str) -> None:
    """Sender, recipients, subject and id of a received message are the same at every vendor."""
    mail = received_message(vendor)

    assert ("ada@example.com", "Ada, L.") == (mail.from_ and (mail.from_.email, mail.from_.name))
    assert ["orders@shop.example"] == [address.email for address in mail.to]
    assert ("e1", "Order", "m1@example.com") == (mail.id, mail.subject, mail.message_id)
    assert mail.ref == Ref.parse(str(mail.ref))
    if vendor == "resend":
        assert (None, False, False) == (mail.text, mail.is_complete, mail.is_authentic)
    else:
        assert ("Two, please.", "INV-7@shop.example") == (mail.text, mail.in_reply_to)
        assert ("bounce@example.com", ("orders@shop.example",)) == (
            mail.envelope_sender,
            mail.envelope_recipients,
        )
        assert (CheckResult.PASSED, True) == (mail.checks.spf, mail.is_complete)
        assert mail.is_authentic
    assert (vendor in {"mailgun", "postmark"}) is mail.is_forgeable
    assert mail.at == (None if vendor == "sendgrid" else AT)


@pytest.mark.parametrize("vendor", ["mailgun", "postmark", "sendgrid"])
def test_file_of_a_received_message_has_bytes_type_and_content_id(vendor: str) -> None:
    """An attached file is read with its bytes, its type and its content id."""
    [file] = received_message(vendor).files

    assert ("a.pdf", "application/pdf", b"%PDF-1.7\r\n--x") == (
        file.filename,
        file.content_type,
        file.content,
    )
    assert (13, "logo", False) == (file.size, file.content_id, file.is_inline)


HTML_FIELDS = {"mailgun": "body-html", "postmark": "HtmlBody", "sendgrid": "html"}


@pytest.mark.parametrize("vendor", HTML_FIELDS)
@pytest.mark.parametrize(
    "html, is_inline",
    [
        ('<img src="cid:logo">', True),
        ("<img src=CID:%6Cogo alt=Logo>", True),
        ('<p style="background: url(&quot;cid:logo&quot;)">', True),
        ('<img src="cid:logo2"> logo', False),
        ("<p>Our logo is attached.</p>", False),
    ],
)
def test_received_file_is_inline_if_the_html_shows_it(
    vendor: str, html: str, is_inline: bool
) -> None:
    """A file is inline if the HTML shows it; Gmail gives a content id to every file."""
    [file] = received_message(vendor, **{HTML_FIELDS[vendor]: html}).files

    assert is_inline is file.is_inline


def test_html_shows_the_files_that_its_urls_name() -> None:
    """HTML shows a file of the same message by a URL with the file's content id."""
    html = '<img src="cid:logo"><img src=CID:a%20b> <a href="https://shop.example/cid">cid</a>'

    assert {"logo", "a%20b", "a b"} == ids_shown(html)
    assert frozenset() == ids_shown(None)


@pytest.mark.parametrize("vendor", ["mailgun", "postmark", "sendgrid"])
def test_spam_score_is_exact(vendor: str) -> None:
    """The vendor's spam score is an exact number."""
    assert Decimal("1.7") == received_message(vendor).checks.spam_score


HOSTILE = "a\r\nBcc: x@example.com\x00\x85\u2028b"
HOSTILE_ROWS = [["X-A\r\nX-B", HOSTILE], ["Subject", HOSTILE], ["Message-ID", "<m1@example.com>"]]


@pytest.mark.parametrize(
    "vendor, changes",
    [
        ("mailgun", {"message-headers": json.dumps(HOSTILE_ROWS), "sender": HOSTILE}),
        (
            "postmark",
            {
                "Headers": [{"Name": name, "Value": value} for name, value in HOSTILE_ROWS],
                "Subject": HOSTILE,
                "OriginalRecipient": HOSTILE,
            },
        ),
        (
            "amazon_ses",
            {
                "content": None,
                "mail": {
                    "messageId": "s1",
                    "source": HOSTILE,
                    "headers": [{"name": name, "value": value} for name, value in HOSTILE_ROWS],
                },
            },
        ),
        ("resend", {"subject": HOSTILE, "headers": dict(HOSTILE_ROWS)}),
        ("mailersend", {"sender": {"email": HOSTILE}}),
        ("sendgrid", {"envelope": json.dumps({"to": [HOSTILE], "from": HOSTILE})}),
    ],
)
def test_headers_have_no_control_characters(vendor: str, changes: dict[str, Any]) -> None:
    """Header and envelope texts contain no control characters, even if the JSON did."""
    message = received_message(vendor, **changes)
    texts = [text for pair in message.headers for text in pair]
    texts += [message.subject, message.envelope_sender or "", *message.envelope_recipients]

    assert any("Bcc" in text for text in texts)
    assert not any(re.search(r"[\x00-\x1f\x7f-\x9f\u2028]", text) for text in texts)


def test_other_checks_of_message_are_read_for_each_vendor() -> None:
    """Each vendor's other checks of a message are read; an unknown result becomes UNKNOWN."""
    ses, sendgrid = received_message("amazon_ses").checks, received_message("sendgrid").checks
    postmark = received_message("postmark").checks

    assert (CheckResult.NONE, False, True) == (ses.dkim, ses.spam, ses.virus)
    assert (CheckResult.PASSED, ("example.com",)) == (sendgrid.dkim, sendgrid.signed_by)
    assert (CheckResult.PASSED, ("example.com",), False) == (
        postmark.dkim,
        postmark.signed_by,
        postmark.spam,
    )
    assert (
        CheckResult.FAILED is received_message("sendgrid", dkim="{@a.example : fail}").checks.dkim
    )
    assert CheckResult.UNKNOWN is received_message("sendgrid", SPF="odd", dkim=None).checks.spf
    broken = [{"Name": "X-Spam-Tests", "Value": "DKIM_INVALID"}]
    assert CheckResult.FAILED is received_message("postmark", Headers=broken).checks.dkim
    assert CheckResult.PASSED is received_message("mailersend", dkim_check=True).checks.dkim


@pytest.mark.parametrize(
    "sign, result",
    [
        ("+", CheckResult.PASSED),
        ("-", CheckResult.FAILED),
        ("~", CheckResult.FAILED),
        ("?", CheckResult.NONE),
        ("!", CheckResult.UNKNOWN),
    ],
)
def test_mailersend_reports_spf_by_the_sign_of_the_rule(sign: str, result: CheckResult) -> None:
    """MailerSend's result of SPF is a qualifier of RFC 7208, such as "~" for a soft failure."""
    mail = received_message("mailersend", spf_check={"code": sign, "value": None})
    assert result is mail.checks.spf


def test_forged_vendor_header_gives_unknown_spam_result() -> None:
    """If the sender forged the vendor's header, the spam check's result is unknown, not passed."""
    rows = [*HEADERS.items(), ("X-Mailgun-Spf", "Fail"), ("X-Mailgun-Spf", "Pass")]
    mail = received_message("mailgun", **{"message-headers": json.dumps(rows)})
    lower_headers = [
        {"Name": "X-A", "Value": "b"},
        {"Name": "Return-Path", "Value": "<a@b.example>"},
    ]

    assert (CheckResult.UNKNOWN, False) == (mail.checks.spf, mail.is_authentic)
    assert received_message("postmark", Headers=lower_headers).envelope_sender is None


@pytest.mark.parametrize("vendor, field", [("mailgun", "body-mime"), ("sendgrid", "email")])
def test_raw_messages_are_read(vendor: str, field: str) -> None:
    """A webhook form that contains the raw MIME message gives the same received message."""
    mail = received_message(vendor, **{field: MIME, "headers": None})

    assert ("Order", "Two, please.") == (mail.subject, mail.text)
    assert "bounce@example.com" == mail.envelope_sender


def test_stored_files_of_mailgun_have_urls() -> None:
    """A message that Mailgun stores is marked incomplete, and has the URLs of its files."""
    stored = [
        {"name": "b.txt", "content-type": "text/plain", "size": 3, "url": "https://a.example"}
    ]
    mail = received_message("mailgun", attachments=json.dumps(stored))

    assert ("b.txt", None, 3, "https://a.example") == (
        mail.files[-1].filename,
        mail.files[-1].content,
        mail.files[-1].size,
        mail.files[-1].url,
    )
    assert not mail.is_complete


def test_message_that_amazon_ses_stores_in_bucket_has_its_location() -> None:
    """If Amazon SES stores a message in a bucket, the message has its location there."""
    action = {"type": "S3", "bucketName": "mail", "objectKey": "in/1"}
    mail = received_message("amazon_ses", content=None, receipt={"action": action})

    assert ("s3://mail/in/1", False, "Order") == (mail.stored_at, mail.is_complete, mail.subject)
    assert CheckResult.UNKNOWN is mail.checks.dmarc
    message = received_message("amazon_ses", content=MIME, receipt={})
    assert "Two, please." == message.text


@pytest.mark.parametrize(
    "vendor, changes",
    [
        ("mailgun", {"recipient": None}),
        ("mailgun", {"Message-Id": None, "token": None}),
        ("sendgrid", {"headers": None}),
        ("mailersend", {"raw": None}),
        ("mailersend", {"id": None}),
        ("postmark", {"MessageID": None}),
        ("postmark", {"FromFull": None}),
        ("resend", {"email_id": None}),
    ],
)
def test_other_webhooks_are_no_message(vendor: str, changes: dict[str, Any]) -> None:
    """A webhook without the message or its id gives no event."""
    instance, webhook = VENDORS[vendor]

    assert () == hub(instance).events("mail", webhook(**changes))


GARBAGE: list[tuple[str, dict[str, Any]]] = [
    ("mailgun", {"message-headers": "{", "content-id-map": "[]", "attachments": "7"}),
    ("mailgun", {"message-headers": "[" * 9_000, "sender": None, "stripped-text": None}),
    ("sendgrid", {"envelope": "[]", "charsets": "7", "attachment-info": "{", "dkim": "é"}),
    ("postmark", {"Headers": 7, "ToFull": {}, "Attachments": [{"Content": "é"}, {"Content": 7}]}),
    ("amazon_ses", {"mail": {"messageId": "1", "headers": [7]}, "receipt": [], "content": 7}),
    ("mailersend", {"sender": [], "recipients": 7, "spf_check": None, "created_at": 7}),
    ("resend", {"to": 7, "attachments": {}, "headers": {"A": ["b", 7], "C": "d"}}),
]  # fmt: skip


@pytest.mark.parametrize("vendor, changes", GARBAGE)
def test_garbage_in_single_fields_loses_no_message(vendor: str, changes: dict[str, Any]) -> None:
    """A message is received even if some fields of its webhook are garbage."""
    assert received_message(vendor, **changes).ref.id


def test_account_for_events_still_gets_events() -> None:
    """An account set up for event webhooks still gets events; an unknown setting is refused."""
    fields = {"event": "open", "sg_message_id": "abc", "email": "ada@example.com"}
    [event] = hub(SendGrid()).events("mail", _webhook(fields, vendor="sendgrid"))

    assert isinstance(event, EmailEvent)
    with pytest.raises(ConfigurationError, match="do not support this content"):
        Mailgun(domain="shop.example", webhook_content="all")
    with pytest.raises(ConfigurationError, match="do not support this content"):
        SendGrid(webhook_content="all")


@pytest.mark.parametrize(
    "content, scheme",
    [
        ("events", "sendgrid"),
        ("received", "sendgrid-inbound"),
        ("received_basic", "sendgrid-inbound-basic"),
    ],
)
def test_content_of_webhooks_chooses_the_scheme(content: str, scheme: str) -> None:
    """The account's content setting decides which signature scheme verifies its webhooks."""
    assert scheme == SendGrid(webhook_content=content).webhook_verification()["scheme"]


def test_received_message_is_fetched(tmp_path: Path) -> None:
    """If the webhook has no content, the message and its file URLs are fetched."""
    fixture = fixture_of("resend", tmp_path)
    sandbox: Any = fixture.sandbox
    assert isinstance(sandbox, ResendSandbox)
    id_ = sandbox.receive(
        {
            "from": HEADERS["From"],
            "to": ["orders@shop.example"],
            "created_at": "2026-03-01T12:00:00Z",
            "subject": "Order",
            "text": "Two, please.",
            "headers": {"in-reply-to": "<INV-7@shop.example>"},
            "raw": {"download_url": "https://inbound-cdn.resend.com/raw"},
            "attachments": [{"id": "f1", "filename": "a.pdf", "content_disposition": "inline"}],
        }
    )
    mails = hub(Resend(**fixture.options), sandbox).email()
    mail = mails.get_received(Ref("resend", "mail", id_))

    assert ("Order", "Two, please.", True) == (mail.subject, mail.text, mail.is_complete)
    assert ("INV-7@shop.example", AT) == (mail.in_reply_to, mail.at)
    assert "https://inbound-cdn.resend.com/raw" == mail.stored_at
    assert [(f"https://inbound-cdn.resend.com/{id_}/f1", True)] == [
        (file.url, file.is_inline) for file in mail.files
    ]
    with pytest.raises(VendorRejected):
        mails.get_received(Ref("resend", "mail", "nobody"))
    sandbox.fail(reply({"id": "another"}))
    with pytest.raises(VendorFailed):
        mails.get_received(Ref("resend", "mail", id_))
    with pytest.raises(UnsupportedByVendor, match="resend"):
        hub(Postmark()).email().get_received(Ref("postmark", "mail", "1"))


@pytest.mark.parametrize(
    "words, result",
    [
        ("pass", CheckResult.PASSED),
        ("fail softfail permerror", CheckResult.FAILED),
        ("neutral none", CheckResult.NONE),
        ("temperror policy", CheckResult.UNKNOWN),
    ],
)
def test_result_of_a_sender_check(words: str, result: CheckResult) -> None:
    """Each result word of RFC 8601 is read; words that decide nothing become unknown."""
    assert {result} == {check_result(word) for word in words.split()}


@pytest.mark.parametrize(
    "word, flag",
    [("Yes", True), ("Yes, score=6.1", True), ("no", False), ("No, score=0", False), ("y", None)],
)
def test_flag_of_a_header_is_yes_or_no(word: str, flag: bool | None) -> None:
    """The word before the first comma of a header is yes or no, in any case; None otherwise."""
    assert flag is yes_or_no(word)


@pytest.mark.parametrize(
    "stated_type, media_type",
    [
        ("application/pdf", "application/pdf"),
        ('Text/Plain; charset="utf-8"', "text/plain"),
        ("text/csv ;header=present", "text/csv"),
        ("", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_file_has_media_type_without_parameters(stated_type: str | None, media_type: str) -> None:
    """The media type of a file is written in lower case, without its parameters."""
    assert media_type == received_file(b"1", "a.bin", stated_type).content_type
