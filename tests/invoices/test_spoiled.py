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
    Invoice,
    InvoiceDelivery,
    PayeeAccount,
    PaymentInstructions,
    PostalAddress,
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
from tests.invoices.spoiled_fields import MISSING, SPOILED

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


@pytest.mark.parametrize("rule, field", MISSING)
def test_violation_names_the_missing_field(rule: str, field: str) -> None:
    """A missing field violates its rule, and the violation names the field."""
    assert (rule, field) in _violated_rules(with_field(STATED, field, None))


@pytest.mark.parametrize("rule, field, path, value", SPOILED)
def test_violation_names_the_wrong_field(rule: str, field: str, path: str, value: object) -> None:
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
        "BR-B-01",
        "delivery.address.country",
        _category("B", "22", delivery=InvoiceDelivery(address=PostalAddress(country="SM"))),
    ),
    (
        "BR-B-01",
        "lines[0].origin",
        _category("B", "22", lines=[attrs.evolve(LINE, vat_category="B", origin="CN")]),
    ),
    (
        "BR-B-02",
        "stated_totals.breakdown",
        _category("B", "22", lines=[LINE, attrs.evolve(LINE, vat_category="B")]),
    ),
]


@pytest.mark.parametrize("rule, field, invoice", FAMILIES)
def test_each_vat_category_has_its_own_rules(rule: str, field: str, invoice: Invoice) -> None:
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
def test_unchanged_invoice_of_each_vat_category_is_valid(code: str, rate: str | None) -> None:
    """The unchanged test invoice of each VAT category is valid."""
    assert validate(_category(code, rate)) == ()


def test_unchanged_test_invoices_are_valid() -> None:
    """The invoices that the tests make invalid are valid before the change."""
    for invoice in (small_invoice(), full_invoice(), SMALL, STATED):
        assert validate(invoice) == ()


def test_check_names_every_violated_rule() -> None:
    """The error of `check` names the first wrong field, with a sentence per broken rule."""
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
    """`read_invoice` refuses wrong totals.

    The reader of a single syntax still returns the invoice.
    """
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


@pytest.mark.parametrize("party, rule", [("Seller", "BR-62"), ("Buyer", "BR-63")])
def test_empty_electronic_address_has_no_scheme(party: str, rule: str) -> None:
    """An empty element of an electronic address violates the rule about its scheme."""
    role = "Supplier" if party == "Seller" else "Customer"
    ubl = write_ubl(SMALL).decode()
    cii = write_cii(SMALL).decode()
    endpoint = rf"(<cac:Accounting{role}Party><cac:Party>)<cbc:EndpointID.*?</cbc:EndpointID>"
    address = rf"(<ram:{party}TradeParty>.*?<ram:URIUniversalCommunication>).*?(</ram:URIUni)"
    invoices = [
        read_ubl(re.sub(endpoint, r"\1<cbc:EndpointID/>", ubl).encode()),
        read_cii(re.sub(address, r"\1\2", cii, count=1, flags=re.DOTALL).encode()),
        read_cii(re.sub(address, r"\1<ram:URIID/>\2", cii, count=1, flags=re.DOTALL).encode()),
    ]

    for invoice in invoices:
        assert (rule, f"{party.lower()}.endpoint.scheme") in _violated_rules(invoice)
        assert read_ubl(write_ubl(invoice)) == invoice == read_cii(write_cii(invoice))


@pytest.mark.parametrize("write, read", [(write_ubl, read_ubl), (write_cii, read_cii)])
def test_each_payment_element_needs_a_code(
    write: Callable[[Invoice], bytes], read: Callable[[bytes], Invoice]
) -> None:
    """If one of several elements of the payment has no code, the rule is violated."""
    body = re.sub(
        rb"<(cbc:PaymentMeans|ram:Type)Code( [^>]*)?>58</[^>]*>", b"", write(STATED), count=1
    )

    assert ("BR-49", "payment.code") in _violated_rules(read(body))
    without_codes = re.sub(rb"<(cbc:PaymentMeans|ram:Type)Code>58</[^>]*>", b"", body)
    without_accounts = re.sub(
        rb"<(cac|ram):Payee\w*FinancialAccount>.*?FinancialAccount>", b"", without_codes
    )
    assert ("BR-49", "payment.code") in _violated_rules(read(without_accounts))


def _violated_rules(invoice: Invoice) -> set[tuple[str, str]]:
    violations = validate(invoice)
    assert all(item.problem.endswith(".") and item.remedy.endswith(".") for item in violations)
    return {(item.rule, item.field) for item in violations}
