"""What DHL Express is told of a shipment, in its own words."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage.contracts.shipping import Contents, LabelSize, Parcel, Signature
from moorage.domain.values.money import Money
from moorage.errors import InvalidData, UnsupportedByVendor
from moorage.vendors.shipping._dhl_express_requests import rates_body, shipment_body
from tests.vendors.dhl_express_shop import (
    CUSTOMS,
    OFFER,
    PARCEL,
    PLANNED,
    REQUEST,
    SHIRTS,
    THERE,
    Shop,
)


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


def test_options_are_put_into_the_body_that_they_name(shop: Shop) -> None:
    """DHL is asked twice, so an option says for which of the two it is."""
    extra = {"dhl_express": {"shipment": {"content": {"description": "Shelf 7"}}}}
    shop.bought(extra=extra)

    assert "Shelf 7" == shop.last["content"]["description"]
    wrong: list[dict[str, Any]] = [{"content": {}}, {"rates": 7}]
    for options in wrong:
        with pytest.raises(InvalidData):
            shop.bought("order-2", extra={"dhl_express": options})
