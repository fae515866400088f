"""DHL Express: what it is told, and how its answers are read."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, date, datetime, time
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import pytest

from mooring import ConfigurationError
from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account
from mooring.contracts.shipping import (
    Address,
    AddressVerdict,
    Contents,
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    Signature,
    TrackingStatus,
)
from mooring.domain.http import Request, Response, Timeouts
from mooring.domain.money import Money
from mooring.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    IdempotencyConflict,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from mooring.hub import Hub
from mooring.testing.clock import VirtualClock
from mooring.testing.sandbox.base import Lost, SandboxHttpClient, reply
from mooring.testing.sandbox.dhl_express import DhlExpressSandbox
from mooring.vendors._dhl_express_answers import classify
from mooring.vendors._dhl_express_requests import rates_body, shipment_body, when
from mooring.vendors.dhl_express import DhlExpress

if TYPE_CHECKING:
    from mooring.contracts.shipping import Shipment
    from mooring.faces.shipping import Shipping

HERE = Address(
    name="Jack Sparrow",
    company="Acme",
    line1="388 Townsend St",
    line2="Apt 20",
    line3="Back door",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
)
THERE = Address(
    name="Ada Lovelace",
    line1="1 Bloor Street",
    city="Toronto",
    region="ON",
    postal_code="M4W1A8",
    country="CA",
    phone="+1 416 555 0100",
)
PARCEL = Parcel(weight="2.5", weight_unit="lb", length=30, width="20.5", height=10)
SHIRTS = CustomsItem(
    description="Shirts",
    quantity=2,
    value=Money("46.50", "EUR"),
    weight=1,
    weight_unit="lb",
    hs_code="6109.10",
    origin="DE",
)
CUSTOMS = Customs(items=[SHIRTS], signer="Steve Brule")
REQUEST = RateRequest(sender=HERE, recipient=THERE, parcels=PARCEL, customs=CUSTOMS)
OFFER = Ref("dhl_express", "dhl", "P", {"local": "P"})
PLANNED = "2030-01-02T17:00:00 GMT+01:00"
MARK = sha256(b"\nk-1").hexdigest()[:32]


class Shop:
    """A hub with DHL Express, and its sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = DhlExpressSandbox()
        self.clock = VirtualClock(datetime(2030, 1, 1, 12, tzinfo=UTC))
        self.vendor = DhlExpress(
            username=self.sandbox.username,
            credentials=self.sandbox.password,
            account_number=self.sandbox.account_number,
            **options,
        )
        account = Account("dhl", self.vendor, settings={"retry": None, "circuit": None})
        client = SandboxHttpClient(self.sandbox)
        self.hub = Hub([account], http=client, clock=self.clock)
        self.shipping: Shipping = self.hub.shipping()

    def bought(self, key: str = "order-1", **fields: Any) -> Shipment:
        """A shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(ShipmentRequest(asked=request), idempotency_key=key)

    @property
    def last(self) -> Any:
        """The body of the latest request."""
        return self.sandbox.asked[-1].json()


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """A shop of its own for each test."""
    return Shop()


def told(**fields: Any) -> Any:
    """What buys a shipment."""
    request = attrs.evolve(REQUEST, **fields)
    return shipment_body(
        request, OFFER, account="1", planned=PLANNED, goods="Merchandise", marked="key-1"
    )


def test_a_shipment_is_told_in_kilograms_and_centimetres_rounded_up() -> None:
    """Weights and sides are converted exactly, and never told smaller than they are."""
    parcel = Parcel(weight="2.5", weight_unit="lb", length=1, width=2, height=3, length_unit="in")
    package = told(parcels=parcel)["content"]["packages"][0]

    assert {
        "weight": 1.134,
        "dimensions": {"length": 2.54, "width": 5.08, "height": 7.62},
    } == package


def test_a_parcel_without_sides_is_refused(shop: Shop) -> None:
    """DHL must know how large a parcel is; which one is not known is said before all is sent."""
    with pytest.raises(InvalidData) as caught:
        shop.bought(parcels=[PARCEL, Parcel(weight=1)])

    assert "parcels[1].length" == caught.value.field
    assert [] == shop.sandbox.asked


def test_who_sends_is_told_with_how_to_reach_them() -> None:
    """Who has no company is told as their own, and nobody's empty lines are told."""
    customer = told()["customerDetails"]

    assert {
        "postalAddress": {
            "postalCode": "94107",
            "cityName": "San Francisco",
            "countryCode": "US",
            "provinceCode": "CA",
            "addressLine1": "388 Townsend St",
            "addressLine2": "Apt 20",
            "addressLine3": "Back door",
        },
        "contactInformation": {
            "fullName": "Jack Sparrow",
            "companyName": "Acme",
            "phone": "5555555555",
            "email": "jack@shop.example",
        },
    } == customer["shipperDetails"]
    assert {
        "fullName": "Ada Lovelace",
        "companyName": "Ada Lovelace",
        "phone": "+1 416 555 0100",
    } == customer["receiverDetails"]["contactInformation"]


