"""The common base of the shipping sandboxes: carriers, prices and errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

SERVICES: Final = (
    ("usps_ground_advantage", "GroundAdvantage", "Ground Advantage", Decimal("6.07"), 3),
    ("usps_priority", "Priority", "Priority Mail", Decimal("7.42"), 2),
    ("usps_priority_express", "Express", "Priority Mail Express", Decimal("34.15"), 1),
)
"""Each service of USPS: in our word, in EasyPost's, in Shippo's, its price and its days."""

NO_RATES: Final = "00000"
"""Parcels to this postal code are carried by nobody."""
NO_LABEL: Final = "00001"
"""Parcels to this postal code are offered, and then refused by the carrier."""
UNKNOWN_CITY: Final = "Nowhere"
"""This city cannot be delivered to."""
HEAVIEST: Final = Decimal(70)
"""The pounds that a parcel may weigh."""

LABEL_TEXTS: Final = {
    "pdf": b"%PDF-1.4 sandbox label ",
    "png": b"\x89PNG\r\n\x1a\n sandbox label ",
    "zpl": b"^XA^FDsandbox label^FS^XZ ",
    "epl": b"N\nA50,50,0,1,1,1,N,sandbox label\n",
}
"""How a label of each format begins."""


def number(value: Any) -> Decimal:
    """Return a number that was sent as text or as a number; NaN if it is not one."""
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return Decimal("NaN")
