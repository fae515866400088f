"""USPS: rates, labels, tracking, address checks and error responses."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import attrs
import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Address,
    AddressVerdict,
    LabelFormat,
    Parcel,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    Signature,
    TrackingStatus,
)
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.domain.values.money import Money
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.usps import UspsSandbox
from moorage.vendors.shipping._usps_answers import classify
from moorage.vendors.shipping._usps_requests import label_body, party
from moorage.vendors.shipping.usps import Usps
from tests.vendors.subjects.usps import usps_error, usps_vendor

SENDER = Address(
    name="Jack Sparrow",
    company="Acme",
    line1="388 Townsend St",
    city="San Francisco",
    region="CA",
    postal_code="94107-1234",
    country="US",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="179 N Harbor Dr",
    line2="Apt 20",
    line3="Back door",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
)
RATES, PAYMENT, LABEL = (
    "/shipments/v3/options/search",
    "/payments/v3/payment-authorization",
    "/labels/v3/label",
)
LABEL_HEADERS = {
    "X_Payment_Authorization_Token": "payment.00000001",
    "Accept": "application/vnd.usps.labels+json",
}
BOX = Parcel(weight="1.5", weight_unit="lb", length=6, width=9, height="2.5", length_unit="in")
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=BOX, ship_date=date(2030, 1, 2))
OFFER = Ref("usps", "usps", "PRIORITY_MAIL", {"indicator": "SP", "category": "MACHINABLE"})
DELIVERED: dict[str, Any] = {
    "trackingNumber": "9400109104250532908587",
    "status": "Delivered, Parcel Locker",
    "statusCategory": "Delivered",
    "expectedDeliveryTimeStamp": "2024-11-22T21:00:00Z",
    "trackingEvents": [
        {
            "eventType": "Delivered, Parcel Locker",
            "eventTimestamp": "2024-11-22T13:58:00",
            "GMTTimestamp": "2024-11-22T18:58:40Z",
            "GMTOffset": "-05:00",
            "eventCountry": "US",
            "eventCity": "HERNANDO",
            "eventState": "FL",
            "eventZIP": "34442",
            "name": "A LOVELACE",
            "eventCode": "01",
        },
        {
            "eventType": "In Transit to Next Facility",
            "eventTimestamp": "2024-11-20T01:11:00",
            "GMTOffset": "-05:00",
            "name": None,
            "eventCode": "TL",
        },
        {
            "eventType": "An event of an unknown code",
            "eventTimestamp": "2024-11-19T01:11:00",
            "GMTOffset": "-05:00",
            "eventCode": "??",
        },
    ],
}
"""The form of a recorded response, with a name added."""


class Shop:
    """A hub with an account at USPS's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = UspsSandbox()
        self.vendor = usps_vendor(self.sandbox, **options)
        account = Account("usps", self.vendor, settings={"retry": None, "circuit": None})
        self.clock = VirtualClock()
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox), clock=self.clock)
        self.shipping = self.hub.shipping()

    def buy(self, key: str = "k-1", **fields: Any) -> Any:
        """Buy a label and return the shipment."""
        request = ShipmentRequest(rate_request=attrs.evolve(REQUEST, **fields))
        return self.shipping.create_shipment(request, idempotency_key=key)

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies of the requests to a path."""
        return [item.json() for item in self.sandbox.requests if item.path == path]


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """Return a hub with an account at a new USPS sandbox."""
    return Shop()


def test_rates_are_of_usual_mail_in_own_packaging(shop: Shop) -> None:
    """Only parcel rates for the sender's own packaging are returned: no book or envelope rates."""
    result = shop.shipping.get_rates(REQUEST)
    ground, priority, express = result.rates

    assert ["usps_ground_advantage", "usps_priority", "usps_priority_express"] == [
        rate.service for rate in result.rates
    ]
    assert ("6.07", "USD") == (str(ground.total.amount), ground.total.currency)
    assert ("PRIORITY_MAIL", "Priority Mail") == (priority.vendor_service, priority.service_name)
    assert {"service": "usps_priority", "indicator": "SP", "category": "MACHINABLE"} == dict(
        priority.ref.related
    )
    assert (1, True, datetime(2030, 1, 5, tzinfo=UTC)) == (
        express.delivery_days,
        express.guaranteed,
        express.delivery_date,
    )
    assert (3, False) == (ground.delivery_days, ground.guaranteed)