def test_where_there_are_no_postal_codes_none_is_told() -> None:
    """DHL wants an empty code of those that have none."""
    place = told(recipient=attrs.evolve(THERE, postal_code=None))["customerDetails"]

    assert "" == place["receiverDetails"]["postalAddress"]["postalCode"]


def test_what_is_wished_is_told_as_services() -> None:
    """Signatures, Saturdays, insurance and duties are told by DHL's codes."""
    wished = told(
        signature=Signature.ADULT,
        saturday=True,
        insurance=Money("100", "USD"),
        customs=attrs.evolve(CUSTOMS, incoterm="DDP"),
    )

    assert [
        {"serviceCode": "SD"},
        {"serviceCode": "AA"},
        {"serviceCode": "DD"},
        {"serviceCode": "II", "value": 100, "currency": "USD"},
    ] == wished["valueAddedServices"]
    assert "DDP" == wished["content"]["incoterm"]
    assert "valueAddedServices" not in told()
    assert [{"serviceCode": "SF"}] == told(signature=Signature.ANYBODY)["valueAddedServices"]


def test_customs_are_told_piece_by_piece() -> None:
    """DHL is told what one piece is worth, and what all of them weigh."""
    customs = attrs.evolve(
        CUSTOMS, invoice_number="INV-1", contents=Contents.GIFT, explanation="A present"
    )
    content = told(customs=customs)["content"]

    assert {
        "lineItems": [
            {
                "number": 1,
                "description": "Shirts",
                "price": 23.25,
                "quantity": {"value": 2, "unitOfMeasurement": "PCS"},
                "commodityCodes": [{"typeCode": "outbound", "value": "6109.10"}],
                "manufacturerCountry": "DE",
                "weight": {"netValue": 0.454, "grossValue": 0.454},
            }
        ],
        "invoice": {"number": "INV-1", "date": "2030-01-02", "signatureName": "Steve Brule"},
        "exportReason": "A present",
        "exportReasonType": "gift",
    } == content["exportDeclaration"]
    assert (46.5, "EUR", "Shirts", True) == (
        content["declaredValue"],
        content["declaredValueCurrency"],
        content["description"],
        content["isCustomsDeclarable"],
    )
    assert {"lineItems"} == set(
        told(customs=attrs.evolve(CUSTOMS, contents=Contents.OTHER))["content"]["exportDeclaration"]
    )


def test_a_value_that_does_not_come_out_even_is_told_in_two_lines() -> None:
    """The sum of what all pieces are worth stays exact."""
    third = attrs.evolve(SHIRTS, quantity=3, value=Money("10.00", "EUR"))
    customs = attrs.evolve(CUSTOMS, items=[third])
    lines = told(customs=customs)["content"]["exportDeclaration"]["lineItems"]

    assert [(1, 3.33, 2), (2, 3.34, 1)] == [
        (line["number"], line["price"], line["quantity"]["value"]) for line in lines
    ]


def test_a_value_that_cannot_be_told_is_refused() -> None:
    """Two currencies are not added, and what has too many digits is not rounded."""
    dollars = attrs.evolve(SHIRTS, value=Money("46.50", "USD"))
    with pytest.raises(InvalidData):
        told(customs=attrs.evolve(CUSTOMS, items=[SHIRTS, dollars]))
    with pytest.raises(InvalidData):
        told(insurance=Money("12345678901234567.89", "USD"))


