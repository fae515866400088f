"""Colissimo: multipart labels, lost responses, tracking and error responses."""

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
from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.colissimo import ColissimoSandbox
from moorage.vendors.shipping.colissimo import Colissimo

SENDER = Address(
    name="Jack Sparrow",
    company="Acme SARL",
    line1="9 rue du Port",
    city="Nantes",
    postal_code="44000",
    country="FR",
    phone="+33240000000",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="5 rue de la Mer",
    line2="Lieu-dit du Puits",
    line3="Bâtiment B",
    city="Paris",
    region="Île-de-France",
    postal_code="75015",
    country="FR",
)
BOX = Parcel(weight="1.2341", length=30, width=20, height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=BOX, reference="SO-1")
DELIVERED: Final[dict[str, Any]] = {
    "lang": "fr_FR",
    "scope": "open",
    "returnCode": 200,
    "shipment": {
        "idShip": "EW112720413FR",
        "holder": 4,
        "product": "colissimo",
        "isFinal": True,
        "deliveryDate": "2023-03-09T09:38:00+01:00",
        "entryDate": "2023-02-17T14:43:00+01:00",
        "event": [
            {"code": "DI1", "label": "Livré.", "date": "2023-03-09T09:38:00+01:00"},
            {"code": "MD2", "label": "En livraison.", "date": "2023-03-09T09:01:00+01:00"},
            {"code": "ET1", "label": "En chemin.", "date": "2023-02-18T07:34:12+01:00"},
            {"code": "PC1", "label": "Déposé.", "date": "2023-02-17T14:43:00+01:00"},
            {"code": "DR1", "label": "Bientôt confié.", "date": "2023-02-17T14:41:00+01:00"},
        ],
        "estimDate": "2023-03-09T09:38:00+01:00",
        "url": "https://www.laposte.fr/outils/suivre-vos-envois?code=EW112720413FR",
    },
}
"""The form of a recorded response of the API Suivi, with shorter texts."""
RECORDED: Final = (
    "--uuid:07a458a8-bd7d-45ab-8349-865ac38f9b6e\r\n"
    "Content-Type: application/json;charset=UTF-8\r\n"
    "Content-Transfer-Encoding: binary\r\n"
    "Content-ID: <jsonInfos>\r\n"
    "\r\n"
    '{"messages":[{"id":"30000","type":"ERROR","messageContent":"Identifiant incorrect"}],'
    '"labelXmlV2Reponse":null,"labelV2Response":null}\r\n'
    "--uuid:07a458a8-bd7d-45ab-8349-865ac38f9b6e--\r\n"
)
"""The form of a recorded refusal."""


