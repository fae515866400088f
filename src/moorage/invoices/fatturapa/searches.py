"""Searches in a FatturaPA file for fields that violate the SdI's checks."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

from moorage.invoices.amounts import exact_sum, round_amount
from moorage.invoices.fatturapa.incoming import discount_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moorage.invoices.fatturapa.layout import DetailLine, Document, TaxPerson, VatSummary

Search: TypeAlias = "Callable[[Document], Iterable[str]]"
"""A function that finds the fields which violate a check."""

_ITALIAN: Final = re.compile("[0-9]{11}")
_CENT: Final = Fraction(1, 100)
_NOT_GENERIC: Final = frozenset({"N2", "N3", "N6"})
_BOTH_RATES_TYPE: Final = "TD16"
_OTHER_PARTIES: Final = frozenset(
    {"TD01", "TD02", "TD03", "TD06", "TD16", "TD17", "TD18", "TD19", "TD20", "TD24", "TD25", "TD28"}
)
_SAME_PARTY: Final = frozenset({"TD21", "TD27"})
_FOREIGN_SELLER: Final = frozenset({"TD17", "TD18", "TD19", "TD28"})
_BUYER_WITH_VAT: Final = frozenset({"TD16", "TD17", "TD18", "TD19", "TD20", "TD22", "TD23"})


def _is_zero(rate: Decimal | None) -> bool:
    return rate is not None and rate == 0


def without_nature(name: str) -> Search:
    """Return a search of a list for zero rates without a nature (reason for no VAT)."""
    return lambda document: (
        f"{name}[{number}].nature"
        for number, item in enumerate(getattr(document, name))
        if _is_zero(item.rate) and item.nature is None
    )


def with_nature(name: str) -> Search:
    """Return a search of a list for entries with both VAT and a nature (reason for no VAT)."""
    return lambda document: (
        f"{name}[{number}].nature"
        for number, item in enumerate(getattr(document, name))
        if item.rate and item.nature is not None and document.type != _BOTH_RATES_TYPE
    )


def generic_natures(document: Document) -> Iterator[str]:
    """Yield the fields of natures (reasons for no VAT) without the sub-code that they need."""
    for name in ("lines", "summaries", "funds"):
        for number, item in enumerate(getattr(document, name)):
            if item.nature in _NOT_GENERIC:
                yield f"{name}[{number}].nature"


def no_withholding(document: Document) -> Iterator[str]:
    """Yield the withholdings field if it is empty though lines are subject to withholding tax."""
    if not document.withholdings and any(line.withheld for line in document.lines):
        yield "withholdings"


def no_fund_withholding(document: Document) -> Iterator[str]:
    """Yield the withholdings field if it is empty although lines are subject to withholding."""
    if not document.withholdings and any(fund.withheld for fund in document.funds):
        yield "withholdings"


def no_buyer_id(document: Document) -> Iterator[str]:
    """Yield the field of the buyer's VAT code if the buyer has no VAT code and no fiscal code."""
    buyer = document.buyer
    if buyer is not None and buyer.vat_code is None and buyer.fiscal_code is None:
        yield "buyer.vat_code"


def half_buyer_id(document: Document) -> Iterator[str]:
    """Yield the missing half of the buyer's VAT identifier, if it has the other half."""
    if document.buyer is not None:
        for name, other_name in (("vat_country", "vat_code"), ("vat_code", "vat_country")):
            has_other_half = getattr(document.buyer, other_name) is not None
            if has_other_half and getattr(document.buyer, name) is None:
                yield f"buyer.{name}"


def no_representative_id(document: Document) -> Iterator[str]:
    """Yield the missing parts of the tax representative's VAT identifier."""
    if document.representative is not None:
        for name in ("vat_country", "vat_code"):
            if getattr(document.representative, name) is None:
                yield f"representative.{name}"


