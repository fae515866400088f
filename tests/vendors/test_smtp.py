"""SMTP: the messages that moorage writes, and the replies of servers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Any

import attrs
import pytest

from moorage import (
    Account,
    AsyncHub,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    Hub,
    InvalidData,
    InvalidRequest,
    OAuthCredentials,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.mail.smtp import AsyncSmtpTransport, SmtpTransport
from moorage.contracts.email import Attachment, EmailMessage
from moorage.contracts.email_address import EmailAddress
from moorage.contracts.email_mime import read_mime
from moorage.contracts.email_outcomes import EmailStatus
from moorage.contracts.ref import Ref
from moorage.testing import tls_pair
from moorage.testing.sandboxes.email.smtp import SmtpSandbox, read_message
from moorage.vendors.email._mime import mime_bytes
from moorage.vendors.email.smtp import Smtp
from tests.vendors.email_hubs import hub
from tests.vendors.email_sandboxes import smtp_vendor

SHOP = EmailAddress("shop@example.com", "Zoë's Shop")
SMUGGLED = "=?utf-8?q?Hi=0D=0ABcc:_eve@example.com?="


def _message(**changes: Any) -> EmailMessage:
    default_fields: dict[str, Any] = {
        "from_": SHOP,
        "to": "ada@example.com",
        "subject": "Hi",
        "text": "Hello.",
    }
    return EmailMessage(**{**default_fields, **changes})


def _image() -> Attachment:
    return Attachment(
        filename="logo.png",
        content=b"png",
        content_type="image/png; charset=x",
        disposition="inline",
        content_id="logo",
    )


def test_message_bytes_are_reproducible() -> None:
    """An email has the same bytes each time, since its MIME boundaries are made from its id."""
    file = Attachment(filename="ä b.bin", content=b"\x00\xff")
    message = _message(html='<img src="cid:logo">', attachments=[_image(), file])
    written_bytes = mime_bytes(message, SHOP, "<1@example.com>")

    assert written_bytes == mime_bytes(message, SHOP, "<1@example.com>")
    assert written_bytes != mime_bytes(message, SHOP, "<2@example.com>")
    assert written_bytes.isascii()
    assert b"\n" not in written_bytes.replace(b"\r\n", b"")


def test_long_link_in_email_header_is_not_folded() -> None:
    """A long link in an email header is not folded, since some readers would break it."""
    link = "<https://example.com/" + "u" * 300 + ">"
    written_bytes = mime_bytes(
        _message(headers={"List-Unsubscribe": link}), SHOP, "<1@example.com>"
    )

    assert f"List-Unsubscribe: {link}\r\n".encode() in written_bytes


@pytest.mark.parametrize(
    "fields, kinds",
    [
        ({}, ["text/plain"]),
        ({"text": None, "html": "<p>"}, ["text/html"]),
        ({"html": "<p>"}, ["multipart/alternative", "text/plain", "text/html"]),
        (
            {"html": "<p>", "attachments": [_image()]},
            [
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
            ],
        ),
        (
            {"text": None, "html": "<p>", "attachments": [_image()]},
            ["multipart/related", "text/html", "image/png"],
        ),
        ({"attachments": [_image()]}, ["multipart/mixed", "text/plain", "image/png"]),
        ({"amp_html": "<a>"}, ["multipart/alternative", "text/plain", "text/x-amp-html"]),
        (
            {"text": None, "html": "<p>", "amp_html": "<a>", "attachments": [_image()]},
            [
                "multipart/alternative",
                "text/x-amp-html",
                "multipart/related",
                "text/html",
                "image/png",
            ],
        ),
        (
            {"html": "<p>", "amp_html": "<a>"},
            ["multipart/alternative", "text/plain", "text/x-amp-html", "text/html"],
        ),
    ],
)
def test_each_kind_of_content_has_its_place_in_mime_tree_of_email(
    fields: dict[str, Any], kinds: list[str]
) -> None:
    """Each kind of content has its place in the MIME tree of an email."""
    from email import message_from_bytes  # noqa: PLC0415 - the reader, not what is tested

    written_bytes = mime_bytes(_message(**fields), SHOP, "<1@example.com>")

    assert kinds == [part.get_content_type() for part in message_from_bytes(written_bytes).walk()]


def test_email_of_html_alone_has_no_empty_text_beside_it() -> None:
    """An email with only HTML has no empty text part.

    An email with only files has an empty text.
    """
    written_bytes = mime_bytes(_message(text=None, html="<p>"), SHOP, "<1@example.com>")
    assert b"text/plain" not in written_bytes
    files_alone = _message(text=None, attachments=[_image()])
    assert b"text/plain" in mime_bytes(files_alone, SHOP, "<1@example.com>")


@pytest.mark.parametrize("text", ["Grüße " * 300, "x" * 3_000, "日本 " * 300])
@pytest.mark.parametrize("to", ["ada@example.com", "zoë@example.com"])
def test_encoded_lines_have_at_most_76_characters(text: str, to: str) -> None:
    """Lines of encoded texts and files keep the limit of MIME, and the contents are unchanged."""
    from email import message_from_bytes  # noqa: PLC0415 - the reader, not what is tested

    file = Attachment(filename="a.pdf", content=b"%PDF-" * 1_000, content_type="application/pdf")
    message = _message(to=to, text=text, html=text, amp_html=text, attachments=[file, _image()])
    written_bytes = mime_bytes(message, SHOP, "<1@example.com>")

    for part in message_from_bytes(written_bytes).walk():
        if not part.is_multipart():
            assert part["Content-Transfer-Encoding"] in {"base64", "quoted-printable"}
            assert 76 >= max(map(len, str(part.get_payload()).splitlines()))
    sent = read_mime(written_bytes, Ref("smtp", "mail", "1"))
    bodies = [body or "" for body in (sent.text, sent.html, sent.amp_html)]
    assert [text] * 3 == [body.rstrip("\r\n") for body in bodies]
    assert file.content in [sent_file.content for sent_file in sent.files]


def test_parameters_of_an_attachment_are_kept() -> None:
    """Each parameter of an attachment's content type is written into the email."""
    file = Attachment(filename="a.txt", content=b"a", content_type="text/plain; a=1; format=flowed")
    written_bytes = mime_bytes(_message(attachments=[file]), SHOP, "<1@example.com>")
    assert b'a="1"; format="flowed"' in written_bytes


