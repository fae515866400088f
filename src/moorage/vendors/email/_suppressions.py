"""Suppressed addresses of email vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.email_suppressions import Suppression, SuppressionPage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.email_address import EmailAddress

_NOT_FOUND: Final = 404


def read_page(
    wire: sdk.Wire,
    reading: sdk.Reading[Suppression],
    items: Iterable[sdk.Answer],
    response: sdk.Response,
    *,
    after: sdk.Ref | None = None,
    **words: object,
) -> SuppressionPage:
    """The page of suppressed addresses in a response.

    Args:
        wire: makes references.
        reading: reads an entry.
        items: entries of the response.
        response: the response.
        after: reference of the next page.
        **words: values of fields that the entries do not state, such as the reason of the whole
            list.

    Raises:
        VendorFailed: an entry has no address.
    """
    entries: list[Suppression] = []
    for item in items:
        entry = reading.parse_if_complete(wire.ref, item, **words)
        if not entry:
            raise sdk.malformed(response, "address")
        entries += entry
    return SuppressionPage(items=tuple(entries), next=after)


async def remove_from(wire: sdk.Wire, address: EmailAddress, *paths: str) -> None:
    """Remove an address from lists; a missing address counts as removed.

    Args:
        wire: sends the requests.
        address: the address, with which each path ends.
        *paths: paths of the lists, with a slash at the end.
    """
    for path in paths:
        try:
            await wire.send(sdk.Request.delete(path + quote(address.wire, safe="")))
        except sdk.VendorRejected as refusal:
            if refusal.status != _NOT_FOUND:
                raise
