"""The notes, the period and the supporting documents in the header of a UBL document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.errors import InvalidData
from moorage.invoices.binding import (
    BASE64,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Node,
    SpecialElement,
    element_text,
    only_child,
    read_value,
    text_at,
    write_nodes,
)
from moorage.invoices.ubl.elements import PERIOD
from moorage.invoices.values import Note, Period

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

_SUBJECT: Final = re.compile("[A-Z]{3}")
_NOTE: Final = re.compile(r"#([A-Z]{3})#(.*)", re.DOTALL)


def _read_notes(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    del place
    notes: list[Note] = []
    for element in parent.all("Note"):
        parts = _NOTE.fullmatch(element.content.strip())
        note = Note(parts[2], subject=parts[1]) if parts else Note(element.content)
        if note != Note():
            notes.append(note)
    fields["notes"] = notes


def _write_notes(value: Any, currency: str | None) -> Iterator[str]:
    del currency
    for note in value.notes:
        if note.subject is not None and not _SUBJECT.fullmatch(note.subject):
            raise InvalidData(
                "The subject of a note must be three capital letters in UBL.",
                field="notes",
                remedy="Give a code of UNTDID 4451, such as 'AAI'.",
            )
        prefix = "" if note.subject is None else f"#{note.subject}#"
        yield element_text("cbc:Note", prefix + (note.text or ""), {})


def _read_period(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    element = only_child(parent, "InvoicePeriod", place)
    if element is None:
        return
    place = place.inside("InvoicePeriod")
    fields["tax_point_code"] = text_at(element, "DescriptionCode")
    period = read_value(Period, PERIOD, element, place)
    if period != Period() or fields["tax_point_code"] is None:
        fields["period"] = period


def _write_period(value: Any, currency: str | None) -> Iterator[str]:
    if value.period is None and value.tax_point_code is None:
        return
    text = "" if value.period is None else write_nodes(PERIOD, value.period, currency)
    if value.tax_point_code is not None:
        text += element_text("cbc:DescriptionCode", value.tax_point_code, {})
    yield f"<cac:InvoicePeriod>{text}</cac:InvoicePeriod>"


SUPPORTING_DOCUMENT: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:ID", "id"),
    FieldEntry("cbc:DocumentDescription", "description"),
    ElementEntry(
        "cac:Attachment",
        (
            FieldEntry(
                "cbc:EmbeddedDocumentBinaryObject",
                "content",
                BASE64,
                {"mimeCode": "media_type", "filename": "filename"},
            ),
            ElementEntry("cac:ExternalReference", (FieldEntry("cbc:URI", "url"),)),
        ),
    ),
)
NOTES: Final = SpecialElement(_read_notes, _write_notes)
PERIOD_AND_TAX_POINT: Final = SpecialElement(_read_period, _write_period)
