"""EasyPost: requests, responses and webhooks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import RetryPolicy
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Address,
    AddressVerdict,
    CancelState,
    Contents,
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    Place,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    Signature,
    TrackingStatus,
)
from moorage.domain.values.money import Money
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    InvalidData,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.vendor_sdk import as_answer
from moorage.vendors.shipping._easypost import address_body, shipment_body
from moorage.vendors.shipping.easypost import EasyPost

if TYPE_CHECKING:
    from moorage.contracts.shipping import Shipment
    from moorage.operations.shipping import Shipping

SENDER = Address(
    name="Jack Sparrow",
    company="Acme",
    line1="388 Townsend St",
    line2="Apt 20",
    line3="Back door",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="us",
    residential=False,
    tax_id="98-7654321",
)
RECIPIENT = Address(
    line1="179 N Harbor Dr", city="Redondo Beach", postal_code="90277", country="US"
)
PARCEL = Parcel(weight="1.25", weight_unit="kg", length=30, width="20.5", height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=PARCEL)


class SandboxHub:
    """A hub with an account at EasyPost's sandbox."""

    def __init__(self, retry: RetryPolicy | None = None) -> None:
        self.sandbox = EasyPostSandbox()
        vendor = EasyPost(credentials=self.sandbox.api_key)
        account = Account("easypost", vendor, settings={"retry": retry, "circuit": None})
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.shipping: Shipping = self.hub.shipping()

    def buy_label_of_order(self, key: str = "order-1", **fields: Any) -> Shipment:
        """Buy a label and return the shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key=key
        )


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new EasyPost sandbox."""
    return SandboxHub()


def test_weights_and_sides_are_converted_and_rounded_up() -> None:
    """Weights and dimensions are converted exactly to ounces and inches, and rounded up."""
    result = shipment_body(REQUEST)["shipment"]

    assert {"weight": "44.1", "length": "11.9", "width": "8.1", "height": "4"} == result["parcel"]
    assert {"weight": "0.1"} == shipment_body(
        attrs.evolve(REQUEST, parcels=Parcel(weight=1, weight_unit="g"))
    )["shipment"]["parcel"]


def test_for_easypost_third_line_of_address_is_joined_to_second() -> None:
    """For EasyPost the third line of an address is joined to the second."""
    result = address_body(SENDER)

    assert ("388 Townsend St", "Apt 20, Back door") == (result["street1"], result["street2"])
    assert ("98-7654321", False, "US") == (
        result["federal_tax_id"],
        result["residential"],
        result["country"],
    )
    assert {
        "street1": "179 N Harbor Dr",
        "city": "Redondo Beach",
        "zip": "90277",
        "country": "US",
    } == (address_body(RECIPIENT))


def test_options_are_sent() -> None:
    """Label, signature and other options of a shipment are sent under EasyPost's names."""
    request = attrs.evolve(
        REQUEST,
        label="zpl",
        signature=Signature.ADULT,
        saturday=True,
        is_return=True,
        return_to=RECIPIENT,
        ship_date=date(2030, 1, 2),
        carrier_accounts=["ca_1"],
        reference="order 7",
    )
    result = shipment_body(request)["shipment"]

    assert {
        "label_format": "ZPL",
        "label_date": "2030-01-02",
        "delivery_confirmation": "ADULT_SIGNATURE",
        "saturday_delivery": True,
    } == result["options"]
    assert (True, ["ca_1"], "order 7") == (
        result["is_return"],
        result["carrier_accounts"],
        result["reference"],
    )
    assert "90277" == result["return_address"]["zip"]
    sized_request = attrs.evolve(REQUEST, label_size=LabelSize.INCHES_4X6)
    assert "4x6" == shipment_body(sized_request)["shipment"]["options"]["label_size"]


