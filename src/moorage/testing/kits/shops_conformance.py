"""Checks for every shop vendor.

The most important ones are about repeats: whichever response is lost, a parcel is shipped once and
a refund is paid once. Other checks make sure that no order is lost between pages, and that no
unknown word of the vendor is read as a success.

Each check takes a function that makes a new `ShopsSubject`: the vendor, its sandbox, and what the
kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.shops import (
    Completion,
    FulfilledLine,
    OrderFulfilment,
    OrderPayment,
    OrderQuery,
    OrderState,
    ShopsCapability,
    ShopTopic,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    InvalidData,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.testing.kits._contract_harness import (
    require_refusal,
    require_unsupported,
    through_async_hub,
    through_hub,
    uncertain_answers,
    with_an_address,
)
from moorage.testing.kits._sent_requests import require_no_repeats
from moorage.testing.kits._shops_cancellations import CANCELLATIONS
from moorage.testing.kits._shops_harness import (
    ACCOUNT,
    PARCEL,
    Harness,
    ShopsSubject,
    calls_by_capability,
    has_succeeded,
)
from moorage.testing.kits.checks import OTHER_SECRET, require
from moorage.testing.sandboxes.base import Lost
from moorage.testing.sandboxes.shops.base import SKU

if TYPE_CHECKING:
    from moorage.contracts.shops import OrderPage, ShopEvent, ShopOrder

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "ShopsSubject"]

Factory: TypeAlias = Callable[[], ShopsSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]

_JSON: Final = {"Content-Type": "application/json"}
_MALFORMED: Final = (b"{}", b"null", b"", b"<html></html>", b'{"data": {"order": {}}}')
_MOST_STEPS: Final = 6
"""The number of requests, at most, of which each may lose its response."""


async def an_order_is_read_in_full(make: Open) -> None:
    """An order is read with its lines, exact amounts, states, addresses and times."""
    async with make() as harness:
        order = await harness.order(2, 1)
        states = (order.state, order.payment, order.fulfilment)
        expected = (OrderState.OPEN, OrderPayment.PAID, OrderFulfilment.UNFULFILLED)
        require(states == expected, f"The states were read as {states}.")
        require(order.total == Money("64.20", "EUR"), f"The total was read as {order.total}.")
        require(order.shipping == Money("4.50", "EUR"), "The price of shipping is wrong.")
        lines = [(line.sku, line.quantity, line.unfulfilled, line.total) for line in order.lines]
        expected_lines = [
            (SKU, 2, 2, Money("39.80", "EUR")),
            (SKU, 1, 1, Money("19.90", "EUR")),
        ]
        require(lines == expected_lines, f"The lines were read as {lines}.")
        address = order.shipping_address
        require(address is not None and address.postal_code == "20457", "The address is lost.")
        require(order.number is not None and bool(order.vendor_status), "The order has no number.")
        moment = order.updated_at
        is_utc = moment is not None and moment.utcoffset() == timedelta(0)
        require(is_utc, "The time of the last change is not in UTC.")
        require(order.raw, "The result lacks the vendor's response.")


async def an_answer_is_read_in_the_contracts_words(make: Open) -> None:
    """Each order state of the vendor is translated; an undocumented one becomes `unknown`."""
    async with make() as harness:
        for answer, fields in harness.subject.answers:
            harness.sandbox.fail(answer)
            order: ShopOrder = await harness("get_order", harness.ref("1"))
            for name, expected in fields.items():
                value = getattr(order, name)
                require(value == expected, f"{name} was read as {value!r} instead of {expected!r}.")


async def pages_lose_no_order(make: Open) -> None:
    """An order that changes between two pages is returned in its latest state, never lost."""
    for is_clock_stopped in (False, True):
        async with make() as harness:
            harness.shop.still = is_clock_stopped
            ids = [harness.shop.add_order(1) for _ in range(7)]
            harness.shop.still = False
            orders = await _list_orders(harness, changed=ids[:2])
            update_times = {order.ref.id: order.updated_at for order in orders}
            missing_ids = [id_ for id_ in ids if id_ not in update_times]
            require(not missing_ids, f"The orders {missing_ids} are on no page.")
            latest_time = max(moment for moment in update_times.values() if moment is not None)
            require(latest_time == harness.shop.clock, "The last change of an order is on no page.")


async def _list_orders(harness: Harness, changed: list[str]) -> list[ShopOrder]:
    """Read all pages of orders, and change the given orders after the first page."""
    orders: list[ShopOrder] = []
    page: OrderPage = await harness("orders", OrderQuery(limit=2))
    for id_ in changed:
        harness.shop.touch(id_)
    orders += page.items
    for _ in range(20):
        if page.next is None:
            return orders
        page = await harness("orders", OrderQuery(limit=2), after=str(page.next))
        orders += page.items
    raise AssertionError("The list of pages never ends.")


async def the_next_run_resumes(make: Open) -> None:
    """A listing that resumes where the last one ended returns exactly the later changes."""
    async with make() as harness:
        first_id, second_id = harness.shop.add_order(1), harness.shop.add_order(1)
        page: OrderPage = await harness("orders")
        require(page.resume_at == harness.shop.clock, f"The next run begins at {page.resume_at}.")
        harness.shop.touch(first_id)
        later_page: OrderPage = await harness("orders", OrderQuery(updated_since=page.resume_at))
        ids = [order.ref.id for order in later_page.items]
        require(ids == [second_id, first_id], f"The next run reads {ids}.")
        since = harness.shop.clock + timedelta(hours=1)
        empty: OrderPage = await harness("orders", OrderQuery(updated_since=since))
        require(empty.items == () and empty.next is None, "Old orders are read again.")
        require(
            empty.resume_at == since, "A page without orders does not resume at the requested time."
        )


async def a_parcel_leaves_once(make: Open) -> None:
    """A repeat with the same idempotency key returns the same receipt, and ships nothing again."""
    async with make() as harness:
        order = await harness.order(2)
        parcel = attrs.evolve(PARCEL, notify=True)
        receipts = [await harness.fulfil(order.ref, parcel) for _ in range(2)]
        require(receipts[0] == receipts[1], "A repeat returns another receipt.")
        require(receipts[0].completion is Completion.DONE, "The parcel is not reported as done.")
        parcels = harness.shop.parcels()
        require(len(parcels) == 1, f"The shop has {len(parcels)} parcels instead of one.")
        require(parcels[0].tracking_number == "1Z999", "The tracking number is lost.")
        require(parcels[0].quantity == 2, "The parcel has another quantity.")
        require(parcels[0].notified, "The buyer was not notified.")
        shipped: ShopOrder = await harness("get_order", order.ref)
        is_shipped = shipped.fulfilment is OrderFulfilment.FULFILLED
        require(is_shipped, f"A shipped order is reported as {shipped.fulfilment}.")
        require(shipped.lines[0].unfulfilled == 0, "A shipped line is reported as open.")


async def a_lost_answer_ships_nothing_twice(make: Open) -> None:
    """Whichever response is lost, a parcel is shipped once, and only then reported as shipped."""
    for step in range(_MOST_STEPS):
        for with_lines in (False, True):
            async with make() as harness:
                if with_lines and ShopsCapability.PARTIAL_FULFILMENT not in harness.capabilities:
                    continue
                order = await harness.order(4)
                lines = (FulfilledLine(id=order.lines[0].id, quantity=2),) if with_lines else ()
                parcel = attrs.evolve(PARCEL, lines=lines)
                harness.sandbox.fail(*([None] * step), Lost())
                result = await has_succeeded(harness.fulfil(order.ref, parcel))
                harness.sandbox.forget_faults()
                is_told_rightly = bool(harness.shop.parcels()) or not result
                require(is_told_rightly, "A parcel is reported as shipped, but did not leave.")
                await has_succeeded(harness.fulfil(order.ref, parcel))
                count = len(harness.shop.parcels())
                require(count <= 1, f"{count} parcels left after a lost answer.")


async def a_parcel_without_number_is_uncertain(make: Open) -> None:
    """Without a tracking number, a lost response never leads to a second parcel.

    A vendor may refuse such a parcel before it is sent.
    """
    async with make() as harness:
        if ShopsCapability.PARTIAL_FULFILMENT not in harness.capabilities:
            return
        order = await harness.order(4)
        lines = (FulfilledLine(id=order.lines[0].id, quantity=1),)
        parcel = attrs.evolve(PARCEL, tracking_number=None, lines=lines)
        harness.sandbox.fail(None, Lost())
        request_count = len(harness.sandbox.requests)
        errors = [
            await harness.refused(
                OutcomeUnknown | InvalidData,
                harness.fulfil(order.ref, parcel),
                "A parcel that cannot be found",
            )
            for _ in range(2)
        ]
        if isinstance(errors[-1], InvalidData):
            require(len(harness.sandbox.requests) == request_count, "A refused parcel was sent.")
            return
        require(
            len(harness.shop.parcels()) == 1, "After a lost response, a second parcel was reported."
        )


async def a_part_is_shipped(make: Open) -> None:
    """Some pieces of an order line can be shipped, but not more than are still unshipped."""
    async with make() as harness:
        if ShopsCapability.PARTIAL_FULFILMENT not in harness.capabilities:
            return
        order = await harness.order(3, 1)
        part = FulfilledLine(id=order.lines[0].id, quantity=2)
        await harness.fulfil(order.ref, attrs.evolve(PARCEL, lines=(part,)))
        remaining_order: ShopOrder = await harness("get_order", order.ref)
        is_partial = remaining_order.fulfilment is OrderFulfilment.PARTIALLY_FULFILLED
        require(is_partial, f"A partly shipped order is reported as {remaining_order.fulfilment}.")
        open_quantities = [line.unfulfilled for line in remaining_order.lines]
        require(open_quantities == [1, 1], f"The lines have {open_quantities} left.")
        second = attrs.evolve(PARCEL, tracking_number="1Z998", lines=(part,))
        await harness.refused(
            VendorRejected, harness.fulfil(order.ref, second, "k-2"), "More items than are left"
        )
        require(len(harness.shop.parcels()) == 1, "A refused parcel was reported to the shop.")
        await harness.fulfil(order.ref, PARCEL, "k-3")
        quantities = [item.quantity for item in harness.shop.parcels()]
        require(
            quantities == [2, 2],
            "The remaining items, in a parcel with the same number, were not reported as shipped.",
        )


async def a_refund_is_paid_once(make: Open) -> None:
    """Whichever response is lost, a refund is paid exactly once, and a repeat returns it."""
    for step in range(-1, _MOST_STEPS):
        async with make() as harness:
            if ShopsCapability.REFUND not in harness.capabilities:
                return
            order = await harness.order(2)
            faults = [] if step < 0 else [*([None] * step), Lost()]
            harness.sandbox.fail(*faults)
            result = await has_succeeded(harness.refund(order.ref))
            harness.sandbox.forget_faults()
            require(
                not result or list(harness.shop.refunds()) == [(order.ref.id, "5.00")],
                "A refund is reported as paid, but was not.",
            )
            refund = await harness.refund(order.ref)
            require(refund.amount == Money("5.00", "EUR"), f"The amount is {refund.amount}.")
            paid = list(harness.shop.refunds())
            require(paid == [(order.ref.id, "5.00")], f"The shop paid {paid}.")
            other_refund = await harness.refund(order.ref, "1.50", key="k-2")
            require(other_refund.id != refund.id, "Another refund has the same id.")
            refunded_order: ShopOrder = await harness("get_order", order.ref)
            is_partial = refunded_order.payment is OrderPayment.PARTIALLY_REFUNDED
            require(is_partial, f"A partly refunded order is reported as {refunded_order.payment}.")


async def amounts_are_in_the_shops_currency(make: Open) -> None:
    """An amount in a currency other than the shop's is refused before sending."""
    async with make() as harness:
        order, item = await harness.order(1), await harness.item()
        request_count = len(harness.sandbox.requests)
        crowns = Money("5.00", "DKK")
        await harness.refused(
            InvalidData, harness("set_price", item.ref, crowns), "A foreign price"
        )
        if ShopsCapability.REFUND in harness.capabilities:
            refund = harness("refund", order.ref, crowns, idempotency_key="k-1")
            await harness.refused(InvalidData, refund, "A foreign refund")
        require(
            len(harness.sandbox.requests) == request_count,
            "An amount in another currency than the shop's was sent.",
        )


