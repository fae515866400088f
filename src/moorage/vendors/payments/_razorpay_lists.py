"""Razorpay's lists and look-ups."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Page, PaymentState
from moorage.vendors.payments._common import is_within, url_of
from moorage.vendors.payments._razorpay_answers import (
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

R = TypeVar("R", "Dispute", "Payment", "Payout", "Subscription")

PAYMENTS: Final = "/v1/payments"
ORDERS: Final = "/v1/orders"
CUSTOMERS: Final = "/v1/customers"
LONGEST_PAGE: Final = 100
CARD: Final = {"expand[]": "card"}


async def get_page(
    wire: sdk.Wire,
    path: str,
    query: PaymentQuery,
    after: sdk.Ref | None,
    read_one: Callable[[sdk.MakeRef, sdk.Answer], R | None],
    **filters: str | int | None,
) -> Page[R]:
    """Get a page of a list that begins after a given number of items.

    Args:
        wire: sends the request.
        path: path of the list.
        query: filter of the list; items out of its period are left out of the page.
        after: the `next` of the previous page.
        read_one: parses one item.
        **filters: further parameters.
    """
    start = 0 if after is None or not after.id.isdecimal() else int(after.id)
    limit = min(query.limit, LONGEST_PAGE)
    request = sdk.Request.get(path, query={"count": limit, "skip": start, **filters})
    items = read_items(wire.ref, read_one, await wire.send(request))
    return Page(
        tuple(item for item in items if item is not None and is_within(query, item.created_at)),
        wire.ref(str(start + limit)) if len(items) == limit else None,
    )


def period_fields(query: PaymentQuery) -> dict[str, int | None]:
    """The parameters of lists that Razorpay filters by time; it does not filter disputes."""
    return {
        "from": None if query.since is None else int(query.since.timestamp()),
        "to": None if query.until is None else int(query.until.timestamp()),
    }


async def list_tokens(wire: sdk.Wire, customer: str) -> Page[StoredMeans]:
    """Get a customer's tokens for later payments."""
    read_one = partial(token_of, customer=customer)
    request = sdk.Request.get(url_of(CUSTOMERS, customer, "tokens"))
    items = read_items(wire.ref, read_one, await wire.send(request))
    return Page(tuple(item for item in items if item is not None))


async def attempts_at(wire: sdk.Wire, order: sdk.Ref) -> list[Payment]:
    """Get the attempted payments of an order."""
    request = sdk.Request.get(url_of(ORDERS, order.id, "payments"))
    return read_attempts(wire, await wire.send(request))


async def paid_by(wire: sdk.Wire, order: sdk.Ref) -> str | None:
    """The id of an order's payment, preferably one that did not fail."""
    attempts = await attempts_at(wire, order)
    attempts.sort(key=lambda item: item.state is PaymentState.FAILED)
    return attempts[0].ref.id if attempts else None


async def payment_before(wire: sdk.Wire, ref: sdk.Ref, key: str) -> Payment:
    """Get the payment as it was when the idempotency key was first used."""
    request = sdk.Request.get(url_of(PAYMENTS, ref.id))
    parse = partial(read_payment, wire)
    return await wire.send(request, key=sdk.part_key(key, "before"), parse=parse)


async def remove_token(wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
    """Delete a token of a customer."""
    path = url_of(CUSTOMERS, ref.other("customer") or "", "tokens", ref.id)
    return await wire.send(sdk.Request.delete(path), key=key, parse=partial(removed, ref))