@pytest.mark.parametrize("is_return", [False, True])
def test_label_leads_from_sender_to_recipient(*, is_return: bool) -> None:
    """A label leads from the sender to the recipient, even if EasyPost swaps them for a return."""
    shipment = shipment_body(attrs.evolve(REQUEST, is_return=is_return))["shipment"]
    route = [shipment["from_address"], shipment["to_address"]]
    if shipment.get("is_return"):
        route.reverse()

    assert [address_body(SENDER), address_body(RECIPIENT)] == route


def test_customs_lines_have_totals() -> None:
    """A customs line for EasyPost has the value and weight of all its pieces."""
    item = CustomsItem(
        description="Shirts",
        quantity=2,
        value=Money("46.50", "EUR"),
        weight=1,
        weight_unit="lb",
        hs_code="6109.10",
        origin="DE",
        sku="S-1",
    )
    customs = Customs(
        items=[item],
        signer="Steve Brule",
        contents=Contents.RETURNED,
        incoterm="DDP",
        invoice_number="INV-1",
        eel_pfc="NOEEI 30.37(a)",
    )
    result = shipment_body(attrs.evolve(REQUEST, customs=customs))["shipment"]

    assert {
        "contents_type": "returned_goods",
        "customs_certify": True,
        "customs_signer": "Steve Brule",
        "eel_pfc": "NOEEI 30.37(a)",
        "non_delivery_option": "return",
        "restriction_type": "none",
        "customs_items": [
            {
                "description": "Shirts",
                "quantity": 2,
                "value": "46.50",
                "currency": "EUR",
                "weight": "16",
                "hs_tariff_number": "6109.10",
                "origin_country": "DE",
                "code": "S-1",
            }
        ],
    } == result["customs_info"]
    assert ("DDP", "INV-1") == (result["options"]["incoterm"], result["options"]["invoice_number"])


def test_insurance_is_sent_with_the_purchase(shop: SandboxHub) -> None:
    """EasyPost gets the insurance with the purchase, in dollars only."""
    shipment = shop.buy_label_of_order(insurance=Money("100", "USD"))

    assert "100.00" == shop.sandbox.shipments[shipment.ref.id]["insurance"]
    count = len(shop.sandbox.requests)
    with pytest.raises(UnsupportedByVendor):
        shop.buy_label_of_order("order-2", insurance=Money("100", "EUR"))
    assert count == len(shop.sandbox.requests)


def test_unreadable_rate_becomes_a_message(shop: SandboxHub) -> None:
    """An EasyPost rate with an unreadable price becomes a message."""
    rates = [{"id": "rate_1", "carrier": "UPSDAP", "rate": "a lot", "currency": "USD"}]
    shop.sandbox.fail(reply({"id": "shp_1", "rates": rates}, 201))
    result = shop.shipping.get_rates(REQUEST)

    assert () == result.rates
    assert ["ups"] == [message.carrier for message in result.messages]


@pytest.mark.parametrize(
    "carrier, service, expected",
    [
        ("USPS", "Express", "usps_priority_express"),
        ("USPS", "GroundAdvantage", "usps_ground_advantage"),
        ("UPSDAP", "2ndDayAir", "ups_second_day_air"),
        ("FedExDefault", "FEDEX_2_DAY", "fedex_2_day"),
        ("DHLExpress", "ExpressWorldwide", "dhl_express_express_worldwide"),
        ("Canada Post", "Xpresspost", "canadapost_xpresspost"),
        ("GLS 24", "Euro", "gls_24_euro"),
    ],
)
def test_services_have_the_names_that_every_vendor_shares(
    shop: SandboxHub, carrier: str, service: str, expected: str
) -> None:
    """Each carrier and service of EasyPost has a vendor-neutral name beside EasyPost's own."""
    rate = {"id": "r", "carrier": carrier, "service": service, "rate": "1", "currency": "USD"}
    shop.sandbox.fail(reply({"id": "shp_1", "rates": [rate]}, 201))
    offer = shop.shipping.get_rates(REQUEST).rates[0]

    assert (expected, carrier, service) == (
        offer.service,
        offer.vendor_carrier,
        offer.vendor_service,
    )


