"""Each invalid invoice is refused with the violated rule's identifier and the field."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import InvalidData
from moorage.invoices import (
    EN16931,
    AllowanceCharge,
    Identifier,
    Invoice,
    InvoiceCard,
    InvoiceDelivery,
    ItemClass,
    ItemProperty,
    Party,
    PayeeAccount,
    PaymentInstructions,
    Period,
    PostalAddress,
    VatBreakdown,
    VatExemption,
    check,
    read_cii,
    read_invoice,
    read_ubl,
    validate,
    write_cii,
    write_invoice,
    write_ubl,
)
from tests.invoices.samples import BUYER, LINE, SELLER, full_invoice, small_invoice, with_field

if TYPE_CHECKING:
    from collections.abc import Callable

STATED = full_invoice().completed(EN16931)
SMALL = small_invoice().completed(EN16931)
_NO_VAT_SELLER = attrs.evolve(SELLER, vat_id=None)
_NO_VAT_BUYER = attrs.evolve(BUYER, vat_id=None)


def _category(code: str, rate: str | None, **fields: Any) -> Invoice:
    """A small invoice of a VAT category, which is valid unless the given fields break a rule."""
    line = attrs.evolve(LINE, vat_category=code, vat_rate=None if rate is None else Decimal(rate))
    reasons = [] if code in {"S", "Z", "L", "M"} else [VatExemption(category=code, reason="Why")]
    values: dict[str, Any] = {"lines": [line], "exemptions": reasons}
    if code == "O":
        values["seller"] = _NO_VAT_SELLER
        values["buyer"] = _NO_VAT_BUYER
    if code == "K":
        address = PostalAddress(country="SE")
        values["delivery"] = InvoiceDelivery(date=date(2026, 11, 20), address=address)
    return small_invoice(**(values | fields))


MISSING = [
    ("BR-01", "specification"),
    ("BR-02", "number"),
    ("BR-03", "issue_date"),
    ("BR-04", "type_code"),
    ("BR-05", "currency"),
    ("BR-06", "seller.name"),
    ("BR-07", "buyer.name"),
    ("BR-08", "seller.address"),
    ("BR-09", "seller.address.country"),
    ("BR-10", "buyer.address"),
    ("BR-11", "buyer.address.country"),
    ("BR-12", "stated_totals.lines"),
    ("BR-13", "stated_totals.net"),
    ("BR-14", "stated_totals.gross"),
    ("BR-15", "stated_totals.due"),
    ("BR-17", "payee.name"),
    ("BR-18", "tax_representative.name"),
    ("BR-19", "tax_representative.address"),
    ("BR-20", "tax_representative.address.country"),
    ("BR-21", "lines[0].id"),
    ("BR-22", "lines[0].quantity"),
    ("BR-23", "lines[1].unit"),
    ("BR-24", "lines[0].stated_net"),
    ("BR-25", "lines[0].name"),
    ("BR-26", "lines[0].net_price"),
    ("BR-31", "allowances[0].amount"),
    ("BR-32", "allowances[0].vat_category"),
    ("BR-36", "charges[0].amount"),
    ("BR-37", "charges[0].vat_category"),
    ("BR-41", "lines[0].allowances[0].amount"),
    ("BR-43", "lines[0].charges[0].amount"),
    ("BR-45", "stated_totals.breakdown[0].taxable"),
    ("BR-46", "stated_totals.breakdown[0].tax"),
    ("BR-47", "stated_totals.breakdown[0].category"),
    ("BR-48", "stated_totals.breakdown[0].rate"),
    ("BR-49", "payment.code"),
    ("BR-52", "documents[0].id"),
    ("BR-53", "vat_in_tax_currency"),
    ("BR-55", "preceding[0].number"),
    ("BR-56", "tax_representative.vat_id"),
    ("BR-57", "delivery.address.country"),
    ("BR-62", "seller.endpoint.scheme"),
    ("BR-63", "buyer.endpoint.scheme"),
    ("BR-65", "lines[0].classes[0].scheme"),
    ("BR-CO-04", "lines[0].vat_category"),
    ("UBL-DT-06", "documents[0].media_type"),
    ("UBL-DT-07", "documents[0].filename"),
]


@pytest.mark.parametrize("rule, field", MISSING)
def test_missing_field_is_named(rule: str, field: str) -> None:
    """A missing field violates its rule, and the violation names the field."""
    assert (rule, field) in _violated_rules(with_field(STATED, field, None))


SPOILED = [
    ("BR-16", "lines", "lines", ()),
    ("BR-17", "payee.name", "payee", Party(name="Muster")),
    ("BR-27", "lines[0].net_price", "lines[0].net_price", Decimal(-1)),
    ("BR-28", "lines[0].gross_price", "lines[0].gross_price", Decimal(-1)),
    ("BR-29", "period.end", "period.end", date(2026, 10, 31)),
    ("BR-30", "lines[0].period.end", "lines[0].period.end", date(2026, 10, 31)),
    ("BR-50", "payment.accounts", "payment.accounts[0].iban", None),
    ("BR-51", "payment.card.last_digits", "payment.card", InvoiceCard(last_digits="55555555555")),
    ("BR-54", "lines[0].properties[0]", "lines[0].properties", (ItemProperty("Size"),)),
    ("BR-61", "payment.accounts", "payment.accounts", ()),
    ("BR-64", "lines[0].standard_item_id", "lines[0].standard_item_id", Identifier("4012")),
    ("BR-CO-03", "tax_point_code", "tax_point_date", date(2026, 11, 25)),
    ("BR-CO-09", "seller.vat_id", "seller.vat_id", "123456789"),
    ("BR-CO-10", "stated_totals.lines", "stated_totals.lines", Decimal(1)),
    ("BR-CO-11", "stated_totals.allowances", "stated_totals.allowances", Decimal(1)),
    ("BR-CO-11", "stated_totals.allowances", "stated_totals.allowances", None),
    ("BR-CO-12", "stated_totals.charges", "stated_totals.charges", Decimal(1)),
    ("BR-CO-13", "stated_totals.net", "stated_totals.net", Decimal(1)),
    ("BR-CO-14", "stated_totals.vat", "stated_totals.vat", Decimal(1)),
    ("BR-CO-15", "stated_totals.gross", "stated_totals.gross", Decimal(1)),
    ("BR-CO-16", "stated_totals.due", "stated_totals.due", Decimal(1)),
    (
        "BR-CO-17",
        "stated_totals.breakdown[0].tax",
        "stated_totals.breakdown[0].tax",
        Decimal(1),
    ),
    ("BR-CO-18", "stated_totals.breakdown", "stated_totals.breakdown", ()),
    ("BR-CO-19", "period", "period", Period()),
    ("BR-CO-20", "lines[0].period", "lines[0].period", Period()),
    *(
        (rule, f"{path}.reason", path, AllowanceCharge(amount=Decimal(1)))
        for rules, path in (
            (("BR-33", "BR-CO-21"), "allowances[0]"),
            (("BR-38", "BR-CO-22"), "charges[0]"),
            (("BR-42", "BR-CO-23"), "lines[0].allowances[0]"),
            (("BR-44", "BR-CO-24"), "lines[0].charges[0]"),
        )
        for rule in rules
    ),
    ("BR-CO-26", "seller.vat_id", "seller", Party(name="Nobody")),
    ("BR-DEC-01", "allowances[0].amount", "allowances[0].amount", Decimal("1.001")),
    ("BR-DEC-16", "prepaid", "prepaid", Decimal("1.001")),
    ("BR-DEC-23", "lines[0].stated_net", "lines[0].stated_net", Decimal("1.001")),
    ("BR-CL-01", "type_code", "type_code", "999"),
    ("BR-CL-04", "currency", "currency", "EURO"),
    ("BR-CL-05", "tax_currency", "tax_currency", "sek"),
    ("BR-CL-06", "tax_point_code", "tax_point_code", "36"),
    ("BR-CL-07", "object_id.scheme", "object_id.scheme", "NONE"),
    ("BR-CL-07", "lines[0].object_id.scheme", "lines[0].object_id.scheme", "NONE"),
    ("BR-CL-10", "seller.ids[1].scheme", "seller.ids[1].scheme", "0000"),
    ("BR-CL-11", "payee.legal_id.scheme", "payee.legal_id.scheme", "0000"),
    (
        "BR-CL-13",
        "lines[0].classes[0].scheme",
        "lines[0].classes",
        (ItemClass(code="1", scheme="?"),),
    ),
    ("BR-CL-14", "buyer.address.country", "buyer.address.country", "UK"),
    ("BR-CL-15", "lines[0].origin", "lines[0].origin", "XX"),
    ("BR-CL-16", "payment.code", "payment.code", "99"),
    ("BR-CL-17", "allowances[0].vat_category", "allowances[0].vat_category", "X"),
    (
        "BR-CL-17",
        "stated_totals.breakdown[0].category",
        "stated_totals.breakdown[0]",
        VatBreakdown(category="X"),
    ),
    ("BR-CL-18", "lines[0].vat_category", "lines[0].vat_category", "X"),
    ("BR-CL-19", "allowances[0].reason_code", "allowances[0].reason_code", "ABL"),
    ("BR-CL-20", "charges[0].reason_code", "charges[0].reason_code", "95"),
    (
        "BR-CL-21",
        "lines[0].standard_item_id.scheme",
        "lines[0].standard_item_id.scheme",
        "GTIN",
    ),
    (
        "BR-CL-22",
        "stated_totals.breakdown[1].reason_code",
        "stated_totals.breakdown[1].reason_code",
        "VATEX-EU-1",
    ),
    ("BR-CL-23", "lines[0].unit", "lines[0].unit", "piece"),
    ("BR-CL-24", "documents[0].media_type", "documents[0].media_type", "text/html"),
    ("BR-CL-25", "seller.endpoint.scheme", "seller.endpoint.scheme", "0000"),
    ("BR-CL-26", "delivery.location.scheme", "delivery.location.scheme", "0000"),
]


@pytest.mark.parametrize("rule, field, path, value", SPOILED)
def test_spoiled_field_is_named(rule: str, field: str, path: str, value: object) -> None:
    """A wrong value violates its rule, and the violation names the field."""
    assert (rule, field) in _violated_rules(with_field(STATED, path, value))


NO_VAT = {"seller": _NO_VAT_SELLER}
NO_BUYER_VAT = {"buyer": _NO_VAT_BUYER}
FAMILIES = [
    *(
        case
        for prefix, code, rate in (
            ("BR-S", "S", "19"),
            ("BR-Z", "Z", "0"),
            ("BR-E", "E", "0"),
            ("BR-AE", "AE", "0"),
            ("BR-IC", "K", "0"),
            ("BR-G", "G", "0"),
            ("BR-AF", "L", "7"),
            ("BR-AG", "M", "4"),
        )
        for case in (
            (f"{prefix}-02", "seller.vat_id", _category(code, rate, **NO_VAT)),
            (
                f"{prefix}-05",
                "lines[0].vat_rate",
                _category(code, "-1" if code in {"S", "L", "M"} else "1"),
            ),
            (
                f"{prefix}-08",
                "stated_totals.breakdown[0].taxable",
                with_field(
                    _category(code, rate).completed(EN16931),
                    "stated_totals.breakdown[0].taxable",
                    Decimal(5),
                ),
            ),
            (
                f"{prefix}-09",
                "stated_totals.breakdown[0].tax",
                with_field(
                    _category(code, rate).completed(EN16931),
                    "stated_totals.breakdown[0].tax",
                    Decimal(50),
                ),
            ),
            (
                f"{prefix}-10",
                "stated_totals.breakdown[0].reason",
                _category(
                    code,
                    rate,
                    exemptions=(
                        [VatExemption(category=code, reason="Why")]
                        if code in {"S", "Z", "L", "M"}
                        else []
                    ),
                ),
            ),
        )
    ),
    ("BR-AE-02", "buyer.vat_id", _category("AE", "0", **NO_BUYER_VAT)),
    ("BR-IC-02", "buyer.vat_id", _category("K", "0", **NO_BUYER_VAT)),
    ("BR-IC-11", "delivery.date", _category("K", "0", delivery=None)),
    ("BR-IC-12", "delivery.address.country", _category("K", "0", delivery=None)),
    ("BR-O-02", "seller.vat_id", _category("O", None, seller=SMALL.seller)),
    ("BR-O-05", "lines[0].vat_rate", _category("O", "0")),
    ("BR-O-10", "stated_totals.breakdown[0].reason", _category("O", None, exemptions=[])),
    (
        "BR-O-11",
        "stated_totals.breakdown[1].category",
        _category("O", None, lines=[attrs.evolve(LINE, vat_category="O", vat_rate=None), LINE]),
    ),
    (
        "BR-O-12",
        "lines[1].vat_category",
        _category("O", None, lines=[attrs.evolve(LINE, vat_category="O", vat_rate=None), LINE]),
    ),
    (
        "BR-S-01",
        "stated_totals.breakdown",
        with_field(SMALL, "stated_totals.breakdown[0].category", "Z"),
    ),
    ("BR-B-01", "seller.address.country", _category("B", "22")),
    (
        "BR-B-02",
        "stated_totals.breakdown",
        _category("B", "22", lines=[LINE, attrs.evolve(LINE, vat_category="B")]),
    ),
]


@pytest.mark.parametrize("rule, field, invoice", FAMILIES)
def test_vat_category_has_its_rules(rule: str, field: str, invoice: Invoice) -> None:
    """Each VAT category's rules for identifiers, rates, amounts and reasons are enforced."""
    assert (rule, field) in _violated_rules(invoice)


