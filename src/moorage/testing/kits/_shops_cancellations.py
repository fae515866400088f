"""Checks of cancellations of shop orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts.shops import Completion, OrderState, ShopsCapability
from moorage.errors import VendorRejected
from moorage.testing.kits._shops_lab import has_succeeded
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.shops import ShopOrder
    from moorage.testing.kits._shops_lab import Lab

    Open = Callable[[], Lab]


async def an_order_is_cancelled_once(make: Open) -> None:
    """Repeating a cancellation changes nothing, and no parcel can be reported for the order."""
    async with make() as lab:
        if ShopsCapability.CANCEL not in lab.capabilities:
            return
        order = await lab.order(1)
        receipts = [await lab("cancel", order.ref) for _ in range(2)]
        completions = [receipt.completion for receipt in receipts]
        require(completions == [Completion.DONE] * 2, f"The order is reported as {completions}.")
        require(list(lab.shop.canceled()) == [order.ref.id], "The order is not cancelled.")
        canceled: ShopOrder = await lab("get_order", order.ref)
        is_canceled = canceled.state is OrderState.CANCELED
        require(is_canceled, f"A cancelled order is reported as {canceled.state}.")
        await lab.refused(VendorRejected, lab.fulfil(order.ref), "A parcel of a cancelled order")
        require(not lab.shop.parcels(), "A parcel of a cancelled order was reported as shipped.")


async def a_lost_cancellation_can_be_repeated(make: Open) -> None:
    """If the response to a cancellation is lost, repeating the cancellation succeeds."""
    for step in range(2):
        async with make() as lab:
            if ShopsCapability.CANCEL not in lab.capabilities:
                return
            order = await lab.order(1)
            lab.sandbox.fail(*([None] * step), Lost())
            await has_succeeded(lab("cancel", order.ref))
            lab.sandbox.forget_faults()
            receipt = await lab("cancel", order.ref)
            require(receipt.completion is Completion.DONE, "The repeat is not reported as done.")
            require(list(lab.shop.canceled()) == [order.ref.id], "The order is not cancelled.")


async def a_shipped_order_is_not_cancelled(make: Open) -> None:
    """A repeated report of a parcel sends nothing, and a shipped order cannot be cancelled."""
    async with make() as lab:
        order = await lab.order(1)
        await lab.fulfil(order.ref)
        count = len(lab.sandbox.requests)
        await lab.fulfil(order.ref)
        require(len(lab.sandbox.requests) == count, "A repeated report of a parcel sent a request.")
        if ShopsCapability.CANCEL not in lab.capabilities:
            return
        await lab.refused(VendorRejected, lab("cancel", order.ref), "Cancelling a shipped order")
        require(not lab.shop.canceled(), "A shipped order was cancelled.")


async def a_later_cancellation_is_pending(make: Open) -> None:
    """If the shop cancels an order only later, the cancellation is reported as pending."""
    async with make() as lab:
        if ShopsCapability.CANCEL not in lab.capabilities or lab.shop.cancels_later is None:
            return
        lab.shop.cancels_later = True
        order = await lab.order(1)
        receipt = await lab("cancel", order.ref)
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
