"""Example calls to shops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.ref import Ref
from moorage.contracts.shops import FulfilledLine, Fulfilment, ShopItem, ShopsCapability
from moorage.domain.values.money import Money
from moorage.testing.sandboxes.shops.base import SKU

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

PARCEL: Final = Fulfilment(tracking_number="1Z999", carrier="UPS")


async def order(vendor: ScenarioVendor) -> Any:
    """Return a paid and unshipped order of two pieces."""
    if not vendor.is_supported:
        return None
    id_ = vendor.fixture.vendor_values["order"]()
    return await vendor("get_order", Ref(vendor.name, vendor.name, id_))


async def order_ref(vendor: ScenarioVendor) -> Ref:
    """Return an order's reference; an invented one if the vendor lacks the tested capability."""
    entry = await order(vendor)
    ref: Ref = Ref(vendor.name, vendor.name, "1") if entry is None else entry.ref
    return ref


async def item_ref(vendor: ScenarioVendor) -> Ref:
    """Return the item's reference; an invented one if the vendor lacks the tested capability."""
    if not vendor.is_supported:
        return Ref(vendor.name, vendor.name, "1", {"currency": "EUR"})
    items: tuple[ShopItem, ...] = (await vendor("find_items", SKU, account=vendor.name)).items
    return items[0].ref


async def orders(vendor: ScenarioVendor) -> Any:
    """List the orders."""
    await order(vendor)
    return len((await vendor("orders", account=vendor.name)).items)


async def one_order(vendor: ScenarioVendor) -> Any:
    """Get an order."""
    return (await order(vendor)).state


async def parcel(vendor: ScenarioVendor) -> Any:
    """Ship all remaining items of an order."""
    ref = await order_ref(vendor)
    return (await vendor("fulfil", ref, PARCEL, idempotency_key="parcel-1")).completion


async def partial_parcel(vendor: ScenarioVendor) -> Any:
    """Ship one of two pieces."""
    entry = await order(vendor)
    ref = Ref(vendor.name, vendor.name, "1") if entry is None else entry.ref
    line = FulfilledLine(id="1" if entry is None else entry.lines[0].id, quantity=1)
    fulfilment = Fulfilment(tracking_number="1Z998", lines=[line])
    return (await vendor("fulfil", ref, fulfilment, idempotency_key="parcel-2")).completion


async def cancellation(vendor: ScenarioVendor) -> Any:
    """Cancel an order."""
    return (await vendor("cancel", await order_ref(vendor))).completion


async def refund(vendor: ScenarioVendor) -> Any:
    """Refund a part of an order."""
    ref, amount = await order_ref(vendor), Money("5.00", "EUR")
    return (await vendor("refund", ref, amount, reason="Late", idempotency_key="refund-1")).amount


async def item(vendor: ScenarioVendor) -> Any:
    """Find an item by its number."""
    return len((await vendor("find_items", SKU, account=vendor.name)).items)


async def stock(vendor: ScenarioVendor) -> Any:
    """Set the stock of an item."""
    return (await vendor("set_stock", await item_ref(vendor), 7)).quantity


async def stock_if_unchanged(vendor: ScenarioVendor) -> Any:
    """Set the stock of an item only if the current stock is as expected."""
    return (await vendor("set_stock", await item_ref(vendor), 7, expected=12)).quantity


async def stock_at_location(vendor: ScenarioVendor) -> Any:
    """Set the stock of an item at one location."""
    place = str(vendor.fixture.options.get("location", "1"))
    return (await vendor("set_stock", await item_ref(vendor), 7, location=place)).quantity


async def price(vendor: ScenarioVendor) -> Any:
    """Set the price of an item."""
    amount = Money("21.50", "EUR")
    return (await vendor("set_price", await item_ref(vendor), amount)).price


BASIC: Final[dict[str, Scenario]] = {
    "orders": orders,
    "get_order": one_order,
    "fulfil": parcel,
    "find_items": item,
    "set_stock": stock,
    "set_price": price,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    ShopsCapability.PARTIAL_FULFILMENT: partial_parcel,
    ShopsCapability.CANCEL: cancellation,
    ShopsCapability.REFUND: refund,
    ShopsCapability.COMPARE_STOCK: stock_if_unchanged,
    ShopsCapability.LOCATIONS: stock_at_location,
}
