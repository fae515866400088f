"""FedEx: what it is told, and how its answers are read."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account
from mooring.contracts.shipping import (
    Address,
    AddressVerdict,
    CancelState,
    Contents,
    Customs,
    CustomsItem,
    LabelFormat,
    Parcel,
    Place,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    Signature,
    TrackingStatus,
)
from mooring.domain.http import Request, Response, Timeouts
from mooring.domain.money import Money
from mooring.domain.secret import Secret
from mooring.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from mooring.hub import Hub
from mooring.testing.sandbox.base import Lost, SandboxHttpClient, reply
from mooring.testing.sandbox.fedex import FedExSandbox
from mooring.testing.sandbox.tokens import TokenDesk
from mooring.vendors._fedex_requests import rates_body, shipment_body
from mooring.vendors.fedex import FedEx

if TYPE_CHECKING:
    from mooring.contracts.shipping import Shipment
    from mooring.faces.shipping import Shipping

HERE = Address(
    name="Jack Sparrow",
    company="ACME",
    line1="388 Townsend St",
    line2="Apt 20",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
)
THERE = Address(
    name="Elizabeth Swan",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    phone="5555555556",
    residential=True,
)
PARCEL = Parcel(weight="1.25", length=30, width="20.5", height=10)
REQUEST = RateRequest(sender=HERE, recipient=THERE, parcels=PARCEL)
SHIRTS = CustomsItem(
    description="Shirts",
    quantity=2,
    value=Money("46.50", "EUR"),
    weight="0.3",
    hs_code="6109.10",
    origin="DE",
    sku="S-1",
)
SHIP = "POST /ship/v1/shipments"
TRACK = "POST /track/v1/trackingnumbers"
FIND = "POST /track/v1/referencenumbers"
RATES = "POST /rate/v1/rates/quotes"
RESOLVE = "POST /address/v1/addresses/resolve"


class Wire(SandboxHttpClient):
    """Reaches the sandbox, but for what is planned for a path."""

    def __init__(self, sandbox: FedExSandbox) -> None:
        super().__init__(sandbox)
        self.sandbox = sandbox
        self.planned: dict[str, list[Response | ConnectorError | Lost]] = {}

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Let the sandbox answer, or do what was planned."""
        planned = self.planned.get(f"{request.method.value} {request.path}")
        if planned:
            self.sandbox.fail(planned.pop(0))
        return super().send(request, url, timeouts)


class Shop:
    """A hub with FedEx, and its sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = FedExSandbox()
        self.wire = Wire(self.sandbox)
        usual: dict[str, Any] = {
            "client_id": self.sandbox.client_id,
            "credentials": self.sandbox.client_secret,
            "account_number": self.sandbox.account_number,
        }
        account = Account(
            "fedex", FedEx(**{**usual, **options}), settings={"retry": None, "circuit": None}
        )
        self.hub = Hub([account], http=self.wire)
        self.shipping: Shipping = self.hub.shipping()

    def bought(self, key: str = "order-1", **fields: Any) -> Shipment:
        """A shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(ShipmentRequest(asked=request), idempotency_key=key)


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """A shop of its own for each test."""
    return Shop()


def told(request: RateRequest) -> dict[str, Any]:
    """What buys a shipment."""
    body: dict[str, Any] = shipment_body(
        request,
        "FEDEX_GROUND",
        account="740561073",
        pickup="USE_SCHEDULED_PICKUP",
        marked="order-1",
    )["requestedShipment"]
    return body


def out(**output: Any) -> Response:
    """A success of FedEx."""
    return reply({"transactionId": "1", "output": output})


def tracked(**track: Any) -> Response:
    """What FedEx knows of a parcel."""
    return out(completeTrackResults=[{"trackResults": [track]}])


def resolved(**address: Any) -> Response:
    """What FedEx knows of an address."""
    return out(resolvedAddresses=[address])


