"""The rules of EN 16931 that apply to every invoice, whatever its VAT categories."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from moorage.invoices import codes
from moorage.invoices.amounts import exact_sum, percentage, round_amount, total
from moorage.invoices.rules import (
    Rule,
    Scope,
    allowances,
    breakdown_parts,
    charges,
    has_two_decimals,
    invoice_search,
    is_code,
    join_scopes,
    lines,
    of_lines,
    parties,
    required_field,
    scheme_of,
    scope_of,
    totals,
    value_search,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from decimal import Decimal

    from moorage.invoices.values import Invoice, InvoiceLine, Party, PaymentInstructions, Totals

LINE_ALLOWANCES: Final = of_lines("allowances")
LINE_CHARGES: Final = of_lines("charges")
"""Scopes of the allowances and charges of lines."""


def document(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    """Yield the invoice itself, as the scope of a rule."""
    yield "", invoice


def needed_field(rule: str, field: str, noun: str) -> Rule:
    """Return the rule that an invoice must have a field, such as 'seller.address'."""
    return Rule(
        rule,
        invoice_search(field, lambda invoice: bool(value_at(invoice, field))),
        f"The {noun} is missing.",
        f"Give the {noun}.",
    )


def value_at(value: Any, path: str) -> Any:
    """Return the value at a path such as 'seller.address'; None if part of the path is None."""
    for name in path.split("."):
        value = None if value is None else getattr(value, name)
    return value


_MANDATORY_FIELDS: Final = (
    needed_field("BR-01", "specification", "identifier of the specification"),
    needed_field("BR-02", "number", "invoice number"),
    needed_field("BR-03", "issue_date", "date of issue"),
    needed_field("BR-04", "type_code", "type code"),
    needed_field("BR-05", "currency", "invoice currency"),
    needed_field("BR-06", "seller.name", "seller's name"),
    needed_field("BR-07", "buyer.name", "buyer's name"),
    needed_field("BR-08", "seller.address", "seller's postal address"),
    required_field(
        "BR-09", scope_of("seller.address"), "country", "country of the seller's address"
    ),
    needed_field("BR-10", "buyer.address", "buyer's postal address"),
    required_field("BR-11", scope_of("buyer.address"), "country", "country of the buyer's address"),
    required_field("BR-12", totals, "lines", "sum of the lines' net amounts"),
    required_field("BR-13", totals, "net", "total without VAT"),
    required_field("BR-14", totals, "gross", "total with VAT"),
    required_field("BR-15", totals, "due", "amount due for payment"),
    Rule(
        "BR-16",
        invoice_search("lines", lambda invoice: bool(invoice.lines)),
        "The invoice has no line.",
        "Give at least one line.",
    ),
)

_LINES: Final = (
    required_field("BR-21", lines, "id", "identifier of the line"),
    required_field("BR-22", lines, "quantity", "invoiced quantity"),
    required_field("BR-23", lines, "unit", "unit of the invoiced quantity"),
    required_field("BR-24", lines, "stated_net", "net amount of the line"),
    required_field("BR-25", lines, "name", "name of the item"),
    required_field("BR-26", lines, "net_price", "net price of the item"),
    Rule(
        "BR-27",
        value_search(
            lines, "net_price", lambda line: line.net_price is None or line.net_price >= 0
        ),
        "The net price of the item is negative.",
        "Give a price from zero on, and a negative quantity.",
    ),
    Rule(
        "BR-28",
        value_search(
            lines, "gross_price", lambda line: line.gross_price is None or line.gross_price >= 0
        ),
        "The gross price of the item is negative.",
        "Give a price from zero on, and a negative quantity.",
    ),
    required_field("BR-CO-04", lines, "vat_category", "VAT category of the line"),
    Rule(
        "BR-54",
        value_search(
            of_lines("properties"),
            "",
            lambda item: item.name is not None and item.value is not None,
        ),
        "A property of an item lacks its name or its value.",
        "Give both.",
    ),
    Rule(
        "BR-64",
        value_search(
            lines,
            "standard_item_id",
            lambda line: line.standard_item_id is None or line.standard_item_id.scheme is not None,
        ),
        "The standard identifier of the item has no scheme.",
        "Give its scheme, such as '0160' for a GTIN.",
    ),
    Rule(
        "BR-65",
        value_search(
            of_lines("classes"), "scheme", lambda item: item.code is None or bool(item.scheme)
        ),
        "The class of an item has no scheme.",
        "Give the catalogue that the class is from, such as 'STI' for CPV.",
    ),
)


def _is_ordered(period: Any) -> bool:
    return period.start is None or period.end is None or period.start <= period.end


def _has_dates(period: Any) -> bool:
    return period.start is not None or period.end is not None


def _line_periods(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    for path, line in lines(invoice):
        if line.period is not None:
            yield f"{path}.period", line.period


_PERIODS: Final = tuple(
    rule
    for order, content, scope in (
        ("BR-29", "BR-CO-19", scope_of("period")),
        ("BR-30", "BR-CO-20", _line_periods),
    )
    for rule in (
        Rule(
            order,
            value_search(scope, "end", _is_ordered),
            "The period ends before it starts.",
            "Give an end that is not before the start.",
        ),
        Rule(
            content,
            value_search(scope, "", _has_dates),
            "The period has neither a start nor an end.",
            "Give at least one of them, or no period.",
        ),
    )
)


def _has_reason(item: Any) -> bool:
    return item.reason is not None or item.reason_code is not None


def _reasons(rules: Iterable[str], scope: Scope, noun: str) -> Iterator[Rule]:
    for rule in rules:
        yield Rule(
            rule,
            value_search(scope, "reason", _has_reason),
            f"The {noun} has neither a reason nor a reason code.",
            "Give the reason as a text or as a code.",
        )


_ALLOWANCES: Final = (
    required_field("BR-31", allowances, "amount", "amount of the allowance"),
    required_field("BR-32", allowances, "vat_category", "VAT category of the allowance"),
    *_reasons(("BR-33", "BR-CO-21"), allowances, "allowance"),
    required_field("BR-36", charges, "amount", "amount of the charge"),
    required_field("BR-37", charges, "vat_category", "VAT category of the charge"),
    *_reasons(("BR-38", "BR-CO-22"), charges, "charge"),
    required_field("BR-41", LINE_ALLOWANCES, "amount", "amount of the line's allowance"),
    *_reasons(("BR-42", "BR-CO-23"), LINE_ALLOWANCES, "line's allowance"),
    required_field("BR-43", LINE_CHARGES, "amount", "amount of the line's charge"),
    *_reasons(("BR-44", "BR-CO-24"), LINE_CHARGES, "line's charge"),
)


def _is_another(invoice: Invoice) -> bool:
    """Return True if there is no payee, or the payee has a name and differs from the seller."""
    payee, seller = invoice.payee, invoice.seller
    if payee is None:
        return True
    if payee.name is None:
        return False
    return seller is None or (
        payee.name not in {seller.name, seller.trading_name}
        and not {item.value for item in payee.ids} & {item.value for item in seller.ids}
        and (payee.legal_id is None or payee.legal_id != seller.legal_id)
    )


def _is_identified(seller: Party) -> bool:
    return bool(seller.ids or seller.legal_id or seller.vat_id)


def _vat_prefix(party: Party) -> bool:
    return party.vat_id is None or party.vat_id[:2] in codes.VAT_PREFIXES


_PARTIES: Final = (
    Rule(
        "BR-17",
        invoice_search("payee.name", _is_another),
        "The payee has no name, or has the seller's name or identifier.",
        "Give the payee's name; give no payee if the seller is paid.",
    ),
    required_field("BR-18", scope_of("tax_representative"), "name", "tax representative's name"),
    required_field(
        "BR-19", scope_of("tax_representative"), "address", "tax representative's address"
    ),
    required_field(
        "BR-20",
        scope_of("tax_representative.address"),
        "country",
        "country of the tax representative's address",
    ),
    required_field(
        "BR-56", scope_of("tax_representative"), "vat_id", "tax representative's VAT identifier"
    ),
    required_field(
        "BR-57", scope_of("delivery.address"), "country", "country of the delivery's address"
    ),
    required_field(
        "BR-62", scope_of("seller.endpoint"), "scheme", "scheme of the seller's electronic address"
    ),
    required_field(
        "BR-63", scope_of("buyer.endpoint"), "scheme", "scheme of the buyer's electronic address"
    ),
    Rule(
        "BR-CO-09",
        value_search(parties, "vat_id", _vat_prefix),
        "The VAT identifier does not begin with a country code.",
        "Give it with its prefix, such as 'DE123456789'; for Greece 'EL'.",
    ),
    Rule(
        "BR-CO-26",
        value_search(scope_of("seller"), "vat_id", _is_identified),
        "The seller has no identifier.",
        "Give an identifier, a legal identifier, or a VAT identifier.",
    ),
)


def _accounts_named(payment: PaymentInstructions) -> bool:
    return payment.code not in codes.CREDIT_TRANSFERS or all(
        account.iban is not None for account in payment.accounts
    )


def _account_present(payment: PaymentInstructions) -> bool:
    has_accounts = bool(payment.accounts) and _accounts_named(payment)
    return payment.code not in codes.CREDIT_TRANSFERS or has_accounts


_PAYMENT: Final = (
    required_field("BR-49", scope_of("payment"), "code", "code of the means of payment"),
    Rule(
        "BR-50",
        value_search(scope_of("payment"), "accounts", _accounts_named),
        "An account of the credit transfer has no number.",
        "Give its IBAN or another account number.",
    ),
    Rule(
        "BR-51",
        value_search(
            scope_of("payment.card"),
            "last_digits",
            lambda card: card.last_digits is None or len(card.last_digits) <= 10,
        ),
        "The card has more digits than security standards allow.",
        "Give only the last four to six digits.",
        fatal=False,
    ),
    Rule(
        "BR-61",
        value_search(scope_of("payment"), "accounts", _account_present),
        "The credit transfer has no account, or one without a number.",
        "Give an account with its IBAN.",
    ),
)


def _has_description(field: str) -> Callable[[Any], bool]:
    """Return the condition that this field is set if a document is embedded."""
    return lambda item: item.content is None or getattr(item, field) is not None


def _is_object_identified(item: Invoice | InvoiceLine) -> bool:
    return item.object_id is None or item.object_id.value is not None


_REFERENCES: Final = (
    required_field("BR-52", scope_of("documents"), "id", "identifier of the supporting document"),
    Rule(
        "BR-52",
        value_search(join_scopes(document, lines), "object_id.value", _is_object_identified),
        "The identifier of the invoiced object is missing.",
        "Give the identifier of the invoiced object.",
    ),
    *(
        Rule(
            rule,
            value_search(scope_of("documents"), field, _has_description(field)),
            f"The embedded document has no {noun}.",
            f"Give its {noun}.",
        )
        for rule, field, noun in (
            ("UBL-DT-06", "media_type", "media type"),
            ("UBL-DT-07", "filename", "file name"),
        )
    ),
    required_field("BR-55", scope_of("preceding"), "number", "number of the preceding invoice"),
    Rule(
        "BR-53",
        invoice_search(
            "vat_in_tax_currency",
            lambda invoice: (
                invoice.tax_currency is None
                or invoice.vat_in_tax_currency is not None
                or _is_same_currency(invoice)
            ),
        ),
        "The total VAT in the currency of the VAT accounts is missing.",
        "Give `vat_in_tax_currency`, or no `tax_currency`.",
    ),
    Rule(
        "BR-CO-15",
        invoice_search(
            "vat_in_tax_currency",
            lambda invoice: (
                invoice.vat_in_tax_currency is None
                or invoice.tax_currency not in {None, invoice.currency}
            ),
        ),
        "There is a second total VAT, but no second currency.",
        "Give a `tax_currency` other than the invoice's currency, or no `vat_in_tax_currency`.",
    ),
    Rule(
        "BR-CO-03",
        invoice_search(
            "tax_point_code",
            lambda invoice: invoice.tax_point_date is None or invoice.tax_point_code is None,
        ),
        "The invoice has both a date and a code for the day when VAT becomes due.",
        "Give only one of them.",
    ),
)


def _is_same_currency(invoice: Invoice) -> bool:
    """Return whether VAT is accounted in the invoice's currency, and the total VAT is stated."""
    return (
        invoice.tax_currency == invoice.currency
        and value_at(invoice, "stated_totals.vat") is not None
    )


