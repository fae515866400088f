"""Emails to another library's SMTP server arrive as they were written."""

from __future__ import annotations

from contextlib import contextmanager
from email import message_from_bytes
from email.policy import SMTPUTF8
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage.adapters.mail.smtp import SmtpTransport
from moorage.contracts.email import Attachment, EmailMessage
from moorage.contracts.email_outcomes import EmailStatus
from moorage.contracts.routes import Account
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    UnsupportedByVendor,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import tls_pair
from moorage.vendors.email.smtp import Smtp
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.operations.email import Email

controllers = pytest.importorskip("aiosmtpd.controller", reason="install aiosmtpd")
smtp = pytest.importorskip("aiosmtpd.smtp")

USER: Final = ("erp", "pässword of the ERP")


class Inbox:
    """A server handler that stores each message with its envelope, and refuses one recipient."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_RCPT(  # noqa: N802 - the name of the hook
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Refuse the recipient refused@example.com."""
        if address == "refused@example.com":
            return "550 5.1.1 There is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the name of the hook
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        """Store the message and its envelope."""
        self.envelopes.append(envelope)
        return "250 2.0.0 Queued"


def is_known(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
    """Return whether a login has the right name and password."""
    login = (data.login.decode(), data.password.decode())
    return smtp.AuthResult(success=login == USER, handled=False)


@contextmanager
def server(password: str = USER[1], **options: Any) -> Generator[tuple[Inbox, Email]]:
    """Yield the inbox of a server with TLS and login, and the email operations of a hub."""
    server_context, client_context = tls_pair()
    inbox = Inbox()
    controller = controllers.Controller(
        inbox,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=server_context,
        require_starttls=True,
        authenticator=is_known,
        auth_required=True,
        **options,
    )
    controller.start()
    try:
        vendor = Smtp(
            host="127.0.0.1", port=controller.port, username=USER[0], credentials=password
        )
        transports = {"mail": SmtpTransport(vendor, client_context)}
        with Hub([Account("mail", vendor)], transports=transports) as hub:
            yield inbox, hub.email()
    finally:
        controller.stop()


def message(**fields: Any) -> EmailMessage:
    """Return an email from the shop."""
    defaults: dict[str, Any] = {
        "from_": "shop@example.com",
        "to": "ada@example.com",
        "subject": "Grüße",
        "text": "Hello.",
    }
    return EmailMessage(**{**defaults, **fields})


def test_email_arrives_after_tls_and_login() -> None:
    """Envelope, headers, long lines, single dots and attachments arrive unchanged."""
    text = ".\n..\n" + "x" * 3_000 + "\nÄ\n"
    file = Attachment(filename="räp.bin", content=bytes(range(256)))
    with server() as (inbox, email):
        receipt = email.send_transactional(
            message(text=text, cc="bob@example.com", bcc="eve@example.com", attachments=[file]),
            idempotency_key="INV-1",
        )
    (envelope,) = inbox.envelopes
    received = message_from_bytes(envelope.content, policy=SMTPUTF8)
    body, attachment = received.get_body(("plain",)), next(received.iter_attachments())
    assert body is not None

    assert ("shop@example.com", ["ada@example.com", "bob@example.com", "eve@example.com"]) == (
        envelope.mail_from,
        envelope.rcpt_tos,
    )
    assert ("Grüße", receipt.ref.id, None) == (
        received["Subject"],
        received["Message-ID"],
        received["Bcc"],
    )
    assert text == body.get_content().replace("\r\n", "\n")
    assert ("räp.bin", file.content) == (attachment.get_filename(), attachment.get_content())
    assert all(len(line) <= 998 for line in envelope.content.split(b"\r\n"))


def test_password_outside_ascii_needs_plain() -> None:
    """If a server offers no login mechanism for UTF-8, a non-ASCII password is not sent to it."""
    with (
        server(auth_exclude_mechanism=["PLAIN"]) as (inbox, email),
        pytest.raises(ConfigurationError, match="non-ASCII"),
    ):
        email.send_transactional(message())
    assert [] == inbox.envelopes


def test_wrong_password_is_refused() -> None:
    """A login that the server refuses is an error, and no message arrives."""
    with server(password="wrong") as (inbox, email), pytest.raises(AuthenticationFailed):
        email.send_transactional(message())
    assert [] == inbox.envelopes


def test_refused_recipient_is_reported() -> None:
    """A message to several recipients reaches the accepted ones; refused ones are reported."""
    people = ["ada@example.com", "refused@example.com"]
    with server() as (inbox, email):
        receipt = email.send_transactional(message(to=people))

    assert [EmailStatus.QUEUED, EmailStatus.REJECTED] == [
        recipient.status for recipient in receipt.recipients
    ]
    assert "550 5.1.1" == receipt.recipients[1].code
    assert [["ada@example.com"]] == [envelope.rcpt_tos for envelope in inbox.envelopes]


@pytest.mark.parametrize("is_able", [True, False])
def test_internationalised_address_needs_a_server_with_the_extension(*, is_able: bool) -> None:
    """A non-ASCII address is sent in UTF-8, if the server announces SMTPUTF8."""
    with server(enable_SMTPUTF8=is_able) as (inbox, email):
        if is_able:
            email.send_transactional(message(to="zoë@example.com"))
        else:
            with pytest.raises(UnsupportedByVendor):
                email.send_transactional(message(to="zoë@example.com"))
    assert [["zoë@example.com"]] * is_able == [envelope.rcpt_tos for envelope in inbox.envelopes]


def test_message_above_the_limit_is_not_sent() -> None:
    """A message larger than the size that the server announces is refused, and does not arrive."""
    with server(data_size_limit=10_000) as (inbox, email), pytest.raises(VendorRejected):
        email.send_transactional(message(text="x\n" * 20_000))
    assert [] == inbox.envelopes