def test_a_price_depends_on_places_and_parcels() -> None:
    """Nobody's name or street is told to learn a price; sides are whole, rounded up."""
    body = rates_body(attrs.evolve(REQUEST, ship_date=date(2030, 1, 2)), "740561073", "PICKUP")

    assert {
        "accountNumber": {"value": "740561073"},
        "rateRequestControlParameters": {"returnTransitTimes": True},
        "requestedShipment": {
            "shipper": {
                "address": {
                    "city": "San Francisco",
                    "stateOrProvinceCode": "CA",
                    "postalCode": "94107",
                    "countryCode": "US",
                }
            },
            "recipient": {
                "address": {
                    "city": "Redondo Beach",
                    "stateOrProvinceCode": "CA",
                    "postalCode": "90277",
                    "countryCode": "US",
                    "residential": True,
                }
            },
            "shipDateStamp": "2030-01-02",
            "pickupType": "PICKUP",
            "packagingType": "YOUR_PACKAGING",
            "rateRequestType": ["ACCOUNT", "LIST"],
            "totalPackageCount": 1,
            "requestedPackageLineItems": [
                {
                    "groupPackageCount": 1,
                    "weight": {"units": "KG", "value": 1.25},
                    "dimensions": {"units": "CM", "length": 30, "width": 21, "height": 10},
                }
            ],
        },
    } == body


def test_all_weights_are_told_in_one_unit() -> None:
    """A shipment whose first parcel is in pounds is told in pounds, rounded up."""
    first = Parcel(weight="0.001", weight_unit="oz", length=1, width=1, height=1, length_unit="ft")
    body = told(attrs.evolve(REQUEST, parcels=[first, Parcel(weight=1)]))

    assert [{"units": "LB", "value": 0.01}, {"units": "LB", "value": 2.21}] == [
        one["weight"] for one in body["requestedPackageLineItems"]
    ]
    assert {"units": "IN", "length": 12, "width": 12, "height": 12} == (
        body["requestedPackageLineItems"][0]["dimensions"]
    )
    assert "dimensions" not in body["requestedPackageLineItems"][1]
    assert 2.4 == body["totalWeight"]


def test_a_purchase_is_told_with_its_mark() -> None:
    """Who sends and who gets it is told, and each parcel bears the mark and our own number."""
    boxes = [PARCEL, attrs.evolve(PARCEL, reference="box 2")]
    body = told(attrs.evolve(REQUEST, parcels=boxes, reference="SO-7", ship_date=date(2030, 1, 2)))

    assert {
        "contact": {
            "personName": "Jack Sparrow",
            "companyName": "ACME",
            "phoneNumber": "5555555555",
            "emailAddress": "jack@shop.example",
        },
        "address": {
            "streetLines": ["388 Townsend St", "Apt 20"],
            "city": "San Francisco",
            "stateOrProvinceCode": "CA",
            "postalCode": "94107",
            "countryCode": "US",
        },
    } == body["shipper"]
    assert [
        {"customerReferenceType": "CUSTOMER_REFERENCE", "value": "order-1"},
        {"customerReferenceType": "P_O_NUMBER", "value": "SO-7"},
    ] == body["requestedPackageLineItems"][0]["customerReferences"]
    assert ["order-1", "box 2"] == [
        one["value"] for one in body["requestedPackageLineItems"][1]["customerReferences"]
    ]
    assert ("2030-01-02", "FEDEX_GROUND", {"paymentType": "SENDER"}) == (
        body["shipDatestamp"],
        body["serviceType"],
        body["shippingChargesPayment"],
    )


def test_what_is_wished_is_told() -> None:
    """Signature, Saturday and return are told to both APIs; options go in last, each to its own."""
    request = attrs.evolve(
        REQUEST,
        signature=Signature.ANYBODY,
        saturday=True,
        is_return=True,
        extra={"fedex": {"shipment": {"requestedShipment": {"blockInsightVisibility": True}}}},
    )
    rated = rates_body(request, "1", "PICKUP")["requestedShipment"]
    bought = told(request)

    for body in (rated, bought):
        assert {
            "specialServiceTypes": ["SATURDAY_DELIVERY", "RETURN_SHIPMENT"],
            "returnShipmentDetail": {"returnType": "PRINT_RETURN_LABEL"},
        } == body["shipmentSpecialServices"]
        assert {
            "specialServiceTypes": ["SIGNATURE_OPTION"],
            "signatureOptionType": "DIRECT",
        } == body["requestedPackageLineItems"][0]["packageSpecialServices"]
    assert (True, None) == (
        bought["blockInsightVisibility"],
        rated.get("blockInsightVisibility"),
    )
    with pytest.raises(InvalidData):
        told(attrs.evolve(request, extra={"fedex": {"requestedShipment": {}}}))