_BREAKDOWN: Final = (
    required_field("BR-45", breakdown_parts, "taxable", "taxable amount of the VAT category"),
    required_field("BR-46", breakdown_parts, "tax", "tax amount of the VAT category"),
    required_field("BR-47", breakdown_parts, "category", "code of the VAT category"),
    Rule(
        "BR-48",
        value_search(
            breakdown_parts, "rate", lambda part: part.category == "O" or part.rate is not None
        ),
        "The rate of the VAT category is missing.",
        "Give the rate; only category 'O' has none.",
    ),
    Rule(
        "BR-CO-18",
        invoice_search("stated_totals.breakdown", lambda invoice: any(breakdown_parts(invoice))),
        "The invoice has no VAT breakdown.",
        "Give each line its VAT category.",
    ),
)


def _sums_up(
    field: str, parts: Callable[[Invoice, Totals], Decimal | None]
) -> Callable[[Invoice], bool]:
    """Return the condition that a stated total is the sum of its parts.

    The condition is met if a part is missing, because another rule reports that.
    """

    def is_met(invoice: Invoice) -> bool:
        stated_totals = invoice.stated_totals
        if stated_totals is None:
            return True
        value, expected = getattr(stated_totals, field), parts(invoice, stated_totals)
        return value is None or expected is None or value == expected

    return is_met


