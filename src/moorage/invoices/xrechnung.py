"""The rules of XRechnung 3.0, Germany's version of EN 16931."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from moorage.invoices.core_rules import needed_field, value_at
from moorage.invoices.peppol import SHARED_RULES, sum_rules
from moorage.invoices.rules import (
    Rule,
    allowances,
    breakdown_parts,
    charges,
    invoice_search,
    lines,
    required_field,
    scope_of,
    value_search,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.invoices.values import Invoice, PaymentInstructions

SPECIFICATION: Final = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
"""The identifier of the specification XRechnung 3.0."""

_TYPES: Final = frozenset({"326", "380", "381", "384", "389", "875", "876", "877"})
_CATEGORIES: Final = frozenset({"S", "Z", "E", "AE", "K", "G", "L", "M"})
_EMAIL: Final = re.compile(r"[^@\s]+@([^@.\s]+\.)+[^@.\s]+")
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:.*", re.DOTALL)
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Za-z0-9]{0,30}")
_DISCOUNT: Final = re.compile(
    r"#SKONTO#TAGE=[0-9]+#PROZENT=[0-9]+\.[0-9]{2}(#BASISBETRAG=-?[0-9]+\.[0-9]{2})?#"
)
_TRANSFERS: Final = frozenset({"30", "58"})
_CARDS: Final = frozenset({"48", "54", "55"})
_DEBITS: Final = frozenset({"59"})


def _is_taxed(invoice: Invoice) -> bool:
    """Return whether the seller or a tax agent has the tax identifier that the VAT requires."""
    used_codes = {
        value.vat_category for scope in (lines, allowances, charges) for _, value in scope(invoice)
    }
    seller = invoice.seller
    return (
        not used_codes & _CATEGORIES
        or invoice.tax_representative is not None
        or (seller is not None and bool(seller.vat_id or seller.tax_id))
    )


def _discounts_fit(invoice: Invoice) -> bool:
    """Return whether each text line about a cash discount has the required format."""
    terms = invoice.payment_terms or ""
    rows = [row.strip() for row in re.split(r"\r?\n", terms) if row.strip().startswith("#")]
    if not rows:
        return True
    last_term = re.split("#.+#", terms)[-1]
    return all(map(_DISCOUNT.fullmatch, rows)) and re.match(r"\s*\n", last_term) is not None


def _duplicate_file_names(invoice: Invoice) -> Iterator[str]:
    """Yield the documents that repeat the file name of an earlier document."""
    counts: Counter[str] = Counter()
    for number, item in enumerate(invoice.documents):
        if item.filename is not None:
            counts[item.filename] += 1
            if counts[item.filename] > 1:
                yield f"documents[{number}].filename"


def _is_iban(text: str | None) -> bool:
    iban = re.sub(r"\s", "", text or "")
    if not _IBAN.fullmatch(iban):
        return False
    digits = "".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])
    return int(digits) % 97 == 1


def _groups(payment: PaymentInstructions) -> set[str]:
    """Return the names of the detail groups that a payment contains, such as "card"."""
    groups = {
        "accounts": bool(payment.accounts),
        "card": payment.card is not None,
        "direct_debit": payment.direct_debit is not None,
    }
    return {name for name, is_present in groups.items() if is_present}


def _has_group(group: str, means: frozenset[str]) -> Callable[[Any], bool]:
    """Return the condition that a payment by these means states this group of details."""
    return lambda payment: payment.code not in means or group in _groups(payment)


def _has_no_other(group: str, means: frozenset[str]) -> Callable[[Any], bool]:
    """Return the condition that a payment has no details of another means of payment."""
    return lambda payment: payment.code not in means or _groups(payment) <= {group}


def _payment_rules() -> Iterator[Rule]:
    """Yield the rules that a payment has the details of its own means of payment only."""
    for number, means, group, noun in (
        (23, _TRANSFERS, "accounts", "credit transfer"),
        (24, _CARDS, "card", "card payment"),
        (25, _DEBITS, "direct_debit", "direct debit"),
    ):
        yield Rule(
            f"BR-DE-{number}-a",
            value_search(scope_of("payment"), group, _has_group(group, means)),
            f"The {noun} lacks its details.",
            f"Give `{group}`.",
        )
        yield Rule(
            f"BR-DE-{number}-b",
            value_search(scope_of("payment"), group, _has_no_other(group, means)),
            f"The {noun} has details of another means of payment.",
            f"Give only `{group}`.",
        )


def _is_dated(invoice: Invoice) -> bool:
    return (
        value_at(invoice, "delivery.date") is not None
        or invoice.period is not None
        or invoice.tax_point_code is not None
        or all(line.period is not None for line in invoice.lines)
    )


XRECHNUNG_RULES: Final = (
    *SHARED_RULES,
    *sum_rules(huf_slack=Fraction(1, 2)),
    needed_field("BR-DE-1", "payment", "payment instructions"),
    needed_field("BR-DE-2", "seller.contact", "seller's contact point"),
    *(
        required_field(rule, scope_of(scope), field, noun)
        for rule, scope, field, noun in (
            ("BR-DE-3", "seller.address", "city", "city of the seller's address"),
            ("BR-DE-4", "seller.address", "postal_code", "postal code of the seller's address"),
            ("BR-DE-5", "seller.contact", "name", "name of the seller's contact point"),
            ("BR-DE-6", "seller.contact", "phone", "telephone of the seller's contact point"),
            ("BR-DE-7", "seller.contact", "email", "email address of the seller's contact point"),
            ("BR-DE-8", "buyer.address", "city", "city of the buyer's address"),
            ("BR-DE-9", "buyer.address", "postal_code", "postal code of the buyer's address"),
            ("BR-DE-10", "delivery.address", "city", "city of the delivery's address"),
            (
                "BR-DE-11",
                "delivery.address",
                "postal_code",
                "postal code of the delivery's address",
            ),
        )
    ),
    required_field("BR-DE-14", breakdown_parts, "rate", "rate of the VAT category"),
    needed_field("BR-DE-15", "buyer_reference", "buyer reference, which is the Leitweg-ID"),
    Rule(
        "BR-DE-16",
        invoice_search("seller.vat_id", _is_taxed),
        "The VAT category needs the seller's VAT or tax identifier, or a tax representative.",
        "Give one of them.",
    ),
    Rule(
        "BR-DE-17",
        invoice_search("type_code", lambda invoice: invoice.type_code in _TYPES),
        "The type code is not one that XRechnung recommends.",
        f"Give one of {', '.join(sorted(_TYPES))}.",
        fatal=False,
    ),
    Rule(
        "BR-DE-18",
        invoice_search("payment_terms", _discounts_fit),
        "A cash discount in the terms of payment does not have the form of XRechnung.",
        "Write '#SKONTO#TAGE=14#PROZENT=2.00#' in a line of its own, with a line break at its end.",
    ),
    Rule(
        "BR-DE-19",
        value_search(
            scope_of("payment"),
            "accounts",
            lambda payment: (
                payment.code != "58" or all(_is_iban(item.iban) for item in payment.accounts)
            ),
        ),
        "An account of the SEPA credit transfer is not a valid IBAN.",
        "Correct the IBAN.",
        fatal=False,
    ),
    Rule(
        "BR-DE-20",
        value_search(
            scope_of("payment"),
            "direct_debit.account",
            lambda payment: (
                payment.code != "59" or _is_iban(value_at(payment, "direct_debit.account"))
            ),
        ),
        "The account of the SEPA direct debit is not a valid IBAN.",
        "Correct the IBAN.",
        fatal=False,
    ),
    Rule(
        "BR-DE-21",
        invoice_search("specification", lambda invoice: invoice.specification == SPECIFICATION),
        "The specification is not XRechnung 3.0.",
        "Leave the specification out; the profile then sets it.",
        fatal=False,
    ),
    Rule(
        "BR-DE-22",
        _duplicate_file_names,
        "Two embedded documents have the same file name.",
        "Give each document a different file name.",
    ),
    *_payment_rules(),
    Rule(
        "BR-DE-26",
        invoice_search(
            "preceding",
            lambda invoice: (
                invoice.type_code != "384"
                or any(item.number is not None for item in invoice.preceding)
            ),
        ),
        "A corrected invoice names no preceding invoice.",
        "Give the corrected invoice in `preceding`.",
        fatal=False,
    ),
    Rule(
        "BR-DE-27",
        value_search(
            scope_of("seller.contact"),
            "phone",
            lambda contact: contact.phone is None or len(re.findall("[0-9]", contact.phone)) >= 3,
        ),
        "The telephone of the seller's contact point has fewer than three digits.",
        "Give the whole number.",
        fatal=False,
    ),
    Rule(
        "BR-DE-28",
        value_search(
            scope_of("seller.contact"),
            "email",
            lambda contact: contact.email is None or bool(_EMAIL.fullmatch(contact.email)),
        ),
        "The email address of the seller's contact point is not valid.",
        "Correct the address.",
        fatal=False,
    ),
    Rule(
        "BR-DE-30",
        invoice_search(
            "creditor_id",
            lambda invoice: (
                value_at(invoice, "payment.direct_debit") is None or invoice.creditor_id is not None
            ),
        ),
        "The direct debit has no creditor identifier.",
        "Give the creditor's SEPA identifier in `creditor_id`.",
    ),
    required_field(
        "BR-DE-31",
        scope_of("payment.direct_debit"),
        "account",
        "account that is debited",
    ),
    Rule(
        "BR-DE-TMP-32",
        invoice_search("delivery.date", _is_dated),
        "The invoice names neither the day of delivery nor a period of supply.",
        "Give the day, or a period of the invoice or of each line.",
        fatal=False,
    ),
    Rule(
        "BR-TMP-2",
        value_search(
            scope_of("documents"),
            "url",
            lambda item: item.url is None or bool(_URL.fullmatch(item.url)),
        ),
        "The address of a supporting document is not an absolute URL.",
        "Give it with its scheme, such as 'https:'.",
        fatal=False,
    ),
)
"""The rules BR-DE, and those of Peppol that XRechnung has adopted."""
