"""WooCommerce: a shop's orders, stock and prices, by REST API version 3.

WooCommerce takes no idempotency key. A parcel is written to separate fields of the order, so
writing it twice has no further effect. A note to the buyer and a refund are looked up before they
are made; if they may have been made and cannot be found, the outcome is unknown.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    CancelReceipt,
    Completion,
    FulfilmentReceipt,
    ItemPage,
    OrderPage,
    PriceReceipt,
    ShopRefund,
    ShopsCapability,
    StockReceipt,
    check_same_currency,
)
from moorage.vendors.shops._common import found_or_unknown, not_possible
from moorage.vendors.shops._woocommerce_answers import (
    read_events,
    read_item,
    read_order,
)
from moorage.vendors.shops._woocommerce_pages import OrderCursor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shops import Fulfilment, OrderQuery, ShopItem, ShopOrder
    from moorage.vendor_sdk import (
        Answer,
        Money,
        Ref,
        Request,
        Response,
        Wire,
    )

_API: Final = "/wp-json/wc/v3"
_KEY: Final = "_moorage_key"
_LONGEST_KEY: Final = 64
_PARCEL: Final = "_moorage_parcel"
_NO_PARCEL: Final = frozenset({"cancelled", "refunded", "failed", "trash", "checkout-draft"})
_NO_CANCEL: Final = frozenset({"completed", "refunded", "trash"})


@attrs.frozen(kw_only=True)
class WooCommerce(sdk.ApiVendor):
    """A WooCommerce shop, with a REST API key that may read and write.

    Attributes:
        base_url: address of the shop's WordPress, such as https://shop.example.
        consumer_key: the key's public part, which begins with ck_.
        credentials: the key's secret, which begins with cs_; by default the credential provider
            supplies `Credentials`.
        currency: ISO 4217 code of the shop's currency.
        parcel_note: text to the buyer about a parcel; {carrier}, {number} and {url} in it are
            replaced by the parcel's.
    """

    name = "woocommerce"
    kinds = ("shops",)
    api_version = "v3"
    capabilities = frozenset({ShopsCapability.CANCEL, ShopsCapability.REFUND})
    limits: ClassVar[Mapping[str, int]] = {"page": 100}
    webhook = "woocommerce"
    auth = sdk.basic("consumer_key")
    refusals = sdk.Refusals(
        vendor="WooCommerce",
        statuses=sdk.error_statuses("400", login="401 403"),
    )
    ping_path = f"{_API}/orders"
    event_reading = staticmethod(read_events)
    ping_query: ClassVar[Mapping[str, Any] | None] = {"per_page": "1", "_fields": "id"}

    base_url: str
    consumer_key: str = attrs.field(repr=False)
    currency: str = attrs.field(
        validator=sdk.one_of(
            *sdk.EXPONENTS,
            problem="The value is not an ISO 4217 currency code.",
            remedy="Set the shop's currency in three capital letters, such as EUR.",
        )
    )
    parcel_note: str = "Your parcel is on its way: {carrier} {number} {url}"

    async def orders(self, wire: Wire, query: OrderQuery, after: Ref | None, /) -> OrderPage:
        """A page of orders; its cursor is a time, and the orders of that time already read.

        The cursor contains the ids of the orders of that time that were already read. Numbered
        pages could skip orders: an order that changes meanwhile moves the others up.
        """
        cursor = OrderCursor.of(query, after)
        filters = {
            "orderby": "modified",
            "order": "asc",
            "per_page": str(min(query.limit, self.limits["page"])),
            "dates_are_gmt": "true",
            **cursor.filters,
        }
        response = await wire.send(sdk.Request.get(f"{_API}/orders", query=filters))
        answers = sdk.read_answers(response)
        orders = tuple(read_order(wire.ref, response, answer) for answer in answers)
        next_cursor = cursor.after(orders, is_last=_is_last(response))
        return OrderPage(
            items=orders,
            next=None if next_cursor is None else wire.ref("next", **next_cursor.related),
            resume_at=cursor.resume_at(orders),
        )

    async def get_order(self, wire: Wire, ref: Ref, /) -> ShopOrder:
        """The current state of an order."""
        response = await wire.send(sdk.Request.get(_order_path(ref)))
        return read_order(wire.ref, response, sdk.read_answer(response))

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        """Add the parcel to the order, complete the order, and notify the buyer if requested."""
        await wire.send(
            sdk.Request.get(_order_path(ref), query={"_fields": "id,status"}),
            key=sdk.part_key(key, "status"),
            parse=partial(_check_status, _NO_PARCEL),
        )
        parcel = _parcel(fulfilment)
        body = {"status": "completed", "meta_data": [{"key": _PARCEL, "value": parcel}]}
        receipt = await wire.send(
            sdk.Request.put(_order_path(ref), json=body),
            key=key,
            parse=partial(_read_fulfilment, ref),
        )
        if fulfilment.notify:
            await self._notify(wire, ref, fulfilment, sdk.part_key(key, "note"))
        return receipt

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelReceipt:
        """Cancel an order that is neither completed nor refunded."""
        response = await wire.send(
            sdk.Request.get(_order_path(ref), query={"_fields": "id,status"})
        )
        if _check_status(_NO_CANCEL, response) != "cancelled":
            request = sdk.Request.put(_order_path(ref), json={"status": "cancelled"})
            response = await wire.send(request)
        answer = _with_status(response)
        is_done = answer.text("status") == "cancelled"
        return CancelReceipt(
            ref=ref,
            completion=Completion.DONE if is_done else Completion.UNKNOWN,
            vendor_status=answer.text("status"),
            raw=answer.raw,
        )

    async def refund(
        self, wire: Wire, ref: Ref, amount: Money, /, *, reason: str | None, key: str
    ) -> ShopRefund:
        """Refund an amount by the order's payment method, unless the key was used before."""
        check_same_currency(amount, ref, "amount")
        mark = sdk.key_for_vendor(wire, key, _LONGEST_KEY)
        body = {
            "amount": str(amount.amount),
            "reason": reason or "",
            "api_refund": True,
            "meta_data": [{"key": _KEY, "value": mark}],
        }
        read = partial(_read_refund, ref, amount.currency)
        earlier_refund = await _refund_of(wire, ref, mark)
        if earlier_refund is not None:
            return read(*earlier_refund)
        request = sdk.Request.post(f"{_order_path(ref)}/refunds", json=body)
        try:
            return await wire.send(
                request, key=key, parse=lambda made: read(made, sdk.read_answer(made))
            )
        except sdk.OutcomeUnknown as unknown_outcome:
            return read(
                *await found_or_unknown(unknown_outcome, partial(_refund_of, wire, ref, mark))
            )

    async def find_items(self, wire: Wire, sku: str, after: Ref | None, /) -> ItemPage:
        """A page of the products and variations with this item number."""
        page = _page_number(after)
        query = {"sku": sku, "per_page": str(self.limits["page"]), "page": str(page)}
        response = await wire.send(sdk.Request.get(f"{_API}/products", query=query))
        items: list[ShopItem] = [
            read_item(wire.ref, response, answer, self.currency)
            for answer in sdk.read_answers(response)
            if answer.text("sku") == sku
        ]
        next_ref = None if _is_last(response) else wire.ref(str(page + 1))
        return ItemPage(items=tuple(items), next=next_ref)

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
        """Set a product's or variation's stock, which WooCommerce then tracks."""
        answer, response = await _put_item(
            wire, ref, {"manage_stock": True, "stock_quantity": quantity}
        )
        stock = sdk.required(answer.integer("stock_quantity"), response, "stock_quantity")
        return StockReceipt(ref=ref, quantity=stock, raw=answer.raw)

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt:
        """Set the regular price of a product or a variation."""
        check_same_currency(price, ref, "price")
        answer, response = await _put_item(wire, ref, {"regular_price": str(price.amount)})
        money = sdk.as_money(answer.value("regular_price"), price.currency)
        return PriceReceipt(
            ref=ref, price=sdk.required(money, response, "regular_price"), raw=answer.raw
        )

    async def _notify(self, wire: Wire, ref: Ref, fulfilment: Fulfilment, key: str) -> None:
        """Add a note to the buyer, unless the order has the same note."""
        text = self.parcel_note
        for name, value in (
            ("{carrier}", fulfilment.carrier),
            ("{number}", fulfilment.tracking_number),
            ("{url}", fulfilment.tracking_url),
        ):
            text = text.replace(name, value or "")
        text = " ".join(text.split())
        if await _note_of(wire, ref, text) is not None:
            return
        request = sdk.Request.post(
            f"{_order_path(ref)}/notes", json={"note": text, "customer_note": True}
        )
        try:
            await wire.send(request, key=key, parse=_read_note)
        except sdk.OutcomeUnknown as unknown_outcome:
            await found_or_unknown(unknown_outcome, partial(_note_of, wire, ref, text))