def test_malformed_shipment_is_no_offer(shop: SandboxHub) -> None:
    """An EasyPost response whose shipment has no id is a failure, whatever the operation."""
    shop.sandbox.fail(reply({"rates": []}, 201))
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply({"status": "unknown"}))
    with pytest.raises(VendorFailed):
        shop.shipping.get_shipment("easypost:easypost:shp_1")


def test_purchase_without_a_label_is_no_success(shop: SandboxHub) -> None:
    """An EasyPost purchase without a label is a failure."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(reply({"id": "shp_1", "status": "unknown"}))
    with pytest.raises(VendorFailed):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")


def test_shipment_is_bought_once(shop: SandboxHub) -> None:
    """With a second key, a bought shipment returns its label; buying its other rates is refused."""
    rates = shop.shipping.get_rates(REQUEST).rates
    first = shop.shipping.create_shipment(rates[0], idempotency_key="k-1")
    same_shipment = shop.shipping.create_shipment(rates[0].ref, idempotency_key="k-2")

    assert first == same_shipment
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.create_shipment(rates[1], idempotency_key="k-3")
    assert "SHIPMENT.POSTAGE.EXISTS" == excinfo.value.vendor_code


def test_only_rates_can_be_bought(shop: SandboxHub) -> None:
    """EasyPost refuses a reference that is not a rate's reference, before anything is sent."""
    with pytest.raises(InvalidData):
        shop.shipping.create_shipment("easypost:easypost:rate_1", idempotency_key="k-1")
    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "code",
    [
        "SHIPMENT.POSTAGE.TIMED_OUT",
        "SHIPMENT.POSTAGE.NO_RESPONSE",
        "SHIPMENT.PURCHASE.IN_PROGRESS",
    ],
)
def test_carrier_timeout_is_temporary(shop: SandboxHub, code: str) -> None:
    """A carrier's timeout at EasyPost is temporary, and the same idempotency key can buy later."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    error = {"error": {"code": code, "message": "The carrier does not answer."}}
    shop.sandbox.fail(reply(error, 422))
    with pytest.raises(VendorFailed) as excinfo:
        shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert (True, code) == (excinfo.value.retryable, excinfo.value.vendor_code)
    bought_shipment = shop.shipping.create_shipment(rate, idempotency_key="k-1")
    assert ShipmentState.BOUGHT is bought_shipment.state


def test_lost_purchase_is_found(shop: SandboxHub) -> None:
    """If the response to an EasyPost purchase is lost, a repeat returns the bought shipment."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost())
    with pytest.raises(Exception, match="lost"):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")
    result = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    (code,) = result.tracking_numbers
    assert [code] == [*shop.sandbox.trackers]


@pytest.mark.parametrize("retries", [None, RetryPolicy(2, base_delay=0.0)])
def test_found_purchase_is_not_sent_again(retries: RetryPolicy | None) -> None:
    """A purchase that was found after a lost response is stored, so repeats buy nothing."""
    shop = SandboxHub(retry=retries)
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost())
    if retries is None:
        with pytest.raises(Exception, match="lost"):
            shop.shipping.create_shipment(rate, idempotency_key="k-1")
    first = shop.shipping.create_shipment(rate, idempotency_key="k-1")
    request_count = len(shop.sandbox.requests)
    repeats = [shop.shipping.create_shipment(rate, idempotency_key="k-1") for _ in range(2)]

    assert [first, first] == repeats
    assert [False, True, True] == [item.replayed for item in (first, *repeats)]
    sent = {(item.method, item.path) for item in shop.sandbox.requests[request_count:]}
    assert {"GET"} == {str(method) for method, _ in sent}
    assert not any(path.startswith("/v2/shipments") for _, path in sent)