def test_request_for_rates(shop: Shop) -> None:
    """A rate request has ZIP codes, pounds, inches (longest side first), and the mailing day."""
    shop.shipping.get_rates(REQUEST)

    assert [
        {
            "originZIPCode": "94107",
            "destinationZIPCode": "90277",
            "packageDescription": {
                "weight": 1.5,
                "length": 9,
                "width": 6,
                "height": 2.5,
                "mailClass": "ALL_OUTBOUND",
                "mailingDate": "2030-01-02",
                "extraServices": [],
            },
            "pricingOptions": [{"priceType": "COMMERCIAL"}],
        }
    ] == shop.bodies("/shipments/v3/options/search")


def test_account_chooses_mail_classes_and_prices() -> None:
    """The account's options choose the mail classes, and between commercial and retail prices."""
    shop = Shop(mail_classes=["LIBRARY_MAIL"], price_type="RETAIL")
    [rate] = shop.shipping.get_rates(REQUEST).rates

    assert ("usps_library_mail", 7) == (rate.service, rate.delivery_days)
    [body] = shop.bodies("/shipments/v3/options/search")
    assert [{"priceType": "RETAIL"}] == body["pricingOptions"]
    with pytest.raises(ConfigurationError, match="prices"):
        usps_vendor(shop.sandbox, price_type="CHEAP")


@pytest.mark.parametrize(
    "signature, code, price", [("anybody", 921, "9.52"), ("adult", 922, "14.97")]
)
def test_signature_is_an_extra_service(shop: Shop, signature: str, code: int, price: str) -> None:
    """A signature is sent in the requests for rates and label, and its price is included."""
    rates = shop.shipping.get_rates(attrs.evolve(REQUEST, signature=Signature(signature))).rates
    purchase = shop.buy(signature=Signature(signature))

    assert Money(price, "USD") == purchase.cost == rates[0].total
    for path in ("/shipments/v3/options/search", "/labels/v3/label"):
        assert [code] == shop.bodies(path)[0]["packageDescription"]["extraServices"]


def _options(**fields: Any) -> dict[str, Any]:
    """Return a rate response with one rate whose fields are changed."""
    rate = {"mailClass": "PRIORITY_MAIL", "rateIndicator": "SP", "description": "Priority"}
    entry = {"rates": [{**rate, **fields.pop("rate", {})}], "totalBasePrice": 7.42, **fields}
    return {"pricingOptions": [{"shippingOptions": [{"rateOptions": [entry]}]}]}


@pytest.mark.parametrize(
    "answer, text",
    [
        (_options(totalBasePrice=None), "A rate could not be read."),
        (_options(rate={"rateIndicator": "FP"}), "no rate"),
        (_options(rate={"mailClass": "MEDIA_MAIL"}), "no rate"),
        (_options(rate={"destinationEntryFacilityType": "DESTINATION_DELIVERY_UNIT"}), "no rate"),
        ({"pricingOptions": []}, "no rate"),
    ],
)
def test_rates_that_are_left_out(shop: Shop, answer: Any, text: str) -> None:
    """A rate that cannot be read or used is left out, and a message reports it."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply(answer))
    result = shop.shipping.get_rates(attrs.evolve(REQUEST, reference="2"))

    assert () == result.rates
    assert text in (result.messages[0].text or "")


@pytest.mark.parametrize("indicator", ["SP", "PA", "DR", "DN", "OS"])
def test_rates_by_weight_and_size_are_offered(shop: Shop, indicator: str) -> None:
    """A rate for the sender's own packaging has an indicator of its weight and size."""
    shop.sandbox.fail(reply(_options(rate={"rateIndicator": indicator})))
    (rate,) = shop.shipping.get_rates(REQUEST).rates

    assert indicator == dict(rate.ref.related)["indicator"]


