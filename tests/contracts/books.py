"""Accounting values that the tests of several contracts use."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from moorage import Money
from moorage.contracts.accounting import (
    BookDocument,
    BookInvoice,
    BookInvoiceLine,
    Contact,
    ContactQuery,
    InvoicePayment,
    Journal,
    JournalLine,
)

DAY = date(2031, 5, 6)
LINE_FIELDS: dict[str, Any] = {
    "description": "Bolts",
    "unit_price": Decimal("49.95"),
    "account": "200",
    "item": "10",
}
LINE = BookInvoiceLine(**LINE_FIELDS)
INVOICE_FIELDS: dict[str, Any] = {"currency": "EUR", "date": DAY, "due": DAY, "lines": [LINE]}
PAYMENT_FIELDS: dict[str, Any] = {"amount": Money("1.00", "EUR"), "account": "1", "date": DAY}
JOURNAL_LINES = [
    JournalLine(account="1", debit=Decimal(1)),
    JournalLine(account="2", credit=Decimal(1)),
]
JOURNAL_FIELDS: dict[str, Any] = {
    "date": DAY,
    "narration": "Correction",
    "lines": JOURNAL_LINES,
}
DOCUMENT_FIELDS: dict[str, Any] = {"name": "invoice.pdf", "content": b"%PDF"}
CONTACT = Contact(name="Mill Ltd")
INVOICE = BookInvoice(**INVOICE_FIELDS)
PAYMENT = InvoicePayment(**PAYMENT_FIELDS)
JOURNAL = Journal(**JOURNAL_FIELDS)
DOCUMENT = BookDocument(**DOCUMENT_FIELDS)
FIELDS: list[tuple[type[Any], dict[str, Any]]] = [
    (Contact, {"name": "Mill Ltd"}),
    (ContactQuery, {"name": "Mill Ltd"}),
    (BookInvoiceLine, LINE_FIELDS),
    (BookInvoice, INVOICE_FIELDS),
    (InvoicePayment, PAYMENT_FIELDS),
    (JournalLine, {"account": "1", "debit": Decimal(1)}),
    (Journal, JOURNAL_FIELDS),
    (BookDocument, DOCUMENT_FIELDS),
]
"""Each value that callers make, with fields that are valid."""
