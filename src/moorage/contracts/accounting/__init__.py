"""The books of a business: contacts, invoices, bills, payments and journal entries.

`contacts` contains customers and suppliers, `chart` the accounts and taxes that lines name,
`invoices` sales invoices and bills, `payments` their payments, `journals` journal entries,
`documents` attached files, `events` the changes that a vendor reports, `datev` and `datev_values`
files of bookings for DATEV, `amounts` the validators of amounts, and `vendor` the operations of a
vendor.
"""

from __future__ import annotations

from moorage.contracts.accounting.chart import AccountClass, LedgerAccount, TaxRate
from moorage.contracts.accounting.contacts import Contact, ContactQuery, ContactRecord, ContactRole
from moorage.contracts.accounting.datev import read_datev, write_datev
from moorage.contracts.accounting.datev_values import (
    DatevBatch,
    DatevBooking,
    DebitCredit,
    datev_bookings,
)
from moorage.contracts.accounting.documents import BookDocument, DocumentRecord
from moorage.contracts.accounting.events import AccountingEvent, BookChange, BookRecord
from moorage.contracts.accounting.invoices import (
    BookInvoice,
    BookInvoiceLine,
    InvoiceKind,
    InvoiceRecord,
    InvoiceState,
    check_fits,
)
from moorage.contracts.accounting.journals import Journal, JournalLine, JournalRecord, JournalState
from moorage.contracts.accounting.payments import InvoicePayment, PaymentRecord
from moorage.contracts.accounting.vendor import KIND, AccountingCapability, AccountingVendor
from moorage.domain.values.money import Money

__all__ = [
    "KIND",
    "AccountClass",
    "AccountingCapability",
    "AccountingEvent",
    "AccountingVendor",
    "BookChange",
    "BookDocument",
    "BookInvoice",
    "BookInvoiceLine",
    "BookRecord",
    "Contact",
    "ContactQuery",
    "ContactRecord",
    "ContactRole",
    "DatevBatch",
    "DatevBooking",
    "DebitCredit",
    "DocumentRecord",
    "InvoiceKind",
    "InvoicePayment",
    "InvoiceRecord",
    "InvoiceState",
    "Journal",
    "JournalLine",
    "JournalRecord",
    "JournalState",
    "LedgerAccount",
    "Money",
    "PaymentRecord",
    "TaxRate",
    "check_fits",
    "datev_bookings",
    "read_datev",
    "write_datev",
]
