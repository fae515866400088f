"""The operations on shops for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.shops import ShopsContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.shops import (
        CancelReceipt,
        Fulfilment,
        FulfilmentReceipt,
        ItemPage,
        OrderPage,
        OrderQuery,
        PriceReceipt,
        ShopOrder,
        ShopRefund,
        StockReceipt,
    )
    from moorage.domain.values.money import Money
    from moorage.services.contracts.live_configuration import FindDispatcher


class ShopsFlows(Flows, ShopsContract):
    """The operations of one tenant."""


class Shops(Uncopyable):
    """Reads orders from shops, and reports parcels, stock and prices to them."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ShopsFlows, find_dispatcher, tenant)

    def orders(
        self,
        query: OrderQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> OrderPage:
        """Get a page of the orders, sorted by their last change, the oldest first.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(ShopsFlows.orders, query, after=after, account=account, timeout=timeout)
        )

    def get_order(self, ref: Ref | str, *, timeout: float | None = None) -> ShopOrder:
        """Get the current state of an order."""
        return run_now(self._flows.run(ShopsFlows.get_order, ref, timeout=timeout))

    def fulfil(
        self,
        ref: Ref | str,
        fulfilment: Fulfilment,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> FulfilmentReceipt:
        """Tell the shop that a parcel of an order was sent.

        Args:
            ref: reference of the order.
            fulfilment: the parcel.
            idempotency_key: identifies this parcel: a repeat ships nothing again.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the order is cancelled, or fewer items are left than the parcel has.
        """
        return run_now(
            self._flows.run(
                ShopsFlows.fulfil, ref, fulfilment, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> CancelReceipt:
        """Cancel an order and return its items to the stock; nothing is refunded.

        An order that is cancelled already counts as cancelled.

        Args:
            ref: reference of the order.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the order was shipped or refunded already.
        """
        return run_now(self._flows.run(ShopsFlows.cancel, ref, timeout=timeout))

    def refund(
        self,
        ref: Ref | str,
        amount: Money,
        *,
        reason: str | None = None,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> ShopRefund:
        """Refund an amount of an order by its means of payment.

        Args:
            ref: reference of the order, as it was read from the shop.
            amount: amount to refund, in the currency of the order.
            reason: text for the buyer and your records.
            idempotency_key: identifies this refund: a repeat pays nothing again.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                ShopsFlows.refund,
                ref,
                amount,
                reason=reason,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def find_items(
        self,
        sku: str,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> ItemPage:
        """Get a page of a shop's items with a SKU; several items of a shop may have the same SKU.

        Args:
            sku: your number of the item, which must match wholly.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                ShopsFlows.find_items, sku, after=after, account=account, timeout=timeout
            )
        )

    def set_stock(
        self,
        ref: Ref | str,
        quantity: int,
        *,
        expected: int | None = None,
        location: str | None = None,
        timeout: float | None = None,
    ) -> StockReceipt:
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
        return run_now(
            self._flows.run(
                ShopsFlows.set_stock,
                ref,
                quantity,
                expected=expected,
                location=location,
                timeout=timeout,
            )
        )

    def set_price(
        self, ref: Ref | str, price: Money, *, timeout: float | None = None
    ) -> PriceReceipt:
        """Set the usual price of an item; repeating this has no further effect.

        Args:
            ref: reference of the item, as it was found in the shop.
            price: new price, in the currency of the shop.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(ShopsFlows.set_price, ref, price, timeout=timeout))


class AsyncShops(Uncopyable):
    """The asynchronous version of `Shops`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ShopsFlows, find_dispatcher, tenant)

    async def orders(
        self,
        query: OrderQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> OrderPage:
        """Get a page of the orders, sorted by their last change, the oldest first.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ShopsFlows.orders, query, after=after, account=account, timeout=timeout
        )

    async def get_order(self, ref: Ref | str, *, timeout: float | None = None) -> ShopOrder:
        """Get the current state of an order."""
        return await self._flows.run(ShopsFlows.get_order, ref, timeout=timeout)

    async def fulfil(
        self,
        ref: Ref | str,
        fulfilment: Fulfilment,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> FulfilmentReceipt:
        """Tell the shop that a parcel of an order was sent.

        Args:
            ref: reference of the order.
            fulfilment: the parcel.
            idempotency_key: identifies this parcel: a repeat ships nothing again.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the order is cancelled, or fewer items are left than the parcel has.
        """
        return await self._flows.run(
            ShopsFlows.fulfil, ref, fulfilment, idempotency_key=idempotency_key, timeout=timeout
        )

    async def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> CancelReceipt:
        """Cancel an order and return its items to the stock; nothing is refunded.

        An order that is cancelled already counts as cancelled.

        Args:
            ref: reference of the order.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the order was shipped or refunded already.
        """
        return await self._flows.run(ShopsFlows.cancel, ref, timeout=timeout)

    async def refund(
        self,
        ref: Ref | str,
        amount: Money,
        *,
        reason: str | None = None,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> ShopRefund:
        """Refund an amount of an order by its means of payment.

        Args:
            ref: reference of the order, as it was read from the shop.
            amount: amount to refund, in the currency of the order.
            reason: text for the buyer and your records.
            idempotency_key: identifies this refund: a repeat pays nothing again.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ShopsFlows.refund,
            ref,
            amount,
            reason=reason,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def find_items(
        self,
        sku: str,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> ItemPage:
        """Get a page of a shop's items with a SKU; several items of a shop may have the same SKU.

        Args:
            sku: your number of the item, which must match wholly.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ShopsFlows.find_items, sku, after=after, account=account, timeout=timeout
        )

    async def set_stock(
        self,
        ref: Ref | str,
        quantity: int,
        *,
        expected: int | None = None,
        location: str | None = None,
        timeout: float | None = None,
    ) -> StockReceipt:
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
        return await self._flows.run(
            ShopsFlows.set_stock,
            ref,
            quantity,
            expected=expected,
            location=location,
            timeout=timeout,
        )

    async def set_price(
        self, ref: Ref | str, price: Money, *, timeout: float | None = None
    ) -> PriceReceipt:
        """Set the usual price of an item; repeating this has no further effect.

        Args:
            ref: reference of the item, as it was found in the shop.
            price: new price, in the currency of the shop.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(ShopsFlows.set_price, ref, price, timeout=timeout)
