"""The suppression lists of a SendGrid account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._suppressions import read_page, remove_from

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

_PATH: Final = "/v3/suppression"
_UNSUBSCRIBES: Final = "/v3/asm/suppressions/global"
_PAGE: Final = 500
_REASONS: Final = {
    "bounces": RejectReason.BOUNCED,
    "blocks": RejectReason.BLOCKED,
    "invalid_emails": RejectReason.INVALID,
    "spam_reports": RejectReason.SPAM,
    "unsubscribes": RejectReason.UNSUBSCRIBED,
}
"""Reasons by the lists that SendGrid keeps."""
_LISTS: Final = tuple(_REASONS)
_ENTRY: Final = sdk.Reading(
    Suppression,
    supplied=("reason", "vendor_reason"),
    email=sdk.needed(sdk.text("email"), "email"),
    at=sdk.time("created"),
)


async def list_suppressed(wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:
    """A page of one list; after its last page, the next list begins."""
    name = _LISTS[0] if after is None or after.id not in _LISTS else after.id
    offset = int((after.other("offset") if after is not None else None) or 0)
    page = {"limit": str(_PAGE), "offset": str(offset)}
    response = await wire.send(sdk.Request.get(f"{_PATH}/{name}", query=page))
    items = sdk.read_answers(response)
    following_lists = _LISTS[_LISTS.index(name) + 1 :]
    start = None
    if len(items) == _PAGE:
        start = wire.ref(name, offset=str(offset + _PAGE))
    elif following_lists:
        start = wire.ref(following_lists[0])
    reason = {"reason": _REASONS[name], "vendor_reason": name}
    return read_page(wire, _ENTRY, items, response, after=start, **reason)


async def suppress(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Add an address to the list of addresses that are unsubscribed from all mail."""
    request = sdk.Request.post(_UNSUBSCRIBES, json={"recipient_emails": [address.wire]})
    await wire.send(request.evolve(idempotent=True))


async def send_again(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Remove an address from all lists."""
    lists = [f"{_PATH}/{name}/" for name in _LISTS if name != "unsubscribes"]
    await remove_from(wire, address, *lists, f"{_UNSUBSCRIBES}/")
