"""DHL Express: rates, labels, ship dates, and purchases with a lost response."""

from __future__ import annotations

from datetime import date, time
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.contracts.shipping import LabelFormat, ShipmentState, TrackingStatus
from moorage.domain.values.money import Money
from moorage.errors import (
    ConnectionFailed,
    IdempotencyConflict,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
)
from moorage.testing.sandboxes.base import Lost, reply
from moorage.vendors.shipping._dhl_express_requests import handover_time
from tests.vendors.dhl_express_account import MARK, PARCEL, PLANNED, REQUEST, SandboxHub

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new DHL Express sandbox."""
    return SandboxHub()


def test_price_in_the_billed_currency(shop: SandboxHub) -> None:
    """A DHL rate has the billed currency's price; a rate without a price becomes a message."""
    products = [
        {"productCode": "P", "totalPrice": [{"currencyType": "BASEC", "price": 1}]},
        {
            "productCode": "Y",
            "totalPrice": [
                {"currencyType": "BASEC", "priceCurrency": "USD", "price": 0.1},
                {"currencyType": "BILLC", "priceCurrency": "USD", "price": 19.99},
            ],
        },
    ]
    shop.sandbox.fail(reply({"products": products, "warnings": ["It is late."]}))
    result = shop.shipping.get_rates(REQUEST)

    assert [(Money("19.99", "USD"), "dhl_express_y")] == [
        (rate.total, rate.service) for rate in result.rates
    ]
    assert ["It is late.", "A rate could not be read."] == [
        message.text for message in result.messages
    ]


def test_rate_has_dhl_express_number_of_days_in_transit(shop: SandboxHub) -> None:
    """A rate has DHL Express's number of days in transit, and its time of arrival."""
    rates = shop.shipping.get_rates(REQUEST).rates

    assert [("P", 3, date(2030, 1, 4)), ("Y", 2, date(2030, 1, 3))] == [
        (rate.vendor_service, rate.delivery_days, rate.delivery_date and rate.delivery_date.date())
        for rate in rates
    ]


def test_shipment_without_a_product_has_no_rates(shop: SandboxHub) -> None:
    """If DHL has no product for a shipment, there are no rates; an unreadable response fails."""
    shop.sandbox.fail(reply({"products": []}))
    result = shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)
    assert ((), 1) == (result.rates, len(result.messages))

    shop.sandbox.fail(reply({"detail": "7008: It is not available."}, 400))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.shipping.get_rates(REQUEST)
    assert "7008" == excinfo.value.vendor_code


def test_only_a_whole_rate_is_bought(shop: SandboxHub) -> None:
    """A DHL rate cannot be bought by its id alone, because DHL stores no rates."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    count = len(shop.sandbox.requests)
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.shipping.create_shipment(rate.ref, idempotency_key="k-1")

    assert ("buy_by_reference",) == excinfo.value.capabilities
    assert count == len(shop.sandbox.requests)
    assert "Lovelace" not in repr(rate)
    assert rate.total == shop.shipping.create_shipment(rate, idempotency_key="k-1").cost


def test_each_parcel_of_dhl_shipment_has_its_own_number_and_label(shop: SandboxHub) -> None:
    """Each parcel of a DHL shipment has its own number and label."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL])
    numbers = shipment.tracking_numbers

    assert 2 == len(set(numbers))
    assert list(numbers) == [label.tracking_number for label in shipment.labels]
    assert all(
        number.encode() in (label.content or b"")
        for number, label in zip(numbers, shipment.labels, strict=True)
    )
    result = shop.shipping.get_shipment(shipment.ref)
    assert (ShipmentState.BOUGHT, numbers, ()) == (
        result.state,
        result.tracking_numbers,
        result.labels,
    )
    shop.buy_label_of_order("order-2")
    shop.sandbox.move(numbers[1], "WC")
    shop.sandbox.move([*shop.sandbox.shipments][1], "OK")
    assert TrackingStatus.OUT_FOR_DELIVERY is shop.shipping.track(numbers[1], "DHL Express").status
    assert ("pieceTrackingNumber", numbers[1]) in shop.sandbox.requests[-1].query


def test_lost_purchase_is_found_without_its_label(shop: SandboxHub) -> None:
    """A DHL purchase with a lost response is found by its reference, without its label."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost())
    result = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    (number,) = shop.sandbox.shipments
    assert ((number,), (), rate.total, rate.service) == (
        result.tracking_numbers,
        result.labels,
        result.cost,
        result.service,
    )
    assert "label" in (result.warnings[0].text or "")
    query = dict(shop.sandbox.requests[-1].query)
    assert (MARK, "2029-12-30", "2030-01-02") == (
        query["shipmentReference"],
        query["dateRangeFrom"],
        query["dateRangeTo"],
    )


@pytest.mark.parametrize("odd", [reply({"shipments": [{}, 1]}), reply({}, 500)])
def test_unfound_purchase_is_unknown(shop: SandboxHub, odd: Response) -> None:
    """A lost DHL purchase that cannot be found has an unknown outcome."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost(), odd)
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")


