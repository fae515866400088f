"""The rules of an FA(3) file, from its schema and from KSeF."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.invoices.amounts import exact_sum
from moorage.invoices.ksef.incoming import ADDENDS
from moorage.invoices.ksef.layout import FaDocument
from moorage.invoices.ksef.rates import BY_WORD, RATES
from moorage.invoices.ksef.receipts import is_ksef_number
from moorage.invoices.layouts import PART, PATH, faults
from moorage.invoices.rules import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.invoices.ksef.layout import FaPerson

_WEIGHTS: Final = (6, 5, 7, 2, 3, 4, 5, 6, 7)
_REFUSED_CHARACTERS: Final = re.compile(
    "[\x7f-\x84\x86-\x9f\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000)
    )
    + "]"
)
"""The characters that KSeF refuses, of those that XML 1.0 allows but discourages."""
_FIRST_DAY: Final = date(2006, 1, 1)
_FIRST_PAYMENT_DAY: Final = date(2016, 7, 1)
_LAST_DAY: Final = date(2050, 1, 1)
_CHOICES: Final = (
    ("exempt", "not_exempt", "P_19N"),
    ("vehicles", "no_vehicles", "P_22N"),
    ("margin", "no_margin", "P_PMarzyN"),
)
"""Pairs of fields that exclude one another, with the element of the second one."""
_MOST_LINES: Final = 10_000
_MOST_FOOTERS: Final = 3
_LINE_SUMS: Final = tuple(
    dict.fromkeys(name for rate in RATES for name in (rate.net, rate.tax) if name is not None)
)
"""The fields for sums of the lines with one rate."""


def violations(document: FaDocument, *, received: bool = False) -> Iterator[Violation]:
    """Yield the violated rules, each with the name of its XML element.

    Args:
        document: the content of the file.
        received: True for a file that somebody else wrote. KSeF does not check the checksum in
            the number of a preceding invoice, so moorage checks it only in its own files.
    """
    for fault in faults(document):
        name = fault.element.rpartition("/")[2] or fault.field
        problem = (
            f"The element {fault.element} is missing."
            if fault.missing
            else f"The schema does not allow this text in {fault.element}."
        )
        yield Violation(name, fault.field, problem, "Give a value that the schema allows.")
    yield from _characters(document)
    yield from _parties(document)
    yield from _buyer(document.buyer)
    yield from _choices(document)
    yield from _contents(document)
    yield from _days(document)
    yield from _check_sums(document)
    yield from _check_rates(document)
    yield from _corrections(document, received=received)
    yield from _exemption(document)


def _characters(value: Any, field: str = "") -> Iterator[Violation]:
    """Yield the texts with a character that XML allows, but KSeF does not."""
    for attribute in attrs.fields(value.__class__):
        part: Any = getattr(value, attribute.name)
        path = f"{field}.{attribute.name}" if field else attribute.name
        element = attribute.metadata[PATH].rpartition("/")[2]
        if isinstance(part, str) and _REFUSED_CHARACTERS.search(part):
            yield Violation(
                element or field.partition("[")[0],
                path,
                "The text has a control character that KSeF refuses.",
                "Remove the character from the text.",
            )
        elif PART in attribute.metadata and part is not None:
            is_list = attribute.default == ()
            for number, item in enumerate(part if is_list else (part,)):
                yield from _characters(item, f"{path}[{number}]" if is_list else path)


def _parties(document: FaDocument) -> Iterator[Violation]:
    for name in ("seller", "buyer"):
        person = getattr(document, name)
        if person is not None and person.nip is not None and not is_nip(person.nip):
            yield Violation(
                "NIP",
                f"{name}.nip",
                "The check digit of the NIP is wrong.",
                "Correct the VAT identifier.",
            )
        if person is not None and person.country is not None and person.address is None:
            yield Violation(
                "AdresL1",
                f"{name}.address",
                "The address has no street or other first line.",
                "Give the first line of the address.",
            )
    seller = document.seller
    if seller is not None and seller.country is None:
        yield Violation(
            "KodKraju", "seller.country", "The seller has no address.", "Give its address."
        )
    if seller is not None and seller.name is None:
        yield Violation("Nazwa", "seller.name", "The seller has no name.", "Give its name.")
    if seller is not None and seller.nip is None:
        yield Violation("NIP", "seller.nip", "The seller has no NIP.", "Give its VAT identifier.")


def _buyer(buyer: FaPerson | None) -> Iterator[Violation]:
    if buyer is None:
        return
    if not (buyer.nip or buyer.eu_number or buyer.other_id or buyer.has_no_id):
        yield Violation(
            "BrakID",
            "buyer.has_no_id",
            "The buyer has no tax number, and the file does not say that it has none.",
            "Give its VAT identifier, or BrakID.",
        )
    for name, element in (("local_unit", "JST"), ("group_member", "GV")):
        if getattr(buyer, name) is None:
            yield Violation(
                element,
                f"buyer.{name}",
                f"The element Podmiot2/{element} is missing.",
                "Give a value that the schema allows.",
            )
    if (buyer.address or buyer.city) is not None and buyer.country is None:
        yield Violation(
            "KodKraju", "buyer.country", "The buyer's address has no country.", "Give its country."
        )


def _choices(document: FaDocument) -> Iterator[Violation]:
    for field, other_field, element in _CHOICES:
        values = (getattr(document, field), getattr(document, other_field))
        if values.count(None) != 1:
            yield Violation(
                element,
                other_field,
                f"Exactly one of {element.removesuffix('N')} and {element} is allowed.",
                f"Give {element} if the other does not apply.",
            )


def is_nip(text: str) -> bool:
    """Return whether a text is a Polish tax number (NIP): nine digits and a check digit."""
    if len(text) != len(_WEIGHTS) + 1 or not (text.isascii() and text.isdecimal()):
        return False
    digits = [int(letter) for letter in text]
    weighted = sum(weight * digit for weight, digit in zip(_WEIGHTS, digits, strict=False))
    return weighted % 11 == digits[-1]


def _contents(document: FaDocument) -> Iterator[Violation]:
    if len(document.lines) > _MOST_LINES:
        yield Violation(
            "FaWiersz", "lines", "There are more than 10,000 lines.", "Write several invoices."
        )
    if len(document.footers) > _MOST_FOOTERS:
        yield Violation(
            "Informacje", "footers", "There are more than three notes.", "Join the notes."
        )
    if (document.start is None) is not (document.end is None):
        yield Violation(
            "OkresFa", "start", "The period has only one day.", "Give both days of the period."
        )
    if document.margin is not None:
        yield Violation(
            "P_PMarzy",
            "margin",
            "The invoice is of the margin scheme, which moorage does not read.",
            "Read it with check=False, and take the amounts from the original file.",
        )
        return
    for number, line in enumerate(document.lines):
        for field, element in (("name", "P_7"), ("net", "P_11"), ("rate", "P_12")):
            is_gross = field == "net" and line.gross is not None
            if getattr(line, field) is None and document.kind == "VAT" and not is_gross:
                yield Violation(
                    element,
                    f"lines[{number}].{field}",
                    f"The line has no {field} that FA(3) knows.",
                    "Give name, price and a VAT category with a rate that Poland has.",
                )


def _days(document: FaDocument) -> Iterator[Violation]:
    days: list[tuple[str, str, date | None, date]] = [
        ("P_1", "day", document.day, _FIRST_DAY),
        ("P_6", "supplied", document.supplied, _FIRST_DAY),
        ("P_6_Od", "start", document.start, _FIRST_DAY),
        ("P_6_Do", "end", document.end, _FIRST_DAY),
        ("DataZaplaty", "paid_on", document.paid_on, _FIRST_PAYMENT_DAY),
    ]
    days += [
        ("DataWystFaKorygowanej", f"corrected[{number}].day", item.day, _FIRST_DAY)
        for number, item in enumerate(document.corrected)
    ]
    days += [
        ("Termin", f"terms[{number}].day", item.day, _FIRST_PAYMENT_DAY)
        for number, item in enumerate(document.terms)
    ]
    for element, field, day, first in days:
        if day is not None and not first <= day <= _LAST_DAY:
            yield Violation(
                element,
                field,
                f"The day is not between {first} and {_LAST_DAY}, which the schema demands.",
                "Correct the day.",
            )


def _check_sums(document: FaDocument) -> Iterator[Violation]:
    addends = exact_sum(getattr(document, name) for name in ADDENDS)
    difference = abs(exact_sum((document.gross,)) - addends)
    if document.kind in {"VAT", "KOR"} and difference > _tolerance(len(document.lines) - 1):
        yield Violation(
            "P_15",
            "gross",
            "The total is not the sum of the amounts by rate.",
            "Correct the total or the sums.",
        )
    for group in range(1, 5):
        has_vat = bool(getattr(document, f"tax_{group}"))
        if document.currency != "PLN" and has_vat and getattr(document, f"tax_pln_{group}") is None:
            yield Violation(
                f"P_14_{group}W",
                "exchange_rate",
                "The VAT of an invoice in a foreign currency is needed in złoty too.",
                "Give the exchange rate.",
            )


def _tolerance(count: int) -> Fraction:
    """Return the greatest difference of a sum whose lines were rounded, one by one."""
    return min(Fraction(max(count, 0), 100), Fraction(1))


def _check_rates(document: FaDocument) -> Iterator[Violation]:
    """Yield the sums by rate that differ from the lines' sums, if all lines have a known rate."""
    if document.kind != "VAT" or not document.lines or document.margin is not None:
        return
    sums = dict.fromkeys(_LINE_SUMS, Fraction(0))
    for line in document.lines:
        rate = BY_WORD.get(line.rate or "")
        if rate is None or (line.net is None and line.gross is None):
            return
        percent = Fraction(rate.rate) / 100
        net = exact_sum((line.net,)) or exact_sum((line.gross,)) / (1 + percent)
        sums[rate.net] += net
        if rate.tax is not None:
            sums[rate.tax] += net * percent
    for name, expected_sum in sums.items():
        stated_sum = exact_sum((getattr(document, name),))
        if abs(stated_sum - expected_sum) > _tolerance(len(document.lines)):
            path = getattr(attrs.fields(FaDocument), name).metadata[PATH]
            yield Violation(
                path.rpartition("/")[2],
                name,
                "The sum is not that of the lines with this rate.",
                "Correct the sum or the lines.",
            )


