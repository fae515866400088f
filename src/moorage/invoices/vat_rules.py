"""The ten rules of EN 16931 that apply to each VAT category."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.invoices.amounts import exact_sum, percentage
from moorage.invoices.core_rules import ADDRESSED, within_one
from moorage.invoices.rules import (
    Rule,
    allowances,
    breakdown_parts,
    charges,
    invoice_search,
    lines,
    scope_of,
    value_search,
)
from moorage.invoices.values import Period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.invoices.rules import Scope
    from moorage.invoices.values import Invoice, VatBreakdown

_ZERO: Final = Decimal(0)


@attrs.frozen
class _Category:
    """A VAT category, with the properties that determine its rules.

    Attributes:
        prefix: beginning of the identifiers of the category's rules.
        code: code of the category in UNTDID 5305.
        name: name of the category in messages.
        parties: required identifiers: 'seller' for any tax identifier of the seller, 'seller VAT'
            for the seller's VAT identifier, 'buyer' for any identifiers of seller and buyer, 'buyer
            VAT' for VAT identifiers of both, 'none' if VAT identifiers are forbidden.
        rates: allowed VAT rates: 'positive', 'zero', 'any' for zero or more, or 'none' for no rate.
        exempt: True if the breakdown must have a reason for exemption, False if it must not.
    """

    prefix: str
    code: str
    name: str
    parties: str
    rates: str
    exempt: bool

    @property
    def by_rate(self) -> bool:
        """Return whether the VAT breakdown has a separate part for each rate of this category."""
        return self.rates in {"positive", "any"}


_CATEGORIES: Final = (
    _Category("BR-S", "S", "standard rate", "seller", "positive", exempt=False),
    _Category("BR-Z", "Z", "zero rate", "seller", "zero", exempt=False),
    _Category("BR-E", "E", "exempt from VAT", "seller", "zero", exempt=True),
    _Category("BR-AE", "AE", "reverse charge", "buyer", "zero", exempt=True),
    _Category("BR-IC", "K", "intra-community supply", "buyer VAT", "zero", exempt=True),
    _Category("BR-G", "G", "export outside the EU", "seller VAT", "zero", exempt=True),
    _Category("BR-O", "O", "not subject to VAT", "none", "none", exempt=True),
    _Category("BR-AF", "L", "IGIC", "seller", "any", exempt=False),
    _Category("BR-AG", "M", "IPSI", "seller", "any", exempt=False),
)


def _values_of_category(scope: Scope, code: str) -> Scope:
    """Return those values of a scope that have the VAT category."""
    return lambda invoice: (
        (path, value)
        for path, value in scope(invoice)
        if (value.category if hasattr(value, "category") else value.vat_category) == code
    )


def _is_broken_down(category: _Category) -> Callable[[Invoice], bool]:
    """Return the condition that a category used in the invoice also occurs in its VAT breakdown."""

    def is_met(invoice: Invoice) -> bool:
        parts = sum(1 for _ in _values_of_category(breakdown_parts, category.code)(invoice))
        used_codes = any(
            any(_values_of_category(scope, category.code)(invoice))
            for scope in (lines, allowances, charges)
        )
        if category.by_rate:
            return (parts > 0) == used_codes
        return parts == 1 if used_codes or parts else True

    return is_met


def _missing_party(category: _Category, invoice: Invoice) -> str | None:
    """Return the identifier field that must be set but is not, or must not be but is; else None."""
    seller, buyer, agent = invoice.seller, invoice.buyer, invoice.tax_representative
    seller_vat = seller is not None and seller.vat_id is not None
    agent_vat = agent is not None and agent.vat_id is not None
    buyer_vat = buyer is not None and buyer.vat_id is not None
    if category.parties == "none":
        for field, is_present in (
            ("seller.vat_id", seller_vat),
            ("tax_representative.vat_id", agent_vat),
            ("buyer.vat_id", buyer_vat),
        ):
            if is_present:
                return field
        return None
    seller_tax = seller is not None and seller.tax_id is not None
    any_tax = category.parties in {"seller", "buyer"} and seller_tax
    if not seller_vat and not agent_vat and not any_tax:
        return "seller.vat_id"
    if category.parties == "buyer":
        has_legal_id = buyer is not None and buyer.legal_id is not None
        return None if buyer_vat or has_legal_id else "buyer.vat_id"
    return "buyer.vat_id" if category.parties == "buyer VAT" and not buyer_vat else None


def _is_identified(category: _Category, scope: Scope) -> Callable[[Invoice], Iterator[str]]:
    def search(invoice: Invoice) -> Iterator[str]:
        if any(_values_of_category(scope, category.code)(invoice)):
            field = _missing_party(category, invoice)
            if field is not None:
                yield field

    return search


def _rate_fits(category: _Category) -> Callable[[Any], bool]:
    def is_met(value: Any) -> bool:
        rate = value.vat_rate
        if category.rates == "none":
            return rate is None
        if rate is None:
            return False
        if category.rates == "positive":
            return bool(rate > 0)
        return bool(rate == 0 if category.rates == "zero" else rate >= 0)

    return is_met


def _taxable_sum(category: _Category, part: VatBreakdown, invoice: Invoice) -> Fraction:
    """Return the sum of all amounts in a VAT category, at the part's rate if rates are separate."""

    def fits_category(value: Any) -> bool:
        return value.vat_category == category.code and (
            not category.by_rate or value.vat_rate == part.rate
        )

    return (
        exact_sum(line.stated_net for line in invoice.lines if fits_category(line))
        + exact_sum(item.amount for item in invoice.charges if fits_category(item))
        - exact_sum(item.amount for item in invoice.allowances if fits_category(item))
    )


