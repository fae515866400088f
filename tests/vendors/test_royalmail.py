"""Royal Mail: orders with labels, lost orders, deletion and error responses."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Address,
    CancelState,
    Choice,
    Contents,
    Customs,
    CustomsItem,
    Parcel,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.royalmail import RoyalMailSandbox
from moorage.vendors.shipping.royalmail import RoyalMail

SENDER = Address(
    name="Jack Sparrow",
    company="Acme Ltd",
    line1="1 Dock Road",
    city="Hull",
    postal_code="HU1 1AA",
    country="GB",
    phone="+441482000000",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="12 St James's Square",
    line2="Flat 2",
    line3="Rear",
    city="London",
    region="Greater London",
    postal_code="SW1Y 4JH",
    country="GB",
    email="ada@mail.example",
)
BOX = Parcel(weight="1.2341", length=30, width="20.05", height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=BOX, reference="SO-1")
ORDERS = "/api/v1/orders"


class Shop:
    """A hub with an account at Click & Drop's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = RoyalMailSandbox()
        vendor = RoyalMail(credentials=self.sandbox.api_key, **options)
        account = Account("royalmail", vendor, settings={"retry": None, "circuit": None})
        self.clock = VirtualClock()
        hub = Hub([account], http=SandboxHttpClient(self.sandbox), clock=self.clock)
        self.shipping = hub.shipping()

    def buy(self, key: str = "k-1", service: str = "royalmail_tpn24", **fields: Any) -> Any:
        """Buy a label and return the shipment."""
        request = ShipmentRequest(
            rate_request=attrs.evolve(REQUEST, **fields), choose=Choice(services=[service])
        )
        return self.shipping.create_shipment(request, idempotency_key=key)

    def orders(self) -> list[Any]:
        """Return the bodies of the orders that were sent."""
        bodies = [item.json() for item in self.sandbox.requests if item.method == "POST"]
        return [order for body in bodies for order in body["items"]]

    def steps(self) -> list[str]:
        """Return the method and path of each request."""
        return [f"{item.method} {item.path}" for item in self.sandbox.requests]


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """Return a hub with an account at a new sandbox."""
    return Shop()


def test_order_has_the_recipient_the_parcel_and_a_mark(shop: Shop) -> None:
    """An order has the recipient, whole grams and millimetres, and a reference with a mark."""
    purchase = shop.buy(ship_date=date(2030, 1, 2))
    [order] = shop.orders()
    reference, mark = order.pop("orderReference").split()

    assert {
        "recipient": {
            "address": {
                "fullName": "Ada Lovelace",
                "addressLine1": "12 St James's Square",
                "addressLine2": "Flat 2",
                "addressLine3": "Rear",
                "city": "London",
                "county": "Greater London",
                "postcode": "SW1Y 4JH",
                "countryCode": "GB",
            },
            "emailAddress": "ada@mail.example",
        },
        "sender": {
            "tradingName": "Acme Ltd",
            "phoneNumber": "+441482000000",
            "emailAddress": "jack@shop.example",
        },
        "packages": [
            {
                "weightInGrams": 1235,
                "packageFormatIdentifier": "parcel",
                "dimensions": {"depthInMms": 300, "widthInMms": 201, "heightInMms": 100},
            }
        ],
        "orderDate": "2030-01-02T00:00:00Z",
        "plannedDespatchDate": "2030-01-02T00:00:00Z",
        "subtotal": 0,
        "shippingCostCharged": 0,
        "total": 0,
        "postageDetails": {"serviceCode": "TPN24"},
        "label": {"includeLabelInResponse": True},
    } == order
    assert ("SO-1", 12) == (reference, len(mark))
    assert ("royalmail", "royalmail_tpn24", None, ShipmentState.BOUGHT) == (
        purchase.carrier,
        purchase.service,
        purchase.cost,
        purchase.state,
    )


