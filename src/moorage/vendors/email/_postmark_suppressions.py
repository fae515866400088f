"""Suppressed addresses of a Postmark message stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._suppressions import read_page

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

_USUAL_STREAM: Final = "outbound"
_REASONS: Final = {
    "HardBounce": RejectReason.BOUNCED,
    "SpamComplaint": RejectReason.SPAM,
    "ManualSuppression": RejectReason.BLOCKED,
}
_ENTRY: Final = sdk.Reading(
    Suppression,
    email=sdk.needed(sdk.text("EmailAddress"), "EmailAddress"),
    reason=sdk.word("SuppressionReason", of=_REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=sdk.text("SuppressionReason"),
    at=sdk.time("CreatedAt"),
)
_DONE: Final = ("Suppressed", "Deleted")


def _path(stream: str | None) -> str:
    return f"/message-streams/{quote(stream or _USUAL_STREAM, safe='')}/suppressions"


async def list_suppressed(wire: sdk.Wire, stream: str | None) -> SuppressionPage:
    """All suppressed addresses of a stream; Postmark lists them in one response."""
    response = await wire.send(sdk.Request.get(f"{_path(stream)}/dump"))
    items = sdk.required_objects(sdk.read_answer(response), "Suppressions", response)
    return read_page(wire, _ENTRY, items, response)


async def change_suppression(
    wire: sdk.Wire, stream: str | None, address: EmailAddress, *, add: bool
) -> None:
    """Add an address to a stream's suppressions, or remove it.

    Raises:
        VendorRejected: Postmark keeps the address, such as after a complaint.
    """
    path = _path(stream) if add else f"{_path(stream)}/delete"
    request = sdk.Request.post(path, json={"Suppressions": [{"EmailAddress": address.wire}]})
    response: sdk.Response = await wire.send(request.evolve(idempotent=True))
    entry = next(sdk.read_answer(response).objects("Suppressions"), None)
    status = sdk.required(None if entry is None else entry.text("Status"), response, "Status")
    if entry is not None and status not in _DONE:
        words = sdk.masked_words(entry.text("Message"))
        raise sdk.VendorRejected(
            f"Postmark did not change the suppression: {words or status}",
            vendor_code=status,
            vendor_message=words,
            response=response,
        )
