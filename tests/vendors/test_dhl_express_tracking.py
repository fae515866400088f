"""DHL Express: tracking and addresses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from moorage.contracts.shipping import AddressVerdict, TrackingStatus
from moorage.errors import InvalidRequest, UnsupportedByVendor, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from tests.vendors.dhl_express_shop import THERE, Shop


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """A shop of its own for each test."""
    return Shop()


def test_tracking_events_are_in_order(shop: Shop) -> None:
    """Checkpoints have their time zone, are in order, and name the signer."""
    bought = shop.bought()
    assert TrackingStatus.PRE_TRANSIT is shop.shipping.track_shipment(bought.ref).status
    for code in ("PU", "OH", "OK"):
        shop.sandbox.move(bought.tracking_numbers[0], code)
    tracking = shop.shipping.track_shipment(bought.ref)

    assert ["PU", "OH", "OK"] == [event.vendor_status for event in tracking.events]
    assert datetime(2030, 1, 3, 6, tzinfo=UTC) == tracking.delivered_at
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery
    assert "John Tester" == tracking.signed_by
    assert "John Tester" not in repr(tracking)
    place = tracking.events[0].location
    assert "Leipzig-Germany" == (place and place.city)


def test_incomplete_checkpoints(shop: Shop) -> None:
    """A checkpoint without time or place is read as far as possible."""
    shop.sandbox.fail(reply({"shipments": [{"shipmentTrackingNumber": "1", "events": [{}, 7]}]}))
    tracking = shop.shipping.track("1", "dhl_express")

    (event,) = tracking.events
    assert (TrackingStatus.UNKNOWN, None, None) == (event.status, event.at, event.location)


def test_parcels_of_others_are_not_followed(shop: Shop) -> None:
    """DHL follows what DHL carries, and says so before it is asked; nor does it know any number."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.track("1Z", "ups")
    assert [] == shop.sandbox.asked
    with pytest.raises(VendorRejected):
        shop.shipping.track("1", "dhl_express")
    shop.sandbox.fail(reply({"detail": "It is down."}, 503))
    with pytest.raises(VendorFailed):
        shop.shipping.track("1", "dhl_express")
    shop.sandbox.fail(reply({"detail": "No."}, 400))
    with pytest.raises(InvalidRequest):
        shop.shipping.track("1", "dhl_express")
    shop.sandbox.fail(reply({"shipments": []}))
    with pytest.raises(VendorRejected, match="not know this shipment"):
        shop.shipping.track("1", "dhl_express")


def test_a_place_is_compared(shop: Shop) -> None:
    """DHL knows cities and codes; how it writes them is told, and streets are left alone."""
    checked = shop.shipping.validate_address(THERE)
    assert (AddressVerdict.VALID, ()) == (checked.verdict, checked.changes)

    place = {"countryCode": "CA", "postalCode": "M4W", "cityName": "TORONTO"}
    shop.sandbox.fail(reply({"address": [place], "warnings": ["It is far."]}))
    checked = shop.shipping.validate_address(THERE)
    assert (AddressVerdict.CORRECTED, ("postal_code",)) == (checked.verdict, checked.changes)
    assert ("1 Bloor Street", "It is far.") == (
        checked.suggested and checked.suggested.line1,
        checked.messages[0].text,
    )


def test_a_place_that_is_none_is_invalid(shop: Shop) -> None:
    """An empty list is no place; an answer without any is a failure, and a refusal stays one."""
    shop.sandbox.fail(reply({"address": [], "warnings": ["There is no such code."]}))
    checked = shop.shipping.validate_address(THERE)
    assert (AddressVerdict.INVALID, "There is no such code.") == (
        checked.verdict,
        checked.messages[0].text,
    )
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(THERE)
    shop.sandbox.fail(reply({"detail": "Parameters not having correct format"}, 400))
    with pytest.raises(InvalidRequest):
        shop.shipping.validate_address(THERE)
