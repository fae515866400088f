"""Helpers of CRM vendors: links to other records, and look-ups that find nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from collections.abc import Awaitable

R = TypeVar("R")

_NOT_FOUND: Final = 404


def check_link(wire: sdk.Wire, vendor: str, link: sdk.Ref | None, name: str) -> None:
    """Refuse a link to a record in another CRM.

    Raises:
        InvalidData: the reference belongs to another account or vendor.
    """
    if link is None or (link.vendor, link.account) == (vendor, wire.account):
        return
    raise sdk.InvalidData(
        f"The {name} is in another CRM.",
        field=name,
        remedy=f"Pass the reference of a {name} in the same CRM.",
    )


def check_named_type(ref: sdk.Ref) -> str:
    """Return the type of record that a reference names.

    Raises:
        InvalidData: the reference names no type.
    """
    kind = ref.other("type")
    if kind is not None:
        return kind
    raise sdk.InvalidData(
        "The reference does not state the type of its record.",
        field="ref",
        remedy="Pass the `ref` of a person, a company or a deal that this CRM returned.",
    )


async def found_or_none(looking_up: Awaitable[R]) -> R | None:
    """Return the result of a look-up; None if the vendor states that there is no such record."""
    try:
        return await looking_up
    except sdk.VendorRejected as refusal:
        if refusal.status != _NOT_FOUND or refusal.vendor_message is None:
            raise
        return None
