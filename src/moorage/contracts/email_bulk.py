"""Bulk email: one message to many recipients, with values filled in for each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.email import (
    EmailMessage,
    check_apart,
    check_headers,
    check_words,
)
from moorage.contracts.email_address import EmailAddress, as_addresses
from moorage.contracts.email_unsubscribe import Unsubscribe, check_unsubscribe, with_unsubscribe
from moorage.contracts.validators import are_all, as_table, as_tuple, is_a, is_maybe, is_tuple
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PLACE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
"""A placeholder for a recipient's value, as in `Dear {{name}}`."""


@frozen(kw_only=True)
class BulkRecipient:
    """One recipient of a bulk message.

    Attributes:
        to: addresses of this recipient.
        cc, bcc: addresses that get a copy of this recipient's message only.
        data: values for the placeholders; texts and whole numbers, or any JSON for a vendor's
            template.
        metadata: names and values that events return, in addition to those of the whole bulk.
        headers: headers added to those of the whole bulk.
        unsubscribe: ways to unsubscribe, in place of those of the whole bulk.
    """

    to: tuple[EmailAddress, ...] = field(converter=as_addresses, repr=False)
    cc: tuple[EmailAddress, ...] = field(default=(), converter=as_addresses, repr=False)
    bcc: tuple[EmailAddress, ...] = field(default=(), converter=as_addresses, repr=False)
    data: Mapping[str, Any] = field(factory=no_options, repr=False, validator=is_a(Mapping))
    metadata: Mapping[str, str] = field(
        factory=dict, converter=as_table, validator=check_words, repr=False
    )
    headers: Mapping[str, str] = field(
        factory=dict, converter=as_table, validator=check_headers, repr=False
    )
    unsubscribe: Unsubscribe | None = field(default=None, validator=is_maybe(Unsubscribe))

    def __attrs_post_init__(self) -> None:
        """Refuse a recipient without an address, or with the same address twice."""
        if not self.to:
            raise InvalidData(
                "A recipient of a bulk email must have an address.",
                field="to",
                remedy="Give each recipient an address in `to`.",
            )
        check_apart(self.everybody)

    @property
    def everybody(self) -> tuple[EmailAddress, ...]:
        """All addresses of this recipient: to, cc, then bcc."""
        return self.to + self.cc + self.bcc


def as_recipient(value: BulkRecipient | EmailAddress | str) -> BulkRecipient:
    """Convert a single address to a recipient; a recipient is returned unchanged."""
    return value if isinstance(value, BulkRecipient) else BulkRecipient(to=value)


def _recipients(value: Iterable[BulkRecipient | EmailAddress | str]) -> Any:
    recipients: object = as_tuple(value)
    return tuple(map(as_recipient, recipients)) if is_tuple(recipients) else recipients


@frozen(kw_only=True)
class BulkMessage:
    """One message to many recipients, none of whom sees the others.

    Without a vendor's template, `{{name}}` in subject, text, HTML and AMP content is replaced by
    that value of the recipient's data, escaped in the HTML and in the AMP content.

    Attributes:
        base: the message to all of them; it must not name recipients itself.
        recipients: recipients; a single address is enough for one.
    """

    base: EmailMessage = field(validator=is_a(EmailMessage))
    recipients: tuple[BulkRecipient, ...] = field(
        converter=_recipients, repr=False, validator=are_all(BulkRecipient)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse recipients in the base message, conflicting headers, and unfilled placeholders."""
        if self.base.everybody:
            raise InvalidData(
                "The base message of a bulk email must not name recipients.",
                field="base",
                remedy="Name the recipients in `recipients` of the bulk email.",
            )
        for recipient in self.recipients:
            check_unsubscribe(
                {**self.base.headers, **recipient.headers}, self._unsubscribe_of(recipient)
            )
            if self.base.template is None:
                self._check(recipient)

    def _unsubscribe_of(self, recipient: BulkRecipient) -> Unsubscribe | None:
        return recipient.unsubscribe or self.base.unsubscribe

    def own_headers(self, recipient: BulkRecipient) -> dict[str, str]:
        """All headers of a recipient's message.

        Empty if they equal the headers of the whole bulk.
        """
        if not recipient.headers and recipient.unsubscribe is None:
            return {}
        headers = {**self.base.headers, **recipient.headers}
        return with_unsubscribe(headers, self._unsubscribe_of(recipient))

    def _check(self, recipient: BulkRecipient) -> None:
        missing_names = sorted(self.places - set(recipient.data))
        if missing_names:
            raise InvalidData(
                f"A recipient has no value for the placeholders {', '.join(missing_names)}.",
                field="recipients.data",
                remedy="Give each recipient a value for every placeholder of the message.",
            )
        if any(type(value) not in {str, int} for value in recipient.data.values()):
            raise InvalidData(
                "The value of a placeholder must be a string or an int.",
                field="recipients.data",
                remedy="Convert other values, such as amounts and dates, to strings first.",
            )

    @property
    def places(self) -> frozenset[str]:
        """Names of the placeholders in the message; empty for a vendor's template."""
        base = self.base
        if base.template is not None:
            return frozenset()
        texts = (base.subject, base.text or "", base.html or "", base.amp_html or "")
        return frozenset(name for text in texts for name in PLACE.findall(text))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to send this bulk message."""
        return self.base.needs.union(
            *{_recipient_needs(self.base, recipient) for recipient in self.recipients}
        )

    def chunks(self, most: int) -> tuple[BulkMessage, ...]:
        """Split into bulk messages of at most `most` addresses; one recipient is never split."""
        parts: list[list[BulkRecipient]] = []
        address_count = most
        for recipient in self.recipients:
            count = len(recipient.everybody)
            if address_count + count > most:
                parts.append([])
                address_count = 0
            parts[-1].append(recipient)
            address_count += count
        if len(parts) == 1:
            return (self,)
        return tuple(BulkMessage(base=self.base, recipients=part) for part in parts)

    def message_to(self, recipient: BulkRecipient) -> EmailMessage:
        """The message for one recipient, for vendors that send them one by one."""
        base = self.base
        return evolve(
            base,
            to=recipient.to,
            cc=recipient.cc,
            bcc=recipient.bcc,
            subject=fill_placeholders(base.subject, recipient.data),
            text=None if base.text is None else fill_placeholders(base.text, recipient.data),
            html=None
            if base.html is None
            else fill_placeholders(base.html, recipient.data, escape),
            amp_html=None
            if base.amp_html is None
            else fill_placeholders(base.amp_html, recipient.data, escape),
            headers={**base.headers, **recipient.headers},
            unsubscribe=self._unsubscribe_of(recipient),
            metadata={**base.metadata, **recipient.metadata},
        )


def _recipient_needs(base: EmailMessage, recipient: BulkRecipient) -> frozenset[str]:
    return evolve(
        base,
        to=recipient.to,
        cc=recipient.cc,
        bcc=recipient.bcc,
        headers=recipient.headers,
        unsubscribe=recipient.unsubscribe,
        metadata=recipient.metadata,
    ).needs


def fill_placeholders(
    text: str, data: Mapping[str, Any], escape: Callable[[str], str] = str
) -> str:
    """A text with its placeholders replaced by these values."""
    return PLACE.sub(lambda match: escape(str(data[match[1]])), text)