def test_order_date_is_the_day_of_the_purchase(shop: Shop) -> None:
    """An order without a handover date has today's date, and no planned date."""
    shop.buy(parcels=Parcel(weight="0.1"), reference=None)
    [order] = shop.orders()

    assert f"{shop.clock.utc().date().isoformat()}T00:00:00Z" == order["orderDate"]
    assert not {"plannedDespatchDate", "currencyCode"} & set(order)
    assert ["packageFormatIdentifier", "weightInGrams"] == sorted(order["packages"][0])
    assert 12 == len(order["orderReference"])


def test_repeat_on_the_next_day_is_the_same_order(shop: Shop) -> None:
    """A purchase repeated with its idempotency key on the next day makes no second order."""
    shop.clock.advance(43_200)
    purchase = shop.buy()
    shop.clock.advance(43_200)

    assert purchase == shop.buy()
    assert 1 == shop.sandbox.sold


@pytest.mark.parametrize("service", ["royalmail_sd1_olp", "SD1OLP", "royalmail_sd1olp"])
def test_service_is_sent_as_royal_mail_code(shop: Shop, service: str) -> None:
    """A service is sent as Royal Mail's code, and returned under moorage's name."""
    assert "royalmail_sd1_olp" == shop.buy(service=service).service
    assert "SD1OLP" == shop.orders()[0]["postageDetails"]["serviceCode"]


def test_goods_are_declared(shop: Shop) -> None:
    """Goods are declared per piece with their category; the article number is not sent."""
    pens = CustomsItem(
        description="A pen with a very long name that does not fit the short field",
        quantity=3,
        value=Money("10.00", "GBP"),
        weight="0.1",
        hs_code="960810",
        origin="GB",
        sku="PEN",
    )
    customs = Customs(
        items=[pens], signer="Jack", contents=Contents.DONATION, invoice_number="INV-1"
    )
    abroad = attrs.evolve(RECIPIENT, country="FR", postal_code="75001", city="Paris")
    shop.buy(customs=customs, recipient=abroad)
    [order] = shop.orders()
    common = {
        "name": pens.description,
        "unitWeightInGrams": 34,
        "customsDescription": pens.description[:50],
        "extendedCustomsDescription": pens.description,
        "customsCode": "960810",
        "originCountryCode": "GB",
        "customsDeclarationCategory": "other",
    }

    assert [
        {"quantity": 2, "unitValue": 3.33, **common},
        {"quantity": 1, "unitValue": 3.34, **common},
    ] == order["packages"][0]["contents"]
    assert (10, 10, "GBP") == (order["subtotal"], order["total"], order["currencyCode"])
    assert "INV-1" == order["postageDetails"]["commercialInvoiceNumber"]


@pytest.mark.parametrize(
    "contents, category",
    [
        (Contents.MERCHANDISE, "saleOfGoods"),
        (Contents.GIFT, "gift"),
        (Contents.SAMPLE, "commercialSample"),
        (Contents.DOCUMENTS, "documents"),
        (Contents.RETURNED, "returnedGoods"),
        (Contents.OTHER, "other"),
    ],
)
def test_contents_are_declared_in_a_category(shop: Shop, contents: Contents, category: str) -> None:
    """The contents of a shipment have a customs category that Royal Mail's sandbox accepts."""
    item = CustomsItem(
        description="A pen",
        quantity=1,
        value=Money("10.00", "GBP"),
        weight="0.1",
        hs_code="960810",
        origin="GB",
    )
    abroad = attrs.evolve(RECIPIENT, country="FR", postal_code="75001", city="Paris")
    shop.buy(customs=Customs(items=[item], signer="Jack", contents=contents), recipient=abroad)
    [order] = shop.orders()

    assert category == order["packages"][0]["contents"][0]["customsDeclarationCategory"]


def test_options_reference_and_package_format() -> None:
    """The account's package format, a parcel's own reference and extra options are sent."""
    shop = Shop(package_format="largeLetter")
    extra = {"royalmail": {"postageDetails": {"safePlace": "Porch"}}}
    shop.buy(parcels=attrs.evolve(BOX, reference="BOX-1"), extra=extra)
    [order] = shop.orders()

    assert "largeLetter" == order["packages"][0]["packageFormatIdentifier"]
    assert order["orderReference"].startswith("BOX-1 ")
    assert {"serviceCode": "TPN24", "safePlace": "Porch"} == order["postageDetails"]


