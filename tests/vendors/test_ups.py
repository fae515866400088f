"""Requests to UPS: the shipments that they contain."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage.contracts.shipping import Address, LabelSize, Parcel, Signature
from moorage.domain.values.money import Money
from moorage.errors import InvalidData, UnsupportedByVendor
from moorage.vendors.shipping._ups_requests import rates_body, shipment_body
from tests.vendors.ups_account import (
    CANADIAN_ADDRESS,
    CUSTOMS,
    DAY,
    OFFER,
    PARCEL,
    RECIPIENT,
    REQUEST,
    SENDER,
    SandboxHub,
)


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new UPS sandbox."""
    return SandboxHub()


def shipment_request(**fields: Any) -> Any:
    """Return the shipment as it is in the JSON body of a UPS purchase."""
    request = attrs.evolve(REQUEST, **fields)
    body = shipment_body(
        request, OFFER, account="A1B2C3", goods="Merchandise", marked="key-1", day=DAY
    )
    return body["ShipmentRequest"]["Shipment"]


def test_parcel_uses_its_countrys_units() -> None:
    """UPS gets a parcel in the units of the sender's country, the longest side first."""
    (package,) = shipment_request()["Package"]

    assert {
        "UnitOfMeasurement": {"Code": "LBS", "Description": "LBS"},
        "Weight": "2.8",
    } == package["PackageWeight"]
    assert {
        "UnitOfMeasurement": {"Code": "IN", "Description": "IN"},
        "Length": "13",
        "Width": "8",
        "Height": "4",
    } == package["Dimensions"]
    (package,) = shipment_request(sender=CANADIAN_ADDRESS)["Package"]
    assert ("KGS", "1.3", "CM", "31") == (
        package["PackageWeight"]["UnitOfMeasurement"]["Code"],
        package["PackageWeight"]["Weight"],
        package["Dimensions"]["UnitOfMeasurement"]["Code"],
        package["Dimensions"]["Length"],
    )
    assert "Dimensions" not in shipment_request(parcels=Parcel(weight=1))["Package"][0]


@pytest.mark.parametrize(
    "country, units",
    [("US", ("LBS", "IN")), ("PR", ("LBS", "IN")), ("VI", ("LBS", "IN")), ("DE", ("KGS", "CM"))],
)
def test_units_of_a_parcel_are_those_of_the_senders_country(
    country: str, units: tuple[str, str]
) -> None:
    """UPS measures in pounds and inches in the US, Puerto Rico and the Virgin Islands."""
    (package,) = shipment_request(sender=attrs.evolve(SENDER, country=country))["Package"]

    assert units == (
        package["PackageWeight"]["UnitOfMeasurement"]["Code"],
        package["Dimensions"]["UnitOfMeasurement"]["Code"],
    )


@pytest.mark.parametrize(
    "route, is_domestic",
    [("US US", True), ("PR PR", True), ("US PR", False), ("PR US", False), ("DE DE", False)],
)
def test_references_belong_to_packages_within_the_us_and_within_puerto_rico(
    route: str, is_domestic: bool
) -> None:
    """UPS accepts references of packages within the US and within Puerto Rico only."""
    sender, recipient = route.split()
    shipment = shipment_request(
        sender=attrs.evolve(SENDER, country=sender),
        recipient=attrs.evolve(RECIPIENT, country=recipient),
    )

    assert (is_domestic, not is_domestic) == (
        "ReferenceNumber" in shipment["Package"][0],
        "ReferenceNumber" in shipment,
    )


@pytest.mark.parametrize(
    "route, is_required",
    [("US CA", True), ("US PR", True), ("US DE", False), ("CA US", False), ("PR US", False)],
)
def test_total_of_an_invoice_is_sent_from_the_us_to_canada_and_puerto_rico(
    route: str, is_required: bool
) -> None:
    """UPS requires the total of the invoice from the US to Canada and to Puerto Rico only."""
    sender, recipient = route.split()
    shipment = shipment_request(
        sender=attrs.evolve(SENDER, country=sender),
        recipient=attrs.evolve(RECIPIENT, country=recipient),
        customs=CUSTOMS,
    )

    assert is_required == ("InvoiceLineTotal" in shipment)