def _sum_of(items: Iterable[Any]) -> Decimal:
    return total(item.amount for item in items)


def _net(_: Invoice, stated_totals: Totals) -> Decimal | None:
    if stated_totals.lines is None:
        return None
    return round_amount(
        exact_sum((stated_totals.lines, stated_totals.charges))
        - exact_sum((stated_totals.allowances,))
    )


def _amount_due(invoice: Invoice, stated_totals: Totals) -> Decimal | None:
    if stated_totals.gross is None:
        return None
    return round_amount(
        exact_sum((stated_totals.gross, invoice.rounding)) - exact_sum((invoice.prepaid,))
    )


def _vat(_: Invoice, stated_totals: Totals) -> Decimal | None:
    return total(part.tax for part in stated_totals.breakdown) if stated_totals.breakdown else None


def _gross_adds_up(invoice: Invoice) -> bool:
    stated_totals = invoice.stated_totals
    if stated_totals is None or stated_totals.gross is None or stated_totals.net is None:
        return True
    expected = total((stated_totals.net, stated_totals.vat))
    return not _has_vat_total(invoice) or stated_totals.gross == expected


def _has_vat_total(invoice: Invoice) -> bool:
    """Return whether the total VAT is stated, or need not be because no category has VAT."""
    stated_totals = invoice.stated_totals
    return (
        stated_totals is None
        or stated_totals.vat is not None
        or not exact_sum(part.tax for part in stated_totals.breakdown)
    )