def test_rate_without_the_signature_is_left_out(shop: Shop) -> None:
    """If a signature is requested, rates that include no signature are left out."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply(_options(extraServices=[{"extraService": "920"}])))

    assert () == shop.shipping.get_rates(attrs.evolve(REQUEST, signature="adult")).rates


def test_rate_without_days(shop: Shop) -> None:
    """If a delivery commitment states no days, as for military mail, the days are unknown."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply(_options(commitment={"name": "MILITARY"})))
    [rate] = shop.shipping.get_rates(attrs.evolve(REQUEST, reference="2")).rates

    assert (None, None, "Priority") == (rate.delivery_days, rate.guaranteed, rate.service_name)


def test_answer_without_prices_is_malformed(shop: Shop) -> None:
    """A response without `pricingOptions` is malformed, and not an empty list of rates."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed, match="pricingOptions"):
        shop.shipping.get_rates(attrs.evolve(REQUEST, reference="2"))


def test_label_is_paid_and_bought(shop: Shop) -> None:
    """A label request has a payment authorization, and a UUID made from the idempotency key."""
    purchase = shop.buy(reference="SO-2041")
    [payment] = shop.bodies("/payments/v3/payment-authorization")
    owner = {"CRID": "12345678", "MID": "901234567", "manifestMID": "901234567"}
    account = {"accountType": "EPS", "accountNumber": "1000004321"}

    assert {
        "roles": [
            {"roleName": "PAYER", **owner, **account},
            {"roleName": "LABEL_OWNER", **owner},
        ]
    } == payment
    request = shop.sandbox.requests[-1]
    assert "payment.00000001" == request.headers.get("x-payment-authorization-token")
    assert 4 == UUID(request.headers.get("x-idempotency-key") or "").version
    assert Money("6.07", "USD") == purchase.cost
    assert b"%PDF-1.4 sandbox label 9200190123456700000002" == purchase.labels[0].content
    assert "https://tools.usps.com/go/TrackConfirmAction?tLabels=" in (purchase.tracking_url or "")


def test_manifest_may_have_another_mailer() -> None:
    """The mailer id of the manifest may differ from the mailer id of the labels."""
    shop = Shop(manifest_mid="902345678")
    shop.buy()
    [payment] = shop.bodies("/payments/v3/payment-authorization")

    assert {("901234567", "902345678")} == {
        (role["MID"], role["manifestMID"]) for role in payment["roles"]
    }


def test_request_for_a_label() -> None:
    """Each field of a shipment has its place in the request for its label."""
    request = attrs.evolve(
        REQUEST,
        return_to=attrs.evolve(RECIPIENT, name="Returns", line2=None, line3=None),
        parcels=attrs.evolve(BOX, reference="box 1"),
        label=LabelFormat.ZPL,
        extra={"usps": {"shipment": {"imageInfo": {"labelType": "4X5LABEL"}}}},
    )
    place = {"streetAddress": "179 N Harbor Dr", "city": "Redondo Beach", "state": "CA"}

    assert {
        "imageInfo": {"imageType": "ZPL203DPI", "labelType": "4X5LABEL", "receiptOption": "NONE"},
        "fromAddress": {
            "firstName": "Jack",
            "lastName": "Sparrow",
            "firm": "Acme",
            "streetAddress": "388 Townsend St",
            "city": "San Francisco",
            "state": "CA",
            "ZIPCode": "94107",
            "ZIPPlus4": "1234",
        },
        "toAddress": {
            "firm": "Ada Lovelace",
            "secondaryAddress": "Apt 20 Back door",
            **place,
            "ZIPCode": "90277",
        },
        "returnAddress": {"firm": "Returns", **place, "ZIPCode": "90277"},
        "packageDescription": {
            "mailClass": "PRIORITY_MAIL",
            "rateIndicator": "SP",
            "processingCategory": "MACHINABLE",
            "destinationEntryFacilityType": "NONE",
            "weightUOM": "lb",
            "dimensionsUOM": "in",
            "weight": 1.5,
            "length": 9,
            "width": 6,
            "height": 2.5,
            "mailingDate": "2030-01-02",
            "extraServices": [],
            "customerReference": [{"referenceNumber": "box 1", "printReferenceNumber": True}],
        },
    } == label_body(request, OFFER, date(2030, 1, 2))


@pytest.mark.parametrize(
    "label, image_type",
    [
        (LabelFormat.PDF, "PDF"),
        (LabelFormat.PNG, "PNG"),
        (LabelFormat.ZPL, "ZPL203DPI"),
    ],
)
def test_format_of_a_label_is_an_image_type(
    shop: Shop, label: LabelFormat, image_type: str
) -> None:
    """Each format of labels has USPS's name for it in the request, and USPS returns that format."""
    shipment = shop.buy(label=label)

    assert label is shipment.labels[0].format
    assert image_type == shop.sandbox.requests[-1].json()["imageInfo"]["imageType"]


