"""The contract of shops and marketplaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.declaration import Contract, Requirements, Target, changes, reads
from moorage.contracts.ref import Ref
from moorage.contracts.shops import (
    Fulfilment,
    OrderQuery,
    ShopEvent,
    ShopsCapability,
    check_price,
    check_quantity,
    check_sku,
    events,
    items,
    order_changes,
    orders,
)
from moorage.contracts.validators import check_kind, check_maybe, check_text

if TYPE_CHECKING:
    from moorage.contracts.shops import (
        CancelReceipt,
        FulfilmentReceipt,
        ItemPage,
        OrderPage,
        PriceReceipt,
        ShopOrder,
        ShopRefund,
        StockReceipt,
    )
    from moorage.domain.values.money import Money

_ORDER: Final[Requirements[ShopOrder]] = Requirements()
_CANCEL: Final[Requirements[CancelReceipt]] = Requirements()


class ShopsContract(Contract):
    """Reads orders from shops, and reports parcels, stock and prices to them."""

    kind = "shops"
    capabilities = ShopsCapability
    event = ShopEvent
    values = (events, items, order_changes, orders)

    @reads(target=Target.PAGE)
    def orders(
        self,
        query: OrderQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[OrderPage]:
        """Get a page of the orders, sorted by their last change, the oldest first.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        query = OrderQuery() if query is None else query
        check_kind(query, OrderQuery, "query")
        check_maybe(account, str, "account")
        start = None if after is None else Ref.parse(after, "after")
        return Requirements(arguments={"query": query, "after": start})

    @reads(target=Target.REFERENCE)
    def get_order(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[ShopOrder]:
        """Get the current state of an order."""
        return _ORDER

    @changes(target=Target.REFERENCE)
    def fulfil(
        self,
        ref: Ref | str,
        fulfilment: Fulfilment,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Requirements[FulfilmentReceipt]:
        """Tell the shop that a parcel of an order was sent.

        Args:
            ref: reference of the order.
            fulfilment: the parcel.
            idempotency_key: identifies this parcel: a repeat ships nothing again.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the order is cancelled, or fewer items are left than the parcel has.
        """
        check_kind(fulfilment, Fulfilment, "fulfilment")
        return Requirements(needs=fulfilment.needs)

    @changes(target=Target.REFERENCE, needs=ShopsCapability.CANCEL)
    def cancel(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[CancelReceipt]:
        """Cancel an order and return its items to the stock; nothing is refunded.

        An order that is cancelled already counts as cancelled.

        Args:
            ref: reference of the order.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the order was shipped or refunded already.
        """
        return _CANCEL

    @changes(target=Target.REFERENCE, needs=ShopsCapability.REFUND)
    def refund(
        self,
        ref: Ref | str,
        amount: Money,
        *,
        reason: str | None = None,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Requirements[ShopRefund]:
        """Refund an amount of an order by its means of payment.

        Args:
            ref: reference of the order, as it was read from the shop.
            amount: amount to refund, in the currency of the order.
            reason: text for the buyer and your records.
            idempotency_key: identifies this refund: a repeat pays nothing again.
            timeout: seconds for the whole operation.
        """
        check_price(amount, "amount")
        check_maybe(reason, str, "reason")
        return Requirements(currency=amount.currency)

    @reads(target=Target.PAGE)
    def find_items(
        self,
        sku: str,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[ItemPage]:
        """Get a page of a shop's items with a SKU; several items of a shop may have the same SKU.

        Args:
            sku: your number of the item, which must match wholly.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_sku(sku)
        check_maybe(account, str, "account")
        start = None if after is None else Ref.parse(after, "after")
        return Requirements(arguments={"after": start})

    @changes(target=Target.REFERENCE)
    def set_stock(
        self,
        ref: Ref | str,
        quantity: int,
        *,
        expected: int | None = None,
        location: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[StockReceipt]:
        """Set the quantity of an item that can be sold; repeating this has no further effect.

        Args:
            ref: reference of the item.
            quantity: new quantity, not a difference.
            expected: quantity that the shop must have before; otherwise the stock stays unchanged.
            location: the vendor's id of the location; by default the account's location.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the shop had another quantity than the expected one.
        """
        check_quantity(quantity, "quantity")
        needs: set[str] = set()
        if expected is not None:
            check_quantity(expected, "expected")
            needs.add(ShopsCapability.COMPARE_STOCK)
        if location is not None:
            check_text(location, "location")
            needs.add(ShopsCapability.LOCATIONS)
        return Requirements(needs=needs)

    @changes(target=Target.REFERENCE)
    def set_price(
        self, ref: Ref | str, price: Money, *, timeout: float | None = None
    ) -> Requirements[PriceReceipt]:
        """Set the usual price of an item; repeating this has no further effect.

        Args:
            ref: reference of the item, as it was found in the shop.
            price: new price, in the currency of the shop.
            timeout: seconds for the whole operation.
        """
        check_price(price, "price", free=True)
        return Requirements(currency=price.currency)
