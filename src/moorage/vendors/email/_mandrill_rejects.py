"""The denylist of an account or a subaccount at Mandrill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._common import filled_fields
from moorage.vendors.email._suppressions import read_page

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

REASONS: Final = {
    "hard-bounce": RejectReason.BOUNCED,
    "soft-bounce": RejectReason.BOUNCED,
    "spam": RejectReason.SPAM,
    "unsub": RejectReason.UNSUBSCRIBED,
    "custom": RejectReason.BLOCKED,
}
"""Causes by the reasons of Mandrill's denylist; `custom` is that of an address that you add."""
_NOT_LISTED: Final = "Invalid_Reject"
_ENTRY: Final = sdk.Reading(
    Suppression,
    email=sdk.needed(sdk.text("email"), "email"),
    reason=sdk.word("reason", of=REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=sdk.text("reason"),
    at=sdk.time("created_at"),
)


async def list_rejects(wire: sdk.Wire, subaccount: str | None) -> SuppressionPage:
    """The entries of the denylist, of which Mandrill returns at most 1,000."""
    response = await wire.send(_request("list", subaccount))
    return read_page(wire, _ENTRY, sdk.read_answers(response), response)


async def suppress(wire: sdk.Wire, subaccount: str | None, address: EmailAddress) -> None:
    """Add an address to the denylist.

    Raises:
        VendorRejected: Mandrill has not added the address, such as one on the allowlist.
    """
    response = await wire.send(_request("add", subaccount, address))
    is_added = sdk.read_answer(response).flag("added")
    if not is_added and not await _is_listed(wire, subaccount, address):
        raise sdk.VendorRejected(
            "Mandrill has not added the address to its denylist. Addresses on the allowlist cannot"
            " be added; remove the address from the allowlist first.",
            service=wire.account,
        )


async def send_again(wire: sdk.Wire, subaccount: str | None, address: EmailAddress) -> None:
    """Remove an address from the denylist; a missing address counts as removed.

    Raises:
        VendorRejected: Mandrill keeps the address on the denylist.
    """
    try:
        response = await wire.send(_request("delete", subaccount, address))
    except sdk.VendorRejected as refusal:
        if refusal.vendor_code != _NOT_LISTED:
            raise
        return
    is_deleted = sdk.read_answer(response).flag("deleted")
    if not is_deleted and await _is_listed(wire, subaccount, address):
        raise sdk.VendorRejected(
            "Mandrill keeps the address on its denylist.", service=wire.account
        )


async def _is_listed(wire: sdk.Wire, subaccount: str | None, address: EmailAddress) -> bool:
    response = await wire.send(_request("list", subaccount, address))
    return any(
        (entry.text("email") or "").lower() == address.wire.lower()
        for entry in sdk.read_answers(response)
    )


def _request(
    operation: str, subaccount: str | None, address: EmailAddress | None = None
) -> sdk.Request:
    fields = {"email": None if address is None else address.wire, "subaccount": subaccount}
    request = sdk.Request.post(f"/rejects/{operation}", json=filled_fields(fields))
    return request.evolve(idempotent=True)