def test_customs_are_told_in_fedexs_words() -> None:
    """What customs want is told with the exact sum of each line, and what each is worth if even."""
    customs = Customs(
        items=[SHIRTS, attrs.evolve(SHIRTS, quantity=7, sku=None)],
        signer="Steve Brule",
        explanation="A surprise",
        incoterm="DDP",
        invoice_number="INV-1",
        eel_pfc="NO EEI 30.37(a)",
    )
    body = told(attrs.evolve(REQUEST, customs=customs))["customsClearanceDetail"]
    shirts = {
        "description": "Shirts",
        "countryOfManufacture": "DE",
        "harmonizedCode": "6109.10",
        "numberOfPieces": 1,
        "quantityUnits": "PCS",
        "weight": {"units": "KG", "value": 0.3},
        "customsValue": {"amount": 46.5, "currency": "EUR"},
    }

    assert {
        "commercialInvoice": {
            "originatorName": "Steve Brule",
            "shipmentPurpose": "SOLD",
            "specialInstructions": "A surprise",
            "termsOfSale": "DDP",
            "customerReferences": [{"customerReferenceType": "INVOICE_NUMBER", "value": "INV-1"}],
        },
        "dutiesPayment": {"paymentType": "SENDER"},
        "isDocumentOnly": False,
        "totalCustomsValue": {"amount": 93, "currency": "EUR"},
        "commodities": [
            shirts
            | {
                "quantity": 2,
                "partNumber": "S-1",
                "unitPrice": {"amount": 23.25, "currency": "EUR"},
            },
            shirts | {"quantity": 7},
        ],
        "exportDetail": {"exportComplianceStatement": "NO EEI 30.37(a)"},
    } == body


@pytest.mark.parametrize(
    "contents, purpose",
    [(Contents.GIFT, "GIFT"), (Contents.DOCUMENTS, "NOT_SOLD"), (Contents.DONATION, "NOT_SOLD")],
)
def test_contents_have_a_purpose(contents: Contents, purpose: str) -> None:
    """What FedEx has no purpose for was not sold; documents are told to be nothing else."""
    customs = Customs(items=[SHIRTS], signer="Steve Brule", contents=contents)
    body = told(attrs.evolve(REQUEST, customs=customs))["customsClearanceDetail"]

    assert purpose == body["commercialInvoice"]["shipmentPurpose"]
    assert (contents is Contents.DOCUMENTS) is body["isDocumentOnly"]
    assert {"paymentType": "RECIPIENT"} == body["dutiesPayment"]


def test_what_fedex_does_not_take_is_refused_before_anything_is_sent(shop: Shop) -> None:
    """A way back to somebody else, a number that is too long: nobody is asked."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_rates(attrs.evolve(REQUEST, return_to=THERE))
    assert [] == shop.sandbox.asked
    assert shop.shipping.get_rates(attrs.evolve(REQUEST, return_to=HERE)).rates
    with pytest.raises(InvalidData):
        shop.bought(reference="n" * 36)
    assert {} == shop.sandbox.shipments


def test_an_offer_is_what_the_account_pays(shop: Shop) -> None:
    """The price of the account is taken, beside the list's; what cannot be read is no offer."""
    rate = shop.shipping.get_rates(REQUEST).rates[1]

    assert (Money("24.42", "USD"), Money("29.42", "USD"), 2) == (
        rate.total,
        rate.list_price,
        rate.delivery_days,
    )
    assert ("fedex_2_day", "FEDEX_2_DAY", "FedEx 2Day®") == (
        rate.service,
        rate.vendor_service,
        rate.service_name,
    )
    assert datetime(2030, 1, 5, 17, tzinfo=UTC) == rate.delivery_date
    account = {
        "rateType": "ACCOUNT",
        "totalNetCharge": 7,
        "shipmentRateDetail": {"currency": "EUR"},
    }
    took = {"transitDays": {"minimumTransitTime": "ONE_DAY"}, "dateDetail": {"dayFormat": "x"}}
    offers = [
        {"serviceType": "NEW", "ratedShipmentDetails": [account], "commit": took},
        {"serviceType": "LISTED", "ratedShipmentDetails": [{"rateType": "LIST"}]},
        {"ratedShipmentDetails": [account]},
        "odd",
    ]
    alert = {"code": "NOTE", "message": "All is well."}
    shop.wire.planned[RATES] = [out(rateReplyDetails=offers, alerts=[alert]), reply({})]
    result = shop.shipping.get_rates(REQUEST)
    assert [(Money("7", "EUR"), 1)] == [(one.total, one.delivery_days) for one in result.rates]
    assert ["NOTE", None, None] == [one.code for one in result.messages]
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)


