"""DHL Parcel: labels, deletions, handed-over shipments, tracking and rejections."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Address,
    CancelState,
    Choice,
    LabelFormat,
    Parcel,
    Place,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    TrackingStatus,
)
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.dhl_parcel import DhlParcelSandbox
from tests.vendors.subjects.dhl_parcel import dhl_error, dhl_parcel_vendor

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

SENDER = Address(
    name="Jack Sparrow",
    company="Acme GmbH",
    line1="Hafenstr. 9",
    line2="Tor 3",
    line3="Rampe 2",
    city="Hamburg",
    postal_code="20457",
    country="DE",
    phone="+4940000000",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="Am Hang 5",
    line2="2. Etage",
    line3="Tür 4",
    city="Wien",
    region="Wien",
    postal_code="1010",
    country="AT",
    phone="+4310000000",
    email="ada@mail.example",
)
BOX = Parcel(weight="1.2341", length=30, width="20.05", height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=BOX, reference="SO-1")
ORDERS: Final = "/parcel/de/shipping/v2/orders"
TRACKING: Final = "/track/shipments"
TRACKED: Final[dict[str, Any]] = {
    "shipments": [
        {
            "id": 7777777770,
            "service": "parcel-de",
            "status": {"timestamp": "2026-03-02T07:53:47Z", "statusCode": "transit"},
            "estimatedTimeOfDelivery": "2026-03-03T00:00:00Z",
            "serviceUrl": "https://www.dhl.de/de/privatkunden.html?piececode=7777777770",
            "events": [
                {
                    "timestamp": "2026-03-02T07:53:47",
                    "location": {
                        "address": {
                            "countryCode": "DE",
                            "postalCode": "53113",
                            "addressLocality": "Bonn",
                        }
                    },
                    "statusCode": "transit",
                    "status": "The parcel is on its way.",
                },
                {"timestamp": "2026-03-01T07:53:47", "statusCode": "teleported"},
            ],
        }
    ]
}
"""The form of a documented response, with shorter texts."""


class Shop:
    """A hub with an account at DHL Parcel's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = DhlParcelSandbox()
        vendor = dhl_parcel_vendor(self.sandbox, **options)
        account = Account("dhl_parcel", vendor, settings={"retry": None, "circuit": None})
        hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.shipping = hub.shipping()

    def request(self, service: str = "dhl_parcel_v53_wpak", **fields: Any) -> ShipmentRequest:
        """Return a request to buy a label."""
        rate_request = attrs.evolve(REQUEST, **fields)
        return ShipmentRequest(rate_request=rate_request, choose=Choice(services=[service]))

    def buy(self, key: str = "k-1", **fields: Any) -> Any:
        """Buy a label and return the shipment."""
        return self.shipping.create_shipment(self.request(**fields), idempotency_key=key)

    def bodies(self) -> list[Any]:
        """Return the bodies of the orders that were sent."""
        return [item.json() for item in self.sandbox.requests if item.method == "POST"]

    def steps(self) -> list[str]:
        """Return the method and path of each request."""
        return [f"{item.method} {item.path}" for item in self.sandbox.requests]


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """Return a hub with an account at a new sandbox."""
    return Shop()