def test_what_is_sent_without_customs_has_a_description(shop: Shop) -> None:
    """A shipment without a declaration contains what the account says that it sells."""
    at_home = Shop(goods="Spare parts")
    at_home.bought(customs=None, recipient=attrs.evolve(THERE, country="US"))

    content = at_home.last["content"]
    assert ("Spare parts", False, "DAP") == (
        content["description"],
        content["isCustomsDeclarable"],
        content["incoterm"],
    )
    assert [] == shop.sandbox.asked


def test_references_go_with_the_mark_by_which_it_is_found() -> None:
    """Our own reference comes first, then the mark; what does not fit on a label is refused."""
    body = told(reference="order 7", parcels=attrs.evolve(PARCEL, reference="box 1"))

    assert [
        {"value": "order 7", "typeCode": "CU"},
        {"value": "key-1", "typeCode": "CU"},
    ] == body["customerReferences"]
    assert [{"value": "box 1", "typeCode": "CU"}] == (
        body["content"]["packages"][0]["customerReferences"]
    )
    with pytest.raises(InvalidData):
        told(reference="o" * 36)


def test_a_label_is_written_on_paper_that_dhl_has() -> None:
    """A4 and A6 have templates; what has none is refused before anything is sent."""
    image = told(label_size=LabelSize.A4)["outputImageProperties"]

    assert {
        "encodingFormat": "pdf",
        "imageOptions": [{"typeCode": "label", "templateName": "ECOM26_84_A4_001"}],
    } == image
    wrong: list[dict[str, Any]] = [{"label": "png"}, {"label_size": "4x6"}, {"label_size": "A5"}]
    for fields in wrong:
        request = attrs.evolve(REQUEST, **fields)
        with pytest.raises(UnsupportedByVendor):
            rates_body(request, "1", PLANNED)
        with pytest.raises(UnsupportedByVendor):
            told(**fields)


def test_each_parcel_has_its_label(shop: Shop) -> None:
    """Of several parcels each has a number and a label of its own."""
    bought = shop.bought(parcels=[PARCEL, PARCEL])
    numbers = bought.tracking_numbers

    assert 2 == len(set(numbers))
    assert list(numbers) == [label.tracking_number for label in bought.labels]
    assert all(
        number.encode() in (label.content or b"")
        for number, label in zip(numbers, bought.labels, strict=True)
    )
    found = shop.shipping.get_shipment(bought.ref)
    assert (ShipmentState.BOUGHT, numbers, ()) == (
        found.state,
        found.tracking_numbers,
        found.labels,
    )
    shop.bought("order-2")
    shop.sandbox.move(numbers[1], "WC")
    shop.sandbox.move([*shop.sandbox.shipments][1], "OK")
    assert TrackingStatus.OUT_FOR_DELIVERY is shop.shipping.track(numbers[1], "DHL Express").status
    assert ("pieceTrackingNumber", numbers[1]) in shop.sandbox.asked[-1].query


def test_options_are_put_into_the_body_that_they_name(shop: Shop) -> None:
    """DHL is asked twice, so an option says for which of the two it is."""
    extra = {"dhl_express": {"shipment": {"content": {"description": "Shelf 7"}}}}
    shop.bought(extra=extra)

    assert "Shelf 7" == shop.last["content"]["description"]
    wrong: list[dict[str, Any]] = [{"content": {}}, {"rates": 7}]
    for options in wrong:
        with pytest.raises(InvalidData):
            shop.bought("order-2", extra={"dhl_express": options})


def test_a_price_is_the_one_that_is_billed(shop: Shop) -> None:
    """Of several currencies the billed one counts, and an offer without it is told apart."""
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
    assert ["It is late.", "An offer could not be read."] == [
        message.text for message in result.messages
    ]