def _corrections(document: FaDocument, *, received: bool) -> Iterator[Violation]:
    is_correction = (document.kind or "").startswith("KOR")
    if document.correction_reason is not None and not is_correction:
        yield Violation(
            "PrzyczynaKorekty",
            "correction_reason",
            "The invoice has a reason for a correction, but is not a correction.",
            "Leave the reason out, or give the type code of a correction.",
        )
    if is_correction and not document.corrected:
        yield Violation(
            "DaneFaKorygowanej",
            "corrected",
            "The correction does not say which invoice it corrects.",
            "Give the preceding invoice with its number and date.",
        )
    for number, item in enumerate(document.corrected):
        if received or item.ksef_number is None:
            continue
        if not is_ksef_number(item.ksef_number):
            yield Violation(
                "NrKSeFFaKorygowanej",
                f"corrected[{number}].ksef_number",
                "The text is not a number of KSeF, or its check sum differs.",
                "Give the number that KSeF gave to the preceding invoice.",
            )


def _exemption(document: FaDocument) -> Iterator[Violation]:
    reasons = (
        document.exemption_law,
        document.exemption_directive,
        document.exemption_basis,
    )
    if document.exempt is not None and not any(reasons):
        yield Violation(
            "P_19",
            "exemption_law",
            "Lines are exempt from VAT, and the provision for it is missing.",
            "Give `exemption_law`, or the reason of the exemption of category E.",
        )
