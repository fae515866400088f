"""The VAT breakdown and the totals of a CII document."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.invoices.binding import (
    AMOUNT,
    CURRENCY_AMOUNT,
    DAY_102,
    NUMBER,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Node,
    SpecialElement,
    merge_fields,
    read_value,
    split_sums,
    stated_sums,
    unreadable_element_error,
    write_nodes,
)
from moorage.invoices.cii.elements import VAT_CODE, is_vat
from moorage.invoices.values import VatBreakdown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.vendor_sdk.xml_text import XmlElement

# The event that makes VAT due: the code of UNTDID 2475, and the code of UNTDID 2005 in the model.
_EVENTS: Final = {"5": "3", "29": "35", "72": "432"}
_EVENT_CODES: Final = {code: event for event, code in _EVENTS.items()}
_TAX: Final[tuple[Node, ...]] = (
    FieldEntry("ram:CalculatedAmount", "tax", AMOUNT),
    VAT_CODE,
    FieldEntry("ram:ExemptionReason", "reason"),
    FieldEntry("ram:BasisAmount", "taxable", AMOUNT),
    FieldEntry("ram:CategoryCode", "category"),
    FieldEntry("ram:ExemptionReasonCode", "reason_code"),
)
_TAX_POINT: Final[tuple[Node, ...]] = (
    ElementEntry("ram:TaxPointDate", (FieldEntry("udt:DateString", "tax_point_date", DAY_102),)),
    FieldEntry("ram:DueDateTypeCode", "tax_point_code"),
)
_RATE: Final = FieldEntry("ram:RateApplicablePercent", "rate", NUMBER)


def _read_breakdown(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    parts: list[VatBreakdown] = []
    points: Fields = {}
    for number, element in enumerate(parent.all("ApplicableTradeTax"), 1):
        inner_place = place.inside(f"ApplicableTradeTax[{number}]")
        parts.append(read_value(VatBreakdown, (*_TAX, _RATE), element, inner_place))
        if not is_vat(element):
            parts[-1] = attrs.evolve(parts[-1], category=None)
        point: Fields = {}
        for node in _TAX_POINT:
            node.read(element, point, inner_place)
        merge_fields(points, point, ("tax_point_date", "tax_point_code"), inner_place)
    fields["tax_point_date"] = points.get("tax_point_date")
    code = points.get("tax_point_code")
    fields["tax_point_code"] = code and _EVENTS.get(code.strip(), code)
    fields["breakdown"] = tuple(parts)


def _write_breakdown(value: Any, currency: str | None) -> Iterator[str]:
    point = SimpleNamespace(
        tax_point_date=value.tax_point_date,
        tax_point_code=_EVENT_CODES.get(value.tax_point_code, value.tax_point_code),
    )
    for part in value.stated_totals.breakdown:
        yield (
            f"<ram:ApplicableTradeTax>{write_nodes(_TAX, part, currency)}"
            f"{write_nodes(_TAX_POINT, point, currency)}"
            f"{write_nodes((_RATE,), part, currency)}</ram:ApplicableTradeTax>"
        )


_TAX_TOTAL: Final = FieldEntry("ram:TaxTotalAmount", "vat", CURRENCY_AMOUNT)


def _read_tax_totals(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    """Read the total VAT in the invoice's currency and in the currency of VAT accounting."""
    place = place.inside("TaxTotalAmount")
    for element in parent.all("TaxTotalAmount"):
        currency = element.attributes.get("currencyID")
        is_other_currency = currency is not None and currency != place.currency
        field = "vat_in_tax_currency" if is_other_currency else "vat"
        if field in fields or (is_other_currency and currency != fields["tax_currency"]):
            raise unreadable_element_error(
                place,
                "There are several totals of VAT in one currency, or one in an unused currency"
                " (BR-CO-15).",
            )
        fields[field] = CURRENCY_AMOUNT.read(
            element, attrs.evolve(place, currency=currency if is_other_currency else place.currency)
        )


def _write_tax_totals(value: Any, currency: str | None) -> Iterator[str]:
    yield from _TAX_TOTAL.write(value, currency)
    if value.vat_in_tax_currency is not None:
        other_total = SimpleNamespace(vat=value.vat_in_tax_currency)
        yield from _TAX_TOTAL.write(other_total, value.tax_currency)


_SUMS: Final = ElementEntry(
    "ram:SpecifiedTradeSettlementHeaderMonetarySummation",
    (
        FieldEntry("ram:LineTotalAmount", "lines", AMOUNT),
        FieldEntry("ram:ChargeTotalAmount", "charges", AMOUNT),
        FieldEntry("ram:AllowanceTotalAmount", "allowances", AMOUNT),
        FieldEntry("ram:TaxBasisTotalAmount", "net", AMOUNT),
        SpecialElement(_read_tax_totals, _write_tax_totals),
        FieldEntry("ram:RoundingAmount", "rounding", AMOUNT),
        FieldEntry("ram:GrandTotalAmount", "gross", AMOUNT),
        FieldEntry("ram:TotalPrepaidAmount", "prepaid", AMOUNT),
        FieldEntry("ram:DuePayableAmount", "due", AMOUNT),
    ),
)


def _read_sums(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    totals: Fields = {"tax_currency": (fields.get("tax_currency") or "").strip() or None}
    _SUMS.read(parent, totals, place)
    del totals["tax_currency"]
    fields["vat_in_tax_currency"] = totals.pop("vat_in_tax_currency", None)
    split_sums({**totals, "breakdown": fields.pop("breakdown")}, fields)


def _write_sums(value: Any, currency: str | None) -> Iterator[str]:
    sums = stated_sums(value)
    sums.tax_currency = value.tax_currency
    return _SUMS.write(sums, currency)


BREAKDOWN: Final = SpecialElement(_read_breakdown, _write_breakdown)
TOTALS: Final = SpecialElement(_read_sums, _write_sums)
