"""FatturaPA 1.2: writes, reads and checks the invoices of Italy's exchange system, the SdI.

`values` contains the invoice with the fields that Italy adds, and `layout` the content of a file in
the order of its schema. `outgoing` and `incoming` translate between the two. `rules` has the checks
of the SdI, and `notices` reads its receipts.
"""

from moorage.invoices.fatturapa.files import (
    read_fatturapa,
    read_fatturapa_batch,
    validate_fatturapa,
    write_fatturapa,
)
from moorage.invoices.fatturapa.notices import (
    SdiError,
    SdiNotice,
    SdiNoticeKind,
    read_sdi_notice,
)
from moorage.invoices.fatturapa.values import FatturaPa, Withholding

__all__ = [
    "FatturaPa",
    "SdiError",
    "SdiNotice",
    "SdiNoticeKind",
    "Withholding",
    "read_fatturapa",
    "read_fatturapa_batch",
    "read_sdi_notice",
    "validate_fatturapa",
    "write_fatturapa",
]
