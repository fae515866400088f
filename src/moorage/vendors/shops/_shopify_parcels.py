"""The parcels of a Shopify order, and its items that are not shipped yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.shops._common import not_possible
from moorage.vendors.shops._shopify_answers import read_fulfilment, required_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shops import Fulfilment, FulfilmentReceipt
    from moorage.vendor_sdk import Answer, Ref, Response

_OPEN: Final = frozenset({"OPEN", "IN_PROGRESS"})
_WAITING_STATUSES: Final = frozenset({"ON_HOLD", "SCHEDULED"})
_ENDED_STATUSES: Final = frozenset({"CANCELLED", "ERROR", "FAILURE"})


@attrs.frozen
class Parcels:
    """The fulfilments and fulfilment orders of an order, with the answer that contained them."""

    order: Answer
    response: Response


def read_parcels(response: Response) -> Parcels:
    """The fulfilments and the fulfilment orders of an order.

    Raises:
        VendorFailed: the answer lacks one of them.
    """
    order = required_object(response, "order")
    for path in ("fulfillments", "fulfillmentOrders.nodes"):
        if not sdk.is_list(order.value(path)):
            raise sdk.malformed(response, path)
    return Parcels(order, response)


def earlier_parcel(ref: Ref, parcels: Parcels, fulfilment: Fulfilment) -> FulfilmentReceipt | None:
    """The receipt of an existing parcel with the same tracking number and lines, or None."""
    number = fulfilment.tracking_number
    quantity = sum(line.quantity for line in fulfilment.lines)
    for item in parcels.order.objects("fulfillments"):
        numbers = [info.text("number") for info in item.objects("trackingInfo")]
        is_same = number is not None and number in numbers
        if quantity and item.integer("totalQuantity") != quantity:
            is_same = False
        if is_same and item.text("status") not in _ENDED_STATUSES:
            return read_fulfilment(ref, parcels.response, item)
    return None


def parcel_input(parcels: Parcels, fulfilment: Fulfilment) -> dict[str, Any]:
    """The `FulfillmentInput` that describes a parcel.

    Raises:
        VendorRejected: the order does not have that much left to ship.
    """
    tracking = {
        "company": fulfilment.carrier,
        "number": fulfilment.tracking_number,
        "url": fulfilment.tracking_url,
    }
    filled = {name: value for name, value in tracking.items() if value is not None}
    parcel_lines = (_named_lines if fulfilment.lines else _open_orders)(parcels, fulfilment)
    return {
        "lineItemsByFulfillmentOrder": parcel_lines,
        "notifyCustomer": fulfilment.notify,
        **({"trackingInfo": filled} if filled else {}),
    }


def _open_orders(parcels: Parcels, _: Fulfilment) -> list[dict[str, Any]]:
    orders = list(parcels.order.objects("fulfillmentOrders.nodes"))
    statuses = {order.text("status") for order in orders}
    if parcels.order.flag("fulfillmentOrders.pageInfo.hasNextPage"):
        raise _refusal(
            parcels,
            "TOO_MANY_FULFILLMENT_ORDERS",
            "The order has more fulfilment orders than moorage reads.",
        )
    if statuses & _WAITING_STATUSES:
        raise _refusal(
            parcels,
            "ON_HOLD",
            "A part of the order is on hold or scheduled. Pass the lines that are in the parcel.",
        )
    open_ids = [order.text("id") for order in orders if order.text("status") in _OPEN]
    if not open_ids:
        raise _refusal(parcels, "NOTHING_LEFT", "The order has no items left to ship.")
    return [{"fulfillmentOrderId": id_} for id_ in open_ids]


def _named_lines(parcels: Parcels, fulfilment: Fulfilment) -> list[dict[str, Any]]:
    quantities = {line.id: line.quantity for line in fulfilment.lines}
    unshipped_items: list[dict[str, Any]] = []
    for order in parcels.order.objects("fulfillmentOrders.nodes"):
        if order.text("status") not in _OPEN:
            continue
        items = [_parcel_line(item, quantities) for item in order.objects("lineItems.nodes")]
        parcel_items = [item for item in items if item["quantity"]]
        if parcel_items:
            unshipped_items.append(
                {"fulfillmentOrderId": order.text("id"), "fulfillmentOrderLineItems": parcel_items}
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
