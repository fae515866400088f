"""UN/CEFACT Cross Industry Invoice D16B: reads and writes the syntax of XRechnung and ZUGFeRD.

`document` reads and writes whole documents by tables of their parts: `agreement`, `delivery`,
`lines`, `parties`, `payment` and `totals`, which share `elements`.
"""

from moorage.invoices.cii.document import NAMESPACE, read_cii, read_cii_root, write_cii

__all__ = ["NAMESPACE", "read_cii", "read_cii_root", "write_cii"]
