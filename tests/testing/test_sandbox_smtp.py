"""The SMTP sandbox keeps the order of commands, and accepts only whole messages."""

from __future__ import annotations

from contextlib import contextmanager
from smtplib import SMTP, SMTPServerDisconnected
from typing import TYPE_CHECKING

import pytest

from moorage.testing.sandboxes.email.smtp import SmtpSandbox

if TYPE_CHECKING:
    from collections.abc import Generator

MESSAGE = b"From: shop@example.com\r\nSubject: Hi\r\n\r\nHello.\r\n"


@contextmanager
def session(sandbox: SmtpSandbox) -> Generator[SMTP]:
    """Yield a session with the sandbox, without a login."""
    with SMTP(sandbox.host, sandbox.port, timeout=60) as client:
        client.ehlo()
        yield client


def replies(client: SMTP, *commands: str) -> list[int]:
    """Return the numbers of the replies to commands."""
    return [client.docmd(command)[0] for command in commands]


def test_nothing_is_accepted_without_a_login() -> None:
    """A client that continues after the server has refused its sender delivers no message."""
    with SmtpSandbox() as sandbox, session(sandbox) as client:
        refused = replies(client, "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA")

        assert [530, 503, 503] == refused


def test_each_message_has_its_own_recipients() -> None:
    """Recipients of an earlier message, even of an abandoned one, do not get the next message."""
    with SmtpSandbox(login=False) as sandbox, session(sandbox) as client:
        client.sendmail("a@example.com", ["b@example.com"], MESSAGE)
        replies(client, "MAIL FROM:<a@example.com>", "RCPT TO:<c@example.com>", "RSET")
        assert [503, 503] == replies(client, "RCPT TO:<d@example.com>", "DATA")
        client.sendmail("a@example.com", ["e@example.com"], MESSAGE)

        assert [("b@example.com",), ("e@example.com",)] == [
            recipients for _, recipients in sandbox.envelopes
        ]


def test_message_that_breaks_off_is_not_delivered() -> None:
    """A message whose connection ends before its last line is not delivered."""
    with SmtpSandbox(login=False) as sandbox:
        with session(sandbox) as client:
            replies(client, "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA")
            client.send(MESSAGE)
            client.close()
        with session(sandbox) as client:
            client.sendmail("a@example.com", ["c@example.com"], MESSAGE)

    assert [("c@example.com",)] == [recipients for _, recipients in sandbox.envelopes]


@pytest.mark.parametrize("is_stated", [True, False])
def test_message_above_the_announced_size_is_refused(*, is_stated: bool) -> None:
    """A message above the announced maximum is refused, with or without a stated size."""
    with SmtpSandbox(login=False, extensions=("SIZE 100",)) as sandbox, session(sandbox) as client:
        size = " SIZE=101" if is_stated else ""
        number = client.docmd(f"MAIL FROM:<a@example.com>{size}")[0]
        if not is_stated:
            client.docmd("RCPT TO:<b@example.com>")
            number = client.data(b"x" * 101)[0]

        assert (552, []) == (number, sandbox.delivered)


@pytest.mark.parametrize(
    "command, number",
    [
        ("SAY hello", 502),
        ("ANSWER_COMMAND x", 502),
        ("AUTH LOGIN", 504),
        ("AUTH", 504),
        ("AUTH PLAIN é", 501),
        ("AUTH PLAIN ====", 501),
        ("NOOP", 250),
        ("HELO here", 250),
    ],
)
def test_unusual_command_has_a_reply(command: str, number: int) -> None:
    """Every permitted command gets a reply, and so does an unknown command."""
    with SmtpSandbox() as sandbox, session(sandbox) as client:
        client.command_encoding = "utf-8"

        assert number == client.docmd(command)[0]
        assert 221 == client.quit()[0]


@pytest.mark.parametrize(
    "commands, number",
    [
        (["MAIL FROM:a@example.com"], 501),
        (["MAIL FROM:<zoë@example.com>"], 553),
        (["MAIL FROM:<a@example.com>", "RCPT TO:<>"], 501),
        (["MAIL FROM:<a@example.com>", "RCPT TO:<zoë@example.com>"], 553),
        (["MAIL FROM:<a@example.com> SMTPUTF8", "RCPT TO:<zoë@example.com>"], 250),
    ],
)
def test_address_has_the_form_that_smtp_demands(commands: list[str], number: int) -> None:
    """An address must be in angle brackets; an address outside ASCII needs SMTPUTF8."""
    with SmtpSandbox(login=False) as sandbox, session(sandbox) as client:
        client.command_encoding = "utf-8"

        assert number == replies(client, *commands)[-1]


def test_connection_ends_after_a_lost_message() -> None:
    """A message to the address of lost messages is delivered, and has no reply."""
    with SmtpSandbox(login=False) as sandbox, session(sandbox) as client:
        with pytest.raises(SMTPServerDisconnected):
            client.sendmail("a@example.com", ["lost@example.com"], MESSAGE)

        assert 1 == len(sandbox.delivered)
