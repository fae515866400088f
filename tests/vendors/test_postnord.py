"""PostNord: labels, lost responses, tracking, error responses, and the key in the URL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Address,
    Choice,
    LabelFormat,
    Parcel,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    TrackingStatus,
)
from moorage.domain.service.safety import Mode
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.postnord import PostNordSandbox
from moorage.vendor_sdk import query_key
from moorage.vendors.shipping.postnord import PostNord

SENDER = Address(
    name="Jack Sparrow",
    company="Acme AB",
    line1="Hamngatan 9",
    city="Göteborg",
    postal_code="41114",
    country="SE",
    phone="+46310000000",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="Strandvägen 5",
    line2="Lgh 1101",
    line3="c/o Byron",
    city="Stockholm",
    region="Stockholm",
    postal_code="11451",
    country="SE",
)
BOX = Parcel(weight="1.2341", length=30, width="20.55", height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=BOX, reference="SO-1")
BOOKED: Final[dict[str, Any]] = {
    "bookingResponse": {
        "bookingId": "BOOK-123",
        "idInformation": [
            {
                "status": "OK",
                "ids": [
                    {"idType": "itemId", "value": "00373500454541020957", "printId": "P1"},
                    {"idType": "shipmentId", "value": "SHIP-0001", "printId": "P2"},
                ],
                "urls": [{"type": "TRACKING", "url": "https://tracking.postnord.com/se/?id=1"}],
                "errorResponse": None,
            }
        ],
    },
    "labelPrintout": [
        {"printout": {"labelFormat": "PDF", "encoding": "base64", "data": "JVBERi0xLjQK"}}
    ],
}
"""The form of a response that another program has observed."""
TRACKED: Final[dict[str, Any]] = {
    "shipmentId": "00373500454541020957",
    "status": "DELIVERED",
    "items": [
        {
            "itemId": "00373500454541020957",
            "status": "DELIVERED",
            "estimatedTimeOfArrival": "2026-06-25T12:00:00",
            "deliveryDate": "2026-06-25T15:42:00",
            "events": [
                {
                    "eventTime": "2026-06-25T15:42:00",
                    "eventCode": "C20",
                    "eventDescription": "The shipment item has been delivered",
                    "status": "DELIVERED",
                    "location": {
                        "city": "Stockholm",
                        "postcode": "11455",
                        "countryCode": "SE",
                    },
                },
                {
                    "eventTime": "2026-06-24T08:15:00",
                    "eventCode": "C01",
                    "eventDescription": "The shipment item has been registered",
                    "status": "CREATED",
                    "location": {},
                },
            ],
        }
    ],
}
"""The form of a tracking that another program expects."""


def tracking(*shipments: dict[str, Any], **fields: Any) -> Any:
    """Return a response of PostNord's Track & Trace API."""
    return reply({"TrackingInformationResponse": {"shipments": [*shipments], **fields}})