def test_own_reference_is_not_a_mark(shop: SandboxHub) -> None:
    """A DHL shipment whose own reference equals the key is not mistaken for a lost purchase."""
    shop.buy_label_of_order("another", reference="k-1")
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(ConnectionFailed("The request was lost."))
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")


def test_default_ship_date() -> None:
    """By default the ship date is the current day at the sender's place."""
    shop = SandboxHub(ready="08:30", utc_offset="+13:00")
    shop.shipping.get_rates(REQUEST)
    assert "2030-01-02T08:30:00 GMT+13:00" == shop.last_body["plannedShippingDateAndTime"]
    shop.shipping.get_rates(attrs.evolve(REQUEST, ship_date=date(2030, 2, 3)))
    assert "2030-02-03T08:30:00 GMT+13:00" == shop.last_body["plannedShippingDateAndTime"]
    assert PLANNED == handover_time(date(2030, 1, 2), time(17), "+01:00")
    usual_shop = SandboxHub()
    usual_shop.shipping.get_rates(REQUEST)
    assert "2030-01-01T17:00:00 GMT+00:00" == usual_shop.last_body["plannedShippingDateAndTime"]


def test_dhl_purchase_that_is_repeated_on_next_day_returns_first_one(shop: SandboxHub) -> None:
    """A DHL purchase that is repeated on the next day returns the first purchase."""
    first = shop.buy_label_of_order()
    shop.clock.advance(13 * 3_600)
    assert first == shop.buy_label_of_order()
    assert 1 == len(shop.sandbox.shipments)
    with pytest.raises(IdempotencyConflict):
        shop.buy_label_of_order(reference="another order")
    with pytest.raises(IdempotencyConflict):
        shop.buy_label_of_order(ship_date=date(2030, 1, 5))


def test_purchase_without_a_number_is_no_success(shop: SandboxHub) -> None:
    """A DHL purchase without a shipment number fails with an unknown outcome."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(reply({"documents": []}, 201))
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")
    shop.sandbox.fail(reply({"shipmentTrackingNumber": "1", "warnings": ["No prices."]}, 201))
    bought_shipment = shop.shipping.create_shipment(rate, idempotency_key="k-2")
    assert (rate.total, (), "No prices.") == (
        bought_shipment.cost,
        bought_shipment.labels,
        bought_shipment.warnings[0].text,
    )


def test_label_that_cannot_be_read_is_kept(shop: SandboxHub) -> None:
    """A DHL label in an unknown format is kept; invalid Base64 gives a label without content."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    label = {"typeCode": "label", "imageFormat": "LP2", "content": "?", "packageReferenceNumber": 9}
    shop.sandbox.fail(reply({"shipmentTrackingNumber": "1", "documents": [label]}, 201))
    (result,) = shop.shipping.create_shipment(rate, idempotency_key="k-1").labels

    assert (LabelFormat.UNKNOWN, "LP2", None, None) == (
        result.format,
        result.vendor_format,
        result.content,
        result.tracking_number,
    )


def test_price_without_decimals_stays_exact(shop: SandboxHub) -> None:
    """A rate in yen keeps its price, and its reference has the price as DHL wrote it."""
    price = {"currencyType": "BILLC", "priceCurrency": "JPY", "price": 1500}
    shop.sandbox.fail(reply({"products": [{"productCode": "Y", "totalPrice": [price]}]}))
    [rate] = shop.shipping.get_rates(REQUEST).rates

    assert Money("1500", "JPY") == rate.total
    assert ("1500", "JPY") == (rate.ref.other("price"), rate.ref.other("currency"))


def test_products_without_code_or_price_are_no_rates(shop: SandboxHub) -> None:
    """A product without a code or a price becomes a message; without products, the call fails."""
    price = {"currencyType": "BILLC", "priceCurrency": "EUR", "price": 9}
    shop.sandbox.fail(reply({"products": [{"totalPrice": [price]}, {"productCode": "Y"}]}))
    result = shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply({"warnings": []}))
    with pytest.raises(VendorFailed, match="products"):
        shop.shipping.get_rates(REQUEST)

    assert ((), ["A rate could not be read."] * 2) == (
        result.rates,
        [message.text for message in result.messages],
    )