def test_weight_is_sent_in_pounds_with_three_decimals() -> None:
    """Weights are rounded up to thousandths of a pound, and lengths to hundredths of an inch."""
    parcel = Parcel(weight=123, weight_unit="g", length=10, width=9, height=8, length_unit="cm")
    body = label_body(attrs.evolve(REQUEST, parcels=parcel), OFFER, date(2030, 1, 2))

    package = body["packageDescription"]
    assert (0.272, 3.94) == (package["weight"], package["length"])


def test_purchase_can_require_that_lost_labels_are_found(shop: Shop) -> None:
    """USPS returns the label of a repeated idempotency key, so it finds a lost label."""
    request = ShipmentRequest(rate_request=REQUEST, recoverable=True)

    assert shop.shipping.create_shipment(request, idempotency_key="k-1").labels


def test_error_without_details_has_its_title() -> None:
    """If an error of USPS has no details, its title is the message."""
    errors = [{"title": "Invalid Mailing Date", "code": "160100"}]
    error = classify(Request.post("/"), reply({"error": {"code": "400", "errors": errors}}, 400))

    assert isinstance(error, InvalidRequest)
    assert ("160100", "Invalid Mailing Date") == (error.vendor_code, error.vendor_message)


def test_error_of_usps_may_have_only_its_own_code_and_message() -> None:
    """An error of USPS without a list of errors has the code and the message of the whole."""
    body = {"error": {"code": "400", "message": "The request is invalid."}}
    error = classify(Request.post("/"), reply(body, 400))

    assert isinstance(error, InvalidRequest)
    assert ("400", "The request is invalid.") == (error.vendor_code, error.vendor_message)


def test_person_name_of_one_word_is_sent_as_last_name_beside_company_name() -> None:
    """If there is a company name, a person's name of one word is sent as the last name."""
    fields = party(attrs.evolve(SENDER, name="Plato"), "sender")

    assert ("Plato", "Acme") == (fields["lastName"], fields["firm"])
    assert "firstName" not in fields


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"recipient": attrs.evolve(RECIPIENT, country="CA")}, UnsupportedByVendor),
        ({"recipient": attrs.evolve(RECIPIENT, postal_code="9027")}, InvalidData),
        ({"sender": attrs.evolve(SENDER, postal_code=None)}, InvalidData),
        ({"parcels": Parcel(weight=1)}, InvalidData),
    ],
)
def test_shipments_that_usps_cannot_carry(
    shop: Shop, changes: dict[str, Any], error: type[Exception]
) -> None:
    """Foreign addresses, addresses without ZIP codes, and parcels without sizes are refused."""
    with pytest.raises(error):
        shop.shipping.get_rates(attrs.evolve(REQUEST, **changes))

    assert [] == shop.bodies("/shipments/v3/options/search")


