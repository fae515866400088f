"""Razorpay's lists and look-ups."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from moorage.contracts.payments import Page, PaymentState
from moorage.vendor_sdk import Request, part_key
from moorage.vendors.payments._common import is_within, url_of
from moorage.vendors.payments._razorpay_answers import (
    dispute_of,
    read_attempts,
    read_items,
    read_payment,
    removed,
    token_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.payments import (
        Dispute,
        Payment,
        PaymentQuery,
        Payout,
        StoredMeans,
        Subscription,
    )
    from moorage.vendor_sdk import Answer, MakeRef, Ref, Wire

R = TypeVar("R", "Payment", "Payout", "Subscription")

PAYMENTS: Final = "/v1/payments"
ORDERS: Final = "/v1/orders"
CUSTOMERS: Final = "/v1/customers"
LONGEST_PAGE: Final = 100
CARD: Final = {"expand[]": "card"}


async def get_page(
    wire: Wire,
    path: str,
    query: PaymentQuery,
    after: Ref | None,
    read_one: Callable[[MakeRef, Answer], R | None],
    **filters: str,
) -> Page[R]:
    """Get a page of a list, starting at an item number.

    Args:
        wire: sends the request.
        path: path of the list.
        query: filter of the list.
        after: the `next` of the previous page.
        read_one: parses one item.
        **filters: further parameters.
    """
    start = 0 if after is None or not after.id.isdecimal() else int(after.id)
    limit = min(query.limit, LONGEST_PAGE)
    period = {
        "from": None if query.since is None else int(query.since.timestamp()),
        "to": None if query.until is None else int(query.until.timestamp()),
    }
    request = Request.get(path, query={"count": limit, "skip": start, **period, **filters})
    items = read_items(wire.ref, read_one, await wire.send(request))
    return Page(
        tuple(item for item in items if item is not None and is_within(query, item.created_at)),
        wire.ref(str(start + limit)) if len(items) == limit else None,
    )


async def list_disputes(wire: Wire, query: PaymentQuery) -> Page[Dispute]:
    """Get all disputes in a period."""
    items = read_items(wire.ref, dispute_of, await wire.send(Request.get("/v1/disputes")))
    return Page(
        tuple(item for item in items if item is not None and is_within(query, item.created_at))
    )


async def list_tokens(wire: Wire, customer: str) -> Page[StoredMeans]:
    """Get a customer's tokens for later payments."""
    read_one = partial(token_of, customer=customer)
    request = Request.get(url_of(CUSTOMERS, customer, "tokens"))
    items = read_items(wire.ref, read_one, await wire.send(request))
    return Page(tuple(item for item in items if item is not None))


async def attempts_at(wire: Wire, order: Ref) -> list[Payment]:
    """Get the attempted payments of an order."""
    request = Request.get(url_of(ORDERS, order.id, "payments"))
    return read_attempts(wire, await wire.send(request))


async def paid_by(wire: Wire, order: Ref) -> str | None:
    """The id of an order's payment, preferably one that did not fail."""
    attempts = await attempts_at(wire, order)
    attempts.sort(key=lambda item: item.state is PaymentState.FAILED)
    return attempts[0].ref.id if attempts else None


async def payment_before(wire: Wire, ref: Ref, key: str) -> Payment:
    """The payment's state at the time of this key's first use."""
    request = Request.get(url_of(PAYMENTS, ref.id))
    parse = partial(read_payment, wire)
    return await wire.send(request, key=part_key(key, "before"), parse=parse)


async def remove_token(wire: Wire, ref: Ref, key: str) -> StoredMeans:
    """Delete a token of a customer."""
    path = url_of(CUSTOMERS, ref.other("customer") or "", "tokens", ref.id)
    return await wire.send(Request.delete(path), key=key, parse=partial(removed, ref))
