"""Helpers of shop vendors: addresses, times, and errors due to an order's state."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage import vendor_sdk as sdk
from moorage.contracts.address import Address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

R = TypeVar("R")

_COUNTRY: Final = re.compile("[A-Za-z]{2}")
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)


def address_of(country: str | None, **fields: Any) -> Address | None:
    """Return an address; None if it has no country, because nothing can be delivered there."""
    if country is None or _COUNTRY.fullmatch(country) is None:
        return None
    return Address(country=country, **fields)


def full_name(*parts: str | None) -> str | None:
    """Join the parts of a person's name; None if all are empty."""
    return " ".join(part for part in parts if part) or None


def written_time(at: datetime) -> str:
    """A UTC time as text, to the second and without zone."""
    return nearest_valid_time(at).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def nearest_valid_time(at: datetime) -> datetime:
    """The nearest time between 1970 and 9998, so that seconds can be subtracted safely."""
    return min(max(at, _EARLIEST), _LATEST)


async def found_or_unknown(
    unknown_outcome: sdk.OutcomeUnknown, look_up: Callable[[], Awaitable[R | None]]
) -> R:
    """Look up the result of a step at the shop, after the response to the step was lost.

    Args:
        unknown_outcome: error of the step.
        look_up: finds the result; None if the shop does not have it.

    Raises:
        OutcomeUnknown: the shop does not have the result, or the look-up failed.
    """
    try:
        result = await look_up()
    except sdk.ConnectorError:
        result = None
    if result is None:
        raise unknown_outcome from None
    return result


def not_possible(vendor: str, response: sdk.Response, code: str, text: str) -> Exception:
    """The error for an operation that the order's current state does not allow."""
    return sdk.refusal(sdk.VendorRejected, vendor, response, code, None, otherwise=text)