def test_long_reference_is_refused() -> None:
    """A reference of 30 characters is printed on the label; a longer reference is refused."""
    body = label_body(attrs.evolve(REQUEST, reference="r" * 30), OFFER, date(2030, 1, 2))
    [reference] = body["packageDescription"]["customerReference"]
    assert "r" * 30 == reference["referenceNumber"]
    with pytest.raises(InvalidData, match="too long for a USPS label"):
        label_body(attrs.evolve(REQUEST, reference="r" * 31), OFFER, date(2030, 1, 2))


def test_usps_stores_no_rates(shop: Shop) -> None:
    """USPS stores no rates, so the reference of a rate is not enough to buy it."""
    [rate, *_] = shop.shipping.get_rates(REQUEST).rates
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.create_shipment(str(rate.ref), idempotency_key="k-1")


def test_label_is_not_returned_again(shop: Shop) -> None:
    """USPS returns a label only when it is bought, so a later request for it is refused."""
    ref = shop.buy().ref
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(ref)
    with pytest.raises(UnsupportedByVendor, match="in the response to the purchase"):
        asyncio.run(shop.vendor.get_labels(None, ref, None))  # type: ignore[arg-type]  # nothing is sent


def test_payment_without_a_token_is_malformed(shop: Shop) -> None:
    """If USPS gives no payment authorization, no label is bought."""
    shop.shipping.get_rates(REQUEST)
    rate = shop.shipping.get_rates(attrs.evolve(REQUEST, reference="2")).rates[0]
    shop.sandbox.fail(reply({"roles": []}))
    with pytest.raises(VendorFailed, match="paymentAuthorizationToken"):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert {} == shop.sandbox.labels


@pytest.mark.parametrize("seconds, is_repeated", [(3_500, True), (3_700, False)])
def test_lost_answer_is_requested_again_for_an_hour(
    shop: Shop, *, seconds: float, is_repeated: bool
) -> None:
    """A purchase whose response was lost can be repeated for an hour; then it stays unknown."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.payments.add("t")
    shop.sandbox.fail(reply({"paymentAuthorizationToken": "t"}))
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")
    shop.clock.advance(seconds)
    if is_repeated:
        purchase = shop.shipping.create_shipment(rate, idempotency_key="k-1")
        assert [*shop.sandbox.tracks] == list(purchase.tracking_numbers)
    else:
        with pytest.raises(OutcomeUnknown):
            shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert 1 == len(shop.sandbox.labels)


def test_price_of_a_label_may_be_missing(shop: Shop) -> None:
    """A label whose response has no price counts as bought, and its price is unknown."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    token = reply({"paymentAuthorizationToken": "t"})
    for answer in (token, reply({"trackingNumber": "92", "labelImage": "!"})):
        shop.sandbox.fail(answer)
    purchase = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert (None, ("92",), None) == (
        purchase.cost,
        purchase.tracking_numbers,
        purchase.labels[0].content,
    )


def test_tracking_has_all_events(shop: Shop) -> None:
    """A parcel's events are in order of time, with their places, and the signer's name."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply(DELIVERED))
    tracking = shop.shipping.track("9400109104250532908587", "usps")
    unknown, first, last = tracking.events

    assert (TrackingStatus.DELIVERED, "Delivered", "01") == (
        tracking.status,
        tracking.vendor_status,
        tracking.code,
    )
    assert datetime(2024, 11, 22, 18, 58, 40, tzinfo=UTC) == tracking.delivered_at == last.at
    assert datetime(2024, 11, 22, 21, tzinfo=UTC) == tracking.estimated_delivery
    assert (TrackingStatus.IN_TRANSIT, datetime(2024, 11, 20, 6, 11, tzinfo=UTC)) == (
        first.status,
        first.at,
    )
    assert "A LOVELACE" == tracking.signed_by
    assert TrackingStatus.UNKNOWN is unknown.status
    assert ("US", "HERNANDO", "FL", "34442") == (
        last.location and last.location.country,
        last.location and last.location.city,
        last.location and last.location.region,
        last.location and last.location.postal_code,
    )
    assert first.location is None


@pytest.mark.parametrize(
    "category, status",
    [
        ("Pre-Shipment", TrackingStatus.PRE_TRANSIT),
        ("Accepted", TrackingStatus.IN_TRANSIT),
        ("In-Transit", TrackingStatus.IN_TRANSIT),
        ("In Transit", TrackingStatus.IN_TRANSIT),
        ("Out for Delivery", TrackingStatus.OUT_FOR_DELIVERY),
        ("Available for Pickup", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("Delivery Attempt", TrackingStatus.DELIVERY_ATTEMPTED),
        ("Delivered", TrackingStatus.DELIVERED),
        ("Alert", TrackingStatus.ON_HOLD),
        ("Return to Sender", TrackingStatus.RETURNED),
        ("Something Else", TrackingStatus.UNKNOWN),
    ],
)
def test_category_of_a_parcel_has_a_status(
    shop: Shop, category: str, status: TrackingStatus
) -> None:
    """Each status category of USPS has its tracking status, and an unknown category has none."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply({"statusCategory": category, "trackingEvents": []}))

    tracking = shop.shipping.track("92", "usps")

    assert (status, category) == (tracking.status, tracking.vendor_status)
    assert "https://tools.usps.com/go/TrackConfirmAction?tLabels=92" == tracking.url