@pytest.mark.parametrize(
    "code, rate",
    [
        ("S", "19"),
        ("Z", "0"),
        ("E", "0"),
        ("AE", "0"),
        ("K", "0"),
        ("G", "0"),
        ("O", None),
        ("L", "7"),
        ("M", "4"),
    ],
)
def test_unspoiled_category_is_valid(code: str, rate: str | None) -> None:
    """The unchanged test invoice of each VAT category is valid."""
    assert validate(_category(code, rate)) == ()


def test_samples_are_valid() -> None:
    """The invoices that the tests make invalid are valid before the change."""
    for invoice in (small_invoice(), full_invoice(), SMALL, STATED):
        assert validate(invoice) == ()


def test_check_names_every_violated_rule() -> None:
    """The error of `check` names the first wrong field, and has a sentence for each broken rule."""
    with pytest.raises(InvalidData) as excinfo:
        check(small_invoice(number=None, currency=None))

    assert excinfo.value.field == "number"
    assert "BR-02 (number): The invoice number is missing. Give the invoice number." in str(
        excinfo.value
    )
    assert "BR-05 (currency)" in str(excinfo.value)


def test_writing_refuses_an_invalid_invoice() -> None:
    """An invalid invoice is not written."""
    with pytest.raises(InvalidData, match="BR-02"):
        write_invoice(small_invoice(number=None))


