"""Orders of shops: queries, lines, states and pages."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.validators import is_count, is_moment
from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.domain.values.money import Money


class OrderState(StrEnum):
    """The state of an order; `closed` means that the order needs no further action."""

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
    """The state of shipping an order; `restocked` items went back to stock unsent."""

    UNFULFILLED = "unfulfilled"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    PARTIALLY_FULFILLED = "partially_fulfilled"
    FULFILLED = "fulfilled"
    RESTOCKED = "restocked"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class OrderQuery:
    """A query for orders, returned in the order of their last change, the oldest first.

    Attributes:
        updated_since: earliest time of the last change, included; by default all orders.
        limit: maximum number per page; the vendor may return fewer.
    """

    updated_since: datetime | None = field(default=None, validator=is_moment)
    limit: int = field(default=50, validator=is_count)


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
    """An order at a shop, as the vendor described it.

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
        prices_include_tax: whether the prices of the lines and of shipping contain their taxes, as
            usual for consumers in Europe; None if the vendor does not state it.
        email: email address of the buyer.
        billing_address: address of the invoice.
        shipping_address: address of the delivery.
        note: text that the buyer wrote with the order.
        created_at: time of the order.
        updated_at: time of its last change.
        raw: the vendor's complete response about it.
    """

    ref: Ref
    number: str | None
    state: OrderState
    payment: OrderPayment
    fulfilment: OrderFulfilment
    vendor_status: str
    lines: tuple[OrderLine, ...] = field(default=(), repr=False)
    total: Money | None = None
    buyer_total: Money | None = None
    tax: Money | None = None
    shipping: Money | None = None
    discount: Money | None = None
    prices_include_tax: bool | None = None
    email: str | None = field(default=None, repr=False)
    billing_address: Address | None = field(default=None, repr=False)
    shipping_address: Address | None = field(default=None, repr=False)
    note: str | None = field(default=None, repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class OrderPage:
    """A page of orders.

    An order that changes between two pages moves to the end of the list. So an order may be on two
    pages, and is on at least one.

    Attributes:
        items: orders of this page.
        next: reference to pass for the next page; None after the last.
        resume_at: `updated_since` of the next run: the latest change that was seen so far.
    """

    items: tuple[ShopOrder, ...]
    next: Ref | None = None
    resume_at: datetime | None = None
