"""Received mail, which vendors accept for you and pass on by webhook."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.contracts.email_address import EmailAddress
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    from moorage.contracts.ref import Ref


_LINE_BREAKS: Final = re.compile(r"\r?\n[ \t]*")
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def single_line(value: Any) -> Any:
    """Return a text with spaces for control characters; other values are returned unchanged."""
    return (
        _CONTROL_CHARACTERS.sub(" ", _LINE_BREAKS.sub(" ", value))
        if isinstance(value, str)
        else value
    )


def _single_lines(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(
        single_line(item) if isinstance(item, str) else _single_lines(cast("Iterable[Any]", item))
        for item in values
    )


class CheckResult(StrEnum):
    """The result of a check of the sender, such as SPF."""

    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"
    """The sender's domain states nothing to check against, or nothing definite."""
    UNKNOWN = "unknown"
    """The vendor does not state a result, or could not check."""


@frozen(kw_only=True)
class SenderChecks:
    """The vendor's checks of a received message.

    Attributes:
        spf: whether the delivering server may send for the domain of the envelope sender.
        dkim: whether a domain has signed the message.
        signed_by: domains whose signature is valid, where the vendor names them.
        dmarc: whether SPF or DKIM confirms the domain that recipients see in `from_`.
        spam: True if the vendor classifies the message as spam; None if it does not say.
        spam_score: the vendor's score; the higher, the more like spam.
        virus: True if the vendor noticed malware; None if it does not say.
    """

    spf: CheckResult = CheckResult.UNKNOWN
    dkim: CheckResult = CheckResult.UNKNOWN
    signed_by: tuple[str, ...] = ()
    dmarc: CheckResult = CheckResult.UNKNOWN
    spam: bool | None = None
    spam_score: Decimal | None = None
    virus: bool | None = None


@frozen(kw_only=True)
class ReceivedFile:
    """A file of a received message; its name and type, given by the sender, are not verified.

    Attributes:
        filename: name without any path; None if it has none.
        content_type: media type that the sender states, in lower case.
        content: bytes of the file; None if the vendor delivers them separately.
        size: size in bytes, if the vendor states it.
        content_id: name by which the HTML refers to the file; None if it has none.
        is_inline: True if the file is shown inside the HTML.
        url: URL of a file that the vendor delivers separately, if it states one. Most expire, and
            most need the credentials of the account.
    """

    filename: str | None = field(default=None, repr=False)
    content_type: str = field(default="application/octet-stream", converter=single_line)
    content: bytes | None = field(default=None, repr=False)
    size: int | None = None
    content_id: str | None = field(default=None, converter=single_line, repr=False)
    is_inline: bool = False
    url: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class ReceivedEmail:
    """A message that another person or program sent to one of your addresses.

    All of its content comes from the sender, and is not verified. `from_` is easy to forge: see
    `is_authentic`. Addresses that cannot be valid are left out of `from_` and the recipients, and
    stay in `headers`.

    Attributes:
        id: unique id of the webhook's event.
        ref: reference of the message at the vendor.
        at: time of arrival, if the vendor states it, otherwise the time that the sender states.
        envelope_sender: address that failures are reported to; None if unknown, "" for reports.
        envelope_recipients: your addresses that the message was delivered to.
        from_: sender's address according to the message; None if it has no valid one, or several
            senders.
        to, cc: recipients that the message names.
        reply_to: addresses for replies, if they differ from `from_`.
        subject, text, html, amp_html: content; None without a body of that kind. Only some vendors
            pass on the content in AMP for Email.
        reply_text: text without quoted messages and signature, if the vendor separates it.
        message_id, in_reply_to, references: Message-IDs of this message, of the message that it
            answers, and of the whole conversation, without angle brackets.
        headers: all header fields in their order, decoded. No name and no value has a line break
            or another control character, and neither has the subject.
        files: attachments and inline images.
        checks: the vendor's checks of the sender and the content.
        is_automatic: True if a program sent it, such as an out-of-office reply. A program must
            not reply to such a message.
        is_complete: False if the vendor delivers the content separately: get it with
            `get_received`, or from `stored_at`.
        stored_at: place of the whole message in MIME format, which `read_mime` reads: an object
            `s3://bucket/key` of yours, or a URL of the vendor's, which expires.
        is_forgeable: True if the webhook's signature does not cover the message, so that a
            person who saw a genuine webhook could have forged this one.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    at: datetime | None = None
    envelope_sender: str | None = field(default=None, converter=single_line, repr=False)
    envelope_recipients: tuple[str, ...] = field(default=(), converter=_single_lines, repr=False)
    from_: EmailAddress | None = field(default=None, repr=False)
    to: tuple[EmailAddress, ...] = field(default=(), repr=False)
    cc: tuple[EmailAddress, ...] = field(default=(), repr=False)
    reply_to: tuple[EmailAddress, ...] = field(default=(), repr=False)
    subject: str = field(default="", converter=single_line, repr=False)
    text: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    amp_html: str | None = field(default=None, repr=False)
    reply_text: str | None = field(default=None, repr=False)
    message_id: str | None = field(default=None, converter=single_line)
    in_reply_to: str | None = field(default=None, converter=single_line)
    references: tuple[str, ...] = field(default=(), converter=_single_lines)
    headers: tuple[tuple[str, str], ...] = field(default=(), converter=_single_lines, repr=False)
    files: tuple[ReceivedFile, ...] = ()
    checks: SenderChecks = field(factory=SenderChecks)
    is_automatic: bool = False
    is_complete: bool = True
    stored_at: str | None = field(default=None, repr=False)
    is_forgeable: bool = False
    raw: Any = field(default=None, repr=False, eq=False)

    @property
    def is_authentic(self) -> bool:
        """True if the vendor's checks prove the domain of the sender, `from_`.

        Without a result of DMARC, that domain or one above it must have signed the message, or SPF
        must have passed for an envelope sender of the same domain. The result is only as
        trustworthy as the webhook that states it: see `is_forgeable`.
        """
        checks = self.checks
        if self.from_ is None or checks.dmarc is CheckResult.FAILED:
            return False
        if checks.dmarc is CheckResult.PASSED:
            return True
        domain = _domain(self.from_.email)
        is_signed = any(f".{domain}".endswith(f".{signer.lower()}") for signer in checks.signed_by)
        is_sent = checks.spf is CheckResult.PASSED
        return is_signed or (is_sent and _domain(self.envelope_sender or "") == domain)

    def header(self, name: str) -> str | None:
        """The value of the first header field of this name; None if there is none."""
        lower_name = name.lower()
        return next((value for key, value in self.headers if key.lower() == lower_name), None)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def valid_address(email: str, name: str | None = None) -> EmailAddress | None:
    """Parse an address from an untrusted sender; return None if it is not valid."""
    for display_name in (" ".join((name or "").split()) or None, None):
        try:
            return EmailAddress(email.strip(), display_name)
        except InvalidData:
            continue
    return None