def malformed_vat_id(name: str) -> Search:
    """Return a search for an Italian VAT identifier of a party that has not eleven digits."""

    def search(document: Document) -> Iterator[str]:
        country, code = _vat(getattr(document, name))
        if country == "IT" and code is not None and _ITALIAN.fullmatch(code) is None:
            yield f"{name}.vat_code"

    return search


def before_preceding(document: Document) -> Iterator[str]:
    """Yield the field of the invoice's date if a preceding invoice has a later date."""
    for item in document.preceding:
        if document.day is not None and item.day is not None and document.day < item.day:
            yield "day"
            return


def _rates(document: Document) -> set[Decimal | None]:
    return {line.rate for line in document.lines} | {fund.rate for fund in document.funds}


def _natures(document: Document) -> set[str | None]:
    return {line.nature for line in document.lines} | {fund.nature for fund in document.funds}


def rate_without_summary(document: Document) -> Iterator[str]:
    """Yield the field of the VAT summaries if a line's or fund's rate has no summary."""
    if _rates(document) - {item.rate for item in document.summaries}:
        yield "summaries"


def summary_without_line(document: Document) -> Iterator[str]:
    """Yield the fields of summary rates that no line and no pension fund uses."""
    for number, item in enumerate(document.summaries):
        if item.rate not in _rates(document):
            yield f"summaries[{number}].rate"


def natures_differ(document: Document) -> Iterator[str]:
    """Yield the summaries' field if their natures (reasons for no VAT) differ from the lines'."""
    if _natures(document) != {item.nature for item in document.summaries}:
        yield "summaries"


def split_reverse(document: Document) -> Iterator[str]:
    """Yield the fields of VAT summaries that combine reverse charge and split payment."""
    for number, item in enumerate(document.summaries):
        if item.due == "S" and (item.nature or "").startswith("N6"):
            yield f"summaries[{number}].due"


def wrong_tax(document: Document) -> Iterator[str]:
    """Yield the tax fields of VAT summaries whose tax is not the taxable amount times the rate."""
    for number, item in enumerate(document.summaries):
        if None not in {item.tax, item.taxable, item.rate} and _tax_differs(item):
            yield f"summaries[{number}].tax"


def _tax_differs(item: VatSummary) -> bool:
    tax = Fraction(item.taxable or 0) * Fraction(item.rate or 0) / 100
    return abs(Fraction(item.tax or 0) - Fraction(round_amount(tax))) > _CENT


def wrong_taxable(document: Document) -> Iterator[str]:
    """Yield the field of the VAT summaries if a taxable amount is not the sum of its lines."""
    for rate in {item.rate for item in document.summaries} & _rates(document):
        stated_sum = exact_sum(item.taxable for item in document.summaries if item.rate == rate)
        amounts = [line.total for line in document.lines if line.rate == rate]
        amounts += [fund.amount for fund in document.funds if fund.rate == rate]
        amounts += [item.rounding for item in document.summaries if item.rate == rate]
        if abs(stated_sum - exact_sum(amounts)) >= 1:
            yield "summaries"
            return


def wrong_line_total(document: Document) -> Iterator[str]:
    """Yield the fields of line totals that are not quantity times price."""
    for number, line in enumerate(document.lines):
        if None not in {line.total, line.price} and _total_differs(line):
            yield f"lines[{number}].total"


def _total_differs(line: DetailLine) -> bool:
    price = Fraction(line.price or 0)
    for item, amount in discount_steps(line):
        price += -amount if item.type == "SC" else amount
    expected = price * (1 if line.quantity is None else Fraction(line.quantity))
    difference = Fraction(round_amount(line.total or Decimal(0))) - Fraction(round_amount(expected))
    return abs(difference) > _CENT


def no_percentage(document: Document) -> Iterator[str]:
    """Yield the fields of rates between 0 and 1, which are probably fractions, not percentages."""
    for name in ("lines", "summaries", "funds"):
        for number, item in enumerate(getattr(document, name)):
            if item.rate is not None and 0 < item.rate < 1:
                yield f"{name}[{number}].rate"


