"""Requests that create, cancel, get and list any kind of GoCardless object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Page, Payment, StoredMeans, Subscription
from moorage.vendors.payments._common import url_of
from moorage.vendors.payments._gocardless_payments_answers import CANCELLED, conflicting_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


R = TypeVar("R")
C = TypeVar("C", "Payment", "StoredMeans", "Subscription")

LONGEST_KEY: Final = 128
"""The largest number of characters in an idempotency key."""


async def send_once(
    wire: sdk.Wire, request: sdk.Request, key: str, read: Callable[[sdk.Wire, sdk.Response], R]
) -> R:
    """Send a request with a key of at most `LONGEST_KEY` characters."""
    return await wire.send(
        request, key=sdk.key_for_vendor(wire, key, LONGEST_KEY), parse=partial(read, wire)
    )


async def create_object(
    wire: sdk.Wire,
    path: str,
    fields: Mapping[str, Any],
    key: str,
    read: Callable[[sdk.Wire, sdk.Response], R],
) -> R:
    """Create an object, only once per key.

    GoCardless refuses a repeated key with the id of the object that the first request created.
    """
    request = sdk.Request.post(path, json={path[1:]: fields})
    try:
        return await wire.send(
            request, key=sdk.key_for_vendor(wire, key, LONGEST_KEY), parse=partial(read, wire)
        )
    except (sdk.VendorRejected, sdk.OutcomeUnknown) as error:
        created_id = conflicting_id(error)
        if created_id is None:
            raise
        return await get_object(wire, path, created_id, read)


async def cancel_object(
    wire: sdk.Wire,
    path: str,
    ref: sdk.Ref,
    key: str,
    read: Callable[[sdk.Wire, sdk.Response], C],
    *,
    look_up: Callable[[sdk.Wire, sdk.Ref], Awaitable[C]],
) -> C:
    """Cancel an object; GoCardless refuses a second cancellation, so a repeat does no harm."""
    request = sdk.Request.post(url_of(path, ref.id, "actions", "cancel"), json={})
    request = request.evolve(idempotent=True)
    try:
        return await wire.send(
            request, key=sdk.key_for_vendor(wire, key, LONGEST_KEY), parse=partial(read, wire)
        )
    except (sdk.VendorRejected, sdk.OutcomeUnknown):
        # An earlier request may have cancelled the object.
        current = await look_up(wire, ref)
        if current.vendor_state != CANCELLED:
            raise
        return current


async def get_object(
    wire: sdk.Wire, path: str, id: str, read: Callable[[sdk.Wire, sdk.Response], R]
) -> R:
    """Get an object by its id."""
    return read(wire, await wire.send(sdk.Request.get(url_of(path, id))))


async def list_objects(
    wire: sdk.Wire,
    path: str,
    filters: Mapping[str, Any],
    after: sdk.Ref | None,
    read_one: Callable[[sdk.MakeRef, sdk.Answer], R | None],
) -> Page[R]:
    """List the objects on a page, without malformed ones."""
    query = {**filters, "after": None if after is None else after.id}
    response = await wire.send(sdk.Request.get(path, query=query))
    body, name = sdk.read_answer(response), path[1:]
    if not sdk.is_list(body.raw.get(name)):
        raise sdk.malformed(response, name)
    results = [read_one(wire.ref, item) for item in body.objects(name)]
    cursor = body.text("meta.cursors.after")
    return Page(
        tuple(item for item in results if item is not None),
        None if cursor is None else wire.ref(cursor),
    )
