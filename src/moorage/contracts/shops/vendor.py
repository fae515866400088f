"""The operations of a shop vendor."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.shops.items import ItemPage, PriceReceipt, StockReceipt
    from moorage.contracts.shops.order_changes import (
        CancelReceipt,
        Fulfilment,
        FulfilmentReceipt,
        ShopRefund,
    )
    from moorage.contracts.shops.orders import OrderPage, OrderQuery, ShopOrder
    from moorage.contracts.wire import Wire
    from moorage.domain.values.money import Money

KIND: Final = "shops"


class ShopsCapability(StrEnum):
    """An optional feature of a shop vendor."""

    PARTIAL_FULFILMENT = "partial_fulfilment"
    CANCEL = "cancel"
    REFUND = "refund"
    COMPARE_STOCK = "compare_stock"
    LOCATIONS = "locations"


class ShopsVendor(Protocol):
    """The operations of a shop vendor; its `capabilities` list the optional ones."""

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
