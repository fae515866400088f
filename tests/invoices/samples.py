"""Invoices for tests: a small one, one with every field, and a way to change one field."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs

from moorage.invoices import (
    AllowanceCharge,
    ContactPoint,
    DirectDebit,
    Identifier,
    Invoice,
    InvoiceDelivery,
    InvoiceLine,
    ItemClass,
    ItemProperty,
    Note,
    Party,
    PayeeAccount,
    PaymentInstructions,
    Period,
    PostalAddress,
    PrecedingInvoice,
    SupportingDocument,
    VatExemption,
    read_cii,
    read_ubl,
    write_ubl,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SELLER = Party(
    name="Muster Handel GmbH",
    trading_name="Muster",
    ids=[Identifier("4012345000009", "0088")],
    legal_id=Identifier("HRB 12345"),
    vat_id="DE123456789",
    endpoint=Identifier("4012345000009", "0088"),
    address=PostalAddress(line1="Hafenstr. 1", city="Hamburg", postal_code="20457", country="DE"),
    contact=ContactPoint(name="A. Muster", phone="+49 40 123456", email="a.muster@example.com"),
)
BUYER = Party(
    name="Stadt Beispiel",
    vat_id="DE987654321",
    endpoint=Identifier("04011000-1234512345-06", "0204"),
    address=PostalAddress(line1="Markt 2", city="Beispiel", postal_code="12345", country="DE"),
)
PAYMENT = PaymentInstructions(code="58", accounts=(PayeeAccount(iban="DE02120300000000202051"),))
LINE = InvoiceLine(
    id="1",
    name="Bolt",
    quantity=Decimal(3),
    unit="C62",
    net_price=Decimal("9.99"),
    vat_category="S",
    vat_rate=Decimal(19),
)


def small_invoice(**fields: Any) -> Invoice:
    """A valid invoice with one line."""
    values: dict[str, Any] = {
        "number": "2041",
        "issue_date": date(2026, 11, 25),
        "due_date": date(2026, 12, 9),
        "type_code": "380",
        "currency": "EUR",
        "buyer_reference": "04011000-1234512345-06",
        "seller": SELLER,
        "buyer": BUYER,
        "payment": PAYMENT,
        "delivery": InvoiceDelivery(date=date(2026, 11, 20)),
        "lines": [LINE],
    }
    return Invoice(**(values | fields))


def full_invoice() -> Invoice:
    """A valid invoice with every field that both UBL and CII carry."""
    allowance = AllowanceCharge(
        amount=Decimal("10.00"),
        base_amount=Decimal("100.00"),
        percent=Decimal(10),
        reason="Loyalty",
        reason_code="95",
    )
    charge = AllowanceCharge(amount=Decimal("2.50"), reason="Packing", reason_code="ABL")
    return small_invoice(
        tax_currency="SEK",
        vat_in_tax_currency=Decimal("1900.10"),
        tax_point_code="35",
        project="P-7",
        contract="C-1",
        purchase_order="PO-1",
        sales_order="SO-1",
        receiving_advice="R-1",
        despatch_advice="D-1",
        tender="T-1",
        object_id=Identifier("meter 5", "ABT"),
        accounting_cost="4711",
        payment_terms="14 days net",
        notes=[Note("Thank you.", subject="AAI"), Note("A & B <c> \"d\" 'e' é\nsecond line")],
        preceding=[PrecedingInvoice(number="2040", issue_date=date(2026, 10, 25))],
        seller=attrs.evolve(
            SELLER,
            ids=[Identifier("4012345000009", "0088"), Identifier("K 1")],
            tax_id="12/345/67890",
            legal_note="Share capital 25000 EUR",
            address=PostalAddress(
                line1="Hafenstr. 1",
                line2="Yard",
                line3="Gate 5",
                city="Hamburg",
                postal_code="20457",
                region="HH",
                country="DE",
            ),
        ),
        payee=Party(
            name="Factor AG", ids=[Identifier("99")], legal_id=Identifier("5566778899", "0007")
        ),
        tax_representative=Party(
            name="Agent", vat_id="SE123456789001", address=PostalAddress(country="SE")
        ),
        delivery=InvoiceDelivery(
            name="Works 2",
            location=Identifier("4012345000016", "0088"),
            date=date(2026, 11, 20),
            address=PostalAddress(city="Bremen", postal_code="28195", country="DE"),
        ),
        period=Period(start=date(2026, 11, 1), end=date(2026, 11, 30)),
        payment_reference="2041",
        creditor_id="DE98ZZZ09999999999",
        payment=PaymentInstructions(
            code="58",
            text="SEPA",
            accounts=(
                PayeeAccount(iban="DE02120300000000202051", name="Muster", bic="BYLADEM1001"),
                PayeeAccount(iban="1112222"),
            ),
            direct_debit=DirectDebit(mandate="M-1", account="DE02500105170137075030"),
        ),
        allowances=[attrs.evolve(allowance, vat_category="S", vat_rate=Decimal(19))],
        charges=[attrs.evolve(charge, vat_category="E", vat_rate=Decimal(0))],
        prepaid=Decimal("50.00"),
        rounding=Decimal("0.02"),
        exemptions=[VatExemption(category="E", reason="Art. 132", reason_code="VATEX-EU-132")],
        documents=[
            SupportingDocument(
                id="A-1",
                description="Time sheet",
                content=b"%PDF-",
                media_type="application/pdf",
                filename="time.pdf",
            ),
            SupportingDocument(id="A-2", url="https://erp.example/a-2"),
        ],
        lines=[
            attrs.evolve(
                LINE,
                note="With nuts",
                object_id=Identifier("meter 6", "ABT"),
                order_line="10",
                accounting_cost="4712",
                period=Period(start=date(2026, 11, 1), end=date(2026, 11, 2)),
                allowances=(allowance,),
                charges=(charge,),
                quantity=Decimal("12.345"),
                net_price=Decimal("99.9995"),
                price_discount=Decimal("0.0005"),
                gross_price=Decimal(100),
                base_quantity=Decimal(2),
                base_unit="C62",
                description="A bolt of steel",
                seller_item_id="B-1",
                buyer_item_id="X-1",
                standard_item_id=Identifier("4012345000023", "0160"),
                classes=(ItemClass(code="44000000", scheme="STI", version="2008"),),
                origin="SE",
                properties=(ItemProperty("Size", "M5"),),
            ),
            attrs.evolve(LINE, id="2", vat_category="E", vat_rate=Decimal(0)),
        ],
    )


def with_field(value: Any, path: str, new: Any) -> Any:
    """The invoice with one field replaced; its path has a form like 'lines[0].quantity'."""
    head, _, remainder = path.partition(".")
    parts = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", head)
    assert parts is not None
    name, number = parts.groups()
    field = getattr(value, name)
    if number is None:
        return attrs.evolve(
            value, **{name: with_field(field, remainder, new) if remainder else new}
        )
    items = list(field)
    items[int(number)] = with_field(items[int(number)], remainder, new) if remainder else new
    return attrs.evolve(value, **{name: tuple(items)})


def received_invoice(
    writer: Callable[[Invoice], bytes], old: str, new: str, **fields: Any
) -> Invoice:
    """Write an invoice, replace one string of the document, and return the invoice read from it."""
    body = writer(small_invoice(**fields))
    assert old.encode() in body
    reader = read_ubl if writer is write_ubl else read_cii
    return reader(body.replace(old.encode(), new.encode()))