def test_code_of_an_event_has_a_status(shop: Shop) -> None:
    """Each event code of USPS has its tracking status, and the text is the event's type."""
    shop.shipping.get_rates(REQUEST)
    statuses = {
        "GX": TrackingStatus.PRE_TRANSIT,
        **dict.fromkeys(("03", "07", "10", "A1", "SF", "T1", "TL"), TrackingStatus.IN_TRANSIT),
        "OF": TrackingStatus.OUT_FOR_DELIVERY,
        "01": TrackingStatus.DELIVERED,
        "??": TrackingStatus.UNKNOWN,
    }
    events = [
        {"eventCode": code, "eventType": f"Type {code}", "GMTTimestamp": "2024-11-20T06:11:00Z"}
        for code in statuses
    ]
    shop.sandbox.fail(reply({"statusCategory": "Alert", "trackingEvents": events}))

    tracking = shop.shipping.track("92", "usps")

    assert {(code, status, f"Type {code}") for code, status in statuses.items()} == {
        (event.code, event.status, event.text) for event in tracking.events
    }
    assert all(event.text == event.vendor_status for event in tracking.events)


def test_parcel_without_events(shop: Shop) -> None:
    """A parcel may have no events, but a response without the list of events is malformed."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply({"statusCategory": "Alert", "trackingEvents": []}))
    tracking = shop.shipping.track("92", "usps")
    assert (TrackingStatus.ON_HOLD, None, ()) == (tracking.status, tracking.code, tracking.events)
    shop.sandbox.fail(reply({"eventSummaries": ["Delivered"]}))
    with pytest.raises(VendorFailed, match="trackingEvents"):
        shop.shipping.track("92", "usps")


def test_parcels_of_others_are_not_tracked(shop: Shop) -> None:
    """USPS tracks only its own parcels; an unknown number raises an error."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.track("1Z", "ups")
    with pytest.raises(VendorRejected, match="not found") as excinfo:
        shop.shipping.track("92", "usps")

    assert (VendorRejected, "150002") == (type(excinfo.value), excinfo.value.vendor_code)


def test_shipment_that_the_tracking_does_not_know(shop: Shop) -> None:
    """A shipment that USPS cannot track has an unknown state, and keeps its number."""
    purchase = shop.buy()
    shop.sandbox.tracks.clear()
    shipment = shop.shipping.get_shipment(purchase.ref)
    assert (ShipmentState.UNKNOWN, purchase.tracking_numbers) == (
        shipment.state,
        shipment.tracking_numbers,
    )
    shop.sandbox.fail(usps_error(400, "150001"))
    with pytest.raises(InvalidRequest):
        shop.shipping.get_shipment(purchase.ref)