def _wrong_taxable(category: _Category) -> Callable[[Invoice], Iterator[str]]:
    def search(invoice: Invoice) -> Iterator[str]:
        for path, part in _values_of_category(breakdown_parts, category.code)(invoice):
            if part.taxable is None:
                continue
            difference = abs(Fraction(part.taxable) - _taxable_sum(category, part, invoice))
            if difference >= 1 if category.by_rate else difference:
                yield f"{path}.taxable"

    return search


def _tax_fits(category: _Category) -> Callable[[Any], bool]:
    def is_met(part: Any) -> bool:
        if part.tax is None:
            return True
        if not category.by_rate:
            return bool(part.tax == 0)
        if part.taxable is None or part.rate is None:
            return True
        return within_one(part.tax, percentage(part.taxable, part.rate))

    return is_met


def _reason_fits(category: _Category) -> Callable[[Any], bool]:
    def is_met(part: Any) -> bool:
        reason = part.reason is not None or part.reason_code is not None
        return reason == category.exempt

    return is_met


_RATES: Final = {
    "positive": ("greater than zero", "Give the rate in percent, such as 19."),
    "zero": ("zero", "Give the rate 0."),
    "any": ("zero or more", "Give the rate in percent."),
    "none": ("absent", "Give no rate."),
}
_PARTIES: Final = {
    "seller": "Give the VAT or tax identifier of the seller, or a tax representative's.",
    "seller VAT": "Give the VAT identifier of the seller or of a tax representative.",
    "buyer": "Give tax identifiers of the seller, and a VAT or legal identifier of the buyer.",
    "buyer VAT": "Give the VAT identifiers of the seller and of the buyer.",
    "none": "Leave the VAT identifiers out.",
}


def _category_rules(category: _Category) -> Iterator[Rule]:
    """Yield the ten rules of a VAT category."""
    prefix, name = category.prefix, f"{category.name} ('{category.code}')"
    yield Rule(
        f"{prefix}-01",
        invoice_search("stated_totals.breakdown", _is_broken_down(category)),
        f"The VAT category {name} is not in the VAT breakdown as often as the lines require.",
        "Correct the breakdown, or leave the totals to be computed.",
    )
    scopes = ((lines, "lines"), (allowances, "allowances"), (charges, "charges"))
    identifiers = "has a VAT identifier" if category.parties == "none" else "lacks an identifier"
    for number, (scope, noun) in enumerate(scopes, 2):
        yield Rule(
            f"{prefix}-{number:02}",
            _is_identified(category, scope),
            f"The invoice has {noun} of the VAT category {name}, but {identifiers}.",
            _PARTIES[category.parties],
        )
    expected, remedy = _RATES[category.rates]
    for number, (scope, _) in enumerate(scopes, 5):
        yield Rule(
            f"{prefix}-{number:02}",
            value_search(
                _values_of_category(scope, category.code), "vat_rate", _rate_fits(category)
            ),
            f"The rate of the VAT category {name} must be {expected}.",
            remedy,
        )
    yield Rule(
        f"{prefix}-08",
        _wrong_taxable(category),
        f"The taxable amount of the VAT category {name} is not the sum of its amounts.",
        "Correct the amount, or leave the totals to be computed.",
    )
    yield Rule(
        f"{prefix}-09",
        value_search(
            _values_of_category(breakdown_parts, category.code), "tax", _tax_fits(category)
        ),
        f"The tax of the VAT category {name} is wrong.",
        "Give the taxable amount times the rate." if category.by_rate else "Give the tax 0.",
    )
    yield Rule(
        f"{prefix}-10",
        value_search(
            _values_of_category(breakdown_parts, category.code), "reason", _reason_fits(category)
        ),
        f"The VAT category {name} {'needs' if category.exempt else 'has'} a reason for exemption.",
        "Give a reason in `exemptions`." if category.exempt else "Leave the reason out.",
    )


