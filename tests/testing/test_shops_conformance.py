"""The conformance kit of shop vendors finds faulty ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.shops import (
    CancelReceipt,
    Completion,
    FulfilmentReceipt,
    ItemPage,
    OrderPage,
    OrderPayment,
    PriceReceipt,
    ShopOrder,
    ShopsCapability,
)
from moorage.domain.values.money import Money
from moorage.errors import ConnectionFailed, ConnectorError, OutcomeUnknown, VendorRejected
from moorage.testing import name_of
from moorage.testing import shops_conformance as kit
from moorage.vendors.shops.shopify import Shopify
from moorage.vendors.shops.woocommerce import WooCommerce
from tests.vendors import shops_subjects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.shops import Fulfilment, ShopRefund
    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.service.settings import Service


def as_shopify(kind: type[Shopify]) -> kit.Factory:
    """Return a function that makes a test subject of Shopify with another vendor class."""

    def new_subject() -> kit.ShopsSubject:
        subject = shops_subjects.shopify()
        return attrs.evolve(subject, vendor=kind(**_options(subject.vendor)))

    return new_subject


def as_woocommerce(kind: type[WooCommerce]) -> kit.Factory:
    """Return a function that makes a test subject of WooCommerce with another vendor class."""

    def new_subject() -> kit.ShopsSubject:
        subject = shops_subjects.woocommerce()
        return attrs.evolve(subject, vendor=kind(**_options(subject.vendor)))

    return new_subject


def _options(vendor: Any) -> dict[str, Any]:
    return {field.name: getattr(vendor, field.name) for field in attrs.fields(type(vendor))}


class LesserVendor(Shopify):
    """A correct vendor with the fewest capabilities."""

    capabilities = frozenset[ShopsCapability]()


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_without_optional_features_passes_all_checks(check: kit.Check) -> None:
    """A vendor without optional features passes all checks."""
    check(as_shopify(LesserVendor))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_vendor_without_optional_features_passes_all_checks_asynchronously(
    check: kit.AsyncCheck,
) -> None:
    """A vendor without optional features passes all checks asynchronously, too."""
    asyncio.run(check(as_shopify(LesserVendor)))


class _ChangesReadOrdersVendor(Shopify):
    """A faulty vendor that changes each order after it was read."""

    def changed(self, order: ShopOrder) -> ShopOrder:
        raise NotImplementedError

    async def get_order(self, wire: Wire, ref: Ref, /) -> ShopOrder:
        return self.changed(await super().get_order(wire, ref))


class _EurosAsCentsVendor(_ChangesReadOrdersVendor):
    """A faulty vendor that reads amounts in euros as if they were in cents."""

    def changed(self, order: ShopOrder) -> ShopOrder:
        total = order.total
        return attrs.evolve(order, total=total and Money.from_minor(total.minor * 100, "EUR"))


class _BuyerCurrencyVendor(_ChangesReadOrdersVendor):
    """A faulty vendor that states the total in the buyer's currency."""

    def changed(self, order: ShopOrder) -> ShopOrder:
        return attrs.evolve(order, total=order.buyer_total)


class _UnknownIsPaidVendor(_ChangesReadOrdersVendor):
    """A faulty vendor that reads an unknown status as paid."""

    def changed(self, order: ShopOrder) -> ShopOrder:
        if order.payment is not OrderPayment.UNKNOWN:
            return order
        return attrs.evolve(order, payment=OrderPayment.PAID)


class _DropsResponseVendor(_ChangesReadOrdersVendor):
    """A faulty vendor that drops the vendor's response from an order."""

    def changed(self, order: ShopOrder) -> ShopOrder:
        return attrs.evolve(order, raw=None)


class _DropsSecondLineVendor(_ChangesReadOrdersVendor):
    """A faulty vendor that drops an order's second line."""

    def changed(self, order: ShopOrder) -> ShopOrder:
        return attrs.evolve(order, lines=order.lines[:1])


@attrs.frozen(kw_only=True)
class _ShownOrder(ShopOrder):
    """An order that shows the buyer's address."""

    def __repr__(self) -> str:
        return f"ShopOrder({self.email})"


class _ShowsBuyerVendor(_ChangesReadOrdersVendor):
    """A faulty vendor whose orders show the buyer."""

    def changed(self, order: ShopOrder) -> ShopOrder:
        fields = {item.name: getattr(order, item.name) for item in attrs.fields(ShopOrder)}
        return _ShownOrder(**fields)