def test_address_is_standardized(shop: Shop) -> None:
    """A checked address has USPS's spelling, a nine-digit ZIP code, and the kind of building."""
    result = shop.shipping.validate_address(attrs.evolve(RECIPIENT, line3=None, company="Acme"))

    assert AddressVerdict.CORRECTED is result.verdict
    assert ("90277-2231", True) == (
        result.suggested and result.suggested.postal_code,
        result.residential,
    )
    query = dict(shop.sandbox.requests[-1].query)
    assert ("Acme", "Apt 20", "90277") == (
        query["firm"],
        query["secondaryAddress"],
        query["ZIPCode"],
    )


def test_checked_address_has_each_of_usps_fields(shop: Shop) -> None:
    """The suggested address consists of USPS's fields, and a correction has its text and code."""
    shop.shipping.get_rates(REQUEST)
    fields = {
        "streetAddress": "180 S HARBOR DR",
        "secondaryAddress": "APT 21",
        "city": "TORRANCE",
        "state": "NV",
        "ZIPCode": "90501",
    }
    corrections = [{"code": "32", "text": "More information is needed."}]
    info = {"DPVConfirmation": "Y", "business": "Y"}
    answer = {"address": fields, "corrections": corrections, "additionalInfo": info}
    shop.sandbox.fail(reply(answer))

    result = shop.shipping.validate_address(RECIPIENT)

    suggested_address = result.suggested
    assert suggested_address is not None
    assert list(fields.values()) == [
        suggested_address.line1,
        suggested_address.line2,
        suggested_address.city,
        suggested_address.region,
        suggested_address.postal_code,
    ]
    assert suggested_address.line3 is None
    assert result.residential is False
    [message] = result.messages
    assert ("32", "More information is needed.") == (message.code, message.text)


@pytest.mark.parametrize(
    "answer, verdict",
    [
        ({"additionalInfo": {"DPVConfirmation": "D"}}, AddressVerdict.UNKNOWN),
        ({"additionalInfo": {"DPVConfirmation": "S", "business": "Y"}}, AddressVerdict.UNKNOWN),
        ({"additionalInfo": {"DPVConfirmation": "N"}}, AddressVerdict.INVALID),
    ],
)
def test_verdicts_of_addresses(shop: Shop, answer: Any, verdict: AddressVerdict) -> None:
    """An address that lacks its apartment is UNKNOWN, and an unconfirmed address is INVALID."""
    shop.shipping.get_rates(REQUEST)
    corrections = [{"code": "32", "text": "More information is needed."}]
    fields = {"streetAddress": "179 N HARBOR DR", "ZIPCode": "90277"}
    shop.sandbox.fail(reply({"address": fields, "corrections": corrections, **answer}))
    result = shop.shipping.validate_address(RECIPIENT)

    assert (verdict, "32", None) == (result.verdict, result.messages[0].code, result.suggested)


def test_unknown_addresses_and_other_errors(shop: Shop) -> None:
    """An address that USPS does not find is invalid; any other error response raises an error."""
    result = shop.shipping.validate_address(attrs.evolve(RECIPIENT, city="Nowhere"))
    assert (AddressVerdict.INVALID, "404") == (result.verdict, result.messages[0].code)
    shop.sandbox.fail(usps_error(400, "010005"))
    with pytest.raises(InvalidRequest):
        shop.shipping.validate_address(RECIPIENT)
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed, match="address"):
        shop.shipping.validate_address(RECIPIENT)


@pytest.mark.parametrize(
    "answer, error",
    [
        (reply({"fault": "No."}, 403), AuthenticationFailed),
        (reply({"error": {"code": "403", "message": "No."}}, 403), AuthenticationFailed),
        (usps_error(503, "503"), VendorFailed),
    ],
)
def test_refusal_without_usps_fields_is_classified_by_its_status(
    shop: Shop, answer: Any, error: type[Exception]
) -> None:
    """An error response without USPS's fields is classified by its status."""
    shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(answer)
    with pytest.raises(error):
        shop.shipping.get_rates(attrs.evolve(REQUEST, reference="2"))


