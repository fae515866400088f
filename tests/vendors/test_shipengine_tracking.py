"""ShipEngine: tracking and addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.shipping import AddressVerdict, Place, TrackingStatus
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import InvalidRequest, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from tests.vendors.shipengine_account import RECIPIENT, SandboxHub


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new ShipEngine sandbox."""
    return SandboxHub()


@pytest.mark.parametrize(
    "word, closer, status",
    [
        ("UN", None, TrackingStatus.UNKNOWN),
        ("NY", None, TrackingStatus.PRE_TRANSIT),
        ("AC", None, TrackingStatus.PRE_TRANSIT),
        ("AC", "PICKED_UP", TrackingStatus.IN_TRANSIT),
        ("IT", None, TrackingStatus.IN_TRANSIT),
        ("IT", "A_NEW_WORD", TrackingStatus.IN_TRANSIT),
        ("IT", "OUT_FOR_DELIVERY", TrackingStatus.OUT_FOR_DELIVERY),
        ("AT", None, TrackingStatus.DELIVERY_ATTEMPTED),
        ("SP", None, TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("DE", "DELIVERED", TrackingStatus.DELIVERED),
        ("EX", None, TrackingStatus.FAILED),
        ("EX", "HELD_BY_CUSTOMS", TrackingStatus.ON_HOLD),
        ("EX", "RETURN_TO_SENDER", TrackingStatus.RETURNED),
        ("EX", "CANCELLED", TrackingStatus.CANCELED),
    ],
)
def test_tracking_at_shipengine_returns_parcel_most_detailed_status_and_its_events(
    shop: SandboxHub, word: str, closer: str | None, status: TrackingStatus
) -> None:
    """Tracking at ShipEngine returns the parcel's most detailed status and its events."""
    [number] = shop.buy_label_of_order().tracking_numbers
    shop.sandbox.move(number, "NY")
    shop.sandbox.move(number, word, closer)
    tracking = shop.shipping.track(number, "usps")

    assert (status, word, closer) == (tracking.status, tracking.vendor_status, tracking.code)
    assert ["NY", word] == [event.vendor_status for event in tracking.events]
    expected = Place(city="HOUSTON", region="TX", postal_code="77063", country="US")
    assert expected == tracking.events[0].location
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery


def test_carrier_has_shipengines_name(shop: SandboxHub) -> None:
    """A parcel is tracked under ShipEngine's name of the carrier, whatever moorage calls it."""
    carriers = {
        "usps": "stamps_com",
        "australiapost": "australia_post",
        "canadapost": "canada_post",
        "dhlecommerce": "dhl_ecommerce",
        "purolatorcanada": "purolator_canada",
        "royalmail": "royal_mail",
        "rrdonnelley": "rr_donnelley",
        "ups": "ups",
    }
    for carrier in carriers:
        shop.sandbox.fail(reply({"status_code": "DE", "events": []}))
        shop.shipping.track("1", carrier)

    assert list(carriers.values()) == [
        dict(request.query)["carrier_code"] for request in shop.sandbox.requests
    ]


@pytest.mark.parametrize(
    "words, status",
    [
        (
            """
            DROPPED_OFF PICKED_UP RECEIVED_BY_CARRIER MISROUTED PARCEL_DAMAGED PARCEL_REPACKED
            PARCEL_REDIRECTED_BY_CARRIER INCORRECT_DECLARATION RECD_BY_CARRIER_NO_ELEC_ADVICE
            """,
            TrackingStatus.IN_TRANSIT,
        ),
        ("OUT_FOR_DELIVERY", TrackingStatus.OUT_FOR_DELIVERY),
        (
            """
            AWAITING_COLLECTION_FROM_PICKUP_POINT COLLECT_AT_LOCAL_PO
            CUSTOMER_TO_COLLECT_FROM_CARRIER DELIVERED_TO_PICKUP_POINT
            """,
            TrackingStatus.AVAILABLE_FOR_PICKUP,
        ),
        (
            """
            ATTEMPTED_DELIVERY ATTEMPTED_DELIVERY_FINAL CUSTOMER_CARDED
            NO_ACCESS_TO_RECIPIENTS_ADDRESS
            """,
            TrackingStatus.DELIVERY_ATTEMPTED,
        ),
        (
            """
            HELD_BY_CARRIER HELD_BY_CARRIER_FOR_CLEARANCE_PRE_PROCESSING HELD_BY_CUSTOMS
            CARRIER_DELAYS DELAYED_NOT_CARRIER ADDRESS_QUERY DUTY_NOT_PAID
            """,
            TrackingStatus.ON_HOLD,
        ),
        ("RETURN_TO_SENDER UNDELIVERABLE_RETURNED_TO_SENDER", TrackingStatus.RETURNED),
        ("CANCELLED", TrackingStatus.CANCELED),
        ("A_NEW_WORD", TrackingStatus.FAILED),
    ],
)
def test_detail_of_an_exception_has_a_status(
    shop: SandboxHub, words: str, status: TrackingStatus
) -> None:
    """Each listed detail code of ShipEngine gives its event the corresponding status."""
    statuses = {}
    for word in words.split():
        answer = {"status_code": "EX", "status_detail_code": word, "events": []}
        shop.sandbox.fail(reply(answer))
        statuses[word] = shop.shipping.track("1", "ups").status

    assert dict.fromkeys(words.split(), status) == statuses


def test_only_a_delivered_parcel_has_a_delivery_time(shop: SandboxHub) -> None:
    """ShipEngine's delivery date is the delivery time if the parcel is delivered."""
    date = {"actual_delivery_date": "2030-01-05T10:00:00Z", "events": []}
    shop.sandbox.fail(*(reply({"status_code": word, **date}) for word in ("DE", "IT")))

    assert [datetime(2030, 1, 5, 10, tzinfo=UTC), None] == [
        shop.shipping.track("1", "ups").delivered_at for _ in range(2)
    ]


def test_shipengine_tracking_without_times_or_places_is_read_as_far_as_possible(
    shop: SandboxHub,
) -> None:
    """ShipEngine tracking with missing times or places is read as far as possible."""
    events = [{"status_code": "DE", "signer": "Anna"}, {"status_code": "NEW"}, 7]
    shop.sandbox.fail(reply({"status_code": "DE", "events": events}))
    tracking = shop.shipping.track("1", "ups")

    assert (TrackingStatus.DELIVERED, None, None, "Anna") == (
        tracking.status,
        tracking.carrier,
        tracking.delivered_at,
        tracking.signed_by,
    )
    assert [None, None] == [event.location for event in tracking.events]
    with pytest.raises(InvalidRequest):
        shop.shipping.track("1", "nobody")
    with pytest.raises(VendorRejected):
        shop.shipping.track("1", "usps")


@pytest.mark.parametrize(
    "status, matched, verdict",
    [
        ("verified", {"address_line1": "179 N Harbor Dr"}, AddressVerdict.CORRECTED),
        ("warning", {"address_line1": "179 N Harbor Dr"}, AddressVerdict.CORRECTED),
        ("verified", None, AddressVerdict.UNKNOWN),
        ("unverified", None, AddressVerdict.UNKNOWN),
        ("error", {"address_line1": "179 N Harbor Dr"}, AddressVerdict.INVALID),
        ("new", {}, AddressVerdict.UNKNOWN),
    ],
)
def test_address_that_shipengine_cannot_match_is_not_valid(
    shop: SandboxHub, status: str, matched: dict[str, str] | None, verdict: AddressVerdict
) -> None:
    """An address that ShipEngine cannot match is not valid, and nothing is suggested."""
    message = {"code": "a1001", "detail_code": "suite_missing", "message": "Which?"}
    body = {"status": status, "matched_address": matched, "messages": [message, {"code": "a1"}]}
    shop.sandbox.fail(reply([body]))
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert verdict is checked_result.verdict
    assert (verdict is AddressVerdict.CORRECTED) is (checked_result.suggested is not None)
    assert ["suite_missing", "a1"] == [message.code for message in checked_result.messages]


def test_address_is_valid_if_only_its_letters_differ(shop: SandboxHub) -> None:
    """An address that differs from ShipEngine's only in case is valid."""
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert (AddressVerdict.VALID, True, ()) == (
        checked_result.verdict,
        checked_result.residential,
        checked_result.changes,
    )
    assert checked_result.suggested is not None
    assert "179 N HARBOR DR" == checked_result.suggested.line1
    shop.sandbox.fail(reply([]))
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(RECIPIENT)


def event(kind: str, **data: Any) -> WebhookEvent:
    """Return a verified ShipEngine webhook."""
    return WebhookEvent(vendor="shipengine", id="1", type=kind, vendor_type=kind, data=data)


def test_events_of_labels_and_other_parcels(shop: SandboxHub) -> None:
    """A ShipEngine event names its label if there is one."""
    base_url = "https://api.shipengine.com/v1/labels/se-7"
    (own_event,) = shop.hub.events(
        "shipengine", event("API_TRACK", label_url=base_url, status_code="IT")
    )
    (foreign_event,) = shop.hub.events(
        "shipengine", event("API_TRACK", label_url=None, status_code="DE")
    )

    assert (Ref("shipengine", "shipengine", "se-7"), "IT") == (
        own_event.ref,
        own_event.vendor_status,
    )
    assert (None, TrackingStatus.DELIVERED) == (foreign_event.ref, foreign_event.tracking.status)
    assert () == shop.hub.events("shipengine", event("API_BATCH"))


def test_webhook_of_an_unknown_parcel_is_verified(shop: SandboxHub) -> None:
    """A ShipEngine webhook about an unknown parcel is verified, too."""
    number = shop.buy_label_of_order().tracking_numbers[0]
    shop.sandbox.labels.clear()
    notice = shop.sandbox.report("https://shop.example", number, at=datetime.now(UTC))
    verifier = shop.hub.webhooks("shipengine", secrets=shop.sandbox.webhook_key)
    (told_of,) = shop.hub.events("shipengine", verifier.verify(**notice.arguments())[0])

    assert (None, number) == (told_of.ref, told_of.tracking.number)
