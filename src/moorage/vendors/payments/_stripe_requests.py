"""Requests to Stripe: nested forms, each executed once per idempotency key, and pages of lists."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Page, PaymentQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


R = TypeVar("R")

KEY: Final = 255
PAGE: Final = 100


def form_pairs(value: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a form with nested names in brackets; None values are omitted."""
    for name, element in value.items():
        path = f"{under}[{name}]" if under else str(name)
        if sdk.is_object(element):
            yield from form_pairs(element, path)
        elif sdk.is_list(element):
            yield from form_pairs({str(number): item for number, item in enumerate(element)}, path)
        elif element is not None:
            yield path, str(element).lower() if isinstance(element, bool) else str(element)


def post(path: str, body: Mapping[str, Any]) -> sdk.Request:
    """A POST request with a form."""
    return sdk.Request.post(path, form=list(form_pairs(body)))


async def send_once_per_key(
    wire: sdk.Wire,
    path: str,
    body: Mapping[str, Any],
    key: str,
    read: Callable[[sdk.Wire, sdk.Response], R],
) -> R:
    """Send a request that is executed once per idempotency key, and parse its response."""
    parse: Callable[[sdk.Response], R] = partial(read, wire)
    result: R = await wire.send(
        post(path, body), key=sdk.key_for_vendor(wire, key, KEY), parse=parse
    )
    return result


def page_query(query: PaymentQuery, after: sdk.Ref | None) -> dict[str, Any]:
    """The parameters of a list."""
    return {
        "limit": min(query.limit, PAGE),
        "created[gte]": None if query.since is None else int(query.since.timestamp()),
        "created[lt]": None if query.until is None else int(query.until.timestamp()),
        "starting_after": None if after is None else after.id,
    }


async def page(
    wire: sdk.Wire,
    path: str,
    filters: Mapping[str, Any],
    read_one: Callable[[sdk.MakeRef, sdk.Answer], Any],
) -> Page[Any]:
    """Get a page of a list."""
    response = await wire.send(sdk.Request.get(path, query=filters))
    body = sdk.read_answer(response)
    if not sdk.is_list(body.value("data")):
        raise sdk.malformed(response, "data")
    rows = list(body.objects("data"))
    last_id = rows[-1].text("id") if rows and body.flag("has_more") else None
    items = [item for element in rows if (item := read_one(wire.ref, element)) is not None]
    return Page(tuple(items), None if last_id is None else wire.ref(last_id))
