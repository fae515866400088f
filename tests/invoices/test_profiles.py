"""Peppol BIS Billing 3.0 and XRechnung 3.0 have identifiers and rules of their own."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import pytest

from moorage import InvalidData
from moorage.invoices import (
    EN16931,
    PEPPOL,
    XRECHNUNG,
    AllowanceCharge,
    Identifier,
    Invoice,
    InvoiceCard,
    Note,
    Party,
    PayeeAccount,
    PaymentInstructions,
    Period,
    PostalAddress,
    Profile,
    SupportingDocument,
    VatBreakdown,
    check,
    read_cii,
    read_invoice,
    read_ubl,
    validate,
    write_cii,
    write_invoice,
    write_ubl,
)
from tests.invoices.samples import LINE, full_invoice, small_invoice, with_field

PLAIN = small_invoice()
DEBIT = with_field(with_field(full_invoice(), "payment.code", "59"), "payment.accounts", ())


def _drafts(profile: Profile) -> dict[str, Invoice]:
    return {
        "small": PLAIN.completed(profile),
        "full": full_invoice().completed(profile),
        "debit": DEBIT.completed(profile),
    }


WITH_VAT = AllowanceCharge(reason="Why", vat_category="S", vat_rate=Decimal(19))


def _percentage(**fields: Any) -> tuple[AllowanceCharge, ...]:
    return (attrs.evolve(WITH_VAT, **fields),)


SWEDE = Party(
    name="Exempel AB",
    vat_id="SE123456789001",
    endpoint=Identifier("7300010000001", "0088"),
    address=PostalAddress(country="SE"),
)
FORMS = [
    ("PEPPOL-COMMON-R040", "0088", "4012345000009", "4012345000008"),
    ("PEPPOL-COMMON-R041", "0192", "974760673", "974760674"),
    ("PEPPOL-COMMON-R042", "0184", "DK12345678", "DK1234567"),
    ("PEPPOL-COMMON-R043", "0208", "0202239951", "0202239952"),
    ("PEPPOL-COMMON-R049", "0007", "5560125790", "5560125791"),
    ("PEPPOL-COMMON-R050", "0151", "51824753556", "51824753557"),
]
SPOILED_PEPPOL = [
    ("PEPPOL-EN16931-R001", "process", "process", None),
    ("PEPPOL-EN16931-R002", "notes", "buyer", SWEDE),
    ("PEPPOL-EN16931-R004", "specification", "specification", "urn:cen.eu:en16931:2017"),
    ("PEPPOL-EN16931-R005", "tax_currency", "tax_currency", "EUR"),
    ("PEPPOL-EN16931-R007", "process", "process", "billing"),
    ("PEPPOL-EN16931-R010", "buyer.endpoint", "buyer.endpoint", None),
    ("PEPPOL-EN16931-R020", "seller.endpoint", "seller.endpoint", None),
    (
        "PEPPOL-EN16931-R040",
        "allowances[0].amount",
        "allowances",
        _percentage(amount=Decimal(5), percent=Decimal(10), base_amount=Decimal(100)),
    ),
    (
        "PEPPOL-EN16931-R041",
        "charges[0].base_amount",
        "charges",
        _percentage(amount=Decimal(5), percent=Decimal(10)),
    ),
    (
        "PEPPOL-EN16931-R042",
        "allowances[0].percent",
        "allowances",
        _percentage(amount=Decimal(5), base_amount=Decimal(100)),
    ),
    ("PEPPOL-EN16931-R046", "lines[0].net_price", "lines[0].gross_price", Decimal(101)),
    ("PEPPOL-EN16931-R054", "vat_in_tax_currency", "vat_in_tax_currency", None),
    ("PEPPOL-EN16931-R055", "vat_in_tax_currency", "vat_in_tax_currency", Decimal(-1)),
    (
        "PEPPOL-EN16931-R061",
        "payment.direct_debit.mandate",
        "payment",
        PaymentInstructions(code="49"),
    ),
    (
        "PEPPOL-EN16931-R110",
        "lines[0].period.start",
        "lines[0].period.start",
        date(2026, 10, 31),
    ),
    ("PEPPOL-EN16931-R111", "lines[0].period.end", "lines[0].period.end", date(2026, 12, 1)),
    ("PEPPOL-EN16931-R120", "lines[0].stated_net", "lines[0].stated_net", Decimal(1)),
    ("PEPPOL-EN16931-R121", "lines[0].base_quantity", "lines[0].base_quantity", Decimal(0)),
    ("PEPPOL-EN16931-R130", "lines[0].base_unit", "lines[0].base_unit", "KGM"),
    ("PEPPOL-EN16931-P0100", "type_code", "type_code", "325"),
    ("PEPPOL-EN16931-P0101", "type_code", "type_code", "308"),
    (
        "PEPPOL-EN16931-P0107",
        "stated_totals.breakdown[0].category",
        "stated_totals.breakdown",
        (VatBreakdown(category="E", reason_code="VATEX-EU-AE"),),
    ),
    ("PEPPOL-EN16931-CL001", "documents[0].media_type", "documents[0].media_type", "text/html"),
    ("PEPPOL-EN16931-CL002", "allowances[0].reason_code", "allowances[0].reason_code", "ABL"),
    ("PEPPOL-EN16931-CL003", "charges[0].reason_code", "charges[0].reason_code", "95"),
    ("PEPPOL-EN16931-CL006", "tax_point_code", "tax_point_code", "36"),
    ("PEPPOL-EN16931-CL008", "seller.endpoint.scheme", "seller.endpoint.scheme", "0207"),
    *(
        (rule, "payee.legal_id.value", "payee.legal_id", Identifier(wrong_value, scheme))
        for rule, scheme, _, wrong_value in FORMS
    ),
]


@pytest.mark.parametrize("rule, field, path, value", SPOILED_PEPPOL)
def test_spoiled_invoice_is_refused_by_peppol(
    rule: str, field: str, path: str, value: object
) -> None:
    """A violation of each Peppol rule is reported with the field that violates it."""
    valid = _drafts(PEPPOL)["full"]

    assert not [item for item in validate(valid, PEPPOL) if item.rule == rule]
    assert (rule, field) in _violated_rules(with_field(valid, path, value), PEPPOL)


@pytest.mark.parametrize("rule, scheme, right, wrong", FORMS)
def test_identifiers_have_check_digits(rule: str, scheme: str, right: str, wrong: str) -> None:
    """A correct identifier is accepted, and one with a wrong digit or letter is not."""
    valid = _drafts(PEPPOL)["full"]
    values = [(right, False), (wrong, True), (f"{right}x", True), ("x", True)]

    for value, refused_value in values:
        spoiled = with_field(valid, "payee.legal_id", Identifier(value, scheme))
        rules = {item.rule for item in validate(spoiled, PEPPOL)}
        assert (rule in rules) is refused_value, value


def test_peppol_needs_a_reference() -> None:
    """Peppol accepts a buyer reference or a purchase order; an invoice needs one of the two."""
    invoice = attrs.evolve(PLAIN, buyer_reference=None)

    assert ("PEPPOL-EN16931-R003", "buyer_reference") in _violated_rules(invoice, PEPPOL)
    assert validate(attrs.evolve(invoice, purchase_order="PO-1"), PEPPOL) == ()


def test_correction_is_for_german_parties() -> None:
    """Type code 384 is allowed between German parties only."""
    corrected = attrs.evolve(PLAIN, type_code="384")

    assert validate(corrected, PEPPOL) == ()
    assert ("PEPPOL-EN16931-P0112", "type_code") in _violated_rules(
        attrs.evolve(corrected, buyer=SWEDE), PEPPOL
    )


SPOILED_XRECHNUNG = [
    ("BR-DE-1", "payment", "small", "payment", None),
    ("BR-DE-2", "seller.contact", "small", "seller.contact", None),
    *(
        (rule, field, "full", field, None)
        for rule, field in (
            ("BR-DE-3", "seller.address.city"),
            ("BR-DE-4", "seller.address.postal_code"),
            ("BR-DE-5", "seller.contact.name"),
            ("BR-DE-6", "seller.contact.phone"),
            ("BR-DE-7", "seller.contact.email"),
            ("BR-DE-8", "buyer.address.city"),
            ("BR-DE-9", "buyer.address.postal_code"),
            ("BR-DE-10", "delivery.address.city"),
            ("BR-DE-11", "delivery.address.postal_code"),
            ("BR-DE-14", "stated_totals.breakdown[0].rate"),
            ("BR-DE-15", "buyer_reference"),
            ("BR-DE-30", "creditor_id"),
            ("BR-DE-31", "payment.direct_debit.account"),
            ("PEPPOL-EN16931-R001", "process"),
            ("PEPPOL-EN16931-R010", "buyer.endpoint"),
            ("PEPPOL-EN16931-R020", "seller.endpoint"),
        )
    ),
    ("BR-DE-16", "seller.vat_id", "small", "seller.vat_id", None),
    ("BR-DE-18", "payment_terms", "small", "payment_terms", "#SKONTO#TAGE=7#PROZENT=2.00#"),
    ("BR-DE-18", "payment_terms", "small", "payment_terms", "#SKONTO#TAGE=7#PROZENT=2,00#\n"),
    (
        "BR-DE-22",
        "documents[1].filename",
        "full",
        "documents[1]",
        SupportingDocument(
            id="A-3", content=b"x", filename="time.pdf", media_type="application/pdf"
        ),
    ),
    ("BR-DE-23-a", "payment.accounts", "small", "payment.accounts", ()),
    ("BR-DE-23-b", "payment.accounts", "small", "payment.card", InvoiceCard(last_digits="1")),
    ("BR-DE-24-a", "payment.card", "small", "payment.code", "48"),
    ("BR-DE-24-b", "payment.card", "small", "payment.code", "54"),
    ("BR-DE-25-a", "payment.direct_debit", "debit", "payment.direct_debit", None),
    (
        "BR-DE-25-b",
        "payment.direct_debit",
        "debit",
        "payment.accounts",
        (PayeeAccount(iban="DE02120300000000202051"),),
    ),
]
RECOMMENDED = [
    ("BR-DE-17", "type_code", "small", "type_code", "325"),
    ("BR-DE-19", "payment.accounts", "small", "payment.accounts[0].iban", "DE021203"),
    (
        "BR-DE-20",
        "payment.direct_debit.account",
        "debit",
        "payment.direct_debit.account",
        "DE02500105170137075031",
    ),
    ("BR-DE-21", "specification", "small", "specification", "urn:cen.eu:en16931:2017"),
    ("BR-DE-26", "preceding", "small", "type_code", "384"),
    ("BR-DE-27", "seller.contact.phone", "small", "seller.contact.phone", "12"),
    ("BR-DE-28", "seller.contact.email", "small", "seller.contact.email", "a@b"),
    ("BR-DE-TMP-32", "delivery.date", "small", "delivery", None),
    ("BR-TMP-2", "documents[1].url", "full", "documents[1].url", "a-2.pdf"),
]


@pytest.mark.parametrize("rule, field, draft, path, value", SPOILED_XRECHNUNG)
def test_spoiled_invoice_is_refused_by_xrechnung(
    rule: str, field: str, draft: str, path: str, value: object
) -> None:
    """A violation of each XRechnung rule is reported with the field that violates it."""
    valid = _drafts(XRECHNUNG)[draft]

    assert rule not in {item.rule for item in validate(valid, XRECHNUNG)}
    spoiled = with_field(valid, path, value)
    assert (rule, field) in _violated_rules(spoiled, XRECHNUNG)
    with pytest.raises(InvalidData, match=rule):
        check(spoiled, XRECHNUNG)


@pytest.mark.parametrize("rule, field, draft, path, value", RECOMMENDED)
def test_recommendation_is_reported_but_not_enforced(
    rule: str, field: str, draft: str, path: str, value: object
) -> None:
    """A violated recommendation of XRechnung is reported, but `check` accepts the invoice."""
    valid = _drafts(XRECHNUNG)[draft]
    spoiled = with_field(valid, path, value)
    other_rules = {item.rule for item in validate(valid, XRECHNUNG)}
    violation = next(item for item in validate(spoiled, XRECHNUNG) if item.rule == rule)

    assert rule not in other_rules
    assert (violation.field, violation.fatal) == (field, False)
    assert not [item for item in validate(spoiled, XRECHNUNG) if item.rule == rule and item.fatal]


def test_recommendations_alone_are_accepted() -> None:
    """An invoice that violates only recommendations is written."""
    invoice = attrs.evolve(PLAIN, delivery=None)

    assert [item.rule for item in validate(invoice, XRECHNUNG)] == ["BR-DE-TMP-32"]
    assert read_invoice(write_invoice(invoice, XRECHNUNG), XRECHNUNG).number == "2041"


@pytest.mark.parametrize("profile", [EN16931, PEPPOL, XRECHNUNG], ids=lambda profile: profile.name)
@pytest.mark.parametrize("syntax", ["ubl", "cii"])
def test_written_invoice_has_profile_identifiers(profile: Profile, syntax: str) -> None:
    """A written invoice has the profile's identifiers, and is valid by its rules."""
    received_invoice = read_invoice(write_invoice(PLAIN, profile, syntax=syntax), profile)

    assert (received_invoice.specification, received_invoice.process) == (
        profile.specification,
        profile.process,
    )
    assert received_invoice == PLAIN.completed(profile)


