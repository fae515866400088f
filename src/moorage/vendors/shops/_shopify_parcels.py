"""The parcels of a Shopify order, and its items that are not shipped yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.shops import _shopify_documents as documents
from moorage.vendors.shops._common import not_possible
from moorage.vendors.shops._shopify_answers import all_nodes, read_fulfilment, required_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shops import Fulfilment, FulfilmentReceipt
    from moorage.vendor_sdk import Answer, Ref, Response, Wire

_OPEN: Final = frozenset({"OPEN", "IN_PROGRESS"})
_WAITING_STATUSES: Final = frozenset({"ON_HOLD", "SCHEDULED"})
_ENDED_STATUSES: Final = frozenset({"CANCELLED", "ERROR", "FAILURE"})


@attrs.frozen
class Parcels:
    """The fulfilments and fulfilment orders of an order, with the response that contained them."""

    order: Answer
    response: Response


def read_parcels(response: Response) -> Parcels:
    """The fulfilments and the fulfilment orders of an order.

    Raises:
        VendorFailed: the response lacks one of them.
    """
    order = required_object(response, "order")
    for path in ("fulfillments", "fulfillmentOrders.nodes"):
        if not sdk.is_list(order.value(path)):
            raise sdk.malformed(response, path)
    return Parcels(order, response)


def earlier_parcel(ref: Ref, parcels: Parcels, fulfilment: Fulfilment) -> FulfilmentReceipt | None:
    """The receipt of an existing parcel with the same tracking number and quantity, or None.

    A parcel with all remaining items exists only if no items remain.
    """
    number = fulfilment.tracking_number
    parts = parcels.order.objects("fulfillmentOrders.nodes")
    if not fulfilment.lines and any(part.text("status") in _OPEN for part in parts):
        return None
    quantity = sum(line.quantity for line in fulfilment.lines)
    for item in parcels.order.objects("fulfillments"):
        numbers = [info.text("number") for info in item.objects("trackingInfo")]
        is_same = number is not None and number in numbers
        if quantity and item.integer("totalQuantity") != quantity:
            is_same = False
        if is_same and item.text("status") not in _ENDED_STATUSES:
            return read_fulfilment(ref, parcels.response, item)
    return None


@attrs.frozen
class Part:
    """A fulfilment order: items of an order that are shipped from one location.

    Attributes:
        id: Shopify's id.
        status: Shopify's word for its state.
        lines: its lines, if they were requested and the part is open.
    """

    id: str
    status: str
    lines: tuple[Answer, ...] = ()


async def all_parts(
    wire: Wire, ref: Ref, parcels: Parcels, key: str, *, lines: bool
) -> tuple[Part, ...]:
    """All fulfilment orders of an order, from as many pages as there are.

    Args:
        wire: sends the requests for further pages.
        ref: reference of the order.
        parcels: response with the first page.
        key: idempotency key of the parcel, so that a repeat sends the same parcel.
        lines: True to read all lines of the parts that are open.
    """

    async def read_page(cursor: str) -> tuple[Response, Answer]:
        request = documents.request(documents.PARTS, {"id": ref.id, "after": cursor})
        part_key = sdk.part_key(key, f"parts after {cursor}")
        return await wire.send(request, key=part_key, parse=_read_parts)

    page = parcels.order.object("fulfillmentOrders")
    answers = await all_nodes(parcels.response, page, "fulfillmentOrders", read_page)
    return tuple(
        [await _part_of(wire, parcels.response, answer, key, lines=lines) for answer in answers]
    )


async def _part_of(
    wire: Wire, response: Response, answer: Answer, key: str, *, lines: bool
) -> Part:
    id_ = sdk.required(answer.text("id"), response, "fulfillmentOrders.id")
    status = sdk.required(answer.text("status"), response, "fulfillmentOrders.status")

    async def read_page(cursor: str) -> tuple[Response, Answer]:
        request = documents.request(documents.PART_LINES, {"id": id_, "after": cursor})
        part_key = sdk.part_key(key, f"lines of {id_} after {cursor}")
        return await wire.send(request, key=part_key, parse=_read_part_lines)

    if not lines or status not in _OPEN:
        return Part(id_, status)
    page = answer.object("lineItems")
    return Part(id_, status, tuple(await all_nodes(response, page, "lineItems", read_page)))


def _read_parts(response: Response) -> tuple[Response, Answer]:
    return response, required_object(response, "order").object("fulfillmentOrders")


def _read_part_lines(response: Response) -> tuple[Response, Answer]:
    return response, required_object(response, "fulfillmentOrder").object("lineItems")


def parcel_input(
    parcels: Parcels, parts: tuple[Part, ...], fulfilment: Fulfilment
) -> dict[str, Any]:
    """The `FulfillmentInput` that describes a parcel.

    Raises:
        VendorRejected: the order does not have that much left to ship.
    """
    tracking = {
        "company": fulfilment.carrier,
        "number": fulfilment.tracking_number,
        "url": fulfilment.tracking_url,
    }
    tracking_fields = {name: value for name, value in tracking.items() if value is not None}
    parcel_lines = (
        _parcel_lines(parcels, parts, fulfilment)
        if fulfilment.lines
        else _whole_parts(parcels, parts)
    )
    return {
        "lineItemsByFulfillmentOrder": parcel_lines,
        "notifyCustomer": fulfilment.notify,
        **({"trackingInfo": tracking_fields} if tracking_fields else {}),
    }


def _whole_parts(parcels: Parcels, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    if {part.status for part in parts} & _WAITING_STATUSES:
        raise _refusal(
            parcels,
            "ON_HOLD",
            "A part of the order is on hold or scheduled. Pass the lines that are in the parcel.",
        )
    open_ids = [part.id for part in parts if part.status in _OPEN]
    if not open_ids:
        raise _refusal(parcels, "NOTHING_LEFT", "The order has no items left to ship.")
    return [{"fulfillmentOrderId": id_} for id_ in open_ids]


def _parcel_lines(
    parcels: Parcels, parts: tuple[Part, ...], fulfilment: Fulfilment
) -> list[dict[str, Any]]:
    quantities = {line.id: line.quantity for line in fulfilment.lines}
    unshipped_items: list[dict[str, Any]] = []
    for part in parts:
        items = [_parcel_line(item, quantities) for item in part.lines]
        parcel_items = [item for item in items if item["quantity"]]
        if parcel_items:
            unshipped_items.append(
                {"fulfillmentOrderId": part.id, "fulfillmentOrderLineItems": parcel_items}
            )
    if any(quantities.values()):
        raise _refusal(
            parcels, "NOT_LEFT", "The parcel has more items than are left to ship in the order."
        )
    return unshipped_items


def _parcel_line(item: Answer, quantities: dict[str, int]) -> Mapping[str, Any]:
    """The quantity of an order line that goes into the parcel; it is taken from `quantities`."""
    line = item.text("lineItem.id") or ""
    quantity = min(item.integer("remainingQuantity") or 0, quantities.get(line, 0))
    if quantity:
        quantities[line] -= quantity
    return {"id": item.text("id"), "quantity": quantity}


def _refusal(parcels: Parcels, code: str, text: str) -> Exception:
    return not_possible("Shopify", parcels.response, code, text)