async def an_item_is_found_by_its_number(make: Open) -> None:
    """An item is found by its exact item number, with stock and price; similar ones are not."""
    async with make() as harness:
        item = await harness.item()
        values = (item.sku, item.stock, item.price)
        require(values == (SKU, 12, Money("19.90", "EUR")), f"The item was read as {values}.")
        for other_number in (f"{SKU}X", SKU[:-1], "ROPE", f"{SKU},ROPE"):
            page = await harness("find_items", other_number)
            require(page.items == () and page.next is None, f"{other_number!r} finds {page.items}.")


async def stock_and_price_are_set(make: Open) -> None:
    """Stock and price are set exactly, and a repeat has no further effect."""
    async with make() as harness:
        item = await harness.item()
        for quantity in (0, 7, 7):
            receipt = await harness("set_stock", item.ref, quantity)
            require(receipt.quantity == harness.shop.stock() == quantity, "The stock is wrong.")
        for amount in ("0.00", "149.05", "149.05"):
            price = Money(amount, "EUR")
            receipt = await harness("set_price", item.ref, price)
            require(receipt.price == price, f"The price is reported as {receipt.price}.")
            require(harness.shop.price() == amount, f"The price became {harness.shop.price()}.")
        changed_item = await harness.item()
        require(
            (changed_item.stock, changed_item.price) == (7, Money("149.05", "EUR")),
            "The stock and the price were not stored.",
        )