def test_order_has_the_product_the_addresses_and_the_parcel(shop: Shop) -> None:
    """An order has countries of three letters, whole grams and millimetres, and a long reference.

    DHL takes no reference of fewer than eight characters, so spaces follow a short one.
    """
    purchase = shop.buy(ship_date=date(2030, 1, 2))

    assert [
        {
            "profile": "STANDARD_GRUPPENPROFIL",
            "shipments": [
                {
                    "product": "V53WPAK",
                    "billingNumber": "33333333335301",
                    "refNo": "SO-1    ",
                    "shipDate": "2030-01-02",
                    "shipper": {
                        "name1": "Acme GmbH",
                        "name2": "Jack Sparrow",
                        "name3": "Tor 3, Rampe 2",
                        "addressStreet": "Hafenstr. 9",
                        "postalCode": "20457",
                        "city": "Hamburg",
                        "country": "DEU",
                        "email": "jack@shop.example",
                    },
                    "consignee": {
                        "name1": "Ada Lovelace",
                        "addressStreet": "Am Hang 5",
                        "additionalAddressInformation1": "2. Etage",
                        "additionalAddressInformation2": "Tür 4",
                        "postalCode": "1010",
                        "city": "Wien",
                        "state": "Wien",
                        "country": "AUT",
                        "phone": "+4310000000",
                        "email": "ada@mail.example",
                    },
                    "details": {
                        "weight": {"uom": "g", "value": 1235},
                        "dim": {"uom": "mm", "length": 300, "width": 201, "height": 100},
                    },
                }
            ],
        }
    ] == shop.bodies()
    assert (("docFormat", "PDF"), ("includeDocs", "include")) == tuple(
        sorted(shop.sandbox.requests[0].query)
    )
    assert ("dhl_parcel", "dhl_parcel_v53_wpak", None, ShipmentState.BOUGHT, b"%PDF") == (
        purchase.carrier,
        purchase.service,
        purchase.cost,
        purchase.state,
        purchase.labels[0].content[:4],
    )


def test_order_without_options_has_only_the_required_fields(shop: Shop) -> None:
    """A shipment without a reference, a date and dimensions is sent without them."""
    plain = attrs.evolve(SENDER, company=None, line2=None, line3=None, email=None)
    shop.buy(parcels=Parcel(weight="0.5"), reference=None, sender=plain)
    [shipment] = shop.bodies()[0]["shipments"]

    assert {"billingNumber", "consignee", "details", "product", "shipper"} == set(shipment)
    assert {"weight": {"uom": "g", "value": 500}} == shipment["details"]
    assert ["addressStreet", "city", "country", "name1", "postalCode"] == sorted(
        shipment["shipper"]
    )


def test_options_of_account_and_request_are_sent() -> None:
    """The account's paper format, the parcel's reference and extra options are sent."""
    shop = Shop(print_format="910-300-400")
    extra = {"dhl_parcel": {"services": {"goGreenPlus": True}}}
    purchase = shop.buy(label="zpl", parcels=attrs.evolve(BOX, reference="BOX-2041"), extra=extra)
    [shipment] = shop.bodies()[0]["shipments"]

    assert {"docFormat": "ZPL2", "includeDocs": "include", "printFormat": "910-300-400"} == dict(
        shop.sandbox.requests[0].query
    )
    assert ("BOX-2041", {"goGreenPlus": True}) == (shipment["refNo"], shipment["services"])
    assert (LabelFormat.ZPL, b"^XA") == (purchase.labels[0].format, purchase.labels[0].content[:3])


@pytest.mark.parametrize("service", ["dhl_parcel_v01_pak", "V01PAK", "dhl_parcel_v01pak"])
def test_service_is_sent_as_dhl_product(shop: Shop, service: str) -> None:
    """A service is sent as DHL's product, whose digits are in the billing number."""
    assert "dhl_parcel_v01_pak" == shop.buy(service=service).service
    [shipment] = shop.bodies()[0]["shipments"]
    assert ("V01PAK", "33333333330101") == (shipment["product"], shipment["billingNumber"])


@pytest.mark.parametrize(
    "fields, kind, words",
    [
        ({"return_to": SENDER}, UnsupportedByVendor, "only to the sender"),
        ({"label": "png"}, UnsupportedByVendor, "not print PNG labels"),
        ({"reference": "x" * 36}, InvalidData, "too long for a label"),
        ({"service": "dhl_parcel_paket"}, InvalidData, "not a product of DHL Parcel"),
        ({"recipient": attrs.evolve(RECIPIENT, country="XK")}, InvalidData, "not know the country"),
    ],
    ids=["return_to", "png", "reference", "service", "country"],
)
def test_order_that_dhl_cannot_take_is_not_sent(
    shop: Shop, fields: dict[str, Any], kind: type[ConnectorError], words: str
) -> None:
    """A feature that DHL Parcel does not have is refused before anything is sent."""
    with pytest.raises(kind, match=words):
        shop.buy(**fields)

    assert [] == shop.steps()


