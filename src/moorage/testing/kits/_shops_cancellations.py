"""Checks of cancellations of shop orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.shops import Completion, OrderState, ShopsCapability
from moorage.errors import VendorRejected
from moorage.testing.kits._shops_harness import has_succeeded
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.shops import ShopOrder
    from moorage.testing.kits._shops_harness import Harness

    Open = Callable[[], Harness]


async def an_order_is_cancelled_once(make: Open) -> None:
    """Repeating a cancellation changes nothing, and no parcel can be reported for the order."""
    async with make() as harness:
        if ShopsCapability.CANCEL not in harness.capabilities:
            return
        order = await harness.order(1)
        receipts = [await harness("cancel", order.ref) for _ in range(2)]
        completions = [receipt.completion for receipt in receipts]
        require(completions == [Completion.DONE] * 2, f"The order is reported as {completions}.")
        require(list(harness.shop.canceled()) == [order.ref.id], "The order is not cancelled.")
        canceled: ShopOrder = await harness("get_order", order.ref)
        is_canceled = canceled.state is OrderState.CANCELED
        require(is_canceled, f"A cancelled order is reported as {canceled.state}.")
        await harness.refused(
            VendorRejected, harness.fulfil(order.ref), "A parcel of a cancelled order"
        )
        require(
            not harness.shop.parcels(), "A parcel of a cancelled order was reported as shipped."
        )


async def a_lost_cancellation_can_be_repeated(make: Open) -> None:
    """If the response to a cancellation is lost, repeating the cancellation succeeds."""
    for step in range(2):
        async with make() as harness:
            if ShopsCapability.CANCEL not in harness.capabilities:
                return
            order = await harness.order(1)
            harness.sandbox.fail(*([None] * step), Lost())
            await has_succeeded(harness("cancel", order.ref))
            harness.sandbox.forget_faults()
            receipt = await harness("cancel", order.ref)
            require(receipt.completion is Completion.DONE, "The repeat is not reported as done.")
            require(list(harness.shop.canceled()) == [order.ref.id], "The order is not cancelled.")


async def a_shipped_order_is_not_cancelled(make: Open) -> None:
    """A repeated report of a parcel sends nothing, and a shipped order cannot be cancelled."""
    async with make() as harness:
        order = await harness.order(1)
        await harness.fulfil(order.ref)
        count = len(harness.sandbox.requests)
        await harness.fulfil(order.ref)
        require(
            len(harness.sandbox.requests) == count, "A repeated report of a parcel sent a request."
        )
        if ShopsCapability.CANCEL not in harness.capabilities:
            return
        await harness.refused(
            VendorRejected, harness("cancel", order.ref), "Cancelling a shipped order"
        )
        require(not harness.shop.canceled(), "A shipped order was cancelled.")


async def a_later_cancellation_is_pending(make: Open) -> None:
    """If the shop cancels an order only later, the cancellation is reported as pending."""
    async with make() as harness:
        if ShopsCapability.CANCEL not in harness.capabilities or harness.shop.cancels_later is None:
            return
        harness.shop.cancels_later = True
        order = await harness.order(1)
        receipt = await harness("cancel", order.ref)
        require(
            receipt.completion is Completion.PENDING,
            f"The cancellation is reported as {receipt.completion}.",
        )


CANCELLATIONS: Final = (
    an_order_is_cancelled_once,
    a_lost_cancellation_can_be_repeated,
    a_shipped_order_is_not_cancelled,
    a_later_cancellation_is_pending,
)
