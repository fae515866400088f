"""Fields that each violate a rule when they are missing or have a certain value.

An entry names the rule, the field that the violation names, the changed field, and its new value.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import attrs

from moorage.invoices import (
    AllowanceCharge,
    Identifier,
    InvoiceCard,
    ItemClass,
    ItemProperty,
    Party,
    PayeeAccount,
    PaymentInstructions,
    Period,
    PostalAddress,
    SupportingDocument,
    VatBreakdown,
)

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

SPOILED = [
    ("BR-16", "lines", "lines", ()),
    ("BR-17", "payee.name", "payee", Party(name="Muster")),
    ("BR-17", "payee.name", "payee", Party(name="Muster Handel GmbH")),
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
    ("BR-CO-15", "vat_in_tax_currency", "tax_currency", "EUR"),
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