def _has_sum(field: str, holds: Callable[[Invoice], bool]) -> Callable[[Invoice], bool]:
    """Return the condition that the total of allowances or charges, if any, is correct."""

    def is_met(invoice: Invoice) -> bool:
        stated_totals = invoice.stated_totals
        if stated_totals is None:
            return True
        if getattr(stated_totals, field) is None:
            return not getattr(invoice, field)
        return holds(invoice)

    return is_met


def _tax_fits(part: Any) -> bool:
    """Return whether the tax equals taxable amount times rate, with a difference below one unit."""
    if part.rate is None or part.tax is None or part.taxable is None:
        return True
    return within_one(part.tax, percentage(part.taxable, part.rate))


def within_one(amount: Decimal, expected: Decimal) -> bool:
    """Return whether the absolute values of two amounts differ by less than one unit."""
    return abs(abs(Fraction(amount)) - abs(Fraction(expected))) < 1


_TOTALS: Final = (
    Rule(
        "BR-CO-10",
        invoice_search(
            "stated_totals.lines",
            _sums_up("lines", lambda invoice, _: total(line.stated_net for line in invoice.lines)),
        ),
        "The sum of the lines' net amounts is wrong.",
        "Correct it to the sum of the lines, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-11",
        invoice_search(
            "stated_totals.allowances",
            _has_sum(
                "allowances",
                _sums_up("allowances", lambda invoice, _: _sum_of(invoice.allowances)),
            ),
        ),
        "The sum of the invoice's allowances is wrong.",
        "Correct it to the sum of the allowances, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-12",
        invoice_search(
            "stated_totals.charges",
            _has_sum("charges", _sums_up("charges", lambda invoice, _: _sum_of(invoice.charges))),
        ),
        "The sum of the invoice's charges is wrong.",
        "Correct it to the sum of the charges, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-13",
        invoice_search("stated_totals.net", _sums_up("net", _net)),
        "The total without VAT is not the lines' sum less allowances plus charges.",
        "Correct the total, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-14",
        invoice_search("stated_totals.vat", _sums_up("vat", _vat)),
        "The total VAT is not the sum of the VAT of all categories.",
        "Correct the total, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-15",
        invoice_search("stated_totals.gross", _gross_adds_up),
        "The total with VAT is not the total without VAT plus the total VAT.",
        "Correct the total, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-15",
        invoice_search("stated_totals.vat", _has_vat_total),
        "The total VAT is missing.",
        "Give the total VAT, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-16",
        invoice_search("stated_totals.due", _sums_up("due", _amount_due)),
        "The amount due is not the total with VAT less the prepaid amount plus the rounding.",
        "Correct the amount, or leave the totals to be computed.",
    ),
    Rule(
        "BR-CO-17",
        value_search(breakdown_parts, "tax", _tax_fits),
        "The VAT of a category is not its taxable amount times its rate.",
        "Correct the VAT, or leave the totals to be computed.",
    ),
)

