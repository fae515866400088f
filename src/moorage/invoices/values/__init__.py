"""Values of an electronic invoice, named after the semantic model of EN 16931.

Every field may be missing, so that an ERP can build an invoice step by step, and an incomplete
received invoice can be read. The business rules report missing fields. Brackets contain the
standard's business term, such as BT-1.

`invoice` contains the invoice, `parties` its parties, `lines` its lines, allowances and charges,
`payment` the way to pay it, `totals` its totals, and `references` the documents that it refers to.
`fields` makes the fields of all classes.
"""

from moorage.invoices.values.fields import Identifier
from moorage.invoices.values.invoice import Invoice
from moorage.invoices.values.lines import AllowanceCharge, InvoiceLine, ItemClass, ItemProperty
from moorage.invoices.values.parties import ContactPoint, Party, PostalAddress
from moorage.invoices.values.payment import (
    DirectDebit,
    InvoiceCard,
    PayeeAccount,
    PaymentInstructions,
)
from moorage.invoices.values.references import (
    InvoiceDelivery,
    Note,
    Period,
    PrecedingInvoice,
    SupportingDocument,
)
from moorage.invoices.values.totals import Totals, VatBreakdown, VatExemption

__all__ = [
    "AllowanceCharge",
    "ContactPoint",
    "DirectDebit",
    "Identifier",
    "Invoice",
    "InvoiceCard",
    "InvoiceDelivery",
    "InvoiceLine",
    "ItemClass",
    "ItemProperty",
    "Note",
    "Party",
    "PayeeAccount",
    "PaymentInstructions",
    "Period",
    "PostalAddress",
    "PrecedingInvoice",
    "SupportingDocument",
    "Totals",
    "VatBreakdown",
    "VatExemption",
]