def test_no_product_is_no_error(shop: Shop) -> None:
    """Where DHL has no product there is no offer; what is refused otherwise is refused."""
    shop.sandbox.fail(reply({"products": []}))
    result = shop.shipping.get_rates(REQUEST)
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)
    assert ((), 1) == (result.rates, len(result.messages))

    shop.sandbox.fail(reply({"detail": "7008: It is not available."}, 400))
    with pytest.raises(InvalidRequest) as caught:
        shop.shipping.get_rates(REQUEST)
    assert "7008" == caught.value.vendor_code


def test_only_a_whole_offer_is_bought(shop: Shop) -> None:
    """DHL keeps no offers, so a reference alone buys nothing."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    asked = len(shop.sandbox.asked)
    with pytest.raises(UnsupportedByVendor) as caught:
        shop.shipping.create_shipment(rate.ref, idempotency_key="k-1")

    assert ("buy_by_reference",) == caught.value.capabilities
    assert asked == len(shop.sandbox.asked)
    assert "Lovelace" not in repr(rate)
    assert rate.total == shop.shipping.create_shipment(rate, idempotency_key="k-1").cost


def test_a_lost_purchase_is_found_without_its_label(shop: Shop) -> None:
    """What was bought is found by its mark, and that its label is lost is said."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost())
    found = shop.shipping.create_shipment(rate, idempotency_key="k-1")

    (number,) = shop.sandbox.shipments
    assert ((number,), (), rate.total, rate.service) == (
        found.tracking_numbers,
        found.labels,
        found.cost,
        found.service,
    )
    assert "label" in (found.warnings[0].text or "")
    query = dict(shop.sandbox.asked[-1].query)
    assert (MARK, "2029-12-30", "2030-01-02") == (
        query["shipmentReference"],
        query["dateRangeFrom"],
        query["dateRangeTo"],
    )


@pytest.mark.parametrize("odd", [reply({"shipments": [{}, 1]}), reply({}, 500)])
def test_what_is_not_found_stays_unknown(shop: Shop, odd: Response) -> None:
    """If nobody can say whether it was bought, nobody says so."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(Lost(), odd)
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")


def test_a_reference_of_ours_is_no_mark(shop: Shop) -> None:
    """Another shipment whose reference is the key is not taken for what was lost."""
    shop.bought("another", reference="k-1")
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(ConnectionFailed("The request was lost."))
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")


def test_a_day_is_that_of_the_sender() -> None:
    """Without a day it is the day that it is there where it is handed over."""
    shop = Shop(ready="08:30", utc_offset="+13:00")
    shop.shipping.get_rates(REQUEST)
    assert "2030-01-02T08:30:00 GMT+13:00" == shop.last["plannedShippingDateAndTime"]
    shop.shipping.get_rates(attrs.evolve(REQUEST, ship_date=date(2030, 2, 3)))
    assert "2030-02-03T08:30:00 GMT+13:00" == shop.last["plannedShippingDateAndTime"]
    assert PLANNED == when(date(2030, 1, 2), time(17), "+01:00")


def test_a_key_keeps_its_day_over_midnight(shop: Shop) -> None:
    """Who repeats a purchase on the next day gets what was bought, and buys nothing."""
    first = shop.bought()
    shop.clock.advance(13 * 3_600)
    assert first == shop.bought()
    assert 1 == len(shop.sandbox.shipments)
    with pytest.raises(IdempotencyConflict):
        shop.bought(reference="another order")
    with pytest.raises(IdempotencyConflict):
        shop.bought(ship_date=date(2030, 1, 5))


def test_a_purchase_without_a_number_is_no_success(shop: Shop) -> None:
    """An answer that names no shipment is a failure, and what it cost is what was offered."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.sandbox.fail(reply({"documents": []}, 201))
    with pytest.raises(VendorFailed):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")
    shop.sandbox.fail(reply({"shipmentTrackingNumber": "1", "warnings": ["No prices."]}, 201))
    bought = shop.shipping.create_shipment(rate, idempotency_key="k-2")
    assert (rate.total, (), "No prices.") == (
        bought.cost,
        bought.labels,
        bought.warnings[0].text,
    )