def test_image_without_html_is_an_attachment() -> None:
    """An image is shown in the HTML that refers to it; other files are attachments."""
    from email import message_from_bytes  # noqa: PLC0415 - the reader, not what is tested

    files = [_image(), Attachment(filename="a.bin", content=b"a")]
    dispositions = [
        [
            part.get_content_disposition()
            for part in message_from_bytes(written_bytes).walk()
            if part.get_filename() is not None
        ]
        for written_bytes in (
            mime_bytes(_message(attachments=files), SHOP, "<1@example.com>"),
            mime_bytes(_message(html="<p>", attachments=files), SHOP, "<1@example.com>"),
        )
    ]

    assert [["attachment", "attachment"], ["inline", "attachment"]] == dispositions


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": SMUGGLED},
        {"headers": {"X-A": SMUGGLED}},
        {"to": EmailAddress("ada@example.com", SMUGGLED)},
        {"to": EmailAddress("zoë@example.com", SMUGGLED)},
        {"attachments": [Attachment(filename=SMUGGLED, content=b"")]},
    ],
    ids=["subject", "header", "name", "wide-name", "file"],
)
def test_line_break_in_encoded_word_is_refused(fields: dict[str, Any]) -> None:
    """An encoded word that hides a line break is refused, or stays encoded.

    Older versions of Python write such a word decoded, so there it is refused.
    """
    from email import message_from_bytes  # noqa: PLC0415 - the reader, not what is tested

    with suppress(InvalidData):
        written_bytes = mime_bytes(_message(**fields), SHOP, "<1@example.com>")
        read = message_from_bytes(written_bytes)
        assert [] == [part["Bcc"] for part in read.walk() if "Bcc" in part]
        assert b"\nBcc" not in written_bytes


