"""eBay: a seller's orders, stock and prices, by the Fulfillment and Inventory APIs.

eBay takes no idempotency key. Before a parcel is reported, the existing parcels of the order are
read; a parcel whose response was lost is looked up by its tracking number. eBay counts a line as
shipped as soon as one piece of it is, and refunds the buyer when a paid order is cancelled, so
moorage offers neither partial shipments nor cancellations.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    Completion,
    FulfilmentReceipt,
    ItemPage,
    OrderPage,
    PriceReceipt,
    ShopsCapability,
    StockReceipt,
    check_same_currency,
)
from moorage.vendors.shops._common import found_or_unknown, not_possible
from moorage.vendors.shops._ebay_answers import (
    CANCELED,
    REFUSALS,
    SHIPPED,
    check_updated,
    read_item,
    read_order,
)
from moorage.vendors.shops._ebay_pages import OrderCursor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shops import Fulfilment, OrderQuery, ShopOrder
    from moorage.vendor_sdk import Answer, Money, Ref, Response, Wire

_ORDERS: Final = "/sell/fulfillment/v1/order"
_INVENTORY: Final = "/sell/inventory/v1"
_LIVE: Final = "https://api.ebay.com"
_TEST: Final = "https://api.sandbox.ebay.com"
_OTHER_CARRIER: Final = "Other"
_NOT_SENT: Final = re.compile("[^A-Za-z0-9]")


@attrs.frozen(kw_only=True)
class Ebay(sdk.ApiVendor):
    """A seller at eBay, with a user access token.

    Attributes:
        credentials: access token of the seller; by default the credential provider supplies it,
            and renews it.
        base_url: URL of the API; its sandbox is https://api.sandbox.ebay.com.
    """

    name = "ebay"
    kinds = ("shops",)
    api_version = "v1"
    capabilities = frozenset[ShopsCapability]()
    limits: ClassVar[Mapping[str, int]] = {"page": 200}
    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    refusals = REFUSALS
    ping_path = _ORDERS
    ping_query: ClassVar[Mapping[str, Any] | None] = {"limit": "1"}

    base_url: str = _LIVE

    async def orders(self, wire: Wire, query: OrderQuery, after: Ref | None, /) -> OrderPage:
        """A page of a period's orders, sorted by last change."""
        cursor = OrderCursor.of(query, after)
        limit = str(min(query.limit, self.limits["page"]))
        response = await wire.send(
            sdk.Request.get(_ORDERS, query={"limit": limit, **cursor.filters})
        )
        answer = sdk.read_answer(response)
        total = sdk.required(answer.integer("total"), response, "total")
        orders = [read_order(wire.ref, response, item) for item in answer.objects("orders")]
        if not orders and cursor.offset < total:
            raise sdk.malformed(response, "orders")
        changes = [order.updated_at for order in orders if order.updated_at is not None]
        next_cursor = cursor.after(changes, len(orders), total)
        is_end = next_cursor is None
        return OrderPage(
            items=tuple(order for _, order in sorted(enumerate(orders), key=_change_order)),
            next=None if next_cursor is None else wire.ref("next", **next_cursor.related),
            resume_at=max(changes, default=cursor.since) if is_end else cursor.since,
        )

    async def get_order(self, wire: Wire, ref: Ref, /) -> ShopOrder:
        """The current state of an order."""
        response = await wire.send(sdk.Request.get(_order_path(ref)))
        return read_order(wire.ref, response, sdk.read_answer(response))

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        """Report a parcel with all unshipped items, unless eBay knows this parcel."""
        number = _NOT_SENT.sub("", fulfilment.tracking_number or "")
        order = await wire.send(
            sdk.Request.get(_order_path(ref)), key=sdk.part_key(key, "order"), parse=_read_lines
        )
        parcels = sdk.Request.get(f"{_order_path(ref)}/shipping_fulfillment")
        find = partial(_parcel_of, ref, number)
        if order.answer.value("fulfillmentHrefs"):
            receipt = await wire.send(parcels, key=sdk.part_key(key, "parcels"), parse=find)
            if receipt is not None:
                return receipt
        body: dict[str, Any] = {"lineItems": _lines_left(order)}
        if number:
            carrier = fulfilment.carrier or _OTHER_CARRIER
            body |= {"shippingCarrierCode": carrier, "trackingNumber": number}
        request = sdk.Request.post(parcels.path, json=body)
        try:
            return await wire.send(request, key=key, parse=partial(_read_created, ref))
        except sdk.OutcomeUnknown as unknown_outcome:

            async def look_up() -> FulfilmentReceipt | None:
                return find(await wire.send(parcels))

            return await found_or_unknown(unknown_outcome, look_up)

    async def find_items(self, wire: Wire, sku: str, _: Ref | None, /) -> ItemPage:
        """The offers of an item: a fixed-price listing, an auction, or both."""
        request = sdk.Request.get(f"{_INVENTORY}/offer", query={"sku": sku})
        try:
            response = await wire.send(request)
        except sdk.VendorRejected as refusal:
            if refusal.status != 404:
                raise
            return ItemPage(items=())
        answer = sdk.read_answer(response)
        if not sdk.is_list(answer.value("offers")):
            raise sdk.malformed(response, "offers")
        offers = [offer for offer in answer.objects("offers") if offer.text("sku") == sku]
        if not offers:
            return ItemPage(items=())
        path = f"{_INVENTORY}/inventory_item/{quote(sku, safe='')}"
        item = sdk.read_answer(await wire.send(sdk.Request.get(path)))
        return ItemPage(
            items=tuple(read_item(wire.ref, response, found_offer, item) for found_offer in offers)
        )

    async def set_stock(
        self,
        wire: Wire,
        ref: Ref,
        quantity: int,
        /,
        *,
        expected: int | None,  # noqa: ARG002 - a capability that this vendor lacks
        location: str | None,  # noqa: ARG002 - a capability that this vendor lacks
    ) -> StockReceipt:
        """Set an item's stock at all marketplaces, and the offer's quantity."""
        sku = ref.other("sku")
        if sku is None:
            raise sdk.InvalidData(
                "The item's reference does not contain the SKU.",
                field="ref",
                remedy="Pass the `ref` of an item that was found in the shop.",
            )
        offer = {"offerId": ref.id, "availableQuantity": quantity}
        answer = await _update(
            wire,
            ref,
            {"sku": sku, "shipToLocationAvailability": {"quantity": quantity}, "offers": [offer]},
        )
        return StockReceipt(ref=ref, quantity=quantity, raw=answer.raw)

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt:
        """Set the price of a published offer."""
        check_same_currency(price, ref, "price")
        amount = {"value": str(price.amount), "currency": price.currency}
        answer = await _update(wire, ref, {"offers": [{"offerId": ref.id, "price": amount}]})
        return PriceReceipt(ref=ref, price=price, raw=answer.raw)