class Shop:
    """A hub with an account at Colissimo's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = ColissimoSandbox()
        keys = {"credentials": self.sandbox.api_key, "tracking_key": self.sandbox.tracking_key}
        account = Account(
            "colissimo", Colissimo(**keys, **options), settings={"retry": None, "circuit": None}
        )
        self.clock = VirtualClock()
        hub = Hub([account], http=SandboxHttpClient(self.sandbox), clock=self.clock)
        self.shipping = hub.shipping()

    def request(self, service: str = "colissimo_dom", **fields: Any) -> ShipmentRequest:
        """Return a request to buy a label."""
        rate_request = attrs.evolve(REQUEST, **fields)
        return ShipmentRequest(rate_request=rate_request, choose=Choice(services=[service]))

    def buy(self, key: str = "k-1", **fields: Any) -> Any:
        """Buy a label and return the shipment."""
        return self.shipping.create_shipment(self.request(**fields), idempotency_key=key)

    def bodies(self) -> list[Any]:
        """Return the bodies of the purchase requests so far."""
        return [item.json() for item in self.sandbox.requests if item.method == "POST"]


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """Return a hub with an account at a new sandbox."""
    return Shop()


def test_request_for_a_label(shop: Shop) -> None:
    """A purchase has the weight, and both addresses with the street in the second line."""
    purchase = shop.buy(ship_date=date(2030, 1, 2))

    assert [
        {
            "outputFormat": {"x": 0, "y": 0, "outputPrintingType": "PDF_10x15_300dpi"},
            "letter": {
                "service": {
                    "productCode": "DOM",
                    "depositDate": "2030-01-02",
                    "orderNumber": "SO-1",
                    "commercialName": "Acme SARL",
                    "returnTypeChoice": 3,
                },
                "parcel": {"weight": 1.24},
                "sender": {
                    "senderParcelRef": "SO-1",
                    "address": {
                        "companyName": "Acme SARL",
                        "lastName": "Jack Sparrow",
                        "line2": "9 rue du Port",
                        "countryCode": "FR",
                        "city": "Nantes",
                        "zipCode": "44000",
                        "phoneNumber": "+33240000000",
                        "email": "jack@shop.example",
                    },
                },
                "addressee": {
                    "address": {
                        "lastName": "Ada Lovelace",
                        "line1": "Bâtiment B",
                        "line2": "5 rue de la Mer",
                        "line3": "Lieu-dit du Puits",
                        "countryCode": "FR",
                        "city": "Paris",
                        "zipCode": "75015",
                    }
                },
            },
        }
    ] == shop.bodies()
    assert (LabelFormat.PDF, b"%PDF", "colissimo_dom", None) == (
        purchase.labels[0].format,
        purchase.labels[0].content[:4],
        purchase.service,
        purchase.cost,
    )


@pytest.mark.parametrize("country, code", [("CA", "QC"), ("US", "QC"), ("DE", None), ("FR", None)])
def test_only_addresses_in_north_america_have_a_state(
    shop: Shop, country: str, code: str | None
) -> None:
    """The code of a state or province is sent for Canada and the United States alone."""
    shop.buy(recipient=attrs.evolve(RECIPIENT, country=country, region="QC"))
    [body] = shop.bodies()

    assert code == body["letter"]["addressee"]["address"].get("stateOrProvinceCode")


def test_options_and_the_format_of_the_account() -> None:
    """A ZPL label has the account's format; the parcel's reference and extra options are sent."""
    shop = Shop(zebra_format="ZPL_10x10_300dpi")
    extra = {"colissimo": {"shipment": {"letter": {"service": {"returnTypeChoice": 2}}}}}
    purchase = shop.buy(label="zpl", parcels=attrs.evolve(BOX, reference="BOX-1"), extra=extra)
    [body] = shop.bodies()

    assert "ZPL_10x10_300dpi" == body["outputFormat"]["outputPrintingType"]
    assert ("BOX-1", 2) == (
        body["letter"]["service"]["orderNumber"],
        body["letter"]["service"]["returnTypeChoice"],
    )
    assert (LabelFormat.ZPL, b"^XA") == (purchase.labels[0].format, purchase.labels[0].content[:3])


def test_request_without_a_reference_or_date(shop: Shop) -> None:
    """The reference of a shipment is optional; without a date the shipment is sent today."""
    shop.buy(reference=None)
    service = shop.bodies()[0]["letter"]["service"]

    assert "orderNumber" not in service
    assert shop.clock.utc().date().isoformat() == service["depositDate"]


def test_repeat_on_the_next_day_is_the_same_label(shop: Shop) -> None:
    """If a key is repeated on the next day, no second label is bought."""
    shop.clock.advance(43_200)
    purchase = shop.buy()
    shop.clock.advance(43_200)

    assert purchase == shop.buy()
    assert 1 == len(shop.sandbox.shipments)


@pytest.mark.parametrize(
    "fields, words",
    [({"return_to": SENDER}, "only to the sender"), ({"label": "png"}, "not print PNG labels")],
    ids=["return_to", "png"],
)
def test_label_that_colissimo_cannot_make_is_not_bought(
    shop: Shop, fields: dict[str, Any], words: str
) -> None:
    """A separate return address, or a wrong label format, is refused before anything is sent."""
    with pytest.raises(UnsupportedByVendor, match=words):
        shop.buy(**fields)

    assert [] == shop.sandbox.requests


def test_lost_answer_stays_unknown(shop: Shop) -> None:
    """After a lost response, a key's outcome stays unknown, and nothing is bought twice."""
    shop.sandbox.fail(Lost())
    for _ in range(3):
        with pytest.raises(OutcomeUnknown) as excinfo:
            shop.buy()
        assert excinfo.value.remedy.startswith(
            "colissimo does not find the label of a purchase with a lost response. Look up "
        )

    assert (1, 1) == (len(shop.bodies()), len(shop.sandbox.shipments))


