"""Requests to ShipEngine: the shipments that they contain."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import pytest

from moorage.contracts.address import Address
from moorage.contracts.shipping import (
    Contents,
    Customs,
    CustomsItem,
    LabelSize,
    NonDelivery,
    Parcel,
    RateRequest,
    Signature,
)
from moorage.domain.values.money import Money
from moorage.errors import InvalidData, UnsupportedByVendor
from moorage.vendors.shipping._common import as_number
from moorage.vendors.shipping._shipengine_requests import address_body, rates_body
from tests.vendors.shipengine_account import PARCEL, RECIPIENT, REQUEST, SandboxHub

SHIRTS = CustomsItem(
    description="Shirts",
    quantity=3,
    value=Money("10.00", "EUR"),
    weight="0.3",
    hs_code="6109.10",
    origin="DE",
    sku="S-1",
)
ABROAD = attrs.evolve(RECIPIENT, country="CA", region="ON")


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new ShipEngine sandbox."""
    return SandboxHub()


def shipment_request(request: RateRequest, insurer: str = "carrier") -> dict[str, Any]:
    """Return the shipment in a rate request to ShipEngine."""
    shipment: dict[str, Any] = rates_body(request, ["se-1"], insurer)["shipment"]
    return shipment


def test_measures_have_units() -> None:
    """Weights and dimensions are sent in ShipEngine's units, rounded up."""
    small = Parcel(
        weight="0.00001", weight_unit="lb", length=1, width=2, height=3, length_unit="mm"
    )
    parcel = Parcel(weight=3, weight_unit="oz", length=1, width=1, height=1, length_unit="ft")
    value = attrs.evolve(
        REQUEST, parcels=[PARCEL, small, parcel, Parcel(weight=5, weight_unit="g")]
    )

    assert [
        {
            "weight": {"value": 1.25, "unit": "kilogram"},
            "dimensions": {"unit": "centimeter", "length": 30, "width": 20.5, "height": 10},
            "external_package_id": "box 1",
        },
        {
            "weight": {"value": 0.0001, "unit": "pound"},
            "dimensions": {"unit": "centimeter", "length": 0.1, "width": 0.2, "height": 0.3},
        },
        {
            "weight": {"value": 3, "unit": "ounce"},
            "dimensions": {"unit": "inch", "length": 12, "width": 12, "height": 12},
        },
        {"weight": {"value": 5, "unit": "gram"}},
    ] == shipment_request(value)["packages"]


def test_address_has_shipengine_field_names() -> None:
    """An address has ShipEngine's field names, and says if it is residential."""
    shipment = shipment_request(REQUEST)

    assert {
        "name": "Jack Sparrow",
        "company_name": "ACME",
        "address_line1": "388 Townsend St",
        "address_line2": "Apt 20",
        "address_line3": "Back door",
        "city_locality": "San Francisco",
        "state_province": "CA",
        "postal_code": "94107",
        "country_code": "US",
        "phone": "5555555555",
        "email": "jack@shop.example",
        "address_residential_indicator": "no",
    } == shipment["ship_from"]
    assert "yes" == shipment["ship_to"]["address_residential_indicator"]


@pytest.mark.parametrize(
    "address, region",
    [
        (Address(city="Ulm", country="DE"), "Ulm"),
        (Address(city="Ulm", region="BW", country="DE"), "BW"),
        (Address(city="Dublin", region="", country="IE"), "Dublin"),
        (Address(city="Reno", country="US"), None),
        (Address(country="DE"), None),
    ],
)
def test_every_address_has_a_region_as_shipengine_wants(
    address: Address, region: str | None
) -> None:
    """In countries without regions, ShipEngine gets the city as the region."""
    assert region == address_body(address).get("state_province")


def test_company_replaces_a_missing_person_name() -> None:
    """An address without a person's name has the company's, because ShipEngine needs one."""
    body = address_body(Address(company="ACME", country="DE"))

    assert ("ACME", "ACME") == (body["name"], body["company_name"])


