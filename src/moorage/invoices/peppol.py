"""The rules of Peppol BIS Billing 3.0 that apply in every country."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from moorage.invoices import codes
from moorage.invoices.amounts import exact_sum
from moorage.invoices.core_rules import (
    LINE_ALLOWANCES,
    LINE_CHARGES,
    code_rule,
    document,
    needed_field,
    value_at,
)
from moorage.invoices.rules import (
    Rule,
    allowances,
    breakdown_parts,
    charges,
    invoice_search,
    is_code,
    join_scopes,
    lines,
    parties,
    scheme_of,
    scope_of,
    value_search,
)
from moorage.invoices.values import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from moorage.invoices.rules import Scope
    from moorage.invoices.values import Invoice, InvoiceLine

SPECIFICATION: Final = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
"""The identifier of the specification Peppol BIS Billing 3.0."""

PROCESS: Final = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
"""The identifier of the business process Billing."""

_PROCESS: Final = re.compile(r"urn:fdc:peppol\.eu:2017:poacc:billing:[0-9]{2}:1\.0")
_LARGEST_DEVIATION: Final = Fraction(2, 100)
_DIRECT_DEBITS: Final = ("49", "59")
_ALL_ALLOWANCES: Final = join_scopes(allowances, charges, LINE_ALLOWANCES, LINE_CHARGES)


def _is_german(invoice: Invoice) -> bool:
    countries = {value_at(invoice, f"{party}.address.country") for party in ("seller", "buyer")}
    return countries == {"DE"}


def _percentage_error(item: Any) -> Fraction:
    """Return the difference between an amount and the stated percentage of its base amount."""
    if item.percent is None or item.base_amount is None:
        return Fraction(0)
    expected = Fraction(item.base_amount) * Fraction(item.percent) / 100
    return abs(Fraction(item.amount or 0) - expected)


def _line_error(line: InvoiceLine) -> Fraction:
    """Return the difference between a line's net amount and quantity times price."""
    base = line.base_quantity or Decimal(1)
    quantity = Decimal(1) if line.quantity is None else line.quantity
    expected = Fraction(quantity) * Fraction(line.net_price or 0) / Fraction(base)
    expected += exact_sum(item.amount for item in line.charges)
    expected -= exact_sum(item.amount for item in line.allowances)
    return abs(Fraction(line.stated_net or 0) - expected)


def _inexact_amounts(
    scope: Scope, field: str, error: Callable[[Any], Fraction], huf_slack: Fraction
) -> Callable[[Invoice], Iterator[str]]:
    """Return a search for amounts that deviate by more than rounding can cause."""

    def search(invoice: Invoice) -> Iterator[str]:
        slack = huf_slack if invoice.currency == "HUF" else _LARGEST_DEVIATION
        for path, value in scope(invoice):
            if error(value) > slack:
                yield f"{path}.{field}"

    return search


def sum_rules(huf_slack: Fraction = _LARGEST_DEVIATION) -> tuple[Rule, ...]:
    """Return the rules for percentages and net amounts; amounts in forint may be less exact."""
    return (
        Rule(
            "PEPPOL-EN16931-R040",
            _inexact_amounts(_ALL_ALLOWANCES, "amount", _percentage_error, huf_slack),
            "The amount of an allowance or charge is not its percentage of the base amount.",
            "Correct the amount, or leave percentage and base amount out.",
        ),
        Rule(
            "PEPPOL-EN16931-R120",
            _inexact_amounts(lines, "stated_net", _line_error, huf_slack),
            "The net amount of a line is not quantity times price plus charges less allowances.",
            "Correct the amount, or leave it to be computed.",
        ),
    )


def _discount_fits(line: InvoiceLine) -> bool:
    if line.gross_price is None or line.net_price is None:
        return True
    return Fraction(line.net_price) == exact_sum((line.gross_price,)) - exact_sum(
        (line.price_discount,)
    )


def _have_same_sign(invoice: Invoice) -> bool:
    vat, other_vat = value_at(invoice, "stated_totals.vat"), invoice.vat_in_tax_currency
    return vat is None or other_vat is None or vat * other_vat >= 0