def test_where_fedex_does_not_carry_nothing_is_offered(shop: Shop) -> None:
    """What FedEx says of a place or a weight is told; what is wrong otherwise is an error."""
    nowhere = shop.shipping.get_rates(
        attrs.evolve(REQUEST, recipient=attrs.evolve(THERE, postal_code="00000"))
    )
    heavy = shop.shipping.get_rates(attrs.evolve(REQUEST, parcels=Parcel(weight=99)))

    assert [(), "RATE.LOCATION.NOSERVICE"] == [nowhere.rates, nowhere.messages[0].code]
    assert [(), "Too heavy."] == [heavy.rates, heavy.messages[0].text]
    with pytest.raises(InvalidRequest) as caught:
        shop.shipping.get_rates(attrs.evolve(REQUEST, recipient=attrs.evolve(THERE, country="CA")))
    assert "CUSTOMSCLEARANCEDETAIL.REQUIRED" == caught.value.vendor_code


@pytest.mark.parametrize(
    "wish, image",
    [("pdf", "PDF"), ("png", "PNG"), ("zpl", "ZPLII"), ("epl", "EPL2")],
)
def test_a_label_is_written_as_it_was_wished(shop: Shop, wish: str, image: str) -> None:
    """Each format has its word, and the label is in the answer."""
    label = shop.bought(label=wish).labels[0]

    assert (LabelFormat(wish), image) == (label.format, label.vendor_format)
    assert label.content
    assert label.url is None


def test_several_parcels_have_a_label_each_and_are_cancelled_together(shop: Shop) -> None:
    """Parcels that go together are known by their first number, also later."""
    bought = shop.bought(parcels=[PARCEL, PARCEL, PARCEL])

    assert 3 == len(set(bought.tracking_numbers)) == len(bought.labels)
    assert bought.tracking_numbers == tuple(one.tracking_number for one in bought.labels)
    assert bought.tracking_numbers == shop.shipping.get_shipment(str(bought.ref)).tracking_numbers
    back = shop.shipping.cancel(str(bought.ref))
    assert (CancelState.APPROVED, "Shipment is successfully cancelled") == (
        back.state,
        back.vendor_status,
    )
    again = shop.shipping.cancel(bought.ref)
    assert (CancelState.APPROVED, "CA") == (again.state, again.vendor_status)
    assert {"CA"} == {one["latestStatusDetail"]["code"] for one in shop.sandbox.tracks.values()}


def test_a_cancel_that_was_not_done_is_an_error(shop: Shop) -> None:
    """A success that says no is a refusal, and one that says nothing is a failure."""
    bought = shop.bought()
    alert = {"code": "SHIPMENT.CANCEL.FAILED", "message": "Too late."}
    cancel = "PUT /ship/v1/shipments/cancel"
    shop.wire.planned[cancel] = [
        out(cancelledShipment=False, alerts=[alert]),
        out(cancelledShipment=False),
        out(),
        out(cancelledShipment=True),
    ]
    with pytest.raises(VendorRejected, match="Too late") as caught:
        shop.shipping.cancel(bought.ref)
    assert "SHIPMENT.CANCEL.FAILED" == caught.value.vendor_code
    with pytest.raises(VendorRejected, match="does not say why"):
        shop.shipping.cancel(bought.ref)
    with pytest.raises(VendorFailed):
        shop.shipping.cancel(bought.ref)
    assert "cancelledShipment" == shop.shipping.cancel(bought.ref).vendor_status
    with pytest.raises(VendorRejected) as caught:
        shop.shipping.cancel("fedex:fedex:7")
    assert "TRACKINGNUMBER.NOTFOUND" == caught.value.vendor_code