@pytest.mark.parametrize("kind", ["message/rfc822", "multipart/mixed", "text/plain"])
def test_line_endings_become_crlf(kind: str) -> None:
    """Line endings in an attached file become CRLF, since servers refuse others."""
    file = Attachment(filename="a.eml", content=b"From: a\n\nb" * 30, content_type=kind)

    written_bytes = mime_bytes(_message(attachments=[file]), SHOP, "<1@example.com>")

    assert b"" == b"".join(line for line in written_bytes.split(b"\r\n") if b"\n" in line)


def test_internationalised_address_is_written_in_utf_8() -> None:
    """If an address is internationalised, the email's headers are written in UTF-8."""
    message = _message(to="zoë@münchen.example", reply_to="ä@example.com")
    written_bytes = mime_bytes(message, SHOP, "<1@example.com>")

    assert "To: zoë@xn--mnchen-3ya.example\r\n".encode() in written_bytes


def test_dots_and_long_lines_arrive() -> None:
    """A line with only a dot does not end an email, and a long line is not cut off."""
    text = ".\n..\n.a\n" + "x" * 5_000
    with SmtpSandbox() as sandbox:
        hub(smtp_vendor(sandbox)).email().send_transactional(_message(text=text))

        assert text == (sandbox.delivered[0].text or "").replace("\r\n", "\n")


def test_message_id_follows_from_the_key() -> None:
    """An email's key decides its Message-ID; without a key, each id is different."""
    with SmtpSandbox() as single_sandbox, SmtpSandbox() as other_sandbox:
        for sandbox in (single_sandbox, other_sandbox):
            email = hub(smtp_vendor(sandbox)).email()
            receipt = email.send_transactional(_message(), idempotency_key="INV-7")
            assert sandbox.delivered[0].id == receipt.ref.id
            email.send_transactional(_message())
        keyed_mails, free = (sandbox.delivered for sandbox in (single_sandbox, other_sandbox))

        assert keyed_mails[0].id == free[0].id
        assert keyed_mails[1].id != free[1].id
        assert keyed_mails[0].id.endswith("@example.com>")


def test_refused_recipients_are_reported() -> None:
    """An email that the server accepts for some recipients has a result for each."""
    people = ["ada@example.com", "refused@example.com", "greylisted@example.com"]
    with SmtpSandbox() as sandbox:
        receipt = hub(smtp_vendor(sandbox)).email().send_transactional(_message(to=people))
        reports = [(recipient.status, recipient.code) for recipient in receipt.recipients]

        assert [
            (EmailStatus.QUEUED, None),
            (EmailStatus.REJECTED, "550 5.1.1"),
            (EmailStatus.FAILED, "451 4.2.0"),
        ] == reports
        assert "5.1.1 There is no such mailbox" == receipt.recipients[1].reason
        assert "2.0.0 Queued as 1" == receipt.vendor_status
        assert 1 == len(receipt.warnings)
        assert [("shop@example.com", ("ada@example.com",))] == sandbox.envelopes


def test_failures_are_reported_to_the_envelope_sender() -> None:
    """The address that gets failure reports may differ from the sender shown in the email."""
    with SmtpSandbox() as sandbox:
        email = hub(smtp_vendor(sandbox)).email()
        email.send_transactional(_message(envelope_sender="bounces@example.com"))

        assert "bounces@example.com" == sandbox.envelopes[0][0]
        assert "shop@example.com" == sandbox.delivered[0].sender


def test_internationalised_address_needs_smtputf8() -> None:
    """An internationalised address is sent only to servers with SMTPUTF8."""
    message = _message(to="zoë@example.com")
    with SmtpSandbox() as able_sandbox, SmtpSandbox(extensions=()) as plain_sandbox:
        hub(smtp_vendor(able_sandbox)).email().send_transactional(message)
        with pytest.raises(UnsupportedByVendor):
            hub(smtp_vendor(plain_sandbox)).email().send_transactional(message)

        assert ("zoë@example.com",) == able_sandbox.envelopes[0][1]
        assert any("SMTPUTF8" in item for item in able_sandbox.said)
        assert [] == plain_sandbox.delivered