def test_ups_does_not_check_the_address_of_a_purchase() -> None:
    """A purchase is not refused because the postal code does not match the state."""
    body = shipment_body(REQUEST, OFFER, account="A1B2C3", goods="Pens", marked="key-1", day=DAY)

    assert {"RequestOption": "nonvalidate"} == body["ShipmentRequest"]["Request"]


def test_sender_is_the_shipper() -> None:
    """The sender is UPS's shipper, unless the shipment has another return address."""
    shipment = shipment_request()
    assert {
        "Name": "Acme",
        "AttentionName": "Jack Sparrow",
        "Address": {
            "AddressLine": ["388 Townsend St", "Apt 20"],
            "City": "San Francisco",
            "StateProvinceCode": "CA",
            "PostalCode": "94107",
            "CountryCode": "US",
        },
        "Phone": {"Number": "15555555555"},
        "ShipperNumber": "A1B2C3",
    } == shipment["Shipper"]
    assert "" == shipment["ShipTo"]["Address"]["ResidentialAddressIndicator"]
    assert {"ShipFrom", "Phone"}.isdisjoint({*shipment, *shipment["ShipTo"]})

    shipment = shipment_request(return_to=CANADIAN_ADDRESS)
    assert ("Ada Lovelace", "Acme") == (shipment["Shipper"]["Name"], shipment["ShipFrom"]["Name"])


@pytest.mark.parametrize("recipient, home", [(RECIPIENT, True), (CANADIAN_ADDRESS, False)])
def test_signatures_and_references_belong_to_packages_in_domestic_ups_shipments(
    recipient: Address, home: bool
) -> None:
    """In domestic UPS shipments, signatures and references belong to packages."""
    shipment = shipment_request(
        recipient=recipient,
        signature=Signature.ADULT,
        saturday=True,
        reference="order 7",
        insurance=Money("100.01", "USD"),
        parcels=[PARCEL, PARCEL],
    )
    references = [{"Value": "order 7"}, {"Value": "key-1"}]
    packages = shipment["Package"]

    assert "" == shipment["ShipmentServiceOptions"]["SaturdayDeliveryIndicator"]
    assert ["50.01", "50.00"] == [
        package["PackageServiceOptions"]["DeclaredValue"]["MonetaryValue"] for package in packages
    ]
    if home:
        assert {"DCISType": "3"} == packages[1]["PackageServiceOptions"]["DeliveryConfirmation"]
        assert references == packages[1]["ReferenceNumber"]
        assert "ReferenceNumber" not in shipment
    else:
        assert {"DCISType": "2"} == shipment["ShipmentServiceOptions"]["DeliveryConfirmation"]
        assert references == shipment["ReferenceNumber"]
        assert "ReferenceNumber" not in packages[1]


def test_no_options_by_default() -> None:
    """A UPS shipment without options sends none, and a reference that is too long is refused."""
    shipment = shipment_request()

    assert "ShipmentServiceOptions" not in shipment
    assert "PackageServiceOptions" not in shipment["Package"][0]
    with pytest.raises(InvalidData):
        shipment_request(reference="o" * 36)


