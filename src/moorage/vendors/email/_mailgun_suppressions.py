"""The suppression lists of a Mailgun domain."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import RejectReason
from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendors.email._suppressions import read_page, remove_from

if TYPE_CHECKING:
    from moorage.contracts.email_address import EmailAddress

_PAGE: Final = 1_000
_REASONS: Final = {
    "bounces": RejectReason.BOUNCED,
    "complaints": RejectReason.SPAM,
    "unsubscribes": RejectReason.UNSUBSCRIBED,
}
"""Reasons by the lists that Mailgun keeps."""
_LISTS: Final = tuple(_REASONS)
_ENTRY: Final = sdk.Reading(
    Suppression,
    supplied=("reason", "vendor_reason"),
    email=sdk.needed(sdk.text("address"), "address"),
    at=sdk.time("created_at"),
)


def _next_query(fields: sdk.Answer) -> str | None:
    """The query for the next page, kept secret because it contains an address."""
    query = dict(parse_qsl((fields.text("paging.next") or "").partition("?")[2]))
    if not query:
        return None
    return urlsafe_b64encode(urlencode(query).encode()).decode()


def _query(after: sdk.Ref | None) -> dict[str, str]:
    hidden_query = None if after is None else after.other("query")
    if hidden_query is None:
        return {"limit": str(_PAGE)}
    return dict(parse_qsl(urlsafe_b64decode(hidden_query).decode()))


async def list_suppressed(wire: sdk.Wire, domain: str, after: sdk.Ref | None) -> SuppressionPage:
    """A page of one list; after a list's empty last page, the next list begins."""
    name = _LISTS[0] if after is None or after.id not in _LISTS else after.id
    response = await wire.send(sdk.Request.get(f"/v3/{domain}/{name}", query=_query(after)))
    fields = sdk.read_answer(response)
    items = sdk.required_objects(fields, "items", response)
    query = _next_query(fields)
    following_lists = _LISTS[_LISTS.index(name) + 1 :]
    start = None
    if items and query is not None:
        start = wire.ref(name, query=query)
    elif following_lists:
        start = wire.ref(following_lists[0])
    reason = {"reason": _REASONS[name], "vendor_reason": name}
    return read_page(wire, _ENTRY, items, response, after=start, **reason)


async def suppress(wire: sdk.Wire, domain: str, address: EmailAddress) -> None:
    """Add an address to the list of addresses that are unsubscribed from all mail."""
    request = sdk.Request.post(f"/v3/{domain}/unsubscribes", form=[("address", address.wire)])
    await wire.send(request.evolve(idempotent=True))


async def send_again(wire: sdk.Wire, domain: str, address: EmailAddress) -> None:
    """Remove an address from all lists."""
    await remove_from(wire, address, *(f"/v3/{domain}/{name}/" for name in _LISTS))