def test_options_are_sent() -> None:
    """Insurance, signature and other options of a shipment are sent to ShipEngine."""
    request = attrs.evolve(
        REQUEST,
        signature=Signature.ANYBODY,
        insurance=Money("149.90", "EUR"),
        saturday=True,
        is_return=True,
        return_to=RECIPIENT,
        ship_date=date(2030, 1, 2),
        reference="order 7",
        extra={"shipengine": {"shipment": {"confirmation": "direct_signature"}}},
    )
    body = rates_body(request, ["se-1", "se-2"], "shipsurance")
    shipment = body["shipment"]

    assert {"carrier_ids": ["se-1", "se-2"], "is_return": True} == body["rate_options"]
    assert {"currency": "eur", "amount": 149.9} == shipment["packages"][0]["insured_value"]
    assert {"saturday_delivery": True} == shipment["advanced_options"]
    assert ("direct_signature", "shipsurance", True, "order 7", "2030-01-02", "90277") == (
        shipment["confirmation"],
        shipment["insurance_provider"],
        shipment["is_return"],
        shipment["shipment_number"],
        shipment["ship_date"],
        shipment["return_to"]["postal_code"],
    )
    assert "no_validation" == shipment["validate_address"]


def test_customs_lines_have_unit_values() -> None:
    """A customs line whose value its pieces do not divide evenly is split into two lines."""
    customs = Customs(
        items=[SHIRTS],
        signer="Steve Brule",
        non_delivery=NonDelivery.ABANDON,
        incoterm="DDP",
        invoice_number="INV-1",
    )
    shipment = shipment_request(attrs.evolve(REQUEST, recipient=ABROAD, customs=customs))
    product = {
        "description": "Shirts",
        "weight": {"value": 0.1, "unit": "kilogram"},
        "harmonized_tariff_code": "6109.10",
        "country_of_origin": "DE",
        "sku": "S-1",
    }

    assert {
        "contents": "merchandise",
        "non_delivery": "treat_as_abandoned",
        "terms_of_trade_code": "ddp",
        "invoice_additional_details": {"invoice_number": "INV-1"},
    } == shipment["customs"]
    assert [
        product | {"quantity": 2, "value": {"currency": "eur", "amount": 3.33}},
        product | {"quantity": 1, "value": {"currency": "eur", "amount": 3.34}},
    ] == shipment["packages"][0]["products"]


@pytest.mark.parametrize(
    "contents, word, explanation",
    [
        (Contents.RETURNED, "returned_goods", None),
        (Contents.DONATION, "other", "donation"),
        (Contents.GIFT, "gift", None),
    ],
)
def test_each_kind_of_contents_has_shipengine_word(
    contents: Contents, word: str, explanation: str | None
) -> None:
    """Contents for which ShipEngine has no value are sent as other, with an explanation."""
    even_contents = attrs.evolve(SHIRTS, quantity=2)
    customs = Customs(items=[even_contents], signer="Steve Brule", contents=contents)
    shipment = shipment_request(attrs.evolve(REQUEST, customs=customs))

    assert (word, explanation) == (
        shipment["customs"]["contents"],
        shipment["customs"].get("contents_explanation"),
    )
    assert 1 == len(shipment["packages"][0]["products"])


@pytest.mark.parametrize(
    "fields",
    [
        {"label_size": LabelSize.A5},
        {"insurance": Money("1", "USD"), "parcels": [PARCEL, PARCEL]},
        {"customs": Customs(items=[SHIRTS], signer="Steve Brule", eel_pfc="NOEEI 30.37(a)")},
    ],
    ids=["paper", "insurance", "exemption"],
)
def test_unsupported_shipments_are_refused_before_sending(
    shop: SandboxHub, fields: dict[str, Any]
) -> None:
    """An option that ShipEngine does not support is refused before anything is sent."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_rates(attrs.evolve(REQUEST, **fields))

    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "value, expected",
    [("3", 3), ("3.00", 3), ("0.1", 0.1), ("123456789.1234", 123456789.1234)],
)
def test_json_numbers_are_exact(value: str, expected: float) -> None:
    """A JSON number for ShipEngine has exactly the digits of the decimal."""
    assert expected == as_number(Decimal(value))
    assert Decimal(value) == Decimal(json.dumps(as_number(Decimal(value))))


def test_number_of_too_many_digits_is_refused() -> None:
    """A number that a JSON reader would round is refused before sending to ShipEngine."""
    with pytest.raises(InvalidData):
        as_number(Decimal("12345678901234567.89"))
