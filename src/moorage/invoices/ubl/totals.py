"""The VAT breakdown and the totals of a UBL document."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.invoices.binding import (
    CURRENCY_AMOUNT,
    NUMBER,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Group,
    Node,
    SpecialElement,
    only_child,
    split_sums,
    stated_sums,
    unreadable_element_error,
    write_nodes,
)
from moorage.invoices.ubl.elements import VAT_SCHEME, is_vat
from moorage.invoices.values import VatBreakdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

_TAX_AMOUNT: Final = FieldEntry("cbc:TaxAmount", "vat", CURRENCY_AMOUNT)
_SUBTOTALS: Final = Group(
    "cac:TaxSubtotal",
    "breakdown",
    VatBreakdown,
    (
        FieldEntry("cbc:TaxableAmount", "taxable", CURRENCY_AMOUNT),
        FieldEntry("cbc:TaxAmount", "tax", CURRENCY_AMOUNT),
        ElementEntry(
            "cac:TaxCategory",
            (
                FieldEntry("cbc:ID", "category"),
                FieldEntry("cbc:Percent", "rate", NUMBER),
                FieldEntry("cbc:TaxExemptionReasonCode", "reason_code"),
                FieldEntry("cbc:TaxExemptionReason", "reason"),
                VAT_SCHEME,
            ),
            only=is_vat,
        ),
    ),
    many=True,
)
_SUMS: Final[tuple[Node, ...]] = (
    FieldEntry("cbc:LineExtensionAmount", "lines", CURRENCY_AMOUNT),
    FieldEntry("cbc:TaxExclusiveAmount", "net", CURRENCY_AMOUNT),
    FieldEntry("cbc:TaxInclusiveAmount", "gross", CURRENCY_AMOUNT),
    FieldEntry("cbc:AllowanceTotalAmount", "allowances", CURRENCY_AMOUNT),
    FieldEntry("cbc:ChargeTotalAmount", "charges", CURRENCY_AMOUNT),
    FieldEntry("cbc:PrepaidAmount", "prepaid", CURRENCY_AMOUNT),
    FieldEntry("cbc:PayableRoundingAmount", "rounding", CURRENCY_AMOUNT),
    FieldEntry("cbc:PayableAmount", "due", CURRENCY_AMOUNT),
)


def _read_totals(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    totals: Fields = {}
    _read_tax(parent, fields, totals, place)
    element = only_child(parent, "LegalMonetaryTotal", place)
    if element is not None:
        for node in _SUMS:
            node.read(element, totals, place.inside("LegalMonetaryTotal"))
    split_sums(totals, fields)


def _read_tax(parent: XmlElement, fields: Fields, totals: Fields, place: ElementPlace) -> None:
    """Read the total VAT in the invoice's currency and in the currency of VAT accounting."""
    tax_currency = fields.get("tax_currency")
    place = place.inside("TaxTotal")
    main_element: XmlElement | None = None
    for element in parent.all("TaxTotal"):
        amount = next(element.all("TaxAmount"), None)
        currency = None if amount is None else amount.attributes.get("currencyID")
        # If both totals are in the same currency, BR-CO-15 and PEPPOL-EN16931-R005 report that.
        is_second = main_element is not None or currency != place.currency
        is_tax_currency = currency is not None and currency == tax_currency
        if is_second and is_tax_currency and "vat_in_tax_currency" not in fields:
            tax_fields: Fields = {}
            _TAX_AMOUNT.read(element, tax_fields, attrs.evolve(place, currency=currency))
            fields["vat_in_tax_currency"] = tax_fields["vat"]
        elif main_element is None:
            main_element = element
        else:
            raise unreadable_element_error(
                place, "There are several totals of VAT in one currency (BR-CO-15)."
            )
    if main_element is not None:
        _TAX_AMOUNT.read(main_element, totals, place)
        _SUBTOTALS.read(main_element, totals, place)


def _write_totals(value: Any, currency: str | None) -> Iterator[str]:
    sums = stated_sums(value)
    tax = write_nodes((_TAX_AMOUNT, _SUBTOTALS), sums, currency)
    if tax:
        yield f"<cac:TaxTotal>{tax}</cac:TaxTotal>"
    if value.vat_in_tax_currency is not None:
        other_total = SimpleNamespace(vat=value.vat_in_tax_currency)
        tax = write_nodes((_TAX_AMOUNT,), other_total, value.tax_currency)
        yield f"<cac:TaxTotal>{tax}</cac:TaxTotal>"
    yield f"<cac:LegalMonetaryTotal>{write_nodes(_SUMS, sums, currency)}</cac:LegalMonetaryTotal>"


TOTALS: Final = SpecialElement(_read_totals, _write_totals)