def test_what_was_bought_is_read_as_far_as_it_goes(shop: Shop) -> None:
    """Papers, warnings and odd labels are kept; a price that is missing is none."""
    document = {"contentType": "LABEL", "docType": "SVG", "url": "https://fedex.example/l"}
    other = {"contentType": "AUXILIARY"}
    sold = {
        "serviceType": "FEDEX_GROUND",
        "masterTrackingNumber": "1",
        "pieceResponses": [{"packageDocuments": [document, other]}, 7],
        "shipmentDocuments": [{"url": "https://fedex.example/invoice"}, {}],
        "alerts": [{"code": "A", "message": "B"}],
    }
    shop.wire.planned[SHIP] = [
        out(transactionShipments=[sold]),
        out(transactionShipments=[{"pieceResponses": [{"trackingNumber": "2"}]}]),
        out(transactionShipments=[{}]),
    ]
    first, second = shop.bought("k-1"), shop.bought("k-2")

    assert (("1",), None, ("https://fedex.example/invoice",)) == (
        first.tracking_numbers,
        first.cost,
        first.documents,
    )
    [label] = first.labels
    assert (LabelFormat.UNKNOWN, None, "https://fedex.example/l") == (
        label.format,
        label.content,
        label.url,
    )
    assert ["A"] == [one.code for one in first.warnings]
    assert (("2",), (), None) == (second.tracking_numbers, second.labels, second.service)
    with pytest.raises(VendorFailed):
        shop.bought("k-3")


def test_a_lost_purchase_is_found_by_its_mark(shop: Shop) -> None:
    """What was bought and lost its answer is found by its reference, without its label."""
    shop.wire.planned[SHIP] = [Lost()]
    found = shop.bought(parcels=[PARCEL, PARCEL], ship_date=date(2130, 1, 2))

    asked = json.loads(shop.sandbox.asked[-1].body)["referencesInformation"]
    assert (sha256(b"\norder-1").hexdigest()[:32], "2130-01-03") == (
        asked["value"],
        asked["shipDateEndDate"],
    )
    assert [found.ref.id] == [*shop.sandbox.shipments]
    assert (2, (), ShipmentState.BOUGHT) == (
        len(found.tracking_numbers),
        found.labels,
        found.state,
    )
    assert "lost" in str(found.warnings[0].text)


@pytest.mark.parametrize(
    "answer",
    [
        Response(503),
        out(completeTrackResults=[]),
        out(completeTrackResults=[{"trackResults": [{}, 7]}, 7]),
        reply([]),
        reply({}),
    ],
    ids=["outage", "none", "odd", "list", "empty"],
)
def test_a_lost_purchase_that_is_not_found_is_unknown(shop: Shop, answer: Response) -> None:
    """What FedEx does not find, or cannot be asked for, is unknown; nothing is bought again."""
    shop.wire.planned[SHIP] = [Response(503)]
    shop.wire.planned[FIND] = [answer]
    with pytest.raises(OutcomeUnknown):
        shop.bought()
    with pytest.raises(OutcomeUnknown):
        shop.bought()

    assert {} == shop.sandbox.shipments


