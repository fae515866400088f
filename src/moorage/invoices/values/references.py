"""Periods, deliveries, notes and related documents of an invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.invoices.values.fields import (
    Identifier,
    day_field,
    identifier_field,
    part_field,
    text_field,
)
from moorage.invoices.values.parties import PostalAddress

if TYPE_CHECKING:
    from datetime import date


@attrs.frozen(kw_only=True)
class Period:
    """A period of supply, including its first and last day.

    Attributes:
        start: first day (BT-73, BT-134).
        end: last day (BT-74, BT-135).
    """

    start: date | None = day_field()
    end: date | None = day_field()


@attrs.frozen(kw_only=True)
class InvoiceDelivery:
    """The delivery of the goods or services.

    Attributes:
        name: name of the recipient (BT-70).
        location: identifier of the place (BT-71).
        date: day of the delivery (BT-72).
        address: address of the delivery (BG-15).
    """

    name: str | None = text_field(private=True)
    location: Identifier | None = identifier_field()
    date: date | None = day_field()
    address: PostalAddress | None = part_field(PostalAddress)


@attrs.frozen
class Note:
    """A free text about the invoice.

    Attributes:
        text: the text (BT-22).
        subject: a code of UNTDID 4451 for its subject (BT-21).
    """

    text: str | None = text_field()
    subject: str | None = text_field(kw_only=True)


@attrs.frozen(kw_only=True)
class PrecedingInvoice:
    """An earlier invoice that this one corrects or continues.

    Attributes:
        number: the invoice's number (BT-25).
        issue_date: the invoice's date (BT-26).
    """

    number: str | None = text_field()
    issue_date: date | None = day_field()


@attrs.frozen(kw_only=True)
class SupportingDocument:
    """A document that supports the invoice: embedded, or at a URL.

    Attributes:
        id: identifier of the document (BT-122).
        description: description of the document (BT-123).
        url: address of the document (BT-124).
        content: the embedded document (BT-125).
        media_type: media type of the content, such as 'application/pdf'.
        filename: file name of the content.
    """

    id: str | None = text_field()
    description: str | None = text_field()
    url: str | None = text_field()
    content: bytes | None = part_field(bytes, private=True)
    media_type: str | None = text_field()
    filename: str | None = text_field()
