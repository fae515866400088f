"""Helpers of VAT vendors: addresses, comparisons, and error messages without numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.tax import TaxCapability, VatNumber

_NUMBER: Final = re.compile(r"[A-Z]{0,2}[0-9]{5,}[A-Z]{0,3}")


def without_numbers(text: str) -> str:
    """A vendor's text without VAT numbers."""
    return _NUMBER.sub("(number)", text)


def as_lines(parts: Iterable[str | None]) -> str | None:
    """An address's parts as lines; None if all are empty."""
    return "\n".join(part for part in parts if part) or None


def check_answered(response: sdk.Response, requested: str, answered: str | None, name: str) -> None:
    """Refuse a response that is about a VAT number other than the requested one.

    Args:
        response: the response.
        requested: number that was to be checked.
        answered: number that the response is about.
        name: name of that field at the vendor.

    Raises:
        VendorFailed: the numbers differ, or the response names none.
    """
    if answered is None or answered.upper() != requested:
        raise sdk.malformed(response, f"{name} equal to the requested number")


def check_requester(requester: VatNumber | None, register: TaxCapability, remedy: str) -> None:
    """Refuse a requester from another register, as this register gives them no proof of a check."""
    if requester is not None and requester.needs is not register:
        raise sdk.InvalidData(
            "This register does not give a proof of the check to a requester whose VAT number"
            f" begins with {requester.prefix}.",
            field="requester",
            remedy=remedy,
        )
