"""Estimates of duties: a customs declaration as numbered lines, and the charges on each item."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.duties import ItemDuties
from moorage.vendors.shipping._common import order_lines_per_parcel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shipping.parcels import Customs, CustomsItem


@attrs.frozen
class GoodsLine:
    """A line of a request: some pieces of an item, all of the same value.

    Attributes:
        position: position of the item in the declaration, from zero.
        item: the item.
        count: number of pieces.
        unit_price: value of each piece.
    """

    position: int
    item: CustomsItem
    count: int
    unit_price: sdk.Money


def goods_lines(customs: Customs) -> dict[int, GoodsLine]:
    """The lines of a declaration by number, from one; an item of uneven value has two lines."""
    lines = [
        GoodsLine(position, item, count, unit_price)
        for position, item in enumerate(customs.items)
        for count, unit_price in order_lines_per_parcel(item)
    ]
    return dict(enumerate(lines, 1))


def item_charges(
    response: sdk.Response, customs: Customs, charges: Mapping[str, ItemDuties]
) -> tuple[ItemDuties, ...]:
    """The charges on each item, computed from the charges on its numbered lines.

    Raises:
        VendorFailed: the response lacks a line, so that the estimate would be too low.
    """
    parts: list[list[ItemDuties]] = [[] for _ in customs.items]
    for number, line in goods_lines(customs).items():
        charge = sdk.required(charges.get(f"{number}"), response, f"item {number}")
        parts[line.position].append(charge)
    return tuple(reduce(_sum_of, item_parts) for item_parts in parts)


def _sum_of(first: ItemDuties, second: ItemDuties) -> ItemDuties:
    return ItemDuties(
        duties=first.duties + second.duties,
        taxes=first.taxes + second.taxes,
        fees=first.fees + second.fees,
        hs_code=first.hs_code,
    )
