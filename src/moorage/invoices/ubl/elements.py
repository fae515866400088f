"""XML elements that occur in several parts of a UBL document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.invoices.binding import (
    CURRENCY_AMOUNT,
    DAY,
    NEEDED_IDENTIFIER,
    NUMBER,
    Constant,
    ElementEntry,
    FieldEntry,
    Group,
    Node,
    text_at,
)
from moorage.invoices.codes import CREDIT_NOTE_TYPES
from moorage.invoices.indicators import ALLOWANCE, CHARGE, check_indicators, has_indicator
from moorage.invoices.values import AllowanceCharge, Identifier, Invoice

if TYPE_CHECKING:
    from moorage.vendor_sdk.xml_text import XmlElement

UNNAMED: Final = "NA"  # the text of an element that has no field, but that the schema requires
VAT_SCHEME: Final = Constant("cac:TaxScheme", "<cbc:ID>VAT</cbc:ID>")


def is_vat(element: XmlElement) -> bool:
    """Return whether a tax element is about VAT."""
    return (text_at(element, "TaxScheme", "ID") or "").upper() == "VAT"


def is_object(element: XmlElement) -> bool:
    """Return whether a reference names the object of an invoice or a line."""
    return text_at(element, "DocumentTypeCode") == "130"


def reference(tag: str, field: str) -> ElementEntry:
    """Return the table entry of an element that contains the identifier of a document."""
    return ElementEntry(tag, (FieldEntry("cbc:ID", field),))


def object_reference(tag: str) -> ElementEntry:
    """Return the table entry of the object to which an invoice or a line refers."""
    return ElementEntry(
        tag,
        (
            FieldEntry("cbc:ID", "object_id", NEEDED_IDENTIFIER, missing=Identifier()),
            Constant("cbc:DocumentTypeCode", "130"),
        ),
        only=is_object,
    )


def allowances(tag_nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the table entries of allowances and of charges."""
    return (
        check_indicators("AllowanceCharge", "ChargeIndicator"),
        *(
            Group(
                "cac:AllowanceCharge",
                field,
                AllowanceCharge,
                (Constant("cbc:ChargeIndicator", word), *_ALLOWANCE, *tag_nodes),
                many=True,
                only=has_indicator(indicators, "ChargeIndicator"),
            )
            for field, word, indicators in (
                ("allowances", "false", ALLOWANCE),
                ("charges", "true", CHARGE),
            )
        ),
    )


_ALLOWANCE: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:AllowanceChargeReasonCode", "reason_code"),
    FieldEntry("cbc:AllowanceChargeReason", "reason"),
    FieldEntry("cbc:MultiplierFactorNumeric", "percent", NUMBER),
    FieldEntry("cbc:Amount", "amount", CURRENCY_AMOUNT),
    FieldEntry("cbc:BaseAmount", "base_amount", CURRENCY_AMOUNT),
)
CATEGORY: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:ID", "vat_category"),
    FieldEntry("cbc:Percent", "vat_rate", NUMBER),
    VAT_SCHEME,
)
PERIOD: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:StartDate", "start", DAY),
    FieldEntry("cbc:EndDate", "end", DAY),
)


def root_of(invoice: Invoice) -> str:
    """Return the name of an invoice's root element."""
    return "CreditNote" if invoice.type_code in CREDIT_NOTE_TYPES else "Invoice"