@pytest.mark.parametrize(
    "fields, kind, words",
    [
        ({"return_to": SENDER}, UnsupportedByVendor, "only to the account's address"),
        ({"label": "png"}, UnsupportedByVendor, "not print PNG labels"),
        ({"reference": "x" * 28}, InvalidData, "too long for a Click & Drop order"),
        ({"service": "royalmail_tracked 24"}, InvalidData, "not a service code of royalmail"),
        ({"service": "royalmail_12345678901"}, InvalidData, "not a service code of royalmail"),
    ],
    ids=["return_to", "png", "reference", "service", "long service"],
)
def test_order_that_royal_mail_cannot_take_is_not_sent(
    shop: Shop, fields: dict[str, Any], kind: type[ConnectorError], words: str
) -> None:
    """A feature that Click & Drop does not have is refused before anything is sent."""
    with pytest.raises(kind, match=words):
        shop.buy(**fields)

    assert [] == shop.steps()


def test_longest_reference_is_taken(shop: Shop) -> None:
    """A reference of 27 characters is accepted: with the mark it has exactly 40 characters."""
    shop.buy(reference="x" * 27)

    assert 40 == len(shop.orders()[0]["orderReference"])


def test_order_without_a_label_is_deleted(shop: Shop) -> None:
    """If a new order's label is refused, the order is deleted and the purchase is refused."""
    recipient = attrs.evolve(RECIPIENT, postal_code="00002")
    with pytest.raises(VendorRejected, match="The label could not be generated") as excinfo:
        shop.buy(recipient=recipient)

    assert ("E1189", 0, {}) == (excinfo.value.vendor_code, shop.sandbox.sold, shop.sandbox.orders)
    assert [f"POST {ORDERS}", f"DELETE {ORDERS}/1"] == shop.steps()


def test_refusal_stays_a_refusal_if_its_order_cannot_be_deleted(shop: Shop) -> None:
    """If an order without a label cannot be deleted, the error about the label is still raised."""
    shop.sandbox.fail(None, Response(503))
    with pytest.raises(VendorRejected, match="The label could not be generated"):
        shop.buy(recipient=attrs.evolve(RECIPIENT, postal_code="00002"))

    assert 1 == len(shop.sandbox.orders)


def test_lost_label_is_found_by_the_reference_of_its_order(shop: Shop) -> None:
    """After a lost response, the order is searched for by its reference, and its label fetched."""
    shop.sandbox.fail(Lost())
    purchase = shop.buy(reference="a;b")
    reference = shop.orders()[0]["orderReference"]

    assert reference.startswith("a;b ")
    quoted = "%22a%3Bb%20" + reference.split()[1] + "%22"
    assert [f"POST {ORDERS}", f"GET {ORDERS}/{quoted}", f"GET {ORDERS}/1/label"] == shop.steps()
    assert (b"%PDF", "royalmail_tpn24", 1) == (
        purchase.labels[0].content[:4],
        purchase.service,
        shop.sandbox.sold,
    )


@pytest.mark.parametrize(
    "orders", [[], [{"orderIdentifier": 1}, {"orderIdentifier": 2}], [{}]], ids=["no", "two", "id"]
)
def test_order_that_is_not_found_has_an_unknown_outcome(shop: Shop, orders: list[Any]) -> None:
    """If not exactly one order has the reference, the outcome is unknown."""
    shop.sandbox.fail(Lost(), reply(orders))
    with pytest.raises(OutcomeUnknown):
        shop.buy()

    assert 2 == len(shop.steps())


def test_label_that_is_no_pdf_is_not_returned(shop: Shop) -> None:
    """A response that is not a PDF is not returned as a label."""
    ref = shop.buy().ref
    shop.sandbox.fail(Response(200, body=b"<html></html>"))

    with pytest.raises(VendorFailed, match="label"):
        shop.shipping.get_label(ref)