def test_xrechnung_needs_line_break_after_cash_discount() -> None:
    """XRechnung needs the line break after a cash discount, so UBL and CII both keep it."""
    terms = "Thank you.\n#SKONTO#TAGE=14#PROZENT=2.00#\n#SKONTO#TAGE=30#PROZENT=1.00#\n"
    invoice = attrs.evolve(PLAIN, payment_terms=terms)

    assert validate(invoice, XRECHNUNG) == ()
    assert read_ubl(write_ubl(invoice)).payment_terms == terms
    assert read_cii(write_cii(invoice)).payment_terms == terms


def test_forints_have_no_decimals_in_xrechnung() -> None:
    """XRechnung accepts net amounts that are rounded to whole forints; Peppol does not."""
    line = attrs.evolve(LINE, stated_net=Decimal(30))
    invoice = with_field(
        attrs.evolve(PLAIN, currency="HUF", lines=(line,)).completed(XRECHNUNG),
        "specification",
        PEPPOL.specification,
    )

    assert "PEPPOL-EN16931-R120" not in {item.rule for item in validate(invoice, XRECHNUNG)}
    assert "PEPPOL-EN16931-R120" in {item.rule for item in validate(invoice, PEPPOL)}


def test_several_notes_are_for_german_parties() -> None:
    """Peppol allows several notes between German parties only."""
    invoice = attrs.evolve(PLAIN, notes=(Note("First"), Note("Second")))

    assert validate(invoice, PEPPOL) == ()
    assert validate(attrs.evolve(invoice, buyer=SWEDE), PEPPOL) != ()


def test_period_of_a_line_may_be_open() -> None:
    """A period's start and end, of a line and its invoice, are compared only if both are given."""
    line = attrs.evolve(LINE, period=Period(start=date(2026, 11, 1)))
    period = Period(end=date(2026, 11, 30))

    assert validate(attrs.evolve(PLAIN, lines=(line,), period=period), PEPPOL) == ()


def _violated_rules(invoice: Invoice, profile: Profile) -> set[tuple[str, str]]:
    return {(item.rule, item.field) for item in validate(invoice, profile)}
