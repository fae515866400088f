"""Helpers of shop vendors: addresses, times and refusals that follow from what was read."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.address import Address

if TYPE_CHECKING:
    from datetime import datetime

_COUNTRY: Final = re.compile("[A-Za-z]{2}")
_FORM: Final = "%Y-%m-%dT%H:%M:%S"


def address_of(country: str | None, **fields: Any) -> Address | None:
    """An address; None without a country, since an address of no country leads nowhere."""
    if country is None or _COUNTRY.fullmatch(country) is None:
        return None
    return Address(country=country, **fields)


def full_name(*parts: str | None) -> str | None:
    """The parts of a name, joined; None if all are empty."""
    return " ".join(part for part in parts if part) or None


def written_time(at: datetime) -> str:
    """A time in UTC, to the second and without its zone."""
    return at.astimezone(UTC).strftime(_FORM)


def not_possible(vendor: str, response: sdk.Response, code: str, text: str) -> Exception:
    """The refusal of an operation that the current state of the order does not allow."""
    return sdk.refusal(sdk.VendorRejected, vendor, response, code, None, otherwise=text)
