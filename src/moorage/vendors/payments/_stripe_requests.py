"""Requests to Stripe: nested forms, each executed once per key, and pages of lists."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.contracts.payments import Page
from moorage.vendor_sdk import (
    Request,
    is_list,
    is_object,
    key_for_vendor,
    malformed,
    read_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from moorage.contracts.payments import PaymentQuery
    from moorage.vendor_sdk import Answer, MakeRef, Ref, Response, Wire

R = TypeVar("R")

KEY: Final = 255
PAGE: Final = 100


def form_pairs(value: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a form with nested names in brackets; None values are omitted."""
    for name, element in value.items():
        path = f"{under}[{name}]" if under else str(name)
        if is_object(element):
            yield from form_pairs(element, path)
        elif is_list(element):
            yield from form_pairs({str(number): item for number, item in enumerate(element)}, path)
        elif element is not None:
            yield path, str(element).lower() if isinstance(element, bool) else str(element)


def post(path: str, body: Mapping[str, Any]) -> Request:
    """A POST request with a form."""
    return Request.post(path, form=list(form_pairs(body)))


async def done(
    wire: Wire,
    path: str,
    body: Mapping[str, Any],
    key: str,
    read: Callable[[Wire, Response], R],
) -> R:
    """Send a request that is executed once per key, and parse its answer."""
    parse: Callable[[Response], R] = partial(read, wire)
    result: R = await wire.send(post(path, body), key=key_for_vendor(wire, key, KEY), parse=parse)
    return result


def page_query(query: PaymentQuery, after: Ref | None) -> dict[str, Any]:
    """The parameters of a list."""
    return {
        "limit": min(query.limit, PAGE),
        "created[gte]": None if query.since is None else int(query.since.timestamp()),
        "created[lt]": None if query.until is None else int(query.until.timestamp()),
        "starting_after": None if after is None else after.id,
    }


async def page(
    wire: Wire, path: str, filters: Mapping[str, Any], read_one: Callable[[MakeRef, Answer], Any]
) -> Page[Any]:
    """Get a page of a list."""
    response = await wire.send(Request.get(path, query=filters))
    body = read_answer(response)
    if not is_list(body.value("data")):
        raise malformed(response, "data")
    rows = list(body.objects("data"))
    last_id = rows[-1].text("id") if rows and body.flag("has_more") else None
    items = [item for element in rows if (item := read_one(wire.ref, element)) is not None]
    return Page(tuple(items), None if last_id is None else wire.ref(last_id))
