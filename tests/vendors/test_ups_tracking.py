"""UPS: tracking and addresses."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from moorage.contracts.shipping import AddressVerdict, Place, TrackingStatus
from moorage.errors import UnsupportedByVendor, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from tests.vendors.ups_account import CANADIAN_ADDRESS, RECIPIENT, SandboxHub


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new UPS sandbox."""
    return SandboxHub()


def test_tracking_events_are_in_order(shop: SandboxHub) -> None:
    """UPS's tracking events are in UTC and sorted by time."""
    shipment = shop.buy_label_of_order()
    for kind in ("I", "O", "D"):
        shop.sandbox.move(shipment.tracking_numbers[0], kind, "SR")
    tracking = shop.shipping.track_shipment(shipment.ref)

    assert ["M", "I", "O", "D"] == [event.vendor_status for event in tracking.events]
    assert (TrackingStatus.DELIVERED, "SR") == (tracking.status, tracking.code)
    assert datetime(2030, 1, 4, 16, tzinfo=UTC) == tracking.delivered_at
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery
    assert Place(city="ONTARIO", region="CA", country="US") == tracking.events[0].location
    assert "TESTER" == tracking.signed_by
    assert "TESTER" not in repr(tracking)


def test_ups_tracking_event_without_time_or_place_is_read_as_far_as_possible(
    shop: SandboxHub,
) -> None:
    """A UPS tracking event without time or place is read as far as possible."""
    activity = [
        {"date": "20300102", "time": "71356", "status": {"type": "I "}},
        {"location": {"address": {"countryCode": "DE"}}},
    ]
    package = {"activity": activity, "deliveryDate": [{"type": "RDD", "date": "20300107"}]}
    shop.sandbox.fail(reply({"trackResponse": {"shipment": [{"package": [package]}]}}))
    tracking = shop.shipping.track("1Z", "ups")

    assert (TrackingStatus.IN_TRANSIT, datetime(2030, 1, 7, tzinfo=UTC)) == (
        tracking.status,
        tracking.estimated_delivery,
    )
    assert [None, datetime(2030, 1, 2, 7, 13, 56, tzinfo=UTC)] == [
        event.at for event in tracking.events
    ]
    assert Place(country="DE") == tracking.events[0].location
    shop.sandbox.fail(reply({"trackResponse": {"shipment": []}}))
    tracking = shop.shipping.track("1Z", "ups")
    assert (TrackingStatus.UNKNOWN, (), None) == (
        tracking.status,
        tracking.events,
        tracking.estimated_delivery,
    )


@pytest.mark.parametrize(
    "kinds, status",
    [
        ("M", TrackingStatus.PRE_TRANSIT),
        ("MV", TrackingStatus.CANCELED),
        ("P I DO W", TrackingStatus.IN_TRANSIT),
        ("O", TrackingStatus.OUT_FOR_DELIVERY),
        ("X", TrackingStatus.ON_HOLD),
        ("D DD", TrackingStatus.DELIVERED),
        ("RS", TrackingStatus.RETURNED),
        ("NA", TrackingStatus.UNKNOWN),
    ],
)
def test_types_of_ups_statuses_have_a_meaning(
    shop: SandboxHub, kinds: str, status: TrackingStatus
) -> None:
    """Each type of status at UPS gives its event the corresponding status."""
    activity = [{"date": "20300102", "status": {"type": kind}} for kind in kinds.split()]
    shop.sandbox.fail(
        reply({"trackResponse": {"shipment": [{"package": [{"activity": activity}]}]}})
    )
    tracking = shop.shipping.track("1Z", "ups")

    assert dict.fromkeys(kinds.split(), status) == {
        event.vendor_status: event.status for event in tracking.events
    }


def test_the_tracked_parcel_of_several_is_read(shop: SandboxHub) -> None:
    """Tracking one of several parcels reads this parcel, with its rescheduled delivery day."""
    days = [{"type": "SDD", "date": "20300105"}, {"type": "RDD", "date": "20300107"}]
    packages = [
        {"trackingNumber": "1Z1", "activity": [{"status": {"type": "D"}}]},
        {"trackingNumber": "1Z2", "activity": [{"status": {"type": "O"}}], "deliveryDate": days},
    ]
    shop.sandbox.fail(reply({"trackResponse": {"shipment": [{"package": packages}]}}))
    tracking = shop.shipping.track("1Z2", "ups")

    assert TrackingStatus.OUT_FOR_DELIVERY is tracking.status
    assert datetime(2030, 1, 7, tzinfo=UTC) == tracking.estimated_delivery