def _order_path(ref: Ref) -> str:
    return f"{_API}/orders/{quote(ref.id, safe='')}"


def _page_number(after: Ref | None) -> int:
    if after is None:
        return 1
    if after.id.isascii() and after.id.isdigit() and len(after.id) < 10:
        return int(after.id)
    raise sdk.InvalidData(
        "`after` is not the `next` of a page.",
        field="after",
        remedy="Pass the `next` of the previous page.",
    )


def _is_last(response: Response) -> bool:
    return 'rel="next"' not in (response.headers.get("link") or "")


def _with_status(response: Response) -> Answer:
    answer = sdk.read_answer(response)
    sdk.required(answer.text("status"), response, "status")
    return answer


def _check_status(impossible: frozenset[str], response: Response) -> str:
    """The status of an order; raise an error if it makes the operation impossible.

    Raises:
        VendorRejected: the status does not allow the next step.
    """
    status = sdk.required(sdk.read_answer(response).text("status"), response, "status")
    if status in impossible:
        raise not_possible(
            "WooCommerce",
            response,
            status,
            f"The order has the status {status}, which does not allow this.",
        )
    return status


def _parcel(fulfilment: Fulfilment) -> str:
    parts = (fulfilment.carrier, fulfilment.tracking_number, fulfilment.tracking_url)
    return " ".join(part for part in parts if part) or "shipped"