def _outside_period(
    name: str, is_outside: Callable[[date, date], bool]
) -> Callable[[Invoice], Iterator[str]]:
    """Return a search for lines whose period begins or ends outside the invoice's period."""

    def search(invoice: Invoice) -> Iterator[str]:
        limit = value_at(invoice, f"period.{name}")
        for path, line in lines(invoice):
            day = value_at(line, f"period.{name}")
            if limit is not None and day is not None and is_outside(day, limit):
                yield f"{path}.period.{name}"

    return search


def _is_debited(payment: Any) -> bool:
    debit = payment.direct_debit
    return payment.code not in _DIRECT_DEBITS or (debit is not None and debit.mandate is not None)


def _weighted_sum(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def _is_gln(text: str) -> bool:
    """Return whether the check digit of a GLN (global location number) is correct."""
    if not re.fullmatch("[0-9]+", text):
        return False
    digits = [int(digit) for digit in reversed(text)]
    return (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def _is_norwegian(text: str) -> bool:
    if not re.fullmatch("[0-9]{9}", text):
        return False
    return int(text) > 0 and _weighted_sum(text, (3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def _is_danish(text: str) -> bool:
    return re.fullmatch("(DK)?[0-9]{8}", text) is not None


def _is_belgian(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{10}", text)) and int(text[8:]) == 97 - int(text[:8]) % 97


def _is_swedish(text: str) -> bool:
    """Return whether the check digit of a Swedish number is correct, by Luhn's algorithm."""
    if not re.fullmatch("[0-9]{10}", text):
        return False
    return (
        sum(sum(divmod(int(digit) * (2 - index % 2), 10)) for index, digit in enumerate(text)) % 10
        == 0
    )


def _is_australian(text: str) -> bool:
    if not re.fullmatch("[0-9]{11}", text):
        return False
    weights = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
    return (_weighted_sum(text, weights) - 10) % 89 == 0


_FORMS: Final = (
    ("PEPPOL-COMMON-R040", "0088", _is_gln, "GLN"),
    ("PEPPOL-COMMON-R041", "0192", _is_norwegian, "Norwegian organisation number"),
    ("PEPPOL-COMMON-R042", "0184", _is_danish, "Danish CVR number"),
    ("PEPPOL-COMMON-R043", "0208", _is_belgian, "Belgian enterprise number"),
    ("PEPPOL-COMMON-R049", "0007", _is_swedish, "Swedish organisation number"),
    ("PEPPOL-COMMON-R050", "0151", _is_australian, "Australian business number"),
)


def _identifiers(invoice: Invoice) -> Iterator[tuple[str, Identifier]]:
    """Yield the identifiers of all parties."""
    for path, party in parties(invoice):
        for name in ("endpoint", "legal_id"):
            identifier = getattr(party, name)
            if identifier is not None:
                yield f"{path}.{name}", identifier
        for number, identifier in enumerate(party.ids):
            yield f"{path}.ids[{number}]", identifier


def _has_format(scheme: str, is_valid: Callable[[str], bool]) -> Callable[[Any], bool]:
    """Return the condition that an identifier of this scheme has the scheme's format."""
    return lambda identifier: identifier.scheme != scheme or is_valid(identifier.value or "")


def _matches_category(reason: str, category: str) -> Callable[[Any], bool]:
    """Return the condition that a reason for exemption fits its VAT category."""
    return lambda part: (part.reason_code or "").upper() != reason or part.category == category


def _is_allowed(type_code: str | None) -> bool:
    return type_code is None or type_code in codes.PEPPOL_TYPES


_EXEMPTIONS: Final = tuple(
    Rule(
        f"PEPPOL-EN16931-P{number:04}",
        value_search(
            breakdown_parts, "category", _matches_category(f"VATEX-EU-{reason}", category)
        ),
        f"The reason for exemption VATEX-EU-{reason} belongs to VAT category '{category}' only.",
        f"Give the category '{category}', or another reason.",
    )
    for number, (reason, category) in enumerate(
        (
            ("G", "G"),
            ("O", "O"),
            ("IC", "K"),
            ("AE", "AE"),
            ("D", "E"),
            ("F", "E"),
            ("I", "E"),
            ("J", "E"),
        ),
        104,
    )
)


def _has_endpoint(party: str) -> Callable[[Invoice], bool]:
    """Return the condition that a party has an electronic address that is not empty."""
    return lambda invoice: value_at(invoice, f"{party}.endpoint") not in {None, Identifier()}


SHARED_RULES: Final = (
    needed_field("PEPPOL-EN16931-R001", "process", "identifier of the business process"),
    Rule(
        "PEPPOL-EN16931-R005",
        invoice_search(
            "tax_currency",
            lambda invoice: (
                invoice.tax_currency is None or invoice.tax_currency != invoice.currency
            ),
        ),
        "The currency of the VAT accounts is that of the invoice.",
        "Leave `tax_currency` out.",
    ),
    *(
        Rule(
            rule,
            invoice_search(f"{party}.endpoint", _has_endpoint(party)),
            f"The {party}'s electronic address is missing.",
            f"Give the {party}'s electronic address.",
        )
        for rule, party in (
            ("PEPPOL-EN16931-R010", "buyer"),
            ("PEPPOL-EN16931-R020", "seller"),
        )
    ),
    Rule(
        "PEPPOL-EN16931-R041",
        value_search(
            _ALL_ALLOWANCES,
            "base_amount",
            lambda item: item.percent is None or item.base_amount is not None,
        ),
        "An allowance or charge has a percentage, but no base amount.",
        "Give the amount that the percentage is of.",
    ),
    Rule(
        "PEPPOL-EN16931-R042",
        value_search(
            _ALL_ALLOWANCES,
            "percent",
            lambda item: item.base_amount is None or item.percent is not None,
        ),
        "An allowance or charge has a base amount, but no percentage.",
        "Give the percentage.",
    ),
    Rule(
        "PEPPOL-EN16931-R046",
        value_search(lines, "net_price", _discount_fits),
        "The net price is not the gross price less the discount.",
        "Correct the prices, or leave the gross price out.",
    ),
    Rule(
        "PEPPOL-EN16931-R054",
        invoice_search(
            "vat_in_tax_currency",
            lambda invoice: (invoice.vat_in_tax_currency is None) == (invoice.tax_currency is None),
        ),
        "The total VAT in the currency of the VAT accounts goes with that currency.",
        "Give both `tax_currency` and `vat_in_tax_currency`, or none.",
    ),
    Rule(
        "PEPPOL-EN16931-R055",
        invoice_search("vat_in_tax_currency", _have_same_sign),
        "The total VAT in two currencies has two signs.",
        "Correct the sign.",
    ),
    Rule(
        "PEPPOL-EN16931-R061",
        value_search(scope_of("payment"), "direct_debit.mandate", _is_debited),
        "The direct debit has no mandate.",
        "Give the reference of the mandate.",
    ),
    Rule(
        "PEPPOL-EN16931-R110",
        _outside_period("start", lambda day, limit: day < limit),
        "The period of a line starts before that of the invoice.",
        "Correct one of the periods.",
    ),
    Rule(
        "PEPPOL-EN16931-R111",
        _outside_period("end", lambda day, limit: day > limit),
        "The period of a line ends after that of the invoice.",
        "Correct one of the periods.",
    ),
    Rule(
        "PEPPOL-EN16931-R121",
        value_search(
            lines,
            "base_quantity",
            lambda line: line.base_quantity is None or line.base_quantity > 0,
        ),
        "The base quantity of the price is not positive.",
        "Give a quantity above zero.",
    ),
    Rule(
        "PEPPOL-EN16931-R130",
        value_search(
            lines,
            "base_unit",
            lambda line: (
                line.base_unit is None or line.quantity is None or line.base_unit == line.unit
            ),
        ),
        "The unit of the base quantity is not that of the quantity.",
        "Give both quantities in the same unit.",
    ),
)
"""The rules that XRechnung has adopted."""

PEPPOL_RULES: Final = (
    *SHARED_RULES,
    *sum_rules(),
    Rule(
        "PEPPOL-EN16931-R002",
        invoice_search("notes", lambda invoice: len(invoice.notes) <= 1 or _is_german(invoice)),
        "The invoice has several notes, which only German parties may use.",
        "Join the notes.",
    ),
    Rule(
        "PEPPOL-EN16931-R003",
        invoice_search(
            "buyer_reference",
            lambda invoice: bool(invoice.buyer_reference or invoice.purchase_order),
        ),
        "The invoice has neither a buyer reference nor a purchase order.",
        "Give one of them.",
    ),
    Rule(
        "PEPPOL-EN16931-R004",
        invoice_search(
            "specification",
            lambda invoice: (invoice.specification or "").startswith(SPECIFICATION),
        ),
        "The specification is not Peppol BIS Billing 3.0.",
        "Leave the specification out; the profile then sets it.",
    ),
    Rule(
        "PEPPOL-EN16931-R007",
        invoice_search("process", lambda invoice: bool(_PROCESS.fullmatch(invoice.process or ""))),
        "The business process is not one of Peppol BIS Billing.",
        "Leave the specification out; the profile then sets it.",
    ),
    Rule(
        "PEPPOL-EN16931-P0100",
        invoice_search(
            "type_code",
            lambda invoice: (
                invoice.type_code in codes.CREDIT_NOTE_TYPES or _is_allowed(invoice.type_code)
            ),
        ),
        "The type code of the invoice is not one that Peppol allows.",
        "Give another type code, such as '380'.",
    ),
    Rule(
        "PEPPOL-EN16931-P0101",
        invoice_search(
            "type_code",
            lambda invoice: (
                invoice.type_code not in codes.CREDIT_NOTE_TYPES or _is_allowed(invoice.type_code)
            ),
        ),
        "The type code of the credit note is not one that Peppol allows.",
        "Give another type code, such as '381'.",
    ),
    Rule(
        "PEPPOL-EN16931-P0112",
        invoice_search(
            "type_code",
            lambda invoice: invoice.type_code not in {"326", "384"} or _is_german(invoice),
        ),
        "Type codes '326' and '384' are for German parties only.",
        "Give another type code, such as '380'.",
    ),
    *_EXEMPTIONS,
    code_rule(
        "PEPPOL-EN16931-CL001",
        scope_of("documents"),
        "media_type",
        is_code("media_type", codes.MEDIA_TYPES),
        "the media types PDF, PNG, JPEG, CSV, XLSX and ODS",
    ),
    code_rule(
        "PEPPOL-EN16931-CL002",
        join_scopes(allowances, LINE_ALLOWANCES),
        "reason_code",
        is_code("reason_code", codes.ALLOWANCE_REASONS),
        "UNTDID 5189",
    ),
    code_rule(
        "PEPPOL-EN16931-CL003",
        join_scopes(charges, LINE_CHARGES),
        "reason_code",
        is_code("reason_code", codes.CHARGE_REASONS),
        "UNTDID 7161",
    ),
    code_rule(
        "PEPPOL-EN16931-CL006",
        document,
        "tax_point_code",
        is_code("tax_point_code", codes.TAX_POINTS),
        "UNTDID 2005: '3', '35' or '432'",
    ),
    code_rule(
        "PEPPOL-EN16931-CL008",
        parties,
        "endpoint.scheme",
        scheme_of("endpoint", codes.PEPPOL_ADDRESS_SCHEMES),
        "Peppol's electronic address schemes",
    ),
    *(
        Rule(
            rule,
            value_search(_identifiers, "value", _has_format(scheme, is_valid)),
            f"The {noun} is not valid.",
            "Correct the identifier, or its scheme.",
        )
        for rule, scheme, is_valid, noun in _FORMS
    ),
)
"""The rules of Peppol that do not depend on a country."""