class _ShowingSecretsVendor(Shopify):
    """A faulty vendor that shows its secret token."""

    def __repr__(self) -> str:
        return f"Shopify({self.credentials and self.credentials.reveal()})"


class _ShipsAgainVendor(Shopify):
    """A faulty vendor that ships again after a lost response."""

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        unnumbered = attrs.evolve(fulfilment, tracking_number=None)
        try:
            return await super().fulfil(wire, ref, unnumbered, key=key)
        except OutcomeUnknown:
            if not fulfilment.lines:
                raise
            return await super().fulfil(wire, ref, unnumbered, key=f"{key}/again")


class _LostIsSuccessVendor(Shopify):
    """A faulty vendor that reports a lost response as a success."""

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        try:
            return await super().fulfil(wire, ref, fulfilment, key=key)
        except (OutcomeUnknown, ConnectionFailed):
            return FulfilmentReceipt(ref=ref, id=None, completion=Completion.DONE)


class _ErrorIsSuccessVendor(Shopify):
    """A faulty vendor that reports an error response as a success."""

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        try:
            return await super().fulfil(wire, ref, fulfilment, key=key)
        except VendorRejected:
            return FulfilmentReceipt(ref=ref, id=None, completion=Completion.DONE)


class _NotifiesNobodyVendor(Shopify):
    """A faulty vendor that does not notify the buyer of a shipment."""

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        return await super().fulfil(wire, ref, attrs.evolve(fulfilment, notify=False), key=key)


class _PendingIsDoneVendor(Shopify):
    """A faulty vendor that reports a pending cancellation as done."""

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelReceipt:
        return attrs.evolve(await super().cancel(wire, ref), completion=Completion.DONE)


class _CancelsOnlyOnceVendor(Shopify):
    """A faulty vendor that raises an error for an already cancelled order."""

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelReceipt:
        order = await self.get_order(wire, ref)
        receipt = await super().cancel(wire, ref)
        is_canceled = order.state == "canceled"
        return attrs.evolve(receipt, completion=Completion.UNKNOWN) if is_canceled else receipt


class _IgnoresExpectedStockVendor(Shopify):
    """A faulty vendor that ignores the stock that the caller expects."""

    async def set_stock(self, wire: Wire, ref: Ref, quantity: int, /, **options: Any) -> Any:
        return await super().set_stock(wire, ref, quantity, **{**options, "expected": None})


class _SendsCentsVendor(Shopify):
    """A faulty vendor that sends prices in cents."""

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt:
        cents = Money.from_minor(price.minor * 100, price.currency)
        return attrs.evolve(await super().set_price(wire, ref, cents), price=price)


class _IgnoresCurrencyVendor(Shopify):
    """A faulty vendor that does not check a price's currency."""

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt:
        return await super().set_price(wire, ref, Money.from_minor(price.minor, "EUR"))


class _FindsSimilarItemsVendor(Shopify):
    """A faulty vendor that also finds items whose numbers are only similar."""

    async def find_items(self, wire: Wire, sku: str, after: Ref | None, /) -> ItemPage:
        return await super().find_items(wire, "ROPE-10", after)


class _ForgetsPositionVendor(Shopify):
    """A faulty vendor that forgets where the last run ended."""

    async def orders(self, wire: Wire, query: Any, after: Ref | None, /) -> OrderPage:
        return attrs.evolve(await super().orders(wire, query, after), resume_at=None)


class _EndlessPagesVendor(Shopify):
    """A faulty vendor whose list of pages never ends."""

    async def orders(self, wire: Wire, query: Any, after: Ref | None, /) -> OrderPage:
        page = await super().orders(wire, query, after)
        return attrs.evolve(page, next=page.next or after)


class _PagesByNumberVendor(WooCommerce):
    """A faulty vendor that pages by number, so that changed orders shift the pages."""

    async def orders(self, wire: Wire, query: Any, after: Ref | None, /) -> OrderPage:
        number = 0 if after is None else int(after.id)
        all_orders = await super().orders(wire, attrs.evolve(query, limit=50), None)
        start = number * query.limit
        items = all_orders.items[start : start + query.limit]
        is_last = start + query.limit >= len(all_orders.items)
        next_ref = None if is_last else wire.ref(str(number + 1))
        return attrs.evolve(all_orders, items=items, next=next_ref)


class _RefundsAgainVendor(WooCommerce):
    """A faulty vendor that refunds again at each repeat."""

    async def refund(self, wire: Wire, ref: Ref, amount: Money, /, **options: Any) -> ShopRefund:
        return await super().refund(wire, ref, amount, **{**options, "key": wire.new_id()})


