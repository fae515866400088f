"""DHL Express: tracking and addresses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from moorage.contracts.shipping import AddressVerdict, TrackingStatus
from moorage.errors import InvalidRequest, UnsupportedByVendor, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from tests.vendors.dhl_express_account import RECIPIENT, SandboxHub


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new DHL Express sandbox."""
    return SandboxHub()


def test_tracking_events_are_in_order(shop: SandboxHub) -> None:
    """DHL tracking events are in order, have their time zone, and name the person who signed."""
    shipment = shop.buy_label_of_order()
    assert TrackingStatus.PRE_TRANSIT is shop.shipping.track_shipment(shipment.ref).status
    for code in ("PU", "OH", "OK"):
        shop.sandbox.move(shipment.tracking_numbers[0], code)
    tracking = shop.shipping.track_shipment(shipment.ref)

    assert ["PU", "OH", "OK"] == [event.vendor_status for event in tracking.events]
    assert datetime(2030, 1, 3, 6, tzinfo=UTC) == tracking.delivered_at
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery
    assert "John Tester" == tracking.signed_by
    assert "John Tester" not in repr(tracking)
    place = tracking.events[0].location
    assert "Leipzig-Germany" == (place and place.city)


def test_dhl_tracking_event_without_time_or_place_is_read_as_far_as_possible(
    shop: SandboxHub,
) -> None:
    """A DHL tracking event without time or place is read as far as possible."""
    shop.sandbox.fail(reply({"shipments": [{"shipmentTrackingNumber": "1", "events": [{}, 7]}]}))
    tracking = shop.shipping.track("1", "dhl_express")

    (event,) = tracking.events
    assert (TrackingStatus.UNKNOWN, None, None) == (event.status, event.at, event.location)


@pytest.mark.parametrize(
    "codes, status",
    [
        ("PU SA AF AR DF PL CR IC TR FD MC MS MD BR PD", TrackingStatus.IN_TRANSIT),
        ("BA CD CM HP OH SS UD", TrackingStatus.ON_HOLD),
        ("CA ND NH RD", TrackingStatus.DELIVERY_ATTEMPTED),
        ("WC", TrackingStatus.OUT_FOR_DELIVERY),
        ("CC", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("OK DD", TrackingStatus.DELIVERED),
        ("RT", TrackingStatus.RETURNED),
        ("DS", TrackingStatus.FAILED),
    ],
)
def test_dhl_checkpoints_have_statuses(
    shop: SandboxHub, codes: str, status: TrackingStatus
) -> None:
    """Each code of DHL's checkpoints gives its event the corresponding status."""
    events = [{"typeCode": code, "date": "2030-01-05"} for code in codes.split()]
    shop.sandbox.fail(reply({"shipments": [{"shipmentTrackingNumber": "1", "events": events}]}))
    tracking = shop.shipping.track("1", "dhl_express")

    assert dict.fromkeys(codes.split(), status) == {
        event.vendor_status: event.status for event in tracking.events
    }


def test_last_of_two_events_of_the_same_second_is_the_state(shop: SandboxHub) -> None:
    """If DHL lists the newest event first, the first of two events in a second is the state."""
    events = [
        {"typeCode": code, "date": f"2030-01-0{day}", "time": "09:00:00", "GMTOffset": "+00:00"}
        for code, day in (("OK", 5), ("WC", 5), ("PU", 4))
    ]
    shop.sandbox.fail(reply({"shipments": [{"shipmentTrackingNumber": "1", "events": events}]}))
    tracking = shop.shipping.track("1", "dhl_express")

    assert TrackingStatus.DELIVERED is tracking.status
    assert ["PU", "WC", "OK"] == [event.vendor_status for event in tracking.events]


def test_only_dhl_numbers_are_tracked(shop: SandboxHub) -> None:
    """Other carriers' numbers are refused before sending, and unknown ones are refused by DHL."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.track("1Z", "ups")
    assert [] == shop.sandbox.requests
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


def test_address_check_ignores_streets_and_suggests_spellings_of_places(shop: SandboxHub) -> None:
    """DHL checks cities and postal codes, suggests its spelling, and ignores streets."""
    checked_result = shop.shipping.validate_address(RECIPIENT)
    assert (AddressVerdict.VALID, ()) == (checked_result.verdict, checked_result.changes)

    place = {"countryCode": "CA", "postalCode": "M4W", "cityName": "TORONTO"}
    shop.sandbox.fail(reply({"address": [place], "warnings": ["It is far."]}))
    checked_result = shop.shipping.validate_address(RECIPIENT)
    assert (AddressVerdict.CORRECTED, ("postal_code",)) == (
        checked_result.verdict,
        checked_result.changes,
    )
    assert ("1 Bloor Street", "It is far.") == (
        checked_result.suggested and checked_result.suggested.line1,
        checked_result.messages[0].text,
    )


def test_address_without_known_place_is_invalid(shop: SandboxHub) -> None:
    """An address in an unknown place is invalid; a malformed DHL response is a failure."""
    shop.sandbox.fail(reply({"address": [], "warnings": ["There is no such code."]}))
    checked_result = shop.shipping.validate_address(RECIPIENT)
    assert (AddressVerdict.INVALID, "There is no such code.") == (
        checked_result.verdict,
        checked_result.messages[0].text,
    )
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(RECIPIENT)
    shop.sandbox.fail(reply({"detail": "Parameters not having correct format"}, 400))
    with pytest.raises(InvalidRequest):
        shop.shipping.validate_address(RECIPIENT)


def test_tracking_request_asks_for_all_events(shop: SandboxHub) -> None:
    """One request to DHL asks for all tracking events, with the time zone of each."""
    shipment = shop.buy_label_of_order()
    shop.sandbox.move(shipment.tracking_numbers[0], "PU")
    before = len(shop.sandbox.requests)
    shop.shipping.track_shipment(shipment.ref)
    [request] = shop.sandbox.requests[before:]

    assert {
        "trackingView": "all-checkpoints",
        "levelOfDetail": "all",
        "requestGMTOffsetPerEvent": "true",
    } == dict(request.query)


def test_number_of_a_parcel_is_looked_up_in_one_request(shop: SandboxHub) -> None:
    """A number that is not a shipment's is looked up as a parcel's number, in one request."""
    shop.sandbox.fail(reply({"shipments": []}))
    before = len(shop.sandbox.requests)
    with pytest.raises(VendorRejected):
        shop.shipping.track("JD0001", "dhl_express")
    [request] = shop.sandbox.requests[before:]

    assert ("/mydhlapi/tracking", "JD0001") == (
        request.path,
        dict(request.query)["pieceTrackingNumber"],
    )