@pytest.mark.parametrize(
    "words, kind, code",
    [
        ("450 4.7.1 Too much", RateLimitExceeded, "450 4.7.1"),
        ("421 4.3.2 Going", VendorFailed, "421 4.3.2"),
        ("451 Later", VendorRejected, "451"),
        ("552 5.3.4 Too big", InvalidRequest, "552 5.3.4"),
        ("554 5.7.1 Spam", VendorRejected, "554 5.7.1"),
        ("530 5.7.0 Who?", AuthenticationFailed, "530 5.7.0"),
    ],
)
def test_reply_codes_are_classified(words: str, kind: type[Any], code: str) -> None:
    """An SMTP server's reply code decides the error, before and after the email is sent."""
    with SmtpSandbox() as sandbox:
        email = hub(smtp_vendor(sandbox)).email()
        sandbox.taken = words
        with pytest.raises(kind) as later_excinfo:
            email.send_transactional(_message())
        sandbox.taken = "250 Taken"
        sandbox.refusals += [words] * 3
        with pytest.raises(kind) as previous_excinfo:
            email.send_transactional(_message())

        assert (code, code) == (later_excinfo.value.vendor_code, previous_excinfo.value.vendor_code)
        assert words[4:] == previous_excinfo.value.vendor_message
        assert [] == sandbox.delivered


def test_refused_data_command_is_a_refusal() -> None:
    """If the server refuses the DATA command, the email was refused."""
    with SmtpSandbox() as sandbox:
        sandbox.invitation = "554 5.5.1 No valid recipients"
        with pytest.raises(VendorRejected) as excinfo:
            hub(smtp_vendor(sandbox)).email().send_transactional(_message())

        assert "554 5.5.1" == excinfo.value.vendor_code
        assert [] == sandbox.delivered


@pytest.mark.parametrize("words", ["What?", "354 Go on", "999 Odd", "20"])
def test_unreadable_final_reply_is_an_unknown_outcome(words: str) -> None:
    """After an unreadable reply to an email its outcome is unknown."""
    with SmtpSandbox() as sandbox:
        sandbox.taken = words
        email = hub(smtp_vendor(sandbox)).email()

        with pytest.raises(OutcomeUnknown):
            email.send_transactional(_message(), idempotency_key="INV-8")


def test_any_positive_reply_is_a_success() -> None:
    """Each positive reply code of an SMTP server counts as success."""
    with SmtpSandbox() as sandbox:
        sandbox.taken = "251 2.0.0 Will forward"
        receipt = hub(smtp_vendor(sandbox)).email().send_transactional(_message())

        assert EmailStatus.QUEUED is receipt.status


def test_temporary_refusal_keeps_the_key_free() -> None:
    """After the SMTP server refuses an email temporarily, its key can be used again."""
    with SmtpSandbox() as sandbox:
        email = hub(smtp_vendor(sandbox)).email()
        sandbox.refusals.append("451 4.2.0 Come back later")
        with pytest.raises(VendorRejected) as excinfo:
            email.send_transactional(_message(), idempotency_key="INV-7")
        email.send_transactional(_message(), idempotency_key="INV-7")

        assert excinfo.value.retryable
        assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize("words", ["554 5.3.2 Closed", "421 4.3.2 Full"])
def test_refused_greeting_is_reported(words: str) -> None:
    """If the server greets with an error, the error that is raised has the server's text."""
    with SmtpSandbox() as sandbox:
        sandbox.greeting = words
        with pytest.raises((VendorRejected, VendorFailed)) as excinfo:
            hub(smtp_vendor(sandbox)).email().send_transactional(_message())

        assert words[:9] == excinfo.value.vendor_code


def test_sender_may_be_refused() -> None:
    """If the server refuses the sender, the error has the server's text."""
    with SmtpSandbox() as sandbox:
        email = hub(smtp_vendor(sandbox)).email()
        with pytest.raises(InvalidRequest, match=r"553 5\.1\.8"):
            email.send_transactional(_message(from_="a@unverified.example"))


