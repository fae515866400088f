"""The identifiers and rules of Peppol BIS Billing 3.0 and XRechnung 3.0."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import attrs
import pytest

from moorage import InvalidData
from moorage.invoices import (
    EN16931,
    PEPPOL,
    XRECHNUNG,
    Identifier,
    Invoice,
    Note,
    Period,
    Profile,
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
from tests.invoices.spoiled_fields import (
    FORMS,
    RECOMMENDED,
    SPOILED_PEPPOL,
    SPOILED_XRECHNUNG,
    SWEDE,
)

PLAIN = small_invoice()
DEBIT = with_field(with_field(full_invoice(), "payment.code", "59"), "payment.accounts", ())


def _drafts(profile: Profile) -> dict[str, Invoice]:
    return {
        "small": PLAIN.completed(profile),
        "full": full_invoice().completed(profile),
        "debit": DEBIT.completed(profile),
    }


@pytest.mark.parametrize("rule, field, path, value", SPOILED_PEPPOL)
def test_invoice_that_violates_a_peppol_rule_is_refused(
    rule: str, field: str, path: str, value: object
) -> None:
    """A violation of each Peppol rule is reported with the field that violates it."""
    valid = _drafts(PEPPOL)["full"]

    assert not [item for item in validate(valid, PEPPOL) if item.rule == rule]
    assert (rule, field) in _violated_rules(with_field(valid, path, value), PEPPOL)


@pytest.mark.parametrize("rule, scheme, right, wrong", FORMS)
def test_identifier_with_a_wrong_check_digit_is_refused(
    rule: str, scheme: str, right: str, wrong: str
) -> None:
    """A correct identifier is accepted, and one with a wrong digit or letter is not."""
    valid = _drafts(PEPPOL)["full"]
    values = [(right, False), (wrong, True), (f"{right}x", True), ("x", True)]

    for value, refused_value in values:
        spoiled = with_field(valid, "payee.legal_id", Identifier(value, scheme))
        rules = {item.rule for item in validate(spoiled, PEPPOL)}
        assert (rule in rules) is refused_value, value


def test_peppol_invoice_needs_a_buyer_reference_or_a_purchase_order() -> None:
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


@pytest.mark.parametrize("rule, field, draft, path, value", SPOILED_XRECHNUNG)
def test_invoice_that_violates_an_xrechnung_rule_is_refused(
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


def test_invoice_that_violates_only_recommendations_is_written() -> None:
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
    """UBL and CII both keep the line break that XRechnung requires after a cash discount."""
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