class Shop:
    """A hub with an account at PostNord's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = PostNordSandbox()
        key = self.sandbox.api_key
        vendor = PostNord(
            credentials=key, customer_number="0012345678", application_id=1438, **options
        )
        account = Account("postnord", vendor, settings={"retry": None, "circuit": None})
        self.clock = VirtualClock()
        hub = Hub([account], http=SandboxHttpClient(self.sandbox), clock=self.clock)
        self.shipping = hub.shipping()

    def buy(self, key: str = "k-1", **fields: Any) -> Any:
        """Buy a label and return the shipment."""
        rate_request = attrs.evolve(REQUEST, **fields)
        request = ShipmentRequest(
            rate_request=rate_request, choose=Choice(services=["postnord_19"])
        )
        return self.shipping.create_shipment(request, idempotency_key=key)

    def bodies(self) -> list[Any]:
        """Return the bodies of the purchase requests."""
        return [item.json() for item in self.sandbox.requests if item.method == "POST"]


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """Return a hub with an account at a new sandbox."""
    return Shop()


@pytest.mark.parametrize("issuer", ["Z11", "Z12", "Z13", "Z14"])
def test_contract_may_be_of_each_country(issuer: str) -> None:
    """A contract may be of Denmark, Sweden, Norway or Finland; its country is sent."""
    shop = Shop(issuer=issuer)
    shop.buy()
    [body] = shop.bodies()

    assert issuer == body["shipment"][0]["parties"]["consignor"]["issuerCode"]
    assert "Z12" == PostNord(customer_number="1", application_id=1).issuer


def test_request_for_a_label() -> None:
    """A purchase has the contract, both addresses, the parcel and the reference."""
    shop = Shop(issuer="Z11")
    purchase = shop.buy(ship_date=date(2030, 1, 2))
    [body] = shop.bodies()
    mark = body.pop("messageId")

    assert 32 == len(mark)
    assert {
        "messageDate": "2030-01-02T00:00:00Z",
        "application": {"applicationId": 1438, "name": "moorage"},
        "updateIndicator": "Original",
        "shipment": [
            {
                "shipmentIdentification": {"shipmentId": "0"},
                "dateAndTimes": {"loadingDate": "2030-01-02T00:00:00Z"},
                "service": {"basicServiceCode": "19"},
                "references": [{"referenceNo": "SO-1", "referenceType": "CU"}],
                "parties": {
                    "consignor": {
                        "issuerCode": "Z11",
                        "partyIdentification": {"partyId": "0012345678", "partyIdType": "160"},
                        "party": {
                            "nameIdentification": {
                                "name": "Jack Sparrow",
                                "companyName": "Acme AB",
                            },
                            "address": {
                                "streets": ["Hamngatan 9"],
                                "postalCode": "41114",
                                "city": "Göteborg",
                                "countryCode": "SE",
                            },
                            "contact": {
                                "contactName": "Jack Sparrow",
                                "emailAddress": "jack@shop.example",
                                "phoneNo": "+46310000000",
                                "smsNo": "+46310000000",
                            },
                        },
                    },
                    "consignee": {
                        "party": {
                            "nameIdentification": {"name": "Ada Lovelace"},
                            "address": {
                                "streets": ["Strandvägen 5", "Lgh 1101", "c/o Byron"],
                                "postalCode": "11451",
                                "state": "Stockholm",
                                "city": "Stockholm",
                                "countryCode": "SE",
                            },
                            "contact": {"contactName": "Ada Lovelace"},
                        }
                    },
                },
                "goodsItem": [
                    {
                        "packageTypeCode": "PC",
                        "items": [
                            {
                                "itemIdentification": {"itemId": "0"},
                                "dimensions": {
                                    "length": {"value": 30, "unit": "CMT"},
                                    "width": {"value": 20.6, "unit": "CMT"},
                                    "height": {"value": 10, "unit": "CMT"},
                                },
                                "grossWeight": {"value": 1.235, "unit": "KGM"},
                            }
                        ],
                    }
                ],
            }
        ],
    } == body
    assert (LabelFormat.PDF, b"%PDF", "postnord_19", None) == (
        purchase.labels[0].format,
        purchase.labels[0].content[:4],
        purchase.service,
        purchase.cost,
    )


def test_request_without_optional_fields(shop: Shop) -> None:
    """Without a person the company's name is sent; missing references and sizes are left out."""
    company = Address(
        company="Swan AB", line1="Strandvägen 5", city="Kiruna", postal_code="98131", country="SE"
    )
    shop.buy(recipient=company, reference=None, parcels=Parcel(weight=1))
    [shipment] = shop.bodies()[0]["shipment"]
    names = shipment["parties"]["consignee"]["party"]["nameIdentification"]

    assert "references" not in shipment
    assert "dimensions" not in shipment["goodsItem"][0]["items"][0]
    assert {"name": "Swan AB", "companyName": "Swan AB"} == names


def test_reference_of_the_parcel_precedes_that_of_the_request(shop: Shop) -> None:
    """If a parcel has a reference, it is sent instead of the request's reference."""
    shop.buy(parcels=attrs.evolve(BOX, reference="BOX-1"))

    assert "BOX-1" == shop.bodies()[0]["shipment"][0]["references"][0]["referenceNo"]


def test_key_is_in_the_query_alone(shop: Shop) -> None:
    """The key is in each request's `apikey` parameter and in no other part of the request."""
    shop.buy(label_size="A5")
    shop.shipping.track("00370724000000000001", "PostNord")

    assert [
        (("paperSize", "A5"), ("apikey", shop.sandbox.api_key)),
        (("apikey", shop.sandbox.api_key),),
    ] == [request.query for request in shop.sandbox.requests]
    assert not any(
        shop.sandbox.api_key in f"{request.path}{request.headers.pairs}{request.body!r}"
        for request in shop.sandbox.requests
    )


def test_repeat_on_the_next_day_is_the_same_label(shop: Shop) -> None:
    """A purchase repeated with its idempotency key on the next day returns the same label."""
    shop.clock.advance(43_200)
    purchase = shop.buy()
    shop.clock.advance(43_200)

    assert purchase == shop.buy()
    assert 1 == len(shop.sandbox.shipments)


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"return_to": SENDER}, "only to the sender"),
        ({"label": "png"}, "not print PNG labels"),
        ({"label_size": "4x6"}, "4 by 6 inches"),
    ],
    ids=["return_to", "png", "paper"],
)
def test_label_that_postnord_cannot_make_is_not_bought(
    shop: Shop, fields: dict[str, Any], words: str
) -> None:
    """A separate return address, and an unknown format or paper, are refused before sending."""
    with pytest.raises(UnsupportedByVendor, match=words):
        shop.buy(**fields)

    assert [] == shop.sandbox.requests