def _has_category(scope: Scope, code: str, invoice: Invoice) -> bool:
    return any(_values_of_category(scope, code)(invoice))


def _delivery_dated(invoice: Invoice) -> bool:
    delivery = invoice.delivery
    return (
        not _has_category(breakdown_parts, "K", invoice)
        or (delivery is not None and delivery.date is not None)
        or (invoice.period is not None and invoice.period != Period())
        or invoice.tax_point_code is not None
    )


def _delivery_placed(invoice: Invoice) -> bool:
    address = None if invoice.delivery is None else invoice.delivery.address
    return not _has_category(breakdown_parts, "K", invoice) or (
        address is not None and address.country is not None
    )


def _only_outside(scope: Scope) -> Callable[[Invoice], Iterator[str]]:
    """Return a search for VAT categories forbidden together with 'not subject to VAT'."""

    def search(invoice: Invoice) -> Iterator[str]:
        if not _has_category(breakdown_parts, "O", invoice):
            return
        for path, value in scope(invoice):
            name = "category" if hasattr(value, "category") else "vat_category"
            if getattr(value, name) not in {None, "O"}:
                yield f"{path}.{name}"

    return search


_COUNTRIES: Final = (
    *((scope_of(f"{name}.address"), "country") for name in ADDRESSED),
    (lines, "origin"),
)
"""The scopes of all values that have a country, and the field of the country."""


def _foreign_countries(invoice: Invoice) -> Iterator[str]:
    """Yield each field with a country other than Italy, if the invoice has split payment.

    The official rule for UBL also refuses items that come from another country.
    """
    if not _is_split(invoice):
        return
    for scope, field in _COUNTRIES:
        for path, value in scope(invoice):
            if getattr(value, field) not in {None, "IT"}:
                yield f"{path}.{field}"


def _is_split(invoice: Invoice) -> bool:
    return any(
        _has_category(scope, "B", invoice)
        for scope in (lines, allowances, charges, breakdown_parts)
    )


def _is_unmixed(invoice: Invoice) -> bool:
    return not _is_split(invoice) or not any(
        _has_category(scope, "S", invoice)
        for scope in (lines, allowances, charges, breakdown_parts)
    )


VAT_RULES: Final = (
    *(rule for category in _CATEGORIES for rule in _category_rules(category)),
    Rule(
        "BR-IC-11",
        invoice_search("delivery.date", _delivery_dated),
        "An intra-community supply needs the date of delivery or the period of supply.",
        "Give the date of the delivery, or a period.",
    ),
    Rule(
        "BR-IC-12",
        invoice_search("delivery.address.country", _delivery_placed),
        "An intra-community supply needs the country of delivery.",
        "Give the delivery's address with its country.",
    ),
    *(
        Rule(
            rule,
            _only_outside(scope),
            "An invoice that is not subject to VAT ('O') has another VAT category too.",
            "Write two invoices.",
        )
        for rule, scope in (
            ("BR-O-11", breakdown_parts),
            ("BR-O-12", lines),
            ("BR-O-13", allowances),
            ("BR-O-14", charges),
        )
    ),
    Rule(
        "BR-B-01",
        _foreign_countries,
        "Split payment ('B') is for invoices within Italy only.",
        "Give another VAT category, or leave the country out.",
    ),
    Rule(
        "BR-B-02",
        invoice_search("stated_totals.breakdown", _is_unmixed),
        "An invoice with split payment ('B') has the standard rate ('S') too.",
        "Write two invoices.",
    ),
)
"""The rules of VAT categories: BR-S, BR-Z, BR-E, BR-AE, BR-IC, BR-G, BR-O, BR-AF, BR-AG, BR-B."""
