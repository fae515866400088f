"""FA(3): writes and reads the invoices of Poland's national system, KSeF.

`values` contains the invoice with what Poland adds, `layout` the file as values in the order of its
schema, `rates` the VAT rates, `outgoing` and `incoming` translate between both, `files` reads and
writes, and `receipts` reads the receipts.
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
