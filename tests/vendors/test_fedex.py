"""Requests to FedEx: the shipments that they contain."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest

from moorage.contracts.shipping import (
    Contents,
    Customs,
    CustomsItem,
    Parcel,
    RateRequest,
    Signature,
)
from moorage.domain.values.money import Money
from moorage.errors import InvalidData, UnsupportedByVendor
from moorage.vendors.shipping._fedex_requests import rates_body, shipment_body
from tests.vendors.fedex_account import PARCEL, RECIPIENT, REQUEST, SENDER, SandboxHub

SHIRTS = CustomsItem(
    description="Shirts",
    quantity=2,
    value=Money("46.50", "EUR"),
    weight="0.3",
    hs_code="6109.10",
    origin="DE",
    sku="S-1",
)


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new FedEx sandbox."""
    return SandboxHub()


def shipment_request(request: RateRequest) -> dict[str, Any]:
    """Return the shipment as it is in the JSON body of a FedEx purchase."""
    body: dict[str, Any] = shipment_body(
        request,
        "FEDEX_GROUND",
        account="740561073",
        pickup="USE_SCHEDULED_PICKUP",
        marked="order-1",
    )["requestedShipment"]
    return body


def test_rate_request_has_no_names_or_streets() -> None:
    """A rate request to FedEx has cities, postcodes and parcels, but no names or streets."""
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


def test_weights_use_the_first_parcels_system() -> None:
    """Weights are sent to FedEx in the first parcel's unit system, rounded up."""
    first = Parcel(weight="0.001", weight_unit="oz", length=1, width=1, height=1, length_unit="ft")
    body = shipment_request(attrs.evolve(REQUEST, parcels=[first, Parcel(weight=1)]))

    assert [{"units": "LB", "value": 0.01}, {"units": "LB", "value": 2.21}] == [
        requestedpackagelineitem["weight"]
        for requestedpackagelineitem in body["requestedPackageLineItems"]
    ]
    assert {"units": "IN", "length": 12, "width": 12, "height": 12} == (
        body["requestedPackageLineItems"][0]["dimensions"]
    )
    assert "dimensions" not in body["requestedPackageLineItems"][1]
    assert 2.4 == body["totalWeight"]


@pytest.mark.parametrize(
    "weight_unit, weight",
    [
        ("g", {"units": "KG", "value": 2}),
        ("kg", {"units": "KG", "value": 2000}),
        ("oz", {"units": "LB", "value": 125}),
        ("lb", {"units": "LB", "value": 2000}),
    ],
)
@pytest.mark.parametrize(
    "length_unit, length, dimensions",
    [
        ("mm", 300, {"units": "CM", "length": 30, "width": 30, "height": 30}),
        ("cm", 30, {"units": "CM", "length": 30, "width": 30, "height": 30}),
        ("m", 1, {"units": "CM", "length": 100, "width": 100, "height": 100}),
        ("in", 12, {"units": "IN", "length": 12, "width": 12, "height": 12}),
        ("ft", 1, {"units": "IN", "length": 12, "width": 12, "height": 12}),
    ],
)
def test_measures_are_sent_in_units_of_the_same_system(
    weight_unit: str,
    weight: dict[str, object],
    length_unit: str,
    length: int,
    dimensions: dict[str, object],
) -> None:
    """Metric measures are sent to FedEx in KG and CM, and others in LB and IN."""
    units: Any = {"weight_unit": weight_unit, "length_unit": length_unit}
    parcel = Parcel(weight=2000, length=length, width=length, height=length, **units)
    [package] = shipment_request(attrs.evolve(REQUEST, parcels=[parcel]))[
        "requestedPackageLineItems"
    ]

    assert weight == package["weight"]
    assert dimensions == package["dimensions"]


def test_purchase_carries_its_mark() -> None:
    """Each parcel of a FedEx purchase has a mark to find it by, and our own reference."""
    boxes = [PARCEL, attrs.evolve(PARCEL, reference="box 2")]
    body = shipment_request(
        attrs.evolve(REQUEST, parcels=boxes, reference="SO-7", ship_date=date(2030, 1, 2))
    )

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
        customerreference["value"]
        for customerreference in body["requestedPackageLineItems"][1]["customerReferences"]
    ]
    assert ("2030-01-02", "FEDEX_GROUND", {"paymentType": "SENDER"}) == (
        body["shipDatestamp"],
        body["serviceType"],
        body["shippingChargesPayment"],
    )


