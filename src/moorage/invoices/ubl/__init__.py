"""UBL 2.1: reads and writes the documents Invoice and CreditNote.

`document` reads and writes whole documents by tables of their parts: `header`, `lines`, `parties`,
`payment` and `totals`, which share `elements`.
"""

from moorage.invoices.ubl.document import NAMESPACES, read_ubl, read_ubl_root, write_ubl

__all__ = ["NAMESPACES", "read_ubl", "read_ubl_root", "write_ubl"]
