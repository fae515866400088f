"""Mollie's payment links: requests and responses."""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.contracts.payments import LinkState, PaymentLink
from moorage.vendor_sdk import Request, extra_for, key_for_vendor, merged, read_answer, required
from moorage.vendors.payments._mollie_answers import KEY, amount_body, money
from moorage.vendors.payments._mollie_order import order_fields

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.payments import LinkRequest
    from moorage.vendor_sdk import Answer, Ref, Response, Wire

_LINKS: Final = "/v2/payment-links"
_MAX_LENGTH: Final = 255


async def create_link(
    wire: Wire, link: LinkRequest, key: str, *, return_url: str | None, webhook_url: str | None
) -> PaymentLink:
    """Create a payment link for one payment.

    Args:
        wire: sends the request.
        link: the link.
        key: idempotency key.
        return_url: URL that buyers return to, unless the link has its own.
        webhook_url: URL that Mollie reports changes to.
    """
    body = link_body(link, redirectUrl=link.return_url or return_url, webhookUrl=webhook_url)
    return await _changed_link(wire, Request.post(_LINKS, json=body), key, link.reference)


async def get_link(wire: Wire, ref: Ref, /) -> PaymentLink:
    """Get a payment link."""
    return read_link(wire, None, await wire.send(Request.get(_path(ref))))


async def close_link(wire: Wire, ref: Ref, /, *, key: str) -> PaymentLink:
    """Archive a payment link, so that it accepts no payment."""
    request = Request.patch(_path(ref), json={"archived": True})
    return await _changed_link(wire, attrs.evolve(request, idempotent=True), key)


def _path(ref: Ref) -> str:
    return f"{_LINKS}/{quote(ref.id, safe='')}"


async def _changed_link(
    wire: Wire, request: Request, key: str, reference: str | None = None
) -> PaymentLink:
    """The payment link after a step that is executed once per idempotency key."""
    parse = partial(read_link, wire, reference)
    link: PaymentLink = await wire.send(request, key=key_for_vendor(wire, key, KEY), parse=parse)
    return link


def link_body(link: LinkRequest, **fields: str | None) -> dict[str, Any]:
    """The body that creates a link for one payment; the caller's extra options override it."""
    expires_at = link.expires_at
    # Mollie stores no reference with a link, so the link's description begins with it.
    texts = [link.reference, link.description]
    body: dict[str, Any] = {
        "amount": amount_body(link.amount),
        "description": ": ".join(filter(None, texts))[:_MAX_LENGTH],
        "expiresAt": None
        if expires_at is None
        else expires_at.astimezone(UTC).isoformat(timespec="seconds"),
        "reusable": False,
        **order_fields(link),
        **fields,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return merged(body, extra_for("mollie", link.extra))


def read_link(wire: Wire, reference: str | None, response: Response) -> PaymentLink:
    """Parse the payment link in a response."""
    body = read_answer(response)
    expires_at = body.time("expiresAt")
    is_archived = required(body.flag("archived"), response, "archived")
    return PaymentLink(
        ref=wire.ref(required(body.text("id"), response, "id")),
        state=_link_state(body, wire.now(), expires_at, is_archived=is_archived),
        url=body.text("_links.paymentLink.href"),
        amount=money(body, "amount"),
        reference=reference,
        expires_at=expires_at,
        created_at=body.time("createdAt"),
        raw=body.raw,
    )


def _link_state(
    body: Answer, now: datetime, expires_at: datetime | None, *, is_archived: bool
) -> LinkState:
    if body.time("paidAt") is not None:
        return LinkState.PAID
    if is_archived:
        return LinkState.CLOSED
    is_expired = expires_at is not None and expires_at <= now
    return LinkState.EXPIRED if is_expired else LinkState.OPEN