def test_base_url_decides_between_usps_test_system_and_live_one() -> None:
    """The base URL decides between USPS's test system and the live one."""
    sandbox = UspsSandbox()
    modes = [
        usps_vendor(sandbox, base_url=url).mode()
        for url in ("https://apis.usps.com", "https://apis-tem.usps.com", "https://a.example")
    ]

    assert ["live", "test", None] == modes
    with pytest.raises(ConfigurationError, match="client_secret"):
        Usps(client_id="a", crid="1", mid="2", account_number="3")


def response_to(shop: Shop, request: Request, **headers: str) -> Response:
    """Return the sandbox's response to a request with a valid access token."""
    token = f"token-{shop.sandbox.client_id}-{shop.sandbox.tokens.grants}"
    all_headers = {"Authorization": f"Bearer {token}", **headers}
    for name, value in all_headers.items():
        request = request.with_header(name.replace("_", "-"), value)
    url = f"https://apis.usps.com{request.path}"
    return SandboxHttpClient(shop.sandbox).send(request, url, Timeouts())


def code_of(response: Response) -> str:
    """Return USPS's error code from an error response."""
    return str(response.json()["error"]["errors"][0]["code"])


@pytest.mark.parametrize(
    "path, place, value, code",
    [
        (RATES, ("originZIPCode",), 94107, "010005"),
        (PAYMENT, ("roles",), [], "010001"),
        (PAYMENT, ("roles", 0, "accountNumber"), "1", "010002"),
        (LABEL, ("packageDescription", "rateIndicator"), "FB", "160100"),
        (LABEL, ("packageDescription", "girth"), 7, "010005"),
        (LABEL, ("toAddress", "firm"), "", "160101"),
    ],
)
def test_sandbox_is_strict(
    shop: Shop, path: str, place: tuple[Any, ...], value: object, code: str
) -> None:
    """The sandbox refuses unknown fields, wrong types and values, and other accounts."""
    shop.buy()
    body = shop.bodies(path)[0]
    branch = body
    for name in place[:-1]:
        branch = branch[name]
    branch[place[-1]] = value
    response = response_to(shop, Request.post(path, json=body), **LABEL_HEADERS)

    assert (400, code) == (response.status, code_of(response))
    assert 1 == len(shop.sandbox.labels)


def test_sandbox_returns_same_label_for_repeated_key(shop: Shop) -> None:
    """The sandbox returns the same label for a repeated key, and refuses it for another request."""
    shop.buy()
    body, [key] = shop.bodies(LABEL)[0], shop.sandbox.labels
    valid_headers = {**LABEL_HEADERS, "X_Idempotency_Key": key}
    repeated = response_to(shop, Request.post(LABEL, json=body), **valid_headers)
    assert [repeated.json()["trackingNumber"]] == [*shop.sandbox.tracks]
    body["packageDescription"]["weight"] = 2
    other = response_to(shop, Request.post(LABEL, json=body), **valid_headers)
    assert (400, "160003") == (other.status, code_of(other))
    for headers, status in (
        ({"X_Payment_Authorization_Token": "payment.7"}, 401),
        ({"Accept": "application/json"}, 400),
        ({"Authorization": "Bearer another"}, 401),
    ):
        refused = response_to(shop, Request.post(LABEL, json=body), **{**LABEL_HEADERS, **headers})
        assert status == refused.status
    without_key = response_to(shop, Request.post(LABEL, json=body), **LABEL_HEADERS)

    assert (200, 2) == (without_key.status, len(shop.sandbox.labels))
    summary = response_to(shop, Request.get("/tracking/v3/tracking/92"))
    assert (400, "150001") == (summary.status, code_of(summary))


def test_sandbox_leaves_unknown_services_out(shop: Shop) -> None:
    """The sandbox has no price for an extra service that it does not know."""
    extra = {"usps": {"rates": {"packageDescription": {"extraServices": [415]}}}}
    [rate, *_] = shop.shipping.get_rates(attrs.evolve(REQUEST, extra=extra)).rates

    assert not {"extraServices", "totalPrice"} & set(rate.raw)
