"""Requests to Paystack: their fields, lists, and look-ups of earlier requests."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Page
from moorage.vendors.payments._common import is_within, url_of
from moorage.vendors.payments._paystack_answers import (
    VENDOR,
    minor_units,
    read_payment,
    refund_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from moorage.contracts.payments import Charge, Dispute, Payment, PaymentQuery, Refund

R = TypeVar("R", "Dispute", "Payment")
V = TypeVar("V")

NAME: Final = "paystack"
REFUNDS: Final = "/refund"
VERIFY: Final = "/transaction/verify"
LONGEST_PAGE: Final = 50


def digest_of(wire: sdk.Wire, key: str) -> str:
    """A digest of the tenant and an idempotency key, with only characters that Paystack accepts."""
    return sha256(f"{wire.tenant or ''}\n{key}".encode()).hexdigest()


def checkout_fields(charge: Charge, url: str | None) -> dict[str, Any]:
    """The fields that create a page for the buyer; the caller's extra options override them."""
    metadata: dict[str, Any] = {**_metadata_of(charge)}
    if charge.store_method:
        metadata["custom_filters"] = {"recurring": True}
    fields = _buyer_fields(charge) | {"metadata": metadata}
    if url is not None:
        fields["callback_url"] = url
    return sdk.merged(fields, sdk.extra_for(NAME, charge.extra))


def charge_fields(charge: Charge, reference: str) -> dict[str, Any]:
    """The fields that charge an authorization; the caller's extra options override them."""
    fields = _buyer_fields(charge) | {
        "authorization_code": charge.source,
        "reference": reference,
        "metadata": json.dumps(_metadata_of(charge), ensure_ascii=False),
    }
    return sdk.merged(fields, sdk.extra_for(NAME, charge.extra))


def _buyer_fields(charge: Charge) -> dict[str, Any]:
    email = None if charge.customer is None else charge.customer.email
    if email is None:
        raise sdk.InvalidData(
            f"{VENDOR} needs the buyer's email address for a payment.",
            field="customer.email",
            remedy="Pass Customer(email=...).",
        )
    return {
        "email": email,
        "amount": minor_units(charge.amount),
        "currency": charge.amount.currency,
    }


def _metadata_of(charge: Charge) -> dict[str, str]:
    """The texts stored with a payment; the caller's reference is one of them."""
    if "reference" in charge.metadata:
        raise sdk.InvalidData(
            'moorage stores the reference of the payment in the metadata entry "reference".',
            field="metadata",
            remedy='Rename the metadata entry "reference".',
        )
    return {**charge.metadata, "reference": charge.reference}


async def earlier_result(look_up: Awaitable[V | None], unknown: sdk.OutcomeUnknown) -> V:
    """The result of a look-up for an earlier request, which may have moved money.

    Args:
        look_up: looks the result up; None if there is none.
        unknown: error to raise if there is none, or the look-up fails.
    """
    try:
        result = await look_up
    except sdk.ConnectorError as error:
        raise unknown from error
    if result is None:
        raise unknown
    return result


def lost_charge() -> sdk.OutcomeUnknown:
    """The error for a charge whose reference exists, if its transaction cannot be looked up."""
    return sdk.OutcomeUnknown(
        f"{VENDOR} has a transaction with the reference of this charge, but did not return"
        " its state.",
        remedy="Look for the transaction in Paystack's dashboard before you repeat the call.",
    )


async def get_payment(wire: sdk.Wire, reference: str) -> Payment:
    """Get the payment with a reference of Paystack."""
    return read_payment(wire, await wire.send(sdk.Request.get(url_of(VERIFY, reference))))


async def marked_refund(wire: sdk.Wire, payment: str, mark: str) -> Refund | None:
    """The refund whose note has this mark; None if Paystack lists no such refund.

    Args:
        wire: sends the requests.
        payment: Paystack's reference of the payment.
        mark: digest of the refund's idempotency key.
    """
    created_at = (await get_payment(wire, payment)).created_at
    number: int | None = 1
    while number is not None:
        rows, number = await _rows(wire, REFUNDS, LONGEST_PAGE, number, since=created_at)
        for row in rows:
            if mark in (row.text("merchant_note") or ""):
                return refund_of(wire.ref, row)
    return None


async def get_page(
    wire: sdk.Wire,
    path: str,
    query: PaymentQuery,
    after: sdk.Ref | None,
    read_one: Callable[[sdk.MakeRef, sdk.Answer], R | None],
) -> Page[R]:
    """Get a page of a list.

    Args:
        wire: sends the request.
        path: path of the list.
        query: filter of the list.
        after: the `next` of the previous page.
        read_one: parses one item.
    """
    number = 1 if after is None or not after.id.isdecimal() else int(after.id)
    rows, next_number = await _rows(
        wire, path, min(query.limit, LONGEST_PAGE), number, since=query.since, until=query.until
    )
    items = (read_one(wire.ref, row) for row in rows)
    return Page(
        tuple(item for item in items if item is not None and is_within(query, item.created_at)),
        None if next_number is None else wire.ref(str(next_number)),
    )


async def _rows(
    wire: sdk.Wire,
    path: str,
    size: int,
    number: int,
    *,
    since: datetime | None,
    until: datetime | None = None,
) -> tuple[list[sdk.Answer], int | None]:
    """The objects on a page of a list, and the number of the next page, if any."""
    times = {
        "from": None if since is None else since.isoformat(),
        "to": None if until is None else until.isoformat(),
    }
    request = sdk.Request.get(path, query={"perPage": size, "page": number, **times})
    response = await wire.send(request)
    body = sdk.read_answer(response)
    if not sdk.is_list(body.raw.get("data")):
        raise sdk.malformed(response, "data")
    is_last = number >= (body.integer("meta.pageCount") or 0)
    return [*body.objects("data")], None if is_last else number + 1
