"""Shopify: a shop's orders, stock and prices, by the GraphQL Admin API.

Shopify takes an idempotency key for changes of stock, but none for fulfilments. A parcel whose
response was lost is looked up by its tracking number; without a tracking number, its outcome is
unknown.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    CancelReceipt,
    Completion,
    Fulfilment,
    FulfilmentReceipt,
    ItemPage,
    OrderPage,
    OrderQuery,
    PriceReceipt,
    ShopOrder,
    ShopsCapability,
    StockReceipt,
    check_same_currency,
)
from moorage.vendors.shops import _shopify_documents as documents
from moorage.vendors.shops._common import found_or_unknown, not_possible, written_time
from moorage.vendors.shops._shopify_answers import (
    all_nodes,
    classify,
    next_cursor,
    read_events,
    read_fulfilment,
    read_item,
    read_order,
    required_object,
)
from moorage.vendors.shops._shopify_parcels import (
    all_parts,
    earlier_parcel,
    parcel_input,
    read_parcels,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Answer, Money, Ref, Response, Wire

_SHIPPED = frozenset({"FULFILLED", "PARTIALLY_FULFILLED"})


@attrs.frozen(kw_only=True)
class Shopify(sdk.ApiVendor):
    """A Shopify shop, with an app's access token.

    Attributes:
        shop: name of the shop in its address at myshopify.com.
        credentials: access token of the app; by default the credential provider supplies
            `Credentials`.
        location: id of the location whose stock is set, such as gid://shopify/Location/1.
        base_url: URL of the shop; by default derived from its name.
    """

    name = "shopify"
    kinds = ("shops",)
    api_version = documents.API_VERSION
    capabilities = frozenset(ShopsCapability) - {ShopsCapability.REFUND}
    limits: ClassVar[Mapping[str, int]] = {"page": 10}
    webhook = "shopify"
    auth = sdk.api_key("X-Shopify-Access-Token")
    refusals = staticmethod(classify)
    event_reading = staticmethod(read_events)
    urls: ClassVar[Mapping[str, str]] = {"": "api_url"}

    shop: str = attrs.field(
        validator=sdk.matches(
            "[a-z0-9][a-z0-9-]*",
            problem="The value is not the name of a Shopify shop.",
            remedy="Set the first part of the shop's address at myshopify.com, such as"
            " harbour-goods.",
        )
    )
    location: str | None = None
    base_url: str | None = None

    @property
    def api_url(self) -> str:
        """The URL of the shop."""
        return self.base_url or f"https://{self.shop}.myshopify.com"

    async def orders(self, wire: Wire, query: OrderQuery, after: Ref | None, /) -> OrderPage:
        """A page of orders, after the previous page's cursor."""
        since = query.updated_since if after is None else sdk.as_time(after.other("since"))
        variables = {
            "first": min(query.limit, self.limits["page"]),
            "after": None if after is None else after.id,
            "query": None if since is None else f"updated_at:>='{written_time(since)}Z'",
        }
        response = await wire.send(documents.request(documents.ORDERS, variables))
        page = sdk.read_answer(response).object("data.orders")
        if not sdk.is_list(page.value("nodes")):
            raise sdk.malformed(response, "orders.nodes")
        orders = [await _whole_order(wire, response, item) for item in page.objects("nodes")]
        times = [order.updated_at for order in orders if order.updated_at]
        next_ref = None
        cursor = next_cursor(response, page)
        if cursor is not None:
            next_ref = wire.ref(cursor, since=None if since is None else since.isoformat())
        return OrderPage(items=tuple(orders), next=next_ref, resume_at=max(times, default=since))

    async def get_order(self, wire: Wire, ref: Ref, /) -> ShopOrder:
        """The current state of an order."""
        response = await wire.send(documents.request(documents.ORDER, {"id": ref.id}))
        return await _whole_order(wire, response, required_object(response, "order"))

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        """Create a fulfilment of the remaining items, unless the order already has this parcel."""
        look_up = documents.request(documents.PARCELS, {"id": ref.id})
        parcels = await wire.send(look_up, key=sdk.part_key(key, "parcels"), parse=read_parcels)
        receipt = earlier_parcel(ref, parcels, fulfilment)
        if receipt is not None:
            return receipt
        parts = await all_parts(wire, ref, parcels, key, lines=bool(fulfilment.lines))
        request = documents.request(
            documents.FULFIL, {"fulfillment": parcel_input(parcels, parts, fulfilment)}
        )
        try:
            return await wire.send(request, key=key, parse=partial(_read_created, ref))
        except sdk.OutcomeUnknown as unknown_outcome:

            async def parcel_of() -> FulfilmentReceipt | None:
                return earlier_parcel(ref, read_parcels(await wire.send(look_up)), fulfilment)

            return await found_or_unknown(unknown_outcome, parcel_of)

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelReceipt:
        """Cancel an order without shipped items; Shopify may do so a little later."""
        look_up = documents.request(documents.STATE, {"id": ref.id})
        response = await wire.send(look_up)
        order = required_object(response, "order")
        if order.text("cancelledAt") is not None:
            return _cancel_receipt(ref, order)
        shipped = order.text("displayFulfillmentStatus") or ""
        if shipped in _SHIPPED:
            raise not_possible(
                "Shopify", response, shipped, "A part of the order is already shipped."
            )
        request = documents.request(documents.CANCEL, {"orderId": ref.id})
        try:
            response = await wire.send(request.evolve(idempotent=True))
        except sdk.VendorRejected:
            # After a lost response a repeat is refused, because the order is already cancelled.
            order = required_object(await wire.send(look_up), "order")
            if order.text("cancelledAt") is None:
                raise
            return _cancel_receipt(ref, order)
        answer = sdk.read_answer(response)
        done = sdk.required(answer.flag("data.orderCancel.job.done"), response, "orderCancel.job")
        return CancelReceipt(
            ref=ref,
            completion=Completion.DONE if done else Completion.PENDING,
            vendor_status="done" if done else "running",
            raw=answer.raw,
        )

    async def find_items(self, wire: Wire, sku: str, after: Ref | None, /) -> ItemPage:
        """A page of the variants with this item number."""
        variables = {
            "first": 50,
            "after": None if after is None else after.id,
            "query": f"sku:{documents.quoted(sku)}",
        }
        response = await wire.send(documents.request(documents.ITEMS, variables))
        data = sdk.read_answer(response).object("data")
        page = data.object("productVariants")
        if not sdk.is_list(page.value("nodes")):
            raise sdk.malformed(response, "productVariants.nodes")
        currency = sdk.required(data.text("shop.currencyCode"), response, "shop.currencyCode")
        cursor = next_cursor(response, page)
        return ItemPage(
            items=tuple(
                read_item(wire.ref, response, item, currency)
                for item in page.objects("nodes")
                if item.text("sku") == sku
            ),
            next=None if cursor is None else wire.ref(cursor),
        )

    async def set_stock(
        self,
        wire: Wire,
        ref: Ref,
        quantity: int,
        /,
        *,
        expected: int | None,
        location: str | None,
    ) -> StockReceipt:
        """Set a variant's available quantity at one location."""
        place = location or self.location
        if place is None:
            raise sdk.InvalidData(
                "Shopify counts stock for each location, but the request names no location.",
                field="location",
                remedy="Pass a location, or set the account's `location`.",
            )
        change = {
            "inventoryItemId": _related_id(ref, "stock"),
            "locationId": place,
            "quantity": quantity,
            "changeFromQuantity": expected,
        }
        variables: dict[str, Any] = {
            "input": {"name": "available", "reason": "correction", "quantities": [change]},
            "key": wire.new_id(),
        }
        request = documents.request(documents.SET_STOCK, variables)
        response = await wire.send(request.evolve(idempotent=True))
        answer = sdk.read_answer(response)
        sdk.required(
            answer.object("data.inventorySetQuantities") or None, response, "inventorySetQuantities"
        )
        return StockReceipt(ref=ref, quantity=quantity, raw=answer.raw)

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt:
        """Set the price of a variant."""
        check_same_currency(price, ref, "price")
        variables = {
            "productId": _related_id(ref, "product"),
            "variants": [{"id": ref.id, "price": str(price.amount)}],
        }
        request = documents.request(documents.SET_PRICE, variables)
        response = await wire.send(request.evolve(idempotent=True))
        answer = sdk.read_answer(response)
        variants = answer.objects("data.productVariantsBulkUpdate.productVariants")
        amount = next((item.value("price") for item in variants if item.text("id") == ref.id), None)
        money = sdk.required(sdk.as_money(amount, price.currency), response, "price")
        return PriceReceipt(ref=ref, price=money, raw=answer.raw)