def test_a_label_that_cannot_be_read_is_kept(shop: Shop) -> None:
    """A label in a new format is told as unknown, and one that is no Base64 has no content."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    label = {"typeCode": "label", "imageFormat": "LP2", "content": "?", "packageReferenceNumber": 9}
    shop.sandbox.fail(reply({"shipmentTrackingNumber": "1", "documents": [label]}, 201))
    (found,) = shop.shipping.create_shipment(rate, idempotency_key="k-1").labels

    assert (LabelFormat.UNKNOWN, "LP2", None, None) == (
        found.format,
        found.vendor_format,
        found.content,
        found.tracking_number,
    )


def test_what_happened_is_told_in_order(shop: Shop) -> None:
    """Checkpoints come with their zone, from the first to the last, and who signed is not shown."""
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


def test_what_a_checkpoint_does_not_say_is_not_known(shop: Shop) -> None:
    """A checkpoint without a time or a place is read as far as it goes."""
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
    with pytest.raises(VendorRejected, match="no such shipment"):
        shop.shipping.track("1", "dhl_express")


def test_what_dhl_does_not_do_is_refused_by_itself(shop: Shop) -> None:
    """Whoever asks the vendor past its flags is refused all the same."""
    vendor = DhlExpress(account_number="1")
    wire: Any = None
    for doing in (
        vendor.cancel(wire, OFFER),
        vendor.get_labels(wire, OFFER, None),
        vendor.buy(wire, OFFER, None, key="k-1"),
    ):
        with pytest.raises(UnsupportedByVendor):
            doing.send(None)
    assert shop.sandbox.asked == []


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


@pytest.mark.parametrize(
    "body, code, words",
    [
        (
            {"detail": "Multiple problems found", "additionalDetails": ["7: a", "1001: No.", 5]},
            "1001",
            "Multiple problems found 7: a 1001: No.",
        ),
        ({"title": "Bad request"}, None, "Bad request"),
        ({"message": "Unprocessable"}, None, "Unprocessable"),
        ({}, None, None),
        ([], None, None),
    ],
)
def test_an_error_keeps_its_code(body: object, code: str | None, words: str | None) -> None:
    """DHL's code begins its own words, wherever they stand."""
    error: Any = classify(Request.get("/rates"), reply(body, 400))

    assert (InvalidRequest, code, words) == (type(error), error.vendor_code, error.vendor_message)


def test_an_error_that_is_no_json_is_told_by_its_status() -> None:
    """A page instead of an answer says no more than its status."""
    assert None is classify(Request.get("/rates"), Response(502, body=b"<html>"))
    assert None is classify(Request.get("/rates"), Response(200, body=b"{}"))


def test_an_account_is_checked() -> None:
    """A key without a secret, a time that is none and an offset that is none are told at once."""
    wrongs: tuple[dict[str, Any], ...] = (
        {"username": "key"},
        {"credentials": "secret"},
        {"ready": "five o'clock"},
        {"ready": 17},
        {"utc_offset": "CET"},
        {"utc_offset": 1},
    )
    for wrong in wrongs:
        with pytest.raises(ConfigurationError):
            DhlExpress(account_number="1", **wrong)
    assert time(9, 30) == DhlExpress(account_number="1", ready=time(9, 30)).ready


def test_a_secret_may_come_from_a_provider() -> None:
    """Without a secret of its own the account asks the credential provider, and shows nothing."""
    (service,) = DhlExpress(account_number="123456789").services().values()
    assert (True, None) == (service.needs_credentials, service.credentials)
    vendor = DhlExpress(account_number="123456789", username="key-of-ours", credentials="hush-hush")
    for hidden in ("123456789", "key-of-ours", "hush-hush"):
        assert hidden not in repr(vendor)
        assert hidden not in repr(vendor.services())


def sent(sandbox: DhlExpressSandbox, asked: Request, **headers: str) -> Response:
    """What the sandbox answers to who comes in."""
    known = b64encode(f"{sandbox.username}:{sandbox.password}".encode()).decode()
    fields = {"Authorization": f"Basic {known}", "x-version": "3.1.0", **headers}
    for name, value in fields.items():
        asked = asked.with_header(name, value) if value else asked
    url = f"https://express.api.dhl.com/mydhlapi{asked.path}?{urlencode(asked.query)}"
    return SandboxHttpClient(sandbox).send(asked, url, Timeouts())