def test_only_a_whole_offer_can_be_bought(shop: Shop) -> None:
    """FedEx keeps no offers: the reference of one is refused before anything is sent."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    asked = len(shop.sandbox.asked)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.create_shipment(str(rate.ref), idempotency_key="k-1")
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label("fedex:fedex:1")

    assert asked == len(shop.sandbox.asked)
    with pytest.raises(UnsupportedByVendor, match="once"):
        asyncio.run(FedEx(account_number="1").get_labels(None, rate.ref, None))  # type: ignore[arg-type]  # nothing is sent
    assert rate.total == shop.shipping.create_shipment(rate, idempotency_key="k-1").cost


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
def test_parcels_are_followed(shop: Shop, word: str, status: TrackingStatus) -> None:
    """A number is followed as far as FedEx says; its last news is the last event."""
    [number] = shop.bought().tracking_numbers
    shop.sandbox.move(number, "PU")
    shop.sandbox.move(number, word)
    tracking = shop.shipping.track(number, "fedex")

    assert (status, word) == (tracking.status, tracking.vendor_status)
    assert ["PU", word] == [one.vendor_status for one in tracking.events]
    expected = Place(city="MEMPHIS", region="TN", postal_code="38118", country="US")
    assert expected == tracking.events[0].location
    assert datetime(2030, 1, 5, 23, tzinfo=UTC) == tracking.estimated_delivery


def test_what_a_track_does_not_say_is_not_known(shop: Shop) -> None:
    """A track without times or places is read as far as it goes; who signed is told."""
    latest = {"code": "DL", "ancillaryDetails": [{"reason": "15"}]}
    events = [{"eventType": "PU", "exceptionDescription": "Late"}, {}]
    shop.wire.planned[TRACK] = [
        tracked(
            latestStatusDetail=latest,
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
    assert ["Late", None] == [one.text for one in tracking.events]
    assert [None, None] == [one.location for one in tracking.events]


def test_a_number_that_fedex_does_not_know_is_refused_unless_it_is_ours(shop: Shop) -> None:
    """Of a label that was bought just now there is no news yet; of a stranger's, there is none."""
    bought = shop.bought()
    shop.sandbox.tracks.clear()
    with pytest.raises(VendorRejected) as caught:
        shop.shipping.track("7", "fedex")
    assert "TRACKING.TRACKINGNUMBER.NOTFOUND" == caught.value.vendor_code
    tracking = shop.shipping.track_shipment(bought.ref)
    assert (TrackingStatus.UNKNOWN, bought.ref.id) == (tracking.status, tracking.number)
    assert ShipmentState.UNKNOWN is shop.shipping.get_shipment(bought.ref).state
    error = {"code": "TRACKING.DATA.DENIED", "message": "No."}
    shop.wire.planned[TRACK] = [tracked(error=error), out(alerts=[]), reply({})]
    with pytest.raises(VendorRejected, match=r"No\."):
        shop.shipping.track_shipment(bought.ref)
    with pytest.raises(VendorFailed):
        shop.shipping.track("7", "fedex")
    with pytest.raises(VendorFailed):
        shop.shipping.track("7", "fedex")
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.track("7", "ups")


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "INVALID.INPUT.EXCEPTION", InvalidRequest),
        (400, "NOT.AUTHORIZED.ERROR", AuthenticationFailed),
        (400, "SYSTEM.UNEXPECTED.ERROR", VendorFailed),
        (200, "SERVICE.UNAVAILABLE.ERROR", VendorFailed),
        (200, "ACCOUNT.NUMBER.MISMATCH", VendorRejected),
        (403, "FORBIDDEN.ERROR", AuthenticationFailed),
        (404, "NOT.FOUND.ERROR", VendorRejected),
        (429, "TOO.MANY.REQUESTS", RateLimitExceeded),
        (500, "INTERNAL.SERVER.ERROR", VendorFailed),
        (500, None, VendorFailed),
    ],
)
def test_an_error_is_told_by_its_own_code(
    shop: Shop, status: int, code: str | None, kind: type[ConnectorError]
) -> None:
    """What kind of failure it is, the body says before the status does."""
    shop.wire.planned[RATES] = [reply({"errors": [{"code": code, "message": "No."}]}, status)]
    with pytest.raises(kind, match=r"No\.") as caught:
        shop.shipping.get_rates(REQUEST)

    assert kind is type(caught.value)
    assert code == caught.value.vendor_code  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body", [b"<html></html>", b"[]", b'{"errors": "no"}', b'{"errors": []}', b"null", b""]
)
def test_an_error_without_words_is_told_by_its_status(shop: Shop, body: bytes) -> None:
    """What is no error of FedEx's is read as anybody's, and no success without what it is of."""
    shop.wire.planned[RATES] = [Response(404, body=body), Response(200, body=body)]
    with pytest.raises(VendorRejected):
        shop.shipping.get_rates(REQUEST)
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)


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
def test_an_address_is_judged(shop: Shop, told_of: dict[str, Any], verdict: AddressVerdict) -> None:
    """What was not resolved, or has no point of delivery, is not valid, and that is said."""
    shop.wire.planned[RESOLVE] = [resolved(**told_of)]
    checked = shop.shipping.validate_address(THERE)

    assert verdict is checked.verdict
    assert (verdict is AddressVerdict.CORRECTED) is (checked.suggested is not None)
    assert (verdict is AddressVerdict.INVALID) is bool(checked.messages)


