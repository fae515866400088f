"""Orders, stock and prices of shops: values, statuses, and the operations of shop vendors."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import attrs

from moorage.contracts.replays import replay_field
from moorage.contracts.validators import (
    are_all,
    as_tuple,
    check_kind,
    check_text,
    is_a,
    is_count,
    is_filled,
    is_maybe_filled,
    is_moment,
)
from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.money import Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "shops"

_MOST_STOCK: Final = 1_000_000_000


class ShopsCapability(StrEnum):
    """An optional feature of a shop vendor."""

    PARTIAL_FULFILMENT = "partial_fulfilment"
    REFUND = "refund"
    COMPARE_STOCK = "compare_stock"
    LOCATIONS = "locations"


class OrderState(StrEnum):
    """The stage of an order; `closed` means that nothing is left to do for it."""

    OPEN = "open"
    CLOSED = "closed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class OrderPayment(StrEnum):
    """The state of the payment of an order, as the shop knows it."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    FAILED = "failed"
    EXPIRED = "expired"
    VOIDED = "voided"
    UNKNOWN = "unknown"


class OrderFulfilment(StrEnum):
    """The state of shipping an order; `restocked` items went back to the stock unsent."""

    UNFULFILLED = "unfulfilled"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    PARTIALLY_FULFILLED = "partially_fulfilled"
    FULFILLED = "fulfilled"
    RESTOCKED = "restocked"
    UNKNOWN = "unknown"


class Completion(StrEnum):
    """The progress of a change that the shop may carry out later."""

    DONE = "done"
    PENDING = "pending"
    UNKNOWN = "unknown"