def test_customs_become_an_invoice() -> None:
    """UPS gets customs as an invoice with the value of one piece per line."""
    shipment = shipment_request(recipient=CANADIAN_ADDRESS, customs=CUSTOMS)

    assert {
        "FormType": ["01"],
        "InvoiceNumber": "INV-1",
        "InvoiceDate": "20300102",
        "ReasonForExport": "SALE",
        "TermsOfShipment": "DAP",
        "CurrencyCode": "USD",
        "DeclarationStatement": (
            "The information on this invoice is true and correct. Steve Brule"
        ),
        "Contacts": {
            "SoldTo": {
                "Name": "Ada Lovelace",
                "AttentionName": "Ada Lovelace",
                "Address": {
                    "AddressLine": ["179 N Harbor Dr"],
                    "City": "Toronto",
                    "StateProvinceCode": "ON",
                    "PostalCode": "M4W1A8",
                    "CountryCode": "CA",
                },
            }
        },
        "Product": [
            {
                "Description": ["Shirts of cotton, with short sleeve", "s and a pocket"],
                "Unit": {
                    "Number": count,
                    "UnitOfMeasurement": {"Code": "PCS"},
                    "Value": value,
                },
                "CommodityCode": "610910",
                "PartNumber": "S-1",
                "OriginCountryCode": "DE",
            }
            for count, value in (("2", "3.33"), ("1", "3.34"))
        ],
    } == shipment["ShipmentServiceOptions"]["InternationalForms"]
    assert {"CurrencyCode": "USD", "MonetaryValue": "10.00"} == shipment["InvoiceLineTotal"]
    assert "Shirts of cotton, with short sleeves and a pocket" == shipment["Description"]


def test_description_of_goods_has_three_lines_at_most() -> None:
    """UPS gets at most three lines of 35 characters to describe the goods; the rest is cut off."""
    item = attrs.evolve(CUSTOMS.items[0], description="a" * 35 + "b" * 35 + "c" * 35 + "d")
    shipment = shipment_request(
        recipient=CANADIAN_ADDRESS, customs=attrs.evolve(CUSTOMS, items=[item])
    )
    products = shipment["ShipmentServiceOptions"]["InternationalForms"]["Product"]

    assert ["a" * 35, "b" * 35, "c" * 35] == products[0]["Description"]


def test_invoice_needs_a_number(shop: SandboxHub) -> None:
    """A UPS invoice has our reference as number; the total value is sent only for Canada."""
    german = attrs.evolve(CANADIAN_ADDRESS, country="DE", region=None)
    customs = attrs.evolve(CUSTOMS, invoice_number=None, contents="other", explanation="Exhibition")
    shipment = shipment_request(
        recipient=german, customs=customs, reference="order 7", saturday=True
    )
    forms = shipment["ShipmentServiceOptions"]["InternationalForms"]

    assert ("order 7", "Exhibition") == (forms["InvoiceNumber"], forms["ReasonForExport"])
    assert "InvoiceLineTotal" not in shipment
    with pytest.raises(InvalidData):
        shipment_request(recipient=german, customs=customs)
    request = attrs.evolve(REQUEST, recipient=german, customs=customs)
    rate = shop.shipping.get_rates(request).rates[0]
    with pytest.raises(InvalidData):
        shop.shipping.create_shipment(rate, idempotency_key="k-1")
    assert not shop.sandbox.shipments
    assert shop.buy_label_of_order(recipient=CANADIAN_ADDRESS, customs=CUSTOMS).labels


def test_label_that_ups_does_not_print_is_refused(shop: SandboxHub) -> None:
    """Label formats and sizes that UPS does not support are refused before sending."""
    unsupported_labels: list[dict[str, Any]] = [{"label": "png"}, {"label_size": LabelSize.A6}]
    for fields in unsupported_labels:
        with pytest.raises(UnsupportedByVendor):
            rates_body(attrs.evolve(REQUEST, **fields), "A1B2C3")
        with pytest.raises(UnsupportedByVendor):
            shipment_request(**fields)
    assert shipment_request(label_size="4x6")
    shipment = shop.buy_label_of_order()
    count = len(shop.sandbox.requests)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(shipment.ref, "png")
    assert count == len(shop.sandbox.requests)


def test_options_are_put_into_the_body_that_they_name(shop: SandboxHub) -> None:
    """An extra option for UPS states whether it belongs to the rate request or the purchase."""
    green = {"Shipment": {"ShipmentServiceOptions": {"UPScarbonneutralIndicator": ""}}}
    shop.buy_label_of_order(extra={"ups": {"shipment": green}})

    assert {"UPScarbonneutralIndicator": ""} == (
        shop.last_request("/ship")["ShipmentRequest"]["Shipment"]["ShipmentServiceOptions"]
    )
    assert "ShipmentServiceOptions" not in shop.last_request("/Shop")["RateRequest"]["Shipment"]