async def _whole_order(wire: Wire, response: Response, answer: Answer) -> ShopOrder:
    """An order with all its lines; the first response may contain only some of them."""

    async def read_page(cursor: str) -> tuple[Response, Answer]:
        variables = {"id": answer.text("id"), "after": cursor}
        more_lines = await wire.send(documents.request(documents.LINES, variables))
        return more_lines, required_object(more_lines, "order").object("lineItems")

    lines = await all_nodes(response, answer.object("lineItems"), "lineItems", read_page)
    return read_order(wire.ref, response, answer, lines)


def _read_created(ref: Ref, response: Response) -> FulfilmentReceipt:
    answer = sdk.read_answer(response).object("data.fulfillmentCreate.fulfillment")
    return read_fulfilment(ref, response, answer)


def _cancel_receipt(ref: Ref, order: Answer) -> CancelReceipt:
    return CancelReceipt(
        ref=ref, completion=Completion.DONE, vendor_status="cancelled", raw=order.raw
    )


def _related_id(ref: Ref, name: str) -> str:
    """An id in a variant's reference, such as the id of its product.

    Raises:
        InvalidData: the reference does not come from an item that `find_items` returned.
    """
    id_ = ref.other(name)
    if id_ is not None:
        return id_
    raise sdk.InvalidData(
        "The item's reference does not contain the ids of its product and stock.",
        field="ref",
        remedy="Pass the `ref` of an item that find_items() found.",
    )