def test_unbought_shipment_is_quoted(shop: SandboxHub) -> None:
    """An EasyPost shipment whose label was not bought has no label, and cannot be cancelled."""
    ref = shop.shipping.get_rates(REQUEST).ref
    assert ref is not None
    result = shop.shipping.get_shipment(ref)

    assert (ShipmentState.QUOTED, (), None) == (result.state, result.labels, result.carrier)
    tracking = shop.shipping.track_shipment(ref)
    assert (TrackingStatus.UNKNOWN, None, None) == (
        tracking.status,
        tracking.number,
        tracking.carrier,
    )
    with pytest.raises(VendorRejected, match="labels, but the label of parcel"):
        shop.shipping.get_label(ref)
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.cancel(ref)
    assert "SHIPMENT.REFUND.UNAVAILABLE" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "word, cancelled, state",
    [
        ("submitted", CancelState.REQUESTED, ShipmentState.CANCELING),
        ("refunded", CancelState.APPROVED, ShipmentState.CANCELED),
        ("not_applicable", CancelState.REJECTED, ShipmentState.BOUGHT),
        ("pondered", CancelState.UNKNOWN, ShipmentState.BOUGHT),
    ],
)
def test_refund_at_easypost_has_carrier_decision_as_state(
    shop: SandboxHub, word: str, cancelled: CancelState, state: ShipmentState
) -> None:
    """An EasyPost refund's state follows the carrier's decision; EasyPost's status is kept."""
    shipment = shop.buy_label_of_order()
    shop.sandbox.settle_refund(shipment.ref.id, word)
    result = shop.shipping.cancel(shipment.ref)

    assert (cancelled, word) == (result.state, result.vendor_status)
    assert state is shop.shipping.get_shipment(shipment.ref).state


def test_refund_of_a_moving_shipment_stays_requested(shop: SandboxHub) -> None:
    """An EasyPost refund under review keeps the state requested."""
    shipment = shop.buy_label_of_order()
    shop.shipping.cancel(shipment.ref)
    shop.sandbox.move(shipment.tracking_numbers[0], "in_transit")

    assert CancelState.REQUESTED is shop.shipping.cancel(shipment.ref).state


@pytest.mark.parametrize("target", [LabelFormat.ZPL, LabelFormat.EPL])
def test_label_is_converted(shop: SandboxHub, target: LabelFormat) -> None:
    """An EasyPost label is fetched in the requested format."""
    label = shop.shipping.get_label(shop.buy_label_of_order().ref, target)

    assert target is label.format
    assert shop.sandbox.labels[f"postage_label/{label.tracking_number}.{target}"] == label.content


def test_label_that_cannot_be_converted_is_refused(shop: SandboxHub) -> None:
    """EasyPost converts no label to an image, and a response without a file is a failure."""
    shipment = shop.buy_label_of_order()
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(shipment.ref, "png")
    shop.sandbox.fail(reply(shop.sandbox.shipments[shipment.ref.id]))
    with pytest.raises(VendorFailed):
        shop.shipping.get_label(shipment.ref, "zpl")


def test_easypost_label_in_unknown_format_is_kept(shop: SandboxHub) -> None:
    """An EasyPost label in an unknown format is returned, with EasyPost's name for the format."""
    bought_shipment = shop.buy_label_of_order()
    shipment = shop.sandbox.shipments[bought_shipment.ref.id]
    shipment["postage_label"]["label_file_type"] = "text/dpl"
    shipment["forms"] = [{"form_url": "https://easypost-files.s3.us-west-2.amazonaws.com/f.pdf"}]
    result = shop.shipping.get_shipment(bought_shipment.ref)

    assert (LabelFormat.UNKNOWN, "text/dpl") == (
        result.labels[0].format,
        result.labels[0].vendor_format,
    )
    assert 1 == len(result.documents)


def test_label_is_bought_whatever_its_url_is(shop: SandboxHub) -> None:
    """If EasyPost's label URL is invalid, the shipment is still returned as bought."""
    shipment = shop.buy_label_of_order()
    shop.sandbox.shipments[shipment.ref.id]["postage_label"]["label_url"] = "https://["
    result = shop.shipping.get_shipment(shipment.ref).labels[0]

    assert (None, "https://[") == (result.content, result.url)