def _meta(answer: Answer, name: str) -> str | None:
    """Return the value of a custom field of an order or a refund."""
    values = (item for item in answer.objects("meta_data") if item.text("key") == name)
    return next((item.text("value") for item in values), None)


def _read_fulfilment(ref: Ref, response: Response) -> FulfilmentReceipt:
    answer = _with_status(response)
    is_done = answer.text("status") == "completed"
    return FulfilmentReceipt(
        ref=ref,
        id=None,
        completion=Completion.DONE if is_done else Completion.UNKNOWN,
        vendor_status=answer.text("status"),
        raw=answer.raw,
    )


def _read_refund(ref: Ref, currency: str, response: Response, answer: Answer) -> ShopRefund:
    amount = sdk.as_money(answer.value("amount"), currency)
    return ShopRefund(
        ref=ref,
        id=sdk.required(answer.text("id"), response, "id"),
        amount=sdk.required(amount, response, "amount"),
        raw=answer.raw,
    )


async def _refund_of(wire: Wire, ref: Ref, mark: str) -> tuple[Response, Answer] | None:
    """The order's refund that was made with this key; None if there is none."""
    request = sdk.Request.get(f"{_order_path(ref)}/refunds", query={"per_page": "100"})
    response = await wire.send(request)
    refunds = sdk.read_answers(response)
    return next(((response, item) for item in refunds if _meta(item, _KEY) == mark), None)


async def _note_of(wire: Wire, ref: Ref, text: str) -> Answer | None:
    """The note to the buyer with this text; None if there is none."""
    request = sdk.Request.get(f"{_order_path(ref)}/notes", query={"type": "customer"})
    notes = sdk.read_answers(await wire.send(request))
    return next(
        (note for note in notes if " ".join((note.text("note") or "").split()) == text), None
    )


def _read_note(response: Response) -> Answer:
    answer = sdk.read_answer(response)
    sdk.required(answer.text("id"), response, "id")
    return answer


async def _put_item(wire: Wire, ref: Ref, fields: dict[str, Any]) -> tuple[Answer, Response]:
    """Change a product or variation; a variation's URL is below its product's."""
    parent, id_ = ref.other("parent"), quote(ref.id, safe="")
    path = f"/products/{quote(parent, safe='')}/variations/{id_}" if parent else f"/products/{id_}"
    request: Request = sdk.Request.put(f"{_API}{path}", json=fields)
    response = await wire.send(request)
    return sdk.read_answer(response), response
