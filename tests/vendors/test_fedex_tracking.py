"""FedEx: tracking and addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts.shipping import AddressVerdict, Place, ShipmentState, TrackingStatus
from moorage.errors import UnsupportedByVendor, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from tests.vendors.fedex_account import (
    RECIPIENT,
    RESOLVE_ADDRESS,
    TRACK,
    SandboxHub,
    fedex_response,
)

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new FedEx sandbox."""
    return SandboxHub()


def tracked(**track: Any) -> Response:
    """Return a FedEx response with a parcel's tracking."""
    return fedex_response(completeTrackResults=[{"trackResults": [track]}])


def address_response(**address: Any) -> Response:
    """Return a FedEx response with a resolved address."""
    return fedex_response(resolvedAddresses=[address])


@pytest.mark.parametrize(
    "word, status",
    [
        ("OC", TrackingStatus.PRE_TRANSIT),
        ("PU", TrackingStatus.IN_TRANSIT),
        ("IT", TrackingStatus.IN_TRANSIT),
        ("Ow", TrackingStatus.IN_TRANSIT),
        ("OD", TrackingStatus.OUT_FOR_DELIVERY),
        ("HL", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("DE", TrackingStatus.DELIVERY_ATTEMPTED),
        ("CD", TrackingStatus.ON_HOLD),
        ("DL", TrackingStatus.DELIVERED),
        ("RS", TrackingStatus.RETURNED),
        ("CA", TrackingStatus.CANCELED),
        ("ZZ", TrackingStatus.UNKNOWN),
    ],
)
def test_tracking_fedex_parcel_returns_its_latest_status_and_its_events(
    shop: SandboxHub, word: str, status: TrackingStatus
) -> None:
    """Tracking a FedEx parcel returns its latest status and its events."""
    [number] = shop.buy_label_of_order().tracking_numbers
    shop.sandbox.move(number, "PU")
    shop.sandbox.move(number, word)
    tracking = shop.shipping.track(number, "fedex")

    assert (status, word) == (tracking.status, tracking.vendor_status)
    assert ["PU", word] == [event.vendor_status for event in tracking.events]
    expected = Place(city="MEMPHIS", region="TN", postal_code="38118", country="US")
    assert expected == tracking.events[0].location
    assert datetime(2030, 1, 5, 23, tzinfo=UTC) == tracking.estimated_delivery


@pytest.mark.parametrize(
    "codes, status",
    [
        ("OC OX EP AP DR DS MD", TrackingStatus.PRE_TRANSIT),
        (
            "PU PX OF IT IX AA AC AF AO AR AX CC CP DP EA EO FD LO OW PF PL PM SF SP TR",
            TrackingStatus.IN_TRANSIT,
        ),
        ("OD ED AD", TrackingStatus.OUT_FOR_DELIVERY),
        ("HL HP", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("DE", TrackingStatus.DELIVERY_ATTEMPTED),
        ("SE CD DD DY PD", TrackingStatus.ON_HOLD),
        ("DL", TrackingStatus.DELIVERED),
        ("RS", TrackingStatus.RETURNED),
        ("CA", TrackingStatus.CANCELED),
    ],
)
def test_fedex_scan_codes_have_statuses(
    shop: SandboxHub, codes: str, status: TrackingStatus
) -> None:
    """Each code of FedEx's scans gives its event the corresponding status."""
    [number] = shop.buy_label_of_order().tracking_numbers
    events = [{"eventType": code, "date": "2030-01-05T10:00:00Z"} for code in codes.split()]
    shop.wire.planned[TRACK] = [tracked(scanEvents=events)]
    tracking = shop.shipping.track(number, "fedex")

    assert dict.fromkeys(codes.split(), status) == {
        event.vendor_status: event.status for event in tracking.events
    }


def test_fedex_tracking_without_times_or_places_is_read_as_far_as_possible(
    shop: SandboxHub,
) -> None:
    """FedEx tracking without times or places is read as far as possible."""
    latest_status = {"code": "DL", "ancillaryDetails": [{"reason": "15"}]}
    events = [{"eventType": "PU", "exceptionDescription": "Late"}, {}]
    shop.wire.planned[TRACK] = [
        tracked(
            latestStatusDetail=latest_status,
            scanEvents=events,
            deliveryDetails={"receivedByName": "Anna"},
            dateAndTimes=[{"type": "ESTIMATED_DELIVERY", "dateTime": "2030-01-05T00:00:00"}],
        )
    ]
    tracking = shop.shipping.track("7", "FedEx")

    assert ("7", "15", "Anna", None) == (
        tracking.number,
        tracking.code,
        tracking.signed_by,
        tracking.delivered_at,
    )
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery
    assert ["Late", None] == [event.text for event in tracking.events]
    assert [None, None] == [event.location for event in tracking.events]


def test_delivery_time_from_the_event(shop: SandboxHub) -> None:
    """FedEx's delivery time comes from the delivery event if the response has no other."""
    events = [{"eventType": "DL", "derivedStatusCode": "DL", "date": "2030-01-05T09:00:00+00:00"}]
    shop.wire.planned[TRACK] = [tracked(latestStatusDetail={"code": "DL"}, scanEvents=events)]

    assert datetime(2030, 1, 5, 9, tzinfo=UTC) == shop.shipping.track("7", "FedEx").delivered_at


def test_events_of_the_same_minute_are_in_order(shop: SandboxHub) -> None:
    """FedEx sends the newest event first, also among events of the same minute."""
    events = [
        {"eventType": "DP", "date": "2030-01-05T09:00:00+00:00"},
        {"eventType": "AR", "date": "2030-01-05T09:00:00+00:00"},
        {"eventType": "PU", "date": "2030-01-04T09:00:00+00:00"},
    ]
    shop.wire.planned[TRACK] = [tracked(scanEvents=events), tracked(scanEvents=events[::-1])]

    for _ in range(2):
        tracking = shop.shipping.track("7", "FedEx")
        assert ["PU", "AR", "DP"] == [event.vendor_status for event in tracking.events]


def test_unknown_number_is_refused_unless_just_bought(shop: SandboxHub) -> None:
    """FedEx refuses an unknown number; if its label was just bought, its status is unknown."""
    shipment = shop.buy_label_of_order()
    shop.sandbox.tracks.clear()
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.track("7", "fedex")
    assert "TRACKING.TRACKINGNUMBER.NOTFOUND" == excinfo.value.vendor_code
    tracking = shop.shipping.track_shipment(shipment.ref)
    assert (TrackingStatus.UNKNOWN, shipment.ref.id) == (tracking.status, tracking.number)
    assert ShipmentState.UNKNOWN is shop.shipping.get_shipment(shipment.ref).state
    error = {"code": "TRACKING.DATA.DENIED", "message": "No."}
    shop.wire.planned[TRACK] = [tracked(error=error), fedex_response(alerts=[]), reply({})]
    with pytest.raises(VendorRejected, match=r"No\."):
        shop.shipping.track_shipment(shipment.ref)
    with pytest.raises(VendorFailed):
        shop.shipping.track("7", "fedex")
    with pytest.raises(VendorFailed):
        shop.shipping.track("7", "fedex")
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.track("7", "ups")


@pytest.mark.parametrize(
    "told_of, verdict",
    [
        ({"attributes": {"Resolved": "true", "DPV": "true"}}, AddressVerdict.CORRECTED),
        ({"attributes": {"Resolved": True}}, AddressVerdict.CORRECTED),
        ({"attributes": {"Resolved": "true", "DPV": "false"}}, AddressVerdict.INVALID),
        (
            {"attributes": {"Resolved": "true", "DPV": "false"}, "countryCode": "DE"},
            AddressVerdict.CORRECTED,
        ),
        ({"attributes": {"Resolved": "false"}}, AddressVerdict.INVALID),
        ({"city": "X"}, AddressVerdict.UNKNOWN),
    ],
)
def test_address_that_fedex_cannot_resolve_or_deliver_to_is_not_valid(
    shop: SandboxHub, told_of: dict[str, Any], verdict: AddressVerdict
) -> None:
    """An address that FedEx cannot resolve or deliver to is not valid."""
    shop.wire.planned[RESOLVE_ADDRESS] = [address_response(**told_of)]
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert verdict is checked_result.verdict
    assert (verdict is AddressVerdict.CORRECTED) is (checked_result.suggested is not None)
    assert (verdict is AddressVerdict.INVALID) is bool(checked_result.messages)


@pytest.mark.parametrize(
    "word, is_residential",
    [("RESIDENTIAL", True), ("BUSINESS", False), ("MIXED", None), ("UNKNOWN", None)],
)
def test_classification_tells_whether_an_address_is_residential(
    shop: SandboxHub, word: str, *, is_residential: bool | None
) -> None:
    """FedEx classifies an address; a mixed or unknown one is neither residential nor not."""
    shop.wire.planned[RESOLVE_ADDRESS] = [
        address_response(
            streetLinesToken=["179 N HARBOR DR"],
            city="REDONDO BEACH",
            stateOrProvinceCode="CA",
            countryCode="US",
            parsedPostalCode={"base": "90277"},
            classification=word,
            attributes={"Resolved": "true"},
        ),
        fedex_response(),
    ]
    suggested_address = shop.shipping.validate_address(RECIPIENT).suggested

    assert suggested_address is not None
    assert is_residential is suggested_address.residential


def test_address_is_suggested_as_it_is_resolved(shop: SandboxHub) -> None:
    """The suggested address has FedEx's street and postcode, and the name that was given."""
    message = {"code": "SUITE.NUMBER.REQUIRED", "message": "Which?"}
    shop.wire.planned[RESOLVE_ADDRESS] = [
        address_response(
            streetLinesToken=["179 N HARBOR DR"],
            city="REDONDO BEACH",
            stateOrProvinceCode="CA",
            countryCode="US",
            parsedPostalCode={"base": "90277", "addOn": "1234"},
            classification="BUSINESS",
            customerMessages=[message],
            attributes={"Resolved": "true"},
        ),
        fedex_response(),
    ]
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert (("postal_code",), False) == (checked_result.changes, checked_result.residential)
    assert checked_result.suggested is not None
    assert ("90277-1234", "Elizabeth Swan") == (
        checked_result.suggested.postal_code,
        checked_result.suggested.name,
    )
    assert ["SUITE.NUMBER.REQUIRED"] == [message.code for message in checked_result.messages]
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(RECIPIENT)
