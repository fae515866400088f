"""An Italian invoice for tests."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from moorage.invoices import (
    AllowanceCharge,
    ContactPoint,
    FatturaPa,
    Identifier,
    Invoice,
    InvoiceDelivery,
    InvoiceLine,
    Note,
    Party,
    PayeeAccount,
    PaymentInstructions,
    Period,
    PostalAddress,
    PrecedingInvoice,
    SupportingDocument,
    VatExemption,
    Withholding,
)

ROME = PostalAddress(
    line1="Via Roma 1", city="Roma", postal_code="00184", region="RM", country="IT"
)
SELLER = Party(
    name="Società Alfa",
    vat_id="IT01234567890",
    legal_id=Identifier("01234567890", "0210"),
    address=ROME,
    contact=ContactPoint(phone="061234567", email="alfa@example.it"),
)
BUYER = Party(name="Beta Srl", vat_id="IT09876543210", address=ROME)
LINE = InvoiceLine(
    id="1",
    name="Vite",
    quantity=Decimal(3),
    unit="C62",
    net_price=Decimal("9.99"),
    vat_category="S",
    vat_rate=Decimal(22),
)


def small_fattura(**fields: Any) -> FatturaPa:
    """A valid Italian invoice with one line; arguments replace fields of invoice or file."""
    details: dict[str, Any] = {"transmitter": "IT01234567890", "progressive": "00001"}
    details |= {name: fields.pop(name) for name in list(fields) if hasattr(FatturaPa, name)}
    values: dict[str, Any] = {
        "number": "2041",
        "issue_date": date(2026, 11, 25),
        "type_code": "380",
        "currency": "EUR",
        "seller": SELLER,
        "buyer": BUYER,
        "lines": [LINE],
    }
    invoice = Invoice(**(values | fields))
    return FatturaPa(**details, invoice=invoice)


def full_fattura() -> FatturaPa:
    """A valid Italian invoice with every field that a FatturaPA file can carry."""
    free: dict[str, Any] = {"vat_category": "E", "vat_rate": Decimal(0)}
    taxed: dict[str, Any] = {"vat_category": "S", "vat_rate": Decimal(22)}
    discount = AllowanceCharge(amount=Decimal("2.00"), reason="Sconto")
    return small_fattura(
        due_date=date(2026, 12, 25),
        accounting_cost="UFF-1",
        project="C12D34",
        tender="Z123",
        purchase_order="PO-1",
        contract="C-1",
        receiving_advice="R-1",
        despatch_advice="D-1",
        delivery=InvoiceDelivery(date=date(2026, 11, 20)),
        notes=[Note("Grazie")],
        preceding=[PrecedingInvoice(number="2040", issue_date=date(2026, 10, 25))],
        payee=Party(name="Factor SpA"),
        tax_representative=Party(name="Agente", vat_id="IT11111111115"),
        payment_reference="RF18",
        payment=PaymentInstructions(
            code="30",
            accounts=(PayeeAccount(iban="IT60X0542811101000000123456", bic="BLOPIT22"),),
        ),
        allowances=[AllowanceCharge(amount=Decimal("5.00"), reason="Fedeltà", **taxed)],
        charges=[
            AllowanceCharge(amount=Decimal("2.00"), reason="Bollo", **free),
            AllowanceCharge(
                amount=Decimal("4.00"),
                base_amount=Decimal("100.00"),
                percent=Decimal(4),
                reason="Contributo cassa previdenziale",
                reason_code="TC04",
                **taxed,
            ),
        ],
        prepaid=Decimal("10.00"),
        rounding=Decimal("0.02"),
        exemptions=[VatExemption(category="E", reason="Art. 10 DPR 633/72")],
        documents=[SupportingDocument(id="a.pdf", filename="a.pdf", content=b"%PDF-")],
        lines=[
            InvoiceLine(
                id="1",
                name="Consulenza",
                quantity=Decimal(8),
                unit="HUR",
                net_price=Decimal("99.5"),
                allowances=(discount,),
                charges=(AllowanceCharge(amount=Decimal("1.20"), reason="Maggiorazione"),),
                period=Period(start=date(2026, 11, 1), end=date(2026, 11, 30)),
                standard_item_id=Identifier("8001234567890", "0160"),
                seller_item_id="CONS",
                accounting_cost="4711",
                **taxed,
            ),
            InvoiceLine(
                id="2", name="Corso", quantity=Decimal(1), unit="C62", net_price=Decimal(40), **free
            ),
            InvoiceLine(
                id="3", name="Libri", quantity=Decimal(1), unit="C62", net_price=Decimal(7), **free
            ),
        ],
        natures={"E": "N4"},
        line_natures={3: "N5"},
        withholdings=[
            Withholding(type="RT02", amount=Decimal("159.04"), rate=Decimal(20), reason="A")
        ],
        withheld_lines=[1],
        stamp_duty=Decimal("2.00"),
        vat_due="I",
        recipient_pec="beta@pec.example",
    )
