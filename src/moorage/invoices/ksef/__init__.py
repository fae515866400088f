"""FA(3): writes and reads the invoices of Poland's national system, KSeF.

`values` contains the invoice with the fields that Poland adds, `layout` the content of a file in
the order of its schema, and `rates` the VAT rates. `outgoing` and `incoming` translate between
invoice and content, `files` reads and writes files, and `receipts` reads the receipts.
"""

from moorage.invoices.ksef.files import read_fa3, validate_fa3, write_fa3
from moorage.invoices.ksef.receipts import (
    AcceptedInvoice,
    KsefReceipt,
    is_ksef_number,
    read_upo,
)
from moorage.invoices.ksef.values import KsefInvoice

__all__ = [
    "AcceptedInvoice",
    "KsefInvoice",
    "KsefReceipt",
    "is_ksef_number",
    "read_fa3",
    "read_upo",
    "validate_fa3",
    "write_fa3",
]
