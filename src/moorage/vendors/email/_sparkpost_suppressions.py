"""The suppression list of an account at SparkPost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._suppressions import read_page, remove_from

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

_PATH: Final = "/api/v1/suppression-list"
_PAGE: Final = 1_000
_KINDS: Final = ("transactional", "non_transactional")
_REASONS: Final = {
    "Spam Complaint": RejectReason.SPAM,
    "List Unsubscribe": RejectReason.UNSUBSCRIBED,
    "Unsubscribe Link": RejectReason.UNSUBSCRIBED,
    "Bounce Rule": RejectReason.BOUNCED,
    "Manually Added": RejectReason.BLOCKED,
    "Compliance": RejectReason.BLOCKED,
}
_ENTRY: Final = sdk.Reading(
    Suppression,
    email=sdk.needed(sdk.text("recipient"), "recipient"),
    reason=sdk.word("source", of=_REASONS, otherwise=RejectReason.OTHER),
    vendor_reason=sdk.text("source"),
    at=sdk.time("created"),
)


def _cursor(fields: sdk.Answer) -> str | None:
    links = [link.text("href") for link in fields.objects("links") if link.text("rel") == "next"]
    query = parse_qs(links[0].partition("?")[2]) if links and links[0] else {}
    return next(iter(query.get("cursor", [])), None)


async def list_suppressed(wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:
    """A page of the suppression list, with an entry per address and kind of mail."""
    query = {"per_page": str(_PAGE), "cursor": "initial" if after is None else after.id}
    response = await wire.send(sdk.Request.get(_PATH, query=query))
    fields = sdk.read_answer(response)
    cursor = _cursor(fields)
    start = None if cursor is None else wire.ref(cursor)
    items = sdk.required_objects(fields, "results", response)
    return read_page(wire, _ENTRY, items, response, after=start)


async def suppress(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Suppress an address for both kinds of mail: transactional and non-transactional."""
    entries = [{"recipient": address.wire, "type": kind} for kind in _KINDS]
    await wire.send(sdk.Request.put(_PATH, json={"recipients": entries}))


async def send_again(wire: sdk.Wire, address: EmailAddress, /) -> None:
    """Remove an address from the suppressions of both kinds of mail."""
    await remove_from(wire, address, f"{_PATH}/")
