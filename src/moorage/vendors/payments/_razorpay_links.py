"""Razorpay's payment links."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._common import url_of
from moorage.vendors.payments._razorpay_answers import link_of, read_link
from moorage.vendors.payments._razorpay_requests import (
    NAME,
    amount_fields,
    key_name,
    notes_of,
)

if TYPE_CHECKING:
    from moorage.contracts.payments import LinkRequest, PaymentLink

_LINKS: Final = "/v1/payment_links"
_CANCELLED: Final = "cancelled"
_LONGEST_NAME: Final = 40
_DESCRIPTION: Final = 2_048


async def create_link(wire: sdk.Wire, link: LinkRequest, url: str | None, key: str) -> PaymentLink:
    """Create a payment link with a name derived from its key.

    Args:
        wire: sends the requests.
        link: the link.
        url: URL that the buyer returns to.
        key: idempotency key of the link.
    """
    name = key_name(wire, key, _LONGEST_NAME)
    request = sdk.Request.post(_LINKS, json=_link_fields(link, url, name))
    repeatable = attrs.evolve(request, idempotent=True)
    try:
        created: PaymentLink = await wire.send(repeatable, key=key, parse=partial(read_link, wire))
    except sdk.InvalidRequest:
        # An earlier request, whose response was lost, may have created it.
        response = await wire.send(sdk.Request.get(_LINKS, query={"reference_id": name}))
        items = sdk.read_answer(response).objects("payment_links")
        links = [link_of(wire.ref, item) for item in items]
        created_link = next((item for item in links if item is not None), None)
        if created_link is None:
            raise
        return created_link
    return created


async def get_link(wire: sdk.Wire, ref: sdk.Ref, /) -> PaymentLink:
    """Get a payment link."""
    return read_link(wire, await wire.send(sdk.Request.get(url_of(_LINKS, ref.id))))


async def close_link(wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> PaymentLink:
    """Cancel a payment link; a link that is already cancelled is returned."""
    request = attrs.evolve(sdk.Request.post(url_of(_LINKS, ref.id, "cancel")), idempotent=True)
    try:
        closed: PaymentLink = await wire.send(request, key=key, parse=partial(read_link, wire))
    except sdk.InvalidRequest:
        closed = await get_link(wire, ref)
        if closed.vendor_state != _CANCELLED:
            raise
    return closed


def _link_fields(link: LinkRequest, url: str | None, name: str) -> dict[str, Any]:
    """The fields that create a payment link; the caller's extra options override them.

    Args:
        link: the link.
        url: URL that the buyer returns to.
        name: unique name of the link.
    """
    fields: dict[str, Any] = {
        **amount_fields(link.amount),
        "reference_id": name,
        "description": (link.description or link.reference)[:_DESCRIPTION],
        "notes": notes_of(link.reference, {}),
    }
    if url is not None:
        fields |= {"callback_url": url, "callback_method": "get"}
    if link.expires_at is not None:
        fields["expire_by"] = int(link.expires_at.timestamp())
    return sdk.merged(fields, sdk.extra_for(NAME, link.extra))