def test_purchase_that_must_be_found_again_is_refused(shop: Shop) -> None:
    """A request that demands a recoverable label is refused before anything is sent."""
    request = attrs.evolve(shop.request(), recoverable=True)
    with pytest.raises(UnsupportedByVendor) as excinfo:
        shop.shipping.create_shipment(request, idempotency_key="k-1")

    assert (("find_lost_label",), []) == (excinfo.value.capabilities, shop.sandbox.requests)


def test_answer_without_a_label_is_a_purchase(shop: Shop) -> None:
    """If the response has a parcel number but no label, the shipment is bought without a label."""

    def without_label(response: Response) -> Response:
        return response.evolve(body=response.body.replace(b"<label>", b"<cn23>"))

    shop.sandbox.fail(AlteredAnswer(without_label))
    purchase = shop.buy()

    assert (ShipmentState.BOUGHT, (), 1) == (
        purchase.state,
        purchase.labels,
        len(purchase.tracking_numbers),
    )


def test_label_is_returned_byte_for_byte(shop: Shop) -> None:
    """A label is returned byte for byte, with its blank lines and its last line break."""
    content = b"%PDF-1.3\r\n\r\n%\xe2\xe3\n\nend\r\n"

    def with_content(response: Response) -> Response:
        start = response.body.index(b"%PDF")
        stop = response.body.index(b"\r\n--uuid", start)
        return response.evolve(body=response.body[:start] + content + response.body[stop:])

    shop.sandbox.fail(AlteredAnswer(with_content))

    assert content == shop.buy().labels[0].content


def test_recorded_refusal_in_parts(shop: Shop) -> None:
    """A recorded error response keeps its code and text; a wrong key is AuthenticationFailed."""
    shop.sandbox.fail(Response(400, body=RECORDED.encode()))
    with pytest.raises(AuthenticationFailed, match="Identifiant incorrect") as excinfo:
        shop.buy()

    assert "30000" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "body",
    [
        RECORDED.replace('{"messages"', "{").encode(),
        RECORDED.replace("Content-ID", "Content-Name").encode(),
        b"--uuid:1\r\nContent-ID: <jsonInfos>\r\n--uuid:1--",
    ],
    ids=["json", "name", "blank line"],
)
def test_damaged_parts_have_no_code(shop: Shop, body: bytes) -> None:
    """If a multipart error response cannot be read, its status decides the error."""
    shop.sandbox.fail(Response(400, body=body))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.buy()

    assert excinfo.value.vendor_code is None


def test_recorded_tracking_has_all_events_from_oldest(shop: Shop) -> None:
    """A recorded tracking response gives all events from the oldest on, and the delivery time."""
    shop.sandbox.fail(reply(DELIVERED))
    tracking = shop.shipping.track("EW112720413FR", "Colissimo")
    request = shop.sandbox.requests[-1]

    assert ("/suivi/v2/idships/EW112720413FR", (("lang", "fr_FR"),)) == (
        request.path,
        request.query,
    )
    assert [
        TrackingStatus.PRE_TRANSIT,
        TrackingStatus.IN_TRANSIT,
        TrackingStatus.IN_TRANSIT,
        TrackingStatus.OUT_FOR_DELIVERY,
        TrackingStatus.DELIVERED,
    ] == [event.status for event in tracking.events]
    at = datetime(2023, 3, 9, 8, 38, tzinfo=UTC)
    assert (TrackingStatus.DELIVERED, "DI1", "DI1", at, at) == (
        tracking.status,
        tracking.vendor_status,
        tracking.code,
        tracking.delivered_at,
        tracking.estimated_delivery,
    )
    assert ("Livré.", DELIVERED["shipment"]["url"]) == (tracking.events[-1].text, tracking.url)


