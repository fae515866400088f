"""The blocklist of a domain at Scaleway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._suppressions import read_page

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

_PAGE: Final = 100
_NOT_FOUND: Final = 404
_REASONS: Final = {
    "mailbox_full": RejectReason.BOUNCED,
    "mailbox_not_found": RejectReason.INVALID,
}
_ENTRY: Final = sdk.Reading(
    Suppression,
    email=sdk.needed(sdk.text("email"), "email"),
    reason=sdk.when(
        sdk.flag("custom"),
        RejectReason.BLOCKED,
        sdk.word("type", of=_REASONS, otherwise=RejectReason.OTHER),
    ),
    vendor_reason=sdk.text("type"),
    at=sdk.time("created_at"),
)


async def list_blocked(
    wire: sdk.Wire, path: str, domain: str, after: sdk.Ref | None
) -> SuppressionPage:
    """A page of the blocklist."""
    number = int((after.other("page") if after is not None else None) or 1)
    # Entries that are added in the meantime come last, and move no others.
    query = {
        "domain_id": domain,
        "order_by": "created_at_asc",
        "page": str(number),
        "page_size": str(_PAGE),
    }
    response = await wire.send(sdk.Request.get(f"{path}/blocklists", query=query))
    items = sdk.required_objects(sdk.read_answer(response), "blocklists", response)
    start = wire.ref("blocklist", page=str(number + 1)) if len(items) == _PAGE else None
    return read_page(wire, _ENTRY, items, response, after=start)


async def suppress(wire: sdk.Wire, path: str, domain: str, address: EmailAddress) -> None:
    """Add an address to the blocklist, without an end date."""
    body = {"domain_id": domain, "emails": [address.wire], "type": "mailbox_not_found"}
    request = sdk.Request.post(f"{path}/blocklists", json=body)
    await wire.send(request.evolve(idempotent=True))


async def send_again(wire: sdk.Wire, path: str, domain: str, address: EmailAddress) -> None:
    """Remove each entry of an address from the blocklist."""
    query = {"domain_id": domain, "email": address.wire, "page_size": str(_PAGE)}
    response = await wire.send(sdk.Request.get(f"{path}/blocklists", query=query))
    for entry in sdk.required_objects(sdk.read_answer(response), "blocklists", response):
        if (entry.text("email") or "").lower() == address.wire.lower():
            id_ = sdk.required(entry.text("id"), response, "id")
            await _delete(wire, f"{path}/blocklists/{quote(id_, safe='')}")


async def _delete(wire: sdk.Wire, path: str) -> None:
    try:
        await wire.send(sdk.Request.delete(path))
    except sdk.VendorRejected as refusal:
        # An entry may end by itself, or an earlier attempt has deleted it.
        if refusal.status != _NOT_FOUND:
            raise
