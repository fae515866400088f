"""The common code of shipping sandboxes: carriers, prices and errors."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes.base import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.values.money import Money
    from moorage.testing.sandboxes.base import SandboxRequest

SERVICES: Final = (
    ("usps_ground_advantage", "GroundAdvantage", "Ground Advantage", Decimal("6.07"), 3),
    ("usps_priority", "Priority", "Priority Mail", Decimal("7.42"), 2),
    ("usps_priority_express", "Express", "Priority Mail Express", Decimal("34.15"), 1),
)
"""Each service of USPS: in our word, in EasyPost's, in Shippo's, its price and its days."""

NO_RATES: Final = "00000"
"""A postal code to which no carrier ships parcels."""
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
"""The first bytes of a label in each format."""


IMPORT_FEE: Final = 15
"""The customs fee for each shipment, in the major unit of its currency."""
_CLOTHES: Final = "61"
_DUTY_RATES: Final = {_CLOTHES: Decimal("0.12")}
_OTHER_RATE: Final = Decimal("0.04")
_TAX_RATE: Final = Decimal("0.2")


def import_duty(code: object, value: Money) -> Money:
    """Return the duty on goods of a value, by the chapter of their customs tariff number."""
    return _share(value, _DUTY_RATES.get(str(code)[:2], _OTHER_RATE))


def import_tax(value: Money) -> Money:
    """Return the tax on goods of a value with their duty, or on the price of a transport."""
    return _share(value, _TAX_RATE)


def _share(value: Money, rate: Decimal) -> Money:
    return value.times(rate, rounding=ROUND_HALF_UP)


def number(value: Any) -> Decimal:
    """Return a number sent as text or number; NaN for any other value."""
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return Decimal("NaN")


def body_of(request: SandboxRequest) -> dict[str, Any]:
    """Return the object in a request's body; an empty one if it is anything else."""
    body = request.json()
    return body if is_object(body) else {}


def rate_problem(postal_code: object, *, too_heavy: bool) -> str | None:
    """Return why a parcel gets no rates; None if it gets some.

    Args:
        postal_code: postal code of the recipient.
        too_heavy: True if the parcel weighs more than a carrier takes.
    """
    if postal_code == NO_RATES:
        return "No rates are available for this destination."
    return "The parcel is too heavy." if too_heavy else None


def event_time(count: int) -> str:
    """Return the time of a parcel's next event.

    Args:
        count: number of its earlier events.
    """
    return f"2030-01-0{1 + count % 9}T08:00:00"


def label_content(
    request: SandboxRequest, labels: Mapping[str, bytes], path: str, *, secret: str, missing: int
) -> bytes:
    """Return a label's file for download, as a vendor's file store does.

    Args:
        request: the download, which must not show the vendor's credentials.
        labels: the labels by path.
        path: path of the label.
        secret: header of the vendor's credentials.
        missing: status of the response if there is no such label.
    """
    if secret in request.headers:
        raise Refusal(Response(400, body=b"Only one auth mechanism allowed."))
    if path not in labels:
        raise Refusal(Response(missing))
    return labels[path]