def test_order_may_lack_its_label_and_number(shop: Shop) -> None:
    """An order whose response has no label and no tracking number is reported as bought."""

    def bare(response: Response) -> Response:
        body = response.json()
        for order in body["createdOrders"]:
            order.update(trackingNumber=None, packages=[], label=None)
        return reply(body)

    shop.sandbox.fail(AlteredAnswer(bare))
    purchase = shop.buy()

    assert (ShipmentState.BOUGHT, (), ()) == (
        purchase.state,
        purchase.tracking_numbers,
        purchase.labels,
    )
    assert shop.shipping.get_label(purchase.ref).content is not None


def test_number_of_the_package_is_the_tracking_number(shop: Shop) -> None:
    """If an order has no tracking number, that of its package is used."""

    def on_the_package(response: Response) -> Response:
        body = response.json()
        body["createdOrders"][0]["trackingNumber"] = None
        return reply(body)

    shop.sandbox.fail(AlteredAnswer(on_the_package))

    assert ("000000001GB",) == shop.buy().tracking_numbers


def test_deleted_order_is_a_cancelled_shipment(shop: Shop) -> None:
    """A cancelled shipment keeps its number, and a repeated cancellation is not an error."""
    purchase = shop.buy()
    first, second = (shop.shipping.cancel(purchase.ref) for _ in range(2))
    shipment = shop.shipping.get_shipment(purchase.ref)

    assert (CancelState.APPROVED, "deletedOrders") == (first.state, first.vendor_status)
    assert (CancelState.APPROVED, "OrderNotFound") == (second.state, second.vendor_status)
    assert (ShipmentState.CANCELED, purchase.tracking_numbers, "royalmail_tpn24") == (
        shipment.state,
        shipment.tracking_numbers,
        shipment.service,
    )
    assert {"code": "OrderNotFound", "message": "The order does not exist."} == shipment.raw


def test_label_is_fetched_without_a_label_for_returns(shop: Shop) -> None:
    """A label is fetched again as the postage label, without a label for returns."""
    shop.shipping.get_label(shop.buy().ref)

    assert {"documentType": "postageLabel", "includeReturnsLabel": "false"} == dict(
        shop.sandbox.requests[-1].query
    )


def test_other_refusals_are_no_cancellation(shop: Shop) -> None:
    """Reading or cancelling an order raises any error that is not about a missing order."""
    purchase = shop.buy()
    for call in (shop.shipping.get_shipment, shop.shipping.cancel):
        shop.sandbox.fail(reply([{"code": "Invalid", "message": "It is wrong."}], 400))
        with pytest.raises(InvalidRequest, match="It is wrong") as excinfo:
            call(purchase.ref)
        assert "Invalid" == excinfo.value.vendor_code


def test_shipment_is_returned_without_its_label_if_click_and_drop_refuses_label(shop: Shop) -> None:
    """A shipment is returned without its label if Click & Drop refuses the label."""
    purchase = shop.buy()
    shop.sandbox.fail(None, reply([{"code": "Printed", "message": "It was printed."}], 400))
    shipment = shop.shipping.get_shipment(purchase.ref)

    assert ((), purchase.tracking_numbers) == (shipment.labels, shipment.tracking_numbers)


def test_http_404_without_body_means_that_order_was_deleted(shop: Shop) -> None:
    """HTTP 404 without a body means that the order was deleted."""
    ref = attrs.evolve(shop.buy().ref, related={})
    shop.sandbox.fail(Response(404), Response(404))

    assert "404" == shop.shipping.cancel(ref).vendor_status
    assert () == shop.shipping.get_shipment(ref).tracking_numbers


def test_empty_list_of_errors_has_no_code(shop: Shop) -> None:
    """An error response whose list of errors is empty raises an error without a code."""
    shop.sandbox.fail(reply([], 400))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.buy()

    assert excinfo.value.vendor_code is None


def test_unknown_package_format_is_refused() -> None:
    """The account refuses a package format that Royal Mail does not have."""
    with pytest.raises(ConnectorError, match="not have this package format"):
        RoyalMail(package_format="crate")