@pytest.mark.parametrize(
    "codes, status",
    [
        ("DR1", TrackingStatus.PRE_TRANSIT),
        ("PC1 PC2 ET1 ET2 ET3 ET4 EP1 DO1 DO2 PB2", TrackingStatus.IN_TRANSIT),
        ("DO3 PB1", TrackingStatus.ON_HOLD),
        ("RE1 DI2", TrackingStatus.RETURNED),
        ("MD2", TrackingStatus.OUT_FOR_DELIVERY),
        ("AG1", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("ND1", TrackingStatus.DELIVERY_ATTEMPTED),
        ("DI1", TrackingStatus.DELIVERED),
    ],
)
def test_codes_of_events_have_statuses(shop: Shop, codes: str, status: TrackingStatus) -> None:
    """Each listed event code of La Poste gives its event the corresponding status."""
    events = [{"code": code, "date": "2023-02-17T14:41:00+01:00"} for code in codes.split()]
    shop.sandbox.fail(reply({"shipment": {**DELIVERED["shipment"], "event": events}}))
    tracking = shop.shipping.track("EW112720413FR", "colissimo")

    assert dict.fromkeys(codes.split(), status) == {
        event.vendor_status: event.status for event in tracking.events
    }


def test_tracking_without_events_cannot_be_read(shop: Shop) -> None:
    """A tracking response without events is a failure."""
    shop.sandbox.fail(reply({"returnCode": 200, "shipment": {"event": []}}))
    with pytest.raises(VendorFailed, match="event"):
        shop.shipping.track("1", "colissimo")


def test_shipment_that_is_not_tracked_yet_is_unknown(shop: Shop) -> None:
    """If tracking does not know a shipment yet, it keeps its number and service."""
    ref = shop.buy().ref
    missing = {"returnCode": 404, "returnMessage": "Introuvable", "idShip": ref.id}
    shop.sandbox.fail(reply(missing, 404))
    shipment = shop.shipping.get_shipment(ref)

    assert (ShipmentState.UNKNOWN, (ref.id,), "colissimo_dom", None) == (
        shipment.state,
        shipment.tracking_numbers,
        shipment.service,
        shipment.vendor_status,
    )
    shop.sandbox.fail(reply(missing, 404))
    with pytest.raises(VendorRejected, match="Introuvable") as excinfo:
        shop.shipping.track_shipment(ref)
    assert "404" == excinfo.value.vendor_code


def test_other_refusals_of_the_tracking_are_raised(shop: Shop) -> None:
    """If the gateway of the tracking refuses a request, the error has the gateway's code."""
    ref = shop.buy().ref
    shop.sandbox.fail(reply({"code": "INVALID", "message": "It is wrong."}, 400))
    with pytest.raises(InvalidRequest, match="It is wrong") as excinfo:
        shop.shipping.get_shipment(ref)

    assert "INVALID" == excinfo.value.vendor_code


def test_tracking_needs_credentials_from_provider_without_tracking_key() -> None:
    """Without its own tracking key, tracking uses credentials from the provider."""
    vendor = Colissimo(credentials="key")

    assert [False, True] == [item.needs_credentials for item in vendor.services().values()]


def test_unknown_zebra_format_is_refused() -> None:
    """A label format that Colissimo does not have is refused in the configuration."""
    with pytest.raises(ConnectorError, match="not have this label format"):
        Colissimo(zebra_format="ZPL")