def test_refused_connection_processed_nothing() -> None:
    """A refused connection to the SMTP server proves that nothing was sent."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        vendor = Smtp(host="127.0.0.1", port=bound.getsockname()[1], security="none", login=False)
        with pytest.raises(ConnectionFailed) as excinfo:
            hub(vendor).email().send_transactional(_message())

    assert not excinfo.value.may_have_been_processed


def test_server_without_authentication() -> None:
    """An SMTP server without authentication gets no password."""
    with SmtpSandbox(login=False) as sandbox:
        email = hub(smtp_vendor(sandbox, username=None, credentials=None, login=False)).email()
        email.send_transactional(_message())

        assert "AUTH" not in sandbox.said
        assert 1 == len(sandbox.delivered)


def test_server_that_takes_no_password_is_a_mistake() -> None:
    """If a password is configured but the SMTP server has no authentication, an error is raised."""
    with SmtpSandbox(login=False) as sandbox, pytest.raises(ConfigurationError, match="password"):
        hub(smtp_vendor(sandbox)).email().send_transactional(_message())


def test_password_comes_from_the_provider() -> None:
    """Without its own password an SMTP account uses the credential provider."""
    provider = MemoryCredentialProvider()
    with SmtpSandbox() as sandbox:
        provider.rotate("mail", None, Credentials.basic(sandbox.username, sandbox.password))
        vendor = smtp_vendor(sandbox, credentials=None, username=None)
        hub(vendor, credentials=provider).email().send_transactional(_message())

        assert 1 == len(sandbox.delivered)


@pytest.mark.parametrize("token, arrives", [("smtp-sandbox-password", True), ("old", False)])
def test_oauth_token_is_sent_to_smtp_server_in_form_of_google_and_microsoft(
    token: str, arrives: bool
) -> None:
    """An OAuth token is sent to the SMTP server in the form that Google and Microsoft use."""
    provider = MemoryCredentialProvider()
    provider.rotate("mail", None, OAuthCredentials(access_token=token))
    with SmtpSandbox() as sandbox:
        vendor = smtp_vendor(sandbox, credentials=None)
        email = hub(vendor, credentials=provider).email()
        if arrives:
            email.send_transactional(_message())
        else:
            with pytest.raises(AuthenticationFailed, match=r"535 5\.7\.8"):
                email.send_transactional(_message())

        assert arrives == bool(sandbox.delivered)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_connections_are_protected(security: str) -> None:
    """Only the greeting is exchanged before TLS begins, and certificates are verified."""
    server, client = tls_pair()
    implicit = security == "tls"
    with SmtpSandbox(tls=server, implicit=implicit) as sandbox:
        vendor = smtp_vendor(sandbox, security=security)
        trusting_transports = {"mail": SmtpTransport(vendor, client)}
        Hub([Account("mail", vendor)], transports=trusting_transports).email().send_transactional(
            _message()
        )
        with pytest.raises(ConnectionFailed) as excinfo:
            Hub([Account("mail", vendor)]).email().send_transactional(_message())

        assert 1 == len(sandbox.delivered)
        assert not excinfo.value.retryable
        assert not excinfo.value.may_have_been_processed
        commands_before_tls = sandbox.said[: sandbox.said.index("STARTTLS")] if not implicit else []
        assert all(item.startswith("ehlo") for item in commands_before_tls)


def test_async_connections_are_protected() -> None:
    """Asynchronous SMTP connections verify certificates, and start TLS first."""
    server, client = tls_pair()

    async def send(vendor: Smtp) -> None:
        trusting_transports = {"mail": AsyncSmtpTransport(vendor, client)}
        async with AsyncHub([Account("mail", vendor)], transports=trusting_transports) as mail_hub:
            await mail_hub.email().send_transactional(_message())

    with SmtpSandbox(tls=server) as sandbox:
        asyncio.run(send(smtp_vendor(sandbox, security="starttls")))

        assert 1 == len(sandbox.delivered)


def test_smtp_server_without_required_tls_is_disconnected_at_once() -> None:
    """An SMTP server without the required TLS is disconnected at once."""
    with SmtpSandbox() as sandbox:
        vendor = smtp_vendor(sandbox, security="starttls")
        with pytest.raises(ConnectionFailed) as excinfo:
            hub(vendor).email().send_transactional(_message())

        assert not excinfo.value.retryable
        assert "AUTH" not in sandbox.said


def test_disconnect_before_the_message_processed_nothing() -> None:
    """If the SMTP server disconnects before it has the email, nothing was sent."""
    with SmtpSandbox() as sandbox:
        vendor = attrs.evolve(smtp_vendor(sandbox), credentials="wrong")
        transport = SmtpTransport(vendor, ssl.create_default_context())
        for closing_command in ("AUTH", "MAIL"):
            sandbox.leaves_at = closing_command
            with pytest.raises(ConnectionFailed) as excinfo:
                transport.deliver(
                    Credentials.basic(sandbox.username, sandbox.password),
                    {"sender": "a@b.c", "recipients": ["a@b.c"], "wide": False},
                    b"\r\n",
                )
            assert not excinfo.value.may_have_been_processed


@pytest.mark.parametrize(
    "options, path",
    [
        ({"security": "ssl"}, "security"),
        ({"security": "none"}, "security"),
        ({"step_timeout": 0}, "step_timeout"),
        ({"step_timeout": 86_400.5}, "step_timeout"),
        ({"step_timeout": float("inf")}, "step_timeout"),
        ({"login": False, "username": "ada"}, "login"),
        ({"login": False, "credentials": "s3cret"}, "login"),
        ({"credentials": "s3cret"}, "username"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], path: str) -> None:
    """Unencrypted remote connections, incomplete logins and wrong times are refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        Smtp(host="mail.example.com", **options)
    assert path == excinfo.value.path
    assert "s3cret" not in str(excinfo.value)