def test_label_of_another_host_is_not_fetched(shop: SandboxHub) -> None:
    """A label URL on another host than EasyPost's is returned and not fetched."""
    shipment = shop.buy_label_of_order()
    label = shop.sandbox.shipments[shipment.ref.id]["postage_label"]
    label["label_url"] = "https://elsewhere.example/label.pdf"
    result = shop.shipping.get_shipment(shipment.ref).labels[0]

    assert (None, "https://elsewhere.example/label.pdf") == (result.content, result.url)


@pytest.mark.parametrize(
    "number, status",
    [
        ("EZ1000000001", TrackingStatus.PRE_TRANSIT),
        ("EZ2000000002", TrackingStatus.IN_TRANSIT),
        ("EZ3000000003", TrackingStatus.OUT_FOR_DELIVERY),
        ("EZ4000000004", TrackingStatus.DELIVERED),
        ("EZ5000000005", TrackingStatus.RETURNED),
        ("EZ6000000006", TrackingStatus.FAILED),
        ("EZ7000000007", TrackingStatus.UNKNOWN),
    ],
)
def test_foreign_numbers_are_tracked(shop: SandboxHub, number: str, status: TrackingStatus) -> None:
    """EasyPost can track a parcel that was bought elsewhere."""
    tracking = shop.shipping.track(number, "usps")

    assert (status, "usps", number) == (tracking.status, tracking.carrier, tracking.number)
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery
    assert Place(city="HOUSTON", region="TX", postal_code="77063") == tracking.events[0].location
    assert "John Tester" not in repr(tracking)
    assert {"tracker": {"tracking_code": number, "carrier": "USPS"}} == (
        shop.sandbox.requests[-1].json()
    )


def test_carrier_has_easyposts_name(shop: SandboxHub) -> None:
    """A parcel is tracked under EasyPost's name of the carrier, whatever moorage calls it."""
    carriers = {
        "australiapost": "AustraliaPost",
        "canadapost": "CanadaPost",
        "dhl_express": "DHLExpress",
        "fedex": "FedEx",
        "royalmail": "RoyalMail",
        "ups": "UPS",
        "usps": "USPS",
        "OnTrac": "OnTrac",
    }
    for carrier in carriers:
        shop.shipping.track("EZ1000000001", carrier)

    assert list(carriers.values()) == [
        request.json()["tracker"]["carrier"] for request in shop.sandbox.requests
    ]


def test_invalid_number_is_refused(shop: SandboxHub) -> None:
    """EasyPost refuses a number that it cannot track; an invalid number is not even sent."""
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.track("1Z", "a carrier of its own")
    assert "TRACKER.CREATE.ERROR" == excinfo.value.vendor_code
    with pytest.raises(InvalidData):
        shop.shipping.track("", "usps")


def test_incomplete_tracker_is_read_as_far_as_possible(shop: SandboxHub) -> None:
    """EasyPost tracking without carrier, place or date is read as far as possible."""
    shop.sandbox.fail(reply({"status": "error", "tracking_details": [{"status": "new"}]}))
    tracking = shop.shipping.track("EZ1000000001", "usps")

    assert (TrackingStatus.FAILED, None, None) == (
        tracking.status,
        tracking.carrier,
        tracking.estimated_delivery,
    )
    assert (TrackingStatus.UNKNOWN, None) == (
        tracking.events[0].status,
        tracking.events[0].location,
    )


def test_tracking_events_are_sorted(shop: SandboxHub) -> None:
    """EasyPost's tracking events are sorted by time; the earliest delivery sets `delivered_at`."""
    tracking_details = [
        {"status": "delivered", "datetime": "2030-01-04T08:00:00Z"},
        {"status": "delivered"},
        {"status": "delivered", "datetime": "2030-01-03T08:00:00Z"},
        {"status": "in_transit", "datetime": "2030-01-02T08:00:00Z"},
    ]
    shop.sandbox.fail(reply({"status": "delivered", "tracking_details": tracking_details}))
    tracking = shop.shipping.track("EZ1000000001", "usps")

    assert [None, 2, 3, 4] == [event.at and event.at.day for event in tracking.events]
    assert datetime(2030, 1, 3, 8, tzinfo=UTC) == tracking.delivered_at