def test_suggested_address_has_only_lines_of_ups(shop: SandboxHub) -> None:
    """The suggested address has only UPS's lines, and no line of the checked address."""
    checked = attrs.evolve(RECIPIENT, line2="Apt 20", line3="Back door")
    suggested_lines: list[tuple[str | None, ...]] = []
    for lines in (["1 A ST", "FLOOR 2"], ["1 A ST", "FLOOR 2", "ROOM 3"]):
        form = {"AddressLine": lines, "CountryCode": "US"}
        answer = {"ValidAddressIndicator": "", "Candidate": [{"AddressKeyFormat": form}]}
        shop.sandbox.fail(reply({"XAVResponse": answer}))
        address = shop.shipping.validate_address(checked).suggested
        assert address is not None
        suggested_lines.append((address.line1, address.line2, address.line3))

    assert [("1 A ST", "FLOOR 2", None), ("1 A ST", "FLOOR 2", "ROOM 3")] == suggested_lines


def test_only_ups_numbers_are_tracked(shop: SandboxHub) -> None:
    """Another carrier's tracking number is refused unsent; UPS refuses unknown numbers itself."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.track("1", "usps")
    assert [] == shop.sandbox.requests
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.track("1Z", "UPS")
    assert "TW0001" == excinfo.value.vendor_code


def test_address_changes_are_listed(shop: SandboxHub) -> None:
    """UPS's corrections of an address are listed, as is whether the address is residential."""
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert (AddressVerdict.CORRECTED, ("postal_code",), True) == (
        checked_result.verdict,
        checked_result.changes,
        checked_result.residential,
    )
    assert "90277-2506" == (checked_result.suggested and checked_result.suggested.postal_code)
    form = {
        "AddressLine": "179 N HARBOR DR",
        "PoliticalDivision2": "REDONDO BEACH",
        "PoliticalDivision1": "CA",
        "PostcodePrimaryLow": "90277",
        "CountryCode": "US",
    }
    answer = {"ValidAddressIndicator": "", "Candidate": [{"AddressKeyFormat": form}]}
    shop.sandbox.fail(reply({"XAVResponse": answer}))
    checked_result = shop.shipping.validate_address(RECIPIENT)
    assert (AddressVerdict.VALID, None) == (checked_result.verdict, checked_result.residential)


@pytest.mark.parametrize("country", ["US", "PR"])
def test_addresses_in_the_us_and_in_puerto_rico_are_checked(shop: SandboxHub, country: str) -> None:
    """UPS checks addresses in the US and in Puerto Rico."""
    form = {"AddressLine": "1 A ST", "CountryCode": country}
    answer = {"ValidAddressIndicator": "", "Candidate": [{"AddressKeyFormat": form}]}
    shop.sandbox.fail(reply({"XAVResponse": answer}))
    result = shop.shipping.validate_address(attrs.evolve(RECIPIENT, country=country))

    assert country == (result.suggested and result.suggested.country)


def test_ambiguous_and_invalid_addresses(shop: SandboxHub) -> None:
    """An address that UPS finds ambiguous is unknown.

    An address that UPS cannot find is invalid.
    """
    shop.sandbox.fail(reply({"XAVResponse": {"AmbiguousAddressIndicator": "", "Candidate": [{}]}}))
    checked_result = shop.shipping.validate_address(RECIPIENT)
    assert (AddressVerdict.UNKNOWN, None, 1) == (
        checked_result.verdict,
        checked_result.suggested,
        len(checked_result.messages),
    )
    shop.sandbox.fail(reply({"XAVResponse": {"ValidAddressIndicator": ""}}))
    assert AddressVerdict.INVALID is shop.shipping.validate_address(RECIPIENT).verdict
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(RECIPIENT)
    count = len(shop.sandbox.requests)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.validate_address(CANADIAN_ADDRESS)
    assert count == len(shop.sandbox.requests)