def test_host_may_be_an_address_of_ipv6() -> None:
    """The host of an SMTP server is a name or an IPv4 or IPv6 address, but not a URL."""
    assert "2001:db8::25" == Smtp(host="2001:db8::25").host
    with pytest.raises(ConfigurationError, match="not the name or the IP address"):
        Smtp(host="smtp://mail.example")


def test_ports_follow_from_how_connections_are_protected() -> None:
    """The default port of an SMTP server follows from the kind of TLS."""
    ports = [Smtp(host="localhost", security=text).port for text in ("starttls", "tls", "none")]

    assert [587, 465, 25] == ports
    assert 65_535 == Smtp(host="localhost", port=65_535).port
    with pytest.raises(ConfigurationError):
        Smtp(host="localhost", port=65_536)


def test_each_step_of_a_session_may_take_half_a_minute() -> None:
    """Each step of an SMTP session may take half a minute by default, and a day at most."""
    assert 30.0 == Smtp(host="localhost").step_timeout
    assert 86_400 == Smtp(host="localhost", step_timeout=86_400).step_timeout


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_connections_on_this_machine_need_no_tls(host: str) -> None:
    """A connection to a server on this machine may be unencrypted."""
    assert "none" == Smtp(host=host, security="none").security


def test_missing_sender_is_refused() -> None:
    """If neither the email nor the account has a sender, the email is refused."""
    with SmtpSandbox() as sandbox, pytest.raises(ConfigurationError, match="no sender") as excinfo:
        hub(smtp_vendor(sandbox)).email().send_transactional(EmailMessage(to="a@b.c", text="x"))
    assert "sender" == excinfo.value.path


def test_sandbox_refuses_unknown_commands() -> None:
    """The SMTP sandbox refuses an unknown command, and continues the session."""
    with SmtpSandbox() as sandbox, socket.create_connection((sandbox.host, sandbox.port)) as line:
        message = line.makefile("rb")
        assert message.readline().startswith(b"220")
        line.sendall(b"DANCE\r\nMAIL FROM:<a@b.c>\r\nQUIT\r\n")

        assert [b"502", b"530", b"221"] == [message.readline()[:3] for _ in range(3)]


def test_minimal_message_is_read() -> None:
    """The SMTP sandbox reads an email that has only the necessary headers."""
    result = read_message(b"From: a@b.c\r\nSubject: x\r\n\r\nHi\r\n", ("d@e.f",))

    assert ((), ("d@e.f",), None) == (result.to, result.bcc, result.sender_name)