class _RoundsRefundVendor(WooCommerce):
    """A faulty vendor that refunds a rounded amount."""

    async def refund(self, wire: Wire, ref: Ref, amount: Money, /, **options: Any) -> ShopRefund:
        return await super().refund(wire, ref, Money("4.00", "EUR"), **options)


class _SendsPricesTwiceVendor(WooCommerce):
    """A faulty vendor that sends each price twice."""

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt:
        await super().set_price(wire, ref, price)
        return await super().set_price(wire, ref, price)


class _DropsEventsVendor(Shopify):
    """A faulty vendor that drops the events of webhooks."""

    def events(self, event: Any, ref: Any) -> tuple[Any, ...]:
        return super().events(event, ref)[1:]


class _ByStatusVendor(Shopify):
    """A faulty vendor that classifies failures only by their status."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        return None

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=self.how)
            for name, service in super().services().items()
        }


WRONG = [
    ("an_order_is_read_in_full", as_shopify(_EurosAsCentsVendor), "The total was read as"),
    ("an_order_is_read_in_full", as_shopify(_BuyerCurrencyVendor), "The total was read as"),
    (
        "an_order_is_read_in_full",
        as_shopify(_DropsResponseVendor),
        "The result lacks the vendor's response",
    ),
    ("an_order_is_read_in_full", as_shopify(_DropsSecondLineVendor), "The lines were read as"),
    (
        "an_answer_is_read_in_the_contracts_words",
        as_shopify(_UnknownIsPaidVendor),
        "payment was read as",
    ),
    ("pages_lose_no_order", as_woocommerce(_PagesByNumberVendor), "on no page"),
    ("pages_lose_no_order", as_shopify(_EndlessPagesVendor), "list of pages never ends"),
    ("the_next_run_resumes", as_shopify(_ForgetsPositionVendor), "begins at None"),
    ("a_parcel_leaves_once", as_shopify(_ShipsAgainVendor), "tracking number is lost"),
    ("a_parcel_leaves_once", as_shopify(_NotifiesNobodyVendor), "was not notified"),
    ("a_lost_answer_ships_nothing_twice", as_shopify(_LostIsSuccessVendor), "did not leave"),
    ("a_lost_answer_ships_nothing_twice", as_shopify(_ShipsAgainVendor), "2 parcels left"),
    ("a_parcel_without_number_is_uncertain", as_shopify(_LostIsSuccessVendor), "was no error"),
    ("a_part_is_shipped", as_shopify(_ErrorIsSuccessVendor), "was no error"),
    ("an_order_is_cancelled_once", as_shopify(_CancelsOnlyOnceVendor), "is reported as"),
    ("an_order_is_cancelled_once", as_shopify(_ErrorIsSuccessVendor), "was no error"),
    ("a_later_cancellation_is_pending", as_shopify(_PendingIsDoneVendor), "reported as done"),
    ("a_refund_is_paid_once", as_woocommerce(_RefundsAgainVendor), "The shop paid"),
    ("a_refund_is_paid_once", as_woocommerce(_RoundsRefundVendor), "was not"),
    ("amounts_are_in_the_shops_currency", as_shopify(_IgnoresCurrencyVendor), "was no error"),
    ("an_item_is_found_by_its_number", as_shopify(_FindsSimilarItemsVendor), "finds"),
    ("stock_and_price_are_set", as_shopify(_SendsCentsVendor), "The price became"),
    ("stock_is_compared", as_shopify(_IgnoresExpectedStockVendor), "was no error"),
    ("an_unknown_order_is_refused", as_shopify(_ErrorIsSuccessVendor), "was no error"),
    ("a_refusal_has_its_type", as_shopify(_ByStatusVendor), "Refusal 0"),
    ("each_request_is_sent_once", as_woocommerce(_SendsPricesTwiceVendor), "twice"),
    ("nothing_shows_the_buyer", as_shopify(_ShowsBuyerVendor), "shows personal data"),
    ("an_event_names_its_order", as_shopify(_DropsEventsVendor), "became 0 events"),
    ("nothing_shows_the_buyer", as_shopify(_ShowingSecretsVendor), "or a secret"),
]
PLAIN = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A shop vendor with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](wrong)


def test_vendor_without_optional_features_declares_none() -> None:
    """The vendor without optional features declares no capability."""
    assert LesserVendor.capabilities.isdisjoint(ShopsCapability)
