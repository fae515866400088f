"""DPD: logins, labels, lost responses and error responses."""

from __future__ import annotations

from datetime import date
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
)
from moorage.domain.http.requests import Response
from moorage.domain.service.safety import Mode
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.dpd import DpdSandbox
from moorage.vendors.shipping.dpd import Dpd

SENDER = Address(
    name="Jack Sparrow",
    company="Acme GmbH",
    line1="Hafenstraße 9",
    city="Hamburg",
    region="Hamburg",
    postal_code="20457",
    country="DE",
    phone="+4940000000",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="Via del Mare 5",
    line2="Interno 7",
    line3="Scala B",
    city="Genova",
    region="GE",
    postal_code="16121",
    country="IT",
)
BOX = Parcel(weight="1.2341", length=30, width="20.5", height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=BOX, reference="SO-1")
RECORDED: Final[dict[str, Any]] = {
    "shipmentId": "SHIP123456",
    "parcelIds": ["0987654321"],
    "networkShipmentId": "NET123456",
    "networkParcelIds": ["0987654321"],
    "parcelBarcodes": [{"parcel": "0987654321", "barcode": "0987654321000", "reference": "REF001"}],
    "label": {"base64Data": "JVBERi0xLjQKJeLjz9MNCg==", "media-type": "application/pdf"},
}
"""A response that another program expects of the META-API."""


class Shop:
    """A hub with an account at DPD's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = DpdSandbox()
        login = {"login": self.sandbox.login, "credentials": self.sandbox.password}
        self.vendor = Dpd(**{"business_unit": "001", **login, **options})
        account = Account("dpd", self.vendor, settings={"retry": None, "circuit": None})
        self.shipping = Hub([account], http=SandboxHttpClient(self.sandbox)).shipping()

    def buy(self, key: str = "k-1", service: str = "dpd_101", **fields: Any) -> Any:
        """Buy a label and return the shipment."""
        request = ShipmentRequest(
            rate_request=attrs.evolve(REQUEST, **fields), choose=Choice(services=[service])
        )
        return self.shipping.create_shipment(request, idempotency_key=key)

    def sent(self, path: str) -> list[Any]:
        """Return the requests to a path below the API's version."""
        return [item for item in self.sandbox.requests if item.path == f"/shipping/v1/{path}"]

    def lose(self, behaviour: Any) -> None:
        """Replace the response to the first request after the next login."""
        self.sandbox.fail(AlteredAnswer(lambda response: response), behaviour)


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """Return a hub with an account at a new sandbox."""
    return Shop()


def test_request_for_a_label() -> None:
    """A purchase has both addresses, the parcel in grams and centimetres, and the references."""
    shop = Shop(account_number="ACC123456", customer_id="123456789")
    purchase = shop.buy(
        ship_date=date(2030, 1, 2),
        parcels=attrs.evolve(BOX, reference="BOX-1"),
        extra={"dpd": {"shipmentInfos": {"weight": "1300"}}},
    )
    [request] = shop.sent("shipment")

    assert (("LabelPrintFormat", "PDF"),) == request.query
    assert [
        {
            "numberOfParcels": "1",
            "shipmentInfos": {"productCode": "101", "weight": "1300"},
            "customerReferenceNumbers": ["SO-1"],
            "sender": {
                "address": {
                    "companyName": "Acme GmbH",
                    "name1": "Jack Sparrow",
                    "street": "Hafenstraße 9",
                    "country": "DE",
                    "zipCode": "20457",
                    "city": "Hamburg",
                },
                "contact": {
                    "contactPerson": "Jack Sparrow",
                    "phone1": "+4940000000",
                    "email": "jack@shop.example",
                },
                "customerInfos": {
                    "customerAccountNumber": "ACC123456",
                    "customerID": "123456789",
                },
            },
            "receiver": {
                "address": {
                    "name1": "Ada Lovelace",
                    "street": "Via del Mare 5",
                    "addressLine2": "Interno 7",
                    "addressLine3": "Scala B",
                    "country": "IT",
                    "state": "GE",
                    "zipCode": "16121",
                    "city": "Genova",
                },
                "contact": {"contactPerson": "Ada Lovelace"},
            },
            "parcel": [
                {
                    "parcelInfos": {
                        "weight": "1235",
                        "dimensions": {"length": 30, "width": 21, "height": 10},
                    },
                    "senderParcelRefs": ["BOX-1"],
                }
            ],
            "shippingDate": "2030-01-02",
        }
    ] == request.json()
    assert (LabelFormat.PDF, b"%PDF", "dpd_101", None) == (
        purchase.labels[0].format,
        purchase.labels[0].content[:4],
        purchase.service,
        purchase.cost,
    )