_DECIMALS: Final = tuple(
    Rule(
        rule,
        value_search(scope, field, has_two_decimals(field)),
        "The amount has more than two decimals.",
        "Round the amount to two decimals.",
    )
    for rule, scope, field in (
        ("BR-DEC-01", allowances, "amount"),
        ("BR-DEC-02", allowances, "base_amount"),
        ("BR-DEC-05", charges, "amount"),
        ("BR-DEC-06", charges, "base_amount"),
        ("BR-DEC-09", totals, "lines"),
        ("BR-DEC-10", totals, "allowances"),
        ("BR-DEC-11", totals, "charges"),
        ("BR-DEC-12", totals, "net"),
        ("BR-DEC-13", totals, "vat"),
        ("BR-DEC-14", totals, "gross"),
        ("BR-DEC-15", document, "vat_in_tax_currency"),
        ("BR-DEC-16", document, "prepaid"),
        ("BR-DEC-17", document, "rounding"),
        ("BR-DEC-18", totals, "due"),
        ("BR-DEC-19", breakdown_parts, "taxable"),
        ("BR-DEC-20", breakdown_parts, "tax"),
        ("BR-DEC-23", lines, "stated_net"),
        ("BR-DEC-24", LINE_ALLOWANCES, "amount"),
        ("BR-DEC-25", LINE_ALLOWANCES, "base_amount"),
        ("BR-DEC-27", LINE_CHARGES, "amount"),
        ("BR-DEC-28", LINE_CHARGES, "base_amount"),
    )
)


def _party_ids(invoice: Invoice) -> Iterator[tuple[str, Any]]:
    for path, party in parties(invoice):
        for number, identifier in enumerate(party.ids):
            yield f"{path}.ids[{number}]", identifier


ADDRESSED: Final = ("seller", "buyer", "tax_representative", "delivery")
"""The fields of an invoice whose values have an address."""

_ADDRESSES: Final = join_scopes(*(scope_of(f"{name}.address") for name in ADDRESSED))


def code_rule(
    rule: str, scope: Scope, field: str, holds: Callable[[Any], bool], list_: str
) -> Rule:
    """Return the rule that a field's code must be in a code list."""
    return Rule(
        rule,
        value_search(scope, field, holds),
        f"The code is not one of {list_}.",
        f"Give a code of {list_}.",
    )