def test_an_address_is_suggested_as_it_is_resolved(shop: Shop) -> None:
    """Streets and codes come as FedEx writes them; who is there stays as it was given."""
    message = {"code": "SUITE.NUMBER.REQUIRED", "message": "Which?"}
    shop.wire.planned[RESOLVE] = [
        resolved(
            streetLinesToken=["179 N HARBOR DR"],
            city="REDONDO BEACH",
            stateOrProvinceCode="CA",
            countryCode="US",
            parsedPostalCode={"base": "90277", "addOn": "1234"},
            classification="BUSINESS",
            customerMessages=[message],
            attributes={"Resolved": "true"},
        ),
        out(),
    ]
    checked = shop.shipping.validate_address(THERE)

    assert (("postal_code",), False) == (checked.changes, checked.residential)
    assert checked.suggested is not None
    assert ("90277-1234", "Elizabeth Swan") == (
        checked.suggested.postal_code,
        checked.suggested.name,
    )
    assert ["SUITE.NUMBER.REQUIRED"] == [one.code for one in checked.messages]
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(THERE)


def test_a_token_is_asked_for_once_and_again_when_it_is_refused(shop: Shop) -> None:
    """One token serves until FedEx refuses it, and then another is got."""
    shop.shipping.get_rates(REQUEST)
    shop.shipping.get_rates(REQUEST)
    assert 1 == shop.sandbox.desk.granted
    shop.sandbox.desk.forget()
    assert shop.shipping.get_rates(REQUEST).rates
    assert 2 == shop.sandbox.desk.granted
    headers = shop.sandbox.asked[-1].headers
    assert "en_US" == headers.get("x-locale")


def test_tracking_may_have_a_project_of_its_own() -> None:
    """The parcels are followed with the token of the project that tracks."""
    shop = Shop(tracking_client_id="l7-tracker", tracking_credentials="secret-of-tracking")
    shop.bought()
    desk = TokenDesk("/oauth/token", "l7-tracker", "secret-of-tracking", posted=True)
    shop.sandbox.beside["/oauth/token"] = shop.sandbox.desk = desk
    [number] = shop.sandbox.tracks

    assert number == shop.shipping.track(number, "fedex").number
    assert 1 == desk.granted
    assert {"", "tracking"} == set(FedEx(**_options("tracking_")).clients())


def _options(*prefixes: str) -> dict[str, Any]:
    pairs: dict[str, Any] = {"account_number": "1", "client_id": "a", "credentials": "b"}
    for prefix in prefixes:
        pairs |= {f"{prefix}client_id": "c", f"{prefix}credentials": "d"}
    return pairs


@pytest.mark.parametrize(
    "options, path",
    [
        ({"client_id": "a"}, "client_id"),
        ({"credentials": "b"}, "client_id"),
        ({"tracking_client_id": "a"}, "tracking_client_id"),
        ({"pickup": "BY_DRONE"}, "pickup"),
    ],
)
def test_half_a_key_is_refused(options: dict[str, str], path: str) -> None:
    """A key without its secret, and a way in which nobody gets a parcel, are refused."""
    with pytest.raises(ConfigurationError) as caught:
        FedEx(account_number="1", **options)  # type: ignore[arg-type]  # what a configuration gives

    assert path == caught.value.path


