"""Requests to DHL Express: the shipments that they contain."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage.contracts.shipping import Contents, Customs, LabelSize, Parcel, Signature
from moorage.domain.values.money import Money
from moorage.errors import InvalidData, UnsupportedByVendor
from moorage.vendors.shipping._dhl_express_requests import rates_body, shipment_body
from tests.vendors.dhl_express_account import (
    CUSTOMS,
    OFFER,
    PARCEL,
    PLANNED,
    RECIPIENT,
    REQUEST,
    SHIRTS,
    SandboxHub,
)


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new DHL Express sandbox."""
    return SandboxHub()


def shipment_request(**fields: Any) -> Any:
    """Return the JSON body that buys a shipment from DHL Express."""
    request = attrs.evolve(REQUEST, **fields)
    return shipment_body(
        request, OFFER, account="1", planned=PLANNED, goods="Merchandise", marked="key-1"
    )


def test_weights_and_sides_are_converted_and_rounded_up() -> None:
    """Weights and dimensions are converted exactly to kg and cm, and then rounded up."""
    parcel = Parcel(weight="2.5", weight_unit="lb", length=1, width=2, height=3, length_unit="in")
    package = shipment_request(parcels=parcel)["content"]["packages"][0]

    assert {
        "weight": 1.134,
        "dimensions": {"length": 2.54, "width": 5.08, "height": 7.62},
    } == package


def test_parcel_without_sides_is_refused(shop: SandboxHub) -> None:
    """A parcel without dimensions is refused before sending, and the error names the parcel."""
    with pytest.raises(InvalidData) as excinfo:
        shop.buy_label_of_order(parcels=[PARCEL, Parcel(weight=1)])

    assert "parcels[1].length" == excinfo.value.field
    assert [] == shop.sandbox.requests


def test_sender_has_contact_details() -> None:
    """A sender without a company is sent with the person's name as company."""
    customer = shipment_request()["customerDetails"]

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


def test_missing_postal_code_is_empty() -> None:
    """An address in a country without postal codes is sent to DHL with an empty postal code."""
    place = shipment_request(recipient=attrs.evolve(RECIPIENT, postal_code=None))["customerDetails"]

    assert "" == place["receiverDetails"]["postalAddress"]["postalCode"]


def test_options_become_services() -> None:
    """Signature, Saturday delivery, insurance and duties are sent as services of DHL."""
    wished = shipment_request(
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
    assert "valueAddedServices" not in shipment_request()
    assert [{"serviceCode": "SF"}] == shipment_request(signature=Signature.ANYBODY)[
        "valueAddedServices"
    ]


def test_customs_lines_are_per_piece() -> None:
    """A DHL customs line has the value of one piece, and the weight of all its pieces."""
    customs = attrs.evolve(
        CUSTOMS, invoice_number="INV-1", contents=Contents.GIFT, explanation="A present"
    )
    content = shipment_request(customs=customs)["content"]

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
        shipment_request(customs=attrs.evolve(CUSTOMS, contents=Contents.OTHER))["content"][
            "exportDeclaration"
        ]
    )


def test_long_texts_of_customs_are_shortened() -> None:
    """The name of a customs signer is cut off at 35 characters, and the export reason at 30."""
    customs = Customs(items=[SHIRTS], signer="s" * 36, explanation="e" * 31, invoice_number="INV-1")
    declaration = shipment_request(customs=customs)["content"]["exportDeclaration"]

    assert "s" * 35 == declaration["invoice"]["signatureName"]
    assert "e" * 30 == declaration["exportReason"]


def test_uneven_value_is_split_in_two_lines() -> None:
    """A customs value that does not divide evenly becomes two lines whose sum is exact."""
    third = attrs.evolve(SHIRTS, quantity=3, value=Money("10.00", "EUR"))
    customs = attrs.evolve(CUSTOMS, items=[third])
    lines = shipment_request(customs=customs)["content"]["exportDeclaration"]["lineItems"]

    assert [(1, 3.33, 2), (2, 3.34, 1)] == [
        (line["number"], line["price"], line["quantity"]["value"]) for line in lines
    ]