def test_long_reference_is_refused(shop: Shop) -> None:
    """A reference of more than 35 characters is refused before anything is sent."""
    with pytest.raises(InvalidData, match="too long for a label"):
        shop.buy(reference="x" * 36)

    assert [] == shop.sandbox.requests


def test_lost_answer_stays_unknown(shop: Shop) -> None:
    """After a lost response the key's outcome stays unknown, and a repeat buys nothing."""
    shop.sandbox.fail(Lost())
    for _ in range(3):
        with pytest.raises(OutcomeUnknown) as excinfo:
            shop.buy()
        assert excinfo.value.remedy.startswith(
            "postnord does not find the label of a purchase with a lost response."
        )

    assert (1, 1) == (len(shop.bodies()), len(shop.sandbox.shipments))


def test_recorded_booking_has_number_label_and_tracking_page(shop: Shop) -> None:
    """A recorded booking response is read with its number, its label and its tracking page."""
    shop.sandbox.fail(reply(BOOKED))
    purchase = shop.buy()

    assert ("00373500454541020957", b"%PDF-1.4\n", "https://tracking.postnord.com/se/?id=1") == (
        purchase.ref.id,
        purchase.labels[0].content,
        purchase.tracking_url,
    )


@pytest.mark.parametrize("printout", [{}, {"data": "not base64!"}], ids=["none", "damaged"])
def test_booking_without_a_readable_label_is_a_purchase(
    shop: Shop, printout: dict[str, str]
) -> None:
    """If the response has a number but no readable label, the shipment is bought without one."""
    shop.sandbox.fail(reply({**BOOKED, "labelPrintout": [{"printout": printout}]}))
    purchase = shop.buy()

    assert (ShipmentState.BOUGHT, ()) == (purchase.state, purchase.labels)


def test_label_in_zpl_is_postnord_text_in_utf8(shop: Shop) -> None:
    """A ZPL label has PostNord's text as UTF-8 bytes."""
    text = "^LL1520\n^CI28\n^XA^FDGöteborg^FS^XZ"
    printout = {"encoding": "none", "data": text}
    shop.sandbox.fail(reply({**BOOKED, "labelPrintout": [{"printout": printout}]}))

    assert text.encode() == shop.buy(label="zpl").labels[0].content


def test_recorded_tracking_has_all_events_and_the_delivery(shop: Shop) -> None:
    """A recorded tracking response has all events, oldest first, the place and the delivery."""
    other = {"shipmentId": "1", "items": [{"itemId": "1", "status": "CREATED"}]}
    shop.sandbox.fail(tracking(other, TRACKED))
    parcel = shop.shipping.track("00373500454541020957", "postnord")
    last = parcel.events[-1]

    assert [TrackingStatus.PRE_TRANSIT, TrackingStatus.DELIVERED] == [
        event.status for event in parcel.events
    ]
    assert (TrackingStatus.DELIVERED, "DELIVERED", "C20") == (
        parcel.status,
        parcel.vendor_status,
        parcel.code,
    )
    assert (datetime(2026, 6, 25, 15, 42, tzinfo=UTC), datetime(2026, 6, 25, 12, tzinfo=UTC)) == (
        parcel.delivered_at,
        parcel.estimated_delivery,
    )
    assert last.location is not None
    assert ("Stockholm", "11455", "SE", None) == (
        last.location.city,
        last.location.postal_code,
        last.location.country,
        parcel.events[0].location,
    )


@pytest.mark.parametrize(
    "words, status",
    [
        ("CREATED INFORMED", TrackingStatus.PRE_TRANSIT),
        ("EN_ROUTE DELAYED EXPECTED_DELAY", TrackingStatus.IN_TRANSIT),
        (
            "AVAILABLE_FOR_DELIVERY AVAILABLE_FOR_DELIVERY_PAR_LOC",
            TrackingStatus.AVAILABLE_FOR_PICKUP,
        ),
        ("DELIVERY_IMPOSSIBLE DELIVERY_REFUSED", TrackingStatus.DELIVERY_ATTEMPTED),
        ("DELIVERED", TrackingStatus.DELIVERED),
        ("RETURNED", TrackingStatus.RETURNED),
        ("STOPPED", TrackingStatus.ON_HOLD),
        ("OTHER", TrackingStatus.UNKNOWN),
    ],
)
def test_status_of_an_item_has_a_meaning(shop: Shop, words: str, status: TrackingStatus) -> None:
    """Each item status in PostNord's description gives its event the corresponding status."""
    events = [
        {"eventTime": "2026-06-24T08:15:00", "status": word, "location": {}}
        for word in words.split()
    ]
    shop.sandbox.fail(tracking({"items": [{"itemId": "1", "events": events}]}))
    parcel = shop.shipping.track("1", "postnord")

    assert dict.fromkeys(words.split(), status) == {
        event.vendor_status: event.status for event in parcel.events
    }