def test_an_account_is_where_it_says() -> None:
    """The test system is another host; tokens may come from a provider; no secret is shown."""
    usual, test = FedEx(account_number="1"), FedEx(account_number="1", sandbox=True)

    assert "https://apis.fedex.com" == usual.services()[""].base_url
    assert "https://apis-sandbox.fedex.com" == test.services()[""].base_url
    assert ({}, True) == (usual.clients(), usual.services()[""].needs_credentials)
    whole = FedEx(**_options("tracking_"), base_url="https://fedex.example/")
    assert {"https://fedex.example/oauth/token"} == {
        one.server.token_endpoint for one in whole.clients().values()
    }
    secret = FedEx(account_number="740561073", client_id="key", credentials=Secret("hush-hush"))
    assert "hush" not in repr(secret)
    assert "740561073" not in repr(secret)


def test_a_key_is_told_for_those_who_look_for_it(shop: Shop) -> None:
    """FedEx gets the key as the customer's id of the transaction, in short if it is long."""
    shop.bought("order-1")
    shop.bought("k" * 200)
    told_of = [
        str(one.headers.get("x-customer-transaction-id"))
        for one in shop.sandbox.asked
        if one.path == "/ship/v1/shipments"
    ]

    assert ["order-1", 40] == [told_of[0], len(told_of[1])]


@pytest.mark.parametrize(
    "path, value, code",
    [
        (("requestedShipment", "recipients"), {}, "INVALID.INPUT.EXCEPTION"),
        (("requestedShipment", "labelspecification"), {}, "INVALID.INPUT.EXCEPTION"),
        (("requestedShipment", "totalWeight"), "1", "INVALID.INPUT.EXCEPTION"),
        (("accountNumber", "value"), "1", "ACCOUNT.NUMBER.MISMATCH"),
        (("requestedShipment", "serviceType"), "BY_DRONE", "SERVICE.TYPE.INVALID"),
        (
            ("requestedShipment", "labelSpecification", "imageType"),
            "SVG",
            "INVALID.INPUT.EXCEPTION",
        ),
        (
            ("requestedShipment", "labelSpecification", "labelStockType"),
            "A4",
            "INVALID.INPUT.EXCEPTION",
        ),
    ],
)
def test_the_sandbox_is_strict(shop: Shop, path: tuple[str, ...], value: object, code: str) -> None:
    """What FedEx does not know, or takes in another form, the sandbox refuses."""
    shop.bought()
    [sent] = [one for one in shop.sandbox.asked if one.path == "/ship/v1/shipments"]
    body = json.loads(sent.body)
    inner = body
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    response = answered(shop, Request.post("/ship/v1/shipments", json=body))

    assert (400, code) == (response.status, response.json()["errors"][0]["code"])
    assert 1 == len(shop.sandbox.shipments)


def test_the_sandbox_knows_whom_it_lets_in(shop: Shop) -> None:
    """Whoever has no token, or asks for nothing, or for weights that are none, is refused."""
    shop.shipping.get_rates(REQUEST)
    body = json.loads(shop.sandbox.asked[-1].body)
    asked = Request.post("/rate/v1/rates/quotes", json=body)
    assert 200 == answered(shop, asked).status
    assert 401 == answered(shop, asked, token="another").status
    assert 404 == answered(shop, Request.get("/nothing")).status
    body["requestedShipment"]["requestedPackageLineItems"][0]["weight"]["value"] = 0
    assert 400 == answered(shop, Request.post("/rate/v1/rates/quotes", json=body)).status
    mine = {"value": "1", "shipDateBegin": "a", "shipDateEndDate": "b"}
    found = Request.post("/track/v1/referencenumbers", json={"referencesInformation": mine})
    assert 400 == answered(shop, found).status


def answered(shop: Shop, request: Request, token: str | None = None) -> Response:
    """What the sandbox says to whoever has this token, or a good one."""
    good = token or f"token-{shop.sandbox.client_id}-{shop.sandbox.desk.granted}"
    shown = request.with_header("Authorization", f"Bearer {good}")
    url = f"https://apis.fedex.com{request.path}"
    return SandboxHttpClient(shop.sandbox).send(shown, url, Timeouts())


def test_a_reference_is_of_its_account() -> None:
    """What was bought is known by its number at its account."""
    bought = Shop().bought()

    assert Ref("fedex", "fedex", bought.tracking_numbers[0]) == bought.ref