async def stock_is_compared(make: Open) -> None:
    """Setting the stock fails if the current stock differs from the expected stock."""
    async with make() as harness:
        if ShopsCapability.COMPARE_STOCK not in harness.capabilities:
            return
        item = await harness.item()
        place = {} if harness.subject.location is None else {"location": harness.subject.location}
        await harness.refused(
            VendorRejected, harness("set_stock", item.ref, 5, expected=11), "Another stock"
        )
        require(
            harness.shop.stock() == 12,
            "The stock was changed, although it differed from the expected stock.",
        )
        await harness("set_stock", item.ref, 5, expected=12, **place)
        require(harness.shop.stock() == 5, "The stock was not set.")


async def an_unknown_order_is_refused(make: Open) -> None:
    """An unknown order is refused, and nothing is reported as done."""
    async with make() as harness:
        unknown_ref = harness.ref("gid://shopify/Order/404404")
        await harness.refused(VendorRejected, harness("get_order", unknown_ref), "An unknown order")
        if ShopsCapability.CANCEL in harness.capabilities:
            await harness.refused(
                VendorRejected, harness("cancel", unknown_ref), "An unknown order"
            )
        await harness.refused(VendorRejected, harness.fulfil(unknown_ref), "An unknown order")


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error, with the vendor's code and response."""
    async with make() as harness:
        for count, (refusal, kind, code) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            harness.sandbox.fail(answer)
            error = await harness.refused(
                kind, harness("get_order", harness.ref("1")), f"Refusal {count}"
            )
            require_refusal(error, refusal, f"Refusal {count}", code)