def test_request_without_optional_fields(shop: Shop) -> None:
    """Without reference, dimensions, date and customer numbers, no such fields are sent."""
    shop.buy(reference=None, parcels=Parcel(weight=1))
    [body] = shop.sent("shipment")[0].json()

    assert {"numberOfParcels", "shipmentInfos", "sender", "receiver", "parcel"} == set(body)
    assert [{"parcelInfos": {"weight": "1000"}}] == body["parcel"]
    assert "customerInfos" not in body["sender"]


def test_password_is_sent_to_the_login_alone(shop: Shop) -> None:
    """The password is sent with each login; all other requests have the login's token."""
    ref = shop.buy().ref
    shop.shipping.get_label(ref)
    logins = shop.sent("login")
    others = shop.sent("shipment") + shop.sent("label")

    assert [(shop.sandbox.login, shop.sandbox.password, "001")] * 2 == [
        tuple(
            request.headers.get(name) for name in ("X-DPD-LOGIN", "X-DPD-PASSWORD", "X-DPD-BUCODE")
        )
        for request in logins
    ]
    assert all(request.headers.get("Authorization") is None for request in logins)
    assert 2 == len({request.bearer() for request in others})
    assert not any(
        shop.sandbox.password in value for request in others for _, value in request.headers.pairs
    )


def test_refused_login_buys_nothing() -> None:
    """A wrong password raises AuthenticationFailed, whose message does not contain the password."""
    shop = Shop(credentials="not the password")
    with pytest.raises(AuthenticationFailed) as excinfo:
        shop.buy()

    assert ("COMMON_5", []) == (excinfo.value.vendor_code, shop.sent("shipment"))
    assert "not the password" not in f"{excinfo.value!r} {excinfo.value}"


def test_login_without_a_token_is_a_failure(shop: Shop) -> None:
    """A login response without a token is a failure, and nothing is bought."""
    shop.sandbox.fail(Response(200))
    with pytest.raises(VendorFailed, match="X-DPD-TOKEN"):
        shop.buy()

    assert [] == shop.sent("shipment")


def test_lost_login_is_no_unknown_outcome(shop: Shop) -> None:
    """If the login's response is lost, nothing was bought, and the key can be used again."""
    shop.sandbox.fail(Lost())
    with pytest.raises(ConnectorError) as excinfo:
        shop.buy()
    assert not isinstance(excinfo.value, OutcomeUnknown)

    assert ShipmentState.BOUGHT is shop.buy().state
    assert 1 == len(shop.sandbox.shipments)


def test_lost_answer_stays_unknown(shop: Shop) -> None:
    """After a lost response the key's outcome stays unknown, and a repeat buys nothing."""
    shop.lose(Lost())
    for _ in range(3):
        with pytest.raises(OutcomeUnknown) as excinfo:
            shop.buy()
        assert excinfo.value.remedy.startswith(
            "dpd does not find the label of a purchase with a lost response. Look up "
        )

    assert (1, 1) == (len(shop.sent("shipment")), len(shop.sandbox.shipments))


def test_timeout_of_a_company_stays_unknown(shop: Shop) -> None:
    """If DPD's META-API times out, the purchase may exist, and is not repeated.

    The META-API reports it with the status 408.
    """
    problem = {"errorCode": "COMMON_1", "errorMessage": "BU timeout", "errorOrigin": "BU-API"}
    shop.lose(reply(problem, 408))
    with pytest.raises(ConnectorError):
        shop.buy()
    with pytest.raises(OutcomeUnknown):
        shop.buy()

    assert 1 == len(shop.sent("shipment"))


def test_answer_that_another_program_expects_has_number_and_label(shop: Shop) -> None:
    """Number and label are read from a response that another program's tests contain."""
    shop.lose(reply({**RECORDED, "warningMessage": "The weight was rounded."}))
    purchase = shop.buy()

    assert ("0987654321", "SHIP123456", b"%PDF-1.4") == (
        purchase.ref.id,
        purchase.ref.other("shipment"),
        purchase.labels[0].content[:8],
    )
    assert ["The weight was rounded."] == [item.text for item in purchase.warnings]


def test_answer_without_a_label_is_a_purchase(shop: Shop) -> None:
    """If the response has a parcel number and no label, the shipment is bought without a label."""
    shop.lose(reply({"shipmentId": "1", "parcelIds": ["2"]}))
    purchase = shop.buy()

    assert (ShipmentState.BOUGHT, (), ("2",)) == (
        purchase.state,
        purchase.labels,
        purchase.tracking_numbers,
    )


