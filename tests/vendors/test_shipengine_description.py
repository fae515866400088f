"""Requests to ShipEngine match ShipEngine's own API description."""

from __future__ import annotations

import json
from typing import Final

import attrs

from moorage import Account, Hub
from moorage.contracts.address import Address
from moorage.contracts.shipping import (
    Customs,
    CustomsItem,
    LabelSize,
    Parcel,
    RateRequest,
    ShipmentRequest,
    Signature,
)
from moorage.domain.values.money import Money
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.shipping.shipengine import ShipEngineSandbox
from moorage.vendors.shipping.shipengine import ShipEngine
from tests.support.openapi import Json, problems

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
FLAG: Json = {"type": "boolean"}


def fields(required: str, **properties: Json) -> Json:
    """Return the schema of an object with the given fields and no others."""
    return {"type": "object", "required": required.split(), "properties": properties}


def listed(items: Json) -> Json:
    """Return the schema of a list of the given items."""
    return {"type": "array", "items": items}


def one_of(words: str) -> Json:
    """Return the schema of an enumeration of the given words."""
    return {"type": "string", "enum": words.split()}


AMOUNT = fields("currency amount", currency=TEXT, amount=NUMBER)
WEIGHT = fields("value unit", value=NUMBER, unit=one_of("pound ounce gram kilogram"))
ADDRESS = fields(
    "name address_line1 city_locality state_province postal_code",
    name=TEXT,
    phone=TEXT,
    email=TEXT,
    company_name=TEXT,
    address_line1=TEXT,
    address_line2=TEXT,
    address_line3=TEXT,
    city_locality=TEXT,
    state_province=TEXT,
    postal_code=TEXT,
    country_code=TEXT,
    address_residential_indicator=one_of("unknown yes no"),
)
PRODUCT = fields(
    "",
    description=TEXT | {"maxLength": 100},
    quantity={"type": "integer"},
    value=AMOUNT,
    weight=WEIGHT,
    harmonized_tariff_code=TEXT,
    country_of_origin=TEXT,
    sku=TEXT,
)
SIZES = fields(
    "unit length width height",
    unit=one_of("inch centimeter"),
    length=NUMBER,
    width=NUMBER,
    height=NUMBER,
)
PACKAGE = fields(
    "weight",
    weight=WEIGHT,
    dimensions=SIZES,
    insured_value=AMOUNT,
    external_package_id=TEXT,
    products=listed(PRODUCT),
)
CUSTOMS = fields(
    "contents non_delivery",
    contents=one_of("merchandise documents gift returned_goods sample other"),
    contents_explanation=TEXT,
    non_delivery=one_of("return_to_sender treat_as_abandoned"),
    terms_of_trade_code=one_of("exw fca cpt cip dpu dap ddp fas fob cfr cif ddu daf deq des"),
    invoice_additional_details=fields("", invoice_number=TEXT),
)
CHECKING = one_of("no_validation validate_only validate_and_clean")
SHIPMENT = fields(
    "ship_to ship_from",
    validate_address=CHECKING,
    ship_date=TEXT,
    ship_to=ADDRESS,
    ship_from=ADDRESS,
    return_to=ADDRESS,
    is_return=FLAG,
    confirmation=one_of("none delivery signature adult_signature direct_signature"),
    customs=CUSTOMS,
    advanced_options=fields("", saturday_delivery=FLAG),
    insurance_provider=one_of("none shipsurance carrier third_party"),
    shipment_number=TEXT | {"maxLength": 50},
    packages=listed(PACKAGE),
)
RATES = fields(
    "rate_options shipment",
    rate_options=fields("carrier_ids", carrier_ids=listed(TEXT), is_return=FLAG),
    shipment=SHIPMENT,
)
LABEL = fields(
    "",
    validate_address=CHECKING,
    label_layout=one_of("4x6 letter A4 A6"),
    label_format=one_of("pdf png zpl"),
    label_download_type=one_of("url inline"),
    custom_field1=TEXT,
)


def path(schema: Json) -> Json:
    """Return an API description of a request with the given body."""
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


EXCERPT: Final[Json] = {
    "paths": {
        "/v1/rates": path(RATES),
        "/v1/labels/rates/{rate_id}": path(LABEL),
        "/v1/addresses/validate": path(listed(ADDRESS)),
    }
}
"""An excerpt of ShipEngine's API description with the fields that moorage sends."""


def test_requests_match_the_description() -> None:
    """Each field of a request is in ShipEngine's API description, with its type."""
    message = EXCERPT
    sandbox = ShipEngineSandbox()
    hub = Hub(
        [Account("shipengine", ShipEngine(credentials=sandbox.api_key))],
        http=SandboxHttpClient(sandbox),
    )
    local_address = Address(
        name="Jack Sparrow",
        company="ACME",
        line1="388 Townsend St",
        line2="Apt 20",
        line3="Back door",
        city="San Francisco",
        region="CA",
        postal_code="94107",
        country="US",
        phone="5555555555",
        email="jack@shop.example",
        residential=False,
    )
    item = CustomsItem(
        description="Shirts",
        quantity=3,
        value=Money("10.00", "EUR"),
        weight="0.3",
        hs_code="6109.10",
        origin="DE",
        sku="S-1",
    )
    request = RateRequest(
        sender=local_address,
        recipient=attrs.evolve(local_address, country="CA", region="ON"),
        return_to=local_address,
        parcels=Parcel(weight="1.25", length=30, width="20.5", height=10, reference="box 1"),
        customs=Customs(
            items=[item],
            signer="Steve Brule",
            contents="other",
            explanation="A surprise",
            incoterm="DDP",
            invoice_number="INV-1",
        ),
        label_size=LabelSize.A4,
        insurance=Money("149.90", "USD"),
        signature=Signature.ADULT,
        saturday=True,
        is_return=True,
        reference="order 7",
    )
    hub.shipping().create_shipment(ShipmentRequest(rate_request=request), idempotency_key="order-7")
    hub.shipping().validate_address(local_address)
    requests = [request for request in sandbox.requests if request.method == "POST"]

    assert 3 == len(requests)
    for notice in requests:
        assert [] == problems(message, notice.method, notice.path, json.loads(notice.body))


def test_addresses_of_a_country_without_regions() -> None:
    """A German address of a person or company matches ShipEngine's API description."""
    message = EXCERPT
    sandbox = ShipEngineSandbox()
    hub = Hub(
        [Account("shipengine", ShipEngine(credentials=sandbox.api_key))],
        http=SandboxHttpClient(sandbox),
    )
    local_address = Address(
        name="Ada", line1="1 Weg", city="Ulm", postal_code="89073", country="DE", phone="+4973112"
    )
    stored_address = attrs.evolve(local_address, name=None, company="ACME")
    request = RateRequest(
        sender=stored_address, recipient=local_address, parcels=Parcel(weight="1")
    )
    hub.shipping().get_rates(request)
    hub.shipping().validate_address(local_address)
    requests = [request for request in sandbox.requests if request.method == "POST"]

    assert 2 == len(requests)
    for notice in requests:
        assert [] == problems(message, notice.method, notice.path, json.loads(notice.body))