def test_options_are_sent() -> None:
    """Signature, Saturday delivery and return are sent to both FedEx APIs."""
    request = attrs.evolve(
        REQUEST,
        signature=Signature.ANYBODY,
        saturday=True,
        is_return=True,
        extra={"fedex": {"shipment": {"requestedShipment": {"blockInsightVisibility": True}}}},
    )
    rate_request = rates_body(request, "1", "PICKUP")["requestedShipment"]
    purchase = shipment_request(request)

    for body in (rate_request, purchase):
        assert {
            "specialServiceTypes": ["SATURDAY_DELIVERY", "RETURN_SHIPMENT"],
            "returnShipmentDetail": {"returnType": "PRINT_RETURN_LABEL"},
        } == body["shipmentSpecialServices"]
        assert {
            "specialServiceTypes": ["SIGNATURE_OPTION"],
            "signatureOptionType": "DIRECT",
        } == body["requestedPackageLineItems"][0]["packageSpecialServices"]
    assert (True, None) == (
        purchase["blockInsightVisibility"],
        rate_request.get("blockInsightVisibility"),
    )
    with pytest.raises(InvalidData):
        shipment_request(attrs.evolve(request, extra={"fedex": {"requestedShipment": {}}}))


def test_fedex_customs_lines_have_exact_sums() -> None:
    """FedEx customs lines have exact sums, in FedEx's terms."""
    customs = Customs(
        items=[SHIRTS, attrs.evolve(SHIRTS, quantity=7, sku=None)],
        signer="Steve Brule",
        explanation="A surprise",
        incoterm="DDP",
        invoice_number="INV-1",
        eel_pfc="NO EEI 30.37(a)",
    )
    body = shipment_request(attrs.evolve(REQUEST, customs=customs))["customsClearanceDetail"]
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


def test_price_of_a_piece_is_in_the_units_of_its_currency() -> None:
    """A customs value in yen that the pieces do not divide evenly has no price per piece."""
    yen = attrs.evolve(SHIRTS, value=Money("102", "JPY"), quantity=4)
    customs = Customs(items=[yen, attrs.evolve(yen, quantity=2)], signer="Steve Brule")
    body = shipment_request(attrs.evolve(REQUEST, customs=customs))["customsClearanceDetail"]

    assert [None, {"amount": 51, "currency": "JPY"}] == [
        commodity.get("unitPrice") for commodity in body["commodities"]
    ]


@pytest.mark.parametrize(
    "contents, purpose",
    [(Contents.GIFT, "GIFT"), (Contents.DOCUMENTS, "NOT_SOLD"), (Contents.DONATION, "NOT_SOLD")],
)
def test_each_kind_of_contents_has_its_purpose_in_fedex_customs(
    contents: Contents, purpose: str
) -> None:
    """Each kind of contents has its purpose in FedEx customs; documents are marked as such."""
    customs = Customs(items=[SHIRTS], signer="Steve Brule", contents=contents)
    body = shipment_request(attrs.evolve(REQUEST, customs=customs))["customsClearanceDetail"]

    assert purpose == body["commercialInvoice"]["shipmentPurpose"]
    assert (contents is Contents.DOCUMENTS) is body["isDocumentOnly"]
    assert {"paymentType": "RECIPIENT"} == body["dutiesPayment"]


def test_unsupported_shipments_are_refused_before_sending(shop: SandboxHub) -> None:
    """A return address abroad and a reference that is too long are refused before sending."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_rates(attrs.evolve(REQUEST, return_to=RECIPIENT))
    assert [] == shop.sandbox.requests
    assert shop.shipping.get_rates(attrs.evolve(REQUEST, return_to=SENDER)).rates
    with pytest.raises(InvalidData):
        shop.buy_label_of_order(reference="n" * 36)
    assert {} == shop.sandbox.shipments


def test_key_is_sent_as_the_transaction_id(shop: SandboxHub) -> None:
    """FedEx gets the idempotency key as the transaction id, shortened."""
    shop.buy_label_of_order("order-1")
    shop.buy_label_of_order("k" * 200)
    shop.buy_label_of_order("k" * 200 + "l")
    told_of = [
        str(request.headers.get("x-customer-transaction-id"))
        for request in shop.sandbox.requests
        if request.path == "/ship/v1/shipments"
    ]

    assert ["order-1", 40, 40] == [told_of[0], len(told_of[1]), len(told_of[2])]
    assert told_of[1] != told_of[2]
