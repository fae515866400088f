"""The suppression list of an account at Amazon SES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression
from moorage.vendor_sdk import Reading, Request, needed, read_answer, text, time, word
from moorage.vendors.email._suppressions import read_page, remove_from

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_suppressions import SuppressionPage
    from moorage.vendor_sdk import Ref, Wire

_PATH: Final = "/v2/email/suppression/addresses"
_PAGE: Final = 1_000
_ADDED: Final = "COMPLAINT"
_REASONS: Final = {"BOUNCE": RejectReason.BOUNCED, "COMPLAINT": RejectReason.SPAM}
_ENTRY: Final = Reading(
    Suppression,
    email=needed(text("EmailAddress"), "EmailAddress"),
    reason=word("Reason", of=_REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=text("Reason"),
    at=time("LastUpdateTime"),
)


async def list_suppressed(wire: Wire, after: Ref | None) -> SuppressionPage:
    """A page of the suppression list."""
    query = {"PageSize": str(_PAGE), "NextToken": None if after is None else after.id}
    response = await wire.send(Request.get(_PATH, query=query))
    fields = read_answer(response)
    token = fields.text("NextToken")
    items = fields.objects("SuppressedDestinationSummaries")
    start = None if token is None else wire.ref(token)
    return read_page(wire, _ENTRY, items, response, after=start)


async def suppress(wire: Wire, address: EmailAddress) -> None:
    """Add an address, with one of the two reasons that SES knows."""
    await wire.send(Request.put(_PATH, json={"EmailAddress": address.wire, "Reason": _ADDED}))


async def send_again(wire: Wire, address: EmailAddress) -> None:
    """Remove an address."""
    await remove_from(wire, address, f"{_PATH}/")
