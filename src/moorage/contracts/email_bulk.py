"""One message to many, each of whom gets it alone and with words of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.email import (
    EmailMessage,
    check_apart,
    check_headers,
    check_words,
)
from moorage.contracts.email_address import EmailAddress, as_addresses
from moorage.contracts.kinds import are_all, as_table, as_tuple, is_a, is_tuple
from moorage.contracts.vendor import no_options
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PLACE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
"""Where a word of the recipient's goes, as in `Dear {{name}}`."""


@attrs.frozen(kw_only=True)
class BulkRecipient:
    """Who gets a message of a bulk.

    Attributes:
        to: whom it is to.
        cc, bcc: who gets a copy of just this one.
        data: what is filled in for them: of a vendor's template any JSON, else texts and whole
            numbers.
        metadata: words of ours that come back with events, besides those of all.
        headers: further headers, besides those of all.
    """

    to: tuple[EmailAddress, ...] = attrs.field(converter=as_addresses, repr=False)
    cc: tuple[EmailAddress, ...] = attrs.field(default=(), converter=as_addresses, repr=False)
    bcc: tuple[EmailAddress, ...] = attrs.field(default=(), converter=as_addresses, repr=False)
    data: Mapping[str, Any] = attrs.field(factory=no_options, repr=False, validator=is_a(Mapping))
    metadata: Mapping[str, str] = attrs.field(
        factory=dict, converter=as_table, validator=check_words, repr=False
    )
    headers: Mapping[str, str] = attrs.field(
        factory=dict, converter=as_table, validator=check_headers, repr=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what is to nobody, or to somebody twice."""
        if not self.to:
            raise InvalidData(
                "A recipient of a bulk has no address.", field="to", remedy="Give one in `to`."
            )
        check_apart(self.everybody)

    @property
    def everybody(self) -> tuple[EmailAddress, ...]:
        """Who gets it, in order."""
        return self.to + self.cc + self.bcc


def as_recipient(value: BulkRecipient | EmailAddress | str) -> BulkRecipient:
    """A recipient, also of an address alone."""
    return value if isinstance(value, BulkRecipient) else BulkRecipient(to=value)


def _recipients(value: Iterable[BulkRecipient | EmailAddress | str]) -> Any:
    several: object = as_tuple(value)
    return tuple(map(as_recipient, several)) if is_tuple(several) else several


@attrs.frozen(kw_only=True)
class BulkMessage:
    """One message to many; nobody sees who else gets it.

    Without a vendor's template, `{{name}}` in subject, text and HTML stands for what a recipient's
    data has of that name; in the HTML its special characters are escaped.

    Attributes:
        base: what they all get; it has no recipients itself.
        recipients: who gets it; an address alone is enough.
    """

    base: EmailMessage = attrs.field(validator=is_a(EmailMessage))
    recipients: tuple[BulkRecipient, ...] = attrs.field(
        converter=_recipients, repr=False, validator=are_all(BulkRecipient)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse recipients in the wrong place, and places that nothing is given for."""
        if self.base.everybody:
            raise InvalidData(
                "The message of a bulk has recipients itself.",
                field="base",
                remedy="Name them in `recipients`.",
            )
        if self.base.template is None:
            for recipient in self.recipients:
                self._check(recipient)

    def _check(self, recipient: BulkRecipient) -> None:
        missing = sorted(self.places - set(recipient.data))
        if missing:
            raise InvalidData(
                f"Nothing is given for {', '.join(missing)}.",
                field="recipients.data",
                remedy="Give each recipient what the message has a place for.",
            )
        if any(type(value) not in {str, int} for value in recipient.data.values()):
            raise InvalidData(
                "What is filled in is neither a text nor a whole number.",
                field="recipients.data",
                remedy="Write it out first: amounts and dates look different to everybody.",
            )

    @property
    def places(self) -> frozenset[str]:
        """What the message has places for; of a vendor's template nobody here knows."""
        base = self.base
        if base.template is not None:
            return frozenset()
        texts = (base.subject, base.text or "", base.html or "")
        return frozenset(name for text in texts for name in PLACE.findall(text))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that sending it takes."""
        return self.base.needs.union(*{_own_needs(self.base, one) for one in self.recipients})

    def chunks(self, most: int) -> tuple[BulkMessage, ...]:
        """The same in parts, each to at most so many people, or to one recipient."""
        parts: list[list[BulkRecipient]] = []
        people = most
        for recipient in self.recipients:
            count = len(recipient.everybody)
            if people + count > most:
                parts.append([])
                people = 0
            parts[-1].append(recipient)
            people += count
        if len(parts) == 1:
            return (self,)
        return tuple(BulkMessage(base=self.base, recipients=part) for part in parts)

    def message_to(self, recipient: BulkRecipient) -> EmailMessage:
        """What one recipient gets, for who sends them one by one."""
        base = self.base
        return attrs.evolve(
            base,
            to=recipient.to,
            cc=recipient.cc,
            bcc=recipient.bcc,
            subject=filled(base.subject, recipient.data),
            text=None if base.text is None else filled(base.text, recipient.data),
            html=None if base.html is None else filled(base.html, recipient.data, escape),
            headers={**base.headers, **recipient.headers},
            metadata={**base.metadata, **recipient.metadata},
        )


def _own_needs(base: EmailMessage, recipient: BulkRecipient) -> frozenset[str]:
    return attrs.evolve(
        base,
        to=recipient.to,
        cc=recipient.cc,
        bcc=recipient.bcc,
        headers=recipient.headers,
        metadata=recipient.metadata,
    ).needs


def filled(text: str, data: Mapping[str, Any], written: Callable[[str], str] = str) -> str:
    """A text with what is given in its places."""
    return PLACE.sub(lambda found: written(str(data[found[1]])), text)