def test_parcel_without_events_is_tracked(shop: Shop) -> None:
    """If a parcel's events are not known yet, the parcel still has its status."""
    item = {"itemId": "1234567890", "status": "EN_ROUTE"}
    shop.sandbox.fail(tracking({"items": [item]}))
    parcel = shop.shipping.track("1234567890", "postnord")

    assert (TrackingStatus.IN_TRANSIT, None, ()) == (parcel.status, parcel.code, parcel.events)


def test_shipment_that_is_not_tracked_yet_is_unknown(shop: Shop) -> None:
    """A shipment that tracking does not find yet keeps its number and service."""
    ref = shop.buy().ref
    shop.sandbox.fail(tracking())
    shipment = shop.shipping.get_shipment(ref)

    assert (ShipmentState.UNKNOWN, (ref.id,), "postnord_19") == (
        shipment.state,
        shipment.tracking_numbers,
        shipment.service,
    )


def test_parcel_that_postnord_does_not_know_is_refused_with_postnord_fault(shop: Shop) -> None:
    """An unknown parcel is refused, with PostNord's fault code if the response has one."""
    fault = {"faultCode": "T-1", "explanationText": "No shipment found", "paramValues": []}
    shop.sandbox.fail(tracking(compositeFault={"faults": [fault]}))
    with pytest.raises(VendorRejected, match="No shipment found") as excinfo:
        shop.shipping.track("1234567890", "postnord")
    assert "T-1" == excinfo.value.vendor_code

    with pytest.raises(VendorRejected, match="unknown parcel"):
        shop.shipping.track("1234567890", "postnord")


def test_key_without_the_api_is_refused(shop: Shop) -> None:
    """If PostNord's gateway refuses the key, the error does not show the key."""
    shop.sandbox.api_key = "another"
    with pytest.raises(AuthenticationFailed, match="Invalid API Key") as excinfo:
        shop.buy()

    assert "Forbidden" == excinfo.value.vendor_code
    assert "5f2d1c7b9e8a4f60b3d2c1a0987e6f54" not in f"{excinfo.value!r}{vars(excinfo.value)!r}"


def test_refusal_has_code_and_text_of_its_fault(shop: Shop) -> None:
    """An error response with a fault raises an error with the fault's code and text."""
    fault = {"faultCode": "B-1", "explanationText": "The weight is missing", "paramValues": []}
    shop.sandbox.fail(reply({"compositeFault": {"faults": [fault]}, "message": "No."}, 400))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.buy()

    assert ("B-1", "The weight is missing") == (
        excinfo.value.vendor_code,
        excinfo.value.vendor_message,
    )


def test_refusal_without_a_fault_has_its_message(shop: Shop) -> None:
    """An error response without a fault code raises an error with PostNord's general message."""
    shop.sandbox.fail(reply({"message": "Query parameter missing"}, 400))
    with pytest.raises(InvalidRequest, match="Query parameter missing") as excinfo:
        shop.buy()

    assert excinfo.value.vendor_code is None


def test_mode_is_that_of_the_url() -> None:
    """The account's URL decides whether labels are real."""
    urls: tuple[dict[str, str], ...] = (
        {},
        {"base_url": "https://atapi2.postnord.com"},
        {"base_url": "https://postnord.example"},
    )

    assert [Mode.LIVE, Mode.TEST, None] == [
        PostNord(customer_number="1", application_id=1, **url).mode() for url in urls
    ]


def test_unknown_country_of_the_contract_is_refused() -> None:
    """The account refuses a contract country in which PostNord does not work."""
    with pytest.raises(ConfigurationError, match="not operate in a country with this code"):
        PostNord(customer_number="1", application_id=1, issuer="SE")


@pytest.mark.parametrize("page", ["", "http://a.example", "the manual"])
def test_key_in_the_query_needs_a_page(page: str) -> None:
    """A key may be sent in the URL only if the https URL of a page that requires it is given."""
    with pytest.raises(ConfigurationError, match="must name the page"):
        query_key("apikey", documentation=page)