def test_reading_refuses_wrong_totals() -> None:
    """`read_invoice` refuses wrong totals; the reader of a syntax still returns such an invoice."""
    wrong_invoice = with_field(STATED, "stated_totals.gross", Decimal("999.00"))

    for body, reader in (
        (write_ubl(wrong_invoice), read_ubl),
        (write_cii(wrong_invoice), read_cii),
    ):
        with pytest.raises(InvalidData, match="BR-CO-15"):
            read_invoice(body)
        assert reader(body) == wrong_invoice


@pytest.mark.parametrize(
    "write, read, first_account",
    [
        (write_ubl, read_ubl, "PayeeFinancialAccount"),
        (write_cii, read_cii, "PayeePartyCreditorFinancialAccount"),
    ],
)
def test_each_credit_transfer_of_a_document_needs_an_account(
    write: Callable[[Invoice], bytes], read: Callable[[bytes], Invoice], first_account: str
) -> None:
    """If one of a document's credit transfers names no account, the rule is violated."""
    accounts = (PayeeAccount(iban="DE02120300000000202051"), PayeeAccount(iban="1112222"))
    for code, rules in (("58", {"BR-50", "BR-61"}), ("57", set[str]())):
        payment = PaymentInstructions(code=code, accounts=accounts)
        body = write(attrs.evolve(SMALL, payment=payment)).decode()
        element = re.compile(rf"<(c\w\w|ram):{first_account}>.*?</\1:{first_account}>", re.DOTALL)
        invoice = read(element.sub("", body, count=1).encode())

        assert rules == {rule for rule, _ in _violated_rules(invoice)}
        assert read(write(invoice)) == invoice


def _violated_rules(invoice: Invoice) -> set[tuple[str, str]]:
    violations = validate(invoice)
    assert all(item.problem.endswith(".") and item.remedy.endswith(".") for item in violations)
    return {(item.rule, item.field) for item in violations}