_CODES: Final = (
    code_rule(
        "BR-CL-01",
        document,
        "type_code",
        is_code("type_code", codes.INVOICE_TYPES | codes.CREDIT_NOTE_TYPES),
        "UNTDID 1001",
    ),
    code_rule("BR-CL-04", document, "currency", is_code("currency", codes.CURRENCIES), "ISO 4217"),
    code_rule(
        "BR-CL-05", document, "tax_currency", is_code("tax_currency", codes.CURRENCIES), "ISO 4217"
    ),
    code_rule(
        "BR-CL-06",
        document,
        "tax_point_code",
        is_code("tax_point_code", codes.TAX_POINTS),
        "UNTDID 2005: '3', '35' or '432'",
    ),
    code_rule(
        "BR-CL-07",
        join_scopes(document, lines),
        "object_id.scheme",
        scheme_of("object_id", codes.OBJECT_SCHEMES),
        "UNTDID 1153",
    ),
    code_rule("BR-CL-10", _party_ids, "scheme", is_code("scheme", codes.ICD_SCHEMES), "ISO 6523"),
    code_rule(
        "BR-CL-11",
        parties,
        "legal_id.scheme",
        scheme_of("legal_id", codes.ICD_SCHEMES),
        "ISO 6523",
    ),
    code_rule(
        "BR-CL-13",
        of_lines("classes"),
        "scheme",
        is_code("scheme", codes.ITEM_CLASS_SCHEMES),
        "UNTDID 7143",
    ),
    code_rule("BR-CL-14", _ADDRESSES, "country", is_code("country", codes.COUNTRIES), "ISO 3166"),
    code_rule("BR-CL-15", lines, "origin", is_code("origin", codes.COUNTRIES), "ISO 3166"),
    code_rule(
        "BR-CL-16", scope_of("payment"), "code", is_code("code", codes.PAYMENT_MEANS), "UNTDID 4461"
    ),
    code_rule(
        "BR-CL-17",
        breakdown_parts,
        "category",
        is_code("category", codes.VAT_CATEGORIES),
        "UNTDID 5305",
    ),
    code_rule(
        "BR-CL-17",
        join_scopes(allowances, charges),
        "vat_category",
        is_code("vat_category", codes.VAT_CATEGORIES),
        "UNTDID 5305",
    ),
    code_rule(
        "BR-CL-18",
        lines,
        "vat_category",
        is_code("vat_category", codes.VAT_CATEGORIES),
        "UNTDID 5305",
    ),
    code_rule(
        "BR-CL-19",
        join_scopes(allowances, LINE_ALLOWANCES),
        "reason_code",
        is_code("reason_code", codes.ALLOWANCE_REASONS),
        "UNTDID 5189",
    ),
    code_rule(
        "BR-CL-20",
        join_scopes(charges, LINE_CHARGES),
        "reason_code",
        is_code("reason_code", codes.CHARGE_REASONS),
        "UNTDID 7161",
    ),
    code_rule(
        "BR-CL-21",
        lines,
        "standard_item_id.scheme",
        scheme_of("standard_item_id", codes.ICD_SCHEMES),
        "ISO 6523",
    ),
    code_rule(
        "BR-CL-22",
        breakdown_parts,
        "reason_code",
        lambda part: (
            part.reason_code is None or part.reason_code.upper() in codes.EXEMPTION_REASONS
        ),
        "the VATEX list",
    ),
    code_rule(
        "BR-CL-23", lines, "unit", is_code("unit", codes.UNITS), "UN/ECE Recommendations 20, 21"
    ),
    code_rule(
        "BR-CL-23",
        lines,
        "base_unit",
        is_code("base_unit", codes.UNITS),
        "UN/ECE Recommendations 20, 21",
    ),
    code_rule(
        "BR-CL-24",
        scope_of("documents"),
        "media_type",
        is_code("media_type", codes.MEDIA_TYPES),
        "the media types PDF, PNG, JPEG, CSV, XLSX and ODS",
    ),
    code_rule(
        "BR-CL-25",
        parties,
        "endpoint.scheme",
        scheme_of("endpoint", codes.ADDRESS_SCHEMES),
        "the EAS list",
    ),
    code_rule(
        "BR-CL-26",
        scope_of("delivery"),
        "location.scheme",
        scheme_of("location", codes.ICD_SCHEMES),
        "ISO 6523",
    ),
)

CORE_RULES: Final = (
    *_MANDATORY_FIELDS,
    *_PARTIES,
    *_LINES,
    *_PERIODS,
    *_ALLOWANCES,
    *_PAYMENT,
    *_REFERENCES,
    *_BREAKDOWN,
    *_TOTALS,
    *_DECIMALS,
    *_CODES,
)
"""The rules BR-01 to BR-65, BR-CO, BR-DEC and BR-CL."""