async def a_malformed_answer_is_no_success(make: Open) -> None:
    """For every operation, a successful response without content is an error."""
    async with make() as harness:
        order, item = await harness.order(1), await harness.item()
        for answer in uncertain_answers(harness.subject.refusals[0][0]):
            harness.sandbox.fail(answer)
            await harness.refused(VendorFailed, harness.fulfil(order.ref), f"HTTP {answer.status}")
        for body in _MALFORMED:
            calls: tuple[Callable[[], Awaitable[Any]], ...] = (
                lambda: harness("get_order", order.ref),
                lambda: harness("orders"),
                lambda: harness("find_items", SKU),
                lambda: harness("set_stock", item.ref, 1),
                lambda: harness("set_price", item.ref, Money("1.00", "EUR")),
            )
            if ShopsCapability.CANCEL in harness.capabilities:
                calls += (lambda: harness("cancel", order.ref),)
            for call in calls:
                harness.sandbox.fail(Response(200, _JSON, body))
                await harness.refused(VendorFailed, call(), f"{body!r}")
                harness.sandbox.forget_faults()


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness).items())


async def each_request_is_sent_once(make: Open) -> None:
    """No operation repeats a request itself, because the hub decides on retries."""
    async with make() as harness:
        order, other_order, item = (
            await harness.order(1),
            await harness.order(1),
            await harness.item(),
        )
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "orders": lambda: harness("orders"),
            "fulfil": lambda: harness.fulfil(order.ref, attrs.evolve(PARCEL, notify=True)),
            "set_stock": lambda: harness("set_stock", item.ref, 1),
            "set_price": lambda: harness("set_price", item.ref, Money("1.00", "EUR")),
        }
        if ShopsCapability.CANCEL in harness.capabilities:
            calls["cancel"] = lambda: harness("cancel", other_order.ref)
        for name, call in calls.items():
            request_count = len(harness.sandbox.requests)
            await call()
            require_no_repeats(name, harness.sandbox.requests[request_count:])


