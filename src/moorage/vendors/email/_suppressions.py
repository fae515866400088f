"""Suppressed addresses of email vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from moorage.contracts.email_suppressions import Suppression, SuppressionPage
from moorage.vendor_sdk import Request, VendorRejected, malformed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.email_address import EmailAddress
    from moorage.vendor_sdk import Answer, Reading, Ref, Response, Wire

_NOT_FOUND: Final = 404


def read_page(
    wire: Wire,
    reading: Reading[Suppression],
    items: Iterable[Answer],
    response: Response,
    *,
    after: Ref | None = None,
    **words: object,
) -> SuppressionPage:
    """The page of an answer.

    Args:
        wire: makes references.
        reading: reads an entry.
        items: entries of the answer.
        response: the answer.
        after: reference of the next page.
        **words: values of fields that the entries do not state, such as the reason of the whole
            list.

    Raises:
        VendorFailed: an entry has no address.
    """
    entries: list[Suppression] = []
    for item in items:
        entry = reading.found(wire.ref, item, **words)
        if not entry:
            raise malformed(response, "address")
        entries += entry
    return SuppressionPage(items=tuple(entries), next=after)


async def remove_from(wire: Wire, address: EmailAddress, *paths: str) -> None:
    """Remove an address from lists; a missing address counts as removed.

    Args:
        wire: sends the requests.
        address: the address, with which each path ends.
        *paths: paths of the lists, with a slash at the end.
    """
    for path in paths:
        try:
            await wire.send(Request.delete(path + quote(address.wire, safe="")))
        except VendorRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