def number_without_digit(document: Document) -> Iterator[str]:
    """Yield the field of the invoice's number if the number contains no digit."""
    if document.number is not None and not any("0" <= letter <= "9" for letter in document.number):
        yield "number"


def code_of_other_format(document: Document) -> Iterator[str]:
    """Yield the field of the recipient's code if its length does not fit the file's format."""
    length = {"FPA12": 6, "FPR12": 7}.get(document.format or "")
    if length is not None and document.recipient_code and len(document.recipient_code) != length:
        yield "recipient_code"


def discounts_without_amount(document: Document) -> Iterator[str]:
    """Yield the fields of discounts that have neither a percentage nor an amount."""
    for number, line in enumerate(document.lines):
        for position, item in enumerate(line.discounts):
            if item.percent is None and item.amount is None:
                yield f"lines[{number}].discounts[{position}].amount"


def _vat(person: TaxPerson | None) -> tuple[str | None, str | None]:
    return (None, None) if person is None else (person.vat_country, person.vat_code)


def same_parties(document: Document) -> Iterator[str]:
    """Yield the buyer's VAT field if buyer and seller are equal though this document forbids it."""
    seller = _vat(document.seller)
    if document.type in _OTHER_PARTIES and None not in seller and seller == _vat(document.buyer):
        yield "buyer.vat_code"


def different_parties(document: Document) -> Iterator[str]:
    """Yield the buyer's VAT field if buyer and seller differ though this document forbids it."""
    buyer = _vat(document.buyer)
    if document.type in _SAME_PARTY and None not in buyer and buyer != _vat(document.seller):
        yield "buyer.vat_code"


def italian_seller(document: Document) -> Iterator[str]:
    """Yield the seller's country field if an Italian seller is forbidden for this document type."""
    if document.type in _FOREIGN_SELLER and _vat(document.seller)[0] == "IT":
        yield "seller.vat_country"


def ceiling_without_vat(document: Document) -> Iterator[str]:
    """Yield the fields of zero rates in a document of type TD21, in which VAT is required."""
    if document.type == "TD21":
        for number, line in enumerate(document.lines):
            if _is_zero(line.rate):
                yield f"lines[{number}].rate"


def buyer_without_vat(document: Document) -> Iterator[str]:
    """Yield the field of the buyer's VAT code if it is missing but this document requires it."""
    if document.type in _BUYER_WITH_VAT and _vat(document.buyer)[1] is None:
        yield "buyer.vat_code"


def no_italian(document: Document) -> Iterator[str]:
    """Yield the buyer's country field if neither the seller nor the buyer is Italian."""
    countries = {_vat(document.seller)[0], _vat(document.buyer)[0]}
    if None not in countries and "IT" not in countries:
        yield "buyer.vat_country"


def no_name(document: Document) -> Iterator[str]:
    """Yield the name field of each party that has no name."""
    for name in ("seller", "buyer", "representative"):
        person = getattr(document, name)
        if person is not None and not person.name and None in {person.first_name, person.last_name}:
            yield f"{name}.name"


def no_seller_id(document: Document) -> Iterator[str]:
    """Yield the fields of the seller's identifiers that are missing."""
    seller = document.seller
    if seller is not None:
        for name in ("vat_country", "vat_code", "regime"):
            if getattr(seller, name) is None:
                yield f"seller.{name}"


def no_place(document: Document) -> Iterator[str]:
    """Yield the address field of each party that has no address."""
    for name in ("seller", "buyer"):
        person = getattr(document, name)
        if person is not None and person.place is None:
            yield f"{name}.place"


def empty_lists(document: Document) -> Iterator[str]:
    """Yield the names of empty lists: the lines, the VAT summaries or both."""
    for name in ("lines", "summaries"):
        if not getattr(document, name):
            yield name
