"""Mollie's lists: linked pages, with the newest entries first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Page, PaymentQuery
from moorage.vendors.payments._common import is_before, is_within

if TYPE_CHECKING:
    from collections.abc import Callable


LONGEST_PAGE: Final = 250
_FROM_PARAMETER: Final = re.compile(r"[?&]from=([A-Za-z0-9_]{1,80})")


async def listed(
    wire: sdk.Wire,
    path: str,
    query: PaymentQuery,
    after: sdk.Ref | None,
    read_one: Callable[[sdk.MakeRef, sdk.Answer], Any],
) -> Page[Any]:
    """A page of a list; moorage filters it by time, because Mollie cannot."""
    filters = {
        "limit": min(query.limit, LONGEST_PAGE),
        "from": None if after is None else after.id,
    }
    response = await wire.send(sdk.Request.get(path, query=filters))
    body, name = sdk.read_answer(response), path.rpartition("/")[2]
    if not sdk.is_list(body.value(f"_embedded.{name}")):
        raise sdk.malformed(response, f"_embedded.{name}")
    results = [read_one(wire.ref, item) for item in body.objects(f"_embedded.{name}")]
    items = [item for item in results if item is not None]
    following_match = _FROM_PARAMETER.search(body.text("_links.next.href") or "")
    if items and is_before(query, items[-1].created_at):
        # The newest entries come first: after one that is too old, all are too old.
        following_match = None
    return Page(
        tuple(item for item in items if is_within(query, item.created_at)),
        None if following_match is None else wire.ref(following_match[1]),
    )
