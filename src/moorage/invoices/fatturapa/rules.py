"""The SdI's checks on the content of a file, by their official codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.invoices.fatturapa import searches
from moorage.invoices.layouts import faults
from moorage.invoices.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.invoices.fatturapa.layout import Document
    from moorage.invoices.fatturapa.searches import Search


@attrs.frozen
class SdiCheck:
    """A check that the SdI, Italy's exchange system, makes on an invoice.

    Attributes:
        code: the SdI's code of the error.
        search: function that finds the fields that violate the check.
        problem: a sentence that says what is wrong.
        remedy: a sentence that says what to do.
    """

    code: str
    search: Search
    problem: str
    remedy: str


def violations(document: Document) -> Iterator[Violation]:
    """Yield violations of the file's schema, then violations of the SdI's content checks."""
    for fault in faults(document):
        problem = (
            f"The element {fault.element} is missing."
            if fault.missing
            else f"The schema does not allow this text in {fault.element}."
        )
        yield Violation("00200", fault.field, problem, "Give a value that the schema allows.")
    for check in CHECKS:
        for field in check.search(document):
            yield Violation(check.code, field, check.problem, check.remedy)


_NATURE_MISSING: Final = "The nature is missing, although the VAT rate is zero."
_NATURE_WRONG: Final = "There is a nature, although the VAT rate is not zero."
_GIVE_NATURE: Final = "Give the nature of the VAT category, such as 'N4'."
_LEAVE_NATURE: Final = "Leave the nature out, or set the rate to zero."
_VAT_ID_WRONG: Final = "An Italian VAT identifier has eleven digits."
_GIVE_VAT_ID: Final = "Give it as 'IT' with eleven digits; a fiscal code is the legal identifier."
CHECKS: Final = (
    SdiCheck("00200", searches.no_name, "The party has no name.", "Give its name."),
    SdiCheck(
        "00200",
        searches.no_seller_id,
        "The seller's VAT identifier or tax regime is missing.",
        "Give a VAT identifier with its country, and the regime.",
    ),
    SdiCheck("00200", searches.no_place, "The party has no address.", "Give its address."),
    SdiCheck("00200", searches.empty_lists, "The invoice has no lines.", "Give at least one line."),
    SdiCheck(
        "00200",
        searches.half_buyer_id,
        "The buyer's VAT identifier has only one of its country and its code.",
        "Give both, or neither.",
    ),
    SdiCheck(
        "00200",
        searches.no_representative_id,
        "The tax representative's VAT identifier is missing or incomplete.",
        "Give it with its country, such as 'IT' with eleven digits.",
    ),
    SdiCheck("00301", searches.malformed_vat_id("seller"), _VAT_ID_WRONG, _GIVE_VAT_ID),
    SdiCheck("00305", searches.malformed_vat_id("buyer"), _VAT_ID_WRONG, _GIVE_VAT_ID),
    SdiCheck("00400", searches.without_nature("lines"), _NATURE_MISSING, _GIVE_NATURE),
    SdiCheck("00401", searches.with_nature("lines"), _NATURE_WRONG, _LEAVE_NATURE),
    SdiCheck(
        "00411",
        searches.no_withholding,
        "A line is subject to withholding, but the invoice has none.",
        "Give the withholding, or mark the line as not subject to withholding.",
    ),
    SdiCheck("00413", searches.without_nature("funds"), _NATURE_MISSING, _GIVE_NATURE),
    SdiCheck("00414", searches.with_nature("funds"), _NATURE_WRONG, _LEAVE_NATURE),
    SdiCheck(
        "00415",
        searches.no_fund_withholding,
        "A contribution to a pension fund is subject to withholding, but the invoice has none.",
        "Give the withholding.",
    ),
    SdiCheck(
        "00417",
        searches.no_buyer_id,
        "The buyer has neither a VAT identifier nor a fiscal code.",
        "Give one of them; a fiscal code is the legal identifier with the scheme 0210.",
    ),
    SdiCheck(
        "00418",
        searches.before_preceding,
        "The invoice is older than an invoice to which it refers.",
        "Correct one of the dates.",
    ),
    SdiCheck(
        "00419",
        searches.rate_without_summary,
        "A VAT rate of the lines has no summary.",
        "Add the summary of each rate.",
    ),
    SdiCheck(
        "00420",
        searches.split_reverse,
        "The buyer cannot pay VAT to the state ('S') where it is reversed (N6).",
        "Give another nature, or 'I' or 'D' for when VAT is due.",
    ),
    SdiCheck(
        "00421",
        searches.wrong_tax,
        "The VAT is not the rate times the taxable amount.",
        "Correct it; a difference of a cent is allowed.",
    ),
    SdiCheck(
        "00422",
        searches.wrong_taxable,
        "The taxable amount is not the sum of the lines of this rate.",
        "Correct it; a difference of less than 1 is allowed.",
    ),
    SdiCheck(
        "00423",
        searches.wrong_line_total,
        "The line's total is not the quantity times the price.",
        "Correct it; a difference of a cent is allowed.",
    ),
    SdiCheck(
        "00424",
        searches.no_percentage,
        "The VAT rate is not in percent.",
        "Give 22 for 22 %, not 0.22.",
    ),
    SdiCheck(
        "00425",
        searches.number_without_digit,
        "The number of the invoice has no digit.",
        "Give a number with at least one digit.",
    ),
    SdiCheck(
        "00427",
        searches.code_of_other_format,
        "The recipient's code does not have the length of the format.",
        "Give six characters for a public office, otherwise seven.",
    ),
    SdiCheck("00429", searches.without_nature("summaries"), _NATURE_MISSING, _GIVE_NATURE),
    SdiCheck("00430", searches.with_nature("summaries"), _NATURE_WRONG, _LEAVE_NATURE),
    SdiCheck(
        "00438",
        searches.discounts_without_amount,
        "The discount has neither a percentage nor an amount.",
        "Give one of them.",
    ),
    SdiCheck(
        "00443",
        searches.summary_without_line,
        "The summary has a VAT rate that no line has.",
        "Remove the summary, or correct its rate.",
    ),
    SdiCheck(
        "00444",
        searches.natures_differ,
        "The natures of the lines and of the summaries differ.",
        "Give each nature a summary.",
    ),
    SdiCheck(
        "00445",
        searches.generic_natures,
        "The nature is too general.",
        "Give a nature with a second part, such as 'N6.1'.",
    ),
    SdiCheck(
        "00471",
        searches.same_parties,
        "The seller and the buyer are the same, which this type of document does not allow.",
        "Correct the VAT identifiers or the type.",
    ),
    SdiCheck(
        "00472",
        searches.different_parties,
        "The seller and the buyer differ, which this type of document does not allow.",
        "Correct the VAT identifiers or the type.",
    ),
    SdiCheck(
        "00473",
        searches.italian_seller,
        "The seller is Italian, which this type of document does not allow.",
        "Correct the seller or the type.",
    ),
    SdiCheck(
        "00474",
        searches.ceiling_without_vat,
        "A line of a TD21 has a VAT rate of zero.",
        "Give the rate that applies.",
    ),
    SdiCheck(
        "00475",
        searches.buyer_without_vat,
        "The buyer has no VAT identifier, which this type of document needs.",
        "Give the buyer's VAT identifier.",
    ),
    SdiCheck(
        "00476",
        searches.no_italian,
        "Neither the seller nor the buyer is Italian.",
        "Give the VAT identifier of an Italian party.",
    ),
)
"""The checks in the order of their codes."""