def test_unsendable_values_are_refused() -> None:
    """Customs values in mixed currencies, or with too many digits, are refused."""
    dollars = attrs.evolve(SHIRTS, value=Money("46.50", "USD"))
    with pytest.raises(InvalidData):
        shipment_request(customs=attrs.evolve(CUSTOMS, items=[SHIRTS, dollars]))
    with pytest.raises(InvalidData):
        shipment_request(insurance=Money("12345678901234567.89", "USD"))


def test_domestic_shipment_has_the_accounts_description(shop: SandboxHub) -> None:
    """A DHL shipment without customs data has the account's description of goods."""
    at_home = SandboxHub(goods="Spare parts")
    at_home.buy_label_of_order(customs=None, recipient=attrs.evolve(RECIPIENT, country="US"))

    content = at_home.last_body["content"]
    assert ("Spare parts", False, "DAP") == (
        content["description"],
        content["isCustomsDeclarable"],
        content["incoterm"],
    )
    assert [] == shop.sandbox.requests


def test_dhl_gets_our_own_reference_first() -> None:
    """DHL gets our reference first, then the key's mark; too long a reference is refused."""
    body = shipment_request(reference="order 7", parcels=attrs.evolve(PARCEL, reference="box 1"))

    assert [
        {"value": "order 7", "typeCode": "CU"},
        {"value": "key-1", "typeCode": "CU"},
    ] == body["customerReferences"]
    assert [{"value": "box 1", "typeCode": "CU"}] == (
        body["content"]["packages"][0]["customerReferences"]
    )
    with pytest.raises(InvalidData):
        shipment_request(reference="o" * 36)


def test_label_is_written_on_paper_that_dhl_has() -> None:
    """DHL prints labels on A4 and A6 only; other label sizes are refused before sending."""
    image = shipment_request(label_size=LabelSize.A4)["outputImageProperties"]

    assert {
        "encodingFormat": "pdf",
        "imageOptions": [{"typeCode": "label", "templateName": "ECOM26_84_A4_001"}],
    } == image
    unsupported_labels: list[dict[str, Any]] = [
        {"label": "png"},
        {"label_size": "4x6"},
        {"label_size": "A5"},
    ]
    for fields in unsupported_labels:
        request = attrs.evolve(REQUEST, **fields)
        with pytest.raises(UnsupportedByVendor):
            rates_body(request, "1", PLANNED)
        with pytest.raises(UnsupportedByVendor):
            shipment_request(**fields)


def test_options_are_put_into_the_body_that_they_name(shop: SandboxHub) -> None:
    """An extra option for DHL states whether it belongs to the rate request or the purchase."""
    extra_options = {"dhl_express": {"shipment": {"content": {"description": "Shelf 7"}}}}
    shop.buy_label_of_order(extra=extra_options)

    assert "Shelf 7" == shop.last_body["content"]["description"]
    wrong_options: list[dict[str, Any]] = [{"content": {}}, {"rates": 7}]
    for options in wrong_options:
        with pytest.raises(InvalidData):
            shop.buy_label_of_order("order-2", extra={"dhl_express": options})


def test_values_are_named_in_the_request_for_rates() -> None:
    """A DHL rate request has separate amounts for the declared and the insured value, if any."""
    insured = attrs.evolve(REQUEST, insurance=Money("80", "EUR"))
    plain_request = attrs.evolve(REQUEST, customs=None)

    assert [
        {"typeCode": "declaredValue", "value": 46.5, "currency": "EUR"},
        {"typeCode": "insuredValue", "value": 80.0, "currency": "EUR"},
    ] == rates_body(insured, "1", PLANNED)["monetaryAmount"]
    assert "monetaryAmount" not in rates_body(plain_request, "1", PLANNED)