def test_label_is_retrieved_by_both_numbers(shop: Shop) -> None:
    """A label is retrieved by shipment and parcel number; a lookup requests PDF, as bought."""
    ref = shop.buy(label_size="A6").ref
    label = shop.shipping.get_label(str(ref), "epl")
    shipment = shop.shipping.get_shipment(ref)
    paper = ("LabelPaperFormat", "A6")
    requests = shop.sent("label")

    assert (LabelFormat.EPL, b"N\n") == (label.format, (label.content or b"")[:2])
    assert (LabelFormat.PDF, "dpd_101") == (shipment.labels[0].format, shipment.service)
    assert (("LabelPrintFormat", "PDF"), paper) == shop.sent("shipment")[0].query
    assert [(("LabelPrintFormat", "EPL"),), (("LabelPrintFormat", "PDF"), paper)] == [
        request.query for request in requests
    ]
    assert [{"shipment": {"shipmentId": f"MPS{ref.id}", "parcelNumbers": [ref.id]}}] * 2 == [
        request.json() for request in requests
    ]


def test_label_of_a_reference_without_a_format_is_pdf(shop: Shop) -> None:
    """A label is retrieved as PDF if its reference does not state another format."""
    ref = shop.buy().ref
    bare_ref = attrs.evolve(ref, related={"shipment": ref.other("shipment")})

    assert LabelFormat.PDF is shop.shipping.get_label(bare_ref).format
    assert (("LabelPrintFormat", "PDF"),) == shop.sent("label")[0].query


def test_label_request_contains_the_customer_numbers() -> None:
    """A request for a label also contains the customer's numbers."""
    shop = Shop(customer_id="123456789")
    shop.shipping.get_label(shop.buy().ref)

    assert {"customerID": "123456789"} == shop.sent("label")[0].json()["customerInfos"]


def test_retrieval_without_a_label(shop: Shop) -> None:
    """If the response has no label, `get_label` fails; `get_shipment` returns no labels."""
    ref = shop.buy().ref
    shop.lose(reply({"label": {}}))
    with pytest.raises(VendorFailed, match=r"label\.base64Data"):
        shop.shipping.get_label(ref)
    shop.lose(reply({}))

    assert () == shop.shipping.get_shipment(ref).labels


@pytest.mark.parametrize("is_list", [False, True])
def test_refusal_has_code_and_text(shop: Shop, *, is_list: bool) -> None:
    """A refusal has DPD's code and text, from an object or from the first object of a list."""
    ref = shop.buy().ref
    problem = {"errorCode": "LABEL_2", "errorMessage": "No such paper", "errorOrigin": "BU-API"}
    shop.lose(reply([problem] if is_list else problem, 400))
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.get_label(ref)

    assert ("LABEL_2", "No such paper") == (
        excinfo.value.vendor_code,
        excinfo.value.vendor_message,
    )


def test_unknown_parcel_is_refused(shop: Shop) -> None:
    """A parcel that does not exist at DPD has no label; the error is not InvalidRequest."""
    ref = attrs.evolve(shop.buy().ref, id="1")
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.get_shipment(ref)

    assert (VendorRejected, "LABEL_1") == (type(excinfo.value), excinfo.value.vendor_code)


@pytest.mark.parametrize(
    "fields, words",
    [({"return_to": SENDER}, "only to the sender"), ({"label_size": "4x6"}, "4 by 6 inches")],
    ids=["return_to", "paper"],
)
def test_label_that_dpd_cannot_make_is_not_bought(
    shop: Shop, fields: dict[str, Any], words: str
) -> None:
    """A separate return address, or an unsupported paper format, is refused before sending."""
    with pytest.raises(UnsupportedByVendor, match=words):
        shop.buy(**fields)

    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "fields",
    [{"reference": "x" * 36}, {"parcels": attrs.evolve(BOX, reference="x" * 36)}],
    ids=["request", "parcel"],
)
def test_long_references_are_refused(shop: Shop, fields: dict[str, Any]) -> None:
    """A reference of more than 35 characters is refused before anything is sent."""
    with pytest.raises(InvalidData, match="too long for a label"):
        shop.buy(**fields)

    assert [] == shop.sandbox.requests


@pytest.mark.parametrize("number", ["1", "DE", 1], ids=["short", "letters", "int"])
def test_wrong_business_unit_is_refused(number: Any) -> None:
    """A business unit that is not a number of three digits is refused."""
    with pytest.raises(ConfigurationError, match="not the number of a DPD company"):
        Dpd(login="me", business_unit=number)


def test_mode_is_that_of_the_url() -> None:
    """The account's URL decides whether labels are real ones or test labels."""
    test = "https://api-preprod.dpsin.dpdgroup.com:8443"

    assert [Mode.LIVE, Mode.TEST, None] == [
        Dpd(login="me", business_unit="001", **options).mode()
        for options in ({}, {"base_url": test}, {"base_url": "https://dpd.example"})
    ]


def test_account_hides_its_login() -> None:
    """An account's repr shows neither the login nor the customer's numbers."""
    vendor = Dpd(
        login="jack",
        credentials="word-1",
        business_unit="001",
        account_number="4711",
        customer_id="9",
    )

    assert not any(word in repr(vendor) for word in ("jack", "word-1", "4711", "'9'"))
