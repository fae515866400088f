"""Stripe's payment links."""

from __future__ import annotations

from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import LinkRequest, LinkState, Money, PaymentLink
from moorage.vendors.payments._common import url_of
from moorage.vendors.payments._stripe_answers import money
from moorage.vendors.payments._stripe_order import link_lines
from moorage.vendors.payments._stripe_requests import send_once_per_key

_LINKS: Final = "/v1/payment_links"


async def create_link(wire: sdk.Wire, link: LinkRequest, /, *, key: str) -> PaymentLink:
    """Create a payment link for one payment."""
    return await send_once_per_key(wire, _LINKS, link_body(link), key, _read_link)


async def get_link(wire: sdk.Wire, ref: sdk.Ref, /) -> PaymentLink:
    """Get a payment link."""
    request = sdk.Request.get(url_of(_LINKS, ref.id), query={"expand[]": "line_items"})
    return _read_link(wire, await wire.send(request))


async def close_link(wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> PaymentLink:
    """Deactivate a payment link."""
    body = {"active": False, "expand": ["line_items"]}
    return await send_once_per_key(wire, url_of(_LINKS, ref.id), body, key, _read_link)


def link_body(link: LinkRequest) -> dict[str, Any]:
    """The body that creates a link for one payment; the caller's extra options override it."""
    reference = {"reference": link.reference}
    body: dict[str, Any] = {
        "line_items": link_lines(link),
        "restrictions": {"completed_sessions": {"limit": 1}},
        "metadata": reference,
        "payment_intent_data": {"metadata": reference},
        "expand": ["line_items"],
    }
    if link.return_url is not None:
        body["after_completion"] = {"type": "redirect", "redirect": {"url": link.return_url}}
    return sdk.merged(body, sdk.extra_for("stripe", link.extra))


def _read_link(wire: sdk.Wire, response: sdk.Response) -> PaymentLink:
    """Parse the payment link in a response."""
    body = sdk.read_answer(response)
    is_active = sdk.required(body.flag("active"), response, "active")
    is_paid = (body.integer("restrictions.completed_sessions.count") or 0) > 0
    state = LinkState.OPEN if is_active else LinkState.CLOSED
    return PaymentLink(
        ref=wire.ref(sdk.required(body.text("id"), response, "id")),
        state=LinkState.PAID if is_paid else state,
        vendor_state="active" if is_active else "inactive",
        url=body.text("url"),
        amount=sum_of_lines(body),
        reference=body.text("metadata.reference"),
        raw=body.raw,
    )


def sum_of_lines(body: sdk.Answer) -> Money | None:
    """The sum of a link's lines; None if an amount or a line is missing."""
    amounts = [money(item, "amount_total") for item in body.objects("line_items.data")]
    stated_amounts = [amount for amount in amounts if amount is not None]
    if not stated_amounts or len(stated_amounts) < len(amounts) or body.flag("line_items.has_more"):
        return None
    return sum(stated_amounts[1:], stated_amounts[0])