GOOD = rates_body(REQUEST, "123456789", PLANNED)
BOUGHT = shipment_body(
    REQUEST, OFFER, account="123456789", planned=PLANNED, goods="Goods", marked="k"
)
UNDECLARED = {
    **BOUGHT,
    "content": {
        name: value for name, value in BOUGHT["content"].items() if name != "exportDeclaration"
    },
}


@pytest.mark.parametrize(
    "asked, words",
    [
        (Request.post("/rates", json={**GOOD, "colour": "red"}), "extraneous key [colour]"),
        (Request.post("/rates", json={**GOOD, "packages": {}}), "expected type: array"),
        (Request.post("/rates", json={**GOOD, "accounts": [7]}), "expected type: object"),
        (Request.post("/rates", json={**GOOD, "isCustomsDeclarable": 1}), "expected type: value"),
        (Request.post("/rates", json={**GOOD, "nextBusinessDay": 1}), "expected type: value"),
        (Request.post("/rates", json={**GOOD, "plannedShippingDateAndTime": "soon"}), "998"),
        (
            Request.post(
                "/rates", json={**GOOD, "accounts": [{"typeCode": "shipper", "number": "7"}]}
            ),
            "account number",
        ),
        (
            Request.post(
                "/rates",
                json={
                    **GOOD,
                    "customerDetails": {
                        **GOOD["customerDetails"],
                        "receiverDetails": {
                            "postalCode": "1",
                            "countryCode": "CA",
                            "cityName": "T" * 46,
                        },
                    },
                },
            ),
            "expected maxLength: 45",
        ),
        (Request.post("/rates", json={}), "Multiple problems"),
        (Request.post("/shipments", json={**BOUGHT, "productCode": "7"}), "Multiple problems"),
        (Request.post("/shipments", json=UNDECLARED), "exportDeclaration"),
        (
            Request.post(
                "/shipments", json={**BOUGHT, "outputImageProperties": {"encodingFormat": "gif"}}
            ),
            "encodingFormat",
        ),
        (Request.get("/shipments/7/tracking"), "No data"),
        (Request.get("/tracking"), "Missing mandatory parameters: shipmentReference"),
        (
            Request.get(
                "/tracking",
                query={
                    "shipmentReference": "k",
                    "shipperAccountNumber": "1",
                    "dateRangeFrom": "2030-01-01",
                    "dateRangeTo": "2030-12-31",
                },
            ),
            "dateRangeTo",
        ),
        (
            Request.get(
                "/tracking",
                query={
                    "shipmentReference": "k",
                    "shipperAccountNumber": "1",
                    "dateRangeFrom": "2030-01-01",
                    "dateRangeTo": "2030-01-02",
                },
            ),
            "No Shipments Found",
        ),
        (Request.get("/address-validate"), "Missing mandatory parameters: type"),
    ],
)
def test_a_sandbox_is_as_strict_as_dhl(shop: Shop, asked: Request, words: str) -> None:
    """Unknown, missing and mistyped fields are refused, and whatever else DHL refuses."""
    answer = sent(shop.sandbox, asked)

    assert 400 <= answer.status < 500
    assert words in answer.text


def test_a_sandbox_knows_who_comes_in(shop: Shop) -> None:
    """A wrong secret is refused, and so is who names no version."""
    asked = Request.post("/rates", json=GOOD)

    assert 200 == sent(shop.sandbox, asked).status
    assert 401 == sent(shop.sandbox, asked, Authorization="Bearer x").status
    assert 400 == sent(shop.sandbox, asked, **{"x-version": ""}).status
    wrong = attrs.evolve(shop.vendor, credentials="wrong")
    account = Account("dhl", wrong, settings={"retry": None, "circuit": None})
    hub = Hub([account], http=SandboxHttpClient(shop.sandbox))
    with pytest.raises(AuthenticationFailed) as caught:
        hub.shipping().get_rates(REQUEST)
    assert "wrong" not in str(caught.value)
