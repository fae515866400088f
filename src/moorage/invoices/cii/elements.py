"""XML elements that occur in several parts of a CII document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.invoices.binding import (
    AMOUNT,
    DAY_102,
    NUMBER,
    Constant,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Group,
    Node,
    SpecialElement,
    element_text,
    only_child,
    text_at,
)
from moorage.invoices.indicators import ALLOWANCE, CHARGE, check_indicators, has_indicator
from moorage.invoices.values import AllowanceCharge, Identifier, Period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

_INDICATOR: Final = ("ChargeIndicator", "Indicator")
VAT_CODE: Final = Constant("ram:TypeCode", "VAT")


def is_vat(element: XmlElement) -> bool:
    """Return whether a tax element is about VAT."""
    return (text_at(element, "TypeCode") or "").upper() == "VAT"


def has_type(code: str) -> Callable[[XmlElement], bool]:
    """Return a function that tests if a referenced document has this type code."""
    return lambda element: text_at(element, "TypeCode") == code


def reference(tag: str, field: str) -> ElementEntry:
    """Return the table entry of an element that refers to a document by its number."""
    return ElementEntry(tag, (FieldEntry("ram:IssuerAssignedID", field),))


def moment(tag: str, field: str) -> ElementEntry:
    """Return the table entry of an element that contains a date."""
    return ElementEntry(tag, (FieldEntry("udt:DateTimeString", field, DAY_102),))


def allowances(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the table entries of allowances and of charges."""
    return (
        check_indicators("SpecifiedTradeAllowanceCharge", *_INDICATOR),
        *(
            Group(
                "ram:SpecifiedTradeAllowanceCharge",
                field,
                AllowanceCharge,
                (
                    Constant("ram:ChargeIndicator", f"<udt:Indicator>{word}</udt:Indicator>"),
                    FieldEntry("ram:CalculationPercent", "percent", NUMBER),
                    FieldEntry("ram:BasisAmount", "base_amount", AMOUNT),
                    FieldEntry("ram:ActualAmount", "amount", AMOUNT),
                    FieldEntry("ram:ReasonCode", "reason_code"),
                    FieldEntry("ram:Reason", "reason"),
                    *nodes,
                ),
                many=True,
                only=has_indicator(indicators, *_INDICATOR),
            )
            for field, word, indicators in (
                ("allowances", "false", ALLOWANCE),
                ("charges", "true", CHARGE),
            )
        ),
    )


CATEGORY: Final[tuple[Node, ...]] = (
    VAT_CODE,
    FieldEntry("ram:CategoryCode", "vat_category"),
    FieldEntry("ram:RateApplicablePercent", "vat_rate", NUMBER),
)
PERIOD: Final = Group(
    "ram:BillingSpecifiedPeriod",
    "period",
    Period,
    (moment("ram:StartDateTime", "start"), moment("ram:EndDateTime", "end")),
)


def object_reference(field: str) -> SpecialElement:
    """Return the table entry of the object to which an invoice or a line refers."""
    tag = "AdditionalReferencedDocument"

    def read_element(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
        element = only_child(parent, tag, place, has_type("130"))
        if element is not None:
            fields[field] = Identifier(
                text_at(element, "IssuerAssignedID"), text_at(element, "ReferenceTypeCode")
            )

    def write_element(value: Any, currency: str | None) -> Iterator[str]:
        del currency
        identifier = getattr(value, field)
        if identifier is not None:
            texts = [
                element_text("ram:IssuerAssignedID", identifier.value or "", {}),
                element_text("ram:TypeCode", "130", {}),
            ]
            if identifier.scheme is not None:
                texts.append(element_text("ram:ReferenceTypeCode", identifier.scheme, {}))
            yield f"<ram:{tag}>{''.join(texts)}</ram:{tag}>"

    return SpecialElement(read_element, write_element)