@attrs.frozen
class _Order:
    """The lines of an order, with the response that contained them."""

    answer: Answer
    response: Response


def _order_path(ref: Ref) -> str:
    return f"{_ORDERS}/{quote(ref.id, safe='')}"


def _change_order(entry: tuple[int, ShopOrder]) -> Any:
    place, order = entry
    return order.updated_at, place


def _read_lines(response: Response) -> _Order:
    """The lines of an order; raise an error if it is cancelled.

    Raises:
        VendorRejected: the order is cancelled.
        VendorFailed: the response lacks the lines.
    """
    answer = sdk.read_answer(response)
    if not sdk.is_list(answer.value("lineItems")):
        raise sdk.malformed(response, "lineItems")
    if answer.text("cancelStatus.cancelState") == CANCELED:
        raise not_possible("eBay", response, CANCELED, "The order is cancelled.")
    return _Order(answer, response)


def _lines_left(order: _Order) -> list[dict[str, Any]]:
    """The lines of an order that are not shipped yet, with their quantities.

    Raises:
        VendorRejected: everything is shipped.
        VendorFailed: a line has no id or no quantity.
    """
    response = order.response
    unshipped = [
        {
            "lineItemId": sdk.required(line.text("lineItemId"), response, "lineItemId"),
            "quantity": sdk.required(line.integer("quantity"), response, "quantity"),
        }
        for line in order.answer.objects("lineItems")
        if line.text("lineItemFulfillmentStatus") != SHIPPED
    ]
    if not unshipped:
        raise not_possible("eBay", response, SHIPPED, "The order has no items left to ship.")
    return unshipped


def _receipt(ref: Ref, id_: str, raw: Any) -> FulfilmentReceipt:
    return FulfilmentReceipt(ref=ref, id=id_, completion=Completion.DONE, raw=raw)


def _parcel_of(ref: Ref, number: str, response: Response) -> FulfilmentReceipt | None:
    """The receipt of the order's parcel with a tracking number; None if there is none."""
    answer = sdk.read_answer(response)
    if not sdk.is_list(answer.value("fulfillments")):
        raise sdk.malformed(response, "fulfillments")
    for parcel in answer.objects("fulfillments"):
        if number and parcel.text("shipmentTrackingNumber") == number:
            id_ = sdk.required(parcel.text("fulfillmentId"), response, "fulfillmentId")
            return _receipt(ref, id_, parcel.raw)
    return None


def _read_created(ref: Ref, response: Response) -> FulfilmentReceipt:
    """The receipt of a new parcel; the parcel's id is in the returned URL."""
    address = response.headers.get("location") or ""
    head, _, id_ = address.rpartition("/shipping_fulfillment/")
    if not head or not id_:
        raise sdk.malformed(response, "Location")
    return _receipt(ref, id_, {"location": address})


async def _update(wire: Wire, ref: Ref, fields: dict[str, Any]) -> Answer:
    """Set fields of an offer and its item; a repeat has no further effect."""
    path = f"{_INVENTORY}/bulk_update_price_quantity"
    request = sdk.Request.post(path, json={"requests": [fields]}).evolve(idempotent=True)
    return check_updated(await wire.send(request), ref.id)
