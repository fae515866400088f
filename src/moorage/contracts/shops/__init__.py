"""Orders, stock and prices of shops: values, statuses, and the operations of shop vendors.

`orders` contains the orders, `order_changes` parcels, cancellations and refunds, `items` stock and
prices, `events` the changes that a shop reports, and `vendor` the operations of a vendor.
"""

from __future__ import annotations

from moorage.contracts.shops.events import ShopEvent, ShopTopic
from moorage.contracts.shops.items import (
    ItemPage,
    PriceReceipt,
    ShopItem,
    StockReceipt,
    check_price,
    check_quantity,
    check_sku,
)
from moorage.contracts.shops.order_changes import (
    CancelReceipt,
    Completion,
    FulfilledLine,
    Fulfilment,
    FulfilmentReceipt,
    ShopRefund,
    check_same_currency,
)
from moorage.contracts.shops.orders import (
    OrderFulfilment,
    OrderLine,
    OrderPage,
    OrderPayment,
    OrderQuery,
    OrderState,
    ShopOrder,
)
from moorage.contracts.shops.vendor import KIND, ShopsCapability, ShopsVendor

__all__ = [
    "KIND",
    "CancelReceipt",
    "Completion",
    "FulfilledLine",
    "Fulfilment",
    "FulfilmentReceipt",
    "ItemPage",
    "OrderFulfilment",
    "OrderLine",
    "OrderPage",
    "OrderPayment",
    "OrderQuery",
    "OrderState",
    "PriceReceipt",
    "ShopEvent",
    "ShopItem",
    "ShopOrder",
    "ShopRefund",
    "ShopTopic",
    "ShopsCapability",
    "ShopsVendor",
    "StockReceipt",
    "check_price",
    "check_quantity",
    "check_same_currency",
    "check_sku",
]