def test_lost_answer_stays_unknown(shop: Shop) -> None:
    """After a lost response, a key's outcome stays unknown, and nothing is bought twice."""
    shop.sandbox.fail(Lost())
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            shop.buy()

    assert (1, 1) == (len(shop.bodies()), shop.sandbox.sold)


def test_purchase_that_must_be_found_again_is_refused(shop: Shop) -> None:
    """A request that demands a recoverable label is refused before anything is sent."""
    request = attrs.evolve(shop.request(), recoverable=True)
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.shipping.create_shipment(request, idempotency_key="k-1")

    assert (("find_lost_label",), []) == (excinfo.value.capabilities, shop.steps())


def test_validation_messages_of_a_purchase_are_warnings(shop: Shop) -> None:
    """DHL's remarks on a shipment that it created are in the warnings, without empty ones."""

    def with_remarks(response: Response) -> Response:
        body = response.json()
        remark = {"property": "consignee", "validationMessage": "The street is not found."}
        body["items"][0].update(label=None, validationMessages=[remark, {"property": "shipper"}])
        return reply(body)

    shop.sandbox.fail(AlteredAnswer(with_remarks))
    purchase = shop.buy()

    assert [("dhl_parcel", "The street is not found.")] == [
        (message.carrier, message.text) for message in purchase.warnings
    ]
    assert (ShipmentState.BOUGHT, ()) == (purchase.state, purchase.labels)


def test_refusal_names_the_first_problem_of_the_shipment(shop: Shop) -> None:
    """A refusal has the text of DHL's first validation message and the shipment's status."""
    with pytest.raises(InvalidRequest, match="The city entered does not match") as excinfo:
        shop.buy(recipient=attrs.evolve(RECIPIENT, postal_code="00001"))

    assert ("400", 0) == (excinfo.value.vendor_code, shop.sandbox.sold)


@pytest.mark.parametrize(
    "states, words",
    [
        (("Warning", "Error", "Error"), "Remark 2. Remark 3."),
        (("Error", "Warning", "Warning"), "Remark 1."),
        (("Warning", "Warning", "Warning"), "Remark 1. Remark 2. Remark 3."),
    ],
)
def test_refusal_has_the_texts_of_all_errors(shop: Shop, states: Any, words: str) -> None:
    """A refusal has the texts of DHL's errors; its warnings only if there are no errors."""
    remarks = [
        {"validationMessage": f"Remark {number}.", "validationState": state}
        for number, state in enumerate(states, 1)
    ]
    status = {"title": "Bad Request", "statusCode": 400}
    item = {"sstatus": status, "validationMessages": [*remarks, {"property": "shipper"}]}
    shop.sandbox.fail(reply({"status": status, "items": [item]}, 400))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.buy()

    assert words == excinfo.value.vendor_message


def test_refusal_of_a_malformed_request_names_the_field(shop: Shop) -> None:
    """A refusal of the request itself has the text about the first wrong field."""
    with pytest.raises(InvalidRequest, match="The field is extraneous") as excinfo:
        shop.buy(extra={"dhl_parcel": {"volume": 1}})

    assert "400" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "answer, kind, code, words",
    [
        (dhl_error(200, 206, "GeneralShipmentError"), VendorRejected, "206", "It is refused"),
        (dhl_error(207, 400, "Bad Request"), VendorRejected, "400", "It is refused"),
        (
            reply({"title": "Unauthorized", "statusCode": 401}, 401),
            AuthenticationFailed,
            "401",
            "Unauthorized",
        ),
        (reply({}, 403), AuthenticationFailed, None, "no reason is given"),
    ],
    ids=["206", "207", "401", "403"],
)
def test_status_of_the_shipment_decides(
    shop: Shop, answer: Response, kind: type[ConnectorError], code: str | None, words: str
) -> None:
    """A refused shipment in a successful response raises an error, whose code is its status."""
    shop.sandbox.fail(answer)
    with pytest.raises(kind, match=words) as excinfo:
        shop.buy()

    assert kind is type(excinfo.value)
    assert code == getattr(excinfo.value, "vendor_code", None)