async def nothing_shows_the_buyer(make: Open) -> None:
    """No repr of an order, page, receipt or account shows the buyer or a secret."""
    async with make() as harness:
        order = await harness.order(1)
        receipt = await harness.fulfil(order.ref)
        page = await harness("orders")
        account = harness.hub.account(ACCOUNT)
        harness.check_hides(f"{order!r}{receipt!r}{page!r}{account!r}", "A repr")


async def an_event_names_its_order(make: Open) -> None:
    """A signed webhook has its order's reference; a webhook with another signature is rejected."""
    async with make() as harness:
        report, secret = harness.subject.report, harness.subject.webhook_secret
        if report is None or secret is None:
            return
        order = await harness.order(1)
        notice = report(order.ref.id)
        webhook = harness.hub.webhooks(ACCOUNT, secrets=secret).verify(**notice.arguments())[0]
        events: tuple[ShopEvent, ...] = harness.hub.events(ACCOUNT, webhook)
        require(len(events) == 1, f"A change became {len(events)} events.")
        event = events[0]
        require(event.ref == order.ref, f"The event names {event.ref}.")
        require(event.topic is ShopTopic.ORDER_UPDATED, f"The topic was read as {event.topic}.")
        require(event.at == order.updated_at, f"The time was read as {event.at}.")
        require(event.raw and bool(event.id), "The event has no id or no content.")
        harness.check_hides(f"{event!r}", "An event")
        strange_verifier = harness.hub.webhooks(ACCOUNT, secrets=OTHER_SECRET, replay_guard=False)
        try:
            strange_verifier.verify(**notice.arguments())
        except WebhookRejected:
            return
        raise AssertionError("A webhook with a forged signature is accepted.")


_ALL_CHECKS: Final = (
    an_order_is_read_in_full,
    an_answer_is_read_in_the_contracts_words,
    pages_lose_no_order,
    the_next_run_resumes,
    a_parcel_leaves_once,
    a_lost_answer_ships_nothing_twice,
    a_parcel_without_number_is_uncertain,
    a_part_is_shipped,
    *CANCELLATIONS,
    a_refund_is_paid_once,
    amounts_are_in_the_shops_currency,
    an_item_is_found_by_its_number,
    stock_and_price_are_set,
    stock_is_compared,
    an_unknown_order_is_refused,
    a_refusal_has_its_type,
    a_malformed_answer_is_no_success,
    unsupported_features_are_refused,
    each_request_is_sent_once,
    nothing_shows_the_buyer,
    an_event_names_its_order,
)

CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
