"""The suppression list of an account at Amazon SES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._suppressions import read_page, remove_from

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

_PATH: Final = "/v2/email/suppression/addresses"
_PAGE: Final = 1_000
_ADDED_REASON: Final = "COMPLAINT"
_REASONS: Final = {"BOUNCE": RejectReason.BOUNCED, "COMPLAINT": RejectReason.SPAM}
_ENTRY: Final = sdk.Reading(
    Suppression,
    email=sdk.needed(sdk.text("EmailAddress"), "EmailAddress"),
    reason=sdk.word("Reason", of=_REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=sdk.text("Reason"),
    at=sdk.time("LastUpdateTime"),
)


async def list_suppressed(wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:
    """A page of the suppression list."""
    query = {"PageSize": str(_PAGE), "NextToken": None if after is None else after.id}
    response = await wire.send(sdk.Request.get(_PATH, query=query))
    fields = sdk.read_answer(response)
    token = fields.text("NextToken")
    items = sdk.required_objects(fields, "SuppressedDestinationSummaries", response)
    start = None if token is None else wire.ref(token)
    return read_page(wire, _ENTRY, items, response, after=start)


async def suppress(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Add an address, with one of the two reasons that SES knows."""
    await wire.send(
        sdk.Request.put(_PATH, json={"EmailAddress": address.wire, "Reason": _ADDED_REASON})
    )


async def send_again(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Remove an address from the suppression list."""
    await remove_from(wire, address, f"{_PATH}/")