def test_label_is_fetched_again_in_another_format(shop: Shop) -> None:
    """A label can be fetched again, in its own format or in another one."""
    ref = shop.buy().ref

    assert (shop.shipping.get_label(ref).content or b"").startswith(b"%PDF")
    assert (shop.shipping.get_label(ref, "zpl").content or b"").startswith(b"^XA")
    assert ["PDF", "PDF", "ZPL2"] == [
        dict(item.query)["docFormat"] for item in shop.sandbox.requests
    ]


def test_answer_without_a_label_is_a_failure_of_get_label(shop: Shop) -> None:
    """A response that has no label is not returned as a label."""
    ref = shop.buy().ref
    item = {"shipmentNo": ref.id, "sstatus": {"title": "OK", "status": 200}}
    shop.sandbox.fail(reply({"items": [item]}))

    with pytest.raises(VendorFailed, match="label"):
        shop.shipping.get_label(ref)


def test_deleted_shipment_is_cancelled(shop: Shop) -> None:
    """A cancelled shipment keeps its number, and a repeated cancellation is not an error."""
    purchase = shop.buy()
    first, second = (shop.shipping.cancel(purchase.ref) for _ in range(2))
    shipment = shop.shipping.get_shipment(purchase.ref)

    assert {"profile": "STANDARD_GRUPPENPROFIL", "shipment": purchase.ref.id} == dict(
        shop.sandbox.requests[1].query
    )
    assert (CancelState.APPROVED, "OK") == (first.state, first.vendor_status)
    assert (CancelState.APPROVED, "204") == (second.state, second.vendor_status)
    assert {"code": "204", "message": "Unknown shipment number."} == second.raw == shipment.raw
    assert (ShipmentState.CANCELED, "204", purchase.tracking_numbers, "dhl_parcel_v53_wpak") == (
        shipment.state,
        shipment.vendor_status,
        shipment.tracking_numbers,
        shipment.service,
    )


def test_handed_over_shipment_is_not_cancelled(shop: Shop) -> None:
    """If tracking knows a shipment that the shipping API has forgotten, it was handed over."""
    purchase = shop.buy()
    shop.sandbox.move(purchase.ref.id, "transit")
    shipment = shop.shipping.get_shipment(purchase.ref)
    with pytest.raises(VendorRejected, match="Unknown shipment number") as excinfo:
        shop.shipping.cancel(purchase.ref)

    assert VendorRejected is type(excinfo.value)
    assert (ShipmentState.BOUGHT, "transit", (), "dhl_parcel_v53_wpak") == (
        shipment.state,
        shipment.vendor_status,
        shipment.labels,
        shipment.service,
    )
    assert [
        f"POST {ORDERS}",
        f"GET {ORDERS}",
        f"GET {TRACKING}",
        f"DELETE {ORDERS}",
        f"GET {TRACKING}",
    ] == shop.steps()


def test_missing_page_of_the_shipping_api_is_an_unknown_number(shop: Shop) -> None:
    """HTTP 404 for a shipment means the same as the status of an unknown number."""
    ref = shop.buy().ref
    shop.sandbox.fail(reply({"title": "Not Found", "status": 404}, 404))

    assert ShipmentState.BOUGHT is shop.shipping.get_shipment(ref).state
    assert f"GET {TRACKING}" == shop.steps()[-1]


def test_other_refusals_are_no_cancellation(shop: Shop) -> None:
    """Reading or cancelling a shipment raises any refusal that is not about its number."""
    ref = shop.buy().ref
    for call in (shop.shipping.get_shipment, shop.shipping.cancel):
        shop.sandbox.fail(dhl_error(400, 400, "Bad Request"))
        with pytest.raises(VendorRejected) as excinfo:
            call(ref)
        assert ("400", VendorRejected) == (excinfo.value.vendor_code, type(excinfo.value))

    assert f"GET {TRACKING}" not in shop.steps()


