"""Electronic invoices by EN 16931: values, business rules, and the syntaxes UBL and CII.

Everything here is a pure computation: nothing is sent. A vendor of electronic invoices sends what
`outgoing_invoice` makes.
"""

from moorage.invoices.checking import Syntax, check, read_invoice, validate, write_invoice
from moorage.invoices.cii import read_cii, write_cii
from moorage.invoices.fatturapa import (
    FatturaPa,
    SdiError,
    SdiNotice,
    SdiNoticeKind,
    Withholding,
    read_fatturapa,
    read_sdi_notice,
    validate_fatturapa,
    write_fatturapa,
)
from moorage.invoices.ksef import KsefInvoice, read_fa3, validate_fa3, write_fa3
from moorage.invoices.outgoing import outgoing_invoice
from moorage.invoices.pdf import PdfInvoice, embed_invoice, read_pdf_invoice
from moorage.invoices.profiles import EN16931, PEPPOL, XRECHNUNG, Profile
from moorage.invoices.rules import Violation
from moorage.invoices.ubl import read_ubl, write_ubl
from moorage.invoices.values import (
    AllowanceCharge,
    ContactPoint,
    DirectDebit,
    Identifier,
    Invoice,
    InvoiceCard,
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
    Totals,
    VatBreakdown,
    VatExemption,
)

__all__ = [
    "EN16931",
    "PEPPOL",
    "XRECHNUNG",
    "AllowanceCharge",
    "ContactPoint",
    "DirectDebit",
    "FatturaPa",
    "Identifier",
    "Invoice",
    "InvoiceCard",
    "InvoiceDelivery",
    "InvoiceLine",
    "ItemClass",
    "ItemProperty",
    "KsefInvoice",
    "Note",
    "Party",
    "PayeeAccount",
    "PaymentInstructions",
    "PdfInvoice",
    "Period",
    "PostalAddress",
    "PrecedingInvoice",
    "Profile",
    "SdiError",
    "SdiNotice",
    "SdiNoticeKind",
    "SupportingDocument",
    "Syntax",
    "Totals",
    "VatBreakdown",
    "VatExemption",
    "Violation",
    "Withholding",
    "check",
    "embed_invoice",
    "outgoing_invoice",
    "read_cii",
    "read_fa3",
    "read_fatturapa",
    "read_invoice",
    "read_pdf_invoice",
    "read_sdi_notice",
    "read_ubl",
    "validate",
    "validate_fa3",
    "validate_fatturapa",
    "write_cii",
    "write_fa3",
    "write_fatturapa",
    "write_invoice",
    "write_ubl",
]
