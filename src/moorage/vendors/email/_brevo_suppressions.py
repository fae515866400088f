"""The blocked contacts of an account at Brevo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression
from moorage.vendor_sdk import Reading, Request, needed, read_answer, text, time, word, words
from moorage.vendors.email._suppressions import read_page, remove_from

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_suppressions import SuppressionPage
    from moorage.vendor_sdk import Ref, Wire

_PATH: Final = "/v3/smtp/blockedContacts"
_PAGE: Final = 100
_REASONS: Final = {
    "hardBounce": RejectReason.BOUNCED,
    "contactFlaggedAsSpam": RejectReason.SPAM,
    "adminBlocked": RejectReason.BLOCKED,
    **words(RejectReason.UNSUBSCRIBED, "unsubscribedViaMA unsubscribedViaEmail unsubscribedViaApi"),
}
_ENTRY: Final = Reading(
    Suppression,
    email=needed(text("email"), "email"),
    reason=word("reason.code", of=_REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=text("reason.code"),
    at=time("blockedAt"),
)


async def list_suppressed(wire: Wire, after: Ref | None, /) -> SuppressionPage:
    """A page of the blocked contacts."""
    offset = int((after.other("offset") if after is not None else None) or 0)
    page = {"limit": str(_PAGE), "offset": str(offset)}
    response = await wire.send(Request.get(_PATH, query=page))
    items = list(read_answer(response).objects("contacts"))
    start = wire.ref("blocked", offset=str(offset + _PAGE)) if len(items) == _PAGE else None
    return read_page(wire, _ENTRY, items, response, after=start)


async def send_again(wire: Wire, address: EmailAddress, /) -> None:
    """Unblock a contact."""
    await remove_from(wire, address, f"{_PATH}/")