def _is_maybe_url(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    check_text(value, attribute.name)
    try:
        url = urlsplit(str(value))
        valid = url.scheme in {"http", "https"} and bool(url.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidData(
            "The URL of the tracking page is not a web address.",
            field=attribute.name,
            remedy="Give an absolute URL, such as https://carrier.example/track/1Z999.",
        )


@frozen(kw_only=True)
class OrderQuery:
    """A query for orders, returned in the order of their last change, the oldest first.

    Attributes:
        updated_since: earliest time of the last change, included; by default all orders.
        limit: maximum number per page; the vendor may return fewer.
    """

    updated_since: datetime | None = attrs.field(default=None, validator=is_moment)
    limit: int = attrs.field(default=50, validator=is_count)


@frozen(kw_only=True)
class OrderLine:
    """A line of an order.

    Attributes:
        id: the vendor's id of the line.
        sku: your number of the item; None if it has none at the shop.
        title: name of the item.
        quantity: ordered quantity.
        unfulfilled: quantity that is still to be shipped; None if the vendor does not state it.
        unit_price: price of one item; None if it is not a whole number of minor units.
        total: price of the line after discounts.
    """

    id: str
    sku: str | None
    title: str | None
    quantity: int
    unfulfilled: int | None = None
    unit_price: Money | None = None
    total: Money | None = None


@frozen(kw_only=True)
class ShopOrder:
    """An order at a shop, as it was when the vendor answered.

    Amounts are in the currency of the shop; only `buyer_total` may be in another one.

    Attributes:
        ref: reference of the order at the vendor.
        number: number of the order that the buyer sees.
        state: stage of the order.
        payment: state of its payment.
        fulfilment: state of shipping it.
        vendor_status: the vendor's own words for these, separated by a slash.
        lines: all lines of the order.
        total: amount to pay, with taxes and shipping.
        buyer_total: the same amount in the currency that the buyer saw.
        tax: taxes in the total.
        shipping: price of shipping in the total.
        discount: discounts that the total already contains.
        email: email address of the buyer.
        billing_address: address of the invoice.
        shipping_address: address of the delivery.
        note: text that the buyer wrote with the order.
        created_at: time of the order.
        updated_at: time of its last change.
        raw: the vendor's complete answer about it.
    """

    ref: Ref
    number: str | None
    state: OrderState
    payment: OrderPayment
    fulfilment: OrderFulfilment
    vendor_status: str
    lines: tuple[OrderLine, ...] = attrs.field(default=(), repr=False)
    total: Money | None = None
    buyer_total: Money | None = None
    tax: Money | None = None
    shipping: Money | None = None
    discount: Money | None = None
    email: str | None = attrs.field(default=None, repr=False)
    billing_address: Address | None = attrs.field(default=None, repr=False)
    shipping_address: Address | None = attrs.field(default=None, repr=False)
    note: str | None = attrs.field(default=None, repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class OrderPage:
    """A page of orders.

    An order that changes between two pages moves to the end of the list. So it may be on two
    pages, and is on at least one.

    Attributes:
        items: orders of this page.
        next: reference to pass for the next page; None after the last.
        resume_at: `updated_since` of the next run: the latest change that was seen so far.
    """

    items: tuple[ShopOrder, ...]
    next: Ref | None = None
    resume_at: datetime | None = None


@frozen(kw_only=True)
class FulfilledLine:
    """A line of an order that is shipped, wholly or in part.

    Attributes:
        id: the `id` of the `OrderLine`.
        quantity: quantity that is shipped.
    """

    id: str = attrs.field(validator=is_filled)
    quantity: int = attrs.field(validator=is_count)


def _are_distinct(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    are_all(FulfilledLine)(_, attribute, value)
    if len({line.id for line in value}) < len(value):
        raise InvalidData(
            "Two lines of the fulfilment have the same id.",
            field=attribute.name,
            remedy="Give each line of the order once, with the whole quantity.",
        )


@frozen(kw_only=True)
class Fulfilment:
    """A parcel that leaves for the buyer of an order.

    Attributes:
        tracking_number: the carrier's number of the parcel. By it a parcel is recognised after a
            lost answer; without one, such an answer raises `OutcomeUnknown`.
        carrier: name of the carrier, as the buyer is to read it.
        tracking_url: address of the carrier's page about the parcel.
        lines: lines that are in the parcel; by default everything that is not shipped yet.
        notify: True to have the shop write to the buyer about the parcel.
    """

    tracking_number: str | None = attrs.field(default=None, validator=is_maybe_filled)
    carrier: str | None = attrs.field(default=None, validator=is_maybe_filled)
    tracking_url: str | None = attrs.field(default=None, repr=False, validator=_is_maybe_url)
    lines: tuple[FulfilledLine, ...] = attrs.field(
        default=(), converter=as_tuple, validator=_are_distinct
    )
    notify: bool = attrs.field(default=False, validator=is_a(bool))

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs to carry this out."""
        return frozenset([ShopsCapability.PARTIAL_FULFILMENT] if self.lines else [])


@frozen(kw_only=True)
class FulfilmentReceipt:
    """The shop's record that a parcel left.

    Attributes:
        ref: reference of the order at the vendor.
        id: the vendor's id of the fulfilment; None if the vendor gives it none.
        completion: done if the shop shows the items as shipped.
        vendor_status: the vendor's own word for that.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    id: str | None
    completion: Completion
    vendor_status: str | None = None
    replayed: bool = replay_field()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class CancelReceipt:
    """The shop's answer about the cancellation of an order.

    Attributes:
        ref: reference of the order at the vendor.
        completion: done if the order is cancelled, pending if the shop is still at it.
        vendor_status: the vendor's own word for that.
        raw: the vendor's complete answer.
    """

    ref: Ref
    completion: Completion
    vendor_status: str | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ShopRefund:
    """The shop's record of a refund to the buyer.

    Attributes:
        ref: reference of the order at the vendor.
        id: the vendor's id of the refund.
        amount: refunded amount.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    id: str
    amount: Money
    replayed: bool = replay_field()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ShopItem:
    """Something that a shop sells: a product without variants, or one variant.

    Attributes:
        ref: reference of the item, for its stock and its price.
        sku: your number of the item.
        title: name of the item.
        price: usual price.
        stock: quantity that can be sold, over all locations; None if the shop does not count it.
        raw: the vendor's complete answer about it.
    """

    ref: Ref
    sku: str
    title: str | None = None
    price: Money | None = None
    stock: int | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ItemPage:
    """A page of items.

    Attributes:
        items: items of this page.
        next: reference to pass for the next page; None after the last.
    """

    items: tuple[ShopItem, ...]
    next: Ref | None = None


@frozen(kw_only=True)
class StockReceipt:
    """The shop's record of a stock that was set.

    Attributes:
        ref: reference of the item.
        quantity: quantity that can be sold now.
        raw: the vendor's complete answer.
    """

    ref: Ref
    quantity: int
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class PriceReceipt:
    """The shop's record of a price that was set.

    Attributes:
        ref: reference of the item.
        price: usual price now.
        raw: the vendor's complete answer.
    """

    ref: Ref
    price: Money
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class ShopTopic(StrEnum):
    """The occasion of an event of a shop."""

    ORDER_CREATED = "order_created"
    ORDER_UPDATED = "order_updated"
    ORDER_CANCELED = "order_canceled"
    ORDER_DELETED = "order_deleted"


@frozen(kw_only=True)
class ShopEvent:
    """Something happened to an order; get the order to learn its current state.

    Attributes:
        id: unique id of the event.
        ref: reference of the order at the vendor.
        topic: what happened.
        at: time of the order's last change, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    topic: ShopTopic
    at: datetime | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


def check_sku(value: object) -> None:
    """Refuse a SKU that is empty, or that has spaces around it or control characters in it."""
    check_text(value, "sku")
    text = str(value)
    if not text or text != text.strip() or any(letter < " " for letter in text):
        raise InvalidData(
            "The sku is empty, or has spaces around it or control characters in it.",
            field="sku",
            remedy="Give the number of the item as the shop has it.",
        )


def check_quantity(value: object, field: str) -> None:
    """Refuse a quantity that is negative, too large or not a whole number."""
    if type(value) is not int or not 0 <= value <= _MOST_STOCK:
        raise InvalidData(
            f"The {field} is not a whole number from zero to {_MOST_STOCK}.",
            field=field,
            remedy="Give a number of items, such as 0 or 50.",
        )


def check_price(value: object, field: str, *, free: bool = False) -> None:
    """Refuse an amount of money that is not above zero; `free` accepts zero, too."""
    check_kind(value, Money, field)
    if isinstance(value, Money) and (value.minor > 0 or (free and value.minor == 0)):
        return
    raise InvalidData(
        f"The {field} is {'below' if free else 'not above'} zero.",
        field=field,
        remedy="Give a Money, such as Money('149.90', 'EUR').",
    )


def check_same_currency(amount: Money, ref: Ref, field: str) -> None:
    """Refuse an amount in another currency than that of the referenced order or item."""
    currency = ref.other("currency")
    if currency == amount.currency:
        return
    raise InvalidData(
        f"The {field} is in {amount.currency}, but the currency of the reference is"
        f" {currency or 'not stated'}.",
        field=field,
        remedy="Give an amount in the currency of the shop, and the `ref` of an order or item that"
        " was read before.",
    )


class ShopsVendor(Protocol):
    """The operations of a shop vendor; its capabilities name the optional ones."""

    async def orders(self, wire: Wire, query: OrderQuery, after: Ref | None, /) -> OrderPage: ...

    async def get_order(self, wire: Wire, ref: Ref, /) -> ShopOrder: ...

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt: ...

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelReceipt: ...

    async def refund(
        self, wire: Wire, ref: Ref, amount: Money, /, *, reason: str | None, key: str
    ) -> ShopRefund: ...

    async def find_items(self, wire: Wire, sku: str, after: Ref | None, /) -> ItemPage: ...

    async def set_stock(
        self,
        wire: Wire,
        ref: Ref,
        quantity: int,
        /,
        *,
        expected: int | None,
        location: str | None,
    ) -> StockReceipt: ...

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt: ...
