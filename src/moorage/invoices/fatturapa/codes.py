"""Codes of FatturaPA, with the corresponding codes of the European standard."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

DOCUMENT_TYPES: Final = MappingProxyType(
    {"380": "TD01", "386": "TD02", "381": "TD04", "383": "TD05", "389": "TD20"}
)
"""Document types by the codes of UNTDID 1001; every other code is a TD01."""

TYPE_CODES: Final = MappingProxyType(
    {
        **dict.fromkeys(("TD02", "TD03"), "386"),
        "TD04": "381",
        "TD05": "383",
        **dict.fromkeys(("TD16", "TD17", "TD18", "TD19", "TD20", "TD21", "TD22", "TD23"), "389"),
    }
)
"""Codes of UNTDID 1001 by document types; every other type is a 380."""

NATURES: Final = MappingProxyType({"E": "N4", "G": "N3.1", "K": "N3.2", "O": "N2.2"})
"""The natures of VAT categories that have only one usual nature."""

CATEGORIES: Final = MappingProxyType(
    {
        "N1": "O",
        "N2": "O",
        "N2.1": "O",
        "N2.2": "O",
        "N3.1": "G",
        "N3.2": "K",
        "N7": "O",
        **dict.fromkeys(("N6", *(f"N6.{number}" for number in range(1, 10))), "AE"),
    }
)
"""VAT categories by natures; every other nature is of category E."""

PAYMENT_MEANS: Final = MappingProxyType(
    {
        "10": "MP01",
        "20": "MP02",
        "30": "MP05",
        "58": "MP05",
        "48": "MP08",
        "54": "MP08",
        "55": "MP08",
        "49": "MP16",
        "59": "MP19",
    }
)
"""Means of payment by the codes of UNTDID 4461."""

PAYMENT_CODES: Final = MappingProxyType(
    {"MP01": "10", "MP02": "20", "MP05": "30", "MP08": "48", "MP16": "49", "MP19": "59"}
)
"""Codes of UNTDID 4461 by means of payment."""

OTHER_PAYMENT: Final = "ZZZ"
"""The code for a means of payment that only its text names."""