def test_refusal_of_the_tracking_says_nothing_about_a_shipment(shop: Shop) -> None:
    """If the tracking refuses the API key, a forgotten shipment is not reported as cancelled."""
    ref = shop.buy().ref
    unknown = dhl_error(400, 204, "UnknownShipmentNumber")
    for call in (shop.shipping.get_shipment, shop.shipping.cancel):
        shop.sandbox.fail(unknown, reply({"title": "Unauthorized", "status": 401}, 401))
        with pytest.raises(AuthenticationFailed):
            call(ref)
        shop.sandbox.fail(unknown, reply({"title": "Bad Request", "status": 400}, 400))
        with pytest.raises(InvalidRequest):
            call(ref)


def test_tracking_sends_the_api_key_alone(shop: Shop) -> None:
    """A documented tracking response is read from its oldest event; only the API key is sent."""
    shop.sandbox.fail(reply(TRACKED))
    tracking = shop.shipping.track("7777777770", "DHL Parcel")
    [request] = shop.sandbox.requests

    assert {"trackingNumber": "7777777770", "service": "parcel-de", "language": "en"} == dict(
        request.query
    )
    assert (TRACKING, None, shop.sandbox.api_key) == (
        request.path,
        request.headers.get("authorization"),
        request.headers.get("dhl-api-key"),
    )
    first, second = tracking.events
    assert (TrackingStatus.UNKNOWN, "teleported", None, None) == (
        first.status,
        first.vendor_status,
        first.text,
        first.location,
    )
    assert ("The parcel is on its way.", Place(city="Bonn", postal_code="53113", country="DE")) == (
        second.text,
        second.location,
    )
    assert (
        TrackingStatus.IN_TRANSIT,
        "transit",
        "7777777770",
        datetime(2026, 3, 3, tzinfo=UTC),
        None,
        TRACKED["shipments"][0]["serviceUrl"],
    ) == (
        tracking.status,
        tracking.vendor_status,
        tracking.number,
        tracking.estimated_delivery,
        tracking.delivered_at,
        tracking.url,
    )


@pytest.mark.parametrize(
    "word, status",
    [
        ("pre-transit", TrackingStatus.PRE_TRANSIT),
        ("failure", TrackingStatus.FAILED),
        ("unknown", TrackingStatus.UNKNOWN),
        ("delivered", TrackingStatus.DELIVERED),
    ],
)
def test_status_codes_of_the_tracking(shop: Shop, word: str, status: TrackingStatus) -> None:
    """DHL's status codes become statuses of the contract; other codes become unknown."""
    ref = shop.buy().ref
    shop.sandbox.move(ref.id, word)
    tracking = shop.shipping.track_shipment(ref)

    assert (status, word) == (tracking.status, tracking.vendor_status)
    assert (status is TrackingStatus.DELIVERED) is (tracking.delivered_at is not None)


def test_tracking_without_a_status_cannot_be_read(shop: Shop) -> None:
    """A tracking response without a shipment is a failure."""
    shop.sandbox.fail(reply({"shipments": []}))
    with pytest.raises(VendorFailed, match="statusCode"):
        shop.shipping.track("1", "dhl_parcel")


def test_wrong_customer_number_is_refused() -> None:
    """A customer number without exactly ten characters is refused in the configuration."""
    with pytest.raises(ConfigurationError, match="not a customer number of DHL Parcel"):
        Shop(customer_number="333")


def test_account_shows_neither_key_nor_numbers() -> None:
    """The repr of an account shows no password, API key, user name or customer number."""
    sandbox = DhlParcelSandbox()
    shown = repr(dhl_parcel_vendor(sandbox))
    secrets = (sandbox.password, sandbox.api_key, sandbox.username, sandbox.customer_number)

    assert [] == [text for text in secrets if text in shown]
