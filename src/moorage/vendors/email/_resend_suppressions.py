"""The suppressed addresses of a Resend team."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._suppressions import read_page, remove_from

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

_PATH: Final = "/suppressions"
_PAGE: Final = 100
_REASONS: Final = {
    "bounce": RejectReason.BOUNCED,
    "complaint": RejectReason.SPAM,
    "manual": RejectReason.BLOCKED,
}
_ENTRY: Final = sdk.Reading(
    Suppression,
    email=sdk.needed(sdk.text("email"), "email"),
    reason=sdk.word("origin", of=_REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=sdk.text("origin"),
    at=sdk.time("created_at"),
)


async def list_suppressed(wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:
    """A page of the suppressed addresses."""
    query = {"limit": str(_PAGE), "after": None if after is None else after.id}
    response = await wire.send(sdk.Request.get(_PATH, query=query))
    fields = sdk.read_answer(response)
    items = sdk.required_objects(fields, "data", response)
    last_id = items[-1].text("id") if items and fields.flag("has_more") else None
    start = None if last_id is None else wire.ref(last_id)
    return read_page(wire, _ENTRY, items, response, after=start)


async def suppress(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Suppress an address; a repeat has no further effect."""
    request = sdk.Request.post(_PATH, json={"email": address.wire})
    await wire.send(request.evolve(idempotent=True))


async def send_again(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Remove an address from the suppressions."""
    await remove_from(wire, address, f"{_PATH}/")