def test_merged_address_line_is_no_correction(shop: SandboxHub) -> None:
    """If EasyPost merges three address lines into two, no correction is reported."""
    value = attrs.evolve(RECIPIENT, line2="Suite 7", line3="Dock 2")
    checked_result = shop.shipping.validate_address(value)

    assert (AddressVerdict.VALID, ()) == (checked_result.verdict, checked_result.changes)


def test_country_name_is_no_change(shop: SandboxHub) -> None:
    """If EasyPost returns a country's full name, this is not a correction of the address."""
    shop.sandbox.fail(reply({"country": "United States"}, 201))

    assert AddressVerdict.UNKNOWN is shop.shipping.validate_address(RECIPIENT).verdict


def test_address_changes_are_listed(shop: SandboxHub) -> None:
    """EasyPost's corrections of an address are listed; case and spaces are ignored."""
    checked_result = shop.shipping.validate_address(RECIPIENT)
    assert (AddressVerdict.VALID, ()) == (checked_result.verdict, checked_result.changes)

    fields = {
        "street1": "179 N HARBOR DR",
        "city": "REDONDO  BEACH",
        "zip": "90277-2506",
        "country": "US",
        "residential": True,
        "verifications": {"delivery": {"success": True}},
    }
    shop.sandbox.fail(reply(fields, 201))
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert (AddressVerdict.CORRECTED, ("postal_code",)) == (
        checked_result.verdict,
        checked_result.changes,
    )
    assert True is checked_result.residential
    assert checked_result.suggested is not None
    assert ("90277-2506", "US") == (
        checked_result.suggested.postal_code,
        checked_result.suggested.country,
    )


def test_address_that_was_not_checked_is_unknown(shop: SandboxHub) -> None:
    """If EasyPost's response has no delivery check, the verdict on the address is unknown."""
    shop.sandbox.fail(reply({"country": "US", "verifications": {}}, 201))
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert (AddressVerdict.UNKNOWN, None) == (checked_result.verdict, checked_result.suggested)


def event(**result: Any) -> WebhookEvent:
    """Return a verified webhook."""
    return WebhookEvent(vendor="easypost", id="evt_1", type="new", vendor_type="new", data=result)


def test_refund_event_belongs_to_its_shipment(shop: SandboxHub) -> None:
    """The event of an EasyPost refund names its shipment."""
    reports = shop.hub.events(
        "easypost", event(object="Refund", status="refunded", shipment_id="shp_1")
    )

    assert [(Ref("easypost", "easypost", "shp_1"), ShipmentState.CANCELED)] == [
        (report.ref, report.state) for report in reports
    ]
    (new_value,) = shop.hub.events("easypost", event(object="Refund", status="pondered"))
    assert (None, ShipmentState.UNKNOWN) == (new_value.ref, new_value.state)
    assert () == shop.hub.events("easypost", event(object="Batch", status="created"))


def test_key_may_come_from_a_provider() -> None:
    """Without its own key an EasyPost account uses the credential provider."""
    services = EasyPost().services()

    assert (True, None) == (services[""].needs_credentials, services[""].credentials)
    assert (False, None) == (services["labels"].needs_credentials, services["labels"].credentials)


def test_fields_of_unexpected_types_count_as_missing(shop: SandboxHub) -> None:
    """Fields of an unexpected type in EasyPost's response count as missing."""
    assert not as_answer([]).text("id")
    odd_shipment = {
        "id": "shp_1",
        "rates": "none",
        "messages": [1, {"carrier": None}],
        "forms": [{}],
    }
    shop.sandbox.fail(reply(odd_shipment))
    result = shop.shipping.get_shipment("easypost:easypost:shp_1")

    assert (ShipmentState.QUOTED, None) == (result.state, result.warnings[0].carrier)
